"""What must hold whatever breaks: acknowledged writes survive, trees agree, order within a session."""

from __future__ import annotations

from typing import Any

import pytest

from kafkasim.kernel import Streams
from kafkasim.zookeeper.operations import Create, GetData, Outcome, SetData
from tests.zookeeper.laboratory import Laboratory


class Writer:
    """Writes numbered values one after the other and reads each back; remembers what was acknowledged."""

    def __init__(self, lab: Laboratory, name: str) -> None:
        self.lab = lab
        self.path = f"/{name}"
        self.client = lab.client(name, None, timeout_s=30.0)
        self.written = 0
        self.acknowledged = 0
        self.read_back = 0
        lab.env.process(self.life())

    def life(self) -> Any:
        while True:
            self.written += 1
            value = self.written
            outcomes: list[Outcome] = yield self.client.submit([SetData(self.path, value), GetData(self.path)])
            assert outcomes[0].error is None
            self.acknowledged = value
            assert outcomes[1].data == value, "a session reads its own writes"
            self.read_back += 1
            yield self.lab.env.timeout(0.05)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("servers", [3, 5])
def test_random_crashes_lose_no_acknowledged_write(seed: int, servers: int) -> None:
    lab = Laboratory(servers, seed=seed, leader=None, fsync_s=500e-6, fsync_p99_s=0.02, start_up_s=0.3)
    for name in ("a", "b", "c"):
        lab.ensemble.put(f"/{name}", 0)
    writers = [Writer(lab, name) for name in ("a", "b", "c")]
    draws = Streams(seed).stream("faults")
    down: list[int] = []
    for _ in range(12):
        lab.env.run(until=lab.env.now + draws.uniform(0.01, 3.0))
        victim = 1 + draws.integer(servers)
        if victim in down:
            down.remove(victim)
            lab.ensemble.start(victim, 0)
        else:
            down.append(victim)
            lab.ensemble.crash(victim, 0)
        leaders = [server for server in lab.ensemble.servers() if server.state == "LEADING" and server.serving]
        assert len({server.current_epoch for server in leaders}) == len(leaders)
    for victim in down:
        lab.ensemble.start(victim, 0)
    lab.env.run(until=lab.env.now + 60.0)
    assert lab.ensemble.leader_id() is not None
    for writer in writers:
        assert writer.acknowledged > 50
        for server in lab.ensemble.servers():
            node = server.tree.nodes[writer.path]
            assert writer.acknowledged <= node.data + 1
            assert node.data <= writer.written
    assert not lab.timeline.of("session_expired")
    contents = [
        {path: (node.data, node.version, node.mzxid) for path, node in server.tree.nodes.items()}
        for server in lab.ensemble.servers()
    ]
    settled = {
        path for path in contents[0] if all(path in tree and tree[path] == contents[0][path] for tree in contents)
    }
    moving = set(contents[0]) - settled
    assert len(moving) <= len(writers)  # at most what is under way at the end


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
