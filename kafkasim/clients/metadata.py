"""What a client knows of the cluster, and when it asks again.

Stands for Kafka's ``Metadata``, ``ProducerMetadata`` and ``MetadataSnapshot``: full and
partial updates, the pause between requests (3.7+: longer while answers bring nothing
newer), the rule that an older leader epoch is ignored, leaders patched by the hints of
KIP-951.  Left out: topic ids (topics are not deleted and made again), topics that expire
by ``metadata.max.idle.ms``, fatal errors.

Clocks are the client's own, in whole milliseconds.
"""

from __future__ import annotations

from typing import Final

from kafkasim.clients.java_hash import hash_order, topic_partition_hash
from kafkasim.clients.settings import UNLIMITED, Backoff, ClientSettings
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.streams import Stream
from kafkasim.messages import MetadataBody, MetadataReply
from kafkasim.protocol import TopicPartition

NEVER_MS: Final = -(1 << 60)
"""Kafka starts from 0 where its clock reads the time since 1970."""


class Metadata:
    """Leaders, epochs and live brokers as one client knows them.

    ``nodes`` are connection ids: negative ones lead to bootstrap servers until the first
    answer.  ``version`` grows with every answer and ``changes`` with everything that can
    alter a leader, an epoch or the list of nodes.
    """

    def __init__(self, settings: ClientSettings, draws: Stream, clock: Clock, bootstrap: list[int]) -> None:
        self._settings = settings
        self._draws = draws
        self._clock = clock
        self._backoff = Backoff(settings.retry_backoff_ms, settings.retry_backoff_max_ms, settings, draws)
        self.version: int = 1
        self.changes: int = 1
        self.request_version: int = 0
        self.nodes: list[int] = list(bootstrap)
        self.bootstrapped: bool = False
        self.controller: int = -1
        self.need_full: bool = True
        self.need_partial: bool = False
        self.last_refresh_ms: int = NEVER_MS
        self.last_success_ms: int = NEVER_MS
        self._attempts: int = 0
        self._equivalent_answers: int = 0
        self._topics: list[str] = []
        self._new_topics: list[str] = []
        self._order: list[TopicPartition] = []
        self._hashes: dict[int, int] = {}
        self._leaders: dict[int, int] = {}
        self._epochs: dict[int, int] = {}
        self._by_topic: dict[str, list[TopicPartition]] = {}
        self._by_node: dict[int, list[TopicPartition]] = {}
        self._available: dict[str, list[TopicPartition]] = {}

    # -- what is known

    def leader(self, tp: TopicPartition) -> int:
        """The broker that leads ``tp``, -1 if none is known."""
        return self._leaders.get(tp.index, -1)

    def leader_epoch(self, tp: TopicPartition) -> int:
        """The newest leader epoch seen, -1 if none."""
        return self._epochs.get(tp.index, -1)

    def knows(self, topic: str) -> bool:
        """Whether an answer has described ``topic``."""
        return topic in self._by_topic

    def partitions(self, topic: str) -> list[TopicPartition]:
        """All partitions of ``topic`` by number (empty if unknown)."""
        return sorted(self._by_topic.get(topic, []), key=_number)

    def available(self, topic: str) -> list[TopicPartition]:
        """Partitions of ``topic`` with a known leader, in the order of Kafka's hash map."""
        return self._available.get(topic, [])

    def partitions_of(self, node: int) -> list[TopicPartition]:
        """Partitions that ``node`` leads, in the order in which a producer drains them."""
        return self._by_node.get(node, [])

    # -- topics

    def topics(self) -> list[str]:
        """The topics asked for in a full update."""
        return self._topics

    def add_topic(self, topic: str) -> bool:
        """Ask for ``topic`` from now on; a new one is asked for at once, by itself."""
        if topic in self._topics:
            return False
        self._topics.append(topic)
        self._new_topics.append(topic)
        self._request_new_topics()
        return True

    def set_topics(self, topics: list[str]) -> None:
        """Exactly these topics from now on (a consumer's subscription)."""
        added = [topic for topic in topics if topic not in self._topics]
        self._topics = list(topics)
        self._new_topics = [topic for topic in self._new_topics if topic in topics] + added
        if added:
            self._request_new_topics()

    def request_update_for_topic(self, topic: str) -> None:
        """Ask again because ``topic`` is still unknown."""
        if topic in self._new_topics:
            self._request_new_topics()
        else:
            self.need_full = True

    def _request_new_topics(self) -> None:
        self.last_refresh_ms = NEVER_MS
        self.need_partial = True
        self._equivalent_answers = 0
        self.request_version += 1

    # -- when to ask

    def request_update(self, now: float = 0.0, reset_backoff: bool = False) -> None:
        """Ask for everything at the next opportunity."""
        self.need_full = True
        if reset_backoff:
            self._equivalent_answers = 0

    def update_requested(self) -> bool:
        """Whether something asked for an update that has not come yet."""
        return self.need_full or self.need_partial

    def expired(self, now_ms: int) -> bool:
        """Whether the last full update is ``metadata.max.age.ms`` old."""
        return self.last_success_ms + self._settings.metadata_max_age_ms <= now_ms

    def time_to_next_update(self, now: float) -> float:
        """Seconds until a metadata request is due (0: now)."""
        return self.wait_ms(self._clock.ms(now)) / 1000.0

    def wait_ms(self, now_ms: int) -> int:
        """Milliseconds until a metadata request is due."""
        if not (self.need_full or self.need_partial):
            expires_ms = self.last_success_ms + self._settings.metadata_max_age_ms - now_ms
            if expires_ms > 2 * self._settings.retry_backoff_max_ms:
                return expires_ms
            return max(expires_ms, self._pause_ms(now_ms), 0)
        return self._pause_ms(now_ms)

    def _pause_ms(self, now_ms: int) -> int:
        since_ms = now_ms - self.last_refresh_ms
        if not self._settings.counts_equivalent_responses:
            return max(self._settings.retry_backoff_ms - since_ms, 0)
        attempts = self._attempts
        pause_ms = max(self._backoff.draw_ms(attempts - 1 if attempts > 0 else 0) - since_ms, 0)
        if self.expired(now_ms):
            self._equivalent_answers = 0
        if self._equivalent_answers > 0:
            pause_ms = max(pause_ms, self._backoff.draw_ms(self._equivalent_answers - 1) - since_ms)
        return pause_ms

    def next_body(self, now_ms: int) -> tuple[MetadataBody, bool]:
        """The body of the request that is due, and whether it asks for new topics only."""
        if not self.need_full and self.last_success_ms + self._settings.metadata_max_age_ms > now_ms:
            return MetadataBody(tuple(self._new_topics)), True
        return MetadataBody(tuple(self._topics)), False

    def failed_update(self, now_ms: int) -> None:
        """A request failed, or a connection while one was due."""
        self.last_refresh_ms = now_ms
        self._attempts += 1
        self._equivalent_answers = 0

    # -- answers

    def update(self, request_version: int, reply: MetadataReply, partial: bool, now_ms: int) -> list[TopicPartition]:
        """Take an answer in; returns the partitions whose known leader or epoch it changed."""
        self.need_partial = request_version < self.request_version
        self.last_refresh_ms = now_ms
        self._attempts = 0
        self.version += 1
        self.changes += 1
        if not partial:
            self.need_full = False
            self.last_success_ms = now_ms
        self._equivalent_answers += 1
        self.bootstrapped = True
        self.controller = reply.controller
        brokers = list(reply.brokers)
        described: list[TopicPartition] = []
        changed: list[TopicPartition] = []
        answered = reply.topics
        for topic in answered:
            if topic not in self._topics:
                continue
            if not answered[topic]:
                self.need_full = True
            for tp in answered[topic]:
                described.append(tp)
                if self._learn(tp, reply, brokers):
                    changed.append(tp)
        missing = [topic for topic in self._topics if topic not in answered and not partial]
        if missing:
            self.need_full = True
        self._new_topics = [topic for topic in self._new_topics if topic not in answered]
        if partial:
            self._merge(described, [tp for tp in self._order if tp.topic not in answered])
            # Nodes of the newest answer count; leaders known before keep theirs.
        else:
            self._snapshot(described)
        self._set_nodes(brokers)
        self._index()
        return changed

    def _learn(self, tp: TopicPartition, reply: MetadataReply, brokers: list[int]) -> bool:
        leader, epoch = reply.leaders.get(tp.index, (-1, -1))
        if not self._settings.remembers_epochs or (self._settings.distrusts_old_epochs and not reply.reliable_epochs):
            epoch = -1
        if leader not in brokers:
            leader = -1
        if leader < 0:
            self.need_full = True
        known = self._epochs.get(tp.index)
        if known is not None and epoch < known:
            return False
        before = self._leaders.get(tp.index)
        self._leaders[tp.index] = leader
        if known is None or epoch > known:
            self._epochs[tp.index] = epoch
            self._equivalent_answers = 0
        return known is not None and (epoch > known or before != leader)

    def update_leader(self, tp: TopicPartition, leader: int, epoch: int) -> bool:
        """Take a leader from an error answer (KIP-951); True if it is news."""
        return bool(self.update_leaders([(tp, leader, epoch)]))

    def update_leaders(self, hints: list[tuple[TopicPartition, int, int]]) -> list[TopicPartition]:
        """Take the leaders that one answer hints at; returns the partitions for which they are news."""
        updated: list[TopicPartition] = []
        for tp, leader, epoch in hints:
            if leader < 0 or epoch < 0 or tp.index not in self._leaders:
                continue
            if epoch <= self._epochs.get(tp.index, -1):
                continue
            self._epochs[tp.index] = epoch
            self._leaders[tp.index] = leader
            if leader not in self.nodes:
                self.nodes.append(leader)
            updated.append(tp)
        if updated:
            self.changes += 1
            self._merge(updated, [tp for tp in self._order if tp not in updated])
            self._index()
        return updated

    # -- the order of Kafka's hash maps

    def _hash(self, tp: TopicPartition) -> int:
        code = self._hashes.get(tp.index, -1)
        if code < 0:
            code = self._hashes[tp.index] = topic_partition_hash(tp.topic, tp.partition)
        return code

    def _merge(self, first: list[TopicPartition], rest: list[TopicPartition]) -> None:
        merged = first + rest
        order = hash_order([self._hash(tp) for tp in merged], len(first))
        self._snapshot([merged[position] for position in order])

    def _snapshot(self, partitions: list[TopicPartition]) -> None:
        order = hash_order([self._hash(tp) for tp in partitions], len(partitions))
        self._order = [partitions[position] for position in order]

    def _set_nodes(self, brokers: list[int]) -> None:
        nodes = sorted(brokers)
        if self._settings.random_order:
            nodes = [nodes[position] for position in self._draws.shuffled(len(nodes))]
        self.nodes = nodes

    def _index(self) -> None:
        self._by_topic = {}
        self._by_node = {}
        self._available = {}
        for tp in self._order:
            self._by_topic.setdefault(tp.topic, []).append(tp)
            leader = self._leaders.get(tp.index, -1)
            if leader >= 0:
                self._by_node.setdefault(leader, []).append(tp)
                self._available.setdefault(tp.topic, []).append(tp)


def _number(tp: TopicPartition) -> int:
    return tp.partition


__all__ = ["NEVER_MS", "UNLIMITED", "Metadata"]
