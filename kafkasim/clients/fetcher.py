"""Fetching: one request in flight a broker, what came is buffered, and handed out in order.

Stands for ``AbstractFetch``, ``FetchCollector`` and ``FetchSessionHandler``.  A request names
the partitions that the broker leads, that have a valid position and nothing buffered; an
incremental one (KIP-227) only those that changed since the session's last.  Work is done for
partitions that changed, never for all that are assigned.

The data path of consumers: no work a record.  Left out: paused partitions, follower fetch
(KIP-392), read_committed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from kafkasim.clients.consumer_network import ConsumerNetwork
from kafkasim.clients.metadata import Metadata
from kafkasim.clients.node_connection import DISCONNECTED, NodeConnection
from kafkasim.clients.positions import FETCHING, PartitionState, Positions
from kafkasim.connection import Connection
from kafkasim.protocol import (
    FENCED_LEADER_EPOCH,
    FETCH,
    NONE,
    NOT_LEADER_OR_FOLLOWER,
    OFFSET_OUT_OF_RANGE,
    UNKNOWN_LEADER_EPOCH,
    FetchPartition,
    FetchRequestData,
    RecordBatch,
    Request,
    TopicPartition,
)

CONSUMER: Final = -1


Taken = tuple[TopicPartition, RecordBatch, int, int]
"""Partition, batch, ``low`` and ``high``: records ``low`` … ``high - 1`` of it that one ``poll()`` returns."""


class FetchSession:
    """The fetch session with one broker.

    ``state`` is the node's connections, known from the first request on.  ``partitions`` is what
    the broker knows of the session; ``changed`` are partitions to look at before the next
    request, ``data`` what a request carries.  A session ends with the ``connection`` that it lives on.
    """

    def __init__(self, node: int) -> None:
        self.node: int = node
        self.state: NodeConnection | None = None
        self.partitions: dict[int, FetchPartition] = {}
        self.changed: dict[int, PartitionState] = {}
        self.forgotten: list[FetchPartition] = []
        self.established: bool = False
        self.sessionless: bool = False  # the broker had no slot for it
        self.data: FetchRequestData | None = None
        self.in_flight: bool = False
        self.connection: Connection | None = None


class FetchSettings:
    """The consumer's configs for fetching, and the wire sizes of its release."""

    def __init__(
        self,
        min_bytes: int,
        max_wait_s: float,
        max_bytes: int,
        max_partition_bytes: int,
        request_timeout_s: float,
        topic_ids: bool,
    ) -> None:
        self.min_bytes: int = min_bytes
        self.max_wait_s: float = max_wait_s
        self.max_bytes: int = max_bytes
        self.max_partition_bytes: int = max_partition_bytes
        self.request_timeout_s: float = request_timeout_s
        # Fetch v16 names topics by id (3.1+), v11 by name: bytes a request, a topic, a partition.
        self.base_bytes: int = 52 if topic_ids else 61
        self.topic_bytes: int = 18 if topic_ids else 12
        self.partition_bytes: int = 33 if topic_ids else 28


class Fetcher:
    """All fetch sessions of one consumer, and the records that wait to be returned.

    ``stirred`` becomes True when something other than records has happened.
    """

    def __init__(self, network: ConsumerNetwork, positions: Positions, settings: FetchSettings) -> None:
        self.stirred: bool = False
        self.held_back: bool = False
        self.buffer: deque[PartitionState] = deque()
        self.fetches: int = 0
        self.answers: int = 0
        self._network = network
        self._metadata: Metadata = network.network.metadata
        self._positions = positions
        self._settings = settings
        self._sessions: dict[int, FetchSession] = {}
        self._order: list[FetchSession] = []
        self._leaderless: dict[int, PartitionState] = {}
        self._uses_hints: bool = network.network.settings.uses_leader_hints
        self._done: Callable[[Request], None] = self._answered  # a bound method is made once, not for every request

    def touch(self, state: PartitionState, old_leader: int) -> None:
        """``state`` has changed: look at it before the next request to its old and its new leader."""
        self.stirred = True
        if old_leader >= 0:
            self._session(old_leader).changed[state.index] = state
        if state.leader < 0:
            if state.state == FETCHING:
                self._leaderless[state.index] = state
        elif state.leader != old_leader:
            self._session(state.leader).changed[state.index] = state

    def send(self, now: float, at: float) -> None:
        """Send a fetch to every broker that has none in flight and leads something to fetch."""
        self.held_back = False
        if self._leaderless:
            self._ask_for_leaders(now)
        for session in self._order:
            if session.in_flight:
                continue
            if not session.partitions and not session.changed:
                continue
            state = session.state
            if (state is None or state.state == DISCONNECTED) and self._network.unavailable(session.node, now):
                self.held_back = True
                continue
            self._send(session, now, at)

    def collect(self, limit: int, taken: list[Taken]) -> int:
        """Take up to ``limit`` records, one partition after the other; positions advance."""
        remaining = limit
        buffer = self.buffer
        states = self._positions.states
        while buffer and remaining > 0:
            state = buffer[0]
            if states.get(state.index) is state and state.state == FETCHING and not state.pending_revocation:
                remaining = self._take(state, remaining, taken)
                if state.next_batch < len(state.batches):
                    break
            buffer.popleft()
            self._drained(state)
        return limit - remaining

    def has_available(self) -> bool:
        """Whether a collect would return something."""
        return len(self.buffer) > 0

    def _take(self, state: PartitionState, remaining: int, taken: list[Taken]) -> int:
        batches = state.batches
        count = len(batches)
        offset = state.offset
        i = state.next_batch
        while i < count and remaining > 0:
            batch = batches[i]
            low = offset - batch.base_offset
            if low < 0:
                low = 0  # a gap in the log's offsets
            high = batch.count
            if high - low > remaining:
                high = low + remaining
            if high > low:
                taken.append((state.tp, batch, low, high))
                remaining -= high - low
                offset = batch.base_offset + high
                state.offset_epoch = batch.leader_epoch
            if high == batch.count:
                i += 1
        state.offset = offset
        state.next_batch = i
        return remaining

    def _drained(self, state: PartitionState) -> None:
        state.batches = []
        state.next_batch = 0
        state.buffered = False
        if state.leader >= 0:
            self._session(state.leader).changed[state.index] = state

    def _session(self, node: int) -> FetchSession:
        session = self._sessions.get(node)
        if session is None:
            session = self._sessions[node] = FetchSession(node)
            self._order.append(session)
        return session

    def _ask_for_leaders(self, now: float) -> None:
        states = self._positions.states
        self._leaderless = {
            index: state for index, state in self._leaderless.items() if states.get(index) is state and state.leader < 0
        }
        if self._leaderless:
            self._metadata.request_update(now)

    def _send(self, session: FetchSession, now: float, at: float) -> None:
        named: list[FetchPartition] = []
        state = session.state
        if session.established and (state is None or state.connection is not session.connection):
            self._reset(session)
        if session.changed:
            self._apply(session, named)
        if not session.partitions:
            return
        if session.sessionless:
            named = list(session.partitions.values())
        settings = self._settings
        size_bytes = settings.base_bytes
        forgotten = session.forgotten
        if session.sessionless:
            size_bytes += settings.partition_bytes * len(named) + settings.topic_bytes * _topics(named, [])
        elif named or forgotten:
            size_bytes += settings.partition_bytes * len(named) + 4 * len(forgotten)
            one = len(named) + len(forgotten) == 1
            size_bytes += settings.topic_bytes * (1 if one else _topics(named, forgotten))
            if forgotten:
                session.forgotten = []
        data = session.data
        if data is None:
            data = session.data = FetchRequestData(
                CONSUMER, session.partitions, settings.max_wait_s, settings.min_bytes, settings.max_bytes
            )
        data.name(named, forgotten if forgotten else None)
        request = Request(FETCH, size_bytes, None, 0, None, data)
        request.context = session
        request.timeout_s = settings.request_timeout_s
        request.done = self._done
        session.in_flight = True
        session.established = True
        self.fetches += 1
        self._network.send(session.node, request, now, at)
        if state is None:
            session.state = self._network.network.node(session.node)

    def _apply(self, session: FetchSession, named: list[FetchPartition]) -> None:
        states = self._positions.states
        partitions = session.partitions
        node = session.node
        for index, state in session.changed.items():
            wanted = (
                state.state == FETCHING
                and state.leader == node
                and not state.buffered
                and not state.pending_revocation
                and states.get(index) is state
            )
            known = partitions.get(index)
            if wanted:
                if known is None:
                    known = FetchPartition(state.tp)
                    known.max_bytes = self._settings.max_partition_bytes
                    partitions[index] = known
                elif known.fetch_offset == state.offset and known.current_leader_epoch == state.leader_epoch:
                    continue
                known.fetch_offset = state.offset
                known.current_leader_epoch = state.leader_epoch
                named.append(known)
            elif known is not None:
                del partitions[index]
                if session.established:
                    session.forgotten.append(known)
        session.changed.clear()

    def _answered(self, request: Request) -> None:
        data = request.fetch
        assert data is not None
        session: FetchSession = request.context
        session.in_flight = False
        session.connection = request.connection
        self.answers += 1
        session.sessionless = data.sessionless
        if request.failed != NONE or request.error != NONE:
            self._reset(session)
            return
        states = self._positions.states
        hints: list[tuple[TopicPartition, int, int]] | None = None
        for answer in data.answered:
            batches = answer.batches
            answer.batches = []
            answer.bytes = 0
            state = states.get(answer.tp.index)
            error = answer.error
            if state is None:
                answer.error = NONE
                continue
            if error != NONE:
                answer.error = NONE
                if hints is None:
                    hints = []
                self._refused(state, answer, error, hints)
                answer.fetch_offset = -1  # named again in the next request
                session.changed[state.index] = state
            elif state.offset == answer.fetch_offset and not state.buffered:
                state.high_watermark = answer.high_watermark
                if batches:
                    state.batches = batches
                    state.buffered = True
                    self.buffer.append(state)
                    session.changed[state.index] = state
        if hints:
            learned = self._metadata.update_leaders(hints)
            if learned:
                self._network.network.note_learned([tp.name for tp in learned], request.cause)
            for tp in learned:
                self._positions.follow_leader(states[tp.index])

    def _refused(
        self, state: PartitionState, answer: FetchPartition, error: int, hints: list[tuple[TopicPartition, int, int]]
    ) -> None:
        """An error of one partition: it is fetched again at once, without back-off."""
        self.stirred = True
        self._positions.refused(error)
        if error in (NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH):
            if self._uses_hints and answer.leader_hint >= 0 and answer.leader_epoch_hint >= 0:
                hints.append((state.tp, answer.leader_hint, answer.leader_epoch_hint))
            self._metadata.request_update()
        elif error == OFFSET_OUT_OF_RANGE:
            if state.state == FETCHING and state.offset == answer.fetch_offset:
                self._positions.reset(state)
        elif error != UNKNOWN_LEADER_EPOCH:
            self._metadata.request_update()

    def _reset(self, session: FetchSession) -> None:
        """The connection or the session is gone: the next request is a full one."""
        self.stirred = True
        session.partitions = {}
        session.data = None
        session.forgotten = []
        session.established = False
        for state in self._positions.states.values():
            if state.leader == session.node:
                session.changed[state.index] = state


def _topics(named: list[FetchPartition], forgotten: list[FetchPartition]) -> int:
    topics = dict.fromkeys(partition.tp.topic for partition in named)
    dropped = dict.fromkeys(partition.tp.topic for partition in forgotten)
    return len(topics) + len(dropped)
