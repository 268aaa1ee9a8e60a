"""Observers: told of what is committed, never asked."""

from __future__ import annotations

from statistics import mean

import pytest

from kafkasim.zookeeper.operations import Create, GetData, SetData
from tests.zookeeper.laboratory import Laboratory


def test_an_observer_serves_reads_and_forwards_writes() -> None:
    lab = Laboratory(3, leader=1, observers=2)
    lab.ensemble.put("/x", 0)
    client = lab.client("c", 5)
    lab.do(client, SetData("/x", 1))
    assert lab.do(client, GetData("/x"))[0].data == 1
    lab.env.run(until=1.0)
    for server in lab.ensemble.servers():
        assert server.tree.nodes["/x"].data == 1
        assert server.log.fsyncs == 1  # observers log too
    assert [server.state for server in lab.ensemble.servers()] == [
        "LEADING", "FOLLOWING", "FOLLOWING", "OBSERVING", "OBSERVING",
    ]  # fmt: skip


def test_nobody_waits_for_an_observer() -> None:
    """A write needs two of the three voters: slow observers do not delay it, and do not replace a voter."""
    lab = Laboratory(3, leader=1, observers=2)
    lab.ensemble.put("/x", 0)
    for number in (4, 5):
        disk = lab.ensemble.server(number).host.disk
        disk.fsync_p50_s = disk.fsync_p99_s = 1.0
    client = lab.client("c", 1)
    began = lab.env.now
    lab.do(client, SetData("/x", 1))
    assert lab.env.now - began < 0.001
    for number in (2, 3):
        lab.ensemble.crash(number, 0)
    lab.env.run(until=10.0)
    assert lab.ensemble.leader_id() is None
    assert not any(server.serving for server in lab.ensemble.servers())


@pytest.mark.parametrize("seed", range(5))
def test_an_observer_learns_the_leader_from_the_voters(seed: int) -> None:
    """After 0 to 200 ms more than a voter it asks, and asks again at 200, 600, 1400 ms until there is one."""
    lab = Laboratory(3, seed=seed, leader=None, observers=1)
    leader = lab.ensemble.leader_id() or 0
    lab.env.run(until=1.0)
    lab.ensemble.crash(leader, 0)
    observer = lab.ensemble.server(4)
    lab.env.run(until=1.01)
    while lab.ensemble.leader_id() is None:
        assert not observer.serving
        lab.env.step()
    elected = lab.env.now
    lab.env.run(until=elected + 2.0)
    assert observer.state == "OBSERVING"
    assert observer.serving
    client = lab.client_connected("c")
    lab.do(client, Create("/new", 7))
    lab.env.run(until=lab.env.now + 0.1)
    assert observer.tree.nodes["/new"].data == 7


def test_an_observer_never_wins_an_election() -> None:
    """Although its id is the highest and its log as new as any."""
    for seed in range(5):
        lab = Laboratory(3, seed=seed, leader=1, observers=1)
        lab.env.run(until=1.0)
        lab.ensemble.crash(1, 0)
        lab.env.run(until=4.0)
        assert lab.ensemble.leader_id() in (2, 3)


def test_a_returning_observer_is_brought_up_to_date() -> None:
    lab = Laboratory(3, leader=1, observers=1, start_up_s=0.3)
    lab.ensemble.put("/x", 0)
    client = lab.client("c", 1)
    lab.env.run(until=1.0)
    lab.ensemble.crash(4, 0)
    lab.do(client, *[SetData("/x", n) for n in range(20)])
    lab.ensemble.start(4, 0)
    lab.env.run(until=3.0)
    observer = lab.ensemble.server(4)
    assert observer.serving
    assert observer.tree.nodes["/x"].data == 19
    lab.do(client, SetData("/x", "later"))
    lab.env.run(until=3.1)
    assert observer.tree.nodes["/x"].data == "later"


def test_a_session_at_an_observer_is_relayed_like_at_a_follower() -> None:
    delays = []
    for seed in range(12):
        lab = Laboratory(3, seed=seed, leader=None, observers=1, trace=True)
        client = lab.client("broker 1", 4)
        lab.env.run(until=55.0)
        client.crash()
        lab.env.run(until=80.0)
        delays.append(lab.timeline.of("session_expired")[0][0] - 55.0)
    assert min(delays) > 12.0
    assert max(delays) < 21.0
    assert 14.5 < mean(delays) < 18.0


def test_observers_share_the_reads_and_cost_the_leader_their_informs() -> None:
    few, many = Laboratory(3, leader=1), Laboratory(3, leader=1, observers=4)
    taken = []
    for lab in (few, many):
        lab.ensemble.put("/x", 0)
        client = lab.client("c", 1, max_in_flight=200)
        began = lab.env.now
        lab.do(client, *[SetData("/x", n) for n in range(2000)])
        taken.append((lab.env.now - began) / 2000)
    assert taken[1] - taken[0] == pytest.approx(4 * 4.7e-6, rel=0.1)
