"""Results made by hand through the collectors, as a simulation would leave them."""

from __future__ import annotations

import random
from typing import Any

from kafkasim.metrics.availability import AvailabilityBook
from kafkasim.metrics.latency import LatencyBook
from kafkasim.metrics.ledger import Ledger
from kafkasim.metrics.series import SeriesBook
from kafkasim.metrics.timeline import Timeline
from kafkasim.results import Result

TOPIC = "TweetsPublicados"
OFFSETS = "__consumer_offsets: 16 partitions, leader now 2 (8), 3 (8)"
CONFIG = {"acks": "all", "linger.ms": 5, "interceptor.classes": "x.Y"}


def _timeline(expired_s: float) -> tuple[Timeline, dict[str, int]]:
    timeline = Timeline()
    add = timeline.add
    ids: dict[str, int] = {}
    z = expired_s
    add(3.2, "group timeline-api", "rebalanced", "generation 1")
    fault = ids["fault"] = add(55.0, "broker 1", "fault", "crash")
    for i in range(4):
        add(55.0001, f"twitter-app-{i}", "connections_reset", "broker 1", fault, merge=True)
    expired = add(z, "zookeeper 2", "session_expired", "session of broker 1", fault)
    deleted = add(z + 0.0015, "zookeeper 2", "znode_deleted", "/brokers/ids/1", expired)
    watch = add(z + 0.0021, "broker 2", "watch_fired", "/brokers/ids", deleted)
    change = add(z + 0.0030, "broker 2", "broker_change", "dead [1], live [2, 3]; 52 state writes", watch)
    detail = f"{TOPIC}-0: leader 1 -> 3, ISR [1, 3] -> [3], leader epoch 1"
    elected = add(z + 0.009, "broker 2", "leader_elected", detail, change)
    timeline.row(
        add(
            z + 0.009,
            "broker 2",
            "leader_elected",
            OFFSETS,
            change,
        )
    ).count = 16
    applied = add(z + 0.012, "broker 3", "leader_applied", f"{TOPIC}-0 epoch 1 isr [3]", elected)
    shrunk = add(z + 0.031, "broker 2", "isr_changed", f"{TOPIC}-1: ISR [2, 1] -> [2], leader epoch 1", change)
    add(z + 0.05, "twitter-app-2", "first_acknowledgement", f"{TOPIC}-1 after 11.2 s", shrunk)
    learned = add(z + 0.4, "twitter-app-2", "metadata_learned", f"{TOPIC}-0", applied)
    add(z + 0.41, "twitter-app-2", "first_acknowledgement", f"{TOPIC}-0 after 16.6 s", learned)
    starting = add(100.0, "broker 1", "starting", "start 2", fault)
    registered = add(103.3, "broker 1", "registered", "broker epoch 412", starting)
    add(103.32, "broker 1", "truncated", f"{TOPIC}-0 to offset 550000: 13 records", registered)
    add(103.5, "broker 2", "isr_changed", f"{TOPIC}-0: ISR [3] -> [3, 1], leader epoch 1", registered)
    add(104.1, "broker 2", "isr_changed", f"{TOPIC}-1: ISR [2] -> [2, 1], leader epoch 1", registered)
    add(104.12, "broker 1", "over", "crash", fault)
    ids["order"] = add(150.0, "administrator", "elect_preferred_leaders", "all")
    back = f"{TOPIC}-0: leader 3 -> 1, leader epoch 2"
    preferred = add(150.02, "broker 2", "leader_elected", back, ids["order"])
    add(150.03, "broker 3", "fetch_backoff", f"{TOPIC}-0 NOT_LEADER_OR_FOLLOWER", preferred)
    add(151.5, "all", "over", "elect_preferred_leaders", ids["order"])
    return timeline, ids


def broken(seed: int = 1, lost: int = 0, **manifest: Any) -> Result:
    """A broker dies under load and comes back; one second is a row of 10 records."""
    draw = random.Random(seed)
    z = 67.0 + 9.0 * draw.random()
    timeline, ids = _timeline(z)
    latency = LatencyBook(10.0, 240.0)
    produce = latency.recorder(TOPIC, "produce", "twitter-app", 1)
    commit = latency.recorder(TOPIC, "commit", "twitter-app", 1)
    reading = latency.recorder(TOPIC, "end_to_end", "timeline-api", 1)
    availability = AvailabilityBook(lambda *what: ids["fault"])
    writing = availability.tracker("produce", "twitter-app", TOPIC, 0, 0.2, "all")
    also = availability.tracker("produce", "twitter-app", TOPIC, 1, 0.2, "all")
    consuming = availability.tracker("consume", "timeline-api", TOPIC, 0, 0.22)
    consuming.start(6.0)
    writing.completed(54.998, 54.99)
    writing.completed(z + 0.41, 55.0)
    also.completed(z + 0.05, 60.0)
    consuming.completed(54.999, 54.99)
    consuming.completed(z + 0.6, 55.0)
    series = SeriesBook()
    now = [0.0]
    out = [0.0]
    traffic_in = series.traffic("records_in_per_s", TOPIC, "twitter-app", 1)
    bytes_in = series.traffic("bytes_in_per_s", TOPIC, "twitter-app", 1)
    traffic_out = series.traffic("records_out_per_s", TOPIC, "timeline-api", 1)
    series.gauge("consumer_lag_records", lambda: 30.0 + 10_000 * out[0], topic=TOPIC, partition=0, group="timeline-api")
    series.gauge("consumer_lag_records", lambda: 12.0, topic=TOPIC, partition=1, group="timeline-api")
    series.gauge("UnderReplicatedPartitions", lambda: 52.0 if z < now[0] < 104.1 else 0.0)
    series.gauge("OfflinePartitionsCount", lambda: 1.0 if z < now[0] < z + 1.1 else 0.0)
    for partition in range(3):
        series.gauge(
            "isr_size_replicas",
            lambda p=partition: 1.0 if p < 2 and z < now[0] < 104.0 else 2.0,
            topic=TOPIC,
            partition=partition,
        )
    for broker in (1, 2, 3):
        for name, share in (("request_handlers", 0.11), ("network_threads", 0.19), ("disk", 0.02)):
            series.gauge(
                "utilisation_fraction",
                lambda b=broker, s=share: (
                    0.0 if b == 1 and 55 < now[0] < 104 else s * (1 + 0.2 * draw.random()) * b / 2
                ),
                broker=broker,
                station=f"broker {broker} {name}",
            )
        series.gauge("RequestQueueSize", lambda: float(draw.randrange(3)), broker=broker)
    for second in range(1, 241):
        now[0] = float(second)
        at = second - 0.5
        waits = 55.0 < at < z + 0.4
        out[0] = max(0.0, at - 55.0) if waits else max(0.0, out[0] - 4.0)
        if second > 1 and not waits:
            done = draw.lognormvariate(0, 0.25)
            for recorder, base in ((produce, 0.0035), (commit, 0.0028), (reading, 0.0048)):
                for part in range(4):
                    first = second - 1.0 + part * 0.2
                    recorder.record(first + 0.15 + base * done * (1 + part), first, first + 0.15, 500)
            if at > z and at - z < 1.5:
                produce.record(at, 55.0, z, 9000)
                reading.record(at + 0.2, 55.0, z, 9000)
            traffic_in.add(10_000)
            bytes_in.add(2_910_000)
            traffic_out.add(10_000 + (40_000 if out[0] else 0))
        series.sample(float(second))
        if second == 10:
            series.cut(10.0)
        latency.close_interval(float(second))
    latency.finish(240.0)
    ledger = Ledger()
    ledger.subscribe("timeline-api", TOPIC)
    stream = ledger.open_stream("twitter-app", 0, TOPIC, 0)
    total = 2_400_000
    stream.acknowledge(0, total - 40)
    if lost:
        stream.lose(total - 40 - lost, total - 40, cause=ids["fault"])
    stream.group("timeline-api").deliver(0, total - 100)
    end = total - 40 - lost
    ledger.scan_log(TOPIC, 0, [(stream, 0, end, 0)], end, end, positions={"timeline-api": (0, total - 100)})
    stream.close(total, 40)
    stations = [
        {
            "station": f"broker {broker} {name}",
            "jobs": 184_000 * broker,
            "utilisation": share * broker / 2,
            "mean_queue_length": share / 9,
            "mean_wait_s": None if name == "disk" else 0.00002 * broker,
        }
        for broker in (1, 2, 3)
        for name, share in (("request_handlers", 0.11), ("network_threads", 0.19), ("disk", 0.02))
    ]
    process = {"config": {"auto.leader.rebalance.enable": False, "log.cleaner.threads": 4}, "ids": [1, 2, 3]}
    scenario = {
        "name": "tweets-broker-1-fails",
        "description": "Broker 1 leads partition 0 of TweetsPublicados; it dies under load and comes back.",
        "cluster": {"version": "3.9.1", "brokers": process, "zookeeper": {"servers": 3, "config": {"tickTime": 2000}}},
        "topics": {TOPIC: {"partitions": 3, "replication_factor": 2, "config": {"min.insync.replicas": 1}}},
        "producers": [{"name": "twitter-app", "topic": TOPIC, "config": CONFIG}],
        "consumers": [{"name": "timeline-api", "group": "timeline-api", "config": {"auto.offset.reset": "earliest"}}],
        "configs": {"producer": {"twitter-app": {"acks": "all", "batch.size": 16384, "linger.ms": 5}}},
    }
    return Result.collect(
        {
            "name": "tweets-broker-1-fails",
            "seed": seed,
            "kafkasim": "0.1.0",
            "build": "pure Python",
            "versions": {"python": "3.11.7", "numpy": "2.4.6", "simpy": "4.1.1"},
            "command": f"kafkasim run primer/tweets-broker-1-fails --seed {seed}",
            "overrides": [],
            "scenario": scenario,
            **manifest,
        },
        end_s=240.0,
        ledger=ledger.close(),
        latency=latency,
        availability=availability,
        series=series,
        timeline=timeline,
        stations=stations,
        events=[
            {"id": ids["fault"], "at_s": 55.0, "event": "crash", "target": "broker 1", "over_s": 104.12},
            {"id": ids["order"], "at_s": 150.0, "event": "elect_preferred_leaders", "target": "all", "over_s": 151.5},
        ],
        expectations=[
            {
                "text": "no acknowledged record is lost",
                "holds": lost == 0,
                "value": lost,
                "reason": f"{lost} were lost",
            },
            {"text": "produce unavailability of TweetsPublicados < 23s", "holds": True, "value": z - 54.6},
        ],
        warnings=["twitter-app: interceptor.classes is ignored: interceptors are not modelled"],
    )


def empty() -> Result:
    """Nothing happened at all."""
    return Result.collect(
        {"name": "nothing", "seed": 7},
        end_s=1.0,
        ledger=Ledger().close(),
        latency=LatencyBook(0.0, 1.0),
        availability=AvailabilityBook(lambda *what: None),
        series=SeriesBook(),
        timeline=Timeline(),
    )


EVIL = "</script><script>document.documentElement.dataset.error='evil'</script><b>$x_{1}\x1b[31m\"'{{7*7}}[red]"


def hostile() -> Result:
    """Every name tries to break out; the run ended within an outage, some values are null."""
    timeline = Timeline()
    fault = timeline.add(2.0, EVIL, "fault", EVIL)
    timeline.add(3.0, EVIL, EVIL, EVIL, cause=fault)
    latency = LatencyBook(0.0, 20.0)
    recorder = latency.recorder(EVIL, "produce", EVIL, 1)
    for i in range(50):
        recorder.record(i * 0.1 + 0.01, i * 0.1, i * 0.1, 1)
    latency.unfinished(EVIL, "produce", EVIL, failed=[(6.0, 7.0, 10)], censored=[(8.0, 19.0, 40)])
    latency.finish(20.0)
    availability = AvailabilityBook(lambda *what: None)
    tracker = availability.tracker("produce", EVIL, EVIL, 0, 0.2, acks="1")
    tracker.completed(5.0, 4.9)
    tracker.finish(20.0, 6.0)
    series = SeriesBook()
    written = series.traffic("records_in_per_s", EVIL, client=EVIL, broker=1)
    series.gauge("consumer_lag_records", lambda: 12, topic="_" + EVIL, partition=0, group=EVIL)
    series.gauge("utilisation_fraction", lambda: 0.5, station="_" + EVIL)
    for second in range(1, 21):
        written.add(75)
        series.sample(float(second))
    ledger = Ledger()
    stream = ledger.open_stream(EVIL, 0, EVIL, None)
    stream.acknowledge(0, 50)
    stream.fail(50, 60)
    stream.close(101, 40)  # one record is missing: the identities must not hold
    return Result.collect(
        {"name": "hostile", "seed": 1, "scenario": {"producers": [{"name": EVIL, "config": {EVIL: EVIL}}], "x": [1]}},
        end_s=20.0,
        ledger=ledger.close(),
        latency=latency,
        availability=availability,
        series=series,
        timeline=timeline,
        stations=[{"station": EVIL, "jobs": 1, "utilisation": 0.5}],
        events=[{"id": fault, "at_s": 2.0, "event": EVIL, "target": EVIL, "over_s": None}],
        expectations=[{"text": EVIL, "holds": False, "value": None, "reason": EVIL}],
        warnings=[EVIL],
    )
