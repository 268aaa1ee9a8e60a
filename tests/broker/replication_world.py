"""Brokers without control plane: replica managers, sockets and fetchers, and a producer that is only a socket."""

from __future__ import annotations

from kafkasim.broker.fetcher import ReplicaFetcher
from kafkasim.broker.fetcher_settings import FetcherSettings
from kafkasim.broker.followed import FetcherListener
from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker.partition import Partition
from kafkasim.broker.replica_costs import ReplicaCosts
from kafkasim.broker.replica_listener import ReplicaListener
from kafkasim.broker.replica_manager import ReplicaManager
from kafkasim.broker.sessions import FetchSessionCache
from kafkasim.broker.socket_server import SocketServer
from kafkasim.connection import Connection, ConnectionOwner, Directory
from kafkasim.hosts import Disk, Host
from kafkasim.kernel import Environment, Streams
from kafkasim.network import Network
from kafkasim.protocol import PRODUCE, ProducePartition, ProduceRequestData, RecordBatch, Request, TopicPartition
from tests.broker.storage import plain_log, plain_storage


class Monitor(BrokerMonitor):
    """Notes what becomes readable."""

    def __init__(self):
        self.commits = []

    def appended(self, broker_id, partition, batch, now):
        pass

    def committed(self, broker_id, partition, batch, now):
        self.commits.append((now, partition.tp.name, batch.base_offset))

    def refused(self, tp, batch, cause, now):
        pass

    def trim(self, partition):
        pass

    def read_out(self, broker_id, partition, size_bytes):
        pass


class Listener(ReplicaListener):
    """Notes everything else."""

    def __init__(self):
        self.expansions = []
        self.internal = {}

    def may_expand(self, partition, broker_id, now, cause):
        self.expansions.append((now, broker_id))

    def internal_done(self, number, error, now):
        self.internal[number] = (error, now)

    def hint(self, tp):
        return 9, 99


class FetchNotes(FetcherListener):
    """Notes what fetchers do."""

    def __init__(self):
        self.backoffs = []
        self.cuts = []
        self.failures = []
        self.halts = []

    def truncated(self, partition, removed, cause, now):
        self.cuts.append((partition.broker_id, [(b.base_offset, b.count) for b in removed]))

    def backed_off(self, partition, error, now):
        self.backoffs.append((now, partition.tp.name, error))

    def failed(self, partition, reason, now):
        self.failures.append((now, partition.tp.name, reason))

    def ahead_of_leader(self, partition, leader_end_offset, now):
        self.halts.append((now, partition.tp.name, leader_end_offset))


class Node:
    """One broker's data path."""

    def __init__(self, world, broker_id):
        self.id = broker_id
        disk = Disk(2e9, 1e9, 1e-4, 1e-4, world.streams.stream(f"disk/{broker_id}"))
        self.machine = Host(f"broker {broker_id}", None, 8, 1.25e9, disk)
        self.listener = Listener()
        self.monitor = Monitor()
        self.notes = FetchNotes()
        costs = ReplicaCosts()
        costs.produce_s, costs.fetch_s, costs.completion_s = 30e-6, 30e-6, 10e-6
        self.replicas = ReplicaManager(
            world.env.scheduler,
            broker_id,
            costs,
            self.listener,
            self.monitor,
            30.0,
            hints=True,
            filters_dead_replicas=True,
            joins_need_live_broker=True,
            syncs_rolls=False,
            session_cache=FetchSessionCache(1000),
        )
        self.server = SocketServer(
            world.env.scheduler, self.machine, 3, 8, 20e-6, 10e-6, 10e-6,
            self.replicas.service, self.replicas.handle, self.replicas.close_session,
        )  # fmt: skip
        self.replicas.serve(self.server)
        self.server.serve()
        self.fetchers = {}
        self.world = world

    def partition(self, tp):
        return self.replicas.partitions[tp.index]

    def follow(self, tp, leader, epoch, replicas):
        partition = self.partition(tp)
        if partition.leader_id >= 0 and partition.leader_id in self.fetchers:
            self.fetchers[partition.leader_id].remove(partition)
        partition.become_follower(leader, epoch, 0, replicas)
        self.replicas.fail_waiting(partition, self.world.env.now)
        fetcher = self.fetchers.get(leader)
        if fetcher is None:
            fetcher = self.fetchers[leader] = ReplicaFetcher(
                self.world.env.scheduler, self.world.network, self.world, self.machine, self.id, leader,
                FetcherSettings(), self.notes,
            )  # fmt: skip
        fetcher.add(partition)

    def lead(self, tp, epoch, replicas, isr=None):
        partition = self.partition(tp)
        if partition.leader_id in self.fetchers:
            self.fetchers[partition.leader_id].remove(partition)
        partition.log.assign_epoch(epoch, partition.log.log_end_offset)
        partition.become_leader(epoch, 0, replicas, isr or replicas, self.world.env.now)
        self.replicas.advance(partition, self.world.env.now)


class Wire(ConnectionOwner):
    """A client that is only a connection: keeps every answer with its time."""

    def __init__(self, world, node_id):
        self.world = world
        disk = Disk(2e9, 1e9, 1e-4, 1e-4, world.streams.stream("disk/client"))
        self.machine = Host(f"client {node_id}", None, 8, 1.25e9, disk)
        self.answers = []
        self.lost_at = None
        self.connection = Connection(
            world.network, f"wire/{node_id}/{len(world.wires)}", self, self.machine,
            world.server(node_id), world.host(node_id), node_id,
        )  # fmt: skip
        world.wires.append(self)
        self.connection.open()

    def connection_opened(self, connection):
        pass

    def connection_refused(self, connection):
        self.lost_at = self.world.env.now

    def connection_lost(self, connection):
        self.lost_at = self.world.env.now

    def response_arrived(self, request):
        self.answers.append((self.world.env.now, request))

    def produce(self, at, tp, first=0, count=10, acks=-1, producer_id=-1, sequence=-1, size=1000, timeout=30.0):
        batch = RecordBatch(0, first, count, size, at, at, producer_id, 0, sequence)
        data = ProduceRequestData([ProducePartition(tp, batch)], size, acks, timeout)
        request = Request(PRODUCE, size + 60, produce=data)
        request.expects_response = acks != 0
        self.world.env.call_at(at, lambda _: self.connection.send(request, at))
        return request


class World(Directory):
    """``brokers`` nodes with one topic of ``partitions`` partitions; partition p is led by broker p % n + 1."""

    def __init__(self, brokers=3, partitions=1, factor=None, min_isr=1, gated=True, seed=1):
        self.env = Environment()
        self.streams = Streams(seed)
        self.network = Network(self.env.scheduler, self.streams)
        self.wires = []
        self.nodes = {number: Node(self, number) for number in range(1, brokers + 1)}
        self.tps = [TopicPartition("t", p, p) for p in range(partitions)]
        factor = factor or brokers
        for tp in self.tps:
            replicas = tuple((tp.partition + j) % brokers + 1 for j in range(factor))
            for number in replicas:
                log = plain_log(tp, storage=plain_storage(self.env.scheduler, self.nodes[number].machine.disk))
                self.nodes[number].replicas.partitions[tp.index] = Partition(tp, number, log, min_isr, gated)
            self.nodes[replicas[0]].lead(tp, 0, replicas)
            for number in replicas[1:]:
                self.nodes[number].follow(tp, replicas[0], 0, replicas)

    def server(self, node_id):
        return self.nodes[node_id].server

    def host(self, node_id):
        return self.nodes[node_id].machine
