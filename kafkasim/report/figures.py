"""The figures of a finished run: PNG files of steady bytes, and the same as SVG for the page.

Importing this module does not import matplotlib; drawing does.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

from kafkasim.report import palette
from kafkasim.report.reading import Reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PNG_DPI: Final = 130
DIRECTORY: Final = "figures"


@dataclass(frozen=True)
class Picture:
    """One figure: ``name`` is its file's, ``alt`` says in a sentence what it shows."""

    name: str
    alt: str
    figure: Figure

    def png(self) -> bytes:
        """The figure as PNG, light; the same bytes each time."""
        with _style():
            buffer = io.BytesIO()
            self.figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
            return buffer.getvalue()

    def svg(self) -> str:
        """The figure as an ``<svg>`` element to stand in a page: its colours are variables of the page."""
        with _style(f"kafkasim {self.name}"):
            buffer = io.BytesIO()
            self.figure.savefig(
                buffer,
                format="svg",
                transparent=True,
                metadata={"Date": None, "Creator": None, "Type": None, "Format": None},
            )
        return _inline(buffer.getvalue(), self.name, self.alt)


def draw(reading: Reading) -> list[Picture]:
    """All figures of a run, in the order in which the page shows them."""
    with _style():
        from kafkasim.report import client_figures, cluster_figures
        from kafkasim.report.samples import Samples

        samples = Samples(reading)
        pictures = []
        chain = client_figures.chain(reading)
        if chain is not None:
            pictures.append(Picture("chain", "The steps from the fault to the end of its outages.", chain))
        pictures += [
            Picture("unavailability", "When clients could not write or read.", client_figures.outages(reading)),
            Picture("throughput", "Records and bytes a second over time.", client_figures.throughput(reading)),
            Picture("latency", "Latency percentiles over time.", client_figures.latency(reading)),
            Picture("lag", "Consumer lag over time.", client_figures.lag(reading, samples)),
            Picture("replication", "In-sync replicas over time.", cluster_figures.replication(reading, samples)),
            Picture("utilisation", "Busy stations over time.", cluster_figures.utilisation(reading, samples)),
        ]
        return pictures


def save(pictures: list[Picture], directory: Path) -> list[Path]:
    """Write the PNG files into ``directory``/figures; return them."""
    target = directory / DIRECTORY
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for picture in pictures:
        path = target / f"{picture.name}.png"
        path.write_bytes(picture.png())
        paths.append(path)
    return paths


@contextmanager
def _style(salt: str = "kafkasim") -> Iterator[None]:
    """matplotlib's own defaults with our style, whatever the user's configuration says; restored afterwards."""
    import matplotlib

    with warnings.catch_warnings():
        # A name in a script that DejaVu lacks is drawn as boxes; the page's SVG shows it.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            style: dict[Any, Any] = {**palette.STYLE, "svg.hashsalt": salt}
            matplotlib.rcParams.update(style)
            yield


_REFERENCE: Final = re.compile(r"url\(#([^)]+)\)")


def _inline(document: bytes, prefix: str, alt: str) -> str:
    """The ``<svg>`` element of a document: no namespaces, ids of its own, the page's colours and fonts."""
    root = ElementTree.fromstring(document)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}title", "}style")):
                parent.remove(child)
    for node in root.iter():
        node.tag = node.tag.rsplit("}", 1)[-1]
        node.attrib = {
            key.rsplit("}", 1)[-1]: _own(key.rsplit("}", 1)[-1], value, prefix) for key, value in node.attrib.items()
        }
    width, height = root.attrib.pop("width", ""), root.attrib.pop("height", "")
    root.attrib.pop("version", None)
    root.set("role", "img")
    root.set("aria-label", alt)
    root.set("class", "figure")
    shape = f"{width.removesuffix('pt')} / {height.removesuffix('pt')}"
    root.set("style", f"aspect-ratio: {shape}; stroke-linejoin: round; stroke-linecap: butt")
    return ElementTree.tostring(root, encoding="unicode")


def _own(key: str, value: str, prefix: str) -> str:
    if key == "id":
        return f"{prefix}-{value}"
    if key == "href":
        return f"#{prefix}-{value[1:]}" if value.startswith("#") else value
    value = _REFERENCE.sub(lambda found: f"url(#{prefix}-{found[1]})", value)
    if key in ("style", "fill", "stroke"):
        for colour, variable in palette.VARIABLES.items():
            value = value.replace(colour, f"var({variable})")
        value = value.replace("'DejaVu Sans', sans-serif", "var(--sans)").replace("'DejaVu Sans'", "var(--sans)")
    return value
