"""``elect_preferred_leaders``: an administrator's request to the controller."""

from __future__ import annotations

from kafkasim.faults.administrator import AdminOrder
from kafkasim.messages import ElectLeadersBody
from kafkasim.protocol import ELECT_LEADERS, Request

_REQUEST_BASE_BYTES = 40
_REQUEST_PARTITION_BYTES = 4


class PreferredElection(AdminOrder):
    """Preferred leaders for every partition."""

    def request(self) -> Request:
        """Ask for every partition."""
        partitions = self._cluster.topics.all()
        size = _REQUEST_BASE_BYTES + _REQUEST_PARTITION_BYTES * len(partitions)
        body = ElectLeadersBody(list(partitions), self._cause)
        return Request(ELECT_LEADERS, size, body, self._cause)
