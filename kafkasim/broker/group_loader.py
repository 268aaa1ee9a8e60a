"""Loading and unloading of groups: the coordinator's one background thread.

Stands for the ``group-metadata-manager-`` scheduler thread of ``GroupMetadataManager``: it
takes one offsets partition at a time, reads its whole local log, and only then the
coordinator may answer for its groups.  Waiting for the thread: NOT_COORDINATOR; being read:
COORDINATOR_LOAD_IN_PROGRESS.

Approximated: the read is one piece of work whose length is computed from the log's size and
its records when it begins; the log lies in the page cache.
"""

from __future__ import annotations

from collections import deque

from kafkasim.broker.group import Group
from kafkasim.broker.offsets_store import OFFSET, OffsetsStore
from kafkasim.hosts.life import Life
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.protocol import TopicPartition

NOT_OWNED = 0
LOADING = 1
OWNED = 2


class LoadTask:
    """One partition to load (``load``) or to unload, on behalf of a leader epoch."""

    def __init__(self, tp: TopicPartition, leader_epoch: int, load: bool, cause: int) -> None:
        self.tp = tp
        self.leader_epoch = leader_epoch
        self.load = load
        self.cause = cause


class GroupKeeper:
    """What the loader tells the coordinator."""

    def loaded(self, tp: TopicPartition, groups: list[Group]) -> None:
        """The groups of ``tp`` have been rebuilt from the log."""
        raise NotImplementedError

    def unloaded(self, tp: TopicPartition) -> None:
        """The groups of ``tp`` are no longer this broker's."""
        raise NotImplementedError


class GroupLoader:
    """The thread: a queue of tasks, one at a time, in the order in which they came."""

    def __init__(
        self,
        scheduler: Scheduler | Life,
        store: OffsetsStore,
        keeper: GroupKeeper,
        start_s: float,
        read_bytes_per_s: float,
        per_record_s: float,
    ) -> None:
        self.start_s = start_s
        self.read_bytes_per_s = read_bytes_per_s
        self.per_record_s = per_record_s
        self._scheduler = scheduler
        self._store = store
        self._keeper = keeper
        self._tasks: deque[LoadTask] = deque()
        self._current: LoadTask | None = None
        self._states: dict[int, int] = {}
        self._epochs: dict[int, int] = {}
        self._closed = False

    def state(self, tp: TopicPartition) -> int:
        """NOT_OWNED, LOADING or OWNED."""
        return self._states.get(tp.index, NOT_OWNED)

    def settle(self, tp: TopicPartition, leader_epoch: int) -> None:
        """``tp`` has been loaded before the run began."""
        self._epochs[tp.index] = leader_epoch
        self._states[tp.index] = OWNED
        self._keeper.loaded(tp, self._read(tp))

    def submit(self, task: LoadTask) -> None:
        """Queue a task behind the others."""
        self._tasks.append(task)
        if self._current is None:
            self._next()

    def close(self) -> None:
        """The process is gone."""
        self._closed = True
        self._tasks.clear()

    def _next(self) -> None:
        scheduler = self._scheduler
        while self._tasks:
            task = self._tasks.popleft()
            known = self._epochs.get(task.tp.index, -1)
            if task.load:
                # Only a newer epoch counts; a partition that is owned already is not read again.
                if task.leader_epoch <= known:
                    continue
                self._epochs[task.tp.index] = task.leader_epoch
                if self.state(task.tp) == OWNED:
                    continue
                self._states[task.tp.index] = LOADING
                work_s = self.start_s + self._store.log_bytes(task.tp) / self.read_bytes_per_s
                work_s += self.per_record_s * sum(len(batch) for batch in self._store.read_all(task.tp))
            else:
                if task.leader_epoch < known:
                    continue
                self._epochs[task.tp.index] = task.leader_epoch
                work_s = self.start_s
            self._current = task
            scheduler.call_at(scheduler.now + work_s, self._finish, task)
            return

    def _finish(self, task: LoadTask) -> None:
        if self._closed:
            return
        if task.load:
            groups = self._read(task.tp)
            self._states[task.tp.index] = OWNED
            self._keeper.loaded(task.tp, groups)
        else:
            self._states[task.tp.index] = NOT_OWNED
            self._keeper.unloaded(task.tp)
        self._current = None
        self._next()

    def _read(self, tp: TopicPartition) -> list[Group]:
        groups: dict[str, Group] = {}
        latest: dict[str, tuple[object, ...]] = {}
        for batch in self._store.read_all(tp):
            for record in batch:
                name = record[1]
                group = groups.get(name)
                if group is None:
                    group = groups[name] = Group(name, tp)
                if record[0] == OFFSET:
                    group.offsets[record[2].index] = (record[3], record[4])
                else:
                    latest[name] = record
        for name, record in latest.items():
            groups[name].restore(record)
        return list(groups.values())
