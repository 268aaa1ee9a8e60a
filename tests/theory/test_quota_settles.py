"""A client above its quota settles at the quota: after (O - T) / T x W without traffic the rate is T again.

Ten windows' worth is free at first and then again whenever it leaves the windows: traffic comes in bursts, 11 s apart,
whose mean is the quota.  66 s are six of them.
"""

from __future__ import annotations

import pytest

from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation

TEXT = """
name: quota
duration: {duration}s
cluster:
  version: "{version}"
  brokers: {{count: 1, config: {{offsets.topic.replication.factor: 1, offsets.topic.num.partitions: 1}}}}
topics:
  t: {{partitions: 1, replication_factor: 1}}
producers:
  - name: hog
    topic: t
    instances: {instances}
    rate: {rate}/s
    record_size: 1KB
    config: {{acks: {acks}, enable.idempotence: false, linger.ms: 5}}
consumers:
  - {{name: reader, topics: [t], assign: all, config: {{auto.offset.reset: earliest, client.id: reader}}}}
quotas: {quotas}
"""


def simulate(quotas, version="3.9", rate=4000, duration=66, acks="all", instances=1):
    text = TEXT.format(quotas=quotas, version=version, rate=rate, duration=duration, acks=acks, instances=instances)
    simulation = Simulation(Scenario.loads(text), 3)
    simulation.run()
    return simulation


def mean(simulation, name, since_s, **labels):
    values = [value for at, value in simulation.cluster.series.values(name, **labels) if at > since_s]
    return sum(values) / len(values)


@pytest.mark.parametrize("version", ["3.9", "3.7", "2.8"])
@pytest.mark.parametrize("acks", ["all", "0"])
def test_a_producer_settles_at_its_byte_rate(version, acks):
    simulation = simulate("[{client-id: hog, producer_byte_rate: 1MB/s}]", version, acks=acks)
    assert mean(simulation, "bytes_in_per_s", 0, topic="t") == pytest.approx(1e6, rel=0.03)
    assert all(row["holds"] for row in simulation.result().summary["ledger"]["identities"])


def test_what_fits_in_the_windows_passes_at_full_speed_first():
    """Ten windows' worth is free: 10 MB at 4 MB/s, then the quota."""
    simulation = simulate("[{client-id: hog, producer_byte_rate: 1MB/s}]", duration=30)
    early = mean(simulation, "bytes_in_per_s", 0.5, topic="t")
    values = dict(simulation.cluster.series.values("bytes_in_per_s", topic="t"))
    assert values[2.0] == pytest.approx(4.1e6, rel=0.05)
    assert early < 1.5e6


def test_a_producer_below_its_quota_is_left_alone():
    free = simulate("[]", rate=500, duration=20)
    held = simulate("[{client-id: hog, producer_byte_rate: 2MB/s}]", rate=500, duration=20)
    assert free.result().summary["latency"] == held.result().summary["latency"]


def test_instances_with_one_client_id_share_its_rate():
    simulation = simulate("[{client-id: hog, producer_byte_rate: 1MB/s}]", instances=4)
    assert 0.9e6 < mean(simulation, "bytes_in_per_s", 0, topic="t") < 1.1e6


def test_a_consumer_settles_at_its_byte_rate_and_gets_empty_answers_meanwhile():
    simulation = simulate("[{client-id: reader, consumer_byte_rate: 1MB/s}]")
    assert mean(simulation, "bytes_out_per_s", 0, topic="t") == pytest.approx(1e6, rel=0.05)
    longest = [v for _, v in simulation.cluster.series.values("fetch-throttle-time-max", client="reader")]
    assert max(longest) > 0.0
    assert mean(simulation, "bytes_in_per_s", 20, topic="t") > 4e6  # the producer has no quota
    assert all(row["holds"] for row in simulation.result().summary["ledger"]["identities"])


def test_request_time_settles_at_its_percentage():
    """Of one thread, handlers and network threads together; acks=0 is exempt."""
    held = simulate("[{client-id: hog, request_percentage: 0.5}]", rate=4000)
    free = simulate("[]", rate=4000)
    busy = mean(held, "records_in_per_s", 20, topic="t"), mean(free, "records_in_per_s", 20, topic="t")
    throttle = held.cluster.brokers[1].throttle
    sensor = next(sensor for name, _, client, sensor in throttle.quotas.sensors() if client == "hog")
    assert sensor.per_s(66_000) == pytest.approx(0.5, rel=0.1)
    assert sensor.throttles > 0
    assert busy[0] <= busy[1]
    exempt = simulate("[{client-id: hog, request_percentage: 0.5}]", acks="0", duration=20)
    assert mean(exempt, "produce-throttle-time-max", 5, client="hog") == 0.0
