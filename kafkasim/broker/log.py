"""One replica's log of one partition: batches in segments, the epoch cache, producer state.

Stands for ``UnifiedLog``, ``LeaderEpochFileCache`` and ``ProducerStateManager``.  A batch
object is shared by all replicas that hold it.  What is below everybody's reach is dropped
(:meth:`PartitionLog.trim`) after the ledger has taken note of it, so that memory stays flat.

Left out: indexes, retention, compaction; a fetch slice may cross a segment.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import Final

from kafkasim.protocol import (
    DUPLICATE_SEQUENCE_NUMBER,
    INVALID_PRODUCER_EPOCH,
    NONE,
    OUT_OF_ORDER_SEQUENCE_NUMBER,
    FetchPartition,
    RecordBatch,
    TopicPartition,
)

REMEMBERED_BATCHES: Final = 5
"""ProducerStateEntry.NUM_BATCHES_TO_RETAIN."""
SEQUENCES: Final = 1 << 31
"""Sequence numbers begin again at 0 after 2147483647."""
UNDEFINED_EPOCH: Final = -1


class PartitionLog:
    """The log of ``tp`` on one broker.

    ``log_end_offset`` is the offset of the next record; ``size_bytes`` counts everything ever
    kept (trimmed batches included); ``segment_bytes`` is ``log.segment.bytes``.
    """

    def __init__(self, tp: TopicPartition, segment_bytes: int) -> None:
        self.tp = tp
        self.segment_bytes: int = segment_bytes
        self.batches: list[RecordBatch] = []
        self.offsets: list[int] = []
        self.positions: list[int] = []
        self.log_end_offset: int = 0
        self.size_bytes: int = 0
        self.trimmed: int = 0
        self.trimmed_offset: int = 0
        self.epochs: list[int] = []
        self.epoch_starts: list[int] = []
        self.segments: list[tuple[int, int]] = [(0, 0)]
        self.locked_until: float = 0.0
        self.snapshot_offset: int = -1
        self._roll_beyond_bytes: int = segment_bytes
        self._producers: dict[int, deque[RecordBatch]] = {}

    # ---- writing

    def append(self, batch: RecordBatch) -> None:
        """Append a batch whose ``base_offset`` and ``leader_epoch`` are set (leader and follower alike)."""
        offset = batch.base_offset
        if offset != self.log_end_offset:
            raise AssertionError(f"{self.tp}: append at {offset}, log ends at {self.log_end_offset}")
        size = self.size_bytes
        grown = size + batch.size_bytes
        if grown > self._roll_beyond_bytes:
            self._roll(offset, size)
        self.batches.append(batch)
        self.offsets.append(offset)
        self.positions.append(size)
        self.size_bytes = grown
        self.log_end_offset = offset + batch.count
        producer_id = batch.producer_id
        if producer_id >= 0:
            remembered = self._producers.get(producer_id)
            if remembered is None or remembered[-1].producer_epoch != batch.producer_epoch:
                self._producers[producer_id] = deque((batch,), REMEMBERED_BATCHES)
            else:
                remembered.append(batch)

    def _roll(self, offset: int, size: int) -> None:
        """The batch at ``offset`` begins a segment, unless it is the active one's first."""
        if size > self.segments[-1][1]:
            self.segments.append((offset, size))
            self._roll_beyond_bytes = size + self.segment_bytes

    def needs_snapshot(self, batch: RecordBatch) -> bool:
        """Whether ``batch`` will begin a segment whose producer-state snapshot has not been written yet."""
        size = self.size_bytes
        return (
            size + batch.size_bytes > self._roll_beyond_bytes
            and size > self.segments[-1][1]
            and self.snapshot_offset != self.log_end_offset
        )

    def assign_epoch(self, epoch: int, start_offset: int) -> bool:
        """Note that ``epoch`` begins at ``start_offset``; True when the epoch file must be rewritten."""
        if self.epochs and self.epochs[-1] >= epoch:
            return False
        while self.epoch_starts and self.epoch_starts[-1] >= start_offset:
            self.epochs.pop()
            self.epoch_starts.pop()
        self.epochs.append(epoch)
        self.epoch_starts.append(start_offset)
        return True

    def latest_epoch(self) -> int:
        """The newest epoch in the cache, -1 when there is none."""
        return self.epochs[-1] if self.epochs else UNDEFINED_EPOCH

    def end_offset_for(self, epoch: int) -> tuple[int, int]:
        """(epoch, end offset) as OffsetsForLeaderEpoch answers for ``epoch``; (-1, -1) undefined."""
        if epoch == UNDEFINED_EPOCH or not self.epochs or epoch > self.epochs[-1]:
            return -1, -1
        if epoch == self.epochs[-1]:
            return epoch, self.log_end_offset
        following = bisect_right(self.epochs, epoch)
        if following == 0:
            return epoch, self.epoch_starts[0]
        return self.epochs[following - 1], self.epoch_starts[following]

    def diverges(self, fetch: FetchPartition) -> bool:
        """Whether a follower's log has another history than this one; tells it the epoch and end that they share."""
        epoch, end_offset = self.end_offset_for(fetch.last_fetched_epoch)
        if epoch < 0:
            return False
        if epoch < fetch.last_fetched_epoch or end_offset < fetch.fetch_offset:
            fetch.diverging_epoch = epoch
            fetch.diverging_end_offset = end_offset
            return True
        return False

    def truncate(self, offset: int) -> list[RecordBatch]:
        """Cut everything at and beyond ``offset``; returns the batches removed (in order).

        A cut inside a batch removes the whole batch: replicas hold whole batches, so this
        happens only when ``offset`` is another replica's batch boundary.
        """
        if offset >= self.log_end_offset:
            # Who led an epoch without appending in it has an entry at its log's end, which its leader may not know.
            self._cut_epochs()
            return []
        batches = self.batches
        cut = len(batches)
        while cut > 0 and batches[cut - 1].base_offset >= offset:
            cut -= 1
        if cut > 0 and batches[cut - 1].base_offset + batches[cut - 1].count > offset:
            cut -= 1
        removed = batches[cut:]
        if not removed:
            return []
        del batches[cut:]
        del self.offsets[cut:]
        self.log_end_offset = removed[0].base_offset
        self.size_bytes = self.positions[cut]
        del self.positions[cut:]
        while len(self.segments) > 1 and self.segments[-1][0] >= self.log_end_offset:
            self.segments.pop()
        self._roll_beyond_bytes = self.segments[-1][1] + self.segment_bytes
        self.snapshot_offset = self.log_end_offset  # the rebuild below ends with one
        self._cut_epochs()
        self._rebuild_producers()
        return removed

    def _cut_epochs(self) -> None:
        """``LeaderEpochFileCache.truncateFromEnd``: forget the epochs that begin at or beyond the log's end."""
        while self.epoch_starts and self.epoch_starts[-1] >= self.log_end_offset:
            self.epochs.pop()
            self.epoch_starts.pop()

    def trim(self, offset: int) -> list[RecordBatch]:
        """Drop whole batches below ``offset`` from memory (the log itself keeps them); returns them."""
        batches = self.batches
        cut = bisect_right(self.offsets, offset)
        if cut and batches[cut - 1].base_offset + batches[cut - 1].count > offset:
            cut -= 1
        dropped = batches[:cut]
        if dropped:
            del batches[:cut]
            del self.offsets[:cut]
            del self.positions[:cut]
            self.trimmed += cut
            self.trimmed_offset = dropped[-1].base_offset + dropped[-1].count
        return dropped

    # ---- reading

    def index_of(self, offset: int) -> int:
        """Index in ``batches`` of the batch that holds ``offset`` (len when it is the end)."""
        if offset >= self.log_end_offset:
            return len(self.batches)
        index = bisect_right(self.offsets, offset) - 1
        if index < 0:
            raise AssertionError(f"{self.tp}: offset {offset} was trimmed (below {self.trimmed_offset})")
        return index

    def bytes_between(self, offset: int, upper: int) -> int:
        """Bytes of the batches from the one that holds ``offset`` up to ``upper``."""
        if offset >= upper:
            return 0
        first = self.index_of(offset)
        last = self.index_of(upper)
        end = self.positions[last] if last < len(self.positions) else self.size_bytes
        return end - self.positions[first]

    def read(self, offset: int, upper: int, max_bytes: int, into: list[RecordBatch], always_one: bool) -> int:
        """Whole batches from ``offset`` up to ``upper`` into ``into``; returns the bytes on the wire.

        A slice may end inside a batch: those bytes travel and are thrown away by the reader.
        ``always_one``: the first batch passes whatever its size (first partition of an answer).
        """
        if offset >= upper or max_bytes <= 0:
            return 0
        # A reader that keeps up asks for the last batch: no need to search.
        batches = self.batches
        index = len(batches) - 1
        if index < 0 or offset < batches[index].base_offset:
            index = self.index_of(offset)
        total = 0
        end = len(batches)
        while index < end:
            batch = batches[index]
            if batch.base_offset >= upper:
                break
            grown = total + batch.size_bytes
            if grown > max_bytes and (total > 0 or not always_one):
                return max_bytes if max_bytes > total else total
            into.append(batch)
            total = grown
            index += 1
        return total

    def unflushed_bytes(self) -> int:
        """What a start after a crash must read again: the active segment (rolls flush the older ones)."""
        return self.size_bytes - self.segments[-1][1]

    def lose_unflushed(self, written_back_at: float) -> list[RecordBatch]:
        """The machine has lost power: what only the page cache held is gone; returns it.

        A roll flushes the segment before, and the operating system has written back what was appended up to
        ``written_back_at`` (s); there is no other flush (``log.flush.*`` at their defaults).
        """
        index = len(self.batches)
        while index > 0 and self.batches[index - 1].appended_at > written_back_at:
            index -= 1
        if index == len(self.batches):
            return []
        return self.truncate(max(self.segments[-1][0], self.offsets[index]))

    # ---- idempotence

    def check_sequence(self, batch: RecordBatch) -> int:
        """What a leader answers to ``batch``: NONE, DUPLICATE_SEQUENCE_NUMBER (known already) or an error.

        ``ProducerAppendInfo`` of clients and brokers 2.5+: without state any sequence is accepted.
        """
        remembered = self._producers.get(batch.producer_id)
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
        for known in self._producers.get(batch.producer_id, ()):
            if (
                known.producer_epoch == batch.producer_epoch
                and known.base_sequence == batch.base_sequence
                and known.count == batch.count
            ):
                return known
        return None

    def _rebuild_producers(self) -> None:
        """After a truncation the state is read back from the log: the last five batches a producer."""
        kept: dict[int, list[RecordBatch]] = {}
        for producer_id, remembered in self._producers.items():
            below = [batch for batch in remembered if batch.base_offset < self.log_end_offset]
            if below:
                kept[producer_id] = below
        missing = {
            producer_id for producer_id in self._producers if len(kept.get(producer_id, ())) < REMEMBERED_BATCHES
        }
        for batch in reversed(self.batches):
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
        self._producers = {producer_id: deque(known, REMEMBERED_BATCHES) for producer_id, known in kept.items()}
