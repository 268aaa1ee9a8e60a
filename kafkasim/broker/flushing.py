"""What of a log is on the device: flushes, the recovery point, what a machine without power loses.

Stands for ``UnifiedLog.flush`` and the recovery point.  A flush writes what the operating system has not yet written by
itself, then syncs; when both are done the recovery point is there.  A broker that starts knows of the recovery point
only what the last checkpoint says.
"""

from __future__ import annotations

from kafkasim.broker.log import PartitionLog
from kafkasim.protocol import RecordBatch


def flush(log: PartitionLog, offset: int, at: float, now: float) -> float:
    """Flush what lies below ``offset``, from ``at`` (s) on; returns when that is done."""
    settle(log, now)
    asked = log.flushes[-1][1] if log.flushes else log.flushed_offset
    if offset <= asked:
        return max(at, log.flushes[-1][0]) if log.flushes else at
    disk = log.storage.disk
    done = disk.write(at, unwritten_bytes(log, now, asked, offset))
    done = disk.fsync(done)
    log.flushes.append((done, offset))
    log.last_flush_at = now
    return done


def unwritten_bytes(log: PartitionLog, now: float, low: int | None = None, high: int | None = None) -> int:
    """Bytes of [low, high) that only the page cache holds (None: from the last flush on, to the log's end)."""
    if low is None:
        low = log.flushes[-1][1] if log.flushes else log.flushed_offset
    if high is None:
        high = log.log_end_offset
    since = log.storage.disk.written_back_at(now)
    size = 0
    for batch in reversed(log.batches):
        if batch.base_offset < low or batch.appended_at <= since:
            break
        if batch.base_offset < high:
            size += batch.size_bytes
    return size


def settle(log: PartitionLog, now: float) -> None:
    """Take note of the flushes that are done by ``now`` (s)."""
    pending: list[tuple[float, int]] = []
    for done, offset in log.flushes:
        if done > now:
            pending.append((done, offset))
        else:
            log.flushed_offset = max(log.flushed_offset, offset)
            log.recovery_point = max(log.recovery_point, offset)
    log.flushes = pending


def flushed_inside(log: PartitionLog, now: float) -> None:
    """An append has flushed the log that it has made longer."""
    settle(log, now)
    log.flushed_offset = log.recovery_point = log.log_end_offset
    log.last_flush_at = now


def closed_cleanly(log: PartitionLog, now: float) -> None:
    """The process has flushed and closed the log; the checkpoints are written."""
    log.flushes = []
    log.flushed_offset = log.recovery_point = log.checkpointed_recovery_point = log.log_end_offset
    log.checkpointed_log_start = log.log_start_offset
    log.last_flush_at = now


def checkpoint(log: PartitionLog, now: float) -> None:
    """``recovery-point-offset-checkpoint`` of the directory is written."""
    settle(log, now)
    log.checkpointed_recovery_point = log.recovery_point


def forget(log: PartitionLog, now: float) -> None:
    """The process is gone: the next one knows of flushes and of the log's start what the checkpoints say."""
    settle(log, now)
    log.flushes = []
    log.recovery_point = min(log.checkpointed_recovery_point, log.log_end_offset)
    log.log_start_offset = max(log.checkpointed_log_start, log.segments[0].base_offset)


def durable_end(log: PartitionLog, now: float) -> int:
    """The offset up to which the device holds the log: what was flushed, and what the system has written back."""
    settle(log, now)
    since = log.storage.disk.written_back_at(now)
    index = len(log.batches)
    while index > 0 and log.batches[index - 1].appended_at > since:
        index -= 1
    if index == len(log.batches):
        return log.log_end_offset
    return max(log.flushed_offset, log.offsets[index])


def lose_unflushed(log: PartitionLog, now: float) -> list[RecordBatch]:
    """The machine has lost its power: what only the page cache held is gone; returns it."""
    removed = log.truncate(durable_end(log, now))
    log.flushes = []
    log.flushed_offset = log.log_end_offset
    return removed


def unrecovered_bytes(log: PartitionLog) -> int:
    """What a start after an unclean end must read again: every segment from the checkpointed recovery point on."""
    segments = log.segments
    first = len(segments) - 1
    while first > 0 and segments[first].base_offset > log.checkpointed_recovery_point:
        first -= 1
    return sum(log.segment_size(number) for number in range(first, len(segments)))
