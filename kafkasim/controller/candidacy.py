"""Becoming the controller: one transaction that only one broker can win.

Stands for ``KafkaZkClient.registerControllerAndIncrementControllerEpoch`` and, before 2.1, for
``KafkaController.elect`` and ``incrementControllerEpoch``: the znode first, the epoch after it.

Left out: the first controller ever, which creates ``/controller_epoch``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from kafkasim.controller.store import CONTROLLER, CONTROLLER_EPOCH, ControllerMoved, ControllerStore
from kafkasim.zookeeper.operations import Create, Delete, GetData, Multi, SetData


def stand(store: ControllerStore, broker_id: int) -> Generator[simpy.Event, Any, tuple[int, int]]:
    """Create ``/controller`` and count up ``/controller_epoch``: (epoch, version of its znode).

    Raises:
        ControllerMoved: if another broker has won.
    """
    if not store.fenced:
        return (yield from _in_two_steps(store, broker_id))
    current = yield from store.read_one(GetData(CONTROLLER_EPOCH, False))
    epoch = int(current.data) + 1
    create = Create(CONTROLLER, broker_id, ephemeral=True)
    outcome = yield from store.elect(Multi([create, SetData(CONTROLLER_EPOCH, epoch, current.version)]))
    if outcome.error is None:
        return epoch, outcome.outcomes[1].version
    # lost, or won on a connection that broke before the answer came
    if (yield from store.controller()) == broker_id:
        again = yield from store.read_one(GetData(CONTROLLER_EPOCH, False))
        if again.data == epoch:
            return epoch, again.version
    raise ControllerMoved


def _in_two_steps(store: ControllerStore, broker_id: int) -> Generator[simpy.Event, Any, tuple[int, int]]:
    created = yield from store.elect(Create(CONTROLLER, broker_id, ephemeral=True))
    # It may have been created on a connection that broke before the answer came.
    if created.error is not None and (yield from store.controller()) != broker_id:
        raise ControllerMoved
    current = yield from store.read_one(GetData(CONTROLLER_EPOCH, False))
    epoch = int(current.data) + 1
    counted = yield from store.elect(SetData(CONTROLLER_EPOCH, epoch, current.version))
    if counted.error is not None:
        yield from store.elect(Delete(CONTROLLER, -1))
        raise ControllerMoved
    return epoch, counted.version
