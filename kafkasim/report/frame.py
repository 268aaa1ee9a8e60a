"""The frame of a figure over time: a lane of the scenario's events on top, their bands through every panel, and below
a strip that shows when clients could not write or read.

matplotlib's object interface only: no pyplot, no state that outlives a figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kafkasim.report import palette, words
from kafkasim.report.reading import Fault, Reading
from kafkasim.report.words import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_IN: Final = 9.6
LEFT_IN: Final = 1.05
RIGHT_IN: Final = 0.2
TITLE_IN: Final = 0.52
GAP_IN: Final = 0.34
BOTTOM_IN: Final = 0.5
LANE_IN: Final = 0.2
STRIP_IN: Final = 0.34
CHARACTER_IN: Final = 0.066
LEGEND_IN: Final = 0.185
LONGEST_LABEL: Final = 40


class Frame:
    """One figure: ``panels`` are its axes, from top to bottom."""

    def __init__(
        self,
        reading: Reading,
        title: str,
        subtitle: str,
        heights_in: tuple[float, ...],
        strip: bool = True,
        span_s: tuple[float, float] | None = None,
        left_in: float = LEFT_IN,
        legend_rows: tuple[int, ...] = (),
    ) -> None:
        self.reading = reading
        self.span_s = span_s or (0.0, max(reading.duration_s, 1e-9))
        self._left_in = left_in
        shown = [fault for fault in reading.faults if self._overlaps(fault)]
        lanes = _lanes(shown, self.span_s, WIDTH_IN - left_in - RIGHT_IN)
        lanes_in = LANE_IN * len(lanes)
        strip = strip and bool(reading.outages)
        gaps_in = [GAP_IN + LEGEND_IN * max(0, n - 1) for n in (*legend_rows, *[1] * len(heights_in))]
        total = TITLE_IN + lanes_in + sum(heights_in) + sum(gaps_in[: len(heights_in)]) + BOTTOM_IN
        total += STRIP_IN + 0.1 if strip else 0.0
        self.figure = Figure(figsize=(WIDTH_IN, total))
        self._total_in = total
        self._top_in = 0.0
        self._write(title, 0.02, 10.5, palette.INK, "bold")
        self._write(subtitle, 0.24, 8.5, palette.MUTED, "normal")
        self._top_in = TITLE_IN
        if lanes:
            axes = self._axes(lanes_in)
            _draw_lanes(axes, lanes, self.span_s)
        self.panels: list[Axes] = []
        for height_in, gap_in in zip(heights_in, gaps_in, strict=False):
            self._top_in += gap_in
            panel = self._axes(height_in)
            self._dress(panel, shown)
            self.panels.append(panel)
        last = self.panels[-1]
        for panel in self.panels[:-1]:
            panel.tick_params(labelbottom=False)
        if strip:
            self._top_in += 0.1
            last.tick_params(labelbottom=False)
            last = self._axes(STRIP_IN)
            self._dress(last, shown)
            _draw_strip(last, reading)
        last.set_xlabel("simulated time (s)")

    def _overlaps(self, fault: Fault) -> bool:
        return fault.at_s <= self.span_s[1] and (fault.over_s is None or fault.over_s >= self.span_s[0])

    def _write(self, text: str, top_in: float, size: float, colour: str, weight: str) -> None:
        self.figure.text(
            0.12 / WIDTH_IN,
            1.0 - (top_in + 0.06) / self._total_in,
            text,
            fontsize=size,
            color=colour,
            fontweight=weight,
            va="top",
        )

    def _axes(self, height_in: float) -> Axes:
        width = (WIDTH_IN - self._left_in - RIGHT_IN) / WIDTH_IN
        self._top_in += height_in
        bottom = 1.0 - self._top_in / self._total_in
        axes = self.figure.add_axes((self._left_in / WIDTH_IN, bottom, width, height_in / self._total_in))
        axes.set_xlim(*self.span_s)
        return axes

    def _dress(self, axes: Axes, faults: list[Fault]) -> None:
        axes.xaxis.set_major_locator(MaxNLocator(12, steps=[1, 2, 3, 5, 6, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        for fault in faults:
            edge, band = colours(fault)
            end = self.reading.duration_s if fault.over_s is None else fault.over_s
            axes.axvspan(fault.at_s, end, facecolor=band, edgecolor="none", zorder=0.1)
            axes.axvline(fault.at_s, color=edge, linewidth=1.0, zorder=0.9)
            if fault.over_s is not None:
                axes.axvline(fault.over_s, color=edge, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.9)
        if self.span_s[0] < self.reading.warmup_s < self.span_s[1]:
            axes.axvline(self.reading.warmup_s, color=palette.MUTED, linewidth=0.7, linestyle=(0, (1, 3)), zorder=0.5)


def colours(fault: Fault) -> tuple[str, str]:
    """Edge and band of an event."""
    order = palette.is_order(fault.event)
    return (palette.ORDER, palette.ORDER_BAND) if order else (palette.FAULT, palette.FAULT_BAND)


def label(fault: Fault) -> str:
    """What the lane says of an event."""
    span = "not over" if fault.over_s is None else f"over after {words.seconds(fault.over_s - fault.at_s)}"
    return f"{clean(fault.title, LONGEST_LABEL)}, {span}"


def _lanes(faults: list[Fault], span_s: tuple[float, float], width_in: float) -> list[list[Fault]]:
    """Events in as few lanes as their bands and labels need; at most five, the last takes the rest."""
    per_s = width_in / (span_s[1] - span_s[0])
    lanes: list[list[Fault]] = []
    ends: list[float] = []
    for fault in faults:
        begin = (fault.at_s - span_s[0]) * per_s
        text_in = len(label(fault)) * CHARACTER_IN
        over = ((fault.over_s or span_s[1]) - span_s[0]) * per_s
        begin_in = min(begin, max(0.0, width_in - text_in))
        end = max(over, begin_in + text_in)
        for i, free in enumerate(ends):
            if begin_in >= free:
                lanes[i].append(fault)
                ends[i] = end
                break
        else:
            if len(lanes) < 5:
                lanes.append([fault])
                ends.append(end)
            else:
                lanes[-1].append(fault)
    return lanes


def _draw_lanes(axes: Axes, lanes: list[list[Fault]], span_s: tuple[float, float]) -> None:
    axes.set_ylim(len(lanes), 0)
    axes.axis("off")
    per_s = axes.get_position().width * WIDTH_IN / (span_s[1] - span_s[0])
    for i, lane in enumerate(lanes):
        for fault in lane:
            edge, band = colours(fault)
            begin = max(fault.at_s, span_s[0])
            end = min(span_s[1] if fault.over_s is None else fault.over_s, span_s[1])
            axes.barh(i + 0.5, end - begin, 0.9, begin, color=band, edgecolor="none")
            axes.plot([begin, begin], [i + 0.05, i + 0.95], color=edge, linewidth=2.0, solid_capstyle="butt")
            text = label(fault)
            room = (span_s[1] - begin) * per_s
            right = room < len(text) * CHARACTER_IN
            axes.annotate(
                text,
                (span_s[1] if right else begin, i + 0.5),
                xytext=(-2 if right else 5, 0),
                textcoords="offset points",
                fontsize=8.5,
                color=edge,
                ha="right" if right else "left",
                va="center_baseline",
            )


def _draw_strip(axes: Axes, reading: Reading) -> None:
    """When any client could not write (upper row) or read (lower row)."""
    axes.set_ylim(2, 0)
    axes.set_yticks([0.5, 1.5], ["cannot write", "cannot read"])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    for row, kind, colour in ((0.5, "produce", palette.PRODUCE), (1.5, "consume", palette.CONSUME)):
        for begin, end in union(reading, kind):
            axes.barh(row, end - begin, 0.62, begin, color=colour, edgecolor=colour, linewidth=0.8)


def union(reading: Reading, kind: str) -> list[tuple[float, float]]:
    """When at least one outage of a kind was on, as disjoint spans."""
    spans: list[tuple[float, float]] = []
    for one in sorted((o for o in reading.outages if o.kind == kind), key=lambda o: o.from_s):
        if spans and one.from_s <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], one.until_s))
        else:
            spans.append((one.from_s, one.until_s))
    return spans


def legend(axes: Axes, entries: list[tuple[Any, str]], columns: int = 6) -> None:
    """A legend above the panel, at the right. The names are set afterwards: matplotlib drops those with a "_"."""
    if not entries:
        return
    made = axes.legend(
        [handle for handle, _ in entries],
        [str(i) for i in range(len(entries))],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=min(columns, len(entries)),
        borderpad=0.0,
        borderaxespad=0.35,
        handlelength=1.9,
        handletextpad=0.5,
        columnspacing=1.3,
    )
    for text, (_, name) in zip(made.get_texts(), entries, strict=True):
        text.set_text(clean(name, LONGEST_LABEL))


def legend_rows(entries: int, columns: int) -> int:
    """How many rows a legend takes."""
    return -(-entries // columns)


def name(axes: Axes, text: str) -> None:
    """What a panel shows, above it at the left."""
    axes.set_title(text, loc="left", fontsize=9.0, fontweight="bold", color=palette.INK, pad=5.0)


def nothing(axes: Axes, why: str) -> None:
    """Say in an empty panel that there is nothing to see."""
    axes.set_yticks([])
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color=palette.MUTED)
