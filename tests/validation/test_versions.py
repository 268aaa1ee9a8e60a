"""Each accepted release behaves as itself: one test for every difference that touches a built mechanism.

Where a rule is tested by what it does in a room of its own, here is tested
that a scenario's ``version:`` reaches it: brokers and clients are taken from a whole cluster.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from kafkasim.broker.sessions import FetchSession
from kafkasim.broker.socket_server import SocketServer
from kafkasim.clients.consumer_settings import ConsumerSettings
from kafkasim.clients.load import Load
from kafkasim.clients.settings import Backoff, ClientSettings
from kafkasim.controller.sizes import leader_and_isr_bytes, update_metadata_bytes
from kafkasim.kernel import Streams
from kafkasim.messages import AlterPartitionItem, PartitionState
from kafkasim.protocol import (
    COORDINATOR_LOAD_IN_PROGRESS,
    DELIVERY_TIMEOUT,
    INELIGIBLE_REPLICA,
    METADATA,
    NETWORK_EXCEPTION,
    NONE,
    NOT_CONTROLLER,
    REQUEST_TIMED_OUT,
    FetchPartition,
    RecordBatch,
    TopicPartition,
)
from kafkasim.scenario import Scenario, ScenarioError
from kafkasim.scenario.versions import Version, accept, lines
from kafkasim.simulation import Simulation
from tests.clients.consumer_cluster import Cluster
from tests.clients.plain_cluster import PlainCluster
from tests.controller.controller_world import World

LINES = [
    "0.10.2", "0.11.0", "1.0", "1.1", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "3.0", "3.1",
    "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9",
]  # fmt: skip

TEXT = """
name: releases
duration: {duration}
cluster:
  version: "{version}"
  brokers: {{count: 3, config: {{auto.leader.rebalance.enable: false, zookeeper.session.timeout.ms: 6000}}}}
  zookeeper: {{servers: 1, config: {{tickTime: 2000}}}}
  initial_controller: 2
topics:
  t: {{partitions: 1, assignment: {{0: [1, 2, 3]}}, config: {{min.insync.replicas: {min_isr}}}}}
producers:
  - {{name: p, topic: t, rate: 20/s, record_size: 100B, config: {{{producer}}}}}
consumers:
  - {{name: c, topics: [t], assign: all, config: {{auto.offset.reset: earliest}}}}
"""


def scenario(version: str, min_isr: int = 1, producer: str = "", duration: str = "20s", more: str = "") -> Scenario:
    text = TEXT.format(version=version, min_isr=min_isr, producer=producer, duration=duration)
    return Scenario.loads(text + more)


def at(line: str) -> tuple[int, int]:
    version = accept(line)
    return version.major, version.minor


def since(line: str, *first: int) -> bool:
    """Whether the last patch release of ``line`` is that or later."""
    return accept(line) >= first


def paced(rate: float) -> Load:
    """Records of 100 B without a key."""
    return Load(rate, 100, "sticky", -1)


# What is accepted


def test_the_accepted_lines_are_these():
    assert lines() == LINES


@pytest.mark.parametrize("line", ["0.8", "0.9", "0.10.1", "0.12", "2.9", "4.0"])
def test_other_lines_are_refused_by_name(line):
    with pytest.raises(ScenarioError, match=f"Kafka {line} is not modelled yet"):
        scenario(line)


# Defaults


@pytest.mark.parametrize("line", LINES)
def test_the_defaults_are_the_releases_own(line):
    loaded = scenario(line, producer="")
    producer = loaded.producer_config(loaded.producers[0])
    consumer = loaded.consumer_config(loaded.consumers[0])
    modern = at(line) >= (3, 0)
    assert producer["acks"] == ("all" if modern else "1")
    assert producer.get("enable.idempotence") is (modern if since(line, 0, 11) else None)
    assert consumer["session.timeout.ms"] == (45000 if modern else 10000)
    assert consumer["partition.assignment.strategy"] == (["range", "cooperative-sticky"] if modern else ["range"])
    setup = producer.get("socket.connection.setup.timeout.max.ms")
    assert setup == (30000 if since(line, 2, 8) else 127000 if since(line, 2, 7) else None)
    assert producer["retries"] == (2147483647 if since(line, 2, 1) else 0)
    assert ("delivery.timeout.ms" in producer) is since(line, 2, 1)
    assert consumer["request.timeout.ms"] == (30000 if since(line, 2, 0) else 305000)
    broker = loaded.broker_config(1)
    assert broker["replica.lag.time.max.ms"] == (30000 if since(line, 2, 5) else 10000)
    assert broker["unclean.leader.election.enable"] is not since(line, 0, 11)
    assert broker.get("group.initial.rebalance.delay.ms") == (3000 if since(line, 0, 11) else None)
    assert loaded.cluster.controller.pipelined_zookeeper is since(line, 1, 1)
    assert ("retry.backoff.max.ms" in producer) is (at(line) >= (3, 7))
    assert ("partitioner.adaptive.partitioning.enable" in producer) is (at(line) >= (3, 3))


@pytest.mark.parametrize(("line", "idempotent"), [("2.7", False), ("2.8", False), ("3.7", True), ("3.9", True)])
def test_idempotence_is_on_by_default_since_3_0_1(line, idempotent):
    simulation = Simulation(scenario(line), 1)
    producer = next(iter(simulation.cluster.producers.values())).instances[0]
    assert (producer.idempotence is not None) is idempotent


@pytest.mark.parametrize(
    ("release", "idempotent"), [("3.0.0", False), ("3.0.1", True), ("3.1.0", False), ("3.1.1", True)]
)
def test_the_default_of_3_0_0_and_3_1_0_has_no_effect(release, idempotent):
    for producer, expected in (("", idempotent), ("enable.idempotence: true", True)):
        loaded = scenario(release, producer=producer)
        assert loaded.producer_config(loaded.producers[0])["enable.idempotence"] is expected


@pytest.mark.parametrize("line", ["3.7", "3.9"])
def test_acks_1_switches_default_idempotence_off(line):
    simulation = Simulation(scenario(line, producer="acks: 1"), 1)
    producer = next(iter(simulation.cluster.producers.values())).instances[0]
    assert producer.idempotence is None
    with pytest.raises(ScenarioError, match="idempotence"):
        scenario(line, producer="acks: 1, enable.idempotence: true")


# Clients


@pytest.mark.parametrize("line", LINES)
def test_the_retry_back_off(line):
    """Constant before 3.7; then doubling with 20 % of jitter, from 3.8 on cut at its maximum."""
    settings = ClientSettings({}, accept(line), 5)
    backoff = Backoff(settings.retry_backoff_ms, settings.retry_backoff_max_ms, settings, Streams(1).stream("x"))
    draws = {n: [backoff.draw_ms(n) for _ in range(400)] for n in (0, 2, 9)}
    if at(line) < (3, 7):
        assert {value for values in draws.values() for value in values} == {100}
        return
    assert (min(draws[0]), max(draws[0])) == (pytest.approx(80, abs=2), pytest.approx(120, abs=2))
    assert (min(draws[2]), max(draws[2])) == (pytest.approx(320, abs=5), pytest.approx(480, abs=5))
    assert min(draws[9]) == pytest.approx(800, abs=8)
    if at(line) >= (3, 8):
        assert max(draws[9]) == 1000
        assert 0.35 < sum(value == 1000 for value in draws[9]) / 400 < 0.65
    else:
        assert max(draws[9]) == pytest.approx(1200, abs=8)


@pytest.mark.parametrize("line", LINES)
def test_the_reconnect_back_off_grows_in_every_release_and_is_cut_since_3_8(line):
    settings = ClientSettings({}, accept(line), 5)
    backoff = Backoff(50, 1000, settings, Streams(1).stream("x"))
    longest = max(backoff.draw_ms(9) for _ in range(400))
    assert longest == (1000 if at(line) >= (3, 8) else pytest.approx(1200, abs=8))


@pytest.mark.parametrize("line", LINES)
def test_what_a_request_timeout_is_called(line):
    """REQUEST_TIMED_OUT by clients since 3.5, NETWORK_EXCEPTION before."""
    cluster = PlainCluster(partitions=1, service_s=0.0005)
    config = {"acks": "1", "enable.idempotence": False, "retries": 0, "request.timeout.ms": 500}
    cluster.producer(paced(100.0), config, accept(line))
    cluster.scheduler.run_until(1.0)
    cluster.service_s = 50.0
    cluster.scheduler.run_until(3.0)
    errors = {row[4] for row in cluster.failures}
    queued = set() if since(line, 2, 1) else {DELIVERY_TIMEOUT}  # what waited behind it for as long has failed as well
    assert errors == {REQUEST_TIMED_OUT if at(line) >= (3, 5) else NETWORK_EXCEPTION} | queued


@pytest.mark.parametrize("line", LINES)
def test_leader_hints_are_used_since_3_7(line):
    """KIP-951: the answer that refuses names the leader; it is used without asking for metadata."""
    cluster = PlainCluster(partitions=1, service_s=0.0005)
    cluster.producer(paced(100.0), {"acks": "1", "enable.idempotence": False, "retries": 9}, accept(line))
    cluster.scheduler.run_until(1.0)
    cluster.leaders[0], cluster.epochs[0] = 2, 1
    cluster.scheduler.run_until(3.0)
    refused = next(now for now, number, request in cluster.seen if number == 1 and now > 1.0 and request.api == 0)
    back = next(row[0] for row in cluster.acknowledgements if row[0] > refused)
    asked = any(refused < now < back and request.api == METADATA for now, _, request in cluster.seen)
    assert asked or since(line, 3, 7)
    if since(line, 3, 6, 1):
        assert back - refused < 0.02
    else:
        assert back - refused >= 0.1  # the constant retry back-off, which a newer epoch does not shorten before 3.6.1


@pytest.mark.parametrize("line", LINES)
def test_records_without_a_key_stick_for_a_batch_or_for_batch_size_bytes(line):
    """KIP-480 leaves a partition with each batch; KIP-794 (3.3) stays until ``batch.size`` bytes went there."""
    cluster = PlainCluster(partitions=6)
    cluster.producer(paced(200.0), {"linger.ms": 0}, accept(line))
    cluster.scheduler.run_until(2.0)
    partitions = [row[1] for row in sorted(cluster.acknowledgements, key=lambda row: row[2])]
    moves = sum(one != other for one, other in pairwise(partitions))
    if at(line) >= (3, 3):
        assert moves <= 0.1 * len(partitions)
    else:
        assert moves == len(partitions) - 1


@pytest.mark.parametrize("line", LINES)
def test_switches_of_the_producer(line):
    """What they do: tests/clients (drain order, leader moves, sizes)."""
    instances = [group.instances[0] for group in Simulation(scenario(line), 1).cluster.producers.values()]
    settings = instances[0].accumulator.settings
    assert settings.index_by_node is since(line, 3, 3)
    assert settings.skips_backoff is since(line, 3, 6, 1)
    client = instances[0].network_client.settings
    assert client.counts_equivalent_responses is since(line, 3, 7)


@pytest.mark.parametrize("line", LINES)
def test_switches_of_the_consumer(line):
    settings = ConsumerSettings({}, accept(line), "g")
    assert settings.keeps_member_id is since(line, 3, 2)
    assert settings.tells_generation is since(line, 3, 4)
    assert settings.fetch.topic_bytes == (18 if since(line, 3, 1) else 12)  # Fetch names topics by id


@pytest.mark.parametrize(("line", "rejoined_as_new"), [("2.7", False), ("2.8", False), ("3.7", True), ("3.9", True)])
def test_a_known_member_that_joins_again_is_changed_since_3_4(line, rejoined_as_new):
    cluster = Cluster(version=tuple(accept(line)), group_config={"group.initial.rebalance.delay.ms": 0})
    member = cluster.consumer()
    cluster.run(4)
    sent = [r for broker in cluster.brokers.values() for _, api, r in broker.requests if api == 11]
    assert {request.body.generation for request in sent} == {-1}
    membership = member.membership
    assert membership is not None
    membership.rejoin_needed = True
    membership._needs_prepare = True
    cluster.run(10)
    last = [r for broker in cluster.brokers.values() for _, api, r in broker.requests if api == 11][-1]
    assert last is not sent[-1]
    assert (last.body.generation >= 0) is rejoined_as_new


@pytest.mark.parametrize("line", LINES)
def test_the_commit_before_a_join_blocks_up_to_3_1(line, monkeypatch):
    """Refused, it is tried again after ``retry.backoff.ms``, whatever the poll timeout; later it goes by polls."""
    cluster = Cluster(version=tuple(accept(line)), group_config={"group.initial.rebalance.delay.ms": 0})
    member = cluster.consumer(poll_timeout_s=0.03, config={"auto.commit.interval.ms": 60000})
    cluster.append(cluster.topics["t"][0], 10)
    cluster.run(4.9)
    coordinator = cluster.brokers[1].coordinator
    taken = coordinator.offset_commit
    seen = []

    def refuse(request, respond):
        seen.append(cluster.scheduler.now)
        if len(seen) > 3:
            taken(request, respond)
            return
        request.error = COORDINATOR_LOAD_IN_PROGRESS
        request.response_bytes = 50
        respond(request)

    monkeypatch.setattr(coordinator, "offset_commit", refuse)
    membership = member.membership
    membership.rejoin_needed = True
    membership._needs_prepare = True
    cluster.run(12)
    assert len(seen) == 4
    gaps = [round(after - before, 2) for before, after in pairwise(seen)]
    if since(line, 3, 2):
        assert max(gaps) <= 0.04
    else:
        assert gaps == [0.1, 0.1, 0.1]
    assert not membership.rejoin_needed, "it has joined in the end"


@pytest.mark.parametrize("line", LINES)
def test_range_assigns_within_racks_since_3_5(line):
    """Two members in two racks: each gets the partition of its own rack; before, racks change nothing."""
    text = TEXT.format(version=line, min_isr=1, producer="", duration="8s")
    text = text[: text.index("consumers:")].replace("count: 3,", "count: 3, racks: [x, y, y],")
    text = text.replace("{partitions: 1, assignment: {0: [1, 2, 3]}", "{partitions: 2, assignment: {0: [1], 1: [2]}")
    text += "consumers:\n  - {group: g, topics: [t], members: 2, config: {client.rack: x}}\n"
    owned = []
    for racks in (("x", "y"), ("y", "x")):
        simulation = Simulation(Scenario.loads(text), 1)
        members = simulation.cluster.groups["g"].members
        assert {member.settings.rack for member in members} == {"x" if since(line, 3, 5) else ""}
        for member, rack in zip(members, racks, strict=True):
            member.settings.rack = rack
        simulation.run()
        owned.append([[tp.partition for tp in member.owned()] for member in members])
    if since(line, 3, 5):
        assert owned == [[[0], [1]], [[1], [0]]]
    else:
        assert owned[0] == owned[1] and sorted(owned[0]) == [[0], [1]]


# Brokers


@pytest.mark.parametrize("line", LINES)
def test_switches_of_the_broker(line):
    """What they do: tests/broker (leader hints, high watermark)."""
    broker = Simulation(scenario(line), 1).cluster.brokers[1]
    assert broker.replicas.shared.hints is since(line, 3, 7)
    assert broker.replicas.shared.filters_dead_replicas is since(line, 3, 6)
    assert broker.replicas.joins_need_live_broker is since(line, 3, 3)
    assert broker.replicas.gate.syncs_rolls is not since(line, 3, 7)
    assert broker.replicas.shared.followers_serve is since(line, 2, 4)
    assert broker.replicas.shared.prefers_at_once is since(line, 3, 2)
    assert broker.release.prefers_isr_only is since(line, 3, 3)
    assert broker.replication_throttles.leader._keeps_overlap is since(line, 3, 8)
    settings = broker._fetcher_settings
    assert settings.syncs_rolls is not since(line, 3, 7)
    assert settings.syncs_cut_epochs is not since(line, 3, 8)
    assert len(broker.replicas.shared.session_cache._shards) == (8 if since(line, 3, 8) else 1)


@pytest.mark.parametrize("line", LINES)
def test_a_follower_joins_the_isr_only_from_a_live_broker_since_3_3(line):
    """The broker is alive in the *leader's* metadata cache or is not; what it has fetched is the same."""
    broker = Simulation(scenario(line), 1).cluster.brokers[1]
    partition = next(p for p in broker.replicas.partitions.values() if p.tp.topic == "t")
    partition.commit_isr((1, 2), 1)
    broker.replicas.know_live(frozenset((1, 2)))
    fetch = FetchPartition(partition.tp)
    fetch.fetch_offset = partition.log.log_end_offset
    fetch.current_leader_epoch = partition.leader_epoch
    broker.replicas._note_follower(FetchSession(3), fetch, 0.0)
    proposed = broker.isr_manager.proposed(partition) or bool(broker.isr_writer and broker.replicas.locks.wanted)
    assert proposed is not since(line, 3, 3)


@pytest.mark.parametrize("line", LINES)
def test_the_port_is_opened_last_since_3_5(line, monkeypatch):
    """Before, it is open from the start of the socket server on, and nobody reads what arrives."""
    bound, served = [], []
    bind, serve = SocketServer.bind, SocketServer.serve

    def note_bind(server):
        bound.append((server, server._scheduler.now, server.connections[:]))
        bind(server)

    def note_serve(server):
        served.append((server, server._scheduler.now, len(server.connections)))
        serve(server)

    monkeypatch.setattr(SocketServer, "bind", note_bind)
    monkeypatch.setattr(SocketServer, "serve", note_serve)
    events = "events:\n  - {at: 1s, crash: broker 3, for: 9s}\n"
    Simulation(scenario(line, more=events), 1).run()
    restarted = [row for row in served if row[1] > 1.0]
    assert len(restarted) == 1
    if since(line, 3, 5):
        assert not bound
    else:
        assert len(bound) == 1
        assert bound[0][0] is restarted[0][0]
        assert 0.0 < restarted[0][1] - bound[0][1] < 1.0


@pytest.mark.parametrize("line", LINES)
def test_the_high_watermark_stands_below_min_insync_replicas_since_3_7(line):
    """Broker 3 dies; with acks=1 the leader goes on writing, and from 3.7 on nobody can read it."""
    events = "events:\n  - {at: 3s, crash: broker 3, for: 60s}\n"
    loaded = scenario(line, min_isr=3, producer="acks: 1, enable.idempotence: false", more=events)
    simulation = Simulation(loaded, 2)
    simulation.run()
    ledger = simulation.result().summary["ledger"]
    assert all(identity["holds"] for identity in ledger["identities"])
    gated = at(line) >= (3, 7)
    assert (ledger["above_high_watermark"] > 300) is gated
    assert (ledger["above_high_watermark"] <= 1) is not gated


@pytest.mark.parametrize("line", LINES)
def test_min_insync_replicas_is_capped_by_the_replication_factor_since_3_7(line):
    loaded = scenario(line, min_isr=4, producer="acks: all, retries: 3", duration="5s")
    simulation = Simulation(loaded, 1)
    simulation.run()
    ledger = simulation.result().summary["ledger"]
    capped = at(line) >= (3, 7)
    assert (ledger["acknowledged"] > 90) is capped
    assert (ledger["failed"] > 50) is not capped
    assert any("min.insync.replicas" in warning for warning in loaded.warnings)


@pytest.mark.parametrize("line", LINES)
def test_a_committed_isr_change_moves_the_high_watermark_since_3_1(line):
    """KAFKA-13091: in 2.7 and 2.8 it waits for the next append or fetch; before, the leader itself wrote the ISR."""
    broker = Simulation(scenario(line), 1).cluster.brokers[1]
    partition = next(p for p in broker.replicas.partitions.values() if p.tp.topic == "t")
    for number in range(2):
        batch = RecordBatch(0, number * 10, 10, 1000, 0.0, 0.0, -1, -1, -1)
        batch.base_offset, batch.leader_epoch = number * 10, 0
        partition.log.append(batch)
    for follower in partition.followers:
        follower.log_end_offset = 20 if follower.broker_id == 2 else 10
        follower.last_caught_up = -1e9
    broker.replicas.advance(partition, 0.0)
    assert partition.high_watermark == 10
    partition.commit_isr((1, 2), 1)
    broker._isr_committed(partition)
    assert partition.high_watermark == (20 if since(line, 3, 1) or not since(line, 2, 7) else 10)


@pytest.mark.parametrize("line", LINES)
def test_alter_isr_waits_for_its_timer_in_2_7(line):
    """Broker 3 comes back; how long after it caught up is its return to the ISR committed?"""
    events = "events:\n  - {at: 3s, crash: broker 3, for: 10s}\n"
    simulation = Simulation(scenario(line, more=events), 3)
    simulation.run()
    rows = simulation.result().summary["timeline"]
    caught_up = next(r for r in rows if r["event"] == "caught_up" and r["detail"].startswith("t-0"))
    back = next(r for r in rows if r["event"] == "isr_changed" and r["time_s"] >= caught_up["time_s"])
    waits = back["time_s"] - caught_up["time_s"]
    assert waits >= 0.05 if at(line) == (2, 7) else waits < 0.03


@pytest.mark.parametrize("line", LINES)
def test_a_started_broker_has_producer_ids_at_once_or_only_from_the_controller(line):
    """Since 3.0 whoever comes first after the start is told COORDINATOR_LOAD_IN_PROGRESS (3.6 on)."""
    events = "events:\n  - {at: 1s, crash: broker 3, for: 9s}\n"
    simulation = Simulation(scenario(line, more=events), 1)
    env, broker = simulation.cluster.env, simulation.cluster.brokers[3]
    answers = []

    def ask(_):
        broker.producer_ids.next(lambda error, producer_id: answers.append((env.now, error, producer_id)))

    for at in (0.5, 18.0, 18.1):
        env.call_at(at, ask)
    simulation.run()
    settled, first, second = answers
    assert settled[1] == NONE and 2000 <= settled[2] <= 2001, "a settled broker has the third block"
    assert second[1:] == (NONE, 3000 if since(line, 3, 0) else 3001)
    assert first[1:] == ((COORDINATOR_LOAD_IN_PROGRESS, -1) if since(line, 3, 0) else (NONE, 3000))
    assert [at for at, *_ in answers] == [0.5, 18.0, 18.1]


@pytest.mark.parametrize("line", LINES)
def test_a_used_up_block_of_producer_ids(line):
    """Since 3.0 the next block is there before the first is used up; before, ZooKeeper is asked then."""
    simulation = Simulation(scenario(line), 1)
    env, broker = simulation.cluster.env, simulation.cluster.brokers[1]
    answers = []

    def ask(_):
        broker.producer_ids.next(lambda error, producer_id: answers.append((env.now, error, producer_id)))

    for number in range(1001):
        env.call_at(1.0 + number / 1000, ask)
    simulation.run()
    assert [error for _, error, _ in answers] == [NONE] * 1001
    producer_ids = [producer_id for *_, producer_id in answers]
    assert producer_ids == list(range(producer_ids[0], 1000)) + list(range(3000, 3001 + producer_ids[0]))
    begun = 2.0 - producer_ids[0] / 1000
    waited = next(at for at, _, producer_id in answers if producer_id == 3000) - begun
    assert waited == pytest.approx(0.0, abs=1e-9) if since(line, 3, 0) else 0.0005 < waited < 0.05


# Controller


@pytest.mark.parametrize(("later", "isr", "error"), [(0, (1, 2, 9), INELIGIBLE_REPLICA), (1, (1, 2), NOT_CONTROLLER)])
@pytest.mark.parametrize("line", LINES)
def test_a_dead_member_or_a_newer_epoch_is_refused_since_3_3(line, later, isr, error):
    world = World({"t": [(1, 2, 3)]}, version=accept(line))
    world.env.run(until=1.0)
    (leader, epoch, *_), partition_epoch = world.state("t", 0)
    item = AlterPartitionItem(world.topics.partition("t", 0), epoch + later, isr, partition_epoch)
    world.alter(leader, item)
    world.env.run(until=2.0)
    assert item.error == (error if at(line) >= (3, 3) else NONE)


@pytest.mark.parametrize(
    ("version", "leader_and_isr", "update_metadata"),
    [("2.7", 99, 143), ("2.8", 115, 159), ("3.7", 116, 160), ("3.9", 116, 160)],
)
def test_sizes_of_the_controllers_requests(version, leader_and_isr, update_metadata):
    """What is not the partition's: topic ids since 2.8, the KRaft flag since 3.4; a byte a partition since 3.2."""
    release = accept(version)
    one = [PartitionState(TopicPartition("tweets", 0, 0), 1, 0, (1, 2, 3), 0, (1, 2, 3), 1)]
    two = [*one, PartitionState(TopicPartition("tweets", 1, 1), 1, 0, (1, 2, 3), 0, (1, 2, 3), 1)]
    each = leader_and_isr_bytes(two, 3, release) - leader_and_isr_bytes(one, 3, release)
    assert each == (51 if release >= (3, 2) else 50)
    assert leader_and_isr_bytes(one, 3, release) - each == leader_and_isr
    each = update_metadata_bytes(two, 3, release) - update_metadata_bytes(one, 3, release)
    assert each == 48
    assert update_metadata_bytes(one, 3, release) - each == update_metadata


# Clients of another release than the cluster's


def test_a_client_has_a_release_of_its_own():
    text = TEXT.format(version="3.9", min_isr=1, producer="", duration="5s").replace(
        "{name: p,", '{name: p, version: "2.8",'
    )
    mixed = Scenario.loads(text)
    simulation = Simulation(mixed, 1)
    producer = next(iter(simulation.cluster.producers.values())).instances[0]
    assert producer.idempotence is None
    assert simulation.cluster.brokers[1].version == Version(3, 9, 1)
