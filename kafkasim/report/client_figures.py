"""What clients felt, over time: throughput, latency, lag, and when they could not write or read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from kafkasim.report import palette, words
from kafkasim.report.frame import CHARACTER_IN, Frame, colours, legend, legend_rows, name, nothing
from kafkasim.report.reading import Moment, Reading
from kafkasim.report.samples import Line, Samples, largest_first, wide
from kafkasim.report.words import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES: Final = 8
MOST_OUTAGES: Final = 24
MOST_STEPS: Final = 18
RATES: Final = ("records_in_per_s", "records_out_per_s", "bytes_in_per_s", "bytes_out_per_s")


def throughput(reading: Reading) -> Figure:
    """Records and bytes a second, in and out, per topic."""
    topics = wide(reading, "throughput", RATES, ("topic",))
    topics.sort(key=lambda one: -one[1]["records_in_per_s"].mean)
    frame = Frame(
        reading,
        "Throughput: what leaders appended and what consumers were given",
        f"mean rate of each interval, per topic{_limit(len(topics), 'topics')}",
        (1.75, 1.25),
        legend_rows=(legend_rows(2 * min(len(topics), MOST_LINES), 4),) * 2,
    )
    for panel, what, unit in zip(frame.panels, ("records", "bytes"), ("records/s", "bytes/s"), strict=True):
        name(panel, unit)
        entries: list[tuple[Any, str]] = []
        for i, (labels, lines) in enumerate(topics[:MOST_LINES]):
            into, out = lines[f"{what}_in_per_s"], lines[f"{what}_out_per_s"]
            colours_of_two = (palette.line(i)[0], palette.line(i)[0])
            if len(topics) == 1:
                colours_of_two = (palette.PRODUCE, palette.CONSUME)
            for line, colour, dash in zip((into, out), colours_of_two, ("-", (0, (4, 1.4))), strict=True):
                if all(map(math.isnan, line.values)):
                    continue
                direction = "in" if line is into else "out"
                (drawn,) = panel.plot(line.times, line.values, color=colour, linestyle=dash, drawstyle="steps-pre")
                title = direction if len(topics) == 1 else f"{labels['topic']} {direction}"
                entries.append((drawn, title))
        if entries:
            panel.set_ylim(bottom=0)
            panel.yaxis.set_major_locator(MaxNLocator(5))
            panel.yaxis.set_major_formatter(FuncFormatter(_bytes if what == "bytes" else _count))
            legend(panel, entries, 4)
        else:
            nothing(panel, "nothing was sampled")
    return frame.figure


def latency(reading: Reading) -> Figure:
    """Percentiles of what completed in each interval, per topic."""
    groups = wide(reading, "latency_over_time", ("p50_s", "p99_s", "max_s", "count"), ("topic", "kind"), breaks=True)
    topics = list(dict.fromkeys(str(labels["topic"]) for labels, _ in groups))
    topics.sort(key=lambda topic: -max(lines["count"].mean for labels, lines in groups if labels["topic"] == topic))
    frame = Frame(
        reading,
        "Latency: how long records took that completed at this time",
        f"from the intended time of a record; log scale; a gap: nothing completed{_limit(len(topics), 'topics', 3)}",
        (1.9, 1.9),
        legend_rows=(min(len(topics), 3),) * 2,
    )
    titles = {"produce": "produce: intended → acknowledged", "end_to_end": "end to end: intended → delivered"}
    for panel, kind in zip(frame.panels, titles, strict=True):
        name(panel, titles[kind])
        entries: list[tuple[Any, str]] = []
        for labels, lines in groups:
            if labels["kind"] != kind or labels["topic"] not in topics[:3]:
                continue
            i = topics.index(str(labels["topic"]))
            for j, (key, title) in enumerate((("p50_s", "p50"), ("p99_s", "p99"), ("max_s", "max"))):
                line = lines[key]
                if all(map(math.isnan, line.values)):
                    continue
                colour = palette.SERIES[(2, 0, 1)[j]] if len(topics) == 1 else palette.SERIES[i]
                style = ("-", (0, (4, 1.4)), (0, (1, 1)))[j]
                width = (1.8, 1.4, 1.0)[j]
                (drawn,) = panel.plot(line.times, line.values, color=colour, linestyle=style, linewidth=width)
                _lone(panel, line, colour)
                entries.append((drawn, title if len(topics) == 1 else f"{labels['topic']} {title}"))
        if entries:
            _log_seconds(panel)
            legend(panel, entries, 3 if len(topics) > 1 else 6)
        else:
            nothing(panel, "no record completed")
    return frame.figure


def _lone(panel: Axes, line: Line, colour: str) -> None:
    """A dot for a sample without neighbours, which no line would show."""
    values = [math.nan, *line.values, math.nan]
    alone = [
        i - 1
        for i in range(1, len(values) - 1)
        if not math.isnan(values[i]) and math.isnan(values[i - 1]) and math.isnan(values[i + 1])
    ]
    if alone:
        panel.plot(
            [line.times[i] for i in alone], [line.values[i] for i in alone], color=colour, marker=".", linestyle="none"
        )


def lag(reading: Reading, samples: Samples) -> Figure:
    """How far groups are behind the logs' ends."""
    lines = samples.summed("consumer_lag", ("group", "topic", "partition"))
    each = len(lines) <= MOST_LINES
    if not each:
        lines = samples.summed("consumer_lag", ("group", "topic"))
    shown = largest_first(lines, lambda line: line.largest)[:MOST_LINES]
    frame = Frame(
        reading,
        "Consumer lag: records in the logs that a group has not been given yet",
        f"per group and {'partition' if each else 'topic'}{_limit(len(lines), 'lines')}",
        (2.0,),
        legend_rows=(legend_rows(len(shown), 3),),
    )
    panel = frame.panels[0]
    name(panel, "records")
    entries: list[tuple[Any, str]] = []
    for i, line in enumerate(shown):
        colour, dash = palette.line(i)
        (drawn,) = panel.plot(line.times, line.values, color=colour, linestyle=dash)
        partition = f"-{line.labels['partition']}" if each else ""
        group = line.labels["group"] or line.labels.get("client") or ""
        entries.append((drawn, f"{group} {line.labels['topic'] or ''}{partition}".strip()))
    if entries:
        panel.set_ylim(bottom=0)
        panel.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        panel.yaxis.set_major_formatter(FuncFormatter(_count))
        legend(panel, entries, 3)
    else:
        nothing(panel, "no group was sampled")
    return frame.figure


def outages(reading: Reading) -> Figure:
    """Each row of unavailability as a bar."""
    shown = reading.outages[:MOST_OUTAGES]
    names = [f"{clean(one.client, 22)} · {clean(one.where, 30)}" for one in shown]
    left_in = min(3.9, 0.35 + CHARACTER_IN * max(map(len, names), default=0))
    frame = Frame(
        reading,
        "Unavailability: when clients waited and no record of the partition completed",
        f"per client and partition; the number is how long{_limit(len(reading.outages), 'rows', MOST_OUTAGES)}",
        (max(0.7, 0.24 * len(shown)),),
        strip=False,
        left_in=max(1.05, left_in),
    )
    panel = frame.panels[0]
    if not shown:
        nothing(panel, "nobody was kept waiting longer than the threshold")
        return frame.figure
    panel.set_ylim(len(shown), 0)
    panel.set_yticks([i + 0.5 for i in range(len(shown))])
    panel.set_yticklabels(names)
    panel.tick_params(axis="y", length=0)
    panel.grid(visible=False)
    begin, end = frame.span_s
    entries: dict[str, Any] = {}
    for i, one in enumerate(shown):
        colour = palette.PRODUCE if one.kind == "produce" else palette.CONSUME
        bar = panel.barh(i + 0.5, one.duration_s, 0.62, one.from_s, color=colour, edgecolor=colour, linewidth=0.8)
        entries.setdefault("cannot write" if one.kind == "produce" else "cannot read", bar)
        right = one.until_s > begin + 0.9 * (end - begin)
        note = words.seconds(one.duration_s) + (", open" if one.open else "")
        panel.annotate(
            note,
            (one.from_s if right else one.until_s, i + 0.5),
            xytext=(-4 if right else 4, 0),
            textcoords="offset points",
            ha="right" if right else "left",
            va="center_baseline",
            fontsize=8.5,
            color=palette.INK,
        )
    legend(panel, [(bar, title) for title, bar in entries.items()])
    return frame.figure


def chain(reading: Reading) -> Figure | None:
    """The steps from the fault behind the longest outage to its end, one below the other; None without one."""
    caused = [(one, reading.behind(one.cause)) for one in reading.outages]
    known = [(one, fault) for one, fault in caused if fault is not None]
    if not known:
        return None
    _, fault = max(known, key=lambda pair: pair[0].duration_s)
    if fault is None:
        return None
    mine = [one for one, other in known if other is fault]
    end = max(one.until_s for one in mine)
    steps = [
        moment
        for moment in reading.moments
        if moment.time_s <= end
        and moment.id != fault.id
        and moment.event != "follower_applied"
        and reading.behind(moment.id) is fault
    ]
    firsts: dict[tuple[str, str], Moment] = {}
    for moment in steps:
        firsts.setdefault((moment.event, _subject(moment)), moment)
    chosen = sorted(firsts.values(), key=lambda moment: (moment.time_s, moment.id))[:MOST_STEPS]
    length = max(end - fault.at_s, 1e-3)
    span = (max(0.0, fault.at_s - 0.04 * length), end + 0.16 * length)
    texts = [f"{clean(_step(moment), 40)} · {clean(moment.actor, 24)}" for moment in chosen]
    bars = [f"{'cannot write' if one.kind == 'produce' else 'cannot read'} {clean(one.where, 26)}" for one in mine[:8]]
    frame = Frame(
        reading,
        f"From the fault to the end of its outages: {clean(fault.title, 60)}",
        "first row of the timeline of each kind; the number is the time since the fault",
        (0.21 * (len(texts) + len(bars)),),
        strip=False,
        span_s=span,
        left_in=min(4.2, 0.35 + CHARACTER_IN * max(map(len, texts + bars), default=0)),
    )
    panel = frame.panels[0]
    name(panel, "steps")
    rows = texts + bars
    panel.set_ylim(len(rows), 0)
    panel.set_yticks([i + 0.5 for i in range(len(rows))])
    panel.set_yticklabels(rows)
    panel.tick_params(axis="y", length=0)
    panel.grid(visible=False)
    edge, _ = colours(fault)
    for i, moment in enumerate(chosen):
        panel.plot([fault.at_s, moment.time_s], [i + 0.5, i + 0.5], color=palette.MUTED, linewidth=0.6, zorder=1.0)
        panel.plot([moment.time_s], [i + 0.5], color=edge, marker="o", markersize=4.5, linestyle="none", zorder=2.0)
        _beside(panel, moment.time_s, i + 0.5, _since(moment.time_s - fault.at_s))
    for i, one in enumerate(mine[: len(bars)], len(texts)):
        colour = palette.PRODUCE if one.kind == "produce" else palette.CONSUME
        panel.barh(i + 0.5, one.duration_s, 0.6, one.from_s, color=colour, edgecolor="none", zorder=2.0)
        _beside(panel, one.until_s, i + 0.5, words.seconds(one.duration_s) + (", open" if one.open else ""))
    return frame.figure


def _subject(moment: Moment) -> str:
    """The partition or topic that a row is about, where there may be several rows of its kind."""
    if not moment.event.startswith(("leader", "isr", "first")):
        return ""
    subject = moment.detail.split(":")[0].split(" ")[0]
    return subject.rpartition("-")[0] or subject if subject.startswith("__") else subject


def _step(moment: Moment) -> str:
    return f"{moment.event.replace('_', ' ')} {_subject(moment)}".strip()


def _since(span_s: float) -> str:
    return f"+{span_s:.3f} s" if span_s >= 1.0 else f"+{words.seconds(span_s)}"


def _beside(panel: Axes, x: float, y: float, text: str) -> None:
    panel.annotate(
        text, (x, y), xytext=(6, 0), textcoords="offset points", ha="left", va="center_baseline", fontsize=8.5,
        color=palette.INK, zorder=3.0,
    )  # fmt: skip


def _limit(number: int, what: str, most: int = MOST_LINES) -> str:
    return f"; {most} of {number} {what} are shown" if number > most else ""


def _count(value: float, _: int) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2g}"


def _bytes(value: float, _: int) -> str:
    return words.size(value, "/s") if value else "0"


def _log_seconds(panel: Axes) -> None:
    panel.set_yscale("log")
    low, high = panel.get_ylim()
    if high / max(low, 1e-12) < 12.0:
        middle = math.sqrt(low * high)
        panel.set_ylim(min(low, middle / 4.0), max(high, middle * 4.0))
    panel.yaxis.set_major_locator(LogLocator(10.0, numticks=8))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.seconds(value)))
    panel.yaxis.set_minor_formatter(NullFormatter())
