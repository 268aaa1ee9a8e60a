"""What the accumulator is configured with, what it tells, and what it asks of the application thread."""

from __future__ import annotations

from kafkasim.clients.producer_batch import PartitionQueue, ProducerBatch
from kafkasim.clients.settings import UNLIMITED


class AccumulatorSettings:
    """Configs of the accumulator, by their names, in ms and bytes; and two rules of the release.

    ``index_by_node``: 3.3+ keeps the start of the drain's round by node.  ``skips_backoff``:
    3.6.1+ sends a retry at once when a newer leader epoch is known.  ``queue_expiry_ms``: up to 2.0
    batches expire in their queue, after ``request.timeout.ms``, and nothing else does (0: later).
    """

    def __init__(
        self, batch_size: int, linger_ms: int, delivery_timeout_ms: int, buffer_memory: int, index_by_node: bool,
        skips_backoff: bool, availability_timeout_ms: int = 0, queue_expiry_ms: int = 0, retry_backoff_ms: int = 100,
    ) -> None:  # fmt: skip
        self.batch_size: int = max(batch_size, 1)
        self.linger_ms: int = linger_ms
        self.delivery_timeout_ms: int = delivery_timeout_ms
        self.buffer_memory: int = buffer_memory
        self.index_by_node: bool = index_by_node
        self.skips_backoff: bool = skips_backoff
        self.availability_timeout_ms: int = availability_timeout_ms
        self.queue_expiry_ms: int = queue_expiry_ms
        self.retry_backoff_ms: int = retry_backoff_ms


class NodeLatency:
    """When a node last had data that was ready, and when it last took some (ms)."""

    def __init__(self, now_ms: int) -> None:
        self.ready_ms: int = now_ms
        self.drain_ms: int = now_ms


class ReadyCheck:
    """What a look at the accumulator found (``ReadyCheckResult``).

    ``nodes`` have something to send; the others want to be looked at in ``next_check_ms``.  ``settled``: a
    look before then finds the same, if nothing has been added or taken out.
    """

    def __init__(self) -> None:
        self.nodes: list[int] = []
        self.next_check_ms: int = UNLIMITED
        self.unknown_leader: bool = False
        self.settled: bool = True


class PartitionLoads:
    """The queues as the last look found them (``PartitionLoadStats``): what an adaptive choice goes by.

    ``lengths`` are (slot, batches) of the queues that hold some, ``excluded`` the slots of those on a node
    that takes nothing; ``queues`` is how many have ever held one.
    """

    def __init__(self) -> None:
        self.lengths: list[tuple[int, int]] = []
        self.excluded: list[int] = []
        self.queues: int = 0
        self.all_leaders_known: bool = False

    def clear(self, queues: int) -> None:
        """No queue holds anything."""
        self.lengths = []
        self.excluded = []
        self.queues = queues


class ContentReader:
    """What the accumulator asks the appender to do for it."""

    def settle(self, batch: ProducerBatch, now: float) -> None:
        """Set ``count``, ``size`` and ``last_time`` of an open batch to what it holds at ``now``."""
        raise NotImplementedError

    def closed(self, queue: PartitionQueue, batch: ProducerBatch, now: float) -> None:
        """The settled open batch of ``queue`` has been closed by the I/O thread."""
        raise NotImplementedError

    def split(self, batch: ProducerBatch, batch_size: int) -> list[ProducerBatch]:
        """The content of ``batch`` re-packed into batches of ``batch_size``."""
        raise NotImplementedError
