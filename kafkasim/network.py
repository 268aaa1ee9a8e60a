"""Links between machines, and messages on them.

A message leaves through the sender's interface (FIFO), travels the link's one-way latency
plus jitter (exponential; TCP keeps the order within a channel, not between channels) and
enters through the receiver's interface (FIFO, cut through: the last bit counts).  There is
one kernel event at the receiver, because traffic from elsewhere joins there.

What faults do to links, and TCP about it, is in :mod:`kafkasim.links`.

A message larger than the receiver's socket buffer waits for acknowledgements in between (:class:`WindowedChannel`).

Left out: slow start, congestion windows, packet headers.  A large response is one job of the interface, not a share of
it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mypy_extensions import mypyc_attr

from kafkasim.hosts.host import Attached, Host
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.stations import Job
from kafkasim.kernel.streams import Stream, Streams
from kafkasim.links import SYN_RETRANSMISSION_S, Link, Transmission


@mypyc_attr(allow_interpreted_subclasses=True)
class Message(Job):
    """Anything with a size that travels; ``size_bytes`` includes the protocol's framing."""

    size_bytes: int

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes


@mypyc_attr(allow_interpreted_subclasses=True)
class Channel(Attached):
    """One direction between two hosts: keeps the order of its messages.

    ``deliver(message)`` is called at the receiver when the last bit has passed its
    interface.  A channel that has been closed delivers nothing any more; what a process
    wrote before it died still leaves (close the channel of its *receiver* for that).
    """

    def __init__(
        self,
        scheduler: Scheduler,
        source: Host,
        target: Host,
        latency_s: float,
        jitter_s: float,
        draws: Stream,
        deliver: Callable[[Any], None],
        link: Link,
    ) -> None:
        self.source = source
        self.target = target
        self.link = link
        self.scheduler = scheduler
        self.draws = draws
        self.source_boots: int = source.boots
        self.target_boots: int = target.boots
        self.refused: Callable[[Any], None] | None = None
        """What the sending end is told when the receiver's machine does not know the connection (any more)."""
        self.latency_s: float = latency_s
        self.jitter_s: float = jitter_s
        self.closed: bool = False
        self.last_arrival: float = 0.0
        self._scheduler = scheduler
        self._draws = draws
        self._deliver = deliver
        self._transmission: Transmission | None = None
        self._loopback: bool = source is target
        self._out = source.nic_out
        self._in = target.nic_in
        self._out_s_per_byte: float = 0.0
        self._in_s_per_byte: float = 0.0
        self._overlap_s_per_byte: float = 0.0
        self.rate_changed()
        if not self._loopback:
            source.attach(self)
            target.attach(self)
        # A bound method is made once, not for every message.
        self._on_entry: Callable[[Message], None] = self._enter
        self._on_arrival: Callable[[Message], None] = self._enter if self._loopback else self._arrive

    def rate_changed(self) -> None:
        """Take over the rates of both interfaces."""
        self._out_s_per_byte = 1.0 / self.source.nic_bytes_per_s
        self._in_s_per_byte = 1.0 / self.target.nic_bytes_per_s
        # Cut through: the bits of a message enter while they arrive, at the slower interface's pace.
        self._overlap_s_per_byte = min(self._out_s_per_byte, self._in_s_per_byte)

    def send(self, message: Message, at: float) -> float:
        """Hand ``message`` to the interface at ``at`` (s, not before now); returns when its last bit has left."""
        if self.link.disturbed:
            return self._send_disturbed(message, at)
        if self._loopback:
            left = at
        else:
            # FifoStation.serve, in line: a call costs as much as its arithmetic, and every message comes by twice.
            out = self._out
            service_s = message.size_bytes * self._out_s_per_byte
            start = out.free_at
            if start <= at:
                left = at + service_s
            else:
                out.waiting_s += start - at
                left = start + service_s
            out.free_at = left
            out.busy_s += service_s
            out.served += 1
        arrival = left + self.latency_s
        if self.jitter_s > 0.0:
            arrival += self._draws.exponential(self.jitter_s)
        if arrival < self.last_arrival:
            arrival = self.last_arrival
        self.last_arrival = arrival
        self._scheduler.call_at(arrival, self._on_arrival, message)
        return left

    def signal_at(self, now: float) -> float:
        """When a bare segment (SYN, RST, FIN) sent ``now`` arrives, behind all that was sent before (s)."""
        arrival = now + self.latency_s + self.link.extra_latency_s
        return arrival if arrival > self.last_arrival else self.last_arrival

    def signal(self, function: Callable[[Any], None], argument: Any) -> None:
        """Send a FIN or RST now: ``function(argument)`` is called when it arrives, if it does."""
        if self.link.disturbed:
            self._disturbed().signal(function, argument)
        else:
            self._scheduler.call_at(self.signal_at(self._scheduler.now), function, argument)

    def try_again_s(self, pause_s: float) -> float:
        """For a connection request: 0 if it gets through now, else the next try's pause (``pause_s``: the last)."""
        if self.link.cuts == 0 and not self.source.off:
            return 0.0
        return SYN_RETRANSMISSION_S if pause_s <= 0.0 else 2.0 * pause_s

    # over a disturbed link

    def _disturbed(self) -> Transmission:
        transmission = self._transmission
        if transmission is None:
            transmission = self._transmission = Transmission(self)
        return transmission

    def _send_disturbed(self, message: Message, at: float) -> float:
        if self.source.boots != self.source_boots:
            return at  # the process that wrote it is gone with its machine
        if self.target.boots != self.target_boots and self.link.cuts == 0:
            self.refuse(at - self._scheduler.now + 2.0 * self.latency_s)
            return at
        return self._disturbed().send(message, at)

    def leave(self, message: Message, at: float) -> float:
        """The way through the sender's interface; returns when the last bit has left it (s)."""
        if self._loopback:
            return at
        return self._out.serve(at, message.size_bytes * self._out_s_per_byte)

    def travel(self, message: Message, left: float, delay_s: float) -> None:
        """From the sender's interface, which it has ``left``, to the receiver's, with an extra delay (s)."""
        arrival = left + self.latency_s + delay_s
        if self.jitter_s > 0.0:
            arrival += self._draws.exponential(self.jitter_s)
        if arrival < self.last_arrival:
            arrival = self.last_arrival
        self.last_arrival = arrival
        self._scheduler.call_at(arrival, self._on_arrival, message)

    def refuse(self, delay_s: float) -> None:
        """The receiver's machine answers with a reset, which is here in ``delay_s``."""
        refused, self.refused = self.refused, None
        if refused is not None:
            self._scheduler.call_at(self._scheduler.now + delay_s, refused, None)

    def _arrive(self, message: Message) -> None:
        if self.closed:
            return
        # The last bit is here now; the interface may still be busy with others' bits.
        now = self._scheduler.now
        size = message.size_bytes
        # FifoStation.serve, in line as in ``send``; the job arrives when its first bit does.
        station = self._in
        at = now - size * self._overlap_s_per_byte
        service_s = size * self._in_s_per_byte
        start = station.free_at
        if start <= at:
            done = at + service_s
        else:
            station.waiting_s += start - at
            done = start + service_s
        station.free_at = done
        station.busy_s += service_s
        station.served += 1
        if done <= now:
            deliver = self._deliver
            deliver(message)
            return
        if done > self.last_arrival:
            self.last_arrival = done
        self._scheduler.call_at(done, self._on_entry, message)

    def _enter(self, message: Message) -> None:
        if not self.closed:
            self._deliver(message)


@mypyc_attr(allow_interpreted_subclasses=True)
class WindowedChannel(Channel):
    """A channel to a socket whose receive buffer is set, so that the kernel does not tune it.

    No more than ``window_bytes`` are on their way unacknowledged: of a larger message so much goes by in a round trip,
    if the interfaces would do more.  (Linux doubles the buffer that is asked for, and half of it is window.)
    """

    def __init__(
        self, scheduler: Scheduler, source: Host, target: Host, latency_s: float, jitter_s: float, draws: Stream,
        deliver: Callable[[Any], None], link: Link, window_bytes: int,
    ) -> None:  # fmt: skip
        super().__init__(scheduler, source, target, latency_s, jitter_s, draws, deliver, link)
        self.window_bytes: int = window_bytes

    def send(self, message: Message, at: float) -> float:
        """As ever; a message of several windows takes the longer."""
        window_bytes = self.window_bytes
        if message.size_bytes <= window_bytes:
            return Channel.send(self, message, at)
        usual_s = self.latency_s
        round_trip_s = 2.0 * usual_s + self.link.extra_latency_s + self.link.back.extra_latency_s
        pace_s = 0.0 if self._loopback else max(self._out_s_per_byte, self._in_s_per_byte)
        pause_s = round_trip_s - window_bytes * pace_s
        if pause_s <= 0.0:
            return Channel.send(self, message, at)
        stalled_s = pause_s * ((message.size_bytes - 1) // window_bytes)
        self.latency_s = usual_s + stalled_s
        left = Channel.send(self, message, at)
        self.latency_s = usual_s
        return left + stalled_s


class LinkFault:
    """What is wrong with the links from ``sources`` to ``targets`` (and back, if ``both_ways``).

    ``targets`` None are all machines that are not among the sources; ``cause`` is the fault's row in the timeline.
    """

    def __init__(
        self, sources: list[Host], targets: list[Host] | None, both_ways: bool, cuts: bool, latency_s: float = 0.0,
        jitter_s: float = 0.0, loss: float = 0.0, cause: int = 0,
    ) -> None:  # fmt: skip
        self.cause: int = cause
        self.cuts: bool = cuts
        self.latency_s: float = latency_s
        self.jitter_s: float = jitter_s
        self.loss: float = loss
        self._sources = dict.fromkeys(sources, True)
        self._targets = None if targets is None else dict.fromkeys(targets, True)
        self._both_ways: bool = both_ways

    def concerns(self, source: Host, target: Host) -> bool:
        """Whether it acts on the link from ``source`` to ``target``."""
        if source in self._sources and self._is_target(target):
            return True
        return self._both_ways and target in self._sources and self._is_target(source)

    def _is_target(self, host: Host) -> bool:
        return host not in self._sources if self._targets is None else host in self._targets


@mypyc_attr(allow_interpreted_subclasses=True)
class Network:
    """Latencies between hosts by rack, and a generic way to send what is not traffic.

    Hosts without a rack count as in the same rack as everybody.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        streams: Streams,
        same_rack: tuple[float, float] = (100e-6, 0.0),
        cross_rack: tuple[float, float] = (500e-6, 0.0),
        loopback_latency_s: float = 20e-6,
    ) -> None:
        self.scheduler = scheduler
        self.streams = streams
        self._same_rack = same_rack
        self._cross_rack = cross_rack
        self._loopback_latency_s = loopback_latency_s
        self._links: dict[tuple[Host, Host], Link] = {}
        self._faults: list[LinkFault] = []

    def link(self, source: Host, target: Host) -> tuple[float, float]:
        """(one-way latency, mean jitter) in seconds from ``source`` to ``target``."""
        if source is target:
            return self._loopback_latency_s, 0.0
        if source.rack is None or target.rack is None or source.rack == target.rack:
            return self._same_rack
        return self._cross_rack

    def channel(
        self, source: Host, target: Host, name: str, deliver: Callable[[Any], None], window_bytes: int = 0
    ) -> Channel:
        """A new channel; ``name`` names its jitter's random stream, ``window_bytes`` a receive buffer that is set."""
        latency_s, jitter_s = self.link(source, target)
        draws = self.streams.stream(f"network/{name}")
        if window_bytes > 0:
            link = self.state_of(source, target)
            return WindowedChannel(
                self.scheduler, source, target, latency_s, jitter_s, draws, deliver, link, window_bytes
            )
        return Channel(
            self.scheduler, source, target, latency_s, jitter_s, draws, deliver, self.state_of(source, target)
        )

    def state_of(self, source: Host, target: Host) -> Link:
        """The state of the link from ``source`` to ``target`` (one object each for a run)."""
        link = self._links.get((source, target))
        if link is None:
            link = self._links[source, target] = Link()
            if source is not target:
                back = self._links[target, source] = Link()
                link.back = back
                back.back = link
                for fault in self._faults:
                    self._apply(fault, source, target, link, True)
                    self._apply(fault, target, source, back, True)
        return link

    # faults

    def begin(self, fault: LinkFault) -> None:
        """A fault begins to act on every link that it concerns, those that come into being too."""
        self._faults.append(fault)
        for (source, target), link in self._links.items():
            self._apply(fault, source, target, link, True)

    def end(self, fault: LinkFault) -> None:
        """A fault ends."""
        self._faults.remove(fault)
        for (source, target), link in self._links.items():
            self._apply(fault, source, target, link, False)

    def cause_between(self, one: Host, other: Host) -> int:
        """The row of the latest fault that cuts a direction between two machines now (0: none does)."""
        for fault in reversed(self._faults):
            if fault.cuts and (fault.concerns(one, other) or fault.concerns(other, one)):
                return fault.cause
        return 0

    def _apply(self, fault: LinkFault, source: Host, target: Host, link: Link, begins: bool) -> None:
        if source is target or not fault.concerns(source, target):
            return
        # It stays disturbed when the fault has ended: what waits is sent by the slow way, machines may have booted.
        link.disturbed = True
        link.back.disturbed = True
        if fault.cuts:
            link.cuts += 1 if begins else -1
        _toggle(link.latencies_s, fault.latency_s, begins)
        link.extra_latency_s = sum(link.latencies_s, 0.0)  # of what acts now, so that an end leaves no rounding
        _toggle(link.jitters_s, fault.jitter_s, begins)
        _toggle(link.losses, fault.loss, begins)


def _toggle(values: list[float], value: float, begins: bool) -> None:
    if value > 0.0:
        if begins:
            values.append(value)
        else:
            values.remove(value)
