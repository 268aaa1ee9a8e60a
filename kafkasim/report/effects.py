"""The sentences that one event of a scenario gives: its rows of the timeline and the outages, in order of time.

Reads what the rows' details say where it can (a partition's leader and ISR before and after) and repeats the detail
where it cannot.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from kafkasim.report import words
from kafkasim.report.reading import Fault, Moment, Outage

Told = tuple[float, str, int | None]
"""Time (s), what happened, row of the timeline."""

PARTITION: Final = re.compile(r"^(?P<tp>[\w.-]+-\d+)\b")
CHANGE: Final = re.compile(
    r"^(?P<tp>[\w.-]+): (?:leader (?P<before>\w+) -> (?P<after>\w+), )?"
    r"(?:ISR \[(?P<old>[\d, ]*)\] -> \[(?P<new>[\d, ]*)\], )?leader epoch (?P<epoch>\d+)"
)
MANY: Final = re.compile(r"^(?P<topic>[\w.-]+): (?P<count>\d+) partitions")
SHOWN: Final = 6
"""Partitions named one by one."""
LINK_FAULTS = ("partition", "latency", "loss")
"""Events between two ends: no process is theirs."""
QUIET: Final = frozenset(
    ("fault", "over", "watch_fired", "follower_applied", "leader_applied", "first_acknowledgement", "first_delivery")
)
"""Rows that other sentences stand for."""


class Effects:
    """What followed from one event."""

    def __init__(self, fault: Fault, moments: list[Moment], outages: list[Outage], end_s: float) -> None:
        self.fault = fault
        self.moments = moments
        self.outages = outages
        self.end_s = end_s

    def sentences(self, most_outages: int) -> list[Told]:
        """Everything worth a sentence, in order of time."""
        kinds: dict[str, list[Moment]] = {}
        for moment in self.moments:
            kinds.setdefault(moment.event, []).append(moment)
        tellers: dict[str, Callable[[list[Moment]], list[Told]]] = {
            "connections_reset": self._resets,
            "session_expired": self._expiries,
            "znode_deleted": self._deletions,
            "controller_elected": self._controllers,
            "broker_change": self._broker_changes,
            "leader_elected": self._elections,
            "isr_changed": self._isr_changes,
            "starting": self._starts,
            "resumed": self._resumptions,
            "start_failed": self._failed_starts,
            "registered": self._registrations,
            "metadata_learned": self._learned,
            "fetch_backoff": self._backoffs,
            "truncated": self._truncations,
            "lost": self._each,
            "caught_up": self._caught_up,
            "halted": self._halts,
            "isr_change_skipped": self._skipped,
            "rebalanced": self._each,
        }
        told: list[Told] = []
        for event, moments in kinds.items():
            if event in tellers:
                told += tellers[event](moments)
            elif event not in QUIET:
                told += self._unknown(event, moments)
        told += [self._outage(one) for one in self.outages[:most_outages]]
        if len(self.outages) > most_outages:
            rest = len(self.outages) - most_outages
            last = max(one.until_s for one in self.outages[most_outages:])
            told.append((last, f"the last of {words.plural(rest, 'more outage')} of this event ended.", None))
        return sorted(told, key=lambda one: one[0])

    def _after(self, moment: Moment) -> str:
        return words.seconds(moment.time_s - self.fault.at_s)

    def _resumptions(self, moments: list[Moment]) -> list[Told]:
        return [
            (moment.time_s, f"{moment.actor} went on, {self._after(moment)} later.", moment.id) for moment in moments
        ]

    def _resets(self, moments: list[Moment]) -> list[Told]:
        first = moments[0]
        number = sum(moment.count for moment in moments if moment.time_s - first.time_s <= 0.1)
        verb = "was" if number == 1 else "were"
        return [(first.time_s, f"{words.plural(number, 'connection')} of clients {verb} reset.", first.id)]

    def _expiries(self, moments: list[Moment]) -> list[Told]:
        told: list[Told] = []
        for moment in moments[:SHOWN]:
            whose = (
                "its ZooKeeper session" if self._is_own(moment, len(moments)) else f"a ZooKeeper session{_in(moment)}"
            )
            told.append((moment.time_s, f"{whose} expired, {self._after(moment)} after the event.", moment.id))
        return told

    def _is_own(self, moment: Moment, number: int) -> bool:
        one = self.fault.target.startswith("broker") and self.fault.event not in LINK_FAULTS
        return one and (number == 1 or self.fault.target in moment.detail)

    def _deletions(self, moments: list[Moment]) -> list[Told]:
        paths = [moment.detail for moment in moments if moment.detail]
        if not paths:
            return []
        verb = "was" if len(paths) == 1 else "were"
        return [(moments[0].time_s, f"ZooKeeper's {words.listed(paths)} {verb} deleted.", moments[0].id)]

    def _controllers(self, moments: list[Moment]) -> list[Told]:
        return [(m.time_s, f"{m.actor} became the controller{_in(m)}.", m.id) for m in moments[:SHOWN]]

    def _broker_changes(self, moments: list[Moment]) -> list[Told]:
        by_id = {moment.id: moment for moment in self.moments}
        told: list[Told] = []
        for moment in moments[:SHOWN]:
            cause = moment
            while cause.cause is not None and cause.cause in by_id and cause.event != "znode_deleted":
                cause = by_id[cause.cause]
            lag = ""
            if cause is not moment and cause.event == "znode_deleted":
                lag = f" {words.seconds(moment.time_s - cause.time_s)} later"
            told.append((moment.time_s, f"{_controller(moment)} noticed it{lag}{_in(moment)}.", moment.id))
        return told

    def _elections(self, moments: list[Moment]) -> list[Told]:
        told: list[Told] = []
        for at_s, some in _together(moments):
            named: list[str] = []
            others: list[str] = []
            for moment in some:
                change = CHANGE.match(moment.detail)
                many = MANY.match(moment.detail)
                if change and change["after"] and change["after"] != "none":
                    named.append(
                        f"broker {change['after']} as leader of {change['tp']} (leader epoch {change['epoch']})"
                    )
                elif change and change["after"]:
                    named.append(f"nobody as leader of {change['tp']}: no replica of its ISR is up")
                elif many:
                    others.append(f"leaders of {words.plural(int(many['count']), 'partition')} of {many['topic']}")
                else:
                    others.append(f"a leader{_in(moment)}")
            told.append((at_s, f"{_controller(some[0])} elected {words.listed(named + others, SHOWN)}.", some[0].id))
        return told

    def _isr_changes(self, moments: list[Moment]) -> list[Told]:
        told: list[Told] = []
        for at_s, some in _together(moments):
            shrunk: list[str] = []
            grown: list[str] = []
            others: list[str] = []
            topics: dict[str, int] = {}
            for moment in some:
                change = CHANGE.match(moment.detail)
                many = MANY.match(moment.detail)
                if change and change["new"] is not None:
                    shorter = len(change["new"].split(",")) < len((change["old"] or "").split(","))
                    (shrunk if shorter else grown).append(f"{change['tp']} (now [{change['new']}])")
                elif many:
                    topics[many["topic"]] = topics.get(many["topic"], 0) + int(many["count"])
                else:
                    others.append(moment.detail)
            parts = [
                f"{verb} ISR of {words.listed(names, SHOWN)}"
                for verb, names in (("a replica left the", shrunk), ("a replica came back to the", grown))
                if names
            ]
            others += [f"{words.plural(n, 'partition')} of {topic}" for topic, n in topics.items()]
            if others:
                parts.append(f"the ISR of {words.listed(others, SHOWN)} changed")
            told.append((at_s, f"{words.listed(parts)}.", some[0].id))
        return told

    def _starts(self, moments: list[Moment]) -> list[Told]:
        first = moments[0]
        return [(first.time_s, f"{first.actor} was started again.", first.id)]

    def _failed_starts(self, moments: list[Moment]) -> list[Told]:
        first = moments[0]
        times = words.listed([f"{moment.time_s:.1f} s" for moment in moments], SHOWN)
        number = words.plural(len(moments), "start")
        return [(first.time_s, f"the first of {number} failed ({first.detail}): at {times}.", first.id)]

    def _registrations(self, moments: list[Moment]) -> list[Told]:
        own = [moment for moment in moments if moment.detail.startswith("broker epoch")] or moments
        return [(m.time_s, f"{m.actor} had registered again in ZooKeeper.", m.id) for m in own[:SHOWN]]

    def _learned(self, moments: list[Moment]) -> list[Told]:
        said = "was the first client to learn who leads"
        return [(m.time_s, f"{m.actor} {said} {m.detail} now.", m.id) for m in _leading(moments)[:SHOWN]]

    def _backoffs(self, moments: list[Moment]) -> list[Told]:
        number = sum(moment.count for moment in moments)
        first = moments[0]
        times = "once" if number == 1 else f"{number} times"
        return [
            (first.time_s, f"a follower's fetch was refused and waited ({times} in all; {first.detail}).", first.id)
        ]

    def _truncations(self, moments: list[Moment]) -> list[Told]:
        return [(m.time_s, f"{m.actor} cut its log of {m.detail}.", m.id) for m in moments[:SHOWN]]

    def _halts(self, moments: list[Moment]) -> list[Told]:
        return [(m.time_s, f"{m.actor} ended its process: {m.detail}.", m.id) for m in moments[:SHOWN]]

    def _skipped(self, moments: list[Moment]) -> list[Told]:
        return [
            (m.time_s, f"{m.actor} tried in vain to change an ISR ({words.plural(m.count, 'time')}; {m.detail}).", m.id)
            for m in moments[:SHOWN]
        ]

    def _each(self, moments: list[Moment]) -> list[Told]:
        return [(m.time_s, f"{m.actor} {m.event}: {m.detail}.", m.id) for m in moments[:SHOWN]]

    def _caught_up(self, moments: list[Moment]) -> list[Told]:
        last: dict[tuple[str, str], Moment] = {}
        for moment in moments:
            last.setdefault((moment.actor, moment.detail.split(" ")[0]), moment)
        latest = max(last.values(), key=lambda moment: moment.time_s)
        names = words.listed([key[1] for key in last], SHOWN)
        who = words.listed(dict.fromkeys(key[0] for key in last), SHOWN)
        return [(latest.time_s, f"{who} had caught up with the leaders of {names}.", latest.id)]

    def _unknown(self, event: str, moments: list[Moment]) -> list[Told]:
        first = moments[0]
        more = sum(moment.count for moment in moments) - 1
        times = f" (and {more} more of this kind)" if more else ""
        return [(first.time_s, f"{first.actor}: {event.replace('_', ' ')}{_in(first)}{times}.", first.id)]

    def _outage(self, outage: Outage) -> Told:
        verb = "write to" if outage.kind == "produce" else "read from"
        acks = f" (acks={outage.acks})" if outage.acks else ""
        span = f"since {words.at(outage.from_s)} ({words.seconds(outage.duration_s)})"
        if outage.open:
            said = f"{outage.client}{acks} still could not {verb} {outage.where}, {span}."
        else:
            again = f"{outage.client}{acks} could {verb} {outage.where} again"
            said = f"{again}: it had not been able to {span}{self._until(outage)}."
        return outage.until_s, said, outage.cause

    def _until(self, outage: Outage) -> str:
        """What ended an outage, as far as the partition's own rows tell."""
        moved: str | None = None
        shrunk: str | None = None
        for moment in self.moments:
            if moment.time_s > outage.until_s:
                break
            if moment.event not in ("leader_elected", "isr_changed"):
                continue
            change = CHANGE.match(moment.detail)
            if change is None or change["tp"] != outage.where or moment.time_s < outage.from_s:
                continue
            if change["after"]:
                moved = change["after"]
            elif change["new"] is not None:
                shrunk = change["new"]
        if moved is not None and moved != "none":
            return f", until broker {moved} had taken over and the client had learned it"
        if shrunk is not None:
            return f"; its leader was up, but a member of the ISR was missing until the ISR was [{shrunk}]"
        return ""


def _controller(moment: Moment) -> str:
    number = moment.actor.rpartition(" ")[2]
    return f"the controller (broker {number})" if number.isdigit() else "the controller"


def _in(moment: Moment) -> str:
    return f" ({moment.detail})" if moment.detail else ""


def _together(moments: list[Moment], within_s: float = 0.25) -> list[tuple[float, list[Moment]]]:
    """Rows that came close together, as groups."""
    groups: list[tuple[float, list[Moment]]] = []
    for moment in moments:
        if groups and moment.time_s - groups[-1][1][-1].time_s <= within_s:
            groups[-1][1].append(moment)
        else:
            groups.append((moment.time_s, [moment]))
    return groups


def _leading(moments: list[Moment]) -> list[Moment]:
    """The first row for each detail."""
    found: dict[str, Moment] = {}
    for moment in moments:
        found.setdefault(moment.detail, moment)
    return list(found.values())
