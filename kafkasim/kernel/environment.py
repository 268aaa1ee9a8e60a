"""The environment: SimPy's, on top of the native scheduler.

Processes, events, timeouts, conditions and interrupts are SimPy's own; only the
clock and the heap are ours.  A model calls :meth:`Environment.call_at` for traffic
and writes a SimPy process where a life is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import simpy
from simpy.core import EmptySchedule, StopSimulation
from simpy.events import Event, Process

from kafkasim.kernel.scheduler import NORMAL, URGENT, Scheduler


class Environment(simpy.Environment):
    """A ``simpy.Environment`` whose heap also takes plain callbacks at absolute times.

    ``failed_process`` names the process whose exception ended the run, if one did.
    """

    def __init__(self, initial_time: float = 0.0) -> None:
        self.scheduler = Scheduler(float(initial_time))
        self.failed_process: str | None = None
        super().__init__(initial_time)

    @property
    def now(self) -> float:
        """Simulated time (s)."""
        return self.scheduler.now

    def call_at(self, time: float, function: Callable[[Any], None], argument: Any = None) -> None:
        """Call ``function(argument)`` at ``time`` (s): the data path's cheap way."""
        self.scheduler.call_at(time, function, argument)

    def at(self, time: float, value: Any = None) -> Event:
        """An event at exactly ``time`` (s); ``timeout(t - now)`` would miss it by rounding now and then."""
        event = Event(self)
        event._ok = True
        event._value = value
        self.scheduler.push(time, NORMAL, self._fire, event)
        return event

    def schedule(self, event: Event, priority: int = NORMAL, delay: float = 0) -> None:
        """Plan ``event`` in ``delay`` seconds (SimPy's internal face)."""
        scheduler = self.scheduler
        scheduler.push(scheduler.now + delay, priority, self._fire, event)

    def peek(self) -> float:
        """Time of the next event, infinity when there is none."""
        return self.scheduler.peek()

    def step(self) -> None:
        """Execute the next event; raises SimPy's ``EmptySchedule`` when there is none."""
        if not self.scheduler.pending():
            raise EmptySchedule
        self.scheduler.step()

    def run(self, until: float | Event | None = None) -> Any:
        """Run as SimPy does: to exhaustion, to a time, or until an event has been processed."""
        if until is None:
            self.scheduler.drain()
            return None
        if not isinstance(until, Event):
            time = float(until)
            if time <= self.now:
                raise ValueError(f"until (= {time}) must be greater than the current simulation time")
            self.scheduler.run_until(time)
            return None
        if until.callbacks is None:
            return until.value
        until.callbacks.append(StopSimulation.callback)
        try:
            self.scheduler.drain()
        except StopSimulation as stop:
            return stop.args[0]
        raise RuntimeError(f'No scheduled events left but "until" event was not triggered: {until}')

    def _fire(self, event: Event) -> None:
        callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
        for callback in callbacks:
            callback(event)
        if not event._ok and not hasattr(event, "_defused"):
            failure = event._value
            if isinstance(event, Process):
                self.failed_process = event.name
            # As SimPy does: the copy's traceback begins here, its cause tells where it arose.
            try:
                copy = type(failure)(*failure.args)
            except Exception:  # an exception that cannot be made again is raised as it is
                raise failure from None
            copy.__cause__ = failure
            raise copy


__all__ = ["NORMAL", "URGENT", "Environment"]
