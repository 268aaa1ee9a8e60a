"""``--trace batches``: the life of every appended batch, one row a copy; opt-in and bounded.

Stands before the run's collectors and writes down what passes: who appended it where, when it was acknowledged and
committed, which row of the timeline lost it, to whom it was delivered and how often.

Left out: the moment of sending (a batch is known here from its append on) and what was never appended.
"""

from __future__ import annotations

from typing import Final

from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker.partition import Partition
from kafkasim.broker.passing_monitor import PassingMonitor
from kafkasim.client_collector import Client
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.metrics.ledger import Ledger
from kafkasim.protocol import RecordBatch, TopicPartition

MOST_ROWS: Final = 200_000
"""Batches appended later are not traced; the table then ends with the last one before."""


class BatchLife:
    """One appended copy of a batch."""

    def __init__(self, broker_id: int, tp: TopicPartition, batch: RecordBatch, now: float) -> None:
        self.tp = tp
        self.batch = batch
        self.broker_id: int = broker_id
        self.offset: int = batch.base_offset
        self.leader_epoch: int = batch.leader_epoch
        self.appended_s: float = now
        self.acknowledged_s: float | None = None
        self.failed_s: float | None = None
        self.committed_s: float | None = None
        self.lost_s: float | None = None
        self.lost_row: int | None = None
        self.deliveries: dict[str, list[int]] = {}
        """By group: how often, and the place in the order of its deliveries the first time."""


class BatchTrace:
    """All rows of one run."""

    def __init__(self) -> None:
        self._lives: list[BatchLife] = []
        self._by_batch: dict[RecordBatch, BatchLife] = {}
        self._by_records: dict[tuple[int, int], list[BatchLife]] = {}
        self._delivered: dict[str, int] = {}

    def appended(self, broker_id: int, tp: TopicPartition, batch: RecordBatch, now: float) -> None:
        """A leader has appended a batch."""
        if len(self._lives) < MOST_ROWS and batch.stream >= 0:
            life = BatchLife(broker_id, tp, batch, now)
            self._lives.append(life)
            self._by_batch[batch] = life
            self._by_records.setdefault((batch.stream, batch.first), []).append(life)

    def of(self, batch: RecordBatch) -> BatchLife | None:
        """The row of one appended copy."""
        return self._by_batch.get(batch)

    def answered(self, batch: RecordBatch, now: float, failed: bool) -> None:
        """The producer's callback has run: that concerns the last copy that was appended by then."""
        copies = self._by_records.get((batch.stream, batch.first))
        if copies:
            if failed:
                copies[-1].failed_s = now
            else:
                copies[-1].acknowledged_s = now

    def delivered(self, group: str, batch: RecordBatch) -> None:
        """A poll has returned records of a batch."""
        self._delivered[group] = self._delivered.get(group, 0) + 1
        life = self._by_batch.get(batch)
        if life is not None:
            known = life.deliveries.setdefault(group, [0, self._delivered[group]])
            known[0] += 1

    def rows(self, ledger: Ledger) -> list[dict[str, object]]:
        """The table, in order of appending."""
        rows: list[dict[str, object]] = []
        for life in self._lives:
            batch = life.batch
            stream = ledger.streams[batch.stream]
            rows.append(
                {
                    "topic": life.tp.topic, "partition": life.tp.partition, "producer": stream.producer,
                    "instance": stream.instance, "first": batch.first, "count": batch.count,
                    "created_s": batch.first_time, "appended_s": life.appended_s, "broker": life.broker_id,
                    "offset": life.offset, "leader_epoch": life.leader_epoch, "acknowledged_s": life.acknowledged_s,
                    "failed_s": life.failed_s, "committed_s": life.committed_s, "lost_s": life.lost_s,
                    "lost_row": life.lost_row,
                    "delivered": "; ".join(f"{name} x{n} as {order}" for name, (n, order) in life.deliveries.items())
                    or None,
                }
            )  # fmt: skip
        return rows


class TracedBrokers(PassingMonitor):
    """Brokers' events on their way to the collector."""

    def __init__(self, counted: BrokerMonitor, trace: BatchTrace) -> None:
        super().__init__(counted)
        self._trace = trace

    def appended(self, broker_id: int, partition: Partition, batch: RecordBatch, now: float) -> None:
        """A leader has appended a batch."""
        self._trace.appended(broker_id, partition.tp, batch, now)
        self._counted.appended(broker_id, partition, batch, now)

    def committed(self, broker_id: int, partition: Partition, batch: RecordBatch, now: float) -> None:
        """The high watermark has passed a batch for the first time."""
        life = self._trace.of(batch)
        if life is not None:
            life.committed_s = now
        self._counted.committed(broker_id, partition, batch, now)

    def truncated(
        self, broker_id: int, partition: Partition, removed: list[RecordBatch], cause: int, now: float
    ) -> None:
        """Batches have been cut off a replica's log: the row tells of the last copy that went."""
        for batch in removed:
            life = self._trace.of(batch)
            if life is not None:
                life.lost_s, life.lost_row = now, cause or None
        self._counted.truncated(broker_id, partition, removed, cause, now)


class TracedClients(ClientMonitor):
    """Clients' events on their way to the collector; ``clients`` are known by their numbers."""

    def __init__(self, counted: ClientMonitor, trace: BatchTrace, clients: list[Client]) -> None:
        self._counted = counted
        self._trace = trace
        self._clients = clients

    def acknowledged(self, client: int, tp: TopicPartition, batch: RecordBatch, now: float) -> None:
        """The callbacks of all records of ``batch`` run now, without error."""
        self._trace.answered(batch, now, failed=False)
        self._counted.acknowledged(client, tp, batch, now)

    def failed(self, client: int, tp: TopicPartition, batch: RecordBatch, error: int, now: float) -> None:
        """The callbacks of all records of ``batch`` run now with an error."""
        self._trace.answered(batch, now, failed=True)
        self._counted.failed(client, tp, batch, error, now)

    def told(self, client: int, error: int, now: float) -> None:
        """Passed on."""
        self._counted.told(client, error, now)

    def finished(self, client: int, stream: int, created: int, in_flight: int) -> None:
        """The run has ended."""
        self._counted.finished(client, stream, created, in_flight)

    def delivered(self, client: int, tp: TopicPartition, batch: RecordBatch, low: int, high: int, now: float) -> None:
        """``poll()`` returns records of ``batch`` now."""
        self._trace.delivered(self._clients[client].name, batch)
        self._counted.delivered(client, tp, batch, low, high, now)

    def assigned(self, client: int, partitions: list[TopicPartition], generation: int, now: float, cause: int) -> None:
        """A member has got (or chosen) its partitions."""
        self._counted.assigned(client, partitions, generation, now, cause)

    def positioned(self, client: int, tp: TopicPartition, offset: int, reset: bool, now: float) -> None:
        """A member's position was set."""
        self._counted.positioned(client, tp, offset, reset, now)

    def jumped(self, client: int, tp: TopicPartition, polled: int, offset: int, reset: bool, now: float) -> None:
        """A member goes on elsewhere than it had polled to."""
        self._counted.jumped(client, tp, polled, offset, reset, now)

    def note(self, client: int, event: str, detail: str, cause: int, now: float) -> int:
        """A row of the timeline."""
        return self._counted.note(client, event, detail, cause, now)
