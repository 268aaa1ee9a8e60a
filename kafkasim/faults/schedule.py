"""What a scenario's ``events`` do, when, and when they are over.

An event is over when its target is up and registered, every partition has a live leader and
its full ISR there, what was asked for has been acknowledged by all brokers (the cluster is
whole), and then no record intended before that moment waits any more.  Overlapping events
end together.  Both are looked at every ``LOOK_EVERY_S`` while an event is running.  An event with ``when`` begins when
its condition is met (:mod:`kafkasim.faults.conditions`).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

from simpy.events import Event

from kafkasim.cluster import Cluster
from kafkasim.faults import targets
from kafkasim.faults.conditions import Conditions, last_row
from kafkasim.faults.crash import Crash
from kafkasim.faults.elections import PreferredElection
from kafkasim.faults.fault import Fault, NoEffect
from kafkasim.faults.freeze import Freeze
from kafkasim.faults.links import BrokenLinks
from kafkasim.faults.power_loss import PowerLoss
from kafkasim.faults.rolling import RollingRestart
from kafkasim.faults.stop import Stop
from kafkasim.faults.topics import AddPartitions, CreateTopic, DeleteTopic, Reassign
from kafkasim.scenario.model import EventSpec
from kafkasim.scenario.places import LinkFaultSpec

LOOK_EVERY_S = 0.01
_TOPIC_ORDERS = {
    "create_topic": CreateTopic, "delete_topic": DeleteTopic, "add_partitions": AddPartitions, "reassign": Reassign,
}  # fmt: skip


@dataclass(slots=True)
class RunningEvent:
    """One event: its row in the timeline, what it does, and when it was over."""

    row: int
    at_s: float
    event: str
    target: str
    fault: Fault
    over_s: float | None = None

    def as_dict(self) -> dict[str, object]:
        """The event's row of a result."""
        return {"id": self.row, "at_s": self.at_s, "event": self.event, "target": self.target, "over_s": self.over_s}


class EventSchedule:
    """All events of a run."""

    def __init__(self, cluster: Cluster, specs: list[EventSpec]) -> None:
        self.events: list[RunningEvent] = []
        self._cluster = cluster
        self._admin_host = cluster.make_host("administrator", None)
        self._draws = cluster.streams.stream("events/targets")
        self._looking = False
        self.conditions = Conditions(cluster)
        self._waiting: list[EventSpec] = []
        for spec in sorted(specs, key=lambda spec: spec.at_s):
            if spec.when is None:
                cluster.env.call_at(spec.at_s, self._begin, spec)
            else:
                self._waiting.append(spec)
                self.conditions.watch(spec.when, partial(self._met, spec))

    def running(self, at: float) -> RunningEvent | None:
        """The latest event that began by ``at`` and was not over then; else the first that began since."""
        found: RunningEvent | None = None
        for event in self.events:
            if event.at_s <= at and (event.over_s is None or event.over_s > at):
                found = event
        if found is None:
            # The last completion before a fault may lie some milliseconds before it.
            found = next((event for event in self.events if event.at_s > at), None)
        return found

    def never_begun(self) -> list[str]:
        """A sentence for each event whose condition was not met, or too late for it to begin."""
        told = []
        for spec in self._waiting:
            at = self.conditions.met.get(str(spec.when))
            why = "never happened" if at is None else f"happened at {at:g} s, too late"
            told.append(f"{spec.verb.replace('_', ' ')} did not begin: when {spec.when}: {why}")
        return told

    def _met(self, spec: EventSpec, now: float) -> None:
        """The condition of an event is met: it begins behind what happens at this very moment, or later."""
        row = last_row(self._cluster)
        cause = row.id if row is not None and row.time_s == now else None
        after = f", {spec.after_s:g} s before the event begins" if spec.after_s > 0.0 else ""
        self._cluster.timeline.add(now, "scenario", "condition_met", f"{spec.when}{after}", cause)
        self._cluster.env.call_at(now + spec.after_s, self._begin, spec)

    def _begin(self, spec: EventSpec) -> None:
        if spec.when is not None:
            self._waiting.remove(spec)
        if spec.target is not None:
            self._hit_processes(spec)
        elif spec.link is not None:
            self._break_links(spec, spec.link)
        else:
            self._order(spec)
        if self.events and not self._looking:
            self._looking = True
            self._cluster.env.process(self._look())

    def _hit_processes(self, spec: EventSpec) -> None:
        """``crash`` and its like: a row and a fault for each process that the target names."""
        cluster = self._cluster
        target = spec.target
        assert target is not None
        try:
            hit = targets.find(cluster, target, self._draws)
        except NoEffect as vacant:
            self._note(str(target), "fault", f"{spec.verb} without effect: {vacant}")
            return
        for process in hit:
            name = str(process)
            if not targets.is_up(cluster, process):
                self._note(name, "fault", f"{spec.verb} without effect: it is down already")
                continue
            if spec.verb == "stop" and targets.is_stopping(cluster, process):
                self._note(name, "fault", "stop without effect: it is stopping already")
                continue
            role = "" if str(target) == name else f" ({target})"
            span = f" for {spec.for_s:g} s" if spec.verb == "freeze" else ""
            row = self._note(name, "fault", f"{spec.verb}{span}{role}")
            try:
                self._add(spec, row, self._fault(spec, process, row))
            except NoEffect as reason:
                self._note(name, "fault", f"{spec.verb} without effect: {reason}")

    def _fault(self, spec: EventSpec, process: targets.Process, row: int) -> Fault:
        if spec.verb == "crash":
            return Crash(self._cluster, process, spec.for_s, row)
        if spec.verb == "stop":
            return Stop(self._cluster, process, spec.for_s, row)
        if spec.verb == "power_loss":
            return PowerLoss(self._cluster, process, spec.for_s, row)
        assert spec.for_s is not None
        return Freeze(self._cluster, process, spec.for_s, row)

    def _break_links(self, spec: EventSpec, link: LinkFaultSpec) -> None:
        """``partition`` and its like: one row, one fault."""
        row = self._note("network", "fault", f"{spec.verb} {link}")
        try:
            self._add(spec, row, BrokenLinks(self._cluster, spec.verb, link, spec.for_s, row))
        except NoEffect as reason:
            self._note("network", "fault", f"{spec.verb} without effect: {reason}")

    def _order(self, spec: EventSpec) -> None:
        """What an administrator asks the cluster for."""
        if spec.order is not None:
            row = self._note("administrator", spec.verb, ", ".join(spec.order.topics))
            self._add(spec, row, _TOPIC_ORDERS[spec.verb](self._cluster, self._admin_host, spec, row))
            return
        row = self._note("administrator", spec.verb, spec.partitions)
        if spec.verb == "rolling_restart":
            self._add(spec, row, RollingRestart(self._cluster, spec.for_s, spec.pause_s, row))
        else:
            self._add(spec, row, PreferredElection(self._cluster, self._admin_host, spec.partitions, row))

    def _note(self, actor: str, event: str, detail: str) -> int:
        return self._cluster.timeline.add(self._cluster.env.now, actor, event, detail)

    def _add(self, spec: EventSpec, row: int, fault: Fault) -> None:
        self.events.append(RunningEvent(row, self._cluster.env.now, spec.verb, fault.hit, fault))

    def _look(self) -> Generator[Event, Any, None]:
        env = self._cluster.env
        begun = env.now
        k = 0
        whole_since: float | None = None
        while True:
            k += 1
            yield env.at(begun + k * LOOK_EVERY_S)
            if not self._whole():
                whole_since = None
            elif whole_since is None:
                whole_since = env.now
            elif not self._cluster.waiting.anybody_waits_since(whole_since):
                break
        for event in self.events:
            if event.over_s is None:
                event.over_s = env.now
                self._cluster.timeline.add(env.now, event.fault.actor, "over", event.event, event.row)
        self._looking = False

    def _whole(self) -> bool:
        cluster = self._cluster
        if not all(event.fault.undone() for event in self.events if event.over_s is None):
            return False
        if not cluster.whole():
            return False
        controller = cluster.active_controller()
        return controller is not None and not controller.controller.channels.total_queue_size()
