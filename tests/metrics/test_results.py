"""Results: what is written, by whom it is documented, and that files survive."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kafkasim.metrics.availability import AvailabilityBook
from kafkasim.metrics.latency import LatencyBook
from kafkasim.metrics.ledger import Ledger
from kafkasim.metrics.schema import LEDGER, Field
from kafkasim.metrics.series import SeriesBook
from kafkasim.metrics.timeline import Timeline
from kafkasim.results import MANIFEST, SEEDS, SUMMARY, TABLES, Result, ResultError, headline, save_headline

DOCS = Path(__file__).parents[2] / "docs" / "results.md"


def run(seed: int = 1, failed: int = 0, records: int = 1500) -> Result:
    timeline = Timeline()
    fault = timeline.add(5, "broker 1", "fault", "crash")
    timeline.add(6.5, "controller", "leader_elected", "tweets-0", cause=fault)
    latency = LatencyBook(0.0, 20.0)
    for kind in ("produce", "end_to_end"):
        recorder = latency.recorder("tweets", kind, "app", 1)
        for i in range(records):
            recorder.record(i * 0.01 + 0.002 * seed, i * 0.01, i * 0.01, 1)
    latency.close_interval(10.0)
    if failed:
        latency.unfinished("tweets", "produce", "app", failed=[(5.0, 6.0, failed)])
    latency.finish(20.0)
    availability = AvailabilityBook(lambda *what: fault)
    tracker = availability.tracker("produce", "app", "tweets", 0, 0.2, acks="all")
    tracker.completed(5, 4.9)
    tracker.completed(5 + seed, 4.95)
    series = SeriesBook()
    records_in = series.traffic("records_in_per_s", "tweets", client="app", broker=1)
    series.gauge("consumer_lag_records", lambda: 12, topic="tweets", partition=0, group="api")
    for second in range(1, 21):
        records_in.add(75)
        series.sample(float(second))
    ledger = Ledger()
    ledger.subscribe("api", "tweets")
    stream = ledger.open_stream("app", 0, "tweets", None)
    stream.acknowledge(0, records)
    stream.lose(records - 2, records, cause=fault)
    stream.fail(records, records + failed)
    ledger.scan_log("tweets", 0, [(stream, 0, records - 2, 0)], records - 2, records - 2, positions={"api": (0, 0)})
    stream.close(records + failed, 0)
    return Result.collect(
        {"name": "demo", "seed": seed, "scenario": {"duration": 20.0, "brokers": [1]}, "build": "pure Python"},
        end_s=20.0,
        ledger=ledger.close(),
        latency=latency,
        availability=availability,
        series=series,
        timeline=timeline,
        stations=[{"station": "broker 1 handlers", "jobs": 10, "utilisation": 1, "mean_wait_s": None}],
        events=[{"id": fault, "at_s": 5, "event": "crash", "target": "broker 1", "over_s": None}],
        expectations=[{"text": "no acknowledged record is lost", "holds": False, "value": 2, "reason": "2 lost"}],
        warnings=["assumed: host costs"],
        sessions=[{"session": "0x1", "server": 1, "touched_at_server_s": 1.0, "bucket_ms": 18000}],
        batches=[
            {
                "topic": "tweets",
                "partition": 0,
                "producer": "app",
                "instance": 0,
                "first": 0,
                "count": 2,
                "created_s": 0.5,
                "appended_s": 0.6,
                "broker": 1,
                "offset": 0,
                "leader_epoch": 0,
                "acknowledged_s": 0.7,
                "delivered": "api x1 as 1",
            }
        ],
    )


def files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_summary_has_the_names_of_the_contracts() -> None:
    summary = run().summary
    assert summary["calibrated"] is False
    assert summary["headline"] == {
        "created": 1500,
        "acknowledged_lost": 2,
        "failed": 0,
        "longest_produce_unavailability_s": 1.0,
        "longest_consume_unavailability_s": 0.0,
        "produce_p50_s": pytest.approx(0.002, rel=0.01),
        "produce_p99_s": pytest.approx(0.002, rel=0.01),
        "end_to_end_p50_s": pytest.approx(0.002, rel=0.01),
        "end_to_end_p99_s": pytest.approx(0.002, rel=0.01),
        "records_in_per_s": 75.0,
        "records_out_per_s": None,
    }
    assert summary["throughput"][0]["records_in_per_s"] == 75.0
    assert summary["unavailability"][0] == {
        "kind": "produce",
        "client": "app",
        "topic": "tweets",
        "partition": 0,
        "acks": "all",
        "from_s": 5.0,
        "until_s": 6.0,
        "duration_s": 1.0,
        "open": False,
        "cause": 1,
    }
    assert not run().holds


def test_expectations_may_be_judged_on_the_result() -> None:
    result = run()
    result.judge([{"text": "failed == 0", "holds": True, "value": 0, "reason": None}])
    assert repr(result.summary["expectations"][0]["value"]) == "0.0"
    assert result.holds
    with pytest.raises(KeyError, match="wrong"):
        result.judge([{"wrong": 1}])


def test_ints_in_float_fields_give_the_same_bytes_as_floats(tmp_path: Path) -> None:
    """The timeline above was told ``5``, an int; compiled it would be 5.0."""
    directory = run().save(tmp_path / "r")
    assert (directory / "timeline.csv").read_text().splitlines() == [
        "id,time_s,actor,event,detail,cause,count",
        "1,5.0,broker 1,fault,crash,,1",
        "2,6.5,controller,leader_elected,tweets-0,1,1",
    ]
    text = (directory / "summary.json").read_text()
    assert '"utilisation": 1.0' in text and '"at_s": 5.0' in text
    assert json.loads(text) == run().summary


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    assert files(run().save(tmp_path / "a")) == files(run().save(tmp_path / "b"))


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    result = run()
    loaded = Result.load(result.save(tmp_path / "deep" / "r"))
    assert loaded == result
    assert files(loaded.save(tmp_path / "again")) == files(tmp_path / "deep" / "r")
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["r"], "nothing is left beside"


def test_an_earlier_result_is_replaced_and_other_files_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "r"
    run().save(target, extras=lambda directory: (directory / "old.png").write_bytes(b"figure"))
    (target / "notes").mkdir()
    (target / "notes" / "mine.txt").write_text("keep")
    run(seed=2).save(target)
    assert Result.load(target).manifest["seed"] == 2
    assert (target / "notes" / "mine.txt").read_text() == "keep"
    assert not (target / "old.png").exists(), "what the earlier run wrote goes with it"
    assert "notes/mine.txt" not in json.loads((target / "manifest.json").read_text())["files"]


def test_a_failing_save_leaves_the_earlier_result(tmp_path: Path) -> None:
    target = run().save(tmp_path / "r")
    before = files(target)

    def broken(directory: Path) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run(seed=2).save(target, extras=broken)
    assert files(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_directory_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ResultError, match="holds no result"):
        run().save(tmp_path)
    assert files(tmp_path) == {"thesis.tex": b"x"}
    with pytest.raises(ResultError, match="no directory"):
        run().save(tmp_path / "thesis.tex")
    (tmp_path / "empty").mkdir()
    run().save(tmp_path / "empty")
    with pytest.raises(ResultError, match="holds no result"):
        Result.load(tmp_path)
    manifest = tmp_path / "empty" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(ResultError, match="format 99"):
        Result.load(tmp_path / "empty")


def test_frames_have_the_documented_columns_and_steady_types(tmp_path: Path) -> None:
    result = run()
    loaded = Result.load(result.save(tmp_path / "r"))
    for one in (result, loaded):
        for name, fields in TABLES.items():
            frame = one.tables[name].frame()
            assert list(frame.columns) == [field.path for field in fields]
        assert one.timeline["cause"].dtype == "Int64"
        assert one.timeline["time_s"].dtype == "float64"
        row = one.latency("produce")
        assert len(row) == 1 and row["p99_s"][0] == pytest.approx(0.002, rel=0.01)
        assert list(one.latency("produce", client="app")["count"]) == [1500]
        assert list(one.latency("produce", broker=1, over_time=True)["time_s"]) == [10.0]
        assert len(one.throughput("tweets")) == 20 and len(one.throughput(broker=1)) == 20
        lag = one.series[one.series["metric"] == "consumer_lag_records"]
        assert set(lag["value"]) == {12.0} and set(lag["group"]) == {"api"}
        assert len(one.sessions) == 1
        assert one.unavailability["duration_s"][0] == 1.0
        ledger = one.ledger
        assert list(ledger.columns) == [field.path for field in LEDGER]
        total = ledger[ledger["topic"].isna() & ledger["group"].isna()]
        assert dict(zip(total["term"], total["records"], strict=True))["acknowledged_lost"] == 2
    untraced = Result(result.manifest, result.summary, {})
    with pytest.raises(KeyError, match="no table 'sessions'"):
        _ = untraced.sessions


def test_undeclared_fields_and_wrong_types_are_refused() -> None:
    result = run()
    parts = {
        "end_s": 20.0,
        "ledger": result.summary["ledger"],
        "latency": LatencyBook(0.0, 20.0),
        "availability": AvailabilityBook(lambda *what: None),
        "series": SeriesBook(),
        "timeline": Timeline(),
    }
    with pytest.raises(KeyError, match="colour"):
        Result.collect({"name": "x", "seed": 1, "colour": "red"}, **parts)
    with pytest.raises(TypeError, match="no whole number"):
        Result.collect({"name": "x", "seed": 1.5}, **parts)
    with pytest.raises(KeyError, match="stations"):
        Result.collect({"name": "x", "seed": 1}, **parts, stations=[{"name": "disk"}])


def test_several_seeds(tmp_path: Path) -> None:
    results = [run(seed) for seed in (1, 2, 4)] + [run(3, failed=400)]
    combined = headline(results)
    assert combined["seeds"] == [1, 2, 4, 3]
    figures = combined["figures"]
    assert figures["longest_produce_unavailability_s"] == {
        "minimum": 1.0,
        "median": 2.5,
        "maximum": 4.0,
        "nulls": 0,
    }
    # The run with failures has no p99: it is worse than any number.
    p99 = figures["produce_p99_s"]
    assert p99["nulls"] == 1 and p99["maximum"] is None
    assert p99["median"] == pytest.approx(0.006, rel=0.01)
    assert figures["created"] == {"minimum": 1500, "median": 1500.0, "maximum": 1900, "nulls": 0}
    path = save_headline(tmp_path / "out", results)
    assert json.loads(path.read_text()) == combined
    with pytest.raises(ValueError, match="no runs"):
        headline([])


def test_importing_results_does_not_import_pandas() -> None:
    code = "import sys, kafkasim.results; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Every key that a result can hold is explained, with its unit.


def documented() -> dict[tuple[str, str], str]:
    """(table of the page, field) -> unit."""
    found: dict[tuple[str, str], str] = {}
    where = ""
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        head = re.match(r"\| (field|column of (\w+)\.csv) \| unit \| meaning \|", line)
        if head:
            where = head.group(2) or ""
        row = re.match(r"\| `([^`]+)` \| ([^|]*)\| (.+) \|$", line)
        if row:
            assert (where, row.group(1)) not in found or where == ""
            found[where, row.group(1)] = row.group(2).strip()
    return found


def expected() -> dict[tuple[str, str], str]:
    wanted = {("", one.path): one.unit for one in (*MANIFEST, *SUMMARY, *SEEDS)}
    wanted = {key: unit for key, unit in wanted.items() if not key[1].startswith("ledger.topics.*.")}
    listed = {"timeline": "timeline", "unavailability": "unavailability", "latency": "latency"}
    for name, fields in TABLES.items():
        for one in fields:
            if name in listed and ("", f"{name}[].{one.path}") in wanted:
                continue
            wanted[name, one.path] = one.unit
    return wanted


def test_every_field_is_documented_with_its_unit() -> None:
    found, wanted = documented(), expected()
    assert sorted(set(wanted) - set(found)) == [], "not in docs/results.md"
    assert sorted(set(found) - set(wanted)) == [], "in docs/results.md, but no result has it"
    assert {key: unit for key, unit in found.items() if wanted[key] != unit} == {}
    assert "`ledger.topics.*`" in DOCS.read_text(encoding="utf-8")


def test_every_table_is_named_on_the_page() -> None:
    page = DOCS.read_text(encoding="utf-8")
    for name in TABLES:
        assert f"`{name}.csv`" in page


def test_every_key_of_a_run_is_in_the_schema() -> None:
    """The writer refuses others; here the keys are read back without it."""

    def paths(value: object, at: str = "") -> set[str]:
        if isinstance(value, dict):
            return {p for k, v in value.items() for p in paths(v, f"{at}.{k}" if at else k)}
        if isinstance(value, list):
            return {p for v in value for p in paths(v, f"{at}[]")}
        return {at}

    def matches(path: str, field: Field) -> bool:
        pattern = re.escape(field.path).replace(r"\*", r"[^.]+")
        return re.fullmatch(pattern, path) is not None

    found = paths(run(failed=3).summary)
    assert len(found) > 80
    assert [path for path in sorted(found) if not any(matches(path, one) for one in SUMMARY)] == []
