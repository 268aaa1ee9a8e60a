"""A whole producer before three fake brokers: start, faults, releases, what it says about itself."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from plain_cluster import PlainCluster

from kafkasim.clients.load import KEYS, ROUND, TIME_WINDOW, Load
from kafkasim.clients.produce_request import ProducerCosts, SenderSettings, produce_request
from kafkasim.clients.producer_batch import PartitionQueue, ProducerBatch
from kafkasim.protocol import (
    API_VERSIONS,
    DELIVERY_TIMEOUT,
    ERROR_NAMES,
    INIT_PRODUCER_ID,
    INVALID_METADATA,
    METADATA,
    NETWORK_EXCEPTION,
    NOT_ENOUGH_REPLICAS,
    PRODUCE,
    RETRIABLE,
    TopicPartition,
)

NEW = (3, 9, 1)
OLD = (2, 8, 2)


def paced(rate: float = 1000.0, size: int = 100, placement: str = "sticky") -> Load:
    load = Load(rate, size, placement, 8 if placement == KEYS else -1)
    load.window_s = 1.0
    return load


def produced(cluster: PlainCluster) -> list[tuple[float, int, Any]]:
    return [row for row in cluster.seen if row[2].api == PRODUCE]


def check_books(cluster: PlainCluster, producer: Any, end_s: float) -> None:
    """created = acknowledged + failed + in flight, for every stream."""
    producer.close_books(end_s)
    created = sum(row[0] for row in cluster.books.values())
    in_flight = sum(row[1] for row in cluster.books.values())
    acknowledged = sum(row[3] for row in cluster.acknowledgements)
    failed = sum(row[3] for row in cluster.failures)
    assert created == acknowledged + failed + in_flight


def test_a_cold_start_asks_in_kafkas_order() -> None:
    cluster = PlainCluster(service_s=0.0005)
    cluster.producer(paced(), {"linger.ms": 5})
    cluster.scheduler.run_until(0.2)
    # Two bootstrap servers may be connected: one for metadata, one for the producer id.
    kinds = [row[2].api for row in cluster.seen if row[2].api != API_VERSIONS]
    before = kinds[: kinds.index(PRODUCE)]
    assert set(before) == {METADATA, INIT_PRODUCER_ID} and before.count(INIT_PRODUCER_ID) == 1
    asked = [row[2].body.topics for row in cluster.seen if row[2].api == METADATA]
    assert asked[-1] == ("t",) and asked[0] in ((), ("t",))
    # Bootstrap connection, then a new one to each leader that data go to.
    first = produced(cluster)[0]
    assert API_VERSIONS in [row[2].api for row in cluster.seen if row[1] == first[1] and row[0] < first[0]]
    assert 0.003 < cluster.acknowledgements[0][0] < 0.03
    assert produced(cluster)[0][2].produce.partitions[0].batch.base_sequence == 0


def test_without_idempotence_no_producer_id_is_asked_for() -> None:
    cluster = PlainCluster()
    cluster.producer(paced(), {}, OLD)
    cluster.scheduler.run_until(0.2)
    assert INIT_PRODUCER_ID not in [row[2].api for row in cluster.seen]
    first = produced(cluster)[0][2]
    assert first.produce.partitions[0].batch.base_sequence == -1
    assert first.produce.acks == 1  # the default before 3.0


def test_a_crash_loses_and_doubles_nothing() -> None:
    cluster = PlainCluster(partitions=3)
    producer = cluster.producer(paced(2000.0, placement=ROUND), {"linger.ms": 5})
    cluster.scheduler.run_until(1.0)
    cluster.brokers[1].crash()
    cluster.scheduler.call_at(1.6, lambda _: move(cluster, 0, 2), None)
    cluster.scheduler.run_until(4.0)
    assert cluster.failures == []
    assert ("connections_reset", 5) in [(event, cause) for _, event, _, cause in cluster.notes]
    learned = [row for row in cluster.notes if row[1] == "metadata_learned" and row[0] > 1.6]
    assert learned and learned[0][2:] == ("t-0", 7) and 1.6 < learned[0][0] < 2.7
    mine = sorted((first, count) for partition, first, count in cluster.appended if partition == 0)
    numbers = [n for first, count in mine for n in range(first, first + count)]
    acknowledged = {n for row in cluster.acknowledgements if row[1] == 0 for n in range(row[2], row[2] + row[3])}
    assert acknowledged <= set(numbers)
    assert max(acknowledged) > 2000
    check_books(cluster, producer, 4.0)


def move(cluster: PlainCluster, partition: int, leader: int) -> None:
    cluster.leaders[partition] = leader
    cluster.epochs[partition] += 1


@pytest.mark.parametrize(("version", "hints", "least_ms", "most_ms"), [
    (NEW, True, 0.0, 6.0),  # the answer names the leader, the newer epoch skips the pause
    (NEW, False, 0.0, 130.0),  # the metadata are asked for: the pause between requests counts
    ((3, 6, 2), True, 0.0, 130.0),  # 3.6 does not look at hints
    (OLD, True, 95.0, 220.0),  # constant pause of 100 ms before a retry
])  # fmt: skip
def test_how_long_a_leader_move_costs(version: Any, hints: bool, least_ms: float, most_ms: float) -> None:
    cluster = PlainCluster(partitions=3, service_s=0.0002)
    cluster.hints = hints
    cluster.producer(paced(1000.0, placement=ROUND), {"linger.ms": 5}, version)
    cluster.scheduler.run_until(1.0)
    move(cluster, 0, 2)
    cluster.scheduler.run_until(2.0)
    refused = next(row[0] for row in produced(cluster) if row[0] >= 1.0 and row[1] == 1)
    back = next(row[0] for row in cluster.acknowledgements if row[0] > refused and row[1] == 0)
    assert least_ms <= (back - refused) * 1000.0 <= most_ms
    assert cluster.failures == []


def test_retries_wait_longer_and_longer() -> None:
    cluster = PlainCluster(partitions=1)
    load = paced(1.0)
    load.stop_s = 1.0  # one record
    cluster.errors = [NOT_ENOUGH_REPLICAS] * 6
    cluster.producer(load, {"linger.ms": 0})
    cluster.scheduler.run_until(8.0)
    times = [row[0] for row in produced(cluster)]
    pauses = [b - a for a, b in pairwise(times)]
    for pause, expected in zip(pauses, (0.1, 0.2, 0.4, 0.8, 1.0, 1.0), strict=True):
        assert 0.8 * expected <= pause <= 1.2 * expected + 0.01
    assert all(pause <= 1.01 for pause in pauses)
    assert len(cluster.acknowledgements) == 1


def test_before_3_7_retries_wait_evenly() -> None:
    cluster = PlainCluster(partitions=1)
    load = paced(1.0)
    load.stop_s = 1.0
    cluster.errors = [NOT_ENOUGH_REPLICAS] * 6
    cluster.producer(load, {"linger.ms": 0, "acks": "all"}, OLD)
    cluster.scheduler.run_until(8.0)
    times = [row[0] for row in produced(cluster)]
    assert [round(b - a, 2) for a, b in pairwise(times)] == [0.1] * 6


def test_delivery_timeout() -> None:
    cluster = PlainCluster(partitions=1)
    cluster.errors = [NOT_ENOUGH_REPLICAS] * 10_000
    config = {"linger.ms": 0, "delivery.timeout.ms": 700, "request.timeout.ms": 500}
    producer = cluster.producer(paced(10.0), config)
    cluster.scheduler.run_until(3.0)
    assert {row[4] for row in cluster.failures} == {DELIVERY_TIMEOUT}
    first = cluster.failures[0]
    assert 0.7 <= first[0] <= 0.85
    check_books(cluster, producer, 3.0)


@pytest.mark.parametrize(("version", "error"), [(NEW, "REQUEST_TIMED_OUT"), (OLD, "NETWORK_EXCEPTION")])
def test_a_silent_broker_costs_the_connection(version: Any, error: str) -> None:
    cluster = PlainCluster(partitions=1)
    config = {"linger.ms": 0, "request.timeout.ms": 400, "retries": 0, "delivery.timeout.ms": 5000, "acks": "1",
              "enable.idempotence": False}  # fmt: skip
    cluster.producer(paced(20.0), config, version)
    cluster.scheduler.run_until(1.0)
    cluster.service_s = 100.0
    cluster.scheduler.run_until(2.5)
    assert ERROR_NAMES[cluster.failures[0][4]] == error
    assert 1.4 <= cluster.failures[0][0] <= 1.9


def test_acks_0_is_acknowledged_when_written() -> None:
    cluster = PlainCluster()
    cluster.producer(paced(), {"linger.ms": 5, "acks": "0", "enable.idempotence": False})
    cluster.scheduler.run_until(1.0)
    late = [row for row in cluster.acknowledgements if row[0] > 0.5]
    sent = [row for row in produced(cluster) if row[0] > 0.5]
    assert len(late) >= len(sent) > 50
    # written one link latency before it arrives, and complete at that moment
    assert sent[0][0] - late[0][0] == pytest.approx(100e-6, abs=20e-6)


def test_drain_index_before_3_3_is_common_to_all_nodes() -> None:
    def order(version: Any) -> list[int]:
        cluster = PlainCluster(partitions=6, service_s=0.003)
        config = {"linger.ms": 2, "max.in.flight.requests.per.connection": 1, "acks": "1", "enable.idempotence": False}
        cluster.producer(paced(9000.0, placement=ROUND), config, version)
        cluster.scheduler.run_until(0.5)
        return [part.tp.partition for row in produced(cluster) if row[1] == 1 for part in row[2].produce.partitions]

    assert order((3, 9, 1)) != order((3, 2, 3))
    assert set(order((3, 2, 3))) == {0, 3}


def test_sticky_partitions_change_with_every_batch_before_3_3() -> None:
    cluster = PlainCluster(partitions=6)
    cluster.producer(paced(1000.0), {"linger.ms": 5}, OLD)
    cluster.scheduler.run_until(1.0)
    partitions = [row[1] for row in sorted(cluster.acknowledgements, key=lambda row: row[2])]
    assert all(a != b for a, b in pairwise(partitions))
    other = PlainCluster(partitions=6)
    other.producer(paced(1000.0), {"linger.ms": 5}, NEW)
    other.scheduler.run_until(1.0)
    partitions = [row[1] for row in sorted(other.acknowledgements, key=lambda row: row[2])]
    stays = sum(a == b for a, b in pairwise(partitions))
    assert stays > 0.8 * len(partitions)  # 16384 bytes are 150 records, a batch is 6


@pytest.mark.parametrize(("flexible", "one", "ten"), [(True, 49, 103), (False, 56, 128)])
def test_sizes_of_produce_requests(flexible: bool, one: int, ten: int) -> None:
    """As in Kafka's message schemas (Produce v11 and v8), client id of 10 and topic of 6 letters, empty records."""
    settings = SenderSettings(-1, 1 << 20, 5, 5, 30000, 100, "producer-1", flexible, True)
    batches = []
    for partition in range(10):
        batch = ProducerBatch(
            PartitionQueue(TopicPartition("topic6", partition, partition), partition), 0, 0, 0.0, 0, 0, 1
        )
        batch.size = 0
        batches.append(batch)
    assert produce_request(batches[:1], settings).size_bytes == one
    assert produce_request(batches, settings).size_bytes == ten


def test_time_windows_follow_the_clock_of_the_scenario() -> None:
    cluster = PlainCluster(partitions=3)
    load = paced(500.0, placement=TIME_WINDOW)
    cluster.producer(load, {"linger.ms": 5})
    cluster.scheduler.run_until(3.2)
    for _, partition, _, _, _, first_time, last_time in cluster.acknowledgements:
        assert int(first_time) % 3 == partition == int(last_time) % 3


def test_the_oldest_waiting_record_is_known() -> None:
    cluster = PlainCluster(partitions=3)
    producer = cluster.producer(paced(1000.0, placement=ROUND), {"linger.ms": 5})
    cluster.scheduler.run_until(1.0)
    cluster.brokers[1].crash()
    last = max(row[6] for row in cluster.acknowledgements if row[1] == 0)
    cluster.scheduler.run_until(2.0)
    oldest = producer.oldest_waiting(cluster.partitions[0], 2.0)
    assert oldest == pytest.approx(last + 0.003, abs=1e-6)
    assert 1.98 < (producer.oldest_waiting(cluster.partitions[1], 2.0) or 2.0) <= 2.0
    rows = producer.outstanding(2.0)
    assert sum(row[3] for row in rows if row[0] is cluster.partitions[0]) == pytest.approx((2.0 - last) / 0.003, abs=2)
    check_books(cluster, producer, 2.0)


def test_an_idle_client_costs_nothing() -> None:
    cluster = PlainCluster()
    load = paced(1000.0)
    load.stop_s = 0.5
    cluster.producer(load, {"linger.ms": 5})
    cluster.scheduler.run_until(2.0)
    events = cluster.scheduler.events
    cluster.scheduler.run_until(200.0)
    assert cluster.scheduler.events - events < 20  # one look every 30 s


def test_work_takes_time_on_the_io_thread() -> None:
    cluster = PlainCluster(partitions=1)
    slow = ProducerCosts(0.002, 0.0, 1e-6, 0.0005)
    producer = cluster.producer(paced(1000.0), {"linger.ms": 5, "acks": "1"}, costs=slow)
    cluster.scheduler.run_until(1.0)
    assert producer.sender.busy_s == pytest.approx(0.002 * producer.sender.requests_sent)
    assert producer.sender.application_s == pytest.approx(1e-6 * 1000, rel=0.02)
    # linger, wake-up, work, link, service, link, wake-up
    waited = [row[0] - row[5] for row in cluster.acknowledgements if row[0] > 0.5]
    assert min(waited) >= 0.005 + 0.0005 + 0.002 + 0.0001 + 0.001 + 0.0001


def test_the_same_seed_gives_the_same_run() -> None:
    runs = []
    for _ in range(2):
        cluster = PlainCluster(seed=5)
        load = Load(3000.0, 100, "sticky", -1, True)
        cluster.producer(load, {"linger.ms": 2})
        cluster.scheduler.call_at(0.5, lambda _, c=cluster: c.brokers[2].crash(), None)
        cluster.scheduler.run_until(1.5)
        runs.append((cluster.acknowledgements, cluster.failures, cluster.notes, cluster.scheduler.events))
    assert runs[0] == runs[1]


def test_too_large_records_are_refused_at_once() -> None:
    cluster = PlainCluster()
    with pytest.raises(ValueError, match=r"max\.request\.size"):
        cluster.producer(paced(10.0, 2_000_000), {})


def test_retriable_errors_cover_a_lost_connection() -> None:
    assert NETWORK_EXCEPTION in RETRIABLE and NETWORK_EXCEPTION in INVALID_METADATA
