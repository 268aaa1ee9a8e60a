"""How a broker's process gets its ZooKeeper session, and its id znode, anew.

Stands for parts of ``KafkaServer.startup`` and ``KafkaZkClient.registerBroker``: a start without a session within the
time limit exits; a session that ends while the process lives is followed by another one, a registration with a new
broker epoch and a look for the controller.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from kafkasim.zookeeper.operations import Create, Delete

if TYPE_CHECKING:
    from kafkasim.broker.broker import Broker


class StartFailed(Exception):
    """The process has exited: its id znode belongs to another session, or no ZooKeeper server answered."""


def connect(broker: Broker, cause: int) -> Generator[Event, Any, bool]:
    """Wait for a session; a start that gets none within its time limit exits. False: killed meanwhile."""
    life = broker.lives
    env = broker.env
    limit_ms = broker.config["zookeeper.connection.timeout.ms"] or broker.config["zookeeper.session.timeout.ms"]
    connected = broker.zookeeper.connect()
    yield connected | env.at(env.now + limit_ms / 1000.0)
    if life != broker.lives:
        return False
    if not connected.triggered:
        detail = f"no ZooKeeper session within {limit_ms} ms"
        broker.fault_cause = broker.timeline.add(env.now, broker.actor, "start_failed", detail, cause or None)
        broker.zookeeper.crash()
        raise StartFailed
    return True


def renew(broker: Broker, cause: int) -> Generator[Event, Any, None]:
    """The session ended while the process lives: resign, open another, register and look for a controller."""
    life = broker.lives
    yield broker.controller.on_session_expired(cause)
    if life != broker.lives:
        return
    yield broker.zookeeper.connect()
    if life == broker.lives:
        broker.controller.on_new_session(lambda: register_again(broker, cause), cause)


def register_again(broker: Broker, cause: int) -> Generator[Event, Any, None]:
    """A new id znode, and with it a new broker epoch."""
    path = f"/brokers/ids/{broker.id}"
    while True:
        created = (yield broker.zookeeper.submit([Create(path, {"rack": broker.host.rack}, True)], cause))[0]
        if created.error is None:
            break
        # The same process's own znode of the old session: deleted first.
        yield broker.zookeeper.submit([Delete(path)], cause)
    broker.epoch = int(created.czxid)
    broker.timeline.add(broker.env.now, broker.actor, "registered", f"broker epoch {broker.epoch}", cause or None)
