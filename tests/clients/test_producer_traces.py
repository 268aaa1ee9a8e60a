"""The producer equals Kafka's own, request by request and completion by completion."""

from __future__ import annotations

from typing import Any

import pytest
from trace_harness import differences, load_traces

TRACES = load_traces()
NOT_MODELLED = {
    "fatal-010": "CLUSTER_AUTHORIZATION_FAILED ends the producer: brokers here refuse nobody",
    "mixed-014": "another legal interleaving of the two threads where a timer and a send fall on one millisecond",
}
FAULT_FREE = ("grid", "maxreq", "drain", "stall", "slow")


@pytest.mark.parametrize("group", sorted({trace["group"] for trace in TRACES}))
def test_traces_of_a_group(group: str) -> None:
    found: list[str] = []
    for trace in TRACES:
        if trace["group"] == group and trace["id"] not in NOT_MODELLED:
            found += differences(trace)
    assert found == []


def test_fault_free_traces_are_all_replayed() -> None:
    def replayed(trace: dict[str, Any]) -> bool:
        return trace["group"] in FAULT_FREE and trace["id"] not in NOT_MODELLED

    assert sum(replayed(trace) for trace in TRACES) == 72 + 12 + 10 + 4 + 8
    assert all(trace["group"] not in FAULT_FREE for trace in TRACES if trace["id"] in NOT_MODELLED)


@pytest.mark.parametrize("change", ["linger", "window", "size"])
def test_a_changed_rule_is_noticed(change: str) -> None:
    window = "max.in.flight.requests.per.connection"
    trace = next(t for t in TRACES if t["group"] == "slow" and t["config"][window] == 5)
    config = dict(trace["config"])
    if change == "linger":
        config["linger.ms"] += 3
    elif change == "window":
        config[window] = 1
    else:
        config["batch.size"] //= 2
    assert differences(dict(trace, config=config))
