"""What a scenario's ``events`` do, when, and when they are over.

An event is over when its target is up and registered, every partition has a live leader and
its full ISR there, what was asked for has been acknowledged by all brokers (the cluster is
whole), and then no record intended before that moment waits any more.  Overlapping events
end together.  The conditions are looked at every ``LOOK_EVERY_S`` while an event is running.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from simpy.events import Event

from kafkasim.cluster import Cluster
from kafkasim.faults import targets
from kafkasim.faults.crash import crash
from kafkasim.faults.elections import PreferredElection
from kafkasim.scenario.model import EventSpec

LOOK_EVERY_S = 0.01


@dataclass(slots=True)
class RunningEvent:
    """One event: its row in the timeline, what it hit, and when it was over."""

    row: int
    at_s: float
    event: str
    target: str
    kind: str = ""
    number: int = 0
    election: PreferredElection | None = None
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
        for spec in sorted(specs, key=lambda spec: spec.at_s):
            cluster.env.call_at(spec.at_s, self._begin, spec)

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

    def _begin(self, spec: EventSpec) -> None:
        cluster = self._cluster
        now = cluster.env.now
        if spec.verb == "elect_preferred_leaders":
            row = cluster.timeline.add(now, "administrator", "elect_preferred_leaders", spec.partitions)
            event = RunningEvent(row, now, spec.verb, spec.partitions)
            event.election = PreferredElection(cluster, self._admin_host, row)
        else:
            if spec.target is None:
                raise AssertionError("a crash has a target")
            try:
                kind, number = targets.find(cluster, spec.target, self._draws)
            except targets.NoTarget as vacant:
                cluster.timeline.add(now, str(spec.target), "fault", f"crash without effect: {vacant}")
                return
            alive = cluster.brokers[number].up if kind == "broker" else cluster.ensemble.is_up(number)
            if not alive:
                cluster.timeline.add(now, f"{kind} {number}", "fault", "crash without effect: it is down already")
                return
            role = "" if str(spec.target) == f"{kind} {number}" else f" ({spec.target})"
            row = cluster.timeline.add(now, f"{kind} {number}", "fault", f"crash{role}")
            event = RunningEvent(row, now, spec.verb, f"{kind} {number}", kind, number)
        self.events.append(event)
        if event.kind:
            crash(cluster, event.kind, event.number, spec.for_s, row)
        if not self._looking:
            self._looking = True
            cluster.env.process(self._look())

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
                actor = event.target if event.kind else "administrator"
                self._cluster.timeline.add(env.now, actor, "over", event.event, event.row)
        self._looking = False

    def _whole(self) -> bool:
        cluster = self._cluster
        for event in self.events:
            if event.over_s is None and not self._target_back(event):
                return False
        if not cluster.whole():
            return False
        controller = cluster.active_controller()
        return controller is not None and not controller.controller.channels.total_queue_size()

    def _target_back(self, event: RunningEvent) -> bool:
        if event.election is not None:
            return event.election.answered_at is not None
        if event.kind == "broker":
            broker = self._cluster.brokers[event.number]
            return broker.registered and broker.server.open
        return self._cluster.ensemble.is_serving(event.number)
