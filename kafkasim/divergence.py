"""How far two replicas' logs differ: which batches only one of them has, on how many offsets they disagree."""

from __future__ import annotations

from kafkasim.broker.partition import Partition
from kafkasim.protocol import RecordBatch


def differing(mine: list[RecordBatch], others: list[RecordBatch]) -> int:
    """Offsets that both lists have and on which they differ; batches need not begin at the same offsets."""
    total = i = j = 0
    while i < len(mine) and j < len(others):
        one, other = mine[i], others[j]
        ends = one.base_offset + one.count, other.base_offset + other.count
        common = min(ends) - max(one.base_offset, other.base_offset)
        if common > 0 and not one.agrees(other):
            total += common
        i += ends[0] <= ends[1]
        j += ends[1] <= ends[0]
    return total


def holds(replica: Partition, batch: RecordBatch) -> bool:
    """Whether a replica's log has the records of ``batch`` at its offsets."""
    log = replica.log
    if batch.base_offset >= log.log_end_offset:
        return False
    return batch.base_offset < log.trimmed_offset or log.batches[log.index_of(batch.base_offset)].agrees(batch)


def only_on(before: Partition, leader: Partition) -> list[RecordBatch]:
    """The last batches of a former leader's log that the new leader's log does not hold."""
    mine = {batch.base_offset: batch for batch in leader.log.batches[-4096:]}
    only: list[RecordBatch] = []
    for batch in reversed(before.log.batches):
        if mine.get(batch.base_offset) is batch or batch.base_offset < leader.log.trimmed_offset:
            break
        only.append(batch)
    only.reverse()
    return only
