"""``elect_preferred_leaders`` and ``elect_leaders``: an administrator's request to the controller."""

from __future__ import annotations

from kafkasim.cluster import Cluster
from kafkasim.faults.administrator import AdminOrder
from kafkasim.hosts.host import Host
from kafkasim.messages import ElectLeadersBody
from kafkasim.protocol import ELECT_LEADERS, ELECTION_NOT_NEEDED, NONE, Request
from kafkasim.scenario.model import ElectionSpec

_REQUEST_BASE_BYTES = 40
_REQUEST_PARTITION_BYTES = 4


class LeaderElection(AdminOrder):
    """kafka-leader-election: preferred leaders, or any leader (unclean), for some partitions or all."""

    def __init__(self, cluster: Cluster, host: Host, spec: ElectionSpec, cause: int) -> None:
        self._spec = spec
        super().__init__(cluster, host, str(spec), cause)

    def request(self) -> Request:
        """Ask for every partition that is meant."""
        spec = self._spec
        topics = self._cluster.topics
        partitions = topics.all() if spec.topic is None else topics.partitions(spec.topic)
        if spec.partition is not None:
            partitions = [topics.partition(str(spec.topic), spec.partition)]
        size = _REQUEST_BASE_BYTES + _REQUEST_PARTITION_BYTES * len(partitions)
        body = ElectLeadersBody(list(partitions), self._cause, spec.unclean)
        return Request(ELECT_LEADERS, size, body, self._cause)

    def answered(self, request: Request) -> bool:
        """Of an unclean election it is told how it went."""
        if not super().answered(request):
            return False
        if self._spec.unclean:
            errors = [error for error in request.reply.values() if error != ELECTION_NOT_NEEDED]
            elected = sum(1 for error in errors if error == NONE)
            self.note("unclean_election", f"{elected} of {len(errors)} partitions without a leader have one")
        return True
