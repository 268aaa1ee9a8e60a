"""The anomalies of a run, by the names that the Jepsen workload for Kafka gives them, and which of them may be.

Definitions: ``jepsen/src/jepsen/tests/kafka.clj`` of jepsen-io/jepsen (``lost-write-cases``, ``duplicate-cases``,
``unseen``, ``poll-skip+nonmonotonic-cases``, ``nonmonotonic-send-cases``, ``precommitted-read-cases``,
``g1a-cases``; ``version-orders`` finds inconsistent offsets). Jepsen infers them from what clients saw; here they
are counted from what happened, in ranges, so none is missed and none is guessed. docs/faults.md
tells where the two differ.

Left out: what only transactions can do (G0, G1c, int-send-skip) and what one poll can do alone (int-poll-skip,
int-nonmonotonic-poll: a poll's records of a partition are one run of offsets by construction).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafkasim.checks.allowed import Allowed
from kafkasim.losses import holds
from kafkasim.metrics.intervals import IntervalSet
from kafkasim.metrics.ledger import StreamAccount
from kafkasim.protocol import RecordBatch
from kafkasim.scenario.expectations import ANOMALIES

if TYPE_CHECKING:
    from kafkasim.cluster import Cluster


@dataclass(slots=True)
class Anomaly:
    """One kind in one run: how many records (polls: how many jumps), how many of them may not be, an example, why."""

    name: str
    count: int = 0
    not_allowed: int = 0
    example: str = ""
    cause: int | None = None
    because: list[str] = field(default_factory=list)

    def add(self, count: int, reason: str | None, example: str, cause: int | None = None) -> None:
        """``count`` more, allowed for ``reason`` (None: not); what is not allowed gives the example."""
        if count <= 0:
            return
        if not self.count or (reason is None and not self.not_allowed):
            self.example, self.cause = example, cause
        self.count += count
        if reason is None:
            self.not_allowed += count
        elif reason not in self.because:
            self.because.append(reason)

    def as_dict(self) -> dict[str, object]:
        """The row of a result."""
        return {
            "name": self.name, "count": self.count, "allowed": self.not_allowed == 0,
            "not_allowed": self.not_allowed, "example": self.example or None, "cause": self.cause,
            "because": "; ".join(self.because) or None,
        }  # fmt: skip


class Anomalies:
    """Names the anomalies of a cluster whose books are closed."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._allowed = Allowed(cluster)
        self._found = {name: Anomaly(name) for name in ANOMALIES}

    def rows(self) -> list[dict[str, object]]:
        """One row a name, in order, also of what did not happen."""
        for stream in self._cluster.ledger.streams:
            self._of_stream(stream)
        self._offsets()
        self._sends()
        self._polls()
        return [anomaly.as_dict() for anomaly in self._found.values()]

    # ---- what the ledger knows

    def _of_stream(self, stream: StreamAccount) -> None:
        readable = stream.settled.union(stream.stored)
        self._lost(stream, stream.found())
        self._found["duplicate"].add(
            stream.extra_copies, self._allowed.duplicate(stream), f"{_name(stream)}: {stream.extra_copies} copies"
        )
        delivered = IntervalSet()
        for group in stream.groups.values():
            delivered.update(group.delivered)
        if stream.groups:
            self._unseen(stream, stream.acknowledged.intersect(readable).difference(delivered))
        failed = stream.failed.intersect(delivered)
        self._found["failed-read"].add(
            failed.count,
            "a failed send is one whose answer did not come: it may have been stored",
            _first(stream, failed),
        )
        ever = readable.union(stream.offline_readable).union(stream.expired).union(stream.lost_readable)
        early = delivered.difference(ever)
        self._found["precommitted-read"].add(early.count, None, _first(stream, early))

    def _lost(self, stream: StreamAccount, found: IntervalSet) -> None:
        gone = stream.acknowledged.difference(found)
        for first, last, cause in reversed(stream.losses):
            for a, b in gone.overlaps(first, last):
                reason = self._allowed.loss(stream)
                self._found["lost-write"].add(b - a, reason, _range(stream, a, b), cause or None)
            gone.remove(first, last)
        self._found["lost-write"].add(gone.count, None, _first(stream, gone))

    def _unseen(self, stream: StreamAccount, unseen: IntervalSet) -> None:
        pending, skipped = IntervalSet(), IntervalSet()
        for group in stream.groups.values():
            pending.update(group.pending)
            skipped.update(group.skipped)
            skipped.update(group.before_start)
        anomaly = self._found["unseen"]
        waiting = unseen.intersect(pending)
        anomaly.add(waiting.count, "the run ended before a consumer came so far", _first(stream, waiting))
        rest = unseen.difference(pending)
        reset = rest.intersect(skipped)
        anomaly.add(reset.count, "auto.offset.reset began behind them", _first(stream, reset))
        passed = rest.difference(skipped)
        anomaly.add(passed.count, self._allowed.passed(stream), _first(stream, passed))

    # ---- what was noted on the way

    def _offsets(self) -> None:
        """An offset that a producer or a consumer was told, and that holds another record now."""
        cluster = self._cluster
        anomaly = self._found["inconsistent-offsets"]
        for index, exposed in sorted(cluster.oddities.exposed.items()):
            tp = cluster.topics.all()[index]
            replica = cluster.waiting.longest_replica(tp)
            if replica is None:
                continue
            reused = IntervalSet()
            for lost in exposed.values():
                if not lost.committed and not self._allowed.by_leader_alone(lost.producer):
                    continue  # a copy that nobody was told of: the records were sent again
                first, last = lost.base_offset, min(lost.base_offset + lost.count, replica.log.log_end_offset)
                if last > first and isinstance(lost.batch, RecordBatch) and not holds(replica, lost.batch):
                    example = f"{tp}: offset {first} was told to somebody and holds another record now"
                    reason = self._allowed.loss_of_topic(tp.topic)
                    anomaly.add(last - first - reused.add(first, last), reason, example, lost.cause or None)

    def _sends(self) -> None:
        for _, misplaced in sorted(self._cluster.oddities.misplaced.items()):
            example = (
                f"{misplaced.where}: {_range(misplaced.stream, misplaced.first, misplaced.last)} "
                f"after number {misplaced.after - 1}"
            )
            self._found["nonmonotonic-send"].add(misplaced.records, self._allowed.reordering(misplaced.stream), example)

    def _polls(self) -> None:
        oddities = self._cluster.oddities
        for name, jumps in (("nonmonotonic-poll", oddities.back), ("poll-skip", oddities.ahead)):
            for jump in jumps.values():
                example = (
                    f"{jump.client} at {jump.where}: polled up to {jump.before}, then from {jump.after} "
                    f"at {jump.time_s:.3f} s"
                )
                self._found[name].add(jump.count, self._allowed.jump(jump.client), example)


def _name(stream: StreamAccount) -> str:
    where = stream.topic if stream.partition is None else f"{stream.topic}-{stream.partition}"
    return f"{stream.producer}/{stream.instance} to {where}"


def _range(stream: StreamAccount, first: int, last: int) -> str:
    numbers = f"record {first}" if last == first + 1 else f"records {first} to {last - 1}"
    return f"{_name(stream)}: {numbers}"


def _first(stream: StreamAccount, members: IntervalSet) -> str:
    for first, last in members:
        return _range(stream, first, last)
    return ""
