"""What a produce request waits for before its batches are on the logs: locks, and the disk.

Stands for the log's lock in ``UnifiedLog`` and for the system calls under it.  An append waits for the appends before
it; up to 3.6 a roll syncs the producer-state snapshot; a page cache full of dirty pages holds the writer back; with
``flush.messages`` the log is flushed inside the append.  The request's handler thread is held all the while, and the
log's lock: that is how one slow disk slows everything on its broker.

Approximation: the batches of a request are on the logs, for everybody to see, when all this is done.
"""

from __future__ import annotations

from typing import Final

from kafkasim.broker.flushing import unwritten_bytes
from kafkasim.broker.log import PartitionLog
from kafkasim.broker.partition import LEADER, Partition
from kafkasim.protocol import ProduceRequestData, Request

_INSTANT_S: Final = 1e-12


class AppendGate:
    """How long the appends of one broker process wait.

    ``syncs_rolls``: up to 3.6; ``watches_storage``: whether the disk can make an append wait at all.
    """

    def __init__(
        self,
        partitions: dict[int, Partition],
        produce_s: float,
        produce_per_byte_s: float,
        syncs_rolls: bool,
        watches_storage: bool,
    ) -> None:
        self.syncs_rolls: bool = syncs_rolls
        self.watches_storage: bool = watches_storage
        self._partitions = partitions
        self._produce_s: float = produce_s
        self._produce_per_byte_s: float = produce_per_byte_s

    def wait_s(self, request: Request, data: ProduceRequestData, now: float) -> float:
        """Seconds that the request's effect still has to wait, its handler held; 0 when it may happen now."""
        locked_s = self._lock(request, data, now)
        if locked_s > 0.0:
            return locked_s
        if self.syncs_rolls:
            synced_s = self._sync_snapshots(data, now)
            if synced_s > 0.0:
                return synced_s
        if self.watches_storage and not data.stored:
            data.stored = True
            return self._store(data, now)
        return 0.0

    def _lock(self, request: Request, data: ProduceRequestData, now: float) -> float:
        """Appends to one log exclude each other: seconds that this one has to wait still, else 0."""
        end = now
        started_at = request.started_at
        for item in data.partitions:
            partition = self._partitions.get(item.tp.index)
            if partition is not None:
                locked_until = partition.log.locked_until
                if locked_until > started_at and locked_until > data.lock_free_at:
                    begun = max(locked_until, started_at + self._produce_s)
                    end = max(end, begun + self._produce_per_byte_s * item.batch.size_bytes)
        if end > now + _INSTANT_S:
            data.lock_free_at = end  # the next look finds the lock free, unless somebody else has got it
            return end - now
        return 0.0

    def _sync_snapshots(self, data: ProduceRequestData, now: float) -> float:
        """Up to 3.6 a roll fsyncs the producer-state snapshot under the log's lock, before the append (s)."""
        end = now
        for item in data.partitions:
            partition = self._partitions.get(item.tp.index)
            if partition is not None and partition.role == LEADER and partition.log.needs_snapshot(item.batch):
                partition.log.snapshot_offset = partition.log.log_end_offset
                end = partition.log.storage.disk.fsync(end)
                partition.log.locked_until = end
        if end > now:
            data.lock_free_at = end
        return end - now

    def _store(self, data: ProduceRequestData, now: float) -> float:
        """The writes, one after the other, and the flushes that they bring with them (s)."""
        end = now
        for item in data.partitions:
            partition = self._partitions.get(item.tp.index)
            if partition is None or partition.role != LEADER:
                continue
            log = partition.log
            size = item.batch.size_bytes
            write_back = log.storage.disk.write_back
            done = end if write_back is None else end + write_back.admit(end, size)
            if flush_is_due(log, item.batch.count):
                done = log.storage.disk.write(done, unwritten_bytes(log, now) + size)
                done = log.storage.disk.fsync(done)
                item.flushed = True
            if done > end:
                end = done
                log.locked_until = end
        if end > now:
            data.lock_free_at = end
        return end - now


def flush_is_due(log: PartitionLog, more: int) -> bool:
    """Whether ``more`` records make it ``flush.messages`` since the last flush."""
    asked = log.flushes[-1][1] if log.flushes else log.recovery_point
    return log.log_end_offset + more - asked >= log.config.flush_messages
