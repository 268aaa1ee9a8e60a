"""Preferred leaders: by request and by the balance task."""

from __future__ import annotations

from typing import Any

import pytest
from controller_world import World

from kafkasim.messages import ElectLeadersBody
from kafkasim.protocol import (
    ELECT_LEADERS,
    ELECTION_NOT_NEEDED,
    LEADER_AND_ISR,
    NONE,
    NOT_CONTROLLER,
    PREFERRED_LEADER_NOT_AVAILABLE,
    Request,
)

Assignments = dict[str, list[tuple[int, ...]]]
Away = dict[tuple[str, int], tuple[int, tuple[int, ...]]]


def moved(assignments: Assignments, away: Away, **more: Any) -> World:
    """A settled cluster in which some partitions are led elsewhere: {(topic, partition): (leader, ISR)}."""
    world = World(assignments, **more)
    context = world.controllers[2].context
    for (topic, partition), (leader, isr) in away.items():
        tp = world.topics.partition(topic, partition)
        world.zk.put(world.path(tp), (leader, 3, isr, 1))
        context.put_state(context.decode(tp.index, (leader, 3, isr, 1), 1))
    return world


RING: Assignments = {"t": [(1, 3), (2, 1), (3, 2)]}


def test_by_request() -> None:
    world = moved(RING, {("t", 0): (3, (3, 1)), ("t", 2): (2, (2,))})
    assert world.controllers[2].preferred_replica_imbalance_count == 2
    row = world.timeline.add(0.0, "scenario", "fault", "elect_preferred_leaders")
    request = Request(ELECT_LEADERS, 100, ElectLeadersBody(world.topics.partitions("t"), cause=row))
    answers: list[Request] = []
    world.controllers[2].handle_elect_leaders(request, answers.append)
    world.env.run(until=1.0)
    assert answers[0].reply == {0: NONE, 1: ELECTION_NOT_NEEDED, 2: PREFERRED_LEADER_NOT_AVAILABLE}
    assert world.state("t", 0) == ((1, 4, (3, 1), 1), 2)
    assert world.state("t", 2)[0] == (2, 3, (2,), 1)
    # all replicas are told, the leader that loses too
    for broker in (1, 3):
        (body,) = world.brokers[broker].bodies(LEADER_AND_ISR)
        assert [(s.tp.name, s.leader, s.leader_epoch) for s in body.partitions] == [("t-0", 1, 4)]
        assert [r.event for r in world.timeline.chain(body.causes[0])] == ["fault", "leader_elected"]
    assert world.controllers[2].preferred_replica_imbalance_count == 1


def test_refused_by_who_is_not_the_controller() -> None:
    world = World(RING)
    answers = world.elect(world.topics.partitions("t"), controller=1)
    world.env.run(until=1.0)
    assert answers[0].error == NOT_CONTROLLER and set(answers[0].reply.values()) == {NOT_CONTROLLER}


def test_many_partitions_of_a_topic_are_one_row() -> None:
    world = moved({"o": [(1, 3)] * 6}, {("o", p): (3, (3, 1)) for p in range(6)})
    world.elect(world.topics.partitions("o"))
    world.env.run(until=1.0)
    (row,) = [row for row in world.timeline if row.event == "leader_elected"]
    assert (row.count, row.detail) == (6, "o: 6 partitions, leader now 1 (6)")
    body = world.brokers[1].bodies(LEADER_AND_ISR)[0]
    assert body.causes == dict.fromkeys(range(6), row.id)


@pytest.mark.parametrize(("away", "returns"), [(1, False), (2, True)])
def test_balance_above_ten_percent_only(away: int, returns: bool) -> None:
    config = {"auto.leader.rebalance.enable": True}
    partitions: Away = {("t", p): (3, (3, 1)) for p in range(away)}
    world = moved({"t": [(1, 3)] * 10, "u": [(2, 1)] * 3}, partitions, config=config)
    world.env.run(until=301.0)
    assert (world.state("t", 0)[0][0] == 1) is returns
    row = world.timeline.find("preferred_election")
    if returns:
        assert row is not None and row.detail.startswith("balance task: 2 of 10 partitions that prefer broker 1")
    else:
        assert row is None


def test_balance_comes_again_and_is_off_on_request() -> None:
    world = World(RING, config={"auto.leader.rebalance.enable": True, "leader.imbalance.check.interval.seconds": 50})
    world.env.run(until=200.0)
    assert world.controllers[2].queue.by_kind["AutoPreferredReplicaLeaderElection"].count in (3, 4)
    off = World(RING)
    off.env.run(until=700.0)
    assert "AutoPreferredReplicaLeaderElection" not in off.controllers[2].queue.by_kind
