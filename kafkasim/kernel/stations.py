"""Stations: servers with a queue, computed instead of simulated where that is exact.

* :class:`FifoStation`: one channel; ``start = max(now, free_at)``.
* :class:`PoolStation`: several channels whose services are equal; the same arithmetic.
* :class:`WorkerPool`: several workers whose service depends on state: an explicit queue;
  the completion event, which exists anyway, starts the next job.

A station may be used only in the order in which jobs arrive at it.  Each keeps running
sums (busy time, waiting time, time present), so that utilisation and Little's law can be
checked.  ``reset`` is what a crash does to a station, ``pause`` what a freeze does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heapify, heapreplace
from math import inf
from typing import Any

from mypy_extensions import mypyc_attr

from kafkasim.kernel.scheduler import Scheduler


class FifoStation:
    """One channel, first in, first out, by arithmetic.

    ``busy_s``, ``waiting_s`` and ``present_s`` are sums over the jobs taken so far, planned
    work included; :meth:`busy_until` cuts them at a moment.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.free_at: float = 0.0
        self.busy_s: float = 0.0
        self.waiting_s: float = 0.0
        self.served: int = 0

    @property
    def present_s(self) -> float:
        """Time that jobs spent here, waiting and served (s)."""
        return self.busy_s + self.waiting_s

    def serve(self, now: float, service_s: float) -> float:
        """Take a job that arrives ``now`` and needs ``service_s``; returns when it is done."""
        start = self.free_at
        if start <= now:
            done = now + service_s
        else:
            self.waiting_s += start - now
            done = start + service_s
        self.free_at = done
        self.busy_s += service_s
        self.served += 1
        return done

    def busy_until(self, now: float) -> float:
        """Busy time (s) up to ``now``: work planned beyond it is left out."""
        return self.busy_s - (self.free_at - now) if self.free_at > now else self.busy_s

    def reset(self, now: float) -> None:
        """Crash: what was planned beyond ``now`` never happens."""
        if self.free_at > now:
            self.busy_s -= self.free_at - now
            self.free_at = now

    def pause(self, now: float, resumes_at: float) -> None:
        """Freeze from ``now`` to ``resumes_at``: planned work moves by the pause."""
        self.free_at = max(self.free_at, now) + (resumes_at - now)


class PoolStation:
    """``channels`` equal channels with one queue, for services that do not differ.

    With equal services the order of completion is the order of arrival, so the
    arithmetic is exact (M/D/c); with unequal ones start times are still those of a FIFO
    queue, but completions may overtake each other.
    """

    def __init__(self, channels: int, name: str = "") -> None:
        if channels < 1:
            raise ValueError("a pool needs at least one channel")
        self.name = name
        self.channels = channels
        self._free: list[float] = [0.0] * channels
        self.busy_s: float = 0.0
        self.waiting_s: float = 0.0
        self.present_s: float = 0.0
        self.served: int = 0

    def serve(self, now: float, service_s: float) -> float:
        """Take a job that arrives ``now`` and needs ``service_s``; returns when it is done."""
        start = self._free[0]
        if start < now:
            start = now
        done = start + service_s
        heapreplace(self._free, done)
        self.busy_s += service_s
        self.waiting_s += start - now
        self.present_s += done - now
        self.served += 1
        return done

    def busy_until(self, now: float) -> float:
        """Busy time (s), summed over channels, up to ``now``."""
        ahead = 0.0
        for free_at in self._free:
            if free_at > now:
                ahead += free_at - now
        return self.busy_s - ahead

    def reset(self, now: float) -> None:
        """Crash: what was planned beyond ``now`` never happens."""
        self.busy_s = self.busy_until(now)
        self._free = [now] * self.channels

    def pause(self, now: float, resumes_at: float) -> None:
        """Freeze from ``now`` to ``resumes_at``."""
        pause = resumes_at - now
        self._free = [max(free_at, now) + pause for free_at in self._free]
        heapify(self._free)


@mypyc_attr(allow_interpreted_subclasses=True)
class Job:
    """What a :class:`WorkerPool` works on; requests derive from it.

    ``received_at`` is when it came to whoever hands it to the pool, ``arrived_at`` when it is in the pool's
    queue, ``started_at`` when a worker begins.  The pool sets the last two.
    """

    received_at: float = 0.0
    arrived_at: float = 0.0
    started_at: float = 0.0
    pool_generation: int = 0
    pool_paused_s: float = 0.0


class WorkerPool:
    """Workers (threads) with one queue, whose work depends on the state it meets.

    ``begin(job)`` returns the seconds until the job's effect; ``finish(job)`` applies the
    effect at that moment and returns the seconds for which the worker stays busy after it;
    a negative answer -x says that the effect has to wait x seconds more (a lock is held), minus
    infinity that it has to wait until somebody calls :meth:`resume`.
    ``wake_up_s`` is added when a job meets an idle worker (a thread that waits must be
    woken; one that finds work in the queue need not be).  ``ahead``: a start that is certain is
    worked out before it comes, which is exact as long as ``begin`` queues nowhere else; else that
    is done only where nearly all workers have been idle for long (an approximation).

    ``begun`` jobs have been started, ``before_s`` after they were received (sum); ``served`` are done.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        workers: int,
        begin: Callable[[Any], float],
        finish: Callable[[Any], float],
        wake_up_s: float = 0.0,
        name: str = "",
        ahead: bool = True,
    ) -> None:
        if workers < 1:
            raise ValueError("a pool needs at least one worker")
        self.name = name
        self.workers = workers
        self.wake_up_s = wake_up_s
        self.generation: int = 0
        self.busy_s: float = 0.0
        self.waiting_s: float = 0.0
        self.served: int = 0
        self.begun: int = 0
        self.before_s: float = 0.0
        self._scheduler = scheduler
        self._begin = begin
        self._finish = finish
        self._ahead: bool = ahead
        self._on_completion: Callable[[Job], None] = self._complete  # a bound method is made once, not for every job
        self._queue: deque[Job] = deque()
        self._occupied: int = 0
        self._expected: int = 0
        self._lingering: list[float] = []  # until when workers stay busy after an effect, if nobody waits
        self._reset_at: list[float] = []  # when each generation ended
        self._paused_s: float = 0.0
        self._resumes_at: float = 0.0

    @property
    def present_s(self) -> float:
        """Time that jobs spent here, waiting and served (s)."""
        return self.busy_s + self.waiting_s

    def submit(self, job: Job, at: float) -> None:
        """A job that reaches the queue at ``at`` (now or later).

        Where plenty of workers are idle a later job's start is certain, and no event is
        spent on its arrival; otherwise its arrival is an event of its own.
        """
        scheduler = self._scheduler
        now = scheduler.now
        job.pool_generation = self.generation
        if at > now:
            if self._occupied + self._expected + 2 > self.workers:
                if self._ahead:
                    self._reclaim(now)  # workers count as occupied until somebody needs to know
                if self._occupied + self._expected + 2 > self.workers:
                    self._expected += 1
                    scheduler.call_at(at, self._arrive, job)
                    return
            # _start, in line: nearly every request begins here.
            self._occupied += 1
            self.begun += 1
            self.before_s += at - job.received_at
            job.started_at = at
            begin = self._begin
            service_s = begin(job) + self.wake_up_s
            if self._paused_s > 0.0:
                job.pool_paused_s = self._paused_s
                if at < self._resumes_at:
                    at = self._resumes_at
            scheduler.call_at(at + service_s, self._on_completion, job)
            return
        job.arrived_at = at
        if self._occupied >= self.workers:
            self._reclaim(now)
        if self._occupied < self.workers and not self._queue:
            self._start(job, at, self.wake_up_s)
            return
        self._queue.append(job)
        lingering = self._lingering
        if lingering:
            free_at = min(lingering)
            lingering.remove(free_at)
            scheduler.call_at(free_at, self._release, self.generation)

    def queue_length(self) -> int:
        """Jobs that wait for a worker."""
        return len(self._queue)

    def occupied(self) -> int:
        """Workers that are busy now."""
        self._reclaim(self._scheduler.now)
        return self._occupied

    def busy_until(self, now: float) -> float:
        """Busy time (s), summed over workers, of the work done by ``now`` (planned effects left out)."""
        ahead = 0.0
        for free_at in self._lingering:
            if free_at > now:
                ahead += free_at - now
        return self.busy_s - ahead

    def reset(self) -> None:
        """Crash: queue and work vanish; what was planned finds another generation.

        What workers did until now counts as busy: of jobs in service when their planned end comes by.
        """
        now = self._scheduler.now
        self.generation += 1
        self._reset_at.append(now)
        self._queue.clear()
        for free_at in self._lingering:
            if free_at > now:
                self.busy_s -= free_at - now
        self._lingering.clear()
        self._occupied = 0
        self._expected = 0

    def pause(self, now: float, resumes_at: float) -> None:
        """Freeze from ``now`` to ``resumes_at``: what is in service is completed later by the pause."""
        pause_s = resumes_at - now
        self._paused_s += pause_s
        self._resumes_at = resumes_at
        self._lingering = [max(free_at, now) + pause_s for free_at in self._lingering]

    def resume(self, job: Job) -> None:
        """What ``job`` has waited for, its worker held, has come."""
        self._scheduler.call_at(self._scheduler.now, self._on_completion, job)

    def _arrive(self, job: Job) -> None:
        if job.pool_generation != self.generation:
            return
        self._expected -= 1
        self.submit(job, self._scheduler.now)

    def _start(self, job: Job, at: float, wake_up_s: float) -> None:
        self._occupied += 1
        self.begun += 1
        self.before_s += at - job.received_at
        job.started_at = at
        self.waiting_s += at - job.arrived_at
        begin = self._begin
        service_s = begin(job) + wake_up_s
        if self._paused_s > 0.0:
            job.pool_paused_s = self._paused_s
            if at < self._resumes_at:
                at = self._resumes_at
        self._scheduler.call_at(at + service_s, self._on_completion, job)

    def _complete(self, job: Job) -> None:
        if job.pool_generation != self.generation:
            self._count_cut(job)
            return
        if self._paused_s > 0.0 and job.pool_paused_s < self._paused_s:
            left_s = self._paused_s - job.pool_paused_s
            job.pool_paused_s = self._paused_s
            self._scheduler.call_at(self._scheduler.now + left_s, self._on_completion, job)
            return
        finish = self._finish
        extra_s = finish(job)
        now = self._scheduler.now
        if extra_s < 0.0:
            if extra_s != -inf:
                self._scheduler.call_at(now - extra_s, self._on_completion, job)
            return
        if job.pool_generation != self.generation:
            self._count_cut(job)
            return
        end = now + extra_s
        self.served += 1
        self.busy_s += end - job.started_at
        if extra_s <= 0.0:
            self._occupied -= 1
            if self._queue:
                self._start(self._queue.popleft(), now, 0.0)
        elif self._queue:
            self._scheduler.call_at(end, self._release, self.generation)
        else:
            self._lingering.append(end)

    def _count_cut(self, job: Job) -> None:
        """A crash has cut this job short: its worker was busy until then."""
        worked_s = self._reset_at[job.pool_generation] - job.started_at
        if worked_s > 0.0:
            self.busy_s += worked_s

    def _release(self, generation: int) -> None:
        if generation != self.generation:
            # Counted in full when its effect came; a crash has cut it short.
            self.busy_s -= self._scheduler.now - self._reset_at[generation]
            return
        now = self._scheduler.now
        if now < self._resumes_at:
            self._scheduler.call_at(self._resumes_at, self._release, generation)
            return
        self._free(now)

    def _free(self, now: float) -> None:
        self._occupied -= 1
        if self._queue:
            self._start(self._queue.popleft(), now, 0.0)

    def _reclaim(self, now: float) -> None:
        """Count who has become idle meanwhile."""
        lingering = self._lingering
        still = [free_at for free_at in lingering if free_at > now]
        self._occupied -= len(lingering) - len(still)
        self._lingering = still
