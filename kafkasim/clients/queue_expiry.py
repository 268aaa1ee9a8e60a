"""When a batch that waits in the accumulator fails by itself: releases before ``delivery.timeout.ms`` (2.1).

Stands for ``ProducerBatch.maybeExpire`` and ``RecordAccumulator.expiredBatches`` of 2.0 and before.  A batch fails when
``request.timeout.ms`` have passed since its last append (a full one), since its creation and ``linger.ms`` (one that is
not full), or since its last attempt and the back-off (one that has been sent before).  What is in flight never
expires; a muted partition is not looked at.

Approximation: it is noticed at once, not when the I/O thread wakes for another reason.
"""

from __future__ import annotations

from kafkasim.clients.accumulator_settings import AccumulatorSettings
from kafkasim.clients.producer_batch import PartitionQueue, ProducerBatch
from kafkasim.clients.settings import UNLIMITED


def due_ms(batch: ProducerBatch, is_last: bool, settings: AccumulatorSettings) -> int:
    """When (ms of the client's clock) ``batch`` expires in its queue."""
    since = batch.created_ms + settings.linger_ms
    if batch.retried:
        since = batch.last_attempt_ms + settings.retry_backoff_ms
    elif not is_last or not batch.open:
        since = batch.created_ms
        if batch.quick:  # every record was taken at its intended time
            since += int((batch.last_time - batch.first_time) * 1000.0)
    return since + settings.queue_expiry_ms + 1


def is_due(queue: PartitionQueue, settings: AccumulatorSettings, now_ms: int) -> bool:
    """Whether the first batch of ``queue`` expires now."""
    batches = queue.batches
    return not queue.muted and due_ms(batches[0], len(batches) == 1, settings) <= now_ms


def next_due_ms(queues: list[PartitionQueue], settings: AccumulatorSettings) -> int:
    """When the first batch that is looked at expires."""
    first = UNLIMITED
    for queue in queues:
        batches = queue.batches
        if batches and not queue.muted:
            first = min(first, due_ms(batches[0], len(batches) == 1, settings))
    return first
