"""The exact size of an uncompressed record batch (v2), and how many records fit.

Stands for ``DefaultRecordBatch``, ``DefaultRecord`` and ``MemoryRecordsBuilder.hasRoomFor``.
A record's size depends on the variable-length numbers in it: its length, the difference of
its timestamp (ms) and of its offset to the first record's, its key's and value's lengths.
Left out: compression.
"""

from __future__ import annotations

from typing import Final

BATCH_OVERHEAD: Final = 61
MESSAGE_OVERHEAD: Final = 34
"""Of a message before 0.11 (v1): offset, size, checksum, magic, attributes, timestamp, two lengths."""
RECORD_OVERHEAD_BOUND: Final = 21
"""Kafka's upper bound for a record's length, attributes and two differences."""
NULL: Final = -1
"""The size of a null key or value."""

_ONE_BYTE: Final = 64
_TWO_BYTES: Final = 8192


def varint_bytes(value: int) -> int:
    """Bytes of a zig-zag varint (negative numbers too)."""
    folded = value << 1 if value >= 0 else (-value << 1) - 1
    size = 1
    while folded >= 128:
        folded >>= 7
        size += 1
    return size


def field_bytes(size: int) -> int:
    """Bytes of a key or value of ``size`` bytes with its length (null: :data:`NULL`)."""
    return 1 if size < 0 else varint_bytes(size) + size


def header_bytes(headers: list[tuple[int, int]]) -> int:
    """Bytes of record headers given as (key size, value size), with their count."""
    return varint_bytes(len(headers)) + sum(varint_bytes(key) + key + field_bytes(value) for key, value in headers)


def record_bytes(timestamp_delta: int, offset_delta: int, key: int, value: int, headers: int = 1) -> int:
    """Bytes of one record; ``headers`` are the bytes of its headers with their count (1: none)."""
    body = (
        1 + varint_bytes(timestamp_delta) + varint_bytes(offset_delta) + field_bytes(key) + field_bytes(value) + headers
    )
    return varint_bytes(body) + body


def upper_bound_bytes(key: int, value: int, headers: int = 1) -> int:
    """What a batch of this one record may need at most: decides its buffer, and whether ``send()`` refuses it."""
    return BATCH_OVERHEAD + RECORD_OVERHEAD_BOUND + field_bytes(key) + field_bytes(value) + headers


class ConstantSize:
    """Records of one key and value size: sizes of batches in closed form.

    A batch in which all timestamps lie within 64 ms of the first is the common case;
    :meth:`fill` walks through the other ones by runs of equal record size.  ``messages``: the format before 0.11,
    in which a batch is nothing but its messages (v1).
    """

    def __init__(self, key: int, value: int, batch_size: int, messages: bool = False) -> None:
        self.key: int = key
        self.value: int = value
        self.messages: bool = messages
        self.overhead: int = 0 if messages else BATCH_OVERHEAD
        message = MESSAGE_OVERHEAD + max(key, 0) + max(value, 0)
        self.upper_bound: int = message if messages else upper_bound_bytes(key, value)
        self.limit: int = max(batch_size, 1, self.upper_bound)
        """The buffer of a batch and the limit of its content (bytes)."""
        fixed = 2 + field_bytes(key) + field_bytes(value)
        self._sizes: list[int] = [body + varint_bytes(body) for body in range(fixed, fixed + 16)]
        if messages:
            self._sizes = [message] * 16
        self._first: int = self._sizes[2]
        self._second: int = self._sizes[3]
        self.quick_count: int = self.fill(0, self.overhead, self.limit, 1 << 40, 1 << 40, 1 << 40)[0]
        """Records that fill a batch whose timestamps lie within 64 ms (0: more than the closed form covers)."""
        if self.quick_count > _TWO_BYTES:
            self.quick_count = 0
        self.quick_full: bool = self.quick_bytes(self.quick_count) >= self.limit
        """Whether such a batch is full to the last byte (else it closes when the next record does not fit)."""
        self.quick_size: int = self.quick_bytes(self.quick_count)
        """The size of such a batch."""

    def quick_bytes(self, count: int) -> int:
        """Size of a batch of ``count`` (at most 8192) records within 64 ms."""
        if count <= _ONE_BYTE:
            return self.overhead + count * self._first
        return self.overhead + _ONE_BYTE * self._first + (count - _ONE_BYTE) * self._second

    def fill(self, count: int, size: int, limit: int, short: int, medium: int, until: int) -> tuple[int, int]:
        """Go on from ``count`` records and ``size`` bytes while a record fits below ``limit``, up to ``until`` records.

        ``short`` and ``medium`` are the numbers of records whose timestamps lie less than 64 and 8192 ms
        behind the first; the first record always fits.  Returns (count, size).
        """
        sizes = self._sizes
        while count < until:
            offset_bytes = 1 if count < _ONE_BYTE else 2 if count < _TWO_BYTES else 3
            run = _ONE_BYTE if count < _ONE_BYTE else _TWO_BYTES if count < _TWO_BYTES else 1 << 20
            if count < short or count == 0:
                time_bytes = 1
                run = min(run, max(short, 1))
            elif count < medium:
                time_bytes = 2
                run = min(run, medium)
            else:
                time_bytes = 3
            each = sizes[offset_bytes + time_bytes]
            wanted = min(run, until) - count
            fitting = (limit - size) // each
            if count == 0 and fitting < 1:
                fitting = 1
            if fitting < wanted:
                fitting = max(fitting, 0)
                return count + fitting, size + fitting * each
            count += wanted
            size += wanted * each
        return count, size
