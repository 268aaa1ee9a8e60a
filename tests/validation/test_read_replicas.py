"""Readers in three racks, as the gallery shows them; and moves of replicas with and without a throttle."""

from __future__ import annotations

import pytest

from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation
from tests.validation.runs import SCENARIOS

READERS = SCENARIOS / "replication"


def simulate(path, *overrides, seed=2):
    simulation = Simulation(Scenario.load(path, overrides), seed)
    simulation.run()
    return simulation


def crossing(simulation, low, high):
    values = simulation.cluster.series.values("cross_rack_bytes_out_per_s")
    return [value for at, value in values if low < at <= high]


def test_readers_stay_in_their_rack_until_its_broker_dies():
    simulation = simulate(READERS / "follower-fetching.yaml")
    summary = simulation.result().summary
    assert [row["text"] for row in summary["expectations"] if not row["holds"]] == []
    assert max(crossing(simulation, 5, 20)) == 0.0
    assert max(crossing(simulation, 20, 60)) > 0.0
    assert all(identity["holds"] for identity in summary["ledger"]["identities"])


def test_without_a_selector_two_thirds_cross_racks():
    simulation = simulate(READERS / "follower-fetching-off.yaml", "duration=20s", "events=[]", "expect=[]",
                          "producers.web.stop=19s")  # fmt: skip
    crossed = crossing(simulation, 6, 16)
    series = simulation.cluster.series
    read = [value for at, value in series.values("bytes_out_per_s", topic="clicks") if 6 < at <= 16]
    assert sum(crossed) / sum(read) == pytest.approx(2 / 3, rel=0.02)


def test_a_preference_ends_with_the_age_of_metadata():
    """The leaders are asked again and send the reader back: one answer without data each."""
    base = ("duration=20s", "events=[]", "expect=[]", "producers.web.stop=19s")
    often = simulate(READERS / "follower-fetching.yaml", *base, "consumers.reader-b.config.metadata.max.age.ms=2000")
    member = often.cluster.groups["reader-b"].members[0]
    preferring = list(member._fetcher._preferring.values())
    now_ms = member._clock.ms(20.0)
    assert [state.preferred for state in preferring] == [2, 2]  # broker 2 leads the third partition itself
    assert all(0 <= state.preferred_until_ms - now_ms + 600 <= 2600 for state in preferring)  # renewed again and again
    assert max(crossing(often, 5, 18)) == 0.0
    assert often.result().summary["ledger"]["groups"]["reader-b"]["pending_at_end"] == 0


MOVE = """
name: move
duration: {duration}s
cluster:
  version: "{version}"
  brokers:
    count: 3
    host: {{nic: 1Gbit/s}}
    config: {{auto.leader.rebalance.enable: false, offsets.topic.num.partitions: 1{config}}}
topics:
  t: {{partitions: 2, assignment: {{0: [1], 1: [1]}}, config: {{max.message.bytes: 1100000{topic}}}}}
producers:
  - name: p
    topic: t
    rate: 500/s
    record_size: 100KB
    stop: 4s
    partitioner: round
    config: {{batch.size: 1000000, max.request.size: 2000000, linger.ms: 20, acks: 1}}
events:
  - {{at: 8s, reassign: {{topic: t, assignment: {{0: [2], 1: [2]}}{throttle}}}}}
"""


def move(throttle="", duration=60, version="3.9", config="", topic=""):
    text = MOVE.format(throttle=throttle, duration=duration, version=version, config=config, topic=topic)
    simulation = Simulation(Scenario.loads(text), 1)
    peaks = {}

    def look(at):
        for number, side in ((1, "leader"), (2, "follower")):
            quota = getattr(simulation.cluster.brokers[number].replication_throttles, side)
            peaks.setdefault(side, []).append(quota.limit)

    for at in (7.0, 9.0, duration - 0.5):
        simulation.cluster.env.call_at(at, look, at)
    simulation.run()
    summary = simulation.result().summary
    return simulation, summary, peaks, summary["events"][0]


def test_a_throttle_lasts_as_long_as_the_move_and_bounds_its_rate():
    _, free, _, fast = move(duration=30)
    simulation, held, limits, slow = move(", throttle: 10MB/s")
    assert fast["over_s"] - 8.0 < 5.0
    assert limits == {"leader": [-1.0, 1e7, -1.0], "follower": [-1.0, 1e7, -1.0]}
    # 200 MB at no more than 10 MB/s, after what fits in the windows; the thread that sleeps for a second costs some
    assert 14.0 < slow["over_s"] - 8.0 < 32.0
    assert free["ledger"]["acknowledged_lost"] == held["ledger"]["acknowledged_lost"] == 0
    rows = [row["event"] for row in held["timeline"] if row["event"].startswith("throttle")]
    assert rows == ["throttle", "throttle_lifted"]
    assert simulation.cluster.brokers[1].replicas.shared.leader_quota is None


@pytest.mark.parametrize("side", ["leader", "follower"])
def test_either_side_alone_holds_a_copy_back(side):
    number = 1 if side == "leader" else 2
    config = f", {side}.replication.throttled.rate: 10000000"
    topic = f', {side}.replication.throttled.replicas: "0:{number},1:{number}"'
    assert move(config=config, topic=topic)[3]["over_s"] - 8.0 > 14.0


def test_a_limit_without_throttled_replicas_does_nothing():
    config = ", leader.replication.throttled.rate: 10000000, follower.replication.throttled.rate: 10000000"
    assert move(config=config, duration=30)[3]["over_s"] == move(duration=30)[3]["over_s"]


def test_members_of_the_isr_are_never_held_back():
    """Everything is throttled to a tenth of what is written: the followers keep up all the same."""
    text = MOVE.format(
        throttle="", duration=8, version="3.9",
        config=", leader.replication.throttled.rate: 1000000, follower.replication.throttled.rate: 1000000",
        topic=', leader.replication.throttled.replicas: "*", follower.replication.throttled.replicas: "*"',
    )  # fmt: skip
    text = text.replace("{0: [1], 1: [1]}", "{0: [1, 2], 1: [1, 2]}")
    text = text[: text.index("events:")].replace("acks: 1", "acks: all, linger.ms: 21")
    text = text.replace("linger.ms: 20, ", "")
    simulation = Simulation(Scenario.loads(text), 1)
    simulation.run()
    leader, follower = (
        simulation.cluster.brokers[number].replicas.partitions[simulation.cluster.topics.partition("t", 0).index]
        for number in (1, 2)
    )
    assert leader.log.log_end_offset == follower.log.log_end_offset == leader.high_watermark
    assert simulation.cluster.brokers[1].replication_throttles.leader.per_s(9000) > 1e6


@pytest.mark.full
@pytest.mark.parametrize(
    "name", ["incidents/reassignment-flood", "incidents/reassignment-throttled", "quotas/noisy-neighbour"]
)
def test_what_is_throttled_ends_as_it_says(name):
    summary = simulate(SCENARIOS / f"{name}.yaml").result().summary
    assert [row["text"] for row in summary["expectations"] if not row["holds"]] == []
