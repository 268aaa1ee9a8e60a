"""Colours and style of the figures: told apart by the colour-blind (Okabe and Ito), legible on light and dark pages.

The PNG files are drawn with the light colours; in the page's SVG each of them becomes a CSS variable.
"""

from __future__ import annotations

from typing import Final

INK: Final = "#1f2430"
MUTED: Final = "#667085"
GRID: Final = "#e4e7ec"
PAPER: Final = "#ffffff"
FAULT: Final = "#b42318"
FAULT_BAND: Final = "#fce5e1"
ORDER: Final = "#3f5f8a"
ORDER_BAND: Final = "#e3ebf5"
GOOD: Final = "#cfe8df"
SERIES: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8c6d31")
PRODUCE: Final = SERIES[1]
CONSUME: Final = SERIES[0]

VARIABLES: Final[dict[str, str]] = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    PAPER: "--paper",
    FAULT: "--fault",
    FAULT_BAND: "--fault-band",
    ORDER: "--order",
    ORDER_BAND: "--order-band",
    GOOD: "--good",
    **{colour: f"--s{i}" for i, colour in enumerate(SERIES)},
}
"""Colour of a figure -> CSS variable of the page."""

DASHES: Final = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))

STYLE: Final[dict[str, object]] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.unicode_minus": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "figure.facecolor": PAPER,
    "savefig.facecolor": "auto",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "butt",
    "svg.fonttype": "none",
    "path.simplify": True,
}


def line(i: int) -> tuple[str, object]:
    """Colour and dashes of the i-th line of a figure: no two of the first 32 are alike."""
    return SERIES[i % len(SERIES)], DASHES[i // len(SERIES) % len(DASHES)]


def is_order(event: str) -> bool:
    """Whether an event of the scenario is an order to the cluster rather than a fault."""
    return event.startswith(("elect", "add", "alter", "reassign", "create", "delete", "restart", "roll"))
