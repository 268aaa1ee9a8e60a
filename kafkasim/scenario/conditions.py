"""Conditions: what must happen before an event begins (``when:``), or what an expectation says has happened.

A small closed grammar; every sentence names brokers and partitions that exist. :data:`FORMS` lists it.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

FORMS: tuple[str, ...] = (
    "broker N truncates TOPIC-P",
    "broker N is elected leader of TOPIC-P",
    "broker N follows broker M in TOPIC-P",
    "leader of TOPIC-P changes",
    "TOPIC-P has no leader",
    "isr of TOPIC-P shrinks to K",
    "isr of TOPIC-P grows to K",
    "isr of TOPIC-P == [N, M]",
    "high watermark of TOPIC-P reaches K",
    "broker N registers",
    "session of broker N expires",
    "controller changes",
    "zookeeper leader changes",
)
"""Every sentence that is a condition."""

_PATTERNS: tuple[tuple[str, str], ...] = (
    ("truncates", r"broker (?P<broker>\d{1,9}) truncates (?P<tp>\S+)"),
    ("elected", r"broker (?P<broker>\d{1,9}) is elected leader of (?P<tp>\S+)"),
    ("follows", r"broker (?P<broker>\d{1,9}) follows broker (?P<other>\d{1,9}) in (?P<tp>\S+)"),
    ("leader_changes", r"leader of (?P<tp>\S+) changes"),
    ("no_leader", r"(?P<tp>\S+) has no leader"),
    ("isr_shrinks", r"isr of (?P<tp>\S+) shrinks to (?P<number>\d{1,4})"),
    ("isr_grows", r"isr of (?P<tp>\S+) grows to (?P<number>\d{1,4})"),
    ("isr_is", r"isr of (?P<tp>\S+) == \[(?P<ids>[\d, ]*)\]"),
    ("high_watermark", r"high watermark of (?P<tp>\S+) reaches (?P<number>\d{1,15})"),
    ("registers", r"broker (?P<broker>\d{1,9}) registers"),
    ("session_expires", r"session of broker (?P<broker>\d{1,9}) expires"),
    ("controller_changes", r"controller changes"),
    ("zookeeper_leader_changes", r"zookeeper leader changes"),
)


class ConditionError(ValueError):
    """A sentence that is no condition; ``nearest`` is the form that it looks most like."""

    def __init__(self, message: str, nearest: str | None = None) -> None:
        super().__init__(message)
        self.nearest = nearest


@dataclass(frozen=True, slots=True)
class ConditionSpec:
    """One condition, parsed. ``kind`` is a key of the grammar, such as ``truncates`` or ``isr_is``."""

    kind: str
    text: str
    broker: int | None = None
    other: int | None = None
    topic: str | None = None
    partition: int | None = None
    number: int | None = None
    ids: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.text

    @property
    def brokers(self) -> tuple[int, ...]:
        """Every broker that it names."""
        return tuple(number for number in (self.broker, self.other, *self.ids) if number is not None)


def parse_condition(text: str) -> ConditionSpec:
    """The condition that a sentence names; :class:`ConditionError` if it names none."""
    sentence = " ".join(text.split())
    for kind, pattern in _PATTERNS:
        found = re.fullmatch(pattern, sentence)
        if found is None:
            continue
        parts = found.groupdict()
        topic, partition = None, None
        if parts.get("tp") is not None:
            topic, dash, last = parts["tp"].rpartition("-")
            if not dash or not topic or not re.fullmatch(r"\d{1,7}", last):
                raise ConditionError("a partition is written TOPIC-P, such as orders-0", nearest_form(sentence))
            partition = int(last)
        ids = tuple(int(word) for word in (parts.get("ids") or "").replace(",", " ").split())
        if kind == "isr_is" and (not ids or len(set(ids)) != len(ids)):
            raise ConditionError("an ISR is a list of different brokers, such as [1, 2]", nearest_form(sentence))
        return ConditionSpec(
            kind, sentence, broker=_number(parts.get("broker")), other=_number(parts.get("other")), topic=topic,
            partition=partition, number=_number(parts.get("number")), ids=ids,
        )  # fmt: skip
    raise ConditionError("is not a condition", nearest_form(sentence))


def nearest_form(sentence: str) -> str | None:
    """The form that looks most like ``sentence``, numbers and names left aside."""
    plain = re.sub(r"\S+-\d+\b", "TOPIC-P", sentence.replace(",", " "))
    plain = re.sub(r"\b\d+\b", "N", plain)
    found = difflib.get_close_matches(plain, FORMS, n=1, cutoff=0.5)
    return found[0] if found else None


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
