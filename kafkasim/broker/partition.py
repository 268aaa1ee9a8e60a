"""A replica of a partition on one broker: its role, its followers, its high watermark.

Stands for ``kafka.cluster.Partition`` and ``Replica``.  The high watermark moves when the
smallest log end offset moves over the *maximal* ISR (committed ISR and pending additions)
and over the followers outside it that are caught up; from 3.7 on not while the committed
ISR is smaller than the effective ``min.insync.replicas``.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from kafkasim.broker.log import PartitionLog
from kafkasim.broker.sessions import FetchSession, SessionPartition
from kafkasim.protocol import (
    FENCED_LEADER_EPOCH,
    NONE,
    NOT_LEADER_OR_FOLLOWER,
    PRODUCE,
    UNKNOWN_LEADER_EPOCH,
    Request,
    TopicPartition,
    Waiting,
)

NO_ROLE: Final = 0
LEADER: Final = 1
FOLLOWER: Final = 2
UNKNOWN_OFFSET: Final = -1


class FollowerState:
    """What a leader knows about one follower (``kafka.cluster.Replica``)."""

    def __init__(self, broker_id: int) -> None:
        self.broker_id: int = broker_id
        self.log_end_offset: int = UNKNOWN_OFFSET
        self.last_caught_up: float = 0.0
        self.last_fetch_at: float = 0.0
        self.last_fetch_leader_end: int = 0
        self.in_sync: bool = False
        self.session: FetchSession | None = None

    def note_fetch(self, offset: int, leader_end: int, now: float) -> None:
        """It asks for ``offset``, while the leader's log ends at ``leader_end``: it has everything below."""
        if offset >= leader_end:
            self.last_caught_up = now
        elif offset >= self.last_fetch_leader_end and self.last_fetch_at > self.last_caught_up:
            self.last_caught_up = self.last_fetch_at
        self.last_fetch_at = now
        self.last_fetch_leader_end = leader_end
        self.log_end_offset = offset


class InternalWaiting(Waiting):
    """An append by the broker itself (group coordinator) that waits for the high watermark."""

    def __init__(self, required_offset: int, number: int) -> None:
        super().__init__()
        self.required_offset = required_offset
        self.number: int = number


class InternalAppend(Request):
    """What the purgatory keeps of an append by the broker itself: it never travels."""

    def __init__(self, waiting: InternalWaiting) -> None:
        super().__init__(PRODUCE, 0)
        self.waiting = waiting


class Partition:
    """One replica. ``in_sync_replicas`` is the committed ISR, ``pending_isr`` a proposal under way."""

    def __init__(self, tp: TopicPartition, broker_id: int, log: PartitionLog, min_in_sync: int, gated: bool) -> None:
        self.tp = tp
        self.broker_id: int = broker_id
        self.log = log
        self.min_in_sync: int = min_in_sync
        self.max_message_bytes: int = 1048588
        self.unclean_allowed: bool = False
        self.keeps_epochs: bool = True
        self.keeps_idle_followers: bool = True
        self.joins_at_epoch_start: bool = True
        self.effective_min_isr: int = min_in_sync
        self.gated: bool = gated
        self.internal: bool = False
        self.isr_locked: bool = False  # its ISR is being written into ZooKeeper (before 2.7): nobody uses it meanwhile
        self.role: int = NO_ROLE
        self.leader_id: int = -1
        self.leader_epoch: int = -1
        self.partition_epoch: int = -1
        self.controller_epoch: int = 0
        self.epoch_start_offset: int = 0
        self.replicas: tuple[int, ...] = ()
        self.adding: tuple[int, ...] = ()
        self.in_sync_replicas: tuple[int, ...] = ()
        self.pending_isr: tuple[int, ...] = ()
        self.high_watermark: int = 0
        self.checkpointed_high_watermark: int = 0
        self.followers: list[FollowerState] = []
        self.waiting: deque[Waiting] = deque()
        self.sessions: list[SessionPartition] = []
        self.isr_shrinks: int = 0
        self.isr_expands: int = 0
        self.epoch_cause: int = 0
        self.trimmable_from: int = 0
        self.appended_batches: int = 0

    # ---- role

    def become_leader(
        self, epoch: int, partition_epoch: int, replicas: tuple[int, ...], isr: tuple[int, ...], now: float
    ) -> bool:
        """Apply a LeaderAndIsr that makes (or keeps) this replica the leader; True when it is new in this role."""
        is_new = self.role != LEADER
        previous = {state.broker_id: state for state in self.followers}
        self.role = LEADER
        self.leader_id = self.broker_id
        self.leader_epoch = epoch
        self.partition_epoch = partition_epoch
        self.replicas = replicas
        # min(``min.insync.replicas``, assigned replicas) from 3.7 on, the plain value before.
        self.effective_min_isr = min(self.min_in_sync, len(replicas)) if self.gated else self.min_in_sync
        self.in_sync_replicas = isr
        self.pending_isr = ()
        self.epoch_start_offset = self.log.log_end_offset
        followers: list[FollowerState] = []
        for broker_id in replicas:
            if broker_id == self.broker_id:
                continue
            state = FollowerState(broker_id)
            state.in_sync = broker_id in isr
            state.last_caught_up = now if state.in_sync else -1e9
            known = previous.get(broker_id)
            if known is not None and not is_new:
                state.log_end_offset = known.log_end_offset
                if state.in_sync:
                    # Who is out of the ISR counts as caught up only by a fetch that comes after this.
                    state.session = known.session
                state.last_fetch_at = known.last_fetch_at
                state.last_fetch_leader_end = known.last_fetch_leader_end
            followers.append(state)
        self.followers = followers
        return is_new

    def become_follower(self, leader: int, epoch: int, partition_epoch: int, replicas: tuple[int, ...]) -> None:
        """Apply a LeaderAndIsr that makes this replica a follower of ``leader``."""
        self.role = FOLLOWER
        self.leader_id = leader
        self.leader_epoch = epoch
        self.partition_epoch = partition_epoch
        self.replicas = replicas
        self.in_sync_replicas = ()
        self.pending_isr = ()
        self.followers = []

    # ---- in-sync replicas and the high watermark

    def follower(self, broker_id: int) -> FollowerState | None:
        """The state of follower ``broker_id``, None when it is not assigned here."""
        for state in self.followers:
            if state.broker_id == broker_id:
                return state
        return None

    def maximal_isr_size(self) -> int:
        """Size of committed ISR and pending additions together."""
        size = len(self.in_sync_replicas)
        for broker_id in self.pending_isr:
            if broker_id not in self.in_sync_replicas:
                size += 1
        return size

    def advance(self, now: float, lag_time_max_s: float, live: frozenset[int] | None) -> bool:
        """Move the high watermark to where everybody who counts has the log; True when it moved.

        ``live`` (3.6+): followers outside the ISR hold the mark only while their broker is alive.
        """
        if self.gated and len(self.in_sync_replicas) < self.effective_min_isr:
            return False
        lowest = self.log.log_end_offset
        pending = self.pending_isr
        for state in self.followers:
            end = state.log_end_offset
            if end < lowest and (
                state.in_sync
                or (pending and state.broker_id in pending)
                or (now - state.last_caught_up <= lag_time_max_s and (live is None or state.broker_id in live))
            ):
                lowest = end
        if lowest <= self.high_watermark:
            return False
        self.high_watermark = lowest
        return True

    def note_append(self, old_end: int) -> None:
        """A leader append: followers that had everything were caught up at their last fetch."""
        for state in self.followers:
            if state.log_end_offset == old_end:
                session = state.session
                if session is not None and session.last_fetch_at > state.last_caught_up:
                    state.last_caught_up = session.last_fetch_at

    def epoch_error(self, leader_epoch: int) -> int:
        """What a fetcher hears that believes in ``leader_epoch`` (-1: in none): NONE, or why it is refused."""
        if leader_epoch >= 0:
            if leader_epoch < self.leader_epoch:
                return FENCED_LEADER_EPOCH
            if leader_epoch > self.leader_epoch:
                return UNKNOWN_LEADER_EPOCH
        return NONE if self.role == LEADER else NOT_LEADER_OR_FOLLOWER

    def may_join(self, state: FollowerState, live: frozenset[int] | None) -> bool:
        """Whether a follower outside the ISR may be added now."""
        return (
            not state.in_sync
            and not self.pending_isr
            and state.log_end_offset >= self.high_watermark
            and (state.log_end_offset >= self.epoch_start_offset or not self.joins_at_epoch_start)
            and (live is None or state.broker_id in live)
        )

    def lagging(self, now: float, lag_time_max_s: float) -> list[int]:
        """ISR members that are out of sync: not caught up for ``replica.lag.time.max.ms`` and, since 2.1, behind."""
        end = self.log.log_end_offset
        late: list[int] = []
        for state in self.followers:
            if state.in_sync and now - state.last_caught_up > lag_time_max_s:
                if state.log_end_offset != end:
                    late.append(state.broker_id)
                elif not self.keeps_idle_followers:
                    # An incremental fetch that does not name the partition says that its follower has it all.
                    session = state.session
                    if session is None or now - session.last_fetch_at > lag_time_max_s:
                        late.append(state.broker_id)
        return late

    def commit_isr(self, isr: tuple[int, ...], partition_epoch: int) -> None:
        """An ISR change has been committed by the controller."""
        if len(isr) < len(self.in_sync_replicas):
            self.isr_shrinks += 1
        elif len(isr) > len(self.in_sync_replicas):
            self.isr_expands += 1
        self.in_sync_replicas = isr
        self.partition_epoch = partition_epoch
        self.pending_isr = ()
        for state in self.followers:
            was_in_sync = state.in_sync
            state.in_sync = state.broker_id in isr
            if was_in_sync and not state.in_sync and state.session is not None:
                # It may have caught up meanwhile: every fetch of its session, an empty one too, looks at it again.
                entry = state.session.partitions.get(self.tp.index)
                if entry is not None and entry.active:
                    state.session.out_of_sync.append(entry.fetch)
