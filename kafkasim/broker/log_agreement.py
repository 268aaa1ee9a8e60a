"""How far two replicas' logs are the same.

Stands for nothing in Kafka: replicas share the batches that they hold, so a look at one tells of all before it.
"""

from __future__ import annotations

from kafkasim.broker.log import PartitionLog


def agreed_offset(one: PartitionLog, other: PartitionLog, offset: int) -> int:
    """The highest offset up to ``offset`` below which both logs hold the same batches.

    They differ below a high watermark only where a replica outside the ISR was elected.
    """
    if offset <= one.trimmed_offset:
        return offset  # logs are trimmed where all agree
    upto = one.index_of(offset)
    shift = one.trimmed - other.trimmed
    if upto == 0:
        return offset
    if 0 <= upto - 1 + shift < len(other.batches) and one.batches[upto - 1] is other.batches[upto - 1 + shift]:
        return offset
    for batch, theirs in zip(one.batches, other.batches[max(0, shift) :], strict=False):
        if batch is not theirs:
            return min(offset, batch.base_offset)
    return min(offset, other.log_end_offset)
