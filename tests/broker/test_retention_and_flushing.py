"""Which segments retention takes of one log; what of a log is on the device, and what a start reads again."""

from __future__ import annotations

import pytest

from kafkasim.broker import flushing
from kafkasim.broker.log import PartitionLog
from kafkasim.broker.log_config import LogConfig
from kafkasim.broker.release import BrokerRelease
from kafkasim.broker.retention import delete_old_segments
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.protocol import RecordBatch, TopicPartition
from kafkasim.scenario.versions import Version
from tests.broker.storage import plain_disk, plain_storage

TP = TopicPartition("t", 0, 0)


def filled(batches, now=None, **config):
    """A log of batches of ten records, 100 bytes and one second each; three batches a segment."""
    disk = plain_disk()
    log = PartitionLog(TP, LogConfig(segment_bytes=300, **config), plain_storage(Scheduler(), disk))
    for number in range(batches):
        batch = RecordBatch(0, 10 * number, 10, 100, float(number), number + 1.0, -1, -1, -1)
        batch.base_offset, batch.leader_epoch, batch.appended_at = 10 * number, 0, number + 1.0
        log.append(batch)
    return log


def test_only_what_lies_below_the_high_watermark_goes():
    log = filled(9, retention_ms=1000)
    assert delete_old_segments(log, 59, 1_000_000, True).segments == 1
    assert log.log_start_offset == 30
    assert delete_old_segments(log, 60, 1_000_000, True).segments == 1
    assert log.log_start_offset == 60


def test_the_active_segment_is_rolled_when_all_may_go():
    log = filled(9, retention_ms=1000)
    deletion = delete_old_segments(log, 90, 1_000_000, True)
    assert (deletion.segments, deletion.size_bytes, deletion.reasons) == (3, 900, ["time"])
    assert (log.log_start_offset, log.stored_bytes(), len(log.segments)) == (90, 0, 1)
    assert delete_old_segments(log, 90, 2_000_000, True).segments == 0


def test_age_is_that_of_the_newest_record_and_must_exceed_the_limit():
    log = filled(9, retention_ms=1000)
    assert delete_old_segments(log, 90, 4000, True).segments == 0  # the oldest segment ends at 3.000 s
    assert delete_old_segments(log, 90, 4001, True).segments == 1


def test_size_counts_what_is_left():
    log = filled(9, retention_bytes=599)
    assert delete_old_segments(log, 90, 0, True).segments == 1
    assert log.stored_bytes() == 600  # another one would leave less than the limit
    assert delete_old_segments(log, 90, 0, True).segments == 0


@pytest.mark.parametrize(("version", "first"), [(Version(2, 8), "time"), (Version(3, 1), "start")])
def test_the_order_of_checks(version, first):
    """Two reasons for the same segment: the first that looks has it."""
    log = filled(9, retention_ms=1000)
    log.raise_start(30)
    deletion = delete_old_segments(log, 90, 4001, BrokerRelease(version).checks_log_start_first)
    assert deletion.reasons == [first]


def test_before_1_0_a_broken_disk_ends_the_broker():
    assert not BrokerRelease(Version(0, 11)).survives_disk_failure
    assert BrokerRelease(Version(1, 0)).survives_disk_failure


def test_a_start_reads_from_the_checkpointed_recovery_point_and_again_after_a_second_crash():
    log = filled(8)
    assert flushing.unrecovered_bytes(log) == 800
    done = flushing.flush(log, 60, 10.0, 10.0)
    flushing.checkpoint(log, done - 1e-6)  # too early: the flush is not done
    assert log.checkpointed_recovery_point == 0
    flushing.checkpoint(log, done)
    assert (log.recovery_point, log.checkpointed_recovery_point) == (60, 60)
    assert flushing.unrecovered_bytes(log) == 200
    flushing.flush(log, 80, 20.0, 20.0)
    for _ in range(2):
        flushing.forget(log, 30.0)  # killed before the next checkpoint
        assert log.recovery_point == 60 and flushing.unrecovered_bytes(log) == 200
    flushing.closed_cleanly(log, 40.0)
    assert log.checkpointed_recovery_point == 80


def test_power_takes_what_was_neither_flushed_nor_written_back():
    log = filled(8)
    assert flushing.durable_end(log, 8.5) == 0
    # rounds every 5 s, at 35 s those of up to 5 s are old enough
    assert flushing.durable_end(log, 34.9) == 0
    assert flushing.durable_end(log, 35.1) == 50
    done = flushing.flush(log, 60, 35.2, 35.2)
    assert flushing.durable_end(log, done - 1e-6) == 50
    assert flushing.durable_end(log, done + 1e-6) == 60
    assert [batch.base_offset for batch in flushing.lose_unflushed(log, done + 1e-6)] == [60, 70]
    assert log.flushed_offset == log.log_end_offset == 60


def test_a_log_restarted_by_its_follower_is_empty_there():
    log = filled(5)
    removed = log.restart_at(500)
    assert len(removed) == 5 and log.stored_bytes() == 0
    assert (log.log_start_offset, log.log_end_offset, log.epochs) == (500, 500, [])
    with pytest.raises(AssertionError):
        log.append(removed[0])


def test_a_disk_full_by_capacity_counts_what_is_there():
    disk = plain_disk()
    disk.capacity_bytes = 1000
    kept = [600]
    disk.users.append(lambda _: kept[0])
    assert disk.takes(400) and disk.takes(400)
    assert not disk.takes(500)
    kept[0] = 100  # retention has made room
    assert disk.takes(500)
