"""A broker's monitor that passes everything on: the base of those that look at some of it.

Stands for nothing in Kafka.
"""

from __future__ import annotations

from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker.partition import Partition
from kafkasim.protocol import RecordBatch, TopicPartition


class PassingMonitor(BrokerMonitor):
    """Stands before ``counted`` and tells it all that it is told."""

    def __init__(self, counted: BrokerMonitor) -> None:
        self._counted = counted

    def appended(self, broker_id: int, partition: Partition, batch: RecordBatch, now: float) -> None:
        """Passed on."""
        self._counted.appended(broker_id, partition, batch, now)

    def refused(self, tp: TopicPartition, batch: RecordBatch, cause: int, now: float) -> None:
        """Passed on."""
        self._counted.refused(tp, batch, cause, now)

    def committed(self, broker_id: int, partition: Partition, batch: RecordBatch, now: float) -> None:
        """Passed on."""
        self._counted.committed(broker_id, partition, batch, now)

    def truncated(
        self, broker_id: int, partition: Partition, removed: list[RecordBatch], cause: int, now: float
    ) -> None:
        """Passed on."""
        self._counted.truncated(broker_id, partition, removed, cause, now)

    def unflushed_lost(self, partition: Partition, removed: list[RecordBatch], cause: int) -> None:
        """Passed on."""
        self._counted.unflushed_lost(partition, removed, cause)

    def read_out(self, broker_id: int, partition: Partition, size_bytes: int) -> None:
        """Passed on."""
        self._counted.read_out(broker_id, partition, size_bytes)

    def trim(self, partition: Partition) -> None:
        """Passed on."""
        self._counted.trim(partition)

    def role_changed(self, broker_id: int, partition: Partition, now: float) -> None:
        """Passed on."""
        self._counted.role_changed(broker_id, partition, now)

    def replica_created(self, broker_id: int, partition: Partition, now: float) -> None:
        """Passed on."""
        self._counted.replica_created(broker_id, partition, now)

    def deleted(self, broker_id: int, partition: Partition, batches: list[RecordBatch], now: float) -> None:
        """Passed on."""
        self._counted.deleted(broker_id, partition, batches, now)

    def cleaned(self, broker_id: int, partition: Partition, batches: list[RecordBatch], now: float) -> None:
        """Passed on."""
        self._counted.cleaned(broker_id, partition, batches, now)

    def replica_deleted(self, broker_id: int, partition: Partition, now: float) -> None:
        """Passed on."""
        self._counted.replica_deleted(broker_id, partition, now)
