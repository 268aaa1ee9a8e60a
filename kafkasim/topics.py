"""The topics of a run and their partitions: one object a partition, numbered for tables.

Stands for nothing in Kafka: what every broker and client knows by name is known here by identity.  Who leads what is no
part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kafkasim.protocol import TopicPartition


class Topic:
    """A topic's name, its partitions in order, its own configs (overrides) and whether it is internal.

    ``initial`` of its partitions exist at t = 0; events create the others.
    """

    def __init__(self, name: str, config: Mapping[str, Any], internal: bool) -> None:
        self.name = name
        self.config: dict[str, Any] = dict(config)
        self.internal = internal
        self.partitions: list[TopicPartition] = []
        self.initial: int = 0
        self.own: dict[str, Any] = {}


class Topics:
    """All topics of a run.

    >>> topics = Topics()
    >>> topics.add("tweets", 2, config={"min.insync.replicas": 2})
    [tweets-0, tweets-1]
    >>> topics.by_index(1), topics.min_insync("tweets")
    (tweets-1, 2)
    """

    def __init__(self, default_min_insync: int = 1) -> None:
        self.default_min_insync = default_min_insync
        self._topics: dict[str, Topic] = {}
        self._partitions: list[TopicPartition] = []

    def add(
        self,
        name: str,
        partitions: int,
        config: Mapping[str, Any] | None = None,
        internal: bool = False,
        initial: int | None = None,
        own: Iterable[str] = (),
    ) -> list[TopicPartition]:
        """Create a topic, or add partitions to it, up to ``partitions`` in all; returns the new ones.

        Numbers are given in the order of calls: who builds a cluster adds topics in order of their names.
        ``initial`` of them exist at t = 0 (None: all): a number belongs to a partition before it exists.
        ``own``: which of the configs are the topic's own, whatever a broker says.
        """
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic(name, config or {}, internal)
            topic.own = {config_name: topic.config[config_name] for config_name in own}
        topic.initial = partitions if initial is None else initial
        added = []
        for partition in range(len(topic.partitions), partitions):
            tp = TopicPartition(name, partition, len(self._partitions))
            self._partitions.append(tp)
            topic.partitions.append(tp)
            added.append(tp)
        return added

    def names(self) -> list[str]:
        """The topics' names, sorted."""
        return sorted(self._topics)

    def has(self, topic: str) -> bool:
        """Whether there is such a topic."""
        return topic in self._topics

    def partitions(self, topic: str) -> list[TopicPartition]:
        """The partitions of ``topic`` in order; ``KeyError`` if there is none such."""
        return self._topics[topic].partitions

    def initial(self, topic: str) -> list[TopicPartition]:
        """Those partitions of ``topic`` that exist at t = 0."""
        known = self._topics[topic]
        return known.partitions[: known.initial]

    def partition(self, topic: str, partition: int) -> TopicPartition:
        """One partition of ``topic``."""
        return self._topics[topic].partitions[partition]

    def by_index(self, index: int) -> TopicPartition:
        """The partition with that number."""
        return self._partitions[index]

    def all(self) -> list[TopicPartition]:
        """All partitions, by number."""
        return self._partitions

    def config(self, topic: str) -> dict[str, Any]:
        """The topic's configs: its own, and behind them the brokers' common ones."""
        return self._topics[topic].config

    def own_config(self, topic: str) -> dict[str, Any]:
        """What the topic sets itself, whatever a broker says."""
        return self._topics[topic].own

    def is_internal(self, topic: str) -> bool:
        """Whether it is one of Kafka's own (``__consumer_offsets``)."""
        return self._topics[topic].internal

    def min_insync(self, topic: str) -> int:
        """The topic's ``min.insync.replicas``."""
        return int(self._topics[topic].config.get("min.insync.replicas", self.default_min_insync))

    def __len__(self) -> int:
        """The number of partitions."""
        return len(self._partitions)
