"""``clock_skew``: what a broker's process reads as the time of day is wrong.

Kafka reads ``System.currentTimeMillis`` (``time.milliseconds``) for what a leader knows of its followers
(``Replica.updateFetchStateOrThrow``, ``Partition.getOutOfSyncReplicas``), for request time-outs of its own network
clients, and for retention. Purgatories, the group coordinator's timers and quotas' windows of delay run on
``System.nanoTime`` (``SystemTimer``, ``Time.hiResClockMs``), ZooKeeper's sessions on ``Time.currentElapsedTime``: no
clock skew reaches them.

All of the former rules compare a difference of two readings, so a constant offset does nothing; the step, at the
beginning and at the end of the fault, and the drift do. A step of the clock is the same as moving everything that was
read before by as much the other way.

Left out: time stamps (LogAppendTime), clocks of clients.
"""

from __future__ import annotations

from kafkasim.broker.broker import Broker
from kafkasim.broker.wall_clock import step
from kafkasim.cluster import Cluster
from kafkasim.faults.fault import NoEffect
from kafkasim.faults.targets import Process
from kafkasim.scenario.model import ClockSkewSpec

DRIFT_EVERY_S = 1.0
"""How often a drifting clock is moved on: fine beside rules of seconds."""


class ClockSkew:
    """A broker whose clock is wrong until the end of the fault (``for_s`` None: of the run)."""

    def __init__(self, cluster: Cluster, process: Process, spec: ClockSkewSpec, for_s: float | None) -> None:
        if process.kind != "broker":
            raise NoEffect("a ZooKeeper server measures elapsed time and reads no wall clock")
        self.hit = self.actor = str(process)
        self._cluster = cluster
        self._broker: Broker = cluster.brokers[process.number]
        self._spec = spec
        self._moved_s = 0.0
        self._over = for_s is None
        self._for_ever = for_s is None
        self._begun = cluster.env.now
        self._steps = 0
        self._move(spec.step_s)
        if spec.drift_s_per_s:
            cluster.env.call_at(self._begun + DRIFT_EVERY_S, self._drift)
        if for_s is not None:
            cluster.env.call_at(self._begun + for_s, self._end)

    def undone(self) -> bool:
        """The clock is right again (a fault without end never is; it does not keep others from ending)."""
        return self._over

    def _move(self, step_s: float) -> None:
        if step_s:
            self._moved_s += step_s
            step(self._broker, step_s)

    def _drift(self, _: None) -> None:
        if self._over and not self._for_ever:
            return
        self._steps += 1
        self._move(self._spec.drift_s_per_s * DRIFT_EVERY_S)
        self._cluster.env.call_at(self._begun + (self._steps + 1) * DRIFT_EVERY_S, self._drift)

    def _end(self, _: None) -> None:
        self._over = True
        self._move(-self._moved_s)
