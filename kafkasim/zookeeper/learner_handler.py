"""The leader's end of one learner's connection (LearnerHandler)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from kafkasim.hosts.life import Deadline, Life
from kafkasim.network import Message
from kafkasim.zookeeper.packets import (
    Ack,
    AckEpoch,
    AckNewLeader,
    FollowerInfo,
    Forward,
    LeaderInfo,
    PingReply,
    Proposal,
    Revalidate,
    Synchronise,
    UpToDate,
)
from kafkasim.zookeeper.sockets import CLOSED, Socket, SocketOwner

if TYPE_CHECKING:
    from kafkasim.zookeeper.leader import Leader
    from kafkasim.zookeeper.server import Server


class LearnerHandler(SocketOwner):
    """What the leader knows of a learner.

    Its silence is watched while the leader reads from it: not while one of the two waits for
    a quorum.  ``forwarding``: it gets every proposal and commit; ``synchronised``: it has acked
    NEWLEADER; ``acked_zxid``: what it has on its disk.
    """

    def __init__(self, leader: Leader, socket: Socket) -> None:
        self.leader = leader
        self.socket = socket
        self.server_id: int = 0
        self.accepted_epoch: int = 0
        self.current_epoch: int = 0
        self.last_zxid: int = 0
        self.epoch_acknowledged = False
        self.forwarding = False
        self.synchronised = False
        self.acked_zxid: int = -1
        self._held: deque[Message] | None = None
        self._tracked_zxid: int = 0
        self._tracked_at = 0.0
        self._newest_zxid: int = 0
        self._newest_at = 0.0
        self._tracks = False
        parameters = leader.server.parameters
        self._limit_s = parameters.init_limit * parameters.tick_s
        self._deadline_tick = leader.tick + parameters.init_limit + parameters.sync_limit
        self._silence = Deadline(leader.server.life, self._lost)
        self._heard()

    @property
    def life(self) -> Life:
        """The server's process."""
        return self.leader.server.life

    def settle(self, server_id: int) -> None:
        """In step since long."""
        self.server_id = server_id
        self.forwarding = True
        self.synchronised = True
        self._shorten_limit()
        self._tracks = True
        self.leader.learners[server_id] = self

    def heard_in_time(self) -> bool:
        """Whether the learner counts in the leader's check of its quorum."""
        return self.leader.tick <= self._deadline_tick

    def ahead_of(self, server: Server) -> bool:
        """Whether the learner has seen more than its leader, which then must not lead it."""
        return (self.current_epoch, self.last_zxid) > (server.current_epoch, server.log.last_zxid)

    def acknowledges_in_time(self, now: float) -> bool:
        """Whether the tracked proposal is younger than syncLimit ticks (or acknowledged)."""
        return self._tracked_zxid == 0 or now - self._tracked_at < self._limit_s

    def stop(self) -> None:
        """The term is over, or this learner's part in it."""
        self._silence.stop()
        self.socket.close()

    # Towards the learner

    def send(self, message: Message) -> None:
        """Queue a packet: behind what is read from the disk for the learner."""
        if self._held is None:
            self.socket.send(message)
        else:
            self._held.append(message)

    def hold(self) -> None:
        """What the learner misses is being read from the disk: all else waits behind it."""
        self._held = deque()

    def bring_up(self, packet: Synchronise) -> None:
        """What the learner misses, then NEWLEADER; the answer is waited for."""
        held, self._held = self._held, None
        self.socket.send(packet)
        if held is not None:
            for message in held:
                self.socket.send(message)
        if not self.leader.over and self.socket.state != CLOSED:
            self._heard()

    def propose_epoch(self, epoch: int) -> None:
        """LEADERINFO; the answer is waited for."""
        self.send(LeaderInfo(epoch))
        self._heard()

    def propose(self, proposal: Proposal, now: float) -> None:
        """One proposal at a time is tracked; on its ack the newest one sent is the next."""
        self.send(proposal)
        if self._tracks:
            self._newest_zxid = proposal.transaction.zxid
            self._newest_at = now
            if self._tracked_zxid == 0:
                self._tracked_zxid = self._newest_zxid
                self._tracked_at = now

    def serve(self) -> None:
        """UPTODATE: from here on syncLimit ticks are the limit."""
        self._shorten_limit()
        self._tracks = True
        self.send(UpToDate())

    # From the learner

    def socket_closed(self, socket: Socket) -> None:
        """The learner has died or left."""
        self._silence.stop()
        self.leader.learner_lost(self)

    def socket_message(self, socket: Socket, message: Any) -> None:
        """A packet of the learner."""
        leader = self.leader
        if leader.over or self.socket.state == CLOSED:
            return
        self._heard()
        if isinstance(message, Ack):
            self._acknowledged(message.zxid)
            leader.acknowledged()
        elif isinstance(message, Forward):
            leader.forwarded(message.request)
        elif isinstance(message, PingReply):
            leader.touches_reported(self.server_id, message.touches)
        elif isinstance(message, Revalidate):
            leader.revalidation_asked(self, message)
        elif isinstance(message, FollowerInfo):
            self._silence.stop()
            self.server_id = message.server_id
            self.accepted_epoch = message.accepted_epoch
            leader.learner_came(self)
        elif isinstance(message, AckEpoch):
            self._silence.stop()
            self.current_epoch = message.current_epoch
            self.last_zxid = message.last_zxid
            self.epoch_acknowledged = True
            leader.epoch_acknowledged(self)
        elif isinstance(message, AckNewLeader):
            self._silence.stop()
            self.synchronised = True
            leader.learner_synchronised(self)

    def _acknowledged(self, zxid: int) -> None:
        self.acked_zxid = zxid
        if zxid < self._tracked_zxid or self._tracked_zxid == 0:
            return
        if zxid < self._newest_zxid:
            self._tracked_zxid = self._newest_zxid
            self._tracked_at = self._newest_at
        else:
            self._tracked_zxid = 0

    def _heard(self) -> None:
        server = self.leader.server
        self._silence.move(server.scheduler.now + self._limit_s)
        if self.synchronised:
            self._deadline_tick = self.leader.tick + server.parameters.sync_limit

    def _shorten_limit(self) -> None:
        parameters = self.leader.server.parameters
        self._limit_s = parameters.sync_limit * parameters.tick_s
        self._heard()

    def _lost(self) -> None:
        """Nothing heard for too long: the leader closes the connection."""
        self.socket.close()
        self.leader.learner_lost(self)
