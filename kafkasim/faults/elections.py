"""``elect_preferred_leaders``: an administrator's request to the controller."""

from __future__ import annotations

from kafkasim.cluster import Cluster
from kafkasim.connection import Connection, ConnectionOwner
from kafkasim.hosts.host import Host
from kafkasim.messages import ElectLeadersBody
from kafkasim.protocol import ELECT_LEADERS, NONE, Request

_REQUEST_BASE_BYTES = 40
_REQUEST_PARTITION_BYTES = 4
RETRY_S = 0.1


class PreferredElection(ConnectionOwner):
    """One administrator's client: finds the controller, asks, asks again until it is answered."""

    def __init__(self, cluster: Cluster, host: Host, partitions: str, cause: int) -> None:
        self.hit = partitions
        self.actor = "administrator"
        self.answered_at: float | None = None
        self._cluster = cluster
        self._host = host
        self._cause = cause
        self._ask(None)

    def undone(self) -> bool:
        """The controller has answered."""
        return self.answered_at is not None

    def _ask(self, _: None) -> None:
        controller = self._cluster.active_controller()
        if controller is None:
            self._again()
            return
        connection = controller.connection("administrator", self, self._host)
        connection.open()

    def _again(self) -> None:
        env = self._cluster.env
        env.call_at(env.now + RETRY_S, self._ask)

    def connection_opened(self, connection: Connection) -> None:
        """Ask for every partition."""
        partitions = self._cluster.topics.all()
        size = _REQUEST_BASE_BYTES + _REQUEST_PARTITION_BYTES * len(partitions)
        body = ElectLeadersBody(list(partitions), self._cause)
        connection.send(Request(ELECT_LEADERS, size, body, self._cause), self._cluster.env.now)

    def connection_refused(self, connection: Connection) -> None:
        """Not there: look for the controller again."""
        self._again()

    def connection_lost(self, connection: Connection) -> None:
        """Died meanwhile: ask the next controller."""
        if self.answered_at is None:
            self._again()

    def response_arrived(self, request: Request) -> None:
        """Done, or not the controller any more."""
        if request.connection is not None:
            request.connection.close()
        if request.error != NONE:
            self._again()
            return
        self.answered_at = self._cluster.env.now
