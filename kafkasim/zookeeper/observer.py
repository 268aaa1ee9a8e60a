"""An observer: a learner without a vote, told of transactions when they are committed (Observer).

It logs what it applies, but nobody waits for its disk.  It learns from the voters who leads.
"""

from __future__ import annotations

from typing import Any

from kafkasim.zookeeper.follower import Follower
from kafkasim.zookeeper.packets import Inform
from kafkasim.zookeeper.sockets import Socket
from kafkasim.zookeeper.transactions import Transaction


class Observer(Follower):
    """One term of an observing ``server`` under the leader ``leader_id``."""

    def socket_message(self, socket: Socket, message: Any) -> None:
        """INFORM is a proposal and its commit in one."""
        if not isinstance(message, Inform):
            super().socket_message(socket, message)
            return
        if self.over:
            return
        self._heard()
        if self._early is None:
            self._broadcast(message)
        else:
            self._early.append(message)

    def _broadcast(self, message: Any) -> None:
        if not isinstance(message, Inform):
            return
        transaction = message.transaction
        self.server.compute(self.server.parameters.follower_write_s, self.server.log.append, transaction)
        self.server.commit(transaction)

    def _acknowledge(self, transactions: list[Transaction]) -> None:
        """Nobody waits for it."""
