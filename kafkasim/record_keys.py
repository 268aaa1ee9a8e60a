"""The keys of the load's records: drawn once more, the same, where the cleaner has to know them.

Nothing in Kafka.  A load's keys are a property of the load alone; its producers only keep which partition each record
goes to.  For topics that are compacted they are drawn again from streams of the same names and seed, block by block, as
far as somebody asks.  A key is the same for all producers that write it: by its bytes.
"""

from __future__ import annotations

import numpy as np

from kafkasim.broker.cleaning import Keys, RecordKeys
from kafkasim.clients.load import KEYS, MAP, Load
from kafkasim.clients.partitioner import KeyPlacement
from kafkasim.kernel.streams import Streams

_SPACE = 1 << 40


class _Source:
    """The keys of one producer instance, by partition."""

    def __init__(self, load: Load, streams: Streams, name: str, partitions: int, space: int, own: int) -> None:
        self._times, self._placement = load.blocks(streams, name, partitions)
        self._unique = load.placement == KEYS and load.keys_count == 0
        self._space = space * _SPACE
        self._own = own * _SPACE
        self._drawn = 0
        self._keys: list[list[Keys]] = [[] for _ in range(partitions)]
        self._flat: list[Keys | None] = [None] * partitions
        self._counts = [0] * partitions

    def keys(self, partition: int, first: int, last: int) -> Keys:
        while self._counts[partition] < last:
            self._draw()
        flat = self._flat[partition]
        if flat is None:
            flat = self._flat[partition] = np.concatenate(self._keys[partition])
            self._keys[partition] = [flat]
        return flat[first:last]

    def _draw(self) -> None:
        times, _ = self._times.block()
        placed = self._placement.place(times, self._drawn)
        assert isinstance(self._placement, KeyPlacement)
        keys = self._placement.keys + self._space
        if self._unique:
            keys = np.arange(self._drawn, self._drawn + len(times), dtype=np.int64) + self._own
        self._drawn += len(times)
        for partition in np.unique(placed).tolist():
            chosen = keys[placed == partition]
            self._keys[partition].append(chosen)
            self._counts[partition] += len(chosen)
            self._flat[partition] = None


class LoadKeys(RecordKeys):
    """The keys of every stream of a run that writes to a compacted topic."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._spaces: dict[tuple[object, ...], int] = {}
        self._sources: dict[str, _Source] = {}
        self._streams: dict[int, tuple[str, int]] = {}

    def add_instance(self, name: str, load: Load, partitions: int, names: tuple[str, ...]) -> None:
        """An instance ``name`` with this load; ``names`` are the keys of a map, in order."""
        kind: tuple[object, ...] = (MAP, *names) if load.placement == MAP else (KEYS, load.key_size)
        space = self._spaces.setdefault(kind, len(self._spaces) + 1)
        own = self._spaces.setdefault((name,), len(self._spaces) + 1)
        self._sources[name] = _Source(load, Streams(self._seed), name, partitions, space, own)

    def add_stream(self, stream: int, name: str, partition: int) -> None:
        """A ledger's stream is the records of an instance for one partition."""
        if name in self._sources:
            self._streams[stream] = (name, partition)

    def keys(self, stream: int, first: int, last: int) -> Keys:
        """The keys of the numbers ``[first, last)`` of a stream."""
        name, partition = self._streams[stream]
        return self._sources[name].keys(partition, first, last)
