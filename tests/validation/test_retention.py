"""Retention as its clients feel it: what is deleted when, who never reads it, and what the ledger says of it."""

from __future__ import annotations

import pytest

from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation

TEXT = """
name: retention
duration: {duration}
cluster:
  version: "{version}"
  brokers:
    count: 3
    config: {{log.retention.check.interval.ms: 5000, auto.leader.rebalance.enable: false, {broker}}}
  zookeeper: {{servers: 1, config: {{tickTime: 2000}}}}
topics:
  t: {{assignment: {{0: [1, 2, 3]}}, config: {{{topic}}}}}
producers:
  - {{name: p, topic: t, rate: 200/s, record_size: 100B, {producer} config: {{acks: all, linger.ms: 0}}}}
consumers:
  - {{group: all, topics: [t], config: {{auto.offset.reset: earliest}}}}
  - {{group: slow, topics: [t], processing: 20ms/record, config: {{auto.offset.reset: {reset}}}}}
{more}
"""


def run(topic, duration="60s", producer="", reset="earliest", broker="", more="", version="3.9", seed=1):
    text = TEXT.format(
        topic=topic, duration=duration, producer=producer, reset=reset, broker=broker, more=more, version=version
    )
    simulation = Simulation(Scenario.loads(text), seed)
    simulation.run()
    summary = simulation.result().summary
    assert all(identity["holds"] for identity in summary["ledger"]["identities"])
    return simulation, summary


def logs(simulation):
    """The replicas' logs of t-0, by broker."""
    return {
        broker.id: partition.log
        for broker in simulation.cluster.brokers.values()
        for partition in broker.replicas.partitions.values()
        if partition.tp.topic == "t"
    }


def deletions(summary):
    return [row for row in summary["timeline"] if row["event"] == "segments_deleted"]


def test_what_is_old_goes_read_or_not():
    simulation, summary = run("retention.ms: 10000, segment.ms: 2000")
    ledger = summary["ledger"]
    starts = [log.log_start_offset for log in logs(simulation).values()]
    # whole segments whose newest record is older than 10 s, at passes 5 s apart
    assert all(200 * (60 - 10 - 5 - 2 - 1) <= start <= 200 * 50 for start in starts)
    assert ledger["expired"] == logs(simulation)[1].log_start_offset
    assert ledger["readable"] == ledger["acknowledged"] - ledger["expired"]
    read = ledger["groups"]["all"]
    assert read["delivered_once"] == read["readable"] - read["pending_at_end"] and read["never_delivered"] == 0


def test_who_is_too_slow_is_reset_and_the_ledger_says_why():
    _, summary = run("retention.ms: 10000, segment.ms: 2000")
    slow = summary["ledger"]["groups"]["slow"]
    resets = [row for row in summary["timeline"] if row["event"] == "position_reset"]
    assert resets
    by_id = {row["id"]: row for row in summary["timeline"]}
    assert all(by_id[row["cause"]]["event"] == "segments_deleted" for row in resets)
    assert slow["never_delivered"] == slow["never_delivered_because"]["expired"] > 1000
    assert slow["skipped_by_reset"] == 0
    missed = sum(int(row["detail"].split()[5].rstrip(";")) - int(row["detail"].split()[3]) for row in resets)
    # what expired after the last position is never read either
    assert slow["never_delivered"] >= missed


def test_reset_to_the_latest_skips_what_is_still_there_too():
    _, summary = run("retention.ms: 10000, segment.ms: 2000", reset="latest")
    slow = summary["ledger"]["groups"]["slow"]
    assert slow["skipped_by_reset"] > 500 and slow["never_delivered_because"]["expired"] > 500
    assert slow["never_delivered"] == slow["never_delivered_because"]["expired"]


def test_retention_by_size_keeps_at_least_that_much():
    simulation, summary = run("retention.bytes: 200000, segment.bytes: 50000", duration="40s")
    leader = logs(simulation)[1]
    assert 200000 <= leader.stored_bytes() < 200000 + 50000 + 5.5 * 200 * 180
    assert all("retention.bytes" in row["detail"] for row in deletions(summary))
    assert summary["ledger"]["expired"] == leader.log_start_offset > 0


def test_an_idle_partition_is_emptied_though_it_never_rolls_by_time():
    simulation, summary = run("retention.ms: 10000, segment.ms: 604800000", producer="stop: 10s,", duration="40s")
    assert {len(log.segments) for log in logs(simulation).values()} == {1}
    assert {log.stored_bytes() for log in logs(simulation).values()} == {0}
    assert summary["ledger"]["expired"] == summary["ledger"]["acknowledged"] == 2000


@pytest.mark.parametrize(("offset", "expired"), [("1h", False), ("-1h", True)])
def test_a_producer_whose_clock_is_wrong(offset, expired):
    """Timestamps of the future hold everything; those of the past let it go at the next pass, unread."""
    simulation, summary = run("retention.ms: 30000, segment.ms: 2000", f"{30}s", f"timestamp_offset: {offset},")
    if expired:
        assert summary["ledger"]["expired"] >= 200 * (30 - 5 - 2)
        assert summary["ledger"]["groups"]["slow"]["never_delivered_because"]["expired"] > 0
    else:
        assert not deletions(summary) and summary["ledger"]["expired"] == 0
    assert len(logs(simulation)[1].segments) > 1 or expired


def test_one_record_of_the_future_holds_its_segment_and_all_after_it():
    more = "  - {name: q, topic: t, records: [[1s, 100B]], timestamp_offset: 2h}\n"
    simulation, summary = run("retention.ms: 10000, segment.ms: 2000")
    assert deletions(summary)
    text = TEXT.format(
        topic="retention.ms: 10000, segment.bytes: 50000",
        duration="60s",
        producer="",
        reset="earliest",
        broker="",
        more="",
        version="3.9",
    ).replace("consumers:", f"{more}consumers:")
    simulation = Simulation(Scenario.loads(text), 1)
    simulation.run()
    assert simulation.result().summary["ledger"]["expired"] == 0


def test_followers_take_the_leaders_start_and_a_new_replica_begins_there():
    more = "events:\n  - {at: 30s, crash: broker 3, for: 15s}\n"
    simulation, summary = run("retention.ms: 5000, segment.ms: 1000", more=more)
    starts = {broker: log.log_start_offset for broker, log in logs(simulation).items()}
    assert min(starts.values()) > 200 * 45
    # broker 3 was away for longer than the log reaches back: it had to begin again at the leader's start
    assert all(identity["holds"] for identity in summary["ledger"]["identities"])
    assert summary["events"][0]["over_s"] is not None
    log = logs(simulation)[3]
    assert log.batches[-1] is logs(simulation)[1].batches[-1]


def test_deleted_files_take_their_place_for_a_while():
    simulation, _ = run("retention.ms: 5000, segment.ms: 1000, file.delete.delay.ms: 15000", duration="40s")
    broker = simulation.cluster.brokers[1]
    (storage,) = broker.logs.storages
    stored = sum(p.log.stored_bytes() for p in broker.replicas.partitions.values())
    assert storage.unlinked_bytes > 200 * 10 * 100
    assert broker.logs.used_bytes(storage.disk) == stored + storage.unlinked_bytes


def test_jitter_makes_segments_of_different_length():
    simulation, _ = run("segment.ms: 4000, segment.jitter.ms: 3000, retention.ms: -1")
    spans = [
        round(after.first_time_s - before.first_time_s, 3)
        for before, after in zip(logs(simulation)[1].segments, logs(simulation)[1].segments[1:], strict=False)
    ]
    assert len(set(spans)) > 3 and all(0.9 < span < 4.1 for span in spans)


def test_a_full_index_rolls_its_segment():
    """12 bytes an entry, one a batch of more than 4096 bytes: 100 entries are 100 batches."""
    simulation, _ = run("segment.index.bytes: 1200, retention.ms: -1", producer="", duration="20s")
    leader = logs(simulation)[1]
    sizes = [leader.segment_size(number) for number in range(len(leader.segments) - 1)]
    # batches of about 170 bytes: an entry every 4096 bytes
    assert sizes and all(0.9 * 100 * 4096 < size < 1.1 * 100 * 4096 for size in sizes)


def test_memory_stays_flat():
    simulation, _ = run("retention.ms: 5000, segment.ms: 1000", duration="90s")
    index = simulation.cluster.topics.partition("t", 0).index
    history = simulation.cluster.broker_collector.histories[index]
    assert all(len(log.batches) < 200 * 15 for log in logs(simulation).values())
    assert len(history._rows) < 200 * 15
