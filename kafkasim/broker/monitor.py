"""What a broker tells the collectors of the run: one call a batch or a change of state."""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from kafkasim.broker.partition import Partition
from kafkasim.protocol import RecordBatch, TopicPartition


@mypyc_attr(allow_interpreted_subclasses=True)
class BrokerMonitor:
    """Told of what happens to logs and roles; the run's collectors derive from it."""

    def appended(self, broker_id: int, partition: Partition, batch: RecordBatch, now: float) -> None:
        """A leader has appended a batch."""
        raise NotImplementedError

    def refused(self, tp: TopicPartition, batch: RecordBatch, cause: int, now: float) -> None:
        """A batch sent with acks=0 was not appended; nobody will tell its producer."""
        raise NotImplementedError

    def committed(self, broker_id: int, partition: Partition, batch: RecordBatch, now: float) -> None:
        """The high watermark has passed a batch for the first time."""
        raise NotImplementedError

    def truncated(
        self, broker_id: int, partition: Partition, removed: list[RecordBatch], cause: int, now: float
    ) -> None:
        """Batches have been cut off a replica's log."""
        raise NotImplementedError

    def unflushed_lost(self, partition: Partition, removed: list[RecordBatch], cause: int) -> None:
        """Batches are gone from a replica with its machine's power: others may hold them."""
        raise NotImplementedError

    def read_out(self, broker_id: int, partition: Partition, size_bytes: int) -> None:
        """Bytes of a partition have been put into the answer to a consumer's fetch."""
        raise NotImplementedError

    def trim(self, partition: Partition) -> None:
        """A moment to fold what is below everybody's reach."""
        raise NotImplementedError

    def role_changed(self, broker_id: int, partition: Partition, now: float) -> None:
        """A replica has become leader or follower, or a leader's ISR has changed."""
        raise NotImplementedError

    def replica_created(self, broker_id: int, partition: Partition, now: float) -> None:
        """A broker has been given a replica that it did not have."""

    def deleted(self, broker_id: int, partition: Partition, batches: list[RecordBatch], now: float) -> None:
        """A replica's log begins later than before; ``batches`` were in memory and are in no segment any more."""

    def cleaned(self, broker_id: int, partition: Partition, batches: list[RecordBatch], now: float) -> None:
        """The cleaner has gone over ``batches``: a replica's log holds the last value of each key of them."""

    def replica_deleted(self, broker_id: int, partition: Partition, now: float) -> None:
        """A broker has deleted a replica and its log."""
