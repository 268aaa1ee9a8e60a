"""Invariants of the replication protocol, one function each, as the published specifications state them.

Each looks at the replicas of one partition as they stand and says what is broken, or None. Sources:
``KafkaReplication.tla`` and ``AsyncIsr.tla`` of hachikuji/kafka-specification (WeakIsr, StrongIsr, LeaderInIsr,
ValidHighWatermark), ``v3_5_properties.tla`` of Vanlightly/kafka-tlaplus (LogMatchingProperty,
LeaderCompletenessProperty, LeaderCandidateCompletenessProperty, ReplicationQuorumSupersetProperty), and the rules of
``Kip320.tla`` (one epoch is led by one broker; nobody fetches across a divergence).

Left out: liveness. Replicas of a broker that is down count with the log on its disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kafkasim.broker.partition import FOLLOWER, LEADER, Partition
from kafkasim.checks.history import PartitionHistory
from kafkasim.checks.truth import Truth

Replicas = list[Partition]
Rule = Callable[[Replicas, Truth, PartitionHistory], str | None]


def one_leader_per_epoch(replicas: Replicas, truth: Truth, history: PartitionHistory) -> str | None:
    """One broker leads in a leader epoch, and so one at most can commit in it."""
    for replica in replicas:
        if replica.role == LEADER:
            first = history.leaders.setdefault(replica.leader_epoch, replica.broker_id)
            if first != replica.broker_id:
                return f"brokers {first} and {replica.broker_id} lead in epoch {replica.leader_epoch}"
    return None


def leader_in_isr(replicas: Replicas, truth: Truth, history: PartitionHistory) -> str | None:
    """The leader that ZooKeeper names is in the ISR that it names, and a leader is in the ISR that it believes in."""
    if truth.leader >= 0 and truth.leader not in truth.isr:
        return f"leader {truth.leader} is not in the ISR {list(truth.isr)} of epoch {truth.leader_epoch}"
    for replica in replicas:
        if replica.role == LEADER and replica.broker_id not in replica.in_sync_replicas:
            return f"broker {replica.broker_id} leads outside of its ISR {list(replica.in_sync_replicas)}"
    return None


def monotonic_high_watermark(replicas: Replicas, truth: Truth, history: PartitionHistory) -> str | None:
    """Within its epoch a leader's high watermark does not fall, and it never passes the end of a log.

    A process that was killed and leads again in the same epoch (a controller that never saw it away says so) begins
    at its checkpoint: that is another life.
    """
    for replica in replicas:
        high_watermark = replica.high_watermark
        if high_watermark > replica.log.log_end_offset:
            return (
                f"high watermark {high_watermark} of broker {replica.broker_id} is beyond its log's end "
                f"{replica.log.log_end_offset}"
            )
        if replica.role == LEADER:
            reign = (replica.leader_epoch, history.lives.get(replica.broker_id, 0))
            known, before = history.high_watermarks.get(replica.broker_id, (reign, 0))
            if known == reign and high_watermark < before:
                return (
                    f"high watermark of broker {replica.broker_id} fell from {before} to {high_watermark} "
                    f"in epoch {replica.leader_epoch}"
                )
            history.high_watermarks[replica.broker_id] = (reign, high_watermark)
    return None


def maximal_isr_superset(replicas: Replicas, truth: Truth, history: PartitionHistory) -> str | None:
    """Whom the controller may elect, the leader of this epoch waits for: maximal ISR ⊇ ZooKeeper's ISR.

    Before 2.7 a leader writes the ISR itself; while it does so, its partition is locked, and nothing is committed.
    """
    for replica in replicas:
        if replica.role == LEADER and replica.leader_epoch == truth.leader_epoch and not replica.isr_locked:
            for member in truth.isr:
                if member not in replica.in_sync_replicas and member not in replica.pending_isr:
                    return (
                        f"broker {member} is in ZooKeeper's ISR {list(truth.isr)} and not in the maximal ISR "
                        f"{list(replica.in_sync_replicas)} + {list(replica.pending_isr)} of leader {replica.broker_id}"
                    )
    return None


def weak_isr(replicas: Replicas, truth: Truth, history: PartitionHistory) -> str | None:
    """All below the high watermark of whoever believes to lead is on every member of the ISR that it believes in."""
    for leader in replicas:
        if leader.role == LEADER and leader.high_watermark > 0:
            broken = _missing(leader, replicas, leader.in_sync_replicas, history)
            if broken is not None:
                return broken
    return None


def strong_isr(replicas: Replicas, truth: Truth, history: PartitionHistory) -> str | None:
    """All below the high watermark of whoever believes to lead is on every member of ZooKeeper's ISR."""
    for leader in replicas:
        if leader.role == LEADER and leader.high_watermark > 0:
            broken = _missing(leader, replicas, truth.isr, history)
            if broken is not None:
                return broken
    return None


def _missing(leader: Partition, replicas: Replicas, isr: tuple[int, ...], history: PartitionHistory) -> str | None:
    upto = leader.high_watermark
    for replica in replicas:
        if replica is not leader and replica.broker_id in isr:
            agreed = history.matching.agreed(leader, replica, upto)
            if agreed < upto:
                return (
                    f"broker {replica.broker_id} of the ISR {list(isr)} has what leader {leader.broker_id} has "
                    f"up to offset {agreed}, high watermark {upto}"
                )
    return None


def log_matching(replicas: Replicas, truth: Truth, history: PartitionHistory) -> str | None:
    """Any two replicas agree on every batch below both high watermarks."""
    for i, one in enumerate(replicas):
        for other in replicas[i + 1 :]:
            upto = min(one.high_watermark, other.high_watermark, one.log.log_end_offset, other.log.log_end_offset)
            agreed = history.matching.agreed(one, other, upto)
            if agreed < upto:
                return (
                    f"brokers {one.broker_id} and {other.broker_id} differ at offset {agreed}, both marks are at {upto}"
                )
    return None


def leader_completeness(replicas: Replicas, truth: Truth, history: PartitionHistory) -> str | None:
    """The leader of the newest epoch has every batch that was ever committed."""
    for replica in replicas:
        if replica.role == LEADER and replica.broker_id == truth.leader and replica.leader_epoch == truth.leader_epoch:
            gone = history.first_missing(replica)
            if gone is not None:
                return f"leader {replica.broker_id} of epoch {replica.leader_epoch} lacks offset {gone}, once committed"
    return None


def candidate_completeness(replicas: Replicas, truth: Truth, history: PartitionHistory) -> str | None:
    """No committed record is lost while a member of the ISR survives: each of them has every committed batch."""
    for replica in replicas:
        if replica.broker_id in truth.isr:
            gone = history.first_missing(replica)
            if gone is not None:
                return f"broker {replica.broker_id} of the ISR {list(truth.isr)} lacks offset {gone}, once committed"
    return None


def no_fetch_across_divergence(replicas: Replicas, truth: Truth, history: PartitionHistory) -> str | None:
    """Who holds a batch of its leader's epoch holds all that comes before it there."""
    for follower in replicas:
        if follower.role != FOLLOWER or follower.log.latest_epoch() != follower.leader_epoch:
            continue
        for leader in replicas:
            if (
                leader.role == LEADER
                and leader.broker_id == follower.leader_id
                and leader.leader_epoch == follower.leader_epoch
            ):
                upto = min(follower.log.log_end_offset, leader.log.log_end_offset)
                agreed = history.matching.agreed(leader, follower, upto)
                if agreed < upto:
                    return (
                        f"broker {follower.broker_id} has fetched in epoch {follower.leader_epoch} and differs from "
                        f"leader {leader.broker_id} at offset {agreed}"
                    )
    return None


RULES: Final[dict[str, Rule]] = {
    "OneLeaderPerEpoch": one_leader_per_epoch,
    "LeaderInIsr": leader_in_isr,
    "MonotonicHighWatermark": monotonic_high_watermark,
    "MaximalIsrSuperset": maximal_isr_superset,
    "LeaderCompleteness": leader_completeness,
    "LeaderCandidateCompleteness": candidate_completeness,
    "WeakIsr": weak_isr,
    "StrongIsr": strong_isr,
    "LogMatching": log_matching,
    "NoFetchAcrossDivergence": no_fetch_across_divergence,
}
"""All of them, by the names that the specifications give."""
