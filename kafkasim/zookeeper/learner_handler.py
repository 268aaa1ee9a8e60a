"""The leader's end of one learner's connection (LearnerHandler)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafkasim.hosts.life import Deadline, Life
from kafkasim.zookeeper.packets import Ack, AckEpoch, AckNewLeader, FollowerInfo, Forward, PingReply, Revalidate
from kafkasim.zookeeper.sockets import Socket, SocketOwner

if TYPE_CHECKING:
    from kafkasim.zookeeper.leader import Leader


class LearnerHandler(SocketOwner):
    """What the leader knows of a learner.

    ``forwarding``: it gets every proposal and commit; ``synchronised``: it has acked
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
        self.leader.learners[server_id] = self

    def heard_in_time(self) -> bool:
        """Whether the learner counts in the leader's check of its quorum."""
        return self.leader.tick <= self._deadline_tick

    def stop(self) -> None:
        """The term is over."""
        self._silence.stop()
        self.socket.close()

    def socket_closed(self, socket: Socket) -> None:
        """The learner has died or left."""
        self._silence.stop()
        self.leader.learner_lost(self)

    def socket_message(self, socket: Socket, message: Any) -> None:
        """A packet of the learner."""
        leader = self.leader
        if leader.over:
            return
        self._heard()
        if isinstance(message, Ack):
            self.acked_zxid = message.zxid
            leader.acknowledged()
        elif isinstance(message, Forward):
            leader.write(message.request)
        elif isinstance(message, PingReply):
            leader.touches_reported(self.server_id, message.touches)
        elif isinstance(message, Revalidate):
            leader.revalidation_asked(self, message)
        elif isinstance(message, FollowerInfo):
            self.server_id = message.server_id
            self.accepted_epoch = message.accepted_epoch
            leader.learner_came(self)
        elif isinstance(message, AckEpoch):
            self.current_epoch = message.current_epoch
            self.last_zxid = message.last_zxid
            self.epoch_acknowledged = True
            leader.epoch_acknowledged(self)
        elif isinstance(message, AckNewLeader):
            self.synchronised = True
            self._shorten_limit()
            leader.learner_synchronised(self)

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
