"""Who becomes leader: the election strategies as pure functions of a partition's state.

Stands for ``Election`` and ``PartitionLeaderElectionAlgorithms``.  ``live`` are the partition's replicas, in the order
of the assignment, whose broker is registered, not in controlled shutdown and has the replica's disk; a strategy returns
None when nobody may lead.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from kafkasim.messages import PartitionState


@dataclass(frozen=True, slots=True)
class Election:
    """The outcome: the leader, the new ISR, and who is sent the LeaderAndIsr."""

    leader: int
    isr: tuple[int, ...]
    recipients: tuple[int, ...]


def offline(state: PartitionState, live: Sequence[int], unclean: bool) -> Election | None:
    """The leader is dead: the first live member of the ISR, else (``unclean``) the first live replica."""
    for replica in state.replicas:
        if replica in live and replica in state.isr:
            isr = tuple(member for member in state.isr if member in live)
            return Election(replica, isr, tuple(live))
    if unclean and live:
        leader = live[0]
        return Election(leader, (leader,), tuple(live))
    return None


def preferred(state: PartitionState, live: Sequence[int]) -> Election | None:
    """An administrator or the balance task asks: the first replica of the assignment, if it is live and in the ISR."""
    if not state.replicas:
        return None
    leader = state.replicas[0]
    if leader in live and leader in state.isr:
        return Election(leader, state.isr, state.replicas)
    return None


def controlled_shutdown(
    state: PartitionState, live_or_shutting_down: Sequence[int], shutting_down: Container[int]
) -> Election | None:
    """The leader's broker leaves: the first live member of the ISR that stays; the ISR loses those that leave."""
    for replica in state.replicas:
        if replica in live_or_shutting_down and replica in state.isr and replica not in shutting_down:
            isr = tuple(member for member in state.isr if member not in shutting_down)
            return Election(replica, isr, tuple(live_or_shutting_down))
    return None


def reassign(state: PartitionState, target: Sequence[int], live: Sequence[int]) -> Election | None:
    """A reassignment ends: the first live member of the ISR among the target replicas."""
    for replica in target:
        if replica in live and replica in state.isr:
            return Election(replica, state.isr, tuple(target))
    return None


def new_partition(live: Sequence[int]) -> Election | None:
    """A partition is created: the first live replica leads, all live ones are the ISR."""
    if not live:
        return None
    return Election(live[0], tuple(live), tuple(live))


def without_replica(state: PartitionState, replica: int) -> tuple[int, tuple[int, ...]]:
    """(leader, ISR) once ``replica`` is offline: never an empty ISR, leader -1 if it led (OfflineReplica)."""
    leader = -1 if state.leader == replica else state.leader
    if len(state.isr) == 1:
        return leader, state.isr
    return leader, tuple(member for member in state.isr if member != replica)
