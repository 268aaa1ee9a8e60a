"""A client's connections: their states, back-offs, and what their sockets hold.

Stands for ``ClusterConnectionStates`` and the part of ``Selector`` that a client sees.  What
comes on a connection is noted here and ``wake`` is called; the owner's I/O thread polls for it.
Left out: TLS and SASL, idle connections that expire, several addresses a host name.
"""

from __future__ import annotations

from collections.abc import Callable

from kafkasim.clients.monitor import ClientMonitor
from kafkasim.clients.node_connection import (
    CHECKING,
    CONNECTING,
    DISCONNECTED,
    READY,
    NodeConnection,
    broker_id,
)
from kafkasim.clients.settings import UNLIMITED, Backoff, ClientSettings
from kafkasim.connection import Connection, ConnectionOwner, Directory
from kafkasim.hosts.host import Host
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.streams import Streams
from kafkasim.network import Network
from kafkasim.protocol import Request


class Connections(ConnectionOwner):
    """The connections of one client process, by node id.

    ``news`` are the nodes of which a poll would find something; beyond ``setup_check_ms`` on the
    clock the handshake of a connection may have taken too long.
    """

    def __init__(
        self, scheduler: Scheduler, network: Network, streams: Streams, name: str, host: Host, directory: Directory,
        bootstrap: list[int], settings: ClientSettings, wake: Callable[[], None], monitor: ClientMonitor, client: int,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.name = name
        self.host = host
        self.client: int = client
        self.closed: bool = False
        self.in_flight: int = 0
        self._scheduler = scheduler
        self._network = network
        self._directory = directory
        self._bootstrap: list[int] = list(bootstrap)
        self._wake = wake
        self._monitor = monitor
        self._draws = streams.stream(f"{name}/connections")
        self._reconnect = Backoff(
            settings.reconnect_backoff_ms, settings.reconnect_backoff_max_ms, settings, self._draws
        )
        self._setup = Backoff(settings.setup_timeout_ms, settings.setup_timeout_max_ms, settings, self._draws)
        self._nodes: dict[int, NodeConnection] = {}
        self.news: list[NodeConnection] = []
        self.setup_check_ms: int = UNLIMITED

    @property
    def client_id(self) -> str:
        """``client.id``, by which brokers hold the client to its quotas."""
        return self.settings.client_id

    def now(self) -> float:
        """Simulated time (s)."""
        return self._scheduler.now

    def wake_with(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` from now on when something has come: one step less to the I/O thread itself."""
        self._wake = wake

    def node(self, node: int) -> NodeConnection:
        """The state of the connection to ``node`` (made when first asked for)."""
        state = self._nodes.get(node)
        if state is None:
            state = self._nodes[node] = NodeConnection(node, broker_id(node, self._bootstrap))
        return state

    def connection_failed(self, node: int) -> bool:
        """Whether the last connection to ``node`` failed or broke."""
        state = self._nodes.get(node)
        return state is not None and state.attempted and state.state == DISCONNECTED

    def poll_delay_ms(self, state: NodeConnection, now_ms: int) -> int:
        """How long to wait for ``state`` to become usable by itself (ms)."""
        if state.state >= CHECKING and state.throttled_until_ms > now_ms:
            return state.throttled_until_ms - now_ms
        if not state.attempted:
            return 0
        if state.state == CONNECTING:
            return state.setup_timeout_ms
        if state.state == DISCONNECTED:
            return max(state.reconnect_backoff_ms - (now_ms - state.last_attempt_ms), 0)
        return UNLIMITED

    def _sendable(self, state: NodeConnection, now_ms: int) -> bool:
        return (
            state.state == READY
            and state.throttled_until_ms <= now_ms
            and len(state.in_flight) < self.settings.max_in_flight
        )

    def _can_connect(self, state: NodeConnection, now_ms: int) -> bool:
        if not state.attempted:
            return True
        return state.state == DISCONNECTED and now_ms - state.last_attempt_ms >= state.reconnect_backoff_ms

    def _connect(self, state: NodeConnection, now_ms: int) -> None:
        if not state.attempted:
            state.attempted = True
            state.reconnect_backoff_ms = self._reconnect.draw_ms(0)
            state.setup_timeout_ms = self._setup.draw_ms(0)
        state.last_attempt_ms = now_ms
        state.state = CONNECTING
        self.setup_check_ms = min(self.setup_check_ms, now_ms + state.setup_timeout_ms)
        server_host = self._directory.host(state.broker)
        server = self._directory.server(state.broker)
        connection = Connection(
            self._network, f"{self.name}/{state.label}", self, self.host, server, server_host, state.broker, state,
            self.settings.receive_buffer_bytes,
        )  # fmt: skip
        state.connection = connection
        connection.open()

    def _setup_done(self, state: NodeConnection) -> None:
        state.failed_setups = 0
        state.setup_timeout_ms = self._setup.draw_ms(0)

    def _close(self, state: NodeConnection) -> None:
        connection = state.connection
        if connection is not None:
            connection.close()
            state.connection = None
        state.received.clear()
        state.opened = False
        state.lost = False
        state.has_news = False
        if self.news:
            self.news = [other for other in self.news if other is not state]

    def _mark_disconnected(self, state: NodeConnection, now_ms: int) -> None:
        state.last_attempt_ms = now_ms
        state.reconnect_backoff_ms = self._reconnect.draw_ms(state.failed_attempts)
        state.failed_attempts += 1
        if state.state == CONNECTING:
            state.failed_setups += 1
            state.setup_timeout_ms = self._setup.draw_ms(state.failed_setups)
        else:
            self._setup_done(state)
        state.state = DISCONNECTED

    # -- what the sockets say

    def connection_opened(self, connection: Connection) -> None:
        """The handshake is done; the next poll asks for the API versions."""
        state: NodeConnection = connection.context
        state.opened = True
        self._tell(state)

    def connection_refused(self, connection: Connection) -> None:
        """Nobody listens; the next poll finds the connection disconnected."""
        state: NodeConnection = connection.context
        state.lost = True
        self._tell(state)

    def connection_lost(self, connection: Connection) -> None:
        """The peer has closed; the next poll after the last response finds it."""
        state: NodeConnection = connection.context
        state.lost = True
        self._monitor.note(
            self.client, "connections_reset", f"broker {state.broker}", connection.cause, self._scheduler.now
        )
        self._tell(state)

    def response_arrived(self, request: Request) -> None:
        """A response is in the socket buffer."""
        connection = request.connection
        assert connection is not None
        state: NodeConnection = connection.context
        state.received.append(request)
        if not state.has_news:
            state.has_news = True
            self.news.append(state)
        wake = self._wake
        wake()

    def _tell(self, state: NodeConnection) -> None:
        if not state.has_news:
            state.has_news = True
            self.news.append(state)
        self._wake()
