"""How things stand: replicas, leaders and ISRs of every partition, as nobody in the cluster knows them all."""

from __future__ import annotations

from collections.abc import Callable

from kafkasim.broker.partition import LEADER, Partition
from kafkasim.topics import Topics


class Board:
    """The replicas and the leader of every partition, as things stand (not as anybody believes).

    ``factor`` is the number of replicas a partition should have in sync (0: it does not exist); ``not_whole`` counts
    those without a leader or without a full ISR, ``under_replicated`` those that have a leader and no full ISR.
    ``changed`` are partitions whose leader or ISR is another one since somebody cleared it, ``written`` those that
    have ever held a record.
    """

    def __init__(self, topics: Topics) -> None:
        count = len(topics)
        self.topics = topics
        self.leaders: list[int] = [-1] * count
        self.replicas: list[list[Partition]] = [[] for _ in range(count)]
        self.factor: list[int] = [0] * count
        self.isr_size: list[int] = [0] * count
        self.version: int = 0
        self.not_whole: int = 0
        self.under_replicated: int = 0
        self.changed: dict[int, None] = {}
        self.written: dict[int, None] = {}
        self.listener: Callable[[int], None] | None = None
        """Told of each partition that was looked at again."""
        self._not_whole: list[bool] = [False] * count
        self._under_replicated: list[bool] = [False] * count

    def leader_of(self, index: int) -> Partition | None:
        """The replica that leads now, of the newest epoch; None when no process does."""
        best: Partition | None = None
        for partition in self.replicas[index]:
            if partition.role == LEADER and (best is None or partition.leader_epoch > best.leader_epoch):
                best = partition
        return best

    def under_replicated_at_leaders(self) -> int:
        """UnderReplicatedPartitions, summed over live leaders: partitions whose ISR there is not full."""
        return self.under_replicated

    def settle(self, index: int, factor: int) -> None:
        """A partition of the settled start, with its replicas in place."""
        self.factor[index] = factor
        self.refresh(index)

    def add(self, partition: Partition) -> None:
        """A broker has got a replica."""
        index = partition.tp.index
        self.replicas[index].append(partition)
        if self.factor[index] == 0:
            self.factor[index] = 1
        self.refresh(index)

    def remove(self, partition: Partition) -> None:
        """A broker has deleted a replica; with the last one the partition is gone."""
        index = partition.tp.index
        self.replicas[index].remove(partition)
        if not self.replicas[index]:
            self.factor[index] = 0
        self.refresh(index)

    def refresh(self, index: int) -> Partition | None:
        """Look again at a partition's leader and ISR; returns the leader."""
        leader = self.leader_of(index)
        self.version += 1
        self.changed[index] = None
        short = False
        if leader is None:
            self.leaders[index] = -1
            self.isr_size[index] = 0
        else:
            self.leaders[index] = leader.broker_id
            self.isr_size[index] = len(leader.in_sync_replicas)
            self.factor[index] = len(leader.replicas) - len(leader.adding)
            short = self.isr_size[index] < self.factor[index]
        broken = self.factor[index] > 0 and (leader is None or short)
        if broken != self._not_whole[index]:
            self._not_whole[index] = broken
            self.not_whole += 1 if broken else -1
        if short != self._under_replicated[index]:
            self._under_replicated[index] = short
            self.under_replicated += 1 if short else -1
        if self.listener is not None:
            self.listener(index)
        return leader
