"""The sentences of ``expect:`` held against a result.

A value that cannot be given fails its sentence, with the reason.  With ``outside events`` or
``from A to B`` a latency is the worst of the report's intervals that lie wholly in the
window (p50, p99 and max are kept by interval, other percentiles are not).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from kafkasim.books import Books
from kafkasim.cluster import Cluster
from kafkasim.results import Result
from kafkasim.scenario.expectations import GROUP_METRICS, LEDGER_METRICS, Expectation

Window = Callable[[float], bool]
_TRAFFIC = {"BytesInPerSec": "bytes_in_per_s", "BytesOutPerSec": "bytes_out_per_s"}
"""MBeans that a run samples under names of its own (without internal topics)."""
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
}  # fmt: skip


def evaluate(
    expectations: Iterable[Expectation], result: Result, cluster: Cluster, met: Mapping[str, float]
) -> list[dict[str, object]]:
    """One row a sentence: text, whether it holds, its value, and why it has none.

    ``met``: when each condition that happened did so first (s), by its text.
    """
    return [_Judge(result, cluster, met).row(expectation) for expectation in expectations]


class _Judge:
    def __init__(self, result: Result, cluster: Cluster, met: Mapping[str, float]) -> None:
        self._met = met
        self._summary: dict[str, Any] = result.summary
        self._result = result
        self._cluster = cluster

    def row(self, e: Expectation) -> dict[str, object]:
        if e.kind == "not_lost":
            value: float | None = float(self._summary["ledger"]["acknowledged_lost"])
            reason, holds = "", value == 0.0
        elif e.kind == "allowed_only":
            wrong = {str(row["name"]): int(row["not_allowed"]) for row in self._summary["anomalies"]}
            value = float(sum(wrong.values()))
            reason, holds = ", ".join(f"{name}: {count}" for name, count in wrong.items() if count), value == 0.0
        elif e.kind == "not_twice":
            value = float(self._group(e.group)["delivered_more_than_once"])
            reason, holds = "", value == 0.0
        elif e.kind == "all_delivered":
            group = self._group(e.group)
            value = float(group["pending_at_end"] + group["never_delivered"] + group["skipped_by_reset"])
            reason, holds = "", value == 0.0
        elif e.condition is not None:
            value = self._met.get(e.condition.text)  # when it happened, in seconds
            holds = (value is None) == (e.kind == "never_happens")
            reason = "" if holds else "it never happened" if value is None else "it happened, at that second"
        else:
            value, reason = self._value(e)
            holds = value is not None and _OPERATORS[str(e.op)](value, float(e.value or 0.0))
        return {"text": e.text, "holds": holds, "value": value, "reason": reason or None}

    def _group(self, name: str | None, topic: str | None = None) -> dict[str, Any]:
        ledger = self._summary["ledger"]
        if topic is not None:
            ledger = ledger["topics"].get(topic, {"groups": {}})
        known: dict[str, Any] = ledger["groups"].get(name) or {}
        return {term: known.get(term, 0) for term in GROUP_METRICS}

    def _value(self, e: Expectation) -> tuple[float | None, str]:
        metric = str(e.metric)
        if metric.endswith("_latency"):
            return self._latency(e, metric.removesuffix("_latency"))
        if metric.endswith("_unavailability"):
            return self._unavailability(e, metric.removesuffix("_unavailability")), ""
        if metric in LEDGER_METRICS:
            return self._ledger(e, metric)
        if metric in GROUP_METRICS:
            names = [e.client] if e.client else sorted(self._summary["ledger"]["groups"])
            return float(sum(self._group(name, e.topic)[metric] for name in names)), ""
        if metric in ("consumer_lag", "isr"):
            return self._series(e, "consumer_lag_records" if metric == "consumer_lag" else "isr_size_replicas")
        if metric in ("throughput_in", "throughput_out"):
            return self._throughput(e, metric)
        if metric == "anomaly":
            return self._anomaly(e), ""
        if metric == "errors":
            return float(self._cluster.client_errors(str(e.statistic), e.client)), ""
        if metric == "diverged":
            return float(Books(self._cluster).diverged(e.topic, e.partition)), ""
        if e.statistic == "EventQueueTimeMs":
            waits = [float(row["max_queue_time_s"]) for row in self._summary["controllers"]]
            return (max(waits) * 1000.0, "") if waits else (None, "no controller had an event")
        return self._mbean(e, str(e.statistic))

    def _window(self, e: Expectation) -> Window | None:
        if e.from_s is not None and e.until_s is not None:
            low, high = e.from_s, e.until_s
            return lambda at: low <= at <= high
        if e.outside_events:
            spans = [(ev["at_s"], ev["over_s"]) for ev in self._summary["events"]]
            return lambda at: not any(at >= a and (b is None or at <= b) for a, b in spans)
        return None

    def _latency(self, e: Expectation, kind: str) -> tuple[float | None, str]:
        topics = [e.topic] if e.topic else sorted(self._cluster.scenario.topics)
        statistic = str(e.statistic)
        window = self._window(e)
        worst: float | None = None
        for topic in topics:
            if window is None:
                p = Fraction(1) if statistic == "max" else Fraction(statistic[1:]) / 100
                value, reason = self._cluster.latency.percentile(p, topic, kind, e.client)
                if value is None:
                    if reason == "no records" and len(topics) > 1:
                        continue
                    return None, reason
            else:
                column = f"{statistic}_s"
                if column not in ("p50_s", "p99_s", "max_s"):
                    return None, f"{statistic} is not kept by interval"
                interval_s = self._cluster.scenario.report.interval_s
                values = [
                    float(row[column])  # type: ignore[arg-type]
                    for row in self._cluster.latency.over_time
                    if row["topic"] == topic and row["kind"] == kind and row["client"] == e.client
                    and row["broker"] is None and row[column] is not None
                    and window(float(row["time_s"])) and window(float(row["time_s"]) - interval_s)  # type: ignore[arg-type]
                ]  # fmt: skip
                if not values:
                    return None, "no interval of the window has that value"
                value = max(values)
            worst = value if worst is None else max(worst, value)
        return (worst, "") if worst is not None else (None, "no records")

    def _unavailability(self, e: Expectation, kind: str) -> float:
        window = self._window(e)
        lengths = [
            float(row["duration_s"])
            for row in self._summary["unavailability"]
            if row["kind"] == kind
            and (e.topic is None or row["topic"] == e.topic)
            and (e.partition is None or row["partition"] == e.partition)
            and (e.client is None or row["client"] == e.client)
            and (window is None or window(row["from_s"]))
        ]
        return sum(lengths) if e.statistic == "total" else max(lengths, default=0.0)

    def _ledger(self, e: Expectation, term: str) -> tuple[float | None, str]:
        if e.client is not None or e.partition is not None:
            count = Books(self._cluster).count_streams(term, e.topic, e.partition, e.client)
            return (None, f"{term} is not kept by client or partition") if count is None else (float(count), "")
        ledger = self._summary["ledger"]
        if e.topic is not None:
            ledger = ledger["topics"].get(e.topic, {})
        return float(ledger.get(term, 0)), ""

    def _anomaly(self, e: Expectation) -> float:
        return float(sum(int(row["count"]) for row in self._summary["anomalies"] if row["name"] == e.statistic))

    def _throughput(self, e: Expectation, metric: str) -> tuple[float | None, str]:
        column = "records_in_per_s" if metric.endswith("in") else "records_out_per_s"
        window = self._window(e)
        if window is None and e.client is None:
            rates = [r[column] for r in self._summary["throughput"] if e.topic in (None, r["topic"])]
        else:
            samples = self._cluster.series.values(column, topic=e.topic, client=e.client)
            rates_in = [value for at, value in samples if window is None or window(at)]
            rates = [sum(rates_in) / len(rates_in)] if rates_in else []
        known = [float(rate) for rate in rates if rate is not None]
        return (sum(known), "") if known else (None, "nothing was measured")

    def _mbean(self, e: Expectation, name: str) -> tuple[float | None, str]:
        """Brokers add up, but for what is a share or the length of a queue: there the worst one counts."""
        window = self._window(e)
        alone = name.endswith("Percent") or name == "RequestQueueSize"
        at: dict[float, list[float]] = {}
        traffic = _TRAFFIC.get(name)
        for row in self._cluster.series.rows():
            if traffic is not None and (row["metric"] != traffic or row["broker"] is None):
                continue
            if row["metric"] in (name, traffic) and e.broker in (None, row["broker"]):
                time_s = float(row["time_s"])  # type: ignore[arg-type]
                if window is None or window(time_s):
                    at.setdefault(time_s, []).append(float(row["value"]))  # type: ignore[arg-type]
        if not at:  # a broker that has never had any traffic has no series of it
            return (0.0, "") if traffic is not None else (None, f"{name} was not measured")
        low = e.which == "lowest"
        samples = {t: (min(values) if low else max(values)) if alone else sum(values) for t, values in at.items()}
        if e.which == "total":
            return round(sum(rate * self._span(t) for t, rate in samples.items()), 6), ""
        if e.which == "final":
            return samples[max(samples)], ""
        return (min if low else max)(samples.values()) + 0.0, ""  # no negative zero

    def _span(self, until: float) -> float:
        """The length of the sampled interval that ends at ``until``."""
        interval_s = self._cluster.scenario.report.interval_s
        return until - (math.ceil(round(until / interval_s, 9)) - 1) * interval_s

    def _series(self, e: Expectation, name: str) -> tuple[float | None, str]:
        window = self._window(e)
        label = "client" if "-throttle-time-" in name else "group"
        wanted = {"topic": e.topic, "partition": e.partition, label: e.client}
        samples: list[tuple[float, float]] = []
        for row in self._cluster.series.rows():
            at = float(row["time_s"])  # type: ignore[arg-type]
            if (
                row["metric"] == name
                and all(value is None or row[label] == value for label, value in wanted.items())
                and (window is None or window(at))
            ):
                samples.append((at, float(row["value"])))  # type: ignore[arg-type]
        if not samples:
            return None, f"{name} was not measured"
        if e.statistic == "final":
            last = max(at for at, _ in samples)
            return max(value for at, value in samples if at == last), ""
        return max(value for _, value in samples), ""
