"""Logs for tests: one directory on one disk."""

from __future__ import annotations

from kafkasim.broker.log import PartitionLog
from kafkasim.broker.log_config import LogConfig
from kafkasim.broker.log_storage import LogStorage
from kafkasim.hosts.disk import Disk
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.streams import Streams
from kafkasim.protocol import TopicPartition


def plain_disk() -> Disk:
    """2 GB/s read, 1 GB/s written, every sync 0.1 ms."""
    return Disk(2e9, 1e9, 1e-4, 1e-4, Streams(1).stream("disk"))


def plain_storage(scheduler: Scheduler | None = None, disk: Disk | None = None) -> LogStorage:
    """A log directory by itself."""
    return LogStorage(scheduler or Scheduler(), disk or plain_disk(), "/d1")


def plain_log(tp: TopicPartition, segment_bytes: int = 1 << 30, storage: LogStorage | None = None) -> PartitionLog:
    """An empty log whose segments take ``segment_bytes``."""
    return PartitionLog(tp, LogConfig(segment_bytes=segment_bytes), storage or plain_storage())
