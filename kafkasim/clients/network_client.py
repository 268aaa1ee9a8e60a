"""A client's connections and the requests in flight on them.

Stands for Kafka's ``NetworkClient`` with ``InFlightRequests``: one ApiVersions round trip after
connecting, request time-outs (they close the whole connection), metadata requests before
everything else.  Used by producers and consumers.  Left out: telemetry, re-bootstrapping.

Nothing happens by itself: the connections note what has come and call ``wake``; the owner's
I/O thread then calls :meth:`NetworkClient.poll`.
"""

from __future__ import annotations

from collections.abc import Callable

from kafkasim.clients.metadata_updater import NO_NODE, MetadataUpdater
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.clients.node_connection import (
    CHECKING,
    CONNECTING,
    COORDINATOR_IDS,
    DISCONNECTED,
    READY,
    NodeConnection,
)
from kafkasim.clients.settings import UNLIMITED, ClientSettings
from kafkasim.connection import Directory
from kafkasim.hosts.host import Host
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.streams import Streams
from kafkasim.network import Network
from kafkasim.protocol import API_VERSIONS, METADATA, NETWORK_EXCEPTION, NONE, REQUEST_TIMED_OUT, Request


class NetworkClient(MetadataUpdater):
    """All connections of one client process.

    Node ids are broker ids, ``2147483647 - id`` for a coordinator's own connection, and
    negative ones below -1 for the bootstrap servers.  ``unanswered`` are requests without an
    answer (acks=0) that are still being written, ``aborted`` those of a connection closed here,
    ``throttled_ms`` and ``longest_throttle_ms`` the throttle times of all answers so far;
    beyond ``timeout_check_ms`` on the clock a request may have timed out (not promised to be tight).
    """

    def __init__(
        self,
        scheduler: Scheduler,
        network: Network,
        streams: Streams,
        name: str,
        host: Host,
        directory: Directory,
        bootstrap: list[int],
        settings: ClientSettings,
        wake: Callable[[], None],
        clock: Clock,
        monitor: ClientMonitor,
        client: int,
    ) -> None:
        super().__init__(
            scheduler, network, streams, name, host, directory, bootstrap, settings, wake, clock, monitor, client
        )
        self.writes: int = 0
        self.unanswered: list[Request] = []
        self.aborted: list[Request] = []
        self.throttled_ms: int = 0
        self.longest_throttle_ms: int = 0
        self.timeout_check_ms: int = UNLIMITED

    # -- sending

    def ready(self, node: int, now: float) -> bool:
        """Whether a request may be sent to ``node`` now; begins to connect where there is no connection."""
        return self.ready_at_ms(self.node(node), self._clock.ms(now))

    def ready_at_ms(self, state: NodeConnection, now_ms: int) -> bool:
        """:meth:`ready` with the clock already read."""
        # _update_due and _sendable for the common case in line: the sender asks before every request.
        metadata = self.metadata
        if (
            not metadata.need_full
            and not metadata.need_partial
            and metadata.last_success_ms + self._metadata_max_age_ms > now_ms
            and state.state == READY
            and state.throttled_until_ms <= now_ms
            and len(state.in_flight) < self.settings.max_in_flight
        ):
            return True
        if not self._update_due(now_ms) and self._sendable(state, now_ms):
            return True
        if self._can_connect(state, now_ms):
            self._connect(state, now_ms)
        return False

    def is_ready(self, node: int, now: float) -> bool:
        """Whether a request may be sent to ``node`` now: a metadata request that is due goes first."""
        now_ms = self._clock.ms(now)
        state = self._nodes.get(node)
        return state is not None and not self._update_due(now_ms) and self._sendable(state, now_ms)

    def sendable(self, node: int, now_ms: int) -> bool:
        """Whether the connection to ``node`` can take a request, whatever the metadata need."""
        return self._sendable(self.node(node), now_ms)

    def send(self, node: int, request: Request, now: float, at: float) -> None:
        """Write ``request`` to the socket of ``node`` at ``at`` (now or later); ``node`` must be ready."""
        state = self._nodes[node]
        if not self._sendable(state, self._clock.ms(now)):
            raise ValueError(f"{self.name}: node {node} is not ready for a request")
        self.write(state, request, now, at)

    def write(self, state: NodeConnection, request: Request, now: float, at: float) -> None:
        """:meth:`send` without the check."""
        self.write_at_ms(state, request, now, self._clock.ms(now), at)

    def write_at_ms(self, state: NodeConnection, request: Request, now: float, now_ms: int, at: float) -> None:
        """:meth:`write` with the clock already read."""
        connection = state.connection
        assert connection is not None
        request.created_at = now
        state.in_flight.append(request)
        self.in_flight += 1
        self.writes += 1
        deadline_ms = now_ms + int(request.timeout_s * 1000.0)
        if deadline_ms < self.timeout_check_ms:
            self.timeout_check_ms = deadline_ms
        if not request.expects_response:
            self.unanswered.append(request)
        connection.send(request, at)

    def has_in_flight(self, node: int) -> bool:
        """Whether a request to ``node`` waits for its answer."""
        state = self._nodes.get(node)
        return state is not None and len(state.in_flight) > 0

    # -- the I/O thread

    def poll(self, now: float) -> None:
        """Take in what has come, run the requests' callbacks, then send a metadata request if one is due."""
        now_ms = self._clock.ms(now)
        self.handle_at_ms(now, now_ms)
        self.update_metadata_at_ms(now, now_ms)

    def poll_timeout(self, now: float) -> float:
        """The time (s) at which to poll again if nothing comes before."""
        now_ms = self._clock.ms(now)
        wait_ms = self.metadata_wait_ms(now_ms)
        return now + min(wait_ms, self.settings.request_timeout_ms) / 1000.0

    def readable(self) -> bool:
        """Whether a poll would find something now."""
        return bool(self.news) or bool(self.aborted)

    def has_unanswered(self) -> bool:
        """Whether a request without an answer (acks=0) is still being written."""
        return bool(self.unanswered)

    def update_metadata(self, now: float) -> int:
        """Send a metadata request if one is due; returns how long (ms) a poll may sleep."""
        return self.update_metadata_at_ms(now, self._clock.ms(now))

    def update_metadata_at_ms(self, now: float, now_ms: int) -> int:
        """:meth:`update_metadata` with the clock already read."""
        metadata = self.metadata
        if not metadata.need_full and not metadata.need_partial and not self._metadata_in_progress:
            # metadata_wait_ms for the common case in line: every pass asks.
            wait_ms = metadata.last_success_ms + self._metadata_max_age_ms - now_ms
            if wait_ms > self._metadata_soon_ms:
                return wait_ms
        wait_ms = self.metadata_wait_ms(now_ms)
        if wait_ms > 0:
            return wait_ms
        node = self.least_loaded_node(now)
        if node == NO_NODE:
            return self.settings.reconnect_backoff_ms
        state = self.node(node)
        if self._sendable(state, now_ms):
            body, partial = self.metadata.next_body(now_ms)
            topics = body.topics or ()
            size_bytes = self._header_bytes() + 4 + sum(19 + len(topic) for topic in topics)
            request = self._internal(METADATA, size_bytes)
            request.body = body
            self._metadata_in_progress = True
            self._metadata_partial = partial
            self._metadata_version = self.metadata.request_version
            self.write(state, request, now, now)
            return self.settings.request_timeout_ms
        if self._any_node_connecting():
            return self.settings.reconnect_backoff_ms
        if self._can_connect(state, now_ms):
            self._connect(state, now_ms)
            return self.settings.reconnect_backoff_ms
        return UNLIMITED

    def handle(self, now: float) -> bool:
        """Take in what has come since the last call and run the callbacks; False if there was nothing.

        At most one response a connection; a connection that broke is told after its last response.
        """
        return self.handle_at_ms(now, self._clock.ms(now))

    def handle_at_ms(self, now: float, now_ms: int) -> bool:
        """:meth:`handle` with the clock already read."""
        if (
            not self.news
            and not self.aborted
            and not self.unanswered
            and now_ms <= self.setup_check_ms
            and now_ms <= self.timeout_check_ms
        ):
            return False
        completed: list[Request] = []
        if self.aborted:
            completed = self.aborted
            self.aborted = []
            self._complete(completed)
            return True
        if self.unanswered:
            completed = self._written(now)
        busy = len(self.news) > 0
        if busy:
            self._take_news(completed, now, now_ms)
        if now_ms > self.setup_check_ms:
            self._check_setups(completed, now_ms)
        if now_ms > self.timeout_check_ms:
            self._check_timeouts(completed, now_ms)
        for request in completed:
            done = request.done
            if done is not None:
                done(request)
        return busy or len(completed) > 0

    def _complete(self, completed: list[Request]) -> None:
        for request in completed:
            done = request.done
            if done is not None:
                done(request)

    def _written(self, now: float) -> list[Request]:
        """Requests without an answer (acks=0) are complete once they are in the socket."""
        completed: list[Request] = []
        waiting: list[Request] = []
        for request in self.unanswered:
            if request.sent_at > now:
                waiting.append(request)
                continue
            connection = request.connection
            assert connection is not None
            state: NodeConnection = connection.context
            in_flight = state.in_flight
            if request in in_flight:
                in_flight.remove(request)
                self.in_flight -= 1
                completed.append(request)
        self.unanswered = waiting
        return completed

    def _take_news(self, completed: list[Request], now: float, now_ms: int) -> None:
        news = self.news
        self.news = []
        if len(news) > 1:
            news.sort(key=_id_of)
        changed: list[NodeConnection] | None = None
        for state in news:
            received = state.received
            if received:
                request = received.popleft()
                state.in_flight.popleft()
                self.in_flight -= 1
                if request.internal or request.throttle_ms > 0:
                    self._receive(state, request, completed, now_ms)
                else:
                    completed.append(request)
                if received or state.lost:
                    self.news.append(state)
                    continue
            elif state.lost or state.opened:
                if changed is None:
                    changed = []
                changed.append(state)
            state.has_news = False
        if changed is not None:
            self._take_changes(changed, completed, now, now_ms)

    def _take_changes(self, changed: list[NodeConnection], completed: list[Request], now: float, now_ms: int) -> None:
        """Connections that broke, then those that are open now."""
        opened = [state for state in changed if not state.lost]
        for state in changed:
            if state.lost:
                self._disconnected(state, now_ms, NETWORK_EXCEPTION, completed)
        for state in opened:
            state.opened = False
            state.state = CHECKING
            self._setup_done(state)
            self.write(state, self._internal(API_VERSIONS, self._header_bytes() + 25), now, now)

    def _receive(self, state: NodeConnection, request: Request, completed: list[Request], now_ms: int) -> None:
        throttle_ms = request.throttle_ms
        if throttle_ms > 0:
            self.throttled_ms += throttle_ms
            self.longest_throttle_ms = max(self.longest_throttle_ms, throttle_ms)
            for other in state.in_flight:
                other.throttled_ms += throttle_ms
            if (
                self.settings.heeds_throttles
                and not request.held_back
                and state.throttled_until_ms < now_ms + throttle_ms
            ):
                state.throttled_until_ms = now_ms + throttle_ms
        if not request.internal:
            completed.append(request)
        elif request.api == METADATA:
            self._metadata_in_progress = False
            reply = request.reply
            if reply is None or not reply.brokers:
                self.metadata.failed_update(now_ms)
                return
            changed = self.metadata.update(self._metadata_version, reply, self._metadata_partial, now_ms)
            by_cause: dict[int, list[str]] = {}
            for tp in changed:
                by_cause.setdefault(reply.causes.get(tp.index, 0), []).append(tp.name)
            for cause in by_cause:
                self.note_learned(by_cause[cause], cause)
        else:
            state.state = READY
            state.failed_attempts = 0
            state.reconnect_backoff_ms = self._reconnect.draw_ms(0)
            self._setup_done(state)

    # -- connections

    def disconnect(self, node: int) -> None:
        """Close the connection to ``node``; its requests fail at the next poll."""
        state = self._nodes.get(node)
        if state is None or state.state == DISCONNECTED:
            return
        now_ms = self._clock.ms(self._scheduler.now)
        self._close(state)
        self._cancel(state, NETWORK_EXCEPTION, self.aborted, now_ms)
        self._mark_disconnected(state, now_ms)
        self._wake()

    def close(self) -> None:
        """Close everything; nothing is called back any more."""
        self.closed = True
        for state in self._nodes.values():
            self._close(state)
            state.in_flight.clear()
            state.received.clear()
        self.news.clear()
        self.aborted.clear()
        self.unanswered.clear()
        self.in_flight = 0

    def crash(self) -> None:
        """The process dies: its kernel closes the sockets."""
        self.close()

    def _disconnected(self, state: NodeConnection, now_ms: int, error: int, completed: list[Request]) -> None:
        self._close(state)
        self._mark_disconnected(state, now_ms)
        self._cancel(state, error, completed, now_ms)
        # A disconnect while an update is due counts as a failed update, so that the next one waits.
        if self._update_due(now_ms):
            self.metadata.failed_update(now_ms)
            self._metadata_in_progress = False
        self.metadata.request_update()

    def _cancel(self, state: NodeConnection, error: int, completed: list[Request], now_ms: int) -> None:
        for request in state.in_flight:
            if not request.internal:
                request.failed = error
                completed.append(request)
            elif request.api == METADATA:
                self.metadata.failed_update(now_ms)
                self._metadata_in_progress = False
        self.in_flight -= len(state.in_flight)
        state.in_flight.clear()

    # -- time-outs, seen only when the I/O thread wakes

    def next_timeout_ms(self) -> int:
        """The clock's reading beyond which something has timed out (an upper bound is not promised to be tight)."""
        timeout_ms = self.timeout_check_ms
        return timeout_ms if timeout_ms < self.setup_check_ms else self.setup_check_ms

    def _check_setups(self, completed: list[Request], now_ms: int) -> None:
        self.setup_check_ms = UNLIMITED
        for state in sorted(self._nodes.values(), key=_id_of):
            if state.state != CONNECTING:
                continue
            if now_ms - state.last_attempt_ms > state.setup_timeout_ms:
                self._disconnected(state, now_ms, self._timeout_error(), completed)
            else:
                self.setup_check_ms = min(self.setup_check_ms, state.last_attempt_ms + state.setup_timeout_ms)

    def _check_timeouts(self, completed: list[Request], now_ms: int) -> None:
        earliest_ms = UNLIMITED
        late: list[NodeConnection] = []
        for state in sorted(self._nodes.values(), key=_id_of):
            node_earliest_ms = UNLIMITED
            for request in state.in_flight:
                deadline_ms = (
                    self._clock.ms(request.created_at) + int(request.timeout_s * 1000.0) + request.throttled_ms
                )
                node_earliest_ms = min(node_earliest_ms, deadline_ms)
            if node_earliest_ms < now_ms:
                late.append(state)
            else:
                earliest_ms = min(earliest_ms, node_earliest_ms)
        self.timeout_check_ms = earliest_ms
        for state in late:
            self._disconnected(state, now_ms, self._timeout_error(), completed)

    def _timeout_error(self) -> int:
        return REQUEST_TIMED_OUT if self.settings.tells_timeouts else NETWORK_EXCEPTION

    def _internal(self, api: int, size_bytes: int) -> Request:
        request = Request(api, size_bytes)
        request.internal = True
        request.timeout_s = self.settings.request_timeout_ms / 1000.0
        return request

    def _header_bytes(self) -> int:
        return 15 + len(self.settings.client_id)


def _id_of(state: NodeConnection) -> int:
    return state.id


__all__ = ["COORDINATOR_IDS", "NONE", "NO_NODE", "NetworkClient"]
