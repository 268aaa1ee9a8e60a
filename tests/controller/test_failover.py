"""The controller dies, loses its znode or its session: another takes over, the old one is fenced."""

from __future__ import annotations

from controller_world import World

from kafkasim.controller.store import Steps
from kafkasim.messages import AlterPartitionItem
from kafkasim.protocol import LEADER_AND_ISR, NONE, NOT_CONTROLLER, UNKNOWN_SERVER_ERROR, UPDATE_METADATA
from kafkasim.zookeeper.operations import CHILDREN, GetChildren, Multi, WatchEvent

RING: dict[str, list[tuple[int, ...]]] = {"a": [(1, 3), (2, 1), (3, 2)], "b": [(2, 3), (3, 1)]}


def killed() -> World:
    world = World(RING)
    world.env.call_at(1.0, world.kill, 2)

    def expire(_: None) -> None:
        world.zk.expire(2, world.timeline.add(world.env.now, "zookeeper 1", "watch_fired", "/controller"))

    world.env.call_at(16.0, expire)
    world.env.run(until=20.0)
    return world


def winner(world: World) -> int:
    (active,) = [broker for broker, controller in world.controllers.items() if controller.active]
    return active


def test_one_successor_with_the_next_epoch() -> None:
    world = killed()
    active = winner(world)
    assert active in (1, 3)
    assert world.controllers[active].epoch == 2
    assert world.zk.nodes["/controller"][0] == active
    assert world.zk.nodes["/controller_epoch"][0] == 2
    assert sum(controller.active_controller_count for controller in world.controllers.values()) == 1
    assert {controller.known_controller for controller in world.controllers.values()} == {active, -1}
    row = world.timeline.find("controller_elected")
    assert row is not None and [r.event for r in world.timeline.chain(row.id)] == ["watch_fired", "controller_elected"]


def test_two_epochs_for_what_the_dead_controller_led_and_one_for_what_it_followed() -> None:
    world = killed()
    assert world.state("a", 1) == ((1, 2, (1,), 2), 2)  # led: leader -1 first
    assert world.state("b", 0) == ((3, 2, (3,), 2), 2)
    assert world.state("a", 2) == ((3, 1, (3,), 2), 1)  # followed
    assert world.state("a", 0) == ((1, 0, (1, 3), 1), 0)
    events = [row.event for row in world.timeline if "a-1" in row.detail]
    assert events == ["partition_offline", "leader_elected"]


def test_start_up_reads() -> None:
    world = killed()
    active = winner(world)
    multi = next(at for at, c, op, e in world.zk.log if c == active and isinstance(op, Multi) and e is None)
    mine = [op for at, client, op, _ in world.zk.log if client == active and at > multi]
    reads = [op for op in mine if not isinstance(op, Multi)]
    brokers, topics, partitions = 2, 2, 5
    dead_replicas, led = 3, 2
    controller_change = 2  # its own /controller was created: it reads that again
    again = 1  # the watch of the preferred election, set again by an event of its own
    fixed = 3 + 2 + 1 + 1 + 1 + 2
    assert len(reads) == fixed + 2 * brokers + topics + partitions + dead_replicas + led + controller_change + again
    assert sum(isinstance(op, GetChildren) for op in reads) == 5
    order = [op.path for op in reads]
    assert order.index("/brokers/ids") < order.index("/brokers/topics") < order.index("/admin/delete_topics")
    writes = [op for op in mine if isinstance(op, Multi) and op.operations[1].path.endswith("/state")]
    assert len(writes) == dead_replicas + led


def test_what_the_brokers_get() -> None:
    world = killed()
    active = winner(world)
    received = [request for at, request in world.brokers[1].received if request.body.controller_id == active]
    assert [request.api for request in received[:3]] == [UPDATE_METADATA, LEADER_AND_ISR, UPDATE_METADATA]
    brokers, hosted, everything = (request.body for request in received[:3])
    assert brokers.partitions == [] and brokers.live_brokers == {1, 3}
    assert [s.tp.name for s in hosted.partitions] == ["a-0", "a-1", "b-1"]
    assert [s.leader for s in hosted.partitions] == [1, 2, 3]
    assert [s.tp.name for s in everything.partitions] == ["a-0", "a-1", "a-2", "b-0", "b-1"]
    assert hosted.controller_epoch == 2
    second = received[3].body
    assert [(s.tp.name, s.leader, s.leader_epoch) for s in second.partitions] == [("a-1", -1, 1)]
    third = received[5].body
    assert [(s.tp.name, s.leader, s.leader_epoch) for s in third.partitions] == [("a-1", 1, 2)]


def test_the_next_controller_balances_after_five_seconds() -> None:
    world = World(RING, config={"auto.leader.rebalance.enable": True})
    world.env.call_at(1.0, world.kill, 2)
    world.env.call_at(16.0, lambda _: world.zk.expire(2), None)
    world.env.run(until=21.5)
    assert world.state("a", 1)[0][0] == 1
    times = world.controllers[winner(world)].queue.by_kind
    assert times["AutoPreferredReplicaLeaderElection"].count == 1


def test_a_zombie_is_fenced_and_resigns() -> None:
    """It slept through its own deposition: no write of it passes, and the first event that fails ends its role."""
    world = World(RING)
    world.env.run(until=1.0)
    old = world.controllers[2]
    world.clients[2].on_watch = None
    world.zk.expire(2)
    world.env.run(until=2.0)
    (successor,) = [world.controllers[broker] for broker in (1, 3) if world.controllers[broker].active]
    assert old.active and (old.epoch, successor.epoch) == (1, 2)
    # an ISR change is refused at the check of the epoch; the failure is the answer
    tp = world.topics.partition("a", 0)
    before = world.state("a", 0)
    moved = world.alter(1, AlterPartitionItem(tp, 0, (1,), 0))
    world.env.run(until=3.0)
    assert moved[0].error == UNKNOWN_SERVER_ERROR
    assert world.state("a", 0) == before
    # what a newer controller has written is not elected over
    led = world.topics.partition("a", 1)
    world.zk.put(world.path(led), (1, 2, (1, 2), 2))
    old.context.put_state(old.context.decode(led.index, (1, 0, (1, 2), 1), 0))
    changed = world.state("a", 1)
    elected = world.elect([led])
    world.env.run(until=4.0)
    assert elected and world.state("a", 1) == changed
    assert not any(isinstance(op, Multi) for at, client, op, _ in world.zk.log if client == 2 and at > 3.0)
    # the next change of brokers finds another one dead, tries to write, and resigns
    del world.zk.nodes[f"/brokers/ids/{4 - successor.broker_id}"]
    old.on_watch(WatchEvent("/brokers/ids", CHILDREN, 0))
    world.env.run(until=5.0)
    assert not old.active and old.known_controller == successor.broker_id
    assert not old.channels.channels and not old.context.states
    late = world.alter(1, AlterPartitionItem(tp, 0, (1,), 0))
    world.env.run(until=6.0)
    assert late[0].error == NOT_CONTROLLER


def test_session_expiry_resigns_first_and_re_elects_last() -> None:
    world = World(RING)
    world.env.run(until=1.0)
    controller = world.controllers[2]
    world.clients[2].expired = True
    started = controller.on_session_expired()
    world.env.run(until=1.001)
    assert started.triggered and not controller.active and not controller.channels.channels
    world.clients[2].expired = False
    world.zk.expire(2)
    registered: list[int] = []

    def register() -> Steps:
        yield world.env.timeout(0.01)
        registered.append(world.register(2))

    controller.on_new_session(register)
    world.env.run(until=3.0)
    assert registered
    active = winner(world)
    assert world.controllers[active].context.live[2] == registered[0]


def test_what_waits_is_dropped_when_the_session_expires() -> None:
    world = World(RING)
    world.env.run(until=1.0)
    context = world.controllers[2].context
    tp = world.topics.partition("a", 0)
    world.zk.put(world.path(tp), (3, 1, (3, 1), 1))
    context.put_state(context.decode(tp.index, (3, 1, (3, 1), 1), 1))
    first, second = world.elect([tp]), world.elect([tp])
    world.env.run(until=1.0005)
    world.controllers[2].on_session_expired()
    assert not first and second[0].error == NOT_CONTROLLER
    world.env.run(until=2.0)
    # the event in progress ends before the resignation
    assert first[0].error == NONE and not world.controllers[2].active


def test_an_event_in_progress_fails_when_the_session_expires() -> None:
    world = World(RING)
    world.env.run(until=1.0)
    world.zk.expire(1)
    world.env.run(until=1.0015)
    world.clients[2].expired = True
    world.env.run(until=1.5)
    assert world.controllers[2].expired_events == 1
    assert world.state("a", 0)[0] == (1, 0, (1, 3), 1)


def test_all_start_at_once_and_one_wins() -> None:
    world = World(RING)
    for broker in (1, 2, 3):
        world.kill(broker)
    del world.zk.nodes["/controller"]
    for broker in (1, 2, 3):
        world.brokers[broker].up = True
        world.process(broker).start()
    world.env.run(until=1.0)
    assert winner(world) in (1, 2, 3)
    assert world.zk.nodes["/controller_epoch"][0] == 2
    lost = [op for _, _, op, error in world.zk.log if isinstance(op, Multi) and error is not None]
    assert sum(op.operations[0].path == "/controller" for op in lost) == 2
