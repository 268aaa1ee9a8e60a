"""ISR changes that the leader writes into ZooKeeper itself (releases before 2.7).

Stands for ``Partition.maybeExpandIsr``, ``maybeShrinkIsr`` and ``updateIsr``, ``ReplicationUtils`` and
``ReplicaManager.maybePropagateIsrChanges``.  The write is conditional on the version of the state's znode that the last
LeaderAndIsr or the last write of its own has told; another version leaves the ISR as it is, until a LeaderAndIsr tells
the new one ("cached zkVersion not equal to that in zookeeper").  The call is synchronous: it is made under the
partition's lock (:mod:`kafkasim.broker.isr_locks`), and while ZooKeeper is not reached it waits, and is sent again.
The controller learns of changes by a sequential znode, some seconds later.

Approximation: a call that ends with the session is a change that failed; Kafka 1.0 and before would try it again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

from simpy.events import Event

from kafkasim.broker.isr_locks import IsrGrowth, IsrLocks
from kafkasim.broker.partition import LEADER, Partition
from kafkasim.broker.replica_manager import ReplicaManager
from kafkasim.connection import Directory
from kafkasim.controller.store import ISR_CHANGE_NOTIFICATION, state_path
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.environment import Environment
from kafkasim.metrics.timeline import Timeline
from kafkasim.protocol import Request
from kafkasim.zookeeper.client import ZooKeeperClient
from kafkasim.zookeeper.operations import BADVERSION, Create, GetData, SetData

Steps = Generator[Event, Any, Any]

PROPAGATION_PERIOD_S: Final = 2.5
"""Period of ``isr-change-propagation``."""
BLACK_OUT_MS: Final = 5000
"""Changes are told when there was none for so long (``IsrChangePropagationBlackOut``) …"""
INTERVAL_MS: Final = 60000
"""… or when the last ones were told so long ago (``IsrChangePropagationInterval``)."""


class IsrWriter:
    """Writes a broker's ISRs; ``committed(partition)`` is called when one is in force.

    ``failed_updates`` counts those that another version, or the end of the session, has kept from being written.
    """

    def __init__(
        self,
        env: Environment,
        broker_id: int,
        zookeeper: Callable[[], ZooKeeperClient],
        replicas: ReplicaManager,
        locks: IsrLocks,
        directory: Directory,
        timeline: Timeline,
        clock: Clock,
        committed: Callable[[Partition], None],
        merges: Callable[[Partition], bool],
    ) -> None:
        self.failed_updates: int = 0
        self._env = env
        self._broker_id = broker_id
        self._actor = f"broker {broker_id}"
        self._zookeeper = zookeeper
        self._replicas = replicas
        self._locks = locks
        self._directory = directory
        self._timeline = timeline
        self._clock = clock
        self._committed = committed
        self._merges = merges
        self._generation = 0
        self._free: dict[int, list[Event]] = {}
        self._changed: dict[int, str] = {}
        self._last_change_ms = 0
        self._last_told_ms: int | None = None
        self._shrinking = False
        self._shrink_again = False
        self._skips: dict[int, tuple[int, int, int]] = {}
        self._caught_up: dict[tuple[int, int], tuple[int, int]] = {}

    def begin(self, settled: bool) -> None:
        """The process is up; a settled one has told its last change long ago."""
        self._last_told_ms = None if settled else self._clock.ms(self._env.now)

    def crash(self) -> None:
        """The process has died: calls on their way find another generation."""
        self._generation += 1
        self._free.clear()
        self._changed.clear()
        self._shrinking = self._shrink_again = False
        self._skips.clear()
        self._caught_up.clear()

    # growing: by the handler of the follower's fetch

    def want(self, partition: Partition, broker_id: int, cause: int) -> None:
        """The fetch at work has found that a follower has caught up."""
        self._locks.wanted.append(IsrGrowth(partition, broker_id, cause))

    def grow(self, request: Request, wanted: list[IsrGrowth], resume: Callable[[Request], None]) -> None:
        """Write what a fetch wants, one after the other; ``resume`` lets its handler go on."""
        self._env.process(self._grow(request, wanted, resume))

    def _grow(self, request: Request, wanted: list[IsrGrowth], resume: Callable[[Request], None]) -> Steps:
        generation = self._generation
        for growth in wanted:
            yield from self._change(growth.partition, growth, generation)
            if generation != self._generation:
                return
        resume(request)

    # shrinking: by a task of the scheduler

    def shrink(self) -> None:
        """``isr-expiration``: one partition after the other; a run that comes due meanwhile follows."""
        if self._shrinking:
            self._shrink_again = True
            return
        self._shrinking = True
        self._env.process(self._shrink(self._generation))

    def _shrink(self, generation: int) -> Steps:
        while True:
            for partition in list(self._replicas.partitions.values()):
                if partition.role == LEADER and partition.lagging(self._env.now, self._replicas.lag_time_max_s):
                    yield from self._change(partition, None, generation)
                    if generation != self._generation:
                        return
            if not self._shrink_again:
                break
            self._shrink_again = False
        self._shrinking = False

    # the change

    def _change(self, partition: Partition, growth: IsrGrowth | None, generation: int) -> Steps:
        locks = self._locks
        while locks.is_locked(partition):
            freed = self._env.event()
            self._free.setdefault(partition.tp.index, []).append(freed)
            yield freed
            if generation != self._generation:
                return
        isr, cause = self._decide(partition, growth)
        if isr == partition.in_sync_replicas or partition.role != LEADER:
            return
        locks.lock(partition)
        path = state_path(partition.tp)
        data = (self._broker_id, partition.leader_epoch, isr, partition.controller_epoch)
        zookeeper = self._zookeeper()
        outcome = (yield zookeeper.submit([SetData(path, data, partition.partition_epoch)], cause))[0]
        if generation != self._generation:
            return
        if outcome.error == BADVERSION:
            # The same write may have been made on a connection that broke before the answer came.
            found = (yield zookeeper.submit([GetData(path)], cause))[0]
            if generation != self._generation:
                return
            if found.error is None and found.data == data:
                outcome = found
        if outcome.error is None:
            self._commit(partition, isr, outcome.version, cause)
        else:
            self._skip(partition, str(outcome.error), cause)
        self._replicas.unlock(partition, self._env.now)
        if outcome.error is None:
            self._committed(partition)
        for freed in self._free.pop(partition.tp.index, []):
            freed.succeed()

    def _decide(self, partition: Partition, growth: IsrGrowth | None) -> tuple[tuple[int, ...], int]:
        """The ISR as it should be now, and the row behind it."""
        isr = partition.in_sync_replicas
        if growth is None:
            late = partition.lagging(self._env.now, self._replicas.lag_time_max_s)
            causes = [self._directory.down_cause(broker_id) for broker_id in late]
            return tuple(b for b in isr if b not in late), next((row for row in causes if row), 0)
        state = partition.follower(growth.broker_id)
        if state is None or not partition.may_join(state, None):
            return isr, 0
        return tuple(b for b in partition.replicas if b in isr or b == growth.broker_id), self._note(partition, growth)

    def _note(self, partition: Partition, growth: IsrGrowth) -> int:
        """The row of a follower that has caught up; an attempt that is repeated has none of its own."""
        key = (partition.tp.index, growth.broker_id)
        known = self._caught_up.get(key)
        if known is not None and known[0] == partition.leader_epoch:
            return known[1]
        row = self._timeline.add(
            self._env.now, f"broker {growth.broker_id}", "caught_up",
            f"{partition.tp} at offset {partition.log.log_end_offset}", growth.cause or None,
            merge=self._merges(partition),
        )  # fmt: skip
        self._caught_up[key] = (partition.leader_epoch, row)
        return row

    def _commit(self, partition: Partition, isr: tuple[int, ...], version: int, cause: int) -> None:
        before = partition.in_sync_replicas
        now = self._env.now
        partition.commit_isr(isr, version)
        self._skips.pop(partition.tp.index, None)
        for broker_id in isr:
            self._caught_up.pop((partition.tp.index, broker_id), None)
        self._timeline.add(
            now, self._actor, "isr_changed",
            f"{partition.tp}: ISR {list(before)} -> {list(isr)}, leader epoch {partition.leader_epoch}", cause or None,
            merge=self._merges(partition),
        )  # fmt: skip
        self._changed[partition.tp.index] = str(partition.tp)
        self._last_change_ms = self._clock.ms(now)

    def _skip(self, partition: Partition, error: str, cause: int) -> None:
        """The loop of a leader whose version is not ZooKeeper's has one row, with the number of its attempts."""
        self.failed_updates += 1
        index, epoch, version = partition.tp.index, partition.leader_epoch, partition.partition_epoch
        known = self._skips.get(index)
        if known is not None and known[:2] == (epoch, version):
            self._timeline.row(known[2]).count += 1
            return
        why = (
            f"cached zkVersion {version} not equal to that in zookeeper, skip updating ISR"
            if error == BADVERSION
            else f"ISR not updated: {error}"
        )
        row = self._timeline.add(
            self._env.now, self._actor, "isr_change_skipped", f"{partition.tp}: {why}", cause or None
        )
        self._skips[index] = (epoch, version, row)

    # telling the controller

    def propagate(self) -> None:
        """``isr-change-propagation``: tell the controller, by a znode, which ISRs have changed."""
        now_ms = self._clock.ms(self._env.now)
        told = self._last_told_ms
        if self._changed and (
            self._last_change_ms + BLACK_OUT_MS < now_ms or told is None or told + INTERVAL_MS < now_ms
        ):
            self._env.process(self._tell(self._generation))

    def _tell(self, generation: int) -> Steps:
        indexes = tuple(sorted(self._changed))
        create = Create(f"{ISR_CHANGE_NOTIFICATION}/isr_change_", indexes, sequential=True)
        outcome = (yield self._zookeeper().submit([create]))[0]
        if generation == self._generation and outcome.error is None:
            for index in indexes:
                self._changed.pop(index, None)
            self._last_told_ms = self._clock.ms(self._env.now)
