"""Leaders have written other ISRs into ZooKeeper, and say so by sequential znodes (releases before 2.7).

Stands for ``KafkaController.processIsrChangeNotification``: the notifications are read, then the states of their
partitions; all brokers are told; the notifications are deleted.
"""

from __future__ import annotations

from kafkasim.controller.services import Services
from kafkasim.controller.store import ISR_CHANGE_NOTIFICATION, Steps
from kafkasim.zookeeper.operations import Delete, GetChildren, GetData


def process(services: Services, cause: int) -> Steps:
    """``/isr_change_notification`` has other children."""
    store = services.store
    context = services.context
    listed = yield from store.read_one(GetChildren(ISR_CHANGE_NOTIFICATION, True))
    names = sorted(listed.children)
    if not names:
        return
    outcomes = yield from store.read([GetData(f"{ISR_CHANGE_NOTIFICATION}/{name}", False) for name in names])
    changed: dict[int, None] = {}
    for outcome in outcomes:
        if outcome.error is None:
            for index in outcome.data:
                if index in context.partitions:
                    changed[index] = None
    states = yield from store.states(sorted(changed))
    yield from services.compute(len(states) * services.costs.state_s)
    for state in states.values():
        context.put_state(state)
    if states:
        yield from services.send_metadata(context.brokers(), list(states.values()), cause)
    yield from store.write([Delete(f"{ISR_CHANGE_NOTIFICATION}/{name}", -1) for name in names])
