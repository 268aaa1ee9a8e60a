"""Parameters of an ensemble: ZooKeeper's own configs and the costs of its machines.

Timers carry ZooKeeper's defaults (release 3.8).  The costs of a processor are one set for
all sizes of an ensemble, from the USENIX ATC 2010 paper: reads from its table of read
throughput, writes from its table of write throughput by number of servers (its gigabit
interface bounds the largest ensemble, not a cost here).  What an fsync costs belongs to
the server's disk, what a hop costs to the network.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ZooKeeperParameters:
    """What an ensemble is built with; ``(low, high)`` pairs are drawn uniformly."""

    tick_ms: int = 2000
    """``tickTime``: the sample zoo.cfg's value (the code's default is 3000)."""
    init_limit: int = 10
    """``initLimit`` (ticks)."""
    sync_limit: int = 5
    """``syncLimit`` (ticks)."""
    min_session_timeout_ms: int = -1
    """``minSessionTimeout``; -1 is two ticks."""
    max_session_timeout_ms: int = -1
    """``maxSessionTimeout``; -1 is twenty ticks."""

    read_s: float = 30e-6
    """CPU of a read at the attached server: 33,000 a second and server."""
    client_write_s: float = 30e-6
    """CPU of taking in an own client's write and answering it: a read's, as both are mostly the client's socket."""
    write_s: float = 35e-6
    """CPU of a write at the leader: check, transaction, log, apply."""
    write_per_follower_s: float = 4.7e-6
    """CPU of a write at the leader for each learner: proposal, acknowledgement, commit."""
    follower_write_s: float = 15e-6
    """CPU of a write at a learner: log, acknowledge, apply (assumed: half of the leader's share)."""
    max_batch_size: int = 1000
    """``maxBatchSize``: most transactions of one fsync."""
    global_outstanding_limit: int = 1000
    """``globalOutstandingLimit``: requests of own clients in progress; shared out by the number of followers."""

    shutdown_s: tuple[float, float] = (0.010, 0.070)
    """From losing its role until a server is LOOKING: thread joins, pipeline shutdown."""
    observer_delay_s: tuple[float, float] = (0.0, 0.200)
    """``zookeeper.observer.election.DelayMs``: an observer waits so long more."""
    finalize_wait_s: float = 0.200
    """``finalizeWait``: quiet time after a quorum of equal votes."""
    min_notification_interval_s: float = 0.200
    """First receive timeout of a LOOKING server; it doubles."""
    max_notification_interval_s: float = 60.0
    """Where the doubling ends."""
    election_connect_s: float = 5.0
    """``cnxTimeout``: a dial on the election port gives up."""
    notification_s: tuple[float, float] = (0.0005, 0.0015)
    """From one election thread to the other's, besides the network: an exchange of votes takes 1 to 3 ms."""
    timer_late_s: tuple[float, float] = (0.0, 0.0002)
    """How late a thread wakes from a timed wait (timer slack, scheduling; assumed): it decides which of two
    notification timers that were started by the same message fires first."""
    leader_open_s: tuple[float, float] = (0.005, 0.035)
    """From deciding to lead until the quorum port listens: building the term's objects."""
    connect_retry_s: float = 0.100
    """``leaderConnectDelayDuringRetryMs``."""
    connect_tries: int = 5
    """Tries of a follower to reach the elected leader."""
    synchronise_s: tuple[float, float] = (0.020, 0.100)
    """Base cost of one learner's discovery and synchronisation: epoch files, snapshot at the leader, threads."""
    start_up_s: float = 0.8
    """From the start of the process until it is LOOKING, without reading its data: JVM (assumed)."""

    commit_log_count: int = 500
    """``commitLogCount``: transactions in memory from which a learner is brought up by difference."""
    snapshot_size_factor: float = 0.33
    """``snapshotSizeFactor``: ... and from log files that are together at most so much of the newest snapshot."""
    pre_allocated_bytes: int = 65536 * 1024
    """``preAllocSize``: steps in which a log file grows."""
    snapshot_count: int = 100_000
    """``snapCount``: a snapshot and a new log file after half to all of so many transactions."""
    snapshot_log_bytes: int = 4 * 1024**3
    """``snapSizeLimitInKb``: ... or after half to all of so much log."""
    new_file_syncs: int = 3
    """What the first fsync of a new log file costs, in fsyncs: the file, its directory entry, its size (assumed)."""
    snapshot_node_bytes: int = 150
    """Bytes of one znode in a snapshot, besides its path and data (assumed)."""
    write_back_bytes: int = 64 * 1024**2
    """A snapshot goes to the page cache, which writes it back in pieces of so much; an fsync of the log waits
    behind a piece that the disk has begun (assumed)."""
    log_on_own_device: bool = False
    """``dataLogDir``: the log has a device of its own, snapshots go to another one like it."""

    def session_timeout_ms(self, asked_ms: int) -> int:
        """The timeout that a server grants when ``asked_ms`` is proposed."""
        low = 2 * self.tick_ms if self.min_session_timeout_ms < 0 else self.min_session_timeout_ms
        high = 20 * self.tick_ms if self.max_session_timeout_ms < 0 else self.max_session_timeout_ms
        return max(low, min(high, asked_ms))

    @property
    def tick_s(self) -> float:
        """One tick in seconds."""
        return self.tick_ms / 1000.0

    def write_cost_s(self, learners: int) -> float:
        """CPU of one write at a leader that sends it to ``learners``."""
        return self.write_s + self.write_per_follower_s * learners

    def outstanding_limit(self, voters: int, observes: bool) -> int:
        """Requests in progress of one server's own clients from which on it reads on sparingly."""
        divisor = voters - 1 if voters > 2 and not observes else 1
        return self.global_outstanding_limit // divisor
