"""The transaction log of one server, with its group commit (SyncRequestProcessor, FileTxnLog).

One thread takes what is queued, appends it and flushes when the queue is empty or a batch
is full: one fdatasync for all that came in during the last one.  It never waits to grow a
batch.  After half to all of ``snapCount`` transactions (or so much size), drawn anew each
time, a new file is begun, whose first sync is slow, and a snapshot is due.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kafkasim.hosts.disk import Disk
from kafkasim.hosts.life import Life
from kafkasim.kernel.stations import Job
from kafkasim.kernel.streams import Stream
from kafkasim.zookeeper.parameters import ZooKeeperParameters
from kafkasim.zookeeper.transactions import Transaction


class TransactionLog:
    """Queue, batch in flight, and what is on the disk.

    ``flushed(transactions)`` is told after each fsync of its transactions, in order;
    ``rolled()`` when a snapshot is due.  ``fsyncs`` and ``logged`` count (``logged / fsyncs``
    is the mean batch).  ``files`` holds the transactions of the log's files, newest file last,
    as far back as a learner may be brought up from them; the first follows ``base_zxid``.
    """

    def __init__(
        self,
        life: Life,
        disk: Disk,
        parameters: ZooKeeperParameters,
        draws: Stream,
        flushed: Callable[[list[Transaction]], None],
        rolled: Callable[[], None],
    ) -> None:
        self.last_zxid: int = 0
        self.fsyncs: int = 0
        self.logged: int = 0
        self.files: list[list[Transaction]] = [[]]
        self.base_zxid: int = 0
        self.snapshot_bytes: int = 0
        """Size of the newest snapshot."""
        self._life = life
        self._disk = disk
        self._parameters = parameters
        self._draws = draws
        self._flushed = flushed
        self._rolled = rolled
        self._queue: deque[Transaction | Job] = deque()
        self._batch: list[Transaction | Job] = []
        self._passed: Callable[[Job], None] | None = None
        self._new_file = False
        self._file_size_bytes = 0
        self._roll_after = 0
        self._roll_after_bytes = 0
        self._since_roll = 0
        self._draw_roll()

    # On the disk

    def settle(self) -> None:
        """Run since long: the file is somewhere between its first and its last transaction."""
        self._since_roll = self._draws.integer(max(1, self._roll_after))

    def put(self, transaction: Transaction) -> None:
        """Have a transaction since long."""
        self.files[-1].append(transaction)
        self.last_zxid = transaction.zxid

    def truncate(self, zxid: int) -> None:
        """Nothing beyond ``zxid`` is in the log any more; the next append begins a new file."""
        self.last_zxid = min(self.last_zxid, zxid)
        for transactions in reversed(self.files):
            while transactions and transactions[-1].zxid > zxid:
                transactions.pop()
            if transactions:
                break
        self.base_zxid = min(self.base_zxid, zxid)
        self.begin_file()

    def start_from(self, zxid: int) -> None:
        """A snapshot that stands at ``zxid`` has replaced everything."""
        self.last_zxid = zxid
        self.base_zxid = zxid
        self.files = [[]]
        self.begin_file()

    def begin_file(self) -> None:
        """The next append goes to a new file."""
        self._new_file = True

    def after(self, zxid: int) -> tuple[list[Transaction], int] | None:
        """What the files hold beyond ``zxid``, and how many files were begun after it; None if they begin later."""
        if zxid < self.base_zxid:
            return None
        begun = 0
        beyond: list[Transaction] = []
        for transactions in reversed(self.files):
            newer = [transaction for transaction in transactions if transaction.zxid > zxid]
            beyond[:0] = newer
            if len(newer) < len(transactions):
                return beyond, begun
            if transactions:
                begun += 1
        return beyond, max(0, begun - 1)

    def last_not_beyond(self, zxid: int) -> int:
        """The newest transaction of the files that is not beyond ``zxid``."""
        for transactions in reversed(self.files):
            for transaction in reversed(transactions):
                if transaction.zxid <= zxid:
                    return transaction.zxid
        return self.base_zxid

    # Appending

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

    def _flush(self) -> None:
        queue = self._queue
        batch = self._batch
        for _ in range(min(len(queue), self._parameters.max_batch_size)):
            batch.append(queue.popleft())
        now = self._life.scheduler.now
        self.fsyncs += 1
        done = self._disk.fsync(now)
        if self._new_file:
            self._new_file = False
            for _ in range(self._parameters.new_file_syncs - 1):
                done = self._disk.fsync(now)
            self._open_file()
        self._life.plan(done, self._done, batch)

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
            self.files[-1].extend(transactions)
            self._count(transactions)
        return transactions

    # Files

    def _open_file(self) -> None:
        """Older files are of use as long as the newest snapshot is large beside them."""
        if self.files[-1]:
            self.files.append([])
        parameters = self._parameters
        useful = int(parameters.snapshot_size_factor * self.snapshot_bytes / parameters.pre_allocated_bytes)
        while len(self.files) > useful + 2:
            dropped = self.files.pop(0)
            if dropped:
                self.base_zxid = dropped[-1].zxid

    def _draw_roll(self) -> None:
        parameters = self._parameters
        half = parameters.snapshot_count // 2
        self._roll_after = half + self._draws.integer(max(1, half))
        half_bytes = parameters.snapshot_log_bytes // 2
        self._roll_after_bytes = half_bytes + self._draws.integer(max(1, half_bytes))

    def _count(self, transactions: list[Transaction]) -> None:
        self._since_roll += len(transactions)
        for transaction in transactions:
            self._file_size_bytes += transaction.size_bytes
        if self._since_roll > self._roll_after or self._file_size_bytes > self._roll_after_bytes:
            self._since_roll = 0
            self._file_size_bytes = 0
            self._draw_roll()
            self.begin_file()
            self._rolled()
