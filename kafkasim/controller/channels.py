"""The controller's connections to the brokers: a queue and one request in flight for each.

Stands for ``ControllerChannelManager`` and its ``RequestSendThread`` a broker.  A request is tried until it has been
answered or the broker is removed: after a refused connection, a reset or a time-out the thread pauses 100 ms and begins
anew.  A connection that broke while nothing was in flight is found broken, and replaced, when the next request is sent.
The controller's own broker is reached through its socket like any other.

Left out: the control plane listener; quarantine of brokers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from kafkasim.connection import CLOSED, OPEN, Connection, ConnectionOwner, Directory
from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.kernel import Streams
from kafkasim.network import Network
from kafkasim.protocol import Request

RETRY_PAUSE_S: Final = 0.1
"""RequestSendThread.backoff()."""


class QueuedRequest:
    """What waits in a broker's queue; each attempt to send it makes a request of its own."""

    def __init__(self, api: int, size_bytes: int, body: Any, cause: int, queued_at: float) -> None:
        self.api = api
        self.size_bytes = size_bytes
        self.body = body
        self.cause = cause
        self.queued_at: float = queued_at


class BrokerChannel(ConnectionOwner):
    """Queue, connection and send thread to one broker."""

    def __init__(self, manager: ChannelManager, broker_id: int) -> None:
        self.broker_id = broker_id
        self.queue: deque[QueuedRequest] = deque()
        self.removed: bool = False
        self.attempts: int = 0
        self.sent: int = 0
        self.queue_time_s: float = 0.0
        self._manager = manager
        self._scheduler = manager.life
        self._current: QueuedRequest | None = None
        self._connection: Connection | None = None
        self._pausing: bool = False
        self._generation: int = 0

    def put(self, item: QueuedRequest) -> None:
        """Queue a request."""
        self.queue.append(item)
        if self._current is None:
            self._take()

    def connect(self) -> None:
        """Open the connection before the first request (a cluster that has been running)."""
        if self._connection is None:
            self._open()

    def close(self) -> None:
        """The broker is removed, or the controller resigns: nothing is tried any more."""
        self.removed = True
        self._generation += 1
        self._current = None
        self.queue.clear()
        self._drop()

    # the thread

    def _take(self) -> None:
        if not self.queue:
            return
        item = self._current = self.queue.popleft()
        self.queue_time_s += self._scheduler.now - item.queued_at
        self._try()

    def _try(self) -> None:
        connection = self._connection
        if connection is None or connection.state == CLOSED:
            self._open()
        elif connection.state == OPEN:
            self._send(connection)

    def _open(self) -> None:
        manager = self._manager
        self._generation += 1
        self.attempts += 1
        node_id = self.broker_id
        name = f"controller/{manager.controller_id}/{node_id}"
        connection = Connection(
            manager.network, name, self, manager.host, manager.directory.server(node_id),
            manager.directory.host(node_id), node_id,
        )  # fmt: skip
        self._connection = connection
        connection.open()
        now = self._scheduler.now
        self._scheduler.call_at(now + manager.connect_timeout_s(), self._timed_out, self._generation)

    def _send(self, connection: Connection) -> None:
        item = self._current
        assert item is not None
        self._generation += 1
        request = Request(item.api, item.size_bytes, item.body, item.cause)
        request.internal = True
        request.timeout_s = self._manager.request_timeout_s
        now = self._scheduler.now
        request.created_at = now
        connection.send(request, now)
        self._scheduler.call_at(now + request.timeout_s, self._timed_out, self._generation)

    def _failed(self) -> None:
        self._drop()
        if self._current is not None and not self._pausing:
            self._pausing = True
            self._generation += 1
            self._scheduler.call_at(self._scheduler.now + RETRY_PAUSE_S, self._retry, self._generation)

    def _retry(self, generation: int) -> None:
        self._pausing = False
        if generation == self._generation and not self.removed:
            self._try()

    def _timed_out(self, generation: int) -> None:
        if generation == self._generation and not self.removed:
            self._failed()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # the connection's owner

    @property
    def life(self) -> Life:
        """The controller's process."""
        return self._manager.life

    def connection_opened(self, connection: Connection) -> None:
        """Send what waits for the connection."""
        if connection is self._connection and not self.removed:
            self._generation += 1
            if self._current is not None and not self._pausing:
                self._send(connection)

    def connection_refused(self, connection: Connection) -> None:
        """Nobody listens (yet, or any more): pause and try again."""
        if connection is self._connection and not self.removed:
            self._generation += 1
            self._failed()

    def connection_lost(self, connection: Connection) -> None:
        """The broker's process is gone: pause and try again if a request was in flight."""
        if connection is self._connection and not self.removed:
            self._generation += 1
            self._failed()

    def response_arrived(self, request: Request) -> None:
        """The answer: tell the controller, take the next."""
        if self.removed or request.connection is not self._connection or self._current is None:
            return
        if self.life.holds(self.response_arrived, request):
            return
        self._generation += 1
        self._current = None
        self.sent += 1
        self._manager.on_response(self.broker_id, request)
        self._take()


class ChannelManager:
    """The channels of one active controller.

    ``on_response(broker_id, request)`` is called when an answer has been read.
    """

    def __init__(
        self,
        network: Network,
        streams: Streams,
        controller_id: int,
        host: Host,
        directory: Directory,
        config: Mapping[str, Any],
        on_response: Callable[[int, Request], None],
        life: Life | None = None,
    ) -> None:
        self.network = network
        self.life = Life(network.scheduler) if life is None else life
        self.controller_id = controller_id
        self.host = host
        self.directory = directory
        self.on_response = on_response
        self.request_timeout_s: float = int(config.get("request.timeout.ms", 30000)) / 1000.0
        self._socket_timeout_s: float = int(config.get("controller.socket.timeout.ms", 30000)) / 1000.0
        setup_ms = config.get("socket.connection.setup.timeout.ms")  # 2.7 and later
        self._setup_timeout_s: float = self._socket_timeout_s if setup_ms is None else int(setup_ms) / 1000.0
        self._limits_setup: bool = setup_ms is not None
        self._draws = streams.stream(f"controller/{controller_id}/connection-setup")
        self.channels: dict[int, BrokerChannel] = {}

    def add(self, broker_id: int) -> BrokerChannel:
        """Start a channel to a broker (nothing happens if it has one)."""
        channel = self.channels.get(broker_id)
        if channel is None:
            channel = self.channels[broker_id] = BrokerChannel(self, broker_id)
        return channel

    def remove(self, broker_id: int) -> None:
        """Stop the channel to a broker; what waits in it is never sent."""
        channel = self.channels.pop(broker_id, None)
        if channel is not None:
            channel.close()

    def close(self) -> None:
        """Stop all channels."""
        for broker_id in list(self.channels):
            self.remove(broker_id)

    def send(self, broker_id: int, api: int, size_bytes: int, body: Any, cause: int) -> None:
        """Queue a request; a broker without a channel is offline and gets nothing."""
        channel = self.channels.get(broker_id)
        if channel is not None:
            channel.put(QueuedRequest(api, size_bytes, body, cause, self.network.scheduler.now))

    def connect_timeout_s(self) -> float:
        """How long one attempt to connect may take: the set-up time-out ± 20 %, within the socket time-out."""
        if not self._limits_setup:
            return self._socket_timeout_s
        return min(self._socket_timeout_s, self._setup_timeout_s * self._draws.uniform(0.8, 1.2))

    def total_queue_size(self) -> int:
        """TotalQueueSize."""
        return sum(len(channel.queue) for channel in self.channels.values())
