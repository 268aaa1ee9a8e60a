"""Producer id, epoch and sequence numbers of an idempotent producer.

Stands for the idempotent half of Kafka's ``TransactionManager``.  Left out: transactions,
a producer epoch that reaches 32767, UNKNOWN_PRODUCER_ID (brokers before 2.5).
"""

from __future__ import annotations

from typing import Final

from kafkasim.clients.producer_batch import NO_SEQUENCE, PartitionQueue, ProducerBatch, sequence_of
from kafkasim.protocol import OUT_OF_ORDER_SEQUENCE_NUMBER, RETRIABLE

_SEQUENCES: Final = 1 << 31
"""Sequence numbers wrap from the largest 32-bit number to 0."""


class Idempotence:
    """Which sequence every batch gets, and what a failure does to those behind it.

    Per partition the state lives in its :class:`PartitionQueue`.  :meth:`before_pass` has something
    to do only while ``unresolved`` or ``bump_required``.
    """

    def __init__(self) -> None:
        self.producer_id: int = -1
        self.producer_epoch: int = -1
        self.fatal: bool = False
        self.initializing: bool = False
        self.unresolved: list[PartitionQueue] = []
        self._to_rewrite: list[PartitionQueue] = []
        self.bump_required: bool = False

    def has_producer_id(self) -> bool:
        """Whether batches can be given sequences."""
        return self.producer_id >= 0

    def set_producer_id(self, producer_id: int, producer_epoch: int) -> None:
        """InitProducerId has been answered."""
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.initializing = False

    def before_pass(self) -> None:
        """What the I/O thread does first: resolve stuck sequences, bump the epoch if that is required."""
        if self.unresolved:
            self._resolve()
        if self.bump_required:
            self._bump()

    def _resolve(self) -> None:
        still: list[PartitionQueue] = []
        for queue in self.unresolved:
            if queue.sequenced:
                still.append(queue)
                continue
            queue.unresolved_sequence = -1
            if queue.next_sequence - queue.last_acked_sequence != 1:
                self.request_bump(queue)
        self.unresolved = still

    def request_bump(self, queue: PartitionQueue) -> None:
        """The epoch must be bumped because of ``queue``, whose batches in flight are renumbered then."""
        self.bump_required = True
        if queue not in self._to_rewrite:
            self._to_rewrite.append(queue)

    def _bump(self) -> None:
        self.producer_epoch += 1
        for queue in self._to_rewrite:
            self._restart(queue)
            queue.unresolved_sequence = -1
        self.unresolved = [queue for queue in self.unresolved if queue.unresolved_sequence >= 0]
        self._to_rewrite = []
        self.bump_required = False

    def _restart(self, queue: PartitionQueue) -> None:
        sequence = 0
        for batch in queue.sequenced:
            batch.producer_id = self.producer_id
            batch.producer_epoch = self.producer_epoch
            batch.base_sequence = sequence
            batch.sequence_was_reset = True
            sequence += batch.count
        queue.producer_id = self.producer_id
        queue.producer_epoch = self.producer_epoch
        queue.next_sequence = sequence
        queue.last_acked_sequence = -1

    def stops_drain(self, queue: PartitionQueue, first: ProducerBatch) -> bool:
        """Whether the first batch of ``queue`` may not be sent yet: this stops the drain of the whole node."""
        if self.producer_id < 0:
            return True
        sequenced = queue.sequenced
        if first.base_sequence == NO_SEQUENCE:
            if sequenced and (queue.producer_id != self.producer_id or queue.producer_epoch != self.producer_epoch):
                return True  # renumbered only when nothing of the old epoch is left
            return queue.unresolved_sequence >= 0
        return bool(sequenced) and first.base_sequence != sequenced[0].base_sequence

    def assign(self, queue: PartitionQueue, batch: ProducerBatch) -> None:
        """Give a batch that is drained for the first time its sequence."""
        producer_id = self.producer_id
        producer_epoch = self.producer_epoch
        sequenced = queue.sequenced
        if not sequenced and (queue.producer_id != producer_id or queue.producer_epoch != producer_epoch):
            self._restart(queue)
        sequence = queue.next_sequence
        batch.producer_id = producer_id
        batch.producer_epoch = producer_epoch
        batch.base_sequence = sequence
        queue.next_sequence = (sequence + batch.count) % _SEQUENCES
        sequenced.append(batch)

    def track(self, batch: ProducerBatch) -> None:
        """A batch made by splitting another one has its sequence already."""
        sequenced = batch.queue.sequenced
        sequenced.append(batch)
        sequenced.sort(key=sequence_of)

    def untrack(self, batch: ProducerBatch) -> None:
        """The batch is decided, or replaced by the parts of a split."""
        sequenced = batch.queue.sequenced
        if batch in sequenced:
            sequenced.remove(batch)

    def completed(self, batch: ProducerBatch) -> None:
        """The broker has the batch."""
        queue = batch.queue
        last = batch.base_sequence + batch.count - 1
        if last > queue.last_acked_sequence:
            queue.last_acked_sequence = last
        sequenced = queue.sequenced
        if sequenced and sequenced[0] is batch:
            del sequenced[0]
        elif batch in sequenced:
            sequenced.remove(batch)

    def failed(self, batch: ProducerBatch, error: int, adjust: bool) -> None:
        """The batch has failed for good; ``adjust``: the broker has certainly not taken its sequence."""
        self.untrack(batch)
        if self.fatal:
            return
        if error == OUT_OF_ORDER_SEQUENCE_NUMBER or adjust:
            self.request_bump(batch.queue)

    def mark_unresolved(self, batch: ProducerBatch) -> None:
        """An expired batch may have been appended: no new sequence until its successors are decided."""
        queue = batch.queue
        following = batch.base_sequence + batch.count
        if queue.unresolved_sequence < 0:
            self.unresolved.append(queue)
        queue.unresolved_sequence = max(queue.unresolved_sequence, following)

    def can_retry(self, batch: ProducerBatch, error: int) -> bool:
        """Whether ``error`` lets the batch be sent again."""
        if error != OUT_OF_ORDER_SEQUENCE_NUMBER:
            return error in RETRIABLE
        queue = batch.queue
        unresolved = queue.unresolved_sequence >= 0
        is_next = batch.base_sequence - queue.last_acked_sequence == 1
        if not unresolved and (batch.sequence_was_reset or not is_next):
            return True
        if not unresolved or batch.base_sequence == queue.unresolved_sequence:
            self.request_bump(queue)
        return True
