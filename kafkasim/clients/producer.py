"""One producer instance: a client process with its load, wired together.

Stands for ``KafkaProducer``: the application thread (an appender), the accumulator, the I/O
thread (the sender) and the network client.  It starts cold: bootstrap connection, metadata,
InitProducerId if idempotent, the topic's metadata at the first send, connections to the
leaders.  Left out: ``close()``, ``flush()``, transactions, interceptors, compression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, nextafter
from typing import Any, Final

from kafkasim.clients.accumulator import RecordAccumulator
from kafkasim.clients.accumulator_settings import AccumulatorSettings
from kafkasim.clients.appender import Appender, RefusedRecords
from kafkasim.clients.arrivals import SEND
from kafkasim.clients.batch_size import ConstantSize
from kafkasim.clients.idempotence import Idempotence
from kafkasim.clients.list_appender import ListAppender
from kafkasim.clients.load import STICKY, Load
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.clients.network_client import NetworkClient
from kafkasim.clients.partitioner import RandomNumbers, StickyPartitioner
from kafkasim.clients.produce_request import ProducerCosts, SenderSettings
from kafkasim.clients.producer_batch import UNDECIDED, PartitionQueue, ProducerBatch
from kafkasim.clients.sender import Sender
from kafkasim.clients.settings import JITTER, Backoff, ClientSettings
from kafkasim.clients.sticky_appender import StickyAppender
from kafkasim.clients.stream_appender import StreamAppender
from kafkasim.connection import Directory
from kafkasim.hosts.host import Host
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.streams import Streams
from kafkasim.network import Network
from kafkasim.protocol import RecordBatch, TopicPartition

Span = tuple[float, float, int]
"""First and last intended time (s) and number of records."""

_ACKS: Final = {"all": -1, "-1": -1, "0": 0, "1": 1}


class ProducerInstance(RefusedRecords):
    """Instance ``client`` (as registered with the run's collectors) of a producer application.

    ``open_stream(partition)`` opens a stream of the ledger: one for all records of the instance
    (None) where the producer chooses partitions itself, else one a partition.  ``jitter``,
    ``random_order`` and ``clock_offset_ms`` are for tests against recorded traces; a run draws the
    clock's offset.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        network: Network,
        streams: Streams,
        name: str,
        client: int,
        host: Host,
        costs: Any,
        directory: Directory,
        bootstrap: list[int],
        partitions: list[TopicPartition],
        config: Mapping[str, Any],
        version: Any,
        load: Load,
        monitor: ClientMonitor,
        open_stream: Callable[[int | None], int],
        jitter: float = JITTER,
        random_order: bool = True,
        clock_offset_ms: float | None = None,
    ) -> None:
        if not partitions:
            raise ValueError(f"producer {name}: its topic has no partitions")
        self.name = name
        self.client: int = client
        self.topic = partitions[0].topic
        self.partitions = partitions
        self._scheduler = scheduler
        self._monitor = monitor
        self._streams: list[int] = []
        if clock_offset_ms is None:
            clock_offset_ms = streams.stream(f"producer/{name}/clock").uniform(0.0, 1.0)
        self.clock = Clock(clock_offset_ms)
        max_in_flight = int(config.get("max.in.flight.requests.per.connection", 5))
        client_id = str(config.get("client.id") or "producer-1")
        settings = ClientSettings(config, version, max_in_flight, client_id, jitter, random_order)
        release = settings.version
        acks = _ACKS[str(config.get("acks", "all" if release >= (3, 0, 0) else "1"))]
        self.network_client = NetworkClient(
            scheduler, network, streams, f"producer/{name}", host, directory, bootstrap, settings, self._wake,
            self.clock, monitor, client,
        )  # fmt: skip
        metadata = self.network_client.metadata
        idempotent = bool(config.get("enable.idempotence", release >= (3, 0, 1)))
        self.idempotence: Idempotence | None = Idempotence() if idempotent else None
        retry = Backoff(
            settings.retry_backoff_ms,
            settings.retry_backoff_max_ms,
            settings,
            streams.stream(f"producer/{name}/retries"),
        )
        max_request_size = int(config.get("max.request.size", 1048576))
        has_delivery_timeout = release >= (2, 1, 0)
        accumulator_settings = AccumulatorSettings(
            int(config.get("batch.size", 16384)),
            int(config.get("linger.ms", 0)),
            int(config.get("delivery.timeout.ms", 120000)) if has_delivery_timeout else settings.request_timeout_ms,
            int(config.get("buffer.memory", 33554432)),
            release >= (3, 3, 0),
            release >= (3, 6, 1),
            int(config.get("partitioner.availability.timeout.ms", 0)) if release >= (3, 3, 0) else 0,
            0 if has_delivery_timeout else settings.request_timeout_ms,
            settings.retry_backoff_ms,
        )
        self.accumulator = RecordAccumulator(accumulator_settings, partitions, metadata, retry, self.idempotence)
        sender_settings = SenderSettings(
            acks,
            max_request_size,
            int(config.get("retries", 2147483647 if has_delivery_timeout else 0)),
            max_in_flight,
            settings.request_timeout_ms,
            settings.retry_backoff_ms,
            client_id,
            release >= (2, 8, 0),
            settings.uses_leader_hints,
        )
        self.sender = Sender(
            scheduler, self.clock, host, _costs(costs), sender_settings, self.network_client, self.accumulator,
            self.idempotence, monitor, client,
        )  # fmt: skip
        self.partitioner: StickyPartitioner | None = None
        self._max_block_ms: int = int(config.get("max.block.ms", 60000))
        self._max_request_size: int = max_request_size
        self._adaptive: bool = bool(config.get("partitioner.adaptive.partitioning.enable", True))
        self._messages: bool = release < (0, 11, 0)  # of the format before record batches
        self._uniform: bool = release >= (3, 3, 0)
        # Before 2.4 records without a key go round the partitions.
        self._rotates: bool = release < (2, 4, 0) and load.records is None
        self.load = load
        self.appender: Appender = self._make_appender(load, streams, open_stream)

    def _make_appender(self, load: Load, streams: Streams, open_stream: Callable[[int | None], int]) -> Appender:
        accumulator = self.accumulator
        metadata = self.network_client.metadata
        if load.placement == STICKY and not self._rotates:
            numbers = RandomNumbers(streams.stream(f"producer/{self.name}/sticky"))
            self.partitioner = StickyPartitioner(
                accumulator, metadata, self.topic, numbers, self._uniform, self._adaptive
            )
        if load.records is not None:
            return self._make_list_appender(load, open_stream)
        sizes = ConstantSize(load.key_size, load.record_size, accumulator.settings.batch_size, self._messages)
        if sizes.upper_bound > self._max_request_size:
            raise ValueError(f"producer {self.name}: its records are larger than max.request.size")
        if sizes.limit > accumulator.settings.buffer_memory:
            raise ValueError(f"producer {self.name}: one batch is larger than buffer.memory")
        if self.partitioner is not None:
            stream = open_stream(None)
            self._streams.append(stream)
            return StickyAppender(
                self.clock, accumulator, metadata, self.topic, self._max_block_ms, self, sizes,
                load.single(streams, self.name), stream, self.partitioner,
            )  # fmt: skip
        arrivals = load.split(streams, self.name, len(self.partitions))
        self._streams = [open_stream(queue.tp.partition) for queue in accumulator.queues]
        return StreamAppender(
            self.clock, accumulator, metadata, self.topic, self._max_block_ms, self, sizes, arrivals, self._streams
        )

    def _make_list_appender(self, load: Load, open_stream: Callable[[int | None], int]) -> Appender:
        records = load.records
        assert records is not None
        sticky_stream = -1
        numbers: dict[int, int] = {}
        by_partition = {queue.position: queue for queue in self.accumulator.queues}
        for record in records:
            if record.operation != SEND:
                continue
            number = numbers.get(record.partition, 0)
            record.number = number
            numbers[record.partition] = number + 1
            if number > 0:
                continue
            if record.partition < 0:
                sticky_stream = open_stream(None)
                self._streams.append(sticky_stream)
            elif record.partition not in by_partition:
                raise ValueError(f"producer {self.name}: there is no partition {record.partition}")
            else:
                stream = open_stream(record.partition)
                by_partition[record.partition].stream = stream
                self._streams.append(stream)
        return ListAppender(
            self.clock, self.accumulator, self.network_client.metadata, self.topic, self._max_block_ms, self,
            self._scheduler, self._wake, records, sticky_stream, self.partitioner, self._max_request_size,
        )  # fmt: skip

    def start(self) -> None:
        """Start the process now: the application thread follows its load, the I/O thread begins to run."""
        self.sender.start(self.appender)

    def _wake(self) -> None:
        self.sender.wake()

    def refused(self, queue: PartitionQueue, stream: int, number: int, intended: float, error: int) -> None:
        batch = RecordBatch(stream, number, 1, 0, intended, intended, -1, -1, -1)
        self._monitor.failed(self.client, queue.tp, batch, error, self._scheduler.now)

    # -- what is unfinished

    def _unfinished(self, queue: PartitionQueue) -> list[ProducerBatch]:
        """Batches of ``queue`` whose callbacks have not run: in flight, then waiting."""
        batches = [batch for batch in queue.in_flight if batch.outcome == UNDECIDED]
        batches.extend(batch for batch in queue.batches if batch.outcome == UNDECIDED)
        return batches

    def outstanding(self, now: float) -> list[tuple[TopicPartition | None, int, int, int, float, float]]:
        """Records intended by ``now`` and neither acknowledged nor failed.

        Rows of (partition, stream, first, count, first time, last time); the partition is None where the
        producer has not chosen it yet.
        """
        self.appender.advance(now)
        rows: list[tuple[TopicPartition | None, int, int, int, float, float]] = []
        for queue in self.accumulator.queues:
            for batch in self._unfinished(queue):
                if batch.open:
                    self.appender.settle(batch, now)
                rows.append((queue.tp, batch.stream, batch.first, batch.count, batch.first_time, batch.last_time))
        for holder, stream, first, count, first_time, last_time in self.appender.waiting(now):
            rows.append((None if holder is None else holder.tp, stream, first, count, first_time, last_time))
        return rows

    def unfinished_spans(self, end_s: float) -> list[Span]:
        """The times of what is unfinished at the end of the run."""
        rows = self.outstanding(nextafter(end_s, -inf))  # what would be created at the end itself is not
        return [(first_time, last_time, count) for _, _, _, count, first_time, last_time in rows]

    def created(self, end_s: float) -> dict[int, int]:
        """Records intended before ``end_s``, by the ledger's stream."""
        return self.appender.created(end_s)

    def close_books(self, end_s: float) -> None:
        """The end of the run: tell the monitor what each stream created and what is still on its way."""
        in_flight = dict.fromkeys(self._streams, 0)
        for _, stream, _, count, _, _ in self.outstanding(nextafter(end_s, -inf)):
            in_flight[stream] += count
        created = self.created(end_s)
        for stream in self._streams:
            self._monitor.finished(self.client, stream, created[stream], in_flight[stream])

    def oldest_waiting(self, tp: TopicPartition, now: float) -> float | None:
        """Intended time of the oldest record of ``tp`` that is neither acknowledged nor failed.

        Records that a blocked producer without keys has not placed yet count for no partition.
        """
        queue = self.accumulator.by_index.get(tp.index)
        if queue is None:
            return None
        times = [batch.first_time for batch in self._unfinished(queue)]
        waiting = self.appender.oldest_waiting(queue, now)
        if waiting is not None:
            times.append(waiting)
        return min(times, default=None)


def _costs(costs: Any) -> ProducerCosts:
    """Copy the costs out of whatever object carries them."""
    if isinstance(costs, ProducerCosts):
        return costs
    return ProducerCosts(
        float(costs.producer_request_s),
        float(costs.producer_per_byte_s),
        float(costs.producer_per_record_s),
        float(costs.client_wake_up_s),
    )
