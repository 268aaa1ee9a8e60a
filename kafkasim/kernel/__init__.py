"""The kernel: environment, scheduler, stations, clock and random streams.

>>> from kafkasim.kernel import Environment
>>> env = Environment()
>>> env.call_at(2.5, print, "two and a half seconds")
>>> env.run(until=3)
two and a half seconds
"""

from kafkasim.kernel import scheduler as _scheduler
from kafkasim.kernel.clock import Clock, clock_ms
from kafkasim.kernel.environment import Environment
from kafkasim.kernel.scheduler import LATE, NORMAL, URGENT, Scheduler
from kafkasim.kernel.stations import FifoStation, Job, PoolStation, WorkerPool
from kafkasim.kernel.streams import Stream, Streams


def build() -> str:
    """Which build runs: ``compiled`` (mypyc) or ``pure Python``."""
    return "pure Python" if str(_scheduler.__file__).endswith(".py") else "compiled"


__all__ = [
    "LATE",
    "NORMAL",
    "URGENT",
    "Clock",
    "Environment",
    "FifoStation",
    "Job",
    "PoolStation",
    "Scheduler",
    "Stream",
    "Streams",
    "WorkerPool",
    "build",
    "clock_ms",
]
