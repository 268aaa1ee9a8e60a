"""docs/incidents.md: its commands end as they should, its numbers are those of the runs, no incident is left out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.docs.pages import agrees, commands, look_up
from tests.docs.test_primer import run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "incidents.md").read_text(encoding="utf-8")
COMMANDS = commands(PAGE)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.text.removeprefix("kafkasim "))
def test_command(command, tmp_path):
    done, directory = run(command, tmp_path)
    assert done.returncode == command.exit_code, done.stderr + done.stdout[-2000:]
    summary = json.loads(done.stdout)
    assert command.claims
    found = [(claim.words, claim.says, look_up(claim.where, summary, directory)) for claim in command.claims]
    assert [claim for claim in found if not agrees(claim[1], claim[2])] == []


def test_every_incident_is_on_the_page():
    files = {path.stem for path in (ROOT / "scenarios" / "incidents").glob("*.yaml")} - {"calm"}
    linked = set(re.findall(r"\(\.\./scenarios/incidents/([^)]+)\.yaml\)", PAGE))
    assert files - linked == set()
