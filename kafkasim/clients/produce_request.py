"""Produce requests as the sender makes them, and what its thread is configured with."""

from __future__ import annotations

from typing import Final

from kafkasim.clients.producer_batch import ProducerBatch
from kafkasim.protocol import PRODUCE, ProducePartition, ProduceRequestData, Request

_FLEXIBLE_OVERHEAD: Final = 27
"""Produce v9+: header and body without client id, topic name and partitions."""
_PLAIN_OVERHEAD: Final = 32
"""Produce v8."""


class ProducerCosts:
    """CPU times (s) of a producer; all zero: the thread's work takes no time."""

    def __init__(
        self, producer_request_s: float = 0.0, producer_per_byte_s: float = 0.0, producer_per_record_s: float = 0.0,
        client_wake_up_s: float = 0.0,
    ) -> None:  # fmt: skip
        self.producer_request_s: float = producer_request_s
        self.producer_per_byte_s: float = producer_per_byte_s
        self.producer_per_record_s: float = producer_per_record_s
        self.client_wake_up_s: float = client_wake_up_s


class SenderSettings:
    """Configs of the I/O thread.  ``flexible``: Produce v9+ (2.8+)."""

    def __init__(
        self, acks: int, max_request_size: int, retries: int, max_in_flight: int, request_timeout_ms: int,
        retry_backoff_ms: int, client_id: str, flexible: bool, uses_hints: bool,
    ) -> None:  # fmt: skip
        self.acks: int = acks
        self.max_request_size: int = max_request_size
        self.retries: int = retries
        self.keeps_order: bool = max_in_flight == 1
        self.request_timeout_ms: int = request_timeout_ms
        self.request_timeout_s: float = request_timeout_ms / 1000.0
        self.retry_backoff_ms: int = retry_backoff_ms
        self.client_id_bytes: int = len(client_id)
        self.flexible: bool = flexible
        self.uses_hints: bool = uses_hints


def produce_request(batches: list[ProducerBatch], settings: SenderSettings) -> Request:
    """One request for the drained ``batches`` of one topic, with its exact size on the wire.

    The batches are its ``context``, in the order of its partitions.
    """
    partitions: list[ProducePartition] = []
    payload = 0
    size = 0
    records = 0
    flexible = settings.flexible
    for batch in batches:
        partitions.append(ProducePartition(batch.queue.tp, batch.built()))
        bytes_ = batch.size
        payload += bytes_
        records += batch.count
        if flexible:
            size += 6 if bytes_ < 127 else 7 if bytes_ < 16383 else 8 if bytes_ < 2097151 else 9
        else:
            size += 8
    size += payload + settings.client_id_bytes + len(batches[0].queue.tp.topic)
    size += _FLEXIBLE_OVERHEAD if flexible else _PLAIN_OVERHEAD
    timeout_s = settings.request_timeout_s
    acks = settings.acks
    data = ProduceRequestData(partitions, payload, acks, timeout_s, records)
    request = Request(PRODUCE, size, None, 0, data)
    request.context = batches
    request.timeout_s = timeout_s
    if acks == 0:
        request.expects_response = False
    return request
