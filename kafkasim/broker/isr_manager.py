"""ISR changes on their way to the controller: AlterPartition, one request in flight a broker.

Stands for ``AlterPartitionManager`` (2.7 and later).  A pending change counts for the high
watermark as soon as it is proposed when it adds a member, only when it is committed when it
removes one; what is refused leaves the committed ISR in force.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kafkasim.broker.partition import LEADER, Partition
from kafkasim.connection import OPEN, Connection, ConnectionOwner, Directory
from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.messages import AlterPartitionBody, AlterPartitionItem
from kafkasim.network import Network
from kafkasim.protocol import ALTER_PARTITION, INELIGIBLE_REPLICA, NONE, Request

RETRY_S: Final = 0.05
"""Pause after a top-level error."""
CONTROLLER_POLL_S: Final = 0.1
"""Pause while no controller is known."""
_REQUEST_BASE_BYTES: Final = 60
_REQUEST_ITEM_BYTES: Final = 40


class IsrManager(ConnectionOwner):
    """Sends a broker's ISR proposals; ``committed(partition)`` is called when one is in force."""

    def __init__(
        self,
        life: Life,
        network: Network,
        directory: Directory,
        host: Host,
        broker_id: int,
        controller_id: Callable[[], int],
        broker_epoch: Callable[[], int],
        committed: Callable[[Partition], None],
        batch_delay_s: float,
    ) -> None:
        self.failed_updates: int = 0
        self._life = life
        self._network = network
        self._directory = directory
        self._host = host
        self._broker_id = broker_id
        self._controller_id = controller_id
        self._broker_epoch = broker_epoch
        self._committed = committed
        self._batch_delay_s = batch_delay_s
        self._unsent: dict[int, tuple[Partition, AlterPartitionItem]] = {}
        self._sent: dict[int, tuple[Partition, AlterPartitionItem]] = {}
        self._connection: Connection | None = None
        self._planned = False
        self._generation = 0

    def proposed(self, partition: Partition) -> bool:
        """Whether a change of this partition is on its way."""
        return partition.tp.index in self._unsent or partition.tp.index in self._sent

    def propose(self, partition: Partition, isr: tuple[int, ...], cause: int) -> None:
        """Propose ``isr`` for a partition led here; one change at a time a partition."""
        if self.proposed(partition):
            return
        partition.pending_isr = isr
        item = AlterPartitionItem(partition.tp, partition.leader_epoch, isr, partition.partition_epoch, cause)
        self._unsent[partition.tp.index] = (partition, item)
        self._plan(self._batch_delay_s)

    def crash(self) -> None:
        """The process has died."""
        self._generation += 1
        self._unsent.clear()
        self._sent.clear()
        self._planned = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _plan(self, delay_s: float) -> None:
        if self._sent or self._planned or not self._unsent:
            return
        self._planned = True
        self._life.call_at(self._life.now + delay_s, self._go, self._generation)

    def _go(self, generation: int) -> None:
        if generation != self._generation:
            return
        self._planned = False
        if self._sent or not self._unsent:
            return
        controller = self._controller_id()
        if controller < 0:
            self._plan(CONTROLLER_POLL_S)
            return
        connection = self._connection
        if connection is not None and connection.node_id != controller:
            connection.close()
            connection = None
        if connection is None:
            connection = Connection(
                self._network, f"alter-partition/{self._broker_id}", self, self._host,
                self._directory.server(controller), self._directory.host(controller), controller,
            )  # fmt: skip
            self._connection = connection
            connection.open()
        elif connection.state == OPEN:
            self._send(connection)

    def _send(self, connection: Connection) -> None:
        self._sent = self._unsent
        self._unsent = {}
        items = [item for _, item in self._sent.values()]
        body = AlterPartitionBody(self._broker_id, self._broker_epoch(), items)
        size = _REQUEST_BASE_BYTES + _REQUEST_ITEM_BYTES * len(items)
        connection.send(Request(ALTER_PARTITION, size, body), self._life.now)

    @property
    def life(self) -> Life:
        """The broker's process."""
        return self._life

    def connection_opened(self, connection: Connection) -> None:
        """Send what has gathered meanwhile."""
        if connection is self._connection and self._unsent and not self._sent:
            self._send(connection)

    def connection_refused(self, connection: Connection) -> None:
        """The known controller is gone: try again until metadata names another."""
        self._broken(connection)

    def connection_lost(self, connection: Connection) -> None:
        """The controller's process has died: its answer will not come, ask again."""
        self._broken(connection)

    def _broken(self, connection: Connection) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        self._return_unanswered()
        self._plan(RETRY_S)

    def _return_unanswered(self) -> None:
        for index, entry in self._sent.items():
            if index not in self._unsent:
                self._unsent[index] = entry
        self._sent = {}
        self._drop_stale()

    def _drop_stale(self) -> None:
        for index in [i for i, (p, item) in self._unsent.items() if not _current(p, item)]:
            del self._unsent[index]

    def response_arrived(self, request: Request) -> None:
        """Take over what was committed; put back or drop what was refused."""
        if request.connection is not self._connection or self._life.holds(self.response_arrived, request):
            return
        if request.error != NONE:
            # Refused as a whole: tried again, and no failed update (FailedIsrUpdatesPerSec counts partitions).
            self._return_unanswered()
            self._plan(RETRY_S)
            return
        answered = self._sent
        self._sent = {}
        for partition, item in answered.values():
            self._take(partition, item)
        self._drop_stale()
        self._plan(self._batch_delay_s)

    def _take(self, partition: Partition, item: AlterPartitionItem) -> None:
        if not _current(partition, item):
            return
        state = item.state
        if item.error == NONE and state is not None:
            partition.commit_isr(state.isr, state.partition_epoch)
            self._committed(partition)
            return
        self.failed_updates += 1
        if item.error == INELIGIBLE_REPLICA:
            partition.pending_isr = ()
        # Other refusals keep the pending state until the next LeaderAndIsr (KIP-497).


def _current(partition: Partition, item: AlterPartitionItem) -> bool:
    """Whether a proposal still belongs to the partition's present epoch."""
    return (
        partition.role == LEADER
        and partition.leader_epoch == item.leader_epoch
        and partition.partition_epoch == item.partition_epoch
        and partition.pending_isr == item.new_isr
    )
