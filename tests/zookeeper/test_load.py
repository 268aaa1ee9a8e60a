"""Load on a server: the limit of outstanding requests, snapshots, log files, a disk that is stuck."""

from __future__ import annotations

import itertools

import pytest

from kafkasim.zookeeper.leader import Leader
from kafkasim.zookeeper.operations import Create, GetData, SetData
from tests.zookeeper.laboratory import Laboratory


@pytest.mark.parametrize(("servers", "limit"), [(1, 1000), (3, 500), (5, 250)])
def test_the_limit_of_outstanding_requests_is_shared_out_by_followers(servers: int, limit: int) -> None:
    lab = Laboratory(servers, leader=1, observers=1 if servers > 1 else 0)
    assert {server.port._limit for server in lab.ensemble.servers() if not server.observes} == {limit}
    assert {server.port._limit for server in lab.ensemble.servers() if server.observes} <= {1000}


def test_beyond_the_limit_a_client_keeps_one_request_and_its_pings_wait() -> None:
    lab = Laboratory(3, leader=1, fsync_s=3.0, global_outstanding_limit=20)  # ten a server
    lab.ensemble.put("/x", 0)
    lab.ensemble.put("/y", 0)
    greedy = lab.client("greedy", 2, timeout_s=6.0, max_in_flight=50)
    modest = lab.client("modest", 2, timeout_s=6.0)
    lab.env.run(until=0.1)
    greedy.submit([SetData("/x", n) for n in range(50)])
    lab.env.run(until=0.2)
    port = lab.ensemble.server(2).port
    attachment = port.attachments[greedy.session_id]
    assert attachment.outstanding == port._limit + 1
    assert attachment.unread is not None
    assert len(attachment.unread) == 50 - 11
    # another one is read as long as it has nothing outstanding
    assert lab.do(modest, GetData("/x"))[0].data == 0
    lab.env.run(until=2.5)  # a ping is due: it waits in the socket, and does not touch
    assert lab.ensemble.server(2).port.attachments[greedy.session_id].unread is attachment.unread


def test_all_is_answered_in_order_through_the_limit() -> None:
    lab = Laboratory(3, leader=1, global_outstanding_limit=8)
    lab.ensemble.put("/x", 0)
    clients = [lab.client(f"c{n}", 1 + n % 3, max_in_flight=30) for n in range(6)]
    operations = [SetData("/x", n) if n % 3 == 0 else GetData("/x") for n in range(300)]
    calls = [client.submit(operations) for client in clients]
    for call in calls:
        assert all(outcome.error is None for outcome in lab.env.run(until=call))
    assert lab.ensemble.server(1).tree.nodes["/x"].version == 600
    lab.env.run(until=lab.env.now + 0.01)
    assert [server.port.in_progress for server in lab.ensemble.servers()] == [0, 0, 0]


def test_a_connection_that_has_lost_its_session_to_another_one_is_closed() -> None:
    """SESSIONMOVED: a write that still comes through the former server is an error transaction, without an answer."""
    lab = Laboratory(3, leader=1)
    lab.ensemble.put("/x", 0)
    states: list[str] = []
    client = lab.client("c", 2, on_state=lambda state, cause: states.append(state))
    lab.env.run(until=0.1)
    leader = lab.ensemble.server(1).role
    assert isinstance(leader, Leader)
    leader.tracker.moved(client.session_id, 3)
    zxid = lab.ensemble.server(1).tree.last_zxid
    call = client.submit([SetData("/x", 1)])
    lab.env.run(until=0.3)
    assert states == ["disconnected"]
    assert lab.ensemble.server(1).tree.last_zxid == zxid + 1
    assert lab.ensemble.server(1).tree.nodes["/x"].data == 0
    assert lab.env.run(until=call)[0].error is None  # reattached, and sent again


def test_a_closing_session_is_not_heard_any_more() -> None:
    lab = Laboratory(3, leader=1, fsync_s=1.0)
    lab.ensemble.put("/x", 0)
    client = lab.client("c", 1, timeout_s=6.0)
    lab.env.run(until=0.1)
    leader = lab.ensemble.server(1).role
    assert isinstance(leader, Leader)
    leader.tracker.closing(client.session_id)
    call = client.submit([GetData("/x")])
    lab.env.run(until=2.0)
    assert not call.triggered


def test_snapshots_are_taken_after_half_to_all_of_the_count_and_not_together() -> None:
    lab = Laboratory(3, leader=1, snapshot_count=400)
    lab.ensemble.put("/x", 0)
    client = lab.client("c", 1)
    due: list[list[int]] = [[], [], []]
    for server, at in zip(lab.ensemble.servers(), due, strict=True):
        due_now = server.log._rolled

        def spy(server: object = server, at: list[int] = at, due_now: object = due_now) -> None:
            at.append(server.log.logged)  # type: ignore[attr-defined]
            due_now()  # type: ignore[operator]

        server.log._rolled = spy
    lab.do(client, *[SetData("/x", n) for n in range(3000)])
    lab.env.run(until=lab.env.now + 1.0)
    for at in due:
        gaps = [b - a for a, b in itertools.pairwise(at)]
        assert len(gaps) > 6
        assert all(200 <= gap <= 420 for gap in gaps)
    assert len({tuple(at) for at in due}) == 3


def stall_s(own_device: bool) -> float:
    """The slowest of some writes while a large snapshot is written."""
    lab = Laboratory(1, snapshot_count=40, log_on_own_device=own_device)
    for number in range(20):
        lab.ensemble.put(f"/big-{number}", "x" * 1_000_000)
    lab.ensemble.server(1).host.disk.write_bytes_per_s = 100e6
    client = lab.client("c", 1)
    slowest = 0.0
    for number in range(60):
        began = lab.env.now
        lab.do(client, SetData("/big-0", number))
        slowest = max(slowest, lab.env.now - began)
    assert lab.ensemble.server(1).snapshots.taken or lab.ensemble.server(1).snapshots.running
    return slowest


def test_a_snapshot_on_the_logs_disk_stalls_an_fsync() -> None:
    assert 0.1 < stall_s(own_device=False) < 0.25  # 20 MB at 100 MB/s
    assert stall_s(own_device=True) < 0.002  # but for the first sync of a new file


def test_the_first_sync_of_a_new_log_file_is_slow() -> None:
    lab = Laboratory(1, fsync_s=1e-3)
    lab.ensemble.put("/x", 0)
    client = lab.client("c", 1)
    taken = []
    for n in range(3):
        if n == 1:
            lab.ensemble.server(1).log.begin_file()
        began = lab.env.now
        lab.do(client, SetData("/x", n))
        taken.append(lab.env.now - began)
    assert taken[1] - taken[0] == pytest.approx(2e-3, rel=0.01)
    assert taken[2] == pytest.approx(taken[0])


def test_a_follower_that_pings_but_does_not_acknowledge_is_closed() -> None:
    """One proposal is tracked: syncLimit ticks after it was sent, at the next ping, the leader closes."""
    for seed in range(4):
        lab = Laboratory(3, seed=seed, leader=1)
        lab.ensemble.put("/x", 0)
        client = lab.client("c", 1)
        stuck = lab.ensemble.server(3)
        lab.env.run(until=3.0)
        lab.do(client, SetData("/x", 0))
        lab.env.run(until=4.0)
        stuck.host.disk.fsync_p50_s = stuck.host.disk.fsync_p99_s = 1000.0
        lab.do(client, SetData("/x", 1))
        sent = lab.env.now
        leader = lab.ensemble.server(1).role
        assert isinstance(leader, Leader)
        while 3 in leader.learners:
            lab.env.step()
        assert 10.0 - 0.01 <= lab.env.now - sent <= 11.0
        assert lab.ensemble.leader_id() == 1
        lab.do(client, SetData("/x", 2))  # the other one is quorum enough


def test_a_large_tree_makes_a_new_leader_and_its_learners_slow() -> None:
    """The term's snapshot, and the snapshot that a learner gets, are written before the ensemble serves."""
    outages = []
    for size in (0, 100):
        lab = Laboratory(3, seed=5, leader=1, snapshot_count=200, start_up_s=0.2)
        for number in range(size):
            lab.ensemble.put(f"/big-{number}", "x" * 1_000_000)
        for server in lab.ensemble.servers():
            server.host.disk.write_bytes_per_s = server.host.disk.read_bytes_per_s = 100e6
        lab.env.run(until=1.0)
        lab.ensemble.crash(1, 0)
        lab.env.run(until=8.0)
        elected = lab.timeline.of("zookeeper_leader_elected")
        outages.append(elected[0][0] - 1.0)
    assert outages[1] - outages[0] == pytest.approx(1.0, abs=0.25)


def test_a_leader_whose_counter_is_full_resigns() -> None:
    lab = Laboratory(3, leader=1)
    client = lab.client("c", 2)
    lab.env.run(until=1.0)
    leader = lab.ensemble.server(1).role
    assert isinstance(leader, Leader)
    leader.settled_to((1 << 32) + 0xFFFFFFFD)
    outcomes = lab.do(client, *[Create(f"/n{n}", None) for n in range(4)])
    assert {outcome.error for outcome in outcomes} <= {None, "NODEEXISTS"}
    assert lab.ensemble.server(1).current_epoch == 2
    assert len(lab.timeline.of("zookeeper_leader_elected")) == 1
