"""What the controller watches in ZooKeeper, and what it makes of a watch that fires.

Stands for the ``…Handler`` classes of ``KafkaController``.  Every broker watches ``/controller``; the rest is the
active controller's.  A watch is set again by the read that the event makes.

Left out: the handler of ``/admin/reassign_partitions``: its watch is set, what fires is not
acted on.
"""

from __future__ import annotations

from kafkasim.controller.context import ControllerContext
from kafkasim.controller.event_queue import (
    BROKER_CHANGE,
    BROKER_MODIFICATIONS,
    CONTROLLER_CHANGE,
    ELECT_BY_ZOOKEEPER,
    LOG_DIR_EVENT,
    PARTITION_MODIFICATIONS,
    REASSIGNMENT_ISR_CHANGE,
    REELECT,
    TOPIC_CHANGE,
    TOPIC_DELETION,
    ControllerEvent,
)
from kafkasim.controller.event_queue import (
    ISR_CHANGE_NOTIFICATION as ISR_CHANGES,
)
from kafkasim.controller.store import (
    BROKER_IDS,
    CONTROLLER,
    DELETE_TOPICS,
    ISR_CHANGE_NOTIFICATION,
    LOG_DIR_EVENT_NOTIFICATION,
    PREFERRED_REPLICA_ELECTION,
    REASSIGN_PARTITIONS,
    TOPICS,
    broker_path,
    topic_path,
)
from kafkasim.topics import Topics
from kafkasim.zookeeper.operations import CHANGED, CHILDREN, CREATED, DELETED, WatchEvent


def settled(active: bool, context: ControllerContext, topics: Topics) -> list[tuple[str, str]]:
    """The watches of a cluster that has been running: (path, ``data`` or ``children``)."""
    watches = [(CONTROLLER, "data")]
    if active:
        watches += [(path, "data") for path in (PREFERRED_REPLICA_ELECTION, REASSIGN_PARTITIONS)]
        watches += [
            (path, "children")
            for path in (BROKER_IDS, TOPICS, DELETE_TOPICS, ISR_CHANGE_NOTIFICATION, LOG_DIR_EVENT_NOTIFICATION)
        ]
        watches += [(broker_path(broker), "data") for broker in context.brokers()]
        watches += [(topic_path(topic), "data") for topic in topics.names() if topics.initial(topic)]
    return watches


def event_of(fired: WatchEvent, active: bool) -> ControllerEvent | None:
    """The controller's event, None if there is no handler for it."""
    path, kind, cause = fired.path, fired.kind, fired.cause
    if path == CONTROLLER:
        return ControllerEvent(REELECT if kind == DELETED else CONTROLLER_CHANGE, cause=cause)
    if not active:
        return None
    if path == BROKER_IDS and kind == CHILDREN:
        return ControllerEvent(BROKER_CHANGE, cause=cause)
    if path == PREFERRED_REPLICA_ELECTION and kind == CREATED:
        return ControllerEvent(ELECT_BY_ZOOKEEPER, cause=cause)
    if path == TOPICS and kind == CHILDREN:
        return ControllerEvent(TOPIC_CHANGE, cause=cause)
    if path == LOG_DIR_EVENT_NOTIFICATION and kind == CHILDREN:
        return ControllerEvent(LOG_DIR_EVENT, cause=cause)
    if path == DELETE_TOPICS and kind == CHILDREN:
        return ControllerEvent(TOPIC_DELETION, cause=cause)
    if path == ISR_CHANGE_NOTIFICATION and kind == CHILDREN:
        return ControllerEvent(ISR_CHANGES, cause=cause)
    if kind == CHANGED and path.startswith(f"{TOPICS}/") and path.endswith("/state"):
        _, _, _, topic, _, partition, _ = path.split("/")
        return ControllerEvent(REASSIGNMENT_ISR_CHANGE, (topic, int(partition)), cause)
    if kind == CHANGED and path.startswith(f"{TOPICS}/"):
        return ControllerEvent(PARTITION_MODIFICATIONS, path[len(TOPICS) + 1 :], cause)
    if kind == CHANGED and path.startswith(f"{BROKER_IDS}/"):
        return ControllerEvent(BROKER_MODIFICATIONS, int(path.rsplit("/", 1)[1]), cause)
    return None
