"""``random_faults``: faults of several kinds at exponential gaps, each on a target drawn alike.

Every kind has a stream of draws for its gaps and one for its targets, so that neither the cluster's state nor another
kind shifts them: two variants of a scenario meet the same faults. A fault whose target is down has no effect, and the
timeline says so.
"""

from __future__ import annotations

from collections.abc import Callable

from kafkasim.cluster import Cluster
from kafkasim.faults.targets import everywhere
from kafkasim.scenario.model import EventSpec, RandomFaultsSpec
from kafkasim.scenario.places import OTHERS, LinkFaultSpec, PlaceSpec
from kafkasim.scenario.targets import TargetSpec


class RandomFaults:
    """The draws of one event; ``begin(spec, cause)`` makes a drawn fault happen."""

    def __init__(
        self,
        cluster: Cluster,
        spec: RandomFaultsSpec,
        until_s: float,
        number: int,
        cause: int,
        begin: Callable[[EventSpec, int], None],
    ) -> None:
        self._cluster = cluster
        self._spec = spec
        self._until_s = until_s
        self._cause = cause
        self._begin = begin
        self._targets = [
            process
            for process in everywhere(cluster)
            if spec.targets == "all" or process.kind == ("broker" if spec.targets == "brokers" else "zookeeper")
        ]
        streams = cluster.streams
        self._gaps = {verb: streams.stream(f"random faults/{number}/{verb}/gaps") for verb in spec.kinds}
        self._draws = {verb: streams.stream(f"random faults/{number}/{verb}/targets") for verb in spec.kinds}
        for verb in spec.kinds:
            self._plan(verb)

    def _plan(self, verb: str) -> None:
        env = self._cluster.env
        at = env.now + self._gaps[verb].exponential(self._spec.kinds[verb][0])
        if at < self._until_s:
            env.call_at(at, self._fire, verb)

    def _fire(self, verb: str) -> None:
        process = self._targets[self._draws[verb].integer(len(self._targets))]
        now, for_s = self._cluster.env.now, self._spec.kinds[verb][1]
        if verb == "partition":
            places = (PlaceSpec(process.kind, id=process.number),), (PlaceSpec(OTHERS),)
            spec = EventSpec(now, verb, for_s=for_s, link=LinkFaultSpec(*places, both_ways=True))
        else:
            spec = EventSpec(now, verb, TargetSpec(process.kind, id=process.number), for_s)
        self._begin(spec, self._cause)
        self._plan(verb)
