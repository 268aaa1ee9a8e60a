"""Bytes of the controller's requests and answers, from the message schemas.

For topics with names of 6 letters, replication factor 3 and three brokers they give the table of the protocol's sizes:
LeaderAndIsr v7 116 B + 51 B a partition, UpdateMetadata v8 160 B + 48 B a partition.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kafkasim.messages import PartitionState, StopReplicaItem
from kafkasim.scenario.versions import Version

_TOPIC_IDS_SINCE: Final = Version(2, 8)
_RECOVERY_STATE_SINCE: Final = Version(3, 2)
_KRAFT_FLAG_SINCE: Final = Version(3, 4)
_FLEXIBLE_SINCE: Final = Version(2, 4)  # compact lengths, tags; adding and removing replicas
_GROUPED_SINCE: Final = Version(2, 2)  # by topic, with the broker's epoch; before, each partition names its topic
_IS_NEW_SINCE: Final = Version(1, 0)  # LeaderAndIsr v1; UpdateMetadata v4 with offline replicas
_LENGTHS_BYTES: Final = 4
_BROKER_EPOCH_BYTES: Final = 8
_OLD_TOPIC_BYTES: Final = 6
_TOPIC_BYTES: Final = 3  # length of the name, length of the partitions, tags
_TOPIC_ID_BYTES: Final = 16
_REPLICA_BYTES: Final = 4


def _topics_bytes(partitions: Iterable[PartitionState], version: Version) -> int:
    if version < _GROUPED_SINCE:
        return sum(2 + len(state.tp.topic) for state in partitions)
    names: dict[str, None] = {}
    for state in partitions:
        names[state.tp.topic] = None
    each = _TOPIC_BYTES if version >= _FLEXIBLE_SINCE else _OLD_TOPIC_BYTES
    each += _TOPIC_ID_BYTES if version >= _TOPIC_IDS_SINCE else 0
    return sum(each + len(name) for name in names)


def _fixed_bytes(version: Version) -> int:
    """What is not of topics or brokers, beside its 2.4 size: longer lengths before, no broker epoch before 2.2."""
    if version >= _FLEXIBLE_SINCE:
        return 1 if version >= _KRAFT_FLAG_SINCE else 0
    return _LENGTHS_BYTES if version >= _GROUPED_SINCE else _LENGTHS_BYTES - _BROKER_EPOCH_BYTES


def leader_and_isr_bytes(partitions: list[PartitionState], live_leaders: int, version: Version) -> int:
    """LeaderAndIsr; ``live_leaders`` are the brokers named with their address."""
    if version >= _FLEXIBLE_SINCE:
        each = 26 + (1 if version >= _RECOVERY_STATE_SINCE else 0)
    else:
        each = 29 if version >= _IS_NEW_SINCE else 28
    size = 33 + _fixed_bytes(version) + 19 * live_leaders + _topics_bytes(partitions, version)
    for state in partitions:
        size += each + _REPLICA_BYTES * (len(state.isr) + len(state.replicas))
    return size


def update_metadata_bytes(partitions: list[PartitionState], brokers: int, version: Version) -> int:
    """UpdateMetadata for ``partitions`` and a list of ``brokers`` live brokers."""
    flexible = version >= _FLEXIBLE_SINCE
    size = 32 + _fixed_bytes(version) + (34 if flexible else 38) * brokers + _topics_bytes(partitions, version)
    old = 32 if version >= _IS_NEW_SINCE else 28
    for state in partitions:
        size += (24 if flexible else old) + _REPLICA_BYTES * (len(state.isr) + len(state.replicas))
    return size


def alter_partition_response_bytes(members: list[int], topics: int) -> int:
    """AlterPartition's answer; ``members`` are the ISR sizes of its partitions (0 for an error)."""
    return 16 + 18 * topics + sum(21 + _REPLICA_BYTES * count for count in members)


def elect_leaders_response_bytes(partitions: int, topics: int) -> int:
    """ElectLeaders' answer: an error code and message a partition."""
    return 16 + 10 * topics + 9 * partitions


def stop_replica_bytes(items: list[StopReplicaItem], version: Version) -> int:
    """StopReplica v3 and later: index, leader epoch, delete flag a partition."""
    topics = {item.tp.topic: None for item in items}
    size = 34 + (1 if version >= _KRAFT_FLAG_SINCE else 0)
    return size + sum(_TOPIC_BYTES + len(name) for name in topics) + 10 * len(items)


def controlled_shutdown_response_bytes(topics: list[str]) -> int:
    """ControlledShutdown's answer; ``topics`` names the topic of each partition that is left."""
    return 12 + sum(6 + len(topic) for topic in topics)
