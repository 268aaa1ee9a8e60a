"""Links that are cut, slow or lossy, against what TCP's timers say."""

from __future__ import annotations

from typing import Any

import pytest

from kafkasim.hosts.disk import Disk
from kafkasim.hosts.host import Host
from kafkasim.kernel.environment import Environment
from kafkasim.kernel.streams import Streams
from kafkasim.network import LinkFault, Message, Network
from kafkasim.zookeeper.sockets import Listener, Socket, SocketOwner, dial

LATENCY_S = 1e-3
SIZE_BYTES = 100
WIRE_S = SIZE_BYTES / 1e9


class World:
    """Two machines, a channel each way, and what arrived when."""

    def __init__(self, seed: int = 1) -> None:
        self.env = Environment()
        self.streams = Streams(seed)
        self.network = Network(self.env.scheduler, self.streams, (LATENCY_S, 0.0), (LATENCY_S, 0.0))
        self.one, self.other = self.host("one"), self.host("other")
        self.arrived: list[tuple[float, Any]] = []
        self.there = self.network.channel(self.one, self.other, "there", self._deliver)
        self.back = self.network.channel(self.other, self.one, "back", self._deliver)

    def host(self, name: str) -> Host:
        disk = Disk(1e9, 1e9, 1e-4, 1e-3, self.streams.stream(f"disk/{name}"))
        return Host(name, None, 1, 1e9, disk)

    def _deliver(self, message: Any) -> None:
        self.arrived.append((self.env.now, message.number))

    def send(self, at: float, number: int, size_bytes: int = SIZE_BYTES) -> None:
        message = Message(size_bytes)
        message.number = number  # type: ignore[attr-defined]
        self.env.call_at(at, lambda _: self.there.send(message, at))

    def break_links(self, begin: float, end: float, fault: LinkFault) -> None:
        self.env.call_at(begin, lambda _: self.network.begin(fault))
        self.env.call_at(end, lambda _: self.network.end(fault))

    def cut(self, begin: float, end: float, both_ways: bool = True) -> None:
        self.break_links(begin, end, LinkFault([self.one], [self.other], both_ways, True))


def test_what_is_sent_into_a_cut_arrives_at_the_first_retransmission_after_it():
    world = World()
    world.cut(0.5, 3.0)
    for number, at in enumerate((0.1, 1.0, 1.5, 2.9, 3.1, 5.0)):
        world.send(at, number)
    world.env.run(until=10.0)
    # Sent at 1.0, again after 0.2, 0.4, 0.8 and 1.6 s: the fourth time gets through; what follows waits behind it.
    released = 1.0 + WIRE_S + 0.2 + 0.4 + 0.8 + 1.6
    times = [at for at, _ in world.arrived]
    assert [number for _, number in world.arrived] == [0, 1, 2, 3, 4, 5]
    assert times[0] == pytest.approx(0.1 + LATENCY_S + WIRE_S)
    assert times[1] == pytest.approx(released + LATENCY_S + WIRE_S, abs=1e-9)
    assert times[2] - times[1] == pytest.approx(WIRE_S, abs=1e-9)
    assert times[4] < released + LATENCY_S + 5 * WIRE_S
    assert times[5] == pytest.approx(5.0 + LATENCY_S + WIRE_S)


def test_a_cut_of_the_way_back_stops_the_way_there_when_acknowledgements_are_missed():
    world = World()
    fault = LinkFault([world.other], [world.one], False, True)
    world.break_links(0.5, 2.0, fault)
    for number, at in enumerate((1.0, 1.1, 1.25, 3.0)):
        world.send(at, number)
    world.env.run(until=10.0)
    times = [at for at, _ in world.arrived]
    assert times[0] == pytest.approx(1.0 + LATENCY_S + WIRE_S)
    assert times[1] == pytest.approx(1.1 + LATENCY_S + WIRE_S)
    assert times[2] == pytest.approx(1.0 + WIRE_S + 0.2 + 0.4 + 0.8 + LATENCY_S + WIRE_S, abs=1e-9)
    assert times[3] == pytest.approx(3.0 + LATENCY_S + WIRE_S)


def test_overlapping_faults_undo_themselves_exactly():
    world = World()
    first = LinkFault([world.one], [world.other], True, False, latency_s=5e-3, jitter_s=1e-3, loss=0.1)
    second = LinkFault([world.one], None, True, False, latency_s=7e-3)
    world.break_links(1.0, 3.0, first)
    world.break_links(2.0, 4.0, second)
    world.send(3.5, 0)
    world.send(4.5, 1)
    world.env.run(until=10.0)
    assert world.arrived[0][0] == pytest.approx(3.5 + LATENCY_S + 7e-3 + WIRE_S)
    assert world.arrived[1][0] == pytest.approx(4.5 + LATENCY_S + WIRE_S)
    link = world.network.state_of(world.one, world.other)
    assert (link.cuts, link.jitters_s, link.losses) == (0, [], [])
    assert link.extra_latency_s == 0.0


def test_lost_segments_cost_the_retransmission_time_out_on_average():
    """A single segment waits 0.2 s for the first loss, 0.4 s for the second …: 0.2 p / (1 - 2 p) in the mean."""
    world = World()
    loss = 0.05
    world.break_links(0.0, 1e6, LinkFault([world.one], [world.other], True, False, loss=loss))
    count = 20_000
    for number in range(count):
        world.send(1.0 + 30.0 * number, number)  # far enough apart to be independent
    world.env.run(until=1.0 + 30.0 * count + 100.0)
    extra = [at - (1.0 + 30.0 * number) - LATENCY_S - WIRE_S for at, number in world.arrived]
    assert len(extra) == count
    mean = sum(extra) / count
    deviation = (sum((value - mean) ** 2 for value in extra) / (count - 1)) ** 0.5
    assert mean == pytest.approx(0.2 * loss / (1.0 - 2.0 * loss), abs=4.0 * deviation / count**0.5)
    assert sum(value < 1e-9 for value in extra) / count == pytest.approx(1.0 - loss, abs=0.01)


class _End(SocketOwner, Listener):
    def __init__(self, env: Environment) -> None:
        self.env = env
        self.heard: list[tuple[str, float]] = []

    def listens(self) -> bool:
        return True

    def accept(self, socket: Socket) -> SocketOwner:
        return self

    def socket_opened(self, socket: Socket) -> None:
        self.heard.append(("opened", self.env.now))

    def socket_closed(self, socket: Socket) -> None:
        self.heard.append(("closed", self.env.now))

    def socket_message(self, socket: Socket, message: Any) -> None:
        self.heard.append(("message", self.env.now))


def test_a_connection_request_is_repeated_after_1_2_and_4_seconds():
    world = World()
    world.cut(0.5, 5.0)
    near, far = _End(world.env), _End(world.env)
    world.env.call_at(1.0, lambda _: dial(world.network, "line", near, world.one, far, world.other))
    world.env.run(until=20.0)
    # at 1, 2, 4 and 8 s: the last one gets through
    assert near.heard == [("opened", pytest.approx(8.0 + 2 * LATENCY_S))]


def test_a_machine_that_has_booted_answers_what_it_does_not_know_with_a_reset():
    world = World()
    ends = [_End(world.env) for _ in range(4)]
    sockets: list[Socket] = []
    for number in (0, 1):
        near, far = ends[2 * number], ends[2 * number + 1]
        sockets.append(dial(world.network, f"line {number}", near, world.one, far, world.other))
    cut = LinkFault([world.other], None, True, True)

    def lose(_: None) -> None:
        world.network.begin(cut)
        world.other.power_off(world.env.now)

    def boot(_: None) -> None:
        world.other.power_on()
        world.network.end(cut)

    world.env.call_at(1.0, lose)
    world.env.call_at(4.0, boot)
    world.env.call_at(2.0, lambda _: sockets[0].send(Message(SIZE_BYTES)))  # waits, and is repeated
    world.env.call_at(9.0, lambda _: sockets[1].send(Message(SIZE_BYTES)))  # idle until then: knows nothing
    world.env.run(until=20.0)
    closed = [[at for what, at in end.heard if what == "closed"] for end in ends]
    # sent at 2.0, again at 2.2, 2.6, 3.4 and 5.0: that one is answered
    assert closed[0] == [pytest.approx(5.0 + 2 * LATENCY_S, abs=1e-6)]
    assert closed[2] == [pytest.approx(9.0 + 2 * LATENCY_S, abs=1e-6)]
    assert not any(what == "message" for end in ends for what, _ in end.heard)
