"""The transaction log of one server, with its group commit (SyncRequestProcessor).

One thread takes what is queued, appends it and flushes when the queue is empty or a batch
is full: one fdatasync for all that came in during the last one.  It never waits to grow a
batch.

Left out: rolling to a new file, snapshots by transaction count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kafkasim.hosts.host import Disk
from kafkasim.hosts.life import Life
from kafkasim.kernel.stations import Job
from kafkasim.zookeeper.transactions import Transaction


class TransactionLog:
    """Queue, batch in flight, and what is on the disk.

    ``flushed(transactions)`` is told after each fsync of its transactions, in order.
    ``fsyncs`` and ``logged`` count (``logged / fsyncs`` is the mean batch).
    """

    def __init__(
        self, life: Life, disk: Disk, max_batch_size: int, flushed: Callable[[list[Transaction]], None]
    ) -> None:
        self.last_zxid: int = 0
        self.fsyncs: int = 0
        self.logged: int = 0
        self._life = life
        self._disk = disk
        self._max_batch_size = max_batch_size
        self._flushed = flushed
        self._queue: deque[Transaction | Job] = deque()
        self._batch: list[Transaction | Job] = []
        self._passed: Callable[[Job], None] | None = None

    def append(self, transaction: Transaction) -> None:
        """Log one more transaction."""
        self._queue.append(transaction)
        if not self._batch:
            self._flush()

    def pass_through(self, read: Job, passed: Callable[[Job], None]) -> None:
        """A standalone server's read goes through this stage: behind unflushed writes, if there are any."""
        if not self._batch:
            passed(read)
            return
        self._passed = passed
        self._queue.append(read)

    def stop(self, written: bool) -> None:
        """The process ends its role or dies; ``written``: a batch in flight is in the page cache and survives."""
        if written:
            self._land()
        self._batch = []
        self._queue.clear()

    def truncate(self, zxid: int) -> None:
        """Nothing beyond ``zxid`` is in the log any more."""
        self.last_zxid = min(self.last_zxid, zxid)

    def _flush(self) -> None:
        queue = self._queue
        batch = self._batch
        for _ in range(min(len(queue), self._max_batch_size)):
            batch.append(queue.popleft())
        scheduler = self._life.scheduler
        self.fsyncs += 1
        self._life.plan(self._disk.fsync(scheduler.now), self._done, batch)

    def _done(self, batch: list[Transaction | Job]) -> None:
        if batch is not self._batch:
            return
        transactions = self._land()
        reads = [entry for entry in batch if not isinstance(entry, Transaction)]
        self._batch = []
        if self._queue:
            self._flush()
        self._flushed(transactions)
        if self._passed is not None:
            for read in reads:
                self._passed(read)

    def _land(self) -> list[Transaction]:
        transactions = [entry for entry in self._batch if isinstance(entry, Transaction)]
        if transactions:
            self.last_zxid = transactions[-1].zxid
            self.logged += len(transactions)
        return transactions
