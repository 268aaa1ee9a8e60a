"""The segments of a log: which file a batch lies in, how large it is, how old.

Stands for ``LogSegment``.  A segment knows its size and its largest record timestamp also when its batches have been
folded away.  Left out: the indexes themselves; what they hold is counted where it rolls a segment.
"""

from __future__ import annotations

from math import floor, inf
from typing import Final

NO_TIMESTAMP: Final = -inf
_TOLERANCE_MS: Final = 1e-6


def timestamp_ms(time_s: float) -> int:
    """A record's timestamp (whole ms) for a creation time (s)."""
    return floor(time_s * 1000.0 + _TOLERANCE_MS)


class LogSegment:
    """One segment: from ``base_offset`` on, behind ``position`` bytes ever appended before it.

    ``first_time_s`` is the largest record timestamp of its first batch (rolling by time counts from there),
    ``largest_time_s`` that of the segment; both as s, ``NO_TIMESTAMP`` while it is empty.  ``removed_bytes``: what
    the cleaner has taken out of it.  ``first_batch`` numbers the log's batches from its start.
    """

    def __init__(self, base_offset: int, position: int, first_batch: int, created_at: float) -> None:
        self.base_offset: int = base_offset
        self.position: int = position
        self.first_batch: int = first_batch
        self.created_at: float = created_at
        self.first_time_s: float = NO_TIMESTAMP
        self.largest_time_s: float = NO_TIMESTAMP
        self.jitter_ms: int = 0
        self.removed_bytes: int = 0
        self.cleaned: bool = False
