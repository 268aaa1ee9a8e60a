"""Stops, rolling restarts and orders about topics, end to end: clients, brokers, controller and ZooKeeper."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation


def ran(events: list[dict[str, Any]], duration_s: float = 30.0, brokers: int = 4, **more: Any) -> Simulation:
    """A small cluster with a producer and a group; runs to its end."""
    data: dict[str, Any] = {
        "name": "orders",
        "duration": f"{duration_s:g}s",
        "cluster": {
            "initial_controller": 1,
            "brokers": {
                "count": brokers,
                "config": {
                    "auto.leader.rebalance.enable": False,
                    "auto.create.topics.enable": False,
                    "offsets.topic.num.partitions": 3,
                    **more.pop("config", {}),
                },
            },
            "zookeeper": {"servers": 3},
        },
        "topics": {"orders": {"assignment": {"0": [2, 3, 1], "1": [3, 1, 2]}}},
        "producers": [{"name": "app", "topic": "orders", "rate": "100/s", "record_size": "100B"}],
        "consumers": [{"group": "readers", "topics": ["orders"]}],
        "events": events,
        **more,
    }
    simulation = Simulation(Scenario.from_dict(data), 1)
    simulation.run()
    return simulation


def healthy(simulation: Simulation) -> dict[str, Any]:
    """Nothing lost, no identity broken, every event over."""
    summary = simulation.result().summary
    ledger: Any = summary["ledger"]
    assert ledger["acknowledged_lost"] == ledger["failed"] == 0
    assert [identity for identity in ledger["identities"] if not identity["holds"]] == []
    assert all(event.over_s is not None for event in simulation.schedule.events)
    return dict(summary)


def times(simulation: Simulation, event: str) -> list[float]:
    return [row.time_s for row in simulation.cluster.timeline.rows if row.event == event]


def test_a_stopped_broker_leads_nothing_when_it_closes_and_recovers_nothing_when_it_starts() -> None:
    simulation = ran([{"at": "10s", "stop": "broker 2", "for": "6s"}])
    healthy(simulation)
    rows = simulation.cluster.timeline.rows
    (stopped,) = times(simulation, "stopped")
    assert 10.0 < stopped < 10.5
    gone = next(row for row in rows if row.event == "znode_deleted" and row.detail == "/brokers/ids/2")
    assert gone.time_s <= stopped and not times(simulation, "session_expired")
    moved = [row for row in rows if row.event == "leader_elected" and "orders-0" in row.detail]
    assert moved and moved[0].time_s < gone.time_s
    reset = [row.time_s for row in rows if row.event == "connections_reset"]
    assert reset and moved[0].time_s < reset[0] <= gone.time_s
    # a broker that is shutting down does not begin to follow its successors: nobody waits for it to join an ISR
    assert not [at for at in times(simulation, "caught_up") if at < 16.0]
    assert times(simulation, "starting") == [16.0]
    assert simulation.cluster.brokers[2].clean is False
    assert simulation.schedule.events[0].over_s < 21.0  # type: ignore[operator]


def test_without_controlled_shutdown_the_leaders_move_when_the_session_closes() -> None:
    simulation = ran([{"at": "10s", "stop": "broker 2", "for": "6s"}], config={"controlled.shutdown.enable": False})
    healthy(simulation)
    rows = simulation.cluster.timeline.rows
    gone = next(row.time_s for row in rows if row.event == "znode_deleted")
    assert all(row.time_s > gone for row in rows if row.event == "leader_elected")
    assert gone < 11.0


def test_a_stop_that_the_controller_cannot_answer_is_tried_three_times() -> None:
    """With a single replica in the ISR nothing can be moved: three attempts, then it goes anyway."""
    simulation = ran(
        [{"at": "10s", "stop": "broker 2", "for": "1s"}],
        topics={"orders": {"assignment": {"0": [2, 3]}}, "lone": {"assignment": {"0": [2]}}},
        duration_s=60.0,
        config={"controlled.shutdown.retry.backoff.ms": 2000, "controlled.shutdown.max.retries": 3},
    )
    # one replica does not count: the stop succeeds at once, and the partition waits for the broker's return
    healthy(simulation)
    assert not times(simulation, "controlled_shutdown_failed")
    lone = simulation.cluster.topics.partition("lone", 0)
    assert simulation.cluster.board.leaders[lone.index] == 2
    # without a controller in reach every attempt fails
    alone = ran(
        [{"at": "10s", "crash": "broker 1", "for": "40s"}, {"at": "11s", "stop": "broker 2", "for": "30s"}],
        duration_s=75.0,
        config={"controlled.shutdown.retry.backoff.ms": 1000, "controlled.shutdown.max.retries": 3},
    )
    (failed,) = [row for row in alone.cluster.timeline.rows if row.event == "controlled_shutdown_failed"]
    assert failed.detail.startswith("3 attempts") and failed.time_s == pytest.approx(13.0, abs=0.1)


def test_the_controller_stops_itself_and_one_failover_follows() -> None:
    simulation = ran([{"at": "10s", "stop": "controller", "for": "5s"}])
    healthy(simulation)
    elected = [row for row in simulation.cluster.timeline.rows if row.event == "controller_elected"]
    assert len(elected) == 1 and elected[0].time_s < 10.5
    assert "0 state writes" in elected[0].detail


def test_a_rolling_restart_takes_one_at_a_time_and_the_controller_last() -> None:
    simulation = ran([{"at": "10s", "rolling_restart": "brokers", "for": "1s", "pause": "2s"}], duration_s=60.0)
    healthy(simulation)
    rows = simulation.cluster.timeline.rows
    order = [(row.actor, row.time_s) for row in rows if row.event == "stopping"]
    assert [actor for actor, _ in order] == ["broker 2", "broker 3", "broker 4", "broker 1"]
    registered = {row.actor: row.time_s for row in rows if row.event == "registered" and row.actor.startswith("broker")}
    for (before, _), (_, at) in pairwise(order):
        assert at >= registered[before] + 2.0


def test_a_created_topic_exists_for_nobody_before() -> None:
    simulation = ran(
        [{"at": "10s", "create_topic": {"name": "fresh", "partitions": 3, "replication_factor": 2}}],
        producers=[{"name": "app", "topic": "fresh", "rate": "50/s", "record_size": "100B"}],
        consumers=[{"group": "readers", "topics": ["fresh"]}],
    )
    summary = healthy(simulation)
    first = [row.time_s for row in simulation.cluster.timeline.rows if row.event == "first_acknowledgement"]
    assert 10.0 < first[0] < 10.5
    assert summary["ledger"]["groups"]["readers"]["pending_at_end"] <= 10
    assert sum(simulation.cluster.board.factor[tp.index] for tp in simulation.cluster.topics.partitions("fresh")) == 6


def test_clients_find_added_partitions_at_their_metadatas_age() -> None:
    simulation = ran(
        [{"at": "10s", "add_partitions": {"topic": "orders", "to": 4}}],
        producers=[
            {
                "name": "app",
                "topic": "orders",
                "rate": "100/s",
                "record_size": "100B",
                "config": {"metadata.max.age.ms": 4000},
            }
        ],  # fmt: skip
        consumers=[{"group": "readers", "topics": ["orders"], "config": {"metadata.max.age.ms": 4000}}],
    )
    healthy(simulation)
    board, topics = simulation.cluster.board, simulation.cluster.topics
    added = [topics.partition("orders", number) for number in (2, 3)]
    batches = [batch for tp in added for batch in board.replicas[tp.index][0].log.batches]
    assert batches and 10.0 < min(batch.first_time for batch in batches) < 14.5
    rebalanced = [row for row in simulation.cluster.timeline.rows if row.event == "rebalanced" and row.time_s > 10.0]
    assert rebalanced and rebalanced[0].time_s < 18.0 and "orders-3" in rebalanced[-1].detail


def test_a_deleted_topic_is_gone_everywhere() -> None:
    simulation = ran(
        [{"at": "15s", "delete_topic": "orders"}],
        producers=[{"name": "app", "topic": "orders", "rate": "100/s", "record_size": "100B", "stop": "12s"}],
    )
    summary = simulation.result().summary
    ledger: Any = summary["ledger"]
    assert [identity for identity in ledger["identities"] if not identity["holds"]] == []
    assert ledger["expired"] + ledger["readable"] == ledger["acknowledged"] > 0 and ledger["expired"] > 0
    cluster = simulation.cluster
    for tp in cluster.topics.partitions("orders"):
        assert not cluster.board.replicas[tp.index] and cluster.board.factor[tp.index] == 0
        assert all(tp.index not in broker.replicas.partitions for broker in cluster.brokers.values())
        assert all(broker.metadata.state(tp.index) is None for broker in cluster.brokers.values())
    assert cluster.ensemble.look_up("/brokers/topics/orders") is None
    assert cluster.ensemble.look_up("/admin/delete_topics/orders") is None


def test_replicas_move_with_their_records() -> None:
    simulation = ran([{"at": "10s", "reassign": {"topic": "orders", "assignment": {"0": [4, 3, 1], "1": [3, 4, 1]}}}])
    healthy(simulation)
    cluster = simulation.cluster
    for tp in cluster.topics.partitions("orders"):
        holders = sorted(replica.broker_id for replica in cluster.board.replicas[tp.index])
        assert holders == [1, 3, 4]
        ends = {replica.log.log_end_offset for replica in cluster.board.replicas[tp.index]}
        assert max(ends) - min(ends) <= 1 and max(ends) > 500
    assert cluster.ensemble.look_up("/brokers/topics/orders").data == {0: (4, 3, 1), 1: (3, 4, 1)}  # type: ignore[union-attr]
    assert all(2 not in replica.replicas for replicas in cluster.board.replicas for replica in replicas[:1]
               if replica.tp.topic == "orders")  # fmt: skip


def test_a_target_that_dies_meanwhile_finishes_when_it_is_back() -> None:
    simulation = ran(
        [
            {"at": "10s", "crash": "broker 4", "for": "12s"},
            {"at": "11s", "reassign": {"topics": ["orders"], "to": [1, 3, 4]}},
        ],
        duration_s=60.0,
        config={"zookeeper.session.timeout.ms": 6000},
    )
    healthy(simulation)
    finished = times(simulation, "reassigned")
    assert len(finished) == 2 and min(finished) > 22.0
