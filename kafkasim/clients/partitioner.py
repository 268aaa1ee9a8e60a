"""Which partition a record goes to.

Two kinds: placements that are a property of the load (keys through murmur2, an explicit
map, a time window, a cycle), and the sticky choice that the producer makes while it
appends.  Stands for ``Utils.murmur2``, ``BuiltInPartitioner`` (3.3+, adaptive) and
``StickyPartitionCache`` (2.4 to 3.2).  Before, records without a key went round the partitions.
Left out: RoundRobinPartitioner's double step; that the round of old leaves out partitions without a leader.
"""

from __future__ import annotations

from math import floor
from typing import Final

import numpy as np
import numpy.typing as npt
from mypy_extensions import mypyc_attr

from kafkasim.clients.accumulator import RecordAccumulator
from kafkasim.clients.arrivals import Placement
from kafkasim.clients.metadata import Metadata
from kafkasim.kernel.streams import Stream

_MASK: Final = 0xFFFFFFFF
_M: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 hash, as a signed number."""
    length = len(data)
    h = (_SEED ^ length) & _MASK
    whole = length - length % 4
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little")
        k = (k * _M) & _MASK
        k ^= k >> 24
        k = (k * _M) & _MASK
        h = (h * _M) & _MASK
        h ^= k
    rest = length % 4
    if rest:
        h ^= int.from_bytes(data[whole:], "little")
        h = (h * _M) & _MASK
    h ^= h >> 13
    h = (h * _M) & _MASK
    h ^= h >> 15
    return h - (1 << 32) if h >= 1 << 31 else h


def partition_for_key(key: bytes, partitions: int) -> int:
    """The partition of a keyed record among all ``partitions`` of its topic."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def generated_keys(count: int, size_bytes: int) -> list[bytes]:
    """Keys ``0``, ``1`` … padded with zeros to ``size_bytes`` (longer ones stay as they are)."""
    return [str(number).zfill(max(size_bytes, 1)).encode() for number in range(count)]


class KeyPlacement(Placement):
    """Records with keys: each key has a partition and a weight.

    ``partitions`` are the partitions of the keys in order; without ``weights`` all keys are
    equally likely.
    """

    def __init__(self, partitions: list[int], weights: list[float] | None, draws: Stream) -> None:
        if not partitions:
            raise ValueError("keyed records need at least one key")
        self.keys: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        """The numbers of the keys that were placed last."""
        self._table = np.asarray(partitions, dtype=np.int64)
        self._generator = draws.generator
        self._cumulative: npt.NDArray[np.float64] | None = None
        if weights is not None:
            if len(weights) != len(partitions) or min(weights) < 0.0 or sum(weights) <= 0.0:
                raise ValueError("the weights of keys must be as many as keys, not negative, and not all zero")
            cumulative = np.cumsum(np.asarray(weights, dtype=np.float64))
            self._cumulative = cumulative / cumulative[-1]

    def place(self, times: npt.NDArray[np.float64], first: int) -> npt.NDArray[np.int64]:
        if self._cumulative is None:
            keys = self._generator.integers(0, len(self._table), len(times))
        else:
            keys = np.searchsorted(self._cumulative, self._generator.random(len(times)), side="right")
            keys = np.minimum(keys, len(self._table) - 1)
        self.keys = keys
        placed: npt.NDArray[np.int64] = self._table[keys]
        return placed


def zipf_weights(count: int, exponent: float) -> list[float]:
    """Weights 1 / rank^exponent of ``count`` keys."""
    return [float(rank) ** -exponent for rank in range(1, count + 1)]


class TimeWindowPlacement(Placement):
    """Partition = floor((intended time + start of day) / window) mod partitions."""

    def __init__(self, window_s: float, partitions: int, start_of_day_s: float = 0.0) -> None:
        if window_s <= 0.0:
            raise ValueError("a time window must be longer than nothing")
        self._window_s = window_s
        self._partitions = partitions
        self._start_of_day_s = start_of_day_s

    def place(self, times: npt.NDArray[np.float64], first: int) -> npt.NDArray[np.int64]:
        windows = np.floor((times + self._start_of_day_s) / self._window_s).astype(np.int64)
        placed: npt.NDArray[np.int64] = windows % self._partitions
        return placed

    def partition_at(self, time_s: float) -> int:
        """The partition of a record intended at ``time_s``."""
        return floor((time_s + self._start_of_day_s) / self._window_s) % self._partitions


class CyclePlacement(Placement):
    """Record after record to the next partition, the first one to ``start``."""

    def __init__(self, partitions: int, start: int = 0) -> None:
        self._partitions = partitions
        self._start = start

    def place(self, times: npt.NDArray[np.float64], first: int) -> npt.NDArray[np.int64]:
        placed: npt.NDArray[np.int64] = (
            np.arange(first + self._start, first + self._start + len(times), dtype=np.int64) % self._partitions
        )
        return placed


@mypyc_attr(allow_interpreted_subclasses=True)
@mypyc_attr(allow_interpreted_subclasses=True)
class RandomNumbers:
    """The source of a sticky partitioner's draws: a number in [0, 2^31)."""

    def __init__(self, draws: Stream) -> None:
        self._draws = draws

    def next(self) -> int:
        """One draw."""
        return self._draws.integer(1 << 31)


class StickyPartitioner:
    """The partition that records without a key stick to.

    ``uniform`` (3.3+): a partition is left when at least ``batch.size`` bytes went to it and its
    batch is complete; the next one is drawn, adaptively by the lengths of the queues.  Before
    (KIP-480): left whenever a new batch is needed, for another available one.
    """

    def __init__(
        self, accumulator: RecordAccumulator, metadata: Metadata, topic: str, draws: RandomNumbers, uniform: bool,
        adaptive: bool,
    ) -> None:  # fmt: skip
        self.current: int = -1
        self.produced_bytes: int = 0
        self.uniform: bool = uniform
        self._accumulator = accumulator
        self._metadata = metadata
        self._topic = topic
        self.draws = draws
        self._adaptive: bool = adaptive and uniform
        self._batch_size: int = accumulator.settings.batch_size

    def pick(self) -> int:
        """The current partition; the first draw makes it."""
        if self.current < 0:
            self.current = self._next_uniform() if self.uniform else self._next_other()
        return self.current

    def add(self, size_bytes: int, complete: bool) -> bool:
        """``size_bytes`` went to the current partition; True if this moved the choice on."""
        self.produced_bytes += size_bytes
        produced = self.produced_bytes
        if (produced >= self._batch_size and complete) or produced >= 2 * self._batch_size:
            self.current = self._next_uniform()
            self.produced_bytes = 0
            return True
        return False

    def new_batch(self) -> None:
        """KIP-480: a new batch is needed in the current partition: choose another one."""
        self.current = self._next_other()

    def _next_uniform(self) -> int:
        number = self.draws.next()
        accumulator = self._accumulator
        loads = accumulator.loads
        if (
            self._adaptive
            and loads.queues == len(accumulator.queues) > 1
            and (loads.lengths or loads.excluded or not loads.all_leaders_known)
        ):
            # The lengths are those of the last look at what is ready.
            every = loads.all_leaders_known and not loads.excluded
            partition = self._among_all(number) if every else self._among_available(number)
            if partition >= 0:
                return partition
        available = self._metadata.available(self._topic)
        if available:
            return available[number % len(available)].partition
        return number % len(accumulator.queues)

    def _among_all(self, number: int) -> int:
        """Draw with weight (longest + 1 - length); most queues are empty, so runs of equal weight are skipped."""
        accumulator = self._accumulator
        lengths = accumulator.loads.lengths
        most = 0
        waiting = 0
        for _, length in lengths:
            waiting += length
            if length > most:
                most = length
        queues = accumulator.queues
        if waiting == most * len(queues):
            return -1  # all equally long: no weights
        most += 1
        left = number % (most * len(queues) - waiting)
        slot = 0
        for place, length in lengths:
            run = (place - slot) * most
            if left < run:
                break
            left -= run
            if left < most - length:
                return queues[place].position
            left -= most - length
            slot = place + 1
        return queues[slot + left // most].position

    def _among_available(self, number: int) -> int:
        """The same where partitions are left out: without a leader, or on a node that takes nothing."""
        accumulator = self._accumulator
        waiting = dict(accumulator.loads.lengths)
        members = [
            queue for queue in accumulator.queues if queue.leader >= 0 and queue.slot not in accumulator.loads.excluded
        ]
        if not members:
            return -1
        lengths = [waiting.get(queue.slot, 0) for queue in members]
        most = max(lengths) + 1
        left = number % (most * len(lengths) - sum(lengths))
        for queue, length in zip(members, lengths, strict=True):
            if left < most - length:
                return queue.position
            left -= most - length
        return -1

    def _next_other(self) -> int:
        available = self._metadata.available(self._topic)
        if not available:
            return self.draws.next() % len(self._accumulator.queues)
        if len(available) == 1:
            return available[0].partition
        choice = self.current
        while choice < 0 or choice == self.current:
            choice = available[self.draws.next() % len(available)].partition
        return choice
