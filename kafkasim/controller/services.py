"""What the parts of the controller share: memory, ZooKeeper, channels, the CPU of the event thread, the timeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kafkasim.controller.channels import ChannelManager
from kafkasim.controller.context import ControllerContext
from kafkasim.controller.costs import ControllerCosts
from kafkasim.controller.request_batch import RequestBatch
from kafkasim.controller.store import ControllerStore, ProcessDied, Steps
from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.kernel import Environment
from kafkasim.messages import NO_LEADER, PartitionState
from kafkasim.metrics.timeline import Timeline
from kafkasim.scenario.versions import Version
from kafkasim.topics import Topics

BROKER_EPOCHS_SINCE: Final = Version(2, 2)
"""KIP-380: brokers' processes are told apart by their epochs, and metadata go to whom they are news to."""
_SHOWN_ONE_BY_ONE = 4


class Services:
    """One broker's controller, without its events."""

    def __init__(
        self,
        env: Environment,
        life: Life,
        host: Host,
        broker_id: int,
        context: ControllerContext,
        store: ControllerStore,
        channels: ChannelManager,
        topics: Topics,
        config: Mapping[str, Any],
        version: Version,
        timeline: Timeline,
        costs: ControllerCosts,
    ) -> None:
        self.env = env
        self.life = life
        self.host = host
        self.broker_id = broker_id
        self.actor = f"controller {broker_id}"
        self.context = context
        self.store = store
        self.channels = channels
        self.topics = topics
        self.config = config
        self.version = version
        self.timeline = timeline
        self.costs = costs

    def compute(self, service_s: float) -> Steps:
        """CPU work of the event thread."""
        if service_s > 0.0:
            yield self.env.at(self.host.compute(self.env.now, service_s))
            yield from self.awake()

    def awake(self) -> Steps:
        """The thread goes on when its process does."""
        while self.env.now < self.life.stopped_until and not self.store.dead:
            yield self.env.at(self.life.stopped_until)
        if self.store.dead:
            raise ProcessDied

    def batch(self) -> RequestBatch:
        """A new batch of requests."""
        return RequestBatch(self.context, self.channels, self.version)

    def send(self, batch: RequestBatch, cause: int) -> Steps:
        """Build a batch's requests and queue them."""
        yield from self.compute(batch.entries() * self.costs.entry_s)
        batch.send(cause)

    def send_metadata(self, brokers: list[int], states: list[PartitionState], cause: int) -> Steps:
        """UpdateMetadata to ``brokers`` by itself; before 2.2 none of ``states`` means all that are known."""
        batch = self.batch()
        if not states and self.version < BROKER_EPOCHS_SINCE:
            doomed = self.context.to_delete
            known = sorted(self.context.states.items())
            states = [state for _, state in known if not doomed or state.tp.topic not in doomed]
        batch.add_metadata(brokers, states)
        yield from self.send(batch, cause)

    # the timeline

    def note(self, event: str, detail: str, cause: int) -> int:
        """A row of the timeline; returns its id."""
        return self.timeline.add(self.env.now, self.actor, event, detail, cause or None)

    def complete(self, row: int, detail: str) -> None:
        """Add to a row what is known only at its end."""
        known = self.timeline.row(row)
        known.detail = f"{known.detail}; {detail}" if known.detail else detail

    def note_changes(
        self, event: str, changes: list[tuple[PartitionState | None, PartitionState]], causes: Mapping[int, int]
    ) -> dict[int, int]:
        """Rows for changed partitions (before, after), by cause; few of a topic one by one, many as one row.

        ``causes`` gives the row behind each partition's change; returns the partitions' own rows.
        """
        groups: dict[tuple[str, int], list[tuple[PartitionState | None, PartitionState]]] = {}
        for change in changes:
            tp = change[1].tp
            groups.setdefault((tp.topic, causes.get(tp.index, 0)), []).append(change)
        rows: dict[int, int] = {}
        for (topic, cause), group in groups.items():
            if len(group) <= _SHOWN_ONE_BY_ONE:
                for before, after in group:
                    rows[after.tp.index] = self.note(event, _one(before, after), cause)
                continue
            row = self.note(event, _many(topic, group), cause)
            self.timeline.row(row).count = len(group)
            for _, after in group:
                rows[after.tp.index] = row
        return rows


def _ids(members: tuple[int, ...]) -> str:
    return f"[{', '.join(str(member) for member in members)}]"


def _leader(state: PartitionState | None) -> str:
    return "none" if state is None or state.leader == NO_LEADER else str(state.leader)


def _one(before: PartitionState | None, after: PartitionState) -> str:
    parts = [f"{after.tp.name}: "]
    if before is None or before.leader != after.leader:
        parts.append(f"leader {_leader(before)} -> {_leader(after)}, ")
    if before is not None and before.isr != after.isr:
        parts.append(f"ISR {_ids(before.isr)} -> {_ids(after.isr)}, ")
    parts.append(f"leader epoch {after.leader_epoch}")
    return "".join(parts)


def _many(topic: str, group: list[tuple[PartitionState | None, PartitionState]]) -> str:
    leaders: dict[str, int] = {}
    left: dict[str, int] = {}
    joined: dict[str, int] = {}
    for before, after in group:
        if before is None or before.leader != after.leader:
            leaders[_leader(after)] = leaders.get(_leader(after), 0) + 1
        if before is not None:
            for broker in before.isr:
                if broker not in after.isr:
                    left[str(broker)] = left.get(str(broker), 0) + 1
            for broker in after.isr:
                if broker not in before.isr:
                    joined[str(broker)] = joined.get(str(broker), 0) + 1
    text = f"{topic}: {len(group)} partitions"
    if leaders:
        text += f", leader now {_counts(leaders)}"
    if left:
        text += f", out of the ISR {_counts(left)}"
    if joined:
        text += f", into the ISR {_counts(joined)}"
    return text


def _counts(brokers: dict[str, int]) -> str:
    return ", ".join(f"{broker} ({count})" for broker, count in sorted(brokers.items()))
