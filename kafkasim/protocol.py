"""Kafka's wire protocol as far as the model speaks it: APIs, errors, requests.

A request object makes the whole round trip: the server fills in its response fields and
sends the same object back.  Sizes are in bytes and computed by the sender
(``size_bytes``) and the server (``response_bytes``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from mypy_extensions import mypyc_attr

from kafkasim.network import Message

if TYPE_CHECKING:
    from kafkasim.connection import Connection

PRODUCE: Final = 0
FETCH: Final = 1
LIST_OFFSETS: Final = 2
METADATA: Final = 3
LEADER_AND_ISR: Final = 4
STOP_REPLICA: Final = 5
UPDATE_METADATA: Final = 6
CONTROLLED_SHUTDOWN: Final = 7
OFFSET_COMMIT: Final = 8
OFFSET_FETCH: Final = 9
FIND_COORDINATOR: Final = 10
JOIN_GROUP: Final = 11
HEARTBEAT: Final = 12
LEAVE_GROUP: Final = 13
SYNC_GROUP: Final = 14
API_VERSIONS: Final = 18
CREATE_TOPICS: Final = 19
DELETE_TOPICS: Final = 20
INIT_PRODUCER_ID: Final = 22
OFFSET_FOR_LEADER_EPOCH: Final = 23
CREATE_PARTITIONS: Final = 37
ELECT_LEADERS: Final = 43
ALTER_PARTITION_REASSIGNMENTS: Final = 45
ALTER_PARTITION: Final = 56
ALLOCATE_PRODUCER_IDS: Final = 67

API_NAMES: Final = {
    PRODUCE: "Produce", FETCH: "Fetch", LIST_OFFSETS: "ListOffsets", METADATA: "Metadata",
    LEADER_AND_ISR: "LeaderAndIsr", STOP_REPLICA: "StopReplica", UPDATE_METADATA: "UpdateMetadata",
    CONTROLLED_SHUTDOWN: "ControlledShutdown", OFFSET_COMMIT: "OffsetCommit", OFFSET_FETCH: "OffsetFetch",
    FIND_COORDINATOR: "FindCoordinator", JOIN_GROUP: "JoinGroup", HEARTBEAT: "Heartbeat",
    LEAVE_GROUP: "LeaveGroup", SYNC_GROUP: "SyncGroup", API_VERSIONS: "ApiVersions",
    INIT_PRODUCER_ID: "InitProducerId", OFFSET_FOR_LEADER_EPOCH: "OffsetForLeaderEpoch",
    ELECT_LEADERS: "ElectLeaders", ALTER_PARTITION: "AlterPartition", CREATE_TOPICS: "CreateTopics",
    DELETE_TOPICS: "DeleteTopics", CREATE_PARTITIONS: "CreatePartitions",
    ALTER_PARTITION_REASSIGNMENTS: "AlterPartitionReassignments",
    ALLOCATE_PRODUCER_IDS: "AllocateProducerIds",
}  # fmt: skip

# Errors by Kafka's numbers (org.apache.kafka.common.protocol.Errors).
UNKNOWN_SERVER_ERROR: Final = -1
NONE: Final = 0
OFFSET_OUT_OF_RANGE: Final = 1
UNKNOWN_TOPIC_OR_PARTITION: Final = 3
LEADER_NOT_AVAILABLE: Final = 5
NOT_LEADER_OR_FOLLOWER: Final = 6
REQUEST_TIMED_OUT: Final = 7
BROKER_NOT_AVAILABLE: Final = 8
MESSAGE_TOO_LARGE: Final = 10
STALE_CONTROLLER_EPOCH: Final = 11
NETWORK_EXCEPTION: Final = 13
COORDINATOR_LOAD_IN_PROGRESS: Final = 14
COORDINATOR_NOT_AVAILABLE: Final = 15
NOT_COORDINATOR: Final = 16
NOT_ENOUGH_REPLICAS: Final = 19
NOT_ENOUGH_REPLICAS_AFTER_APPEND: Final = 20
ILLEGAL_GENERATION: Final = 22
UNKNOWN_MEMBER_ID: Final = 25
INVALID_SESSION_TIMEOUT: Final = 26
REBALANCE_IN_PROGRESS: Final = 27
TOPIC_ALREADY_EXISTS: Final = 36
INVALID_REPLICATION_FACTOR: Final = 38
NOT_CONTROLLER: Final = 41
OUT_OF_ORDER_SEQUENCE_NUMBER: Final = 45
DUPLICATE_SEQUENCE_NUMBER: Final = 46
INVALID_PRODUCER_EPOCH: Final = 47
KAFKA_STORAGE_ERROR: Final = 56
FETCH_SESSION_ID_NOT_FOUND: Final = 70
FENCED_LEADER_EPOCH: Final = 74
UNKNOWN_LEADER_EPOCH: Final = 75
STALE_BROKER_EPOCH: Final = 77
OFFSET_NOT_AVAILABLE: Final = 78
REASSIGNMENT_IN_PROGRESS: Final = 60
MEMBER_ID_REQUIRED: Final = 79
GROUP_MAX_SIZE_REACHED: Final = 81
UNSTABLE_OFFSET_COMMIT: Final = 88
PREFERRED_LEADER_NOT_AVAILABLE: Final = 80
ELIGIBLE_LEADERS_NOT_AVAILABLE: Final = 83
ELECTION_NOT_NEEDED: Final = 84
INVALID_UPDATE_VERSION: Final = 95
INELIGIBLE_REPLICA: Final = 107
DELIVERY_TIMEOUT: Final = 1001
"""Not Kafka's number: the client's own TimeoutException after ``delivery.timeout.ms``."""
MAX_BLOCK_TIMEOUT: Final = 1002
"""Not Kafka's number: ``send()`` gave up after ``max.block.ms`` (no metadata, or the buffer is full)."""

ERROR_NAMES: Final = {
    NONE: "NONE", OFFSET_OUT_OF_RANGE: "OFFSET_OUT_OF_RANGE",
    UNKNOWN_TOPIC_OR_PARTITION: "UNKNOWN_TOPIC_OR_PARTITION", LEADER_NOT_AVAILABLE: "LEADER_NOT_AVAILABLE",
    NOT_LEADER_OR_FOLLOWER: "NOT_LEADER_OR_FOLLOWER", REQUEST_TIMED_OUT: "REQUEST_TIMED_OUT",
    MESSAGE_TOO_LARGE: "MESSAGE_TOO_LARGE", STALE_CONTROLLER_EPOCH: "STALE_CONTROLLER_EPOCH",
    NETWORK_EXCEPTION: "NETWORK_EXCEPTION", COORDINATOR_LOAD_IN_PROGRESS: "COORDINATOR_LOAD_IN_PROGRESS",
    COORDINATOR_NOT_AVAILABLE: "COORDINATOR_NOT_AVAILABLE", NOT_COORDINATOR: "NOT_COORDINATOR",
    NOT_ENOUGH_REPLICAS: "NOT_ENOUGH_REPLICAS",
    NOT_ENOUGH_REPLICAS_AFTER_APPEND: "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    ILLEGAL_GENERATION: "ILLEGAL_GENERATION", UNKNOWN_MEMBER_ID: "UNKNOWN_MEMBER_ID",
    REBALANCE_IN_PROGRESS: "REBALANCE_IN_PROGRESS", NOT_CONTROLLER: "NOT_CONTROLLER",
    OUT_OF_ORDER_SEQUENCE_NUMBER: "OUT_OF_ORDER_SEQUENCE_NUMBER",
    DUPLICATE_SEQUENCE_NUMBER: "DUPLICATE_SEQUENCE_NUMBER", INVALID_PRODUCER_EPOCH: "INVALID_PRODUCER_EPOCH",
    KAFKA_STORAGE_ERROR: "KAFKA_STORAGE_ERROR", FETCH_SESSION_ID_NOT_FOUND: "FETCH_SESSION_ID_NOT_FOUND",
    FENCED_LEADER_EPOCH: "FENCED_LEADER_EPOCH",
    UNKNOWN_LEADER_EPOCH: "UNKNOWN_LEADER_EPOCH",
    STALE_BROKER_EPOCH: "STALE_BROKER_EPOCH", OFFSET_NOT_AVAILABLE: "OFFSET_NOT_AVAILABLE",
    MEMBER_ID_REQUIRED: "MEMBER_ID_REQUIRED",
    GROUP_MAX_SIZE_REACHED: "GROUP_MAX_SIZE_REACHED", UNSTABLE_OFFSET_COMMIT: "UNSTABLE_OFFSET_COMMIT",
    INVALID_SESSION_TIMEOUT: "INVALID_SESSION_TIMEOUT", INVALID_UPDATE_VERSION: "INVALID_UPDATE_VERSION",
    INELIGIBLE_REPLICA: "INELIGIBLE_REPLICA", DELIVERY_TIMEOUT: "DELIVERY_TIMEOUT",
    MAX_BLOCK_TIMEOUT: "MAX_BLOCK_TIMEOUT", BROKER_NOT_AVAILABLE: "BROKER_NOT_AVAILABLE",
    TOPIC_ALREADY_EXISTS: "TOPIC_ALREADY_EXISTS", INVALID_REPLICATION_FACTOR: "INVALID_REPLICATION_FACTOR",
    REASSIGNMENT_IN_PROGRESS: "REASSIGNMENT_IN_PROGRESS",
    UNKNOWN_SERVER_ERROR: "UNKNOWN_SERVER_ERROR", ELECTION_NOT_NEEDED: "ELECTION_NOT_NEEDED",
    PREFERRED_LEADER_NOT_AVAILABLE: "PREFERRED_LEADER_NOT_AVAILABLE",
    ELIGIBLE_LEADERS_NOT_AVAILABLE: "ELIGIBLE_LEADERS_NOT_AVAILABLE",
}  # fmt: skip

# Kafka clients use these to decide about retries and metadata refreshes.
RETRIABLE: Final = frozenset(
    (
        UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT,
        NETWORK_EXCEPTION, COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR,
        NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND, NOT_CONTROLLER, FENCED_LEADER_EPOCH,
        KAFKA_STORAGE_ERROR,
        UNKNOWN_LEADER_EPOCH, OFFSET_NOT_AVAILABLE, UNSTABLE_OFFSET_COMMIT,
    )
)  # fmt: skip
INVALID_METADATA: Final = frozenset(
    (
        UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, NETWORK_EXCEPTION,
        FENCED_LEADER_EPOCH, KAFKA_STORAGE_ERROR,
    )
)  # fmt: skip


class TopicPartition:
    """A partition of a topic; one object each for a run, so it may be compared by identity.

    ``index`` numbers all partitions of the run: hot tables are lists over it.
    """

    def __init__(self, topic: str, partition: int, index: int) -> None:
        self.topic = topic
        self.partition = partition
        self.index: int = index
        self.name = f"{topic}-{partition}"

    def __repr__(self) -> str:
        return self.name


@mypyc_attr(allow_interpreted_subclasses=True)
class RecordBatch:
    """A record batch (v2) as it is stored, replicated and read: a count, bytes and times.

    ``stream`` numbers the ledger's stream; ``first`` is the number of the first record in
    it and ``count`` the records.  ``first_time`` and ``last_time`` are the intended times
    (s) of the first and last record.  The producer sets everything but ``base_offset`` and
    ``leader_epoch``, which the leader that appends it sets: an appended batch is never
    changed, so all replicas share the object; a retry that is appended again is a copy.
    """

    def __init__(
        self,
        stream: int,
        first: int,
        count: int,
        size_bytes: int,
        first_time: float,
        last_time: float,
        producer_id: int,
        producer_epoch: int,
        base_sequence: int,
    ) -> None:
        self.stream: int = stream
        self.first: int = first
        self.count: int = count
        self.size_bytes: int = size_bytes
        self.first_time: float = first_time
        self.last_time: float = last_time
        self.producer_id: int = producer_id
        self.producer_epoch: int = producer_epoch
        self.base_sequence: int = base_sequence
        self.base_offset: int = -1
        self.leader_epoch: int = -1
        self.appended_at: float = 0.0
        self.committed: bool = False

    def agrees(self, other: RecordBatch) -> bool:
        """Whether both have the same records at the same offsets, as far as both have them (one may be a tail)."""
        return self is other or (
            self.stream >= 0
            and self.stream == other.stream
            and self.first - self.base_offset == other.first - other.base_offset
        )

    def tail(self, records: int) -> RecordBatch:
        """What is left without the first ``records``, as appended (records lie evenly in size and time)."""
        left = self.count - records
        share = records / self.count
        begun = self.first_time + (self.last_time - self.first_time) * share
        rest = RecordBatch(
            self.stream, self.first + records, left, self.size_bytes * left // self.count, begun, self.last_time,
            self.producer_id, self.producer_epoch, self.base_sequence,
        )  # fmt: skip
        rest.base_offset = self.base_offset + records
        rest.leader_epoch = self.leader_epoch
        rest.appended_at = self.appended_at
        rest.committed = self.committed
        return rest


@mypyc_attr(allow_interpreted_subclasses=True)
class Request(Message):
    """A request on its way to a broker and back.

    ``produce`` and ``fetch`` are what a Produce and a Fetch carry, both ways; ``body`` and
    ``reply`` carry what is not traffic (control plane, groups).  All requests are of this one
    class, so that the stations which all of them pass deal with one kind of object.
    ``done(request)`` of the sender is called by its network client when the response has been
    read, and ``context`` is what the sender wants to find again then; ``failed`` is an error number
    when the connection ended first (NETWORK_EXCEPTION, or REQUEST_TIMED_OUT by the client).
    ``throttle_ms`` is the answer's throttle time; ``throttled_ms`` what other answers' throttle
    times add to this request's time-out; ``held_back``: the answer itself was delayed by it (before 2.0).
    ``local_s``: a handler's seconds for a request that was parked, where a quota wants to know (else negative).
    ``parked_until`` is the deadline (s) of a request that waits in a purgatory, else 0.  ``suspended``: its
    handler has been held until a lock is free.
    """

    reply: Any = None
    cause: int = 0
    throttled_ms: int = 0
    suspended: bool = False
    local_s: float = -1.0
    held_back: bool = False

    def __init__(
        self, api: int, size_bytes: int, body: Any = None, cause: int = 0, produce: ProduceRequestData | None = None,
        fetch: FetchRequestData | None = None,
    ) -> None:  # fmt: skip
        # CPython keeps what is set here beside the object; the first attribute set later would cost a dictionary.
        self.size_bytes = size_bytes
        self.received_at = 0.0
        self.arrived_at = 0.0
        self.started_at = 0.0
        self.pool_generation = 0
        self.api: int = api
        self.body: Any = body
        self.produce = produce
        self.fetch = fetch
        self.context: Any = None
        self.done: Callable[[Request], None] | None = None
        self.error: int = NONE
        self.failed: int = NONE
        self.response_bytes: int = 0
        self.connection: Connection | None = None
        self.created_at: float = 0.0
        self.sent_at: float = 0.0
        self.timeout_s: float = 30.0
        self.expects_response: bool = True
        self.internal: bool = False
        self.throttle_ms: int = 0
        self.parked_until: float = 0.0
        if cause != 0:
            self.cause = cause


class Waiting:
    """What waits at a leader until the high watermark has reached ``required_offset``."""

    required_offset: int

    def __init__(self) -> None:
        self.required_offset = 0


class ProducePartition(Waiting):
    """One partition of a Produce request and, on the way back, its answer.

    ``request`` is the one it belongs to while it waits for the high watermark (acks=all).
    """

    leader_hint: int = -1
    leader_epoch_hint: int = -1
    flushed: bool = False

    def __init__(self, tp: TopicPartition, batch: RecordBatch) -> None:
        self.required_offset = 0
        self.tp = tp
        self.batch = batch
        self.request: Request | None = None
        self.error: int = NONE
        self.base_offset: int = -1
        self.acknowledged: bool = False


class ProduceRequestData:
    """What a Produce request carries: at most one batch a partition, together ``records`` and ``payload_bytes``.

    ``acks`` is 0, 1 or -1 (all); ``waiting`` partitions are appended and wait for their followers.
    """

    lock_free_at: float = 0.0
    stored: bool = False

    def __init__(
        self, partitions: list[ProducePartition], payload_bytes: int, acks: int, timeout_s: float, records: int = 0
    ) -> None:
        self.partitions = partitions
        self.records: int = records
        self.payload_bytes: int = payload_bytes
        self.acks: int = acks
        self.timeout_s: float = timeout_s
        self.waiting: int = 0


class FetchPartition:
    """One partition of a fetch session: what is asked for and what came back.

    The object lives as long as the session; ``batches`` is filled by the server and emptied
    by the client.  ``current_leader_epoch`` is the epoch that the fetcher believes in.
    """

    def __init__(self, tp: TopicPartition) -> None:
        self.tp = tp
        self.fetch_offset: int = 0
        self.current_leader_epoch: int = -1
        self.last_fetched_epoch: int = -1
        self.max_bytes: int = 1048576
        self.batches: list[RecordBatch] = []
        self.bytes: int = 0
        self.error: int = NONE
        self.high_watermark: int = -1
        self.log_start_offset: int = 0
        self.diverging_epoch: int = -1
        self.diverging_end_offset: int = -1
        self.leader_hint: int = -1
        self.leader_epoch_hint: int = -1
        self.cause: int = 0
        self.preferred_read_replica: int = -1


class FetchRequestData:
    """What the Fetch of a consumer (``replica_id`` -1) or of a follower carries; one object a session.

    ``changed`` are the partitions whose fetch offset or epoch is new since the session's
    last request (an incremental fetch names only those), ``forgotten``, if there are any, leave the
    session; ``session`` are all of it.  The server answers in ``answered``: the partitions with data, an
    error or a new high watermark, ``answered_bytes`` of data.  ``sessionless``: the server has no slot
    for a session, so the next request names everything; so it does where the fetcher does not know sessions
    (``wants_session``: 1.1 and later).  ``rack`` is where a consumer says that it stands.
    """

    wants_session: bool = True
    rack: str = ""

    def __init__(
        self, replica_id: int, session: dict[int, FetchPartition], max_wait_s: float, min_bytes: int, max_bytes: int
    ) -> None:
        self.replica_id: int = replica_id
        self.session = session
        self.max_wait_s: float = max_wait_s
        self.min_bytes: int = min_bytes
        self.max_bytes: int = max_bytes
        self.changed: list[FetchPartition] = []
        self.forgotten: list[FetchPartition] | None = None
        self.answered: list[FetchPartition] = []
        self.answered_bytes: int = 0
        self.sessionless: bool = False

    def name(self, changed: list[FetchPartition], forgotten: list[FetchPartition] | None) -> None:
        """The session's next request names these; a session has one request in flight."""
        self.changed = changed
        self.forgotten = forgotten
        self.answered = []
