"""What clients tell is counted here, by the batch.

Between the model and ``metrics``: translates batches of a partition into ranges of a
ledger's stream, rows of latency and completions of an availability tracker.
"""

from __future__ import annotations

from typing import Final

from kafkasim.board import Board
from kafkasim.broker_collector import Unanswered, WaitingTimes
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.metrics.availability import Availability, AvailabilityBook
from kafkasim.metrics.latency import LatencyBook, LatencyRecorder
from kafkasim.metrics.ledger import GroupAccount, Ledger
from kafkasim.metrics.oddities import Oddities
from kafkasim.metrics.series import Counter, SeriesBook
from kafkasim.metrics.timeline import Timeline
from kafkasim.protocol import DELIVERY_TIMEOUT, ERROR_NAMES, MAX_BLOCK_TIMEOUT, RecordBatch, TopicPartition
from kafkasim.topics import Topics

MERGED_NOTES: Final = ("connections_reset",)
_OWN_ERRORS: Final = (DELIVERY_TIMEOUT, MAX_BLOCK_TIMEOUT)
"""What no answer says: the producer has given up."""


class Client:
    """A producer instance or a consumer member, as the collectors know it."""

    def __init__(self, number: int, actor: str, name: str, kind: str, paced: bool) -> None:
        self.number: int = number
        self.actor = actor
        self.name = name
        self.kind = kind
        self.paced: bool = paced
        self.learned: dict[int, int] = {}


class Produced:
    """What a producer instance feels of one partition: looked up once a leader."""

    def __init__(self, leader: int, recorder: LatencyRecorder, tracker: Availability) -> None:
        self.leader: int = leader
        self.recorder = recorder
        self.tracker = tracker


class Delivered:
    """What a member feels of one stream's records in one partition: looked up once a leader."""

    def __init__(
        self, leader: int, account: GroupAccount, recorder: LatencyRecorder, counter: Counter, tracker: Availability
    ) -> None:
        self.leader: int = leader
        self.account = account
        self.recorder = recorder
        self.counter = counter
        self.tracker = tracker


class ClientCollector(ClientMonitor):
    """Counts what clients feel."""

    def __init__(
        self,
        topics: Topics,
        ledger: Ledger,
        latency: LatencyBook,
        availability: AvailabilityBook,
        series: SeriesBook,
        timeline: Timeline,
        board: Board,
        waiting: WaitingTimes,
        paced: list[bool],
        unanswered: dict[tuple[int, int], Unanswered],
        scheduler: Scheduler,
        oddities: Oddities,
    ) -> None:
        self._oddities = oddities
        self._unanswered = unanswered
        self._scheduler = scheduler
        self.clients: list[Client] = []
        self.failures: list[list[tuple[str, float, float, int]]] = []
        self.errors: dict[tuple[str, str], int] = {}
        self.generations: dict[str, int] = {}
        self._topics = topics
        self._ledger = ledger
        self._latency = latency
        self._availability = availability
        self._series = series
        self._timeline = timeline
        self._board = board
        self._waiting = waiting
        self._produced: list[list[Produced | None]] = []
        self._delivered: list[dict[int, Delivered]] = []
        self._outages: list[list[Availability | None]] = []
        self._records_out: list[list[Counter | None]] = []
        self._thresholds: list[float] = []
        self._paced = paced
        self._acks: list[str | None] = []
        self.first_positions: dict[tuple[str, int], int] = {}
        self.last_delivered: dict[tuple[str, int], int] = {}

    def add_client(
        self, actor: str, name: str, kind: str, paced: bool, threshold_s: float, acks: str | None = None
    ) -> int:
        """Register a producer instance (``kind`` produce) or a member (consume); returns its number."""
        number = len(self.clients)
        count = len(self._topics)
        self.clients.append(Client(number, actor, name, kind, paced))
        self.failures.append([])
        self._produced.append([None] * count)
        self._delivered.append({})
        self._outages.append([None] * count)
        self._records_out.append([None] * count)
        self._thresholds.append(threshold_s)
        self._acks.append(acks)
        return number

    # ---- producers

    def acknowledged(self, client: int, tp: TopicPartition, batch: RecordBatch, now: float) -> None:
        """The callbacks of all records of ``batch`` run now, without error."""
        self._ledger.streams[batch.stream].acknowledge(batch.first, batch.first + batch.count)
        index = tp.index
        if batch.base_offset < 0 and self._acks[client] == "0":
            target = self._waiting.target(client, tp)
            self._unanswered[batch.stream, batch.first] = Unanswered(client, target, batch)
        leader = self._board.leaders[index]
        produced = self._produced[client][index]
        if produced is None or produced.leader != leader:
            produced = self._begin_produced(client, tp, leader)
        produced.recorder.record(now, batch.first_time, batch.last_time, batch.count)
        tracker = produced.tracker
        if now - tracker.last_s <= tracker.threshold_s:
            tracker.last_s = now
        else:
            self._after_a_gap(tracker, client, tp, batch.first_time, now)

    def _begin_produced(self, client: int, tp: TopicPartition, leader: int) -> Produced:
        who = self.clients[client]
        broker = leader if leader >= 0 else None
        recorder = self._latency.recorder(tp.topic, "produce", who.name, broker, who.paced)
        produced = self._produced[client][tp.index] = Produced(leader, recorder, self._tracker(client, tp))
        return produced

    def failed(self, client: int, tp: TopicPartition, batch: RecordBatch, error: int, now: float) -> None:
        """The callbacks of all records of ``batch`` run now with an error."""
        self._ledger.streams[batch.stream].fail(batch.first, batch.first + batch.count)
        if error in _OWN_ERRORS:
            self.told(client, error, now)
        self.failures[client].append((tp.topic, batch.first_time, batch.last_time, batch.count))
        name = self.clients[client].name
        still = self._waiting.oldest_unacknowledged(name, tp, now)
        oldest = batch.first_time if still is None or still > batch.first_time else still
        self._tracker(client, tp).gave_up(now, oldest, still)

    def told(self, client: int, error: int, now: float) -> None:
        """An error was the answer, or the client gave up by itself."""
        key = (self.clients[client].name, ERROR_NAMES.get(error, str(error)))
        self.errors[key] = self.errors.get(key, 0) + 1

    def finished(self, client: int, stream: int, created: int, in_flight: int) -> None:
        """The end of the run: what a stream created, and what is still on its way."""
        self._ledger.streams[stream].close(created, in_flight)

    def _tracker(self, client: int, tp: TopicPartition) -> Availability:
        tracker = self._outages[client][tp.index]
        if tracker is None:
            who = self.clients[client]
            tracker = self._outages[client][tp.index] = self._availability.tracker(
                who.kind, who.name, tp.topic, tp.partition, self._thresholds[client], self._acks[client]
            )
        return tracker

    def _after_a_gap(
        self, tracker: Availability, client: int, tp: TopicPartition, first_time: float, now: float
    ) -> None:
        who = self.clients[client]
        if who.kind == "produce":
            oldest = self._waiting.oldest_unacknowledged(who.name, tp, now)
        else:
            oldest = self._waiting.oldest_undelivered(who.name, tp, now)
        if oldest is None or first_time < oldest:
            oldest = first_time
        before = len(self._availability.rows_so_far)
        tracker.completed(now, oldest)
        rows = self._availability.rows_so_far
        if len(rows) > before:
            outage = rows[-1]
            learned = who.learned.get(tp.index, 0)
            leader = self._board.leader_of(tp.index)
            epoch_cause = leader.epoch_cause if leader is not None else 0
            event = "first_acknowledgement" if who.kind == "produce" else "first_delivery"
            cause = max(learned, epoch_cause, outage.cause or 0) or None
            detail = f"{tp} after {outage.until_s - outage.from_s:.3f} s"
            # A poll's records are told some microseconds before it returns: the row comes when it does.
            self._scheduler.call_at(max(now, self._scheduler.now), self._add_row, (who.actor, event, detail, cause))

    def _add_row(self, row: tuple[str, str, str, int | None]) -> None:
        actor, event, detail, cause = row
        self._timeline.add(self._scheduler.now, actor, event, detail, cause)

    # ---- consumers

    def delivered(self, client: int, tp: TopicPartition, batch: RecordBatch, low: int, high: int, now: float) -> None:
        """``poll()`` returns records ``low`` … ``high - 1`` of ``batch`` now."""
        stream = batch.stream
        if stream < 0:
            return
        leaders = self._board.leaders
        index = tp.index
        leader = leaders[index]
        key = stream * len(leaders) + index
        delivered = self._delivered[client].get(key)
        if delivered is None or delivered.leader != leader:
            delivered = self._delivered[client][key] = self._begin_delivered(client, tp, stream, leader)
        first = batch.first + low
        count = high - low
        if not delivered.account.delivered.add_beyond(first, first + count):
            delivered.account.deliver(first, first + count)
        first_time = batch.first_time
        last_time = batch.last_time
        if count != batch.count:
            spacing = (last_time - first_time) / (batch.count - 1)
            last_time = first_time + spacing * (high - 1)
            first_time += spacing * low
        delivered.recorder.record(now, first_time, last_time, count)
        delivered.counter.total += count
        tracker = delivered.tracker
        if now - tracker.last_s <= tracker.threshold_s:
            tracker.last_s = now
        else:
            self._after_a_gap(tracker, client, tp, first_time, now)

    def _begin_delivered(self, client: int, tp: TopicPartition, stream: int, leader: int) -> Delivered:
        name = self.clients[client].name
        account = self._ledger.streams[stream].group(name)
        broker = leader if leader >= 0 else None
        recorder = self._latency.recorder(tp.topic, "end_to_end", name, broker, self._paced[stream])
        counter = self._records_out[client][tp.index]
        if counter is None:
            counter = self._series.traffic("records_out_per_s", tp.topic, name, None)
            self._records_out[client][tp.index] = counter
        return Delivered(leader, account, recorder, counter, self._tracker(client, tp))

    def assigned(self, client: int, partitions: list[TopicPartition], generation: int, now: float, cause: int) -> None:
        """A member has got (or chosen) its partitions."""
        who = self.clients[client]
        if generation > self.generations.get(who.name, -1):
            self.generations[who.name] = generation
        for tp in partitions:
            self._tracker(client, tp).start(now)

    def positioned(self, client: int, tp: TopicPartition, offset: int, reset: bool, now: float) -> None:
        """A member's position was set."""
        name = self.clients[client].name
        key = (name, tp.index)
        if key not in self.first_positions:
            self.first_positions[key] = offset

    def jumped(self, client: int, tp: TopicPartition, polled: int, offset: int, reset: bool, now: float) -> None:
        """A member that has polled up to ``polled`` goes on elsewhere.

        What its reset policy passes over is skipped if it is still on the leader's log; what is not has expired.
        """
        who = self.clients[client]
        self._oddities.jump(who.name, tp.name, polled, offset, now)
        leader = self._board.leader_of(tp.index)
        if not reset or offset <= polled or leader is None:
            return
        log = leader.log
        detail = f"{tp} from offset {polled} to {offset}; the log starts at offset {log.log_start_offset}"
        self._timeline.add(now, who.actor, "position_reset", detail, log.deletion_row)
        low = max(polled, log.log_start_offset, log.trimmed_offset)
        for batch in log.batches[log.index_of(low) :]:
            if batch.base_offset >= offset:
                break
            if batch.stream >= 0:
                first = batch.first + max(low - batch.base_offset, 0)
                last = batch.first + min(offset - batch.base_offset, batch.count)
                self._ledger.streams[batch.stream].group(who.name).skip(first, last)

    def is_paced(self, producer: str) -> bool:
        """Whether the records of ``producer`` are evenly spaced within a stream."""
        return all(who.paced for who in self.clients if who.kind == "produce" and who.name == producer)

    def error_count(self, name: str, client: str | None) -> int:
        """How often clients (or one of them) were told the error ``name``; a batch that gave up counts once, too."""
        return sum(n for (who, error), n in self.errors.items() if error == name and client in (None, who))

    # ---- the timeline

    def note(self, client: int, event: str, detail: str, cause: int, now: float) -> int:
        """A row of the timeline; returns its id."""
        who = self.clients[client]
        row = self._timeline.add(now, who.actor, event, detail, cause or None, merge=event in MERGED_NOTES)
        if event == "metadata_learned":
            self._learn(who, detail, row)
        elif event == "connections_reset" and self._unanswered:
            self._lose_unanswered(client, int(detail.split()[-1]), row)
        return row

    def _lose_unanswered(self, client: int, broker_id: int, cause: int) -> None:
        """What was on its way on a broken connection (acks=0) never arrives."""
        for key, sent in list(self._unanswered.items()):
            if sent.client == client and sent.broker_id == broker_id:
                del self._unanswered[key]
                batch = sent.batch
                self._ledger.streams[batch.stream].lose(batch.first, batch.first + batch.count, cause)

    def close_unanswered(self) -> None:
        """The end of the run: what is still on its way (acks=0) is in transit."""
        for sent in self._unanswered.values():
            batch = sent.batch
            self._ledger.streams[batch.stream].transit(batch.first, batch.first + batch.count)

    def _learn(self, who: Client, detail: str, row: int) -> None:
        for name in detail.replace(",", " ").split():
            topic, _, number = name.rpartition("-")
            if number.isdigit() and self._topics.has(topic):
                who.learned[self._topics.partition(topic, int(number)).index] = row
