"""The iteration order of Java's hash maps, where Kafka's client lets it decide.

The order in which a producer drains the partitions of a node, and the list that a sticky
draw indexes, is the iteration order of a ``HashMap`` keyed by ``TopicPartition``.
Buckets that Java would turn into trees (eight collisions) are left out.
"""

from __future__ import annotations

from typing import Final

_INT_MASK: Final = 0xFFFFFFFF
_DEFAULT_CAPACITY: Final = 16


def string_hash(text: str) -> int:
    """``String.hashCode`` as an unsigned 32-bit number."""
    code = 0
    for unit in text.encode("utf-16-be").hex(" ", 2).split():
        code = (31 * code + int(unit, 16)) & _INT_MASK
    return code


def topic_partition_hash(topic: str, partition: int) -> int:
    """``TopicPartition.hashCode`` as an unsigned 32-bit number."""
    return (31 * (31 + partition) + string_hash(topic)) & _INT_MASK


def hash_order(hashes: list[int], initial_capacity: int = -1) -> list[int]:
    """Positions of ``hashes`` (in order of insertion) in the order in which the map is iterated.

    ``initial_capacity`` is the argument of ``new HashMap<>(n)``; -1 is the default constructor.
    """
    if initial_capacity < 0:
        capacity = _DEFAULT_CAPACITY
    else:
        capacity = 1
        while capacity < initial_capacity:
            capacity *= 2
    while len(hashes) * 4 > capacity * 3:
        capacity *= 2
    mask = capacity - 1
    buckets = [(value ^ (value >> 16)) & mask for value in hashes]
    return sorted(range(len(hashes)), key=buckets.__getitem__)
