"""Batches by arithmetic are the batches that sending record by record makes."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from plain_cluster import PlainCluster

from kafkasim.clients.arrivals import ListedRecord
from kafkasim.clients.load import ROUND, STICKY, TIME_WINDOW, Load
from kafkasim.clients.produce_request import ProducerCosts

COSTS = ProducerCosts(36e-6, 4.2e-9, 0.43e-6, 17.5e-6)
END_S = 1.5


def load(placement: str, rate: float, size: int, poisson: bool) -> Load:
    made = Load(rate, size, placement, -1 if placement == STICKY else 12, poisson, 0.0, inf)
    made.window_s = 0.2
    made.keys_count = 40
    made.zipf = 1.1
    return made


def listed(like: Load, cluster: PlainCluster, until: float) -> Load:
    """The same records as an explicit list."""
    sticky = like.placement == STICKY
    if sticky:
        streams = [like.single(cluster.streams, "app/0")]
    else:
        streams = like.split(cluster.streams, "app/0", len(cluster.partitions))
    records = []
    for partition, arrivals in enumerate(streams):
        for number in range(arrivals.count_until(until)):
            place = -1 if sticky else partition
            records.append(ListedRecord(arrivals.time_of(number), like.key_size, like.record_size, place))
    records.sort(key=lambda record: record.time_s)
    made = Load(1.0, 1)
    made.records = records
    return made


def run(cluster: PlainCluster, what: Load, config: dict[str, Any], version: Any, costs: ProducerCosts) -> Any:
    cluster.producer(what, config, version, costs)
    cluster.scheduler.run_until(END_S)
    return cluster


CASES: list[tuple[str, float, int, bool, dict[str, Any], float]] = [
    (STICKY, 40_000.0, 100, False, {"linger.ms": 5}, 0.001),
    (STICKY, 40_000.0, 100, True, {"linger.ms": 0}, 0.004),
    (STICKY, 2_000.0, 280, False, {"linger.ms": 5}, 0.001),
    (STICKY, 3_000.0, 5000, True, {"linger.ms": 20}, 0.002),
    (STICKY, 300.0, 40_000, True, {"linger.ms": 20}, 0.002),
    (STICKY, 300.0, 17_000, True, {"linger.ms": 20}, 0.002),
    (STICKY, 500.0, 50, False, {"linger.ms": 100}, 0.002),
    (STICKY, 4_000.0, 1000, True, {"linger.ms": 3, "buffer.memory": 65536}, 0.02),
    (STICKY, 4_000.0, 1000, True, {"linger.ms": 3, "buffer.memory": 65536, "max.block.ms": 30}, 0.2),
    ("keys", 40_000.0, 100, True, {"linger.ms": 5}, 0.002),
    ("keys", 40_000.0, 100, True, {"linger.ms": 5, "max.in.flight.requests.per.connection": 1}, 0.002),
    ("keys", 3_000.0, 30, False, {"linger.ms": 300, "batch.size": 1000}, 0.002),
    ("keys", 4_000.0, 1000, True, {"linger.ms": 3, "buffer.memory": 131072}, 0.03),
    (TIME_WINDOW, 10_000.0, 280, False, {"linger.ms": 5}, 0.002),
    (ROUND, 10_000.0, 280, False, {"linger.ms": 70, "batch.size": 4000}, 0.002),
]


@pytest.mark.parametrize("version", [(3, 9, 1), (2, 8, 2)])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_bulk_equals_record_by_record(case: int, version: Any) -> None:
    costs = ProducerCosts()
    placement, rate, size, poisson, config, service_s = CASES[case]
    one = PlainCluster(service_s=service_s)
    run(one, load(placement, rate, size, poisson), config, version, costs)
    other = PlainCluster(service_s=service_s)
    # The list is drawn from streams of its own, so that both runs draw the same.
    listing = listed(load(placement, rate, size, poisson), PlainCluster(), END_S)
    run(other, listing, config, version, costs)
    assert len(one.acknowledgements) > 3
    assert one.acknowledgements == other.acknowledgements
    assert one.failures == other.failures


@pytest.mark.parametrize("case", [0, 1, 7, 9, 12])
def test_work_that_takes_time_changes_little(case: int) -> None:
    """With CPU costs a list's thread is also woken by records behind a full batch: a wake-up's difference."""
    placement, rate, size, poisson, config, service_s = CASES[case]
    one = PlainCluster(service_s=service_s)
    run(one, load(placement, rate, size, poisson), config, (3, 9, 1), COSTS)
    other = PlainCluster(service_s=service_s)
    run(other, listed(load(placement, rate, size, poisson), PlainCluster(), END_S), config, (3, 9, 1), COSTS)
    assert one.failures == other.failures == []
    records = [sum(row[3] for row in cluster.acknowledgements) for cluster in (one, other)]
    assert records[0] == pytest.approx(records[1], rel=0.03)
    assert len(one.acknowledgements) == pytest.approx(len(other.acknowledgements), rel=0.05)


def test_records_that_send_gives_up_on() -> None:
    cluster = PlainCluster(service_s=0.2)
    config = {"linger.ms": 3, "buffer.memory": 131072, "max.block.ms": 30}
    producer = cluster.producer(load("keys", 4_000.0, 1000, True), config, (3, 9, 1))
    cluster.scheduler.run_until(END_S)
    # The thread is blocked nearly all the time and gives up one record every 30 ms.
    assert 40 <= len(cluster.failures) <= 50
    assert {row[4] for row in cluster.failures} == {1002}
    assert {row[3] for row in cluster.failures} == {1}
    producer.close_books(END_S)
    acknowledged = sum(row[3] for row in cluster.acknowledgements)
    created = sum(row[0] for row in cluster.books.values())
    in_flight = sum(row[1] for row in cluster.books.values())
    assert created == acknowledged + len(cluster.failures) + in_flight
