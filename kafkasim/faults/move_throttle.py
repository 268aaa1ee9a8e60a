"""The throttle of a reassignment, as ``kafka-reassign-partitions --throttle`` sets and removes it.

Leaders hold back what they send of each moving partition (``leader.replication.throttled.replicas``: all its replicas
of before), its new replicas what they take (``follower.replication.throttled.replicas``), each broker up to the rate.

Approximation: brokers know of it at once; the tool writes the configs to ZooKeeper, which takes some milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from kafkasim.cluster import Cluster


class MoveThrottle:
    """What is throttled for one reassignment: ``targets`` are the replicas of each partition by its number."""

    def __init__(self, cluster: Cluster, targets: Mapping[int, tuple[int, ...]], bytes_per_s: float) -> None:
        self._cluster = cluster
        self._topics: dict[str, None] = {}
        leading: dict[str, list[str]] = {}
        following: dict[str, list[str]] = {}
        involved: dict[int, None] = {}
        for index, target in targets.items():
            tp = cluster.topics.by_index(index)
            before = [replica.broker_id for replica in cluster.board.replicas[index]]
            fresh = [broker for broker in target if broker not in before]
            if not fresh:
                continue
            self._topics[tp.topic] = None
            leading.setdefault(tp.topic, []).extend(f"{tp.partition}:{broker}" for broker in before)
            following.setdefault(tp.topic, []).extend(f"{tp.partition}:{broker}" for broker in fresh)
            involved.update(dict.fromkeys([*before, *fresh]))
        self._brokers = sorted(involved)
        for broker in self._brokers:
            throttles = cluster.brokers[broker].replication_throttles
            throttles.limit(bytes_per_s)
            for topic in self._topics:
                throttles.throttle(topic, leading[topic], following[topic])

    def lift(self) -> None:
        """Rates and lists are what the scenario's configs say again."""
        for broker in self._brokers:
            throttles = self._cluster.brokers[broker].replication_throttles
            throttles.limit(None)
            throttles.from_topics(self._cluster.topics, self._topics)
