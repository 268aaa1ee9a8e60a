"""The slots of the fetch session cache: who gets one, who is evicted, what a fetcher without one does."""

from __future__ import annotations

import pytest

from kafkasim.broker.fetcher import FETCH_REQUEST_BASE_BYTES, FETCH_REQUEST_PARTITION_BYTES, FETCH_REQUEST_TOPIC_BYTES
from kafkasim.broker.sessions import EVICTED, FetchSession, FetchSessionCache
from kafkasim.protocol import FETCH, FetchPartition, FetchRequestData, Request
from tests.broker.replication_world import Wire, World

CONSUMER, FOLLOWER = -1, 3


def session(replica_id, size, used_at=0.0):
    made = FetchSession(replica_id)
    made.partitions = dict.fromkeys(range(size))
    made.last_used_at = used_at
    return made


def full(*sessions, at=0.0):
    cache = FetchSessionCache(len(sessions))
    for one in sessions:
        assert cache.admit(one, at) is None
        assert one.cached
    return cache


def test_a_free_slot_is_taken():
    cache = full(session(CONSUMER, 1), session(CONSUMER, 1))
    late = session(CONSUMER, 9)
    assert cache.admit(late, 1.0) is None
    assert not late.cached
    assert len(cache) == 2


def test_an_idle_session_is_evicted_first():
    idle, busy = session(FOLLOWER, 9, 0.0), session(CONSUMER, 1, 100.0)
    cache = full(idle, busy)
    assert cache.admit(session(CONSUMER, 1), 120.0) is None
    assert cache.admit(session(CONSUMER, 1), 120.1) is idle


def test_a_follower_evicts_the_smallest_consumer_at_once():
    small, large, follower = session(CONSUMER, 1), session(CONSUMER, 5), session(FOLLOWER, 1)
    cache = full(large, small, follower)
    assert cache.admit(session(FOLLOWER, 2), 1.0) is small
    assert cache.admit(session(FOLLOWER, 2), 1.0) is large
    assert cache.admit(session(FOLLOWER, 2), 1.0) is None


def test_an_old_session_is_evicted_by_one_that_is_not_smaller():
    old = session(CONSUMER, 5)
    cache = full(old)
    old.last_used_at = 200.0
    assert cache.admit(session(CONSUMER, 4), 200.0) is None
    assert cache.admit(session(CONSUMER, 5), 200.0) is old


def test_shards_take_turns():
    """From 3.8 on a shard can be full while others have room."""
    cache = FetchSessionCache(16, 8)
    sessions = [session(CONSUMER, 1) for _ in range(16)]
    for one in sessions:
        cache.admit(one, 0.0)
    assert [one.shard for one in sessions] == [*range(8), *range(8)]
    cache.remove(sessions[1])
    late = session(CONSUMER, 1)
    cache.admit(late, 0.0)  # the turn of shard 0, which is full
    assert not late.cached
    assert len(cache) == 15


@pytest.mark.parametrize("slots", [0, 1])
def test_a_follower_without_a_session_names_every_partition_in_every_fetch(slots):
    world = World(brokers=2, partitions=1, factor=2)
    world.nodes[1].replicas.shared.session_cache = FetchSessionCache(slots)
    world.env.run(until=0.2)
    fetcher, out = world.nodes[2].fetchers[1], world.nodes[2].machine.nic_out
    requests, busy_s = fetcher.requests, out.busy_s
    Wire(world, 1).produce(1.0, world.tps[0])
    world.env.run(until=6.0)
    mean = (out.busy_s - busy_s) * 1.25e9 / (fetcher.requests - requests)
    everything = FETCH_REQUEST_BASE_BYTES + FETCH_REQUEST_TOPIC_BYTES + FETCH_REQUEST_PARTITION_BYTES
    if slots == 0:
        assert mean == pytest.approx(everything)
    else:
        assert FETCH_REQUEST_BASE_BYTES < mean < FETCH_REQUEST_BASE_BYTES + 10
    assert world.nodes[2].partition(world.tps[0]).log.log_end_offset == 10


def test_an_evicted_follower_is_told_once_and_fetches_on():
    world = World(brokers=2, partitions=1, factor=2)
    replicas = world.nodes[1].replicas
    cache = replicas.shared.session_cache = FetchSessionCache(1)
    world.env.run(until=1.0)
    connection = world.nodes[2].fetchers[1]._connection
    held = connection.session
    assert held.cached
    # Long idle, as the cache sees it: the next one takes its slot.
    held.last_used_at = -1000.0
    late, data = session(CONSUMER, 1), FetchRequestData(CONSUMER, {}, 0.5, 1, 1000)
    replicas.shared.ready_at = world.env.now
    replicas.fetches._keep(late, data)
    assert late.cached and not data.sessionless and connection.session is EVICTED
    cache.remove(late)
    wire = Wire(world, 1)
    wire.produce(2.0, world.tps[0])
    fetches = replicas.fetch_requests
    world.env.run(until=1.9)
    assert isinstance(connection.session, FetchSession) and connection.session is not held
    assert connection.session.cached
    # The parked fetch was answered at once; the next was refused, the one after it is full and parks.
    assert replicas.fetch_requests - fetches in (3, 4)
    world.env.run(until=3.0)
    assert wire.answers and world.nodes[2].partition(world.tps[0]).log.log_end_offset == 10
    assert len(cache) == 1


def test_partitions_that_returned_data_go_to_the_end_of_the_session():
    """Each answer has room for one batch: three partitions with a backlog take turns."""
    world = World(brokers=1, partitions=3)
    wire = Wire(world, 1)
    for i in range(9):
        wire.produce(0.1 + i / 100, world.tps[i % 3], first=10 * i, size=1000)
    world.env.run(until=1.0)
    reader = Wire(world, 1)
    partitions = {tp.index: FetchPartition(tp) for tp in world.tps}
    data = FetchRequestData(CONSUMER, partitions, 0.5, 1, 1000)
    named = list(partitions.values())
    for fetch in named:
        fetch.current_leader_epoch = 0
    served = []
    for i in range(6):
        data.name(named, None)
        request = Request(FETCH, 100, None, 0, None, data)
        at = 1.0 + i / 10
        world.env.call_at(at, lambda at, request=request: reader.connection.send(request, at), at)
        world.env.run(until=at + 0.05)
        named = [fetch for fetch in data.answered if fetch.batches]
        for fetch in named:
            served.append(fetch.tp.partition)
            last = fetch.batches[-1]
            fetch.fetch_offset = last.base_offset + last.count
            fetch.batches = []
    assert served == [0, 1, 2, 0, 1, 2]
