"""What each request that is no traffic costs a handler, and who answers it.

Stands for ``KafkaApis``, without Produce and Fetch (see :class:`ReplicaManager`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kafkasim.broker.log import PartitionLog
from kafkasim.broker.partition import LEADER
from kafkasim.messages import ListOffsetsItem, OffsetForLeaderEpochItem
from kafkasim.protocol import (
    ALLOCATE_PRODUCER_IDS,
    ALTER_PARTITION,
    ALTER_PARTITION_REASSIGNMENTS,
    API_VERSIONS,
    CONTROLLED_SHUTDOWN,
    CREATE_PARTITIONS,
    CREATE_TOPICS,
    DELETE_TOPICS,
    ELECT_LEADERS,
    FENCED_LEADER_EPOCH,
    FIND_COORDINATOR,
    HEARTBEAT,
    INIT_PRODUCER_ID,
    JOIN_GROUP,
    KAFKA_STORAGE_ERROR,
    LEADER_AND_ISR,
    LEAVE_GROUP,
    LIST_OFFSETS,
    METADATA,
    NONE,
    NOT_LEADER_OR_FOLLOWER,
    OFFSET_COMMIT,
    OFFSET_FETCH,
    OFFSET_FOR_LEADER_EPOCH,
    OFFSET_NOT_AVAILABLE,
    STOP_REPLICA,
    SYNC_GROUP,
    UNKNOWN_LEADER_EPOCH,
    UNKNOWN_TOPIC_OR_PARTITION,
    UPDATE_METADATA,
    Request,
)

if TYPE_CHECKING:
    from kafkasim.broker.broker import Broker

EARLIEST = -2
LATEST = -1
# Response sizes by the message schemas.
_API_VERSIONS_BYTES = 450
_INIT_PRODUCER_ID_BYTES = 28
_LIST_OFFSETS_BASE_BYTES, _LIST_OFFSETS_ITEM_BYTES = 30, 26
_EPOCH_BASE_BYTES, _EPOCH_ITEM_BYTES = 30, 24


class Apis:
    """Dispatch of one broker's requests; all of it runs on request handler threads."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._held: dict[int, Callable[[Request], float]] = {
            LEADER_AND_ISR: self._leader_and_isr,
            UPDATE_METADATA: self._update_metadata,
            STOP_REPLICA: self._stop_replica,
        }
        self._plain: dict[int, Callable[[Request], None]] = {
            METADATA: self._metadata,
            API_VERSIONS: self._api_versions,
            INIT_PRODUCER_ID: self._init_producer_id,
            LIST_OFFSETS: self._list_offsets,
            OFFSET_FOR_LEADER_EPOCH: self._offset_for_leader_epoch,
            ALTER_PARTITION: lambda request: broker.controller.handle_alter_partition(request, broker.respond),
            ALLOCATE_PRODUCER_IDS: lambda request: broker.controller.handle_allocate_producer_ids(
                request, broker.respond
            ),
            ELECT_LEADERS: lambda request: broker.controller.handle_elect_leaders(request, broker.respond),
            CONTROLLED_SHUTDOWN: lambda r: broker.controller.handle_controlled_shutdown(r, broker.respond),
            ALTER_PARTITION_REASSIGNMENTS: lambda r: broker.controller.handle_reassignments(r, broker.respond),
            CREATE_TOPICS: lambda request: broker.topic_admin.create_topic(request),
            DELETE_TOPICS: lambda request: broker.topic_admin.delete_topic(request),
            CREATE_PARTITIONS: lambda request: broker.topic_admin.create_partitions(request),
        }
        self._groups: dict[int, Callable[[Request, Callable[[Request], None]], None]] = {
            FIND_COORDINATOR: lambda request, respond: broker.coordinator.find_coordinator(request, respond),
            JOIN_GROUP: lambda request, respond: broker.coordinator.join_group(request, respond),
            SYNC_GROUP: lambda request, respond: broker.coordinator.sync_group(request, respond),
            HEARTBEAT: lambda request, respond: broker.coordinator.heartbeat(request, respond),
            LEAVE_GROUP: lambda request, respond: broker.coordinator.leave_group(request, respond),
            OFFSET_COMMIT: lambda request, respond: broker.coordinator.offset_commit(request, respond),
            OFFSET_FETCH: lambda request, respond: broker.coordinator.offset_fetch(request, respond),
        }

    def service(self, request: Request) -> float:
        """A handler's seconds until the effect."""
        broker = self.broker
        service_s: float = broker.costs.control_request_s
        if request.api in self._held:
            service_s += broker.costs.leader_and_isr_per_partition_s * len(request.body.partitions)
        return service_s

    def handle(self, request: Request) -> float:
        """The effect; returns for how long the handler is held after it."""
        broker = self.broker
        held = self._held.get(request.api)
        if held is not None:
            return held(request)
        plain = self._plain.get(request.api)
        if plain is not None:
            plain(request)
        else:
            self._groups[request.api](request, broker.respond)
        return 0.0

    # ---- the controller's requests

    def _leader_and_isr(self, request: Request) -> float:
        return self.broker.roles.leader_and_isr(request, self.broker.respond_at)

    def _update_metadata(self, request: Request) -> float:
        return self.broker.roles.update_metadata(request, self.broker.respond_at)

    def _stop_replica(self, request: Request) -> float:
        return self.broker.roles.stop_replica(request, self.broker.respond_at)

    # ---- clients' small requests

    def _metadata(self, request: Request) -> None:
        metadata = self.broker.metadata
        request.reply = metadata.reply(request.body.topics if request.body is not None else ())
        request.response_bytes = metadata.reply_bytes(request.reply)
        self.broker.respond(request)

    def _api_versions(self, request: Request) -> None:
        request.response_bytes = _API_VERSIONS_BYTES
        self.broker.respond(request)

    def _init_producer_id(self, request: Request) -> None:
        def answer(error: int, producer_id: int) -> None:
            request.error = error
            request.reply = (producer_id, 0)
            self.broker.respond(request)

        request.response_bytes = _INIT_PRODUCER_ID_BYTES
        self.broker.producer_ids.next(answer)

    def _list_offsets(self, request: Request) -> None:
        items: list[ListOffsetsItem] = request.body
        for item in items:
            partition = self.broker.replicas.partitions.get(item.tp.index)
            item.error = self._check_leader(item)
            if item.error != NONE or partition is None:
                continue
            item.leader_epoch = partition.leader_epoch
            if item.replica:
                item.offset = partition.log.log_end_offset
            elif item.timestamp == EARLIEST:
                item.offset = partition.log.log_start_offset
            elif partition.high_watermark < partition.epoch_start_offset and self.broker.release.withholds_offsets:
                item.error = OFFSET_NOT_AVAILABLE
            else:
                item.offset = partition.high_watermark
        request.reply = items
        request.response_bytes = _LIST_OFFSETS_BASE_BYTES + _LIST_OFFSETS_ITEM_BYTES * len(items)
        self.broker.respond(request)

    def _offset_for_leader_epoch(self, request: Request) -> None:
        items: list[OffsetForLeaderEpochItem] = request.body
        for item in items:
            partition = self.broker.replicas.partitions.get(item.tp.index)
            item.error = self._check_leader(item)
            if item.error == NONE and partition is not None:
                self._end_of_epoch(item, partition.log)
        request.reply = items
        request.response_bytes = _EPOCH_BASE_BYTES + _EPOCH_ITEM_BYTES * len(items)
        self.broker.respond(request)

    def _end_of_epoch(self, item: OffsetForLeaderEpochItem, log: PartitionLog) -> None:
        """Before 2.0 the answer has no epoch, and none at all for what is older than the first one known."""
        if self.broker.release.asks_epoch_again:
            item.end_epoch, item.end_offset = log.end_offset_for(item.leader_epoch)
        elif log.epochs and item.leader_epoch >= log.epochs[0]:
            item.end_offset = log.end_offset_for(item.leader_epoch)[1]

    def _check_leader(self, item: Any) -> int:
        partition = self.broker.replicas.partitions.get(item.tp.index)
        if partition is None:
            known = self.broker.metadata.state(item.tp.index) is not None
            return NOT_LEADER_OR_FOLLOWER if known else UNKNOWN_TOPIC_OR_PARTITION
        if partition.log.storage.offline:
            return KAFKA_STORAGE_ERROR
        if item.current_leader_epoch >= 0:
            if item.current_leader_epoch < partition.leader_epoch:
                return FENCED_LEADER_EPOCH
            if item.current_leader_epoch > partition.leader_epoch:
                return UNKNOWN_LEADER_EPOCH
        return NONE if partition.role == LEADER else NOT_LEADER_OR_FOLLOWER
