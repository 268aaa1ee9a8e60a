"""One-shot watches: once, in order, before the data, and again after a reconnect."""

from __future__ import annotations

from typing import Any

import pytest

from kafkasim.zookeeper.operations import Create, Delete, Exists, GetChildren, GetData, SetData, WatchEvent
from tests.zookeeper.laboratory import Laboratory


@pytest.mark.parametrize("server", [1, 2])
def test_a_watch_fires_once(server: int) -> None:
    lab = Laboratory(3, leader=1)
    lab.ensemble.put("/x", 0)
    events: list[WatchEvent] = []
    watcher = lab.client("watcher", server, on_watch=events.append)
    writer = lab.client("writer", 3)
    lab.do(watcher, GetData("/x", watch=True))
    lab.do(writer, SetData("/x", 1), SetData("/x", 2))
    lab.env.run(until=1.0)
    assert [(event.path, event.kind) for event in events] == [("/x", "changed")]
    lab.do(watcher, GetData("/x", watch=True))
    lab.do(writer, Delete("/x"), Create("/x", 5))
    lab.env.run(until=2.0)
    assert [event.kind for event in events] == ["changed", "deleted"]


def test_which_change_fires_which_watch() -> None:
    lab = Laboratory(3, leader=1)
    lab.ensemble.put("/p/c", 0)
    events: list[tuple[str, str]] = []
    watcher = lab.client("watcher", 2, on_watch=lambda event: events.append((event.path, event.kind)))
    writer = lab.client("writer", 3)
    lab.do(watcher, Exists("/new", watch=True), GetChildren("/p", watch=True), GetData("/p/c", watch=True))
    assert lab.do(watcher, GetData("/none", watch=True))[0].error == "NONODE"  # sets none
    lab.do(writer, Create("/none", 0), Create("/new", 0), SetData("/p", 1), Delete("/p/c"))
    lab.env.run(until=1.0)
    assert events == [("/new", "created"), ("/p/c", "deleted"), ("/p", "children")]


def test_a_session_sees_the_event_before_the_new_data() -> None:
    lab = Laboratory(3, leader=1)
    lab.ensemble.put("/x", 0)
    seen: list[Any] = []
    watcher = lab.client("watcher", 2, on_watch=lambda event: seen.append(event.kind))
    writer = lab.client("writer", 3)
    lab.do(watcher, GetData("/x", watch=True))
    writer.submit([SetData("/x", 1)])

    def read() -> Any:
        while True:
            outcomes = yield watcher.submit([GetData("/x")])
            seen.append(outcomes[0].data)
            if outcomes[0].data == 1:
                return

    lab.env.run(until=lab.env.process(read()))
    assert seen[-2:] == ["changed", 1]
    assert set(seen[:-2]) == {0}


def test_a_watch_is_registered_anew_and_what_was_missed_fires_at_once() -> None:
    lab = Laboratory(3, leader=1, start_up_s=0.3)
    lab.ensemble.put("/x", 0)
    lab.ensemble.put("/y", 0)
    lab.ensemble.put("/quiet", 0)
    events: list[tuple[str, str]] = []
    watcher = lab.client("watcher", 2, on_watch=lambda event: events.append((event.path, event.kind)))
    writer = lab.client("writer", 3)
    lab.do(watcher, GetData("/x", watch=True), GetData("/quiet", watch=True), GetChildren("/y", watch=True))
    lab.ensemble.crash(2, 0)
    lab.env.run(until=0.1)
    lab.do(writer, SetData("/x", 1), Create("/y/z", None))
    assert events == []
    lab.env.run(until=10.0)
    assert watcher.state == "connected"
    assert watcher.server_id != 2
    assert sorted(events) == [("/x", "changed"), ("/y", "children")]
    lab.do(writer, SetData("/quiet", 1), SetData("/x", 2))
    lab.env.run(until=11.0)
    assert sorted(events) == [("/quiet", "changed"), ("/x", "changed"), ("/y", "children")]


def test_settled_watches_fire() -> None:
    lab = Laboratory(3, leader=1)
    lab.ensemble.put("/brokers/ids", None)
    events: list[WatchEvent] = []
    broker = lab.client("broker 1", 2)
    controller = lab.client("controller", None, on_watch=events.append)
    lab.ensemble.put("/controller", 1, owner=broker.session_id)
    controller.watch_settled("/controller")
    controller.watch_settled("/brokers/ids", children=True)
    lab.env.run(until=1.0)
    broker.close(cause=7)
    lab.do(lab.client_connected("writer"), Create("/brokers/ids/4", None))
    lab.env.run(until=3.0)
    assert [(event.path, event.kind) for event in events] == [("/controller", "deleted"), ("/brokers/ids", "children")]
