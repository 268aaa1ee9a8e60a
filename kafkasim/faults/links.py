"""``partition``, ``latency`` and ``loss``: faults of the links between two sets of machines."""

from __future__ import annotations

from kafkasim.cluster import Cluster
from kafkasim.faults.fault import NoEffect
from kafkasim.hosts.host import Host
from kafkasim.network import LinkFault
from kafkasim.scenario.places import OTHERS, LinkFaultSpec, PlaceSpec


class BrokenLinks:
    """Links that are cut, slower or lossy, until the end of the fault (``for_s`` None: of the run)."""

    def __init__(self, cluster: Cluster, verb: str, spec: LinkFaultSpec, for_s: float | None, cause: int) -> None:
        self.hit = str(spec)
        self.actor = "network"
        self._cluster = cluster
        self._over = False
        self._fault = _fault(cluster, verb, spec, cause)
        cluster.network.begin(self._fault)
        if for_s is not None:
            cluster.env.call_at(cluster.env.now + for_s, self._end)

    def undone(self) -> bool:
        """The links are as before."""
        return self._over

    def _end(self, _: None) -> None:
        self._cluster.network.end(self._fault)
        self._over = True


def _fault(cluster: Cluster, verb: str, spec: LinkFaultSpec, cause: int) -> LinkFault:
    sources, targets = spec.sources, spec.targets
    both_ways = spec.both_ways
    if any(place.kind == OTHERS for place in sources):
        sources, targets = targets, sources
        if not both_ways:
            raise NoEffect("others can only be the receiving end of a one-way fault")
    near = _hosts(cluster, sources)
    far = None if any(place.kind == OTHERS for place in targets) else _hosts(cluster, targets)
    if far is not None and all(host in near for host in far) and len(near) == 1:
        raise NoEffect("both ends are one machine")
    return LinkFault(near, far, both_ways, verb == "partition", spec.latency_s, spec.jitter_s, spec.probability, cause)


def _hosts(cluster: Cluster, places: tuple[PlaceSpec, ...]) -> list[Host]:
    """The machines of some places, each once, in the order in which they are named."""
    found: dict[str, Host] = {}
    for place in places:
        for host in _machines(cluster, place):
            found.setdefault(host.name, host)
    return list(found.values())


def _machines(cluster: Cluster, place: PlaceSpec) -> list[Host]:
    ensemble = cluster.ensemble
    match place.kind:
        case "broker":
            return [cluster.brokers[int(place.id or 0)].host]
        case "brokers":
            return [cluster.brokers[number].host for number in cluster.broker_ids]
        case "zookeeper":
            return [ensemble.server(int(place.id or 0)).host]
        case "ensemble":
            return [server.host for server in ensemble.servers()]
        case "zookeeper_leader":
            leader = ensemble.leader_id()
            if leader is None:
                raise NoEffect("the ensemble has no leader")
            return [ensemble.server(leader).host]
        case "controller":
            controller = cluster.active_controller()
            if controller is None:
                raise NoEffect("there is no controller")
            return [controller.host]
        case "rack":
            return [host for host in cluster.hosts if host.rack == place.name]
    return cluster.client_hosts(None if place.kind == "clients" else place.name)
