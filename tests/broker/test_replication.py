"""Produce, replicate, commit, answer: the data path of brokers without their control plane."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kafkasim.broker.fetcher import fetcher_number
from kafkasim.broker.log_config import LogConfig
from kafkasim.broker.partition import Partition
from kafkasim.broker.sessions import FetchSession
from kafkasim.clients.java_hash import string_hash
from kafkasim.protocol import (
    NONE,
    NOT_ENOUGH_REPLICAS,
    NOT_LEADER_OR_FOLLOWER,
    OUT_OF_ORDER_SEQUENCE_NUMBER,
    REQUEST_TIMED_OUT,
    UNKNOWN_LEADER_EPOCH,
    RecordBatch,
    TopicPartition,
)
from tests.broker.replication_world import Wire, World
from tests.broker.storage import plain_log


def settled(world):
    world.env.run(until=0.9)
    return world


def test_acks_all_is_answered_after_the_followers_next_fetch():
    world = settled(World())
    tp = world.tps[0]
    wire = Wire(world, 1)
    all_, one = wire.produce(1.0, tp), None
    world.env.run(until=1.1)
    answered, request = wire.answers[0]
    assert request is all_ and request.produce.partitions[0].error == NONE
    leader = world.nodes[1].partition(tp)
    # One way to the leader, data to the follower, its next fetch back, the answer: four one-way latencies at least.
    assert 1.0 + 4 * 100e-6 < answered < 1.0 + 0.002
    assert leader.high_watermark == 10 == leader.log.log_end_offset
    one = wire.produce(1.2, tp, first=10, acks=1)
    world.env.run(until=1.3)
    assert wire.answers[1][1] is one
    assert wire.answers[1][0] - 1.2 < answered - 1.0 - 2 * 100e-6
    assert [base for _, _, base in world.nodes[1].monitor.commits] == [0, 10]


def test_followers_copy_the_very_batches():
    world = settled(World())
    tp = world.tps[0]
    wire = Wire(world, 1)
    for i in range(50):
        wire.produce(1.0 + i * 0.001, tp, first=10 * i)
    world.env.run(until=3.0)
    logs = [node.partition(tp).log for node in world.nodes.values()]
    assert logs[0].log_end_offset == 500
    for log in logs[1:]:
        assert [id(b) for b in log.batches] == [id(b) for b in logs[0].batches]
        assert log.epochs == [0]


def test_one_request_in_processing_per_connection():
    world = settled(World())
    tp = world.tps[0]
    wire = Wire(world, 1)
    for i in range(5):
        wire.produce(1.0, tp, first=10 * i)
    world.env.run(until=1.0004)
    assert world.nodes[1].partition(tp).log.log_end_offset == 10
    world.env.run(until=2.0)
    times = [at for at, _ in wire.answers]
    round_trip = times[0] - 1.0
    # The next one waits in the socket until the answer has left: each is a replication round trip of its own.
    assert all(b - a > 0.5 * round_trip for a, b in pairwise(times))


def test_an_idle_follower_fetches_twice_a_second():
    world = World()
    world.env.run(until=10.0)
    requests = world.nodes[2].fetchers[1].requests
    assert requests == pytest.approx(20, abs=1)


def test_a_dead_follower_holds_the_high_watermark_until_it_leaves_the_isr():
    world = settled(World())
    tp = world.tps[0]
    world.nodes[3].fetchers[1].shut_down()
    wire = Wire(world, 1)
    wire.produce(1.0, tp)
    world.env.run(until=5.0)
    leader = world.nodes[1].partition(tp)
    assert leader.high_watermark == 0 and not wire.answers
    assert leader.lagging(20.0, 30.0) == [] and leader.lagging(31.5, 30.0) == [3]
    # The controller's removal bumps the epoch; the same leader keeps what it knows of its followers.
    leader.become_leader(1, 1, (1, 2, 3), (1, 2), world.env.now)
    for state in leader.followers:
        if state.broker_id == 3:
            state.last_caught_up = -1e9
    world.nodes[1].replicas.know_live(frozenset((1, 2)))
    world.nodes[1].replicas.advance(leader, world.env.now)
    assert leader.high_watermark == 10
    world.env.run(until=5.1)
    assert wire.answers[0][1].produce.partitions[0].error == NONE


def test_the_gate_of_3_7_freezes_the_high_watermark_below_min_isr():
    for gated, high_watermark in ((True, 0), (False, 10)):
        world = settled(World(min_isr=2, gated=gated))
        tp = world.tps[0]
        leader = world.nodes[1].partition(tp)
        leader.become_leader(1, 1, (1, 2, 3), (1,), 0.9)
        world.nodes[1].replicas.know_live(frozenset((1,)))  # dead followers outside the ISR hold nothing (3.6)
        wire = Wire(world, 1)
        all_ = wire.produce(1.0, tp)
        one = wire.produce(1.1, tp, acks=1)
        world.nodes[2].fetchers[1].shut_down()
        world.nodes[3].fetchers[1].shut_down()
        world.env.run(until=2.0)
        assert all_.produce.partitions[0].error == NOT_ENOUGH_REPLICAS
        assert one.produce.partitions[0].error == NONE
        assert leader.high_watermark == high_watermark, gated


def test_a_parked_produce_times_out_and_keeps_its_data():
    world = settled(World())
    tp = world.tps[0]
    world.nodes[3].fetchers[1].shut_down()
    wire = Wire(world, 1)
    request = wire.produce(1.0, tp, timeout=2.0)
    world.env.run(until=4.0)
    assert request.produce.partitions[0].error == REQUEST_TIMED_OUT
    assert wire.answers[0][0] == pytest.approx(3.0, abs=0.001)
    assert world.nodes[1].partition(tp).log.log_end_offset == 10


def test_sequences_are_checked_and_duplicates_answered_without_append():
    world = settled(World())
    tp = world.tps[0]
    wire = Wire(world, 1)
    first = wire.produce(1.0, tp, producer_id=7, sequence=0)
    again = wire.produce(1.1, tp, producer_id=7, sequence=0)
    gap = wire.produce(1.2, tp, producer_id=7, sequence=20)
    good = wire.produce(1.3, tp, producer_id=7, sequence=10)
    world.env.run(until=2.0)
    assert [r.produce.partitions[0].error for r in (first, again, gap, good)] == [
        NONE,
        NONE,
        OUT_OF_ORDER_SEQUENCE_NUMBER,
        NONE,
    ]
    assert world.nodes[1].partition(tp).log.log_end_offset == 20


def test_a_follower_that_asks_too_early_backs_off_and_stalls_acks_all():
    world = settled(World(factor=3))
    tp = world.tps[0]
    # Broker 2 takes over; broker 3 hears of it first and asks with an epoch that 2 does not know yet.
    world.nodes[1].server.shut_down(0)
    world.nodes[3].follow(tp, 2, 1, (1, 2, 3))
    world.env.run(until=0.95)
    world.nodes[2].lead(tp, 1, (1, 2, 3), (2, 3))
    at, _, error = world.nodes[3].notes.backoffs[0]
    assert error in (UNKNOWN_LEADER_EPOCH, NOT_LEADER_OR_FOLLOWER)
    wire = Wire(world, 2)
    wire.produce(1.0, tp)
    world.env.run(until=3.0)
    # replica.fetch.backoff.ms = 1000 from the refusal on.
    assert at + 1.0 < wire.answers[0][0] < at + 1.01


def test_a_diverging_tail_is_cut_by_epoch():
    world = settled(World(brokers=2, factor=2))
    tp = world.tps[0]
    wire = Wire(world, 1)
    wire.produce(1.0, tp)
    world.env.run(until=1.5)
    world.nodes[2].fetchers[1].shut_down()
    lost = wire.produce(2.0, tp, first=10, acks=1)
    world.env.run(until=2.5)
    assert lost.produce.partitions[0].error == NONE
    world.nodes[2].lead(tp, 1, (1, 2), (2,))
    other = Wire(world, 2)
    other.produce(2.6, tp, first=20)
    world.env.run(until=2.9)
    world.nodes[1].follow(tp, 2, 1, (1, 2))
    world.env.run(until=4.0)
    assert world.nodes[1].notes.cuts == [(1, [(10, 10)])]
    a, b = (world.nodes[n].partition(tp).log for n in (1, 2))
    assert [id(x) for x in a.batches] == [id(x) for x in b.batches]
    assert a.epochs == b.epochs == [0, 1]


@pytest.mark.parametrize(("syncs_cut_epochs", "fsyncs"), [(False, 2), (True, 3)])
def test_a_truncation_costs_the_fetcher_thread_its_fsyncs(syncs_cut_epochs, fsyncs):
    """Recovery-point checkpoint and producer-state snapshot, up to 3.7 the leader-epoch file, then epoch 1's entry."""
    world = settled(World(brokers=2, factor=2))
    tp = world.tps[0]
    wire = Wire(world, 1)
    wire.produce(1.0, tp)
    world.env.run(until=1.5)
    world.nodes[2].fetchers[1].shut_down()
    wire.produce(2.0, tp, first=10, acks=1)
    world.env.run(until=2.5)
    world.nodes[2].lead(tp, 1, (1, 2), (2,))
    world.env.run(until=2.9)
    disk = world.nodes[1].machine.disk.station
    before = disk.served
    world.nodes[1].follow(tp, 2, 1, (1, 2))
    fetcher = world.nodes[1].fetchers[2]
    fetcher.settings.syncs_cut_epochs = syncs_cut_epochs
    while not world.nodes[1].notes.cuts:
        world.env.scheduler.step()
    cut_at = world.env.now
    fetches = fetcher.requests
    assert disk.served - before == fsyncs
    while fetcher.requests == fetches:
        world.env.scheduler.step()
    assert world.env.now - cut_at == pytest.approx(fsyncs * 1e-4, rel=1e-6)


@pytest.mark.parametrize("syncs", [False, True])
def test_a_roll_up_to_3_6_is_synced_under_the_logs_lock(syncs):
    """The producer-state snapshot: before the append, at the leader and in the follower's thread."""
    world = settled(World(brokers=2, factor=2))
    tp = world.tps[0]
    for node in world.nodes.values():
        log = node.partition(tp).log
        log.config = LogConfig(segment_bytes=1500)
        log._begin_segment()
        if syncs:
            node.replicas.gate.syncs_rolls = True
            for fetcher in node.fetchers.values():
                fetcher.settings.syncs_rolls = True
    first, second = Wire(world, 1), Wire(world, 1)
    first.produce(1.0, tp)
    world.env.run(until=1.5)
    plain_s = first.answers[0][0] - 1.0 - 1e-4  # the follower has synced the epoch file for its first batch
    disks = [node.machine.disk.station.served for node in world.nodes.values()]
    rolled = first.produce(2.0, tp, first=10)
    behind = second.produce(2.0 + 1e-5, tp, first=20, size=400)
    world.env.run(until=2.5)
    assert (rolled.produce.partitions[0].base_offset, behind.produce.partitions[0].base_offset) == (10, 20)
    assert [len(node.partition(tp).log.segments) for node in world.nodes.values()] == [2, 2]
    extra_s = first.answers[1][0] - 2.0 - plain_s
    assert extra_s == pytest.approx(2e-4 if syncs else 0.0, abs=3e-5)
    served = [node.machine.disk.station.served for node in world.nodes.values()]
    assert [now - then for now, then in zip(served, disks, strict=True)] == ([1, 1] if syncs else [0, 0])
    leader = world.nodes[1].partition(tp).log
    gap_s = leader.batches[2].appended_at - leader.batches[1].appended_at
    assert gap_s < 5e-5, "who waits for the lock appends as soon as it is free"


def test_a_port_may_be_open_before_anybody_reads():
    """Up to 3.4: the kernel takes the connection and its first request, the broker answers once it serves."""
    world = World(brokers=1)
    server = world.nodes[1].server
    server.shut_down(0)
    closed = Wire(world, 1)
    world.env.run(until=0.5)
    assert closed.lost_at is not None
    server.bind()
    wire = Wire(world, 1)
    wire.produce(1.0, world.tps[0])
    wire.produce(1.1, world.tps[0], first=10)
    world.env.run(until=2.0)
    assert wire.lost_at is None and not wire.answers
    server.serve()
    world.env.run(until=3.0)
    assert [2.0 < at < 2.01 for at, _ in wire.answers] == [True, True]
    assert [request.produce.partitions[0].base_offset for _, request in wire.answers] == [0, 10]


def test_a_killed_leader_resets_its_clients_after_one_latency():
    world = settled(World())
    wire = Wire(world, 1)
    wire.produce(1.0, world.tps[0])
    world.env.run(until=1.5)
    world.nodes[1].server.shut_down(5)
    world.env.run(until=2.0)
    assert wire.lost_at == pytest.approx(1.5 + 100e-6)
    assert wire.connection.cause == 5


def test_internal_appends_wait_for_the_high_watermark_or_their_own_limit():
    from kafkasim.protocol import RecordBatch

    world = settled(World())
    tp = world.tps[0]
    node = world.nodes[1]
    node.replicas.append_internal(tp, RecordBatch(-1, 0, 1, 100, 0.9, 0.9, -1, -1, -1), 1, 5.0)
    world.env.run(until=1.0)
    assert node.listener.internal[1][0] == NONE
    world.nodes[2].fetchers[1].shut_down()
    node.replicas.append_internal(tp, RecordBatch(-1, 0, 1, 100, 1.0, 1.0, -1, -1, -1), 2, 5.0)
    world.env.run(until=7.0)
    error, at = node.listener.internal[2]
    assert error == REQUEST_TIMED_OUT and at == pytest.approx(6.0, abs=0.001)


def test_an_internal_append_may_do_without_the_followers():
    """``offsets.commit.required.acks`` 1: answered as soon as the leader has it, whatever the ISR."""
    world = settled(World(min_isr=3))
    node = world.nodes[1]
    tp = world.tps[0]
    node.partition(tp).in_sync_replicas = (1,)
    batch = RecordBatch(-1, 0, 1, 100, 0.9, 0.9, -1, -1, -1)
    node.replicas.append_internal(tp, batch, 1, 5.0)
    assert node.listener.internal[1][0] == NOT_ENOUGH_REPLICAS
    node.replicas.append_internal(tp, batch, 2, 5.0, acks_all=False)
    assert node.listener.internal[2] == (NONE, world.env.now)


def test_partitions_are_dealt_to_fetcher_threads_as_kafka_does():
    """``AbstractFetcherManager.getFetcherId``: abs(31 * hash(topic) + partition) mod threads."""
    for partition in range(6):
        number = 31 * string_hash("tweets") + partition
        assert fetcher_number("tweets", partition, 4) == (number & 0x7FFFFFFF) % 4
    assert {fetcher_number("tweets", partition, 3) for partition in range(6)} == {0, 1, 2}


def test_who_left_the_isr_is_caught_up_only_by_a_later_fetch():
    """A fetch from before the LeaderAndIsr that removed a follower does not let it hold the high watermark again."""
    partition = Partition(TopicPartition("t", 0, 0), 3, plain_log(TopicPartition("t", 0, 0)), 1, gated=True)
    partition.become_leader(0, 0, (3, 1, 2), (3, 1, 2), 0.0)
    for broker_id in (1, 2):
        state = partition.follower(broker_id)
        state.session = FetchSession(broker_id)
        state.session.last_fetch_at = 5.0
        state.note_fetch(0, partition.log.log_end_offset, 5.0)
    partition.become_leader(1, 1, (3, 1, 2), (3, 2), 6.0)
    partition.note_append(0)
    partition.log.log_end_offset = 1
    partition.follower(2).note_fetch(1, partition.log.log_end_offset, 7.0)
    assert partition.follower(1).last_caught_up < 0.0
    assert partition.advance(7.0, 30.0, None) and partition.high_watermark == 1
