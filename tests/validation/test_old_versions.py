"""What differs between the releases from 0.10.2 to 2.7: one test for every difference that touches a built mechanism.

What truncation does in its eras: tests/broker/test_truncation.py, tests/faults/test_kip_101.py.  What becomes of a
leader that writes its ISR itself: tests/faults/test_isr_through_zookeeper.py.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from kafkasim.broker.partition import Partition
from kafkasim.clients.batch_size import ConstantSize
from kafkasim.clients.settings import ClientSettings
from kafkasim.controller.sizes import leader_and_isr_bytes, update_metadata_bytes
from kafkasim.messages import (
    ControlledShutdownBody,
    LeaderAndIsrBody,
    ListOffsetsItem,
    MetadataReply,
    PartitionState,
)
from kafkasim.protocol import (
    CONTROLLED_SHUTDOWN,
    DELIVERY_TIMEOUT,
    LEADER_AND_ISR,
    LIST_OFFSETS,
    NONE,
    OFFSET_NOT_AVAILABLE,
    STALE_BROKER_EPOCH,
    UPDATE_METADATA,
    Request,
    TopicPartition,
)
from kafkasim.scenario import Scenario, ScenarioError
from kafkasim.scenario.versions import Version, accept
from kafkasim.simulation import Simulation
from kafkasim.zookeeper.operations import Create, Multi, SetData
from tests.broker.replication_world import Wire
from tests.broker.replication_world import World as DataPath
from tests.clients.plain_cluster import PlainCluster
from tests.controller.controller_world import World
from tests.validation.test_versions import LINES, paced, scenario, since

OLD = [line for line in LINES if accept(line) < (2, 8)]


# What is accepted


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0.10.2", (0, 10, 2)), ("0.10.2.1", (0, 10, 2)), ("0.11", (0, 11, 0)), ("0.11.0", (0, 11, 0)),
        ("0.11.0.3", (0, 11, 0)), ("1.0", (1, 0, 2)), ("2.6", (2, 6, 3)), ("2.6.0", (2, 6, 0)),
    ],
)  # fmt: skip
def test_releases_before_1_0_have_lines_of_three_numbers(text, version):
    assert accept(text) == Version(*version)


@pytest.mark.parametrize("text", ["0.10", "0.10.1", "0.10.1.1", "0.10.0", "0.9.0.1", "0.11.1"])
def test_their_other_lines_are_refused_by_name(text):
    with pytest.raises(ValueError, match=f"Kafka {text.removesuffix('.1') if text.count('.') == 3 else text} is not"):
        accept(text)


@pytest.mark.parametrize(("text", "last"), [("0.10.2.3", "0.10.2.2"), ("0.11.0.4", "0.11.0.3"), ("1.1.2", "1.1.1")])
def test_a_patch_that_never_was(text, last):
    with pytest.raises(ValueError, match=f"ended with {last}"):
        accept(text)


@pytest.mark.parametrize(("client", "brokers"), [("2.4", "2.6"), ("2.6", "2.4"), ("3.9", "1.1")])
def test_idempotent_producers_of_or_at_old_releases_are_refused(client, brokers):
    text = f"""
name: old
duration: 5s
cluster: {{version: "{brokers}", brokers: {{count: 3}}}}
topics: {{t: {{}}}}
producers:
  - {{name: p, topic: t, rate: 1/s, record_size: 100B, version: "{client}", config: {{CONFIG}}}}
"""
    with pytest.raises(ScenarioError, match=r"idempotent producers of Kafka [12]"):
        Scenario.loads(text.replace("CONFIG", "enable.idempotence: true"))
    Scenario.loads(text.replace("CONFIG", "enable.idempotence: false"))


# A version reaches the rooms


@pytest.mark.parametrize("line", OLD)
def test_switches_of_a_broker(line):
    broker = Simulation(scenario(line), 1).cluster.brokers[1]
    settings = broker._fetcher_settings
    assert settings.keeps_epochs is since(line, 0, 11)
    assert settings.asks_epoch_again is since(line, 2, 0)
    assert settings.halts_ahead is not since(line, 2, 0)
    assert settings.fences is since(line, 2, 1)
    assert settings.fails_partitions is since(line, 2, 3)
    assert settings.truncates_on_fetch is since(line, 2, 7)
    assert (broker.replicas.shared.session_cache._slots > 0) is since(line, 1, 1)
    assert (broker.isr_writer is None) is since(line, 2, 7)
    if broker.replicas.locks is not None:
        assert broker.replicas.locks.reads_too is since(line, 2, 1)
    partition = next(iter(broker.replicas.partitions.values()))
    assert partition.keeps_epochs is since(line, 0, 11)
    assert partition.keeps_idle_followers is since(line, 2, 1)
    assert partition.joins_at_epoch_start is since(line, 2, 1)
    assert partition.unclean_allowed is not since(line, 0, 11)
    assert broker.coordinator.settings.initial_rebalance_delay_ms == (3000 if since(line, 0, 11) else 0)
    assert broker.coordinator._member_id_required is since(line, 2, 2)
    assert broker.coordinator._heartbeat_while_completing is since(line, 2, 6, 1)
    assert broker.pipelined is since(line, 1, 1)
    assert broker.controller.store.fenced is since(line, 2, 1)


@pytest.mark.parametrize("line", OLD)
def test_switches_of_a_client(line):
    settings = ClientSettings({}, accept(line), 5)
    assert settings.remembers_epochs is since(line, 2, 2)
    assert settings.minds_epochs is since(line, 2, 3)
    assert settings.distrusts_old_epochs is since(line, 2, 4)
    assert settings.setup_timeout_ms == (10000 if since(line, 2, 7) else 127000)
    assert settings.reconnect_backoff_max_ms == (1000 if since(line, 0, 11) else 50)


# The ISR


def partition_of(line: str) -> Partition:
    broker = Simulation(scenario(line), 1).cluster.brokers[1]
    return next(p for p in broker.replicas.partitions.values() if p.tp.topic == "t")


@pytest.mark.parametrize("line", OLD)
def test_a_silent_follower_leaves_an_idle_partition_before_2_1(line):
    partition = partition_of(line)
    assert partition.lagging(31.0, 30.0) == ([] if since(line, 2, 1) else [2, 3])


@pytest.mark.parametrize("line", OLD)
def test_a_follower_joins_the_isr_with_an_offset_of_the_epoch_since_2_1(line):
    partition = partition_of(line)
    partition.commit_isr((1, 2), 1)
    partition.high_watermark, partition.epoch_start_offset = 5, 10
    state = partition.follower(3)
    state.log_end_offset = 5
    assert partition.may_join(state, None) is not since(line, 2, 1)
    state.log_end_offset = 10
    assert partition.may_join(state, None)


# Roles


def change(line: str, leader: int, epoch: int) -> tuple[bool, int]:
    """Broker 3 follows broker 1 in epoch 0 and is told of another: does its fetcher begin anew, and its epoch."""
    simulation = Simulation(scenario(line), 1)
    simulation.cluster.env.run(until=1.0)
    broker = simulation.cluster.brokers[3]
    partition = next(p for p in broker.replicas.partitions.values() if p.tp.topic == "t")
    before = broker._fetchers[1, 0].followed[partition.tp.index]
    state = PartitionState(partition.tp, leader, epoch, (1, 2, 3), 1, (1, 2, 3), 1)
    broker.roles.follow(state, 0)
    fetcher = broker._fetchers[leader, 0]
    return fetcher.followed[partition.tp.index] is not before, partition.leader_epoch


@pytest.mark.parametrize("line", OLD)
def test_a_new_epoch_of_the_same_leader(line):
    """2.1: the fetcher begins anew; 1.1 and 2.0 only if an epoch was missed; before, never."""
    assert change(line, 1, 1) == (since(line, 2, 1), 1)
    assert change(line, 1, 2) == (since(line, 1, 1), 2)
    assert change(line, 2, 1) == (True, 1)


@pytest.mark.parametrize("line", ["0.10.2", "0.11", "2.6"])
def test_a_new_leader_syncs_its_epoch_file_since_0_11(line):
    simulation = Simulation(scenario(line), 1)
    broker = simulation.cluster.brokers[2]
    partition = next(p for p in broker.replicas.partitions.values() if p.tp.topic == "t")
    state = PartitionState(partition.tp, 2, 1, (1, 2, 3), 1, (1, 2, 3), 1)
    body = LeaderAndIsrBody(2, 1, broker.epoch, [state], frozenset((1, 2, 3)))
    held = broker.roles.leader_and_isr(Request(LEADER_AND_ISR, 100, body), lambda request, at: None)
    assert (held > 0.0) is since(line, 0, 11)


@pytest.mark.parametrize("line", OLD)
def test_a_request_for_an_earlier_process_is_refused_since_2_2(line):
    broker = Simulation(scenario(line), 1).cluster.brokers[2]
    body = LeaderAndIsrBody(2, 1, broker.epoch - 1, [], frozenset((1, 2, 3)))
    request = Request(LEADER_AND_ISR, 100, body)
    broker.roles.leader_and_isr(request, lambda request, at: None)
    assert request.error == (STALE_BROKER_EPOCH if since(line, 2, 2) else NONE)


# Requests at a broker


def test_others_are_served_before_the_own_answer_up_to_2_6():
    """A produce with acks=1: two parked fetches are answered first, 10 µs each, where that is done inside."""
    answered = {}
    for inside in (True, False):
        world = DataPath()
        for node in world.nodes.values():
            node.replicas._completes_inside = inside
        world.env.run(until=0.9)
        wire = Wire(world, 1)
        wire.produce(1.0, world.tps[0], acks=1)
        world.env.run(until=1.1)
        answered[inside] = wire.answers[0][0]
    assert answered[True] - answered[False] == pytest.approx(20e-6, rel=0.05)


@pytest.mark.parametrize("line", ["2.3", "2.4", "2.5", "2.6", "2.7"])
def test_a_high_watermark_that_moves_is_told_at_once_in_2_4_and_2_5(line):
    """A record alone: the followers hear that it is committed with the next fetch, half a second later."""
    text = scenario(line, producer="acks: all, enable.idempotence: false")
    simulation = Simulation(text, 1)
    cluster = simulation.cluster
    index = cluster.topics.partition("t", 0).index
    behind = []

    def look(_: None) -> None:
        leader, *followers = [cluster.brokers[b].replicas.partitions[index].high_watermark for b in (1, 2, 3)]
        behind.append(leader - min(followers))

    for k in range(200):
        cluster.env.call_at(5.0 + k * 0.0377, look)
    cluster.env.run(until=13.0)
    late = sum(value > 0 for value in behind) / len(behind)
    assert late < 0.1 if accept(line) in (accept("2.4"), accept("2.5")) else late > 0.5


@pytest.mark.parametrize("line", OLD)
def test_a_new_leader_withholds_its_latest_offset_since_2_2(line):
    broker = Simulation(scenario(line), 1).cluster.brokers[1]
    partition = next(p for p in broker.replicas.partitions.values() if p.tp.topic == "t")
    partition.epoch_start_offset = 10
    item = ListOffsetsItem(partition.tp, -1, -1)
    broker._events.apis._list_offsets(Request(LIST_OFFSETS, 50, [item]))
    assert item.error == (OFFSET_NOT_AVAILABLE if since(line, 2, 2) else NONE)


@pytest.mark.parametrize("line", OLD)
def test_metadata_have_leader_epochs_since_2_1(line):
    cluster = Simulation(scenario(line), 1).cluster
    reply = cluster.brokers[1].metadata.reply(("t",))
    index = cluster.topics.partition("t", 0).index
    assert reply.leaders[index] == (1, 0 if since(line, 2, 1) else -1)
    assert reply.reliable_epochs is since(line, 2, 4)


@pytest.mark.parametrize(("version", "reliable", "epoch"), [
    ("2.1", True, -1), ("2.2", True, 3), ("2.3", False, 3), ("2.4", False, -1), ("2.4", True, 3),
])  # fmt: skip
def test_which_epochs_a_client_believes(version, reliable, epoch):
    cluster = PlainCluster(partitions=1)
    instance = cluster.producer(paced(10.0), {"acks": "1"}, accept(version))
    cluster.scheduler.run_until(1.0)
    tp = cluster.partitions[0]
    metadata = instance.network_client.metadata
    reply = MetadataReply((1, 2, 3), 1, {"t": [tp]}, {tp.index: (1, 3)}, {}, reliable)
    metadata._epochs.clear()
    metadata._learn(tp, reply, [1, 2, 3])
    assert metadata.leader_epoch(tp) == epoch


@pytest.mark.parametrize("line", ["0.11", "1.1", "2.2", "2.3", "2.6"])
def test_a_consumers_position_is_validated_since_2_3(line):
    cluster = Simulation(scenario(line), 1).cluster
    cluster.env.run(until=3.0)
    member = next(iter(cluster.groups.values())).members[0]
    (state,) = member._positions.states.values()
    assert state.leader_epoch == (0 if since(line, 2, 3) else -1)


@pytest.mark.parametrize("line", ["0.11", "1.0", "1.1", "2.0"])
def test_a_consumer_names_all_its_partitions_before_1_1(line):
    cluster = Simulation(scenario(line), 1).cluster
    member = next(iter(cluster.groups.values())).members[0]
    assert member.settings.fetch.sessions is since(line, 1, 1)
    cluster.env.run(until=3.0)
    (session,) = [s for s in member._fetcher._sessions.values() if s.data is not None]
    assert session.sessionless is not since(line, 1, 1)


# Producers


@pytest.mark.parametrize("line", OLD)
def test_records_without_a_key_go_round_before_2_4(line):
    cluster = PlainCluster(partitions=3)
    cluster.producer(paced(100.0), {"acks": "1"}, accept(line))
    cluster.scheduler.run_until(3.0)
    order = [row[1] for row in sorted(cluster.acknowledgements, key=lambda row: row[5]) for _ in range(row[3])]
    turns = sum((one + 1) % 3 == other for one, other in pairwise(order[30:]))
    assert (turns == len(order) - 31) is not since(line, 2, 4)


@pytest.mark.parametrize("line", ["0.10.2", "2.0", "2.1", "2.6"])
def test_a_queued_batch_expires_after_the_request_timeout_before_2_1(line):
    cluster = PlainCluster(partitions=1)
    config = {"acks": "1", "retries": 2147483647, "linger.ms": 0, "request.timeout.ms": 5000}
    cluster.producer(paced(20.0), config, accept(line))
    cluster.scheduler.run_until(1.0)
    for broker in cluster.brokers.values():
        broker.crash()
    cluster.scheduler.run_until(30.0)
    expired = [row for row in cluster.failures if row[4] == DELIVERY_TIMEOUT]
    assert bool(expired) is not since(line, 2, 1)
    if expired:
        # The partition's queue stands since 1 s: the first batch is 5 s old, or its retry is.
        assert 5.9 < expired[0][0] < 6.3


def test_what_is_in_flight_never_expires_before_2_1():
    cluster = PlainCluster(partitions=1)
    config = {"acks": "1", "retries": 0, "request.timeout.ms": 60000, "max.in.flight.requests.per.connection": 1}
    cluster.producer(paced(20.0), config, accept("2.0"))
    cluster.scheduler.run_until(1.0)
    cluster.service_s = 50.0
    cluster.scheduler.run_until(50.0)
    assert not cluster.failures


@pytest.mark.parametrize("line", ["0.10.2", "0.11", "2.6"])
def test_a_batch_was_its_messages_before_0_11(line):
    """34 bytes a message of 100 bytes, against 61 for the batch and 9 or 10 a record."""
    cluster = PlainCluster(partitions=1)
    cluster.producer(paced(1000.0), {"acks": "1", "linger.ms": 20}, accept(line))
    cluster.scheduler.run_until(1.0)
    rows = [row for row in cluster.acknowledgements if row[3] > 5]
    assert rows
    for row in rows:
        if since(line, 0, 11):
            assert row[4] < 61 + 110 * row[3]
        else:
            assert row[4] == 134 * row[3]
    sizes = ConstantSize(-1, 100, 16384, messages=not since(line, 0, 11))
    assert sizes.quick_count == (148 if since(line, 0, 11) else 122)


# The controller


def returned(version: str) -> World:
    world = World({"t": [(1, 2, 3), (2, 3, 1)]}, version=accept(version))

    def leave(_: None) -> None:
        world.kill(3)
        world.zk.expire(3)

    def come(_: None) -> None:
        world.brokers[3].up = True
        world.epochs[3] = world.register(3)

    world.env.call_at(1.0, leave)
    world.env.call_at(5.0, come)
    world.env.run(until=9.0)
    return world


@pytest.mark.parametrize("line", ["0.11", "2.1", "2.2", "2.7"])
def test_a_started_broker_makes_all_hear_everything_before_2_2(line):
    world = returned(line)
    first = world.brokers[1].bodies(UPDATE_METADATA, 5.0)[0]
    assert len(first.partitions) == (0 if since(line, 2, 2) else 2)
    assert len(world.brokers[3].bodies(UPDATE_METADATA, 5.0)[0].partitions) == 2


@pytest.mark.parametrize("line", ["1.1", "2.1", "2.2", "2.7"])
def test_a_quick_return_is_not_noticed_before_2_2(line):
    """The znode is another one by the time the controller looks."""
    world = World({"t": [(1, 2, 3)]}, version=accept(line))

    def bounce(_: None) -> None:
        world.zk.expire(3)
        world.epochs[3] = world.register(3)

    world.env.call_at(1.0, bounce)
    world.env.run(until=5.0)
    assert bool(world.brokers[3].bodies(LEADER_AND_ISR, 1.0)) is since(line, 2, 2)


@pytest.mark.parametrize("line", ["0.11", "2.0", "2.1", "2.7"])
def test_a_succeeded_controller_can_write_before_2_1(line):
    """Nothing but the state's own version stands against it; since then a check of its epoch."""
    world = World({"t": [(1, 2, 3)]}, version=accept(line))

    def succeed(_: None) -> None:
        world.zk.put("/controller_epoch", 2)  # whose, the old one does not know yet
        world.zk.expire(3)

    world.env.call_at(1.0, succeed)
    world.env.run(until=5.0)
    (_, _, isr, _), _ = world.state("t", 0)
    assert isr == ((1, 2, 3) if since(line, 2, 1) else (1, 2))


@pytest.mark.parametrize("line", ["0.11", "2.0", "2.1", "2.7"])
def test_an_election_was_two_writes_before_2_1(line):
    world = World({"t": [(1, 2, 3)]}, version=accept(line))
    world.env.call_at(1.0, world.kill, 2)
    world.env.call_at(1.0, world.zk.expire, 2)
    world.env.run(until=5.0)
    made = [op for at, _, op, error in world.zk.log if error is None and at > 1.0]
    multis = [op for op in made if isinstance(op, Multi) and any(p.path == "/controller" for p in op.operations)]
    creates = [op for op in made if isinstance(op, Create) and op.path == "/controller"]
    counted = [op for op in made if isinstance(op, SetData) and op.path == "/controller_epoch"]
    assert (len(multis), len(creates), len(counted)) == ((1, 0, 0) if since(line, 2, 1) else (0, 1, 1))
    assert world.zk.nodes["/controller_epoch"][0] == 2


@pytest.mark.parametrize("line", ["0.11", "1.0", "1.1", "2.7"])
def test_a_controlled_shutdown_went_partition_by_partition_before_1_1(line):
    world = World({"t": [(1, 2, 3)] * 4}, version=accept(line))
    request = Request(CONTROLLED_SHUTDOWN, 50, ControlledShutdownBody(1, world.epochs[1]))
    answers: list[Request] = []
    world.env.call_at(1.0, lambda _: world.controllers[2].handle_controlled_shutdown(request, answers.append))
    world.env.run(until=5.0)
    assert answers and not request.reply
    bodies = world.brokers[3].bodies(LEADER_AND_ISR, 1.0)
    assert [len(body.partitions) for body in bodies] == ([4] if since(line, 1, 1) else [1] * 4)


@pytest.mark.parametrize("line", ["1.1", "2.1", "2.2", "2.7"])
def test_a_controlled_shutdown_of_an_earlier_process_is_refused_since_2_2(line):
    world = World({"t": [(1, 2, 3)]}, version=accept(line))
    request = Request(CONTROLLED_SHUTDOWN, 50, ControlledShutdownBody(1, world.epochs[1] - 1))
    world.env.call_at(1.0, lambda _: world.controllers[2].handle_controlled_shutdown(request, lambda _: None))
    world.env.run(until=5.0)
    assert request.error == (STALE_BROKER_EPOCH if since(line, 2, 2) else NONE)


@pytest.mark.parametrize(
    ("version", "fixed", "each", "metadata", "metadata_each"),
    [("0.11", 86, 60, 142, 60), ("1.0", 86, 61, 142, 64), ("2.2", 106, 53, 162, 56), ("2.4", 99, 50, 143, 48)],
)
def test_sizes_of_the_controllers_requests(version, fixed, each, metadata, metadata_each):
    """Names of 6 letters, three replicas in sync, three brokers; before 2.2 each partition names its topic."""
    release = accept(version)
    one = [PartitionState(TopicPartition("tweets", 0, 0), 1, 0, (1, 2, 3), 0, (1, 2, 3), 1)]
    two = [*one, PartitionState(TopicPartition("tweets", 1, 1), 1, 0, (1, 2, 3), 0, (1, 2, 3), 1)]
    assert leader_and_isr_bytes(two, 3, release) - leader_and_isr_bytes(one, 3, release) == each
    assert leader_and_isr_bytes(one, 3, release) - each == fixed
    assert update_metadata_bytes(two, 3, release) - update_metadata_bytes(one, 3, release) == metadata_each
    assert update_metadata_bytes(one, 3, release) - metadata_each == metadata


def test_a_reassignment_is_completed_by_a_watch_before_2_7():
    """The leader writes the ISR; the controller, which nobody asks, finds the new replicas in it."""
    text = Scenario.loads(
        """
name: move
duration: 30s
cluster:
  version: "2.6"
  brokers: {count: 3, config: {auto.leader.rebalance.enable: false}}
  zookeeper: {servers: 1, config: {tickTime: 2000}}
  initial_controller: 2
topics:
  t: {partitions: 1, assignment: {0: [1, 2]}}
producers:
  - {name: p, topic: t, rate: 20/s, record_size: 100B, config: {acks: 1}}
events:
  - {at: 5s, reassign: {topic: t, assignment: {0: [2, 3]}}}
"""
    )
    simulation = Simulation(text, 1)
    simulation.run()
    rows = simulation.result().summary["timeline"]
    joined = next(r["time_s"] for r in rows if r["event"] == "isr_changed" and "3" in r["detail"].split("->")[1])
    done = next(r["time_s"] for r in rows if r["event"] == "reassigned")
    assert 0.0 < done - joined < 0.1
