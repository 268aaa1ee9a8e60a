"""The client: pings, pauses, what happens to calls when the connection breaks."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from kafkasim.zookeeper.operations import Create, GetData, SetData
from tests.zookeeper.laboratory import Laboratory


def pings(lab: Laboratory, server: int) -> list[float]:
    port = lab.ensemble.server(server).port
    taking = port.request
    times: list[float] = []

    def spy(attachment: Any, request: Any) -> None:
        if request.operation is None:
            times.append(lab.env.now)
        taking(attachment, request)

    port.request = spy  # type: ignore[method-assign]
    return times


def test_an_idle_client_pings_every_third_of_its_timeout() -> None:
    lab = Laboratory(3, leader=1)
    lab.client("c", 2)
    times = pings(lab, 2)
    lab.env.run(until=60.0)
    assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([6.0] * (len(times) - 1))
    assert 0.0 <= times[0] <= 6.0


def test_a_wake_up_brings_the_ping_forward_by_a_second() -> None:
    lab = Laboratory(3, leader=1)
    lab.ensemble.put("/x", 0)
    client = lab.client("c", 2)
    writer = lab.client("w", 1)
    lab.env.run(until=8.0)
    lab.do(client, GetData("/x", watch=True))
    sent = 8.0
    times = pings(lab, 2)
    lab.env.run(until=11.0)
    lab.do(writer, SetData("/x", 1))  # the watch event wakes the loop
    lab.env.run(until=30.0)
    assert times[0] - sent == pytest.approx(5.0, abs=0.001)
    assert times[1] - times[0] == pytest.approx(6.0, abs=0.001)


def test_a_hung_write_costs_the_connection_after_two_thirds() -> None:
    """No ping is answered behind a write that does not commit: the client leaves after 2T/3 of silence."""
    lab = Laboratory(3, leader=1)
    lab.ensemble.put("/x", 0)
    states: list[tuple[str, float]] = []
    client = lab.client("c", 1, on_state=lambda state, cause: states.append((state, lab.env.now)))
    lab.env.run(until=1.0)
    for server in lab.ensemble.servers():
        server.host.disk.fsync_p50_s = server.host.disk.fsync_p99_s = 40.0
    lab.do(client, GetData("/x"))
    heard = lab.env.now
    client.submit([SetData("/x", 1)])
    lab.env.run(until=20.0)
    assert states[0][0] == "disconnected"
    assert states[0][1] == pytest.approx(heard + 12.0 + 0.1, abs=0.001)  # and 100 ms of clean-up


def test_calls_survive_a_lost_connection() -> None:
    """What fails with CONNECTIONLOSS is sent again; the caller sees outcomes only."""
    lab = Laboratory(3, leader=1)
    lab.ensemble.put("/x", 0)
    client = lab.client("c", 2)
    lab.env.run(until=1.0)
    call = client.submit([SetData("/x", n) for n in range(2000)])
    lab.env.run(until=1.01)
    lab.ensemble.crash(2, 0)
    outcomes = lab.env.run(until=call)
    assert all(outcome.error is None for outcome in outcomes)
    assert 1.1 < lab.env.now < 5.0
    node = lab.ensemble.server(1).tree.nodes["/x"]
    assert 2000 <= node.version <= 2010  # some of the ten on the way were done twice: their outcome was unknown
    assert 90 < node.data < 150  # Kafka sends those again after the rest of the batch


def test_an_ephemeral_created_twice_finds_its_own_node() -> None:
    """The reply is lost with the connection: the repeated create meets the session's own znode."""
    lab = Laboratory(3, leader=1)
    client = lab.client("c", 2)
    lab.env.run(until=1.0)
    call = client.submit([Create("/mine", None, ephemeral=True)])
    while "/mine" not in lab.ensemble.server(1).tree.nodes:
        lab.env.step()
    lab.ensemble.crash(2, 0)
    (outcome,) = lab.env.run(until=call)
    assert outcome.error == "NODEEXISTS"
    assert lab.do(client, GetData("/mine"))[0].owner == client.session_id


@pytest.mark.parametrize("seed", range(10))
def test_coming_back_takes_a_clean_up_and_random_pauses(seed: int) -> None:
    lab = Laboratory(3, seed=seed, leader=1)
    client = lab.client("c", 2)
    lab.env.run(until=1.0)
    lab.ensemble.crash(2, 0)
    while client.server_id is not None:
        lab.env.step()
    while client.server_id is None:
        lab.env.step()
    assert client.server_id != 2
    assert 0.1 < lab.env.now - 1.0 < 1.11


def test_a_first_connection_is_not_paused() -> None:
    lab = Laboratory(3, leader=1)
    client = lab.client("c", attach=False)
    lab.env.run(until=1.0)
    lab.env.run(until=client.connect())
    assert lab.env.now < 1.003
    lab.ensemble.crash(client.server_id or 0, 0)
    late = lab.client("late", attach=False)
    began = lab.env.now
    lab.env.run(until=late.connect())
    assert lab.env.now - began < 2.0


def test_a_crash_cuts_the_connection_and_leaves_the_session() -> None:
    lab = Laboratory(3, leader=1)
    client = lab.client("c", 2)
    lab.env.run(until=1.0)
    call = client.submit([Create("/mine", None, ephemeral=True)])
    client.crash()
    lab.env.run(until=5.0)
    assert not call.triggered
    assert lab.ensemble.server(2).port.attachments == {}
    assert "/mine" in lab.ensemble.server(1).tree.nodes  # what was written to the socket still arrived
    session = client.session_id
    lab.env.run(until=client.connect())
    assert client.session_id != session
    assert lab.do(client, Create("/mine", None, ephemeral=True))[0].error == "NODEEXISTS"


def test_settled_phases_differ_by_seed_and_do_not_depend_on_other_clients() -> None:
    def first_ping(seed: int, others: int) -> float:
        lab = Laboratory(3, seed=seed, leader=1)
        for n in range(others):
            lab.client(f"other {n}", 1)
        lab.client("c", 3)
        times = pings(lab, 3)
        lab.env.run(until=7.0)
        return times[0]

    assert len({first_ping(seed, 0) for seed in range(10)}) == 10
    assert first_ping(4, 0) == first_ping(4, 5)
