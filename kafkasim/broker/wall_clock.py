"""A step of the time of day at one broker: what it had read before is as much older, or lies ahead.

Stands for ``time.milliseconds`` where Kafka keeps a reading and compares it with a later one: a leader's
``lastCaughtUpTimeMs`` and ``lastFetchTimeMs`` of its followers, the send times of the network clients of its fetchers
and of its AlterPartition requests. A file's recorded times of a process that was started again begin anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafkasim.broker.partition import LEADER
from kafkasim.broker.sessions import FetchSession

if TYPE_CHECKING:
    from kafkasim.broker.broker import Broker


def step(broker: Broker, step_s: float) -> None:
    """The clock of ``broker`` goes ``step_s`` ahead (s; negative: back)."""
    broker.wall_ahead_s += step_s
    sessions: list[FetchSession] = []
    for partition in broker.replicas.partitions.values():
        if partition.role != LEADER:
            continue
        for state in partition.followers:
            state.last_caught_up -= step_s
            state.last_fetch_at -= step_s
            if state.session is not None and state.session not in sessions:
                sessions.append(state.session)
    for session in sessions:
        session.last_fetch_at -= step_s
    for fetcher in broker.fetchers():
        fetcher.clock_stepped(step_s)
    broker.isr_manager.clock_stepped(step_s)
