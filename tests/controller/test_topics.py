"""Topics that appear, grow and go, as the controller sees them in ZooKeeper."""

from __future__ import annotations

from controller_world import World

from kafkasim.messages import LEADER_DURING_DELETE
from kafkasim.protocol import LEADER_AND_ISR, STOP_REPLICA, UPDATE_METADATA
from kafkasim.zookeeper.operations import CHANGED, CHILDREN, Create, Delete, GetChildren, Multi

RING = {"a": [(1, 2, 3), (2, 3, 1)]}


def world_with(extra: dict[str, int]) -> World:
    """A world whose topic registry knows partitions that do not exist yet."""
    world = World(RING)
    for name, count in extra.items():
        world.topics.add(name, count, initial=len(RING.get(name, [])))
    world.env.run(until=1.0)
    return world


def fire(world: World, path: str, kind: str) -> None:
    world.zk._fire([(path, kind)])


def test_a_new_topic_is_created_in_three_rounds() -> None:
    world = world_with({"b": 2})
    world.zk.put("/brokers/topics/b", {0: (3, 1), 1: (1, 2)})
    fire(world, "/brokers/topics", CHILDREN)
    world.env.run(until=2.0)
    rounds = [
        (round(at, 4), op.operations[1].path)
        for at, _, op, error in world.zk.log
        if isinstance(op, Multi) and error is None and isinstance(op.operations[1], Create)
    ]
    times = sorted({at for at, _ in rounds})
    assert [[path for at, path in rounds if at == time] for time in times] == [
        ["/brokers/topics/b/partitions"],
        ["/brokers/topics/b/partitions/0", "/brokers/topics/b/partitions/1"],
        ["/brokers/topics/b/partitions/0/state", "/brokers/topics/b/partitions/1/state"],
    ]
    assert world.state("b", 0) == ((3, 0, (3, 1), 1), 0)
    assert [s.tp.name for body in world.brokers[1].bodies(LEADER_AND_ISR, 1.0) for s in body.partitions] == [
        "b-0",
        "b-1",
    ]
    assert all(len(broker.bodies(UPDATE_METADATA, 1.0)) == 1 for broker in world.brokers.values())


def test_a_dead_replica_is_not_in_a_new_partitions_isr() -> None:
    world = world_with({"b": 1})
    world.kill(3)
    world.zk.expire(3)
    world.env.run(until=2.0)
    world.zk.put("/brokers/topics/b", {0: (3, 1, 2)})
    fire(world, "/brokers/topics", CHILDREN)
    world.env.run(until=3.0)
    assert world.state("b", 0)[0] == (1, 0, (1, 2), 1)


def test_added_partitions_are_created_and_the_others_left_alone() -> None:
    world = world_with({"a": 3})
    world.zk.put("/brokers/topics/a", {0: (1, 2, 3), 1: (2, 3, 1), 2: (3, 1, 2)})
    fire(world, "/brokers/topics/a", CHANGED)
    world.env.run(until=2.0)
    assert world.state("a", 2) == ((3, 0, (3, 1, 2), 1), 0)
    assert world.state("a", 0) == ((1, 0, (1, 2, 3), 1), 0)


def delete(world: World, name: str) -> None:
    world.zk.put(f"/admin/delete_topics/{name}", None)
    fire(world, "/admin/delete_topics", CHILDREN)


def test_deletion_tells_stops_and_removes_one_by_one() -> None:
    world = world_with({})
    world.zk.put("/admin/delete_topics", None)
    world.zk.put("/brokers/topics/a/partitions", None)
    for number in (0, 1):
        world.zk.put(f"/brokers/topics/a/partitions/{number}", None)
    delete(world, "a")
    world.env.run(until=3.0)
    for broker in world.brokers.values():
        told = [s.leader for body in broker.bodies(UPDATE_METADATA, 1.0)[:1] for s in body.partitions]
        assert told == [LEADER_DURING_DELETE] * 2
        stops = [[i.delete for i in body.partitions] for body in broker.bodies(STOP_REPLICA, 1.0)]
        assert stops == [[False, False], [True, True]]
        assert not broker.bodies(LEADER_AND_ISR, 1.0)
    assert not [path for path in world.zk.nodes if path.startswith(("/brokers/topics/a", "/admin/delete_topics/"))]
    # 2 x (2P + 2) sequential calls for the topic's znodes
    wrapped = [op.operations[1] if isinstance(op, Multi) else op for at, _, op, _ in world.zk.log if at > 1.0]
    calls = [op for op in wrapped if isinstance(op, (GetChildren, Delete)) and op.path.startswith("/brokers/topics/a")]
    assert len(calls) == 2 * (2 * 2 + 2)
    context = world.controllers[2].context
    assert (
        not context.states and not context.assignment and not context.to_delete and context.preferred_imbalance() == 0
    )


def test_deletion_waits_for_a_dead_replica() -> None:
    world = world_with({})
    world.zk.put("/admin/delete_topics", None)
    world.kill(3)
    world.zk.expire(3)
    world.env.run(until=2.0)
    delete(world, "a")
    world.env.run(until=3.0)
    assert [i.delete for body in world.brokers[1].bodies(STOP_REPLICA, 2.0) for i in body.partitions][-2:] == [
        True,
        True,
    ]
    assert "/brokers/topics/a" in world.zk.nodes
    world.brokers[3].up = True
    world.epochs[3] = world.register(3)
    world.env.run(until=4.0)
    assert "/brokers/topics/a" not in world.zk.nodes
    assert not world.brokers[3].bodies(LEADER_AND_ISR, 3.0)
