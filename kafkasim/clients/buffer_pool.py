"""The memory for batches that wait or are in flight: ``buffer.memory``.

Stands for ``BufferPool`` with one application thread: a batch takes a whole buffer, which
returns when it completes; the thread that finds too little waits.
"""

from __future__ import annotations


class BufferPool:
    """Free bytes, and whether somebody waits for them; a batch that is done adds its buffer to ``free_bytes``."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes: int = total_bytes
        self.free_bytes: int = total_bytes
        self.least_free_bytes: int = total_bytes
        self.waiting_bytes: int = 0

    def allocate(self, size_bytes: int) -> bool:
        """Take ``size_bytes``; False (and somebody waits) if they are not free."""
        if self.free_bytes < size_bytes:
            self.waiting_bytes = size_bytes
            return False
        self.waiting_bytes = 0
        self.free_bytes -= size_bytes
        if self.free_bytes < self.least_free_bytes:
            self.least_free_bytes = self.free_bytes
        return True

    def give_up(self) -> None:
        """The waiting thread's time is over."""
        self.waiting_bytes = 0

    def exhausted(self) -> bool:
        """Whether a thread waits for memory: then every batch may leave at once."""
        return self.waiting_bytes > 0
