"""The kernel's servers against queueing theory: Poisson arrivals, waits within confidence intervals of replications."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kafkasim.kernel import FifoStation, Job, PoolStation, Scheduler, Stream, Streams, WorkerPool
from tests.theory.queueing import assert_agrees, erlang_c, wait_m_d_c, wait_m_g_1, wait_m_m_c

REPLICATIONS = range(20)
SERVICE_S = 0.002
WARM_UP = 1000
JOBS = 9000

Serve = Callable[[float, float], float]


def mean_wait(serve: Serve, arrivals: Stream, service: Callable[[], float], lam: float) -> float:
    """Mean wait of the jobs after the warm-up, as the station's ends tell it."""
    now = 0.0
    waited = 0.0
    for number in range(JOBS):
        now += arrivals.exponential(1.0 / lam)
        service_s = service()
        end = serve(now, service_s)
        if number >= WARM_UP:
            waited += end - service_s - now
    return waited / (JOBS - WARM_UP)


def constant() -> float:
    return SERVICE_S


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_m_m_1(rho: float) -> None:
    lam = rho / SERVICE_S
    waits = []
    for seed in REPLICATIONS:
        streams = Streams(seed)
        services = streams.stream("services")
        waits.append(
            mean_wait(
                FifoStation().serve,
                streams.stream("arrivals"),
                lambda draws=services: draws.exponential(SERVICE_S),
                lam,
            )
        )
    assert_agrees(waits, wait_m_m_c(lam, SERVICE_S, 1), precision=0.09)


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_m_d_1(rho: float) -> None:
    lam = rho / SERVICE_S
    waits = [mean_wait(FifoStation().serve, Streams(s).stream("arrivals"), constant, lam) for s in REPLICATIONS]
    assert_agrees(waits, wait_m_g_1(lam, SERVICE_S, 0.0))


def test_m_g_1() -> None:
    """A lognormal service: its coefficient of variation is known."""
    lam = 0.6 / SERVICE_S
    median, p99 = SERVICE_S, 3 * SERVICE_S
    variance = (1.0986122886681098 / 2.3263478740408408) ** 2  # of the logarithm: (ln 3 / z99)^2
    mean = median * 2.718281828459045 ** (variance / 2)
    waits = []
    for seed in REPLICATIONS:
        streams = Streams(seed)
        services = streams.stream("services")
        waits.append(
            mean_wait(
                FifoStation().serve,
                streams.stream("arrivals"),
                lambda draws=services: draws.lognormal(median, p99),
                lam,
            )
        )
    assert_agrees(waits, wait_m_g_1(lam, mean, 2.718281828459045**variance - 1), precision=0.09)


@pytest.mark.parametrize(("channels", "rho"), [(2, 0.7), (4, 0.9)])
def test_m_d_c(channels: int, rho: float) -> None:
    lam = rho * channels / SERVICE_S
    waits = [mean_wait(PoolStation(channels).serve, Streams(s).stream("arrivals"), constant, lam) for s in REPLICATIONS]
    assert_agrees(waits, wait_m_d_c(lam, SERVICE_S, channels), precision=0.12)


class Workers:
    """Poisson arrivals at a worker pool with exponential services; each arrival plans the next."""

    def __init__(self, seed: int, workers: int, lam: float, jobs: int) -> None:
        streams = Streams(seed)
        self.scheduler = Scheduler()
        self.arrivals = streams.stream("arrivals")
        self.services = streams.stream("services")
        self.mean_gap_s = 1.0 / lam
        self.left = jobs
        self.warm_up = jobs // 9
        self.pool = WorkerPool(self.scheduler, workers, self.begin, self.finish)
        self.waited_s = 0.0
        self.delayed = 0
        self.begun = 0
        self.present = 0
        self.changed_at = 0.0
        self.area_s = 0.0

    def run(self) -> None:
        self.scheduler.call_at(self.arrivals.exponential(self.mean_gap_s), self.arrive, None)
        self.scheduler.drain()

    def count(self, change: int) -> None:
        now = self.scheduler.now
        self.area_s += self.present * (now - self.changed_at)
        self.present += change
        self.changed_at = now

    def arrive(self, _: None) -> None:
        now = self.scheduler.now
        self.count(1)
        self.pool.submit(Job(), now)
        self.left -= 1
        if self.left:
            self.scheduler.call_at(now + self.arrivals.exponential(self.mean_gap_s), self.arrive, None)

    def begin(self, job: Job) -> float:
        self.begun += 1
        if self.begun > self.warm_up:
            wait_s = job.started_at - job.arrived_at
            self.waited_s += wait_s
            self.delayed += wait_s > 0.0
        return self.services.exponential(SERVICE_S)

    def finish(self, job: Job) -> float:
        self.count(-1)
        return 0.0


@pytest.mark.parametrize(("workers", "rho"), [(1, 0.5), (3, 0.8)])
def test_m_m_c(workers: int, rho: float) -> None:
    lam = rho * workers / SERVICE_S
    waits, delays, utilisations = [], [], []
    for seed in REPLICATIONS:
        world = Workers(seed, workers, lam, 13_500)
        world.run()
        counted = world.begun - world.warm_up
        waits.append(world.waited_s / counted)
        delays.append(world.delayed / counted)
        utilisations.append(world.pool.busy_s / world.scheduler.now / workers)
    assert_agrees(waits, wait_m_m_c(lam, SERVICE_S, workers), precision=0.15)
    assert_agrees(delays, erlang_c(workers, lam * SERVICE_S))
    assert_agrees(utilisations, rho)  # the utilisation law


def test_littles_law_holds_exactly_in_the_running_sums() -> None:
    """When the system is empty again, the time spent in it is the area under the number present, whatever the draws."""
    world = Workers(3, 2, 1.8 / SERVICE_S, 3000)
    world.run()
    pool = world.pool
    assert world.present == 0
    assert pool.present_s == pytest.approx(world.area_s, rel=1e-9)
    assert pool.present_s == pytest.approx(pool.waiting_s + pool.busy_s, rel=1e-9)
    # L = lambda W, with lambda = served / T and W = present_s / served
    horizon_s = world.scheduler.now
    number_present = world.area_s / horizon_s
    assert number_present == pytest.approx((pool.served / horizon_s) * (pool.present_s / pool.served), rel=1e-9)


@pytest.mark.parametrize("station", [FifoStation(), PoolStation(3)], ids=["fifo", "pool"])
def test_littles_law_and_the_utilisation_law_of_arithmetic_stations(station: FifoStation | PoolStation) -> None:
    channels = station.channels if isinstance(station, PoolStation) else 1
    draws = Streams(5).stream("arrivals")
    lam = 0.9 * channels / SERVICE_S
    now = 0.0
    changes: list[tuple[float, int]] = []
    for _ in range(20_000):
        now += draws.exponential(1.0 / lam)
        changes += [(now, 1), (station.serve(now, SERVICE_S), -1)]
    changes.sort()
    area_s, present, last = 0.0, 0, 0.0
    for at, change in changes:
        area_s += present * (at - last)
        present += change
        last = at
    assert station.present_s == pytest.approx(area_s, rel=1e-9)
    assert station.busy_s / last / channels == pytest.approx(0.9, rel=0.03)
