"""Links between machines, and messages on them.

A message leaves through the sender's interface (FIFO), travels the link's one-way latency
plus jitter (exponential; TCP keeps the order within a channel, not between channels) and
enters through the receiver's interface (FIFO, cut through: the last bit counts).  There is
one kernel event at the receiver, because traffic from elsewhere joins there.

Left out: TCP windows and slow start, packet headers, loss.  A large response is one job of
the interface, not a share of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mypy_extensions import mypyc_attr

from kafkasim.hosts.host import Host
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.stations import Job
from kafkasim.kernel.streams import Stream, Streams


@mypyc_attr(allow_interpreted_subclasses=True)
class Message(Job):
    """Anything with a size that travels; ``size_bytes`` includes the protocol's framing."""

    size_bytes: int

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes


@mypyc_attr(allow_interpreted_subclasses=True)
class Channel:
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
    ) -> None:
        self.source = source
        self.target = target
        self.latency_s: float = latency_s
        self.jitter_s: float = jitter_s
        self.closed: bool = False
        self.last_arrival: float = 0.0
        self._scheduler = scheduler
        self._draws = draws
        self._deliver = deliver
        self._loopback: bool = source is target
        self._out = source.nic_out
        self._in = target.nic_in
        self._out_s_per_byte: float = 1.0 / source.nic_bytes_per_s
        self._in_s_per_byte: float = 1.0 / target.nic_bytes_per_s
        # Cut through: the bits of a message enter while they arrive, at the slower interface's pace.
        self._overlap_s_per_byte: float = min(self._out_s_per_byte, self._in_s_per_byte)
        # A bound method is made once, not for every message.
        self._on_arrival: Callable[[Message], None] = self._arrive
        self._on_entry: Callable[[Message], None] = self._enter

    def send(self, message: Message, at: float) -> float:
        """Hand ``message`` to the interface at ``at`` (s, not before now); returns when its last bit has left."""
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
        arrival = now + self.latency_s
        return arrival if arrival > self.last_arrival else self.last_arrival

    def _arrive(self, message: Message) -> None:
        if self.closed:
            return
        if not self._loopback:
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
            if done > now:
                if done > self.last_arrival:
                    self.last_arrival = done
                self._scheduler.call_at(done, self._on_entry, message)
                return
        deliver = self._deliver
        deliver(message)

    def _enter(self, message: Message) -> None:
        if not self.closed:
            self._deliver(message)


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

    def link(self, source: Host, target: Host) -> tuple[float, float]:
        """(one-way latency, mean jitter) in seconds from ``source`` to ``target``."""
        if source is target:
            return self._loopback_latency_s, 0.0
        if source.rack is None or target.rack is None or source.rack == target.rack:
            return self._same_rack
        return self._cross_rack

    def channel(self, source: Host, target: Host, name: str, deliver: Callable[[Any], None]) -> Channel:
        """A new channel; ``name`` names its jitter's random stream."""
        latency_s, jitter_s = self.link(source, target)
        draws = self.streams.stream(f"network/{name}")
        return Channel(self.scheduler, source, target, latency_s, jitter_s, draws, deliver)
