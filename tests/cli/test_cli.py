"""The command line: help is light, mistakes end with code 2 and write nothing."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from kafkasim.cli import app

HEAVY = ("pandas", "numpy", "scipy", "matplotlib", "simpy", "pydantic", "yaml", "jinja2")
BROKEN = Path(__file__).parent.parent / "scenario" / "broken"
runner = CliRunner()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['kafkasim', '--help']\n"
        "from kafkasim.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "validate" in done.stdout
    assert done.stderr.strip() == "[]"


def test_validate_imports_no_simulation() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['kafkasim', 'validate', 'primer/hello']\n"
        "from kafkasim.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "print([n for n in ('pandas', 'numpy', 'scipy', 'matplotlib', 'simpy') if n in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("file", sorted(path.name for path in BROKEN.glob("*.yaml")))
def test_run_refuses_a_broken_file_and_writes_nothing(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = runner.invoke(app, ["run", str(BROKEN / file)])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert str(BROKEN) in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_all_files_are_reported_together() -> None:
    done = runner.invoke(app, ["validate", str(BROKEN / "tag.yaml"), "primer/hello", str(BROKEN / "syntax.yaml")])
    assert done.exit_code == 2
    assert "tag.yaml:3:10" in done.stderr and "syntax.yaml:4:1" in done.stderr
    assert done.stdout == "primer/hello: fine (hello)\n"


def test_overrides_are_validated() -> None:
    done = runner.invoke(app, ["validate", "primer/hello", "--set", "producers.app.rate=5"])
    assert done.exit_code == 2
    assert done.stderr.startswith("--set producers.app.rate=5: producers.app.rate: a rate needs a unit")
    assert runner.invoke(app, ["validate", "primer/hello", "--set", "seed=5"]).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seeds", "5-1"], ["--seeds", "x"], ["--seeds", "1-99999999"], ["--seed", "1", "--seeds", "1-2"],
        ["--seed", "-1"], ["--trace", "everything"],
    ],
)  # fmt: skip
def test_a_wrong_call_is_refused(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert runner.invoke(app, ["run", "primer/hello", *arguments]).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_schema_is_a_json_schema() -> None:
    done = runner.invoke(app, ["schema"])
    assert done.exit_code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(done.stdout))


def test_configs() -> None:
    done = runner.invoke(app, ["configs", "linger", "--side", "producer"])
    assert done.stdout.splitlines()[0].split() == ["producer", "linger.ms", "=", "0", "ms", "[0,...]"]
    assert "ignored:" not in runner.invoke(app, ["configs", "--used"]).stdout
    assert "= 1\n" in runner.invoke(app, ["configs", "acks", "--side", "producer", "--kafka", "2.8"]).stdout.replace(
        "  [all, -1, 0, 1]", ""
    )
    assert runner.invoke(app, ["configs", "--side", "brocker"]).exit_code == 2
    assert runner.invoke(app, ["configs", "--kafka", "9.9"]).exit_code == 2


def test_list_and_version() -> None:
    assert "primer/hello " in runner.invoke(app, ["list"]).stdout
    assert "(pure Python)" in (version := runner.invoke(app, ["--version"]).stdout) or "(compiled)" in version
