"""What the replica manager tells, and asks, the rest of its broker."""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from kafkasim.broker.isr_locks import IsrGrowth
from kafkasim.broker.partition import Partition
from kafkasim.protocol import Request, TopicPartition


@mypyc_attr(allow_interpreted_subclasses=True)
class ReplicaListener:
    """What the replica manager tells the rest of the broker."""

    def may_expand(self, partition: Partition, broker_id: int, now: float, cause: int) -> None:
        """A follower outside the ISR has caught up; ``cause`` is what made it follow."""
        raise NotImplementedError

    def grow(self, request: Request, wanted: list[IsrGrowth], now: float) -> None:
        """A fetch has found followers that belong into the ISR; its handler is held until that is written (< 2.7)."""
        raise NotImplementedError

    def internal_done(self, number: int, error: int, now: float) -> None:
        """An internal append is committed or has failed."""
        raise NotImplementedError

    def hint(self, tp: TopicPartition) -> tuple[int, int]:
        """(leader, leader epoch) that this broker knows of ``tp`` (KIP-951); (-1, -1) unknown."""
        raise NotImplementedError

    def knows(self, tp: TopicPartition) -> bool:
        """Whether the cluster has such a partition, as far as this broker has been told."""
        return True

    def service(self, request: Request) -> float:
        """A handler's seconds for a request that is neither Produce nor Fetch, until its effect."""
        raise NotImplementedError

    def handle(self, request: Request) -> float:
        """The effect of such a request; returns for how long the handler is held after it (s)."""
        raise NotImplementedError
