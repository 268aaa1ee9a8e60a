"""The controller's reads and writes of ZooKeeper.

Stands for the controller's part of ``KafkaZkClient``.  Requests of one call are pipelined (the client's window of 10);
the event thread waits for all of them.  Every write is a multi with a check of the version of ``/controller_epoch``: a
controller that has been succeeded cannot write (``fenced``; before 2.1 it could, where nothing else stood against it).
Each method is a generator of a SimPy process.

``state_reads``, ``state_writes``, ``reads`` and ``writes`` count what has been asked for; reads and writes include
those of partition states.  ``cause`` is the timeline row that watchers of the changes are told.  ``pipelined`` is
False for the client that the controller had before Kafka 1.1: one request at a time, each waited for.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Protocol

import simpy

from kafkasim.controller.context import ControllerContext
from kafkasim.messages import PartitionState
from kafkasim.protocol import TopicPartition
from kafkasim.zookeeper.operations import (
    BADVERSION,
    SESSIONEXPIRED,
    Check,
    Delete,
    GetChildren,
    GetData,
    Multi,
    Operation,
    Outcome,
    SetData,
)

CONTROLLER = "/controller"
CONTROLLER_EPOCH = "/controller_epoch"
BROKER_IDS = "/brokers/ids"
TOPICS = "/brokers/topics"
DELETE_TOPICS = "/admin/delete_topics"
REASSIGN_PARTITIONS = "/admin/reassign_partitions"
PREFERRED_REPLICA_ELECTION = "/admin/preferred_replica_election"
ISR_CHANGE_NOTIFICATION = "/isr_change_notification"
LOG_DIR_EVENT_NOTIFICATION = "/log_dir_event_notification"
FEATURE = "/feature"
BLOCK_PATH = "/latest_producer_id_block"

Steps = Generator[simpy.Event, Any, Any]


class ControllerMoved(Exception):
    """Another controller has been elected: the check of the epoch's version failed."""


class SessionExpired(Exception):
    """The ZooKeeper session is gone; the event in progress fails, the expiry follows it."""


class ProcessDied(Exception):
    """The broker's process has been killed: whatever the event thread waited for, it goes no further."""


class ZooKeeper(Protocol):
    """What the controller needs of a broker's ZooKeeper client."""

    def submit(self, operations: Sequence[Operation], cause: int = 0) -> simpy.Event:
        """Send operations in order; the event's value is the list of their outcomes."""
        ...


def broker_path(broker: int) -> str:
    """The znode of a broker."""
    return f"{BROKER_IDS}/{broker}"


def topic_path(topic: str) -> str:
    """The znode of a topic's assignment."""
    return f"{TOPICS}/{topic}"


def topic_config_path(topic: str) -> str:
    """The znode of a topic's own configs."""
    return f"/config/topics/{topic}"


def state_path(tp: TopicPartition) -> str:
    """The znode of a partition's leader and ISR."""
    return f"{TOPICS}/{tp.topic}/partitions/{tp.partition}/state"


class ControllerStore:
    """Reads and fenced writes of one broker's controller."""

    def __init__(self, zk: ZooKeeper, context: ControllerContext, pipelined: bool = True, fenced: bool = True) -> None:
        self.reads: int = 0
        self.writes: int = 0
        self.state_reads: int = 0
        self.state_writes: int = 0
        self.dead: bool = False
        self.cause: int = 0
        self.pipelined = pipelined
        self.fenced = fenced
        self._zk = zk
        self._context = context

    def read(self, operations: Sequence[Operation]) -> Generator[simpy.Event, Any, list[Outcome]]:
        """Reads, pipelined."""
        self.reads += len(operations)
        return (yield from self._submit(operations))

    def read_one(self, operation: Operation) -> Generator[simpy.Event, Any, Outcome]:
        """One read."""
        return (yield from self.read([operation]))[0]

    def write(self, operations: Sequence[Operation]) -> Generator[simpy.Event, Any, list[Outcome]]:
        """Fenced writes, pipelined; the outcomes are those of the operations themselves.

        Raises:
            ControllerMoved: if a check of the epoch failed.
        """
        self.writes += len(operations)
        if not self.fenced:
            return (yield from self._submit(operations))
        check = Check(CONTROLLER_EPOCH, self._context.epoch_version)
        multis = [Multi([check, operation]) for operation in operations]
        outcomes: list[Outcome] = []
        for outcome in (yield from self._submit(multis)):
            if not outcome.outcomes:
                outcomes.append(outcome)
                continue
            if outcome.outcomes[0].error == BADVERSION:
                raise ControllerMoved
            outcomes.append(outcome.outcomes[1])
        return outcomes

    def elect(self, operation: Operation) -> Generator[simpy.Event, Any, Outcome]:
        """The one write that is never fenced: what makes a controller."""
        self.writes += 1
        return (yield from self._submit([operation]))[0]

    def delete_recursively(self, path: str) -> Generator[simpy.Event, Any, None]:
        """A znode and all below it, children first: a list and a delete each, one after the other."""
        listed = yield from self.read_one(GetChildren(path, False))
        for name in listed.children:
            yield from self.delete_recursively(f"{path}/{name}")
        yield from self.write([Delete(path, -1)])

    def take_block(self, end: int, version: int) -> Generator[simpy.Event, Any, bool]:
        """Move the producer ids on; not fenced, only conditional. False: somebody else was faster."""
        self.writes += 1
        outcomes = yield from self._submit([SetData(BLOCK_PATH, end, version)])
        return outcomes[0].error is None

    def controller(self) -> Generator[simpy.Event, Any, int]:
        """Read ``/controller`` (and watch it): the controller's id, -1 if there is none."""
        outcome = yield from self.read_one(GetData(CONTROLLER, True))
        return -1 if outcome.error is not None else int(outcome.data)

    def brokers(self, known: dict[int, int]) -> Generator[simpy.Event, Any, dict[int, tuple[int, str | None]]]:
        """List ``/brokers/ids`` (and watch it) and read each: {id: (broker epoch, rack)}.

        A broker that vanished in between is left out; the read of one that is ``known`` sets its watch again.
        """
        listed = yield from self.read_one(GetChildren(BROKER_IDS, True))
        ids = sorted(int(name) for name in listed.children)
        outcomes = yield from self.read([GetData(broker_path(broker), broker in known) for broker in ids])
        found: dict[int, tuple[int, str | None]] = {}
        for broker, outcome in zip(ids, outcomes, strict=True):
            if outcome.error is None:
                found[broker] = (outcome.czxid, outcome.data.get("rack"))
        return found

    def states(self, indexes: Sequence[int]) -> Generator[simpy.Event, Any, dict[int, PartitionState]]:
        """Read partition states; those without a znode are left out."""
        context = self._context
        self.state_reads += len(indexes)
        partitions = context.partitions
        outcomes = yield from self.read([GetData(state_path(partitions[index]), False) for index in indexes])
        found: dict[int, PartitionState] = {}
        for index, outcome in zip(indexes, outcomes, strict=True):
            if outcome.error is None:
                found[index] = context.decode(index, outcome.data, outcome.version)
        return found

    def update(
        self, states: Sequence[PartitionState]
    ) -> Generator[simpy.Event, Any, tuple[list[PartitionState], list[int]]]:
        """Write partition states, each on condition that its znode still has ``partition_epoch``.

        Returns the states that were written, with their new partition epochs, and the partitions whose version was
        another one.
        """
        self.state_writes += len(states)
        outcomes = yield from self.write(
            [
                SetData(
                    state_path(state.tp),
                    (state.leader, state.leader_epoch, state.isr, state.controller_epoch),
                    state.partition_epoch,
                )
                for state in states
            ]
        )
        written: list[PartitionState] = []
        changed: list[int] = []
        for state, outcome in zip(states, outcomes, strict=True):
            if outcome.error is None:
                written.append(
                    PartitionState(
                        state.tp, state.leader, state.leader_epoch, state.isr, outcome.version, state.replicas,
                        state.controller_epoch, state.adding,
                    )
                )  # fmt: skip
            elif outcome.error == BADVERSION:
                changed.append(state.tp.index)
        return written, changed

    def _submit(self, operations: Sequence[Operation]) -> Generator[simpy.Event, Any, list[Outcome]]:
        if not operations:
            return []
        if self.pipelined:
            outcomes: list[Outcome] = yield self._zk.submit(operations, self.cause)
            if self.dead:
                raise ProcessDied
        else:
            outcomes = []
            for operation in operations:
                outcomes += yield self._zk.submit([operation], self.cause)
                if self.dead:
                    raise ProcessDied
        for outcome in outcomes:
            if outcome.error == SESSIONEXPIRED:
                raise SessionExpired
        return outcomes
