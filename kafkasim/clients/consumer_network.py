"""Requests of a consumer that wait until they can be sent.

Stands for ``ConsumerNetworkClient``: requests are queued by node, sent as soon as the node's
connection is ready, and failed together when that connection fails.
"""

from __future__ import annotations

from kafkasim.clients.network_client import NetworkClient
from kafkasim.clients.node_connection import NodeConnection
from kafkasim.kernel.clock import Clock
from kafkasim.protocol import NETWORK_EXCEPTION, REQUEST_TIMED_OUT, Request


class ConsumerNetwork:
    """The queue in front of a consumer's :class:`NetworkClient`."""

    def __init__(self, network: NetworkClient, clock: Clock) -> None:
        self.network = network
        self.unsent: dict[int, list[Request]] = {}
        self._clock = clock
        self._polled_at: float = -1.0
        self._polled_ms: int = 0

    def now_ms(self) -> int:
        """What the client's clock shows."""
        return self._clock.ms(self.network.now())

    def send(self, node: int, request: Request, now: float, at: float) -> None:
        """Send ``request`` at ``at`` if the node is ready now, else keep it until it is."""
        self.send_to(self.network.node(node), request, now, at)

    def send_to(self, state: NodeConnection, request: Request, now: float, at: float) -> None:
        """:meth:`send` with the node already looked up."""
        if not self.unsent or state.id not in self.unsent:
            network = self.network
            now_ms = self._polled_ms if now == self._polled_at else self._clock.ms(now)
            if network.ready_at_ms(state, now_ms):
                network.write_at_ms(state, request, now, now_ms, at)
                return
        request.created_at = now
        self.unsent.setdefault(state.id, []).append(request)

    def poll(self, now: float) -> None:
        """One pass of the I/O: send what can be sent, take in what has come, send again."""
        if self.unsent:
            self._transmit(now)
        network = self.network
        now_ms = self._clock.ms(now)
        self._polled_at = now
        self._polled_ms = now_ms
        network.handle_at_ms(now, now_ms)
        network.update_metadata_at_ms(now, now_ms)
        if self.unsent:
            self._fail_disconnected()
            self._transmit(now)
            self._expire(now)

    def flush(self, now: float) -> None:
        """Send what can be sent; a metadata request that is due goes first."""
        if self.unsent:
            self.network.update_metadata(now)
            self._transmit(now)

    def disconnect(self, node: int) -> None:
        """Close the connection: queued requests fail at once, those in flight at the next poll."""
        waiting = self.unsent.pop(node, [])
        self.network.disconnect(node)
        self._fail(waiting, NETWORK_EXCEPTION)

    def unavailable(self, node: int, now: float) -> bool:
        """Whether the connection has failed and must not be tried again yet."""
        network = self.network
        if not network.connection_failed(node):
            return False
        return network.poll_delay_ms(network.node(node), self._clock.ms(now)) > 0

    def wait_ms(self, now: float) -> int:
        """How long (ms) until a queued request's node may become usable by itself."""
        now_ms = self._clock.ms(now)
        network = self.network
        return min(network.poll_delay_ms(network.node(node), now_ms) for node in self.unsent)

    def _transmit(self, now: float) -> None:
        network = self.network
        for node in list(self.unsent):
            waiting = self.unsent[node]
            while waiting and network.ready(node, now):
                network.write(network.node(node), waiting.pop(0), now, now)
            if not waiting:
                del self.unsent[node]

    def _fail_disconnected(self) -> None:
        for node in list(self.unsent):
            if self.network.connection_failed(node):
                self._fail(self.unsent.pop(node), NETWORK_EXCEPTION)

    def _expire(self, now: float) -> None:
        for node in list(self.unsent):
            waiting = self.unsent.get(node, [])
            late = [request for request in waiting if now - request.created_at > request.timeout_s]
            if late:
                kept = [request for request in waiting if request not in late]
                if kept:
                    self.unsent[node] = kept
                else:
                    del self.unsent[node]
                self._fail(late, REQUEST_TIMED_OUT)

    def _fail(self, requests: list[Request], error: int) -> None:
        for request in requests:
            request.failed = error
            if request.done is not None:
                request.done(request)
