"""Sizes (bytes) of the group protocol's messages, computed from Kafka's message schemas.

They include the four bytes of length and the header, as kafka's own figures do: a client id
of ten letters, topics of the length they have.  Only what a model of traffic needs: one
formula a message, for the flexible versions that 2.4 and later speak.
"""

from __future__ import annotations

from typing import Final

REQUEST_HEADER: Final = 4 + 2 + 2 + 4 + 2 + 10 + 1
RESPONSE_HEADER: Final = 4 + 4 + 1


def heartbeat_request_bytes(group: str, member_id: str) -> int:
    """Heartbeat, and LeaveGroup within a few bytes."""
    return REQUEST_HEADER + 1 + len(group) + 4 + 1 + len(member_id) + 1 + 1


def heartbeat_response_bytes() -> int:
    """Heartbeat and LeaveGroup: throttle time and error."""
    return RESPONSE_HEADER + 4 + 2 + 1


def find_coordinator_request_bytes(group: str) -> int:
    """FindCoordinator for one key."""
    return REQUEST_HEADER + 1 + 1 + 1 + len(group) + 1


def find_coordinator_response_bytes(group: str) -> int:
    """One coordinator: key, node id, host, port."""
    return RESPONSE_HEADER + 4 + 1 + 1 + len(group) + 4 + 12 + 4 + 2 + 1 + 1 + 1


def subscription_bytes(topics: tuple[str, ...]) -> int:
    """A consumer's metadata in JoinGroup: version, topics, user data, owned partitions, generation."""
    return 2 + 4 + sum(2 + len(topic) for topic in topics) + 4 + 4 + 4 + 2


def assignment_bytes(topics_and_counts: list[tuple[str, int]]) -> int:
    """A member's assignment: version, partitions by topic, user data."""
    return 2 + 4 + sum(2 + len(topic) + 4 + 4 * count for topic, count in topics_and_counts) + 4


def join_group_request_bytes(group: str, member_id: str, protocols: tuple[str, ...], topics: tuple[str, ...]) -> int:
    """JoinGroup: each protocol carries the subscription."""
    metadata = subscription_bytes(topics)
    each = sum(1 + len(protocol) + 2 + metadata + 1 for protocol in protocols)
    return REQUEST_HEADER + 1 + len(group) + 4 + 4 + 1 + len(member_id) + 1 + 9 + 1 + each + 30


def join_group_response_bytes(member_id: str, protocol: str, members: list[tuple[str, tuple[str, ...]]]) -> int:
    """JoinGroup's answer; the leader's lists every member's subscription."""
    listed = sum(1 + len(name) + 1 + 2 + subscription_bytes(topics) + 1 for name, topics in members)
    return RESPONSE_HEADER + 4 + 2 + 4 + 9 + 1 + len(protocol) + 2 * (1 + len(member_id)) + 1 + 1 + listed + 1


def sync_group_request_bytes(group: str, member_id: str, protocol: str, assignments_bytes: int) -> int:
    """SyncGroup; the leader's carries all assignments (``assignments_bytes``)."""
    return (
        REQUEST_HEADER + 1 + len(group) + 4 + 1 + len(member_id) + 1 + 9 + 1 + len(protocol) + 1 + assignments_bytes + 1
    )


def sync_group_response_bytes(protocol: str, member_assignment_bytes: int) -> int:
    """SyncGroup's answer: the member's own assignment."""
    return RESPONSE_HEADER + 4 + 2 + 9 + 1 + len(protocol) + 2 + member_assignment_bytes + 1


def offset_commit_request_bytes(partitions: int) -> int:
    """OffsetCommit: 128 B with one partition, 18 more for each further one."""
    return 110 + 18 * partitions


def offset_commit_response_bytes(partitions: int, topics: int) -> int:
    """OffsetCommit's answer: an error a partition."""
    return RESPONSE_HEADER + 4 + 1 + 9 * topics + 7 * partitions + 1


def offset_fetch_request_bytes(group: str, partitions: int, topics: int) -> int:
    """OffsetFetch for the partitions of one group."""
    return REQUEST_HEADER + 1 + 1 + len(group) + 1 + 9 * topics + 4 * partitions + 3


def offset_fetch_response_bytes(group: str, partitions: int, topics: int) -> int:
    """Offset, leader epoch, metadata and error a partition."""
    return RESPONSE_HEADER + 4 + 1 + 1 + len(group) + 1 + 9 * topics + 20 * partitions + 4


def list_offsets_request_bytes(partitions: int, topics: int) -> int:
    """ListOffsets."""
    return REQUEST_HEADER + 4 + 1 + 1 + 9 * topics + 17 * partitions + 1


def list_offsets_response_bytes(partitions: int, topics: int) -> int:
    """ListOffsets' answer: timestamp, offset, leader epoch and error a partition."""
    return RESPONSE_HEADER + 4 + 1 + 9 * topics + 27 * partitions + 1


def offset_for_leader_epoch_request_bytes(partitions: int, topics: int) -> int:
    """OffsetForLeaderEpoch."""
    return REQUEST_HEADER + 4 + 1 + 9 * topics + 13 * partitions + 1


def offset_for_leader_epoch_response_bytes(partitions: int, topics: int) -> int:
    """OffsetForLeaderEpoch's answer: error, epoch and end offset a partition."""
    return RESPONSE_HEADER + 4 + 1 + 9 * topics + 19 * partitions + 1
