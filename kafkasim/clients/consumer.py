"""A consumer: the application thread's poll loop, and the clock of its heartbeat thread.

Stands for ``ClassicKafkaConsumer`` in an application that processes what ``poll()`` returns and
polls again.  The thread is a chain of callbacks: it has control (:meth:`ConsumerMember._run`),
then waits for the network, sleeps in a back-off, or is busy with records.  While all is calm
(stable group, valid positions, fresh metadata) a poll is: take in what has come, hand out
records, send the next fetches before returning.  Otherwise it goes through all duties of a
poll in Kafka's order.

Approximated: waking, parsing a response and deserialising records are three costs of the
application thread; records of one poll are delivered together at its end, which may lie some
microseconds after the event that took them.  A poll that has nothing to wait for but data
costs no events, whatever its time-out.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import Any, Final

from kafkasim.clients.consumer_network import ConsumerNetwork
from kafkasim.clients.consumer_settings import ConsumerCosts, ConsumerSettings
from kafkasim.clients.fetcher import Fetcher, Taken
from kafkasim.clients.membership import Membership
from kafkasim.clients.metadata import Metadata
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.clients.network_client import NetworkClient
from kafkasim.clients.positions import ConsumerOwner, PartitionState, Positions
from kafkasim.clients.settings import UNLIMITED, Backoff
from kafkasim.connection import Directory
from kafkasim.hosts.host import Host
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.streams import Streams
from kafkasim.network import Network
from kafkasim.protocol import TopicPartition

NEVER: Final = float("inf")
_PASSES: Final = 8
"""Rounds of one wake-up; what is still unsettled then is looked at after a back-off."""


class ConsumerMember(ConsumerOwner):
    """One consumer process: a member of ``group``, or with fixed partitions (``group`` None).

    ``topics`` maps every subscribed topic to all its partitions; ``assigned`` are the fixed
    partitions of a consumer without a group.  ``config`` has Kafka's names.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        network: Network,
        streams: Streams,
        name: str,
        client: int,
        host: Host,
        costs: Any,
        directory: Directory,
        bootstrap: list[int],
        group: str | None,
        topics: dict[str, list[TopicPartition]],
        assigned: list[TopicPartition],
        config: Mapping[str, Any],
        version: Any,
        processing_s_per_record: float,
        poll_timeout_s: float,
        monitor: ClientMonitor,
        clock: Clock | None = None,
    ) -> None:
        if poll_timeout_s <= 0.0:
            raise ValueError("a consumer needs a poll time-out above zero")
        self.name = name
        self.client: int = client
        self.group = group
        self.settings = ConsumerSettings(config, version, group)
        self.failed: str = ""
        self._scheduler = scheduler
        self._host = host
        self._monitor = monitor
        self._topics = topics
        self._assigned = list(assigned)
        self._request_s: float = float(costs.consumer_request_s)
        self._per_record_s: float = float(costs.consumer_per_record_s)
        self._wake_up_s: float = float(costs.client_wake_up_s)
        self._processing_s: float = float(processing_s_per_record)
        self._poll_timeout_s: float = float(poll_timeout_s)
        self._max_poll_records: int = self.settings.max_poll_records
        draws = streams.stream(f"{name}/consumer")
        self._clock = clock if clock is not None else Clock(draws.uniform(0.0, 1000.0))
        client_settings = self.settings.client
        self.network = NetworkClient(
            scheduler, network, streams, name, host, directory, bootstrap, client_settings, self._wake,
            self._clock, monitor, client,
        )  # fmt: skip
        self._metadata: Metadata = self.network.metadata
        self._net = ConsumerNetwork(self.network, self._clock)
        self._positions = Positions(
            scheduler, self._net, self._clock, monitor, client, self, self.settings.auto_offset_reset,
            client_settings.request_timeout_ms, client_settings.retry_backoff_ms,
        )  # fmt: skip
        self._fetcher = Fetcher(self._net, self._positions, self.settings.fetch)
        self.membership: Membership | None = None
        if group is not None:
            backoff = Backoff(
                client_settings.retry_backoff_ms, client_settings.retry_backoff_max_ms, client_settings, draws
            )
            self.membership = Membership(
                scheduler, self._net, self._clock, monitor, client, self, self.settings, group, topics,
                self._positions, backoff, client_settings.retry_backoff_ms / 1000.0 + self._wake_up_s,
            )  # fmt: skip
        self._closed: bool = False
        self._resume_at: float = NEVER
        self._timer_at: float = NEVER
        self._heartbeat_at: float = NEVER
        self._background_at: float = NEVER
        self._busy_until: float = 0.0
        self._extra_s: float = 0.0
        self._calm: bool = False
        self._calm_until: float = -1.0
        self._changes_seen: int = -1
        self._poll_started: float = 0.0
        self._deadline: float = 0.0

    # For the outside

    def start(self) -> None:
        """The application makes its consumer and polls for the first time, now."""
        now = self._scheduler.now
        if self.membership is not None:
            self._metadata.set_topics(list(self._topics))
        else:
            self._metadata.set_topics(list(dict.fromkeys(tp.topic for tp in self._assigned)))
            self._positions.assign(self._assigned)
            self._monitor.assigned(self.client, list(self._assigned), -1, now, 0)
        self._busy_until = now
        self._poll_started = now
        self._deadline = now + self._poll_timeout_s
        self._plan_resume(now)

    def crash(self) -> None:
        """The process is killed."""
        self._closed = True
        self.network.crash()

    def owned(self) -> list[TopicPartition]:
        """The partitions that the member consumes now."""
        return [state.tp for state in self._positions.states.values()]

    def position(self, tp: TopicPartition) -> int:
        """The offset of the next record to be returned; -1 if the member has none."""
        state = self._positions.states.get(tp.index)
        return -1 if state is None else state.offset

    def lag(self, tp: TopicPartition) -> int:
        """``records-lag``: high watermark of the last fetch minus position; -1 if unknown."""
        state = self._positions.states.get(tp.index)
        if state is None or state.offset < 0 or state.high_watermark < 0:
            return -1
        return max(state.high_watermark - state.offset, 0)

    # What the parts tell

    def partition_changed(self, state: PartitionState, old_leader: int) -> None:
        """See :class:`~kafkasim.clients.positions.ConsumerOwner`."""
        self._fetcher.touch(state, old_leader)

    def stir(self) -> None:
        """See :class:`~kafkasim.clients.positions.ConsumerOwner`."""
        self._fetcher.stirred = True

    def fatal(self, reason: str) -> None:
        """The application does not catch what ``poll()`` throws: its process ends."""
        if not self._closed:
            self.failed = reason
            self._monitor.note(self.client, "consumer_failed", reason, 0, self._scheduler.now)
            self.crash()

    def plan_heartbeat(self, at: float) -> None:
        """See :class:`~kafkasim.clients.positions.ConsumerOwner`."""
        self._heartbeat_at = at
        self._scheduler.call_at(at, self._heartbeat, at)

    # The application thread

    def _wake(self) -> None:
        """Something has come for one of the sockets."""
        if self._resume_at < NEVER or self._closed:
            return
        now = self._scheduler.now
        if now >= self._busy_until:
            # It waits in select: it is woken, and takes in the response.
            self._plan_resume(self._host.compute(now, self._wake_up_s + self._request_s))
            return
        self._plan_resume(self._busy_until + self._request_s)
        membership = self.membership
        if membership is not None and membership.heartbeat_on:
            tick = membership.tick_after(now)
            if tick < self._busy_until and self._background_at == NEVER:
                self._background_at = tick
                self._scheduler.call_at(tick, self._background, tick)

    def _plan_resume(self, at: float) -> None:
        self._resume_at = at
        self._scheduler.call_at(at, self._resume, at)

    def _resume(self, planned: float) -> None:
        if planned == self._resume_at and not self._closed:
            self._resume_at = NEVER
            self._run(self._scheduler.now)

    def _timer(self, planned: float) -> None:
        if planned != self._timer_at or self._closed:
            return
        self._timer_at = NEVER
        if self._resume_at < NEVER:
            return
        now = self._scheduler.now
        if now < self._busy_until:
            self._plan_resume(self._busy_until)
        else:
            self._run(now)

    def _run(self, now: float) -> None:
        """The thread has control inside ``poll()``."""
        fetcher = self._fetcher
        answers = fetcher.answers
        self._busy_until = now
        self._net.poll(now)
        answers = fetcher.answers - answers
        self._extra_s = self._request_s * (answers - 1) if answers > 1 else 0.0
        if fetcher.stirred or now >= self._calm_until or self._metadata.changes != self._changes_seen:
            self._duties(now)
            return
        while not self._return_records(now):
            if not self.network.readable():
                fetcher.send(now, now)
                if fetcher.held_back or self._net.unsent:
                    self._duties(now)
                return
            self._net.poll(now)
            if fetcher.stirred:
                self._duties(now)
                return

    def _return_records(self, now: float) -> bool:
        """``poll()`` returns what is buffered, if anything is, with the next fetches on their way."""
        fetcher = self._fetcher
        if not fetcher.buffer:
            return False
        taken: list[Taken] = []
        count = fetcher.collect(self._max_poll_records, taken)
        if count == 0:
            return False
        done = self._host.compute(now, count * self._per_record_s + self._extra_s)
        monitor = self._monitor
        client = self.client
        for tp, batch, low, high in taken:
            monitor.delivered(client, tp, batch, low, high, done)
        fetcher.send(now, done)
        if self._net.unsent:
            self._net.flush(now)
        self._busy_until = done + count * self._processing_s
        self._poll_started = self._busy_until
        self._deadline = self._busy_until + self._poll_timeout_s
        unsettled = fetcher.stirred or fetcher.held_back or len(self._net.unsent) > 0
        if fetcher.buffer or unsettled or self.network.readable():
            self._plan_resume(self._busy_until)
        return True

    def _duties(self, now: float) -> None:
        """Everything that a poll does, in its order, until it must wait."""
        if self._calm and now > self._deadline:
            # Polls that returned nothing followed each other meanwhile.
            missed = floor((now - self._poll_started) / self._poll_timeout_s)
            self._poll_started += missed * self._poll_timeout_s
            self._deadline = max(self._poll_started + self._poll_timeout_s, now)
        self._calm = False
        self._calm_until = -1.0
        fetcher = self._fetcher
        for _ in range(_PASSES):
            fetcher.stirred = False
            blocked = self._blocked(now)
            if self._closed:
                return
            if blocked:
                if self.network.readable() and not self._asleep(now):
                    self._net.poll(now)
                    continue
                self._wait(now, False)
                return
            if self._return_records(now):
                self._settle(now, True)
                return
            fetcher.send(now, now)
            self._net.flush(now)
            if self.network.readable():
                self._net.poll(now)
                fetcher.stirred = True
            if self._closed:
                return
            if now >= self._deadline:
                self._poll_started = now
                self._deadline = now + self._poll_timeout_s
            elif not fetcher.stirred:
                break
        self._wait(now, True)

    def _blocked(self, now: float) -> bool:
        """Coordinator and positions; True when the poll blocks on them before it looks at records."""
        membership = self.membership
        positions = self._positions
        if membership is not None:
            membership.poll_heartbeat(now)
            if not membership.finder.seek(now, self._deadline):
                return now < self._deadline
            if not membership.active(now):
                if not membership.blocks:
                    return False
                if now >= self._deadline:
                    self._deadline = now + self._poll_timeout_s
                return True
            membership.commit_if_due(now)
        positions.follow_metadata()
        positions.request(now)
        if not positions.complete():
            if membership is None:
                positions.reset_initializing()
            elif not membership.fetch_offsets(now, self._deadline):
                return now < self._deadline
            positions.request(now)
        return False

    def _wait(self, now: float, in_fetches: bool) -> None:
        """Wait for the network, until the next thing that time alone brings."""
        membership = self.membership
        if membership is not None and not in_fetches and self._asleep(now):
            # What comes meanwhile waits in the sockets.
            self._plan_resume(membership.sleeps_until)
            return
        self._settle(now, in_fetches)
        if self.network.readable() and self._resume_at == NEVER:
            self._plan_resume(self._host.compute(now, self._request_s))

    def _asleep(self, now: float) -> bool:
        membership = self.membership
        return membership is not None and membership.sleeps_until > now

    def _settle(self, now: float, in_fetches: bool) -> None:
        """Plan the next thing that time alone brings; until then all is calm, if nothing is unsettled."""
        membership = self.membership
        clock = self._clock
        now_ms = clock.ms(now)
        until_ms = now_ms + self.network.update_metadata(now)
        until_ms = min(until_ms, self.network.next_timeout_ms() + 1)
        until = NEVER
        settled = in_fetches
        if self._net.unsent:
            settled = False
            until_ms = min(until_ms, now_ms + self._net.wait_ms(now))
        if self._fetcher.held_back:
            settled = False
        if membership is not None and in_fetches:
            until_ms = min(until_ms, membership.due_ms())
            if membership.commits_with_next_poll:
                settled = False
        complete = self._positions.complete()
        if not complete or self.network.in_flight == 0:
            until_ms = min(until_ms, now_ms + self.settings.retry_backoff_ms)
        if until_ms < UNLIMITED:
            until = clock.time_of(until_ms)
        if not settled:
            until = min(until, self._deadline)
        if until <= now:
            until = clock.time_of(now_ms + 1)
        self._calm = settled
        self._calm_until = until if settled and complete else -1.0
        self._changes_seen = self._metadata.changes
        self._plan_timer(until)

    def _plan_timer(self, at: float) -> None:
        if at != self._timer_at:
            self._timer_at = at
            if at < NEVER:
                self._scheduler.call_at(at, self._timer, at)

    # The heartbeat thread

    def _heartbeat(self, planned: float) -> None:
        membership = self.membership
        if planned != self._heartbeat_at or self._closed or membership is None:
            return
        now = self._scheduler.now
        self._heartbeat_at = NEVER
        busy = now < self._busy_until
        if busy:
            self._net.poll(now)
        membership.heartbeat_thread(now)
        self._net.flush(now)
        if self._fetcher.stirred and not busy and self._resume_at == NEVER and not self._closed:
            self._plan_resume(now)

    def _background(self, planned: float) -> None:
        """The heartbeat thread reads the sockets while the application is busy."""
        if planned != self._background_at or self._closed:
            return
        self._background_at = NEVER
        now = self._scheduler.now
        if now < self._busy_until:
            self._net.poll(now)


__all__ = ["ConsumerCosts", "ConsumerMember"]
