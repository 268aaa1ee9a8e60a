"""``validation/broker-killed`` beside a real cluster's trials (see docs/validity.md)."""

from __future__ import annotations

import pytest

from benchmarks import validity

KNOWN_MISSES = {
    # Real brokers take longer until they lead, and the trials' cores were busy (docs/validity.md, "The miss"): with
    # acks=1, which waits for no follower, they paused for 132 ms at least where the simulation has a record's pace.
    "later preferred election gap acks=all",
}


def test_three_seeds_lie_where_real_trials_lie():
    rows = {row["row"]: row for row in validity.table(3)}
    for name, row in rows.items():
        if row["verdict"] == "shown" or name in KNOWN_MISSES:
            continue
        low, _, high = row["real"]
        assert all(low - 1500 <= value <= high + 1500 for value in row["simulated"]), name
    stall = rows["later preferred election gap acks=all"]["simulated"]
    assert all(value < 1700 for value in stall)
    assert rows["lost records a trial"]["simulated"][0] <= 1


@pytest.mark.full
def test_thirty_seeds_hold():
    verdicts = {row["row"]: row["verdict"] for row in validity.table(30)}
    missed = {name for name, verdict in verdicts.items() if verdict == "misses"}
    assert missed == KNOWN_MISSES
