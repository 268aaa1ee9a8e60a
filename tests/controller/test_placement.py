"""Placement of replicas equals Kafka's own, case by case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kafkasim.controller.placement import PlacementError, alternated_by_rack, place

REFERENCE = Path(__file__).parent.parent / "reference" / "placement.jsonl"
CASES = [json.loads(line) for line in REFERENCE.read_text().splitlines()]


def test_every_reference_case() -> None:
    assert len(CASES) == 300
    assert sum(all(rack is None for _, rack in case["brokers"]) for case in CASES) > 50
    for case in CASES:
        placed = place(
            [(broker, rack) for broker, rack in case["brokers"]],
            case["partitions"],
            case["replication_factor"],
            case["fixed_start_index"],
            case["fixed_start_index"],
            case["start_partition_id"],
        )
        assert {str(partition): replicas for partition, replicas in placed.items()} == case["assignment"], case


def test_start_and_shift_are_two_draws() -> None:
    brokers = [(broker, None) for broker in (1, 2, 3, 4)]
    assert place(brokers, 2, 3, start_index=1, shift=0) == {0: [2, 3, 4], 1: [3, 4, 1]}
    assert place(brokers, 2, 3, start_index=1, shift=2) == {0: [2, 1, 3], 1: [3, 2, 4]}


def test_racks_alternate() -> None:
    racks = {0: "a", 1: "a", 2: "a", 3: "b", 4: "b", 5: "b", 6: "c", 7: "c", 8: "c"}
    assert alternated_by_rack(racks) == [0, 3, 6, 1, 4, 7, 2, 5, 8]


def test_what_cannot_be_placed() -> None:
    with pytest.raises(PlacementError, match="larger than the 1 live"):
        place([(1, None)], 1, 2, 0, 0)
    with pytest.raises(PlacementError, match="broker 2 has no rack"):
        place([(1, "a"), (2, None)], 1, 1, 0, 0)
    with pytest.raises(PlacementError, match="larger than 0"):
        place([(1, None)], 0, 1, 0, 0)
    with pytest.raises(PlacementError, match="larger than 0"):
        place([(1, None)], 1, 0, 0, 0)
