"""What a leader does for the ensemble while it serves: orders and commits writes, expires sessions.

PrepRequestProcessor, ProposalRequestProcessor and ToBeApplied of a leader: a write gets its
zxid, is proposed to the followers and logged here, and is committed, in order, when a quorum
has it on its disks.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from kafkasim.zookeeper.learner_handler import LearnerHandler
from kafkasim.zookeeper.operations import SESSIONEXPIRED, SESSIONMOVED, Outcome
from kafkasim.zookeeper.packets import CLOSE, OPEN, Commit, Inform, Proposal, Request, Revalidate, Revalidated
from kafkasim.zookeeper.prep import Preparation
from kafkasim.zookeeper.role import Role
from kafkasim.zookeeper.sessions import SessionTracker
from kafkasim.zookeeper.transactions import CLOSE_SESSION, COUNTER_END, Change, Transaction

if TYPE_CHECKING:
    from kafkasim.zookeeper.client_port import Attachment
    from kafkasim.zookeeper.server import Server


class Broadcast(Role):
    """Writes and sessions of one term; who its learners are is the leader's business."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        parameters = server.parameters
        self.proposals: int = 0
        self.outstanding: deque[Transaction] = deque()
        self.preparation = Preparation(server.tree)
        self.tracker = SessionTracker(
            server.life,
            server.clock,
            parameters.tick_ms,
            self._expire,
            server.ensemble.trace_sessions,
            server.ensemble.session_name,
        )
        self._followers: list[LearnerHandler] = []
        self._observers: list[LearnerHandler] = []
        self._write_cost_s = parameters.write_cost_s(0)
        self._zxid = 0

    def uncommitted(self) -> list[Transaction]:
        """What was proposed and not committed."""
        return list(self.outstanding)

    def _resign(self) -> None:
        """The term ends."""
        raise NotImplementedError

    # Writes

    def write(self, request: Request) -> None:
        """An own client's write: taking it in and answering it is this server's work too."""
        cost_s = self.server.parameters.client_write_s + self._write_cost_s
        self.server.compute(cost_s, self._prepare, request)

    def forwarded(self, request: Request) -> None:
        """A learner's client's write: to the one thread that prepares."""
        self.server.compute(self._write_cost_s, self._prepare, request)

    def _prepare(self, request: Request) -> None:
        if self.over:
            return
        attachment = request.attachment
        assert attachment is not None
        session_id = attachment.session_id
        tracker = self.tracker
        self._zxid += 1
        zxid = self._zxid
        outcome = Outcome()
        changes: list[Change] = []
        if request.kind == OPEN:
            tracker.track(session_id, attachment.timeout_ms, self.server.scheduler.now, attachment.server_id)
            tracker.moved(session_id, attachment.server_id)
            changes = self.preparation.open_session(session_id, attachment.timeout_ms)
        elif not tracker.timeout_ms(session_id):
            outcome = Outcome(error=SESSIONEXPIRED)
        elif not tracker.belongs(session_id, attachment.server_id):
            outcome = Outcome(error=SESSIONMOVED)
        elif request.kind == CLOSE:
            tracker.closing(session_id)
            changes = self.preparation.close_session(session_id, zxid)
        elif request.operation is not None:
            outcome, changes = self.preparation.write(request.operation, session_id, zxid)
        self._propose(Transaction(zxid, session_id, changes, outcome, request, request.cause))
        if zxid & COUNTER_END == COUNTER_END:
            self._resign()  # the counter has no number left: another epoch

    def _expire(self, session_id: int) -> None:
        """The tracker has given up a session: its end goes the way of all writes."""
        row = self.server.ensemble.session_expired(self.server, session_id)
        self.server.compute(self._write_cost_s, self._prepare_expiry, (session_id, row))

    def _prepare_expiry(self, expiry: tuple[int, int]) -> None:
        if self.over:
            return
        session_id, row = expiry
        self._zxid += 1
        changes = self.preparation.close_session(session_id, self._zxid)
        self._propose(Transaction(self._zxid, session_id, changes, Outcome(), None, row))

    def _propose(self, transaction: Transaction) -> None:
        self.proposals += 1
        self.outstanding.append(transaction)
        now = self.server.scheduler.now
        for learner in self._followers:
            learner.propose(Proposal(transaction), now)
        self.server.log.append(transaction)

    def flushed(self, transactions: list[Transaction]) -> None:
        """The leader's own acknowledgement."""
        if not self.over:
            self.acknowledged()

    def acknowledged(self) -> None:
        """Commit, in zxid order, all that a quorum has on its disks."""
        outstanding = self.outstanding
        own = self.server.log.last_zxid
        quorum = self.server.quorum
        committed: list[Transaction] = []
        while outstanding:
            zxid = outstanding[0].zxid
            acks = 1 if own >= zxid else 0
            for learner in self._followers:
                if learner.acked_zxid >= zxid:
                    acks += 1
            if acks < quorum:
                break
            committed.append(outstanding.popleft())
        if not committed:
            return
        for learner in self._followers:
            learner.send(Commit(committed[-1].zxid, len(committed)))
        for learner in self._observers:
            for transaction in committed:
                learner.send(Inform(transaction))
        for transaction in committed:
            self.server.commit(transaction)

    def applied(self, zxid: int) -> None:
        """The tree has caught up: change records are not needed any more."""
        self.preparation.applied(zxid)

    # Sessions

    def touched(self, session_id: int) -> bool:
        """An own client: at once; a closing session's requests are dropped."""
        now = self.server.scheduler.now
        return self.tracker.touch(session_id, now, now, self.server.id)

    def touches_reported(self, server_id: int, touches: list[tuple[int, float]]) -> None:
        """A follower's touch table: they count from now."""
        now = self.server.scheduler.now
        for session_id, touched_at in touches:
            self.tracker.touch(session_id, now, touched_at, server_id)

    def revalidate(self, attachment: Attachment, session_id: int) -> None:
        """An own client wants its old session."""
        self.server.port.revalidated(attachment, session_id, self._valid(session_id, self.server.id))

    def revalidation_asked(self, handler: LearnerHandler, packet: Revalidate) -> None:
        """A follower's client wants its old session."""
        timeout_ms = self._valid(packet.session_id, handler.server_id)
        handler.socket.send(Revalidated(packet.attachment, packet.session_id, timeout_ms))

    def session_changed(self, change: Change) -> None:
        """The end of a session has been applied."""
        if change.kind == CLOSE_SESSION:
            self.tracker.remove(change.owner)

    def _valid(self, session_id: int, server_id: int) -> int:
        now = self.server.scheduler.now
        if not self.tracker.touch(session_id, now, now, server_id):
            return 0
        self.tracker.moved(session_id, server_id)
        return self.tracker.timeout_ms(session_id)
