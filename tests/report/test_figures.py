"""The figures: all faults are visible, bytes are steady, names are harmless, nothing global changes."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from report_samples import EVIL, broken, empty, hostile

from kafkasim.report import figures
from kafkasim.report.reading import read
from kafkasim.results import Result

NAMES = ["chain", "unavailability", "throughput", "latency", "lag", "replication", "utilisation"]
HERE = Path(__file__).parent


@cache
def drawn(sample: str) -> dict[str, figures.Picture]:
    """The figures of a sample, drawn once for all tests that only look at them."""
    makers = {"broken": broken, "empty": empty, "hostile": hostile}
    return {picture.name: picture for picture in figures.draw(read(makers[sample]()))}


def digests(result: Result) -> dict[str, str]:
    pictures = figures.draw(read(result))
    return {picture.name: hashlib.sha256(picture.png() + picture.svg().encode()).hexdigest() for picture in pictures}


def test_png_and_svg_have_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    """Whatever the hash seed, and whatever the user's matplotlibrc says."""
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\nsavefig.dpi: 33\nfont.size: 30\n")
    code = "import report_samples, test_figures; print(test_figures.digests(report_samples.broken()))"
    path = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, "PYTHONHASHSEED": "77", "MPLCONFIGDIR": str(tmp_path), "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, env=variables, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    mine = digests(broken())
    assert list(mine) == NAMES
    assert done.stdout.strip() == str(mine)


@pytest.mark.parametrize("sample", ["broken", "empty", "hostile"])
def test_every_figure_of_every_result_is_drawn(sample: str, tmp_path: Path) -> None:
    paths = figures.save(list(drawn(sample).values()), tmp_path)
    wanted = NAMES if sample == "broken" else NAMES[1:]
    assert [path.stem for path in paths] == wanted
    for path in paths:
        png = path.read_bytes()
        assert png.startswith(b"\x89PNG") and len(png) > 5000
        assert b"Matplotlib" not in png and b"tIME" not in png


@pytest.mark.parametrize("name", NAMES)
def test_every_fault_is_a_band_in_every_figure(name: str) -> None:
    picture = drawn("broken")[name]
    figure = picture.figure
    bands = []
    for axes in figure.axes:
        spans = [(p.get_x(), p.get_x() + p.get_width()) for p in axes.patches if type(p).__name__ == "Rectangle"]
        bands.append([span for span in spans if span == pytest.approx((55.0, 104.12))])
    seen = [bool(band) for band in bands]
    if name == "chain":
        assert any(seen)
    else:
        assert all(seen), "each panel, the lane of events and the strip of outages"
    svg = picture.svg()
    assert "crash broker 1, over after 49.1 s" in svg
    if name != "chain":
        assert "elect preferred leaders, over after 1.5 s" in svg


def test_outages_are_bars_and_axes_have_units() -> None:
    pictures = drawn("broken")
    for name in ("throughput", "latency", "lag", "replication", "utilisation"):
        svg = pictures[name].svg()
        assert "cannot write" in svg and "cannot read" in svg and "simulated time (s)" in svg
    assert "records/s" in pictures["throughput"].svg() and "MB/s" in pictures["throughput"].svg()
    assert " ms<" in pictures["latency"].svg() and " %<" in pictures["utilisation"].svg()
    assert pictures["unavailability"].svg().count("13.6 s") == 1


def test_an_event_that_is_not_over_ends_with_the_run() -> None:
    picture = drawn("hostile")["throughput"]
    ends = [p.get_x() + p.get_width() for p in picture.figure.axes[1].patches if p.get_x() == 2.0]
    assert ends == [20.0]
    assert "not over" in picture.svg()


def test_svg_stands_in_a_page_beside_others() -> None:
    seen: set[str] = set()
    for picture in drawn("hostile").values():
        svg = picture.svg()
        root = ElementTree.fromstring(svg)
        assert root.tag == "svg" and root.get("role") == "img" and root.get("aria-label")
        ids = {node.get("id") for node in root.iter() if node.get("id")}
        assert not ids & seen
        seen |= ids
        referred = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))
        assert referred <= ids
        assert "<script" not in svg and "http" not in svg and "<style" not in svg
        assert not re.search(r"#[0-9a-f]{6}\b", svg.replace("#101010", "")), "every colour follows the page's theme"


def test_names_are_shown_as_they_are() -> None:
    """No mathematics from dollars, no legend entry dropped for an underscore, no control characters."""
    from kafkasim.report.frame import Frame, legend

    with figures._style():
        frame = Frame(read(empty()), "t", "s", (1.0,))
        names = ["_hidden", "$x^2$", "a\x1b[31mb", "主题"]
        lines = [frame.panels[0].plot([0, 1], [i, i])[0] for i in range(len(names))]
        legend(frame.panels[0], list(zip(lines, names, strict=True)))
    picture = figures.Picture("names", "Names.", frame.figure)
    assert picture.png()
    text = "".join(ElementTree.fromstring(picture.svg()).itertext())
    for name in ("_hidden", "$x^2$", "a·[31mb", "主题"):
        assert name in text
    evil = "".join(ElementTree.fromstring(drawn("hostile")["utilisation"].svg()).itertext())
    assert EVIL[:30] in evil


def test_nothing_global_changes() -> None:
    import matplotlib

    before = {key: value for key, value in matplotlib.rcParams.items() if key != "backend"}
    digests(empty())
    assert {key: value for key, value in matplotlib.rcParams.items() if key != "backend"} == before


def test_pyplot_is_not_needed() -> None:
    code = "import sys, report_samples, test_figures; test_figures.digests(report_samples.empty())\n"
    code += "sys.exit('matplotlib.pyplot' in sys.modules)"
    path = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0
