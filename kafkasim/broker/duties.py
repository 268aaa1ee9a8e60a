"""What a broker does by the clock: the ISR's check, the checkpoint of high watermarks (KafkaScheduler).

Each duty runs at a fixed rate from a drawn phase: what a stop of the process has missed is made up for at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kafkasim.broker.isr_manager import IsrManager
from kafkasim.broker.isr_writer import PROPAGATION_PERIOD_S, IsrWriter
from kafkasim.broker.partition import LEADER
from kafkasim.broker.replica_manager import ReplicaManager
from kafkasim.connection import Directory
from kafkasim.hosts.life import Life
from kafkasim.kernel.streams import Stream


class Duty:
    """``work()`` every ``period_s`` from ``phase_s`` on, as long as the process lives."""

    def __init__(self, life: Life, phase_s: float, period_s: float, work: Callable[[], None]) -> None:
        self._life = life
        self._phase_s = phase_s
        self._period_s = period_s
        self._work = work
        self._plan(0)

    def _plan(self, count: int) -> None:
        self._life.plan(max(self._phase_s + count * self._period_s, self._life.now), self._run, count)

    def _run(self, count: int) -> None:
        self._work()
        self._plan(count + 1)


class Duties:
    """The duties of one broker."""

    def __init__(
        self,
        life: Life,
        replicas: ReplicaManager,
        isr_manager: IsrManager,
        config: Mapping[str, Any],
        directory: Directory,
        isr_writer: IsrWriter | None = None,
        check_disks: Callable[[], None] | None = None,
    ) -> None:
        self._check_disks = check_disks
        self._directory = directory
        self._life = life
        self._replicas = replicas
        self._isr_manager = isr_manager
        self._isr_writer = isr_writer
        self._lag_check_s = config["replica.lag.time.max.ms"] / 2000.0
        self._checkpoint_s = config["replica.high.watermark.checkpoint.interval.ms"] / 1000.0

    def begin(self, draws: Stream, settled: bool = False) -> None:
        """The process is up: every duty at a phase of its own."""
        now = self._life.now
        writer = self._isr_writer
        duties = [
            (self._lag_check_s, self._shrink if writer is None else writer.shrink),
            (self._checkpoint_s, self.checkpoint),
        ]
        if writer is not None:
            writer.begin(settled)
            duties.append((PROPAGATION_PERIOD_S, writer.propagate))
        for period_s, work in duties:
            Duty(self._life, now + draws.uniform() * period_s, period_s, work)

    def _shrink(self) -> None:
        """``isr-expiration``: followers that are behind and have not been caught up leave the ISR."""
        now = self._life.now
        replicas = self._replicas
        for partition in replicas.partitions.values():
            if partition.role == LEADER and not partition.pending_isr:
                late = partition.lagging(now, replicas.lag_time_max_s)
                if late:
                    isr = tuple(b for b in partition.in_sync_replicas if b not in late)
                    # Why a live follower is merely slow is not known; deaths, cuts and stops are.
                    since = now - replicas.lag_time_max_s
                    mine = partition.broker_id
                    causes = [self._directory.silence_cause(mine, broker_id, since) for broker_id in late]
                    self._isr_manager.propose(partition, isr, next((row for row in causes if row), 0))

    def checkpoint(self) -> None:
        """``highwatermark-checkpoint``: what a restart begins from."""
        for partition in self._replicas.partitions.values():
            if not partition.log.storage.offline:
                partition.checkpointed_high_watermark = partition.high_watermark
        if self._check_disks is not None:
            self._check_disks()
