"""How far replicas' logs differ: the offsets that two of them have, with other records."""

from __future__ import annotations

from kafkasim.protocol import RecordBatch


def differing(mine: list[RecordBatch], others: list[RecordBatch]) -> list[tuple[int, int]]:
    """Spans [first, last) that both lists have and on which they differ; batches need not begin at the same offsets."""
    spans: list[tuple[int, int]] = []
    i = j = 0
    while i < len(mine) and j < len(others):
        one, other = mine[i], others[j]
        ends = one.base_offset + one.count, other.base_offset + other.count
        first, last = max(one.base_offset, other.base_offset), min(ends)
        if first < last and not one.agrees(other):
            spans.append((first, last))
        i += ends[0] <= ends[1]
        j += ends[1] <= ends[0]
    return spans


def covered(spans: list[tuple[int, int]]) -> int:
    """How many offsets lie in at least one of ``spans``."""
    total = reached = 0
    for first, last in sorted(spans):
        total += max(0, last - max(first, reached))
        reached = max(reached, last)
    return total
