"""What the release of a broker changes: one switch for each difference between the accepted ones.

A table of all of them, those of clients and controller too, is in docs/model.md.
"""

from __future__ import annotations

from typing import Any


class BrokerRelease:
    """The switches of one release, by what holds in it."""

    def __init__(self, version: Any) -> None:
        self.survives_disk_failure: bool = version >= (1, 0)
        """A broker with a log directory left goes on without one that has failed."""
        self.isr_batch_delay_s: float = 0.05 if version < (2, 8) else 0.0
        """Up to 2.7 a timer collects ISR changes before they go to the controller."""
        self.blocks_from_controller: bool = version >= (3, 0)
        """Producer ids come from the controller; before, brokers took them from ZooKeeper."""
        self.checks_log_start_first: bool = version >= (3, 1)
        """Retention checks the log's start, then size, then time; before, time, size, start."""
        self.advances_after_isr_change: bool = version >= (3, 1)
        """A committed ISR change moves the high watermark (KAFKA-13091)."""
        self.joins_need_live_broker: bool = version >= (3, 3)
        """Only a follower whose broker is alive in the leader's metadata is proposed for the ISR."""
        self.opens_port_last: bool = version >= (3, 5)
        """Nobody can connect before the process serves; before, the kernel took connections nobody read."""
        self.filters_dead_replicas: bool = version >= (3, 6)
        """Followers outside the ISR hold the high watermark only while their broker is alive."""
        self.syncs_rolls: bool = version < (3, 7)
        """A segment rolls with the fsync of a producer-state snapshot, under the log's lock."""
        self.gates_high_watermark: bool = version >= (3, 7)
        """The high watermark stands while the ISR is below min(``min.insync.replicas``, replicas)."""
        self.hints: bool = version >= (3, 7)
        """NOT_LEADER_OR_FOLLOWER names the new leader (KIP-951)."""
        self.session_shards: int = 8 if version >= (3, 8) else 1
        """Parts of the fetch session cache; new sessions are dealt to them in turn."""
        self.syncs_cut_epochs: bool = version < (3, 8)
        """A truncation rewrites the leader-epoch file with an fsync."""
