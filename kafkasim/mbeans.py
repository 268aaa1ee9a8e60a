"""Metrics of brokers and controllers under the names that Kafka's MBeans have, sampled with the other series.

Stands for the metrics of ``ReplicaManager``, ``SocketServer``, ``KafkaRequestHandlerPool``, ``BrokerTopicStats``,
``SessionExpireListener`` and ``KafkaController``.  A meter is given as its growth a second within an interval, not as
Kafka's moving averages.  What walks a broker's replicas is left out on brokers with more than ``MOST_REPLICAS``,
unless an expectation asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kafkasim.broker.broker import Broker
from kafkasim.broker.partition import LEADER
from kafkasim.cluster import Cluster

MOST_REPLICAS = 1000
WALKS = (
    "PartitionCount", "LeaderCount", "UnderMinIsrPartitionCount", "AtMinIsrPartitionCount", "IsrShrinksPerSec",
    "IsrExpandsPerSec",
)  # fmt: skip
"""Metrics for which all replicas of a broker are looked at."""


class _Replicas:
    """One look at a broker's replicas, shared by the metrics of one moment."""

    def __init__(self, cluster: Cluster, broker: Broker) -> None:
        self._cluster = cluster
        self._broker = broker
        self._looked_at = -1.0
        self._values: tuple[int, ...] = ()

    def read(self, place: int) -> float:
        now = self._cluster.env.now
        if now != self._looked_at:
            self._looked_at = now
            self._values = self._look()
        return float(self._values[place])

    def _look(self) -> tuple[int, ...]:
        replicas = leaders = under = at = shrinks = expands = 0
        up = self._broker.up
        for partition in self._broker.replicas.partitions.values():
            shrinks += partition.isr_shrinks
            expands += partition.isr_expands
            if not up:
                continue
            replicas += 1
            if partition.role == LEADER:
                leaders += 1
                size = len(partition.in_sync_replicas)
                under += size < partition.effective_min_isr
                at += size == partition.effective_min_isr
        return replicas, leaders, under, at, shrinks, expands


def add_mbeans(cluster: Cluster, asked: tuple[str, ...]) -> None:
    """Register the metrics of every broker; ``asked``: names that expectations need."""
    series = cluster.series
    for broker_id in cluster.broker_ids:
        broker = cluster.brokers[broker_id]
        few = len(broker.replicas.partitions) <= MOST_REPLICAS
        look = _Replicas(cluster, broker)
        for place, name in enumerate(WALKS):
            if few or name in asked:
                add = series.rate if name.endswith("PerSec") else series.gauge
                add(name, partial(look.read, place), broker=broker_id)
        for name, read in _meters(broker):
            series.rate(name, read, broker=broker_id)
        series.rate("RequestHandlerAvgIdlePercent", partial(_idle_handlers, cluster, broker), broker=broker_id)
        series.rate("NetworkProcessorAvgIdlePercent", partial(_idle_processors, cluster, broker), broker=broker_id)
    series.rate("UncleanLeaderElectionsPerSec", lambda: float(_unclean(cluster)))
    series.gauge("ActiveBrokerCount", lambda: float(_live(cluster)))
    series.gauge("PreferredReplicaImbalanceCount", lambda: float(_imbalance(cluster)))
    series.gauge("EventQueueSize", lambda: float(_queued(cluster)))


def _meters(broker: Broker) -> list[tuple[str, Callable[[], float]]]:
    replicas = broker.replicas
    return [
        ("FailedIsrUpdatesPerSec", lambda: float(broker.isr_manager.failed_updates)),
        ("TotalFetchRequestsPerSec", lambda: float(replicas.fetch_requests)),
        ("ZooKeeperExpiresPerSec", lambda: float(broker.zookeeper_expires)),
        ("ZooKeeperDisconnectsPerSec", lambda: float(broker.zookeeper_disconnects)),
    ]


def _idle_handlers(cluster: Cluster, broker: Broker) -> float:
    """Idle seconds so far: their growth a second is the idle share."""
    now = cluster.env.now
    return now - broker.server.handlers.busy_until(now) / broker.server.handlers.workers


def _idle_processors(cluster: Cluster, broker: Broker) -> float:
    now = cluster.env.now
    processors = broker.server.processors
    return now - sum(one.busy_until(now) for one in processors) / len(processors)


def _unclean(cluster: Cluster) -> int:
    brokers = cluster.brokers.values()
    return sum(b.earlier_unclean_elections + (b.controller.unclean_leader_elections if b.up else 0) for b in brokers)


def _live(cluster: Cluster) -> int:
    controller = cluster.active_controller()
    return 0 if controller is None else len(controller.controller.context.live)


def _queued(cluster: Cluster) -> int:
    controller = cluster.active_controller()
    return 0 if controller is None else controller.controller.event_queue_size


def _imbalance(cluster: Cluster) -> int:
    controller = cluster.active_controller()
    return 0 if controller is None else controller.controller.preferred_replica_imbalance_count
