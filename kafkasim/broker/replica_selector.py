"""Which replica a consumer should read (KIP-392).

Stands for ``RackAwareReplicaSelector`` and ``ReplicaManager.findPreferredReadReplica``: the leader tells a consumer
that names its rack to fetch from the most caught-up follower in that rack, unless it stands there itself.
"""

from __future__ import annotations

from kafkasim.broker.partition import Partition
from kafkasim.connection import Directory

LEADER_ITSELF = -1


class RackAwareSelector:
    """Racks are compared as texts.  ``isr_only`` (3.3 and later): a follower outside the ISR is not proposed."""

    def __init__(self, directory: Directory, isr_only: bool) -> None:
        self._directory = directory
        self._isr_only: bool = isr_only

    def choose(self, partition: Partition, rack: str, offset: int, live: frozenset[int] | None, now: float) -> int:
        """The follower that has ``offset`` and stands in ``rack``; -1: stay with the leader."""
        directory = self._directory
        if directory.host(partition.broker_id).rack == rack:
            return LEADER_ITSELF
        best = LEADER_ITSELF
        best_end = -1
        best_caught_up = 0.0
        for state in partition.followers:
            if state.log_end_offset < offset or (self._isr_only and not state.in_sync):
                continue
            broker_id = state.broker_id
            if (live is not None and broker_id not in live) or directory.host(broker_id).rack != rack:
                continue
            end = state.log_end_offset
            # ReplicaView.comparator: log end, then the shorter time since it was caught up, then the broker's id.
            caught_up = now if state.in_sync and end >= partition.log.log_end_offset else state.last_caught_up
            if best < 0 or (end, caught_up, broker_id) > (best_end, best_caught_up, best):
                best = broker_id
                best_end = end
                best_caught_up = caught_up
        return best
