"""KIP-392 at a broker: who is proposed to a consumer, and what a follower answers."""

from __future__ import annotations

import pytest

from kafkasim.broker.replica_selector import RackAwareSelector
from kafkasim.protocol import (
    FENCED_LEADER_EPOCH,
    FETCH,
    NONE,
    NOT_LEADER_OR_FOLLOWER,
    OFFSET_OUT_OF_RANGE,
    FetchPartition,
    FetchRequestData,
    Request,
)
from tests.broker.replication_world import Wire, World


def racks(world, *names):
    for node, name in zip(world.nodes.values(), names, strict=True):
        node.machine.rack = name


def grown(world, until=1.0, count=5):
    """Some records on all replicas of partition 0, committed."""
    wire = Wire(world, 1)
    for i in range(count):
        wire.produce(0.1 + i / 10, world.tps[0], first=10 * i)
    world.env.run(until=until)
    return world.nodes[1].partition(world.tps[0])


def fetch(world, node_id, at, offset, epoch=0, rack="", wait=0.5):
    wire = Wire(world, node_id)
    wanted = FetchPartition(world.tps[0])
    wanted.fetch_offset, wanted.current_leader_epoch = offset, epoch
    data = FetchRequestData(-1, {world.tps[0].index: wanted}, wait, 1, 1 << 20)
    data.rack = rack
    data.name([wanted], None)
    request = Request(FETCH, 100, None, 0, None, data)
    world.env.call_at(at, lambda _: wire.connection.send(request, at))
    return wire, wanted


def test_the_leader_is_read_in_its_own_rack_and_where_nobody_else_is():
    world = World()
    racks(world, "a", "b", "b")
    partition = grown(world)
    choose = RackAwareSelector(world, True).choose
    assert choose(partition, "a", 0, None, 1.0) == -1
    assert choose(partition, "c", 0, None, 1.0) == -1
    assert choose(partition, "b", 0, None, 1.0) == 3  # both have everything: the larger id
    assert choose(partition, "b", 0, frozenset((1, 2)), 1.0) == 2


def test_the_most_caught_up_replica_that_has_the_offset():
    world = World()
    racks(world, "a", "b", "b")
    partition = grown(world)
    for state, end in zip(partition.followers, (40, 30), strict=True):
        state.log_end_offset = end
    choose = RackAwareSelector(world, True).choose
    assert choose(partition, "b", 0, None, 1.0) == 2
    assert choose(partition, "b", 35, None, 1.0) == 2
    assert choose(partition, "b", 45, None, 1.0) == -1


def test_from_3_3_on_only_members_of_the_isr():
    world = World()
    racks(world, "a", "b", "a")
    partition = grown(world)
    partition.commit_isr((1, 3), 1)
    assert RackAwareSelector(world, True).choose(partition, "b", 0, None, 1.0) == -1
    assert RackAwareSelector(world, False).choose(partition, "b", 0, None, 1.0) == 2


@pytest.mark.parametrize(("at_once", "waited"), [(True, 0.0), (False, 0.5)])
def test_the_leader_names_a_replica_without_data(at_once, waited):
    """Up to 3.1 that answer waits for fetch.max.wait.ms."""
    world = World()
    racks(world, "a", "b", "c")
    grown(world)
    shared = world.nodes[1].replicas.shared
    shared.selector = RackAwareSelector(world, True)
    shared.prefers_at_once = at_once
    wire, wanted = fetch(world, 1, 1.1, 0, rack="b")
    world.env.run(until=3.0)
    ((answered_at, _),) = wire.answers
    assert answered_at - 1.1 == pytest.approx(waited, abs=0.005)
    assert wanted.preferred_read_replica == 2
    assert wanted.batches == []


def test_a_consumer_without_a_rack_is_answered_as_ever():
    world = World()
    racks(world, "a", "b", "c")
    grown(world)
    world.nodes[1].replicas.shared.selector = RackAwareSelector(world, True)
    wire, wanted = fetch(world, 1, 1.1, 0)
    world.env.run(until=2.0)
    assert len(wire.answers) == 1 and wanted.preferred_read_replica == -1
    assert sum(batch.count for batch in wanted.batches) == 50


def test_a_follower_answers_below_its_own_high_watermark():
    world = World()
    grown(world, until=1.4)
    follower = world.nodes[2].partition(world.tps[0])
    wire, wanted = fetch(world, 2, 1.5, 0)
    world.env.run(until=2.5)
    assert wanted.error == NONE
    assert len(wire.answers) == 1
    assert 0 < sum(batch.count for batch in wanted.batches) <= follower.high_watermark


def test_before_2_4_only_the_leader_answers():
    world = World()
    grown(world)
    world.nodes[2].replicas.shared.followers_serve = False
    _, wanted = fetch(world, 2, 1.1, 0)
    world.env.run(until=2.0)
    assert wanted.error == NOT_LEADER_OR_FOLLOWER


def test_epochs_are_compared_at_a_follower_too_and_the_end_of_its_log_counts():
    world = World()
    grown(world)
    world.nodes[2].follow(world.tps[0], 1, 1, (1, 2, 3))
    _, stale = fetch(world, 2, 1.1, 0, epoch=0)
    _, beyond = fetch(world, 2, 1.1, 1000, epoch=1)
    world.env.run(until=2.0)
    assert stale.error == FENCED_LEADER_EPOCH
    assert beyond.error == OFFSET_OUT_OF_RANGE


def test_a_parked_fetch_at_a_follower_ends_when_its_high_watermark_moves():
    world = World()
    for node in world.nodes.values():  # the fetchers tell their replica manager, as a broker's do
        node.notes.advanced = node.replicas.fetches.follower_advanced
    grown(world, until=2.0)
    wire, wanted = fetch(world, 2, 2.0, 50, wait=30.0)
    producer = Wire(world, 1)
    producer.produce(2.5, world.tps[0], first=50)
    world.env.run(until=2.6)
    assert wire.answers == []  # appended at the follower, but it does not know yet that all have it
    world.env.run(until=3.2)
    ((answered_at, _),) = wire.answers
    assert 2.5 < answered_at < 3.1  # with the answer to its next fetch, half a second later
    assert sum(batch.count for batch in wanted.batches) == 10
