"""The ledger: where every record went.

A *stream* is a numbered sequence of records of one producer instance: all of its records, or those for one
partition, in order of intended time. Each stream keeps sets of numbers (merged ranges): acknowledged, failed,
settled, and per group delivered. At the end of the run the leaders' logs are read (``scan_log``), and every term is
counted from sets that different parts of the simulation filled, so that an identity can fail: what was acknowledged
came from the producer's callbacks, what is readable from the logs, what was lost from the truncations.

A record is lost when it is acknowledged and in no log. A range noted as ``lost`` that was sent and stored again is
not lost; a record in no log whose loss nobody noted makes the identity fail.

Left out: bytes (the series count them) and the content of records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from kafkasim.metrics.intervals import GatheredIntervals, IntervalSet

FOLD_AFTER: Final = 2048
"""Settled ranges that a stream gathers before it folds them into its set."""
Batch = tuple["StreamAccount", int, int, int]
"""A batch on a log: its stream, its first and one past its last number, and its base offset."""

TERMS: Final = (
    "created",
    "acknowledged",
    "failed",
    "in_flight",
    "readable",
    "above_high_watermark",
    "offline",
    "expired",
    "acknowledged_lost",
    "in_transit",
    "readable_unacknowledged",
    "extra_copies",
)
GROUP_TERMS: Final = (
    "readable",
    "delivered_once",
    "delivered_more_than_once",
    "pending_at_end",
    "never_delivered",
    "skipped_by_reset",
    "delivered_out_of_order",
)
NEVER_REASONS: Final = ("lost", "expired", "passed")


class GroupAccount:
    """What one group was given of one stream."""

    def __init__(self, group: str, ordered: bool) -> None:
        self.group: Final = group
        self.delivered: Final = IntervalSet()
        self.delivered_more_than_once: Final = IntervalSet()
        self.skipped: Final = IntervalSet()
        self.before_start: Final = IntervalSet()
        """Below the group's first position: not its concern unless delivered after all."""
        self.passed: Final = IntervalSet()
        self.pending: Final = IntervalSet()
        self.out_of_order: int = 0
        self._ordered: bool = ordered

    def deliver(self, first: int, last: int) -> None:
        """``poll()`` returned the numbers ``[first, last)``."""
        delivered = self.delivered
        if delivered.add_beyond(first, last):
            return
        again = 0
        for a, b in delivered.overlaps(first, last):
            self.delivered_more_than_once.add(a, b)
            again += b - a
        beyond = max(0, last - max(first, delivered.end))
        if self._ordered:
            self.out_of_order += last - first - again - beyond
        delivered.add(first, last)

    def skip(self, first: int, last: int) -> None:
        """A reset moved the group's position over the numbers ``[first, last)``."""
        self.skipped.add(first, last)


class StreamAccount:
    """The account of one stream; the hot methods take a range ``[first, last)`` of its numbers."""

    def __init__(
        self, number: int, producer: str, instance: int, topic: str, partition: int | None, groups: list[str]
    ) -> None:
        self.number: Final = number
        self.producer: Final = producer
        self.instance: Final = instance
        self.topic: Final = topic
        self.partition: Final = partition
        self._acknowledged: Final = GatheredIntervals()  # brokers answer out of turn
        self.failed: Final = IntervalSet()
        self.settled: Final = IntervalSet()
        """Readable and folded out of the log, below everybody's reach (what waits to be folded in: see ``fold``)."""
        self._unfolded: list[tuple[int, int]] = []
        self.stored: Final = IntervalSet()
        """Readable at the end."""
        self.above: Final = IntervalSet()
        self.offline: Final = IntervalSet()
        self.offline_readable: Final = IntervalSet()
        self.expired: Final = IntervalSet()
        self.seen: Final = IntervalSet()
        """On a log that deletes, once: noted when it left a replica's memory."""
        self.in_transit: Final = IntervalSet()
        self.lost_readable: Final = IntervalSet()
        """Readable once and lost since."""
        self.created: int = 0
        self.in_flight: int = 0
        self.acknowledgements: int = 0
        """Callbacks that ran, by the record: as many as records unless one was acknowledged twice."""
        self.extra_copies: int = 0
        self.losses: Final[list[tuple[int, int, int]]] = []
        """(first, last, cause) as noted, in order."""
        self.groups: Final[dict[str, GroupAccount]] = {}
        for group in groups:
            self.groups[group] = GroupAccount(group, partition is not None)

    def acknowledge(self, first: int, last: int) -> None:
        """The producer's callbacks for ``[first, last)`` ran without error (acks=0: the batch was written)."""
        self._acknowledged.add(first, last)
        self.acknowledgements += last - first

    @property
    def acknowledged(self) -> IntervalSet:
        """What the producer was told to be written."""
        return self._acknowledged.members()

    def fail(self, first: int, last: int) -> None:
        """The producer's callbacks for ``[first, last)`` ran with an error."""
        self.failed.add(first, last)

    def settle(self, first: int, last: int) -> None:
        """``[first, last)`` leaves the simulation's log: below the high watermark, passed by every group.

        The log keeps counting it; a number settled twice is an extra copy.
        """
        unfolded = self._unfolded
        unfolded.append((first, last))
        if len(unfolded) >= FOLD_AFTER:
            self.fold()

    def fold(self) -> None:
        """Take what was settled into the set, in order: a stream's neighbours lie in different partitions."""
        unfolded = self._unfolded
        if not unfolded:
            return
        unfolded.sort()
        start, end = unfolded[0]
        for first, last in unfolded[1:]:
            if first > end:
                self.extra_copies += self.settled.add(start, end)
                start, end = first, last
            elif first < end:
                self.extra_copies += min(last, end) - first
                end = max(end, last)
            else:
                end = last
        self.extra_copies += self.settled.add(start, end)
        unfolded.clear()

    def lose(self, first: int, last: int, cause: int, readable: bool = False) -> None:
        """``[first, last)`` left a log: truncated, or gone with a power loss, or never arrived (acks=0).

        ``cause`` is the id of the timeline row; ``readable``: it had been below the high watermark. Note every
        truncation, also of what was not acknowledged; what is sent and stored again is no loss in the end.
        """
        self.losses.append((first, last, cause))
        if readable:
            self.lost_readable.add(first, last)

    def unsettle(self, first: int, last: int) -> None:
        """The log that counted ``[first, last)`` as settled lost them after all (an unclean election)."""
        self.fold()
        self.settled.remove(first, last)

    def see(self, first: int, last: int) -> None:
        """``[first, last)`` leaves the simulation's memory of a log that deletes, at one place of it for good."""
        self.extra_copies += self.seen.add(first, last)

    def expire_what_is_gone(self) -> None:
        """The end of the run: what was seen and is on no log now was removed by retention or compaction."""
        gone = self.seen
        for held in (self.settled, self.stored, self.above, self.offline):
            gone = gone.difference(held)
        self.expired.update(gone)

    def transit(self, first: int, last: int) -> None:
        """At the end of the run ``[first, last)`` is acknowledged (acks=0) and still on its way to a log."""
        self.in_transit.add(first, last)

    def found(self) -> IntervalSet:
        """What is somewhere at the end: readable, above a high watermark, offline, expired or on the way."""
        found = self.settled.union(self.stored)
        for members in (self.above, self.offline, self.expired, self.in_transit):
            found.update(members)
        return found

    def close(self, created: int, in_flight: int) -> None:
        """The load's and the producer's own counts at the end of the run.

        ``created`` is what the load intended within the run, ``in_flight`` what sits in ``send()``, in the
        accumulator and in requests.
        """
        self.fold()
        self.created = created
        self.in_flight = in_flight

    def group(self, name: str) -> GroupAccount:
        """The account of a group that reads this stream's topic, made on first asking; ask once and keep it."""
        known = self.groups.get(name)
        if known is None:
            known = GroupAccount(name, self.partition is not None)
            self.groups[name] = known
        return known

    def __repr__(self) -> str:
        where = self.topic if self.partition is None else f"{self.topic}-{self.partition}"
        return f"<stream {self.number}: {self.producer}/{self.instance} to {where}>"


class _Tally:
    """Sums for one topic, or for all."""

    def __init__(self) -> None:
        self.terms: dict[str, int] = dict.fromkeys(TERMS, 0)
        self.both = 0
        self.beyond = 0
        self.nowhere = 0
        self.acknowledgements = 0
        self.placed = 0
        self.log_records = 0
        self.groups: dict[str, dict[str, int]] = {}
        self.reasons: dict[str, dict[str, int]] = {}

    def add(self, other: _Tally) -> None:
        for name in TERMS:
            self.terms[name] += other.terms[name]
        self.both += other.both
        self.beyond += other.beyond
        self.nowhere += other.nowhere
        self.acknowledgements += other.acknowledgements
        self.placed += other.placed
        self.log_records += other.log_records
        for group in sorted(other.groups):
            mine = self.groups.setdefault(group, dict.fromkeys(GROUP_TERMS, 0))
            for name in GROUP_TERMS:
                mine[name] += other.groups[group][name]
            reasons = self.reasons.setdefault(group, dict.fromkeys(NEVER_REASONS, 0))
            for name in NEVER_REASONS:
                reasons[name] += other.reasons[group][name]

    def identities(self, prefix: str) -> list[dict[str, object]]:
        t = self.terms
        kept = sum(
            t[name]
            for name in (
                "readable",
                "above_high_watermark",
                "offline",
                "expired",
                "acknowledged_lost",
                "in_transit",
            )
        )
        found = [
            _identity(
                f"{prefix}created = acknowledged + failed + in_flight",
                t["created"],
                t["acknowledged"] + t["failed"] + t["in_flight"],
            ),
            _identity(
                f"{prefix}acknowledged = readable + above_high_watermark + offline + expired"
                " + acknowledged_lost + in_transit",
                t["acknowledged"],
                kept,
            ),
            _identity(f"{prefix}acknowledged and failed = 0", self.both, 0),
            _identity(f"{prefix}acknowledgements = acknowledged", self.acknowledgements, t["acknowledged"]),
            _identity(f"{prefix}acknowledged, failed or stored beyond created = 0", self.beyond, 0),
            _identity(f"{prefix}delivered and never on a log = 0", self.nowhere, 0),
            _identity(
                f"{prefix}records on the logs = distinct records + extra_copies",
                self.log_records,
                self.placed + t["extra_copies"],
            ),
        ]
        for group in sorted(self.groups):
            g = self.groups[group]
            found.append(
                _identity(
                    f"{prefix}{group}: readable = delivered_once + delivered_more_than_once + pending_at_end"
                    " + never_delivered + skipped_by_reset",
                    g["readable"],
                    g["delivered_once"]
                    + g["delivered_more_than_once"]
                    + g["pending_at_end"]
                    + g["never_delivered"]
                    + g["skipped_by_reset"],
                )
            )
        return found

    def as_dict(self) -> dict[str, object]:
        groups: dict[str, object] = {}
        for group in sorted(self.groups):
            terms: dict[str, object] = dict(self.groups[group])
            terms["never_delivered_because"] = dict(self.reasons[group])
            groups[group] = terms
        whole: dict[str, object] = dict(self.terms)
        whole["groups"] = groups
        return whole


def _identity(name: str, left: int, right: int) -> dict[str, object]:
    return {"name": name, "left": left, "right": right, "holds": left == right}


class Ledger:
    """All streams of a run, and the terms that results give of them.

    >>> ledger = Ledger()
    >>> stream = ledger.open_stream("app", 0, "tweets", None)
    >>> api = stream.group("api")
    >>> stream.acknowledge(0, 90)
    >>> api.deliver(0, 80)
    >>> ledger.lost(stream, 85, 90, cause=3)
    >>> stream.close(created=100, in_flight=10)
    >>> ledger.scan_log("tweets", 0, [(stream, 0, 85, 0)], 85, 84, positions={"api": (0, 80)})
    >>> closed = ledger.close()
    >>> closed["readable"], closed["above_high_watermark"], closed["acknowledged_lost"], closed["losses"]
    (84, 1, 5, [{'topic': 'tweets', 'cause': 3, 'records': 5}])
    >>> all(identity["holds"] for identity in closed["identities"])
    True
    """

    def __init__(self) -> None:
        self.streams: Final[list[StreamAccount]] = []
        self._groups: dict[str, list[str]] = {}
        self._log_records: dict[str, int] = {}
        self._closed: bool = False

    def subscribe(self, group: str, topic: str) -> None:
        """A group reads a topic: every stream of it, present and to come, has an account for the group."""
        names = self._groups.setdefault(topic, [])
        if group not in names:
            names.append(group)
        for stream in self.streams:
            if stream.topic == topic:
                stream.group(group)

    def open_stream(self, producer: str, instance: int, topic: str, partition: int | None) -> StreamAccount:
        """A new stream. ``partition`` None: it numbers all records of the instance."""
        groups = self._groups.get(topic, [])
        stream = StreamAccount(len(self.streams), producer, instance, topic, partition, groups)
        self.streams.append(stream)
        return stream

    def lost(self, stream: StreamAccount, first: int, last: int, cause: int, readable: bool = False) -> None:
        """See :meth:`StreamAccount.lose`."""
        stream.lose(first, last, cause, readable)

    def scan_log(
        self,
        topic: str,
        partition: int,
        batches: Iterable[Batch],
        log_end: int,
        high_watermark: int,
        online: bool = True,
        positions: Mapping[str, tuple[int, int]] | None = None,
        settled_below: int = 0,
        foreign: int = 0,
        counted: bool = False,
    ) -> None:
        """Read, at the end of the run, one partition's log: the leader's, or the last leader's if it is offline.

        Args:
            topic: its topic.
            partition: its number.
            batches: what is held, in order of offset.
            log_end: the log end offset: every record appended and not truncated, settled ones included.
            high_watermark: records below it are readable.
            online: whether the partition has a leader whose process is up.
            positions: per group its first position and its position at the end (offsets).
            settled_below: what lies below this offset was settled or expired; batches there are passed over.
            foreign: records on the log that belong to no stream (control records, say).
            counted: whether its extra copies have been counted (a log that deletes: ``StreamAccount.see``).

        Raises:
            ValueError: if batches overlap, run backwards or pass the log's end.
        """
        at = 0
        self._log_records[topic] = self._log_records.get(topic, 0) + log_end - foreign
        reach = sorted(positions.items()) if positions is not None else []
        for stream, first, last, base in batches:
            if base < at or last < first or base + last - first > log_end:
                raise ValueError(
                    f"{topic}-{partition}: batch at offset {base} of {last - first} records is out of place"
                )
            at = base + last - first
            if at <= settled_below:
                continue
            if base < settled_below:
                first += settled_below - base
                base = settled_below
            stream.fold()
            border = min(max(first + high_watermark - base, first), last)
            if not counted:
                repeated = stream.settled.overlaps(first, last)
                for held in (stream.stored, stream.above, stream.offline):
                    repeated += held.overlaps(first, last)
                known = IntervalSet(repeated)
                stream.extra_copies += known.count
            if online:
                stream.stored.add(first, border)
                stream.above.add(border, last)
            else:
                stream.offline.add(first, last)
                stream.offline_readable.add(first, border)
            for group, (start, position) in reach:
                account = stream.group(group)
                start_at = min(max(first + start - base, first), last)
                position_at = min(max(first + position - base, start_at), last)
                account.before_start.add(first, start_at)
                account.passed.add(start_at, position_at)
                account.pending.add(position_at, last)
            for group in stream.groups:
                if positions is None or group not in positions:
                    stream.groups[group].before_start.add(first, last)

    def close(self) -> dict[str, object]:
        """All terms in total, per topic and per group, the losses by cause, and the identities.

        Raises:
            RuntimeError: if it was closed before.
        """
        if self._closed:
            raise RuntimeError("the ledger is closed")
        self._closed = True
        topics: dict[str, _Tally] = {}
        losses: dict[tuple[str, int], int] = {}
        for stream in self.streams:
            stream.fold()
            stream.expire_what_is_gone()
            tally = topics.setdefault(stream.topic, _Tally())
            _count(stream, tally, losses)
        for topic in self._log_records:
            topics.setdefault(topic, _Tally()).log_records += self._log_records[topic]
        total = _Tally()
        for topic in sorted(topics):
            total.add(topics[topic])
        identities = total.identities("")
        if len(topics) > 1:
            for topic in sorted(topics):
                identities += topics[topic].identities(f"{topic}: ")
        result = total.as_dict()
        result["topics"] = {topic: topics[topic].as_dict() for topic in sorted(topics)}
        result["losses"] = [
            {"topic": topic, "cause": cause, "records": losses[topic, cause]} for topic, cause in sorted(losses)
        ]
        result["identities"] = identities
        return result


def _count(stream: StreamAccount, tally: _Tally, losses: dict[tuple[str, int], int]) -> None:
    acknowledged = stream.acknowledged
    t = tally.terms
    t["created"] += stream.created
    t["acknowledged"] += acknowledged.count
    t["failed"] += stream.failed.count
    t["in_flight"] += stream.in_flight
    t["extra_copies"] += stream.extra_copies
    tally.both += acknowledged.intersect(stream.failed).count
    tally.acknowledgements += stream.acknowledgements
    # A record stands where it is best off: readable before above before offline before expired before in transit.
    readable = stream.settled.union(stream.stored)
    found = readable
    places: list[tuple[str, IntervalSet]] = [("readable", readable)]
    for name, members in (
        ("above_high_watermark", stream.above),
        ("offline", stream.offline),
        ("expired", stream.expired),
        ("in_transit", stream.in_transit),
    ):
        places.append((name, members.difference(found)))
        found = found.union(members)
    on_logs = 0
    for name, members in places:
        t[name] += acknowledged.intersect(members).count
        if name != "in_transit":
            on_logs += members.count
    t["readable_unacknowledged"] += readable.difference(acknowledged).count
    tally.placed += on_logs
    # The latest note of a loss is the one that took the last copy.
    gone = acknowledged.difference(found)
    for first, last, cause in reversed(stream.losses):
        for a, b in gone.overlaps(first, last):
            t["acknowledged_lost"] += b - a
            key = (stream.topic, cause)
            losses[key] = losses.get(key, 0) + b - a
        gone.remove(first, last)
    known = found.copy()
    for first, last, _ in stream.losses:
        known.add(first, last)
    everything = found.union(acknowledged).union(stream.failed)
    tally.beyond += everything.count - _below(everything, stream.created)
    for name in stream.groups:
        terms = tally.groups.setdefault(name, dict.fromkeys(GROUP_TERMS, 0))
        reasons = tally.reasons.setdefault(name, dict.fromkeys(NEVER_REASONS, 0))
        _count_group(stream, stream.groups[name], readable, terms, reasons)
        tally.nowhere += stream.groups[name].delivered.difference(known).count


def _count_group(
    stream: StreamAccount,
    group: GroupAccount,
    readable: IntervalSet,
    terms: dict[str, int],
    reasons: dict[str, int],
) -> None:
    delivered = group.delivered
    ever = readable.union(stream.offline_readable).union(stream.expired).union(stream.lost_readable)
    ever = ever.difference(group.before_start.difference(group.passed).difference(group.pending)).union(delivered)
    terms["readable"] += ever.count
    more = group.delivered_more_than_once
    terms["delivered_more_than_once"] += more.count
    terms["delivered_once"] += delivered.count - more.count
    terms["delivered_out_of_order"] += group.out_of_order
    skipped = group.skipped.intersect(ever).difference(delivered)
    terms["skipped_by_reset"] += skipped.count
    seen = delivered.union(skipped)
    # A second copy below the position does not make a record that is still ahead passed over.
    pending = group.pending.intersect(ever).difference(seen)
    terms["pending_at_end"] += pending.count
    seen.update(pending)
    for name, members in (
        ("passed", stream.settled.union(group.passed)),
        ("expired", stream.expired),
        ("lost", stream.lost_readable),
    ):
        rest = members.intersect(ever).difference(seen)
        terms["never_delivered"] += rest.count
        reasons[name] += rest.count
        seen.update(rest)


def _below(members: IntervalSet, end: int) -> int:
    """How many members are below ``end``."""
    return sum(last - first for first, last in members.overlaps(0, end))
