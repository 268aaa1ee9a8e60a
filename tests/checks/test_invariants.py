"""Every invariant catches a bug that is put in on purpose, and none cries without one."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import pytest

from kafkasim.broker.fetcher import ReplicaFetcher
from kafkasim.broker.isr_manager import IsrManager
from kafkasim.broker.partition import Partition
from kafkasim.broker.role_changes import RoleChanges
from kafkasim.checks import checker
from kafkasim.checks.invariants import RULES
from kafkasim.controller import leader_selection
from kafkasim.controller.leader_selection import Election
from kafkasim.protocol import FetchPartition
from kafkasim.simulation import SimulationError, simulate
from tests.faults.schedules import Draw, run

Patch = pytest.MonkeyPatch


def failover(**changes: Any) -> Draw:
    """Broker 1 is cut off from the other brokers, leads alone, dies and comes back; then the next one dies."""
    made: dict[str, Any] = {
        "seed": 3, "version": "3.9", "acks": "1", "min_isr": 1, "unclean": False, "factor": 3, "idempotent": False,
        "in_flight": 5, "controller": 1,
        "events": [
            {"at": "4s", "partition": {"between": "broker 1", "and": ["broker 2", "broker 3"]}, "for": "4s"},
            {"at": "12s", "crash": "broker 1", "for": "4s"},
            {"at": "20s", "freeze": "broker 2", "for": "5s"},
        ],
    }  # fmt: skip
    return Draw(**{**made, **changes})


def lead_as_well(patch: Patch) -> None:
    """A follower of a new epoch takes the lead too."""
    patch.setattr(RoleChanges, "follow", lambda roles, state, cause, settled=False: roles.lead(state, cause, settled))


def leave_the_leader_out(patch: Patch) -> None:
    """The controller elects a leader and forgets to put it into the ISR."""

    def offline(state: Any, live: Any, unclean: bool) -> Election | None:
        found = real_offline(state, live, unclean)
        if found is None or len(found.isr) < 2:
            return found
        return Election(found.leader, tuple(member for member in found.isr if member != found.leader), found.recipients)

    patch.setattr(leader_selection, "offline", offline)


def slip_back(patch: Patch) -> None:
    """While the ISR is not full the high watermark goes the wrong way."""
    advance = Partition.advance

    def slipping(partition: Partition, now: float, lag_time_max_s: float, live: Any) -> bool:
        if len(partition.in_sync_replicas) == len(partition.replicas):
            return advance(partition, now, lag_time_max_s, live)
        partition.high_watermark = max(0, partition.high_watermark - 1)
        return False

    patch.setattr(Partition, "advance", slipping)


def shrink_alone(patch: Patch) -> None:
    """A leader drops a slow follower at once, whether or not the controller ever hears of it."""
    propose = IsrManager.propose

    def hasty(manager: IsrManager, partition: Partition, isr: tuple[int, ...], cause: int) -> None:
        propose(manager, partition, isr, cause)
        if len(isr) < len(partition.in_sync_replicas):
            partition.commit_isr(isr, partition.partition_epoch)
            partition.pending_isr = isr

    patch.setattr(IsrManager, "propose", hasty)


def commit_alone(patch: Patch) -> None:
    """The leader commits what it has appended, whoever has it."""

    def advance(partition: Partition, now: float, lag_time_max_s: float, live: Any) -> bool:
        moved = partition.log.log_end_offset > partition.high_watermark
        partition.high_watermark = partition.log.log_end_offset
        return moved

    patch.setattr(Partition, "advance", advance)


def elect_anybody(patch: Patch) -> None:
    """The controller prefers who is not in the ISR."""

    def offline(state: Any, live: Any, unclean: bool) -> Election | None:
        for replica in live:
            if replica not in state.isr:
                return Election(replica, (replica,), tuple(live))
        return real_offline(state, live, unclean)

    patch.setattr(leader_selection, "offline", offline)


def join_early(patch: Patch) -> None:
    """A follower is proposed for the ISR at its first fetch, wherever it is."""
    patch.setattr(Partition, "may_join", lambda partition, state, live: not state.in_sync and not partition.pending_isr)


def garble(patch: Patch) -> None:
    """A follower stores something else than it was sent, now and then."""
    append = ReplicaFetcher._append

    def careless(fetcher: ReplicaFetcher, partition: Partition, fetch: FetchPartition, at: float) -> float:
        fetch.batches = [copy(batch) if batch.base_offset % 40 == 7 else batch for batch in fetch.batches]
        return append(fetcher, partition, fetch, at)

    patch.setattr(ReplicaFetcher, "_append", careless)


real_offline = leader_selection.offline
MUTATIONS: dict[str, tuple[Callable[[Patch], None], dict[str, Any]]] = {
    "OneLeaderPerEpoch": (lead_as_well, {}),
    "LeaderInIsr": (leave_the_leader_out, {}),
    "MonotonicHighWatermark": (slip_back, {}),
    "MaximalIsrSuperset": (shrink_alone, {}),
    "LeaderCompleteness": (elect_anybody, {"events": [
        {"at": "4s", "partition": {"between": "broker 1", "and": ["broker 2", "broker 3"]}, "for": "6s"},
        {"at": "8s", "crash": "broker 1", "for": "4s"},
    ]}),
    "LeaderCandidateCompleteness": (join_early, {
        "events": [{"at": "4s", "crash": "broker 2", "for": "6s"}],
        "config": {"replica.fetch.max.bytes": 1000, "replica.fetch.response.max.bytes": 1000},
    }),
    "WeakIsr": (commit_alone, {}),
    "StrongIsr": (shrink_alone, {}),
    "LogMatching": (garble, {"acks": "all"}),
    "NoFetchAcrossDivergence": (garble, {"acks": "1"}),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_an_invariant_catches_a_bug(rule: str, monkeypatch: Patch) -> None:
    """It alone is looked at; the same run without the bug keeps it."""
    mutation, changes = MUTATIONS[rule]
    made = failover(**changes)
    monkeypatch.setattr(checker, "RULES", {rule: RULES[rule]})
    assert run(made).summary["findings"] == []
    mutation(monkeypatch)
    with pytest.raises(SimulationError, match=f"InvariantViolation: {rule} does not hold for"):
        run(made)


def test_unclean_elections_and_lost_power_are_findings_and_no_bugs() -> None:
    cut = {"at": "4s", "partition": {"between": "broker 1", "and": ["broker 2", "broker 3"]}, "for": "6s"}
    unclean = run(failover(unclean=True, events=[cut, {"at": "8s", "crash": "broker 1", "for": "6s"}])).summary
    found = {finding["invariant"] for finding in unclean["findings"]}
    assert "LeaderCompleteness" in found and unclean["ledger"]["acknowledged_lost"] > 0
    assert all("unclean" in finding["because"] for finding in unclean["findings"])
    powerless = run(failover(acks="all", events=[{"at": "8s", "power_loss": "broker 1", "for": "1s"}])).summary
    assert {finding["because"].split(":")[0] for finding in powerless["findings"]} == {"power loss"}
    assert not run(failover()).summary["findings"]


def test_a_thorough_look_changes_no_result() -> None:
    made = failover(acks="all")
    thorough = run(made).summary
    sampled = simulate(made.scenario(), checks="sampled").summary
    assert sampled == thorough
