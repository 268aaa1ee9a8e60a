"""What the logs of a broker need before it registers: after an unclean end they are read again.

Stands for ``LogManager.loadLogs`` and ``LogLoader``.  Every segment from the recovery point on, as the last checkpoint
tells it, is read at its disk's sequential rate and validated batch by batch; ``num.recovery.threads.per.data.dir``
threads validate, each a log at a time; directories side by side.  The recovery point stays where the checkpoint says: a
second crash before the next flush repeats the work.

Approximations: what a process that was killed has left in the page cache is read as if it were not there; opening a
log that was closed cleanly costs nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING, Any, Final

from simpy.events import Event

from kafkasim.broker import flushing
from kafkasim.broker.registration import StartFailed

if TYPE_CHECKING:
    from kafkasim.broker.broker import Broker
    from kafkasim.broker.log_storage import LogStorage

PIECE_BYTES: Final = 256 << 20
"""Read at a time: a disk that gets slower or faster does so for the next piece."""
NOTED_S: Final = 1.0
"""A recovery that takes longer has a row in the timeline."""


def recover_logs(broker: Broker) -> Generator[Event, Any, None]:
    """Load all logs (a SimPy process's body); after a clean stop nothing has to be read.

    Raises :class:`StartFailed` when no directory is left.
    """
    env = broker.env
    begun = env.now
    if not broker.logs.load():
        broker.fault_cause = broker.timeline.add(
            begun, broker.actor, "start_failed", "no log directory can be read", broker.fault_cause or None
        )
        broker.zookeeper.crash()
        raise StartFailed
    if broker.clean:
        broker.clean = False
        yield env.at(begun)
        return
    life = broker.lives
    work = [(storage, _sizes(broker, storage)) for storage in broker.logs.storages if not storage.offline]
    yield env.all_of([env.process(_recover_directory(broker, storage, sizes)) for storage, sizes in work])
    if life == broker.lives and env.now - begun >= NOTED_S:
        total = sum(sum(sizes) for _, sizes in work)
        broker.timeline.add(
            env.now, broker.actor, "logs_recovered", f"{total} bytes read again in {env.now - begun:.3f} s",
            broker.fault_cause or None,
        )  # fmt: skip


def _sizes(broker: Broker, storage: LogStorage) -> list[int]:
    logs = [p.log for p in broker.replicas.partitions.values() if p.log.storage is storage]
    return [flushing.unrecovered_bytes(log) for log in logs]


def _recover_directory(broker: Broker, storage: LogStorage, sizes: list[int]) -> Generator[Event, Any, None]:
    env = broker.env
    life = broker.lives
    validated_at = env.now + _validation_s(broker, sizes)
    left = sum(sizes)
    while left > 0 and life == broker.lives:
        piece = min(left, PIECE_BYTES)
        left -= piece
        yield env.at(storage.disk.read(env.now, piece))
    if life == broker.lives and validated_at > env.now:
        yield env.at(validated_at)


def _validation_s(broker: Broker, sizes: list[int]) -> float:
    """CPU time until the last thread has validated its last log."""
    threads = int(broker.config["num.recovery.threads.per.data.dir"])
    per_byte_s = float(broker.costs.produce_per_byte_s)
    if threads == 1:
        return per_byte_s * sum(sizes)
    free_at = [0.0] * threads
    heapify(free_at)
    for size in sizes:
        heapreplace(free_at, free_at[0] + per_byte_s * size)
    return max(free_at)
