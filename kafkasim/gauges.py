"""What is sampled at each interval of the report, and how busy every station was."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kafkasim.broker.broker import Broker
from kafkasim.cluster import Cluster, Group
from kafkasim.mbeans import add_mbeans
from kafkasim.protocol import TopicPartition

MOST_SERIES = 5000
"""In a larger cluster only the partitions that clients use have series of their own."""


def add_gauges(cluster: Cluster, asked: tuple[str, ...] = ()) -> None:
    """Register every time series that is not traffic; ``asked``: metrics that expectations need."""
    add_mbeans(cluster, asked)
    series = cluster.series
    board = cluster.board
    used = {**dict.fromkeys(p.topic for p in cluster.scenario.producers)}
    for consumer in cluster.scenario.consumers:
        used.update(dict.fromkeys(consumer.topics))
    few = len(cluster.topics) <= MOST_SERIES
    for tp in cluster.topics.all():
        if not cluster.topics.is_internal(tp.topic) and (few or tp.topic in used):
            series.gauge("isr_size_replicas", partial(_isr, cluster, tp), topic=tp.topic, partition=tp.partition)
    series.gauge("UnderReplicatedPartitions", lambda: float(board.under_replicated_at_leaders()))
    series.gauge("OfflinePartitionsCount", lambda: float(cluster.offline_partitions()))
    series.gauge("ActiveControllerCount", lambda: float(sum(b.controller.active for b in cluster.brokers.values())))
    for group in cluster.groups.values():
        for tp in group.partitions:
            series.gauge(
                "consumer_lag_records", partial(_lag, cluster, group, tp),
                group=group.name, topic=tp.topic, partition=tp.partition,
            )  # fmt: skip
    for broker_id in cluster.broker_ids:
        broker = cluster.brokers[broker_id]
        for name, busy in _busy(broker):
            series.rate("utilisation_fraction", partial(busy, cluster), broker=broker_id, station=name)
        series.gauge("RequestQueueSize", partial(_queue, broker), broker=broker_id)


def _isr(cluster: Cluster, tp: TopicPartition) -> float:
    return float(cluster.board.isr_size[tp.index])


def _lag(cluster: Cluster, group: Group, tp: TopicPartition) -> float:
    return float(cluster.lag(group, tp))


def _queue(broker: Broker) -> float:
    return float(broker.server.handlers.queue_length())


def _busy(broker: Broker) -> list[tuple[str, Callable[[Cluster], float]]]:
    """(station, share of busy seconds so far) of a broker, averaged over its threads."""
    server, host = broker.server, broker.host
    return [
        ("request_handlers", lambda c: server.handlers.busy_until(c.env.now) / server.handlers.workers),
        ("network_threads", lambda c: sum(p.busy_until(c.env.now) for p in server.processors) / len(server.processors)),
        ("nic_out", lambda c: host.nic_out.busy_until(c.env.now)),
        ("nic_in", lambda c: host.nic_in.busy_until(c.env.now)),
        ("disk", lambda c: host.disk.station.busy_until(c.env.now)),
    ]


def station_rows(cluster: Cluster, end_s: float) -> list[dict[str, object]]:
    """One row per station: jobs, utilisation, mean number and mean time waiting, over the whole run."""
    rows: list[dict[str, object]] = []
    for broker_id in cluster.broker_ids:
        broker = cluster.brokers[broker_id]
        name = f"broker {broker_id}"
        handlers = broker.server.handlers
        rows.append(
            _row(
                f"{name} request_handlers",
                handlers.served,
                handlers.busy_until(end_s) / handlers.workers,
                handlers.waiting_s,
                end_s,
            )  # fmt: skip
        )
        processors = broker.server.processors
        rows.append(
            _row(
                f"{name} network_threads",
                sum(p.served for p in processors),
                sum(p.busy_until(end_s) for p in processors) / len(processors),
                sum(p.waiting_s for p in processors),
                end_s,
            )  # fmt: skip
        )
        server = broker.server
        rows.append(_row(f"{name} socket_to_handler", server.requests, 0.0, server.request_wait_s, end_s))
    for host in cluster.hosts:
        for label, station in (("nic_out", host.nic_out), ("nic_in", host.nic_in), ("disk", host.disk.station)):
            if station.served:
                rows.append(
                    _row(f"{host.name} {label}", station.served, station.busy_until(end_s), station.waiting_s, end_s)
                )
        if host.cpu is not None:
            cpu = host.cpu
            rows.append(
                _row(f"{host.name} cpu", cpu.served, cpu.busy_until(end_s) / cpu.channels, cpu.waiting_s, end_s)
            )
    return rows


def controller_rows(cluster: Cluster) -> list[dict[str, object]]:
    """One row per broker whose controller had events: how long they waited (EventQueueTimeMs), which took longest."""
    rows: list[dict[str, object]] = []
    for broker_id in cluster.broker_ids:
        queues = cluster.brokers[broker_id].event_queues
        count = sum(queue.waited.count for queue in queues)
        if not count:
            continue
        kinds = [(times.longest_s, kind) for queue in queues for kind, times in queue.by_kind.items()]
        longest_s, longest = max(kinds, default=(None, None))
        rows.append(
            {
                "broker": broker_id,
                "events": count,
                "mean_queue_time_s": sum(queue.waited.total_s for queue in queues) / count,
                "max_queue_time_s": max(queue.waited.longest_s for queue in queues),
                "longest_event": longest,
                "longest_event_s": longest_s,
            }
        )
    return rows


def _row(station: str, jobs: int, busy_s: float, waiting_s: float, end_s: float) -> dict[str, object]:
    return {
        "station": station,
        "jobs": jobs,
        "utilisation": busy_s / end_s if end_s > 0.0 else 0.0,
        "mean_queue_length": waiting_s / end_s if end_s > 0.0 else None,
        "mean_wait_s": waiting_s / jobs if jobs else None,
    }
