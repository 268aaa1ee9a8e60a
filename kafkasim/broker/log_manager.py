"""The logs of one broker: their directories, and what is done to them in the background.

Stands for ``LogManager``: retention, the flusher and the checkpoints run on the scheduler, the first time
``log.initial.task.delay.ms`` (30 s) after the logs were loaded, then at their periods.  A cluster that has been running
(t = 0) is somewhere within them: at a drawn phase.

A flusher whose period is ``Long.MaxValue`` (the default of ``log.flush.scheduler.interval.ms``) runs once a process,
whatever ``log.flush.interval.ms`` says: so it is in Kafka.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kafkasim.broker import flushing
from kafkasim.broker.cleaning import Cleaning
from kafkasim.broker.duties import Duty
from kafkasim.broker.log import PartitionLog
from kafkasim.broker.log_config import LogConfig, log_config
from kafkasim.broker.log_storage import LogStorage
from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker.partition import LEADER, Partition
from kafkasim.broker.retention import Deletion, delete_old_segments
from kafkasim.hosts.disk import Disk
from kafkasim.hosts.life import Life
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.streams import Stream, Streams
from kafkasim.metrics.timeline import Timeline
from kafkasim.protocol import TopicPartition
from kafkasim.topics import Topics

MANY_LOGS: Final = 1000
"""A broker with more logs tells the timeline of what one pass deletes as one row."""


def log_dirs(config: Mapping[str, Any]) -> list[str]:
    """The directories that a broker is told to use: ``log.dirs``, else ``log.dir``."""
    listed = str(config.get("log.dirs") or config.get("log.dir") or "")
    return [path.strip() for path in listed.split(",") if path.strip()] or ["/tmp/kafka-logs"]


class LogManager:
    """All logs of one broker.  They outlive its processes, as its disks do.

    ``partitions`` are the replicas of the broker by index; ``disks`` those of its machine: directory number i lies on
    disk number i, and begins again with the first when there are fewer.
    """

    def __init__(
        self,
        broker_id: int,
        partitions: dict[int, Partition],
        disks: list[Disk],
        config: Mapping[str, Any],
        starts_first: bool,
        topics: Topics,
        offsets_s: list[float] | None,
        life: Life,
        clock: Clock,
        streams: Streams,
        monitor: BrokerMonitor,
        timeline: Timeline,
    ) -> None:
        self.actor = f"broker {broker_id}"
        self.storages = [
            LogStorage(
                life.scheduler, disks[n % len(disks)], path, offsets_s, streams.stream(f"log-dir/{broker_id}/{n}")
            )
            for n, path in enumerate(log_dirs(config))
        ]
        for storage in self.storages:
            storage.on_roll = self._rolled
            if self.used_bytes not in storage.disk.users:
                storage.disk.users.append(self.used_bytes)
        self.life = life
        self.clock = clock
        self._broker_id = broker_id
        self._partitions = partitions
        self._config = config
        self._starts_first = starts_first
        self._topics = topics
        self._life = life
        self._clock = clock
        self._monitor = monitor
        self._timeline = timeline
        self._configs: dict[str, LogConfig] = {}

    # ---- logs

    def config_of(self, topic: str) -> LogConfig:
        """The configs of the logs of ``topic`` here."""
        known = self._configs.get(topic)
        if known is None:
            known = self._configs[topic] = log_config(self._topics.own_config(topic), self._config)
        return known

    def new_log(self, tp: TopicPartition) -> PartitionLog:
        """An empty log, in the directory with the fewest (the first of them as listed); not in one that has failed."""
        live = [storage for storage in self.storages if not storage.offline]
        storage = min(live or self.storages, key=_logs)
        storage.logs += 1
        return PartitionLog(tp, self.config_of(tp.topic), storage)

    def used_bytes(self, disk: Disk) -> int:
        """Bytes that this broker keeps on a disk: all segments, those that wait for their removal too."""
        logs = [partition.log for partition in self._partitions.values()]
        stored = sum(log.stored_bytes() for log in logs if log.storage.disk is disk)
        return stored + sum(storage.unlinked_bytes for storage in self.storages if storage.disk is disk)

    # ---- what is done by the clock

    def begin(self, draws: Stream, settled: bool) -> None:
        """The logs are loaded: plan retention, flusher and checkpoints."""
        config = self._config
        delay_s = config.get("log.initial.task.delay.ms", 30000) / 1000.0
        duties = (
            (config["log.retention.check.interval.ms"], self._retain),
            (config["log.flush.scheduler.interval.ms"], self._flush_due),
            (config["log.flush.offset.checkpoint.interval.ms"], self._checkpoint_recovery_points),
            (config.get("log.flush.start.offset.checkpoint.interval.ms", 60000), self._checkpoint_log_starts),
        )
        for period_ms, work in duties:
            period_s = max(period_ms, 1) / 1000.0
            phase_s = draws.uniform() * period_s if settled else delay_s
            Duty(self._life, self._life.now + phase_s, period_s, work)

    def _retain(self) -> None:
        """``kafka-log-retention``: a pass over all logs that are not compacted."""
        now = self._life.now
        for partition in list(self._partitions.values()):
            if not partition.log.config.compacts and not partition.log.storage.offline:
                self.delete_old_segments(partition, now)

    def compacted(self) -> list[Partition]:
        """The replicas whose logs are compacted and can be."""
        return [p for p in self._partitions.values() if p.log.config.compacts and not p.log.storage.offline]

    def retain_compacted(self) -> None:
        """The cleaner threads let retention have the logs that they compact."""
        now = self._life.now
        for partition in self.compacted():
            if len(partition.log.segments) > 1 or partition.log.config.deletes:
                self.delete_old_segments(partition, now)

    def cleaned(self, partition: Partition, done: Cleaning, replaced_bytes: int) -> None:
        """A log has been compacted; the old files are removed later."""
        log = partition.log
        now = self._life.now
        log.storage.unlinked_bytes += replaced_bytes
        delay_s = log.config.delete_delay_ms / 1000.0
        self._life.scheduler.call_at(now + delay_s, self._unlink, (log, replaced_bytes))
        if partition.role == LEADER:
            self._timeline.add(
                now, self.actor, "log_cleaned",
                f"{partition.tp}: {sum(b.count for b in done.kept)} of {sum(b.count for b in done.originals)} records"
                f" below offset {done.end}, {done.kept_bytes} of {done.read_bytes} bytes",
                merge=partition.internal or len(self._partitions) > MANY_LOGS,
            )  # fmt: skip
        self._monitor.cleaned(self._broker_id, partition, done.originals, now)

    def delete_old_segments(self, partition: Partition, now: float) -> None:
        """Delete what retention wants deleted of one log, and tell of it."""
        log = partition.log
        if log.stored_bytes() == 0:
            return
        deletion = delete_old_segments(log, partition.high_watermark, self._clock.ms(now), self._starts_first)
        if deletion.segments == 0:
            return
        self._life.scheduler.call_at(
            now + log.config.delete_delay_ms / 1000.0, self._unlink, (log, deletion.size_bytes)
        )
        log.storage.unlinked_bytes += deletion.size_bytes
        if partition.role == LEADER:
            self._tell(partition, deletion, now)
            for entry in partition.sessions:
                entry.session.mark_watermark(entry)  # followers are told of the new start
        self._monitor.deleted(self._broker_id, partition, deletion.batches, now)

    def _tell(self, partition: Partition, deletion: Deletion, now: float) -> None:
        log = partition.log
        why = " and ".join(_REASONS[reason] for reason in deletion.reasons)
        log.deletion_row = self._timeline.add(
            now, self.actor, "segments_deleted",
            f"{partition.tp}: {deletion.segments} segments, {deletion.size_bytes} bytes ({why}); "
            f"the log starts at offset {log.log_start_offset}",
            merge=partition.internal or len(self._partitions) > MANY_LOGS,
        )  # fmt: skip

    def _unlink(self, deleted: tuple[PartitionLog, int]) -> None:
        """The files renamed to ``.deleted`` are removed."""
        log, size_bytes = deleted
        log.storage.unlinked_bytes -= size_bytes

    def _flush_due(self) -> None:
        """``kafka-log-flusher``: every log that has not been flushed for ``flush.ms``."""
        now = self._life.now
        now_ms = self._clock.ms(now)
        at: dict[Disk, float] = {}
        for partition in self._partitions.values():
            log = partition.log
            if now_ms - self._clock.ms(log.last_flush_at) >= log.config.flush_ms and not log.storage.offline:
                disk = log.storage.disk
                at[disk] = flushing.flush(log, log.log_end_offset, at.get(disk, now), now)

    def _checkpoint_recovery_points(self) -> None:
        now = self._life.now
        for partition in self._partitions.values():
            flushing.checkpoint(partition.log, now)

    def _checkpoint_log_starts(self) -> None:
        for partition in self._partitions.values():
            partition.log.checkpointed_log_start = partition.log.log_start_offset

    def _rolled(self, index: int, offset: int) -> None:
        """``flush-log``: the scheduler flushes the segments before the new one."""
        self._life.plan(self._life.now, self._flush_rolled, (index, offset))

    def _flush_rolled(self, rolled: tuple[int, int]) -> None:
        index, offset = rolled
        partition = self._partitions.get(index)
        if partition is not None:
            flushing.flush(partition.log, offset, self._life.now, self._life.now)

    # ---- the process and its machine

    def load(self) -> bool:
        """A start looks at the directories: those on a disk that works are back; False when there is none."""
        for storage in self.storages:
            storage.offline = storage.disk.failed > 0
        return not all(storage.offline for storage in self.storages)

    def crash(self) -> None:
        """The process is gone; its files are as they are."""
        for partition in self._partitions.values():
            flushing.forget(partition.log, self._life.now)

    def close(self) -> float:
        """A clean stop: every log that was written to is flushed and closed, one by one; when it is done (s)."""
        at = now = self._life.now
        for partition in self._partitions.values():
            log = partition.log
            if log.log_end_offset > 0 and not log.storage.offline:
                at = flushing.flush(log, log.log_end_offset, at, now)
                for _ in range(SYNCS_A_LOG - 1):
                    at = log.storage.disk.fsync(at)
        return at

    def closed(self) -> None:
        """All is flushed, the clean-shutdown markers are written."""
        for partition in self._partitions.values():
            flushing.closed_cleanly(partition.log, self._life.now)


SYNCS_A_LOG: Final = 4
"""What closing a log costs that was written to: its segment, its two indexes, its producers' snapshot (assumed)."""

_REASONS: Final = {"start": "below the log's start", "size": "retention.bytes", "time": "retention.ms"}


def _logs(storage: LogStorage) -> int:
    return storage.logs
