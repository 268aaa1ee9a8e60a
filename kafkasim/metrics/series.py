"""Values over time, sampled at intervals.

A *gauge* is read at each sample; a *counter* is given as its rate since the sample before. Each series has a name
that ends with its unit (``consumer_lag_records``, ``records_in_per_s``) or is one of Kafka's JMX names, and labels.
Several sources under one name and labels add up: exactly, as they are summed before they are divided.

Left out: percentiles (``latency`` keeps those) and retention: a run keeps all its samples.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Final

LABELS: Final = ("topic", "partition", "group", "client", "broker", "station")
Labels = tuple[str | None, int | None, str | None, str | None, int | None, str | None]
Reader = Callable[[], float]


class Counter:
    """A count that only grows; ``add`` is its hot path."""

    def __init__(self) -> None:
        self.total: int = 0

    def add(self, n: int) -> None:
        """Count ``n`` more."""
        self.total += n

    def read(self) -> float:
        """The count so far."""
        return self.total


class Series:
    """One named series: its sources and its samples."""

    def __init__(self, name: str, labels: Labels, rate: bool, samples_before: int) -> None:
        self.name: Final = name
        self.labels: Final = labels
        self.rate: Final = rate
        self.skipped: Final = samples_before
        """Samples of the book before this series began."""
        self.values: Final = array("d")
        self.sources: Final[list[Reader]] = []
        self.last: float = 0.0
        self.at_cut: float = 0.0
        """The count at the cut (the end of warm-up)."""

    def read(self) -> float:
        """The sum of the sources now."""
        total = 0.0
        for source in self.sources:
            total += source()
        return total


class SeriesBook:
    """All series of a run. The simulation calls ``sample(t)`` at each interval and ``cut(t)`` after warm-up.

    >>> book = SeriesBook()
    >>> records = book.counter("records_in_per_s", topic="tweets")
    >>> book.gauge("queue_length_requests", lambda: 3, station="broker 1 handlers")
    >>> records.add(500)
    >>> book.sample(0.5)
    >>> [(row["metric"], row["value"]) for row in book.rows()]
    [('queue_length_requests', 3.0), ('records_in_per_s', 1000.0)]
    """

    def __init__(self) -> None:
        self.times: Final = array("d")
        self.cut_s: float = 0.0
        self._series: dict[tuple[str, Labels], Series] = {}

    def gauge(
        self,
        name: str,
        read: Reader,
        *,
        topic: str | None = None,
        partition: int | None = None,
        group: str | None = None,
        client: str | None = None,
        broker: int | None = None,
        station: str | None = None,
    ) -> None:
        """A value that ``read`` gives at each sample."""
        self._source(name, (topic, partition, group, client, broker, station), False, read)

    def rate(
        self,
        name: str,
        read: Reader,
        *,
        topic: str | None = None,
        partition: int | None = None,
        group: str | None = None,
        client: str | None = None,
        broker: int | None = None,
        station: str | None = None,
    ) -> None:
        """The growth a second of what ``read`` gives: of busy seconds the utilisation, of records the rate."""
        self._source(name, (topic, partition, group, client, broker, station), True, read)

    def counter(
        self,
        name: str,
        *,
        topic: str | None = None,
        partition: int | None = None,
        group: str | None = None,
        client: str | None = None,
        broker: int | None = None,
        station: str | None = None,
    ) -> Counter:
        """A new counter whose rate is given; several under one name and labels add up."""
        counter = Counter()
        self._source(name, (topic, partition, group, client, broker, station), True, counter.read)
        return counter

    def traffic(self, name: str, topic: str, client: str | None = None, broker: int | None = None) -> Counter:
        """A counter whose rate is given for its topic, for the client of it and for the broker of it."""
        counter = self.counter(name, topic=topic)
        if client is not None:
            self.rate(name, counter.read, topic=topic, client=client)
        if broker is not None:
            self.rate(name, counter.read, topic=topic, broker=broker)
        return counter

    def _source(self, name: str, labels: Labels, rate: bool, read: Reader) -> None:
        key = (name, labels)
        series = self._series.get(key)
        if series is None:
            series = Series(name, labels, rate, len(self.times))
            self._series[key] = series
        elif series.rate != rate:
            raise ValueError(f"{name} is sampled both as a value and as a rate")
        series.sources.append(read)
        if rate:
            # What was counted before this source came is not growth.
            already = read()
            series.last += already
            series.at_cut += already

    def sample(self, t: float) -> None:
        """Take one sample of every series at ``t`` (s).

        Raises:
            ValueError: if no time has passed since the last sample.
        """
        before = self.times[-1] if self.times else 0.0
        if t <= before:
            raise ValueError(f"sampled at {before} s already, again at {t} s")
        self.times.append(t)
        for series in self._series.values():
            now = series.read()
            if series.rate:
                series.values.append((now - series.last) / (t - before))
                series.last = now
            else:
                series.values.append(now)

    def cut(self, t: float) -> None:
        """Warm-up ends at ``t`` (s): :meth:`mean_rate` counts from here."""
        self.cut_s = t
        for series in self._series.values():
            if series.rate:
                series.at_cut = series.read()

    def mean_rate(
        self,
        name: str,
        t: float,
        topic: str | None = None,
        partition: int | None = None,
        group: str | None = None,
        client: str | None = None,
        broker: int | None = None,
        station: str | None = None,
    ) -> float | None:
        """The mean rate (a second) from the cut to ``t`` (s) of the series of a name with exactly these labels.

        None if there is no such rate or no time has passed.
        """
        if t <= self.cut_s:
            return None
        series = self._series.get((name, (topic, partition, group, client, broker, station)))
        if series is None or not series.rate:
            return None
        return (series.read() - series.at_cut) / (t - self.cut_s)

    def extreme(
        self,
        name: str,
        from_s: float = 0.0,
        topic: str | None = None,
        partition: int | None = None,
        group: str | None = None,
        client: str | None = None,
        broker: int | None = None,
        station: str | None = None,
    ) -> float | None:
        """The largest sample of a name at or after ``from_s`` (s), over all series with the given labels."""
        best: float | None = None
        asked: Labels = (topic, partition, group, client, broker, station)
        for series in self._ordered():
            if series.name != name or not _within(series.labels, asked):
                continue
            for i, value in enumerate(series.values):
                if self.times[series.skipped + i] >= from_s and (best is None or value > best):
                    best = value
        return best

    def values(
        self,
        name: str,
        topic: str | None = None,
        partition: int | None = None,
        group: str | None = None,
        client: str | None = None,
        broker: int | None = None,
        station: str | None = None,
    ) -> list[tuple[float, float]]:
        """(time (s), value) of the series of a name with exactly these labels; empty if there is none."""
        series = self._series.get((name, (topic, partition, group, client, broker, station)))
        if series is None:
            return []
        return [(self.times[series.skipped + i], value) for i, value in enumerate(series.values)]

    def label_values(self, name: str, label: str) -> list[str | int]:
        """The values of one label among the series of a name, sorted."""
        i = LABELS.index(label)
        found = {series.labels[i] for series in self._series.values() if series.name == name}
        return sorted((value for value in found if value is not None), key=str)

    def _ordered(self) -> list[Series]:
        return sorted(self._series.values(), key=_order)

    def rows(self) -> list[dict[str, object]]:
        """All samples in the long form: time, metric, labels, value; by series, then by time."""
        result: list[dict[str, object]] = []
        for series in self._ordered():
            head: dict[str, object] = {"time_s": 0.0, "metric": series.name}
            head.update(zip(LABELS, series.labels, strict=True))
            for i, value in enumerate(series.values):
                row = dict(head)
                row["time_s"] = self.times[series.skipped + i]
                row["value"] = value
                result.append(row)
        return result

    def wide(self, names: tuple[str, ...], labels: tuple[str, ...]) -> list[dict[str, object]]:
        """Samples of several names side by side: one row per time and set of ``labels``, one column per name.

        Only series that have exactly these labels. What a series has no sample for is None.
        """
        places = [LABELS.index(label) for label in labels]
        keys: dict[tuple[str | int | None, ...], dict[str, Series]] = {}
        for series in self._ordered():
            if series.name not in names:
                continue
            if any((label in labels) == (series.labels[i] is None) for i, label in enumerate(LABELS)):
                continue
            keys.setdefault(tuple(series.labels[i] for i in places), {})[series.name] = series
        result: list[dict[str, object]] = []
        for key, found in keys.items():
            for i in range(len(self.times)):
                row: dict[str, object] = {"time_s": self.times[i]}
                row.update(zip(labels, key, strict=True))
                some = False
                for name in names:
                    one = found.get(name)
                    if one is not None and i >= one.skipped:
                        row[name] = one.values[i - one.skipped]
                        some = True
                    else:
                        row[name] = None
                if some:
                    result.append(row)
        return result


def _order(series: Series) -> tuple[str | int, ...]:
    topic, partition, group, client, broker, station = series.labels
    return (
        series.name,
        topic or "",
        -1 if partition is None else partition,
        group or "",
        client or "",
        -1 if broker is None else broker,
        station or "",
    )


def _within(labels: Labels, asked: Labels) -> bool:
    """Whether ``labels`` have every value that is asked for."""
    for i in range(len(LABELS)):
        wanted = asked[i]
        if wanted is not None and labels[i] != wanted:
            return False
    return True
