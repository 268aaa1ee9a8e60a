"""Is a scenario too large to simulate? Work grows with batches, so batches are what is estimated.

Refused: more than 10⁹ batches, or a block of arrivals (one second of one instance, 16 bytes a record) above 2 GiB.
Above 10⁷ batches a warning gives the expected wall time.
"""

from __future__ import annotations

from dataclasses import dataclass

from kafkasim.scenario import configs
from kafkasim.scenario.cross_reference import Facts
from kafkasim.scenario.schema import Producer

MOST_BATCHES = 10**9
WARN_BATCHES = 10**7
LARGEST_BLOCK = 2 << 30
BLOCK_BYTES_PER_RECORD = 16
BATCHES_PER_WALL_SECOND = 40_000
"""What the pure-Python data path carries, roughly (assumed; the benchmarks measure it)."""
BATCH_HEADER = 61
RECORD_OVERHEAD = 9
"""Bytes of a batch's header, and of a record beside its key and value."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Batches that one producer will make, and the records in each."""

    batches: float
    records_per_batch: float
    block_bytes: float


def estimate(producer: Producer, partitions: int, version_configs: configs.ConfigDict, duration_s: float) -> Estimate:
    """From rate, record size, ``linger.ms`` and ``batch.size``; at linger 0 a drain a millisecond is assumed."""
    if producer.rate is None:
        count = len(producer.records or [])
        return Estimate(count, 1.0, count * BLOCK_BYTES_PER_RECORD)
    size = (producer.record_size or 0) + (producer.key_size or 0) + RECORD_OVERHEAD
    limit, linger = version_configs["batch.size"], version_configs["linger.ms"]
    assert isinstance(limit, int) and isinstance(linger, int)
    rate = producer.rate / producer.instances
    way = producer.partitioner
    spread = 1 if way.time_window is not None or (way.default and producer.key_size is None) else partitions
    fits = max(1.0, (limit - BATCH_HEADER) // size)
    waiting = 1.0 + rate / spread * max(linger / 1000.0, 0.001)
    records = min(fits, waiting)
    span = min(producer.stop if producer.stop is not None else duration_s, duration_s) - producer.start
    return Estimate(producer.rate * max(span, 0.0) / records, records, rate * BLOCK_BYTES_PER_RECORD)


def check(facts: Facts) -> None:
    """Refuses what is too large, and warns of what will take long."""
    file, report = facts.file, facts.report
    total = 0.0
    for index, producer in enumerate(file.producers):
        place = facts.at("producers", index)
        if report.broken((*place, "config")) or any(report.broken((*place, key)) for key in ("rate", "record_size")):
            continue
        try:
            complete = configs.producer(producer.config, producer.version or facts.version)
        except ValueError:
            continue  # its config is wrong and reported
        size = estimate(producer, facts.partitions.get(producer.topic, 1), complete, file.duration)
        total += size.batches
        if size.batches > MOST_BATCHES:
            report.wrong(
                (*place, "rate"),
                f"too large to simulate: about {size.batches:.1e} batches of {size.records_per_batch:.0f} records",
                allowed=f"at most {MOST_BATCHES:.0e} batches: lower rate or duration, or raise linger.ms or batch.size",
            )
        elif size.block_bytes > LARGEST_BLOCK:
            report.wrong(
                (*place, "rate"),
                f"too large to simulate: a second of one instance's arrivals takes {size.block_bytes / 2**30:.1f} GiB",
                allowed="at most 2 GiB: lower rate, or raise instances",
            )
    if total > MOST_BATCHES and not report.mistakes:
        report.wrong(("producers",), f"too large to simulate: about {total:.1e} batches in all",
                     allowed=f"at most {MOST_BATCHES:.0e}: lower rates or duration")  # fmt: skip
    elif total > WARN_BATCHES:
        minutes = total / BATCHES_PER_WALL_SECOND / 60
        report.warn(f"about {total:.1e} batches: expect some {minutes:.0f} minutes of wall time")
