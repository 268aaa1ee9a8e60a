"""Whom an event hits: an id, or a role that is looked up when the event begins."""

from __future__ import annotations

from kafkasim.cluster import Cluster
from kafkasim.kernel.streams import Stream
from kafkasim.scenario.targets import TargetSpec


class NoTarget(Exception):
    """The role is vacant at that moment (there is no controller, no leader …)."""


def find(cluster: Cluster, target: TargetSpec, draws: Stream) -> tuple[str, int]:
    """(``broker`` or ``zookeeper``, id) of the process that ``target`` names now."""
    if target.kind in ("broker", "zookeeper"):
        return target.kind, int(target.id or 0)
    if target.kind == "zookeeper_leader":
        leader = cluster.ensemble.leader_id()
        if leader is None:
            raise NoTarget("the ensemble has no leader")
        return "zookeeper", leader
    if target.kind == "controller":
        controller = cluster.active_controller()
        if controller is None:
            raise NoTarget("there is no controller")
        return "broker", controller.id
    if target.kind == "leader_of":
        tp = cluster.topics.partition(str(target.topic), int(target.partition or 0))
        leader = cluster.board.leaders[tp.index]
        if leader < 0:
            raise NoTarget(f"{tp} has no leader")
        return "broker", leader
    up = [broker_id for broker_id in cluster.broker_ids if cluster.brokers[broker_id].up]
    if not up:
        raise NoTarget("no broker is up")
    return "broker", up[draws.integer(len(up))]
