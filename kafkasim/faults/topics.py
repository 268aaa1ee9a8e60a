"""``create_topic``, ``delete_topic``, ``add_partitions`` and ``reassign``: an administrator's requests about topics.

An order is done when the cluster shows it: every new partition has a leader and its full ISR, every replica of a
deleted topic is gone, no partition is being reassigned any more.  What the controller refuses is a row of the timeline.
"""

from __future__ import annotations

from kafkasim.cluster import Cluster
from kafkasim.controller.placement import place
from kafkasim.faults.administrator import AdminOrder
from kafkasim.faults.move_throttle import MoveThrottle
from kafkasim.hosts.host import Host
from kafkasim.messages import AlterReassignmentsBody, CreatePartitionsBody, CreateTopicBody, DeleteTopicBody
from kafkasim.protocol import (
    ALTER_PARTITION_REASSIGNMENTS,
    CREATE_PARTITIONS,
    CREATE_TOPICS,
    DELETE_TOPICS,
    ERROR_NAMES,
    NONE,
    NOT_CONTROLLER,
    REASSIGNMENT_IN_PROGRESS,
    TOPIC_ALREADY_EXISTS,
    Request,
)
from kafkasim.scenario.model import EventSpec, TopicOrderSpec

_REQUEST_BASE_BYTES = 60
_REQUEST_PARTITION_BYTES = 12
_AGAIN = (NOT_CONTROLLER, REASSIGNMENT_IN_PROGRESS)


class TopicOrder(AdminOrder):
    """An order about one topic, or several."""

    def __init__(self, cluster: Cluster, host: Host, spec: EventSpec, cause: int) -> None:
        assert spec.order is not None
        self._order: TopicOrderSpec = spec.order
        super().__init__(cluster, host, ", ".join(spec.order.topics), cause)

    def answered(self, request: Request) -> bool:
        """An error that does not pass by itself ends the order."""
        if request.error in _AGAIN:
            return False
        self.error = request.error
        if request.error != NONE:
            self.note("refused", f"{self.hit}: {ERROR_NAMES[request.error]}")
        return True

    @property
    def topic(self) -> str:
        """The topic of an order about one."""
        return self._order.topics[0]

    def _exists(self, count: int) -> bool:
        """Whether the first ``count`` partitions of the topic have a leader and their ISR."""
        board = self._cluster.board
        return all(
            board.leaders[tp.index] >= 0 and board.isr_size[tp.index] >= board.factor[tp.index]
            for tp in self._cluster.topics.partitions(self.topic)[:count]
        )


class CreateTopic(TopicOrder):
    """A new topic."""

    def request(self) -> Request:
        """CreateTopics; replicas that the scenario does not give are placed by the controller's broker."""
        spec = self._cluster.scenario.topics[self.topic]
        given = spec.assignment
        assignment = None if given is None else {number: tuple(replicas) for number, replicas in given.items()}
        count = len(given) if given is not None else self._count()
        config = dict(spec.config)
        body = CreateTopicBody(self.topic, count, spec.replication_factor, assignment, config, self._cause)
        size = _REQUEST_BASE_BYTES + len(self.topic) + 4 * count * (assignment is not None)
        return Request(CREATE_TOPICS, size, body, self._cause)

    def answered(self, request: Request) -> bool:
        """Asked twice because the first controller died: it exists already."""
        if request.error == TOPIC_ALREADY_EXISTS:
            request.error = NONE
        return super().answered(request)

    def undone(self) -> bool:
        """Every partition has its leader."""
        return self.answered_at is not None and (self.error != NONE or self._exists(self._count()))

    def _count(self) -> int:
        return int(self._order.count or 0)


class DeleteTopic(TopicOrder):
    """A topic goes."""

    def request(self) -> Request:
        """DeleteTopics."""
        body = DeleteTopicBody(self.topic, self._cause)
        return Request(DELETE_TOPICS, _REQUEST_BASE_BYTES + len(self.topic), body, self._cause)

    def undone(self) -> bool:
        """No replica is left and no controller has it on its list."""
        if self.answered_at is None:
            return False
        controller = self._cluster.active_controller()
        if controller is None or self.topic in controller.controller.context.topics:
            return self.error != NONE
        return not any(self._cluster.board.replicas[tp.index] for tp in self._cluster.topics.partitions(self.topic))


class AddPartitions(TopicOrder):
    """More partitions."""

    def request(self) -> Request:
        """CreatePartitions."""
        body = CreatePartitionsBody(self.topic, int(self._order.count or 0), self._cause)
        return Request(CREATE_PARTITIONS, _REQUEST_BASE_BYTES + len(self.topic), body, self._cause)

    def undone(self) -> bool:
        """Every partition has its leader."""
        return self.answered_at is not None and (self.error != NONE or self._exists(int(self._order.count or 0)))


class Reassign(TopicOrder):
    """Replicas move: the targets are placed once, as ``kafka-reassign-partitions --generate`` does.

    With ``throttle`` the tool limits every broker that gives or takes a replica, before it asks (``--execute
    --throttle``), and lifts that when nothing is being reassigned any more (``--verify``, here as soon as it can).
    """

    def __init__(self, cluster: Cluster, host: Host, spec: EventSpec, cause: int) -> None:
        assert spec.order is not None
        self._targets = _targets(cluster, spec.order)
        self._throttle: MoveThrottle | None = None
        super().__init__(cluster, host, spec, cause)
        if spec.order.throttle_bytes_per_s is not None:
            self._throttle = MoveThrottle(cluster, self._targets, spec.order.throttle_bytes_per_s)
            self.note("throttle", f"{self.hit}: {spec.order.throttle_bytes_per_s / 1e6:g} MB/s a broker")

    def request(self) -> Request:
        """AlterPartitionReassignments of all partitions at once."""
        size = _REQUEST_BASE_BYTES + _REQUEST_PARTITION_BYTES * len(self._targets)
        body = AlterReassignmentsBody(dict(self._targets), self._cause)
        return Request(ALTER_PARTITION_REASSIGNMENTS, size, body, self._cause)

    def answered(self, request: Request) -> bool:
        """Partitions that were refused are told; a controller that moved is looked for again."""
        if not super().answered(request):
            return False
        refused = sum(1 for error in request.reply.values() if error != NONE)
        if refused:
            self.note("refused", f"{refused} of {len(self._targets)} partitions")
        return True

    def undone(self) -> bool:
        """Nothing is being reassigned."""
        controller = self._cluster.active_controller()
        if self.answered_at is None or controller is None or controller.controller.context.reassigning:
            return False
        if self._throttle is not None:
            self._throttle.lift()
            self._throttle = None
            self.note("throttle_lifted", self.hit)
        return True


def _targets(cluster: Cluster, order: TopicOrderSpec) -> dict[int, tuple[int, ...]]:
    targets: dict[int, tuple[int, ...]] = {}
    if order.assignment is not None:
        for number, replicas in order.assignment.items():
            targets[cluster.topics.partition(order.topics[0], number).index] = tuple(replicas)
        return targets
    brokers = sorted((broker, cluster.brokers[broker].host.rack) for broker in order.to or ())
    for topic in order.topics:
        partitions = [tp for tp in cluster.topics.partitions(topic) if cluster.board.factor[tp.index] > 0]
        if not partitions:
            continue
        factor = max(cluster.board.factor[tp.index] for tp in partitions)
        draws = cluster.streams.stream(f"reassign/{topic}")
        placed = place(brokers, len(partitions), factor, draws.integer(len(brokers)), draws.integer(len(brokers)))
        for tp in partitions:
            targets[tp.index] = tuple(placed[tp.partition])
    return targets
