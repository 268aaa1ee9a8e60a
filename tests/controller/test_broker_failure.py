"""Brokers die and return under a live controller."""

from __future__ import annotations

import pytest
from controller_world import World

from kafkasim.messages import LeaderAndIsrBody, UpdateMetadataBody
from kafkasim.protocol import LEADER_AND_ISR, UPDATE_METADATA
from kafkasim.zookeeper.operations import CHANGED, Exists, GetChildren, GetData, Multi

RING: dict[str, list[tuple[int, ...]]] = {"tweets": [(1, 3), (2, 1), (3, 2)]}


def failed(world: World, broker: int = 1, at: float = 10.0) -> World:
    world.env.call_at(at, world.kill, broker)

    def expire(_: None) -> None:
        row = world.timeline.add(world.env.now, "zookeeper 1", "watch_fired", "/brokers/ids")
        world.zk.expire(broker, row)

    world.env.call_at(at + 15.0, expire)
    world.env.run(until=at + 20.0)
    return world


def test_reads_writes_epochs() -> None:
    many: list[tuple[int, ...]] = [(1, 2), (2, 1), (3, 1), (1, 3), (2, 3), (1, 2)] * 4
    world = failed(World({"offsets": many, **RING}))
    led = sum(replicas[0] == 1 for replicas in [*many, *RING["tweets"]])
    followed = sum(replicas[1] == 1 for replicas in [*many, *RING["tweets"]])
    assert (led, followed) == (13, 9)
    assert world.reads_and_writes(25.0) == (2 * led + followed, led + followed)
    assert world.state("tweets", 0) == ((3, 1, (3,), 1), 1)
    assert world.state("tweets", 1) == ((2, 1, (2,), 1), 1)
    assert world.state("tweets", 2) == ((3, 0, (3, 2), 1), 0)
    # besides the states: the children and the two brokers that are left
    others = [op for at, _, op, _ in world.zk.log if at >= 25.0 and not isinstance(op, Multi)]
    assert sum(isinstance(op, GetChildren) for op in others) == 1
    assert sum(isinstance(op, GetData) and op.path.startswith("/brokers/ids/") for op in others) == 2
    row = world.timeline.find("broker_change")
    assert row is not None and row.detail == ("dead 1, live 2, 3; 22 state writes, 35 state reads, 3 other reads")


def test_order_of_steps_and_batches() -> None:
    world = failed(World(RING))
    steps: list[str] = []
    for at, client, op, _ in world.zk.log:
        if at >= 25.0:
            assert client == 2
            target = op.operations[1] if isinstance(op, Multi) else op
            steps.append(("w " if isinstance(op, Multi) else "r ") + target.path.removeprefix("/brokers/"))
    state = "topics/tweets/partitions/{}/state"
    assert steps == [
        "r ids", "r ids/2", "r ids/3",
        "r " + state.format(0), "w " + state.format(0),
        "r " + state.format(0), "r " + state.format(1), "w " + state.format(1),
    ]  # fmt: skip
    # first batch: the new leader alone; second: all partitions that the dead broker hosted, to those that are left
    first, second = world.brokers[3].bodies(LEADER_AND_ISR)
    assert isinstance(first, LeaderAndIsrBody)
    assert [(s.tp.name, s.leader, s.leader_epoch, s.isr, s.partition_epoch) for s in first.partitions] == [
        ("tweets-0", 3, 1, (3,), 1)
    ]
    assert [(s.tp.name, s.leader_epoch) for s in second.partitions] == [("tweets-0", 1)]
    (only,) = world.brokers[2].bodies(LEADER_AND_ISR)
    assert [(s.tp.name, s.leader, s.leader_epoch, s.isr) for s in only.partitions] == [("tweets-1", 2, 1, (2,))]
    assert world.brokers[1].bodies(LEADER_AND_ISR) == []
    updates = world.brokers[2].bodies(UPDATE_METADATA)
    assert [[s.tp.name for s in update.partitions] for update in updates] == [["tweets-0"], ["tweets-0", "tweets-1"]]
    assert all(isinstance(update, UpdateMetadataBody) and update.live_brokers == {2, 3} for update in updates)
    # LeaderAndIsr before UpdateMetadata, one in flight
    assert [request.api for _, request in world.brokers[3].received] == [
        LEADER_AND_ISR, UPDATE_METADATA, LEADER_AND_ISR, UPDATE_METADATA,
    ]  # fmt: skip
    assert first.broker_epoch == world.epochs[3]


def test_no_leader_and_isr_before_all_elections() -> None:
    world = failed(World({"many": [(1, 2)] * 60}))
    last = max(at for at, _, op, _ in world.zk.log if isinstance(op, Multi) and at > 25.0)
    assert all(at > last for at, request in world.brokers[2].received if request.api == LEADER_AND_ISR)
    # a pipeline of ten: six windows of reads, six of writes
    assert last == pytest.approx(25.0 + 0.0001 + 0.002 + 6 * 0.001 + 6 * 0.002, abs=0.002)


def test_the_chain_of_causes() -> None:
    world = failed(World(RING))
    body = world.brokers[3].bodies(LEADER_AND_ISR)[0]
    index = world.topics.partition("tweets", 0).index
    chain = world.timeline.chain(body.causes[index])
    assert [row.event for row in chain] == ["watch_fired", "broker_change", "leader_elected"]
    assert chain[-1].detail == "tweets-0: leader 1 -> 3, ISR [1, 3] -> [3], leader epoch 1"
    (second,) = world.brokers[2].bodies(LEADER_AND_ISR)
    followed = world.topics.partition("tweets", 1).index
    chain = world.timeline.chain(second.causes[followed])
    assert [row.event for row in chain] == ["watch_fired", "broker_change", "isr_changed"]
    assert index not in second.causes
    assert world.brokers[2].bodies(UPDATE_METADATA)[1].causes == {followed: chain[-1].id}


def test_a_lost_race_is_tried_again() -> None:
    world = World(RING)
    tp = world.topics.partition("tweets", 0)

    def meddle(operation: object) -> None:
        if isinstance(operation, Multi) and operation.operations[1].path == world.path(tp):
            world.zk.meddle = None
            world.zk.put(world.path(tp), (1, 0, (1, 3), 1))

    world.zk.meddle = meddle
    failed(world)
    assert world.state("tweets", 0) == ((3, 1, (3,), 1), 2)
    assert world.reads_and_writes(25.0) == (2 + 2, 2)


def test_last_member_of_the_isr_dies_and_returns() -> None:
    world = World({"t": [(1, 2)]})
    tp = world.topics.partition("t", 0)
    world.zk.put(world.path(tp), (1, 0, (1,), 1))
    failed(world)
    assert world.state("t", 0)[0] == (-1, 1, (1,), 1)
    assert world.controllers[2].offline_partitions_count == 1
    # the topic's config is asked for, since nobody of the ISR is live
    assert any(isinstance(op, GetData) and op.path == "/config/topics/t" for _, _, op, _ in world.zk.log)
    row = world.timeline.find("partition_offline")
    assert row is not None and row.detail == "t-0: leader 1 -> none, leader epoch 1"
    returned(world)
    assert world.state("t", 0)[0] == (1, 2, (1,), 1)
    assert world.controllers[2].offline_partitions_count == 0


def test_unclean_election_where_the_topic_allows_it() -> None:
    world = World({"t": [(1, 2)]})
    world.topics.config("t")["unclean.leader.election.enable"] = True
    world.zk.put(world.path(world.topics.partition("t", 0)), (1, 0, (1,), 1))
    failed(world)
    assert world.state("t", 0)[0] == (2, 1, (2,), 1)
    assert world.controllers[2].unclean_leader_elections == 1


def returned(world: World, broker: int = 1) -> None:
    """The process is up again: znode first, port later."""
    now = world.env.now
    server = world.brokers[broker]
    server.received.clear()
    world.epochs[broker] = world.register(broker)
    world.process(broker).start()

    def listen(_: None) -> None:
        server.up = True

    world.env.call_at(now + 0.75, listen)
    world.env.run(until=now + 5.0)


def test_a_broker_returns() -> None:
    world = failed(World(RING))
    before = world.reads_and_writes()
    for broker in (2, 3):
        world.brokers[broker].received.clear()
    since = world.env.now
    returned(world)
    assert world.reads_and_writes() == before
    apis = [request.api for _, request in world.brokers[1].received]
    # metadata of everything; then LeaderAndIsr and UpdateMetadata for what it hosts
    assert apis == [UPDATE_METADATA, LEADER_AND_ISR, UPDATE_METADATA]
    everything, hosted = world.brokers[1].received[0][1].body, world.brokers[1].received[1][1].body
    assert [s.tp.name for s in everything.partitions] == ["tweets-0", "tweets-1", "tweets-2"]
    assert [(s.tp.name, s.leader, s.leader_epoch) for s in hosted.partitions] == [
        ("tweets-0", 3, 1),
        ("tweets-1", 2, 1),
    ]
    assert hosted.broker_epoch == world.epochs[1]
    # refused and retried every 100 ms until the port opens
    first = world.brokers[1].received[0][0]
    assert 0.75 <= first - since < 0.9
    assert world.controllers[2].channels.channels[1].attempts >= 7
    # the others learn of the broker alone, then of the partitions
    assert [[s.tp.name for s in body.partitions] for body in world.brokers[3].bodies(UPDATE_METADATA)] == [
        [], ["tweets-0", "tweets-1"],
    ]  # fmt: skip
    assert world.brokers[3].bodies(UPDATE_METADATA)[0].live_brokers == {1, 2, 3}
    registered = world.timeline.find("registered")
    assert registered is not None and registered.detail == f"broker 1, broker epoch {world.epochs[1]}"
    # its znode is watched again
    assert any(isinstance(op, Exists) and op.path == "/brokers/ids/1" for at, _, op, _ in world.zk.log if at > since)


def test_a_bounced_broker_fails_and_starts_in_one_event() -> None:
    world = World(RING)
    world.env.run(until=1.0)
    world.kill(1)
    # deleted and created again before the controller reads
    del world.zk.nodes["/brokers/ids/1"]
    world.epochs[1] = world.register(1)
    world.brokers[1].up = True
    world.env.run(until=2.0)
    row = world.timeline.find("broker_change")
    assert row is not None and row.detail.startswith("bounced 1, live 1, 2, 3")
    assert world.state("tweets", 0)[0] == (3, 1, (3,), 1)
    assert world.state("tweets", 1)[0] == (2, 1, (2,), 1)
    assert [s.tp.name for s in world.brokers[1].bodies(LEADER_AND_ISR)[0].partitions] == ["tweets-0", "tweets-1"]


def test_a_broker_that_hosts_nothing() -> None:
    world = failed(World({"t": [(2, 3)]}))
    assert world.reads_and_writes() == (0, 0)
    (update,) = world.brokers[3].bodies(UPDATE_METADATA)
    assert update.partitions == [] and update.live_brokers == {2, 3}


def test_replicas_outside_the_isr_are_told_too() -> None:
    world = World({"t": [(1, 2, 3), (3, 1, 2)]})
    for partition in (0, 1):
        tp = world.topics.partition("t", partition)
        leader = tp.partition * 2 + 1
        world.zk.put(world.path(tp), (leader, 0, (leader, 1) if leader == 3 else (1, 3), 1))
    failed(world)
    assert world.state("t", 0)[0] == (3, 1, (3,), 1)
    assert world.state("t", 1)[0] == (3, 1, (3,), 1)
    first, second = world.brokers[2].bodies(LEADER_AND_ISR)
    assert [s.tp.name for s in first.partitions] == ["t-0"]
    assert [s.tp.name for s in second.partitions] == ["t-0", "t-1"]


def test_a_changed_registration_is_passed_on() -> None:
    world = failed(World(RING))
    returned(world)
    for broker in (1, 2, 3):
        world.brokers[broker].received.clear()
    world.zk.put("/brokers/ids/1", {"rack": "r"}, owner=1)
    world.zk._fire([("/brokers/ids/1", CHANGED)])
    world.env.run(until=world.env.now + 1.0)
    assert world.controllers[2].context.racks[1] == "r"
    assert all(world.brokers[broker].bodies(UPDATE_METADATA) for broker in (1, 2, 3))
