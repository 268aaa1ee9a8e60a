"""The cleaner threads of one broker: which log is compacted when, and what that costs the disk.

Stands for ``LogCleaner`` and ``LogCleanerManager``.  A thread takes the dirtiest log whose share of bytes never
cleaned is above ``min.cleanable.dirty.ratio`` (or whose oldest is above ``max.compaction.lag.ms``), never the active
segment, nor what lies above the high watermark or is younger than ``min.compaction.lag.ms``; it reads the dirty part
for its keys, all of it once more, and writes what stays.  Then it lets retention have the logs that are compacted, and
sleeps ``log.cleaner.backoff.ms`` when there was nothing to clean.

Approximation: what is appended to a log while it is cleaned does not matter to the pass; its CPU is not counted.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, Final

from simpy.events import Event

from kafkasim.broker import cleaning
from kafkasim.broker.cleaning import Cleaning, RecordKeys
from kafkasim.broker.log_config import NEVER
from kafkasim.broker.partition import Partition
from kafkasim.broker.segments import timestamp_ms

if TYPE_CHECKING:
    from kafkasim.broker.log_manager import LogManager
    from kafkasim.kernel.environment import Environment

ENTRY_BYTES: Final = 24
"""``SkimpyOffsetMap``: an MD5 hash and an offset a key."""
PIECE_BYTES: Final = 16 << 20
"""Read or written at a time: others use the disk in between."""


class LogCleaner:
    """The cleaner of one broker's logs; ``passes`` counts the logs cleaned."""

    def __init__(self, env: Environment, logs: LogManager, config: Mapping[str, Any], keys: RecordKeys) -> None:
        self.passes: int = 0
        self._env = env
        self._logs = logs
        self._keys = keys
        self._threads = int(config["log.cleaner.threads"]) if config["log.cleaner.enable"] else 0
        self._backoff_s = config["log.cleaner.backoff.ms"] / 1000.0
        buffer = int(config["log.cleaner.dedupe.buffer.size"]) // max(self._threads, 1)
        self._slots = int(buffer * float(config["log.cleaner.io.buffer.load.factor"])) // ENTRY_BYTES
        self._io_bytes_per_s = float(config["log.cleaner.io.max.bytes.per.second"])
        self._busy: dict[int, None] = {}

    def begin(self, first_s: float) -> None:
        """The process is up: every thread looks for the first time after ``first_s``."""
        self._busy.clear()
        for _ in range(self._threads):
            self._logs.life.plan(self._env.now + first_s, self._look)

    def _look(self, _: None) -> None:
        """A thread's round: something to clean, or retention of compacted logs and sleep."""
        partition, upto = self._dirtiest()
        planned = None
        if partition is not None:
            planned = cleaning.plan(partition.log, upto, self._keys, self._slots)
        if partition is not None and planned is not None:
            self._busy[partition.tp.index] = None
            self._env.process(self._clean(partition, planned, self._logs.life.generation))
            return
        self._logs.retain_compacted()
        self._logs.life.plan(self._env.now + self._backoff_s, self._look)

    def _dirtiest(self) -> tuple[Partition | None, int]:
        best: Partition | None = None
        best_ratio, best_upto = -1.0, 0
        for partition in self._logs.compacted():
            if partition.tp.index in self._busy or len(partition.log.segments) < 2:
                continue
            upto, ratio = self._cleanable(partition)
            if ratio > best_ratio:
                best, best_ratio, best_upto = partition, ratio, upto
        return best, best_upto

    def _cleanable(self, partition: Partition) -> tuple[int, float]:
        """(number of segments that may be cleaned, share of dirty bytes); the share is -1 when it is too early."""
        log = partition.log
        config = log.config
        now_ms = self._logs.clock.ms(self._env.now)
        upto = dirty = clean = 0
        oldest_ms = NEVER
        for number in range(len(log.segments) - 1):
            segment = log.segments[number]
            if log.segments[number + 1].base_offset > partition.high_watermark:
                break
            if segment.base_offset >= log.cleaned_offset:
                young = now_ms - timestamp_ms(segment.largest_time_s) < config.min_compaction_lag_ms
                if config.min_compaction_lag_ms > 0 and young:
                    break
                dirty += log.segment_size(number)
                oldest_ms = min(oldest_ms, timestamp_ms(segment.first_time_s))
            else:
                clean += log.segment_size(number)
            upto = number + 1
        if dirty == 0:
            return 0, -1.0
        ratio = dirty / (dirty + clean)
        overdue = config.max_compaction_lag_ms != NEVER and now_ms - oldest_ms > config.max_compaction_lag_ms
        return (upto, ratio) if ratio > config.dirty_ratio or overdue else (0, -1.0)

    def _clean(self, partition: Partition, planned: Cleaning, generation: int) -> Generator[Event, Any, None]:
        log = partition.log
        disk = log.storage.disk
        kept = planned.kept_bytes
        work = ((disk.read, planned.dirty_bytes + planned.read_bytes), (disk.write, kept))
        begun = self._env.now
        moved = 0
        for transfer, size in work:
            left = size
            while left > 0:
                piece = min(left, PIECE_BYTES)
                left -= piece
                moved += piece
                done = max(transfer(self._env.now, piece), begun + moved / self._io_bytes_per_s)
                yield self._env.at(done)
                if generation != self._logs.life.generation:
                    return
        self._busy.pop(partition.tp.index, None)
        intact = log.log_end_offset >= planned.end and log.batches[: len(planned.originals)] == planned.originals
        if intact and not log.storage.offline:
            self.passes += 1
            self._logs.cleaned(partition, planned, cleaning.apply(log, planned))
        self._look(None)
