"""A log directory of a broker: the disk that it lies on, and what its logs have written to it.

Stands for one entry of ``log.dirs`` in ``LogManager``, and for the file channels of its segments: what a flush costs,
what a machine without power loses.
"""

from __future__ import annotations

from collections.abc import Callable

from kafkasim.broker.log_config import LogConfig
from kafkasim.hosts.disk import Disk
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.streams import Stream
from kafkasim.protocol import RecordBatch


class LogStorage:
    """Directory ``path`` on ``disk``.

    ``offsets_s`` tells by how much the clocks of streams are wrong (s, by stream; None: none is).
    ``logs`` is the number of partitions in it, ``offline`` whether it has failed; ``unlinked_bytes`` of segments are
    deleted and still there (``file.delete.delay.ms``).
    """

    def __init__(
        self,
        scheduler: Scheduler,
        disk: Disk,
        path: str,
        offsets_s: list[float] | None = None,
        draws: Stream | None = None,
    ) -> None:
        self.disk = disk
        self.path = path
        self.skewed: bool = offsets_s is not None
        self.logs: int = 0
        self.offline: bool = False
        self.unlinked_bytes: int = 0
        self.on_failure: Callable[[LogStorage], None] | None = None
        self.on_roll: Callable[[int, int], None] | None = None
        self._scheduler = scheduler
        self._offsets_s = offsets_s
        self._draws = draws

    @property
    def now(self) -> float:
        """Simulated time (s)."""
        return self._scheduler.now

    def timestamp_s(self, batch: RecordBatch) -> float:
        """The largest record timestamp of ``batch`` (s): its producer's clock when it was created."""
        offsets_s = self._offsets_s
        if offsets_s is not None and batch.stream >= 0:
            return batch.last_time + offsets_s[batch.stream]
        return batch.last_time

    def jitter_ms(self, config: LogConfig) -> int:
        """By how much a new segment rolls earlier (``segment.jitter.ms``)."""
        limit = min(config.segment_jitter_ms, config.segment_ms)
        if limit <= 0 or self._draws is None:
            return 0
        return self._draws.integer(limit)

    def takes(self, size_bytes: int) -> bool:
        """Whether an append of ``size_bytes`` succeeds; if not, the directory has failed."""
        if self.disk.takes(size_bytes):
            return True
        if not self.offline and self.on_failure is not None:
            self.on_failure(self)
        return False

    def rolled(self, index: int, offset: int) -> None:
        """A segment of partition ``index`` begins at ``offset``: what lies before it is to be flushed."""
        if self.on_roll is not None:
            self.on_roll(index, offset)
