"""The poll loop and its fetches, without a group."""

from __future__ import annotations

from consumer_cluster import Cluster, end_of

from kafkasim.clients.consumer import ConsumerCosts
from kafkasim.protocol import (
    FENCED_LEADER_EPOCH,
    FETCH,
    METADATA,
    NONE,
    NOT_LEADER_OR_FOLLOWER,
    OFFSET_FOR_LEADER_EPOCH,
    FetchRequestData,
)


def fetches(cluster: Cluster, broker: int = 1) -> list[tuple[float, FetchRequestData]]:
    return [(t, data) for t, data in cluster.brokers[broker].fetches]


def test_assigned_partitions_need_no_coordinator() -> None:
    cluster = Cluster(topics={"t": 2})
    partitions = cluster.topics["t"]
    for tp in partitions:
        cluster.append(tp, 10)
    member = cluster.consumer(group=None, assigned=partitions)
    cluster.run(2)
    assert cluster.recorder.assignments == [(1, ["t-0", "t-1"], -1, 0.01)]
    assert [p[1:4] for p in cluster.recorder.positions] == [("t-0", 0, True), ("t-1", 0, True)]
    assert member.owned() == partitions
    assert [member.position(tp) for tp in partitions] == [10, 10]
    assert member.lag(partitions[0]) == 0
    assert {api for _, api, _ in cluster.brokers[1].requests}.isdisjoint({8, 9, 10, 11, 12})


def test_the_latest_policy_skips_what_was_there() -> None:
    cluster = Cluster()
    tp = cluster.topics["t"][0]
    cluster.append(tp, 10)
    cluster.consumer(group=None, assigned=[tp], config={"auto.offset.reset": "latest"})
    cluster.at(1.0, cluster.append, tp, 5)
    cluster.run(2)
    assert cluster.recorder.offsets("t-0") == [10, 11, 12, 13, 14]


def test_without_a_policy_and_a_position_the_application_ends() -> None:
    cluster = Cluster()
    tp = cluster.topics["t"][0]
    member = cluster.consumer(group=None, assigned=[tp], config={"auto.offset.reset": "none"})
    cluster.run(2)
    assert "t-0" in member.failed
    assert len(cluster.recorder.times("consumer_failed")) == 1
    assert fetches(cluster) == []


def test_a_poll_returns_at_most_max_poll_records_one_partition_after_the_other() -> None:
    cluster = Cluster(topics={"t": 2})
    first, second = cluster.topics["t"]
    for tp in (first, second):
        for _ in range(3):
            cluster.append(tp, 300)
    cluster.consumer(group=None, assigned=[first, second], processing_s=0.001, costs=ConsumerCosts())
    cluster.run(3)
    polls: dict[float, int] = {}
    for _, _, low, high, time in cluster.recorder.deliveries:
        polls[time] = polls.get(time, 0) + high - low
    assert list(polls.values()) == [500, 500, 500, 300]
    order = [name for _, name, _, _, _ in cluster.recorder.deliveries]
    assert order == sorted(order)
    times = list(polls)
    assert abs(times[1] - times[0] - 0.5) < 1e-9  # the next poll comes when 500 records have been processed


def test_the_next_fetch_leaves_before_the_records_are_returned() -> None:
    cluster = Cluster()
    tp = cluster.topics["t"][0]
    cluster.append(tp, 100)
    cluster.consumer(group=None, assigned=[tp], processing_s=0.01)
    cluster.run(0.5)
    returned = cluster.recorder.deliveries[0][4]
    sent = [request.sent_at for _, api, request in cluster.brokers[1].requests if api == FETCH]
    later = [at for at in sent if at >= returned - 1e-9]
    assert abs(later[0] - returned) < 1e-6  # although processing lasts a second


def test_costs_of_waking_parsing_and_deserialising() -> None:
    def delivered_at(costs: ConsumerCosts) -> float:
        cluster = Cluster()
        tp = cluster.topics["t"][0]
        cluster.consumer(group=None, assigned=[tp], costs=costs)
        cluster.at(1.0, cluster.append, tp, 100)
        cluster.run(2)
        return cluster.recorder.deliveries[0][4]

    free = delivered_at(ConsumerCosts())
    assert abs(delivered_at(ConsumerCosts(1e-3, 1e-5, 2e-3)) - free - (1e-3 + 100e-5 + 2e-3)) < 1e-9


def test_one_fetch_in_flight_and_an_incremental_session() -> None:
    cluster = Cluster(topics={"t": 4})
    partitions = cluster.topics["t"]
    cluster.consumer(group=None, assigned=partitions)
    for k in range(1, 50):
        cluster.at(0.1 + k * 0.01, cluster.append, partitions[k % 4], 10)
    cluster.run(2)
    sent = fetches(cluster)
    assert len(sent[0][1].changed) == 4
    assert all(len(request.changed) <= 1 for _, request in sent[1:])
    assert sent[0][1].session is sent[-1][1].session
    broker = cluster.brokers[1]
    sizes = [size for size, (_, api, _) in zip(broker.sizes, broker.requests, strict=True) if api == FETCH]
    assert sizes[0] == 103 + 3 * 33
    assert set(sizes[1:]) == {52, 103}  # nothing changed (a long poll that ended), or one partition


def test_buffered_partitions_are_left_out_of_the_next_fetch() -> None:
    cluster = Cluster(topics={"t": 2})
    first, second = cluster.topics["t"]
    for _ in range(10):
        cluster.append(first, 300)
    cluster.consumer(group=None, assigned=[first, second], processing_s=1e-4, config={"fetch.max.wait.ms": 100})
    cluster.run(0.15)
    forgetting = [request for _, request in fetches(cluster) if request.forgotten]
    assert [part.tp.name for request in forgetting for part in request.forgotten][:1] == ["t-0"]
    cluster.run(2)
    assert cluster.recorder.offsets("t-0") == list(range(3000))
    assert {part.name for part in (first, second)} == {p.tp.name for p in fetches(cluster)[-1][1].session.values()}


def test_an_idle_consumer_costs_two_fetches_a_second() -> None:
    cluster = Cluster()
    cluster.consumer(group=None, assigned=cluster.topics["t"])
    cluster.run(1.0)
    before = cluster.scheduler.events
    count = len(fetches(cluster))
    cluster.run(101.0)
    assert 195 <= len(fetches(cluster)) - count <= 200
    assert (cluster.scheduler.events - before) / 200 < 7


def moved(hinted: bool) -> Cluster:
    cluster = Cluster(brokers=2, topics={"t": 1})
    cluster.hinted = {NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH} if hinted else set()
    tp = cluster.topics["t"][0]
    cluster.consumer(group=None, assigned=[tp])
    for k in range(1, 400):
        cluster.at(0.02 + k * 0.01, cluster.append, tp, 20)
    cluster.at(2.0, cluster.move, tp, 2)
    cluster.run(3)
    offsets = cluster.recorder.offsets("t-0")
    assert offsets == list(range(len(offsets)))
    return cluster


def test_a_fenced_fetch_follows_the_hint_and_validates_the_position() -> None:
    cluster = moved(hinted=True)
    validations = [(t, r) for t, api, r in cluster.brokers[2].requests if api == OFFSET_FOR_LEADER_EPOCH]
    assert len(validations) == 1
    assert validations[0][1].body[0].leader_epoch == 0
    assert validations[0][1].body[0].current_leader_epoch == 1
    first = min(t for t, _ in fetches(cluster, 2))
    assert validations[0][0] < first < 2.02
    refused = [r for t, r in fetches(cluster, 1) if t > 2.0]
    assert len(refused) == 1  # answered FENCED; the next goes to the new leader
    assert cluster.recorder.times("metadata_learned")


def test_without_a_hint_it_fetches_again_at_once_until_the_metadata_come() -> None:
    cluster = moved(hinted=False)
    refused = [t for t, r in fetches(cluster, 1) if t > 2.0]
    assert len(refused) >= 2
    asked = [t for b in cluster.brokers.values() for t, api, _ in b.requests if api == METADATA and t > 2.0]
    assert asked[0] < 2.02


def test_an_older_leader_is_asked_again_without_back_off() -> None:
    cluster = Cluster(brokers=2, topics={"t": 1})
    tp = cluster.topics["t"][0]
    cluster.consumer(group=None, assigned=[tp])
    cluster.run(1.0)
    cluster.leaders[tp.index] = (1, -1)  # the broker is behind: UNKNOWN_LEADER_EPOCH
    cluster.brokers[1].woken()
    cluster.run(1.1)
    errors = [t for t, r in fetches(cluster, 1) if 1.0 < t < 1.1]
    assert len(errors) > 100  # one request a round trip
    cluster.leaders[tp.index] = (1, 0)
    cluster.append(tp, 3)
    cluster.run(1.2)
    assert cluster.recorder.offsets("t-0") == [0, 1, 2]


def test_a_truncated_log_takes_the_position_back_to_where_it_diverges() -> None:
    cluster = Cluster(brokers=2, topics={"t": 1})
    cluster.hinted = {FENCED_LEADER_EPOCH}
    tp = cluster.topics["t"][0]
    cluster.consumer(group=None, assigned=[tp])
    for k in range(1, 100):
        cluster.at(0.02 + k * 0.01, cluster.append, tp, 20)

    def truncate() -> None:
        del cluster.logs[tp.index][-3:]
        cluster.move(tp, 2)

    cluster.at(0.505, truncate)
    cluster.run(2)
    assert len(cluster.recorder.times("truncation_detected")) == 1
    offsets = cluster.recorder.offsets("t-0")
    assert len(offsets) == end_of(cluster.logs[tp.index]) + 60
    assert sorted(set(offsets)) == list(range(end_of(cluster.logs[tp.index])))


def test_an_offset_out_of_range_is_reset_by_the_policy() -> None:
    cluster = Cluster()
    tp = cluster.topics["t"][0]
    cluster.append(tp, 50)
    cluster.consumer(group=None, assigned=[tp])
    cluster.at(1.0, cluster.logs[tp.index].clear)
    cluster.at(1.1, cluster.append, tp, 5)
    cluster.run(2)
    assert [p[1:4] for p in cluster.recorder.positions] == [("t-0", 0, True), ("t-0", 0, True)]
    assert cluster.recorder.offsets("t-0") == [*range(50), *range(5)]


def test_a_batch_that_begins_before_the_position_loses_its_head() -> None:
    cluster = Cluster()
    tp = cluster.topics["t"][0]
    cluster.append(tp, 30)
    cluster.append(tp, 30)
    member = cluster.consumer(1, config={"max.poll.records": 40, "session.timeout.ms": 6000})
    cluster.run(3.5)
    assert [e[2:4] for e in cluster.recorder.deliveries] == [(0, 30), (30, 40), (40, 60)]
    # A commit in the middle of a batch: the next owner's fetch brings the whole batch.
    store = cluster.brokers[1].store
    store.append(cluster.brokers[1].coordinator.partition_of("g"), [], 0, 5.0, lambda _: None, 0)
    group = cluster.brokers[1].coordinator.groups["g"]
    group.offsets[tp.index] = (45, 0)
    member.crash()
    cluster.consumer(2)
    cluster.run(20)
    assert [e[2:4] for e in cluster.recorder.deliveries[3:]] == [(45, 60)]


def test_a_broken_connection_makes_the_next_fetch_a_full_one() -> None:
    cluster = Cluster(brokers=2, topics={"t": 2})
    first, second = cluster.topics["t"]
    cluster.consumer(group=None, assigned=[first, second])
    for k in range(1, 300):
        cluster.at(0.02 + k * 0.01, cluster.append, (first, second)[k % 2], 20)

    def reset() -> None:
        for connection in cluster.brokers[1].connections:
            connection.reset(0)
        cluster.brokers[1].connections.clear()
        cluster.brokers[1].parked.clear()

    cluster.at(1.005, reset)
    cluster.run(3)
    sessions = [request.session for _, request in fetches(cluster, 1)]
    assert len({id(session) for session in sessions}) == 2
    again = next(request for time, request in fetches(cluster, 1) if time > 1.01)
    assert [part.tp for part in again.changed] == [first]
    for tp in (first, second):
        offsets = cluster.recorder.offsets(tp.name)
        assert offsets == list(range(end_of(cluster.logs[tp.index])))


def test_a_session_ends_with_its_connection_also_when_no_fetch_is_in_flight() -> None:
    cluster = Cluster(topics={"t": 2})
    first, second = cluster.topics["t"]
    for tp in (first, second):
        for _ in range(4):
            cluster.append(tp, 300)
    cluster.consumer(group=None, assigned=[first, second], processing_s=0.001)  # both buffered: nothing in flight

    def reset() -> None:
        assert cluster.brokers[1].parked == []
        for connection in cluster.brokers[1].connections:
            connection.reset(0)
        cluster.brokers[1].connections.clear()

    cluster.at(0.3, reset)
    cluster.at(5.0, cluster.append, first, 5)
    cluster.at(5.0, cluster.append, second, 5)
    cluster.run(6)
    again = next(request for time, request in fetches(cluster) if time > 0.3)
    assert again.session is not fetches(cluster)[0][1].session
    for tp in (first, second):
        assert cluster.recorder.offsets(tp.name) == list(range(1205))


def test_a_killed_consumer_says_nothing_more() -> None:
    cluster = Cluster()
    tp = cluster.topics["t"][0]
    member = cluster.consumer(group=None, assigned=[tp])
    for k in range(1, 100):
        cluster.at(0.02 + k * 0.01, cluster.append, tp, 20)
    cluster.at(0.5, member.crash)
    cluster.run(2)
    assert max(e[4] for e in cluster.recorder.deliveries) < 0.501
    assert cluster.brokers[1].connections == []


def test_a_consumer_keeps_up_and_its_fetches_cost_few_events() -> None:
    cluster = Cluster(brokers=3, topics={"t": 12})
    partitions = cluster.topics["t"]
    for client in range(3):
        cluster.consumer(client, group=None, assigned=partitions[client::3], processing_s=1e-7)
    cluster.run(1.0)
    before = cluster.scheduler.events
    appended = 3000
    for k in range(1, appended):
        cluster.at(1.0 + k * 0.0005, cluster.append, partitions[k % 12], 148)
    count = sum(len(fetches(cluster, broker)) for broker in cluster.brokers)
    cluster.run(3.0)
    count = sum(len(fetches(cluster, broker)) for broker in cluster.brokers) - count
    # Per fetch: its arrival and service at the broker, the answer's arrival, the thread's turn; one is the append's.
    assert (cluster.scheduler.events - before) / count < 7
    for tp in partitions:
        assert cluster.recorder.offsets(tp.name) == list(range(end_of(cluster.logs[tp.index])))
    assert NONE == 0
