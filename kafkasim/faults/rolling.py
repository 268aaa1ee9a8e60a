"""``rolling_restart``: every broker stops and starts, one after the other.

Like an operator's tool: brokers by id, the controller of that moment last; the next one is stopped when the one before
is registered and serves, every partition has a leader and its full ISR, the controller has nothing queued, and
``pause:`` is over.  ``for:`` is how long each broker is down at least, as with ``stop``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from simpy.events import Event

from kafkasim.cluster import Cluster
from kafkasim.faults.stop import Stop
from kafkasim.faults.targets import Process, is_stopping, is_up

LOOK_EVERY_S = 0.1


class RollingRestart:
    """All brokers, one after the other; ``restarted`` in that order."""

    def __init__(self, cluster: Cluster, for_s: float | None, pause_s: float, cause: int) -> None:
        self.hit = "brokers"
        self.actor = "administrator"
        self.restarted: list[int] = []
        self.done = False
        self._cluster = cluster
        self._for_s = for_s
        self._pause_s = pause_s
        cluster.env.process(self._roll(cause))

    def undone(self) -> bool:
        """The last broker is back."""
        return self.done

    def _roll(self, cause: int) -> Generator[Event, Any, None]:
        cluster = self._cluster
        env = cluster.env
        while True:
            yield from self._wait_until_whole()
            number = self._next()
            if number is None:
                self.done = True
                return
            if self.restarted and self._pause_s > 0.0:
                yield env.at(env.now + self._pause_s)
            self.restarted.append(number)
            process = Process("broker", number)
            if not is_up(cluster, process) or is_stopping(cluster, process):
                continue
            detail = f"{len(self.restarted)} of {len(cluster.broker_ids)}"
            row = cluster.timeline.add(env.now, str(process), "stopping", detail, cause)
            stop = Stop(cluster, process, self._for_s, row)
            while not stop.undone():
                yield env.at(env.now + LOOK_EVERY_S)

    def _next(self) -> int | None:
        left = [number for number in self._cluster.broker_ids if number not in self.restarted]
        controller = self._cluster.active_controller()
        others = [number for number in left if controller is None or number != controller.id]
        return others[0] if others else left[0] if left else None

    def _wait_until_whole(self) -> Generator[Event, Any, None]:
        cluster = self._cluster
        while True:
            controller = cluster.active_controller()
            if (
                controller is not None
                and cluster.whole()
                and not controller.controller.channels.total_queue_size()
                and all(cluster.brokers[number].server.open for number in cluster.broker_ids)
            ):
                return
            yield cluster.env.at(cluster.env.now + LOOK_EVERY_S)
