"""The page: complete, self-contained, escaped, the same bytes each time; opened in a browser where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from functools import cache, partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_samples import broken, empty, hostile

from kafkasim.report.html import write_report
from kafkasim.report.page_parts import MOST_ROWS, chains
from kafkasim.report.reading import read
from kafkasim.results import Result

SECTIONS = ["story", "clients", "records", "cluster", "timeline", "events", "model", "basis"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)")


class Page(HTMLParser):
    """Texts and tables by section, attributes that could load something, duplicate ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.headings: dict[str, int] = {}
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.section = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "section":
            self.section = given.get("id") or ""
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag in ("link", "iframe", "object", "embed", "base", "img", "image") or "src" in given:
            self.loads.append(tag)
        for key, value in given.items():
            assert not key.startswith("on"), f"{tag} has {key}"
            if key == "href" and value:
                self.links.append(value)

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self.section = ""

    def handle_data(self, data: str) -> None:
        self.texts[self.section] = self.texts.get(self.section, "") + data


@cache
def written(sample: str) -> str:
    """The page of a sample, written once for all tests that only read it."""
    makers = {"broken": broken, "lossy": partial(broken, lost=12), "empty": empty, "hostile": hostile}
    with tempfile.TemporaryDirectory() as directory:
        return write(makers[sample](), Path(directory))


def write(result: Result, directory: Path) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    write_report(result, directory)
    return (directory / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("sample", ["lossy", "empty", "hostile"])
def test_the_page_is_complete_and_loads_nothing(sample: str) -> None:
    text = written(sample)
    assert text.startswith("<!DOCTYPE html>")
    page = Page(text)
    assert [name for name in page.texts if name] == SECTIONS
    for name in SECTIONS:
        assert len(page.texts[name].split()) > 8, f"section {name} is empty"
    assert page.loads == []
    assert all(link.startswith("#") for link in page.links)
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids), "every link has its target"


def test_the_page_holds_what_a_reader_wants() -> None:
    page = Page(written("lossy"))
    assert "was killed" in page.texts["story"] and page.texts["story"].index("killed") < 400
    assert "13.6" in page.texts["clients"] and "crash broker 1" in page.texts["clients"]
    assert "does not hold" not in page.texts["records"] and "created = acknowledged" in page.texts["records"]
    assert "12 acknowledged records of TweetsPublicados" in page.texts["records"]
    assert "+13.2" in page.texts["timeline"] and "leader_elected" in page.texts["timeline"]
    assert "ignored" in page.texts["model"] and "interceptor.classes" in page.texts["model"]
    assert "false: the hosts' costs" in page.texts["basis"] and "one seed is an anecdote" in page.texts["basis"]
    assert "numpy" in page.texts["basis"] and "kafkasim run primer/tweets-broker-1-fails" in page.texts["basis"]


def test_a_missing_value_tells_its_reason() -> None:
    text = written("hostile")
    assert re.search(r'<span class="null" tabindex="0" title="50 of 100 records failed or unfinished">–</span>', text)


def test_names_cannot_break_out() -> None:
    text = written("hostile")
    assert text.count("<script>") == 2 and text.count("</script>") == 2
    assert "<b>$x" not in text and "\x1b" not in text
    assert "&lt;/script&gt;" in text and "{{7*7}}" in text


def test_the_page_has_the_same_bytes_from_a_saved_result(tmp_path: Path) -> None:
    result = broken()
    target = result.save(tmp_path / "run", extras=partial(write_report, result))
    loaded = Result.load(target)
    assert write(loaded, tmp_path / "again") == (target / "report.html").read_text(encoding="utf-8")
    assert len(list((target / "figures").glob("*.png"))) == 7
    files = (target / "manifest.json").read_text()
    assert '"report.html"' in files and '"figures/latency.png"' in files


def test_the_timeline_is_a_forest_of_causes() -> None:
    reading = read(broken())
    found, total = chains(reading)
    steps = [step for chain in found for step in chain.steps]
    assert total == len(steps) == len(reading.moments)
    seen: set[int] = set()
    for step in steps:
        assert step.parent in seen or (step.parent == 0 and step.depth == 0)
        seen.add(step.moment.id)
    assert [chain.kind for chain in found] == ["", "fault", "order"]
    assert max(step.depth for step in steps) == 8


def test_a_long_timeline_is_cut_and_says_so(tmp_path: Path) -> None:
    result = empty()
    row = {"actor": "a", "event": "e", "detail": "", "count": 1}
    result.summary["timeline"] = [
        {**row, "id": i, "time_s": i * 1e-4, "cause": i - 1 if i > 1 else None} for i in range(1, MOST_ROWS + 502)
    ]
    found, total = chains(read(result))
    assert total == MOST_ROWS + 501 and sum(len(chain.steps) for chain in found) == MOST_ROWS
    assert "… and 501 more rows in timeline.csv." in write(result, tmp_path)


# In a browser.


def chromium(tmp_path: Path, page: Path, *options: str) -> str:
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", *options, page.as_uri()]
    done = subprocess.run(command, check=False, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode("utf-8")


@needs_chromium
@pytest.mark.parametrize("sample", ["lossy", "empty", "hostile"])
def test_it_opens_in_chromium_without_a_script_error(sample: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(written(sample), encoding="utf-8")
    dom = chromium(tmp_path, tmp_path / "report.html", "--dump-dom")
    root = re.search(r"<html[^>]*>", dom)
    assert root is not None
    assert 'data-script="ready"' in root[0] and "data-error" not in root[0]
    page = Page(dom)
    for name in SECTIONS:
        assert len(page.texts[name].split()) > 8, f"section {name} is empty"


@needs_chromium
def test_the_filter_shows_rows_with_what_led_to_them(tmp_path: Path) -> None:
    text = written("broken")
    driver = """<script>
    var words = document.querySelector("#filter input"); words.value = "metadata_learned";
    words.dispatchEvent(new Event("input", {bubbles: true}));
    var shown = [].filter.call(document.querySelectorAll(".step"), function (s) { return s.offsetParent !== null; });
    document.body.setAttribute("data-shown", shown.map(function (s) { return s.dataset.event; }).join(" "));
    document.body.setAttribute("data-found", document.querySelector("#filter output").value);
    document.querySelector("[data-open='']").click();
    document.body.setAttribute("data-closed", document.querySelectorAll("details.chain[open]").length);
    </script></body>"""
    (tmp_path / "driven.html").write_text(text.replace("</body>", driver), encoding="utf-8")
    dom = chromium(tmp_path, tmp_path / "driven.html", "--dump-dom")
    steps = (
        "fault session_expired znode_deleted watch_fired broker_change leader_elected leader_applied metadata_learned"
    )
    assert f'data-shown="{steps}"' in dom
    assert 'data-found="1 row, with what led to them"' in dom
    assert 'data-closed="0"' in dom


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_it_can_be_looked_at(width: int, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "report.html").write_text(written("broken"), encoding="utf-8")
    shot = tmp_path / "shot.png"
    chromium(tmp_path, tmp_path / "report.html", f"--window-size={width},900", f"--screenshot={shot}")
    with Image.open(shot) as image:
        assert image.size == (width, 900)
        colours = image.convert("RGB").getcolors(1 << 24)
    assert colours is not None and len(colours) > 50, "something is drawn"
