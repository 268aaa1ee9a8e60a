"""The environment is SimPy's: the same little worlds, told to both, leave the same trace."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
import simpy
from simpy.core import EmptySchedule

from kafkasim.kernel import Environment

Trace = list[tuple[float, Any]]
World = Callable[[simpy.Environment, Trace], object]


def timeouts(env: simpy.Environment, trace: Trace) -> None:
    def life(name: str, period: float) -> Generator[Any, Any, str]:
        for k in range(5):
            value = yield env.timeout(period, k)
            trace.append((env.now, (name, value)))
        return name

    def parent() -> Generator[Any, Any, None]:
        one, two = env.process(life("a", 1.0)), env.process(life("b", 0.5))
        trace.append((env.now, (yield one)))
        trace.append((env.now, (yield two)))

    env.process(parent())


def conditions(env: simpy.Environment, trace: Trace) -> None:
    def life() -> Generator[Any, Any, None]:
        one, two = env.timeout(1, "one"), env.timeout(2, "two")
        got = yield one | two
        trace.append((env.now, list(got.values())))
        got = yield one & two & env.timeout(3, "three")
        trace.append((env.now, list(got.values())))
        got = yield env.any_of([])
        trace.append((env.now, list(got.values())))
        got = yield env.all_of([env.timeout(1, x) for x in "xyz"])
        trace.append((env.now, list(got.values())))

    env.process(life())


def interrupts(env: simpy.Environment, trace: Trace) -> None:
    def sleeper() -> Generator[Any, Any, None]:
        for _ in range(3):
            try:
                yield env.timeout(10)
                trace.append((env.now, "slept"))
            except simpy.Interrupt as interrupt:
                trace.append((env.now, interrupt.cause))

    def waker(sleeping: Any) -> Generator[Any, Any, None]:
        yield env.timeout(3)
        sleeping.interrupt("first")
        sleeping.interrupt("second")
        yield env.timeout(10)
        trace.append((env.now, sleeping.is_alive))

    env.process(waker(env.process(sleeper())))


def events_by_hand(env: simpy.Environment, trace: Trace) -> None:
    door = env.event()

    def guest(number: int) -> Generator[Any, Any, None]:
        trace.append((env.now, (number, (yield door))))

    def host() -> Generator[Any, Any, None]:
        yield env.timeout(2)
        door.succeed("open")
        trace.append((env.now, (door.triggered, door.processed)))
        yield env.timeout(0)
        trace.append((env.now, (door.triggered, door.processed)))
        trace.append((env.now, (yield door)))

    for number in range(3):
        env.process(guest(number))
    env.process(host())


def caught_failures(env: simpy.Environment, trace: Trace) -> None:
    def broken() -> Generator[Any, Any, None]:
        yield env.timeout(1)
        raise KeyError("lost")

    def parent() -> Generator[Any, Any, None]:
        try:
            yield env.process(broken())
        except KeyError as failure:
            trace.append((env.now, failure.args))
        event = env.event()
        event.fail(OSError("no"))
        try:
            yield event | env.timeout(5)
        except OSError as failure:
            trace.append((env.now, str(failure)))

    env.process(parent())


def resources(env: simpy.Environment, trace: Trace) -> None:
    desk = simpy.Resource(env, 2)
    box: simpy.Store = simpy.Store(env, 1)

    def customer(number: int) -> Generator[Any, Any, None]:
        yield env.timeout(number * 0.1)
        with desk.request() as turn:
            yield turn
            trace.append((env.now, number))
            yield env.timeout(1)
        yield box.put(number)

    def collector() -> Generator[Any, Any, None]:
        while True:
            trace.append((env.now, ("got", (yield box.get()))))
            yield env.timeout(0.7)

    for number in range(6):
        env.process(customer(number))
    env.process(collector())


@pytest.mark.parametrize(
    "world", [timeouts, conditions, interrupts, events_by_hand, caught_failures, resources], ids=lambda w: w.__name__
)
def test_leaves_simpys_trace(world: World) -> None:
    traces: list[Trace] = []
    for env in (simpy.Environment(), Environment()):
        trace: Trace = []
        world(env, trace)
        env.run(until=50)
        trace.append((env.now, "end"))
        traces.append(trace)
    assert traces[0] == traces[1]
    assert len(traces[1]) > 2


@pytest.mark.parametrize("make", [simpy.Environment, Environment])
def test_an_uncaught_exception_ends_the_run(make: type[simpy.Environment]) -> None:
    env = make()

    def broken() -> Generator[Any, Any, None]:
        yield env.timeout(2.5)
        raise LookupError("nothing there", 7)

    env.process(broken())
    with pytest.raises(LookupError) as caught:
        env.run(until=10)
    assert caught.value.args == ("nothing there", 7)
    assert env.now == 2.5
    if isinstance(env, Environment):
        assert env.failed_process == "broken"
        assert isinstance(caught.value.__cause__, LookupError)


def test_an_exception_that_cannot_be_made_again_is_raised_as_it_is() -> None:
    class Stubborn(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__(f"{a} and {b}")

    env = Environment()
    failure = Stubborn(1, 2)

    def broken() -> Generator[Any, Any, None]:
        yield env.timeout(1)
        raise failure

    env.process(broken())
    with pytest.raises(Stubborn) as caught:
        env.run()
    assert caught.value is failure


@pytest.mark.parametrize("make", [simpy.Environment, Environment])
def test_run_until_a_time(make: type[simpy.Environment]) -> None:
    env = make()
    trace: Trace = []

    def life() -> Generator[Any, Any, None]:
        while True:
            yield env.timeout(1)
            trace.append((env.now, "tick"))

    env.process(life())
    env.run(until=3)
    assert [at for at, _ in trace] == [1, 2]  # what is due at the end does not happen any more
    assert env.now == 3
    with pytest.raises(ValueError, match="until"):
        env.run(until=3)
    env.run(until=3.5)
    assert [at for at, _ in trace] == [1, 2, 3]


@pytest.mark.parametrize("make", [simpy.Environment, Environment])
def test_run_until_an_event(make: type[simpy.Environment]) -> None:
    env = make()

    def life() -> Generator[Any, Any, str]:
        yield env.timeout(2)
        return "done"

    process = env.process(life())
    env.timeout(9)
    assert env.run(until=process) == "done"
    assert env.now == 2
    assert env.run(until=process) == "done"  # it has been processed already

    failing = env.event()
    env.timeout(1).callbacks.append(lambda _: failing.fail(OSError("gone")))
    with pytest.raises(OSError, match="gone"):
        env.run(until=failing)

    never = env.event()
    with pytest.raises(RuntimeError, match="No scheduled events left"):
        env.run(until=never)


@pytest.mark.parametrize("make", [simpy.Environment, Environment])
def test_step_and_peek(make: type[simpy.Environment]) -> None:
    env = make()
    assert env.peek() == float("inf")
    with pytest.raises(EmptySchedule):
        env.step()
    env.timeout(1.5)
    assert env.peek() == 1.5
    env.step()
    assert env.now == 1.5
    assert env.run() is None


def test_callbacks_and_events_share_one_order() -> None:
    env = Environment()
    trace: Trace = []
    env.timeout(1).callbacks.append(lambda _: trace.append((env.now, "event")))
    env.call_at(1.0, lambda what: trace.append((env.now, what)), "callback")
    env.at(1.0, "value").callbacks.append(lambda event: trace.append((env.now, event.value)))
    env.run()
    assert trace == [(1.0, "event"), (1.0, "callback"), (1.0, "value")]


def test_at_is_exact_where_a_timeout_misses() -> None:
    """now + (t - now) is not t now and then; two processes that mean the same moment must meet in it."""
    targets = [k / 10 + 0.05 for k in range(1, 400)]
    missed = 0
    env = Environment(initial_time=0.1)
    for at in targets:
        missed += env.now + (at - env.now) != at
    assert missed > 0, "the test has lost its point"

    reached: list[float] = []

    def life() -> Generator[Any, Any, None]:
        for at in targets:
            yield env.at(at)
            reached.append(env.now)

    env.process(life())
    env.run()
    assert reached == targets


def test_at_refuses_the_past_and_carries_a_value() -> None:
    env = Environment(initial_time=2.0)
    with pytest.raises(ValueError, match="already"):
        env.at(1.0)
    event = env.at(2.5, "value")
    assert env.run(until=event) == "value"
    assert env.now == 2.5


def test_two_environments_share_nothing() -> None:
    one, two = Environment(), Environment()
    one.call_at(1.0, lambda _: None)
    assert two.peek() == float("inf")
    one.run()
    assert (one.now, two.now) == (1.0, 0.0)
