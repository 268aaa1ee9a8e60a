"""Parameters of an ensemble: ZooKeeper's own configs and the costs of its machines.

Timers carry ZooKeeper's defaults (release 3.8); costs carry the figures of the USENIX ATC
2010 paper (reads) and a fit of its table of write throughput by number of servers (writes).
What an fsync costs belongs to the server's disk, what a hop costs to the network.
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
    write_s: float = 30e-6
    """CPU of a write at the leader, without its followers."""
    write_per_follower_s: float = 7.5e-6
    """CPU of a write at the leader for each follower (slope of 21,000/s at 3 to 8,000/s at 13)."""
    max_batch_size: int = 1000
    """``maxBatchSize``: most transactions of one fsync."""

    shutdown_s: tuple[float, float] = (0.010, 0.070)
    """From losing its role until a server is LOOKING: thread joins, pipeline shutdown."""
    finalize_wait_s: float = 0.200
    """``finalizeWait``: quiet time after a quorum of equal votes."""
    min_notification_interval_s: float = 0.200
    """First receive timeout of a LOOKING server; it doubles."""
    max_notification_interval_s: float = 60.0
    """Where the doubling ends."""
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
    commit_log_count: int = 500
    """``commitLogCount``: transactions from which a learner is brought up by difference."""
    snapshot_node_bytes: int = 150
    """Bytes of one znode in a snapshot, besides its path and data (assumed)."""
    start_up_s: float = 0.8
    """From the start of the process until it is LOOKING: JVM, snapshot, log (assumed)."""

    def session_timeout_ms(self, asked_ms: int) -> int:
        """The timeout that a server grants when ``asked_ms`` is proposed."""
        low = 2 * self.tick_ms if self.min_session_timeout_ms < 0 else self.min_session_timeout_ms
        high = 20 * self.tick_ms if self.max_session_timeout_ms < 0 else self.max_session_timeout_ms
        return max(low, min(high, asked_ms))

    @property
    def tick_s(self) -> float:
        """One tick in seconds."""
        return self.tick_ms / 1000.0

    def write_cost_s(self, servers: int) -> float:
        """CPU of one write at the leader of ``servers`` voting servers."""
        return self.write_s + self.write_per_follower_s * (servers - 1)
