"""Stations: the arithmetic equals a queue told job by job; crashes and freezes reach planned work."""

from __future__ import annotations

from heapq import heapreplace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkasim.kernel import FifoStation, Job, PoolStation, Scheduler, WorkerPool

gaps_and_services = st.lists(st.tuples(st.floats(0, 3), st.floats(0.001, 4)), min_size=1, max_size=60)


def queue(arrivals: list[float], busy: list[float], channels: int) -> list[tuple[float, float]]:
    """Start and end of each job of a first-in first-out queue (Kiefer and Wolfowitz)."""
    free = [0.0] * channels
    jobs = []
    for arrival, busy_s in zip(arrivals, busy, strict=True):
        start = max(arrival, free[0])
        heapreplace(free, start + busy_s)
        jobs.append((start, start + busy_s))
    return jobs


def times(gaps: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    now = 0.0
    arrivals = []
    for gap, _ in gaps:
        now += gap
        arrivals.append(now)
    return arrivals, [service for _, service in gaps]


class Pool:
    """A worker pool whose jobs have a service before their effect and one after it."""

    class Work(Job):
        """A job with its own services."""

        def __init__(self, number: int, before_s: float, after_s: float = 0.0) -> None:
            super().__init__()
            self.number = number
            self.before_s = before_s
            self.after_s = after_s
            self.lock_s = 0.0

    def __init__(self, workers: int, wake_up_s: float = 0.0) -> None:
        self.scheduler = Scheduler()
        self.pool = WorkerPool(self.scheduler, workers, self.begin, self.finish, wake_up_s)
        self.started: list[tuple[int, float]] = []
        self.effects: list[tuple[int, float]] = []

    def begin(self, job: Work) -> float:
        self.started.append((job.number, job.started_at))
        return job.before_s

    def finish(self, job: Work) -> float:
        if job.lock_s > 0.0:
            wait_s, job.lock_s = job.lock_s, 0.0
            return -wait_s
        self.effects.append((job.number, self.scheduler.now))
        return job.after_s

    def submit(self, at: float, number: int, before_s: float, after_s: float = 0.0, lock_s: float = 0.0) -> Work:
        """A job that arrives at ``at``: by an event then."""
        work = Pool.Work(number, before_s, after_s)
        work.lock_s = lock_s
        self.scheduler.call_at(at, self._arrive, work)
        return work

    def _arrive(self, work: Work) -> None:
        self.pool.submit(work, self.scheduler.now)


# ---- one channel


@given(gaps_and_services)
def test_fifo_is_a_queue_with_one_channel(gaps: list[tuple[float, float]]) -> None:
    arrivals, services = times(gaps)
    station = FifoStation()
    ends = [station.serve(at, service) for at, service in zip(arrivals, services, strict=True)]
    expected = queue(arrivals, services, 1)
    assert ends == pytest.approx([end for _, end in expected])
    assert station.served == len(gaps)
    assert station.busy_s == pytest.approx(sum(services))
    assert station.waiting_s == pytest.approx(
        sum(start - at for at, (start, _) in zip(arrivals, expected, strict=True))
    )
    assert station.present_s == pytest.approx(station.waiting_s + station.busy_s)


def test_fifo_busy_time_is_cut_at_a_moment() -> None:
    station = FifoStation()
    station.serve(0.0, 1.0)
    station.serve(0.0, 2.0)
    assert station.busy_until(0.5) == pytest.approx(0.5)
    assert station.busy_until(3.0) == 3.0
    assert station.busy_until(9.0) == 3.0


def test_fifo_reset_drops_what_was_planned() -> None:
    station = FifoStation()
    station.serve(0.0, 4.0)
    station.reset(1.0)
    assert station.free_at == 1.0
    assert station.busy_s == 1.0
    assert station.serve(1.0, 0.5) == 1.5
    station.reset(9.0)  # idle: nothing to drop
    assert (station.free_at, station.busy_s) == (1.5, 1.5)


def test_fifo_pause_moves_what_was_planned() -> None:
    station = FifoStation()
    station.serve(0.0, 4.0)
    station.pause(1.0, 3.0)
    assert station.serve(1.5, 1.0) == 7.0
    idle = FifoStation()
    idle.pause(1.0, 3.0)
    assert idle.serve(2.0, 1.0) == 4.0


# ---- several channels, equal services


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 5), st.floats(0.01, 3))
def test_pool_is_a_queue_with_several_channels(gaps: list[float], channels: int, service: float) -> None:
    arrivals, services = times([(gap, service) for gap in gaps])
    station = PoolStation(channels)
    ends = [station.serve(at, service) for at in arrivals]
    expected = queue(arrivals, services, channels)
    assert ends == pytest.approx([end for _, end in expected])
    assert station.waiting_s == pytest.approx(
        sum(start - at for at, (start, _) in zip(arrivals, expected, strict=True)), abs=1e-9
    )
    assert station.present_s == pytest.approx(station.waiting_s + station.busy_s)


def test_pool_reset_and_pause() -> None:
    station = PoolStation(2)
    station.serve(0.0, 4.0)
    station.serve(0.0, 2.0)
    assert station.busy_until(1.0) == pytest.approx(2.0)
    station.pause(1.0, 2.0)
    assert station.serve(1.0, 1.0) == 4.0  # the second channel: 2 + the pause of 1, then 1 of service
    station.reset(3.0)
    assert station.serve(3.0, 1.0) == 4.0
    with pytest.raises(ValueError, match="at least one"):
        PoolStation(0)


# ---- workers whose work depends on state


@given(
    st.lists(
        st.tuples(st.floats(0, 2), st.floats(0.001, 3), st.sampled_from([0.0, 0.0, 0.3])), min_size=1, max_size=40
    ),
    st.integers(1, 4),
)
def test_worker_pool_is_a_queue_with_several_channels(jobs: list[tuple[float, float, float]], workers: int) -> None:
    """A worker is busy before and after the effect; jobs start first in, first out."""
    world = Pool(workers)
    arrivals, _ = times([(gap, 0.0) for gap, _, _ in jobs])
    for number, (at, (_, before_s, after_s)) in enumerate(zip(arrivals, jobs, strict=True)):
        world.submit(at, number, before_s, after_s)
    world.scheduler.drain()
    expected = queue(arrivals, [before_s + after_s for _, before_s, after_s in jobs], workers)
    assert [number for number, _ in world.started] == list(range(len(jobs)))
    assert [at for _, at in world.started] == pytest.approx([start for start, _ in expected])
    effects = dict(world.effects)
    for number, (start, _) in enumerate(expected):
        assert effects[number] == pytest.approx(start + jobs[number][1])
    pool = world.pool
    assert pool.served == len(jobs)
    assert pool.queue_length() == 0
    assert pool.busy_s == pytest.approx(sum(before_s + after_s for _, before_s, after_s in jobs))
    assert pool.waiting_s == pytest.approx(sum(s - at for at, (s, _) in zip(arrivals, expected, strict=True)), abs=1e-9)
    assert pool.present_s == pytest.approx(pool.waiting_s + pool.busy_s)


def test_a_worker_that_finds_work_need_not_be_woken() -> None:
    world = Pool(1, wake_up_s=0.25)
    world.submit(0.0, 0, 1.0)
    world.submit(0.5, 1, 1.0)
    world.submit(5.0, 2, 1.0)
    world.scheduler.drain()
    assert world.effects == [(0, 1.25), (1, 2.25), (2, 6.25)]


def test_a_job_submitted_ahead_starts_when_it_arrives() -> None:
    world = Pool(8)
    world.pool.submit(Pool.Work(0, 1.0), 2.0)  # workers in plenty: no event for the arrival
    assert world.scheduler.pending() == 1
    world.scheduler.drain()
    assert world.effects == [(0, 3.0)]
    assert world.pool.waiting_s == 0.0


def test_a_worker_whose_time_is_over_is_idle_for_who_is_submitted_ahead() -> None:
    world = Pool(2)
    world.submit(0.0, 0, 1.0, after_s=0.5)
    world.scheduler.run_until(5.0)
    world.pool.submit(Pool.Work(1, 1.0), 6.0)  # both workers are idle, one for a while: no event for the arrival
    assert world.started == [(0, 0.0), (1, 6.0)]
    assert world.pool.occupied() == 1
    assert (world.pool.begun, world.pool.before_s) == (2, 6.0)


def test_a_job_submitted_ahead_waits_its_turn_where_workers_are_few() -> None:
    world = Pool(1)
    world.pool.submit(Pool.Work(0, 1.0), 2.0)
    world.submit(1.5, 1, 1.0)  # arrives before it and goes first
    world.scheduler.drain()
    assert world.effects == [(1, 2.5), (0, 3.5)]
    assert world.pool.waiting_s == pytest.approx(0.5)


def test_a_held_lock_delays_the_effect_and_keeps_the_worker() -> None:
    world = Pool(1)
    world.submit(0.0, 0, 1.0, lock_s=0.5)
    world.submit(0.1, 1, 1.0)
    world.scheduler.drain()
    assert world.effects == [(0, 1.5), (1, 2.5)]
    assert world.pool.busy_s == pytest.approx(2.5)


def test_occupied_counts_workers_that_are_busy_after_the_effect() -> None:
    world = Pool(2)
    world.submit(0.0, 0, 1.0, after_s=2.0)
    world.scheduler.run_until(2.0)
    assert world.pool.occupied() == 1
    assert world.pool.busy_until(2.0) == pytest.approx(2.0)
    world.scheduler.run_until(3.5)
    assert world.pool.occupied() == 0
    assert world.pool.busy_until(3.5) == pytest.approx(3.0)


def test_a_crash_forgets_the_queue_and_the_work() -> None:
    world = Pool(1)
    world.submit(0.0, 0, 2.0)
    world.submit(0.5, 1, 2.0)
    world.scheduler.run_until(1.0)
    world.pool.reset()
    assert (world.pool.queue_length(), world.pool.occupied()) == (0, 0)
    world.submit(1.5, 2, 2.0)
    world.scheduler.drain()
    assert world.effects == [(2, 3.5)]


def test_a_crash_counts_what_was_done_until_then() -> None:
    """Jobs in service, workers busy after their effect (idle queue or not), and nothing of what had not begun."""
    world = Pool(4)
    world.submit(0.0, 0, 3.0)  # in service at the crash
    world.submit(0.5, 1, 3.0)
    world.submit(0.0, 2, 0.5, after_s=2.0)  # its effect has come, its worker is still busy
    world.pool.submit(Pool.Work(3, 1.0), 5.0)  # has not come
    world.scheduler.run_until(1.0)
    world.pool.reset()
    world.submit(1.5, 4, 2.0)
    world.scheduler.drain()
    assert world.effects == [(2, 0.5), (4, 3.5)]
    assert world.pool.busy_s == pytest.approx(1.0 + 0.5 + 1.0 + 2.0)

    world = Pool(1)
    world.submit(0.0, 0, 0.5, after_s=2.0)
    world.submit(0.1, 1, 1.0)  # waits for the worker
    world.scheduler.run_until(1.0)
    world.pool.reset()
    world.scheduler.drain()
    assert world.pool.busy_s == pytest.approx(1.0)


def test_a_crash_forgets_what_had_not_arrived() -> None:
    world = Pool(1)
    world.pool.submit(Pool.Work(0, 1.0), 2.0)
    world.scheduler.run_until(1.0)
    world.pool.reset()
    world.scheduler.drain()
    assert world.effects == []


def test_a_crash_out_of_an_effect() -> None:
    """The effect of a job may itself kill the process."""
    world = Pool(1)
    scheduler = world.scheduler

    def finish(job: Pool.Work) -> float:
        pool.reset()
        return 1.0

    pool = WorkerPool(scheduler, 1, world.begin, finish)
    pool.submit(Pool.Work(0, 1.0), 0.0)
    pool.submit(Pool.Work(1, 1.0), 0.0)
    scheduler.drain()
    assert pool.occupied() == 0
    assert pool.served == 0


def test_a_freeze_moves_work_in_service_even_when_it_ends_after_the_freeze() -> None:
    world = Pool(2)
    world.submit(0.0, 0, 1.5)  # would end within the freeze
    world.submit(0.0, 1, 5.0)  # would end after it
    world.scheduler.run_until(1.0)
    world.pool.pause(1.0, 3.0)
    world.submit(2.0, 2, 1.0)  # arrives meanwhile: the queue goes on taking
    world.scheduler.drain()
    assert world.effects == [(0, 3.5), (2, 4.5), (1, 7.0)]


def test_two_freezes_add_up() -> None:
    world = Pool(1)
    world.submit(0.0, 0, 5.0)
    world.scheduler.run_until(1.0)
    world.pool.pause(1.0, 2.0)
    world.scheduler.run_until(3.0)
    world.pool.pause(3.0, 3.5)
    world.scheduler.drain()
    assert world.effects == [(0, 6.5)]


def test_a_job_that_starts_in_a_freeze_begins_at_its_end() -> None:
    world = Pool(1)
    world.pool.pause(0.0, 2.0)
    world.submit(0.5, 0, 1.0)
    world.scheduler.drain()
    assert world.effects == [(0, 3.0)]


def test_a_worker_is_needed() -> None:
    with pytest.raises(ValueError, match="at least one"):
        WorkerPool(Scheduler(), 0, float, float)
