"""What ZooKeeper has committed about a partition: the quorum's own view, which no broker need share.

Stands for ``quorumState`` of ``KafkaReplication.tla`` (hachikuji/kafka-specification) and for the controller's metadata
of ``v3_5_properties.tla`` (Vanlightly/kafka-tlaplus): the znode ``/brokers/topics/T/partitions/P/state``.
"""

from __future__ import annotations

from dataclasses import dataclass

from kafkasim.protocol import TopicPartition
from kafkasim.zookeeper.ensemble import Ensemble
from kafkasim.zookeeper.tree import DataTree


@dataclass(frozen=True, slots=True)
class Truth:
    """Leader (-1: none), leader epoch and ISR of a partition as the ensemble has committed them."""

    leader: int
    leader_epoch: int
    isr: tuple[int, ...]


class QuorumView:
    """Reads the newest committed state; a server applies only what the quorum has committed."""

    def __init__(self, ensemble: Ensemble) -> None:
        self._servers = ensemble.servers()
        self._paths: dict[int, str] = {}

    def of(self, tp: TopicPartition) -> Truth | None:
        """The state of ``tp``; None before it is created and after it is deleted."""
        path = self._paths.get(tp.index)
        if path is None:
            path = self._paths[tp.index] = f"/brokers/topics/{tp.topic}/partitions/{tp.partition}/state"
        node = self._newest().nodes.get(path)
        if node is None or node.data is None:
            return None
        leader, leader_epoch, isr, _ = node.data
        return Truth(leader, leader_epoch, tuple(isr))

    def _newest(self) -> DataTree:
        newest = self._servers[0].tree
        for server in self._servers:
            if server.tree.last_zxid > newest.last_zxid:
                newest = server.tree
        return newest
