"""Retention: which segments of a log are too old, too many, or below its start.

Stands for ``UnifiedLog.deleteOldSegments``: whole segments, oldest first, while each may go and lies below the high
watermark; when all may go, the active one is rolled first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kafkasim.broker.log import PartitionLog
from kafkasim.broker.segments import NO_TIMESTAMP, timestamp_ms
from kafkasim.protocol import RecordBatch


@dataclass(slots=True)
class Deletion:
    """What one pass has deleted of one log: segments, their bytes, their batches still in memory, and why."""

    segments: int = 0
    size_bytes: int = 0
    batches: list[RecordBatch] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def delete_old_segments(log: PartitionLog, high_watermark: int, now_ms: int, starts_first: bool) -> Deletion:
    """One pass over one log; ``starts_first``: the order of checks since 3.1 (log start, size, time)."""
    deletion = Deletion()
    checks = ["start", "size", "time"] if starts_first else ["time", "size", "start"]
    if not log.config.deletes:
        checks = ["start"]
    for check in checks:
        count = _deletable(log, high_watermark, now_ms, check)
        if count == 0:
            continue
        if count == len(log.segments):
            log.roll()
        before = log.deleted_bytes
        deletion.batches += log.delete_segments(count)
        deletion.segments += count
        deletion.size_bytes += log.deleted_bytes - before
        deletion.reasons.append(check)
    return deletion


def _deletable(log: PartitionLog, high_watermark: int, now_ms: int, check: str) -> int:
    """How many of the oldest segments ``check`` wants to delete."""
    config = log.config
    segments = log.segments
    last = len(segments) - 1
    excess = 0
    if check == "size":
        if config.retention_bytes < 0 or log.stored_bytes() < config.retention_bytes:
            return 0
        excess = log.stored_bytes() - config.retention_bytes
    elif check == "time":
        if config.retention_ms < 0:
            return 0
        log.note_largest_time(segments[last])
    count = 0
    while count <= last:
        upper = segments[count + 1].base_offset if count < last else log.log_end_offset
        size = log.segment_size(count)
        if high_watermark < upper or (count == last and size == 0):
            break
        if check == "time":
            largest_s = segments[count].largest_time_s
            if largest_s == NO_TIMESTAMP:
                largest_s = segments[count].created_at
            if now_ms - timestamp_ms(largest_s) <= config.retention_ms:
                break
        elif check == "size":
            if excess < size:
                break
            excess -= size
        elif count == last or upper > log.log_start_offset:
            break
        count += 1
    return count
