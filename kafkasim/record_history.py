"""What became of records that left the logs: the ledger's memory of partitions whose logs delete.

Nothing in Kafka.  Where retention or compaction may delete within the run, every batch that leaves a replica's memory
is noted here once, in the order of offsets.  What some replica still keeps stays as rows of numbers; what none keeps is
only a member of its stream's ``seen`` set.  At the end the last leader's log says what is readable; what was seen and
is not there has expired.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from kafkasim.broker.log_config import log_config
from kafkasim.metrics.ledger import Ledger, StreamAccount
from kafkasim.protocol import RecordBatch
from kafkasim.scenario import Scenario
from kafkasim.topics import Topics

Row = tuple[StreamAccount, int, int, int]
"""Stream, first and one past its last number, base offset: as the ledger reads a log."""


class RecordHistory:
    """The records of one partition that left a log.  Below ``noted_offset`` every one has been noted."""

    def __init__(self, ledger: Ledger) -> None:
        self.noted_offset: int = 0
        self._ledger = ledger
        self._rows: deque[tuple[int, int, int, int]] = deque()

    def note(self, batches: Iterable[RecordBatch], starts: list[tuple[str, int]], keep: bool = True) -> None:
        """These batches have left a replica's memory (again, when another replica's did before).

        ``starts`` are the first positions of the groups that read the partition (``NOT_YET``: none so far): what lies
        below is not their concern.  ``keep``: its log still holds them.
        """
        for batch in batches:
            base = batch.base_offset
            if base < self.noted_offset:
                continue
            self.noted_offset = base + batch.count
            if batch.stream < 0:
                continue
            first, last = batch.first, batch.first + batch.count
            stream = self._ledger.streams[batch.stream]
            stream.see(first, last)
            for group, start in starts:
                before = min(start - base, batch.count)
                if before > 0:
                    stream.group(group).before_start.add(first, first + before)
            if keep:
                self._keep(base, batch.stream, first, batch.count)

    def _keep(self, base: int, stream: int, first: int, count: int) -> None:
        rows = self._rows
        if rows:
            base_before, stream_before, first_before, count_before = rows[-1]
            if stream_before == stream and first_before + count_before == first and base_before + count_before == base:
                rows[-1] = (base_before, stream, first_before, count_before + count)
                return
        rows.append((base, stream, first, count))

    def forget_below(self, offset: int) -> None:
        """No replica keeps what lies below ``offset`` any more."""
        rows = self._rows
        while rows and rows[0][0] < offset:
            base, stream, first, count = rows.popleft()
            kept = base + count - offset
            if kept > 0:
                rows.appendleft((offset, stream, first + count - kept, kept))
                return

    def between(self, low: int, high: int) -> list[Row]:
        """What lies in [low, high) of the offsets and is still kept."""
        found: list[Row] = []
        for base, stream, first, count in self._rows:
            begin, end = max(base, low), min(base + count, high)
            if begin < end:
                found.append((self._ledger.streams[stream], first + begin - base, first + end - base, begin))
        return found


NOT_YET = 1 << 62
"""The first position of a group that has none yet."""


def may_delete(scenario: Scenario, topics: Topics, topic: str) -> bool:
    """Whether a log of ``topic`` may lose records within the run: to retention, compaction or with the topic."""
    if topic not in scenario.topics:
        return False
    if any(event.verb == "delete_topic" and event.order and topic in event.order.topics for event in scenario.events):
        return True
    behind_s = max([-p.timestamp_offset_s for p in scenario.producers if p.topic == topic], default=0.0)
    for broker_id in scenario.cluster.brokers.ids:
        config = log_config(topics.own_config(topic), scenario.broker_config(broker_id))
        old_enough = 0 <= config.retention_ms < (scenario.duration_s + max(behind_s, 0.0)) * 1000.0
        if config.compacts or (config.deletes and (config.retention_bytes >= 0 or old_enough)):
            return True
    return False
