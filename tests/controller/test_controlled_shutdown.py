"""A broker says that it wants to stop: what the controller writes, sends and answers."""

from __future__ import annotations

from controller_world import World

from kafkasim.messages import ControlledShutdownBody
from kafkasim.protocol import (
    BROKER_NOT_AVAILABLE,
    CONTROLLED_SHUTDOWN,
    LEADER_AND_ISR,
    NONE,
    STALE_BROKER_EPOCH,
    STALE_CONTROLLER_EPOCH,
    STOP_REPLICA,
    Request,
)

RING = {"a": [(1, 2, 3), (2, 3, 1), (3, 1, 2)], "single": [(1,)]}


def ask(world: World, broker: int, controller: int = 2, epoch: int | None = None) -> list[Request]:
    body = ControlledShutdownBody(broker, world.epochs[broker] if epoch is None else epoch)
    answers: list[Request] = []
    world.controllers[controller].handle_controlled_shutdown(Request(CONTROLLED_SHUTDOWN, 36, body), answers.append)
    return answers


def test_leaderships_move_and_followed_replicas_leave_the_isr() -> None:
    world = World(RING)
    world.env.run(until=1.0)
    answers = ask(world, 1)
    world.env.run(until=2.0)
    assert answers[0].error == NONE and answers[0].reply == []
    # led: the next live ISR member; the ISR loses the broker; one epoch bump each
    assert world.state("a", 0)[0] == (2, 1, (2, 3), 1)
    # followed: only out of the ISR
    assert world.state("a", 1)[0] == (2, 1, (2, 3), 1)
    assert world.state("a", 2)[0] == (3, 1, (3, 2), 1)
    # one replica: it stays
    assert world.state("single", 0)[0] == (1, 0, (1,), 1)
    # StopReplica without deletion for what it follows: by itself, and once more with the removal from the ISR
    stops = world.brokers[1].bodies(STOP_REPLICA, 1.0)
    assert [[(i.tp.name, i.delete) for i in body.partitions] for body in stops] == [
        [("a-1", False), ("a-2", False)]
    ] * 2
    # the leaving broker is told its new leaders, and nothing of what it only follows
    told = world.brokers[1].bodies(LEADER_AND_ISR, 1.0)
    assert [[state.tp.name for state in body.partitions] for body in told] == [["a-0"]]
    assert {s.tp.name for body in world.brokers[3].bodies(LEADER_AND_ISR, 1.0) for s in body.partitions} == {
        "a-0", "a-1", "a-2"
    }  # fmt: skip


def test_reads_and_writes_are_one_each_a_replica() -> None:
    world = World(RING)
    world.env.run(until=1.0)
    ask(world, 1)
    world.env.run(until=2.0)
    assert world.reads_and_writes(1.0) == (3, 3)


def test_the_last_member_of_an_isr_keeps_its_partition() -> None:
    world = World({"a": [(1, 2)]})
    tp = world.topics.partition("a", 0)
    world.zk.put(world.path(tp), (1, 4, (1,), 1))
    world.controllers[2].context.put_state(world.controllers[2].context.decode(tp.index, (1, 4, (1,), 1), 1))
    world.env.run(until=1.0)
    answers = ask(world, 1)
    world.env.run(until=2.0)
    assert answers[0].error == NONE and answers[0].reply == [tp]
    assert world.state("a", 0)[0] == (1, 4, (1,), 1)


def test_a_broker_that_is_leaving_is_not_elected_nor_let_into_an_isr() -> None:
    world = World(RING)
    world.env.run(until=1.0)
    ask(world, 1)
    world.env.run(until=2.0)
    ask(world, 3)
    world.env.run(until=3.0)
    assert world.state("a", 0)[0][0] == 2 and world.state("a", 2)[0][:3] == (2, 2, (2,))
    assert world.controllers[2].context.live_replicas(world.topics.partition("a", 0).index) == (2,)


def test_the_znode_goes_without_an_election_or_a_write() -> None:
    world = World(RING)
    world.env.run(until=1.0)
    ask(world, 1)
    world.env.run(until=2.0)
    world.brokers[1].kill()
    world.zk.expire(1)
    world.env.run(until=3.0)
    reads, writes = world.reads_and_writes(2.0)
    # a-0, a-1 and a-2 are read once; the single replica is read twice (it has lost its leader) and written
    assert (reads, writes) == (5, 1)
    assert world.state("single", 0)[0] == (-1, 1, (1,), 1)
    assert 1 not in world.controllers[2].context.shutting_down


def test_refusals() -> None:
    world = World(RING)
    world.env.run(until=1.0)
    stale = ask(world, 1, epoch=world.epochs[1] - 1)
    stranger = ask(world, 3, controller=1)
    world.controllers[2].context.live.pop(3)
    unknown = ask(world, 3)
    world.env.run(until=2.0)
    assert stale[0].error == STALE_BROKER_EPOCH
    assert stranger[0].error == STALE_CONTROLLER_EPOCH
    assert unknown[0].error == BROKER_NOT_AVAILABLE
    assert world.reads_and_writes(1.0) == (0, 0)
