"""What the data path at a broker costs: seconds of CPU, and bytes of the answers."""

from __future__ import annotations

from typing import Any, Final

# Response sizes by the message schemas (v11 Produce, v16 Fetch incremental).
PRODUCE_RESPONSE_BASE_BYTES: Final = 24
PRODUCE_RESPONSE_PARTITION_BYTES: Final = 33
FETCH_RESPONSE_BASE_BYTES: Final = 21
FETCH_RESPONSE_TOPIC_BYTES: Final = 18
FETCH_RESPONSE_PARTITION_BYTES: Final = 37


class ReplicaCosts:
    """CPU of the data path at a broker, in seconds (see the host's ``costs``)."""

    def __init__(self) -> None:
        self.produce_s: float = 0.0
        self.produce_per_byte_s: float = 0.0
        self.fetch_s: float = 0.0
        self.fetch_per_byte_s: float = 0.0
        self.fetch_per_session_partition_s: float = 0.0
        self.consumer_fetch_per_byte_s: float = 0.0
        self.completion_s: float = 0.0


def replica_costs(costs: Any) -> ReplicaCosts:
    """The costs of a broker on a host with these."""
    found = ReplicaCosts()
    found.produce_s = float(costs.produce_s)
    found.produce_per_byte_s = float(costs.produce_per_byte_s)
    found.fetch_s = float(costs.fetch_s)
    found.fetch_per_byte_s = float(costs.fetch_per_byte_s)
    found.fetch_per_session_partition_s = float(costs.fetch_per_session_partition_s)
    found.consumer_fetch_per_byte_s = float(costs.consumer_fetch_per_byte_s)
    found.completion_s = float(costs.completion_s)
    return found
