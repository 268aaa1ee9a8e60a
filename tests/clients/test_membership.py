"""Groups as members live them: joining, heartbeats, rebalances, commits."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from consumer_cluster import Cluster

from kafkasim.protocol import (
    FIND_COORDINATOR,
    HEARTBEAT,
    JOIN_GROUP,
    LEAVE_GROUP,
    MEMBER_ID_REQUIRED,
    NONE,
    OFFSET_COMMIT,
    REQUEST_TIMED_OUT,
    SYNC_GROUP,
    Request,
)


def requests(cluster: Cluster, api: int, client: int | None = None) -> list[tuple[float, Request]]:
    found = []
    for broker in cluster.brokers.values():
        for time, kind, request in broker.requests:
            connection = request.connection
            assert connection is not None
            if kind == api and (client is None or f"/{client}/" in connection.name):
                found.append((time, request))
    return sorted(found, key=lambda entry: entry[0])


def test_one_member_waits_one_initial_delay() -> None:
    cluster = Cluster()
    cluster.consumer()
    cluster.run(10)
    (client, partitions, generation, time) = cluster.recorder.assignments[0]
    assert (client, partitions, generation) == (1, ["t-0"], 1)
    assert 3.01 < time < 3.04
    joins = [request.error for _, request in requests(cluster, JOIN_GROUP)]
    assert joins == [MEMBER_ID_REQUIRED, NONE]


def test_several_members_that_start_together_wait_two() -> None:
    cluster = Cluster(brokers=3, topics={"t": 6})
    for client in range(3):
        cluster.consumer(client)
    cluster.run(10)
    assert len(cluster.recorder.assignments) == 3
    assert all(6.01 < time < 6.2 for _, _, _, time in cluster.recorder.assignments)
    owned = sorted(name for _, partitions, _, _ in cluster.recorder.assignments for name in partitions)
    assert owned == [f"t-{p}" for p in range(6)]
    assert sum(request.error == MEMBER_ID_REQUIRED for _, request in requests(cluster, JOIN_GROUP)) == 3


def test_without_the_initial_delay_the_first_assignment_takes_milliseconds() -> None:
    cluster = Cluster(group_config={"group.initial.rebalance.delay.ms": 0})
    cluster.consumer()
    cluster.run(1)
    assert cluster.recorder.assignments[0][3] < 0.02


def test_a_waiting_member_beats_every_three_seconds() -> None:
    cluster = Cluster()
    cluster.consumer()
    cluster.run(20)
    times = [time for time, _ in requests(cluster, HEARTBEAT)]
    assert len(times) == 5
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(2.999 < gap < 3.101 for gap in gaps)


def test_a_busy_member_beats_on_its_hundred_millisecond_grid() -> None:
    cluster = Cluster(group_config={"group.initial.rebalance.delay.ms": 0})
    tp = cluster.topics["t"][0]
    cluster.append(tp, 500)
    cluster.consumer(processing_s=0.04)  # one poll keeps it busy for 20 s
    cluster.run(12)
    times = [time for time, _ in requests(cluster, HEARTBEAT)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) >= 3
    assert all(3.0 < gap < 3.11 for gap in gaps)


def test_a_killed_member_is_missed_after_its_session() -> None:
    cluster = Cluster(brokers=3, topics={"t": 6})
    members = [cluster.consumer(client, config={"session.timeout.ms": 10000}) for client in range(3)]
    for k in range(1, 4000):
        cluster.at(0.02 + k * 0.01, cluster.append, cluster.topics["t"][k % 6], 5)
    cluster.at(17.3, members[1].crash)
    cluster.run(40)
    alive = max(time for api in (HEARTBEAT, OFFSET_COMMIT) for time, _ in requests(cluster, api, 1) if time < 17.4)
    again = [time for _, _, generation, time in cluster.recorder.assignments if generation == 2]
    assert len(again) == 2
    # The session, then the others' next heartbeat, at most three seconds later.
    assert alive + 10.0 < min(again) < alive + 13.2
    lost = {name for client, names, generation, _ in cluster.recorder.assignments for name in names if client == 1}
    for tp in cluster.topics["t"]:
        counts = Counter(cluster.recorder.offsets(tp.name))
        assert sorted(counts) == list(range(len(counts)))
        extra = sum(count - 1 for count in counts.values())
        # What the dead member had returned since its last commit: at most 5 s of 16.7 batches of 5 a second.
        assert extra <= 5 * 17 * 5 + 5 if tp.name in lost else extra == 0


def test_a_member_that_joins_later_takes_its_share_without_duplicates() -> None:
    cluster = Cluster(topics={"t": 6})
    first = cluster.consumer(1)
    second = cluster.consumer(2, start=False)
    for k in range(1, 1500):
        cluster.at(0.02 + k * 0.01, cluster.append, cluster.topics["t"][k % 6], 5)
    cluster.at(10, second.start)
    cluster.run(18)
    assert len(first.owned()) == len(second.owned()) == 3
    for tp in cluster.topics["t"]:
        offsets = cluster.recorder.offsets(tp.name)
        assert offsets == list(range(len(offsets)))  # it commits before it gives up its partitions


def test_a_member_over_its_poll_interval_leaves_by_itself() -> None:
    cluster = Cluster(topics={"t": 2})
    config = {"max.poll.interval.ms": 6000, "session.timeout.ms": 10000}
    cluster.consumer(1, config=config)
    cluster.consumer(2, config=config, processing_s=0.02)
    for k in range(1, 900):
        cluster.at(0.02 + k * 0.01, cluster.append, cluster.topics["t"][k % 2], 5)
    cluster.run(30)
    assert cluster.recorder.times("poll_interval_exceeded")
    assert len(requests(cluster, LEAVE_GROUP, 2)) >= 1
    assert any(generation >= 2 for _, _, generation, _ in cluster.recorder.assignments)


def test_commits_that_cannot_be_committed_time_out_and_are_tried_again_without_a_rebalance() -> None:
    cluster = Cluster(topics={"t": 2})
    cluster.consumer()
    store = cluster.brokers[1].store
    for k in range(1, 3000):
        cluster.at(0.02 + k * 0.01, cluster.append, cluster.topics["t"][k % 2], 5)
    cluster.at(7.0, setattr, store, "stuck", True)
    cluster.at(20.0, setattr, store, "stuck", False)
    cluster.run(30)
    commits = requests(cluster, OFFSET_COMMIT)
    timed_out = [time for time, request in commits if request.error == REQUEST_TIMED_OUT and request.failed == NONE]
    assert timed_out
    first = timed_out[0]
    later = [time for time, _ in commits if time > first + 5.05]
    # Five seconds at the coordinator; the coordinator is looked up anew, and the next try is 100 ms after the answer.
    assert first + 5.09 < min(later) < first + 5.7
    assert [generation for _, _, generation, _ in cluster.recorder.assignments] == [1]
    assert commits[-1][1].error == NONE
    for tp in cluster.topics["t"]:
        offsets = cluster.recorder.offsets(tp.name)
        assert offsets == list(range(len(offsets)))


def test_a_commit_names_every_assigned_partition_each_five_seconds() -> None:
    cluster = Cluster(topics={"t": 3})
    cluster.consumer()
    cluster.append(cluster.topics["t"][1], 7)
    cluster.run(20)
    assigned = cluster.recorder.assignments[0][3]
    commits = requests(cluster, OFFSET_COMMIT)
    assert [round(time - assigned) for time, _ in commits] == [5, 10, 15]
    assert [(tp.name, offset) for tp, offset, _ in commits[0][1].body.offsets] == [("t-0", 0), ("t-1", 7), ("t-2", 0)]


def test_positions_come_from_the_group_after_a_restart() -> None:
    cluster = Cluster()
    tp = cluster.topics["t"][0]
    cluster.append(tp, 20)
    member = cluster.consumer(1, config={"session.timeout.ms": 6000})
    again = cluster.consumer(2, start=False, config={"session.timeout.ms": 6000})
    cluster.at(9.5, member.crash)
    cluster.at(10.0, again.start)
    cluster.run(25)
    assert cluster.recorder.positions[0][1:4] == ("t-0", 0, True)
    assert cluster.recorder.positions[1][1:4] == ("t-0", 20, False)
    assert cluster.recorder.offsets("t-0") == list(range(20))


@pytest.mark.parametrize("version", [(2, 7, 2), (2, 8, 2), (3, 7, 2), (3, 9, 1)])
def test_every_accepted_release_joins_and_consumes(version: tuple[int, ...]) -> None:
    cluster = Cluster(version=version, group_config={"group.initial.rebalance.delay.ms": 0})
    cluster.append(cluster.topics["t"][0], 20)
    member = cluster.consumer()
    cluster.run(4)
    assert member.settings.session_timeout_ms == (45000 if version >= (3, 0) else 10000)
    assert member.settings.strategies == (("range", "cooperative-sticky") if version >= (3, 0) else ("range",))
    assert cluster.recorder.offsets("t-0") == list(range(20))


def test_the_coordinators_death_is_no_rebalance() -> None:
    cluster = Cluster(brokers=3, topics={"t": 3})
    members = [cluster.consumer(client) for client in range(3)]
    for k in range(1, 2500):
        cluster.at(0.02 + k * 0.01, cluster.append, cluster.topics["t"][k % 3], 20)
    group = cluster.brokers[1].coordinator.partition_of("g")
    dead = cluster.leaders[group.index][0]
    successor = 1 + dead % 3

    def elect() -> None:
        for name, partitions in cluster.topics.items():
            for tp in partitions:
                if cluster.leaders[tp.index][0] == dead:
                    cluster.move(tp, successor)
                    if name == "__consumer_offsets":
                        cluster.brokers[successor].coordinator.elected(tp, cluster.leaders[tp.index][1])

    cluster.at(10.0, cluster.brokers[dead].crash)
    cluster.at(20.0, elect)
    cluster.run(32)
    assert [member.membership.generation for member in members if member.membership] == [1, 1, 1]
    assert max(time for time, request in requests(cluster, OFFSET_COMMIT) if request.error == NONE) > 25
    # Until the election FindCoordinator names the dead broker; each member asks about ten times a second.
    asked = [time for time, _ in requests(cluster, FIND_COORDINATOR, 0) if 12 < time < 20]
    assert 30 < len(asked) < 130
    for tp in cluster.topics["t"]:
        offsets = cluster.recorder.offsets(tp.name)
        assert offsets == list(range(len(offsets)))
        assert len(offsets) > 16000
    # Partitions led elsewhere go on, but a poll that looks for the coordinator lasts its whole time-out.
    healthy = [e for e in cluster.recorder.deliveries if e[1] != f"t-{dead - 1}" and 15 < e[4] < 19]
    assert healthy


def test_a_join_that_meets_a_loading_coordinator_is_tried_again() -> None:
    cluster = Cluster()
    broker = cluster.brokers[1]
    broker.coordinator.close()
    broker.coordinator = cluster.make_coordinator(broker.store)
    broker.coordinator.settings.load_start_s = 0.0
    for tp in cluster.topics["__consumer_offsets"]:
        cluster.at(0.5, broker.coordinator.elected, tp, 1)
    cluster.consumer()
    cluster.run(6)
    errors = {request.error for _, request in requests(cluster, JOIN_GROUP)}
    assert errors >= {NONE, MEMBER_ID_REQUIRED}
    assert 3.5 < cluster.recorder.assignments[0][3] < 3.9
    assert len(requests(cluster, SYNC_GROUP)) == 1
