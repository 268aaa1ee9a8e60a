"""How a broker's process stops when it is told to.

Stands for ``KafkaServer.shutdown`` and ``LogManager.shutdown``: controlled shutdown, sockets closed, high watermarks
checkpointed, logs flushed and marked clean, the ZooKeeper session closed (one write, the znode is gone at once).  While
the logs are flushed what the broker still leads cannot be reached.

Approximations: the logs are closed one after the other, whatever ``num.recovery.threads.per.data.dir``; a log that was
never written to costs nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

if TYPE_CHECKING:
    from kafkasim.broker.broker import Broker


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
    yield env.at(broker.logs.close())
    if life != broker.lives:
        return False
    broker.logs.closed()
    broker.clean = True
    broker.controller.shut_down()
    broker.zookeeper.fault_cause = cause
    yield broker.zookeeper.close(cause)
    if life != broker.lives:
        return False
    broker.end_process(cause)
    broker.timeline.add(env.now, broker.actor, "stopped", "", cause)
    return True
