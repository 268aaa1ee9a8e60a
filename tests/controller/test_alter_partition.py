"""AlterPartition: who may change an ISR, in which order things happen."""

from __future__ import annotations

import pytest
from controller_world import World

from kafkasim.messages import AlterPartitionBody, AlterPartitionItem
from kafkasim.protocol import (
    ALTER_PARTITION,
    FENCED_LEADER_EPOCH,
    INELIGIBLE_REPLICA,
    INVALID_UPDATE_VERSION,
    NONE,
    NOT_CONTROLLER,
    STALE_BROKER_EPOCH,
    UNKNOWN_TOPIC_OR_PARTITION,
    UPDATE_METADATA,
    Request,
    TopicPartition,
)
from kafkasim.scenario.versions import LATEST, Version
from kafkasim.zookeeper.operations import GetData, Multi

THREE: dict[str, list[tuple[int, ...]]] = {"t": [(1, 2, 3), (2, 3, 1)]}


def world_at(epoch: int, partition_epoch: int, version: Version = LATEST) -> World:
    """Partition t-0 stands at a leader epoch and a partition epoch, ISR [1, 2]."""
    world = World(THREE, version=version)
    tp = world.topics.partition("t", 0)
    world.zk.nodes[world.path(tp)] = ((1, epoch, (1, 2), 1), partition_epoch, 1, 0)
    context = world.controllers[2].context
    context.put_state(context.decode(tp.index, (1, epoch, (1, 2), 1), partition_epoch))
    world.env.run(until=1.0)
    return world


@pytest.mark.parametrize(
    ("leader_epoch", "isr", "partition_epoch", "error"),
    [
        (4, (1, 2, 3), 7, NONE),
        (4, (1,), 7, NONE),
        (5, (1, 2, 3), 7, NOT_CONTROLLER),
        (4, (1, 2, 3), 8, NOT_CONTROLLER),
        (3, (1, 2, 3), 7, FENCED_LEADER_EPOCH),
        (4, (1, 2, 3), 6, INVALID_UPDATE_VERSION),
        (4, (1, 2), 6, NONE),  # granted already
        (4, (1, 2, 9), 7, INELIGIBLE_REPLICA),
    ],
)
def test_the_table(leader_epoch: int, isr: tuple[int, ...], partition_epoch: int, error: int) -> None:
    world = world_at(4, 7)
    item = AlterPartitionItem(world.topics.partition("t", 0), leader_epoch, isr, partition_epoch)
    (answer,) = ask(world, item)
    assert answer.error == NONE and answer.reply == [item] and item.error == error
    granted = isr == (1, 2)
    if error == NONE:
        assert item.state is not None
        assert (item.state.isr, item.state.leader_epoch) == (isr, 4)
        assert item.state.partition_epoch == (7 if granted else 8)
    wrote = error == NONE and not granted
    assert world.state("t", 0) == ((1, 4, isr if wrote else (1, 2), 1), 8 if wrote else 7)


def ask(world: World, *items: AlterPartitionItem, broker: int = 1, epoch: int | None = None) -> list[Request]:
    answers = world.alter(broker, *items, epoch=epoch)
    world.env.run(until=world.env.now + 1.0)
    return answers


def test_a_dead_member_is_not_eligible_even_in_a_shrink() -> None:
    world = world_at(4, 7)
    world.kill(3)
    world.zk.expire(3)
    world.env.run(until=2.0)
    tp = world.topics.partition("t", 0)
    assert world.controllers[2].context.states[tp.index].isr == (1, 2)
    item = AlterPartitionItem(tp, 4, (1, 3), 7)
    ask(world, item)
    assert item.error == INELIGIBLE_REPLICA


@pytest.mark.parametrize(
    ("leader_epoch", "isr", "partition_epoch", "error"),
    [
        (3, (1, 2, 3), 7, FENCED_LEADER_EPOCH),
        (4, (1, 2, 3), 8, INVALID_UPDATE_VERSION),  # ZooKeeper refuses the version
        (4, (1, 2, 3), 6, INVALID_UPDATE_VERSION),
        (4, (1, 2, 9), 7, NONE),  # nobody asks whether 9 lives
    ],
)
def test_before_3_3(leader_epoch: int, isr: tuple[int, ...], partition_epoch: int, error: int) -> None:
    world = world_at(4, 7, Version(2, 8, 2))
    item = AlterPartitionItem(world.topics.partition("t", 0), leader_epoch, isr, partition_epoch)
    ask(world, item)
    assert item.error == error


def test_whole_request_refused() -> None:
    world = world_at(4, 7)
    item = AlterPartitionItem(world.topics.partition("t", 0), 4, (1, 2, 3), 7)
    assert ask(world, item, epoch=world.epochs[1] - 1)[0].error == STALE_BROKER_EPOCH
    answers = world.alter(1, item, controller=1)
    world.env.run(until=world.env.now + 1.0)
    assert answers[0].error == NOT_CONTROLLER
    world.controllers[2].context.live.pop(1)
    assert ask(world, item)[0].error == STALE_BROKER_EPOCH
    assert world.state("t", 0)[1] == 7


def test_unknown_partition() -> None:
    world = world_at(4, 7)
    item = AlterPartitionItem(TopicPartition("other", 0, 17), 0, (1,), 0)
    ask(world, item)
    assert item.error == UNKNOWN_TOPIC_OR_PARTITION


def test_write_read_tell_everybody_answer() -> None:
    world = world_at(4, 7)
    row = world.timeline.add(1.0, "broker 1", "caught_up", "broker 3")
    tp = world.topics.partition("t", 0)
    item = AlterPartitionItem(tp, 4, (1, 2, 3), 7, cause=row)
    body = AlterPartitionBody(1, world.epochs[1], [item])
    answered: list[float] = []
    world.controllers[2].handle_alter_partition(
        Request(ALTER_PARTITION, 100, body), lambda request: answered.append(world.env.now)
    )
    world.env.run(until=2.0)
    ops = [(at, op) for at, _, op, _ in world.zk.log if at > 1.0]
    assert [isinstance(op, Multi) for _, op in ops] == [True, False]
    assert isinstance(ops[1][1], GetData) and ops[1][1].path == world.path(tp)
    assert ops[1][0] < answered[0]
    for broker in (1, 2, 3):
        (update,) = world.brokers[broker].bodies(UPDATE_METADATA)
        assert world.brokers[broker].received[0][0] > answered[0]  # queued before the answer, on its way after it
        assert [(s.tp.name, s.isr, s.partition_epoch) for s in update.partitions] == [("t-0", (1, 2, 3), 8)]
        changed = world.timeline.row(update.causes[tp.index])
        assert [r.event for r in world.timeline.chain(changed.id)] == ["caught_up", "isr_changed"]
        assert changed.detail == "t-0: ISR [1, 2] -> [1, 2, 3], leader epoch 4"


def test_waits_behind_a_long_event() -> None:
    """One thread: an ISR change stands behind a mass election."""
    world = World({"m": [(1, 2)] * 200, **THREE})
    world.env.run(until=1.0)
    world.kill(1)
    world.zk.expire(1)
    world.env.run(until=1.01)
    controller = world.controllers[2]
    item = AlterPartitionItem(world.topics.partition("t", 1), 0, (2, 3), 0)
    answers = world.alter(2, item)
    assert controller.event_queue_size == 1
    world.env.run(until=1.05)
    assert not answers
    world.env.run(until=5.0)
    # the election has bumped the epoch of t-1 meanwhile: the proposal is out of date
    assert answers and item.error == FENCED_LEADER_EPOCH
    assert controller.queue.waited.longest_s > 0.05
    assert controller.queue.by_kind["BrokerChange"].longest_s > 0.05
