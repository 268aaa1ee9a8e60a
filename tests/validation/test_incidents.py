"""Every incident of the gallery ends as its file says, whatever the seed."""

from __future__ import annotations

import pytest

from tests.validation.runs import SCENARIOS, run, run_seeds

NAMES = sorted(path.stem for path in (SCENARIOS / "incidents").glob("*.yaml"))
SEEDS = 20


def failures(result):
    """What a run breaks: its accounts, or what its file expects."""
    summary = result.summary
    broken = [row["name"] for row in summary["ledger"]["identities"] if not row["holds"]]
    return broken + [
        f"{row['text']}: {row['value']} {row['reason'] or ''}" for row in summary["expectations"] if not row["holds"]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_an_incident_ends_as_its_file_says(name):
    result = run(f"incidents/{name}", 1)
    assert failures(result) == []
    assert result.summary["expectations"]
    assert not [text for text in result.summary["warnings"] if "did not begin" in text]


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_it_does_so_for_many_seeds(name):
    found = {seed: failures(result) for seed, result in enumerate(run_seeds(f"incidents/{name}", SEEDS), start=1)}
    assert {seed: what for seed, what in found.items() if what} == {}


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_to_look_for(name):
    text = (SCENARIOS / "incidents" / f"{name}.yaml").read_text("utf-8")
    assert text.startswith("# ") and "\ndescription: " in text
    assert f"\nname: {name}\n" in text
