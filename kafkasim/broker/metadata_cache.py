"""A broker's own view of the cluster, filled by UpdateMetadata: what clients are told.

Stands for ``ZkMetadataCache``.  A stale broker hands out stale leaders; a leader that is not
in the broker's live list is reported as none (LEADER_NOT_AVAILABLE).
"""

from __future__ import annotations

from collections.abc import Mapping

from kafkasim.broker.release import BrokerRelease
from kafkasim.messages import LEADER_DURING_DELETE, MetadataReply, PartitionState, UpdateMetadataBody
from kafkasim.protocol import TopicPartition
from kafkasim.topics import Topics

# Metadata response v12 by the message schema: 3 brokers 132 B, 42 B a partition.
_BASE_BYTES = 48
_BROKER_BYTES = 28
_PARTITION_BYTES = 42


class MetadataCache:
    """Leaders, epochs and live brokers as this broker has been told."""

    def __init__(self, topics: Topics, release: BrokerRelease) -> None:
        self._release = release
        self.topics = topics
        self.live: frozenset[int] = frozenset()
        self.controller_id: int = -1
        self._causes: dict[int, int] = {}
        # What has been told since, over what all brokers knew at the settled start (one table, never written to).
        self._states: dict[int, PartitionState | None] = {}
        self._base: Mapping[int, PartitionState] = {}

    def update(self, body: UpdateMetadataBody) -> None:
        """Take over an UpdateMetadata."""
        self.live = body.live_brokers
        self.controller_id = body.controller_id
        for state in body.partitions:
            index = state.tp.index
            if state.leader == LEADER_DURING_DELETE:
                self._states[index] = None
                self._causes.pop(index, None)
                continue
            known = self.state(index)
            if known is None or known.leader != state.leader or known.leader_epoch != state.leader_epoch:
                self._causes[index] = body.causes.get(index, body.cause)
            self._states[index] = state

    def settle(self, states: Mapping[int, PartitionState], live: frozenset[int], controller_id: int) -> None:
        """The settled start: everything is known (``states`` by partition, shared by all brokers)."""
        self.live = live
        self.controller_id = controller_id
        self._base = states

    def clear(self) -> None:
        """The process has died."""
        self._states.clear()
        self._base = {}
        self._causes.clear()
        self.live = frozenset()
        self.controller_id = -1

    def state(self, index: int) -> PartitionState | None:
        """What is known of a partition."""
        state = self._states.get(index)
        if state is None and index not in self._states:
            return self._base.get(index)
        return state

    def leader(self, tp: TopicPartition) -> tuple[int, int]:
        """(live leader or -1, leader epoch or -1) of ``tp``."""
        state = self.state(tp.index)
        if state is None:
            return -1, -1
        return (state.leader if state.leader in self.live else -1), state.leader_epoch

    def reply(self, topics: tuple[str, ...] | None) -> MetadataReply:
        """The answer to a Metadata request for ``topics`` (None: all)."""
        names = self.topics.names() if topics is None else [name for name in topics if self.topics.has(name)]
        listed: dict[str, list[TopicPartition]] = {}
        leaders: dict[int, tuple[int, int]] = {}
        causes: dict[int, int] = {}
        for name in names:
            known = [tp for tp in self.topics.partitions(name) if self.state(tp.index) is not None]
            if known:
                listed[name] = known
                for tp in known:
                    leader, epoch = self.leader(tp)
                    leaders[tp.index] = leader, epoch if self._release.tells_epochs else -1
                    if tp.index in self._causes:
                        causes[tp.index] = self._causes[tp.index]
        reliable = self._release.reliable_epochs
        return MetadataReply(tuple(sorted(self.live)), self.controller_id, listed, leaders, causes, reliable)

    def reply_bytes(self, reply: MetadataReply) -> int:
        """Size of that answer on the wire (v12 schema)."""
        return _BASE_BYTES + _BROKER_BYTES * len(reply.brokers) + _PARTITION_BYTES * len(reply.leaders)
