"""Anomalies by name: what a configuration does to records, whether it is allowed, and loudly if it is not."""

from __future__ import annotations

from typing import Any

import pytest
from rich.text import Text

from kafkasim.checks.allowed import Allowed
from kafkasim.report.anomalies import told
from kafkasim.report.reading import read
from kafkasim.report.summary import summary_lines
from kafkasim.scenario.expectations import ANOMALIES, ExpectationError, parse_expectation
from kafkasim.simulation import simulate
from tests.checks.test_invariants import failover
from tests.faults.schedules import run

ZOMBIE = [{"at": "4s", "partition": {"between": "broker 1", "and": "zookeeper"}, "for": "8s"}]


def named(summary: Any) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in summary["anomalies"]}


def test_a_calm_run_has_none_and_names_them_all() -> None:
    found = named(run(failover(acks="all", events=[])).summary)
    assert tuple(found) == ANOMALIES
    assert all(row["count"] == 0 and row["allowed"] for row in found.values())


def test_acks_1_under_a_zombie_leader_loses_and_reuses_offsets_and_may() -> None:
    summary = run(failover(events=ZOMBIE, controller=2)).summary
    found = named(summary)
    assert found["lost-write"]["count"] == summary["ledger"]["acknowledged_lost"] > 0
    assert found["lost-write"]["allowed"] and "acks=1" in found["lost-write"]["because"]
    assert summary["timeline"][found["lost-write"]["cause"] - 1]["event"] in ("truncated", "leader_applied")
    assert found["inconsistent-offsets"]["count"] > 0


def test_what_is_not_allowed_is_told_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Allowed, "loss", lambda allowed, stream: None)
    result = run(failover(events=ZOMBIE, controller=2))
    row = named(result.summary)["lost-write"]
    assert not row["allowed"] and row["not_allowed"] == row["count"]
    lines: list[Text] = summary_lines(result)
    assert any("ANOMALY THAT IS NOT ALLOWED: lost-write" in line.plain for line in lines)
    assert told(read(result))[0].name == "lost-write"


def test_retries_without_idempotence_store_twice_and_out_of_order() -> None:
    """Seeds of the random schedules in which both happen."""
    freeze = [{"at": f"{at}s", "freeze": "broker 1", "for": "1.8s"} for at in (4, 9, 14)]
    found = named(run(failover(acks="all", events=freeze)).summary)
    assert found["duplicate"]["count"] > 0 and found["duplicate"]["allowed"]
    kept = named(run(failover(acks="all", events=freeze, idempotent=True)).summary)
    assert kept["duplicate"]["count"] == kept["nonmonotonic-send"]["count"] == 0


def test_expectations_count_anomalies() -> None:
    scenario = failover(events=ZOMBIE, controller=2).scenario()
    scenario = scenario.replace("expect=[no anomaly outside the allowed ones, anomaly lost-write == 0]")
    rows = {row["text"]: row for row in simulate(scenario).summary["expectations"]}
    assert rows["no anomaly outside the allowed ones"]["holds"]
    assert not rows["anomaly lost-write == 0"]["holds"] and rows["anomaly lost-write == 0"]["value"] > 0


@pytest.mark.parametrize("text", ["anomaly lost-writes == 0", "anomaly duplicate of orders == 0"])
def test_a_wrong_expectation_is_refused(text: str) -> None:
    with pytest.raises(ExpectationError):
        parse_expectation(text)
