"""What one state change sends to the brokers.

Stands for ``ControllerBrokerRequestBatch``: partition states are collected a broker, then leave in the order
LeaderAndIsr (each broker its own), UpdateMetadata (all partitions of the batch to each broker concerned), StopReplica.
Only live brokers (those in controlled shutdown too) are sent anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from kafkasim.controller.channels import ChannelManager
from kafkasim.controller.context import ControllerContext
from kafkasim.controller.sizes import leader_and_isr_bytes, stop_replica_bytes, update_metadata_bytes
from kafkasim.messages import (
    EPOCH_DURING_DELETE,
    LeaderAndIsrBody,
    PartitionState,
    StopReplicaBody,
    StopReplicaItem,
    UpdateMetadataBody,
)
from kafkasim.protocol import LEADER_AND_ISR, STOP_REPLICA, UPDATE_METADATA
from kafkasim.scenario.versions import Version


class RequestBatch:
    """Collects the requests of one state change; :meth:`send` puts them into the brokers' queues.

    ``causes`` maps a partition's number to the timeline row of its election or ISR change.
    """

    def __init__(self, context: ControllerContext, channels: ChannelManager, version: Version) -> None:
        self.causes: dict[int, int] = {}
        self._context = context
        self._channels = channels
        self._version = version
        self._leader_and_isr: dict[int, dict[int, PartitionState]] = {}
        self._stop: dict[int, dict[int, StopReplicaItem]] = {}
        self._metadata: dict[int, PartitionState] = {}
        self._metadata_brokers: dict[int, None] = {}
        self._to_everybody: bool = False

    def add_leader_and_isr(self, brokers: Iterable[int], state: PartitionState) -> None:
        """``state`` goes to ``brokers``, and into the metadata of all live brokers."""
        index = state.tp.index
        for broker in brokers:
            states = self._leader_and_isr.get(broker)
            if states is None:
                states = self._leader_and_isr[broker] = {}
            states[index] = state
        self._metadata[index] = state
        self._to_everybody = True

    def add_metadata(self, brokers: Iterable[int], states: Iterable[PartitionState] = ()) -> None:
        """``states`` (and the list of live brokers) go to ``brokers``."""
        for broker in brokers:
            self._metadata_brokers[broker] = None
        for state in states:
            self._metadata[state.tp.index] = state

    def add_stop_replica(self, broker: int, index: int, delete: bool) -> None:
        """The replica of a partition on ``broker`` stops; ``delete``: its log goes too."""
        context = self._context
        if broker not in context.live:
            return
        tp = context.partitions[index]
        state = context.states.get(index)
        epoch = EPOCH_DURING_DELETE if state is None or tp.topic in context.to_delete else state.leader_epoch
        self._stop.setdefault(broker, {})[index] = StopReplicaItem(tp, epoch, delete)

    def entries(self) -> int:
        """Partition entries of all requests to build: what the event thread has to do."""
        entries = sum(len(states) for states in self._leader_and_isr.values()) + len(self._metadata)
        return entries + sum(len(items) for items in self._stop.values())

    def send(self, cause: int) -> None:
        """Queue the requests; ``cause`` is the timeline row behind the whole batch."""
        context = self._context
        causes = self.causes
        live = context.live
        for broker in sorted(self._leader_and_isr):
            if broker in live:
                states = _in_order(self._leader_and_isr[broker])
                leaders = frozenset(state.leader for state in states if state.leader in live)
                body = LeaderAndIsrBody(
                    self._channels.controller_id, context.epoch, live[broker], states, leaders, cause, causes
                )
                size = leader_and_isr_bytes(states, len(leaders), self._version)
                self._channels.send(broker, LEADER_AND_ISR, size, body, cause)
        receivers = sorted(live) if self._to_everybody else sorted(self._metadata_brokers)
        if receivers:
            states = _in_order(self._metadata)
            size = update_metadata_bytes(states, len(live), self._version)
            everybody = frozenset(live)
            for broker in receivers:
                if broker in live:
                    metadata = UpdateMetadataBody(
                        self._channels.controller_id, context.epoch, live[broker], states, everybody, cause, causes
                    )
                    self._channels.send(broker, UPDATE_METADATA, size, metadata, cause)
        for broker in sorted(self._stop):
            if broker in live:
                items = [self._stop[broker][index] for index in sorted(self._stop[broker])]
                stop = StopReplicaBody(self._channels.controller_id, context.epoch, live[broker], items, cause)
                self._channels.send(broker, STOP_REPLICA, stop_replica_bytes(items, self._version), stop, cause)


def _in_order(states: dict[int, PartitionState]) -> list[PartitionState]:
    return [states[index] for index in sorted(states)]
