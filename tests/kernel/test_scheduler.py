"""The scheduler: order in time, ties, and what happens at the edges of a run."""

from __future__ import annotations

import random

import pytest

from kafkasim.kernel import LATE, NORMAL, URGENT, Scheduler


class Log:
    """Notes what is called, and when."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.calls: list[tuple[float, object]] = []

    def note(self, what: object) -> None:
        self.calls.append((self.scheduler.now, what))

    def names(self) -> list[object]:
        return [what for _, what in self.calls]


def test_callbacks_run_in_the_order_of_their_times() -> None:
    scheduler = Scheduler()
    log = Log(scheduler)
    times = [random.Random(1).uniform(0, 10) for _ in range(500)]
    times += times[:50]
    for i, at in enumerate(times):
        scheduler.call_at(at, log.note, i)
    scheduler.drain()
    assert log.calls == sorted(((at, i) for i, at in enumerate(times)), key=lambda call: call[0])
    assert scheduler.events == len(times)


def test_ties_go_by_priority_then_by_the_order_of_planning() -> None:
    scheduler = Scheduler()
    log = Log(scheduler)
    scheduler.push(1.0, LATE, log.note, "late")
    scheduler.call_at(1.0, log.note, "first")
    scheduler.push(1.0, NORMAL, log.note, "second")
    scheduler.push(1.0, URGENT, log.note, "urgent")
    scheduler.call_at(1.0, log.note, "third")
    scheduler.drain()
    assert log.names() == ["urgent", "first", "second", "third", "late"]


def test_late_entries_see_everything_of_their_instant_even_what_is_planned_within_it() -> None:
    scheduler = Scheduler()
    log = Log(scheduler)

    def plan(_: object) -> None:
        scheduler.call_at(scheduler.now, log.note, "planned within the instant")

    scheduler.push(1.0, LATE, log.note, "late")
    scheduler.call_at(1.0, plan, None)
    scheduler.drain()
    assert log.names() == ["planned within the instant", "late"]


def test_arguments_are_never_compared() -> None:
    scheduler = Scheduler()
    log = Log(scheduler)
    for i in range(20):
        scheduler.call_at(1.0, log.note, {"not": "orderable", "i": i})
    scheduler.drain()
    assert [what["i"] for what in log.names()] == list(range(20))  # type: ignore[index]


def test_the_past_is_refused() -> None:
    scheduler = Scheduler(5.0)
    for plan in (
        lambda: scheduler.call_at(4.999, print, None),
        lambda: scheduler.push(4.999, URGENT, print, None),
    ):
        with pytest.raises(ValueError, match=r"cannot plan at 4\.999"):
            plan()
    scheduler.call_at(5.0, lambda _: None, None)  # now is not the past
    assert scheduler.pending() == 1


def test_run_until_stops_before_what_is_due_then() -> None:
    scheduler = Scheduler()
    log = Log(scheduler)
    for at in (1.0, 2.0, 2.5):
        scheduler.call_at(at, log.note, at)
    scheduler.push(2.0, URGENT, log.note, "urgent at 2")
    scheduler.run_until(2.0)
    assert log.names() == [1.0, "urgent at 2"]
    assert scheduler.now == 2.0
    assert scheduler.peek() == 2.0
    scheduler.run_until(3.0)
    assert log.calls[2:] == [(2.0, 2.0), (2.5, 2.5)]
    assert scheduler.now == 3.0


def test_a_failing_callback_leaves_the_time_at_which_it_failed() -> None:
    scheduler = Scheduler()

    def fail(_: object) -> None:
        raise RuntimeError("broken")

    scheduler.call_at(1.25, fail, None)
    scheduler.call_at(2.0, fail, None)
    with pytest.raises(RuntimeError, match="broken"):
        scheduler.run_until(10.0)
    assert scheduler.now == 1.25
    assert scheduler.events == 1
    assert scheduler.pending() == 1


def test_step_peek_and_pending() -> None:
    scheduler = Scheduler()
    assert scheduler.peek() == float("inf")
    with pytest.raises(IndexError):
        scheduler.step()
    log = Log(scheduler)
    scheduler.call_at(1.5, log.note, "a")
    assert (scheduler.peek(), scheduler.pending()) == (1.5, 1)
    scheduler.step()
    assert log.calls == [(1.5, "a")]
    assert scheduler.pending() == 0
