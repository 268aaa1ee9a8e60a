"""Where a broker's producer ids come from: blocks of 1000, handed out one by one.

Stands for ``RPCProducerIdManager`` (3.0 and later: the controller is asked, with AllocateProducerIds, and asked for
the next block when nine tenths of one are used) and ``ZkProducerIdManager`` (before: the broker itself moves
``/latest_producer_id_block`` on, at its start and when a block is used up).

Without a block, so for whoever comes first after its start, a broker of 3.6 and later answers
COORDINATOR_LOAD_IN_PROGRESS.  A settled broker has a block.  Left out: the handler thread that waited for the
controller (3.0 to 3.5); before 3.0 a used-up block holds the answers, not the handler thread, until ZooKeeper has
given the next.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

from simpy.events import Event

from kafkasim.connection import OPEN, Connection, ConnectionOwner, Directory
from kafkasim.controller.producer_ids import BLOCK_SIZE
from kafkasim.controller.store import BLOCK_PATH
from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.kernel.environment import Environment
from kafkasim.messages import AllocateProducerIdsBody
from kafkasim.network import Network
from kafkasim.protocol import ALLOCATE_PRODUCER_IDS, COORDINATOR_LOAD_IN_PROGRESS, NONE, Request
from kafkasim.zookeeper.client import ZooKeeperClient
from kafkasim.zookeeper.operations import GetData, SetData

PREFETCH_AT: Final = 900
"""Ids of a block that are used when the next one is asked for."""
RETRY_S: Final = 0.05
"""After a refusal the controller is not asked again for so long."""
CONTROLLER_POLL_S: Final = 0.1
"""Pause while no controller is known."""
_REQUEST_BYTES: Final = 40

Answer = Callable[[int, int], None]
"""Called with (error, producer id)."""


class ProducerIds:
    """The ids of one broker process; ``next(answer)`` answers with an error or an id."""

    def __init__(self) -> None:
        self._first: int = -1
        self._used: int = BLOCK_SIZE

    def next(self, answer: Answer) -> None:
        """Hand out an id, now or as soon as one is there."""
        raise NotImplementedError

    def first_block(self) -> Generator[Event, Any, None]:
        """What a start waits for."""
        raise NotImplementedError

    def settle(self, first: int) -> int:
        """A settled broker has a block: from ``first`` on; returns where the next one begins."""
        self._first, self._used = first, 0
        return first + BLOCK_SIZE

    def close(self) -> None:
        """The process has died."""
        raise NotImplementedError


class ControllerBlocks(ProducerIds, ConnectionOwner):
    """Blocks from the controller; who comes while there is none is told to come again."""

    def __init__(
        self,
        life: Life,
        network: Network,
        directory: Directory,
        host: Host,
        broker_id: int,
        controller_id: Callable[[], int],
        broker_epoch: Callable[[], int],
    ) -> None:
        super().__init__()
        self.refused: int = 0
        self._life = life
        self._network = network
        self._directory = directory
        self._host = host
        self._broker_id = broker_id
        self._controller_id = controller_id
        self._broker_epoch = broker_epoch
        self._next_first: int = -1
        self._asking: bool = False
        self._not_before: float = 0.0
        self._connection: Connection | None = None
        self._generation: int = 0

    def next(self, answer: Answer) -> None:
        """An id of the block; without one COORDINATOR_LOAD_IN_PROGRESS, while the controller is asked."""
        if self._used >= BLOCK_SIZE:
            if self._next_first < 0:
                self._ask()
                self.refused += 1
                answer(COORDINATOR_LOAD_IN_PROGRESS, -1)
                return
            self._first, self._used, self._next_first = self._next_first, 0, -1
        producer_id = self._first + self._used
        self._used += 1
        if self._used >= PREFETCH_AT and self._next_first < 0:
            self._ask()
        answer(NONE, producer_id)

    def first_block(self) -> Generator[Event, Any, None]:
        """A start waits for nothing: the first who needs an id causes the request."""
        yield from ()

    def close(self) -> None:
        """The process has died; the next one has no block."""
        self._generation += 1
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # ---- the controller

    def _ask(self) -> None:
        if not self._asking and self._life.now >= self._not_before:
            self._asking = True
            self._connect(self._generation)

    def _connect(self, generation: int) -> None:
        if generation != self._generation:
            return
        controller = self._controller_id()
        connection = self._connection
        if connection is not None and (connection.node_id != controller or connection.state != OPEN):
            connection.close()
            connection = self._connection = None
        if controller < 0:
            self._again(CONTROLLER_POLL_S)
        elif connection is None:
            self._connection = Connection(
                self._network, f"allocate-producer-ids/{self._broker_id}", self, self._host,
                self._directory.server(controller), self._directory.host(controller), controller,
            )  # fmt: skip
            self._connection.open()
        else:
            self._send(connection)

    def _again(self, delay_s: float) -> None:
        self._life.plan(self._life.now + delay_s, self._connect, self._generation)

    def _send(self, connection: Connection) -> None:
        body = AllocateProducerIdsBody(self._broker_id, self._broker_epoch())
        connection.send(Request(ALLOCATE_PRODUCER_IDS, _REQUEST_BYTES, body), self._life.now)

    def connection_opened(self, connection: Connection) -> None:
        """Ask."""
        if connection is self._connection:
            self._send(connection)

    def connection_refused(self, connection: Connection) -> None:
        """The known controller is gone: try again until metadata names another."""
        self._broken(connection)

    def connection_lost(self, connection: Connection) -> None:
        """As refused, if an answer is owed."""
        self._broken(connection)

    def _broken(self, connection: Connection) -> None:
        if connection is self._connection:
            self._connection = None
            if self._asking:
                self._again(RETRY_S)

    def response_arrived(self, request: Request) -> None:
        """Keep the block; after an error the next who needs an id asks again."""
        if request.connection is not self._connection:
            return
        self._asking = False
        if request.error == NONE:
            self._next_first = int(request.reply)
        else:
            self._not_before = self._life.now + RETRY_S


class ZooKeeperBlocks(ProducerIds):
    """Blocks that the broker takes from ZooKeeper itself: a read and a conditional write."""

    def __init__(self, env: Environment, zookeeper: ZooKeeperClient) -> None:
        super().__init__()
        self._env = env
        self._zookeeper = zookeeper
        self._waiting: list[Answer] = []
        self._closed: bool = False

    def next(self, answer: Answer) -> None:
        """An id of the block; when it is used up, as soon as ZooKeeper has given another."""
        if self._used < BLOCK_SIZE and not self._waiting:
            self._used += 1
            answer(NONE, self._first + self._used - 1)
            return
        self._waiting.append(answer)
        if len(self._waiting) == 1:
            self._env.process(self.first_block())

    def first_block(self) -> Generator[Event, Any, None]:
        """Take a block: again when another broker was faster."""
        while not self._closed:
            outcome = (yield self._zookeeper.submit([GetData(BLOCK_PATH)]))[0]
            if outcome.error is not None:
                yield self._env.at(self._env.now + RETRY_S)  # the session is gone: until there is another
                continue
            first = int(outcome.data)
            write = SetData(BLOCK_PATH, first + BLOCK_SIZE, outcome.version)
            outcome = (yield self._zookeeper.submit([write]))[0]
            if outcome.error is None:
                self._first, self._used = first, 0
                break
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            if not self._closed:
                self.next(answer)

    def close(self) -> None:
        """The process has died."""
        self._closed = True
