"""The Java client's connection to an ensemble: hosts, pauses, pings, time-outs (ClientCnxn).

The host list is shuffled once and then gone through in turn.  A client that loses its
server pauses 100 ms in its clean-up (only then its requests fail), then up to a second,
and a second more before the host it was connected to last.  It never declares its own
session dead: it learns that at a server.

Left out: SASL, chroot, read-only mode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Deadline, Life
from kafkasim.kernel.streams import Streams
from kafkasim.network import Network
from kafkasim.zookeeper.packets import PING, ConnectRequest, ConnectResponse, Reply, Request, WatchNotice
from kafkasim.zookeeper.sockets import Socket, SocketOwner, dial

if TYPE_CHECKING:
    from kafkasim.zookeeper.ensemble import Ensemble

CLEAN_UP_S: Final = 0.100
"""Pause in the socket's clean-up after a disconnect or a failed attempt."""
RECONNECT_PAUSE_S: Final = 1.000
"""Upper end of the uniform pause before each reconnect."""
SAME_HOST_PAUSE_S: Final = 1.000
"""Pause before the host of the last connection comes round again (``spinDelay``)."""
BUSY_LOOP_S: Final = 1.000
"""A loop that wakes after so long without a send pings that much earlier."""
LONGEST_SILENCE_S: Final = 10.000
"""... and at once if nothing was sent for so long (``MAX_SEND_PING_INTERVAL``)."""


class ConnectionUser:
    """Who is told of what happens to a :class:`ClientConnection`."""

    def session_connected(self) -> None:
        """Attached to a server, with a session."""
        raise NotImplementedError

    def session_disconnected(self) -> None:
        """The clean-up is done: what was sent or queued has failed."""
        raise NotImplementedError

    def session_expired(self) -> None:
        """A server has said that the session is gone."""
        raise NotImplementedError

    def replied(self, reply: Reply) -> None:
        """A reply, in the order of the requests."""
        raise NotImplementedError

    def watch_fired(self, notice: WatchNotice) -> None:
        """A watch has fired."""
        raise NotImplementedError


class ClientConnection(SocketOwner):
    """One ZooKeeper handle: one session at a time, attached to one server or looking for one."""

    def __init__(
        self, user: ConnectionUser, life: Life, network: Network, streams: Streams, ensemble: Ensemble, host: Host,
        name: str, timeout_ms: int,
    ) -> None:  # fmt: skip
        self.session_id: int = 0
        self.timeout_ms = timeout_ms
        self.last_zxid: int = 0
        self.connected = False
        self.over = False
        self._user = user
        self._life = life
        self._network = network
        self._ensemble = ensemble
        self._host = host
        self._name = name
        self._pauses = streams.stream(f"zookeeper/client {name}/pauses")
        self._hosts = [1 + n for n in streams.stream(f"zookeeper/client {name}/hosts").shuffled(ensemble.total)]
        self._index = -1
        self._last_index = -1
        self._first = True
        self._lost_session = False
        self._last_send = 0.0
        self._socket: Socket | None = None
        self._ping_due = Deadline(life, self._ping)
        self._read_limit = Deadline(life, self._lose)
        self._connect_limit = Deadline(life, self._lose)

    @property
    def life(self) -> Life:
        """The client's process."""
        return self._life

    @property
    def server_id(self) -> int:
        """The server that it is attached to, or tries."""
        return self._hosts[self._index]

    def start(self) -> None:
        """Look for a server."""
        self._next_host()

    def settle(self, server_id: int | None, phase: float) -> None:
        """Be attached since long; the last ping lies ``phase`` of a ping interval back."""
        self._index = 0 if server_id is None else self._hosts.index(server_id)
        self._last_index = self._index
        self._first = False
        self.timeout_ms = self._ensemble.parameters.session_timeout_ms(self.timeout_ms)
        now = self._life.scheduler.now
        sent_at = now - phase * self._ping_interval_s()
        self._socket, self.session_id = self._ensemble.attach_settled(
            self, self._name, self._host, self.server_id, self.timeout_ms, sent_at
        )
        self.connected = True
        self._last_send = sent_at
        self._ping_due.move(sent_at + self._ping_interval_s())
        self._read_limit.move(now + self._read_timeout_s())

    def send(self, request: Request) -> None:
        """Write a request to the socket."""
        assert self._socket is not None
        self._socket.send(request)
        self._sent()

    def stop(self) -> None:
        """Close: the handle is not used any more."""
        self.over = True
        self.connected = False
        self._stop_timers()
        if self._socket is not None:
            self._socket.close()

    # The socket

    def socket_opened(self, socket: Socket) -> None:
        """TCP is there: shake hands."""
        self._first = False
        socket.send(ConnectRequest(self.session_id, self.timeout_ms, self.last_zxid))
        self._connect_limit.move(self._life.scheduler.now + self._connect_timeout_s())

    def socket_refused(self, socket: Socket) -> None:
        """Nobody listens."""
        self._lose()

    def socket_closed(self, socket: Socket) -> None:
        """The server has died or cut us off."""
        self._lose()

    def socket_message(self, socket: Socket, message: Any) -> None:
        """Something from the server."""
        if self.over:
            return
        now = self._life.scheduler.now
        if self.connected:
            self._read_limit.move(now + self._read_timeout_s())
        if isinstance(message, Reply):
            if message.zxid > self.last_zxid:
                self.last_zxid = message.zxid
            if message.request.kind != PING:
                self._user.replied(message)
        elif isinstance(message, WatchNotice):
            self._user.watch_fired(message)
        elif isinstance(message, ConnectResponse):
            self._handshaken(message)
            return
        self._woken(now)

    # Finding a server

    def _next_host(self) -> None:
        """Pauses before the next attempt, by the host list's turn."""
        pause_s = 0.0
        self._index = (self._index + 1) % len(self._hosts)
        if self._index == self._last_index:
            pause_s += SAME_HOST_PAUSE_S
        elif self._last_index == -1:
            self._last_index = 0
        if not self._first:
            pause_s += self._pauses.uniform(0.0, RECONNECT_PAUSE_S)
        self._life.plan(self._life.scheduler.now + pause_s, self._dial, None)

    def _dial(self, _: None) -> None:
        if self.over:
            return
        server = self._ensemble.server(self.server_id)
        line = f"zookeeper/client {self._name} to {server.id}"
        self._socket = dial(self._network, line, self, self._host, server.port, server.host)
        self._connect_limit.move(self._life.scheduler.now + self._connect_timeout_s())

    def _handshaken(self, answer: ConnectResponse) -> None:
        now = self._life.scheduler.now
        self._connect_limit.stop()
        if answer.timeout_ms == 0:
            self.over = True
            if self._socket is not None:
                self._socket.close()
            self._user.session_expired()
            return
        self.session_id = answer.session_id
        self.timeout_ms = answer.timeout_ms
        self._last_index = self._index
        self.connected = True
        self._read_limit.move(now + self._read_timeout_s())
        self._sent()
        self._user.session_connected()

    def _lose(self) -> None:
        """A disconnect is noticed, or an attempt has failed."""
        if self.over:
            return
        self._stop_timers()
        self.connected = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._life.plan(self._life.scheduler.now + CLEAN_UP_S, self._clean_up, None)

    def _clean_up(self, _: None) -> None:
        if self.over:
            return
        self._user.session_disconnected()
        if not self.over:
            self._next_host()

    def _stop_timers(self) -> None:
        self._ping_due.stop()
        self._read_limit.stop()
        self._connect_limit.stop()

    # Timers

    def _read_timeout_s(self) -> float:
        return (self.timeout_ms * 2 // 3) / 1000.0

    def _ping_interval_s(self) -> float:
        return (self.timeout_ms * 2 // 3 // 2) / 1000.0

    def _connect_timeout_s(self) -> float:
        return (self.timeout_ms // len(self._hosts)) / 1000.0

    def _sent(self) -> None:
        now = self._life.scheduler.now
        self._last_send = now
        self._ping_due.move(now + self._ping_interval_s())

    def _woken(self, now: float) -> None:
        """The loop has run for another reason: a ping may be due up to a second earlier."""
        idle_s = now - self._last_send
        if idle_s <= BUSY_LOOP_S or not self.connected:
            return
        due = self._last_send + self._ping_interval_s() - BUSY_LOOP_S
        if due <= now or idle_s > LONGEST_SILENCE_S:
            self._ping()
        else:
            self._ping_due.move(due)

    def _ping(self) -> None:
        self.send(Request(PING, None))
