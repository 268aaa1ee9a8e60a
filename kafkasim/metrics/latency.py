"""Latency of records, recorded by the batch.

Models what a benchmark's latency collector would have seen, without coordinated omission: a latency is a
completion time less the *intended* creation time. One row a batch and kind (``produce``, ``commit``,
``end_to_end``); rows are collected in a block and folded into log-linear histograms. Only records intended within
``[warmup, duration)`` count; a batch that straddles a border is split.

How the records of a batch are spread between its first and last intended time: paced, equally spaced: the points
themselves up to eight records and wherever the spacing is more than 1 % of the value, a spread with half a spacing
at both ends elsewhere. Random: the first and the last as points, those between as a spread.

Left out: rows of single records, and who waited for what (that is ``availability``).
"""

from __future__ import annotations

from array import array
from fractions import Fraction
from typing import Final

import numpy as np

from kafkasim.metrics.histogram import Floats, Histogram

KINDS: Final = ("produce", "commit", "end_to_end")
BLOCK: Final = 4 * 1024
"""Numbers in a full block (four a row)."""
POINTS: Final = 8.0
"""Paced batches of up to this many records are counted as points."""
FINE: Final = 100.0
"""A value of at least this many spacings may be spread: half a spacing is then at most 0.5 % of it."""
SLACK_S: Final = 1e-9

PERCENTILES: Final = (
    ("p50_s", Fraction(1, 2)),
    ("p90_s", Fraction(9, 10)),
    ("p95_s", Fraction(95, 100)),
    ("p99_s", Fraction(99, 100)),
    ("p999_s", Fraction(999, 1000)),
    ("p9999_s", Fraction(9999, 10_000)),
)
Span = tuple[float, float, int]
"""First and last intended time (s) and the number of records."""
Group = tuple[str, str, str | None, int | None]
"""Topic, kind, client and broker; None: all of them."""


def records_before(first: float, last: float, n: int, paced: bool, at: float) -> int:
    """How many of ``n`` records intended from ``first`` to ``last`` are intended before ``at`` (s).

    Exact for paced records; of random ones the first and the last exactly, those between by their share.
    """
    if n <= 0 or first >= at:
        return 0
    if last < at:
        return n
    if n <= 2:
        return 1
    if not paced:
        return 1 + round((n - 2) * (at - first) / (last - first))
    spacing = (last - first) / (n - 1)
    i = min(max(int((at - first) / spacing), 1), n - 1)
    while i > 1 and first + (i - 1) * spacing >= at:
        i -= 1
    while i < n - 1 and first + i * spacing < at:
        i += 1
    return i


class LatencyRecorder:
    """The latencies of one key: topic, kind, client, broker, and whether its records are paced.

    ``record`` is the hot path: four numbers into a block, folded when it is full.
    """

    def __init__(
        self,
        topic: str,
        kind: str,
        client: str | None,
        broker: int | None,
        paced: bool,
        warmup_s: float,
        duration_s: float,
    ) -> None:
        self.topic: Final = topic
        self.kind: Final = kind
        self.client: Final = client
        self.broker: Final = broker
        self.paced: Final = paced
        self.total: Final = Histogram()
        """What was folded up to the last closed interval."""
        self.interval: Final = Histogram()
        """What was folded since."""
        self._warmup_s: float = warmup_s
        self._duration_s: float = duration_s
        self._rows: list[float] = []

    def record(self, t: float, first: float, last: float, n: int) -> None:
        """At ``t`` (s), ``n`` records intended from ``first`` to ``last`` (s) completed."""
        rows = self._rows
        rows += (t, first, last, n)
        if len(rows) >= BLOCK:
            self.fold()

    def fold(self) -> None:
        """Count the rows collected so far.

        Raises:
            ValueError: if a row completed before it was intended, ends before it begins, or holds no record.
        """
        if not self._rows:
            return
        rows = np.array(array("d", self._rows)).reshape(-1, 4)
        self._rows = []
        t, first, last, n = np.ascontiguousarray(rows.T)
        if bool((last > t + SLACK_S).any() or (first > last + SLACK_S).any() or (n < 1.0).any()):
            raise ValueError(f"{self.kind} latency of {self.topic}: a row is out of order or holds no record")
        if float(first.min()) < self._warmup_s or float(last.max()) >= self._duration_s:
            t, first, last, n = self._cut(t, first, last, n)
        if self.paced:
            self._fold_paced(t, first, last, n)
        else:
            self._fold_random(t, first, last, n)

    def close_interval(self) -> None:
        """Move the interval's counts to the total."""
        self.total.merge(self.interval)
        self.interval.clear()

    def _fold_paced(self, t: Floats, first: Floats, last: Floats, n: Floats) -> None:
        if len(t) == 0:
            return
        nearest = t - last
        spacing = np.maximum(last - first, 0.0) / np.maximum(n - 1.0, 1.0)
        flat = spacing <= 0.0
        coarse = np.ceil(FINE - nearest / np.where(flat, 1.0, spacing)).clip(0.0, n)
        points = np.where(flat, 0.0, np.where(n <= POINTS, n, coarse))
        counts = points.astype(np.int64)
        size = int(counts.sum())
        if size:
            place = np.arange(size) - np.repeat(np.cumsum(counts) - counts, counts)
            self.interval.add_points(np.repeat(nearest, counts) + place * np.repeat(spacing, counts))
        rest = n - points
        some = rest > 0.0
        if some.any():
            margins = np.where(rest > 1.0, spacing * 0.5, 0.0)[some]
            lows = (nearest + points * spacing)[some]
            self.interval.add_spreads(lows, (t - first)[some], rest[some], margins)

    def _fold_random(self, t: Floats, first: Floats, last: Floats, n: Floats) -> None:
        if len(t) == 0:
            return
        nearest = t - last
        farthest = t - first
        several = n > 1.0
        self.interval.add_points(np.concatenate((nearest, farthest[several])))
        many = n > 2.0
        self.interval.add_spreads(nearest[many], farthest[many], n[many] - 2.0)

    def _cut(self, t: Floats, first: Floats, last: Floats, n: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Keep what was intended within [warmup, duration); rare: only near the two borders."""
        low = self._warmup_s
        high = self._duration_s
        kept = (first >= low) & (last < high)
        straddling = ~kept & (last >= low) & (first < high)
        for i in np.flatnonzero(straddling).tolist():
            self._split(float(t[i]), float(first[i]), float(last[i]), int(n[i]))
        return t[kept], first[kept], last[kept], n[kept]

    def _split(self, t: float, first: float, last: float, n: int) -> None:
        low = self._warmup_s
        high = self._duration_s
        before = records_before(first, last, n, self.paced, low)
        until = records_before(first, last, n, self.paced, high)
        if self.paced:
            spacing = (last - first) / max(n - 1, 1)
            times: Floats = first + np.arange(before, until, dtype=np.float64) * spacing
            if until == n and until > before:
                times[-1] = last
            self.interval.add_points(t - times)
            return
        ends = [t - at for at in ((first, last) if n > 1 else (first,)) if low <= at < high]
        self.interval.add_points(np.array(ends, dtype=np.float64))
        inner = until - before - len(ends)
        if inner > 0:
            lows = np.array([t - min(last, high)])
            highs = np.array([t - max(first, low)])
            self.interval.add_spreads(lows, highs, np.array([float(inner)]))


class Unfinished:
    """Records of one key that failed, or were unfinished when the run ended, as spans of intended time."""

    def __init__(self, paced: bool, failed: list[Span], censored: list[Span]) -> None:
        self.paced: Final = paced
        self.failed: Final = failed
        self.censored: Final = censored


class LatencyBook:
    """All latency recorders of a run, and the rows that results give of them.

    ``recorder`` hands out a recorder once per key, when clients and brokers are built; afterwards nothing is looked
    up by name. ``close_interval`` is called every ``interval_s`` by the simulation, ``finish`` at the end.

    >>> book = LatencyBook(warmup_s=0.0, duration_s=60.0)
    >>> recorder = book.recorder("tweets", "produce", client="app", broker=1)
    >>> for i in range(1000):
    ...     recorder.record(t=i * 0.01 + 0.010, first=i * 0.01, last=i * 0.01 + 0.009, n=10)
    >>> book.finish(60.0)
    >>> row = book.summary_rows()[0]
    >>> row["count"], row["p50_s"] is not None, row["p9999_s"], row["reason"]["p9999_s"]
    (10000, True, None, 'rests on 10000 records, needs 100000')
    """

    def __init__(
        self,
        warmup_s: float,
        duration_s: float,
        levels: tuple[str, ...] = ("topic", "client", "broker"),
    ) -> None:
        """``levels``: what rows over time and summary rows are given for, besides the kind."""
        if not 0.0 <= warmup_s <= duration_s:
            raise ValueError(f"warmup {warmup_s} s must lie within the run of {duration_s} s")
        unknown = set(levels) - {"topic", "client", "broker"}
        if unknown:
            raise ValueError(f"no such level: {', '.join(sorted(unknown))}")
        self.warmup_s: Final = warmup_s
        self.duration_s: Final = duration_s
        self.levels: Final = levels
        self.end_s: float = duration_s
        self.over_time: Final[list[dict[str, object]]] = []
        """Rows of closed intervals, in order."""
        self._recorders: dict[tuple[str, str, str | None, int | None, bool], LatencyRecorder] = {}
        self._groups: dict[Group, list[LatencyRecorder]] = {}
        self._unfinished: dict[Group, list[Unfinished]] = {}

    def recorder(
        self, topic: str, kind: str, client: str | None = None, broker: int | None = None, paced: bool = True
    ) -> LatencyRecorder:
        """The recorder of a key, made on first asking.

        Raises:
            ValueError: if ``kind`` is none of ``produce``, ``commit``, ``end_to_end``.
        """
        if kind not in KINDS:
            raise ValueError(f"no such kind of latency: {kind}; one of {', '.join(KINDS)}")
        key = (topic, kind, client, broker, paced)
        known = self._recorders.get(key)
        if known is not None:
            return known
        made = LatencyRecorder(topic, kind, client, broker, paced, self.warmup_s, self.duration_s)
        self._recorders[key] = made
        for group in self._groups_of(topic, kind, client, broker):
            self._groups.setdefault(group, []).append(made)
        return made

    def close_interval(self, t: float) -> None:
        """Give one row per group for what completed since the last call; the row carries the time ``t`` (s).

        Groups without a completion have no row. A percentile is None unless it rests on 10 / (1 - p) records.
        """
        for recorder in self._recorders.values():
            recorder.fold()
        for group in sorted(self._groups, key=_order):
            active = [recorder.interval for recorder in self._groups[group] if recorder.interval.count]
            if not active:
                continue
            histogram = active[0] if len(active) == 1 else _merged(active)
            values = _interval_values(histogram)
            self.over_time.append(
                {
                    "time_s": t,
                    "topic": group[0],
                    "kind": group[1],
                    "client": group[2],
                    "broker": group[3],
                    "count": histogram.count,
                    "p50_s": values[0],
                    "p99_s": values[1],
                    "max_s": histogram.largest,
                }
            )
        for recorder in self._recorders.values():
            if recorder.interval.count:
                recorder.close_interval()

    def unfinished(
        self,
        topic: str,
        kind: str,
        client: str | None = None,
        broker: int | None = None,
        *,
        failed: list[Span] | None = None,
        censored: list[Span] | None = None,
        paced: bool = True,
    ) -> None:
        """Note, at the end of the run, what failed and what was unfinished, as spans (first, last, n).

        Several calls for one key add up. Without a ``broker`` they count for the topic and the client only.
        """
        if kind not in KINDS:
            raise ValueError(f"no such kind of latency: {kind}; one of {', '.join(KINDS)}")
        note = Unfinished(paced, list(failed or ()), list(censored or ()))
        for group in self._groups_of(topic, kind, client, broker):
            self._unfinished.setdefault(group, []).append(note)

    def finish(self, t: float) -> None:
        """End the run at ``t`` (s): the rest of the rows is folded, as an interval of its own if there is any."""
        self.end_s = t
        self.close_interval(t)

    def summary_rows(self) -> list[dict[str, object]]:
        """One row per topic and kind, per client of it and per broker of it: see docs/results.md, "latency"."""
        groups = sorted(set(self._groups) | set(self._unfinished), key=_order)
        return [self.row(*group) for group in groups]

    def row(self, topic: str, kind: str, client: str | None = None, broker: int | None = None) -> dict[str, object]:
        """The summary row of one group (after ``finish``)."""
        group: Group = (topic, kind, client, broker)
        histogram = self._histogram(group)
        failed = self._failed(group)
        row: dict[str, object] = {
            "topic": topic,
            "kind": kind,
            "client": client,
            "broker": broker,
            "count": histogram.count,
        }
        reason: dict[str, str] = {}
        for name, p in PERCENTILES:
            value, why = self._percentile(group, histogram, p)
            row[name] = value
            if value is None:
                reason[name] = why
        value, why = self._percentile(group, histogram, Fraction(1))
        row["max_s"] = value
        if value is None:
            reason["max_s"] = why
        row["max_finished_s"] = histogram.largest if histogram.count else None
        row["failed"] = failed
        row["censored"] = self._censored(group, self.end_s + 1.0)
        row["oldest_censored_s"] = self._oldest(group)
        row["reason"] = reason
        return row

    def percentile(
        self, p: Fraction, topic: str, kind: str, client: str | None = None, broker: int | None = None
    ) -> tuple[float | None, str]:
        """A percentile (s) of one group and, when it is None, the reason. ``Fraction(1)`` asks for the largest."""
        group: Group = (topic, kind, client, broker)
        return self._percentile(group, self._histogram(group), p)

    def _percentile(self, group: Group, histogram: Histogram, p: Fraction) -> tuple[float | None, str]:
        finished = histogram.count
        failed = self._failed(group)
        known = finished + failed
        # First without the unfinished, then with those whose age exceeds what was found.
        found = _at_fraction(histogram, p, known)
        older = self._censored(group, self.end_s + 1.0 if found is None else self.end_s - found)
        n = known + older
        if n == 0:
            return None, "no records"
        needed = 1 if p == 1 else -(-(10 * p.denominator) // (p.denominator - p.numerator))
        if n < needed:
            return None, f"rests on {n} records, needs {needed}"
        value = _at_fraction(histogram, p, n)
        if value is None:
            return None, f"{failed + older} of {n} records failed or unfinished"
        return value, ""

    def _histogram(self, group: Group) -> Histogram:
        parts: list[Histogram] = []
        for recorder in self._groups.get(group, []):
            recorder.fold()
            parts.append(recorder.total)
            parts.append(recorder.interval)
        return _merged(parts)

    def _failed(self, group: Group) -> int:
        return sum(
            self._in_window(span, note.paced, self.duration_s)
            for note in self._unfinished.get(group, [])
            for span in note.failed
        )

    def _censored(self, group: Group, before: float) -> int:
        """Unfinished records intended in the window and before ``before`` (s)."""
        return sum(
            self._in_window(span, note.paced, min(before, self.duration_s))
            for note in self._unfinished.get(group, [])
            for span in note.censored
        )

    def _in_window(self, span: Span, paced: bool, before: float) -> int:
        first, last, n = span
        until = records_before(first, last, n, paced, before)
        return max(0, until - records_before(first, last, n, paced, self.warmup_s))

    def _oldest(self, group: Group) -> float | None:
        """Age (s) of the oldest unfinished record of the window."""
        oldest: float | None = None
        for note in self._unfinished.get(group, []):
            for first, last, n in note.censored:
                if last < self.warmup_s or first >= self.duration_s or n < 1:
                    continue
                intended = first
                if first < self.warmup_s:
                    intended = self.warmup_s
                    if note.paced and n > 1:
                        before = records_before(first, last, n, True, self.warmup_s)
                        intended = first + before * (last - first) / (n - 1)
                if oldest is None or intended < oldest:
                    oldest = intended
        return None if oldest is None else self.end_s - oldest

    def _groups_of(self, topic: str, kind: str, client: str | None, broker: int | None) -> list[Group]:
        groups: list[Group] = []
        if "topic" in self.levels:
            groups.append((topic, kind, None, None))
        if "client" in self.levels and client is not None:
            groups.append((topic, kind, client, None))
        if "broker" in self.levels and broker is not None:
            groups.append((topic, kind, None, broker))
        return groups


def _order(group: Group) -> tuple[str, int, str, int]:
    broker = -1 if group[3] is None else group[3]
    return (group[0], KINDS.index(group[1]), group[2] or "", broker)


def _merged(parts: list[Histogram]) -> Histogram:
    whole = Histogram()
    for part in parts:
        whole.merge(part)
    return whole


def _at_fraction(histogram: Histogram, p: Fraction, n: int) -> float | None:
    """The value at rank ⌈p · n⌉ of ``n`` records of which the histogram holds the finished ones."""
    if n == 0:
        return None
    rank = max(1, -(-p.numerator * n // p.denominator))
    if p == 1 and rank == histogram.count:
        return histogram.largest
    return histogram.at_rank(rank)


def _interval_values(histogram: Histogram) -> list[float | None]:
    n = histogram.count
    ranks = [-(-n // 2) if n >= 20 else 0, -(-99 * n // 100) if n >= 1000 else 0]
    return histogram.at_ranks(ranks)
