"""Which anomalies a configuration allows, and why: Kafka's promises, turned round.

Sources: Kafka's documentation of ``acks``, ``enable.idempotence``, ``max.in.flight.requests.per.connection``,
``unclean.leader.election.enable``; KIP-101; ``allowed-error-types`` of Jepsen's ``tests/kafka.clj`` (a
group's polls may skip and go back).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafkasim.checks.weaknesses import unclean_allowed
from kafkasim.metrics.ledger import StreamAccount

if TYPE_CHECKING:
    from kafkasim.cluster import Cluster


class Allowed:
    """The reasons of one cluster; None: not allowed."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        scenario = cluster.scenario
        self._power = cluster.broker_collector.lost_unflushed
        self._configs = {spec.name: scenario.producer_config(spec) for spec in scenario.producers}
        self._grouped = {name: group.spec.group is not None for name, group in cluster.groups.items()}

    def loss(self, stream: StreamAccount) -> str | None:
        """Why acknowledged records of a stream may be lost."""
        acks = str(self._configs[stream.producer]["acks"])
        if acks == "0":
            return "acks=0: written to a socket is acknowledged"
        if acks == "1":
            return "acks=1: the leader alone has it when it is acknowledged"
        return self._whatever_acks(stream.topic)

    def by_leader_alone(self, producer: str) -> bool:
        """Whether a producer is told an offset as soon as the leader has appended."""
        return str(self._configs[producer]["acks"]) == "1"

    def loss_of_topic(self, topic: str) -> str | None:
        """Why records of a topic may be lost after somebody knew their offsets."""
        for producer in self._cluster.scenario.producers:
            if producer.topic == topic and str(self._configs[producer.name]["acks"]) in ("0", "1"):
                return f"acks={self._configs[producer.name]['acks']}: what only the leader had is acknowledged"
        return self._whatever_acks(topic)

    def _whatever_acks(self, topic: str) -> str | None:
        if unclean_allowed(self._cluster, topic):
            return "unclean.leader.election.enable=true: who lacks records may lead"
        if self._power:
            return "a machine lost its power: Kafka acknowledges before anything is flushed"
        if self._cluster.scenario.cluster.version < (0, 11):
            return "followers cut to their high watermark (before KIP-101)"
        return None

    def duplicate(self, stream: StreamAccount) -> str | None:
        """Why a stream's records may be stored twice."""
        config = self._configs[stream.producer]
        if config.get("enable.idempotence"):
            return None
        return None if int(config["retries"]) == 0 else "enable.idempotence=false: what is sent again is stored again"

    def reordering(self, stream: StreamAccount) -> str | None:
        """Why a stream's records may change places."""
        config = self._configs[stream.producer]
        if str(config["acks"]) == "0":
            return "acks=0: nobody waits for a request to arrive, and a later one may be there first"
        if config.get("enable.idempotence") or int(config["max.in.flight.requests.per.connection"]) <= 1:
            return None
        if int(config["retries"]) == 0:
            return None
        return "several requests in flight without idempotence: a later one may be stored before a retry"

    def jump(self, client: str) -> str | None:
        """Why a consumer's position may jump."""
        if self._grouped.get(client, True):
            return "a group: after a rebalance a member goes on where the last commit stands"
        topics = self._cluster.groups[client].spec.topics
        for topic in topics:
            lost = self.loss_of_topic(topic)
            if lost is not None:
                return f"its position may be beyond a leader's log ({lost.partition(':')[0]})"
        return None

    def passed(self, stream: StreamAccount) -> str | None:
        """Why records may be passed over by everybody though they can be read."""
        return self.loss_of_topic(stream.topic)
