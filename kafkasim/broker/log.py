"""One replica's log of one partition: batches in segments, the epoch cache, producer state.

Stands for ``UnifiedLog``, ``LeaderEpochFileCache`` and ``ProducerStateManager``.  A batch
object is shared by all replicas that hold it.  What is below everybody's reach is dropped
(:meth:`PartitionLog.trim`) after the ledger has taken note of it, so that memory stays flat; the log keeps its
bytes, in its segments, until retention deletes them.

Left out: indexes (their size can roll a segment); a fetch slice may cross a segment.
"""

from __future__ import annotations

from bisect import bisect_right
from math import inf
from typing import Final

from kafkasim.broker.log_config import NEVER, LogConfig
from kafkasim.broker.log_storage import LogStorage
from kafkasim.broker.producer_state import ProducerStates
from kafkasim.broker.segments import LogSegment, timestamp_ms
from kafkasim.protocol import FetchPartition, RecordBatch, TopicPartition

UNDEFINED_EPOCH: Final = -1


class PartitionLog:
    """The log of ``tp`` on one broker.

    ``log_end_offset`` is the offset of the next record, ``log_start_offset`` the first that may be read;
    ``size_bytes`` counts everything ever kept (trimmed and deleted batches included), ``deleted_bytes`` what is in no
    segment any more.  ``recovery_point``: all below it was flushed by the broker.
    """

    def __init__(self, tp: TopicPartition, config: LogConfig, storage: LogStorage) -> None:
        self.tp = tp
        self.config = config
        self.storage = storage
        self.batches: list[RecordBatch] = []
        self.offsets: list[int] = []
        self.positions: list[int] = []
        self.log_start_offset: int = 0
        self.log_end_offset: int = 0
        self.size_bytes: int = 0
        self.deleted_bytes: int = 0
        self.trimmed: int = 0
        self.trimmed_offset: int = 0
        self.epochs: list[int] = []
        self.epoch_starts: list[int] = []
        self.segments: list[LogSegment] = [LogSegment(0, 0, 0, storage.now)]
        self.locked_until: float = 0.0
        self.snapshot_offset: int = -1
        self.recovery_point: int = 0
        self.flushed_offset: int = 0
        self.checkpointed_recovery_point: int = 0
        self.checkpointed_log_start: int = 0
        self.last_flush_at: float = storage.now
        self.flushes: list[tuple[float, int]] = []
        self.cleaned_offset: int = 0
        self.gap_offset: int = 0
        self.deletion_row: int = 0
        self._roll_beyond_bytes: int = 0
        self._roll_from_s: float = -inf
        self.producers = ProducerStates()
        self._begin_segment()

    # ---- writing

    def append(self, batch: RecordBatch) -> None:
        """Append a batch whose ``base_offset`` and ``leader_epoch`` are set (leader and follower alike)."""
        offset = batch.base_offset
        if offset != self.log_end_offset:
            self._append_behind_gap(offset)
        if self.size_bytes + batch.size_bytes > self._roll_beyond_bytes or batch.last_time >= self._roll_from_s:
            self._roll_if_due(batch)
        size = self.size_bytes
        self.batches.append(batch)
        self.offsets.append(offset)
        self.positions.append(size)
        self.size_bytes = size + batch.size_bytes
        self.log_end_offset = offset + batch.count
        if batch.producer_id >= 0:
            self.producers.note(batch)

    def _append_behind_gap(self, offset: int) -> None:
        """A follower copies what the leader's cleaner has left: offsets are missing."""
        if offset < self.log_end_offset:
            raise AssertionError(f"{self.tp}: append at {offset}, log ends at {self.log_end_offset}")
        self.gap_offset = self.log_end_offset = offset

    def _begin_segment(self) -> None:
        """Limits of the active segment; by time it can be rolled once its first batch is there."""
        config = self.config
        active = self.segments[-1]
        limit = config.segment_bytes
        by_index = config.index_entries * config.index_interval_bytes
        if by_index < limit:
            limit = by_index  # at the earliest: looked at again then
        self._roll_beyond_bytes = active.position + limit
        self._roll_from_s = -inf
        active.jitter_ms = self.storage.jitter_ms(config)

    def _roll_if_due(self, batch: RecordBatch) -> None:
        """The limits that ``append`` looks at are reached, or the active segment is empty: look closely."""
        active = self.segments[-1]
        config = self.config
        time_s = self.storage.timestamp_s(batch)
        size = self.size_bytes - active.position
        if size > 0:
            roll_ms = config.segment_ms - active.jitter_ms
            if (
                size + batch.size_bytes > config.segment_bytes
                or (config.segment_ms != NEVER and timestamp_ms(time_s) - timestamp_ms(active.first_time_s) > roll_ms)
                or self._index_is_full(active, size)
            ):
                self.roll()
                active = self.segments[-1]
        if self.size_bytes == active.position:
            active.first_time_s = time_s
        self._roll_from_s = -inf
        if not self.storage.skewed:
            self._roll_from_s = inf
            if config.segment_ms < NEVER >> 20:
                self._roll_from_s = active.first_time_s + (config.segment_ms - active.jitter_ms) / 1000.0

    def _index_is_full(self, active: LogSegment, size: int) -> bool:
        """An index has an entry every ``index.interval.bytes``, at most one a batch (their mean size is taken)."""
        config = self.config
        if size < config.index_entries * config.index_interval_bytes:
            return False
        batches = self.trimmed + len(self.batches) - active.first_batch
        step = max(config.index_interval_bytes, size // max(batches, 1))
        entries = size // step
        if entries >= config.index_entries:
            return True
        left = max(1, config.index_entries - entries) * step
        self._roll_beyond_bytes = active.position + min(config.segment_bytes, size + left)
        return False

    def roll(self) -> None:
        """Begin a new active segment at the log's end; the old one is flushed in the background."""
        active = self.segments[-1]
        self.note_largest_time(active)
        batches = self.trimmed + len(self.batches)
        self.segments.append(LogSegment(self.log_end_offset, self.size_bytes, batches, self.storage.now))
        self._begin_segment()
        self.storage.rolled(self.tp.index, self.log_end_offset)

    def note_largest_time(self, segment: LogSegment) -> None:
        """Take the batches in memory that lie in ``segment``, the active one, into its largest timestamp."""
        storage = self.storage
        largest = segment.largest_time_s
        index = len(self.batches) - 1
        while index >= 0 and self.offsets[index] >= segment.base_offset:
            time_s = storage.timestamp_s(self.batches[index])
            if time_s > largest:
                largest = time_s
            index -= 1
        segment.largest_time_s = largest

    def needs_snapshot(self, batch: RecordBatch) -> bool:
        """Whether ``batch`` will begin a segment whose producer-state snapshot has not been written yet."""
        size = self.size_bytes
        return (
            size + batch.size_bytes > self._roll_beyond_bytes
            and size > self.segments[-1].position
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
        end = removed[0].base_offset
        self.log_end_offset = end
        self.size_bytes = self.positions[cut]
        del self.positions[cut:]
        while len(self.segments) > 1 and self.segments[-1].base_offset >= end:
            self.segments.pop()
        self._begin_segment()
        self.snapshot_offset = end  # the rebuild below ends with one
        if self.log_start_offset > end:
            self.log_start_offset = end
        self.recovery_point = min(self.recovery_point, end)
        self.flushed_offset = min(self.flushed_offset, end)
        self.checkpointed_recovery_point = min(self.checkpointed_recovery_point, end)
        self.cleaned_offset = min(self.cleaned_offset, end)
        self.flushes = [(at, min(flushed, end)) for at, flushed in self.flushes]
        self._cut_epochs()
        self.producers.rebuild(batches, end)
        return removed

    def _cut_epochs(self) -> None:
        """``LeaderEpochFileCache.truncateFromEnd``: forget the epochs that begin at or beyond the log's end."""
        while self.epoch_starts and self.epoch_starts[-1] >= self.log_end_offset:
            self.epochs.pop()
            self.epoch_starts.pop()

    def whole_below(self, offset: int) -> int:
        """The end of the last whole batch below ``offset`` (what :meth:`trim` would cut to)."""
        cut = bisect_right(self.offsets, offset)
        if cut and self.batches[cut - 1].base_offset + self.batches[cut - 1].count > offset:
            cut -= 1
        return self.batches[cut - 1].base_offset + self.batches[cut - 1].count if cut else self.trimmed_offset

    def trim(self, offset: int) -> list[RecordBatch]:
        """Drop whole batches below ``offset`` from memory (the log itself keeps them); returns them."""
        batches = self.batches
        cut = bisect_right(self.offsets, offset)
        if cut and batches[cut - 1].base_offset + batches[cut - 1].count > offset:
            cut -= 1
        dropped = batches[:cut]
        if dropped:
            active = self.segments[-1]
            if dropped[-1].base_offset >= active.base_offset:
                self.note_largest_time(active)
            self._forget(cut)
        return dropped

    def _forget(self, cut: int) -> None:
        last = self.batches[cut - 1]
        del self.batches[:cut]
        del self.offsets[:cut]
        del self.positions[:cut]
        self.trimmed += cut
        self.trimmed_offset = last.base_offset + last.count

    # ---- the log's start

    def raise_start(self, offset: int) -> bool:
        """Nothing below ``offset`` may be read any more; True when that is new."""
        if offset <= self.log_start_offset:
            return False
        self.log_start_offset = offset
        while len(self.epoch_starts) > 1 and self.epoch_starts[1] <= offset:
            self.epochs.pop(0)
            self.epoch_starts.pop(0)
        if self.epoch_starts and self.epoch_starts[0] < offset:
            self.epoch_starts[0] = offset
        return True

    def delete_segments(self, count: int) -> list[RecordBatch]:
        """Delete the oldest ``count`` segments (the active one never); returns their batches still in memory."""
        if not 0 < count < len(self.segments):
            raise AssertionError(f"{self.tp}: {count} of {len(self.segments)} segments cannot be deleted")
        end = self.segments[count].base_offset
        for number in range(count):
            self.deleted_bytes += self.segment_size(number)
        del self.segments[:count]
        cut = bisect_right(self.offsets, end - 1)
        dropped = self.batches[:cut]
        if cut:
            self._forget(cut)
        if self.trimmed_offset < end:
            self.trimmed_offset = end
        self.raise_start(end)
        if self.recovery_point < end:
            self.recovery_point = end
        return dropped

    def restart_at(self, offset: int) -> list[RecordBatch]:
        """Empty the log and begin again at ``offset`` (``truncateFullyAndStartAt``); returns what was in memory."""
        removed = self.batches
        self.batches, self.offsets, self.positions = [], [], []
        self.trimmed += len(removed)
        self.deleted_bytes = self.size_bytes
        self.segments = [LogSegment(offset, self.size_bytes, self.trimmed, self.storage.now)]
        self.log_start_offset = self.log_end_offset = self.trimmed_offset = offset
        self.recovery_point = self.checkpointed_recovery_point = self.cleaned_offset = self.flushed_offset = offset
        self.flushes = []
        self.epochs, self.epoch_starts = [], []
        self.producers = ProducerStates()
        self._begin_segment()
        return removed

    def segment_size(self, number: int) -> int:
        """Bytes of segment ``number``, counted from the oldest."""
        segment = self.segments[number]
        following = number + 1
        end = self.segments[following].position if following < len(self.segments) else self.size_bytes
        return end - segment.position - segment.removed_bytes

    def stored_bytes(self) -> int:
        """Bytes of all segments."""
        return self.size_bytes - self.deleted_bytes

    # ---- reading

    def index_of(self, offset: int) -> int:
        """Index in ``batches`` of the batch that holds ``offset``, or of the next one (len when it is the end)."""
        if offset >= self.log_end_offset:
            return len(self.batches)
        index = bisect_right(self.offsets, offset) - 1
        if index < 0:
            if offset >= self.trimmed_offset:
                return 0  # the cleaner has taken the first ones
            raise AssertionError(f"{self.tp}: offset {offset} was trimmed (below {self.trimmed_offset})")
        if (
            offset < max(self.cleaned_offset, self.gap_offset)
            and self.offsets[index] + self.batches[index].count <= offset
        ):
            return index + 1
        return index

    def bytes_between(self, offset: int, upper: int) -> int:
        """Bytes of the batches from the one that holds ``offset`` up to ``upper``."""
        if offset >= upper:
            return 0
        first = self.index_of(offset)
        last = self.index_of(upper)
        if first >= len(self.positions):
            return 0
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
