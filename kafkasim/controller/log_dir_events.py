"""Log directories of live brokers fail: which replicas are gone is asked of the brokers, then leaders are elected.

Stands for ``processLogDirEventNotification``, ``onBrokerLogDirFailure``, ``processLeaderAndIsrResponseReceived`` and
``onReplicasBecomeOffline``: a notification names a broker only; LeaderAndIsr for all its replicas is answered with
KAFKA_STORAGE_ERROR for those that are offline.
"""

from __future__ import annotations

from kafkasim.controller.services import Services
from kafkasim.controller.state_machines import StateMachines
from kafkasim.controller.store import LOG_DIR_EVENT_NOTIFICATION, Steps
from kafkasim.zookeeper.operations import Delete, GetChildren, GetData


def process(services: Services, machines: StateMachines, cause: int) -> Steps:
    """``/log_dir_event_notification`` has other children."""
    store = services.store
    listed = yield from store.read_one(GetChildren(LOG_DIR_EVENT_NOTIFICATION, True))
    paths = [f"{LOG_DIR_EVENT_NOTIFICATION}/{name}" for name in sorted(listed.children)]
    if not paths:
        return
    outcomes = yield from store.read([GetData(path, False) for path in paths])
    named = {int(outcome.data["broker"]): None for outcome in outcomes if outcome.error is None}
    brokers = [broker for broker in named if broker in services.context.live]
    if brokers:
        ids = ", ".join(str(broker) for broker in brokers)
        row = services.note("log_dir_event", f"broker {ids}", cause)
        yield from machines.replicas_online(brokers, row)
    yield from store.write([Delete(path, -1) for path in paths])


def answered(services: Services, machines: StateMachines, broker: int, offline: list[int], cause: int) -> Steps:
    """A broker has said which of its replicas are offline; what is new is acted on."""
    context = services.context
    known = context.on_offline_dirs.setdefault(broker, {})
    fresh = [index for index in offline if index not in known and index in context.partitions]
    if not fresh or broker not in context.live:
        return
    for index in fresh:
        known[index] = None
    machines.mark_offline(context.with_offline_leader())
    elected = yield from machines.bring_online(cause)
    yield from machines.take_offline({broker: fresh}, cause)
    if not elected:
        yield from services.send_metadata(context.brokers(), [], cause)
