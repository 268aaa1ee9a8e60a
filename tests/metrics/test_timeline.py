"""The timeline: ids, causes and merging."""

from __future__ import annotations

import pytest

from kafkasim.metrics.timeline import Timeline


def walk() -> tuple[Timeline, list[int]]:
    timeline = Timeline()
    fault = timeline.add(55.0, "broker 1", "fault", "crash")
    timeline.add(55.0, "zookeeper 2", "fault", "freeze")
    expired = timeline.add(71.0, "zookeeper", "session_expired", cause=fault)
    deleted = timeline.add(71.0, "zookeeper", "znode_deleted", "/brokers/ids/1", cause=expired)
    elected = timeline.add(71.02, "controller", "leader_elected", "tweets-0", cause=deleted)
    return timeline, [fault, expired, deleted, elected]


def test_ids_count_from_one_and_chains_start_at_the_fault() -> None:
    timeline, ids = walk()
    assert [row.id for row in timeline] == [1, 2, 3, 4, 5]
    assert [row.id for row in timeline.chain(ids[-1])] == ids
    assert [row.id for row in timeline.effects(1)] == ids[1:]
    assert timeline.effects(2) == []
    found = timeline.find("fault", actor="zookeeper 2")
    assert found is not None and found.id == 2
    assert timeline.find("fault", from_s=60.0) is None
    assert timeline.as_dicts()[2] == {
        "id": 3,
        "time_s": 71.0,
        "actor": "zookeeper",
        "event": "session_expired",
        "detail": "",
        "cause": 1,
        "count": 1,
    }


def test_merging_within_a_millisecond_of_one_cause() -> None:
    timeline, ids = walk()
    first = timeline.add(72.0, "broker 2", "leader_applied", cause=ids[-1], merge=True)
    assert timeline.add(72.001, "broker 3", "leader_applied", cause=ids[-1], merge=True) == first
    assert timeline.row(first).count == 2
    later = timeline.add(72.0025, "broker 3", "leader_applied", cause=ids[-1], merge=True)
    other_cause = timeline.add(72.0025, "broker 3", "leader_applied", cause=ids[-2], merge=True)
    other_kind = timeline.add(72.0025, "client 3", "leader_applied", cause=ids[-1], merge=True)
    unmerged = timeline.add(72.0025, "broker 3", "leader_applied", cause=ids[-1])
    assert len({first, later, other_cause, other_kind, unmerged}) == 5


def test_mistakes_are_refused() -> None:
    timeline, _ = walk()
    with pytest.raises(ValueError, match="no earlier row"):
        timeline.add(80.0, "broker 1", "registered", cause=6)
    with pytest.raises(ValueError, match="comes at"):
        timeline.add(1.0, "broker 1", "registered")
    for id in (0, 6):
        with pytest.raises(KeyError):
            timeline.row(id)
