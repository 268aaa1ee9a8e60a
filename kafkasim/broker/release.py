"""What the release of a broker changes: one switch for each difference between the accepted ones.

A table of all of them, those of clients and controller too, is in docs/model.md.
"""

from __future__ import annotations

from typing import Any


class BrokerRelease:
    """The switches of one release, by what holds in it."""

    def __init__(self, version: Any) -> None:
        self.keeps_epochs: bool = version >= (0, 11)
        """Logs have leader epochs, in a synced file; before, followers are cut to their high watermarks (KIP-101)."""
        self.session_slots: bool = version >= (1, 1)
        """Fetches are incremental; before, every one of them names all its partitions (KIP-227)."""
        self.follows_on: int = 0 if version >= (2, 1) else (1 if version >= (1, 1) else 2)
        """What a new epoch of the same leader means to a follower: 0 it begins anew; 1 only if it has missed an epoch
        (1.1 and 2.0); 2 nothing."""
        self.asks_epoch_again: bool = version >= (2, 0)
        """The leader's answer to a truncating follower names the epoch; it is asked until both match (KIP-279)."""
        self.halts_ahead: bool = version < (2, 0)
        """A follower that is ahead of its leader ends its process unless unclean elections are allowed."""
        self.fences_fetchers: bool = version >= (2, 1)
        """A follower's requests carry the leader epoch that it knows (KIP-320)."""
        self.tells_epochs: bool = version >= (2, 1)
        """Clients' metadata have leader epochs."""
        self.keeps_idle_followers: bool = version >= (2, 1)
        """A follower that has the leader's whole log stays in the ISR, however long it is silent."""
        self.joins_at_epoch_start: bool = version >= (2, 1)
        """A follower joins the ISR only with an offset of the leader's own epoch."""
        self.knows_broker_epochs: bool = version >= (2, 2)
        """Requests of the controller carry the epoch of the broker that they are for (KIP-380)."""
        self.withholds_offsets: bool = version >= (2, 2)
        """A new leader does not tell the latest offset before its high watermark is in its own epoch (KIP-207)."""
        self.fails_partitions: bool = version >= (2, 3)
        """What does not fit a follower's log fails its partition; before, the fetcher thread ends."""
        self.watermark_wakes_followers: bool = (2, 4) <= version < (2, 6)
        """A high watermark that moves answers the followers' parked fetches."""
        self.reliable_epochs: bool = version >= (2, 4)
        """Clients 2.4 and later believe the epochs of these brokers only."""
        self.isr_through_zookeeper: bool = version < (2, 7)
        """The leader writes the ISR into ZooKeeper itself; later, it asks the controller (KIP-497)."""
        self.consumers_read_locked: bool = version >= (2, 1)
        """A consumer's fetch waits for a partition whose ISR is being written."""
        self.truncates_on_fetch: bool = version >= (2, 7)
        """A follower learns in its fetches where its log leaves the leader's (KIP-595)."""
        self.completes_inside: bool = version < (2, 7)
        """What an append makes possible for others is done before its own answer."""
        self.survives_disk_failure: bool = version >= (1, 0)
        """A broker with a log directory left goes on without one that has failed."""
        self.isr_batch_delay_s: float = 0.05 if version < (2, 8) else 0.0
        """Up to 2.7 a timer collects ISR changes before they go to the controller."""
        self.blocks_from_controller: bool = version >= (3, 0)
        """Producer ids come from the controller; before, brokers took them from ZooKeeper."""
        self.checks_log_start_first: bool = version >= (3, 1)
        """Retention checks the log's start, then size, then time; before, time, size, start."""
        self.advances_after_isr_change: bool = version >= (3, 1) or version < (2, 7)
        """A committed ISR change moves the high watermark (not in 2.7 to 3.0: KAFKA-13091)."""
        self.followers_serve: bool = version >= (2, 4)
        """A follower answers consumers below its own high watermark (KIP-392)."""
        self.prefers_at_once: bool = version >= (3, 2)
        """A consumer that is sent to another replica is told at once, not after ``fetch.max.wait.ms``."""
        self.prefers_isr_only: bool = version >= (3, 3)
        """No consumer is sent to a follower outside the ISR."""
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
