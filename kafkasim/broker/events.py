"""What happens inside a broker's hot rooms, told to its timeline, ISR manager and collectors."""

from __future__ import annotations

from collections.abc import Callable

from kafkasim.broker.apis import Apis
from kafkasim.broker.followed import FetcherListener
from kafkasim.broker.isr_manager import IsrManager
from kafkasim.broker.metadata_cache import MetadataCache
from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker.offsets_store import OffsetsBatch, OffsetsRecord, OffsetsStore
from kafkasim.broker.partition import LEADER, Partition
from kafkasim.broker.replica_listener import ReplicaListener
from kafkasim.broker.replica_manager import ReplicaManager
from kafkasim.broker.role_changes import MANY_REPLICAS
from kafkasim.metrics.timeline import Timeline
from kafkasim.protocol import ERROR_NAMES, RecordBatch, Request, TopicPartition


class ReplicaEvents(ReplicaListener):
    """The replica manager's listener: collectors hear of batches, the ISR manager of who caught up."""

    def __init__(self, broker_id: int, metadata: MetadataCache, timeline: Timeline, apis: Apis) -> None:
        self.apis = apis
        self._timeline = timeline
        self.isr_manager: IsrManager | None = None
        self.pending: dict[int, Callable[[int], None]] = {}
        self._broker_id = broker_id
        self._metadata = metadata

    def may_expand(self, partition: Partition, broker_id: int, now: float, cause: int) -> None:
        """A follower has caught up: propose it for the ISR."""
        if self.isr_manager is None or self.isr_manager.proposed(partition):
            return
        row = self._timeline.add(
            now, f"broker {broker_id}", "caught_up", f"{partition.tp} at offset {partition.log.log_end_offset}",
            cause or None, merge=self._merged(partition),
        )  # fmt: skip
        grown = tuple(b for b in partition.replicas if b in partition.in_sync_replicas or b == broker_id)
        self.isr_manager.propose(partition, grown, row)

    def _merged(self, partition: Partition) -> bool:
        return partition.internal or len(self.apis.broker.replicas.partitions) > MANY_REPLICAS

    def internal_done(self, number: int, error: int, now: float) -> None:
        """An append of the group coordinator has ended."""
        done = self.pending.pop(number, None)
        if done is not None:
            done(error)

    def hint(self, tp: TopicPartition) -> tuple[int, int]:
        """The leader that this broker knows (KIP-951)."""
        return self._metadata.leader(tp)

    def knows(self, tp: TopicPartition) -> bool:
        """Whether this broker's metadata hold ``tp``."""
        return self._metadata.state(tp.index) is not None

    def service(self, request: Request) -> float:
        """What neither produces nor fetches costs a handler."""
        return self.apis.service(request)

    def handle(self, request: Request) -> float:
        """What neither produces nor fetches is dispatched."""
        return self.apis.handle(request)


class FetcherEvents(FetcherListener):
    """The fetchers' listener."""

    def __init__(self, broker_id: int, monitor: BrokerMonitor, timeline: Timeline) -> None:
        self._broker_id = broker_id
        self._actor = f"broker {broker_id}"
        self._monitor = monitor
        self._timeline = timeline

    def truncated(self, partition: Partition, removed: list[RecordBatch], cause: int, now: float) -> None:
        """A follower has cut its log back to its leader's."""
        records = sum(batch.count for batch in removed)
        row = self._timeline.add(
            now, self._actor, "truncated",
            f"{partition.tp} to offset {partition.log.log_end_offset}: {records} records", cause or None,
        )  # fmt: skip
        self._monitor.truncated(self._broker_id, partition, removed, row, now)

    def lost_unflushed(self, partition: Partition, removed: list[RecordBatch], cause: int, now: float) -> None:
        """The page cache is gone with the machine."""
        records = sum(batch.count for batch in removed)
        row = self._timeline.add(
            now, self._actor, "truncated",
            f"{partition.tp} to offset {partition.log.log_end_offset}: {records} records were not flushed",
            cause or None,
        )  # fmt: skip
        self._monitor.unflushed_lost(partition, removed, row)

    def backed_off(self, partition: Partition, error: int, now: float) -> None:
        """A partition waits ``replica.fetch.backoff.ms``."""
        self._timeline.add(
            now, self._actor, "fetch_backoff", f"{partition.tp} {ERROR_NAMES[error]}", partition.epoch_cause or None,
            merge=partition.internal,
        )  # fmt: skip


class ReplicatedOffsets(OffsetsStore):
    """``__consumer_offsets`` as the group coordinator sees it: an ordinary replicated topic."""

    def __init__(
        self,
        broker_id: int,
        replicas: ReplicaManager,
        events: ReplicaEvents,
        metadata: MetadataCache,
        required_acks: int,
    ) -> None:
        self._broker_id = broker_id
        self._replicas = replicas
        self._events = events
        self._metadata = metadata
        self._acks_all = required_acks == -1
        self._number = 0

    def append(
        self,
        tp: TopicPartition,
        records: list[OffsetsRecord],
        size_bytes: int,
        timeout_s: float,
        done: Callable[[int], None],
        cause: int,
    ) -> None:
        """Append with ``offsets.commit.required.acks`` and the coordinator's own time limit."""
        self._number += 1
        self._events.pending[self._number] = done
        batch = OffsetsBatch(records, size_bytes, 0.0)
        self._replicas.append_internal(tp, batch, self._number, timeout_s, self._acks_all)

    def leader_of(self, tp: TopicPartition) -> int:
        """The live leader in the metadata cache, -1 unknown."""
        return self._metadata.leader(tp)[0]

    def is_leader(self, tp: TopicPartition) -> bool:
        """Whether this broker leads ``tp`` now."""
        partition = self._replicas.partitions.get(tp.index)
        return partition is not None and partition.role == LEADER

    def read_all(self, tp: TopicPartition) -> list[list[OffsetsRecord]]:
        """The local log's records, batch by batch."""
        partition = self._replicas.partitions[tp.index]
        return [batch.records for batch in partition.log.batches if isinstance(batch, OffsetsBatch)]

    def log_bytes(self, tp: TopicPartition) -> int:
        """Size of the local log."""
        partition = self._replicas.partitions.get(tp.index)
        return 0 if partition is None else partition.log.size_bytes
