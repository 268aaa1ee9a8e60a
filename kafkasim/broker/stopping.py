"""How a broker's process stops when it is told to, and what its logs need when it starts again.

Stands for ``KafkaServer.shutdown``, ``LogManager.shutdown`` and ``LogManager.loadLogs``: controlled shutdown, sockets
closed, high watermarks checkpointed, logs flushed and marked clean, the ZooKeeper session closed (one write, the znode
is gone at once).  While the logs are flushed what the broker still leads cannot be reached.

Approximations: the logs are closed one after the other, whatever ``num.recovery.threads.per.data.dir``; a log that was
never written to costs nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from kafkasim.hosts.host import WRITE_BACK_AGE_S

if TYPE_CHECKING:
    from kafkasim.broker.broker import Broker

SYNCS_A_LOG = 4
"""What closing a log costs that was written to: its segment, its two indexes, its producers' snapshot (assumed)."""


def shut_down(broker: Broker, cause: int) -> Generator[Event, Any, bool]:
    """SIGTERM; False when the process was killed meanwhile."""
    env = broker.env
    life = broker.lives
    broker.fault_cause = cause
    if broker.config["controlled.shutdown.enable"]:
        farewell = broker.farewell(cause)
        moved = yield from farewell.run()
        if life != broker.lives:
            return False
        if not moved:
            left = f"{farewell.left} partitions are still led" if farewell.left >= 0 else "no answer"
            detail = f"{farewell.attempts} attempts: {left}"
            broker.timeline.add(env.now, broker.actor, "controlled_shutdown_failed", detail, cause)
    broker.close_sockets(cause)
    yield env.at(_flush_logs(broker))
    if life != broker.lives:
        return False
    broker.clean = True
    broker.controller.shut_down()
    broker.zookeeper.fault_cause = cause
    yield broker.zookeeper.close(cause)
    if life != broker.lives:
        return False
    broker.end_process(cause)
    broker.timeline.add(env.now, broker.actor, "stopped", "", cause)
    return True


def _flush_logs(broker: Broker) -> float:
    """Close every log: what the kernel has not written yet, and the syncs of logs that were written to (s)."""
    at = now = broker.env.now
    disk = broker.host.disk
    for partition in broker.replicas.partitions.values():
        log = partition.log
        if log.log_end_offset == 0:
            continue
        size = 0
        for batch in reversed(log.batches):
            if batch.appended_at < now - WRITE_BACK_AGE_S:
                break
            size += batch.size_bytes
        at = disk.write(at, size)
        for _ in range(SYNCS_A_LOG):
            at = disk.fsync(at)
    return at


def recover_logs(broker: Broker) -> float:
    """Every segment that was not flushed is read again and validated; returns when that is done (s).

    After a clean stop nothing has to be.
    """
    now = broker.env.now
    if broker.clean:
        broker.clean = False
        return now
    unflushed = sum(partition.log.unflushed_bytes() for partition in broker.replicas.partitions.values())
    read_at = broker.host.disk.read(now, unflushed)
    threads = int(broker.config["num.recovery.threads.per.data.dir"])
    validate_s = float(broker.costs.produce_per_byte_s) * unflushed / threads
    return max(read_at, now + validate_s)
