"""What a write costs: fsyncs, hops, group commit, processor time."""

from __future__ import annotations

import pytest

from kafkasim.zookeeper.operations import (
    Check,
    Create,
    Delete,
    Exists,
    GetChildren,
    GetData,
    Multi,
    SetData,
)
from tests.zookeeper.laboratory import Laboratory


def write_latency_s(lab: Laboratory, server: int) -> float:
    client = lab.client(f"c{server}", server)
    lab.ensemble.put("/x", 0)
    lab.env.run(until=0.5)
    began = lab.env.now
    lab.do(client, SetData("/x", 1))
    return lab.env.now - began


@pytest.mark.parametrize("servers", [1, 3, 5])
def test_a_write_costs_one_fsync_a_server(servers: int) -> None:
    lab = Laboratory(servers, leader=1)
    client = lab.client("c", 1)
    lab.ensemble.put("/x", 0)
    for expected in (1, 2, 3):
        lab.do(client, SetData("/x", expected))
        lab.env.run(until=lab.env.now + 0.1)
        assert lab.fsyncs() == expected * servers


@pytest.mark.parametrize(("server", "slope"), [(1, 2.0), (2, 4.0)])
def test_latency_grows_by_two_delays_at_the_leader_and_four_at_a_follower(server: int, slope: float) -> None:
    """One-way delays between the servers; the client's own round trip is two more."""
    near = write_latency_s(Laboratory(3, leader=1, latency_s=0.0), server)
    far = write_latency_s(Laboratory(3, leader=1, latency_s=5e-3), server)
    assert (far - near) / 5e-3 == pytest.approx(slope + 2.0, rel=0.001)


def test_an_unloaded_write_is_its_parts() -> None:
    """Request, preparation, PROPOSAL, fsync, ACK, reply (a follower's acknowledgement is the second)."""
    measured = write_latency_s(Laboratory(3, leader=1, latency_s=1e-3, fsync_s=2e-3), 1)
    leader_s = 30e-6 + 35e-6 + 2 * 4.7e-6
    assert measured == pytest.approx(2e-3 + leader_s + 2e-3 + 15e-6 + 2e-3, rel=0.001)


@pytest.mark.parametrize("servers", [1, 3])
def test_group_commit_one_fsync_for_all_that_came_in_during_the_last(servers: int) -> None:
    lab = Laboratory(servers, leader=1, fsync_s=10e-3)
    lab.ensemble.put("/x", 0)
    clients = [lab.client(f"c{n}", 1) for n in range(20)]
    lab.env.run(until=1.0)
    calls = [client.submit([SetData("/x", n)]) for n, client in enumerate(clients)]
    for call in calls:
        lab.env.run(until=call)
    for server in lab.ensemble.servers():
        assert server.log.fsyncs == 2  # the first alone, nineteen behind it together
        assert server.log.logged == 20
    assert 1.0 + 20e-3 < lab.env.now < 1.0 + 22e-3


def test_a_batch_is_at_most_max_batch_size() -> None:
    lab = Laboratory(1, fsync_s=10e-3, max_batch_size=4)
    lab.ensemble.put("/x", 0)
    client = lab.client("c", 1, max_in_flight=9)
    lab.do(client, *[SetData("/x", n) for n in range(9)])
    assert lab.ensemble.server(1).log.fsyncs == 3


def test_a_failed_write_costs_what_a_successful_one_costs() -> None:
    lab = Laboratory(3, leader=1)
    client = lab.client("c", 2)
    lab.ensemble.put("/x", 0)
    costs = []
    for operation in (SetData("/x", 1), SetData("/x", 1, 7), Create("/x", 0), Delete("/none"), Multi([Check("/x", 9)])):
        lab.env.run(until=lab.env.now + 1.0)
        began = lab.env.now
        before = lab.fsyncs()
        outcome = lab.do(client, operation)[0]
        taken = lab.env.now - began
        lab.env.run(until=lab.env.now + 0.5)
        costs.append((outcome.error, lab.fsyncs() - before, taken))
    assert [error for error, _, _ in costs] == [None, "BADVERSION", "NODEEXISTS", "NONODE", "BADVERSION"]
    assert {fsyncs for _, fsyncs, _ in costs} == {3}
    for _, _, taken in costs:
        assert taken == pytest.approx(costs[0][2], rel=0.01)


def test_the_slowest_minority_is_masked() -> None:
    lab = Laboratory(5, leader=1)
    for server in (4, 5):
        disk = lab.ensemble.server(server).host.disk
        disk.fsync_p50_s = disk.fsync_p99_s = 1.0
    assert write_latency_s(lab, 1) < 0.001


def test_a_read_waits_for_the_own_sessions_write_only() -> None:
    lab = Laboratory(3, leader=1, fsync_s=50e-3)
    lab.ensemble.put("/x", "old")
    client = lab.client("c", 2)
    other = lab.client("d", 2)
    lab.env.run(until=1.0)
    write = client.submit([SetData("/x", "new")])
    read = client.submit([GetData("/x")])
    stale = other.submit([GetData("/x")])
    assert lab.env.run(until=stale)[0].data == "old"
    assert lab.env.now < 1.001
    assert lab.env.run(until=read)[0].data == "new"
    assert write.processed
    assert lab.env.now > 1.05


def test_pipelined_operations_keep_their_order() -> None:
    lab = Laboratory(3, leader=1, fsync_s=1e-3, fsync_p99_s=20e-3)
    lab.ensemble.put("/x", 0)
    for client in [lab.client(f"c{server}", server) for server in (1, 2)]:
        operations = [SetData("/x", n // 2) if n % 2 == 0 else GetData("/x") for n in range(100)]
        outcomes = lab.do(client, *operations)
        assert [outcome.data for outcome in outcomes[1::2]] == list(range(50))


def test_the_window_of_ten_makes_a_batch_cost_its_tenth_in_round_trips() -> None:
    lab = Laboratory(3, leader=1, latency_s=10e-3)
    lab.ensemble.put("/x", 0)
    client = lab.client("c", 1)
    began = lab.env.now
    lab.do(client, *[GetData("/x")] * 95)
    assert lab.env.now - began == pytest.approx(10 * 20e-3, rel=0.03)


def test_a_saturated_leader_writes_at_the_rate_of_its_processor() -> None:
    """An own client's write costs the leader 65 + 4.7 * followers microseconds; reads 33,000 a server and second."""
    lab = Laboratory(3, leader=1)
    lab.ensemble.put("/x", 0)
    client = lab.client("c", 1, max_in_flight=200)
    began = lab.env.now
    lab.do(client, *[SetData("/x", n) for n in range(4000)])
    assert 4000 / (lab.env.now - began) == pytest.approx(1 / 74.4e-6, rel=0.05)
    reader = lab.client("r", 2, attach=False, max_in_flight=200)
    lab.env.run(until=reader.connect())
    began = lab.env.now
    lab.do(reader, *[GetData("/x") for _ in range(4000)])
    assert 4000 / (lab.env.now - began) == pytest.approx(1 / 30e-6, rel=0.05)


def test_the_data_tree() -> None:
    lab = Laboratory(3, leader=1)
    client = lab.client("c", 2)
    lab.env.run(until=0.1)
    made = lab.do(
        client,
        Create("/a", "1"),
        Create("/a/b", "2"),
        Create("/a/s-", None, sequential=True),
        Create("/a/s-", None, sequential=True),
        Create("/missing/x", None),
        Create("/e", None, ephemeral=True),
        Create("/e/x", None),
        Delete("/a"),
        GetChildren("/a"),
    )
    assert [outcome.error for outcome in made] == [
        None, None, None, None, "NONODE", None, "NOCHILDRENFOREPHEMERALS", "NOTEMPTY", None,
    ]  # fmt: skip
    assert [outcome.path for outcome in made[2:4]] == ["/a/s-0000000001", "/a/s-0000000002"]
    assert made[8].children == ["b", "s-0000000001", "s-0000000002"]
    assert made[5].owner == client.session_id
    assert made[0].czxid < made[1].czxid < made[2].czxid
    # a deletion does not give its number back
    lab.do(client, Delete("/a/s-0000000002"))
    assert lab.do(client, Create("/a/s-", None, sequential=True))[0].path == "/a/s-0000000003"
    # versions, pipelined: the leader checks against what is outstanding
    done = lab.do(client, SetData("/a", "x", 0), SetData("/a", "y", 1), SetData("/a", "z", 1), GetData("/a"))
    assert [outcome.error for outcome in done] == [None, None, "BADVERSION", None]
    assert (done[3].data, done[3].version, done[3].czxid) == ("y", 2, made[0].czxid)
    # all or none
    multi = lab.do(
        client, Multi([Create("/m", 0), SetData("/a", "w", 99), Delete("/a/b")]), Exists("/m"), Exists("/a/b")
    )
    assert multi[0].error == "BADVERSION"
    assert [outcome.error for outcome in multi[0].outcomes] == [None, "BADVERSION", "RUNTIMEINCONSISTENCY"]
    assert [outcome.error for outcome in multi[1:]] == ["NONODE", None]
    multi = lab.do(client, Multi([Create("/m", 0), Create("/m/n", 1), SetData("/m/n", 2, 0)]), GetData("/m/n"))
    assert multi[1].data == 2
    assert multi[0].outcomes[0].czxid == multi[0].outcomes[1].czxid


def test_an_idle_ensemble_costs_pings_only() -> None:
    """Half ticks: one event at the leader, two packets a follower; a client: three events a ping, and its timers."""
    lab = Laboratory(3, leader=1)
    for n in range(3):
        lab.client(f"c{n}", None)
    lab.env.run(until=10.0)
    before = lab.env.scheduler.events
    lab.env.run(until=1010.0)
    assert lab.env.scheduler.events - before < 1000 * 5 + 3 * 167 * 7 + 1000


def test_a_pipelined_read_costs_three_events() -> None:
    lab = Laboratory(3, leader=1)
    lab.ensemble.put("/x", 0)
    client = lab.client("c", 2)
    before = lab.env.scheduler.events
    lab.do(client, *[GetData("/x")] * 5000)
    assert lab.env.scheduler.events - before < 5000 * 3.1
