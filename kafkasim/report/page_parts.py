"""What the page's template shows, section by section, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from kafkasim.metrics.schema import RATES
from kafkasim.report import anomalies, palette, words
from kafkasim.report.reading import Fault, Moment, Reading, Row, dig, mapping, real, rows, whole
from kafkasim.report.summary import busiest, figure
from kafkasim.report.words import clean

MOST_ROWS: Final = 3000
"""Rows of the timeline on the page; timeline.csv has all."""
MOST_TABLE: Final = 200
LATENCIES: Final = ("p50_s", "p90_s", "p95_s", "p99_s", "p999_s", "p9999_s", "max_s")
KINDS: Final = {"produce": "produce", "commit": "commit", "end_to_end": "end to end"}
TERMS: Final = {
    "created": "intended within the run",
    "acknowledged": "whose callback ran without error",
    "failed": "whose callback ran with an error",
    "in_flight": "unfinished at the client when the run stopped",
    "readable": "acknowledged, on the leader's log below the high watermark",
    "above_high_watermark": "acknowledged, on the leader's log above the high watermark",
    "offline": "acknowledged, in a partition without a live leader",
    "expired": "acknowledged, removed by retention or compaction",
    "acknowledged_lost": "acknowledged and in no log",
    "in_transit": "acknowledged and still on the way (acks=0)",
    "readable_unacknowledged": "readable, although failed or in flight at the client",
    "extra_copies": "copies beyond the first of one record in one log",
}
FINDING: Final = ("invariant", "topic", "partition", "at_s", "detail", "because", "count")
STATION: Final = ("station", "jobs", "utilisation", "mean_queue_length", "mean_wait_s")
GROUP_TERMS: Final = (
    "readable",
    "delivered_once",
    "delivered_more_than_once",
    "pending_at_end",
    "never_delivered",
    "skipped_by_reset",
    "delivered_out_of_order",
)


@dataclass(frozen=True)
class Step:
    """A row of the timeline in its place in the chain of causes."""

    moment: Moment
    depth: int
    parent: int
    """Id of the row that caused it; 0: none."""
    later_s: float | None
    """How long after its cause."""


@dataclass(frozen=True)
class Chain:
    """A row without a cause and everything that it made happen, causes before effects.

    ``kind`` ``loose``: rows in succession that have neither a cause nor an effect.
    """

    steps: list[Step]
    kind: str
    """``fault`` or ``order`` if an event of the scenario began it, ``loose``, or empty."""

    @property
    def root(self) -> Moment:
        """The row that began it."""
        return self.steps[0].moment


def context(reading: Reading) -> dict[str, Any]:
    """The variables of ``template.html``, all but figures and story."""
    manifest = reading.result.manifest
    summary = reading.summary
    everything = rows(summary.get("latency"))
    identities = _filled(reading.identities, "name", "left", "right", "holds")
    expectations = _filled(rows(summary.get("expectations")), "text", "holds", "value", "reason")
    warnings = summary.get("warnings")
    shown, total = chains(reading)
    return {
        "name": reading.name,
        "seed": reading.seed,
        "description": str(dig(reading.scenario, "description") or ""),
        "duration_s": reading.duration_s,
        "warmup_s": reading.warmup_s,
        "calibrated": bool(summary.get("calibrated")),
        "headline": _headline(reading),
        "holds": all(one.get("holds") for one in identities),
        "identities": identities,
        "expectations": expectations,
        "unmet": sum(not one.get("holds") for one in expectations),
        "outages": [(one, reading.behind(one.cause)) for one in reading.outages[:MOST_TABLE]],
        "outages_total": len(reading.outages),
        "latency": [_latency(row) for row in reading.latency],
        "latency_parts": [_latency(row) for row in everything if row not in reading.latency][:MOST_TABLE],
        "latency_titles": [title.removesuffix("_s") for title in LATENCIES],
        "throughput": _filled(rows(summary.get("throughput")), "topic", *RATES)[:MOST_TABLE],
        "terms": [(name, text, _terms(reading, name)) for name, text in TERMS.items()],
        "topics": list(mapping(reading.ledger.get("topics")))[:12],
        "groups": _groups(reading),
        "group_terms": GROUP_TERMS,
        "losses": [
            (row, _moment(reading, whole(row["cause"])))
            for row in _filled(rows(reading.ledger.get("losses")), "topic", "cause", "records")
        ],
        "anomalies": [(one, anomalies.amount(one, one.count)) for one in anomalies.told(reading)],
        "no_anomalies": anomalies.absent(reading),
        "findings": _filled(rows(summary.get("findings")), *FINDING)[:40],
        "stations": _filled(busiest(reading), *STATION)[:40],
        "stations_total": len(rows(summary.get("stations"))),
        "faults": [(fault, _outages_of(reading, fault)) for fault in reading.faults],
        "chains": shown,
        "timeline_total": total,
        "timeline_shown": sum(len(chain.steps) for chain in shown),
        "timeline_events": sorted({moment.event for moment in reading.moments}),
        "warnings": warnings if isinstance(warnings, list) else [],
        "configs": configs(reading),
        "resolved": resolved(reading),
        "rests_on": rests_on(reading),
        "files": _files(reading),
        "command": str(manifest.get("command") or ""),
    }


def _filled(found: list[Row], *names: str) -> list[Row]:
    """Rows that have every one of these keys: None where a result leaves one out."""
    return [{name: row.get(name) for name in names} for row in found]


def _headline(reading: Reading) -> list[tuple[str, str, bool]]:
    """Name, value, whether it is bad news."""
    names = {
        "records_in_per_s": "records in",
        "created": "records created",
        "acknowledged_lost": "acknowledged and lost",
        "failed": "failed",
        "longest_produce_unavailability_s": "longest time without writes",
        "longest_consume_unavailability_s": "longest time without reads",
        "produce_p99_s": "produce latency, p99",
        "end_to_end_p99_s": "end-to-end latency, p99",
    }
    given = mapping(reading.summary.get("headline"))
    bad = ("acknowledged_lost", "failed")
    found = []
    for name, title in names.items():
        value = real(given.get(name))
        found.append((title, figure(name, value), name in bad and bool(value)))
    return found


def _latency(row: Row) -> dict[str, Any]:
    reason = mapping(row.get("reason"))
    return {
        "topic": row.get("topic"),
        "kind": KINDS.get(str(row.get("kind")), str(row.get("kind"))),
        "client": row.get("client"),
        "broker": row.get("broker"),
        "count": real(row.get("count")),
        "failed": real(row.get("failed")),
        "censored": real(row.get("censored")),
        "oldest_censored_s": real(row.get("oldest_censored_s")),
        "cells": [(words.seconds(real(row.get(name))), str(reason.get(name, ""))) for name in LATENCIES],
        "reasons": list(dict.fromkeys(f"{name.removesuffix('_s')}: {why}" for name, why in reason.items())),
    }


def _terms(reading: Reading, name: str) -> list[int | None]:
    """A term in all and per topic."""
    topics = mapping(reading.ledger.get("topics"))
    parts = [reading.ledger, *[mapping(one) for one in topics.values()][:12]]
    return [whole(part.get(name)) for part in parts]


def _groups(reading: Reading) -> list[tuple[str, list[int | None], str]]:
    found = []
    for name, given in mapping(reading.ledger.get("groups")).items():
        terms = mapping(given)
        reasons = mapping(terms.get("never_delivered_because"))
        why = ", ".join(f"{words.count(real(value))} {key}" for key, value in reasons.items() if value)
        found.append((name, [whole(terms.get(term)) for term in GROUP_TERMS], why))
    return found


def _moment(reading: Reading, id: int | None) -> Moment | None:
    return reading.moments[id - 1] if id is not None and 1 <= id <= len(reading.moments) else None


def _outages_of(reading: Reading, fault: Fault) -> int:
    return sum(reading.behind(one.cause) is fault for one in reading.outages)


def chains(reading: Reading) -> tuple[list[Chain], int]:
    """The timeline as chains of causes, and how many rows it has; at most ``MOST_ROWS`` rows are given."""
    moments = reading.moments
    effects: dict[int, list[Moment]] = {}
    roots: list[Moment] = []
    for moment in moments:
        if moment.cause is not None and 1 <= moment.cause < moment.id:
            effects.setdefault(moment.cause, []).append(moment)
        else:
            roots.append(moment)
    events = {fault.id: "order" if palette.is_order(fault.event) else "fault" for fault in reading.faults}
    shown: list[Chain] = []
    room = MOST_ROWS
    for root in roots:
        if room <= 0:
            break
        steps: list[Step] = []
        waiting: list[tuple[Moment, int]] = [(root, 0)]
        while waiting and room > 0:
            moment, depth = waiting.pop()
            cause = None if depth == 0 or moment.cause is None else moments[moment.cause - 1]
            later = None if cause is None else moment.time_s - cause.time_s
            steps.append(Step(moment, depth, 0 if cause is None else cause.id, later))
            room -= 1
            waiting += [(effect, depth + 1) for effect in reversed(effects.get(moment.id, []))]
        shown.append(Chain(steps, events.get(root.id, "")))
    return _gathered(shown), len(moments)


def _gathered(chains: list[Chain]) -> list[Chain]:
    """Five single rows or more in succession become one chain of kind ``loose``."""
    found: list[Chain] = []
    single: list[Chain] = []

    def put_away() -> None:
        if len(single) < 5:
            found.extend(single)
        else:
            found.append(Chain([chain.steps[0] for chain in single], "loose"))
        single.clear()

    for chain in chains:
        if len(chain.steps) == 1 and not chain.kind:
            single.append(chain)
        else:
            put_away()
            found.append(chain)
    put_away()
    return found


def configs(reading: Reading) -> list[tuple[str, str, str, str, str]]:
    """The configs that the scenario sets: process, name, value, what the model does with it, and why."""
    scenario = reading.scenario
    cluster = mapping(scenario.get("cluster"))
    brokers = mapping(cluster.get("brokers"))
    places: list[tuple[str, str, object]] = [("broker", "all brokers", brokers.get("config"))]
    for number, one in mapping(brokers.get("overrides")).items():
        places.append(("broker", f"broker {number}", dig(one, "config")))
    places.append(("zookeeper", "ZooKeeper", dig(cluster, "zookeeper", "config")))
    for topic, one in mapping(scenario.get("topics")).items():
        places.append(("topic", f"topic {topic}", dig(one, "config")))
    for side in ("producer", "consumer"):
        places += [
            (side, f"{side} {one.get('group') or one.get('name') or ''}".strip(), one.get("config"))
            for one in rows(scenario.get(f"{side}s"))
        ]
    found: list[tuple[str, str, str, str, str]] = []
    for side, process, given in places:
        for name, value in mapping(given).items():
            status, note = _status(side, name)
            found.append((clean(process), clean(name), clean(_value(value)), status, note))
    return found


def _status(side: str, name: str) -> tuple[str, str]:
    from kafkasim.scenario.catalogue import catalogue

    entry = catalogue(side).get(name)
    return ("", "") if entry is None else (entry.status, entry.note)


def resolved(reading: Reading) -> list[tuple[str, list[tuple[str, str]]]]:
    """Per process, every config that the model regards, with its value; processes with the same values together."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for side, processes in mapping(reading.scenario.get("configs")).items():
        every = {side: processes} if side == "zookeeper" else mapping(processes)
        for process, given in every.items():
            values = tuple((clean(name), clean(_value(value))) for name, value in mapping(given).items())
            shared = tuple(pair for pair in values if pair[0] != "broker.id")
            found.setdefault((side, shared), []).append(str(process))
    return [
        (clean(side if side == "zookeeper" else f"{side} {words.listed(names, 6)}"), list(values))
        for (side, values), names in found.items()
    ]


def _value(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def rests_on(reading: Reading) -> list[tuple[str, str]]:
    """What the numbers rest on."""
    manifest = reading.result.manifest
    measured = max(0.0, reading.duration_s - reading.warmup_s)
    found = [
        ("simulated time", f"{words.seconds(reading.duration_s)}, of which {words.seconds(measured)} measured"),
        ("seed", f"{reading.seed}: one seed is an anecdote; --seeds 1-30 gives a distribution"),
    ]
    for kind, title in KINDS.items():
        records = sum(whole(row.get("count")) or 0 for row in reading.latency if row.get("kind") == kind)
        found.append((f"records behind the {title} latency", words.count(records)))
    found.append(
        (
            "calibrated",
            "true: the hosts' costs rest on measurements"
            if reading.summary.get("calibrated")
            else "false: the hosts' costs are assumed, or measured on another machine",
        )
    )
    version = dig(reading.scenario, "cluster", "version")
    if version:
        found.append(("simulated Kafka", clean(version)))
    if manifest.get("kafkasim"):
        found.append(("kafkasim", f"{clean(manifest['kafkasim'])} ({clean(manifest.get('build') or 'build unknown')})"))
    for library, number in mapping(manifest.get("versions")).items():
        found.append((clean(library), clean(number)))
    overrides = manifest.get("overrides")
    if isinstance(overrides, list) and overrides:
        found.append(("overrides", clean(", ".join(map(str, overrides)), 500)))
    return found


def _files(reading: Reading) -> list[str]:
    tables = [f"{name}.csv" for name in sorted(reading.result.tables)]
    return ["summary.json", "manifest.json", *tables]
