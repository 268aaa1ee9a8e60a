"""Disks that are slow, full or dead: what a broker, and the cluster, makes of it."""

from __future__ import annotations

import pytest

from kafkasim.hosts.disk import Disk, Slowness
from kafkasim.hosts.write_back import WriteBack
from kafkasim.kernel.streams import Streams
from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation
from tests.faults.laboratory import run

TWO = ("cluster.brokers.host={disks: [{}, {}]}", 'cluster.brokers.config."log.dirs"="/d1,/d2"')


def test_the_only_directory_fails_and_the_broker_halts_until_it_works_again():
    broken = run("{at: 20s, disk_failed: broker 1, for: 30s}", duration=120)
    assert broken.at("log_dir_failed", actor="broker 1") == pytest.approx(20.0, abs=0.1)
    assert broken.of("halted", actor="broker 1")
    assert len(broken.of("start_failed", "no log directory")) >= 2
    assert not broken.of("log_dir_event")  # a session that ends says enough
    assert broken.at("registered", actor="broker 1") > 50.0
    assert broken.ledger["acknowledged_lost"] == 0
    assert broken.event()["over_s"] is not None
    assert broken.chain(broken.of("halted")[0]) == ["halted", "log_dir_failed", "fault"]


@pytest.mark.parametrize("disk", [1, 2])
def test_one_of_two_directories_fails_and_only_its_replicas_move(disk):
    broken = run(f"{{at: 20s, disk_failed: broker 1, disk: {disk}, for: 30s}}", duration=120, sets=TWO)
    assert not broken.of("halted") and not broken.of("session_expired")
    assert broken.of("log_dir_failed", f"/d{disk}")
    assert all(row["until_s"] - row["from_s"] < 2.0 for row in broken.outages("produce"))
    # told through ZooKeeper, asked of the broker, elected: milliseconds
    assert broken.at("log_dir_event") == pytest.approx(20.0, abs=0.1)
    moved = [row for row in broken.of("leader_elected", "leader 1 -> ") if row.time_s < 50.0]
    shrunk = [row for row in broken.of("isr_changed") if row.time_s < 50.0]
    assert moved or shrunk
    assert all(broken.chain(row)[-1] == "fault" for row in [*moved, *shrunk])
    # a directory is back only after a start: the end of the fault orders one, and it is clean
    assert broken.at("restart_ordered") == 50.0 and broken.of("stopped", actor="broker 1")
    assert not broken.of("start_failed")
    assert broken.event()["over_s"] is not None
    assert broken.ledger["acknowledged_lost"] == 0


def test_a_full_disk_fails_again_after_every_start_while_it_is_full():
    broken = run("{at: 20s, disk_full: broker 1, for: 40s}", duration=150)
    halts = [row.time_s for row in broken.of("halted")]
    assert len(halts) >= 2 and max(halts) < 60.0
    assert broken.of("log_dir_failed", "no space left")
    assert broken.event()["over_s"] is not None


def test_a_disk_that_fills_by_itself():
    """60 records a second of about 170 bytes on three replicas: 200 KB are full after some 20 s."""
    sets = ("cluster.brokers.overrides={1: {host: {disk: {capacity: 200kB}}}}",)
    full = run("{at: 1s, latency: {between: broker 1, and: broker 2, add: 1us}, for: 1s}", duration=60, sets=sets)
    (first, *_) = full.of("log_dir_failed", "no space left")
    assert 5.0 < first.time_s < 40.0
    assert full.of("halted", actor="broker 1")
    assert full.ledger["acknowledged_lost"] == 0


def test_faults_of_one_disk_end_by_themselves():
    disk = Disk(3e9, 1e9, 1e-4, 1e-4, Streams(1).stream("disk"))
    plain = (disk.read_bytes_per_s, disk.write_bytes_per_s, disk.fsync(0.0))
    slow, slower = Slowness(7.0, 0.1), Slowness(3.0, 0.0)
    disk.slow_down(slow, 1.0)
    disk.slow_down(slower, 2.0)
    assert disk.fsync(3.0) == pytest.approx(3.0 + 21e-4 + 0.1)
    disk.speed_up(slow, 4.0)
    assert (disk.read_bytes_per_s, disk.fsync(4.0)) == (1e9, pytest.approx(4.0 + 3e-4))
    disk.speed_up(slower, 5.0)
    assert (disk.read_bytes_per_s, disk.write_bytes_per_s, disk.fsync(6.0) - 6.0) == pytest.approx(plain)
    assert (disk.read_bytes_per_s, disk.write_bytes_per_s) == plain[:2]


def test_dirty_pages_are_written_when_old_or_many_and_then_writers_wait():
    """1000 bytes of memory: written in the background above 100, waited for above 200; 10 bytes a second."""
    pages = WriteBack(1000, 10.0, 0.0)
    assert pages.admit(1.0, 90) == 0.0
    assert pages.written_back_at(34.9) < 1.0  # the round at 30 s finds it 29 s old
    assert pages.written_back_at(44.1) >= 1.0  # the one at 35 s writes it in 9 s
    assert pages.admit(50.0, 150) == 0.0  # 50 above the background limit: written at once
    assert pages.admit(55.0, 110) == pytest.approx(1.0)  # 100 + 110 - 200 left, at 10 a second
    pages.set_rate(100.0, 55.0)
    assert pages.admit(55.0, 100) == pytest.approx(1.1)


SLOW = """
name: slow
duration: 60s
cluster:
  brokers:
    count: 3
    host: {memory: 128MiB, disk: {write: 200MB/s}}
    config: {auto.leader.rebalance.enable: false, offsets.topic.num.partitions: 1, num.io.threads: 4}
  zookeeper: {servers: 1, config: {tickTime: 2000}}
topics:
  sick: {assignment: {0: [1, 2, 3]}}
  well: {assignment: {0: [2, 3, 1]}}
producers:
  - {name: a, topic: sick, instances: 8, rate: 40_000/s, record_size: 200B, config: {acks: 1, linger.ms: 5}}
  - {name: b, topic: well, rate: 100/s, record_size: 200B, config: {acks: all, linger.ms: 0}}
events:
  - {at: 20s, slow_disk: broker 1, factor: 400, for: 20s}
"""


def test_a_slow_disk_holds_request_handlers_and_everything_suffers():
    simulation = Simulation(Scenario.loads(SLOW), 1)
    cluster = simulation.cluster
    handlers = cluster.brokers[1].server.handlers
    occupied = {}
    for moment in (15.0, 38.0, 55.0):
        cluster.env.call_at(moment, lambda at: occupied.__setitem__(at, handlers.occupied()), moment)
    simulation.run()
    summary = simulation.result().summary
    assert occupied[15.0] <= 2 and occupied[55.0] <= 2
    assert occupied[38.0] == handlers.workers == 4  # RequestHandlerAvgIdle is 0
    # a partition that another broker leads waits as well: its follower on broker 1 cannot append
    (well,) = [
        row
        for row in summary["latency"]
        if (row["topic"], row["kind"], row["client"], row["broker"]) == ("well", "produce", None, None)
    ]
    assert well["p50_s"] < 0.005 and well["p90_s"] > 0.1
    assert summary["ledger"]["acknowledged_lost"] == 0
    assert summary["events"][0]["over_s"] is not None
