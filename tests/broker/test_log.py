"""One replica's log: offsets, epochs, truncation, sequences, reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkasim.broker.flushing import unrecovered_bytes
from kafkasim.protocol import (
    DUPLICATE_SEQUENCE_NUMBER,
    INVALID_PRODUCER_EPOCH,
    NONE,
    OUT_OF_ORDER_SEQUENCE_NUMBER,
    RecordBatch,
    TopicPartition,
)
from tests.broker.storage import plain_log

TP = TopicPartition("t", 0, 0)


def batch(count=10, size=100, producer=-1, sequence=-1, epoch=0):
    return RecordBatch(0, 0, count, size, 0.0, 0.0, producer, epoch, sequence)


def filled(counts, size=100, segment_bytes=1 << 30, producer=-1):
    log = plain_log(TP, segment_bytes)
    sequence = 0
    for count in counts:
        one = batch(count, size, producer, sequence if producer >= 0 else -1)
        one.base_offset = log.log_end_offset
        one.leader_epoch = 0
        log.append(one)
        sequence += count
    return log


def test_offsets_and_positions():
    log = filled([3, 5, 2])
    assert (log.log_end_offset, log.size_bytes, log.offsets) == (10, 300, [0, 3, 8])
    assert log.bytes_between(0, 10) == 300 and log.bytes_between(3, 8) == 100 and log.bytes_between(8, 8) == 0
    with pytest.raises(AssertionError):
        log.append(batch())


def test_reading_takes_whole_batches_and_cuts_at_the_limit():
    log = filled([10] * 5)
    into = []
    assert log.read(10, 50, 250, into, True) == 250 and [b.base_offset for b in into] == [10, 20]
    into = []
    assert log.read(10, 50, 50, into, True) == 100 and len(into) == 1
    into = []
    assert log.read(10, 50, 50, into, False) == 50 and into == []
    assert log.read(10, 30, 1000, into, True) == 200
    assert log.read(50, 50, 1000, [], True) == 0


def test_epochs_answer_as_offsets_for_leader_epoch():
    log = plain_log(TP)
    for epoch, start in ((1, 0), (3, 20), (4, 30)):
        log.log_end_offset = start
        assert log.assign_epoch(epoch, start)
    log.log_end_offset = 45
    assert not log.assign_epoch(4, 45)
    assert log.end_offset_for(4) == (4, 45)
    assert log.end_offset_for(3) == (3, 30)
    assert log.end_offset_for(2) == (1, 20)
    assert log.end_offset_for(0) == (0, 0)
    assert log.end_offset_for(5) == (-1, -1) and log.end_offset_for(-1) == (-1, -1)


def test_a_new_epoch_replaces_what_starts_at_or_beyond_it():
    log = plain_log(TP)
    log.assign_epoch(1, 0)
    log.assign_epoch(2, 10)
    log.assign_epoch(3, 10)
    assert (log.epochs, log.epoch_starts) == ([1, 3], [0, 10])


def test_truncation_forgets_batches_epochs_and_sequences():
    log = filled([10] * 8, producer=5)
    log.assign_epoch(0, 0)
    log.assign_epoch(2, 60)
    removed = log.truncate(40)
    assert [b.base_offset for b in removed] == [40, 50, 60, 70]
    assert (log.log_end_offset, log.size_bytes, log.epochs) == (40, 400, [0])
    again = batch(producer=5, sequence=40)
    assert log.producers.check(again) == NONE
    assert log.producers.check(batch(producer=5, sequence=0)) == DUPLICATE_SEQUENCE_NUMBER


def test_the_last_five_batches_are_remembered():
    log = filled([10] * 8, producer=5)
    assert log.producers.check(batch(producer=5, sequence=80)) == NONE
    assert log.producers.check(batch(producer=5, sequence=30)) == DUPLICATE_SEQUENCE_NUMBER
    assert log.producers.check(batch(producer=5, sequence=20)) == OUT_OF_ORDER_SEQUENCE_NUMBER
    assert log.producers.check(batch(producer=5, sequence=90)) == OUT_OF_ORDER_SEQUENCE_NUMBER
    assert log.producers.check(batch(producer=6, sequence=17)) == NONE
    assert log.producers.check(batch(producer=5, sequence=0, epoch=1)) == NONE
    assert log.producers.check(batch(producer=5, sequence=5, epoch=1)) == OUT_OF_ORDER_SEQUENCE_NUMBER
    newer = batch(producer=5, sequence=0, epoch=1)
    newer.base_offset, newer.leader_epoch = 80, 0
    log.append(newer)
    assert log.producers.check(batch(producer=5, sequence=80, epoch=0)) == INVALID_PRODUCER_EPOCH


def test_segments_roll_and_a_recovery_reads_those_that_no_checkpoint_covers():
    log = filled([10] * 25, size=100, segment_bytes=1000)
    assert len(log.segments) == 3 and unrecovered_bytes(log) == 2500
    log.checkpointed_recovery_point = 200
    assert unrecovered_bytes(log) == 500
    log.truncate(95)
    assert log.log_end_offset == 90 and unrecovered_bytes(log) == 900


def test_trimming_keeps_offsets_and_sizes():
    log = filled([10] * 5)
    dropped = log.trim(25)
    assert [b.base_offset for b in dropped] == [0, 10]
    assert (log.trimmed_offset, log.log_end_offset, log.size_bytes) == (20, 50, 500)
    assert log.bytes_between(20, 50) == 300
    with pytest.raises(AssertionError):
        log.index_of(5)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(0, 400), st.integers(0, 400))
def test_truncating_leaves_a_prefix(counts, first, second):
    log = filled(counts)
    before = list(log.batches)
    log.truncate(first)
    log.truncate(second)
    assert log.batches == before[: len(log.batches)]
    assert log.log_end_offset == sum(b.count for b in log.batches) <= max(0, min(first, second, sum(counts)))
    assert log.size_bytes == 100 * len(log.batches)


def test_a_cut_at_the_end_forgets_an_epoch_without_records():
    """Who led an epoch and appended nothing must not go on asking about it (UnifiedLog.truncateTo)."""
    log = plain_log(TP, 1 << 30)
    log.assign_epoch(2, 0)
    one = batch(10)
    one.base_offset, one.leader_epoch = 0, 2
    log.append(one)
    log.assign_epoch(3, 10)
    assert log.latest_epoch() == 3
    assert log.truncate(10) == []
    assert log.latest_epoch() == 2 and log.log_end_offset == 10
