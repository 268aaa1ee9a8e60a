"""A log directory fails: its replicas are offline, the controller is told; without another one the broker halts.

Stands for ``LogDirFailureChannel``, ``ReplicaManager.handleLogDirFailure`` and ``LogManager.handleLogDirFailure``.  An
append, or a checkpoint, that meets an I/O error puts the directory into the handler's queue; the append itself is
answered with KAFKA_STORAGE_ERROR.  A directory comes back only with a start of the process.  Before 1.0 any I/O error
halts the broker.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from kafkasim.controller.store import LOG_DIR_EVENT_NOTIFICATION
from kafkasim.zookeeper.operations import Create

if TYPE_CHECKING:
    from kafkasim.broker.broker import Broker
    from kafkasim.broker.log_storage import LogStorage


class LogDirFailureHandler:
    """The ``LogDirFailureHandler`` thread of one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        for storage in broker.logs.storages:
            storage.on_failure = self.failed

    def failed(self, storage: LogStorage) -> None:
        """An I/O error in ``storage``: nobody writes there any more; the thread does the rest."""
        if not storage.offline:
            storage.offline = True
            self._broker.life.plan(self._broker.life.now, self._handle, storage)

    def check(self) -> None:
        """A checkpoint is written to every directory, or fails."""
        for storage in self._broker.logs.storages:
            if storage.disk.failed > 0 or storage.disk.full > 0:
                self.failed(storage)

    def _handle(self, storage: LogStorage) -> None:
        broker = self._broker
        now = broker.life.now
        why = "I/O error" if storage.disk.failed > 0 else "no space left"
        row = broker.timeline.add(now, broker.actor, "log_dir_failed", f"{storage.path}: {why}", storage.disk.fault_row)
        if not broker.release.survives_disk_failure or all(known.offline for known in broker.logs.storages):
            broker.halt(broker.timeline.add(now, broker.actor, "halted", "no log directory is left", row))
            return
        for partition in list(broker.replicas.partitions.values()):
            if partition.log.storage is storage:
                broker.roles.take_offline(partition, row, now)
        broker.close_idle_fetchers()
        broker.env.process(self._tell_controller(row))

    def _tell_controller(self, row: int) -> Generator[Event, Any, None]:
        data = {"version": 1, "broker": self._broker.id, "event": 1}
        create = Create(f"{LOG_DIR_EVENT_NOTIFICATION}/log_dir_event_", data, False, True)
        yield self._broker.zookeeper.submit([create], row)
