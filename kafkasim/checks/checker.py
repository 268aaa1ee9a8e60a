"""Holds the invariants against a running cluster.

Normally each interval of the report looks at the partitions that changed, and at the last batches of those that hold
records. ``thorough`` looks after every event that can break a rule: a commit, a truncation, a change of role or ISR, a
write of the partition's state to ZooKeeper; then logs are kept whole in memory and compared from their start.

A breach that the release or the configuration is known for is a finding; any other ends the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker.partition import Partition
from kafkasim.broker.passing_monitor import PassingMonitor
from kafkasim.checks.history import PartitionHistory
from kafkasim.checks.invariants import RULES
from kafkasim.checks.truth import QuorumView, Truth
from kafkasim.checks.weaknesses import Weaknesses
from kafkasim.protocol import RecordBatch, TopicPartition

if TYPE_CHECKING:
    from kafkasim.cluster import Cluster
    from kafkasim.zookeeper.transactions import Transaction

TAIL_BATCHES: Final = 64
"""How many batches below an offset are compared at each look, unless it is a thorough one."""
_UNKNOWN: Final = Truth(-1, -1, ())


class InvariantViolation(AssertionError):
    """The model broke a rule that Kafka, so configured, never breaks."""


@dataclass(slots=True)
class Finding:
    """An invariant that this configuration is known to break was broken: when first, how often it was seen, and why."""

    invariant: str
    topic: str
    partition: int
    at_s: float
    detail: str
    because: str
    count: int = 1

    def as_dict(self) -> dict[str, object]:
        """The row of a result."""
        return {
            "invariant": self.invariant, "topic": self.topic, "partition": self.partition, "at_s": self.at_s,
            "detail": self.detail, "because": self.because, "count": self.count,
        }  # fmt: skip


class Checker:
    """The invariants of one cluster; ``findings`` are the breaches that were to be expected."""

    def __init__(self, cluster: Cluster, thorough: bool = False) -> None:
        self.thorough: Final = thorough
        self._cluster = cluster
        self._view = QuorumView(cluster.ensemble)
        self._weaknesses = Weaknesses(cluster)
        self._histories: dict[int, PartitionHistory] = {}
        self._findings: dict[tuple[str, int], Finding] = {}
        self._by_path: dict[str, TopicPartition] = {}
        if thorough:
            for tp in cluster.topics.all():
                self._by_path[f"/brokers/topics/{tp.topic}/partitions/{tp.partition}/state"] = tp
            cluster.ensemble.on_applied = self._applied

    def findings(self) -> list[dict[str, object]]:
        """Rows of a result, in order of their times."""
        found = sorted(self._findings.values(), key=lambda one: (one.at_s, one.topic, one.partition, one.invariant))
        return [finding.as_dict() for finding in found]

    def history(self, tp: TopicPartition) -> PartitionHistory:
        """What is remembered of a partition."""
        history = self._histories.get(tp.index)
        if history is None:
            history = self._histories[tp.index] = PartitionHistory(0 if self.thorough else TAIL_BATCHES)
        return history

    def look_around(self) -> None:
        """Look at what changed its role since the last look, and at every partition that holds records."""
        board = self._cluster.board
        changed, board.changed = board.changed, {}
        for index in {**changed, **board.written}:
            replicas = board.replicas[index]
            if replicas:
                self.look(replicas[0].tp)

    def look(self, tp: TopicPartition) -> None:
        """Hold every invariant against one partition.

        Raises:
            InvariantViolation: for a breach that nothing excuses.
        """
        replicas = self._cluster.board.replicas[tp.index]
        if not replicas:
            return
        truth = self._view.of(tp) or _UNKNOWN
        history = self.history(tp)
        history.see(truth)
        for replica in replicas:
            history.lives[replica.broker_id] = self._cluster.brokers[replica.broker_id].lives
        for name, rule in RULES.items():
            broken = rule(replicas, truth, history)
            if broken is not None:
                self._judge(name, tp, history, broken)

    def _judge(self, name: str, tp: TopicPartition, history: PartitionHistory, broken: str) -> None:
        now = self._cluster.env.now
        if not self.thorough and self._cluster.broker_collector.lost_unflushed:
            history.powerless = True  # nobody told which replica it was
        because = self._weaknesses.reason(name, tp, history)
        if because is None:
            raise InvariantViolation(f"{name} does not hold for {tp} at {now:.6f} s: {broken}")
        known = self._findings.get((name, tp.index))
        if known is None:
            self._findings[name, tp.index] = Finding(name, tp.topic, tp.partition, now, broken, because)
        else:
            known.count += 1

    # ---- what a thorough check is told

    def committed(self, partition: Partition, batch: RecordBatch) -> None:
        """A high watermark has passed a batch."""
        tp = partition.tp
        history = self.history(tp)
        broken = history.commit(batch)
        if broken is not None:
            self._judge("LeaderCompleteness", tp, history, broken)
        self.look(tp)

    def cut(self, partition: Partition, powerless: bool) -> None:
        """A replica's log has been cut."""
        history = self.history(partition.tp)
        history.powerless = history.powerless or powerless
        history.cut(partition.broker_id, partition.log.log_end_offset)
        self.look(partition.tp)

    def deleted(self, partition: Partition) -> None:
        """A replica is gone; with the last one the partition's history is."""
        self.history(partition.tp).forget(partition.broker_id)
        if not self._cluster.board.replicas[partition.tp.index]:
            self._histories.pop(partition.tp.index, None)

    def _applied(self, transaction: Transaction) -> None:
        for change in transaction.changes:
            tp = self._by_path.get(change.path)
            if tp is not None:
                self.look(tp)


class CheckedMonitor(PassingMonitor):
    """Stands before the run's collector and has every event checked after it was counted."""

    def __init__(self, counted: BrokerMonitor) -> None:
        super().__init__(counted)
        self.checker: Checker | None = None

    def committed(self, broker_id: int, partition: Partition, batch: RecordBatch, now: float) -> None:
        """The high watermark has passed a batch for the first time."""
        self._counted.committed(broker_id, partition, batch, now)
        if self.checker is not None:
            self.checker.committed(partition, batch)

    def truncated(
        self, broker_id: int, partition: Partition, removed: list[RecordBatch], cause: int, now: float
    ) -> None:
        """Batches have been cut off a replica's log."""
        self._counted.truncated(broker_id, partition, removed, cause, now)
        if self.checker is not None:
            self.checker.cut(partition, powerless=False)

    def unflushed_lost(self, partition: Partition, removed: list[RecordBatch], cause: int) -> None:
        """Batches are gone from a replica with its machine's power."""
        self._counted.unflushed_lost(partition, removed, cause)
        if self.checker is not None:
            self.checker.cut(partition, powerless=True)

    def trim(self, partition: Partition) -> None:
        """Nothing is folded: what was committed is compared to the end."""

    def role_changed(self, broker_id: int, partition: Partition, now: float) -> None:
        """A replica has become leader or follower, or a leader's ISR has changed."""
        self._counted.role_changed(broker_id, partition, now)
        if self.checker is not None:
            self.checker.look(partition.tp)

    def replica_deleted(self, broker_id: int, partition: Partition, now: float) -> None:
        """A broker has deleted a replica and its log."""
        self._counted.replica_deleted(broker_id, partition, now)
        if self.checker is not None:
            self.checker.deleted(partition)
