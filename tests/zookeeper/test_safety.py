"""What must hold whatever breaks: acknowledged writes survive, trees agree, order within a session."""

from __future__ import annotations

from typing import Any

import pytest

from kafkasim.zookeeper.client_port import ClientPort
from kafkasim.zookeeper.follower import Follower
from kafkasim.zookeeper.leader import Leader
from kafkasim.zookeeper.learner_handler import LearnerHandler
from kafkasim.zookeeper.operations import Create, GetData, SetData
from kafkasim.zookeeper.packets import Ack, Commit, Proposal, Vote
from kafkasim.zookeeper.prep import Preparation
from kafkasim.zookeeper.transactions import CLOSE_SESSION, Change
from tests.zookeeper.laboratory import Laboratory
from tests.zookeeper.safety import Broken, Fault, all_lose_power, run


@pytest.mark.parametrize("seed", range(50))
def test_random_faults_break_no_rule(seed: int) -> None:
    checker = run(seed, 3 + 2 * (seed % 2))
    assert len(checker.committed) > 50
    assert checker.load.heard > 10


@pytest.mark.full
@pytest.mark.parametrize("servers", [3, 5])
@pytest.mark.parametrize("block", range(25))
def test_random_faults_break_no_rule_in_a_thousand_runs(block: int, servers: int) -> None:
    for seed in range(1000 + 20 * block, 1000 + 20 * (block + 1)):
        run(seed, servers, observers=seed % 2)


def broken_runs(seeds: int, servers: int = 3, faults: list[Fault] | None = None) -> list[str]:
    """What the checker says of ``seeds`` runs, until it has found something."""
    for seed in range(seeds):
        try:
            run(seed, servers, faults=faults)
        except (Broken, RuntimeError) as broken:  # the tree itself refuses what cannot be
            return [str(broken)]
    return []


def test_a_leader_that_takes_the_epoch_of_the_one_before_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    lead = Leader._lead

    def again(leader: Leader) -> None:
        leader.epoch = 1
        lead(leader)

    monkeypatch.setattr(Leader, "_lead", again)
    (said,) = broken_runs(10)
    assert "epoch 1" in said or "behind" in said


def test_a_leader_that_commits_alone_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    acknowledged = Leader.acknowledged

    def alone(leader: Leader) -> None:
        quorum, leader.server.quorum = leader.server.quorum, 1
        acknowledged(leader)
        leader.server.quorum = quorum

    monkeypatch.setattr(Leader, "acknowledged", alone)
    assert broken_runs(40, 3, [all_lose_power])


def test_a_follower_that_acknowledges_before_its_disk_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The power of several machines goes: what they had acknowledged is lost."""
    broadcast = Follower._broadcast

    def early(follower: Follower, message: Any) -> None:
        broadcast(follower, message)
        if isinstance(message, Proposal) and follower.socket is not None:
            follower.socket.send(Ack(message.transaction.zxid, 1))

    monkeypatch.setattr(Follower, "_broadcast", early)
    assert broken_runs(40, 3, [all_lose_power])


def test_a_follower_that_leaves_one_commit_out_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    broadcast = Follower._broadcast

    def forgetful(follower: Follower, message: Any) -> None:
        if isinstance(message, Commit) and follower.pending and follower.pending[0].zxid % 40 == 7:
            follower.pending.popleft()
        broadcast(follower, message)

    monkeypatch.setattr(Follower, "_broadcast", forgetful)
    (said,) = broken_runs(5)
    assert "right after" in said or "lost" in said


def test_an_election_that_forgets_the_log_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the zxid in the vote, and without the leader's check of its followers."""
    monkeypatch.setattr(Vote, "rank", lambda vote: (0, 0, vote.leader))
    monkeypatch.setattr(LearnerHandler, "ahead_of", lambda handler, server: False)
    assert broken_runs(20)


def test_an_ephemeral_that_outlives_its_session_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(preparation: Preparation, session_id: int, zxid: int) -> list[Change]:
        return [Change(CLOSE_SESSION, owner=session_id)]

    monkeypatch.setattr(Preparation, "close_session", careless)
    (said,) = broken_runs(5)
    assert "whose session is over" in said


def test_a_watch_that_fires_late_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    fire = ClientPort.fire

    def late(port: ClientPort, change: Change, cause: int) -> None:
        port.server.life.plan(port.server.scheduler.now + 0.02, lambda _: fire(port, change, cause))

    monkeypatch.setattr(ClientPort, "fire", late)
    (said,) = broken_runs(5)
    assert "heard of nothing" in said


def test_what_only_a_dead_leader_had_logged_is_cut_off() -> None:
    """The leader logs a write that no follower gets; when it returns, that write is gone."""
    lab = Laboratory(3, leader=3, start_up_s=0.3)
    lab.ensemble.put("/x", "old")
    client = lab.client("c", 3)
    lab.env.run(until=1.0)
    client.submit([SetData("/x", "new")])
    # prepared at the leader 145 us later; its PROPOSAL leaves at once: drop it on the way
    leader = lab.ensemble.server(3)
    lab.env.run(until=1.0001)
    for handler in leader.role.learners.values():  # type: ignore[attr-defined]
        handler.socket.out.closed = True
    lab.env.run(until=1.0005)
    assert leader.log.last_zxid > leader.tree.last_zxid
    client.crash()
    lab.ensemble.crash(3, 0)
    assert leader.tree.nodes["/x"].data == "new"  # its log decides
    lab.env.run(until=3.0)
    assert lab.ensemble.leader_id() in (1, 2)
    lab.ensemble.start(3, 0)
    lab.env.run(until=6.0)
    assert leader.tree.nodes["/x"].data == "old"
    assert leader.synchronisations == {"TRUNC": 1}


def test_an_uncommitted_write_of_the_winner_becomes_history() -> None:
    """A follower has logged a proposal whose leader died before the commit: the follower wins with it."""
    lab = Laboratory(3, leader=1)
    lab.ensemble.put("/x", "old")
    client = lab.client("c", 1)
    other = lab.client("d", 2)
    lab.env.run(until=1.0)
    client.submit([SetData("/x", "new")])
    lab.env.run(until=1.00025)  # PROPOSALs have arrived, fsyncs run, no ACK is back
    lab.ensemble.crash(1, 0)
    client.crash()
    lab.env.run(until=10.0)
    assert lab.do(other, GetData("/x"))[0].data == "new"


@pytest.mark.parametrize(
    ("missed", "snapshot_count", "method"),
    [(10, 100_000, "DIFF"), (700, 100_000, "DIFF"), (700, 500, "SNAP"), (300, 100, "DIFF")],
)
def test_a_returning_server_is_brought_up_to_date(missed: int, snapshot_count: int, method: str) -> None:
    """By difference from 500 in memory or the newest log file (a second one counts 64 MiB), else by snapshot."""
    lab = Laboratory(3, leader=1, start_up_s=0.3, snapshot_count=snapshot_count)
    lab.ensemble.put("/x", 0)
    client = lab.client("c", 1)
    lab.env.run(until=1.0)
    lab.ensemble.crash(2, 0)
    lab.do(client, *[SetData("/x", value) for value in range(missed)], Create("/y", None))
    lab.ensemble.start(2, 0)
    lab.env.run(until=lab.env.now + 3.0)
    back = lab.ensemble.server(2)
    assert back.serving
    assert back.tree.nodes["/x"].version == missed
    assert "/y" in back.tree.nodes
    assert back.synchronisations == {method: 1}
    assert lab.ensemble.server(1).snapshots.taken == pytest.approx(missed / (0.75 * snapshot_count), abs=2)


def test_a_server_that_dies_during_its_fsync_keeps_what_the_page_cache_has() -> None:
    lab = Laboratory(3, leader=1, fsync_s=0.01)
    lab.ensemble.put("/x", "old")
    client = lab.client("c", 1)
    lab.env.run(until=1.0)
    client.submit([SetData("/x", "new"), SetData("/x", "newer")])
    lab.env.run(until=1.005)
    server = lab.ensemble.server(2)
    lab.ensemble.crash(2, 0)
    assert server.tree.nodes["/x"].data == "new"  # the second one waited for the flush of the first
