"""When a session expires: touches, the bucket grid, the relay; what goes with it."""

from __future__ import annotations

from typing import Any

import pytest

from kafkasim.zookeeper.leader import Leader
from kafkasim.zookeeper.operations import Create, GetChildren, GetData, WatchEvent
from tests.zookeeper.laboratory import Laboratory


def kill(lab: Laboratory, server: int, timeout_s: float, crash_at: float) -> tuple[list[Any], float, float]:
    """Kill an idle client; returns its last trace row, when its znode was deleted, and its last ping's arrival."""
    watcher_events: list[float] = []
    watcher = lab.client("watcher", 1, timeout_s=20.0 * lab.ensemble.parameters.tick_s)
    watcher.on_watch = lambda event: watcher_events.append(lab.env.now)
    client = lab.client("victim", server, timeout_s=timeout_s)
    port = lab.ensemble.server(server).port
    taken_in: list[float] = []
    taking = port.request

    def spy(attachment: Any, request: Any) -> None:
        if attachment.session_id == client.session_id:
            taken_in.append(lab.env.now)
        taking(attachment, request)

    port.request = spy  # type: ignore[method-assign]
    lab.ensemble.put("/ids/victim", "x", owner=client.session_id)
    lab.env.run(until=0.01)
    lab.do(watcher, GetData("/ids/victim", watch=True))
    lab.env.run(until=crash_at)
    client.fault_cause = lab.timeline.add(lab.env.now, "victim", "fault")
    client.crash()
    lab.env.run(until=crash_at + 2 * timeout_s + 10.0)
    rows = [row for row in lab.ensemble.trace_sessions or [] if row[0] == "victim"]
    return rows[-1], watcher_events[0], taken_in[-1]


@pytest.mark.parametrize(
    ("asked_s", "tick_ms", "granted_ms"),
    [(18.0, 2000, 18000), (6.0, 2000, 6000), (18.0, 500, 10000), (6.0, 500, 6000)],
)
@pytest.mark.parametrize("server", [1, 2])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_session_expires_at_the_tick_after_its_last_touch_and_timeout(
    asked_s: float, tick_ms: int, granted_ms: int, server: int, seed: int
) -> None:
    lab = Laboratory(3, seed=seed, leader=1, trace=True, tick_ms=tick_ms)
    row, deleted_at, last_ping = kill(lab, server, asked_s, crash_at=31.7 + seed)
    _, attached_to, touched_server, touched_leader, bucket, expired = row
    clock = lab.ensemble.server(1).clock
    assert attached_to == server
    assert touched_server == last_ping
    if server == 1:
        assert touched_leader == touched_server
    else:  # relayed in the answer to the leader's next ping: half ticks on its own phase
        leader = lab.ensemble.server(1).role
        assert isinstance(leader, Leader)
        half_s = tick_ms / 2000.0
        assert touched_server - 1e-3 < touched_leader <= touched_server + half_s + 1e-3
        ping_sent = touched_leader - 2 * 100e-6
        phase = (ping_sent - leader._began_at) / half_s
        assert phase == pytest.approx(round(phase), abs=1e-4)
    expected_ms = ((clock.ms(touched_leader) + granted_ms) // tick_ms + 1) * tick_ms
    assert clock.ms(bucket) == expected_ms
    assert expired == bucket
    assert clock.ms(expired) == expected_ms
    table = [line for line in lab.ensemble.session_rows() if line["session"] == "victim"][-1]
    assert table["bucket_ms"] == round(expired * 1000.0)
    assert table["expired_s"] == expired
    assert expired < deleted_at < expired + 0.002  # one write through the quorum, one hop to the watcher


def test_a_killed_broker_is_noticed_within_12_to_21_seconds() -> None:
    """T = 18 s, tick 2 s: every seed another delay, all within the law, and both halves are reached."""
    delays = []
    for seed in range(40):
        lab = Laboratory(3, seed=seed, leader=None, trace=True)
        client = lab.client("broker 1", None)
        lab.env.run(until=55.0)
        client.crash()
        lab.env.run(until=80.0)
        delays.append(lab.timeline.of("session_expired")[0][0] - 55.0)
    assert len(set(delays)) == len(delays)
    assert min(delays) >= 12.0
    assert max(delays) <= 21.0
    mean = sum(delays) / len(delays)
    assert 15.3 < mean < 17.3
    assert any(delay < 14.5 for delay in delays)
    assert any(delay > 18.0 for delay in delays)


def test_all_ephemerals_go_with_the_session_in_one_transaction() -> None:
    lab = Laboratory(3, leader=1)
    events: list[WatchEvent] = []
    watcher = lab.client("controller", 3, on_watch=events.append)
    client = lab.client("broker 1", 2)
    lab.env.run(until=1.0)
    for path in ("/brokers", "/brokers/ids"):
        lab.do(client, Create(path, None))
    lab.do(client, Create("/brokers/ids/1", "x", ephemeral=True), Create("/controller", "1", ephemeral=True))
    lab.do(watcher, GetChildren("/brokers/ids", watch=True), GetData("/controller", watch=True))
    before = lab.ensemble.server(1).tree.last_zxid
    client.fault_cause = lab.timeline.add(lab.env.now, "broker 1", "fault")
    client.crash()
    lab.env.run(until=30.0)
    assert lab.ensemble.server(1).tree.last_zxid == before + 1
    for server in lab.ensemble.servers():
        assert "/controller" not in server.tree.nodes
        assert client.session_id not in server.tree.sessions
    assert {(event.path, event.kind) for event in events} == {("/brokers/ids", "children"), ("/controller", "deleted")}
    # the chain of causes: fault, expiry, deletion, watch
    rows = lab.timeline.rows
    for event in events:
        fired = rows[event.cause - 1]
        assert fired[2] == "watch_fired"
        deleted = rows[fired[4] - 1]
        assert deleted[2] == "znode_deleted"
        expired = rows[deleted[4] - 1]
        assert expired[2:4] == ("session_expired", "broker 1")
        assert rows[expired[4] - 1][2] == "fault"


def test_a_clean_close_costs_one_write_and_deletes_at_once() -> None:
    lab = Laboratory(3, leader=1)
    client = lab.client("broker 1", 2)
    lab.env.run(until=1.0)
    lab.do(client, Create("/one", None, ephemeral=True))
    began = lab.env.now
    lab.env.run(until=client.close())
    assert lab.env.now - began < 0.002
    assert "/one" not in lab.ensemble.server(1).tree.nodes
    assert [row[3] for row in lab.timeline.of("znode_deleted")] == ["/one"]
    lab.env.run(until=60.0)
    assert not lab.timeline.of("session_expired")


def test_an_expired_session_cannot_be_revived_and_its_client_learns_it_at_a_server() -> None:
    lab = Laboratory(3, leader=1)
    states: list[tuple[str, float]] = []
    client = lab.client("c", 2, timeout_s=6.0, on_state=lambda state, cause: states.append((state, lab.env.now)))
    lab.env.run(until=1.0)
    lab.do(client, Create("/mine", None, ephemeral=True))
    # a pause of the client's process: its pings stop, its socket stays open
    connection = client._connection
    assert connection is not None
    connection._ping_due.stop()
    connection._read_limit.stop()
    lab.env.run(until=20.0)
    assert [state for state, _ in states] == ["disconnected", "expired"]  # the server has closed its connection
    assert lab.do(client, GetData("/mine"))[0].error == "SESSIONEXPIRED"
    old = client.session_id
    new = lab.env.run(until=client.connect())
    assert new != old
    assert lab.do(client, GetData("/mine"))[0].error == "NONODE"


def test_a_new_leader_starts_every_session_with_its_full_timeout() -> None:
    for seed in range(5):
        lab = Laboratory(3, seed=seed, leader=None)
        leader = lab.ensemble.leader_id()
        client = lab.client("c", None, timeout_s=6.0)
        lab.env.run(until=10.0)
        client.crash()
        lab.env.run(until=12.0)
        assert leader is not None
        lab.ensemble.crash(leader, 0)
        lab.env.run(until=30.0)
        elected = lab.timeline.of("zookeeper_leader_elected")[0][0]
        expired = lab.timeline.of("session_expired")[0][0]
        assert 6.0 < expired - elected <= 8.0


def test_opening_a_session_is_a_write_and_touches_at_every_follower() -> None:
    lab = Laboratory(3, leader=1, trace=True)
    client = lab.client("late", attach=False)
    lab.env.run(until=5.0)
    before = lab.fsyncs()
    lab.env.run(until=client.connect())
    assert client.session_id in lab.ensemble.server(1).tree.sessions
    lab.env.run(until=5.1)
    assert lab.fsyncs() - before == 3
    lab.env.run(until=6.2)  # before its first ping: the touch came from a follower's table
    row = [row for row in lab.ensemble.trace_sessions or [] if row[0] == "late"][-1]
    assert row[3] > 5.1
    assert row[2] < 5.1
