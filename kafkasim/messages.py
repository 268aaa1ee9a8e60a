"""Bodies and replies of the requests that are not traffic: control plane, metadata, groups.

Each class stands for the message of the same name in Kafka's protocol, reduced to the
fields that the model reads.  ``cause`` fields carry the id of the timeline row that made
the sender send, so that effects can name their cause.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kafkasim.protocol import NONE, TopicPartition

NO_LEADER = -1
LEADER_DURING_DELETE = -2
"""The leader that UpdateMetadata names for a topic that is being deleted: brokers forget its partitions."""
EPOCH_DURING_DELETE = -2
"""The leader epoch of a StopReplica for such a topic: it is followed whatever the replica's epoch."""


@dataclass(frozen=True, slots=True)
class PartitionState:
    """A partition's state as the controller knows it (and ZooKeeper's ``…/state`` znode holds it).

    ``partition_epoch`` is the znode's version; ``adding`` are those of ``replicas`` that a reassignment adds.
    """

    tp: TopicPartition
    leader: int
    leader_epoch: int
    isr: tuple[int, ...]
    partition_epoch: int
    replicas: tuple[int, ...]
    controller_epoch: int = 0
    adding: tuple[int, ...] = ()


@dataclass(slots=True)
class LeaderAndIsrBody:
    """LeaderAndIsr: controller to one broker."""

    controller_id: int
    controller_epoch: int
    broker_epoch: int
    partitions: list[PartitionState]
    live_leaders: frozenset[int]
    cause: int = 0
    causes: dict[int, int] = field(default_factory=dict)  # partition index -> timeline row of its election


@dataclass(slots=True)
class UpdateMetadataBody:
    """UpdateMetadata: controller to one broker; ``partitions`` replace the broker's entries."""

    controller_id: int
    controller_epoch: int
    broker_epoch: int
    partitions: list[PartitionState]
    live_brokers: frozenset[int]
    cause: int = 0
    causes: dict[int, int] = field(default_factory=dict)  # as in LeaderAndIsr


@dataclass(slots=True)
class StopReplicaItem:
    """One partition of StopReplica; ``delete``: its log too."""

    tp: TopicPartition
    leader_epoch: int
    delete: bool


@dataclass(slots=True)
class StopReplicaBody:
    """StopReplica: controller to one broker."""

    controller_id: int
    controller_epoch: int
    broker_epoch: int
    partitions: list[StopReplicaItem]
    cause: int = 0


@dataclass(slots=True)
class ControlledShutdownBody:
    """ControlledShutdown: a broker that wants to stop, to the controller.

    The reply lists the partitions with more than one replica that it still leads.
    """

    broker_id: int
    broker_epoch: int
    cause: int = 0


@dataclass(slots=True)
class AlterPartitionItem:
    """One proposed ISR; ``error`` and ``state`` are the answer."""

    tp: TopicPartition
    leader_epoch: int
    new_isr: tuple[int, ...]
    partition_epoch: int
    cause: int = 0
    error: int = NONE
    state: PartitionState | None = None


@dataclass(slots=True)
class AllocateProducerIdsBody:
    """AllocateProducerIds: a broker to the controller; the reply is the first id of its block."""

    broker_id: int
    broker_epoch: int


@dataclass(slots=True)
class AlterPartitionBody:
    """AlterPartition: a leader's broker to the controller; the reply is the same items filled in."""

    broker_id: int
    broker_epoch: int
    items: list[AlterPartitionItem]


@dataclass(slots=True)
class MetadataBody:
    """Metadata: a client asks any broker; ``topics`` None means all."""

    topics: tuple[str, ...] | None


@dataclass(slots=True)
class MetadataReply:
    """The answering broker's own view: live brokers, and (leader, leader epoch) by partition index.

    ``partitions`` of a topic are listed by topic in partition order.  ``reliable_epochs``: brokers 2.4 and later.
    """

    brokers: tuple[int, ...]
    controller: int
    topics: dict[str, list[TopicPartition]]
    leaders: dict[int, tuple[int, int]]
    causes: dict[int, int] = field(default_factory=dict)  # partition index -> timeline row of its last change
    reliable_epochs: bool = True


@dataclass(slots=True)
class FindCoordinatorBody:
    """FindCoordinator: the reply is a node id or -1."""

    group: str


@dataclass(slots=True)
class ListOffsetsItem:
    """One partition of ListOffsets; ``timestamp`` -1 latest, -2 earliest; ``replica``: a follower asks."""

    tp: TopicPartition
    timestamp: int
    current_leader_epoch: int
    error: int = NONE
    offset: int = -1
    leader_epoch: int = -1
    replica: bool = False


@dataclass(slots=True)
class OffsetForLeaderEpochItem:
    """One partition of OffsetForLeaderEpoch."""

    tp: TopicPartition
    leader_epoch: int
    current_leader_epoch: int
    error: int = NONE
    end_epoch: int = -1
    end_offset: int = -1


@dataclass(slots=True)
class JoinGroupBody:
    """JoinGroup of one member."""

    group: str
    member_id: str
    client_id: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: tuple[str, ...]
    topics: tuple[str, ...]
    generation: int = -1  # in the member's metadata since 3.4: a change of it counts as changed metadata
    rack: str = ""  # of the member, told since 3.5


@dataclass(slots=True)
class JoinGroupReply:
    """What a member learns when the join phase ends."""

    member_id: str
    generation: int = -1
    protocol: str = ""
    leader: str = ""
    members: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    racks: dict[str, str] = field(default_factory=dict)  # of the members that told one


@dataclass(slots=True)
class SyncGroupBody:
    """SyncGroup; the leader's carries the assignment by member."""

    group: str
    member_id: str
    generation: int
    assignment: dict[str, list[TopicPartition]]


@dataclass(slots=True)
class HeartbeatBody:
    """Heartbeat (and LeaveGroup) of one member."""

    group: str
    member_id: str
    generation: int


@dataclass(slots=True)
class OffsetCommitBody:
    """OffsetCommit: positions by partition, with the leader epochs they were read at."""

    group: str
    member_id: str
    generation: int
    offsets: list[tuple[TopicPartition, int, int]]


@dataclass(slots=True)
class OffsetFetchBody:
    """OffsetFetch: the reply is {partition index: (offset, leader epoch)} of what was committed."""

    group: str
    partitions: list[TopicPartition]


@dataclass(slots=True)
class ElectLeadersBody:
    """ElectLeaders: an admin client to the controller; ``unclean``: whoever lives may lead what has no leader."""

    partitions: list[TopicPartition]
    cause: int = 0
    unclean: bool = False


@dataclass(slots=True)
class CreateTopicBody:
    """CreateTopics of one topic: its replicas are given, or placed by the broker that serves it."""

    topic: str
    partitions: int
    replication_factor: int
    assignment: dict[int, tuple[int, ...]] | None = None
    config: dict[str, Any] = field(default_factory=dict)
    cause: int = 0


@dataclass(slots=True)
class DeleteTopicBody:
    """DeleteTopics of one topic."""

    topic: str
    cause: int = 0


@dataclass(slots=True)
class CreatePartitionsBody:
    """CreatePartitions of one topic: ``count`` is the new total."""

    topic: str
    count: int
    cause: int = 0


@dataclass(slots=True)
class AlterReassignmentsBody:
    """AlterPartitionReassignments: the target replicas of each partition, by its number.

    The reply maps a partition's number to its error.
    """

    targets: dict[int, tuple[int, ...]]
    cause: int = 0


Reply = Any
