"""A receive buffer that is set: one window a round trip, where the interfaces would do more."""

from __future__ import annotations

import pytest

from kafkasim.hosts import Disk, Host
from kafkasim.kernel import Environment, Streams
from kafkasim.network import Message, Network

WINDOW = 65536


def arrival(size_bytes, latency_s, nic_bytes_per_s=1.25e9, window_bytes=WINDOW):
    env, streams = Environment(), Streams(1)
    network = Network(env.scheduler, streams, (latency_s, 0.0))
    disk = Disk(2e9, 1e9, 1e-4, 1e-4, streams.stream("disk"))
    one, other = (Host(name, None, 8, nic_bytes_per_s, disk) for name in ("one", "other"))
    arrived = []
    channel = network.channel(one, other, "c", lambda message: arrived.append(env.now), window_bytes)
    left = channel.send(Message(size_bytes), 0.0)
    assert channel.latency_s == latency_s
    env.run(until=100.0)
    assert arrived[0] == pytest.approx(left + latency_s)
    return arrived[0]


@pytest.mark.parametrize(("round_trip_s", "low", "high"), [(0.5e-3, 125e6, 135e6), (20e-3, 3.2e6, 3.4e6)])
def test_a_fetcher_moves_64_kib_a_round_trip(round_trip_s, low, high):
    size = 10 << 20
    assert low < size / arrival(size, round_trip_s / 2) < high


def test_what_fits_in_the_window_is_not_held_up():
    assert arrival(WINDOW, 10e-3) == arrival(WINDOW, 10e-3, window_bytes=0)
    assert arrival(WINDOW + 1, 10e-3) - arrival(WINDOW, 10e-3) == pytest.approx(20e-3, rel=0.01)


def test_a_slow_interface_never_fills_the_window():
    assert arrival(10 << 20, 0.1e-3, 12.5e6) == arrival(10 << 20, 0.1e-3, 12.5e6, window_bytes=0)


def test_without_a_buffer_the_kernel_tunes_it():
    assert arrival(10 << 20, 10e-3, window_bytes=0) == pytest.approx((10 << 20) / 1.25e9 + 10e-3)
