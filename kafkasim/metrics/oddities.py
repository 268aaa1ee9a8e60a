"""What is noted while a run goes on, so that its anomalies can be named at the end: jumps of positions, order of sends.

Kept small: sums, and the first example of each. Everything else that an anomaly needs is in the ledger.
"""

from __future__ import annotations

from typing import Final

from kafkasim.metrics.ledger import StreamAccount


class Jump:
    """Positions of one consumer, or group, that did not go on where they stood; ``records`` between the two offsets."""

    def __init__(self, client: str, where: str, before: int, after: int, time_s: float) -> None:
        self.client: str = client
        self.where: str = where
        self.before: int = before
        self.after: int = after
        self.time_s: float = time_s
        self.count: int = 0
        self.records: int = 0


class Misplaced:
    """Records of one stream that stand in a log behind later ones of the same producer; the first of them."""

    def __init__(self, stream: StreamAccount, where: str, first: int, last: int, after: int) -> None:
        self.stream = stream
        self.where: str = where
        self.first: int = first
        self.last: int = last
        self.after: int = after
        self.records: int = 0


class Exposed:
    """A batch that the partition lost; records of it are acknowledged or delivered.

    This very copy need not have been the one: it was if it was ``committed``, or if the leader alone acknowledges.
    """

    def __init__(self, producer: str, base_offset: int, count: int, batch: object, committed: bool, cause: int) -> None:
        self.producer: str = producer
        self.base_offset: int = base_offset
        self.count: int = count
        self.batch = batch
        self.committed: bool = committed
        self.cause: int = cause


class Oddities:
    """The notes of one run."""

    def __init__(self) -> None:
        self.back: Final[dict[str, Jump]] = {}
        """By consumer or group: positions set to what the same member had polled before."""
        self.ahead: Final[dict[str, Jump]] = {}
        """By consumer or group: positions set beyond what the same member had polled."""
        self.misplaced: Final[dict[int, Misplaced]] = {}
        """By stream."""
        self.exposed: Final[dict[int, dict[int, Exposed]]] = {}
        """By partition (index) and offset: what was lost although its offset was known."""
        self._ends: dict[tuple[int, int], int] = {}

    def jump(self, client: str, where: str, before: int, after: int, time_s: float) -> None:
        """A member that had polled up to ``before`` goes on at ``after``."""
        jumps = self.ahead if after > before else self.back
        known = jumps.get(client)
        if known is None:
            known = jumps[client] = Jump(client, where, before, after, time_s)
        known.count += 1
        known.records += abs(after - before)

    def placed(self, stream: StreamAccount, index: int, first: int, last: int) -> int:
        """The next batch in a log's order; returns one past the last number seen before it, if it is beyond ``first``.

        0: it comes after all that its stream has had in this partition. Else it is a copy, or out of order.
        """
        key = (stream.number, index)
        end = self._ends.get(key, 0)
        if first >= end:
            self._ends[key] = last
            return 0
        return end

    def misplace(self, stream: StreamAccount, where: str, first: int, last: int, after: int, records: int) -> None:
        """``records`` of ``[first, last)`` stand behind number ``after`` - 1 and nowhere before."""
        known = self.misplaced.get(stream.number)
        if known is None:
            known = self.misplaced[stream.number] = Misplaced(stream, where, first, last, after)
        elif first < known.first:  # the example is the earliest, whichever log is looked at first
            known.where, known.first, known.last, known.after = where, first, last, after
        known.records += records

    def expose(self, index: int, exposed: Exposed) -> None:
        """A batch that somebody knew by its offset is lost."""
        self.exposed.setdefault(index, {}).setdefault(exposed.base_offset, exposed)
