"""What logs have and have not: batches gone with a leader, offsets that somebody knew, sends that changed places.

Between the collectors and the ledger; stands for nothing in Kafka, whose brokers do not know what was lost.
"""

from __future__ import annotations

from kafkasim.broker.partition import Partition
from kafkasim.metrics.ledger import Ledger, StreamAccount
from kafkasim.metrics.oddities import Exposed, Oddities
from kafkasim.protocol import RecordBatch, TopicPartition


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


def acknowledged_and_gone(account: StreamAccount, batch: RecordBatch, leader: Partition | None) -> int:
    """How many acknowledged records of ``batch`` are not on the leader's log."""
    first, last = batch.first, batch.first + batch.count
    acknowledged = sum(b - a for a, b in account.acknowledged.overlaps(first, last))
    if not acknowledged or leader is None:
        return acknowledged
    for kept in leader.log.batches:
        if kept.stream == batch.stream and kept.first < last and kept.first + kept.count > first:
            return 0
    return acknowledged


def note_exposed(
    oddities: Oddities, tp: TopicPartition, account: StreamAccount, batch: RecordBatch, cause: int
) -> None:
    """Note a lost batch whose offset a producer or a consumer has been told."""
    first, last = batch.first, batch.first + batch.count
    acknowledged = bool(account.acknowledged.overlaps(first, last))
    if acknowledged or any(group.delivered.overlaps(first, last) for group in account.groups.values()):
        exposed = Exposed(account.producer, batch.base_offset, batch.count, batch, batch.committed, cause)
        oddities.expose(tp.index, exposed)


def note_order(oddities: Oddities, ledger: Ledger, tp: TopicPartition, batches: list[RecordBatch]) -> None:
    """The next batches of a log, in its order: do they stand in the order of their sends?"""
    placed = oddities.placed
    streams = ledger.streams
    for place, batch in enumerate(batches):
        if batch.stream >= 0:
            stream = streams[batch.stream]
            beyond = placed(stream, tp.index, batch.first, batch.first + batch.count)
            if beyond:
                records = _not_before(stream, batches, place)
                if records > 0:
                    oddities.misplace(stream, tp.name, batch.first, batch.first + batch.count, beyond, records)


def _not_before(stream: StreamAccount, batches: list[RecordBatch], place: int) -> int:
    """How many records of a batch stand nowhere before it in its log: 0 for a copy."""
    batch = batches[place]
    first, last = batch.first, batch.first + batch.count
    for i in range(place):
        other = batches[i]
        if other.stream == batch.stream and other.first < last and other.first + other.count > first:
            return 0
    stream.fold()
    return batch.count - sum(b - a for a, b in stream.settled.overlaps(first, last))
