"""What of a replica's log another replica does not hold: how records are lost.

Nothing in Kafka; the collectors ask when a log is cut, or another replica leads.
"""

from __future__ import annotations

from kafkasim.broker.partition import Partition
from kafkasim.metrics.ledger import StreamAccount
from kafkasim.protocol import RecordBatch


def holds(replica: Partition, batch: RecordBatch) -> bool:
    """Whether ``replica`` has ``batch``, or had it before it was folded away, deleted or cleaned."""
    log = replica.log
    offset = batch.base_offset
    if offset >= log.log_end_offset:
        return False
    return offset < max(log.trimmed_offset, log.cleaned_offset) or log.batches[log.index_of(offset)].agrees(batch)


def only_on(before: Partition, leader: Partition) -> list[RecordBatch]:
    """The last batches of a former leader's log that the new leader's log does not hold."""
    mine = {batch.base_offset: batch for batch in leader.log.batches[-4096:]}
    below = max(leader.log.trimmed_offset, leader.log.cleaned_offset)
    only: list[RecordBatch] = []
    for batch in reversed(before.log.batches):
        if mine.get(batch.base_offset) is batch or batch.base_offset < below:
            break
        only.append(batch)
    only.reverse()
    return only


def acknowledged_records(account: StreamAccount, batch: RecordBatch, leader: Partition | None) -> int:
    """How many acknowledged records of ``batch`` are not on the leader's log."""
    first, last = batch.first, batch.first + batch.count
    acknowledged = sum(b - a for a, b in account.acknowledged.overlaps(first, last))
    if not acknowledged or leader is None:
        return acknowledged
    for kept in leader.log.batches:
        if kept.stream == batch.stream and kept.first < last and kept.first + kept.count > first:
            return 0
    return acknowledged
