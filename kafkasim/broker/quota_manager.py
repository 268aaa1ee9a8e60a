"""Client quotas: how long a client has to hold off after a request, by what its entity has used of its quota.

Stands for ``ClientQuotaManager`` and ``ClientRequestQuotaManager`` with the default callback.  A quota belongs to an
entity (user, client-id); who shares an entity's quota shares one rate, at each broker for itself.  What exceeds it is
not refused: the client is made to wait until the rate is what it may be (KIP-13, KIP-124, KIP-219).

Everybody's user is ``ANONYMOUS``, as on a plain-text listener.  Left out: ``controller_mutation_rate``, quotas that
change in a run, callbacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kafkasim.broker.sampled_rate import SampledRate
from kafkasim.scenario.model import QuotaSpec

ANONYMOUS: Final = "ANONYMOUS"
DEFAULT: Final = "default"
"""How a scenario names the default entity (``<default>`` in Kafka's tools)."""

PRODUCER_BYTE_RATE: Final = "producer_byte_rate"
CONSUMER_BYTE_RATE: Final = "consumer_byte_rate"
REQUEST_PERCENTAGE: Final = "request_percentage"

# (user, client-id) of the entities that are asked for a quota, most special first; and who shares its rate.
_ORDER: Final = (
    ("exact", "exact"), ("exact", "default"), ("exact", None), ("default", "exact"), ("default", "default"),
    ("default", None), (None, "exact"), (None, "default"),
)  # fmt: skip


class QuotaSensor:
    """The rate of one entity for one quota, and the throttle times that it has led to.

    ``limit`` is in bytes a second, or in percent of one thread; ``longest_throttle_ms`` is what is never exceeded.
    """

    def __init__(self, limit: float, rate: SampledRate, longest_throttle_ms: int = -1) -> None:
        self.limit: float = limit
        self.throttles: int = 0
        self.throttled_ms: int = 0
        self._rate = rate
        self._longest_throttle_ms: int = longest_throttle_ms

    def record(self, value: float, now_ms: int) -> None:
        """Add ``value`` without looking whether that is too much (negative: take it back)."""
        self._rate.record(value, now_ms)

    def throttle_ms(self, value: float, now_ms: int) -> int:
        """Add ``value``; returns for how long the client has to hold off: (O - T) / T x W, rounded."""
        rate = self._rate
        rate.record(value, now_ms)
        observed = rate.per_s(now_ms)
        limit = self.limit
        if observed <= limit:
            return 0
        excess_ms = (observed - limit) / limit * rate.span_ms(now_ms)
        wait_ms = int(excess_ms + 0.5)
        if 0 <= self._longest_throttle_ms < wait_ms:
            wait_ms = self._longest_throttle_ms
        return wait_ms

    def note(self, throttle_ms: int) -> None:
        """A client has been throttled because of this quota (``throttle-time``)."""
        self.throttles += 1
        self.throttled_ms += throttle_ms

    def per_s(self, now_ms: int) -> float:
        """The rate as it is measured now (``byte-rate``, ``request-time``)."""
        return self._rate.per_s(now_ms)


class ClientSensors:
    """The quotas that hold for one client-id; None where there is none."""

    def __init__(
        self, produce: QuotaSensor | None, fetch: QuotaSensor | None, request: QuotaSensor | None, most_fetch_bytes: int
    ) -> None:
        self.produce = produce
        self.fetch = fetch
        self.request = request
        self.most_fetch_bytes: int = most_fetch_bytes
        """What can be fetched at most without being throttled if the windows were empty."""


class ClientQuotas:
    """The client quotas of one broker's process.

    ``samples`` windows of ``window_ms`` (``quota.window.num``, ``quota.window.size.seconds``).  ``static`` are the
    defaults for client-ids of ``quota.producer.default`` and ``quota.consumer.default`` (up to 2.8), by quota.
    ``mutes`` (2.0 and later): an answer leaves at once and the channel is muted; before, the answer was delayed.
    """

    def __init__(
        self, specs: Sequence[QuotaSpec], samples: int, window_ms: int, keeps_overlap: bool, mutes: bool = True,
        caps_fetches: bool = True, static: dict[str, float] | None = None,
    ) -> None:  # fmt: skip
        self.mutes: bool = mutes
        self._samples: int = samples
        self._window_ms: int = window_ms
        self._keeps_overlap: bool = keeps_overlap
        self._caps_fetches: bool = caps_fetches
        self._static = {} if static is None else static
        self._specs: dict[tuple[str | None, str | None], QuotaSpec] = {(s.user, s.client_id): s for s in specs}
        self._clients: dict[str, ClientSensors] = {}
        self._sensors: dict[tuple[str, str, str], QuotaSensor] = {}

    def of(self, client_id: str) -> ClientSensors | None:
        """The quotas of a client; None if none holds for it, or for a broker (no client-id)."""
        if not client_id:
            return None
        known = self._clients.get(client_id)
        if known is None:
            fetch = self._sensor(CONSUMER_BYTE_RATE, client_id)
            most = 1 << 62
            if fetch is not None and self._caps_fetches:
                most = int(fetch.limit * (self._samples - 1) * self._window_ms / 1000)
            known = self._clients[client_id] = ClientSensors(
                self._sensor(PRODUCER_BYTE_RATE, client_id), fetch, self._sensor(REQUEST_PERCENTAGE, client_id), most
            )
        if known.produce is None and known.fetch is None and known.request is None:
            return None
        return known

    def sensors(self) -> list[tuple[str, str, str, QuotaSensor]]:
        """(quota, user, client-id, sensor) of every entity that has been seen; ``""`` where it has no such part."""
        return [(*key, sensor) for key, sensor in self._sensors.items()]

    def crash(self) -> None:
        """The process has died, and all it has measured."""
        self._clients.clear()
        self._sensors.clear()

    def _sensor(self, quota: str, client_id: str) -> QuotaSensor | None:
        limit, user, named = self._limit(quota, client_id)
        if limit < 0.0:
            return None
        key = (quota, user, named)
        sensor = self._sensors.get(key)
        if sensor is None:
            rate = SampledRate(self._samples, self._window_ms, True, self._keeps_overlap)
            longest_ms = self._window_ms if quota == REQUEST_PERCENTAGE else -1
            sensor = self._sensors[key] = QuotaSensor(limit, rate, longest_ms)
        return sensor

    def _limit(self, quota: str, client_id: str) -> tuple[float, str, str]:
        """The limit (negative: none) and whose it is: the entity of the first in Kafka's order that has one."""
        for user_part, client_part in _ORDER:
            user = ANONYMOUS if user_part == "exact" else user_part
            client = client_id if client_part == "exact" else client_part
            spec = self._specs.get((user, client))
            if spec is None:
                continue
            limit = spec.limits.get(quota)
            if limit is not None:
                return limit, "" if user is None else ANONYMOUS, "" if client is None else client_id
        return self._static.get(quota, -1.0), "", client_id
