"""Where a consumer stands in each of its partitions.

Stands for ``SubscriptionState`` and ``OffsetFetcher``: a partition starts without a
position, gets one from a committed offset or from the reset policy (ListOffsets), and is
validated (OffsetForLeaderEpoch) whenever the leader or its epoch changed, during which it is
not fetched.  All requests here are asynchronous; failures wait ``retry.backoff.ms``.

Left out: seek, pause, offsets by time, epochs seen elsewhere than in metadata.
"""

from __future__ import annotations

from typing import Final

from kafkasim.clients.consumer_network import ConsumerNetwork
from kafkasim.clients.metadata import Metadata
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.clients.node_connection import READY
from kafkasim.group_sizes import list_offsets_request_bytes, offset_for_leader_epoch_request_bytes
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.messages import ListOffsetsItem, OffsetForLeaderEpochItem
from kafkasim.protocol import (
    LIST_OFFSETS,
    NONE,
    OFFSET_FOR_LEADER_EPOCH,
    RecordBatch,
    Request,
    TopicPartition,
)

INITIALIZING: Final = 0
AWAIT_RESET: Final = 1
AWAIT_VALIDATION: Final = 2
FETCHING: Final = 3

EARLIEST_TIMESTAMP: Final = -2
LATEST_TIMESTAMP: Final = -1
NEVER_MS: Final = -(1 << 60)


class PartitionState:
    """One assigned partition: position, leader believed in, and what is buffered of it.

    ``offset`` is the next offset to return; ``offset_epoch`` the leader epoch of the record
    before it (-1: unknown).  ``batches`` from ``next_batch`` on are fetched and not returned.
    """

    def __init__(self, tp: TopicPartition) -> None:
        self.tp = tp
        self.index: int = tp.index
        self.state: int = INITIALIZING
        self.offset: int = -1
        self.offset_epoch: int = -1
        self.leader: int = -1
        self.leader_epoch: int = -1
        self.high_watermark: int = -1
        self.next_retry_ms: int = NEVER_MS
        self.pending_revocation: bool = False
        self.batches: list[RecordBatch] = []
        self.next_batch: int = 0
        self.buffered: bool = False
        self.changed: bool = False


class ConsumerOwner:
    """What positions and membership tell the consumer that they are parts of."""

    def partition_changed(self, state: PartitionState, old_leader: int) -> None:
        """A partition's position, leader or fetchability has changed."""
        raise NotImplementedError

    def stir(self) -> None:
        """Something has happened that the poll loop must look at."""
        raise NotImplementedError

    def fatal(self, reason: str) -> None:
        """``poll()`` throws: the application ends."""
        raise NotImplementedError

    def plan_heartbeat(self, at: float) -> None:
        """Run the heartbeat thread at ``at`` (a later plan replaces an earlier one)."""
        raise NotImplementedError


class Positions:
    """The assigned partitions in order of assignment.

    ``reset_timestamp`` is what the reset policy asks ListOffsets for, 0 for ``none``.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        network: ConsumerNetwork,
        clock: Clock,
        monitor: ClientMonitor,
        client: int,
        owner: ConsumerOwner,
        policy: str,
        request_timeout_ms: int,
        retry_backoff_ms: int,
    ) -> None:
        self.states: dict[int, PartitionState] = {}
        self.reset_timestamp = {"earliest": EARLIEST_TIMESTAMP, "latest": LATEST_TIMESTAMP}.get(policy, 0)
        self._scheduler = scheduler
        self._network = network
        self._metadata: Metadata = network.network.metadata
        self._clock = clock
        self._monitor = monitor
        self._client = client
        self._owner = owner
        self._request_timeout_ms = request_timeout_ms
        self._retry_backoff_ms = retry_backoff_ms
        self._metadata_seen: int = 0

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Exactly these partitions from now on, all without a position."""
        for state in self.states.values():
            state.state = INITIALIZING
            self._owner.partition_changed(state, state.leader)
        self.states = {tp.index: PartitionState(tp) for tp in partitions}

    def mark_pending_revocation(self) -> None:
        """Neither fetch nor return anything more of these partitions."""
        for state in self.states.values():
            state.pending_revocation = True
            self._owner.partition_changed(state, state.leader)

    def complete(self) -> bool:
        """Whether every partition has a valid position."""
        return all(state.state == FETCHING for state in self.states.values())

    def initializing(self) -> list[TopicPartition]:
        """Partitions whose committed offset must be looked up."""
        return [state.tp for state in self.states.values() if state.state == INITIALIZING]

    def consumed(self) -> list[tuple[TopicPartition, int, int]]:
        """What a commit says: one entry a partition with a valid position, moved or not."""
        return [
            (state.tp, state.offset, state.offset_epoch) for state in self.states.values() if state.state == FETCHING
        ]

    def committed(self, offsets: dict[int, tuple[int, int]], now: float) -> None:
        """Positions from committed offsets; the others go by the reset policy."""
        for state in self.states.values():
            if state.state != INITIALIZING:
                continue
            found = offsets.get(state.index)
            if found is None:
                self.reset(state)
            else:
                self._seek(state, found[0], found[1])
                self._monitor.positioned(self._client, state.tp, state.offset, False, now)

    def refused(self, error: int) -> None:
        """A fetch of one partition was answered with an error."""
        self._monitor.told(self._client, error, self._scheduler.now)

    def reset_initializing(self) -> None:
        """Without a group every new partition goes by the reset policy."""
        for state in self.states.values():
            if state.state == INITIALIZING:
                self.reset(state)

    def reset(self, state: PartitionState) -> None:
        """Ask for a new position by the reset policy; without one the application gets an exception."""
        if self.reset_timestamp == 0:
            self._owner.fatal(f"no offset for {state.tp.name} and no reset policy")
            return
        state.state = AWAIT_RESET
        state.next_retry_ms = NEVER_MS
        self._owner.partition_changed(state, state.leader)

    def follow_metadata(self) -> bool:
        """Compare every partition with the metadata if those are new; True if they are."""
        if self._metadata.changes == self._metadata_seen:
            return False
        self._metadata_seen = self._metadata.changes
        for state in self.states.values():
            self.follow_leader(state)
        return True

    def follow_leader(self, state: PartitionState) -> None:
        """A changed leader or epoch: take it over, and validate the position against it."""
        if state.state == AWAIT_RESET or state.state == INITIALIZING:
            return
        leader = self._metadata.leader(state.tp)
        epoch = self._metadata.leader_epoch(state.tp)
        if leader < 0 or (leader == state.leader and epoch == state.leader_epoch):
            return
        old_leader = state.leader
        state.leader = leader
        state.leader_epoch = epoch
        self._validate(state)
        self._owner.partition_changed(state, old_leader)

    def request(self, now: float) -> bool:
        """Send what is due: validations and resets.  True if one must be tried again later."""
        now_ms = self._clock.ms(now)
        validate: dict[int, list[PartitionState]] = {}
        lookup: dict[int, list[PartitionState]] = {}
        waiting = False
        for state in self.states.values():
            if state.state != AWAIT_VALIDATION and state.state != AWAIT_RESET:
                continue
            waiting = True
            if now_ms < state.next_retry_ms:
                continue
            if state.state == AWAIT_RESET:
                leader = self._metadata.leader(state.tp)
                if leader < 0:
                    self._metadata.request_update(now)
                elif not self._network.unavailable(leader, now):
                    lookup.setdefault(leader, []).append(state)
            elif self._network.network.node(state.leader).state == READY:
                validate.setdefault(state.leader, []).append(state)
            else:
                self._network.network.ready(state.leader, now)
        for leader, states in validate.items():
            self._send_validation(leader, states, now, now_ms)
        for leader, states in lookup.items():
            self._send_lookup(leader, states, now, now_ms)
        return waiting

    def _seek(self, state: PartitionState, offset: int, epoch: int) -> None:
        old_leader = state.leader
        state.offset = offset
        state.offset_epoch = epoch
        state.leader = self._metadata.leader(state.tp)
        state.leader_epoch = self._metadata.leader_epoch(state.tp)
        self._validate(state)
        self._owner.partition_changed(state, old_leader)

    def _validate(self, state: PartitionState) -> None:
        known = state.offset_epoch >= 0 and state.leader_epoch >= 0
        state.state = AWAIT_VALIDATION if known else FETCHING
        state.next_retry_ms = NEVER_MS

    def _send_lookup(self, leader: int, states: list[PartitionState], now: float, now_ms: int) -> None:
        items: list[ListOffsetsItem] = []
        for state in states:
            state.next_retry_ms = now_ms + self._request_timeout_ms
            epoch = self._metadata.leader_epoch(state.tp)
            items.append(ListOffsetsItem(state.tp, self.reset_timestamp, epoch))
        request = Request(LIST_OFFSETS, list_offsets_request_bytes(len(items), _topics(states)), items)
        request.timeout_s = self._request_timeout_ms / 1000.0
        request.done = self._looked_up
        self._network.send(leader, request, now, now)

    def _looked_up(self, request: Request) -> None:
        now = self._scheduler.now
        items: list[ListOffsetsItem] = request.body
        retry = False
        for item in items:
            state = self.states.get(item.tp.index)
            if state is None or state.state != AWAIT_RESET:
                continue
            if request.failed != NONE or request.error != NONE or item.error != NONE:
                state.next_retry_ms = self._clock.ms(now) + self._retry_backoff_ms
                retry = True
                continue
            self._seek(state, item.offset, -1)  # without an epoch there is nothing to validate
            self._monitor.positioned(self._client, state.tp, state.offset, True, now)
        if retry:
            self._metadata.request_update(now)

    def _send_validation(self, leader: int, states: list[PartitionState], now: float, now_ms: int) -> None:
        items: list[OffsetForLeaderEpochItem] = []
        offsets: list[int] = []
        for state in states:
            state.next_retry_ms = now_ms + self._request_timeout_ms
            items.append(OffsetForLeaderEpochItem(state.tp, state.offset_epoch, state.leader_epoch))
            offsets.append(state.offset)
        request = _Validation(items, offsets, _topics(states))
        request.timeout_s = self._request_timeout_ms / 1000.0
        request.done = self._validated
        self._network.send(leader, request, now, now)

    def _validated(self, request: Request) -> None:
        assert isinstance(request, _Validation)
        now = self._scheduler.now
        items: list[OffsetForLeaderEpochItem] = request.body
        retry = False
        for item, offset in zip(items, request.offsets, strict=True):
            state = self.states.get(item.tp.index)
            if state is None or state.state != AWAIT_VALIDATION:
                continue
            if request.failed != NONE or request.error != NONE or item.error != NONE:
                state.next_retry_ms = self._clock.ms(now) + self._retry_backoff_ms
                retry = True
                continue
            unchanged = state.offset == offset and state.offset_epoch == item.leader_epoch
            if unchanged and state.leader_epoch == item.current_leader_epoch:
                self._conclude(state, item, now)
        if retry:
            self._metadata.request_update(now)

    def _conclude(self, state: PartitionState, item: OffsetForLeaderEpochItem, now: float) -> None:
        if item.end_offset < 0 or item.end_epoch < 0:
            self.reset(state)
            return
        if item.end_offset < state.offset:
            detail = f"{state.tp.name}: position {state.offset}, the leader's log ends at {item.end_offset}"
            if self.reset_timestamp == 0:
                self._owner.fatal(f"log truncated, {detail}")
                return
            self._monitor.note(self._client, "truncation_detected", detail, 0, now)
            state.offset = item.end_offset
            state.offset_epoch = item.end_epoch
            self._monitor.positioned(self._client, state.tp, state.offset, True, now)
        state.state = FETCHING
        state.next_retry_ms = NEVER_MS
        self._owner.partition_changed(state, state.leader)


class _Validation(Request):
    """OffsetForLeaderEpoch with the positions that it was sent for."""

    def __init__(self, items: list[OffsetForLeaderEpochItem], offsets: list[int], topics: int) -> None:
        size_bytes = offset_for_leader_epoch_request_bytes(len(items), topics)
        super().__init__(OFFSET_FOR_LEADER_EPOCH, size_bytes, items)
        self.offsets = offsets


def _topics(states: list[PartitionState]) -> int:
    return len(dict.fromkeys(state.tp.topic for state in states))
