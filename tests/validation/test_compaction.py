"""Compaction as a consumer and a disk see it: the last value of each key stays, where it was."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kafkasim.scenario import Scenario, ScenarioError
from kafkasim.simulation import Simulation

TEXT = """
name: compaction
duration: {duration}
cluster:
  brokers: {{count: 3, config: {{auto.leader.rebalance.enable: false, {broker}}}}}
  zookeeper: {{servers: 1, config: {{tickTime: 2000}}}}
topics:
  t: {{assignment: {{0: [1, 2, 3]}}, config: {{cleanup.policy: {policy}, segment.bytes: 50000, {topic}}}}}
producers:
  - {{name: p, topic: t, instances: 2, rate: 300/s, record_size: 100B, partitioner: {keys}, config: {{linger.ms: 20}}}}
consumers:
  - {{group: fast, topics: [t], config: {{auto.offset.reset: earliest}}}}
  - {{group: slow, topics: [t], processing: 6ms/record, config: {{auto.offset.reset: earliest}}}}
{more}
"""


def run(duration="80s", broker="", policy="compact", topic="", keys="{keys: {count: 50, zipf: 1.0}}", more=""):
    text = TEXT.format(duration=duration, broker=broker, policy=policy, topic=topic, keys=keys, more=more)
    simulation = Simulation(Scenario.loads(text), 1)
    simulation.run()
    summary = simulation.result().summary
    assert [one["name"] for one in summary["ledger"]["identities"] if not one["holds"]] == []
    return simulation, summary


def log_of(simulation, broker=1):
    index = simulation.cluster.topics.partition("t", 0).index
    return simulation.cluster.brokers[broker].replicas.partitions[index].log


def test_the_cleaned_part_holds_each_key_once_and_its_last_value():
    simulation, summary = run()
    keys = simulation.cluster.record_keys
    log = log_of(simulation)
    cleaned = [batch for batch in log.batches if batch.base_offset < log.cleaned_offset]
    held = [key for b in cleaned for key in keys.keys(b.stream, b.first, b.first + b.count).tolist()]
    assert len(held) == len(set(held)) == 50
    assert sum(batch.count for batch in cleaned) == 50
    # offsets are kept: gaps, and the log's end as if nothing were missing
    offsets = [batch.base_offset for batch in log.batches]
    assert offsets == sorted(offsets) and log.log_end_offset == summary["ledger"]["acknowledged"]
    # each is the last one before the cleaned part's end
    last = {}
    for instance in (0, 1):
        stream = simulation.cluster.ledger.streams[instance]
        for number, key in enumerate(keys.keys(stream.number, 0, stream.acknowledged.end).tolist()):
            last.setdefault((instance, key), []).append(number)
    for batch in cleaned:
        for number in range(batch.first, batch.first + batch.count):
            key = keys.keys(batch.stream, number, number + 1).tolist()[0]
            later = [n for n in last[batch.stream, key] if n > number]
            mine = [b for b in log.batches if b.stream == batch.stream]
            on_log = [b for b in mine for n in later if b.first <= n < b.first + b.count]
            assert all(b.base_offset >= log.cleaned_offset for b in on_log)


def test_the_ledger_says_what_compaction_took_and_from_whom():
    simulation, summary = run()
    ledger = summary["ledger"]
    log = log_of(simulation)
    assert ledger["readable"] == sum(batch.count for batch in log.batches)
    assert ledger["expired"] == ledger["acknowledged"] - ledger["readable"] > 10_000
    assert ledger["groups"]["fast"]["never_delivered"] == 0
    slow = ledger["groups"]["slow"]
    assert slow["never_delivered"] == slow["never_delivered_because"]["expired"] > 0
    assert not [row for row in summary["timeline"] if row["event"] == "position_reset"]


def test_when_a_log_is_cleaned():
    """Never the active segment; at rounds 15 s apart; when more than half of it has never been cleaned."""
    simulation, summary = run()
    rows = [row for row in summary["timeline"] if row["event"] == "log_cleaned"]
    assert 3 <= len(rows) <= 6
    assert all(after["time_s"] - before["time_s"] > 14.9 for before, after in pairwise(rows))
    log = log_of(simulation)
    assert log.cleaned_offset <= log.segments[-1].base_offset < log.log_end_offset
    assert log.segments[0].cleaned and log.stored_bytes() < log.size_bytes
    position = log.segments[0].position
    assert [log.segment_size(0)] == [sum(b.size_bytes for b in log.batches if b.base_offset < log.cleaned_offset)]
    assert position == 0
    assert simulation.cluster.brokers[2].cleaner.passes > 0  # each replica cleans its own


@pytest.mark.parametrize(
    ("broker", "topic"),
    [
        ("log.cleaner.enable: false", ""), ("log.cleaner.threads: 0", ""), ("log.cleaner.min.cleanable.ratio: 1.0", ""),
        ("", "min.compaction.lag.ms: 600000"), ("log.cleaner.backoff.ms: 600000", ""),
        ("log.cleaner.dedupe.buffer.size: 240", ""), ("log.cleaner.io.max.bytes.per.second: 100", ""),
    ],
)  # fmt: skip
def test_what_keeps_a_log_from_being_cleaned(broker, topic):
    _, summary = run("40s", broker, topic=topic)
    assert not [row for row in summary["timeline"] if row["event"] == "log_cleaned"]
    assert summary["ledger"]["expired"] == 0


def test_a_follower_that_was_away_copies_the_gaps():
    more = "events:\n  - {at: 30s, crash: broker 3, for: 25s}\n"
    simulation, summary = run("100s", more=more)
    assert summary["events"][0]["over_s"] is not None
    assert log_of(simulation, 3).log_end_offset == log_of(simulation, 1).log_end_offset
    assert summary["ledger"]["acknowledged_lost"] == 0


def test_compact_and_delete():
    """Keys that are written keep their last value; once nobody writes any more retention takes that, too."""
    keys = "{keys: {count: 50}}, stop: 30s"
    simulation, summary = run("90s", policy="'compact,delete'", topic="retention.ms: 20000", keys=keys)
    events = [row["event"] for row in summary["timeline"] if row["event"] in ("log_cleaned", "segments_deleted")]
    assert "log_cleaned" in events and events[-1] == "segments_deleted"
    log = log_of(simulation)
    assert log.log_start_offset == log.log_end_offset and log.stored_bytes() == 0
    assert summary["ledger"]["expired"] == summary["ledger"]["acknowledged"]


def test_a_compacted_topic_wants_keys():
    with pytest.raises(ScenarioError, match="is compacted: it takes only records whose keys are known"):
        run(keys="round")
