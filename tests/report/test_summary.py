"""The summary: one screen, the same everywhere, bad news first to stay."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from report_samples import broken, empty, hostile
from rich.cells import cell_len
from rich.console import Console

from kafkasim.report.summary import COLUMNS, LINES, headline_lines, print_summary, summary_lines
from kafkasim.results import Result


def lines(result: Result, directory: str | None = "reports/x/seed-1") -> list[str]:
    return [line.plain for line in summary_lines(result, directory)]


def many(result: Result) -> Result:
    """The same run with far too much of everything."""
    summary = result.summary
    for name in ("unavailability", "throughput", "latency", "stations", "expectations", "warnings"):
        summary[name] = summary[name] * 40  # type: ignore[operator]
    ledger = summary["ledger"]
    assert isinstance(ledger, dict)
    ledger["identities"] = [{"name": f"identity {i}", "left": i, "right": 0, "holds": False} for i in range(50)]
    ledger["groups"] = {f"group {i}": {"delivered_once": 1} for i in range(50)}
    return result


@pytest.mark.parametrize("result", [broken(), broken(lost=12), empty(), hostile(), many(broken(lost=12))])
def test_it_fits_one_screen(result: Result) -> None:
    shown = lines(result)
    assert len(shown) <= LINES
    assert max(cell_len(line) for line in shown) <= COLUMNS
    assert not any(ord(one) < 32 for line in shown for one in line)


def test_it_says_what_ran_and_what_came_out() -> None:
    text = "\n".join(lines(broken()))
    assert text.startswith("tweets-broker-1-fails, seed 1, 240 s simulated, warm-up 10 s, kafkasim 0.1.0 (pure Python)")
    for part in (
        "TweetsPublicados",
        "created 2,400,000 = acknowledged 2,399,960 + failed 0 + in flight 40",
        "lost 0",
        "all 8 identities hold",
        "delivered to timeline-api: 2,399,900 once, 0 more than once, 60 pending, 0 never",
        "3 rows, longest",
        "crash broker 1",
        "2 of 2 expectations hold",
        "interceptor.classes is ignored",
        "not calibrated",
        "written to reports/x/seed-1",
    ):
        assert part in text


def test_bad_news_stays_when_there_is_too_much() -> None:
    text = "\n".join(lines(many(broken(lost=12))))
    assert "DO NOT HOLD" in text
    assert "EXPECTED, BUT NOT SO: no acknowledged record is lost (12 were lost)" in text
    assert "lost 12" in text
    assert "written to" in text


def test_a_missing_percentile_has_its_reason() -> None:
    assert any("–: 50 of 100 records failed or unfinished" in line for line in lines(hostile()))


def test_the_console_does_not_change_a_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    for width in (40, 300):
        monkeypatch.setenv("COLUMNS", str(width))
        buffer = io.StringIO()
        print_summary(Console(file=buffer), hostile(), "somewhere/" + "deep/" * 40)
        texts.append(buffer.getvalue())
    assert texts[0] == texts[1]
    assert "\x1b" not in texts[0], "no colours and no escape sequences of a scenario without a terminal"
    assert texts[0].endswith("deep/" * 40 + "\n"), "the path can be copied whole"
    assert "[red]" in "".join(lines(hostile())) or "…" in texts[0], "names are no markup"


def test_several_runs_give_minimum_median_and_maximum() -> None:
    runs = [broken(seed, lost=seed - 1) for seed in (1, 2, 3)]
    text = [line.plain for line in headline_lines(runs, "reports/x")]
    assert text[0] == "tweets-broker-1-fails, 3 runs of 240 s, seeds 1-3"
    assert "  acknowledged lost                                0             1             2" in text
    assert any(line.startswith("EXPECTED, BUT NOT SO: no acknowledged record is lost (seeds 2-3)") for line in text)
    assert len(text) <= LINES and max(map(cell_len, text)) <= COLUMNS
    assert "  –: cannot be given in so many runs; counted as worse than any number" in [
        line.plain for line in headline_lines([hostile(), hostile()])
    ]
    with pytest.raises(ValueError, match="no runs"):
        headline_lines([])


def test_nothing_heavy_is_imported_before_something_is_drawn() -> None:
    code = (
        "import sys, kafkasim.report.summary, kafkasim.report.story, kafkasim.report.figures, kafkasim.report.html\n"
        "sys.exit(', '.join({'pandas', 'scipy', 'matplotlib', 'jinja2'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
