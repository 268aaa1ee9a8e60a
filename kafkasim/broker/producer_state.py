"""What a log remembers of the producers that wrote to it: their last batches, for idempotence.

Stands for ``ProducerStateManager`` and ``ProducerAppendInfo``.  Left out: transactions, the expiry of producer ids.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from kafkasim.protocol import (
    DUPLICATE_SEQUENCE_NUMBER,
    INVALID_PRODUCER_EPOCH,
    NONE,
    OUT_OF_ORDER_SEQUENCE_NUMBER,
    RecordBatch,
)

REMEMBERED_BATCHES: Final = 5
"""ProducerStateEntry.NUM_BATCHES_TO_RETAIN."""
SEQUENCES: Final = 1 << 31
"""Sequence numbers begin again at 0 after 2147483647."""


class ProducerStates:
    """The last batches of each producer id on one log."""

    def __init__(self) -> None:
        self.known: dict[int, deque[RecordBatch]] = {}

    def note(self, batch: RecordBatch) -> None:
        """A batch of an idempotent producer has been appended."""
        remembered = self.known.get(batch.producer_id)
        if remembered is None or remembered[-1].producer_epoch != batch.producer_epoch:
            self.known[batch.producer_id] = deque((batch,), REMEMBERED_BATCHES)
        else:
            remembered.append(batch)

    def check(self, batch: RecordBatch) -> int:
        """What a leader answers to ``batch``: NONE, DUPLICATE_SEQUENCE_NUMBER (known already) or an error.

        ``ProducerAppendInfo`` of clients and brokers 2.5+: without state any sequence is accepted.
        """
        remembered = self.known.get(batch.producer_id)
        if remembered is None:
            return NONE
        last = remembered[-1]
        if batch.producer_epoch != last.producer_epoch:
            if batch.producer_epoch < last.producer_epoch:
                return INVALID_PRODUCER_EPOCH
            return NONE if batch.base_sequence == 0 else OUT_OF_ORDER_SEQUENCE_NUMBER
        expected = last.base_sequence + last.count
        if batch.base_sequence == expected or batch.base_sequence == expected - SEQUENCES:
            return NONE
        return OUT_OF_ORDER_SEQUENCE_NUMBER if self.duplicate_of(batch) is None else DUPLICATE_SEQUENCE_NUMBER

    def duplicate_of(self, batch: RecordBatch) -> RecordBatch | None:
        """The remembered batch with the same producer, epoch and sequences."""
        for known in self.known.get(batch.producer_id, ()):
            if (
                known.producer_epoch == batch.producer_epoch
                and known.base_sequence == batch.base_sequence
                and known.count == batch.count
            ):
                return known
        return None

    def rebuild(self, batches: list[RecordBatch], log_end_offset: int) -> None:
        """After a truncation the state is read back from the log: the last five batches a producer."""
        kept: dict[int, list[RecordBatch]] = {}
        for producer_id, remembered in self.known.items():
            below = [batch for batch in remembered if batch.base_offset < log_end_offset]
            if below:
                kept[producer_id] = below
        missing = {producer_id for producer_id in self.known if len(kept.get(producer_id, ())) < REMEMBERED_BATCHES}
        for batch in reversed(batches):
            if not missing:
                break
            if batch.producer_id not in missing:
                continue
            known = kept.setdefault(batch.producer_id, [])
            if known and (known[0].base_offset <= batch.base_offset or known[0].producer_epoch != batch.producer_epoch):
                if known[0].producer_epoch != batch.producer_epoch:
                    missing.discard(batch.producer_id)
                continue
            known.insert(0, batch)
            if len(known) >= REMEMBERED_BATCHES:
                missing.discard(batch.producer_id)
        self.known = {producer_id: deque(known, REMEMBERED_BATCHES) for producer_id, known in kept.items()}
