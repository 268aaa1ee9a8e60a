"""A stopped leader, ZooKeeper's leader killed, its quorum lost, a large fetch.min.bytes: beside a real cluster."""

from __future__ import annotations

import pytest

from benchmarks import validity


def check(rows):
    by_name = {row["row"]: row for row in rows}
    judged = [row for row in rows if row["verdict"] != "shown"]
    assert len(judged) == 3 and all(row["verdict"] == "holds" for row in judged), judged
    for name in ("ZooKeeper leader killed: longest gap", "ZooKeeper quorum lost for 30 s: longest gap"):
        assert max(by_name[name]["simulated"]) < 1000.0
    elected = by_name["ZooKeeper leader killed: new leader after"]["simulated"]
    assert all(304 - 100 <= value <= 1268 for value in elected)
    assert 200 < by_name["fetch.min.bytes 10000: end to end p50"]["simulated"][1] < 300


def test_a_few_seeds_hold():
    check(validity.table(2, "others"))


@pytest.mark.full
def test_thirty_seeds_hold():
    check(validity.table(30, "others"))
