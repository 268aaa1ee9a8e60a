"""Conditions of a scenario (``when:``, and what ``expect:`` says has happened): watched while a run goes on.

Nobody in the cluster knows of them. Rows of the timeline tell of truncations, sessions, registrations, controllers and
followers at the moment they are written; leaders and ISRs are those of the board (the leader of the newest epoch, as
it has applied what the controller decided); a high watermark is looked at every ``LOOK_EVERY_S``.  Each condition is
met once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from simpy.events import Event

from kafkasim.cluster import Cluster
from kafkasim.metrics.timeline import TimelineRow
from kafkasim.scenario.conditions import ConditionSpec

LOOK_EVERY_S = 0.001
"""How often a high watermark is looked at."""
_BY_ROW = {
    "truncated": "truncates", "follower_applied": "follows", "registered": "registers",
    "session_expired": "session_expires", "controller_elected": "controller_changes",
    "zookeeper_leader_elected": "zookeeper_leader_changes",
}  # fmt: skip
"""Rows of the timeline, and the kind of condition that each may meet."""
_BY_BOARD = ("elected", "leader_changes", "no_leader", "isr_shrinks", "isr_grows", "isr_is")

Met = Callable[[float], None]


class _Watch:
    """One condition: who wants to hear of it, and the leader and ISR seen last."""

    def __init__(self, spec: ConditionSpec, index: int) -> None:
        self.spec = spec
        self.index = index
        self.told: list[Met] = []
        self.leader = -1
        self.isr: tuple[int, ...] = ()
        self.no_leader = True


class Conditions:
    """All conditions of a run; ``met`` holds when each was met first, by its text."""

    def __init__(self, cluster: Cluster) -> None:
        self.met: dict[str, float] = {}
        self._cluster = cluster
        self._watches: dict[str, _Watch] = {}
        self._by_row: dict[str, list[_Watch]] = {}
        self._by_partition: dict[int, list[_Watch]] = {}

    def watch(self, spec: ConditionSpec, told: Met | None = None) -> None:
        """Look out for a condition from now on; ``told(now)`` is called the first time that it is met."""
        known = self._watches.get(spec.text)
        if known is None:
            known = self._watches[spec.text] = self._begin(spec)
        if told is not None:
            known.told.append(told)

    def _begin(self, spec: ConditionSpec) -> _Watch:
        cluster = self._cluster
        index = -1
        if spec.topic is not None:
            index = cluster.topics.partition(spec.topic, int(spec.partition or 0)).index
        watch = _Watch(spec, index)
        if spec.kind == "high_watermark":
            cluster.env.process(self._look(watch))
        elif spec.kind in _BY_BOARD:
            self._see(watch)
            self._by_partition.setdefault(index, []).append(watch)
            cluster.board.listener = self._refreshed
            cluster.timeline.listener = self._told
        else:
            self._by_row.setdefault(spec.kind, []).append(watch)
            cluster.timeline.listener = self._told
        return watch

    def _meet(self, watch: _Watch) -> None:
        now = self._cluster.env.now
        self.met[watch.spec.text] = now
        for told in watch.told:
            told(now)

    # ---- rows of the timeline

    def _told(self, actor: str, event: str, detail: str) -> None:
        for index in self._by_partition:
            if self._cluster.board.leader_of(index) is None:
                self._refreshed(index)  # nobody tells the board of a process that is gone
        kind = _BY_ROW.get(event)
        if kind is None:
            return
        for watch in self._by_row.get(kind, ()):
            if watch.spec.text not in self.met and self._says(watch.spec, actor, event, detail):
                self._meet(watch)

    def _says(self, spec: ConditionSpec, actor: str, event: str, detail: str) -> bool:
        if spec.topic is not None and detail.split(" ", 1)[0] != f"{spec.topic}-{spec.partition}":
            return False
        broker = f"broker {spec.broker}"
        match spec.kind:
            case "truncates":  # what was lost with the power was not cut by anybody
                return actor == broker and not detail.endswith("not flushed")
            case "follows":
                return actor == broker and detail.endswith(f" leader {spec.other}")
            case "registers":
                return actor == broker
            case "session_expires":  # a broker's later processes are called "broker 1/2"
                return detail.split("/", 1)[0] == broker
        return True

    # ---- the board

    def _refreshed(self, index: int) -> None:
        for watch in self._by_partition.get(index, ()):
            if watch.spec.text not in self.met and self._is_met(watch):
                self._meet(watch)
            self._see(watch)

    def _is_met(self, watch: _Watch) -> bool:
        spec = watch.spec
        leader = self._cluster.board.leader_of(watch.index)
        if spec.kind == "no_leader":
            return leader is None and not watch.no_leader
        if leader is None:
            return False
        now, before, number = leader.in_sync_replicas, watch.isr, int(spec.number or 0)
        match spec.kind:
            case "elected":
                return leader.broker_id == spec.broker and (watch.no_leader or leader.broker_id != watch.leader)
            case "leader_changes":
                return leader.broker_id != watch.leader
            case "isr_is":
                return set(now) == set(spec.ids) != set(before)
            case "isr_shrinks":
                return len(now) == number < len(before)
        return len(before) < len(now) == number

    def _see(self, watch: _Watch) -> None:
        leader = self._cluster.board.leader_of(watch.index)
        watch.no_leader = leader is None
        if leader is not None:
            watch.leader, watch.isr = leader.broker_id, leader.in_sync_replicas

    # ---- high watermarks

    def _look(self, watch: _Watch) -> Generator[Event, Any, None]:
        env = self._cluster.env
        begun, k = env.now, 0
        while True:
            leader = self._cluster.board.leader_of(watch.index)
            if leader is not None and leader.high_watermark >= int(watch.spec.number or 0):
                self._meet(watch)
                return
            k += 1
            yield env.at(begun + k * LOOK_EVERY_S)


def last_row(cluster: Cluster) -> TimelineRow | None:
    """The row that was written last."""
    rows = cluster.timeline.rows
    return rows[-1] if rows else None
