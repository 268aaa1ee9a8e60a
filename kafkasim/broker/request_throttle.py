"""What client quotas make of an answer: a throttle time, and whether the answer leaves at once.

Stands for the part of ``KafkaApis`` and ``RequestHandlerHelper`` that records a request with the quota managers.
The larger of the throttle times for bytes and for request time holds.  Replication and what brokers ask each other
are exempt.

Approximation: a network thread's time for a request is what reading it and writing its answer cost by themselves.
"""

from __future__ import annotations

from collections.abc import Callable

from kafkasim.broker.quota_manager import ClientQuotas, ClientSensors, QuotaSensor
from kafkasim.connection import Connection
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.protocol import Request

_PREFIX_BYTES = 4  # a request's size does not count its own length field


class RequestThrottle:
    """The client quotas of one broker's process, as its request handlers meet them."""

    def __init__(
        self, scheduler: Scheduler, quotas: ClientQuotas, clock: Clock, network_s: float,
        handler: Callable[[Request], float],
    ) -> None:  # fmt: skip
        self.quotas = quotas
        self.mutes: bool = quotas.mutes
        self._scheduler = scheduler
        self._handler = handler
        self._clock = clock
        self._network_s: float = network_s

    def sensors(self, connection: Connection) -> ClientSensors | None:
        """The quotas of whoever has connected."""
        return self.quotas.of(connection.owner.client_id)

    def handle(self, request: Request) -> float:
        """What a request handler does, and how long it has taken for a request that waits now (``local_s``)."""
        held_s = self._handler(request)
        if held_s >= 0.0:
            request.local_s = self._scheduler.now + held_s - request.started_at
        return held_s

    def produce(self, request: Request, size_bytes: int, expects_response: bool, at: float) -> None:
        """A produce request is answered at ``at``; ``acks=0`` is held to its bytes alone."""
        sensors = self._of(request)
        if sensors is None:
            return
        now_ms = self._clock.ms(at)
        bytes_ms = 0
        if sensors.produce is not None:
            bytes_ms = sensors.produce.throttle_ms(float(size_bytes - _PREFIX_BYTES), now_ms)
        time_ms = self._request_ms(sensors, request, at, now_ms) if expects_response else 0
        self._impose(request, sensors.produce, bytes_ms, sensors.request, time_ms)

    def fetch(self, request: Request, size_bytes: int, at: float) -> bool:
        """A consumer's fetch is answered at ``at`` with so many bytes; True: it gets none of them (2.0 and later)."""
        sensors = self._of(request)
        if sensors is None:
            return False
        now_ms = self._clock.ms(at)
        time_ms = self._request_ms(sensors, request, at, now_ms)
        bytes_ms = 0
        if sensors.fetch is not None:
            bytes_ms = sensors.fetch.throttle_ms(float(size_bytes), now_ms)
        if bytes_ms == 0 and time_ms == 0:
            return False
        if self.mutes and sensors.fetch is not None:
            sensors.fetch.record(-float(size_bytes), now_ms)
        self._impose(request, sensors.fetch, bytes_ms, sensors.request, time_ms)
        return self.mutes

    def other(self, request: Request, at: float) -> None:
        """Any other request of a client: its time alone counts."""
        sensors = self._of(request)
        if sensors is not None:
            now_ms = self._clock.ms(at)
            self._impose(request, None, 0, sensors.request, self._request_ms(sensors, request, at, now_ms))

    def crash(self) -> None:
        """The process has died."""
        self.quotas.crash()

    def _of(self, request: Request) -> ClientSensors | None:
        connection = request.connection
        if connection is None:
            return None
        quota = connection.quota
        return quota if isinstance(quota, ClientSensors) else None

    def _request_ms(self, sensors: ClientSensors, request: Request, at: float, now_ms: int) -> int:
        sensor = sensors.request
        if sensor is None:
            return 0
        handler_s = request.local_s if request.local_s >= 0.0 else at - request.started_at
        throttle_ms = sensor.throttle_ms(100.0 * handler_s, now_ms)
        sensor.record(100.0 * self._network_s, now_ms)
        return throttle_ms

    def _impose(
        self, request: Request, by_bytes: QuotaSensor | None, bytes_ms: int, by_time: QuotaSensor | None, time_ms: int
    ) -> None:
        if bytes_ms <= 0 and time_ms <= 0:
            return
        sensor = by_bytes if bytes_ms > time_ms else by_time
        request.throttle_ms = bytes_ms if bytes_ms > time_ms else time_ms
        request.held_back = not self.mutes
        if sensor is not None:
            sensor.note(request.throttle_ms)
