"""What a client's connections and metadata are configured with, and which release's rules hold.

Stands for the part of Kafka's ``CommonClientConfigs`` that ``NetworkClient``, ``Metadata``
and ``ClusterConnectionStates`` read.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Any, Final

from kafkasim.kernel.streams import Stream

JITTER: Final = 0.2
"""Kafka's share of randomness in every exponential back-off."""
KERNEL_CONNECT_MS: Final = 127000
"""Linux gives a connection up after six unanswered requests more, 1, 2, 4 … s apart (``tcp_syn_retries``)."""
UNLIMITED: Final = 1 << 62
"""A waiting time (ms) that stands for ``Long.MAX_VALUE``."""


def release(version: Any) -> tuple[int, int, int]:
    """A release as (major, minor, patch), from a :class:`~kafkasim.scenario.versions.Version` or a tuple."""
    if isinstance(version, tuple):
        padded = (*version, 0, 0, 0)
        return int(padded[0]), int(padded[1]), int(padded[2])
    return int(version.major), int(version.minor), int(version.patch)


class ClientSettings:
    """Times in milliseconds, by their configs' names; release switches by what they mean.

    ``jitter`` and ``random_order`` are Kafka's own randomness (back-offs; choice among equal
    nodes); tests against recorded traces switch them off.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        version: Any,
        max_in_flight: int,
        client_id: str = "client-1",
        jitter: float = JITTER,
        random_order: bool = True,
    ) -> None:
        number = release(version)
        self.version: tuple[int, int, int] = number
        self.client_id: str = client_id
        self.max_in_flight: int = max_in_flight
        self.request_timeout_ms: int = int(config.get("request.timeout.ms", 30000))
        self.retry_backoff_ms: int = int(config.get("retry.backoff.ms", 100))
        retry_max_ms = int(config.get("retry.backoff.max.ms", 1000))
        # The retry back-off is a constant before 3.7, and where the maximum is not above it.
        self.retry_backoff_max_ms: int = retry_max_ms if number >= (3, 7, 0) else self.retry_backoff_ms
        self.receive_buffer_bytes: int = max(0, int(config.get("receive.buffer.bytes", 0)))
        self.reconnect_backoff_ms: int = int(config.get("reconnect.backoff.ms", 50))
        self.reconnect_backoff_max_ms: int = int(config.get("reconnect.backoff.max.ms", 1000))
        self.setup_timeout_ms: int = int(config.get("socket.connection.setup.timeout.ms", 10000))
        setup_max_default = 127000 if number < (2, 8, 0) else 30000
        self.setup_timeout_max_ms: int = int(config.get("socket.connection.setup.timeout.max.ms", setup_max_default))
        if number < (2, 7, 0):  # a connection that nobody answers ends when the kernel gives up
            self.setup_timeout_ms = self.setup_timeout_max_ms = KERNEL_CONNECT_MS
        if number < (0, 11, 0):
            self.reconnect_backoff_max_ms = self.reconnect_backoff_ms
        self.metadata_max_age_ms: int = int(config.get("metadata.max.age.ms", 300000))
        self.jitter: float = jitter
        self.random_order: bool = random_order
        self.cuts_at_maximum: bool = number >= (3, 8, 0)
        self.counts_equivalent_responses: bool = number >= (3, 7, 0)
        self.uses_leader_hints: bool = number >= (3, 7, 0)
        self.heeds_throttles: bool = number >= (2, 0, 0)
        """Nothing is sent to a node for the throttle time of its last answer (KIP-219)."""
        self.tells_timeouts: bool = number >= (3, 5, 0)
        # Leader epochs: remembered from metadata (2.2, KIP-320); from 2.4 on only those of brokers 2.4 and later.
        self.remembers_epochs: bool = number >= (2, 2, 0)
        self.distrusts_old_epochs: bool = number >= (2, 4, 0)
        self.minds_epochs: bool = number >= (2, 3, 0)


class Backoff:
    """Kafka's ``ExponentialBackoff``: initial × 2^n × (0.8 … 1.2), a plateau at the maximum.

    A maximum that is not above the initial value makes it constant, without jitter.
    """

    def __init__(self, initial_ms: int, maximum_ms: int, settings: ClientSettings, draws: Stream) -> None:
        self.initial_ms: int = min(initial_ms, maximum_ms)
        self.maximum_ms: int = maximum_ms
        self._cuts: bool = settings.cuts_at_maximum
        self._jitter: float = settings.jitter
        self._draws = draws
        self._exponents: float = 0.0
        if maximum_ms > initial_ms:
            self._exponents = log(maximum_ms / float(max(initial_ms, 1))) / log(2.0)

    def draw_ms(self, attempts: int) -> int:
        """The pause (ms) after ``attempts`` earlier ones."""
        if self._exponents == 0.0:
            return self.initial_ms
        term: float = self.initial_ms * 2.0 ** min(float(attempts), self._exponents)
        if self._jitter > 0.0:
            term *= self._draws.uniform(1.0 - self._jitter, 1.0 + self._jitter)
        value = int(term)
        return min(value, self.maximum_ms) if self._cuts else value

    def most_ms(self, attempts: int) -> int:
        """The longest pause that :meth:`draw_ms` can give."""
        if self._exponents == 0.0:
            return self.initial_ms
        term: float = self.initial_ms * 2.0 ** min(float(attempts), self._exponents)
        value = int(term * (1.0 + self._jitter))
        return min(value, self.maximum_ms) if self._cuts else value

    def least_ms(self, attempts: int) -> int:
        """The shortest pause that :meth:`draw_ms` can give."""
        if self._exponents == 0.0:
            return self.initial_ms
        term: float = self.initial_ms * 2.0 ** min(float(attempts), self._exponents)
        value = int(term * (1.0 - self._jitter))
        return min(value, self.maximum_ms) if self._cuts else value
