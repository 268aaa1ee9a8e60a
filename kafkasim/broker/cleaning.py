"""What compaction leaves of a log: the last value of each key, where it was, with gaps between the offsets.

Stands for ``Cleaner.doClean``.  A batch of which some records are left becomes pieces, one for each run of neighbours
that stay: other replicas hold the whole batch still.  Left out: tombstones (no value is null), control records; sizes
of what is left are shares of their batch, with one header.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from kafkasim.broker.log import PartitionLog
from kafkasim.broker.offsets_store import BATCH_HEADER_BYTES, OFFSET, OffsetsBatch
from kafkasim.broker.segments import LogSegment
from kafkasim.protocol import RecordBatch

Keys = npt.NDArray[np.int64]


class RecordKeys:
    """Who knows the keys of records (the load's; the run implements it)."""

    def keys(self, stream: int, first: int, last: int) -> Keys:
        """The keys of the numbers ``[first, last)`` of a stream, as whole numbers."""
        raise NotImplementedError


@dataclass(slots=True)
class Cleaning:
    """One pass over one log: segments up to number ``segments`` are cleaned, up to offset ``end``."""

    segments: int
    end: int
    read_bytes: int
    dirty_bytes: int
    originals: list[RecordBatch]
    kept: list[RecordBatch]

    @property
    def kept_bytes(self) -> int:
        """What is written again."""
        return sum(batch.size_bytes for batch in self.kept)


def plan(log: PartitionLog, upto: int, keys: RecordKeys, slots: int) -> Cleaning | None:
    """What a pass over the segments below number ``upto`` would leave; at most ``slots`` keys of dirty records.

    None when not even one dirty segment's keys have room.
    """
    segments = log.segments
    first_dirty = 0
    while first_dirty < upto and segments[first_dirty].base_offset < log.cleaned_offset:
        first_dirty += 1
    while upto > first_dirty:
        end = segments[upto].base_offset
        cut = bisect_left(log.offsets, end)
        originals = log.batches[:cut]
        found = [_keys_of(batch, keys) for batch in originals]
        dirty = bisect_left(log.offsets, segments[first_dirty].base_offset)
        many = np.unique(np.concatenate(found[dirty:])).size if found[dirty:] else 0
        if many <= slots:
            break
        upto -= 1
    else:
        return None
    kept = _last_of_each(originals, found)
    read = sum(log.segment_size(number) for number in range(upto))
    dirty_bytes = sum(log.segment_size(number) for number in range(first_dirty, upto))
    return Cleaning(upto, end, read, dirty_bytes, originals, kept)


def _keys_of(batch: RecordBatch, keys: RecordKeys) -> Keys:
    if isinstance(batch, OffsetsBatch):
        return np.asarray([_offsets_key(record) for record in batch.records], dtype=np.int64)
    return keys.keys(batch.stream, batch.first, batch.first + batch.count)


def _offsets_key(record: tuple[object, ...]) -> int:
    """``__consumer_offsets``: group, and topic partition of an offset (a stable number of its text)."""
    text = f"{record[0]}/{record[1]}/{record[2] if record[0] == OFFSET else ''}"
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big", signed=True)


def _last_of_each(batches: list[RecordBatch], found: list[Keys]) -> list[RecordBatch]:
    if not batches:
        return []
    every = np.concatenate(found)
    _, from_the_end = np.unique(every[::-1], return_index=True)
    stays = np.zeros(len(every), dtype=bool)
    stays[len(every) - 1 - from_the_end] = True
    kept: list[RecordBatch] = []
    at = 0
    for batch, own in zip(batches, found, strict=True):
        mask = stays[at : at + len(own)]
        at += len(own)
        if mask.all():
            kept.append(batch)
        elif mask.any():
            kept += _pieces(batch, mask)
    return kept


def _pieces(batch: RecordBatch, mask: npt.NDArray[np.bool_]) -> list[RecordBatch]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    pieces: list[RecordBatch] = []
    body = batch.size_bytes - BATCH_HEADER_BYTES
    spacing = (batch.last_time - batch.first_time) / max(batch.count - 1, 1)
    for low, high in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        size = body * (high - low) // batch.count + (BATCH_HEADER_BYTES if not pieces else 0)
        if isinstance(batch, OffsetsBatch):
            piece: RecordBatch = OffsetsBatch(batch.records[low:high], size, batch.first_time)
        else:
            piece = RecordBatch(
                batch.stream, batch.first + low, high - low, size, batch.first_time + spacing * low,
                batch.first_time + spacing * (high - 1), batch.producer_id, batch.producer_epoch,
                batch.base_sequence + low,
            )  # fmt: skip
        piece.base_offset = batch.base_offset + low
        piece.leader_epoch = batch.leader_epoch
        piece.appended_at = batch.appended_at
        piece.committed = batch.committed
        pieces.append(piece)
    return pieces


def apply(log: PartitionLog, cleaning: Cleaning) -> int:
    """Put what is left in the place of what was; returns the bytes of the files that are to be removed."""
    cut = len(cleaning.originals)
    end_position = log.segments[cleaning.segments].position
    sizes = [batch.size_bytes for batch in cleaning.kept]
    starts: list[int] = []
    position = end_position - sum(sizes)
    for size in sizes:
        starts.append(position)
        position += size
    log.batches[:cut] = cleaning.kept
    log.offsets[:cut] = [batch.base_offset for batch in cleaning.kept]
    log.positions[:cut] = starts
    log.trimmed += cut - len(cleaning.kept)
    log.deleted_bytes += cleaning.read_bytes - sum(sizes)
    _merge_segments(log, cleaning)
    log.cleaned_offset = cleaning.end
    return cleaning.read_bytes


def _merge_segments(log: PartitionLog, cleaning: Cleaning) -> None:
    """Cleaned segments are joined as long as they fit into one (``groupSegmentsBySize``)."""
    old = log.segments[: cleaning.segments]
    following = [*old[1:], log.segments[cleaning.segments]]
    merged: list[LogSegment] = []
    left: list[int] = []
    for segment, after in zip(old, following, strict=True):
        low = bisect_left(log.offsets, segment.base_offset)
        high = bisect_left(log.offsets, after.base_offset)
        kept = sum(batch.size_bytes for batch in log.batches[low:high])
        segment.removed_bytes = after.position - segment.position - kept
        segment.cleaned = True
        if merged and left[-1] + kept <= log.config.segment_bytes:
            last = merged[-1]
            last.removed_bytes += segment.removed_bytes
            last.largest_time_s = max(last.largest_time_s, segment.largest_time_s)
            left[-1] += kept
        else:
            merged.append(segment)
            left.append(kept)
    log.segments[: cleaning.segments] = merged
