"""What brokers tell is counted here, by the batch.

Between the model and ``metrics``: translates batches of a partition into ranges of a
ledger's stream, rows of latency and completions of an availability tracker.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from kafkasim.board import Board
from kafkasim.broker.log_agreement import agreed_offset
from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker.partition import Partition
from kafkasim.divergence import covered, differing
from kafkasim.losses import acknowledged_and_gone, holds, note_exposed, note_order, only_on
from kafkasim.metrics.latency import LatencyBook, LatencyRecorder
from kafkasim.metrics.ledger import Ledger
from kafkasim.metrics.oddities import Oddities
from kafkasim.metrics.series import Counter, SeriesBook
from kafkasim.metrics.timeline import Timeline
from kafkasim.protocol import RecordBatch, TopicPartition
from kafkasim.record_history import RecordHistory
from kafkasim.topics import Topics


@mypyc_attr(allow_interpreted_subclasses=True)
class Unanswered:
    """A batch sent with acks=0: acknowledged when it was written, not yet appended."""

    def __init__(self, client: int, broker_id: int, batch: RecordBatch) -> None:
        self.client: int = client
        self.broker_id: int = broker_id
        self.batch = batch


@mypyc_attr(allow_interpreted_subclasses=True)
class WaitingTimes:
    """Who can say since when the oldest record of a partition waits (the cluster implements it)."""

    def oldest_unacknowledged(self, producer: str, tp: TopicPartition, now: float) -> float | None:
        """Intended time of the oldest record of ``producer`` that is neither acknowledged nor failed."""
        raise NotImplementedError

    def oldest_undelivered(self, group: str, tp: TopicPartition, now: float) -> float | None:
        """Intended time of the oldest record not delivered to ``group``, failed or lost."""
        raise NotImplementedError

    def late_starts(self, tp: TopicPartition) -> list[tuple[str, int]]:
        """(group, first position) of the groups that did not begin at the start of ``tp``."""
        raise NotImplementedError

    def first_positions(self, tp: TopicPartition) -> list[tuple[str, int]]:
        """(group, first position) of all groups that read ``tp``; ``NOT_YET`` where there is none so far."""
        raise NotImplementedError

    def target(self, client: int, tp: TopicPartition) -> int:
        """The broker to which producer instance ``client`` sends records of ``tp`` now; -1 none."""
        raise NotImplementedError

    def reach(self, tp: TopicPartition) -> int:
        """The offset below which no replica and no reader will ever look again."""
        raise NotImplementedError


class BrokerCollector(BrokerMonitor):
    """Counts what brokers append, commit, cut and read out."""

    def __init__(
        self,
        topics: Topics,
        ledger: Ledger,
        latency: LatencyBook,
        series: SeriesBook,
        timeline: Timeline,
        board: Board,
        waiting: WaitingTimes,
        oddities: Oddities,
    ) -> None:
        self.board = board
        self.oddities = oddities
        self.unanswered: dict[tuple[int, int], Unanswered] = {}
        self.keeps_logs: bool = False
        """Whether logs stay whole in memory: what all have read may still be lost with a machine's power."""
        self.histories: dict[int, RecordHistory] = {}
        """Of the partitions whose logs may delete within the run."""
        self.compacted: dict[int, None] = {}
        """Partitions whose logs are compacted: they stay in memory, as far as the cleaner lets them."""
        self.lost_unflushed: bool = False
        """Whether a machine has lost what it had not flushed."""
        self._led: list[Partition | None] = [None] * len(topics)
        self._powerless: dict[int, list[tuple[list[RecordBatch], int]]] = {}
        self._topics = topics
        self._ledger = ledger
        self._latency = latency
        self._series = series
        self._timeline = timeline
        self._waiting = waiting
        self.paced: list[bool] = []
        self._records_in: list[dict[int, Counter]] = [{} for _ in range(len(topics))]
        self._bytes_in: list[dict[int, Counter]] = [{} for _ in range(len(topics))]
        self._commits: list[dict[int, dict[int, LatencyRecorder]]] = [{} for _ in range(len(topics))]
        self._bytes_out: list[dict[int, Counter]] = [{} for _ in range(len(topics))]

    def add_stream(self, paced: bool) -> None:
        """Streams are told in the order of their numbers."""
        self.paced.append(paced)

    def appended(self, broker_id: int, partition: Partition, batch: RecordBatch, now: float) -> None:
        """A leader has appended a batch."""
        index = partition.tp.index
        if self.unanswered:
            self.unanswered.pop((batch.stream, batch.first), None)
        counter = self._records_in[index].get(broker_id)
        if counter is None:
            self.board.written[index] = None
            topic = partition.tp.topic
            counter = self._records_in[index][broker_id] = self._series.traffic(
                "records_in_per_s", topic, None, broker_id
            )
            self._bytes_in[index][broker_id] = self._series.traffic("bytes_in_per_s", topic, None, broker_id)
        counter.total += batch.count
        self._bytes_in[index][broker_id].total += batch.size_bytes

    def refused(self, tp: TopicPartition, batch: RecordBatch, cause: int, now: float) -> None:
        """A batch sent with acks=0 was not appended."""
        self.unanswered.pop((batch.stream, batch.first), None)
        self._ledger.streams[batch.stream].lose(batch.first, batch.first + batch.count, cause)

    def committed(self, broker_id: int, partition: Partition, batch: RecordBatch, now: float) -> None:
        """The high watermark has passed a batch for the first time."""
        stream = batch.stream
        if stream < 0:
            return
        recorders = self._commits[partition.tp.index].get(broker_id)
        if recorders is None:
            recorders = self._commits[partition.tp.index][broker_id] = {}
        recorder = recorders.get(stream)
        if recorder is None:
            account = self._ledger.streams[stream]
            recorder = recorders[stream] = self._latency.recorder(
                partition.tp.topic, "commit", account.producer, broker_id, self.paced[stream]
            )
        recorder.record(now, batch.first_time, batch.last_time, batch.count)

    def truncated(
        self, broker_id: int, partition: Partition, removed: list[RecordBatch], cause: int, now: float
    ) -> None:
        """Batches have been cut off a replica's log: note what that loses."""
        if partition.internal:
            return
        self._note_losses(f"broker {broker_id}", partition.tp, removed, cause, now)

    def unflushed_lost(self, partition: Partition, removed: list[RecordBatch], cause: int) -> None:
        """Batches are gone from a replica with its machine's power: what that loses, the next leader's log decides."""
        self.board.torn[partition.tp.index] = None
        self.lost_unflushed = True
        if not partition.internal:
            self._powerless.setdefault(partition.tp.index, []).append((removed, cause))

    def _settle_powerless(self, leader: Partition, now: float) -> None:
        for removed, cause in self._powerless.pop(leader.tp.index):
            missing = [batch for batch in removed if not holds(leader, batch)]
            self._note_losses(f"broker {leader.broker_id}", leader.tp, missing, cause, now)

    def _note_losses(self, actor: str, tp: TopicPartition, batches: list[RecordBatch], cause: int, now: float) -> None:
        gone = 0
        leader = self.board.leader_of(tp.index)
        for batch in batches:
            if batch.stream < 0:
                continue
            account = self._ledger.streams[batch.stream]
            if not any(first <= batch.first < last for first, last, _ in account.losses):
                gone += acknowledged_and_gone(account, batch, leader)
            note_exposed(self.oddities, tp, account, batch, cause)
            account.lose(batch.first, batch.first + batch.count, cause, batch.committed)
        if gone:
            self._timeline.add(now, actor, "lost", f"{tp}: {gone} acknowledged records", cause or None)

    def read_out(self, broker_id: int, partition: Partition, size_bytes: int) -> None:
        """Bytes of a partition have been put into the answer to a consumer's fetch."""
        index = partition.tp.index
        counter = self._bytes_out[index].get(broker_id)
        if counter is None:
            counter = self._bytes_out[index][broker_id] = self._series.traffic(
                "bytes_out_per_s", partition.tp.topic, None, broker_id
            )
        counter.total += size_bytes

    def trim(self, partition: Partition) -> None:
        """Fold what every replica holds, the high watermark has passed and no reader will ask for again."""
        if self.keeps_logs:
            return
        tp = partition.tp
        if tp.index in self.compacted:
            return
        history = self.histories.get(tp.index)
        cut = self._waiting.reach(tp)
        replicas = self.board.replicas[tp.index]
        for replica in replicas:
            # Below every replica's own high watermark all logs agree; above it a dead one's tail may differ.
            if replica.high_watermark < cut:
                cut = replica.high_watermark
            # Up to 0.10.2 a started follower is cut to the high watermark of its last checkpoint.
            if not replica.keeps_epochs and replica.checkpointed_high_watermark < cut:
                cut = replica.checkpointed_high_watermark
        for replica in replicas:
            # After an unclean election a dead leader's log goes its own way, also below what were high watermarks.
            if replica is not partition:
                cut = agreed_offset(partition.log, replica.log, cut)
        if cut <= partition.log.trimmed_offset:
            return
        cut = partition.log.whole_below(cut)
        if any(replica.log.whole_below(cut) != cut for replica in replicas):
            return  # logs that have diverged: their batches end at other offsets here
        if history is not None:
            dropped = partition.log.trim(cut)
            note_order(self.oddities, self._ledger, tp, dropped)
            history.note(dropped, self._waiting.first_positions(tp))
            trimmed = partition.log.trimmed_offset
            for replica in replicas:
                history.note(replica.log.trim(trimmed), [])
            return
        starts = self._waiting.late_starts(tp)
        dropped = partition.log.trim(cut)
        note_order(self.oddities, self._ledger, tp, dropped)
        for batch in dropped:
            if batch.stream >= 0:
                stream = self._ledger.streams[batch.stream]
                stream.settle(batch.first, batch.first + batch.count)
                for group, start in starts:
                    # A group that began at the end is not concerned with what was there before.
                    before = min(start - batch.base_offset, batch.count)
                    if before > 0:
                        stream.group(group).before_start.add(batch.first, batch.first + before)
        trimmed = partition.log.trimmed_offset
        for replica in replicas:
            if replica is not partition:
                others = replica.log.trim(trimmed)
                if not replica.keeps_epochs or tp.index in self.board.torn:
                    self.board.diverged[tp.index] = self.board.diverged.get(tp.index, 0) + covered(
                        differing(dropped, others)
                    )
                if replica.log.trimmed_offset != trimmed:
                    raise AssertionError(f"{tp}: replicas disagree below offset {trimmed}")

    def cleaned(self, broker_id: int, partition: Partition, batches: list[RecordBatch], now: float) -> None:
        """The cleaner has gone over batches of a replica's log: what it has taken is seen there no more."""
        history = self.histories.get(partition.tp.index)
        if history is not None:
            history.note(batches, self._waiting.first_positions(partition.tp), keep=False)

    def replica_created(self, broker_id: int, partition: Partition, now: float) -> None:
        """A broker has been given a replica that it did not have."""
        self.board.add(partition)

    def replica_deleted(self, broker_id: int, partition: Partition, now: float) -> None:
        """A broker has deleted a replica; with the last copy its records are gone as if by retention."""
        index = partition.tp.index
        self.board.remove(partition)
        if self._led[index] is partition:
            self._led[index] = None
        if not self.board.replicas[index]:
            end = partition.log.log_end_offset
            tp = partition.tp
            history = self.histories.get(index)
            if history is not None:
                history.note(partition.log.batches, self._waiting.first_positions(tp), keep=False)
                history.forget_below(end)
            self._ledger.scan_log(tp.topic, tp.partition, [], end, partition.high_watermark, False, {}, end)

    def deleted(self, broker_id: int, partition: Partition, batches: list[RecordBatch], now: float) -> None:
        """A replica's log begins later than before."""
        index = partition.tp.index
        history = self.histories.get(index)
        if history is not None:
            history.note(batches, self._waiting.first_positions(partition.tp))
            history.forget_below(min(replica.log.log_start_offset for replica in self.board.replicas[index]))

    def role_changed(self, broker_id: int, partition: Partition, now: float) -> None:
        """A replica has become leader or follower, or a leader's ISR has changed."""
        index = partition.tp.index
        leader = self.board.refresh(index)
        if leader is not None and index in self._powerless:
            self._settle_powerless(leader, now)
        if leader is None or leader is self._led[index]:
            return
        before = self._led[index]
        self._led[index] = leader
        if before is not None and not partition.internal:
            # What only the former leader had is gone with its leadership, whenever it will be cut off its log.
            beyond = only_on(before, leader)
            if beyond:
                self._note_losses(f"broker {leader.broker_id}", partition.tp, beyond, leader.epoch_cause, now)
