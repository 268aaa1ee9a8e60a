"""How an idempotent producer gets its producer id.

Stands for ``Sender.maybeSendAndPollTransactionalRequest`` with InitProducerId, the only
request of a producer without transactions.  While it is unanswered nothing is drained; the
wait for a connection and the pause before a retry hold the whole I/O thread.
"""

from __future__ import annotations

from typing import Final

from kafkasim.clients.idempotence import Idempotence
from kafkasim.clients.network_client import NO_NODE, NetworkClient
from kafkasim.protocol import INIT_PRODUCER_ID, NONE, RETRIABLE, Request

IDLE: Final = 0
WANTED: Final = 1
CONNECTING: Final = 2
PAUSED: Final = 3
UNANSWERED: Final = 4

GO_ON: Final = -1
"""The step has nothing to do: batches may be drained."""


class ProducerIdRequest:
    """One step at a time: :meth:`step` says how long the following poll may sleep.

    ``sleep_ms`` > 0 after a step means a sleep that nothing ends, instead of a poll.
    """

    def __init__(
        self, client: NetworkClient, idempotence: Idempotence, request_timeout_ms: int, retry_backoff_ms: int
    ) -> None:
        self.state: int = IDLE
        self.sleep_ms: int = 0
        self._client = client
        self._idempotence = idempotence
        self._request_timeout_ms: int = request_timeout_ms
        self._retry_backoff_ms: int = retry_backoff_ms
        self._is_retry: bool = False
        self._node: int = NO_NODE
        self._since_ms: int = 0

    def step(self, now: float, now_ms: int) -> int:
        """What the I/O thread does about the producer id; :data:`GO_ON` if it has one."""
        self.sleep_ms = 0
        if self.state == IDLE:
            if self._idempotence.has_producer_id():
                return GO_ON
            self.state = WANTED
            self._is_retry = False
        if self.state == UNANSWERED:
            return self._retry_backoff_ms
        if self.state == PAUSED:
            return self._send(now, now_ms)
        if self.state == WANTED:
            node = self._client.least_loaded_node(now)
            if node == NO_NODE:
                self._is_retry = True
                return self._retry_backoff_ms
            self._node = node
            self._since_ms = now_ms
            self.state = CONNECTING
            self._client.update_metadata(now)
            self._client.handle(now)
            self._client.ready(node, now)
        if self._client.is_ready(self._node, now):
            if self._is_retry:
                self.state = PAUSED
                self.sleep_ms = self._retry_backoff_ms
                return 0
            return self._send(now, now_ms)
        waited_ms = now_ms - self._since_ms
        if self._client.connection_failed(self._node) or waited_ms >= self._request_timeout_ms:
            # Not to spin while no node is available, the thread sleeps here.
            self.state = WANTED
            self._is_retry = True
            self._client.metadata.request_update()
            self.sleep_ms = self._retry_backoff_ms
            return 0
        return self._request_timeout_ms - waited_ms

    def _send(self, now: float, now_ms: int) -> int:
        client = self._client
        if not client.sendable(self._node, now_ms):
            self.state = WANTED
            self._is_retry = True
            return 0
        request = Request(INIT_PRODUCER_ID, 31 + len(client.settings.client_id))
        request.timeout_s = self._request_timeout_ms / 1000.0
        request.done = self._answered
        client.send(self._node, request, now, now)
        self.state = UNANSWERED
        return self._retry_backoff_ms

    def _answered(self, request: Request) -> None:
        if request.failed == NONE and request.error == NONE:
            producer_id, producer_epoch = request.reply
            self._idempotence.set_producer_id(producer_id, producer_epoch)
            self.state = IDLE
        elif request.failed != NONE or request.error in RETRIABLE:
            self.state = WANTED
            self._is_retry = True
        else:
            raise ValueError(f"InitProducerId was refused with error {request.error}")
