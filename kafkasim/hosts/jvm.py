"""A Java heap: it fills as bytes go through the process, and each collection stops the world.

Stands for the young collections of HotSpot's G1, Parallel and CMS collectors and for full ones. What fills the heap is
what the process receives and what each request costs beside it; what it sends from the page cache does not (sendfile).

Published: a busy cluster of LinkedIn's on G1 with a heap of 6 GiB has less than one young collection a second, 90 % of
them within 21 ms (Kafka's documentation, "Java Version"). Assumed: everything else, see docs/model.md.

Approximation: the fill is looked at every ``LOOK_EVERY_S``, a pause begins at such a moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.streams import Stream

LOOK_EVERY_S: Final = 0.05
ALLOCATED_PER_BYTE: Final = 2.0
"""Heap bytes a byte received (assumed): the request's buffer, and as much again for what is made of it."""
ALLOCATED_PER_REQUEST: Final = 8192.0
"""Heap bytes a request, beside its buffer (assumed)."""


class Jvm:
    """The heap of one process.

    ``traffic()`` gives all bytes received and all requests so far, ``stop(seconds, full)`` stops the world.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        young_bytes: int,
        pause_p50_s: float,
        pause_p99_s: float,
        full_every_s: float | None,
        full_pause_s: float,
        draws: Stream,
        full_draws: Stream,
        traffic: Callable[[], tuple[int, int]],
        stop: Callable[[float, bool], None],
    ) -> None:
        self.young_collections: int = 0
        self.full_collections: int = 0
        self.paused_s: float = 0.0
        self._scheduler = scheduler
        self._young_bytes = young_bytes
        self._pause_p50_s = pause_p50_s
        self._pause_p99_s = pause_p99_s
        self._full_every_s = full_every_s
        self._full_pause_s = full_pause_s
        self._draws = draws
        self._full_draws = full_draws
        self._traffic = traffic
        self._stop = stop
        self._looks: int = 0
        self._begun: float = scheduler.now
        # In the middle of a run the young part is somewhere between empty and full.
        self._filled: float = draws.uniform() * young_bytes
        self._seen: float = self._allocated()
        scheduler.call_at(self._begun + LOOK_EVERY_S, self._look, None)
        if full_every_s is not None:
            scheduler.call_at(scheduler.now + full_draws.exponential(full_every_s), self._full, None)

    def _allocated(self) -> float:
        received, requests = self._traffic()
        return received * ALLOCATED_PER_BYTE + requests * ALLOCATED_PER_REQUEST

    def _look(self, _: None) -> None:
        allocated = self._allocated()
        self._filled += allocated - self._seen
        self._seen = allocated
        if self._filled >= self._young_bytes:
            self._filled = 0.0
            self.young_collections += 1
            pause_s = self._draws.lognormal(self._pause_p50_s, self._pause_p99_s)
            self.paused_s += pause_s
            self._stop(pause_s, False)
        self._looks += 1
        self._scheduler.call_at(self._begun + (self._looks + 1) * LOOK_EVERY_S, self._look, None)

    def _full(self, _: None) -> None:
        self.full_collections += 1
        self.paused_s += self._full_pause_s
        self._filled = 0.0
        self._stop(self._full_pause_s, True)
        if self._full_every_s is not None:
            self._scheduler.call_at(
                self._scheduler.now + self._full_draws.exponential(self._full_every_s), self._full, None
            )
