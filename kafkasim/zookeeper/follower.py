"""A follower: finds the leader, is brought up to date, logs, acknowledges, applies (Learner, Follower).

When the connection to the leader breaks, or nothing is heard for ``syncLimit`` ticks, the
server shuts its pipeline, cuts off all its clients and goes LOOKING.  While it takes over a
snapshot it reads nothing, so that its silence is not watched then.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from kafkasim.hosts.life import Deadline, Life
from kafkasim.zookeeper.packets import (
    Ack,
    AckEpoch,
    AckNewLeader,
    Commit,
    FollowerInfo,
    Forward,
    Inform,
    LeaderInfo,
    LeaderPing,
    PingReply,
    Proposal,
    Request,
    Revalidate,
    Revalidated,
    Synchronise,
    UpToDate,
)
from kafkasim.zookeeper.role import Role
from kafkasim.zookeeper.sessions import TouchTable
from kafkasim.zookeeper.sockets import Socket, SocketOwner, dial
from kafkasim.zookeeper.transactions import CLOSE_SESSION, OPEN_SESSION, Change, Transaction

if TYPE_CHECKING:
    from kafkasim.zookeeper.client_port import Attachment
    from kafkasim.zookeeper.server import Server


class Follower(Role, SocketOwner):
    """One term of ``server`` under the leader ``leader_id``."""

    def __init__(self, server: Server, leader_id: int) -> None:
        super().__init__(server)
        self.leader_id = leader_id
        self.socket: Socket | None = None
        self.touches = TouchTable()
        self.pending: deque[Transaction] = deque()
        """Proposals not committed yet, in order."""
        self._early: list[Proposal | Commit | Inform] | None = []
        self._outstanding: list[Transaction] = []
        self._joins_at_zxid: int = -1
        self._new_epoch: int = 0
        self._tries = 0
        self._base_s = 0.0
        self._limit_s = server.parameters.init_limit * server.parameters.tick_s
        self._silence = Deadline(server.life, self._lost)

    @property
    def life(self) -> Life:
        """The server's process."""
        return self.server.life

    def begin(self) -> None:
        """Connect to the elected leader, within initLimit ticks."""
        self._base_s = self.server.draw_synchronisation_s() / 2.0
        self._heard()
        self._dial(None)

    def settle(self, socket: Socket) -> None:
        """Follow since long, through ``socket``."""
        self.socket = socket
        self._early = None
        self._shorten_limit()
        self.serve()

    def end(self) -> None:
        """The role is over: the leader sees the connection close."""
        super().end()
        self._silence.stop()
        if self.socket is not None:
            self.socket.close()

    def uncommitted(self) -> list[Transaction]:
        """What was proposed here and not committed."""
        return list(self.pending)

    # Towards the leader

    def socket_opened(self, socket: Socket) -> None:
        """Connected: say who we are."""
        self._heard()
        socket.send(FollowerInfo(self.server.id, self.server.accepted_epoch))

    def socket_refused(self, socket: Socket) -> None:
        """The elected leader's port is not open yet: up to five tries."""
        self._tries += 1
        parameters = self.server.parameters
        if self._tries >= parameters.connect_tries:
            self._lost()
        else:
            self.server.life.plan(self.server.scheduler.now + parameters.connect_retry_s, self._dial, None)

    def socket_closed(self, socket: Socket) -> None:
        """The leader has died or resigned."""
        self._lost()

    def socket_message(self, socket: Socket, message: Any) -> None:
        """A packet of the leader."""
        if self.over:
            return
        self._heard()
        if isinstance(message, (Proposal, Commit)):
            if self._early is None:
                self._broadcast(message)
            else:
                self._early.append(message)
        elif isinstance(message, LeaderPing):
            socket.send(PingReply(self.touches.take()))
        elif isinstance(message, Revalidated):
            self.server.port.revalidated(message.attachment, message.session_id, message.timeout_ms)
        else:
            self._join(message)

    def _dial(self, _: None) -> None:
        if self.over:
            return
        server = self.server
        leader = server.ensemble.server(self.leader_id)
        name = f"zookeeper/quorum {server.id} to {leader.id}"
        self.socket = dial(server.network, name, self, server.host, leader.quorum_port, leader.host)

    def _lost(self) -> None:
        if not self.over:
            self.server.leave_role()

    def _heard(self) -> None:
        self._silence.move(self.server.scheduler.now + self._limit_s)

    def _shorten_limit(self) -> None:
        self._limit_s = self.server.parameters.sync_limit * self.server.parameters.tick_s
        self._heard()

    # Discovery and synchronisation

    def _join(self, message: Any) -> None:
        """The base cost of joining is spent half before each of the two answers."""
        server = self.server
        ready_at = server.scheduler.now + self._base_s
        if isinstance(message, LeaderInfo):
            if message.epoch < server.accepted_epoch:
                self._lost()
                return
            server.accepted_epoch = message.epoch
            server.life.plan(ready_at, self._acknowledge_epoch, None)
        elif isinstance(message, Synchronise):
            self._silence.stop()
            server.life.plan(ready_at, self._load, message)
        elif isinstance(message, UpToDate):
            server.term_began(self.leader_id, server.current_epoch)
            server.tree_is_committed()
            self.serve()

    def _acknowledge_epoch(self, _: None) -> None:
        if not self.over and self.socket is not None:
            self.socket.send(AckEpoch(self.server.current_epoch, self.server.log.last_zxid))

    def _load(self, message: Synchronise) -> None:
        """TRUNC reads the tree again from the own disk; it and SNAP end with writing a snapshot."""
        if self.over:
            return
        snapshots = self.server.snapshots
        if message.snapshot is not None:
            snapshots.write(self._snapshot_bytes(message), True, self._take_over, message)
        elif message.truncate_to >= 0:
            snapshots.read(self.server.tree_bytes(), self._reloaded, message)
        else:
            self._take_over(message)

    def _reloaded(self, message: Synchronise) -> None:
        if not self.over:
            self.server.snapshots.write(self.server.tree_bytes(), False, self._take_over, message)

    def _snapshot_bytes(self, message: Synchronise) -> int:
        assert message.snapshot is not None
        return message.snapshot.size_bytes(self.server.parameters.snapshot_node_bytes)

    def _take_over(self, message: Synchronise) -> None:
        """The tree is as the leader's; what is missing is logged before NEWLEADER is acknowledged."""
        if self.over or self.socket is None:
            return
        server = self.server
        server.synchronisations[message.method] = server.synchronisations.get(message.method, 0) + 1
        if message.snapshot is not None:
            server.tree.become(message.snapshot)
            server.log.start_from(server.tree.last_zxid)
            server.snapshot_written(self._snapshot_bytes(message))
        elif message.truncate_to >= 0:
            server.tree.roll_back(message.truncate_to)
            server.log.truncate(message.truncate_to)
            server.snapshot_written(server.tree_bytes())
        for transaction in message.committed:
            server.log.append(transaction)
            server.tree.apply(transaction, True)
        self._outstanding = message.outstanding
        self._new_epoch = message.epoch
        self._joins_at_zxid = server.tree.last_zxid
        if not message.committed:
            self._join_epoch()

    def _join_epoch(self) -> None:
        """NEWLEADER is acknowledged; then come the proposals that nobody has committed yet."""
        assert self.socket is not None
        self._joins_at_zxid = -1
        self.server.current_epoch = self._new_epoch
        self._shorten_limit()
        self.socket.send(AckNewLeader())
        for transaction in self._outstanding:
            self.pending.append(transaction)
            self.server.log.append(transaction)
        self._outstanding = []
        early = self._early or []
        self._early = None
        for packet in early:
            self._broadcast(packet)

    # Serving

    def touched(self, session_id: int) -> bool:
        """Noted until the leader's next ping."""
        self.touches.touch(session_id, self.server.scheduler.now)
        return True

    def write(self, request: Request) -> None:
        """Taking it in and, later, answering it is this server's work; the rest is the leader's."""
        self.server.compute(self.server.parameters.client_write_s, self._forward, request)

    def _forward(self, request: Request) -> None:
        if self.socket is not None and not self.over:
            self.socket.send(Forward(request))

    def revalidate(self, attachment: Attachment, session_id: int) -> None:
        """Ask the leader whether the session lives."""
        if self.socket is not None:
            self.socket.send(Revalidate(attachment, session_id))

    def flushed(self, transactions: list[Transaction]) -> None:
        """On this server's disk."""
        if not transactions or self.over:
            return
        if self._joins_at_zxid >= 0:
            if self.server.log.last_zxid >= self._joins_at_zxid:
                self._join_epoch()
        else:
            self._acknowledge(transactions)

    def _acknowledge(self, transactions: list[Transaction]) -> None:
        if self.socket is not None:
            self.socket.send(Ack(transactions[-1].zxid, len(transactions)))

    def session_changed(self, change: Change) -> None:
        """A new session starts in every follower's touch table."""
        if change.kind == OPEN_SESSION:
            self.touches.touch(change.owner, self.server.scheduler.now)
        elif change.kind == CLOSE_SESSION:
            self.touches.forget(change.owner)

    def _broadcast(self, message: Any) -> None:
        if isinstance(message, Proposal):
            self.pending.append(message.transaction)
            self.server.compute(self.server.parameters.follower_write_s, self.server.log.append, message.transaction)
            return
        pending = self.pending
        while pending and pending[0].zxid <= message.zxid:
            self.server.commit(pending.popleft())
