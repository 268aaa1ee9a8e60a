"""Garbage collections of one broker's process: its heap fills with its traffic, a pause is a freeze of so long.

Approximation: on a shared machine what enters for its other processes counts too.

Pauses of a second and more have a row in the timeline; the series ``gc_pause_fraction`` counts all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kafkasim.hosts.jvm import Jvm

if TYPE_CHECKING:
    from kafkasim.broker.broker import Broker
    from kafkasim.scenario.model import JvmSpec

TOLD_S: Final = 1.0
"""A pause so long has a row of its own."""


class BrokerCollections:
    """The collections of one broker."""

    def __init__(self, broker: Broker, spec: JvmSpec) -> None:
        self._broker = broker
        self.heap = Jvm(
            broker.env.scheduler, spec.young_bytes, spec.pause_p50_s, spec.pause_p99_s, spec.full_every_s,
            spec.full_pause_s, broker.draws(f"{broker.actor}/collections"),
            broker.draws(f"{broker.actor}/full collections"), self._traffic, self._stop,
        )  # fmt: skip

    def _traffic(self) -> tuple[int, int]:
        # All that enters the machine is read into the heap: records, and the answers of the leaders it copies from.
        host = self._broker.host
        nic = host.nic_in
        return int(nic.busy_until(self._broker.env.now) * host.nic_bytes_per_s), nic.served

    def _stop(self, pause_s: float, full: bool) -> None:
        broker = self._broker
        if not broker.up:
            return
        now = broker.env.now
        until = now + pause_s
        if broker.life.stopped_until >= until:
            return
        broker.server.stop(until)
        broker.life.stop(until)
        if pause_s >= TOLD_S:
            kind = "full" if full else "young"
            broker.timeline.add(now, broker.actor, "gc_pause", f"{kind} collection: {pause_s:.3f} s")
