"""How things stand: the replicas, leader and ISR of every partition, whatever anybody believes."""

from __future__ import annotations

from kafkasim.broker.partition import LEADER, Partition
from kafkasim.topics import Topics


class Board:
    """The replicas and the leader of every partition."""

    def __init__(self, topics: Topics) -> None:
        count = len(topics)
        self.topics = topics
        self.leaders: list[int] = [-1] * count
        self.replicas: list[list[Partition]] = [[] for _ in range(count)]
        self.factor: list[int] = [0] * count
        self.isr_size: list[int] = [0] * count
        self.version: int = 0

    def leader_of(self, index: int) -> Partition | None:
        """The replica that leads now, of the newest epoch; None when no process does."""
        best: Partition | None = None
        for partition in self.replicas[index]:
            if partition.role == LEADER and (best is None or partition.leader_epoch > best.leader_epoch):
                best = partition
        return best

    def under_replicated_at_leaders(self) -> int:
        """UnderReplicatedPartitions, summed over live leaders: partitions whose ISR there is not full."""
        return sum(
            1 for index, factor in enumerate(self.factor) if self.leaders[index] >= 0 and self.isr_size[index] < factor
        )

    def refresh(self, index: int) -> None:
        """Look again at a partition's leader and ISR."""
        leader = self.leader_of(index)
        self.version += 1
        self.leaders[index] = -1 if leader is None else leader.broker_id
        self.isr_size[index] = 0 if leader is None else len(leader.in_sync_replicas)
