"""The arithmetic of quotas, by Kafka's formulas."""

from __future__ import annotations

import pytest

from kafkasim.broker.quota_manager import ClientQuotas, QuotaSensor
from kafkasim.broker.replication_quota import ReplicationQuota, throttled_partitions
from kafkasim.broker.sampled_rate import SampledRate
from kafkasim.protocol import TopicPartition
from kafkasim.scenario.model import QuotaSpec


def rate(padded=True, overlap=True, samples=11):
    return SampledRate(samples, 1000, padded, overlap)


def steady(one, until_ms, every_ms=100, value=50.0):
    for now in range(0, until_ms + 1, every_ms):
        one.record(value, now)
    return one


def test_a_burst_after_silence_is_spread_over_ten_full_windows():
    """numFullWindows below samples - 1 is padded: 10 windows at once, 10.4 s after 400 ms."""
    one = rate()
    one.record(5000.0, 0)
    assert one.span_ms(0) == 10_000
    assert one.per_s(0) == 500.0
    assert one.span_ms(400) == 10_400
    assert one.span_ms(9_999) == 10_999
    assert one.span_ms(10_500) == 10_500


def test_a_plain_rate_counts_one_window_at_least():
    one = rate(padded=False)
    one.record(5000.0, 0)
    assert one.span_ms(0) == 1000
    assert one.per_s(0) == 5000.0
    assert one.per_s(4000) == 1250.0


@pytest.mark.parametrize(("overlap", "low", "high"), [(False, 10_000, 10_900), (True, 10_900, 11_800)])
def test_the_span_under_steady_traffic_is_that_of_the_release(overlap, low, high):
    one = steady(rate(overlap=overlap), 40_000)
    spans = []
    for now in range(40_100, 60_000, 100):
        one.record(50.0, now)
        assert one.per_s(now) == pytest.approx(500.0, rel=0.02)
        spans.append(one.span_ms(now))
    # A window of 1 s goes 11 s after its start, or (3.8 and later) after its last addition, 900 ms later; additions and
    # looks come every 100 ms, so the last look before is 100 ms earlier.
    assert (min(spans), max(spans)) == (low, high)


def test_what_is_old_is_forgotten():
    for overlap in (False, True):
        one = rate(overlap=overlap)
        one.record(1000.0, 0)
        assert one.per_s(10_999) > 0.0
        assert one.per_s(11_000) == 0.0


def test_a_window_that_is_complete_makes_way_at_the_next_addition():
    one = rate(samples=2, overlap=False)
    one.record(1.0, 0)
    one.record(2.0, 999)
    one.record(4.0, 1000)
    assert one.per_s(1000) * one.span_ms(1000) / 1000 == 7.0
    one.record(8.0, 2000)  # the slot of the first window
    assert one.per_s(2000) * one.span_ms(2000) / 1000 == 12.0


def test_the_throttle_time_is_the_excess_over_the_limit_times_the_window():
    """(O - T) / T x W with O = 30000 / 10 s, T = 1000/s, W = 10 s."""
    sensor = QuotaSensor(1000.0, rate())
    assert sensor.throttle_ms(10_000.0, 0) == 0
    assert sensor.throttle_ms(20_000.0, 0) == 20_000


def test_request_time_is_throttled_for_a_window_at_most():
    sensor = QuotaSensor(1000.0, rate(), 1000)
    assert sensor.throttle_ms(30_000.0, 0) == 1000


def test_what_is_taken_back_never_was():
    sensor = QuotaSensor(1000.0, rate())
    assert sensor.throttle_ms(30_000.0, 0) > 0
    sensor.record(-30_000.0, 0)
    assert sensor.throttle_ms(9_000.0, 0) == 0


def quotas(*specs, static=None):
    return ClientQuotas(
        [QuotaSpec(user, client, limits) for user, client, limits in specs], 11, 1000, True, static=static
    )


BYTES, OTHER = {"producer_byte_rate": 100.0}, {"producer_byte_rate": 200.0}


@pytest.mark.parametrize(
    ("more", "less"),
    [
        (("ANONYMOUS", "a"), ("ANONYMOUS", "default")),
        (("ANONYMOUS", "default"), ("ANONYMOUS", None)),
        (("ANONYMOUS", None), ("default", "a")),
        (("default", "a"), ("default", "default")),
        (("default", "default"), ("default", None)),
        (("default", None), (None, "a")),
        ((None, "a"), (None, "default")),
    ],
)
def test_the_most_special_entity_wins(more, less):
    assert quotas((*less, OTHER), (*more, BYTES)).of("a").produce.limit == 100.0
    assert quotas((*less, OTHER)).of("a").produce.limit == 200.0


def test_who_shares_an_entity_shares_its_rate():
    by_client = quotas((None, "default", BYTES))
    assert by_client.of("a").produce is not by_client.of("b").produce
    assert by_client.of("a").produce is by_client.of("a").produce
    by_user = quotas(("default", None, BYTES))
    assert by_user.of("a").produce is by_user.of("b").produce


def test_quotas_are_looked_up_one_by_one():
    both = quotas((None, "a", BYTES), (None, "default", {"consumer_byte_rate": 50.0}))
    assert (both.of("a").produce.limit, both.of("a").fetch.limit) == (100.0, 50.0)
    assert both.of("b").produce is None
    assert both.of("a").most_fetch_bytes == 500  # the limit times ten windows


def test_brokers_and_clients_without_a_quota_have_none():
    one = quotas((None, "a", BYTES))
    assert one.of("b") is None
    assert one.of("") is None


def test_the_brokers_default_holds_where_no_entity_does():
    one = quotas((None, "a", BYTES), static={"producer_byte_rate": 7.0})
    assert one.of("a").produce.limit == 100.0
    assert one.of("b").produce.limit == 7.0


def test_throttled_replicas_of_a_broker():
    assert throttled_partitions(["*"], 3) == (-1,)
    assert throttled_partitions(["0:1", "1:3", "4:3"], 3) == (1, 4)
    assert throttled_partitions(["none"], 3) == ()


def test_a_replication_quota():
    one = ReplicationQuota(11, 1000, True)
    tp, other = TopicPartition("t", 1, 0), TopicPartition("t", 2, 1)
    assert one.idle() and not one.throttles(tp)
    one.throttle("t", (1,))
    assert one.throttles(tp) and not one.throttles(other)
    one.record(5000, 0)
    assert not one.exceeded(0)  # no limit yet
    one.limit = 4999.0
    assert one.exceeded(0)
    assert not one.exceeded(1001)
    one.throttle("t", throttled_partitions(["*"], 1))
    assert one.throttles(other)
    one.throttle("t", ())
    assert one.idle()
