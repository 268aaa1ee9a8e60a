"""The load of one producer instance: its rate or list, record sizes, and where records belong.

A property of the scenario alone; the producer turns it into streams of arrivals.
"""

from __future__ import annotations

from math import inf
from typing import Any, Final

from kafkasim.clients.arrivals import (
    Arrivals,
    ListedRecord,
    PacedArrivals,
    Placement,
    SingleSource,
    SplitSource,
    TimeBlocks,
)
from kafkasim.clients.partitioner import (
    CyclePlacement,
    KeyPlacement,
    TimeWindowPlacement,
    generated_keys,
    partition_for_key,
    zipf_weights,
)
from kafkasim.kernel.streams import Streams

STICKY: Final = "sticky"
"""Records without a key: the producer chooses the partition while it appends."""
KEYS: Final = "keys"
MAP: Final = "map"
TIME_WINDOW: Final = "time_window"
ROUND: Final = "round"


class Load:
    """``rate_per_s`` is this instance's own; ``key_size`` -1: no key.

    ``placement`` is one of the constants above.  ``keys`` of a map are (partition, weight).
    """

    def __init__(
        self, rate_per_s: float, record_size: int, placement: str = STICKY, key_size: int = -1, poisson: bool = False,
        start_s: float = 0.0, stop_s: float = inf,
    ) -> None:  # fmt: skip
        self.rate_per_s: float = rate_per_s
        self.record_size: int = record_size
        self.placement: str = placement
        self.key_size: int = key_size
        self.poisson: bool = poisson
        self.start_s: float = start_s
        self.stop_s: float = stop_s
        self.keys_count: int = 0
        self.zipf: float = 0.0
        self.keys: list[tuple[int, float]] = []
        self.window_s: float = 0.0
        self.start_of_day_s: float = 0.0
        self.records: list[ListedRecord] | None = None

    @classmethod
    def of(cls, spec: Any, number: int, start_of_day_s: float, duration_s: float, ignores_keys: bool = False) -> Load:
        """The load of instance ``number`` (from 0) of a scenario's producer.

        A listed record j goes to instance j modulo the number of instances.  A map's keys count
        with ``key_size``, else with their mean length weighted (an approximation by a few bytes
        where their lengths differ).  ``ignores_keys``: keys are only bytes, the producer chooses.
        """
        partitioner = spec.partitioner
        stop_s = inf if spec.stop_s is None else float(spec.stop_s)
        key_size = -1 if spec.key_size_bytes is None else int(spec.key_size_bytes)
        if spec.records is not None:
            load = cls(0.0, 0, STICKY, key_size)
            load.records = [
                ListedRecord(float(row[0]), key_size, int(row[1]), int(row[2]) if len(row) > 2 else -1)
                for position, row in enumerate(spec.records)
                if position % spec.instances == number
            ]
            return load
        kind = partitioner.kind
        rate_per_s = float(spec.rate_per_s) / spec.instances
        poisson = spec.arrivals == "poisson"
        load = cls(rate_per_s, spec.record_size_bytes, STICKY, key_size, poisson, float(spec.start_s), stop_s)
        load.start_of_day_s = float(start_of_day_s)
        if kind == "keys":
            load.placement = KEYS
            load.keys_count = int(partitioner.keys_count)
            load.zipf = float(partitioner.zipf or 0.0)
            if key_size < 0:
                load.key_size = len(str(load.keys_count - 1))
        elif kind == "map":
            load.placement = MAP
            weights = partitioner.weights or {}
            names = list(partitioner.map)
            load.keys = [(int(partitioner.map[name]), float(weights.get(name, 1.0))) for name in names]
            if key_size < 0:
                total = sum(weight for _, weight in load.keys)
                weighted = zip(names, load.keys, strict=True)
                load.key_size = round(sum(len(name.encode()) * row[1] for name, row in weighted) / total)
        elif kind == "time_window":
            load.placement = TIME_WINDOW
            load.window_s = float(partitioner.window_s)
        elif kind == "round":
            load.placement = ROUND
        elif key_size >= 0:
            # The release's own partitioner hashes keys; without a set of keys each record has one of its own.
            load.placement = KEYS
        if ignores_keys and load.placement == KEYS:
            load.placement = STICKY
        return load

    def single(self, streams: Streams, name: str) -> Arrivals:
        """One stream of all records."""
        draws = streams.stream(f"producer/{name}/arrivals")
        if self.poisson:
            return SingleSource(TimeBlocks(self.rate_per_s, draws, True, self.start_s, self.stop_s)).stream
        period_s = 1.0 / self.rate_per_s
        return PacedArrivals(period_s, draws.uniform(0.0, period_s), self.start_s, self.stop_s)

    def split(self, streams: Streams, name: str, partitions: int) -> list[Arrivals]:
        """One stream a partition; without keys they are dealt in turn, from one at random on (before 2.4)."""
        times, placement = self.blocks(streams, name, partitions)
        source = SplitSource(times, placement, partitions)
        return list(source.streams)

    def blocks(self, streams: Streams, name: str, partitions: int) -> tuple[TimeBlocks, Placement]:
        """What :meth:`split` draws from: the times, and which partition each record goes to."""
        draws = streams.stream(f"producer/{name}/arrivals")
        times = TimeBlocks(self.rate_per_s, draws, self.poisson, self.start_s, self.stop_s)
        return times, self._placement(streams, name, partitions)

    def _placement(self, streams: Streams, name: str, partitions: int) -> Placement:
        if self.placement == TIME_WINDOW:
            return TimeWindowPlacement(self.window_s, partitions, self.start_of_day_s)
        if self.placement == ROUND:
            return CyclePlacement(partitions)
        draws = streams.stream(f"producer/{name}/keys")
        if self.placement == STICKY:
            return CyclePlacement(partitions, draws.integer(partitions))
        if self.placement == MAP:
            for partition, _ in self.keys:
                if not 0 <= partition < partitions:
                    raise ValueError(f"a key is mapped to partition {partition} of {partitions}")
            return KeyPlacement([row[0] for row in self.keys], [row[1] for row in self.keys], draws)
        if self.keys_count == 0:
            return KeyPlacement(list(range(partitions)), None, draws)
        keys = generated_keys(self.keys_count, self.key_size)
        weights = zipf_weights(self.keys_count, self.zipf) if self.zipf > 0.0 else None
        return KeyPlacement([partition_for_key(key, partitions) for key in keys], weights, draws)
