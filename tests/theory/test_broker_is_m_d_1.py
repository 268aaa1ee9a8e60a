"""Through the whole client and broker: 200 Poisson producers make the request handler an M/D/1 queue.

Network, interfaces and wake-ups cost nothing, one handler thread works a fixed time on a produce,
a batch holds one record: what a request waits from its arrival at the host to the handler (in the
socket included, behind its connection's earlier request) has the mean of M/D/1.
"""

from __future__ import annotations

from math import sqrt

import pytest
from scipy import stats

from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation

SERVICE_S = 200e-6
SCENARIO = """
name: m-d-1
duration: {duration}s
cluster:
  version: "3.9"
  brokers:
    count: 1
    config: {{num.io.threads: 1, auto.leader.rebalance.enable: false}}
    host: {host}
  network: {{same_rack: 0us, loopback: 0us}}
topics:
  t: {{partitions: 1, replication_factor: 1}}
producers:
  - name: app
    topic: t
    instances: 200
    rate: {rate}/s
    arrivals: poisson
    record_size: 100B
    host: {host}
    config: {{acks: 1, linger.ms: 0, batch.size: 1, enable.idempotence: false}}
"""
HOST = (
    "{nic: 1000000GB/s, costs: {wake_up: 0us, network_read: 0us, network_write: 0us, produce: 200us,"
    " produce_per_byte: 0us, producer_request: 0us, producer_per_byte: 0us, producer_per_record: 0us,"
    " client_wake_up: 0us, completion: 0us}}"
)


def mean_wait(load: float, seed: int, duration: int) -> float:
    text = SCENARIO.format(duration=duration, rate=round(load / SERVICE_S), host=HOST)
    simulation = Simulation(Scenario.loads(text), seed)
    server = simulation.cluster.brokers[1].server
    before: list[float] = []
    # 200 cold clients ask for metadata at once: that queue is not the one meant here.
    simulation.cluster.env.call_at(1.0, lambda _: before.extend((server.requests, server.request_wait_s)))
    simulation.run()
    requests = server.requests - before[0]
    assert requests > 0.9 * load / SERVICE_S * (duration - 1)
    return (server.request_wait_s - before[1]) / requests


@pytest.mark.parametrize("load", [0.5, 0.8])
@pytest.mark.parametrize(("replications", "duration"), [(5, 8), pytest.param(20, 20, marks=pytest.mark.full)])
def test_waiting_for_the_handler_is_m_d_1(load, replications, duration):
    waits = [mean_wait(load, seed, duration) for seed in range(1, replications + 1)]
    mean = sum(waits) / replications
    deviation = sqrt(sum((w - mean) ** 2 for w in waits) / (replications - 1))
    half = stats.t.ppf(0.995, replications - 1) * deviation / sqrt(replications)
    expected = load * SERVICE_S / (2 * (1 - load))
    assert abs(mean - expected) <= half, (mean, expected, half)
    assert half < 0.15 * expected
