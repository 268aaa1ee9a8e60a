"""LeaderAndIsr, StopReplica and UpdateMetadata at a broker: replicas change their roles, one lock.

Stands for ``ReplicaManager.becomeLeaderOrFollower``, ``stopReplicas`` and ``maybeUpdateMetadataCache``: they run
under the replica-state lock; all new leaders of a request first (each rewrites the
leader-epoch file with an fsync, one after the other), then all followers, then the group
coordinator loads or unloads, then the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from kafkasim.broker.fetcher import ReplicaFetcher
from kafkasim.broker.group_coordinator import GroupCoordinator
from kafkasim.broker.metadata_cache import MetadataCache
from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker.partition import FOLLOWER, LEADER, NO_ROLE, Partition
from kafkasim.broker.release import BrokerRelease
from kafkasim.broker.replica_manager import ReplicaManager
from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.messages import (
    EPOCH_DURING_DELETE,
    LeaderAndIsrBody,
    PartitionState,
    StopReplicaBody,
    StopReplicaItem,
    UpdateMetadataBody,
)
from kafkasim.metrics.timeline import Timeline
from kafkasim.protocol import NONE, STALE_BROKER_EPOCH, STALE_CONTROLLER_EPOCH, RecordBatch, Request, TopicPartition

_RESPONSE_BYTES = 40
_Planned = tuple[int, Request, Callable[[Request, float], None]]
"""What waits for the lock: the process's generation, the request, and how it is answered."""
MANY_REPLICAS = 1000
"""A broker with more replicas tells the timeline of what one cause did to many as one row."""


@dataclass(slots=True)
class _Change:
    """What one LeaderAndIsr asks for, as far as it is news here."""

    body: LeaderAndIsrBody
    generation: int
    leaders: list[PartitionState] = field(default_factory=list)
    followers: list[PartitionState] = field(default_factory=list)
    offline: list[int] = field(default_factory=list)

    def cause(self, state: PartitionState) -> int:
        return self.body.causes.get(state.tp.index, self.body.cause)


class RoleChanges:
    """Applies the controller's requests to one broker's replicas.

    ``new_partition(tp)`` makes a replica, ``fetcher(source, tp)`` finds or starts a fetcher thread.
    """

    def __init__(
        self,
        life: Life,
        broker_id: int,
        host: Host,
        replicas: ReplicaManager,
        metadata: MetadataCache,
        coordinator: GroupCoordinator,
        monitor: BrokerMonitor,
        timeline: Timeline,
        new_partition: Callable[[PartitionState], Partition],
        fetcher: Callable[[int, TopicPartition], ReplicaFetcher],
        idle_fetchers: Callable[[], None],
        broker_epoch: Callable[[], int],
        stopping: Callable[[], bool] = lambda: False,
        release: BrokerRelease | None = None,
        truncated: Callable[[Partition, list[RecordBatch], int, float], None] | None = None,
    ) -> None:
        self.controller_epoch = 0
        self.generation = 0
        self._life = life
        self._broker_id = broker_id
        self._actor = f"broker {broker_id}"
        self._host = host
        self._replicas = replicas
        self._metadata = metadata
        self._coordinator = coordinator
        self._monitor = monitor
        self._timeline = timeline
        self._new_partition = new_partition
        self._fetcher = fetcher
        self._idle_fetchers = idle_fetchers
        self._broker_epoch = broker_epoch
        self._stopping = stopping
        self._release = BrokerRelease((3, 9)) if release is None else release
        self._truncated = truncated
        self._lock_free_at = 0.0

    def crash(self) -> None:
        """The process has died: planned changes find another generation."""
        self.generation += 1
        self._lock_free_at = 0.0
        self.controller_epoch = 0

    # ---- LeaderAndIsr

    def leader_and_isr(self, request: Request, respond: Callable[[Request, float], None]) -> float:
        """Apply a LeaderAndIsr; returns how long the handler is held (s)."""
        now = self._life.now
        body: LeaderAndIsrBody = request.body
        request.response_bytes = _RESPONSE_BYTES
        request.error = self._check(body.broker_epoch, body.controller_epoch)
        if request.error != NONE:
            respond(request, now)
            return 0.0
        locks = self._replicas.locks
        if locks is not None and locks.held and locks.blocks_change(request, [s.tp.index for s in body.partitions]):
            return -inf
        change = self._select(body)
        request.reply = change.offline
        at = max(now, self._lock_free_at)
        for state in change.leaders:
            if self._release.keeps_epochs:
                at = self._replicas.partitions[state.tp.index].log.storage.disk.fsync(at)
            self._life.call_at(at, self._lead, (change, state))
        if change.followers and not self._release.keeps_epochs:
            at = self._host.disk.fsync(at)  # the recovery points, after the cuts to the high watermarks
        self._lock_free_at = at
        self._life.call_at(at, self._finish, (change, request, respond))
        return at - now

    def _check(self, broker_epoch: int, controller_epoch: int) -> int:
        if broker_epoch < self._broker_epoch() and self._release.knows_broker_epochs:
            return STALE_BROKER_EPOCH
        if controller_epoch < self.controller_epoch:
            return STALE_CONTROLLER_EPOCH
        self.controller_epoch = controller_epoch
        return NONE

    def _select(self, body: LeaderAndIsrBody) -> _Change:
        change = _Change(body, self.generation)
        for state in body.partitions:
            partition = self._replicas.partitions.get(state.tp.index)
            if partition is None:
                partition = self._new_partition(state)
                self._replicas.partitions[state.tp.index] = partition
                self._monitor.replica_created(self._broker_id, partition, self._life.now)
            if partition.log.storage.offline:
                change.offline.append(state.tp.index)
                continue
            if state.leader_epoch <= partition.leader_epoch:
                continue
            if state.leader == self._broker_id:
                change.leaders.append(state)
            elif state.leader in body.live_leaders or state.leader in self._metadata.live:
                change.followers.append(state)
            # else: the new leader is not alive here: role, epoch and fetcher stay as they are.
        return change

    def _lead(self, planned: tuple[_Change, PartitionState]) -> None:
        change, state = planned
        if change.generation == self.generation:
            self.lead(state, change.cause(state))

    def lead(self, state: PartitionState, cause: int, settled: bool = False) -> None:
        """Make a replica the leader (``settled``: at the settled start, without a row)."""
        now = self._life.now
        partition = self._replicas.partitions[state.tp.index]
        if state.leader_epoch <= partition.leader_epoch:
            return
        self._leave_fetcher(partition)
        partition.log.assign_epoch(state.leader_epoch, partition.log.log_end_offset)
        partition.become_leader(state.leader_epoch, state.partition_epoch, state.replicas, state.isr, now)
        partition.adding = state.adding
        partition.controller_epoch = state.controller_epoch
        partition.epoch_cause = cause
        if settled:
            for follower in partition.followers:
                follower.log_end_offset = partition.log.log_end_offset
        else:
            detail = f"{state.tp} epoch {state.leader_epoch} isr {list(state.isr)}"
            partition.epoch_cause = self._timeline.add(
                now,
                self._actor,
                "leader_applied",
                detail,
                cause or None,
                merge=state.tp.topic.startswith("__") or len(self._replicas.partitions) > MANY_REPLICAS,
            )
        self._replicas.advance(partition, now)
        self._monitor.role_changed(self._broker_id, partition, now)

    def _finish(self, planned: tuple[_Change, Request, Callable[[Request, float], None]]) -> None:
        change, request, respond = planned
        if change.generation != self.generation:
            return
        for state in change.followers:
            self.follow(state, change.cause(state))
        self._idle_fetchers()
        for state in change.leaders:
            self._coordinator.elected(state.tp, state.leader_epoch, change.cause(state))
        for state in change.followers:
            self._coordinator.resigned(state.tp, state.leader_epoch)
        respond(request, self._life.now)

    def follow(self, state: PartitionState, cause: int, settled: bool = False) -> None:
        """Make a replica a follower of ``state.leader``."""
        now = self._life.now
        partition = self._replicas.partitions[state.tp.index]
        if state.leader_epoch <= partition.leader_epoch:
            return
        goes_on = self._goes_on(partition, state)
        if not goes_on:
            self._leave_fetcher(partition)
        partition.become_follower(state.leader, state.leader_epoch, state.partition_epoch, state.replicas)
        partition.epoch_cause = cause
        if not settled:
            detail = f"{state.tp} epoch {state.leader_epoch} leader {state.leader}"
            partition.epoch_cause = self._timeline.add(
                now,
                self._actor,
                "follower_applied",
                detail,
                cause or None,
                merge=state.tp.topic.startswith("__") or len(self._replicas.partitions) > MANY_REPLICAS,
            )
            if not goes_on:
                self._replicas.fail_waiting(partition, now)
        if not self._release.keeps_epochs and not goes_on:
            self._cut_to_high_watermark(partition, now)
        if not goes_on and not self._stopping():  # a broker that is shutting down does not begin to fetch
            self._fetcher(state.leader, partition.tp).add(partition)
        if not settled:
            self._monitor.role_changed(self._broker_id, partition, now)

    def _goes_on(self, partition: Partition, state: PartitionState) -> bool:
        """Before 2.1 a new epoch of the same leader changes nothing for a follower (1.1, 2.0: if it missed none)."""
        rule = self._release.follows_on
        return (
            rule > 0
            and partition.role == FOLLOWER
            and partition.leader_id == state.leader
            and (rule == 2 or state.leader_epoch == partition.leader_epoch + 1)
        )

    def _cut_to_high_watermark(self, partition: Partition, now: float) -> None:
        """Up to 0.10.2: what a follower does not know to be committed goes (KIP-101 tells what that costs)."""
        removed = partition.log.truncate(partition.high_watermark)
        if removed and self._truncated is not None:
            self._truncated(partition, removed, partition.epoch_cause, now)

    def take_offline(self, partition: Partition, cause: int, now: float) -> None:
        """The replica's log directory has failed: it has no role any more; who waits for it is not told."""
        self._leave_fetcher(partition)
        self._coordinator.resigned(partition.tp, partition.leader_epoch)
        partition.role = NO_ROLE
        partition.leader_id = -1
        partition.epoch_cause = cause
        for entry in partition.sessions:
            entry.session.mark(entry)
        self._monitor.role_changed(self._broker_id, partition, now)

    def _leave_fetcher(self, partition: Partition) -> None:
        if partition.role != LEADER and partition.leader_id >= 0:
            self._fetcher(partition.leader_id, partition.tp).remove(partition)

    # ---- StopReplica

    def stop_replica(self, request: Request, respond: Callable[[Request, float], None]) -> float:
        """Stop replicas, behind whatever holds the replica-state lock; returns how long the handler is held (s)."""
        return self._behind_lock(request, respond, self._stop)

    def _behind_lock(
        self, request: Request, respond: Callable[[Request, float], None], apply: Callable[[_Planned], None]
    ) -> float:
        """Refuse a stale request, else ``apply`` it when the replica-state lock is free; returns the wait (s)."""
        now = self._life.now
        body: StopReplicaBody | UpdateMetadataBody = request.body
        request.response_bytes = _RESPONSE_BYTES
        request.error = self._check(body.broker_epoch, body.controller_epoch)
        if request.error != NONE:
            respond(request, now)
            return 0.0
        at = max(now, self._lock_free_at)
        self._life.plan(at, apply, (self.generation, request, respond))
        return at - now

    def _stop(self, planned: _Planned) -> None:
        generation, request, respond = planned
        if generation != self.generation:
            return
        body: StopReplicaBody = request.body
        now = self._life.now
        for item in body.partitions:
            partition = self._replicas.partitions.get(item.tp.index)
            if partition is not None and (
                item.leader_epoch == EPOCH_DURING_DELETE or item.leader_epoch >= partition.leader_epoch
            ):
                self._stop_one(partition, item, request.cause, now)
        respond(request, now)

    def _stop_one(self, partition: Partition, item: StopReplicaItem, cause: int, now: float) -> None:
        if partition.log.storage.offline and not item.delete:
            return
        self._leave_fetcher(partition)
        if not item.delete:
            # The replica keeps its log and its epoch; nobody fetches for it any more.
            self._replicas.fail_waiting(partition, now)
            return
        self._replicas.delete(partition, now)
        partition.log.storage.logs -= 1
        self._coordinator.resigned(item.tp, max(item.leader_epoch, partition.leader_epoch))
        self._timeline.add(now, self._actor, "replica_deleted", f"{item.tp}", cause or None, merge=True)
        self._monitor.replica_deleted(self._broker_id, partition, now)

    # ---- UpdateMetadata

    def update_metadata(self, request: Request, respond: Callable[[Request, float], None]) -> float:
        """Take over metadata, behind whatever holds the replica-state lock."""
        return self._behind_lock(request, respond, self._learn)

    def _learn(self, planned: _Planned) -> None:
        generation, request, respond = planned
        if generation != self.generation:
            return
        self._metadata.update(request.body)
        self._replicas.know_live(self._metadata.live)
        respond(request, self._life.now)
