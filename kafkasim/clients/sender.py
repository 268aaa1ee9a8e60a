"""The producer's I/O thread: what is sent when, and what becomes of it.

Stands for ``Sender``.  A pass of its loop (see :mod:`kafkasim.clients.io_thread`) takes in
what has come (the poll returns), lets the application thread catch up, drains, sends, and
works out until when the next poll may sleep.  Passes that would find nothing are not made: a
thread that would spin sleeps until something can change, and one that only took in answers sleeps on.

CPU: each produce request costs ``producer_request_s`` + ``producer_per_byte_s`` × its bytes
before it leaves; a thread that slept in poll takes ``client_wake_up_s`` to wake.  What a
record costs is the application thread's time: counted, but it delays nothing (documented
approximation).  Left out: transactions, the client's own quota metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from kafkasim.clients.accumulator import RecordAccumulator
from kafkasim.clients.appender import FREE, Appender
from kafkasim.clients.idempotence import Idempotence
from kafkasim.clients.io_thread import IoThread
from kafkasim.clients.java_hash import hash_order
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.clients.network_client import NetworkClient
from kafkasim.clients.node_connection import NodeConnection
from kafkasim.clients.produce_request import ProducerCosts, SenderSettings, produce_request
from kafkasim.clients.producer_batch import FAILED, SUCCEEDED, UNDECIDED, ProducerBatch
from kafkasim.clients.producer_id import GO_ON, IDLE, ProducerIdRequest
from kafkasim.clients.settings import UNLIMITED
from kafkasim.hosts.host import Host
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.protocol import (
    DELIVERY_TIMEOUT,
    FENCED_LEADER_EPOCH,
    INVALID_METADATA,
    MESSAGE_TOO_LARGE,
    NONE,
    NOT_LEADER_OR_FOLLOWER,
    RETRIABLE,
    Request,
    TopicPartition,
)

_WITH_LEADER: Final = (NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH)
"""Errors whose answer may name the new leader."""


class Sender:
    """One I/O thread.

    ``busy_s`` is CPU time of the I/O thread, ``application_s`` that of the application thread.
    """

    def __init__(
        self, scheduler: Scheduler, clock: Clock, host: Host, costs: ProducerCosts, settings: SenderSettings,
        client: NetworkClient, accumulator: RecordAccumulator, idempotence: Idempotence | None, monitor: ClientMonitor,
        number: int,
    ) -> None:  # fmt: skip
        self.passes: int = 0
        self.batches_sent: int = 0
        self.requests_sent: int = 0
        self.records_retried: int = 0
        self.busy_s: float = 0.0
        self.application_s: float = 0.0
        self._scheduler = scheduler
        self._clock = clock
        self._host = host
        self._costs = costs
        self._settings = settings
        self._client = client
        self._accumulator = accumulator
        self._idempotence = idempotence
        self._monitor = monitor
        self._number: int = number
        self._producer_id: ProducerIdRequest | None = None
        if idempotence is not None:
            self._producer_id = ProducerIdRequest(
                client, idempotence, settings.request_timeout_ms, settings.retry_backoff_ms
            )
        self._appender: Appender | None = None
        self._done: Callable[[Request], None] = self._answered  # a bound method is made once, not for every request
        self._keeps_order: bool = settings.keeps_order
        self._limit_ms: int = settings.request_timeout_ms
        self._notes_latency: bool = accumulator.settings.availability_timeout_ms > 0
        self._nodes: list[NodeConnection] = []
        self._now_ms: int = 0
        self._quiet_until_ms: int = 0
        self._next_append: float = 0.0
        self._io_thread = IoThread(scheduler, costs.client_wake_up_s, self._pass)
        client.wake_with(self._io_thread.wake)

    # -- when the thread runs

    def start(self, appender: Appender) -> None:
        """Begin to run now."""
        self._appender = appender
        self._io_thread.alive = True
        self._io_thread.plan(self._scheduler.now)

    def wake(self) -> None:
        """The application thread has done something that the I/O thread must see."""
        self._io_thread.wake()

    def stop(self) -> None:
        """The process is gone."""
        self._io_thread.alive = False

    # -- one pass

    def _pass(self, now: float) -> None:
        thread = self._io_thread
        thread.running = True
        self.passes += 1
        client = self._client
        now_ms = self._now_ms = self._clock.ms(now)
        if thread.in_poll:
            client.handle_at_ms(now, now_ms)
            if now_ms < self._quiet_until_ms and self._next_append > now and self._is_quiet():
                thread.run_again(self._next_append)
                thread.running = False
                return
        self._quiet_until_ms = 0
        appender = self._appender
        assert appender is not None
        appender.advance(now)
        writes = client.writes
        wait_ms = GO_ON
        producer_id = self._producer_id
        idempotence = self._idempotence
        if idempotence is not None and producer_id is not None:
            if idempotence.unresolved or idempotence.bump_required:
                idempotence.before_pass()
            # With a producer id there is no step to make.
            if idempotence.producer_id < 0 or producer_id.state != IDLE:
                wait_ms = producer_id.step(now, now_ms)
                if producer_id.sleep_ms > 0:
                    thread.running = False
                    thread.in_poll = False
                    thread.asleep_until = now + producer_id.sleep_ms / 1000.0
                    thread.plan(thread.asleep_until)
                    return
        holds = wait_ms != GO_ON
        spins = False
        if not holds:
            accumulator = self._accumulator
            wait_ms = self._look(now_ms)
            if self._nodes:
                spins = not self._send_data(now, now_ms)
            if accumulator.expires_ms <= now_ms and self._expire(now, now_ms):
                spins = False
            if self._nodes:
                wait_ms = 0
            elif accumulator.expires_ms - now_ms < self._limit_ms:
                wait_ms = self._with_expiry(wait_ms, now_ms)
        metadata_ms = client.update_metadata_at_ms(now, now_ms)
        base = now if now > thread.busy_until else thread.busy_until
        readable = bool(client.news) or bool(client.aborted)
        if client.writes == writes and (wait_ms > 0 or spins) and not readable:
            if spins:
                wait_ms = self._while_spinning(now_ms)
            self._sleep(base, now_ms, wait_ms if wait_ms < metadata_ms else metadata_ms, spins)
        elif base > now:
            # The poll is reached when the work is done; it then finds what has come meanwhile.
            thread.in_poll = True
            if holds or readable or client.unanswered:
                thread.plan(base)
            else:
                self._look_again(base, now_ms)
        elif client.handle_at_ms(now, now_ms) or holds:
            thread.in_poll = False
            thread.plan(now)
        else:
            self._look_again(now, now_ms)
        thread.running = False

    def _look_again(self, base: float, now_ms: int) -> None:
        """The poll has returned at once: one more pass, unless it would find nothing."""
        idempotence = self._idempotence
        if idempotence is not None and (idempotence.unresolved or idempotence.bump_required):
            idempotence.before_pass()
        client = self._client
        thread = self._io_thread
        wait_ms = self._look(now_ms)
        if self._nodes or wait_ms == 0 or client.news or client.aborted:
            thread.in_poll = base > self._scheduler.now
            thread.plan(base)
            return
        metadata_ms = client.metadata_wait_ms(now_ms)
        if metadata_ms == 0:
            thread.in_poll = False
            thread.plan(base)
            return
        if self._accumulator.expires_ms - now_ms < self._limit_ms:
            wait_ms = self._with_expiry(wait_ms, now_ms)
        self._sleep(base, now_ms, wait_ms if wait_ms < metadata_ms else metadata_ms, False)

    def _sleep(self, base: float, now_ms: int, wait_ms: int, spins: bool) -> None:
        """Sleep in poll from ``base`` on, until the clock has moved by ``wait_ms`` or something happens."""
        thread = self._io_thread
        thread.in_poll = True
        clock = self._clock
        client = self._client
        if wait_ms > self._limit_ms:
            wait_ms = self._limit_ms
        base_ms = now_ms if base == self._scheduler.now else clock.ms(base)
        deadline_ms = now_ms + wait_ms
        # Clock.time_of in line, at the end of every pass.
        offset_ms = clock.offset_ms
        fraction = base - (base_ms - offset_ms) / 1000.0
        due = (deadline_ms - offset_ms) / 1000.0 + fraction
        appender = self._appender
        assert appender is not None
        append = appender.next_event(due)
        if append < due:
            due = append
        if client.timeout_check_ms < deadline_ms or client.setup_check_ms < deadline_ms:
            timeout_ms = client.next_timeout_ms()
            # Something will have timed out: seen when a record is appended behind others, which wakes, too.
            late = clock.time_of(timeout_ms + 1) + fraction
            if not spins:
                late = appender.append_after(clock.time_of(timeout_ms + 1))
            if late < due:
                due = late
        elif append + 0.001 < (deadline_ms - offset_ms) / 1000.0 and appender.blocked == FREE:
            # The next thing to do is an append, and answers without an error do not change that.
            if not self._accumulator.check.nodes and self._accumulator.check.settled and not self._keeps_order:
                self._next_append = append
                self._quiet_until_ms = deadline_ms
        if due < inf:
            thread.run_again(due if due > base else base)

    def _is_quiet(self) -> bool:
        """Whether what has come since the thread went to sleep leaves nothing to do but sleep on."""
        client = self._client
        metadata = client.metadata
        return (
            not client.news
            and not client.aborted
            and not client.unanswered
            and not metadata.need_full
            and not metadata.need_partial
            and metadata.changes == self._accumulator.metadata_changes
        )

    def _while_spinning(self, now_ms: int) -> int:
        wait_ms = min(self._accumulator.next_change_ms(now_ms), self._accumulator.check.next_check_ms)
        return max(self._with_expiry(wait_ms, now_ms), 1)

    def _with_expiry(self, wait_ms: int, now_ms: int) -> int:
        accumulator = self._accumulator
        limit_ms = self._limit_ms
        if accumulator.expires_ms - now_ms >= (wait_ms if wait_ms < limit_ms else limit_ms):
            return wait_ms
        left_ms = accumulator.expires_in_ms(now_ms)
        return max(min(wait_ms, left_ms), 0)

    # -- sending

    def _look(self, now_ms: int) -> int:
        """Find the nodes to send to now (``_nodes``); returns how long to wait otherwise (ms)."""
        accumulator = self._accumulator
        client = self._client
        nodes: list[NodeConnection] = []
        self._nodes = nodes
        if not accumulator.active:
            accumulator.ready_none()
            return UNLIMITED
        check = accumulator.check
        if not accumulator.ready(now_ms):
            return check.next_check_ms
        if check.unknown_leader:
            client.metadata.request_update()
        wait_ms = check.next_check_ms
        for node in check.nodes:
            state = client.node(node)
            is_ready = client.ready_at_ms(state, now_ms)
            if self._notes_latency:
                accumulator.note_latency(node, now_ms, is_ready)
            if is_ready:
                nodes.append(state)
            else:
                delay_ms = client.poll_delay_ms(state, now_ms)
                if delay_ms < wait_ms:
                    wait_ms = delay_ms
        return wait_ms

    def _send_data(self, now: float, now_ms: int) -> bool:
        """Drain the ready nodes and send; False if nothing could be drained."""
        accumulator = self._accumulator
        sent = False
        limit = self._settings.max_request_size
        for state in self._nodes:
            batches = accumulator.drain(state.id, limit, now, now_ms)
            if not batches:
                continue
            sent = True
            if self._keeps_order:
                for batch in batches:
                    batch.queue.muted = True
            self._send(state, batches, now, now_ms)
        return sent

    def _send(self, state: NodeConnection, batches: list[ProducerBatch], now: float, now_ms: int) -> None:
        request = produce_request(batches, self._settings)
        produce = request.produce
        assert produce is not None
        records = 0
        for batch in batches:
            records += batch.count
        request.done = self._done
        self.requests_sent += 1
        self.batches_sent += len(batches)
        costs = self._costs
        self.application_s += records * costs.producer_per_record_s
        work_s = costs.producer_request_s + costs.producer_per_byte_s * produce.payload_bytes
        at = now
        if work_s > 0.0:
            thread = self._io_thread
            begin = now if now > thread.busy_until else thread.busy_until
            at = self._host.compute(begin, work_s)
            self.busy_s += work_s
            thread.busy_until = at
        self._client.write_at_ms(state, request, now, now_ms, at)

    def _expire(self, now: float, now_ms: int) -> bool:
        expired = self._accumulator.expired(now, now_ms)
        for batch in expired:
            self._fail(batch, DELIVERY_TIMEOUT, False)
            if self._idempotence is not None and batch.retried:
                self._idempotence.mark_unresolved(batch)
        return bool(expired)

    # -- answers

    def _answered(self, request: Request) -> None:
        produce = request.produce
        assert produce is not None
        now_ms = self._now_ms  # callbacks run within a pass
        batches: list[ProducerBatch] = request.context
        failed = request.failed
        if failed != NONE or not request.expects_response:
            if len(batches) > 1:
                order = hash_order([batch.queue.hash for batch in batches], len(batches))
                batches = [batches[position] for position in order]
            for batch in batches:
                self._complete(batch, failed, now_ms)
            return
        hints: list[tuple[TopicPartition, int, int]] | None = None
        for batch, partition in zip(batches, produce.partitions, strict=True):
            error = partition.error
            if error == NONE:
                self._succeeded(batch)
                continue
            self._complete(batch, error, now_ms)
            if partition.leader_hint >= 0 and self._settings.uses_hints and error in _WITH_LEADER:
                if hints is None:
                    hints = []
                hints.append((partition.tp, partition.leader_hint, partition.leader_epoch_hint))
        if hints:
            learned = self._client.metadata.update_leaders(hints)
            if learned:
                self._client.note_learned([tp.name for tp in learned], request.cause)

    def _complete(self, batch: ProducerBatch, error: int, now_ms: int) -> None:
        if error == NONE:
            self._succeeded(batch)
            return
        self._complete_with_error(batch, error, now_ms)
        if self._keeps_order:
            batch.queue.muted = False

    def _succeeded(self, batch: ProducerBatch) -> None:
        queue = batch.queue
        if self._idempotence is not None:
            self._idempotence.completed(batch)
        if batch.outcome == UNDECIDED:
            batch.outcome = SUCCEEDED
            records = batch.records
            assert records is not None
            self._monitor.acknowledged(self._number, queue.tp, records, self._scheduler.now)
            self._forget(batch)
        if self._keeps_order:
            queue.muted = False

    def _complete_with_error(self, batch: ProducerBatch, error: int, now_ms: int) -> None:
        self._quiet_until_ms = 0
        self._monitor.told(self._number, error, self._scheduler.now)
        accumulator = self._accumulator
        idempotence = self._idempotence
        if error == MESSAGE_TOO_LARGE and batch.count > 1 and batch.outcome == UNDECIDED:
            if idempotence is not None:
                idempotence.untrack(batch)
            accumulator.split(batch)
            self._forget(batch)
        elif (
            batch.outcome == UNDECIDED
            and batch.attempts < self._settings.retries
            and now_ms - batch.created_ms < accumulator.settings.delivery_timeout_ms
            and (error in RETRIABLE if idempotence is None else idempotence.can_retry(batch, error))
        ):
            accumulator.reenqueue(batch, now_ms)
            self._leave_flight(batch)
            self.records_retried += batch.count
        else:
            # After exhausted retries the broker may have the batch: its sequence is not given again.
            self._fail(batch, error, batch.attempts < self._settings.retries)
        if error in INVALID_METADATA:
            self._client.metadata.request_update()

    def _fail(self, batch: ProducerBatch, error: int, adjust: bool) -> None:
        if batch.outcome != UNDECIDED:
            return
        batch.outcome = FAILED
        records = batch.records
        if records is None or records.count != batch.count:
            records = batch.built()
        self._monitor.failed(self._number, batch.queue.tp, records, error, self._scheduler.now)
        if self._idempotence is not None:
            self._idempotence.failed(batch, error, adjust)
        self._forget(batch)

    def _forget(self, batch: ProducerBatch) -> None:
        in_flight = batch.queue.in_flight
        if in_flight and in_flight[0] is batch:
            del in_flight[0]
        else:
            self._leave_flight(batch)
        self._accumulator.release(batch)

    def _leave_flight(self, batch: ProducerBatch) -> None:
        in_flight = batch.queue.in_flight
        if in_flight and in_flight[0] is batch:
            del in_flight[0]
        elif batch in in_flight:
            in_flight.remove(batch)
