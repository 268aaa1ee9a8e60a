"""docs/primer.md: every command on the page is run, and every number beside it is compared with what came out."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import Claim, Command, agrees, commands, look_up

PAGE = (Path(__file__).parents[2] / "docs" / "primer.md").read_text(encoding="utf-8")
COMMANDS = commands(PAGE)


def run(command: Command, directory: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Runs a command of the page in ``directory``; gives also where it wrote."""
    words = shlex.split(command.text)
    assert words[0] == "kafkasim"
    runs = words[1] == "run" and command.exit_code != 2
    extra = ["--json", "--quiet", "--out", "result"] if runs else []
    program = [sys.executable, "-c", "from kafkasim.cli import main; main()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [*program, *words[1:], *extra], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    return done, directory / "result"


def pattern(line: str) -> str:
    """An expected line of output as a regular expression."""
    return "^" + ".*".join(re.escape(part) for part in line.split("…")) + "$"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.text.removeprefix("kafkasim "))
def test_command(command, tmp_path):
    done, directory = run(command, tmp_path)
    assert done.returncode == command.exit_code, done.stderr + done.stdout[-2000:]
    printed = done.stdout + done.stderr
    assert [line for line in command.output if not re.search(pattern(line), printed, flags=re.MULTILINE)] == []
    if not command.claims:
        return
    summary = json.loads(done.stdout)
    assert [one["name"] for one in summary["ledger"]["identities"] if not one["holds"]] == []
    wrong = []
    for claim in command.claims:
        value = look_up(claim.where, summary, directory)
        if not agrees(claim.says, value):
            wrong.append(f"line {claim.line}: {claim.words}: the page says {claim.says}, the run {value}")
    assert wrong == []


def test_the_page_goes_through_all_thirty_claims():
    numbers = [int(number) for number in re.findall(r"^### (\d+)\. ", PAGE, flags=re.MULTILINE)]
    assert numbers == list(range(1, 31))


def test_every_gallery_scenario_of_the_primer_is_on_the_page():
    scenarios = Path(__file__).parents[2] / "scenarios" / "primer"
    missing = [path.stem for path in scenarios.glob("*.yaml") if f"primer/{path.stem}" not in PAGE]
    assert missing == []


def test_no_number_is_left_unchecked():
    checked = sum(len(command.claims) for command in COMMANDS)
    heads = re.compile(r"\|(-+\|)+|\| what \| value \|")
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and not heads.match(line)]
    assert checked == len(rows)


@pytest.mark.parametrize(
    ("says", "value", "holds"),
    [
        ("2,400,000", 2_400_000, True), ("2,400,000", 2_400_001, False), ("none", None, True), ("none", 0, False),
        ("true", True, True), ("0.40 ms ± 10 %", 0.00043, True), ("0.40 ms ± 10 %", 0.00045, False),
        ("12 … 21 s", 16.4, True), ("12 … 21 s", 21.2, False), ("< 5 ms", 0.004, True), ("> 100/s", 99.0, False),
        ("33.3 % ± 1 %", 0.334, True), ("1 … 2", None, False),
    ],
)  # fmt: skip
def test_agrees(says, value, holds):
    assert agrees(says, value) is holds


def test_look_up(tmp_path):
    (tmp_path / "series.csv").write_text("time_s,metric,value\n1,lag,5\n2,lag,7\n2,other,9\n", encoding="utf-8")
    summary = {"ledger": {"created": 8}, "rows": [{"k": "a", "n": 0, "v": 2}, {"k": "a", "n": 1, "v": 4}]}
    cases = {
        "ledger.created": 8, "rows[k=a, n=1].v": 4, "sum rows[k=a].v": 6, "count rows[k~b]": 0, "rows[n>0].v": 4,
        "rows[n=1].v ÷ ledger.created": 0.5, "ledger.created − 3": 5, "max series[metric=lag].value": 7,
        "count series[metric=lag, time_s<2]": 1,
    }  # fmt: skip
    assert {where: look_up(where, summary, tmp_path) for where in cases} == cases
    with pytest.raises(LookupError):
        look_up("rows[k=a].v", summary, tmp_path)


def test_a_wrong_number_is_found():
    table = "| what | value | field |\n|---|---|---|\n| made | 2,000 | `ledger.created` |\n"
    page = f"```console\n$ kafkasim run x\n```\n\n{table}"
    (command,) = commands(page)
    assert command.claims == [Claim(7, "made", "2,000", "ledger.created")]
    assert not agrees(command.claims[0].says, look_up("ledger.created", {"ledger": {"created": 1}}, Path()))
