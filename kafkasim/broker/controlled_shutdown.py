"""A broker asks the controller to take its leaderships before it stops.

Stands for ``KafkaServer.controlledShutdown``: a connection of its own to the controller,
``controlled.shutdown.max.retries`` attempts in total, ``controlled.shutdown.retry.backoff.ms`` between them.  A refused
or lost connection, an error, a time-out and partitions that are left all make an attempt fail; after the last one the
broker stops anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from simpy.events import Event

from kafkasim.connection import Connection, ConnectionOwner, Directory
from kafkasim.hosts.host import Host
from kafkasim.kernel.environment import Environment
from kafkasim.messages import ControlledShutdownBody
from kafkasim.network import Network
from kafkasim.protocol import CONTROLLED_SHUTDOWN, NONE, Request

_REQUEST_BYTES = 36
_LOOK_FOR_CONTROLLER = -1


class ControlledShutdown(ConnectionOwner):
    """One broker's farewell; ``attempts`` made so far, ``left`` what it led after the last answer (-1: no answer)."""

    def __init__(
        self,
        env: Environment,
        network: Network,
        directory: Directory,
        host: Host,
        broker_id: int,
        broker_epoch: int,
        controller_id: Callable[[], int],
        config: Mapping[str, Any],
        cause: int,
    ) -> None:
        self.attempts = 0
        self.left = -1
        self.error = NONE
        self.over = False
        self._env = env
        self._network = network
        self._directory = directory
        self._host = host
        self._broker_id = broker_id
        self._broker_epoch = broker_epoch
        self._controller_id = controller_id
        self._max_attempts = int(config["controlled.shutdown.max.retries"])
        self._pause_s = int(config["controlled.shutdown.retry.backoff.ms"]) / 1000.0
        self._timeout_s = int(config["controller.socket.timeout.ms"]) / 1000.0
        self._cause = cause
        self._connection: Connection | None = None
        self._outcome: Event | None = None

    def run(self) -> Generator[Event, Any, bool]:
        """All attempts; True when everything that could be moved was moved."""
        while not self.over and self.attempts < self._max_attempts:
            self.attempts += 1
            if (yield from self._attempt()):
                self.stop()
                return True
            if self.attempts < self._max_attempts:
                yield self._env.at(self._env.now + self._pause_s)
        self.stop()
        return False

    def stop(self) -> None:
        """The process ends: no answer counts any more, who waits for one waits for ever."""
        self.over = True
        self._outcome = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _attempt(self) -> Generator[Event, Any, bool]:
        controller = self._controller_id()
        if controller == _LOOK_FOR_CONTROLLER:
            return False
        outcome = self._outcome = self._env.event()
        connection = self._connection
        if connection is None or connection.node_id != controller:
            if connection is not None:
                connection.close()
            connection = self._connection = Connection(
                self._network, f"controlled-shutdown/{self._broker_id}", self, self._host,
                self._directory.server(controller), self._directory.host(controller), controller,
            )  # fmt: skip
            connection.open()
        else:
            self._ask(connection)
        self._env.call_at(self._env.now + self._timeout_s, self._timed_out, outcome)
        answer: Request | None = yield outcome
        if answer is None:
            return False
        self.error = answer.error
        self.left = len(answer.reply) if answer.error == NONE else -1
        return answer.error == NONE and not answer.reply

    def _ask(self, connection: Connection) -> None:
        body = ControlledShutdownBody(self._broker_id, self._broker_epoch, self._cause)
        request = Request(CONTROLLED_SHUTDOWN, _REQUEST_BYTES, body, self._cause)
        connection.send(request, self._env.now)

    def _settle(self, answer: Request | None) -> None:
        outcome, self._outcome = self._outcome, None
        if outcome is not None:
            outcome.succeed(answer)

    def _timed_out(self, outcome: Event) -> None:
        if outcome is self._outcome:
            self._broken()

    def _broken(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._settle(None)

    # the connection's owner

    def connection_opened(self, connection: Connection) -> None:
        """Ask."""
        if connection is self._connection and self._outcome is not None:
            self._ask(connection)

    def connection_refused(self, connection: Connection) -> None:
        """The controller that metadata name is gone."""
        if connection is self._connection:
            self._broken()

    def connection_lost(self, connection: Connection) -> None:
        """It has died meanwhile."""
        if connection is self._connection:
            self._broken()

    def response_arrived(self, request: Request) -> None:
        """The answer."""
        if request.connection is self._connection:
            self._settle(request)
