"""The sentences of ``expect:``, parsed.

``no acknowledged record is lost`` · ``no anomaly outside the allowed ones`` ·
``no record is delivered twice to GROUP`` · ``every record is delivered to GROUP``
· ``it happens that CONDITION`` · ``it never happens that CONDITION`` · METRIC [``of`` TOPIC[-P]] [``for`` CLIENT]
[``at broker N``] OP QUANTITY [``outside events`` | ``from A to B``].

A METRIC that is the name of an MBean is the largest of its samples; ``lowest``, ``final`` or ``total`` may stand before
it (``total``: a meter's count).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from kafkasim.scenario.conditions import FORMS as CONDITIONS
from kafkasim.scenario.conditions import ConditionError, ConditionSpec, parse_condition
from kafkasim.scenario.targets import split_partition
from kafkasim.scenario.units import UnitError, parse_duration, parse_rate

JMX_NAMES = (
    "UnderReplicatedPartitions", "UnderMinIsrPartitionCount", "AtMinIsrPartitionCount", "PartitionCount", "LeaderCount",
    "IsrShrinksPerSec", "IsrExpandsPerSec", "FailedIsrUpdatesPerSec", "OfflinePartitionsCount",
    "ActiveControllerCount", "ActiveBrokerCount", "UncleanLeaderElectionsPerSec", "RequestHandlerAvgIdlePercent",
    "NetworkProcessorAvgIdlePercent", "RequestQueueSize", "BytesInPerSec", "BytesOutPerSec",
    "ReplicationBytesOutPerSec", "TotalProduceRequestsPerSec", "TotalFetchRequestsPerSec", "ZooKeeperExpiresPerSec",
    "ZooKeeperDisconnectsPerSec", "PreferredReplicaImbalanceCount", "EventQueueSize", "EventQueueTimeMs",
    "produce-throttle-time-max", "fetch-throttle-time-max", "cross_rack_bytes_out_per_s",
)  # fmt: skip
"""Broker and controller metrics that a run samples, by the names that Kafka's MBeans have."""
NOT_SAMPLED = (
    "OfflineReplicaCount", "FencedBrokerCount", "LeaderElectionRateAndTimeMs",
    "MaxLag", "ResponseQueueSize", "MessagesInPerSec", "TotalProduceRequestsPerSec", "ReplicationBytesOutPerSec",
    "ReplicationBytesInPerSec", "FailedProduceRequestsPerSec",
    "FailedFetchRequestsPerSec", "LogFlushRateAndTimeMs", "ZooKeeperRequestLatencyMs", "SessionState",
)  # fmt: skip
"""Metrics of Kafka that a run does not sample."""

ANOMALIES = (
    "lost-write", "duplicate", "inconsistent-offsets", "unseen", "failed-read", "precommitted-read",
    "nonmonotonic-send", "nonmonotonic-poll", "poll-skip",
)  # fmt: skip
"""Jepsen's names of what may go wrong with a record, in the order of a result."""

FORMS = (
    "no acknowledged record is lost; no anomaly outside the allowed ones; "
    "no record is delivered twice to GROUP; every record is delivered to GROUP; "
    "it happens that CONDITION; it never happens that CONDITION; "
    "METRIC [of TOPIC[-P]] [for CLIENT] [at broker N] < <= > >= or == QUANTITY [outside events | from A to B]"
)
METRICS = (
    "produce latency pNN", "commit latency pNN", "end_to_end latency pNN", "produce unavailability",
    "consume unavailability", "total produce unavailability", "acknowledged_lost", "failed", "extra_copies",
    "created", "acknowledged", "in_flight", "readable", "above_high_watermark", "offline", "expired",
    "readable_unacknowledged",
    "delivered_more_than_once", "never_delivered", "skipped_by_reset", "pending_at_end",
    "consumer lag", "final consumer lag", "throughput in", "throughput out", "errors NAME", "diverged", "final isr",
    "anomaly NAME",
)  # fmt: skip


LEDGER_METRICS = (
    "acknowledged_lost", "failed", "extra_copies", "created", "acknowledged", "in_flight", "readable",
    "above_high_watermark", "offline", "expired", "readable_unacknowledged",
)  # fmt: skip
"""Terms of the ledger, in records."""
GROUP_METRICS = ("delivered_more_than_once", "never_delivered", "skipped_by_reset", "pending_at_end")
"""Terms of the ledger that belong to a group (``for GROUP``; without it all groups add up)."""


class ExpectationError(ValueError):
    """A sentence that is none; ``allowed`` says what is."""

    def __init__(self, message: str, allowed: str = FORMS, nearest: str | None = None) -> None:
        super().__init__(message)
        self.allowed = allowed
        self.nearest = nearest


@dataclass(frozen=True, slots=True)
class Expectation:
    """One sentence. ``kind`` is ``not_lost``, ``allowed_only``, ``not_twice``, ``all_delivered``, ``happens``,
    ``never_happens`` or ``metric``."""

    text: str
    kind: str
    group: str | None = None
    metric: str | None = None
    """``produce_latency``, ``commit_latency``, ``end_to_end_latency``, ``produce_unavailability``,
    ``consume_unavailability``, ``acknowledged_lost``, ``failed``, ``extra_copies``, ``consumer_lag``,
    ``throughput_in``, ``throughput_out``, ``errors``, ``anomaly``, ``diverged``, ``isr``, ``jmx``."""
    statistic: str | None = None
    """Percentile (``p99.9``) or ``max``; ``longest`` or ``total``; ``max`` or ``final``; name of an error or MBean."""
    which: str = "max"
    """Of an MBean's samples: ``max``, ``lowest``, ``final`` or ``total``."""
    broker: int | None = None
    """Of an MBean: one broker's samples."""
    topic: str | None = None
    partition: int | None = None
    client: str | None = None
    op: str | None = None
    value: float | None = None
    outside_events: bool = False
    from_s: float | None = None
    until_s: float | None = None
    condition: ConditionSpec | None = None


_COMPARISON = re.compile(
    r"(?P<metric>.+?)(?:\s+of\s+(?P<topic>\S+))?(?:\s+for\s+(?P<client>\S+))?"
    r"(?:\s+at\s+broker\s+(?P<broker>\d{1,9}))?\s*(?P<op><=|>=|==|<|>)\s*"
    r"(?P<value>\S+)(?P<outside>\s+outside\s+events)?(?:\s+from\s+(?P<from>\S+)\s+to\s+(?P<to>\S+))?"
)
_OF_CLUSTER = (
    "UnderReplicatedPartitions", "OfflinePartitionsCount", "ActiveControllerCount", "ActiveBrokerCount",
    "UncleanLeaderElectionsPerSec", "PreferredReplicaImbalanceCount", "EventQueueSize", "EventQueueTimeMs",
)  # fmt: skip
_OF_BROKERS = tuple(name for name in JMX_NAMES if name not in _OF_CLUSTER)
_LATENCY = re.compile(r"(produce|commit|end_to_end) latency (p\d{1,2}(?:\.\d{1,3})?|p\d{3,5}|max)")
_GAP = re.compile(r"(total )?(produce|consume) unavailability")


def parse_expectation(text: str, topics: Collection[str] = ()) -> Expectation:
    """The parsed sentence; a declared topic's name wins over TOPIC-P. :class:`ExpectationError` otherwise."""
    sentence = " ".join(text.split())
    if len(sentence) > 500:
        raise ExpectationError("is longer than 500 characters")
    if sentence == "no acknowledged record is lost":
        return Expectation(sentence, "not_lost")
    if sentence == "no anomaly outside the allowed ones":
        return Expectation(sentence, "allowed_only")
    if found := re.fullmatch(r"no record is delivered twice to (\S+)", sentence):
        return Expectation(sentence, "not_twice", group=found[1])
    if found := re.fullmatch(r"every record is delivered to (\S+)", sentence):
        return Expectation(sentence, "all_delivered", group=found[1])
    if found := re.fullmatch(r"it (never )?happens that (.+)", sentence):
        try:
            condition = parse_condition(found[2])
        except ConditionError as error:
            raise ExpectationError(f"'{found[2][:60]}' {error}", "; ".join(CONDITIONS), error.nearest) from None
        return Expectation(sentence, "never_happens" if found[1] else "happens", condition=condition)
    found = _COMPARISON.fullmatch(sentence)
    if not found:
        raise ExpectationError("is not a sentence that can be checked")
    said = re.fullmatch(r"(?:(lowest|final|total) )?(\w+)", found["metric"])
    which = "max"
    if said is not None and said[1] is not None and said[2] in (*JMX_NAMES, *NOT_SAMPLED):
        which = said[1]
        metric, statistic, unit = _metric(said[2])
        if which == "total" and not said[2].endswith("PerSec"):
            raise ExpectationError(f"{said[2]} is no rate: its samples have no total", "max, lowest, final")
    else:
        metric, statistic, unit = _metric(found["metric"])
    if found["broker"] is not None and (metric != "jmx" or statistic in _OF_CLUSTER):
        raise ExpectationError("'at broker N' belongs to a metric of brokers", ", ".join(_OF_BROKERS))
    if metric == "anomaly" and (found["topic"] or found["client"] or found["outside"] or found["from"]):
        raise ExpectationError("an anomaly is counted over the whole run", "anomaly NAME < <= > >= or == NUMBER")
    topic, partition = (None, None) if found["topic"] is None else split_partition(found["topic"], topics)
    try:
        since = parse_duration(found["from"]) if found["from"] else None
        until = parse_duration(found["to"]) if found["to"] else None
    except UnitError as error:
        raise ExpectationError(str(error), error.allowed) from None
    if since is not None and until is not None and since >= until:
        raise ExpectationError("the span 'from … to …' is empty")
    return Expectation(
        sentence, "metric", metric=metric, statistic=statistic, which=which,
        broker=None if found["broker"] is None else int(found["broker"]), topic=topic, partition=partition,
        client=found["client"], op=found["op"], value=_quantity(found["value"], unit),
        outside_events=bool(found["outside"]), from_s=since, until_s=until,
    )  # fmt: skip


def _metric(text: str) -> tuple[str, str | None, str]:
    """Metric, statistic and the kind of quantity it is compared with."""
    if found := _LATENCY.fullmatch(text):
        statistic = found[2]
        if re.fullmatch(r"p\d{3,5}", statistic):
            statistic = f"p{statistic[1:3]}.{statistic[3:]}"
        return f"{found[1]}_latency", statistic, "duration"
    if found := _GAP.fullmatch(text):
        return f"{found[2]}_unavailability", "total" if found[1] else "longest", "duration"
    if text in (*LEDGER_METRICS, "diverged"):
        return text, None, "count"
    if text in GROUP_METRICS:
        return text, None, "count"
    if text in ("consumer lag", "final consumer lag"):
        return "consumer_lag", "final" if text.startswith("final") else "max", "count"
    if text in ("throughput in", "throughput out"):
        return text.replace(" ", "_"), None, "rate"
    if text == "final isr":
        return "isr", "final", "count"
    if found := re.fullmatch(r"anomaly (\S+)", text):
        if found[1] not in ANOMALIES:
            raise ExpectationError(f"'{found[1][:60]}' is not an anomaly", ", ".join(ANOMALIES))
        return "anomaly", found[1], "count"
    if found := re.fullmatch(r"errors ([A-Z][A-Z_]*)", text):
        return "errors", found[1], "count"
    if text in JMX_NAMES:
        return "jmx", text, "count"
    if text in NOT_SAMPLED:
        raise ExpectationError(f"{text} is a metric of Kafka that a run does not sample", ", ".join(JMX_NAMES))
    raise ExpectationError(f"'{text[:60]}' is not a metric", ", ".join(METRICS) + ", or the name of an MBean")


def _quantity(text: str, unit: str) -> float:
    try:
        if unit == "duration":
            return parse_duration(text)
        if unit == "rate":
            return parse_rate(text)
    except UnitError as error:
        raise ExpectationError(str(error), error.allowed) from None
    if not re.fullmatch(r"\d[\d_]*(?:\.\d+)?", text):
        raise ExpectationError(f"'{text[:60]}' is not a count", "a number without unit")
    return float(text.replace("_", ""))
