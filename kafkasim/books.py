"""The end of a run: every log is read, every record counted, what is unfinished is listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafkasim.broker.partition import Partition
from kafkasim.protocol import TopicPartition
from kafkasim.waiting import time_at

if TYPE_CHECKING:
    from kafkasim.cluster import Cluster


class Books:
    """Closes the accounts of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def close_books(self, end_s: float) -> dict[str, object]:
        """The end of the run: read the logs, count every record, list what is unfinished."""
        self._cluster.latency.finish(end_s)
        for tracker in self._cluster.availability.trackers:
            tp = self._cluster.topics.partition(tracker.topic, tracker.partition)
            if tracker.kind == "produce":
                oldest = self._cluster.waiting.oldest_unacknowledged(tracker.client, tp, end_s)
            else:
                oldest = self._cluster.waiting.oldest_undelivered(tracker.client, tp, end_s)
            tracker.finish(end_s, oldest)
        self._close_producers(end_s)
        self._cluster.client_collector.close_unanswered()
        for tp in self._cluster.topics.all():
            if not self._cluster.topics.is_internal(tp.topic):
                self._scan(tp)
        self._note_undelivered(end_s)
        return self._cluster.ledger.close()

    def _close_producers(self, end_s: float) -> None:
        stored = self._stored_batches()
        for producer in self._cluster.producers.values():
            paced = self._cluster.client_collector.is_paced(producer.name)
            topic = producer.spec.topic
            for instance in producer.instances:
                instance.close_books(end_s)
                failed = [(a, b, n) for _, a, b, n in self._cluster.client_collector.failures[instance.client]]
                rows = instance.outstanding(end_s)
                waiting = [(first, last, count) for _, _, _, count, first, last in rows]
                self._cluster.latency.unfinished(
                    topic, "produce", producer.name, failed=failed, censored=waiting, paced=paced
                )
                # What no log holds yet is committed and delivered by nobody either.
                unsent = [(a, b, count) for _, stream, n, count, a, b in rows if (stream, n) not in stored]
                self._cluster.latency.unfinished(
                    topic, "commit", producer.name, failed=failed, censored=unsent, paced=paced
                )
                for group in self._cluster.groups.values():
                    if topic in group.spec.topics:
                        self._cluster.latency.unfinished(topic, "end_to_end", group.name, censored=unsent, paced=paced)

    def _stored_batches(self) -> set[tuple[int, int]]:
        """(stream, first record) of what the leaders' logs hold; what is above a high watermark is not committed."""
        stored: set[tuple[int, int]] = set()
        for tp in self._cluster.topics.all():
            replica = self._cluster.waiting.longest_replica(tp)
            if replica is None or self._cluster.topics.is_internal(tp.topic):
                continue
            for batch in replica.log.batches:
                stored.add((batch.stream, batch.first))
                if not batch.committed and batch.stream >= 0:
                    stream = self._cluster.ledger.streams[batch.stream]
                    span = (batch.first_time, batch.last_time, batch.count)
                    self._cluster.latency.unfinished(
                        tp.topic, "commit", stream.producer, censored=[span],
                        paced=self._cluster.broker_collector.paced[batch.stream],
                    )  # fmt: skip
        return stored

    def _scan(self, tp: TopicPartition) -> None:
        replica = self._cluster.waiting.longest_replica(tp)
        if replica is None:
            return
        leader = self._cluster.board.leader_of(tp.index)
        log = replica.log
        streams = self._cluster.ledger.streams
        batches = [(streams[b.stream], b.first, b.first + b.count, b.base_offset) for b in log.batches if b.stream >= 0]
        positions: dict[str, tuple[int, int]] = {}
        for group in self._cluster.groups.values():
            if tp in group.partitions:
                at = group.position(tp)
                first = self._cluster.client_collector.first_positions.get((group.name, tp.index), 0)
                at = (
                    self._cluster.client_collector.last_delivered.get((group.name, tp.index), first)
                    if at is None
                    else at
                )
                positions[group.name] = (first, max(at, first))
        self._cluster.ledger.scan_log(
            tp.topic, tp.partition, batches, log.log_end_offset, replica.high_watermark, leader is not None,
            positions, log.trimmed_offset,
        )  # fmt: skip

    def _note_undelivered(self, end_s: float) -> None:
        """What lies on the logs above a group's position is unfinished end to end."""
        for group in self._cluster.groups.values():
            spans: dict[str, list[tuple[float, float, int]]] = {}
            for tp in group.partitions:
                replica = self._cluster.waiting.longest_replica(tp)
                position = group.position(tp)
                if replica is None:
                    continue
                log = replica.log
                position = max(position or 0, log.trimmed_offset)
                for batch in log.batches[log.index_of(position) :]:
                    if batch.stream >= 0:
                        skip = max(0, position - batch.base_offset)
                        first = time_at(batch, skip)
                        spans.setdefault(tp.topic, []).append((first, batch.last_time, batch.count - skip))
            for topic, censored in spans.items():
                self._cluster.latency.unfinished(topic, "end_to_end", group.name, censored=censored)

    def diverged(self, topic: str | None, partition: int | None) -> int:
        """Offsets on which two replicas differ below both log ends."""
        total = 0
        for tp in self._cluster.topics.all():
            if (topic is None or tp.topic == topic) and (partition is None or tp.partition == partition):
                total += _diverged(self._cluster.board.replicas[tp.index])
        return total

    def count_streams(self, term: str, topic: str | None, partition: int | None, client: str | None) -> int | None:
        """A ledger term over the streams of one producer or partition; None when it is not kept so."""
        if term != "failed":
            return None
        total = 0
        for stream in self._cluster.ledger.streams:
            if topic not in (None, stream.topic) or client not in (None, stream.producer):
                continue
            if partition is not None and stream.partition != partition:
                if stream.partition is None:
                    return None
                continue
            total += stream.failed.count
        return total


def _diverged(replicas: list[Partition]) -> int:
    total = 0
    for i, one in enumerate(replicas):
        for other in replicas[i + 1 :]:
            end = min(one.log.log_end_offset, other.log.log_end_offset)
            mine = {batch.base_offset: batch for batch in one.log.batches if batch.base_offset < end}
            for batch in other.log.batches:
                if batch.base_offset < end and mine.get(batch.base_offset) is not batch:
                    total += min(batch.count, end - batch.base_offset)
    return total
