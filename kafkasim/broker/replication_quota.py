"""Replication quotas: how fast throttled replicas are copied (KIP-73).

Stands for ``ReplicationQuotaManager``.  A broker has two: what it sends to followers as a leader and what it takes as a
follower.  Each counts the bytes of throttled partitions, of members of the ISR too, but holds back only replicas that
are out of sync: the leader answers them without data, the follower leaves them out of its fetch.

Left out: ``replica.alter.log.dirs.io.max.bytes.per.second`` (nothing moves between log directories).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kafkasim.broker.sampled_rate import SampledRate
from kafkasim.protocol import TopicPartition

ALL: Final = "*"
_EVERYTHING: Final[tuple[int, ...]] = (-1,)


def throttled_partitions(replicas: Sequence[str], broker_id: int) -> tuple[int, ...]:
    """The partitions that ``*.throttled.replicas`` (``*``, or ``partition:broker`` …) throttles at one broker.

    ``(-1,)`` are all of them.

    >>> throttled_partitions(["0:1", "0:2", "3:1"], 1)
    (0, 3)
    """
    if ALL in replicas:
        return _EVERYTHING
    found: list[int] = []
    for entry in replicas:
        partition, _, broker = entry.partition(":")
        if broker and int(broker) == broker_id:
            found.append(int(partition))
    return tuple(found)


class ReplicationQuota:
    """One direction of one broker: a limit in bytes a second (negative: none) and whom it concerns."""

    def __init__(self, samples: int, window_ms: int, keeps_overlap: bool) -> None:
        self.limit: float = -1.0
        self._samples: int = samples
        self._window_ms: int = window_ms
        self._keeps_overlap: bool = keeps_overlap
        self._topics: dict[str, tuple[int, ...]] = {}
        self._rate = SampledRate(samples, window_ms, False, keeps_overlap)

    def throttle(self, topic: str, partitions: tuple[int, ...]) -> None:
        """These partitions of ``topic`` (``(-1,)``: all) are throttled here, and no others."""
        if partitions:
            self._topics[topic] = partitions
        else:
            self._topics.pop(topic, None)

    def idle(self) -> bool:
        """Whether nothing is throttled."""
        return not self._topics

    def throttles(self, tp: TopicPartition) -> bool:
        """Whether this partition is throttled."""
        partitions = self._topics.get(tp.topic)
        return partitions is not None and (partitions is _EVERYTHING or tp.partition in partitions)

    def exceeded(self, now_ms: int) -> bool:
        """Whether more has gone by than may."""
        return 0.0 <= self.limit < self._rate.per_s(now_ms)

    def record(self, size_bytes: int, now_ms: int) -> None:
        """Bytes of throttled partitions have gone by."""
        self._rate.record(float(size_bytes), now_ms)

    def per_s(self, now_ms: int) -> float:
        """``byte-rate`` of the throttled partitions."""
        return self._rate.per_s(now_ms)

    def crash(self) -> None:
        """The process has died, and what it has measured: the configs are in ZooKeeper."""
        self._rate = SampledRate(self._samples, self._window_ms, False, self._keeps_overlap)
