"""The names, types and units of everything that a result gives.

``summary.json`` is written by walking ``SUMMARY``, the tables by ``TABLES``: what is not named here cannot be
written, and docs/results.md explains every name (a test compares). In a path ``[]`` is a list's member and ``*``
stands for names that the scenario chose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from kafkasim.metrics import numbers
from kafkasim.metrics.ledger import GROUP_TERMS, NEVER_REASONS, TERMS
from kafkasim.metrics.numbers import BOOLEAN, FLOAT, INTEGER, TEXT


class Field(NamedTuple):
    """A path (in the summary) or a column (in a table), its type and unit; ``optional``: may be null."""

    path: str
    kind: str
    unit: str = ""
    optional: bool = False


FREE: Final = "free"
"""Kind of a value that is written as it is (the resolved scenario)."""
FORMAT: Final = 1
"""Version of the files that a result is saved as."""

MANIFEST: Final = (
    Field("format", INTEGER),
    Field("name", TEXT),
    Field("seed", INTEGER),
    Field("kafkasim", TEXT),
    Field("build", TEXT),
    Field("versions.*", TEXT),
    Field("command", TEXT),
    Field("overrides[]", TEXT),
    Field("scenario", FREE),
    Field("files[]", TEXT),
)

TIMELINE: Final = (
    Field("id", INTEGER),
    Field("time_s", FLOAT, "s"),
    Field("actor", TEXT),
    Field("event", TEXT),
    Field("detail", TEXT, optional=True),
    Field("cause", INTEGER, optional=True),
    Field("count", INTEGER, "rows"),
)

UNAVAILABILITY: Final = (
    Field("kind", TEXT),
    Field("client", TEXT),
    Field("topic", TEXT),
    Field("partition", INTEGER),
    Field("acks", TEXT, optional=True),
    Field("from_s", FLOAT, "s"),
    Field("until_s", FLOAT, "s"),
    Field("duration_s", FLOAT, "s"),
    Field("open", BOOLEAN),
    Field("cause", INTEGER, optional=True),
)

LATENCY: Final = (
    Field("topic", TEXT),
    Field("kind", TEXT),
    Field("client", TEXT, optional=True),
    Field("broker", INTEGER, optional=True),
    Field("count", INTEGER, "records"),
    Field("p50_s", FLOAT, "s", True),
    Field("p90_s", FLOAT, "s", True),
    Field("p95_s", FLOAT, "s", True),
    Field("p99_s", FLOAT, "s", True),
    Field("p999_s", FLOAT, "s", True),
    Field("p9999_s", FLOAT, "s", True),
    Field("max_s", FLOAT, "s", True),
    Field("max_finished_s", FLOAT, "s", True),
    Field("failed", INTEGER, "records"),
    Field("censored", INTEGER, "records"),
    Field("oldest_censored_s", FLOAT, "s", True),
)

LATENCY_OVER_TIME: Final = (
    Field("time_s", FLOAT, "s"),
    Field("topic", TEXT),
    Field("kind", TEXT),
    Field("client", TEXT, optional=True),
    Field("broker", INTEGER, optional=True),
    Field("count", INTEGER, "records"),
    Field("p50_s", FLOAT, "s", True),
    Field("p99_s", FLOAT, "s", True),
    Field("max_s", FLOAT, "s"),
)

RATES: Final = ("records_in_per_s", "bytes_in_per_s", "records_out_per_s", "bytes_out_per_s")
RATE_FIELDS: Final = (
    Field("records_in_per_s", FLOAT, "records/s", True),
    Field("bytes_in_per_s", FLOAT, "bytes/s", True),
    Field("records_out_per_s", FLOAT, "records/s", True),
    Field("bytes_out_per_s", FLOAT, "bytes/s", True),
)

THROUGHPUT: Final = (
    Field("time_s", FLOAT, "s"),
    Field("topic", TEXT),
    Field("client", TEXT, optional=True),
    Field("broker", INTEGER, optional=True),
    *RATE_FIELDS,
)

SERIES: Final = (
    Field("time_s", FLOAT, "s"),
    Field("metric", TEXT),
    Field("topic", TEXT, optional=True),
    Field("partition", INTEGER, optional=True),
    Field("group", TEXT, optional=True),
    Field("client", TEXT, optional=True),
    Field("broker", INTEGER, optional=True),
    Field("station", TEXT, optional=True),
    Field("value", FLOAT, "the metric's"),
)

SESSIONS: Final = (
    Field("session", TEXT),
    Field("server", INTEGER),
    Field("touched_at_server_s", FLOAT, "s"),
    Field("touched_at_leader_s", FLOAT, "s", True),
    Field("bucket_ms", INTEGER, "ms", True),
    Field("expired_s", FLOAT, "s", True),
)

BATCHES: Final = (
    Field("topic", TEXT),
    Field("partition", INTEGER),
    Field("producer", TEXT),
    Field("instance", INTEGER),
    Field("first", INTEGER),
    Field("count", INTEGER, "records"),
    Field("created_s", FLOAT, "s"),
    Field("appended_s", FLOAT, "s"),
    Field("broker", INTEGER),
    Field("offset", INTEGER),
    Field("leader_epoch", INTEGER),
    Field("acknowledged_s", FLOAT, "s", True),
    Field("failed_s", FLOAT, "s", True),
    Field("committed_s", FLOAT, "s", True),
    Field("lost_s", FLOAT, "s", True),
    Field("lost_row", INTEGER, optional=True),
    Field("delivered", TEXT, optional=True),
)

TABLES: Final[dict[str, tuple[Field, ...]]] = {
    "timeline": TIMELINE,
    "latency": (*LATENCY, Field("reason", TEXT, optional=True)),
    "latency_over_time": LATENCY_OVER_TIME,
    "throughput": THROUGHPUT,
    "unavailability": UNAVAILABILITY,
    "series": SERIES,
    "sessions": SESSIONS,
    "batches": BATCHES,
}

LEDGER: Final = (
    Field("topic", TEXT, optional=True),
    Field("group", TEXT, optional=True),
    Field("term", TEXT),
    Field("records", INTEGER, "records"),
)
"""Columns of ``Result.ledger`` (not saved: ``summary.json`` has it)."""

HEADLINE: Final = (
    Field("created", INTEGER, "records"),
    Field("acknowledged_lost", INTEGER, "records"),
    Field("failed", INTEGER, "records"),
    Field("longest_produce_unavailability_s", FLOAT, "s"),
    Field("longest_consume_unavailability_s", FLOAT, "s"),
    Field("produce_p50_s", FLOAT, "s", True),
    Field("produce_p99_s", FLOAT, "s", True),
    Field("end_to_end_p50_s", FLOAT, "s", True),
    Field("end_to_end_p99_s", FLOAT, "s", True),
    Field("records_in_per_s", FLOAT, "records/s", True),
    Field("records_out_per_s", FLOAT, "records/s", True),
)

CONTROLLERS: Final = (
    Field("broker", INTEGER),
    Field("events", INTEGER),
    Field("mean_queue_time_s", FLOAT, "s", True),
    Field("max_queue_time_s", FLOAT, "s", True),
    Field("longest_event", TEXT, "", True),
    Field("longest_event_s", FLOAT, "s", True),
)

STATIONS: Final = (
    Field("station", TEXT),
    Field("jobs", INTEGER, "jobs"),
    Field("utilisation", FLOAT, "fraction"),
    Field("mean_queue_length", FLOAT, "jobs", True),
    Field("mean_wait_s", FLOAT, "s", True),
)

EVENTS: Final = (
    Field("id", INTEGER),
    Field("at_s", FLOAT, "s"),
    Field("event", TEXT),
    Field("target", TEXT),
    Field("over_s", FLOAT, "s", True),
)

EXPECTATIONS: Final = (
    Field("text", TEXT),
    Field("holds", BOOLEAN),
    Field("value", FLOAT, "the metric's", True),
    Field("reason", TEXT, optional=True),
)

ANOMALIES: Final = (
    Field("name", TEXT),
    Field("count", INTEGER, "records, jumps"),
    Field("allowed", BOOLEAN),
    Field("not_allowed", INTEGER, "records, jumps"),
    Field("example", TEXT, optional=True),
    Field("cause", INTEGER, optional=True),
    Field("because", TEXT, optional=True),
)

FINDINGS: Final = (
    Field("invariant", TEXT),
    Field("topic", TEXT),
    Field("partition", INTEGER),
    Field("at_s", FLOAT, "s"),
    Field("detail", TEXT),
    Field("because", TEXT),
    Field("count", INTEGER, "times"),
)


def _ledger(prefix: str) -> list[Field]:
    return [
        *(Field(f"{prefix}{name}", INTEGER, "records") for name in TERMS),
        *(Field(f"{prefix}groups.*.{name}", INTEGER, "records") for name in GROUP_TERMS),
        *(Field(f"{prefix}groups.*.never_delivered_because.{name}", INTEGER, "records") for name in NEVER_REASONS),
    ]


def _listed(name: str, fields: tuple[Field, ...]) -> list[Field]:
    return [field._replace(path=f"{name}[].{field.path}") for field in fields]


SUMMARY: Final = (
    Field("name", TEXT),
    Field("seed", INTEGER),
    Field("duration_s", FLOAT, "s"),
    Field("warmup_s", FLOAT, "s"),
    Field("calibrated", BOOLEAN),
    *(field._replace(path=f"headline.{field.path}") for field in HEADLINE),
    *_listed("expectations", EXPECTATIONS),
    *_listed("findings", FINDINGS),
    *_listed("anomalies", ANOMALIES),
    *_ledger("ledger."),
    *_ledger("ledger.topics.*."),
    Field("ledger.losses[].topic", TEXT),
    Field("ledger.losses[].cause", INTEGER),
    Field("ledger.losses[].records", INTEGER, "records"),
    Field("ledger.identities[].name", TEXT),
    Field("ledger.identities[].left", INTEGER, "records"),
    Field("ledger.identities[].right", INTEGER, "records"),
    Field("ledger.identities[].holds", BOOLEAN),
    *_listed("unavailability", UNAVAILABILITY),
    *_listed("latency", LATENCY),
    Field("latency[].reason.*", TEXT),
    *_listed("throughput", (Field("topic", TEXT), *RATE_FIELDS)),
    *_listed("stations", STATIONS),
    *_listed("controllers", CONTROLLERS),
    *_listed("events", EVENTS),
    *_listed("timeline", TIMELINE),
    Field("warnings[]", TEXT),
)

SEEDS: Final = (
    Field("seeds[]", INTEGER),
    Field("figures.*.minimum", FREE, "the figure's", True),
    Field("figures.*.median", FREE, "the figure's", True),
    Field("figures.*.maximum", FREE, "the figure's", True),
    Field("figures.*.nulls", INTEGER, "runs"),
)


class Node:
    """One place of a tree of fields: a leaf with a kind, a list (child ``[]``) or a mapping."""

    def __init__(self, kind: str = "") -> None:
        self.kind: str = kind
        self.children: dict[str, Node] = {}


def tree(fields: tuple[Field, ...]) -> Node:
    """The fields' paths as a tree, in their order."""
    root = Node()
    for field in fields:
        node = root
        for part in field.path.replace("[]", ".[]").split("."):
            node = node.children.setdefault(part, Node())
        node.kind = field.kind
    return root


def shaped(value: object, node: Node, where: str = "") -> object:
    """``value`` with every number of its declared type and every key in the order of the fields.

    Raises:
        KeyError: for a key that is no field.
        TypeError: for a value of another type than declared.
    """
    if node.kind == FREE:
        return free(value)
    if node.kind:
        try:
            return numbers.typed(value, node.kind)
        except TypeError as error:
            raise TypeError(f"{where}: {error}") from None
    if value is None:
        return None
    if "[]" in node.children:
        if not isinstance(value, list | tuple):
            raise TypeError(f"{where}: a list is declared, not {value!r}")
        return [shaped(member, node.children["[]"], f"{where}[]") for member in value]
    if not isinstance(value, Mapping):
        raise TypeError(f"{where}: a mapping is declared, not {value!r}")
    result: dict[str, object] = {}
    for name in node.children:
        if name in value:
            result[name] = shaped(value[name], node.children[name], f"{where}.{name}")
    for name in value:
        if name in node.children:
            continue
        if "*" not in node.children:
            raise KeyError(f"{where}.{name} is no field of the schema (kafkasim/metrics/schema.py)")
        result[str(name)] = shaped(value[name], node.children["*"], f"{where}.*")
    return result


def free(value: object) -> object:
    """A value without declared types (the resolved scenario): numbers rounded, anything unknown as its text."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return numbers.typed(value, INTEGER)
    if isinstance(value, float):
        return numbers.typed(value, FLOAT)
    if isinstance(value, Mapping):
        return {str(key): free(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [free(member) for member in value]
    return str(value)
