"""CreateTopics, DeleteTopics and CreatePartitions: what the controller's broker does before its controller hears of it.

Stands for ``ZkAdminManager``, ``AdminZkClient`` and ``Placement``: the request handler checks, places the replicas and
writes the znodes one after the other, unfenced; the controller's watches do the rest.  Answers leave when the znodes
are written.

Approximations: the handler thread is not held while ZooKeeper is asked.  Left out: automatic creation of topics, topic
ids, quotas of mutations, the purgatory that holds an answer until the new leaders are known.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from kafkasim.controller.assignment import decode
from kafkasim.controller.placement import place
from kafkasim.controller.store import BROKER_IDS, DELETE_TOPICS, TOPICS, topic_config_path, topic_path
from kafkasim.messages import CreatePartitionsBody, CreateTopicBody, DeleteTopicBody
from kafkasim.protocol import (
    INVALID_REPLICATION_FACTOR,
    NONE,
    NOT_CONTROLLER,
    REASSIGNMENT_IN_PROGRESS,
    TOPIC_ALREADY_EXISTS,
    UNKNOWN_SERVER_ERROR,
    UNKNOWN_TOPIC_OR_PARTITION,
    Request,
)
from kafkasim.zookeeper.operations import Create, Exists, GetChildren, GetData, Operation, Outcome, SetData

if TYPE_CHECKING:
    from kafkasim.broker.broker import Broker

_RESPONSE_BYTES = 60
_Steps = Generator[Event, Any, int]


class TopicAdmin:
    """The administrator's requests about topics at one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def create_topic(self, request: Request) -> None:
        """``/config/topics/T``, then ``/brokers/topics/T``."""
        self._serve(request, self._create_topic)

    def delete_topic(self, request: Request) -> None:
        """``/admin/delete_topics/T``."""
        self._serve(request, self._delete_topic)

    def create_partitions(self, request: Request) -> None:
        """``/brokers/topics/T`` again, with more partitions."""
        self._serve(request, self._create_partitions)

    def _serve(self, request: Request, work: Callable[[Request], _Steps]) -> None:
        request.response_bytes = _RESPONSE_BYTES
        if not self._broker.controller.active:
            request.error = NOT_CONTROLLER
            self._broker.respond(request)
            return
        self._broker.env.process(self._run(request, work))

    def _run(self, request: Request, work: Callable[[Request], _Steps]) -> Generator[Event, Any, None]:
        zookeeper = self._broker.zookeeper
        error = yield from work(request)
        if zookeeper is self._broker.zookeeper and self._broker.server.open:
            request.error = error
            self._broker.respond(request)

    def _ask(self, operation: Operation, cause: int = 0) -> Generator[Event, Any, Outcome]:
        outcomes: list[Outcome] = yield self._broker.zookeeper.submit([operation], cause)
        return outcomes[0]

    def _create_topic(self, request: Request) -> _Steps:
        body: CreateTopicBody = request.body
        if (yield from self._ask(Exists(topic_path(body.topic)))).error is None:
            return TOPIC_ALREADY_EXISTS
        assignment = body.assignment
        if assignment is None:
            brokers = yield from self._brokers()
            if body.replication_factor > len(brokers):
                return INVALID_REPLICATION_FACTOR
            start, shift = self._draw(body.topic, len(brokers))
            placed = place(brokers, body.partitions, body.replication_factor, start, shift)
            assignment = {number: tuple(replicas) for number, replicas in placed.items()}
        path = topic_config_path(body.topic)
        yield from self._ask(SetData(path, body.config, -1))  # fails: a new topic has no configs
        yield from self._ask(Create(path, body.config))
        made = yield from self._ask(Create(f"{TOPICS}/{body.topic}", dict(assignment)), body.cause)
        return NONE if made.error is None else TOPIC_ALREADY_EXISTS

    def _delete_topic(self, request: Request) -> _Steps:
        body: DeleteTopicBody = request.body
        if (yield from self._ask(Exists(topic_path(body.topic)))).error is not None:
            return UNKNOWN_TOPIC_OR_PARTITION
        yield from self._ask(Create(f"{DELETE_TOPICS}/{body.topic}", None), body.cause)
        return NONE

    def _create_partitions(self, request: Request) -> _Steps:
        body: CreatePartitionsBody = request.body
        known = yield from self._ask(GetData(topic_path(body.topic)))
        if known.error is not None:
            return UNKNOWN_TOPIC_OR_PARTITION
        entries = {number: decode(data) for number, data in known.data.items()}
        if any(entry.unfinished for entry in entries.values()):
            return REASSIGNMENT_IN_PROGRESS
        brokers = yield from self._brokers()
        first = entries[0].replicas
        start = next((i for i, (broker, _) in enumerate(brokers) if broker >= first[0]), 0)
        count = body.count - len(entries)
        if count <= 0 or len(first) > len(brokers):
            return UNKNOWN_SERVER_ERROR if count <= 0 else INVALID_REPLICATION_FACTOR
        added = place(brokers, count, len(first), start, start, len(entries))
        data: dict[int, Any] = dict(known.data)
        data.update({number: tuple(replicas) for number, replicas in added.items()})
        yield from self._ask(SetData(topic_path(body.topic), data, -1), body.cause)
        return NONE

    def _brokers(self) -> Generator[Event, Any, list[tuple[int, str | None]]]:
        listed = yield from self._ask(GetChildren(BROKER_IDS))
        found: list[tuple[int, str | None]] = []
        for number in sorted(int(name) for name in listed.children):
            outcome = yield from self._ask(GetData(f"{BROKER_IDS}/{number}"))
            if outcome.error is None:
                found.append((number, outcome.data.get("rack")))
        return found

    def _draw(self, topic: str, brokers: int) -> tuple[int, int]:
        draws = self._broker.draws(f"placement/{topic}")
        return draws.integer(brokers), draws.integer(brokers)
