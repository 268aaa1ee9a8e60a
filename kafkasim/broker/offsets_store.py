"""``__consumer_offsets`` as the group coordinator sees it: records, their sizes, and the store.

The topic is an ordinary replicated one.  Its batches carry real records here
(:class:`OffsetsBatch`), because a new coordinator rebuilds its groups by reading them.  A
record is a tuple whose first member says what it is:

* ``("offset", group, tp, offset, leader_epoch)``: a committed offset;
* ``("group", group, generation, protocol, leader, members)``: the group's metadata with its
  assignment, ``members`` a tuple of ``(member id, client id, session timeout ms, rebalance
  timeout ms, protocols, topics, generation in the metadata, assigned partitions)``.

Left out: compaction and tombstones (offsets do not expire within a run).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kafkasim.protocol import RecordBatch, TopicPartition

OFFSET: Final = "offset"
GROUP: Final = "group"

OffsetsRecord = tuple[Any, ...]

BATCH_HEADER_BYTES: Final = 61


def _varint_bytes(value: int) -> int:
    zigzag = value << 1
    size = 1
    while zigzag > 127:
        zigzag >>= 7
        size += 1
    return size


def _stored_bytes(key_bytes: int, value_bytes: int, delta: int) -> int:
    body = 1 + 1 + _varint_bytes(delta) + _varint_bytes(key_bytes) + key_bytes
    body += _varint_bytes(value_bytes) + value_bytes + 1
    return _varint_bytes(body) + body


def _key_and_value_bytes(record: OffsetsRecord) -> tuple[int, int]:
    if record[0] == OFFSET:
        tp: TopicPartition = record[2]
        return 2 + 2 + len(record[1]) + 2 + len(tp.topic) + 4, 2 + 8 + 4 + 2 + 8
    size = 2 + 2 + len("consumer") + 4 + 2 + len(record[3]) + 2 + len(record[4]) + 8 + 4
    for member_id, client_id, _, _, _, topics, _, assigned in record[5]:
        size += 2 + len(member_id) + 2 + 2 + len(client_id) + 2 + 12 + 4 + 4
        size += 4 + 2 + 4 + sum(2 + len(topic) for topic in topics) + 14
        size += 4 + 10 + sum(2 + len(topic) + 4 for topic in dict.fromkeys(tp.topic for tp in assigned))
        size += 4 * len(assigned)
    return 2 + 2 + len(record[1]), size


def batch_bytes(records: list[OffsetsRecord]) -> int:
    """Size of a batch (v2, no compression) that holds ``records``."""
    size = BATCH_HEADER_BYTES
    for delta, record in enumerate(records):
        key_bytes, value_bytes = _key_and_value_bytes(record)
        size += _stored_bytes(key_bytes, value_bytes, delta)
    return size


class OffsetsBatch(RecordBatch):
    """A batch of ``__consumer_offsets``: a record batch that keeps its records."""

    def __init__(self, records: list[OffsetsRecord], size_bytes: int, now: float) -> None:
        super().__init__(-1, 0, len(records), size_bytes, now, now, -1, -1, -1)
        self.records = records

    def tail(self, records: int) -> RecordBatch:
        """What is left without the first ``records``."""
        rest = OffsetsBatch(self.records[records:], self.size_bytes * (self.count - records) // self.count, 0.0)
        rest.base_offset = self.base_offset + records
        rest.leader_epoch = self.leader_epoch
        rest.appended_at = self.appended_at
        rest.committed = self.committed
        return rest


class OffsetsStore:
    """What the group coordinator needs of its broker; the replica manager implements it."""

    def append(
        self,
        tp: TopicPartition,
        records: list[OffsetsRecord],
        size_bytes: int,
        timeout_s: float,
        done: Callable[[int], None],
        cause: int,
    ) -> None:
        """Append with acks=all; ``done(error)`` once it is committed, refused, or after ``timeout_s``."""
        raise NotImplementedError

    def leader_of(self, tp: TopicPartition) -> int:
        """The live leader that this broker's metadata cache names; -1 when it knows none."""
        raise NotImplementedError

    def is_leader(self, tp: TopicPartition) -> bool:
        """Whether this broker's replica of ``tp`` is the leader now."""
        raise NotImplementedError

    def read_all(self, tp: TopicPartition) -> list[list[OffsetsRecord]]:
        """The records of the local log, batch by batch in the order of offsets."""
        raise NotImplementedError

    def log_bytes(self, tp: TopicPartition) -> int:
        """Size of the local log."""
        raise NotImplementedError
