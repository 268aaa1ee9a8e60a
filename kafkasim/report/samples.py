"""The time series of a result, by metric and labels, as lists to draw."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from kafkasim.metrics.series import LABELS
from kafkasim.report.reading import Reading, real

Label = str | int | None


@dataclass
class Line:
    """One series: its labels and samples. Where nothing was sampled in between, a NaN breaks the line."""

    labels: dict[str, Label]
    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    @property
    def largest(self) -> float:
        """The largest sample; 0 without any."""
        return max((value for value in self.values if not math.isnan(value)), default=0.0)

    @property
    def mean(self) -> float:
        """The mean sample; 0 without any."""
        known = [value for value in self.values if not math.isnan(value)]
        return sum(known) / len(known) if known else 0.0


class Samples:
    """All series of a run."""

    def __init__(self, reading: Reading) -> None:
        self.metrics: dict[str, dict[tuple[Label, ...], Line]] = {}
        for row in reading.table("series", "metric", "time_s", "value", *LABELS):
            value = real(row[2])
            labels = tuple(one if isinstance(one, str | int) else None for one in row[3:])
            lines = self.metrics.setdefault(str(row[0]), {})
            line = lines.get(labels)
            if line is None:
                line = lines[labels] = Line(dict(zip(LABELS, labels, strict=True)))
            line.times.append(real(row[1]) or 0.0)
            line.values.append(math.nan if value is None else value)

    def lines(self, metric: str) -> list[Line]:
        """The series whose metric's name is ``metric``, or begins with it and goes on with a unit."""
        found: list[Line] = []
        for name, lines in self.metrics.items():
            if name == metric or name.startswith(f"{metric}_"):
                found += lines.values()
        return found

    def summed(self, metric: str, by: tuple[str, ...] = ()) -> list[Line]:
        """The series of a metric added up over all labels but ``by``."""
        totals: dict[tuple[Label, ...], dict[float, float]] = {}
        for line in self.lines(metric):
            total = totals.setdefault(tuple(line.labels[name] for name in by), {})
            for t, value in zip(line.times, line.values, strict=True):
                total[t] = total.get(t, 0.0) + (0.0 if math.isnan(value) else value)
        return [
            Line(dict(zip(by, key, strict=True)), sorted(total), [total[t] for t in sorted(total)])
            for key, total in totals.items()
        ]


def wide(
    reading: Reading, table: str, names: tuple[str, ...], by: tuple[str, ...], breaks: bool = False
) -> list[tuple[dict[str, Label], dict[str, Line]]]:
    """A table's columns ``names`` over time, for each set of ``by``; rows of one client or broker are left out.

    ``breaks``: a line breaks where an interval has no row.
    """
    found: dict[tuple[Label, ...], dict[str, Line]] = {}
    for row in reading.table(table, "client", "broker", "time_s", *by, *names):
        if row[0] is not None or row[1] is not None:
            continue
        key = tuple(one if isinstance(one, str | int) else None for one in row[3 : 3 + len(by)])
        lines = found.setdefault(key, {name: Line(dict(zip(by, key, strict=True))) for name in names})
        for name, value in zip(names, row[3 + len(by) :], strict=True):
            known = real(value)
            lines[name].times.append(real(row[2]) or 0.0)
            lines[name].values.append(math.nan if known is None else known)
    if breaks:
        for lines in found.values():
            for line in lines.values():
                _break(line)
    return [(dict(zip(by, key, strict=True)), lines) for key, lines in found.items()]


def _break(line: Line) -> None:
    """Put a NaN into each gap of more than one and a half intervals."""
    steps = [b - a for a, b in zip(line.times, line.times[1:], strict=False) if b > a]
    if not steps:
        return
    step = sorted(steps)[len(steps) // 2]
    times: list[float] = []
    values: list[float] = []
    for t, value in zip(line.times, line.values, strict=True):
        if times and t - times[-1] > 1.5 * step:
            times += [times[-1] + step / 2, t - step / 2]
            values += [math.nan, math.nan]
        times.append(t)
        values.append(value)
    line.times, line.values = times, values


def largest_first(lines: list[Line], weight: Callable[[Line], float]) -> list[Line]:
    """Lines by weight, equal ones in their order."""
    return sorted(lines, key=lambda line: -weight(line))
