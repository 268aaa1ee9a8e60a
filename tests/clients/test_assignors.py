"""The range assignor against the real one, line by line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from kafkasim.clients.assignors import MemberSubscription, assign, hash_map_order, range_assignment

CASES = Path(__file__).parent.parent / "reference" / "range-assignments.jsonl.gz"


def _cases() -> list[dict[str, Any]]:
    with gzip.open(CASES, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_equals_the_real_assignor_line_by_line() -> None:
    cases = _cases()
    assert len(cases) == 179
    for case in cases:
        members = [
            MemberSubscription(name, member["subscribed"], member.get("instance"), member.get("rack"))
            for name, member in case["members"].items()
        ]
        for order in (members, members[::-1]):
            assigned = range_assignment(case["topics"], order, case.get("replica_racks"))
            result = {name: [list(partition) for partition in partitions] for name, partitions in assigned.items()}
            if case["order_sensitive"] == "none":
                assert result == case["result"], case["id"]
            else:
                assert {n: sorted(p) for n, p in result.items()} == {n: sorted(p) for n, p in case["result"].items()}


def test_the_rack_aware_step_is_exercised_and_matters() -> None:
    cases = [case for case in _cases() if "replica_racks" in case]
    assert len(cases) == 23
    differ = 0
    for case in cases:
        members = [
            MemberSubscription(name, member["subscribed"], member.get("instance"), member.get("rack"))
            for name, member in case["members"].items()
        ]
        with_racks = range_assignment(case["topics"], members, case["replica_racks"])
        differ += with_racks != range_assignment(case["topics"], members)
    assert differ > 0


def test_static_members_come_first_and_first_members_get_one_more() -> None:
    members = [MemberSubscription("a", ["t"]), MemberSubscription("b", ["t"], instance_id="z")]
    assert assign("range", {"t": 3}, members) == {"a": [("t", 2)], "b": [("t", 0), ("t", 1)]}


def test_topics_without_partitions_or_subscribers_are_nobodys() -> None:
    members = [MemberSubscription("a", ["t"])]
    assert assign("range", {"t": 0, "u": 2}, members) == {"a": []}


def test_an_unknown_assignor_is_an_error() -> None:
    with pytest.raises(ValueError, match="sticky"):
        assign("sticky", {}, [])


def test_the_order_of_topics_is_that_of_javas_hash_map() -> None:
    assert hash_map_order(["a", "t5", "t12", "t9"]) == ["a", "t5", "t12", "t9"]
    assert hash_map_order(["clicks", "t14"]) == ["t14", "clicks"]
