"""One ZooKeeper server: its process, its disk, its role (QuorumPeer, ZooKeeperServer).

What is on the disk (log, epochs) survives a crash, what is in memory is built from it
again.  All that a process plans, computes and waits for goes through its ``life``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.kernel.clock import Clock
from kafkasim.network import Network
from kafkasim.zookeeper.client_port import ClientPort
from kafkasim.zookeeper.election import FOLLOWING, LEADING, LOOKING, OBSERVING, Election
from kafkasim.zookeeper.follower import Follower
from kafkasim.zookeeper.leader import Leader
from kafkasim.zookeeper.log import TransactionLog
from kafkasim.zookeeper.mesh import ElectionMesh
from kafkasim.zookeeper.observer import Observer
from kafkasim.zookeeper.packets import Notification, Vote
from kafkasim.zookeeper.processor import Processor
from kafkasim.zookeeper.role import Role
from kafkasim.zookeeper.snapshots import Snapshots
from kafkasim.zookeeper.sockets import Listener, Socket, SocketOwner
from kafkasim.zookeeper.transactions import CLOSE_SESSION, OPEN_SESSION, Transaction
from kafkasim.zookeeper.tree import DataTree

if TYPE_CHECKING:
    from kafkasim.zookeeper.ensemble import Ensemble


class QuorumPort(Listener):
    """Where learners connect: open while the server leads."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def listens(self) -> bool:
        """Only a leader's port is open."""
        role = self.server.role
        return isinstance(role, Leader) and role.listens()

    def accept(self, socket: Socket) -> SocketOwner:
        """A learner has connected."""
        role = self.server.role
        assert isinstance(role, Leader)
        return role.accept(socket)


class Server:
    """Server ``server_id`` of ``ensemble`` on ``host``.

    ``state`` is LOOKING, FOLLOWING, OBSERVING or LEADING; ``running`` whether the process is up (its
    ports are open); ``serving`` whether clients are answered.
    """

    def __init__(self, ensemble: Ensemble, server_id: int, host: Host, network: Network) -> None:
        self.ensemble = ensemble
        self.id = server_id
        self.name = f"zookeeper {server_id}"
        self.host = host
        self.network = network
        self.scheduler = network.scheduler
        self.parameters = ensemble.parameters
        self.quorum: int = ensemble.size // 2 + 1
        self.standalone: bool = ensemble.size == 1 and ensemble.observers == 0
        self.observes: bool = server_id > ensemble.size
        self.life = Life(self.scheduler)
        stream = ensemble.streams.stream
        # a monotonic clock counts from the machine's boot: any multiple of ticks, and a fraction
        self.clock = Clock(stream(f"zookeeper/server {server_id}/clock").uniform(0.0, 1e7))
        self._shutdowns = stream(f"zookeeper/server {server_id}/shutdown")
        self._timers = stream(f"zookeeper/server {server_id}/timers")
        self._notifications = stream(f"zookeeper/server {server_id}/notifications")
        self._openings = stream(f"zookeeper/server {server_id}/leader opens")
        self._synchronisations = stream(f"zookeeper/server {server_id}/synchronisation")
        self._observer_delays = stream(f"zookeeper/server {server_id}/observer delay")
        # on the disk
        self.tree = self.new_tree()
        rolls = stream(f"zookeeper/server {server_id}/log rolls")
        self.log = TransactionLog(self.life, host.disk, self.parameters, rolls, self._flushed, self._snapshot_due)
        self.snapshots = Snapshots(self.life, host.disk, self.parameters)
        self.accepted_epoch: int = 0
        self.current_epoch: int = 0
        # in memory
        self.running = False
        self.starting = False
        self.state: str = LOOKING
        self.role: Role = Role(self)
        self.role.over = True
        self.election: Election | None = None
        self.logical_clock: int = 0
        self.current_vote = Vote(server_id, 0, 0, 0)
        self.port = ClientPort(self)
        self.quorum_port = QuorumPort(self)
        self.mesh = ElectionMesh(self, [n for n in range(1, ensemble.total + 1) if n != server_id])
        self.processor = Processor(self.life, host)
        self.synchronisations: dict[str, int] = {}
        self._applying: deque[Transaction] = deque()
        self._tail: list[Transaction] = []
        self._committed_zxid: int = 0
        self._sessions_opened: int = 0

    @property
    def serving(self) -> bool:
        """Whether clients are answered."""
        return self.role.serving

    def new_tree(self) -> DataTree:
        """An empty tree."""
        return DataTree(self.parameters.commit_log_count)

    def new_session_id(self) -> int:
        """An id that no other server gives: the server's number above a count."""
        self._sessions_opened += 1
        return (self.id << 40) + self._sessions_opened

    def draw_timer_lateness_s(self) -> float:
        """How late the election's thread wakes from its wait."""
        return self._timers.uniform(*self.parameters.timer_late_s)

    def draw_notification_s(self) -> float:
        """From a notification's arrival until the election's thread has it."""
        return self._notifications.uniform(*self.parameters.notification_s)

    def draw_opening_s(self) -> float:
        """From being elected until the quorum port is open."""
        return self._openings.uniform(*self.parameters.leader_open_s)

    def draw_synchronisation_s(self) -> float:
        """Base cost of joining a leader."""
        return self._synchronisations.uniform(*self.parameters.synchronise_s)

    # The process

    def put(self, transaction: Transaction) -> None:
        """Have a transaction since long (a settled start)."""
        self.tree.apply(transaction, False)
        self.log.put(transaction)
        self._committed_zxid = transaction.zxid

    def settle(self, role: Role, vote: Vote) -> None:
        """Run since long, in ``role``."""
        self.running = True
        self.role = role
        self.state = LEADING if isinstance(role, Leader) else OBSERVING if self.observes else FOLLOWING
        self.logical_clock = 1
        self.current_vote = vote
        self.log.settle()

    def freeze(self, until: float) -> None:
        """SIGSTOP until then: no thread runs, the ports stay open, what comes waits in the sockets."""
        self.life.stop(until)

    def crash(self, power_lost: bool = False) -> None:
        """SIGKILL: peers and clients see resets, the page cache survives; it does not if ``power_lost``."""
        self.running = False
        self.life.end()
        self.processor.reset()
        self.snapshots.stop()
        self._end_role()
        self._keep_what_is_logged(written=not power_lost)
        self.mesh.die()
        if self.election is not None:
            self.election.over = True
            self.election = None

    def start(self) -> None:
        """The process starts; it is LOOKING when snapshot and log are read."""
        self.starting = True
        self.log.begin_file()
        self.life.plan(self.scheduler.now + self.parameters.start_up_s, self._load, None)

    def stop_starting(self) -> None:
        """The process dies before it is up."""
        self.starting = False
        self.life.end()

    def _load(self, _: None) -> None:
        self.snapshots.read(self.tree_bytes(), self._started, None)

    def _started(self, _: None) -> None:
        self.starting = False
        self.running = True
        self.logical_clock = 0
        self._look(None)

    # Roles

    def elected(self, vote: Vote) -> None:
        """The election is decided."""
        self.election = None
        self.current_vote = vote
        if vote.leader == self.id:
            self.state = LEADING
            self.role = Leader(self)
        elif self.observes:
            self.state = OBSERVING
            self.role = Observer(self, vote.leader)
        else:
            self.state = FOLLOWING
            self.role = Follower(self, vote.leader)
        self.role.begin()

    def leave_role(self) -> None:
        """Cut off all clients, shut the pipeline, go LOOKING; until then votes are answered with the old leader."""
        self._end_role()
        self.processor.reset()
        pause_s = self._shutdowns.uniform(*self.parameters.shutdown_s)
        if self.observes:
            pause_s += self._observer_delays.uniform(*self.parameters.observer_delay_s)
        self.life.plan(self.scheduler.now + pause_s, self._look, None)

    def notified(self, notification: Notification) -> None:
        """A message on the election mesh: it is lost for one who is not LOOKING, but answered.

        An observer's vote does not count: it is told who leads.
        """
        if not self.running:
            return
        looks = notification.state == LOOKING
        if notification.server_id > self.ensemble.size:
            if looks and not self.observes:
                self.mesh.send(notification.server_id, self.current_vote, self.state)
        elif self.state == LOOKING and self.election is not None:
            election = self.election
            older = notification.vote.election_epoch < self.logical_clock
            election.receive(notification)
            if looks and older and not election.over:
                self.mesh.send(notification.server_id, election.proposal, LOOKING)
        elif looks and self.state != LOOKING:
            self.mesh.send(notification.server_id, self.current_vote, self.state)

    def term_began(self, leader_id: int, epoch: int) -> None:
        """This server serves in ``epoch``: who asks for its vote is told so."""
        self.current_vote = Vote(leader_id, self.current_vote.zxid, epoch, self.current_vote.election_epoch)

    def _end_role(self) -> None:
        role = self.role
        if not role.over:
            # committed and waiting for the processor, then what only was proposed
            self._tail = [*self._applying, *role.uncommitted()]
            role.end()
        self._applying.clear()
        self.port.close_all()

    def _keep_what_is_logged(self, written: bool) -> None:
        """The log decides: its uncommitted tail is applied, what was applied ahead of it is taken back."""
        self.log.stop(written)
        for transaction in self._tail:
            if transaction.zxid <= self.log.last_zxid:
                self.tree.apply(transaction, True)
        self._tail = []
        self.tree.roll_back(self.log.last_zxid)

    def _look(self, _: None) -> None:
        self._keep_what_is_logged(written=False)
        self.state = LOOKING
        if self.standalone:
            self.elected(Vote(self.id, self.log.last_zxid, self.current_epoch, 0))
            return
        self.election = Election(self)
        self.election.start()

    # Processor, snapshots

    def compute(self, service_s: float, function: Callable[[Any], None], argument: Any) -> None:
        """Spend processor time, then call."""
        self.processor.spend(service_s, function, argument)

    def tree_bytes(self) -> int:
        """Size of a snapshot now."""
        return self.tree.size_bytes(self.parameters.snapshot_node_bytes)

    def snapshot_written(self, size_bytes: int) -> None:
        """There is a newer snapshot on the disk."""
        self.log.snapshot_bytes = size_bytes

    def _snapshot_due(self) -> None:
        self.snapshots.take(self.tree_bytes(), self.snapshot_written)

    # Transactions

    def applying(self) -> list[Transaction]:
        """Committed here, and waiting behind the processor's work."""
        return list(self._applying)

    def commit(self, transaction: Transaction) -> None:
        """Apply the next committed transaction, behind the reads that the processor holds."""
        processor = self.processor
        self._applying.append(transaction)
        if len(self._applying) == 1 and processor.idle():
            self._apply(None)
        else:
            self.compute(0.0, self._apply, None)

    def tree_is_committed(self) -> None:
        """All that the tree holds is the history from here on."""
        self._committed_zxid = self.tree.last_zxid
        self.tree.forget_undo(min(self._committed_zxid, self.log.last_zxid))
        for transaction in self.tree.committed_log:
            self.ensemble.announce(transaction)

    def _apply(self, _: None) -> None:
        transaction = self._applying.popleft()
        zxid = transaction.zxid
        self._committed_zxid = zxid
        self.tree.apply(transaction, zxid > self.log.last_zxid)
        self.ensemble.announce(transaction)
        role = self.role
        role.applied(zxid)
        port = self.port
        closed = 0
        for change in transaction.changes:
            if change.kind == CLOSE_SESSION:
                closed = change.owner
                role.session_changed(change)
            elif change.kind == OPEN_SESSION:
                role.session_changed(change)
            else:
                port.fire(change, change.row or transaction.cause)
        port.committed(transaction)
        if closed:
            port.close_session(closed)

    def _flushed(self, transactions: list[Transaction]) -> None:
        self.tree.forget_undo(min(self._committed_zxid, self.log.last_zxid))
        if not self.role.over:
            self.role.flushed(transactions)
