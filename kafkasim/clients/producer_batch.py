"""A batch in the producer's hands, and the queue of batches of one partition.

Stands for ``ProducerBatch`` and the deques of ``RecordAccumulator``, together with what
``TransactionManager`` keeps for a partition (``TxnPartitionEntry``).
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

from kafkasim.clients.batch_size import BATCH_OVERHEAD
from kafkasim.clients.java_hash import topic_partition_hash
from kafkasim.protocol import RecordBatch, TopicPartition

NO_SEQUENCE: Final = -1
UNDECIDED: Final = 0
SUCCEEDED: Final = 1
FAILED: Final = 2


class ProducerBatch:
    """Records of one partition on their way, from the first one to the callback.

    While it is ``open`` its content is read off the arrivals when needed: ``count`` and
    ``size`` are then what has been settled so far; ``close_at`` is the number of the first
    record that will not fit (-1: not worked out yet).  Times in ms are the client's clock.
    ``quick``: every record is accepted at its intended time, so a batch whose timestamps end
    before ``short_until`` has the closed form's size.
    """

    retried: bool = False
    sequence_was_reset: bool = False

    def __init__(
        self, queue: PartitionQueue, stream: int, first: int, first_time: float, base_ms: int, created_ms: int,
        limit: int,
    ) -> None:  # fmt: skip
        self.queue = queue
        self.stream: int = stream
        self.first: int = first
        self.first_time: float = first_time
        self.last_time: float = first_time
        self.base_ms: int = base_ms
        self.created_ms: int = created_ms
        self.limit: int = limit
        self.lengths: list[tuple[int, int, int, float]] = []
        """Of a listed load's records: (timestamp ms, key size, value size, intended time)."""
        self.last_attempt_ms: int = created_ms
        self.count: int = 0
        self.size: int = BATCH_OVERHEAD
        self.close_at: int = -1
        self.fills_exactly: bool = False
        self.quick: bool = False
        self.short_until: float = 0.0
        self.open: bool = True
        self.full: bool = False
        self.split: bool = False
        self.attempts: int = 0
        self.leader_epoch: int = -1
        self.attempts_at_leader_change: int = 0
        self.producer_id: int = -1
        self.producer_epoch: int = -1
        self.base_sequence: int = NO_SEQUENCE
        self.outcome: int = UNDECIDED
        self.records: RecordBatch | None = None

    def built(self) -> RecordBatch:
        """The record batch to send: a new object for every attempt, since a log may hold the last one."""
        records = RecordBatch(
            self.stream,
            self.first,
            self.count,
            self.size,
            self.first_time,
            self.last_time,
            self.producer_id,
            self.producer_epoch,
            self.base_sequence,
        )
        self.records = records
        return records


class PartitionQueue:
    """Batches of one partition that wait, those in flight, and its place in the sequence.

    ``open`` is the last batch while it still accepts records.  ``cursor`` is the number of the
    first record of the partition's stream that no batch has been closed over (streams of one
    partition only).  ``slot`` is its place in the accumulator's list.  ``next_event`` is when the
    application thread does something that wakes the I/O thread.
    """

    def __init__(self, tp: TopicPartition, position: int) -> None:
        self.tp = tp
        self.position: int = position
        self.slot: int = 0
        self.hash: int = topic_partition_hash(tp.topic, tp.partition)
        self.batches: deque[ProducerBatch] = deque()
        self.open: ProducerBatch | None = None
        self.in_flight: list[ProducerBatch] = []
        self.muted: bool = False
        self.active: bool = False
        self.used: bool = False
        self.cursor: int = 0
        self.stream: int = -1
        self.next_event: float = inf
        self.version: int = 0
        self.leader: int = -1
        self.leader_epoch: int = -1
        self.drain_position: int = 0
        # idempotence
        self.producer_id: int = -1
        self.producer_epoch: int = -1
        self.next_sequence: int = 0
        self.last_acked_sequence: int = -1
        self.sequenced: list[ProducerBatch] = []
        self.unresolved_sequence: int = -1


def position_of(queue: PartitionQueue) -> int:
    """Sort key: queues by partition number."""
    return queue.position


def sequence_of(batch: ProducerBatch) -> tuple[int, int, int]:
    """Sort key: batches in flight by producer id, epoch and sequence."""
    return batch.producer_id, batch.producer_epoch, batch.base_sequence
