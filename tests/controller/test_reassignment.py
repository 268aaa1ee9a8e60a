"""Replicas move: the steps of KIP-455, one partition at a time."""

from __future__ import annotations

from controller_world import World

from kafkasim.controller.assignment import Assignment
from kafkasim.messages import AlterPartitionItem, AlterReassignmentsBody
from kafkasim.protocol import (
    ALTER_PARTITION_REASSIGNMENTS,
    LEADER_AND_ISR,
    NONE,
    NOT_CONTROLLER,
    STOP_REPLICA,
    UNKNOWN_SERVER_ERROR,
    UNKNOWN_TOPIC_OR_PARTITION,
    Request,
)

FOUR = (1, 2, 3, 4)


def reassign(world: World, targets: dict[int, tuple[int, ...]], controller: int = 2) -> list[Request]:
    answers: list[Request] = []
    request = Request(ALTER_PARTITION_REASSIGNMENTS, 100, AlterReassignmentsBody(targets))
    world.controllers[controller].handle_reassignments(request, answers.append)
    return answers


def begun(active: int = 2) -> World:
    world = World({"a": [(1, 2, 3), (2, 3, 1)]}, brokers=FOUR, active=active)
    world.env.run(until=1.0)
    answers = reassign(world, {0: (4, 2, 3)}, active)
    world.env.run(until=2.0)
    assert answers[0].reply == {0: NONE}
    return world


def test_first_both_sides_hold_it() -> None:
    world = begun()
    assert world.zk.nodes["/brokers/topics/a"][0] == {0: Assignment((4, 2, 3, 1), (4,), (1,)), 1: (2, 3, 1)}
    assert world.state("a", 0)[0] == (1, 1, (1, 2, 3), 1)
    for broker in FOUR:
        states = [s for body in world.brokers[broker].bodies(LEADER_AND_ISR, 1.0) for s in body.partitions]
        assert {(s.tp.name, s.leader, s.replicas, s.adding) for s in states} == {("a-0", 1, (4, 2, 3, 1), (4,))}
        assert len(states) == (2 if broker == 4 else 1)
        assert not world.brokers[broker].bodies(STOP_REPLICA, 1.0)


def complete(world: World, controller: int = 2) -> None:
    tp = world.topics.partition("a", 0)
    (_, epoch, _, _), version = world.state("a", 0)
    world.alter(1, AlterPartitionItem(tp, epoch, (1, 2, 3, 4), version), controller=controller)


def test_then_the_old_replica_goes() -> None:
    world = begun()
    complete(world)
    world.env.run(until=3.0)
    assert world.zk.nodes["/brokers/topics/a"][0] == {0: (4, 2, 3), 1: (2, 3, 1)}
    # the leader was to go: elected from the target, then out of the ISR, an epoch each
    assert world.state("a", 0)[0] == (4, 3, (2, 3, 4), 1)
    stops = [[(i.tp.name, i.delete) for i in body.partitions] for body in world.brokers[1].bodies(STOP_REPLICA, 2.0)]
    assert stops == [[("a-0", False)], [("a-0", True)]]
    assert not world.controllers[2].context.reassigning
    assert world.controllers[2].context.full_assignment(0) == Assignment((4, 2, 3))


def test_an_isr_without_all_targets_completes_nothing() -> None:
    world = begun()
    tp = world.topics.partition("a", 0)
    world.alter(1, AlterPartitionItem(tp, 1, (1, 2), 1))
    world.env.run(until=3.0)
    assert 0 in world.controllers[2].context.reassigning
    assert not world.brokers[1].bodies(STOP_REPLICA, 2.0)


def test_a_new_controller_resumes() -> None:
    world = begun()
    world.kill(2)
    world.zk.expire(2)
    world.env.run(until=3.0)
    (successor,) = [broker for broker in (1, 3, 4) if world.controllers[broker].active]
    assert 0 in world.controllers[successor].context.reassigning
    (_, epoch, isr, _), version = world.state("a", 0)
    assert isr == (1, 3)
    # broker 2 is in the target and dead: nothing can complete before it is back
    tp = world.topics.partition("a", 0)
    world.alter(1, AlterPartitionItem(tp, epoch, (1, 3, 4), version), controller=successor)
    world.env.run(until=4.0)
    assert 0 in world.controllers[successor].context.reassigning
    assert world.zk.nodes["/brokers/topics/a"][0][0] == Assignment((4, 2, 3, 1), (4,), (1,))


def test_a_second_target_replaces_the_first() -> None:
    world = begun()
    reassign(world, {0: (1, 2, 3)})
    world.env.run(until=3.0)
    assert world.zk.nodes["/brokers/topics/a"][0][0] == (1, 2, 3)
    assert [i.delete for body in world.brokers[4].bodies(STOP_REPLICA, 2.0) for i in body.partitions] == [False, True]
    assert not world.controllers[2].context.reassigning


def test_errors() -> None:
    world = World({"a": [(1, 2, 3)]}, brokers=FOUR)
    world.env.run(until=1.0)
    answers = reassign(world, {0: (1, 9), 7: (1, 2)})
    refused = reassign(world, {0: (4, 2, 3)}, controller=1)
    world.env.run(until=2.0)
    assert answers[0].reply == {0: UNKNOWN_SERVER_ERROR, 7: UNKNOWN_TOPIC_OR_PARTITION}
    assert refused[0].error == NOT_CONTROLLER


def test_assignments() -> None:
    running = Assignment((1, 2, 3)).reassigned((4, 5))
    assert running == Assignment((4, 5, 1, 2, 3), (4, 5), (1, 2, 3))
    assert (running.origin, running.target) == ((1, 2, 3), (4, 5))
    assert running.reassigned((1, 2)) == Assignment((1, 2, 3), (), (3,))
    assert not Assignment((1, 2)).reassigned((1, 2)).unfinished
