"""Sizes of record batches and keyed partitions equal what Kafka's classes compute, line by line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kafkasim.clients.batch_size import (
    BATCH_OVERHEAD,
    ConstantSize,
    header_bytes,
    record_bytes,
    upper_bound_bytes,
    varint_bytes,
)
from kafkasim.clients.partitioner import murmur2, partition_for_key

REFERENCE = Path(__file__).parent.parent / "reference" / "producer"


def test_murmur2_and_keyed_partitions() -> None:
    lines = (REFERENCE / "murmur2.jsonl").read_text().splitlines()
    assert len(lines) > 100
    for line in lines:
        case = json.loads(line)
        key = bytes.fromhex(case["hex"])
        assert murmur2(key) == case["murmur2"]
        for partitions, partition in case["partition"].items():
            assert partition_for_key(key, int(partitions)) == partition


def test_batch_sizes() -> None:
    count = 0
    for line in (REFERENCE / "records.jsonl").read_text().splitlines():
        case = json.loads(line)
        if case["type"] != "batch":
            continue
        count += 1
        size = BATCH_OVERHEAD
        bounds = []
        for offset, (delta, key, value, *rest) in enumerate(case["records"]):
            headers = header_bytes([(k, v) for k, v in rest[0]]) if rest else 1
            size += record_bytes(delta, offset, key, value, headers)
            bounds.append(upper_bound_bytes(key, value, headers))
        assert size == case["size"]
        assert bounds[0] == case["estimate_upper_bound_first"]
    assert count == 150


@pytest.mark.parametrize(("value", "records"), [(10, 910), (100, 148), (1000, 16)])
def test_records_that_fill_a_batch(value: int, records: int) -> None:
    sizes = ConstantSize(-1, value, 16384)
    assert sizes.quick_count == records
    assert sizes.quick_bytes(records) <= 16384 < sizes.quick_bytes(records + 1)


@pytest.mark.parametrize("key", [-1, 0, 8, 100])
@pytest.mark.parametrize("value", [0, 50, 120, 8190])
@pytest.mark.parametrize("gap_ms", [0, 1, 7, 900])
def test_closed_form_equals_record_by_record(key: int, value: int, gap_ms: int) -> None:
    sizes = ConstantSize(key, value, 3000)
    size, count = BATCH_OVERHEAD, 0
    while True:
        more = record_bytes(count * gap_ms, count, key, value)
        if count > 0 and size + more > sizes.limit:
            break
        size += more
        count += 1
        if count > 12000:
            break
    short = sum(1 for i in range(13000) if i * gap_ms < 64)
    medium = sum(1 for i in range(13000) if i * gap_ms < 8192)
    assert sizes.fill(0, BATCH_OVERHEAD, sizes.limit, short, medium, 12001) == (count, size)


def test_varint_edges() -> None:
    edges = [(0, 1), (63, 1), (64, 2), (8191, 2), (8192, 3), (1048575, 3), (1048576, 4), (-1, 1), (-64, 1), (-65, 2)]
    for value, size in edges:
        assert varint_bytes(value) == size
