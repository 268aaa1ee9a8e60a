"""The controller's event queue: first in, first out, one event at a time.

Stands for ``ControllerEventManager``.  What an event means is the controller's business; the queue measures how long
events wait (EventQueueTimeMs) and how long each kind takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import simpy

from kafkasim.kernel import Environment

STARTUP: Final = "Startup"
REELECT: Final = "Reelect"
REGISTER_AND_REELECT: Final = "RegisterBrokerAndReelect"
CONTROLLER_CHANGE: Final = "ControllerChange"
EXPIRE: Final = "Expire"
BROKER_CHANGE: Final = "BrokerChange"
BROKER_MODIFICATIONS: Final = "BrokerModifications"
ALTER_PARTITION: Final = "AlterPartition"
ALLOCATE_PRODUCER_IDS: Final = "AllocateProducerIds"
ELECT_LEADERS: Final = "ReplicaLeaderElection"
ELECT_BY_ZOOKEEPER: Final = "ZkReplicaLeaderElection"
AUTO_BALANCE: Final = "AutoPreferredReplicaLeaderElection"
CONTROLLED_SHUTDOWN: Final = "ControlledShutdown"
TOPIC_CHANGE: Final = "TopicChange"
PARTITION_MODIFICATIONS: Final = "PartitionModifications"
TOPIC_DELETION: Final = "TopicDeletion"
STOP_REPLICA_RESPONSE: Final = "TopicDeletionStopReplicaResponseReceived"
REASSIGNMENT: Final = "ApiPartitionReassignment"
ISR_CHANGE_NOTIFICATION: Final = "IsrChangeNotification"
REASSIGNMENT_ISR_CHANGE: Final = "PartitionReassignmentIsrChange"
LOG_DIR_EVENT: Final = "LogDirEventNotification"
LEADER_AND_ISR_RESPONSE: Final = "LeaderAndIsrResponseReceived"
UPDATE_METADATA_RESPONSE: Final = "UpdateMetadataResponseReceived"


class ControllerEvent:
    """An event of a kind, with what it is about and the timeline row that made it."""

    def __init__(
        self,
        kind: str,
        argument: Any = None,
        cause: int = 0,
        preempted: Callable[[Any], None] | None = None,
    ) -> None:
        self.kind = kind
        self.argument = argument
        self.cause = cause
        self.preempted = preempted
        self.queued_at: float = 0.0
        self.started: simpy.Event | None = None


class KindTimes:
    """How many events of a kind have been processed, and how long that took (s)."""

    def __init__(self) -> None:
        self.count: int = 0
        self.total_s: float = 0.0
        self.longest_s: float = 0.0

    def add(self, duration_s: float) -> None:
        """One more."""
        self.count += 1
        self.total_s += duration_s
        self.longest_s = max(self.longest_s, duration_s)


class EventQueue:
    """What waits for the event thread.

    ``waited`` sums the queue times; ``by_kind`` the processing times.
    """

    def __init__(self, env: Environment) -> None:
        self.waited = KindTimes()
        self.by_kind: dict[str, KindTimes] = {}
        self._env = env
        self._queue: deque[ControllerEvent] = deque()
        self._wake: simpy.Event | None = None

    def __len__(self) -> int:
        """EventQueueSize."""
        return len(self._queue)

    def put(self, event: ControllerEvent) -> None:
        """Queue an event."""
        event.queued_at = self._env.now
        self._queue.append(event)
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.succeed()

    def clear(self) -> None:
        """Drop what waits; those who wait for an answer are told."""
        dropped, self._queue = self._queue, deque()
        for event in dropped:
            if event.preempted is not None:
                event.preempted(event.argument)

    def drop(self) -> None:
        """The process is gone, and what waited with it; nobody is told."""
        self._queue.clear()

    def arrival(self) -> simpy.Event | None:
        """What the event thread waits for when the queue is empty; None when it is not."""
        if self._queue:
            return None
        self._wake = self._env.event()
        return self._wake

    def take(self) -> ControllerEvent:
        """The next event."""
        event = self._queue.popleft()
        self.waited.add(self._env.now - event.queued_at)
        return event

    def processed(self, event: ControllerEvent, since: float) -> None:
        """An event is done that was begun at ``since``."""
        times = self.by_kind.get(event.kind)
        if times is None:
            times = self.by_kind[event.kind] = KindTimes()
        times.add(self._env.now - since)
