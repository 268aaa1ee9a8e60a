"""A TCP connection between a client and a broker.

The client's side opens, sends and is told what happens to it; the server's side carries
the state that a broker keeps for the socket: its network thread, whether a request is in
processing (one at a time, Kafka mutes the channel meanwhile) and what waits in the socket.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from mypy_extensions import mypyc_attr

from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.kernel.stations import FifoStation
from kafkasim.network import Channel, Network
from kafkasim.protocol import Request

CLOSED: Final = 0
CONNECTING: Final = 1
OPEN: Final = 2


@mypyc_attr(allow_interpreted_subclasses=True)
class ConnectionOwner:
    """What a client implements; every call happens at the simulated moment of the event, or when its process goes on.

    Who can be stopped looks itself whether it is when a response arrives (traffic is not asked to).
    """

    @property
    def life(self) -> Life | None:
        """The life of the client's process (None: it is never stopped)."""
        return None

    @property
    def client_id(self) -> str:
        """``client.id``; empty for brokers, whom no quota holds back."""
        return ""

    def connection_opened(self, connection: Connection) -> None:
        """The TCP handshake is done (one round trip after :meth:`Connection.open`)."""
        raise NotImplementedError

    def connection_refused(self, connection: Connection) -> None:
        """Nobody listens there."""
        raise NotImplementedError

    def connection_lost(self, connection: Connection) -> None:
        """The peer's kernel has reset the connection; ``connection.cause`` says why."""
        raise NotImplementedError

    def response_arrived(self, request: Request) -> None:
        """A response has passed the client's network interface (in order of the requests)."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Server:
    """What a broker's socket server implements."""

    @property
    def receive_buffer_bytes(self) -> int:
        """``socket.receive.buffer.bytes``; 0: the kernel tunes it."""
        return 0

    def listens(self) -> bool:
        """Whether the port is open."""
        raise NotImplementedError

    def accept(self, connection: Connection) -> None:
        """A handshake has arrived."""
        raise NotImplementedError

    def receive(self, request: Request) -> None:
        """A request has passed the broker's network interface."""
        raise NotImplementedError

    def forget(self, connection: Connection) -> None:
        """The client has closed or died."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Directory:
    """Where a node id leads: implemented by the cluster."""

    def server(self, node_id: int) -> Server:
        """The socket server of broker ``node_id``."""
        raise NotImplementedError

    def host(self, node_id: int) -> Host:
        """The machine of broker ``node_id``."""
        raise NotImplementedError

    def down_cause(self, node_id: int) -> int:
        """The timeline row that stopped broker ``node_id``; 0 while it is up."""
        return 0

    def silence_cause(self, node_id: int, other_id: int, since: float) -> int:
        """The timeline row of what has kept two brokers from talking at some time after ``since`` (s); 0: nothing."""
        return 0


class Connection:
    """One connection of ``owner`` (on ``client_host``) to the broker ``node_id``.

    ``down`` is the way of the responses.  ``cause`` is the timeline row that broke it (0: none);
    ``context`` is what the owner wants to find again; ``receive_buffer_bytes`` its socket's buffer (0: the kernel's).
    """

    def __init__(
        self, network: Network, name: str, owner: ConnectionOwner, client_host: Host, server: Server,
        server_host: Host, node_id: int, context: Any = None, receive_buffer_bytes: int = 0,
    ) -> None:  # fmt: skip
        self.name = name
        self.owner = owner
        self.client_host = client_host
        self.server = server
        self.server_host = server_host
        self.node_id: int = node_id
        self.context: Any = context
        self.state: int = CLOSED
        self.cause: int = 0
        # the server's side of the socket
        self.processor: FifoStation = FifoStation()  # until a server has accepted it
        self.in_processing: bool = False
        self.ready_at: float = 0.0
        self.backlog: deque[Request] = deque()
        self.session: object | None = None
        self.quota: object | None = None
        self._scheduler = network.scheduler
        self._up = network.channel(client_host, server_host, f"{name}/up", server.receive, server.receive_buffer_bytes)
        self.down = network.channel(
            server_host, client_host, f"{name}/down", owner.response_arrived, receive_buffer_bytes
        )
        self._up.refused = self._lost
        self.down.refused = self._fin

    def open(self) -> None:
        """Send the SYN; the owner hears of success or refusal one round trip later."""
        self.state = CONNECTING
        self._dial(0.0)

    def _dial(self, pause_s: float) -> None:
        """A SYN that does not get through is repeated after 1, 2, 4 … s."""
        if self.state != CONNECTING:
            return
        now = self._scheduler.now
        pause_s = self._up.try_again_s(pause_s)
        if pause_s > 0.0:
            self._scheduler.call_at(now + pause_s, self._dial, pause_s)
        else:
            self._scheduler.call_at(self._up.signal_at(now), self._syn, None)

    def send(self, request: Request, at: float) -> None:
        """Write a request to the socket at ``at`` (now or later)."""
        request.connection = self
        request.sent_at = at
        self._up.send(request, at)

    def respond(self, request: Request, at: float) -> float:
        """The server writes a response at ``at``; returns when its last bit has left."""
        request.size_bytes = request.response_bytes
        return self.down.send(request, at)

    def close(self) -> None:
        """The client closes (or its process dies): no response reaches it any more."""
        if self.state == CLOSED:
            return
        self.state = CLOSED
        self.down.closed = True
        self._up.signal(self._fin, None)

    def reset(self, cause: int) -> None:
        """The server's process has died or closed: bytes already written still arrive, then the reset."""
        self._up.closed = True
        self.cause = cause
        self.backlog.clear()
        self.down.signal(self._lost, None)

    def _syn(self, _: None) -> None:
        now = self._scheduler.now
        pause_s = self.down.try_again_s(0.0)
        if pause_s > 0.0:
            # The answer does not get through: both ends repeat.
            self._scheduler.call_at(now + pause_s, self._dial, pause_s)
            return
        back = self.down.signal_at(now)
        if self.server.listens() and not self.down.closed:
            self.server.accept(self)
            self._scheduler.call_at(back, self._opened, None)
        else:
            self._scheduler.call_at(back, self._refused, None)

    def _held(self, function: Callable[[Any], None]) -> bool:
        """Whether the client's process is stopped: it will hear of it when it goes on."""
        life = self.owner.life
        return life is not None and life.holds(function, None)

    def _opened(self, _: None) -> None:
        if self.state == CONNECTING and not self._held(self._opened):
            self.state = OPEN
            self.owner.connection_opened(self)

    def _refused(self, _: None) -> None:
        if self.state == CONNECTING and not self._held(self._refused):
            self.state = CLOSED
            self.owner.connection_refused(self)

    def _lost(self, _: None) -> None:
        if self.state != CLOSED and not self._held(self._lost):
            self.state = CLOSED
            self.down.closed = True
            self.owner.connection_lost(self)

    @property
    def ended(self) -> bool:
        """Whether the server's end is closed."""
        return self._up.closed

    def _fin(self, _: None) -> None:
        if not self._up.closed:
            self._up.closed = True
            self.backlog.clear()
            self.server.forget(self)


__all__ = ["CLOSED", "CONNECTING", "OPEN", "Channel", "Connection", "ConnectionOwner", "Directory", "Server"]
