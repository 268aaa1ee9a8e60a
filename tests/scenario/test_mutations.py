"""Whatever stands in a scenario, loading gives a scenario or a list of mistakes, never another exception."""

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kafkasim.scenario import Scenario, ScenarioError, gallery

SOURCES: list[Any] = [Scenario.load(gallery.locate(name)).source() for name in gallery.names()]

junk = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=12)
    | st.sampled_from(["10ms", "5", "-1s", "1/s", "0s", "0/s", "0B", "all", "broker 1", "leader of TweetsPublicados-0",
                       "default", "lab", "3.9", "2.8", "range", "99999999999d", "1TB", "produce latency p99 < 5ms"])
    | st.lists(st.integers(0, 4) | st.text(max_size=3), max_size=3)
    | st.dictionaries(st.sampled_from(["name", "config", "latency", "map", "0", "x"]), st.integers(0, 9) | st.text())
)  # fmt: skip


def paths(tree: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [above] if above else []
    if isinstance(tree, dict):
        for key, child in tree.items():
            found += paths(child, (*above, key))
    elif isinstance(tree, list):
        for index, child in enumerate(tree):
            found += paths(child, (*above, index))
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_scenarios(data: st.DataObject) -> None:
    tree = copy.deepcopy(data.draw(st.sampled_from(SOURCES)))
    for _ in range(data.draw(st.integers(1, 3))):
        places = paths(tree)
        path = data.draw(st.sampled_from(places))
        inner = tree
        for part in path[:-1]:
            inner = inner[part]
        action = data.draw(st.sampled_from(["replace", "remove", "rename"]))
        if action == "replace" or isinstance(inner, list):
            inner[path[-1]] = data.draw(junk)
        elif action == "remove":
            del inner[path[-1]]
        else:
            inner[data.draw(st.text(max_size=8))] = inner.pop(path[-1])
    try:
        scenario = Scenario.from_dict(tree)
    except ScenarioError as error:
        assert error.mistakes
        assert str(error)
        return
    scenario.to_dict()
    scenario.expectations()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.sampled_from(["duration", "producers.app.rate", "cluster.brokers", "topics.messages"]))
def test_any_override(text: str, path: str) -> None:
    for override in (text, f"{path}={text}", f"{path}.{text}=1"):
        try:
            Scenario.load(gallery.locate("primer/hello"), [override])
        except ScenarioError as error:
            assert error.mistakes
