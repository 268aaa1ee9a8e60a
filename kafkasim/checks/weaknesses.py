"""Which invariants a configuration is known to break, and why: then a breach is a finding, else a bug of the model.

Sources: KIP-101 (what truncation to the high watermark loses), KIP-279 (what KIP-101 leaves after fast leader changes),
KIP-320 (fencing by the leader epoch), KIP-966 and ``kip_966_properties.tla`` (a member of the ISR that lost its
unflushed tail, "last replica standing"), Kafka's documentation of ``unclean.leader.election.enable``.
"""

from __future__ import annotations

from typing import Final

from kafkasim.checks.history import PartitionHistory
from kafkasim.cluster import Cluster
from kafkasim.protocol import TopicPartition

LOSING: Final = (
    "LeaderCompleteness", "LeaderCandidateCompleteness", "WeakIsr", "StrongIsr", "LogMatching",
)  # fmt: skip
"""What a leader breaks that does not have all that was committed, until the others have followed it."""
DIVERGING: Final = (*LOSING, "NoFetchAcrossDivergence")
"""What stays broken where nobody looks for the point at which two logs part."""

UNCLEAN: Final = "unclean election: a replica outside of the ISR leads (by config, or by order)"
POWER: Final = "power loss: a member of the ISR lost what it had not flushed (Kafka acknowledges before fsync)"
_ERAS: Final = (
    ((0, 11), DIVERGING, "truncation to the high watermark (before KIP-101, Kafka 0.11)"),
    ((2, 0), DIVERGING, "truncation by epoch without its end in the answer (before KIP-279, Kafka 2.0)"),
    ((2, 1), DIVERGING, "fetches without the leader epoch: no fencing (before KIP-320, Kafka 2.1)"),
)


class Weaknesses:
    """What the release and the configuration of one cluster excuse."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._era: tuple[tuple[str, ...], str] | None = None
        for until, names, reason in _ERAS:
            if cluster.scenario.cluster.version < until:
                self._era = (names, reason)
                break

    def reason(self, rule: str, tp: TopicPartition, history: PartitionHistory) -> str | None:
        """Why ``rule`` may be broken here and now; None if it must hold."""
        if self._era is not None and rule in self._era[0]:
            return self._era[1]
        if rule in DIVERGING and history.powerless:
            # Also where nothing was followed yet: a new controller that never saw a leader away keeps its epoch, in
            # which it goes on with less than it had.
            return POWER
        if rule in LOSING:
            if (history.unclean or self._were_unclean()) and unclean_allowed(self._cluster, tp.topic):
                return UNCLEAN
        return None

    def _were_unclean(self) -> bool:
        return any(broker.controller.unclean_leader_elections for broker in self._cluster.brokers.values())


def unclean_allowed(cluster: Cluster, topic: str) -> bool:
    """Whether a replica outside the ISR of a topic's partition may be elected: by config at any broker, or by order."""
    if any(event.election is not None and event.election.unclean for event in cluster.scenario.events):
        return True
    name = "unclean.leader.election.enable"
    own = cluster.topics.config(topic).get(name)
    if own is not None:
        return bool(own)
    return any(bool(broker.config.get(name, False)) for broker in cluster.brokers.values())
