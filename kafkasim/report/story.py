"""What happened in a run, in sentences: from the timeline's chains of causes, the outages and the ledger.

For each event of the scenario its effects are followed by ``cause`` to the last one; nothing here knows a scenario.
A kind of row that has no sentence of its own is told by its name and detail, so that new mechanisms show up.

Left out: the figures (``figures``) and every row of the timeline (the page lists them).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kafkasim.report import anomalies, words
from kafkasim.report.effects import Effects
from kafkasim.report.reading import Fault, Moment, Reading, Row, mapping, real, rows, whole
from kafkasim.report.words import clean

MOST_OUTAGES = 12
MOST_TOPICS = 4
MOST_KINDS = 6


@dataclass(frozen=True)
class Sentence:
    """One sentence; with ``time_s`` it continues "At … s". ``row``: the row of the timeline that it tells."""

    text: str
    time_s: float | None = None
    row: int | None = None

    @property
    def full(self) -> str:
        """The sentence with its time."""
        return self.text if self.time_s is None else f"At {words.at(self.time_s)} {self.text}"


@dataclass
class Paragraph:
    """Sentences about one thing."""

    title: str
    sentences: list[Sentence] = field(default_factory=list)

    def say(self, text: str, time_s: float | None = None, row: int | None = None) -> None:
        """Add a sentence."""
        self.sentences.append(Sentence(clean(text, 2000), time_s, row))


def tell(reading: Reading) -> list[Paragraph]:
    """The story of a run."""
    story = [_what_ran(reading)]
    owners = _owners(reading)
    story += [_event(reading, fault, owners) for fault in reading.faults]
    if not reading.faults:
        quiet = Paragraph("What broke")
        quiet.say("Nothing broke: the scenario has no event.")
        story.append(quiet)
    unexplained = _unexplained(reading)
    story += [unexplained, _by_themselves(reading, owners), _speed(reading)]
    story.append(_records(reading))
    return [paragraph for paragraph in story if paragraph.sentences]


def text(reading: Reading) -> str:
    """The story as plain text: a paragraph a line."""
    return "\n".join(" ".join(one.full for one in paragraph.sentences) for paragraph in tell(reading)) + "\n"


def _owners(reading: Reading) -> list[Fault | None]:
    """For each row of the timeline the event behind it."""
    known = {fault.id: fault for fault in reading.faults}
    owners: list[Fault | None] = []
    for moment in reading.moments:
        owner = known.get(moment.id)
        if owner is None and moment.cause is not None and 1 <= moment.cause <= len(owners):
            owner = owners[moment.cause - 1]
        owners.append(owner)
    return owners


def _what_ran(reading: Reading) -> Paragraph:
    paragraph = Paragraph("What ran")
    created = whole(reading.ledger.get("created")) or 0
    topics = mapping(reading.ledger.get("topics"))
    description = reading.scenario.get("description")
    if isinstance(description, str) and description:
        paragraph.say(description if description.endswith((".", "!", "?")) else f"{description}.")
    where = f" for {words.plural(len(topics), 'topic')}" if topics else ""
    paragraph.say(
        f"{reading.name} was simulated for {words.seconds(reading.duration_s)} with seed {reading.seed}: "
        f"{words.plural(created, 'record')}{where}."
    )
    return paragraph


def _event(reading: Reading, fault: Fault, owners: list[Fault | None]) -> Paragraph:
    paragraph = Paragraph(f"{words.at(fault.at_s)}: {fault.title}")
    moments = [m for i, m in enumerate(reading.moments) if owners[i] is fault and m.id != fault.id]
    outages = [one for one in reading.outages if reading.behind(one.cause) is fault]
    effects = Effects(fault, moments, outages, reading.duration_s)
    paragraph.say(_opening(fault), fault.at_s, fault.id)
    for time_s, what, row in effects.sentences(MOST_OUTAGES):
        paragraph.say(what, time_s, row)
    if not outages:
        paragraph.say("No client was kept from writing or reading for longer than the threshold of the report.")
    for loss in rows(reading.ledger.get("losses")):
        cause = whole(loss.get("cause"))
        if reading.behind(cause) is fault:
            lost = whole(loss.get("records")) or 0
            paragraph.say(f"It cost {words.plural(lost, 'acknowledged record')} of {clean(loss.get('topic'))}.")
    if fault.over_s is None:
        paragraph.say(f"It was not over when the run ended at {words.at(reading.duration_s)}.")
    else:
        over = next((m.id for m in moments if m.event == "over"), None)
        paragraph.say(
            f"all was well again, {words.seconds(fault.over_s - fault.at_s)} after it began.", fault.over_s, over
        )
    return paragraph


_OPENINGS = {
    "crash": "{target} was killed.",
    "freeze": "{target} was stopped; its sockets stayed open, so that nobody was told.",
    "power_loss": "the machine of {target} lost its power; nobody was told.",
    "partition": "the links between {target} were cut.",
    "latency": "the links between {target} got slower.",
    "loss": "the links between {target} began to lose packets.",
    "stop": "{target} was told to stop.",
    "rolling_restart": "an operator began to restart all {target}, one after the other.",
    "create_topic": "the topic {target} was asked for.",
    "delete_topic": "an administrator asked for the deletion of {target}.",
    "add_partitions": "more partitions were asked for {target}.",
    "reassign": "replicas of {target} were asked to move.",
    "nic_capped": "the network card of {target} got slower.",
    "elect_leaders": "an election of {target} was asked for.",
    "elect_preferred_leaders": "the preferred leaders of {target} partitions were asked for.",
}
"""How an event begins, by its verb."""


def _opening(fault: Fault) -> str:
    opening = _OPENINGS.get(fault.event)
    if opening is None:
        return f"the event began: {fault.title}."
    return opening.replace("{target}", fault.target or "all")


def _unexplained(reading: Reading) -> Paragraph:
    paragraph = Paragraph("Outages that no event of the scenario caused")
    found = [one for one in reading.outages if reading.behind(one.cause) is None]
    for outage in found[:MOST_OUTAGES]:
        verb = "write to" if outage.kind == "produce" else "read from"
        end = " and still could not at the end of the run" if outage.open else ""
        because = ""
        if outage.cause is not None and 1 <= outage.cause <= len(reading.moments):
            moment = reading.moments[outage.cause - 1]
            because = f", because of {moment.event.replace('_', ' ')} at {moment.actor}"
        paragraph.say(
            f"{outage.client} could not {verb} {outage.where} for {words.seconds(outage.duration_s)}{end}{because}.",
            outage.from_s,
            outage.cause,
        )
    if len(found) > MOST_OUTAGES:
        paragraph.say(f"There were {len(found) - MOST_OUTAGES} more.")
    return paragraph


def _by_themselves(reading: Reading, owners: list[Fault | None]) -> Paragraph:
    """What stands in the timeline with no event of the scenario behind it."""
    paragraph = Paragraph("What happened by itself")
    counts: dict[str, int] = {}
    firsts: dict[str, Moment] = {}
    for moment, owner in zip(reading.moments, owners, strict=True):
        if owner is None:
            counts[moment.event] = counts.get(moment.event, 0) + moment.count
            firsts.setdefault(moment.event, moment)
    for event, first in list(firsts.items())[:MOST_KINDS]:
        more = counts[event] - 1
        detail = f" ({first.detail})" if first.detail else ""
        times = f", the first of {more + 1}" if more else ""
        paragraph.say(f"{first.actor}: {event.replace('_', ' ')}{detail}{times}.", first.time_s, first.id)
    if len(firsts) > MOST_KINDS:
        paragraph.say(f"The timeline shows {words.plural(len(firsts) - MOST_KINDS, 'more kind')} of rows.")
    return paragraph


def _speed(reading: Reading) -> Paragraph:
    paragraph = Paragraph("How fast")
    done = {"produce": "acknowledged", "end_to_end": "delivered"}
    shown = [row for row in reading.latency if row.get("kind") in done and whole(row.get("count"))]
    topics = list(dict.fromkeys(str(row.get("topic")) for row in shown))
    for topic in topics[:MOST_TOPICS]:
        parts = [
            f"{done[str(row.get('kind'))]} within {words.seconds(real(row.get('p50_s')))}{_tail(row)}"
            for row in shown
            if row.get("topic") == topic and row.get("p50_s") is not None
        ]
        if parts:
            paragraph.say(f"Half of the records of {topic} were {' and half '.join(parts)}.")
        else:
            reason = next(iter(mapping(row.get("reason")).values()) for row in shown if row.get("topic") == topic)
            paragraph.say(f"No median can be given for {topic}: {reason}.")
    if len(topics) > MOST_TOPICS:
        paragraph.say(f"The tables show {words.plural(len(topics) - MOST_TOPICS, 'more topic')}.")
    if reading.warmup_s > 0.0 and paragraph.sentences:
        paragraph.say(f"Latency leaves out records of the first {words.seconds(reading.warmup_s)}.")
    return paragraph


def _tail(row: Row) -> str:
    value = real(row.get("p99_s"))
    if value is not None:
        return f" (99 % within {words.seconds(value)})"
    reason = mapping(row.get("reason")).get("p99_s")
    return f" (no 99th percentile: {reason})" if reason else ""


def _records(reading: Reading) -> Paragraph:
    paragraph = Paragraph("What became of the records")
    ledger = reading.ledger

    def term(name: str) -> int:
        return whole(ledger.get(name)) or 0

    if not term("created"):
        paragraph.say("No record was created.")
    else:
        paragraph.say(
            f"Of {words.plural(term('created'), 'record')} created, {words.count(term('acknowledged'))} were "
            f"acknowledged, {_none(term('failed'))} failed, and {_none(term('in_flight'))} "
            f"{'was' if term('in_flight') == 1 else 'were'} in flight when the run ended."
        )
        lost = term("acknowledged_lost")
        if lost:
            paragraph.say(f"{words.plural(lost, 'acknowledged record')} {'was' if lost == 1 else 'were'} lost.")
        else:
            paragraph.say("No acknowledged record was lost.")
        away = [(name, term(name)) for name in ("above_high_watermark", "offline", "expired", "in_transit")]
        for name, records in away:
            if records:
                paragraph.say(f"{words.plural(records, 'acknowledged record')}: {name.replace('_', ' ')} at the end.")
        if term("extra_copies"):
            copies = words.plural(term("extra_copies"), "extra copy", "extra copies")
            paragraph.say(f"There {'is' if term('extra_copies') == 1 else 'are'} {copies} of records in the logs.")
    for name, given in mapping(ledger.get("groups")).items():
        paragraph.say(_group(name, mapping(given)))
    for one in anomalies.told(reading):
        if one.not_allowed:
            paragraph.say(
                f"Not allowed by this configuration: {one.name}, {anomalies.amount(one, one.not_allowed)} "
                f"({one.meaning}): {one.example}."
            )
        else:
            paragraph.say(f"{one.name}: {anomalies.amount(one, one.count)}, allowed ({one.because}).")
    for said in anomalies.findings(reading):
        paragraph.say(f"{said}.")
    identities = reading.identities
    broken = [str(one.get("name")) for one in identities if not one.get("holds")]
    if broken:
        paragraph.say(f"The accounts do not add up, which is a bug of kafkasim: {'; '.join(broken)}.")
    elif identities:
        paragraph.say(f"All {len(identities)} identities of the ledger hold.")
    expectations = rows(reading.summary.get("expectations"))
    failed = [str(one.get("text")) for one in expectations if not one.get("holds")]
    if failed:
        paragraph.say(f"Expected, but not so: {'; '.join(failed)}.")
    elif expectations:
        paragraph.say(f"What the scenario expects ({words.plural(len(expectations), 'line')}) came true.")
    return paragraph


def _group(name: str, terms: Row) -> str:
    def term(key: str) -> int:
        return whole(terms.get(key)) or 0

    parts = [
        f"{words.count(term('delivered_once'))} of {words.count(term('readable'))} readable records once",
        f"{_none(term('delivered_more_than_once'))} more than once",
    ]
    said = f"{name} was given {' and '.join(parts)}"
    if term("pending_at_end"):
        said += f"; {words.count(term('pending_at_end'))} were still ahead of it"
    if term("never_delivered"):
        reasons = mapping(terms.get("never_delivered_because"))
        why = ", ".join(f"{key} {words.count(real(value))}" for key, value in reasons.items() if value)
        said += f"; it never saw {words.count(term('never_delivered'))}{f' ({why})' if why else ''}"
    if term("skipped_by_reset"):
        said += f"; a reset skipped {words.count(term('skipped_by_reset'))}"
    return f"{said}."


def _none(n: int) -> str:
    return "none" if n == 0 else words.count(n)
