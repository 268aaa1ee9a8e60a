"""How far two replicas' logs differ: the offsets that both have, with other records."""

from __future__ import annotations

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
