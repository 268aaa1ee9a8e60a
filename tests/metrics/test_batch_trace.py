"""``--trace batches``: every appended copy has a row that agrees with the ledger."""

from __future__ import annotations

from kafkasim.simulation import simulate
from tests.checks.test_invariants import failover


def test_the_rows_tell_what_the_ledger_counts() -> None:
    cut = {"at": "4s", "partition": {"between": "broker 1", "and": "zookeeper"}, "for": "6s"}
    result = simulate(failover(events=[cut], controller=2).scenario(), trace=["batches"], checks="sampled")
    rows = [dict(zip((f.path for f in result.tables["batches"].fields), row, strict=True))
            for row in result.tables["batches"].rows]  # fmt: skip
    ledger = result.summary["ledger"]
    assert sum(row["count"] for row in rows if row["acknowledged_s"] is not None) >= ledger["acknowledged"]
    lost = [row for row in rows if row["lost_s"] is not None]
    assert sum(row["count"] for row in lost if row["acknowledged_s"] is not None) == ledger["acknowledged_lost"] > 0
    timeline = {row["id"]: row["event"] for row in result.summary["timeline"]}
    assert {timeline[row["lost_row"]] for row in lost} == {"truncated"}
    assert all(row["delivered"] is None for row in lost)
    group = ledger["groups"]["audit"]
    assert sum(row["count"] for row in rows if row["delivered"]) == group["delivered_once"]
    assert all(row["created_s"] <= row["appended_s"] <= (row["committed_s"] or 1e9) for row in rows)


def test_a_run_that_is_not_traced_has_no_such_table_and_the_same_result() -> None:
    scenario = failover().scenario()
    plain, traced = simulate(scenario), simulate(scenario, trace=["batches"])
    assert "batches" not in plain.tables and plain.summary == traced.summary
