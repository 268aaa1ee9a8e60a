"""Who waits since when, and how far back anybody will ever look.

Read off the accumulators, the logs and the consumers' positions when it is asked for: once an
outage, an event's end or a trimming, never for each batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafkasim.broker.partition import Partition
from kafkasim.broker_collector import WaitingTimes
from kafkasim.protocol import RecordBatch, TopicPartition
from kafkasim.record_history import NOT_YET

if TYPE_CHECKING:
    from kafkasim.cluster import Cluster


class Waiting(WaitingTimes):
    """The waiting records of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.kept: dict[str, None] = {}
        """Topics whose replicas will move: a new replica copies the log from its start, so nothing is dropped."""
        for event in cluster.scenario.events:
            if event.verb == "reassign" and event.order is not None:
                self.kept.update(dict.fromkeys(event.order.topics))

    def longest_replica(self, tp: TopicPartition) -> Partition | None:
        """The replica that leads ``tp``, or the longest one when none does."""
        leader = self._cluster.board.leader_of(tp.index)
        if leader is not None:
            return leader
        replicas = self._cluster.board.replicas[tp.index]
        return max(replicas, key=lambda replica: replica.log.log_end_offset, default=None)

    def anybody_waits_since(self, time: float) -> bool:
        """Whether a record intended by ``time`` (s) still waits to be acknowledged or delivered."""
        now = self._cluster.env.now
        for tracker in self._cluster.availability.trackers:
            tp = self._cluster.topics.partition(tracker.topic, tracker.partition)
            if tracker.kind == "produce":
                oldest = self.oldest_unacknowledged(tracker.client, tp, now)
            else:
                oldest = self.oldest_undelivered(tracker.client, tp, now) if tracker.started else None
            if oldest is not None and oldest <= time:
                return True
        return False

    def oldest_unacknowledged(self, producer: str, tp: TopicPartition, now: float) -> float | None:
        """Intended time of the oldest record of ``producer`` that is neither acknowledged nor failed."""
        known = [instance.oldest_waiting(tp, now) for instance in self._cluster.producers[producer].instances]
        times = [time for time in known if time is not None]
        return min(times, default=None)

    def oldest_undelivered(self, group: str, tp: TopicPartition, now: float) -> float | None:
        """Intended time of the oldest record of ``tp`` that ``group`` still has to be given."""
        times: list[float] = []
        for producer in self._cluster.producers.values():
            if tp in producer.partitions:
                waiting = self.oldest_unacknowledged(producer.name, tp, now)
                if waiting is not None:
                    times.append(waiting)
        replica = self.longest_replica(tp)
        position = self._cluster.groups[group].position(tp)
        if replica is not None and position is not None:
            position = max(position, replica.log.trimmed_offset)
            if position < replica.log.log_end_offset:
                batch = replica.log.batches[replica.log.index_of(position)]
                if batch.stream >= 0:
                    times.append(time_at(batch, max(0, position - batch.base_offset)))
        return min(times, default=None)

    def late_starts(self, tp: TopicPartition) -> list[tuple[str, int]]:
        """(group, first position) of the groups that did not begin at the start of ``tp``."""
        known = self._cluster.client_collector.first_positions
        starts = [(name, known.get((name, tp.index), 0)) for name in self._cluster.groups]
        return [(name, start) for name, start in starts if start > 0]

    def first_positions(self, tp: TopicPartition) -> list[tuple[str, int]]:
        """(group, first position) of all groups that read ``tp``; ``NOT_YET`` where there is none so far."""
        known = self._cluster.client_collector.first_positions
        groups = self._cluster.groups
        return [(name, known.get((name, tp.index), NOT_YET)) for name in groups if tp in groups[name].partitions]

    def target(self, client: int, tp: TopicPartition) -> int:
        """The broker to which producer instance ``client`` sends records of ``tp`` now."""
        for producer in self._cluster.producers.values():
            for instance in producer.instances:
                if instance.client == client:
                    return instance.network_client.metadata.leader(tp)
        return -1

    def reach(self, tp: TopicPartition) -> int:
        """The offset below which no reader will ever look again: committed offsets, positions without a group."""
        if tp.topic in self.kept:
            return 0
        lowest = 1 << 62
        for group in self._cluster.groups.values():
            if tp not in group.partitions:
                continue
            if group.spec.group is None:
                position = group.position(tp)
                lowest = min(lowest, position if position is not None else 0)
            else:
                lowest = min(lowest, self.committed(group.name, tp))
        return lowest

    def committed(self, group: str, tp: TopicPartition) -> int:
        """The group's committed offset as its coordinator knows it; 0 when none is loaded."""
        for broker_id in self._cluster.broker_ids:
            known = self._cluster.brokers[broker_id].coordinator.groups.get(group)
            if known is not None:
                offset = known.offsets.get(tp.index)
                return offset[0] if offset is not None else 0
        return 0


def time_at(batch: RecordBatch, record: int) -> float:
    """Intended time (s) of record ``record`` of a batch, as if they were evenly spaced."""
    if batch.count <= 1:
        return batch.first_time
    return batch.first_time + (batch.last_time - batch.first_time) * record / (batch.count - 1)
