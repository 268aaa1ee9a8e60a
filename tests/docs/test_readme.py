"""The README's first screen has the two commands; its other commands work, and its numbers are those of a run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kafkasim import Scenario, simulate
from kafkasim.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(text: str) -> list[list[str]]:
    """The lines of each fenced block of shell commands."""
    return [block.splitlines() for block in re.findall(r"```(?:console|sh|bash|shell)?\n(.*?)```", text, re.S)]


def commands_of_the_first_screen() -> list[str]:
    top = "\n".join(README.splitlines()[:60])
    return [line for block in blocks(top) for line in block]


def test_the_first_screen_has_two_commands_that_make_their_own_environment() -> None:
    run, test = commands_of_the_first_screen()
    prefix = "python3 -m venv .venv && .venv/bin/pip install -q -U pip && .venv/bin/pip install -q "
    assert run.startswith(prefix + ". && .venv/bin/kafkasim run ")
    assert test == prefix + "-e . --group dev && .venv/bin/pytest"
    assert "`python3-venv` and `git`" in README.split("```")[0]


def test_the_environment_that_they_make_is_ignored() -> None:
    assert ".venv/" in (ROOT / ".gitignore").read_text("utf-8").split()


def test_the_other_commands_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a scenario of the gallery in the place of the reader's own file; runs are only validated."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-cluster.yaml").write_text(
        (ROOT / "scenarios" / "primer" / "hello.yaml").read_text("utf-8"), "utf-8"
    )
    lines = [line for block in blocks(README)[1:] for line in block]
    assert len(lines) >= 5
    for line in lines:
        words = shlex.split(line.split("   ")[0].split(">")[0], comments=True)
        assert words[0] == "kafkasim"
        if words[1] == "run":
            words[1] = "validate"
            if "--seeds" in words:
                at = words.index("--seeds")
                del words[at : at + 2]
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, f"{line}\n{done.output}"


def test_the_python_example_works(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    (program,) = re.findall(r"```python\n(.*?)```", README, re.S)
    exec(compile(program, "README.md", "exec"), {})
    assert capsys.readouterr().out == "0\n"


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]


@pytest.mark.full
def test_the_numbers_are_those_of_the_run() -> None:
    result = simulate(Scenario.load("primer/tweets-broker-1-fails"))
    ledger = result.summary["ledger"]
    assert f"created {ledger['created']:,} = acknowledged {ledger['acknowledged']:,}" in README
    assert f"lost {ledger['acknowledged_lost']}" in README
    rows = result.summary["unavailability"]
    assert f"unavailability  {len(rows)} rows" in README
    for row in rows:
        if row["duration_s"] > 1.0:
            assert f"{row['from_s']:.3f} – {row['until_s']:.3f} s" in README
