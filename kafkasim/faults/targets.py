"""Whom an event hits: an id, a rack, or a role that is looked up when the event begins."""

from __future__ import annotations

from dataclasses import dataclass

from kafkasim.cluster import Cluster
from kafkasim.faults.fault import NoEffect
from kafkasim.hosts.host import Host
from kafkasim.kernel.streams import Stream
from kafkasim.scenario.targets import TargetSpec


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the cluster: ``kind`` is ``broker`` or ``zookeeper``."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


def is_up(cluster: Cluster, process: Process) -> bool:
    """Whether the process runs."""
    if process.kind == "broker":
        return cluster.brokers[process.number].up
    return cluster.ensemble.is_up(process.number)


def is_stopping(cluster: Cluster, process: Process) -> bool:
    """Whether the process has been told to stop and has not stopped yet."""
    return process.kind == "broker" and cluster.brokers[process.number].stopping


def host_of(cluster: Cluster, process: Process) -> Host:
    """The machine that a process runs on."""
    if process.kind == "broker":
        return cluster.brokers[process.number].host
    return cluster.ensemble.server(process.number).host


def everywhere(cluster: Cluster) -> list[Process]:
    """All brokers and servers."""
    servers = [Process("zookeeper", server.id) for server in cluster.ensemble.servers()]
    return [*(Process("broker", number) for number in cluster.broker_ids), *servers]


def find(cluster: Cluster, target: TargetSpec, draws: Stream) -> list[Process]:
    """The processes that ``target`` names now; :class:`NoEffect` if the role is vacant."""
    if target.kind == "rack":
        return in_rack(cluster, str(target.name))
    return [_one(cluster, target, draws)]


def in_rack(cluster: Cluster, rack: str) -> list[Process]:
    """The brokers and servers that stand in a rack."""
    return [process for process in everywhere(cluster) if host_of(cluster, process).rack == rack]


def _one(cluster: Cluster, target: TargetSpec, draws: Stream) -> Process:
    if target.kind in ("broker", "zookeeper"):
        return Process(target.kind, int(target.id or 0))
    if target.kind == "zookeeper_leader":
        leader = cluster.ensemble.leader_id()
        if leader is None:
            raise NoEffect("the ensemble has no leader")
        return Process("zookeeper", leader)
    if target.kind == "controller":
        controller = cluster.active_controller()
        if controller is None:
            raise NoEffect("there is no controller")
        return Process("broker", controller.id)
    if target.kind == "leader_of":
        tp = cluster.topics.partition(str(target.topic), int(target.partition or 0))
        number = cluster.board.leaders[tp.index]
        if number < 0:
            raise NoEffect(f"{tp} has no leader")
        return Process("broker", number)
    up = [broker_id for broker_id in cluster.broker_ids if cluster.brokers[broker_id].up]
    if not up:
        raise NoEffect("no broker is up")
    return Process("broker", up[draws.integer(len(up))])
