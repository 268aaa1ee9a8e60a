"""How the cluster looked, over time: replicas in sync, partitions without leader, and how busy its stations were."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kafkasim.report import palette, words
from kafkasim.report.frame import CHARACTER_IN, Frame, legend, legend_rows, name, nothing
from kafkasim.report.reading import Reading
from kafkasim.report.samples import Line, Samples, largest_first
from kafkasim.report.words import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PARTITIONS: Final = 24
MOST_STATIONS: Final = 8


def replication(reading: Reading, samples: Samples) -> Figure:
    """Under-replicated and offline partitions as Kafka's metrics give them, and the ISR of each partition."""
    isr = _worst_first(samples.lines("isr_size"))
    shown = sorted(isr[:MOST_PARTITIONS], key=_partition)
    names = [f"{clean(line.labels['topic'], 28)}-{line.labels['partition']}" for line in shown]
    height = max(0.6, 0.2 * len(shown))
    rest = f"; {len(shown)} of {len(isr)} partitions are shown" if len(isr) > len(shown) else ""
    frame = Frame(
        reading,
        "Replication: what a dashboard shows, and the replicas in sync",
        f"as sampled at the end of each interval{rest}",
        (1.15, height),
        left_in=max(1.05, 0.35 + CHARACTER_IN * max(map(len, names), default=0)),
    )
    above, below = frame.panels
    name(above, "partitions")
    entries: list[tuple[Any, str]] = []
    highest = 1.0
    for metric, colour, dash in (
        ("UnderReplicatedPartitions", palette.SERIES[4], "-"),
        ("OfflinePartitionsCount", palette.SERIES[1], (0, (4, 1.4))),
    ):
        for line in samples.summed(metric):
            (drawn,) = above.plot(line.times, line.values, color=colour, linestyle=dash, drawstyle="steps-pre")
            entries.append((drawn, metric))
            highest = max(highest, line.largest)
    if entries:
        above.set_ylim(-0.03 * highest, 1.08 * highest)
        above.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        legend(above, entries)
    else:
        nothing(above, "not sampled")
    name(below, "replicas in the ISR")
    if shown:
        _isr(below, shown, names)
    else:
        nothing(below, "not sampled")
    return frame.figure


def _partition(line: Line) -> tuple[str, int]:
    number = line.labels["partition"]
    return str(line.labels["topic"]), number if isinstance(number, int) else 0


def _worst_first(lines: list[Line]) -> list[Line]:
    """Partitions whose ISR was ever short come first."""
    return sorted(lines, key=lambda line: (min(line.values, default=0.0) >= line.largest, _partition(line)))


def _isr(axes: Axes, lines: list[Line], names: list[str]) -> None:
    """A row a partition: green while the ISR is full, orange while it is short, red while there is no leader."""
    axes.set_ylim(len(lines), 0)
    axes.set_yticks([i + 0.5 for i in range(len(lines))])
    axes.set_yticklabels(names)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    kinds = (("full", palette.GOOD), ("short", palette.SERIES[4]), ("no leader", palette.SERIES[1]))
    seen: dict[str, str] = {}
    for i, line in enumerate(lines):
        full = line.largest
        for begin, end, value in runs(line):
            title, colour = kinds[0 if value >= full else 2 if value <= 0.0 else 1]
            seen[title] = colour
            axes.barh(i + 0.5, end - begin, 0.72, begin, color=colour, edgecolor="none")
            low, high = axes.get_xlim()
            if end - begin > 0.02 * (high - low):
                axes.text(
                    (begin + end) / 2, i + 0.5, f"{value:g}", ha="center", va="center_baseline", fontsize=8,
                    color="#101010", clip_on=True,
                )  # fmt: skip
    legend(axes, [(Patch(facecolor=colour), title) for title, colour in kinds if title in seen])


def runs(line: Line) -> list[tuple[float, float, float]]:
    """Spans of equal value: from, until, value. A sample stands for the interval that it ends."""
    found: list[tuple[float, float, float]] = []
    before = 0.0
    for t, value in zip(line.times, line.values, strict=True):
        if not math.isnan(value):
            if found and found[-1][2] == value and found[-1][1] == before:
                found[-1] = (found[-1][0], t, value)
            else:
                found.append((before, t, value))
        before = t
    return found


def utilisation(reading: Reading, samples: Samples) -> Figure:
    """How busy the busiest stations were, and what waited for the handlers."""
    lines = samples.lines("utilisation")
    shown = largest_first(lines, lambda line: line.mean)[:MOST_STATIONS]
    rest = f"; the {len(shown)} busiest of {len(lines)}" if len(lines) > len(shown) else ""
    frame = Frame(
        reading,
        "Utilisation: the share of each interval in which a station was busy",
        f"threads of a pool averaged{rest}",
        (1.9, 1.05),
        legend_rows=(legend_rows(len(shown), 3),),
    )
    above, below = frame.panels
    name(above, "busy")
    entries: list[tuple[Any, str]] = []
    for i, line in enumerate(shown):
        colour, dash = palette.line(i)
        (drawn,) = above.plot(line.times, line.values, color=colour, linestyle=dash, linewidth=1.3)
        entries.append((drawn, station(line)))
    if entries:
        above.set_ylim(0.0, max(0.05, min(1.0, 1.15 * max(line.largest for line in shown))))
        above.yaxis.set_major_locator(MaxNLocator(5))
        above.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.3g} %"))
        legend(above, entries, 3)
    else:
        nothing(above, "no station was sampled")
    name(below, "requests waiting for a handler")
    queues = samples.lines("RequestQueueSize")
    waiting: list[tuple[Any, str]] = []
    for i, line in enumerate(largest_first(queues, lambda line: line.mean)[:MOST_STATIONS]):
        colour, dash = palette.line(i)
        (drawn,) = below.plot(line.times, line.values, color=colour, linestyle=dash, linewidth=1.3)
        waiting.append((drawn, f"broker {line.labels['broker']}"))
    if waiting:
        below.set_ylim(0.0, max(1.0, 1.1 * max(line.largest for line in queues)))
        below.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.number(value)))
        legend(below, waiting)
    else:
        nothing(below, "not sampled")
    return frame.figure


def station(line: Line) -> str:
    """A station's name; with its broker if the name leaves it out."""
    text = str(line.labels["station"] or "").replace("_", " ")
    broker = line.labels["broker"]
    return text if broker is None or text.startswith(f"broker {broker}") else f"broker {broker} {text}".strip()
