"""The result of a run: what was asked, what came out, as mappings, tables and DataFrames, saved and loaded.

docs/results.md explains every field with its unit. Importing this module does not import pandas; the DataFrames do.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kafkasim.metrics import numbers
from kafkasim.metrics.availability import AvailabilityBook
from kafkasim.metrics.latency import LatencyBook
from kafkasim.metrics.ledger import GROUP_TERMS, TERMS
from kafkasim.metrics.numbers import FLOAT
from kafkasim.metrics.schema import (
    FORMAT,
    HEADLINE,
    LEDGER,
    MANIFEST,
    RATES,
    SEEDS,
    SUMMARY,
    TABLES,
    free,
    shaped,
    tree,
)
from kafkasim.metrics.series import SeriesBook
from kafkasim.metrics.tables import Table
from kafkasim.metrics.timeline import Timeline

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MANIFEST", "SEEDS", "SUMMARY", "TABLES", "Result", "ResultError", "headline", "save_headline"]

MANIFEST_FILE: Final = "manifest.json"
SUMMARY_FILE: Final = "summary.json"
Rows = Iterable[Mapping[str, object]]


class ResultError(Exception):
    """A directory that holds no result, or one that must not be replaced."""


@dataclass
class Result:
    """One run: ``manifest`` (what ran), ``summary`` (what came out) and ``tables`` (all rows, by name)."""

    manifest: dict[str, object]
    summary: dict[str, object]
    tables: dict[str, Table] = field(default_factory=dict)

    @classmethod
    def collect(
        cls,
        manifest: Mapping[str, object],
        *,
        end_s: float,
        ledger: Mapping[str, object],
        latency: LatencyBook,
        availability: AvailabilityBook,
        series: SeriesBook,
        timeline: Timeline,
        stations: Rows = (),
        controllers: Rows = (),
        events: Rows = (),
        expectations: Rows = (),
        findings: Rows = (),
        anomalies: Rows = (),
        warnings: Iterable[str] = (),
        sessions: Rows | None = None,
        batches: Rows | None = None,
        calibrated: bool = False,
    ) -> Result:
        """Put the collectors of a finished run together.

        ``manifest`` needs ``name`` and ``seed``; ``end_s`` is where the run stopped (s); ``ledger`` is what
        ``Ledger.close`` gave. The keys of the rows are those of docs/results.md.

        Raises:
            KeyError: for a key that is no field of the schema.
            TypeError: for a value of another type than declared.
        """
        latency_rows = latency.summary_rows()
        outages = availability.as_dicts()
        summary: dict[str, object] = {
            "name": manifest["name"],
            "seed": manifest["seed"],
            "duration_s": end_s,
            "warmup_s": latency.warmup_s,
            "calibrated": calibrated,
            "expectations": list(expectations),
            "findings": list(findings),
            "anomalies": list(anomalies),
            "ledger": dict(ledger),
            "unavailability": outages,
            "latency": latency_rows,
            "throughput": _mean_rates(series, end_s),
            "stations": list(stations),
            "controllers": list(controllers),
            "events": list(events),
            "timeline": timeline.as_dicts(),
            "warnings": list(warnings),
        }
        summary["headline"] = _headline(summary)
        flat = [{**row, "reason": _reasons(row["reason"])} for row in latency_rows]
        tables = {
            "timeline": timeline.as_dicts(),
            "latency": flat,
            "latency_over_time": latency.over_time,
            "throughput": [
                row
                for labels in (("topic",), ("topic", "client"), ("topic", "broker"))
                for row in series.wide(RATES, labels)
            ],
            "unavailability": outages,
            "series": series.rows(),
        }
        if sessions is not None:
            tables["sessions"] = [dict(row) for row in sessions]
        if batches is not None:
            tables["batches"] = [dict(row) for row in batches]
        return cls(
            _mapping(shaped({"format": FORMAT, **manifest}, tree(MANIFEST), "manifest")),
            _mapping(shaped(summary, tree(SUMMARY), "summary")),
            {name: Table(name, TABLES[name], rows) for name, rows in tables.items()},
        )

    def judge(self, expectations: Rows) -> None:
        """Put the expectations in, once they were judged on this very result.

        Raises:
            KeyError, TypeError: as ``collect``.
        """
        rows = {"expectations": list(expectations)}
        self.summary["expectations"] = _mapping(shaped(rows, tree(SUMMARY), "summary"))["expectations"]

    # What a reader asks for, as DataFrames.

    @property
    def timeline(self) -> pd.DataFrame:
        """What happened: id, time_s, actor, event, detail, cause, count."""
        return self._frame("timeline")

    @property
    def unavailability(self) -> pd.DataFrame:
        """When a client could not produce to, or consume from, a partition."""
        return self._frame("unavailability")

    @property
    def series(self) -> pd.DataFrame:
        """All samples in the long form: time_s, metric, labels, value (the metric's name ends with its unit)."""
        return self._frame("series")

    @property
    def sessions(self) -> pd.DataFrame:
        """The touches of ZooKeeper sessions, if the run traced them (``--trace sessions``)."""
        return self._frame("sessions")

    @property
    def ledger(self) -> pd.DataFrame:
        """Where the records went: topic (missing: all), group (missing: no group's term), term, records."""
        rows: list[dict[str, object]] = []
        whole = _mapping(self.summary["ledger"])
        parts: list[tuple[str | None, dict[str, object]]] = [(None, whole)]
        parts += [(topic, _mapping(terms)) for topic, terms in _mapping(whole["topics"]).items()]
        for topic, terms in parts:
            rows += [{"topic": topic, "term": name, "records": terms[name]} for name in TERMS]
            for group, given in _mapping(terms["groups"]).items():
                for name in GROUP_TERMS:
                    records = _mapping(given)[name]
                    rows.append({"topic": topic, "group": group, "term": name, "records": records})
        return Table("ledger", LEDGER, rows).frame()

    def latency(
        self,
        kind: str | None = None,
        topic: str | None = None,
        client: str | None = None,
        broker: int | None = None,
        over_time: bool = False,
    ) -> pd.DataFrame:
        """Percentiles (s) of the run, or per interval (``over_time``).

        Without ``client`` and ``broker``: the rows of all clients and brokers together.
        """
        frame = self._frame("latency_over_time" if over_time else "latency")
        return _selected(frame, {"kind": kind, "topic": topic}, {"client": client, "broker": broker})

    def throughput(
        self, topic: str | None = None, client: str | None = None, broker: int | None = None
    ) -> pd.DataFrame:
        """Records and bytes a second, in and out, per interval; without ``client`` and ``broker``: all of them."""
        return _selected(self._frame("throughput"), {"topic": topic}, {"client": client, "broker": broker})

    @property
    def holds(self) -> bool:
        """Whether every identity of the ledger and every expectation holds."""
        checks = _rows(_mapping(self.summary["ledger"])["identities"]) + _rows(self.summary["expectations"])
        return all(bool(check["holds"]) for check in checks)

    def _frame(self, name: str) -> pd.DataFrame:
        if name not in self.tables:
            raise KeyError(f"the run has no table {name!r}; it has {', '.join(sorted(self.tables))}")
        return self.tables[name].frame()

    # Files.

    def save(self, directory: str | os.PathLike[str], extras: Callable[[Path], None] | None = None) -> Path:
        """Write manifest.json, summary.json and the tables as CSV; return the directory.

        Written beside and renamed when whole. ``extras`` may write more files (figures, a page) before that; it
        gets the directory under construction. An earlier result there is replaced, files that it did not write
        are kept.

        Raises:
            ResultError: if the directory exists, is not empty and holds no result.
        """
        target = Path(directory).resolve()
        foreign = _foreign_files(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = target.with_name(f".{target.name}.{os.getpid()}.partial")
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        try:
            _write_json(staged / SUMMARY_FILE, self.summary)
            for name, table in self.tables.items():
                table.write(staged / f"{name}.csv")
            if extras is not None:
                extras(staged)
            written = {path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file()}
            manifest = {**self.manifest, "files": sorted(written | {MANIFEST_FILE})}
            _write_json(staged / MANIFEST_FILE, _mapping(shaped(manifest, tree(MANIFEST), "manifest")))
            for name in foreign:
                if not (staged / name).exists():
                    (staged / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(target / name, staged / name, follow_symlinks=False)
            _replace(staged, target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        return target

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Result:
        """Read what :meth:`save` wrote.

        Raises:
            ResultError: if there is no result, or one of another format.
        """
        source = Path(directory)
        manifest = _read_manifest(source)
        if manifest is None:
            raise ResultError(f"{source} holds no result (no {MANIFEST_FILE} of kafkasim)")
        if manifest["format"] != FORMAT:
            raise ResultError(f"{source} is of format {manifest['format']}; this version reads {FORMAT}")
        try:
            summary = _mapping(json.loads((source / SUMMARY_FILE).read_text(encoding="utf-8")))
            tables = {
                name: Table.read(name, fields, source / f"{name}.csv")
                for name, fields in TABLES.items()
                if (source / f"{name}.csv").exists()
            }
        except (OSError, ValueError, TypeError) as error:
            raise ResultError(f"{source}: {error}") from error
        manifest.pop("files", None)
        return cls(manifest, summary, tables)


def headline(results: Sequence[Result]) -> dict[str, object]:
    """Minimum, median and maximum of each headline figure over several runs (seeds).

    A figure that a run could not give (null) is worse than any that was given: it sorts last, and a minimum, median
    or maximum that falls on it is null; ``nulls`` says in how many runs.

    Raises:
        ValueError: if there is no run.
    """
    if not results:
        raise ValueError("no runs")
    figures: dict[str, object] = {}
    for one in HEADLINE:
        values = [_mapping(result.summary["headline"]).get(one.path) for result in results]
        given = sorted(numbers.typed(value, FLOAT) for value in values if value is not None)  # type: ignore[type-var]
        ordered: list[float | None] = [float(value) for value in given if value is not None]
        ordered += [None] * (len(values) - len(ordered))
        low = ordered[(len(ordered) - 1) // 2]
        high = ordered[len(ordered) // 2]
        figures[one.path] = {
            "minimum": numbers.typed(ordered[0], one.kind),
            "median": None if low is None or high is None else numbers.typed((low + high) / 2, FLOAT),
            "maximum": numbers.typed(ordered[-1], one.kind),
            "nulls": ordered.count(None),
        }
    seeds = [result.manifest["seed"] for result in results]
    return _mapping(shaped({"seeds": seeds, "figures": figures}, tree(SEEDS), "headline"))


def save_headline(directory: str | os.PathLike[str], results: Sequence[Result]) -> Path:
    """Write the headline of several runs as ``summary.json`` into ``directory``; return the file."""
    path = Path(directory) / SUMMARY_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.partial")
    _write_json(staged, headline(results))
    staged.replace(path)
    return path


def _headline(summary: Mapping[str, object]) -> dict[str, object]:
    ledger = _mapping(summary["ledger"])
    result: dict[str, object] = {name: ledger[name] for name in ("created", "acknowledged_lost", "failed")}
    for kind in ("produce", "consume"):
        lengths = [row["duration_s"] for row in _rows(summary["unavailability"]) if row["kind"] == kind]
        result[f"longest_{kind}_unavailability_s"] = max(map(_float, lengths), default=0.0)
    whole = [row for row in _rows(summary["latency"]) if row["client"] is None and row["broker"] is None]
    for kind in ("produce", "end_to_end"):
        for name in ("p50_s", "p99_s"):
            result[f"{kind}_{name}"] = _worst([row for row in whole if row["kind"] == kind], name)
    for name in ("records_in_per_s", "records_out_per_s"):
        rates = [row[name] for row in _rows(summary["throughput"]) if row[name] is not None]
        result[name] = sum(map(_float, rates)) if rates else None
    return result


def _worst(rows: list[dict[str, object]], name: str) -> float | None:
    """The largest over topics; None if one could not be given because records failed or did not finish."""
    values: list[float] = []
    for row in rows:
        if row[name] is not None:
            values.append(_float(row[name]))
        elif str(_mapping(row["reason"]).get(name, "")).endswith("failed or unfinished"):
            return None
    return max(values, default=None)


def _mean_rates(series: SeriesBook, end_s: float) -> list[dict[str, object]]:
    topics = sorted({str(topic) for name in RATES for topic in series.label_values(name, "topic")})
    rows: list[dict[str, object]] = []
    for topic in topics:
        row: dict[str, object] = {"topic": topic}
        for name in RATES:
            row[name] = series.mean_rate(name, end_s, topic=topic)
        rows.append(row)
    return rows


def _reasons(reason: object) -> str:
    return "; ".join(f"{name}: {why}" for name, why in _mapping(reason).items())


def _selected(frame: pd.DataFrame, exact: Mapping[str, object], level: Mapping[str, object]) -> pd.DataFrame:
    for name, value in exact.items():
        if value is not None:
            frame = frame[frame[name] == value]
    for name, value in level.items():
        frame = frame[frame[name].isna()] if value is None else frame[frame[name] == value]
    return frame.reset_index(drop=True)


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"a mapping is expected, not {value!r}")
    return value


def _rows(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list):
        raise TypeError(f"a list is expected, not {value!r}")
    return [_mapping(row) for row in value]


def _float(value: object) -> float:
    number = numbers.typed(value, FLOAT)
    if not isinstance(number, float):
        raise TypeError(f"a number is expected, not {value!r}")
    return number


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    written = json.dumps(free(value), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(written + "\n", encoding="utf-8", newline="\n")


def _read_manifest(directory: Path) -> dict[str, object] | None:
    try:
        manifest = json.loads((directory / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or not {"format", "name", "seed"} <= set(manifest):
        return None
    return manifest


def _foreign_files(target: Path) -> list[str]:
    """Files under ``target`` that the result there did not write.

    Raises:
        ResultError: if ``target`` is a file, or a directory with something else than a result in it.
    """
    if not target.exists() and not target.is_symlink():
        return []
    if not target.is_dir():
        raise ResultError(f"{target} exists and is no directory")
    if not any(target.iterdir()):
        return []
    manifest = _read_manifest(target)
    if manifest is None:
        raise ResultError(f"{target} is not empty and holds no result; it is left as it is")
    files = manifest.get("files")
    own = {str(name) for name in files} if isinstance(files, list) else set()
    return sorted(
        name
        for path in target.rglob("*")
        if not path.is_dir() or path.is_symlink()
        for name in [path.relative_to(target).as_posix()]
        if name not in own
    )


def _replace(staged: Path, target: Path) -> None:
    """Put the whole directory ``staged`` in the place of ``target``."""
    if not target.exists():
        staged.rename(target)
        return
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    shutil.rmtree(old, ignore_errors=True)
    target.rename(old)
    try:
        staged.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)
