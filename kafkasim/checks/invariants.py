"""Invariants of the replication protocol, looked at while a run goes on.

From the TLA+ models of Kafka's replication: log matching below the high watermark (unless somebody outside the ISR was
elected, which gives it up), at most one leader a leader epoch, a maximal ISR that holds the committed one.  A violation
is a bug of the model and ends the run.
"""

from __future__ import annotations

from kafkasim.broker.log import PartitionLog
from kafkasim.broker.partition import LEADER, Partition
from kafkasim.cluster import Cluster
from kafkasim.protocol import RecordBatch

_TAIL_BATCHES = 64
"""How many batches below the high watermark are compared at each look."""


class InvariantViolation(AssertionError):
    """The model broke a rule that Kafka never breaks."""


def check_cluster(cluster: Cluster) -> None:
    """Look at every partition that has changed its role since the last look, and at the tails of all that hold records.

    A partition that has never been written and whose roles are as they were cannot break a rule.
    """
    board = cluster.board
    changed, board.changed = board.changed, {}
    unclean = any(broker.unclean_elections() for broker in cluster.brokers.values())
    for index in {**changed, **board.written}:
        replicas = board.replicas[index]
        check_one_leader_an_epoch(replicas)
        leader = board.leader_of(index)
        if leader is not None and not unclean:
            for replica in replicas:
                if replica is not leader:
                    check_log_matching(leader, replica)


def check_one_leader_an_epoch(replicas: list[Partition]) -> None:
    """No two brokers lead a partition in one leader epoch."""
    leaders = [replica for replica in replicas if replica.role == LEADER]
    epochs = [leader.leader_epoch for leader in leaders]
    if len(set(epochs)) != len(epochs):
        raise InvariantViolation(f"{replicas[0].tp}: two leaders in one epoch: {epochs}")
    for leader in leaders:
        if leader.high_watermark > leader.log.log_end_offset:
            raise InvariantViolation(f"{leader.tp}: high watermark beyond the log's end at broker {leader.broker_id}")


def check_log_matching(one: Partition, other: Partition) -> None:
    """Two replicas agree on every batch below both high watermarks (the last ones are compared)."""
    upto = min(one.high_watermark, other.high_watermark)
    first, second = _below(one.log, upto), _below(other.log, upto)
    for a, b in zip(reversed(first), reversed(second), strict=False):
        if a is not b:
            raise InvariantViolation(
                f"{one.tp}: brokers {one.broker_id} and {other.broker_id} differ below offset {upto}: "
                f"{a.base_offset}+{a.count} and {b.base_offset}+{b.count}"
            )


def _below(log: PartitionLog, offset: int) -> list[RecordBatch]:
    end = log.index_of(offset) if offset > log.trimmed_offset else 0
    return list(log.batches[max(0, end - _TAIL_BATCHES) : end])
