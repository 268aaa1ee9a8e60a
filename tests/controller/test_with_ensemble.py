"""The controller on the real ensemble: sessions expire, watches fire, writes go through the quorum."""

from __future__ import annotations

from controller_world import FakeBroker

from kafkasim.connection import Directory, Server
from kafkasim.controller.controller import Controller
from kafkasim.controller.costs import ControllerCosts
from kafkasim.hosts.disk import Disk
from kafkasim.hosts.host import Host
from kafkasim.kernel import Environment, Streams
from kafkasim.messages import PartitionState
from kafkasim.metrics.timeline import Timeline
from kafkasim.network import Network
from kafkasim.protocol import LEADER_AND_ISR
from kafkasim.scenario.versions import LATEST
from kafkasim.topics import Topics
from kafkasim.zookeeper.client import ZooKeeperClient
from kafkasim.zookeeper.ensemble import Ensemble
from kafkasim.zookeeper.operations import Create
from kafkasim.zookeeper.parameters import ZooKeeperParameters

REPLICAS = [(1, 3), (2, 1), (3, 2), (1, 2), (2, 3), (3, 1)]


class Cluster(Directory):
    """Three servers, three brokers, one topic; broker 2 is the controller."""

    def __init__(self, seed: int = 3) -> None:
        env = self.env = Environment()
        self.streams = Streams(seed)
        self.network = Network(env.scheduler, self.streams)
        self.timeline = Timeline()
        self.topics = Topics()
        partitions = self.topics.add("t", len(REPLICAS))
        servers = [self.new_host(f"zookeeper {n}") for n in (1, 2, 3)]
        ensemble = Ensemble(env, self.network, self.streams, servers, self.timeline, ZooKeeperParameters())
        self.ensemble = ensemble
        ensemble.settle(1)
        for path in ("/brokers/ids", "/brokers/topics", "/admin/delete_topics"):
            ensemble.put(path, None)
        for path in ("/isr_change_notification", "/log_dir_event_notification"):
            ensemble.put(path, None)
        ensemble.put("/controller_epoch", 1)
        ensemble.put("/brokers/topics/t", dict(enumerate(REPLICAS)))
        states: dict[int, PartitionState] = {}
        for tp, replicas in zip(partitions, REPLICAS, strict=True):
            ensemble.put(f"/brokers/topics/t/partitions/{tp.partition}/state", (replicas[0], 0, replicas, 1))
            states[tp.index] = PartitionState(tp, replicas[0], 0, replicas, 0, replicas, 1)
        self.hosts = {broker: self.new_host(f"broker {broker}") for broker in (1, 2, 3)}
        self.brokers = {broker: FakeBroker(env, broker) for broker in (1, 2, 3)}
        self.clients: dict[int, ZooKeeperClient] = {}
        self.controllers: dict[int, Controller] = {}
        epochs: dict[int, int] = {}
        for broker in (1, 2, 3):
            self.process(broker).attach_settled(broker)
            epochs[broker] = ensemble.put(f"/brokers/ids/{broker}", {"rack": None}, self.clients[broker].session_id)
        ensemble.put("/controller", 2, self.clients[2].session_id)
        for broker in (1, 2, 3):
            self.controllers[broker].start_settled(broker == 2, 1, states, epochs)
            for path, kind in self.controllers[broker].settled_watches():
                self.clients[broker].watch_settled(path, kind == "children")

    def new_host(self, name: str) -> Host:
        return Host(name, None, 8, 1.25e9, Disk(1e9, 1e9, 2e-4, 2e-4, self.streams.stream(f"{name}/disk")))

    def process(self, broker: int) -> ZooKeeperClient:
        client = self.clients[broker] = ZooKeeperClient(
            self.env, self.network, self.streams, self.ensemble, self.hosts[broker], f"broker {broker}", 18.0
        )
        controller = self.controllers[broker] = Controller(
            self.env, self.network, self.streams, broker, self.hosts[broker], client, self, self.topics,
            {"auto.leader.rebalance.enable": False}, LATEST, self.timeline, ControllerCosts(),
        )  # fmt: skip
        client.on_watch = controller.on_watch
        return client

    def server(self, node_id: int) -> Server:
        return self.brokers[node_id]

    def host(self, node_id: int) -> Host:
        return self.hosts[node_id]

    def kill(self, broker: int) -> None:
        self.clients[broker].fault_cause = self.timeline.add(self.env.now, f"broker {broker}", "fault", "crash")
        self.brokers[broker].kill()
        self.clients[broker].crash()
        self.controllers[broker].crash()

    def states(self) -> list[tuple[int, int, tuple[int, ...]]]:
        """(leader, leader epoch, ISR) of each partition, as the ZooKeeper leader has them."""
        leader = self.ensemble.leader_id()
        assert leader is not None
        nodes = self.ensemble.server(leader).tree.nodes
        return [nodes[f"/brokers/topics/t/partitions/{p}/state"].data[:3] for p in range(len(REPLICAS))]


def test_a_broker_dies_and_returns() -> None:
    cluster = Cluster()
    cluster.env.call_at(5.0, cluster.kill, 1)
    cluster.env.run(until=30.0)
    assert cluster.states() == [
        (3, 1, (3,)), (2, 1, (2,)), (3, 0, (3, 2)), (2, 1, (2,)), (2, 0, (2, 3)), (3, 1, (3,)),
    ]  # fmt: skip
    row = cluster.timeline.find("broker_change")
    assert row is not None and 17.0 <= row.time_s <= 26.01
    assert row.detail == "dead 1, live 2, 3; 4 state writes, 6 state reads, 3 other reads"
    body = cluster.brokers[3].bodies(LEADER_AND_ISR)[0]
    chain = cluster.timeline.chain(body.causes[0])
    assert [r.event for r in chain] == [
        "fault", "session_expired", "znode_deleted", "watch_fired", "broker_change", "leader_elected",
    ]  # fmt: skip
    # the new leaders are out before 52 reads and writes of milliseconds could add up to more
    assert cluster.brokers[3].received[0][0] - row.time_s < 0.02
    client = cluster.process(1)
    client.connect()
    cluster.env.run(until=31.0)
    client.submit([Create("/brokers/ids/1", {"rack": None}, True)])
    cluster.brokers[1].up = True
    cluster.env.run(until=32.0)
    cluster.controllers[1].start()
    cluster.env.run(until=33.0)
    assert cluster.controllers[1].known_controller == 2
    assert [s.tp.name for s in cluster.brokers[1].bodies(LEADER_AND_ISR)[0].partitions] == ["t-0", "t-1", "t-3", "t-5"]


def test_the_controller_dies() -> None:
    cluster = Cluster()
    cluster.env.call_at(5.0, cluster.kill, 2)
    cluster.env.run(until=30.0)
    active = [broker for broker in (1, 3) if cluster.controllers[broker].active]
    assert len(active) == 1 and cluster.controllers[active[0]].epoch == 2
    assert cluster.states() == [
        (1, 0, (1, 3)), (1, 2, (1,)), (3, 1, (3,)), (1, 1, (1,)), (3, 2, (3,)), (3, 0, (3, 1)),
    ]  # fmt: skip


def test_the_same_seed_is_the_same_run() -> None:
    def run(seed: int) -> list[str]:
        cluster = Cluster(seed)
        cluster.env.call_at(5.0, cluster.kill, 2)
        cluster.env.run(until=30.0)
        return [repr((row.time_s, row.actor, row.event, row.detail, row.cause)) for row in cluster.timeline]

    assert run(4) == run(4)
    assert run(4) != run(5)
