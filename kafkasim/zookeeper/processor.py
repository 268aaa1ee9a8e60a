"""The processor of one server: one FIFO queue for all its cores.

Its services are the published costs per server, so that reads and the leader's writes share
it.  What it plans dies and freezes with the process.  The CPU of a host that several
processes share is asked for each piece of work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life

_Work = tuple[float, Callable[[Any], None], Any]


class Processor:
    """Work in the order in which it came."""

    def __init__(self, life: Life, host: Host) -> None:
        self.busy_s: float = 0.0
        self._life = life
        self._host = host
        self._queue: deque[_Work] = deque()
        self._working: _Work | None = None
        self._run: int = 0

    def idle(self) -> bool:
        """Whether nothing is worked on."""
        return self._working is None

    def waiting(self) -> int:
        """Pieces of work in the queue."""
        return len(self._queue)

    def spend(self, service_s: float, function: Callable[[Any], None], argument: Any) -> None:
        """Spend processor time behind all that is there, then call."""
        work = (service_s, function, argument)
        if self._working is None:
            self._begin(work)
        else:
            self._queue.append(work)

    def reset(self) -> None:
        """The pipeline is shut: what was to be done is not done."""
        self._queue.clear()
        self._working = None
        self._run += 1

    def _begin(self, work: _Work) -> None:
        self._working = work
        now = self._life.scheduler.now
        service_s = work[0]
        done = self._host.compute(now, service_s) if service_s > 0.0 else now
        self.busy_s += service_s
        self._life.plan(done, self._done, self._run)

    def _done(self, run: int) -> None:
        work = self._working
        if run != self._run or work is None:
            return
        work[1](work[2])
        if run != self._run:
            return
        self._working = None
        if self._queue:
            self._begin(self._queue.popleft())
