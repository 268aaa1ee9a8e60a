"""A broker asks for producer ids (AllocateProducerIds, 3.0 and later).

Stands for ``KafkaController.processAllocateProducerIds`` and ``ZkProducerIdManager.getNewProducerIdBlock``: the event
thread reads ``/latest_producer_id_block`` and moves it on, again when somebody else was faster.
"""

from __future__ import annotations

from typing import Final

from kafkasim.controller.services import Services
from kafkasim.controller.store import BLOCK_PATH, SessionExpired, Steps
from kafkasim.messages import AllocateProducerIdsBody
from kafkasim.protocol import NONE, STALE_BROKER_EPOCH, UNKNOWN_SERVER_ERROR, Request
from kafkasim.zookeeper.operations import GetData

BLOCK_SIZE: Final = 1000
_RESPONSE_BYTES: Final = 30


def process(services: Services, request: Request) -> Steps:
    """Take a block for the broker; ``request`` then holds the answer: its first id."""
    body: AllocateProducerIdsBody = request.body
    if services.context.live.get(body.broker_id) != body.broker_epoch:
        answer(request, STALE_BROKER_EPOCH)
        return
    try:
        while True:
            current = yield from services.store.read_one(GetData(BLOCK_PATH))
            if current.error is not None:
                answer(request, UNKNOWN_SERVER_ERROR)
                return
            first = int(current.data)
            if (yield from services.store.take_block(first + BLOCK_SIZE, current.version)):
                break
    except SessionExpired:
        answer(request, UNKNOWN_SERVER_ERROR)
        raise
    request.reply = first
    answer(request, NONE)


def answer(request: Request, error: int) -> None:
    """Fill in the answer."""
    request.error = error
    request.response_bytes = _RESPONSE_BYTES
