"""Who may read what where: roles and epochs, followers that answer consumers, throttled replicas, racks.

Stands for parts of ``ReplicaManager.readFromLog`` (``findPreferredReadReplica``, ``shouldLeaderThrottle``) and of
``Partition.localLogWithEpochOrThrow``.
"""

from __future__ import annotations

from kafkasim.broker.partition import FOLLOWER, LEADER, NO_ROLE, Partition
from kafkasim.broker.replica_costs import FETCH_RESPONSE_PARTITION_BYTES
from kafkasim.broker.replicas import Replicas
from kafkasim.broker.replication_quota import ReplicationQuota
from kafkasim.protocol import (
    KAFKA_STORAGE_ERROR,
    NONE,
    NOT_LEADER_OR_FOLLOWER,
    OFFSET_OUT_OF_RANGE,
    UNKNOWN_LEADER_EPOCH,
    UNKNOWN_TOPIC_OR_PARTITION,
    FetchPartition,
    FetchRequestData,
    Request,
)


class FetchRules:
    """The rules of one broker process."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas

    def sends_elsewhere(self, data: FetchRequestData, fetch: FetchPartition, partition: Partition) -> bool:
        """Whether a consumer had better read a follower in its rack; tells it which."""
        replicas = self._replicas
        selector = replicas.selector
        if selector is None or not data.rack or partition.role != LEADER:
            return False
        fetch.preferred_read_replica = selector.choose(
            partition, data.rack, fetch.fetch_offset, replicas.live, replicas.scheduler.now
        )
        fetch.high_watermark = partition.high_watermark
        return fetch.preferred_read_replica >= 0

    def may_follow(self, data: FetchRequestData | None, partition: Partition) -> bool:
        """Whether a follower answers this: consumers, below its own high watermark (2.4 and later)."""
        return (
            data is not None and data.replica_id < 0 and partition.role == FOLLOWER and self._replicas.followers_serve
        )

    def holds_back(self, quota: ReplicationQuota, replica_id: int, partition: Partition) -> bool:
        """The leader's throttle: a throttled replica outside the ISR gets nothing while too much goes by."""
        if replica_id in partition.in_sync_replicas or not quota.throttles(partition.tp):
            return False
        return quota.exceeded(self._replicas.clock.ms(self._replicas.scheduler.now))

    def count_throttled(self, quota: ReplicationQuota, answered: list[FetchPartition]) -> None:
        """What goes to followers of throttled partitions, in or out of the ISR, counts."""
        size = 0
        for fetch in answered:
            if quota.throttles(fetch.tp):
                size += fetch.bytes + FETCH_RESPONSE_PARTITION_BYTES
        if size:
            quota.record(size, self._replicas.clock.ms(self._replicas.scheduler.now))

    def refuses(self, request: Request, fetch: FetchPartition, partition: Partition) -> bool:
        """Whether an error or a diverging epoch is the answer; sets it."""
        if partition.role != LEADER or fetch.current_leader_epoch != partition.leader_epoch:
            if partition.log.storage.offline:
                fetch.error = KAFKA_STORAGE_ERROR
                request.cause = partition.epoch_cause
                return True
            fetch.error = partition.epoch_error(fetch.current_leader_epoch)
            if fetch.error == NOT_LEADER_OR_FOLLOWER and self._is_deleted(partition):
                fetch.error = UNKNOWN_TOPIC_OR_PARTITION
                return True
            if fetch.error == NOT_LEADER_OR_FOLLOWER and self.may_follow(request.fetch, partition):
                fetch.error = NONE
            if fetch.error != NONE:
                if self._replicas.hints and fetch.error != UNKNOWN_LEADER_EPOCH:
                    fetch.leader_hint, fetch.leader_epoch_hint = self._replicas.listener.hint(fetch.tp)
                request.cause = partition.epoch_cause
                return True
        log = partition.log
        beyond = fetch.fetch_offset > log.log_end_offset
        if (
            fetch.last_fetched_epoch >= 0
            and (beyond or fetch.last_fetched_epoch != log.latest_epoch())
            and log.diverges(fetch)
        ):
            return True
        if beyond or fetch.fetch_offset < log.log_start_offset:
            fetch.error = OFFSET_OUT_OF_RANGE
            fetch.log_start_offset = log.log_start_offset
            return True
        return False

    def _is_deleted(self, partition: Partition) -> bool:
        """Whether a replica that a session still holds is gone with its topic."""
        tp = partition.tp
        return (
            partition.role == NO_ROLE
            and tp.index not in self._replicas.partitions
            and not self._replicas.listener.knows(tp)
        )
