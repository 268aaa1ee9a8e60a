"""An administrator's client: finds the controller, asks, asks again until it is answered."""

from __future__ import annotations

from typing import Any

from kafkasim.cluster import Cluster
from kafkasim.connection import Connection, ConnectionOwner
from kafkasim.hosts.host import Host
from kafkasim.protocol import NONE, Request

RETRY_S = 0.1


class AdminOrder(ConnectionOwner):
    """One request to the controller; an order derives from it and says when it is done."""

    def __init__(self, cluster: Cluster, host: Host, hit: str, cause: int) -> None:
        self.hit = hit
        self.actor = "administrator"
        self.answered_at: float | None = None
        self.error = NONE
        self._cluster = cluster
        self._host = host
        self._cause = cause
        self._ask(None)

    def undone(self) -> bool:
        """The controller has answered."""
        return self.answered_at is not None

    def request(self) -> Request:
        """What is asked."""
        raise NotImplementedError

    def answered(self, request: Request) -> bool:
        """Take the answer; False if it has to be asked again."""
        return bool(request.error == NONE)

    def note(self, event: str, detail: str) -> int:
        """A row of the timeline."""
        return self._cluster.timeline.add(self._cluster.env.now, self.actor, event, detail, self._cause)

    def _ask(self, _: Any) -> None:
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
        """Ask."""
        connection.send(self.request(), self._cluster.env.now)

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
        if not self.answered(request):
            self._again()
            return
        self.answered_at = self._cluster.env.now
