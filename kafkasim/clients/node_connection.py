"""The state of a client's connection to one node, and how node ids lead to brokers.

Stands for ``ClusterConnectionStates.NodeConnectionState`` together with the node's queue of
``InFlightRequests``.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from kafkasim.connection import Connection
from kafkasim.protocol import Request

DISCONNECTED: Final = 0
CONNECTING: Final = 1
CHECKING: Final = 2
READY: Final = 3

COORDINATOR_IDS: Final = 2147483647
"""A consumer's connection to its coordinator on broker b has the node id ``2147483647 - b``."""
_FIRST_COORDINATOR_ID: Final = COORDINATOR_IDS - 1_000_000


def bootstrap_ids(count: int) -> list[int]:
    """Node ids of the bootstrap servers: -2, -3, … (Kafka's are -1, -2, …; here -1 means none)."""
    return [-2 - position for position in range(count)]


def broker_id(node: int, bootstrap: list[int]) -> int:
    """The broker that a node id leads to."""
    if node < 0:
        return bootstrap[-2 - node]
    return COORDINATOR_IDS - node if node > _FIRST_COORDINATOR_ID else node


class NodeConnection:
    """One node as a client sees it: the ``context`` of the connection to it.

    ``received``, ``opened`` and ``lost`` are what the sockets hold and the client has not
    polled yet.
    """

    def __init__(self, node: int, broker: int) -> None:
        self.id: int = node
        self.broker: int = broker
        if node < 0:
            self.label = f"bootstrap {broker}"
        elif node > _FIRST_COORDINATOR_ID:
            self.label = f"coordinator {broker}"
        else:
            self.label = f"broker {broker}"
        self.state: int = DISCONNECTED
        self.attempted: bool = False
        self.last_attempt_ms: int = 0
        self.failed_attempts: int = 0
        self.failed_setups: int = 0
        self.reconnect_backoff_ms: int = 0
        self.setup_timeout_ms: int = 0
        self.throttled_until_ms: int = -(1 << 60)
        self.connection: Connection | None = None
        self.in_flight: deque[Request] = deque()
        self.received: deque[Request] = deque()
        self.opened: bool = False
        self.lost: bool = False
        self.has_news: bool = False
