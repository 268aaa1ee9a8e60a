"""One request in flight a broker, tried until answered or removed; sizes on the wire."""

from __future__ import annotations

import pytest
from controller_world import World

from kafkasim.connection import Connection
from kafkasim.controller.sizes import leader_and_isr_bytes, update_metadata_bytes
from kafkasim.messages import PartitionState
from kafkasim.protocol import LEADER_AND_ISR, UPDATE_METADATA, TopicPartition
from kafkasim.scenario.versions import LATEST, Version


def settled(**config: int) -> World:
    world = World({"t": [(1, 2), (2, 1)]}, config=dict(config))
    world.env.run(until=1.0)
    return world


def send(world: World, broker: int, body: object) -> None:
    world.controllers[2].channels.send(broker, UPDATE_METADATA, 100, body, 0)


def test_one_in_flight_in_order() -> None:
    world = settled()
    world.brokers[1].silent = True
    for body in ("first", "second"):
        send(world, 1, body)
    world.env.run(until=2.0)
    assert [request.body for _, request in world.brokers[1].received] == ["first"]
    channel = world.controllers[2].channels.channels[1]
    assert len(channel.queue) == 1 and world.controllers[2].channels.total_queue_size() == 1
    _, first = world.brokers[1].received[0]
    world.brokers[1].silent = False
    first.response_bytes = 20
    assert first.connection is not None
    first.connection.respond(first, world.env.now)
    world.env.run(until=3.0)
    assert [request.body for _, request in world.brokers[1].received] == ["first", "second"]
    assert channel.sent == 2 and channel.queue_time_s == pytest.approx(1.0, abs=0.01)


def test_sent_again_after_a_reset() -> None:
    world = settled()
    server = world.brokers[1]
    server.silent = True
    send(world, 1, "body")
    world.env.run(until=1.5)
    server.kill()
    server.silent = False
    world.env.run(until=2.55)
    server.up = True
    world.env.run(until=3.0)
    # reset at 1.5, then an attempt every 100 ms
    assert [request.body for _, request in server.received] == ["body", "body"]
    assert server.received[1][0] == pytest.approx(2.6, abs=0.01)
    assert world.controllers[2].channels.channels[1].attempts == 1 + 11


def test_a_broken_idle_connection_is_replaced_at_the_next_request_without_a_pause() -> None:
    world = settled()
    world.brokers[1].kill()
    world.brokers[1].up = True
    world.env.run(until=2.0)
    assert world.controllers[2].channels.channels[1].attempts == 1
    send(world, 1, "body")
    world.env.run(until=2.01)
    assert [at for at, _ in world.brokers[1].received] == [pytest.approx(2.0003, abs=1e-4)]


def test_an_answer_that_does_not_come() -> None:
    world = settled(**{"request.timeout.ms": 5000})
    server = world.brokers[1]
    server.silent = True
    send(world, 1, "body")
    world.env.run(until=5.9)
    server.silent = False
    assert len(server.received) == 1
    world.env.run(until=7.0)
    assert [at for at, _ in server.received] == pytest.approx([1.0001, 6.1003], abs=1e-3)


def test_a_handshake_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    world = settled()
    world.brokers[1].kill()
    world.env.run(until=1.5)
    with monkeypatch.context() as patched:
        patched.setattr(Connection, "open", lambda connection: None)
        send(world, 1, "body")
        world.env.run(until=1.6)
    world.brokers[1].up = True
    world.env.run(until=20.0)
    # the set-up time-out, 10 s ± 20 %, and a pause
    (at,) = [at for at, _ in world.brokers[1].received]
    assert 1.5 + 8.0 + 0.1 < at < 1.5 + 12.0 + 0.2
    assert world.controllers[2].channels.channels[1].attempts == 3


def test_a_removed_broker_gets_nothing_more() -> None:
    world = settled()
    world.brokers[1].kill()
    send(world, 1, "body")
    world.env.run(until=1.05)
    channels = world.controllers[2].channels
    channels.remove(1)
    world.brokers[1].up = True
    world.env.run(until=3.0)
    assert world.brokers[1].received == []
    send(world, 1, "later")  # offline: dropped
    channels.add(1)
    send(world, 1, "new")
    world.env.run(until=4.0)
    assert [request.body for _, request in world.brokers[1].received] == ["new"]


def test_its_own_broker_is_reached_through_its_socket() -> None:
    world = settled()
    send(world, 2, "body")
    world.env.run(until=2.0)
    assert [at for at, _ in world.brokers[2].received] == [pytest.approx(1.00002)]


def states(partitions: int, topic: str = "topic1") -> list[PartitionState]:
    return [PartitionState(TopicPartition(topic, p, p), 1, 0, (1, 2, 3), 0, (1, 2, 3)) for p in range(partitions)]


@pytest.mark.parametrize(("partitions", "v7", "v5", "metadata"), [
    (1, 167, 165, 208), (10, 626, 615, 640), (100, 5216, 5115, 4960),
])  # fmt: skip
def test_sizes(partitions: int, v7: int, v5: int, metadata: int) -> None:
    assert leader_and_isr_bytes(states(partitions), 3, Version(3, 9, 1)) == v7
    assert leader_and_isr_bytes(states(partitions), 3, Version(2, 8, 2)) == v5
    assert update_metadata_bytes(states(partitions), 3, Version(3, 9, 1)) == metadata


def test_bytes_on_the_wire() -> None:
    world = settled()
    controller = world.controllers[2]
    world.kill(1)
    world.zk.expire(1)
    world.env.run(until=2.0)
    server = world.brokers[2]
    assert controller.channels.channels[2].sent == len(server.received) == 4
    for (_, request), size in zip(server.received, server.sizes, strict=True):
        body = request.body
        if request.api == LEADER_AND_ISR:
            assert size == leader_and_isr_bytes(body.partitions, 1, LATEST)
        else:
            assert size == update_metadata_bytes(body.partitions, 2, LATEST)
