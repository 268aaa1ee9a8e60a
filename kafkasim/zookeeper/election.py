"""One round of fast leader election at one LOOKING server (FastLeaderElection).

Votes are (epoch, zxid, id), bigger wins.  A quorum for the own vote starts the 200 ms of
quiet after which it is decided.  The notification timer (200 ms, doubling) runs from the
last message received.  A notification that reached this server before it was LOOKING is
lost for it: only the sender's timer repeats it.  An observer asks like a voter, without a
vote, until a quorum and their leader tell it who leads.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from kafkasim.hosts.life import Deadline
from kafkasim.zookeeper.packets import Notification, Vote

if TYPE_CHECKING:
    from kafkasim.zookeeper.server import Server

LOOKING: Final = "LOOKING"
FOLLOWING: Final = "FOLLOWING"
LEADING: Final = "LEADING"
OBSERVING: Final = "OBSERVING"


class Election:
    """From entering LOOKING until a leader is chosen; then ``server.elected(vote)`` is called."""

    def __init__(self, server: Server) -> None:
        self.over = False
        self._server = server
        self._timer = Deadline(server.life, self._silence)
        self._interval_s = server.parameters.min_notification_interval_s
        self._finalizing = False
        self._queue: deque[Notification] = deque()
        self._working = False
        self._received: dict[int, tuple[Vote, str]] = {}
        self._settled: dict[int, tuple[Vote, str]] = {}
        server.logical_clock += 1
        self.proposal = self._own_vote()

    def start(self) -> None:
        """Vote for oneself and say so."""
        self._restart_timer()
        self._broadcast()

    def receive(self, notification: Notification) -> None:
        """A notification that found this server LOOKING."""
        self._queue.append(notification)
        if self._working:
            return
        self._working = True
        while self._queue and not self.over:
            self._take(self._queue.popleft())
        self._working = False

    def _own_vote(self) -> Vote:
        server = self._server
        return Vote(server.id, server.log.last_zxid, server.current_epoch, server.logical_clock)

    def _propose(self, vote: Vote) -> None:
        self.proposal = Vote(vote.leader, vote.zxid, vote.peer_epoch, self._server.logical_clock)

    def _broadcast(self) -> None:
        server = self._server
        server.mesh.broadcast(self.proposal, LOOKING)
        if not server.observes:
            self.receive(Notification(server.id, self.proposal, LOOKING))

    def _restart_timer(self) -> None:
        wait_s = self._server.parameters.finalize_wait_s if self._finalizing else self._interval_s
        self._timer.move(self._server.scheduler.now + wait_s + self._server.draw_timer_lateness_s())

    def _silence(self) -> None:
        """Nothing has come for as long as this server was ready to wait."""
        if self.over:
            return
        if self._finalizing:
            self._decide(self.proposal)
            return
        parameters = self._server.parameters
        self._interval_s = min(2.0 * self._interval_s, parameters.max_notification_interval_s)
        self._restart_timer()
        if self._server.mesh.delivered():
            self._broadcast()
        else:
            self._server.mesh.connect_all()

    def _take(self, notification: Notification) -> None:
        vote = notification.vote
        if self._finalizing:
            if vote.rank() > self.proposal.rank():
                self._finalizing = False
            else:
                self._restart_timer()
                return
        if notification.state == LOOKING:
            if not self._server.observes:
                self._count(notification)
        elif notification.state != OBSERVING:
            self._learn(notification)
        if not self.over:
            self._restart_timer()

    def _count(self, notification: Notification) -> None:
        """A vote of another server that is LOOKING (or one's own)."""
        vote = notification.vote
        server = self._server
        if vote.election_epoch > server.logical_clock:
            server.logical_clock = vote.election_epoch
            self._received.clear()
            own = self._own_vote()
            self._propose(vote if vote.rank() > own.rank() else own)
            self._broadcast()
        elif vote.election_epoch < server.logical_clock:
            return
        elif vote.rank() > self.proposal.rank():
            self._propose(vote)
            self._broadcast()
        self._received[notification.server_id] = (vote, LOOKING)
        mine = self.proposal.rank()
        supporters = sum(1 for other, _ in self._received.values() if other.rank() == mine)
        if supporters >= server.quorum:
            self._finalizing = True

    def _learn(self, notification: Notification) -> None:
        """A server that has a leader (or had one) tells of it: believed when a quorum and the leader say so.

        In one's own round it may be oneself whom the others have chosen already.
        """
        vote = notification.vote
        server = self._server
        told = (vote, notification.state)
        if vote.election_epoch == server.logical_clock and not server.observes:
            self._received[notification.server_id] = told
            if self._agreed(self._received, vote) and self._leads(self._received, vote):
                self._decide(vote)
                return
        self._settled[notification.server_id] = told
        if self._agreed(self._settled, vote) and self._leads(self._settled, vote):
            server.logical_clock = vote.election_epoch
            self._decide(vote)

    def _agreed(self, told: dict[int, tuple[Vote, str]], vote: Vote) -> bool:
        agreed = 0
        for other, state in told.values():
            if state == LOOKING:
                agreed += other.rank() == vote.rank() and other.election_epoch == vote.election_epoch
            else:
                agreed += other.leader == vote.leader and other.peer_epoch == vote.peer_epoch
        return agreed >= self._server.quorum

    def _leads(self, told: dict[int, tuple[Vote, str]], vote: Vote) -> bool:
        """The leader itself says so; oneself leads only in the own round."""
        if vote.leader == self._server.id:
            return vote.election_epoch == self._server.logical_clock
        said = told.get(vote.leader)
        return said is not None and said[1] == LEADING

    def _decide(self, vote: Vote) -> None:
        self.over = True
        self._timer.stop()
        self._server.elected(vote)
