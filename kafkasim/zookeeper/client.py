"""Kafka's ZooKeeper client (kafka.zookeeper.ZooKeeperClient, KafkaZkClient's retries).

Requests go out in order, at most ``zookeeper.max.in.flight.requests`` at a time.  Those
that fail with CONNECTIONLOSS are sent again once the client is connected; SESSIONEXPIRED
goes to the caller.  Watches are set with reads and registered anew after a reconnect.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from simpy.events import Event

from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.kernel.environment import Environment
from kafkasim.kernel.streams import Streams
from kafkasim.network import Network
from kafkasim.zookeeper.client_connection import CLEAN_UP_S, ClientConnection, ConnectionUser
from kafkasim.zookeeper.ensemble import Ensemble
from kafkasim.zookeeper.operations import (
    CHILDREN,
    CONNECTIONLOSS,
    DELETED,
    SESSIONEXPIRED,
    Exists,
    GetChildren,
    GetData,
    Operation,
    Outcome,
    WatchEvent,
)
from kafkasim.zookeeper.packets import CLOSE, READ, SET_WATCHES, WRITE, Reply, Request, WatchNotice

CONNECTED = "connected"
DISCONNECTED = "disconnected"
EXPIRED = "expired"
CLOSED = "closed"


SET_WATCHES_BYTES: Final = 128 * 1024
"""Paths in one request that registers watches anew (``SET_WATCHES_MAX_LENGTH``)."""


def _set_watches(watched: list[tuple[str, str]], zxid: int) -> Request:
    request = Request(SET_WATCHES, None)
    request.watched = watched
    request.watched_zxid = zxid
    request.size_bytes += sum(len(path) + 4 for path, _ in watched)
    return request


class _Call:
    """One :meth:`ZooKeeperClient.submit`: its outcomes as they come."""

    def __init__(self, operations: Sequence[Operation], cause: int, done: Event) -> None:
        self.operations = operations
        self.cause = cause
        self.done = done
        self.outcomes: list[Any] = [None] * len(operations)
        self.missing = len(operations)
        self.lost: list[int] = []


class _Flight:
    """One operation on its way."""

    __slots__ = ("call", "index", "request")

    def __init__(self, call: _Call, index: int) -> None:
        self.call = call
        self.index = index
        operation = call.operations[index]
        self.request = Request(WRITE if operation.writes else READ, operation, call.cause)


class ZooKeeperClient(ConnectionUser):
    """A client ``name`` on ``host``; ``fault_cause`` is the row of what has killed it (0: nothing).

    ``on_state(state, cause)`` hears 'connected', 'disconnected' and 'expired'; ``state`` is
    the last of them ('new' before the first, 'closed' after :meth:`close`).  After 'expired' or :meth:`crash`,
    :meth:`connect` opens a new session.
    """

    def __init__(
        self, env: Environment, network: Network, streams: Streams, ensemble: Ensemble, host: Host, name: str,
        session_timeout_s: float, max_in_flight: int = 10,
        on_watch: Callable[[WatchEvent], None] | None = None,
        on_state: Callable[[str, int], None] | None = None,
        life: Life | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.host = host
        self.session_timeout_s = session_timeout_s
        self.max_in_flight = max_in_flight
        self.on_watch = on_watch
        self.on_state = on_state
        self.state: str = "new"
        self.fault_cause: int = 0
        self._env = env
        self._network = network
        self._streams = streams
        self._ensemble = ensemble
        self._life = Life(env.scheduler) if life is None else life
        self._connection: ClientConnection | None = None
        self._in_flight = 0
        self._waiting: deque[_Flight] = deque()
        self._outgoing: deque[_Flight] = deque()
        self._pending: deque[_Flight] = deque()
        self._again: list[_Call] = []
        self._watched: dict[tuple[str, str], None] = {}
        self._connecting: Event | None = None
        self._closing: Event | None = None

    @property
    def session_id(self) -> int:
        """The session (0 before the first)."""
        return 0 if self._connection is None else self._connection.session_id

    @property
    def session_timeout_ms(self) -> int:
        """The negotiated timeout, or the one to ask for."""
        return round(self.session_timeout_s * 1000.0) if self._connection is None else self._connection.timeout_ms

    @property
    def server_id(self) -> int | None:
        """The server that it is attached to, None while disconnected."""
        connection = self._connection
        return connection.server_id if connection is not None and connection.connected else None

    def attach_settled(self, server_id: int | None = None) -> None:
        """At t = 0: the session exists, attached to ``server_id`` (None: drawn), its ping at a drawn phase."""
        connection = self._new_connection()
        phase = self._streams.stream(f"zookeeper/client {self.name}/ping phase").uniform()
        connection.settle(server_id, phase)
        connection.last_zxid = self._ensemble.server(connection.server_id).tree.last_zxid
        self.state = CONNECTED
        self._ensemble.own(connection.session_id, self)

    def watch_settled(self, path: str, children: bool = False) -> None:
        """Before the run: a watch set long ago on ``path`` (on its children)."""
        assert self._connection is not None
        port = self._ensemble.server(self._connection.server_id).port
        exists = self._ensemble.look_up(path) is not None
        if children:
            port.watches.add_children(path, self.session_id)
        else:
            port.watches.add_data(path, self.session_id)
        self._watched[path, "children" if children else ("data" if exists else "exists")] = None

    def connect(self) -> Event:
        """Open a new session the slow way; the event succeeds with its id."""
        if self._connection is not None and not self._connection.over:
            raise RuntimeError(f"{self.name} has a session already")
        self._connecting = self._env.event()
        if self.session_id:
            self._ensemble.abandoned(self.session_id, self.fault_cause)
        self.fault_cause = 0
        self._new_connection().start()
        return self._connecting

    def submit(self, operations: Sequence[Operation], cause: int = 0) -> Event:
        """Send operations in order; the event's value is the list of their outcomes.

        ``cause`` is a row of the timeline that watchers of the changes are told.
        """
        call = _Call(operations, cause, self._env.event())
        if operations:
            self._launch(call, range(len(operations)))
        else:
            call.done.succeed([])
        return call.done

    def close(self, cause: int = 0) -> Event:
        """Close the session: a write that deletes its ephemerals.  Without a connection it is left to expire."""
        closing = self._env.event()
        connection = self._connection
        if connection is None or not connection.connected:
            if connection is not None:
                connection.stop()
            closing.succeed()
            return closing
        self._closing = closing
        connection.send(Request(CLOSE, None, cause))
        return closing

    def crash(self) -> None:
        """The process is killed: its connection closes, its session lives on; nobody waits for its calls any more."""
        self._life.end()
        if self._connection is not None:
            self._connection.stop()
        self._forget_calls()
        self._watched.clear()
        self._connecting = self._closing = None

    # What the connection tells

    def session_connected(self) -> None:
        """Attached: register watches anew, send what waited, send again what was lost."""
        connection = self._connection
        assert connection is not None
        self._ensemble.own(connection.session_id, self)
        self._set_watches(connection)
        outgoing, self._outgoing = self._outgoing, deque()
        for flight in outgoing:
            self._transmit(flight)
        again, self._again = self._again, []
        for call in again:
            self._resend(call)
        self._enter(CONNECTED, 0)
        if self._connecting is not None:
            self._connecting.succeed(connection.session_id)
            self._connecting = None

    def session_disconnected(self) -> None:
        """All that was sent or queued fails with CONNECTIONLOSS."""
        self._fail()
        if self._closing is not None:
            assert self._connection is not None
            self._connection.stop()
            self._closing.succeed()
            self._closing = None
        elif self.state == CONNECTED:
            self._enter(DISCONNECTED, self._ensemble.fault_row())

    def session_expired(self) -> None:
        """The session is gone, and its watches; calls fail after the clean-up."""
        self._watched.clear()
        flights = [*self._pending, *self._outgoing]
        self._pending.clear()
        self._outgoing.clear()
        self._life.plan(self._env.now + CLEAN_UP_S, self._fail_expired, flights)
        self._enter(EXPIRED, self._ensemble.expiry_row(self.session_id))

    def replied(self, reply: Reply) -> None:
        """The outcome of the oldest request on its way."""
        kind = reply.request.kind
        if kind == CLOSE:
            self._closed()
        elif kind != SET_WATCHES:
            flight = self._pending.popleft()
            if flight.request is not reply.request:
                raise RuntimeError(f"{self.name}: a reply out of order")
            self._watch(flight.request.operation, reply.outcome)
            self._land(flight, reply.outcome)
            self._pump()

    def watch_fired(self, notice: WatchNotice) -> None:
        """A one-shot watch is used up."""
        path = notice.path
        watched = self._watched
        if notice.kind != CHILDREN:
            watched.pop((path, "data"), None)
            watched.pop((path, "exists"), None)
        if notice.kind in (CHILDREN, DELETED):
            watched.pop((path, "children"), None)
        cause = notice.cause
        if path == "/controller" or path.startswith("/brokers/ids"):
            cause = self._ensemble.timeline.add(self._env.now, self.name, "watch_fired", f"{path} {notice.kind}", cause)
        if self.on_watch is not None:
            self.on_watch(WatchEvent(path, notice.kind, cause))

    def _set_watches(self, connection: ClientConnection) -> None:
        """In batches, each counted from the zxid seen before the reconnect."""
        zxid = connection.last_zxid
        batch: list[tuple[str, str]] = []
        size_bytes = 0
        for watched in self._watched:
            batch.append(watched)
            size_bytes += len(watched[0]) + 4
            if size_bytes >= SET_WATCHES_BYTES:
                connection.send(_set_watches(batch, zxid))
                batch = []
                size_bytes = 0
        if batch:
            connection.send(_set_watches(batch, zxid))

    # Calls

    def _launch(self, call: _Call, indexes: Any) -> None:
        for index in indexes:
            self._waiting.append(_Flight(call, index))
        self._pump()

    def _pump(self) -> None:
        waiting = self._waiting
        while waiting and self._in_flight < self.max_in_flight:
            self._in_flight += 1
            self._transmit(waiting.popleft())

    def _transmit(self, flight: _Flight) -> None:
        connection = self._connection
        if connection is not None and connection.connected:
            self._pending.append(flight)
            connection.send(flight.request)
        elif connection is None or connection.over:
            self._env.call_at(self._env.now, self._refuse, flight)
        else:
            self._outgoing.append(flight)

    def _refuse(self, flight: _Flight) -> None:
        self._land(flight, Outcome(error=SESSIONEXPIRED))
        self._pump()

    def _land(self, flight: _Flight, outcome: Outcome) -> None:
        self._in_flight -= 1
        call = flight.call
        if outcome.error == CONNECTIONLOSS:
            call.lost.append(flight.index)
        else:
            call.outcomes[flight.index] = outcome
        call.missing -= 1
        if call.missing:
            return
        if not call.lost:
            call.done.succeed(call.outcomes)
        elif self._connection is not None and self._connection.connected:
            self._resend(call)
        else:
            self._again.append(call)

    def _resend(self, call: _Call) -> None:
        lost = call.lost
        call.lost = []
        call.missing = len(lost)
        self._launch(call, lost)

    def _fail(self) -> None:
        flights = [*self._pending, *self._outgoing]
        self._pending.clear()
        self._outgoing.clear()
        for flight in flights:
            self._land(flight, Outcome(error=CONNECTIONLOSS))
        self._pump()

    def _fail_expired(self, flights: list[_Flight]) -> None:
        again, self._again = self._again, []
        for call in again:
            for index in call.lost:
                call.outcomes[index] = Outcome(error=SESSIONEXPIRED)
            call.done.succeed(call.outcomes)
        for flight in flights:
            self._land(flight, Outcome(error=SESSIONEXPIRED))
        self._pump()

    def _forget_calls(self) -> None:
        self._in_flight = 0
        self._waiting.clear()
        self._outgoing.clear()
        self._pending.clear()
        self._again.clear()

    def _watch(self, operation: Operation | None, outcome: Outcome) -> None:
        if isinstance(operation, Exists):
            if operation.watch:
                self._watched[operation.path, "exists" if outcome.error else "data"] = None
        elif outcome.error is None and isinstance(operation, (GetData, GetChildren)) and operation.watch:
            self._watched[operation.path, "data" if isinstance(operation, GetData) else "children"] = None

    def _closed(self) -> None:
        assert self._connection is not None
        self._connection.stop()
        self._watched.clear()
        self.state = CLOSED
        if self._closing is not None:
            self._closing.succeed()
            self._closing = None

    def _new_connection(self) -> ClientConnection:
        asked_ms = round(self.session_timeout_s * 1000.0)
        self._connection = ClientConnection(
            self, self._life, self._network, self._streams, self._ensemble, self.host, self.name, asked_ms
        )
        return self._connection

    def _enter(self, state: str, cause: int) -> None:
        self.state = state
        if self.on_state is not None:
            self.on_state(state, cause)
