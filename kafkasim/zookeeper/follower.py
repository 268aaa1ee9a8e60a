"""A follower: finds the leader, is brought up to date, logs, acknowledges, applies (Learner, Follower).

When the connection to the leader breaks, or nothing is heard for ``syncLimit`` ticks, the
server shuts its pipeline, cuts off all its clients and goes LOOKING.
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
        self._early: list[Proposal | Commit] | None = []
        self._tries = 0
        self._base_s = 0.0
        self._limit_s = server.parameters.init_limit * server.parameters.tick_s
        self._silence = Deadline(server.life, self._lost)

    @property
    def life(self) -> Life:
        """The server's process."""
        return self.server.life

    def begin(self) -> None:
        """Connect to the elected leader."""
        self._base_s = self.server.draw_synchronisation_s() / 2.0
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
        self._heard()

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
            server.life.plan(ready_at + self._transfer_s(message), self._take_over, message)
        elif isinstance(message, UpToDate):
            server.term_began(self.leader_id, server.current_epoch)
            server.tree_is_committed()
            self.serve()

    def _acknowledge_epoch(self, _: None) -> None:
        if not self.over and self.socket is not None:
            self.socket.send(AckEpoch(self.server.current_epoch, self.server.log.last_zxid))

    def _transfer_s(self, message: Synchronise) -> float:
        """TRUNC reads the tree again from the own disk; it and SNAP end with writing a snapshot."""
        server = self.server
        disk = server.host.disk
        if message.snapshot is not None:
            size_bytes = message.snapshot.size_bytes(server.parameters.snapshot_node_bytes)
            return size_bytes / disk.write_bytes_per_s
        if message.truncate_to >= 0:
            size_bytes = server.tree.size_bytes(server.parameters.snapshot_node_bytes)
            return size_bytes / disk.read_bytes_per_s + size_bytes / disk.write_bytes_per_s
        return 0.0

    def _take_over(self, message: Synchronise) -> None:
        if self.over or self.socket is None:
            return
        server = self.server
        server.synchronisations[message.method] = server.synchronisations.get(message.method, 0) + 1
        if message.snapshot is not None:
            server.tree.become(message.snapshot)
            server.log.last_zxid = server.tree.last_zxid
        elif message.truncate_to >= 0:
            server.tree.roll_back(message.truncate_to)
            server.log.truncate(message.truncate_to)
        for transaction in message.committed:
            server.log.append(transaction)
            server.tree.apply(transaction, True)
        for transaction in message.outstanding:
            self.pending.append(transaction)
            server.log.append(transaction)
        server.current_epoch = message.epoch
        self._shorten_limit()
        self.socket.send(AckNewLeader())
        early = self._early or []
        self._early = None
        for packet in early:
            self._broadcast(packet)

    # Serving

    def touched(self, session_id: int) -> None:
        """Noted until the leader's next ping."""
        self.touches.touch(session_id, self.server.scheduler.now)

    def write(self, request: Request) -> None:
        """Writes are the leader's business."""
        if self.socket is not None:
            self.socket.send(Forward(request))

    def revalidate(self, attachment: Attachment, session_id: int) -> None:
        """Ask the leader whether the session lives."""
        if self.socket is not None:
            self.socket.send(Revalidate(attachment, session_id))

    def flushed(self, transactions: list[Transaction]) -> None:
        """On this server's disk: acknowledge."""
        if transactions and self.socket is not None and not self.over:
            self.socket.send(Ack(transactions[-1].zxid, len(transactions)))

    def session_changed(self, change: Change) -> None:
        """A new session starts in every follower's touch table."""
        if change.kind == OPEN_SESSION:
            self.touches.touch(change.owner, self.server.scheduler.now)
        elif change.kind == CLOSE_SESSION:
            self.touches.forget(change.owner)

    def _broadcast(self, message: Proposal | Commit) -> None:
        if isinstance(message, Proposal):
            self.pending.append(message.transaction)
            self.server.log.append(message.transaction)
            return
        pending = self.pending
        while pending and pending[0].zxid <= message.zxid:
            self.server.commit(pending.popleft())
