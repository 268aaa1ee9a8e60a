"""The ensemble: its servers, its start, its faults, and what it tells the timeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from kafkasim.hosts.host import Host
from kafkasim.kernel.environment import Environment
from kafkasim.kernel.streams import Streams
from kafkasim.network import Network
from kafkasim.zookeeper.client_port import Attachment
from kafkasim.zookeeper.follower import Follower
from kafkasim.zookeeper.leader import Leader
from kafkasim.zookeeper.learner_handler import LearnerHandler
from kafkasim.zookeeper.observer import Observer
from kafkasim.zookeeper.operations import CHILDREN, Outcome, parent_of
from kafkasim.zookeeper.packets import Vote
from kafkasim.zookeeper.parameters import ZooKeeperParameters
from kafkasim.zookeeper.server import Server
from kafkasim.zookeeper.sockets import Socket, SocketOwner, connected
from kafkasim.zookeeper.transactions import CREATE, DELETE, OPEN_SESSION, SET, Change, Transaction, first_zxid

SETTLED_EPOCH = 1


class TimelineRows(Protocol):
    """Where rows of the timeline go; each gets an id from 1, 0 is no cause."""

    def add(self, time_s: float, actor: str, event: str, detail: str = "", cause: Any = 0) -> int:
        """Write a row; returns its id."""


class SessionOwner(Protocol):
    """What the ensemble wants to know of a client: its name, and the row of what killed it."""

    name: str
    host: Host
    fault_cause: int

    @property
    def session_id(self) -> int:
        """Its present session."""


class Ensemble:
    """Servers 1 … n on ``hosts``; the last ``observers`` of them have no vote. ``size`` counts the voters.

    Set ``trace_sessions`` to a list before :meth:`settle` to get a row a session and bucket:
    session name, server, last touch at that server (s), last touch at the leader (s), bucket
    (s), expiry (s; None unless it expired).
    """

    def __init__(
        self,
        env: Environment,
        network: Network,
        streams: Streams,
        hosts: list[Host],
        timeline: TimelineRows,
        parameters: ZooKeeperParameters,
        observers: int = 0,
    ) -> None:
        if not 0 <= observers < len(hosts):
            raise ValueError(f"{len(hosts)} servers cannot have {observers} observers")
        self.env = env
        self.network = network
        self.streams = streams
        self.timeline = timeline
        self.parameters = parameters
        self.total: int = len(hosts)
        self.observers: int = observers
        self.size: int = len(hosts) - observers
        self.trace_sessions: list[list[Any]] | None = None
        self.on_applied: Callable[[Transaction], None] | None = None
        """Told of each transaction when a first server has applied it."""
        self._owners: dict[int, SessionOwner] = {}
        self._rows: dict[str, int] = {}
        self._child_rows: dict[str, int] = {}
        self._expiry_rows: dict[int, int] = {}
        self._fault_causes: dict[int, int] = {}
        self._fault_row: int = 0
        self._election_row: int = 0
        self._zxid: int = first_zxid(SETTLED_EPOCH)
        self._servers = [Server(self, number, host, network) for number, host in enumerate(hosts, start=1)]

    def server(self, number: int) -> Server:
        """Server ``number``."""
        return self._servers[number - 1]

    def servers(self) -> list[Server]:
        """All servers."""
        return list(self._servers)

    def is_up(self, number: int) -> bool:
        """Whether the process of server ``number`` runs (it may be LOOKING)."""
        return self.server(number).running

    def is_serving(self, number: int) -> bool:
        """Whether server ``number`` answers clients."""
        return self.server(number).serving

    def leader_id(self) -> int | None:
        """The server that leads now and serves (of two that believe so, the newer one)."""
        leading = [
            (server.role.epoch, server.id)
            for server in self._servers
            if isinstance(server.role, Leader) and server.role.serving
        ]
        return max(leading)[1] if leading else None

    # A settled start

    def settle(self, leader: int | None = None) -> None:
        """At t = 0 a leader serves since long: ping loop and tick grid stand at drawn phases."""
        if leader is None:
            leader = 1 + self.streams.stream("zookeeper/initial leader").integer(self.size)
        head = self.server(leader)
        vote = Vote(leader, 0, SETTLED_EPOCH, 1)
        for server in self._servers:
            server.accepted_epoch = server.current_epoch = SETTLED_EPOCH
        role = Leader(head)
        head.settle(role, vote)
        for server in self._servers:
            for peer in self._servers:
                if peer.id < server.id:
                    server.mesh.settle(peer)
            if server is head:
                continue
            follower = Observer(server, leader) if server.observes else Follower(server, leader)
            server.settle(follower, vote)
            name = f"zookeeper/quorum {server.id} to {leader}"
            socket = connected(self.network, name, follower, server.host, head.quorum_port, head.host)
            follower.settle(socket)
            handler = socket.peer.owner
            assert isinstance(handler, LearnerHandler)
            handler.settle(server.id)
        phase = self.streams.stream("zookeeper/initial ping phase").uniform()
        role.settle(SETTLED_EPOCH, self._zxid, -phase * self.parameters.tick_s)

    def put(self, path: str, data: Any, owner: int = 0) -> int:
        """Before the run: a znode (with its parents) that exists since long, or new data of one; returns its czxid."""
        known = self._servers[0].tree.nodes.get(path)
        if known is not None:
            self._put([Change(SET, path, data, known.version + 1)])
            return known.czxid
        above = parent_of(path)
        if above not in self._servers[0].tree.nodes:
            self.put(above, None)
        self._put([Change(CREATE, path, data, owner=owner)])
        return self._zxid

    def look_up(self, path: str) -> Outcome | None:
        """Before the run: a znode's data and version as the servers have it."""
        node = self._servers[0].tree.nodes.get(path)
        if node is None:
            return None
        return Outcome(data=node.data, version=node.version, czxid=node.czxid, owner=node.owner, path=path)

    def attach_settled(
        self, client: SocketOwner, name: str, host: Host, server_id: int, timeout_ms: int, sent_at: float
    ) -> tuple[Socket, int]:
        """A session that hangs on ``server_id`` since long and last sent something at ``sent_at`` (s, in the past)."""
        server = self.server(server_id)
        line = f"zookeeper/client {name} to {server_id}"
        socket = connected(self.network, line, client, host, server.port, server.host)
        session_id = server.new_session_id()
        attachment = socket.peer.owner
        assert isinstance(attachment, Attachment)
        self._put([Change(OPEN_SESSION, owner=session_id, timeout_ms=timeout_ms)])
        server.port.attach_settled(attachment, session_id, timeout_ms)
        touched_at = sent_at + socket.out.latency_s
        head = self.server(self.leader_id() or 1)
        leader = head.role
        assert isinstance(leader, Leader)
        if server is head:
            relayed_at = touched_at
        else:
            follower = server.role
            assert isinstance(follower, Follower)
            assert follower.socket is not None
            relayed_at = leader.relay_time(touched_at, follower.socket.out.latency_s)
            if relayed_at > self.env.now:
                # the leader still counts from the touch before
                follower.touches.touch(session_id, touched_at)
                touched_at -= timeout_ms / 3000.0
                relayed_at = leader.relay_time(touched_at, follower.socket.out.latency_s)
        leader.tracker.settle(session_id, timeout_ms, relayed_at, touched_at, server_id)
        return socket, session_id

    def _put(self, changes: list[Change]) -> None:
        if self.env.now > 0.0:
            raise RuntimeError("only before the run: afterwards a client has to write")
        self._zxid += 1
        transaction = Transaction(self._zxid, 0, changes, Outcome(), None, 0)
        transaction.announced = True
        for server in self._servers:
            server.put(transaction)
        leader = self.leader_id()
        if leader is not None:
            role = self.server(leader).role
            assert isinstance(role, Leader)
            role.settled_to(self._zxid)

    # Faults

    def freeze(self, server_id: int, until: float, cause: int) -> None:
        """SIGSTOP of a server's process until then; ``cause`` is the fault's row."""
        self._fault_row = cause
        if server_id == self.leader_id():
            self._election_row = cause
        self.server(server_id).freeze(until)

    def lose_power(self, server_id: int, cause: int) -> None:
        """A server's machine is gone: nobody is told, what was not flushed is lost."""
        self.crash(server_id, cause, power_lost=True)

    def crash(self, server_id: int, cause: int, power_lost: bool = False) -> None:
        """SIGKILL of a server's process; ``cause`` is the fault's row.

        With ``power_lost`` the page cache is lost too: what no fsync has finished is gone.
        """
        server = self.server(server_id)
        if not server.running:
            server.stop_starting()
            return
        self._fault_row = cause
        if isinstance(server.role, Leader) and server.role.serving:
            self.leader_lost(server, "dies", cause)
        server.crash(power_lost)

    def start(self, server_id: int, cause: int) -> None:
        """The process starts (again), unless it runs; ``cause`` is the row of what started it."""
        server = self.server(server_id)
        if server.running or server.starting:
            return
        if sum(1 for other in self._servers if other.running and not other.observes) < server.quorum:
            self._election_row = cause
        server.start()

    def session_rows(self) -> list[dict[str, object]]:
        """The trace as the table ``sessions`` has it; a bucket is given in simulated time (ms)."""
        return [
            {
                "session": name,
                "server": server_id,
                "touched_at_server_s": touched_at_server_s,
                "touched_at_leader_s": touched_at_leader_s,
                "bucket_ms": round(bucket_s * 1000.0),
                "expired_s": expired_s,
            }
            for name, server_id, touched_at_server_s, touched_at_leader_s, bucket_s, expired_s in (
                self.trace_sessions or []
            )
        ]

    # What the timeline is told

    def own(self, session_id: int, owner: SessionOwner) -> None:
        """Whose session it is."""
        self._owners[session_id] = owner

    def abandoned(self, session_id: int, cause: int) -> None:
        """The client opens another session: remember what killed the one before."""
        self._fault_causes[session_id] = cause

    def session_name(self, session_id: int) -> str:
        """The client's name."""
        owner = self._owners.get(session_id)
        return f"session {session_id:#x}" if owner is None else owner.name

    def session_expired(self, server: Server, session_id: int) -> int:
        """The tracker has given up a session: returns the row."""
        owner = self._owners.get(session_id)
        cause = self._fault_causes.get(session_id, 0)
        if owner is not None and owner.session_id == session_id:
            cause = owner.fault_cause or self._cut_off(owner.host)
        row = self.timeline.add(self.env.now, server.name, "session_expired", self.session_name(session_id), cause)
        self._expiry_rows[session_id] = row
        return row

    def _cut_off(self, host: Host) -> int:
        """The row of a fault that keeps a machine from some server (0: none does)."""
        for server in self._servers:
            cause = self.network.cause_between(host, server.host)
            if cause:
                return cause
        return 0

    def expiry_row(self, session_id: int) -> int:
        """The row that told of a session's expiry (0: none)."""
        return self._expiry_rows.get(session_id, 0)

    def fault_row(self) -> int:
        """The row of the last fault of a server (0: none)."""
        return self._fault_row

    def leads(self, server: Server, epoch: int) -> None:
        """A new leader serves."""
        detail = f"{server.name} leads epoch {epoch}"
        self.timeline.add(self.env.now, server.name, "zookeeper_leader_elected", detail, self._election_row)

    def leader_lost(self, server: Server, detail: str, cause: int) -> None:
        """The leader is gone."""
        self._election_row = self.timeline.add(
            self.env.now, server.name, "zookeeper_leader_lost", detail, cause or self._fault_row
        )

    def announce(self, transaction: Transaction) -> None:
        """A transaction is visible at a first server: its deleted ephemerals become rows."""
        if transaction.announced:
            return
        transaction.announced = True
        now = self.env.now
        for change in transaction.changes:
            if change.kind == DELETE and change.owner:
                change.row = self.timeline.add(now, "zookeeper", "znode_deleted", change.path, transaction.cause)
            row = change.row or transaction.cause
            if row and change.path:
                self._rows[change.path] = row
                if change.kind in (CREATE, DELETE):
                    self._child_rows[parent_of(change.path)] = row
        if self.on_applied is not None:
            self.on_applied(transaction)

    def last_row(self, path: str, kind: str) -> int:
        """The row of the last known change of ``path`` (of its children)."""
        rows = self._child_rows if kind == CHILDREN else self._rows
        return rows.get(path, 0)
