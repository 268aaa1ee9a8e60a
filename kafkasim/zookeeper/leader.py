"""A leader: gathers a quorum, brings learners up to date, serves as long as a quorum is heard (Leader).

Phases: DISCOVERY (a new epoch, agreed by a quorum), SYNCHRONIZATION (a quorum has what the
leader has), BROADCAST, whose work is in ``broadcast.py``.  A standalone server is a leader
without learners.  Observers are learners that nobody waits for.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from kafkasim.zookeeper.broadcast import Broadcast
from kafkasim.zookeeper.learner_handler import LearnerHandler
from kafkasim.zookeeper.packets import LeaderPing
from kafkasim.zookeeper.sockets import Listener, Socket, SocketOwner
from kafkasim.zookeeper.synchronising import synchronise
from kafkasim.zookeeper.transactions import first_zxid

if TYPE_CHECKING:
    from kafkasim.zookeeper.server import Server


class Leader(Broadcast, Listener):
    """One term of ``server`` as leader; ``learners`` by server id, in the order in which they came."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.learners: dict[int, LearnerHandler] = {}
        self.epoch: int = 0
        self.tick: int = 0
        self._connections: list[LearnerHandler] = []
        self._open = False
        self._accepts = False
        self._came: dict[int, None] = {}
        self._agreed: dict[int, None] = {}
        self._phase = 0
        self._began_at = 0.0
        self._half_ticks = 0

    # The beginning of a term

    def begin(self) -> None:
        """Open the quorum port and wait for a quorum of followers (a standalone server serves at once)."""
        server = self.server
        if server.standalone:
            self.epoch = server.current_epoch + 1
            self._lead()
            return
        server.life.plan(server.scheduler.now + server.draw_opening_s(), self._listen, None)
        self._limit_phase()

    def settle(self, epoch: int, zxid: int, began_at: float) -> None:
        """Serve since long: the half ticks fall on ``began_at`` (s, before the start) plus multiples."""
        self.epoch = epoch
        self._zxid = zxid
        self._phase = 3
        self._open = self._accepts = True
        self._sort_learners()
        self.serve()
        self._began_at = began_at
        self._half_ticks = int(-began_at / (self.server.parameters.tick_s / 2.0))
        self._plan_half_tick()

    def settled_to(self, zxid: int) -> None:
        """The settled tree has got one more transaction."""
        self._zxid = zxid

    def relay_time(self, touched_at: float, latency_s: float) -> float:
        """When the leader hears (s) of a touch that a follower, ``latency_s`` away, saw before the start."""
        half_s = self.server.parameters.tick_s / 2.0
        pings = ceil((touched_at - latency_s - self._began_at) / half_s)
        return self._began_at + pings * half_s + 2.0 * latency_s

    def listens(self) -> bool:
        """The quorum port opens a little after the election."""
        return self._open and not self.over

    def accept(self, socket: Socket) -> SocketOwner:
        """A learner has connected."""
        handler = LearnerHandler(self, socket)
        self._connections.append(handler)
        return handler

    def _listen(self, _: None) -> None:
        """The port is open; learners are heard once the term's snapshot is written."""
        if self.over:
            return
        self._open = True
        size_bytes = self.server.tree_bytes()
        self.server.snapshots.write(size_bytes, False, self._accept_learners, size_bytes)

    def _accept_learners(self, size_bytes: int) -> None:
        if self.over:
            return
        self.server.snapshot_written(size_bytes)
        self._accepts = True
        if self.server.quorum == 1:
            self.epoch = self.server.current_epoch + 1
            self._lead()
        for handler in list(self._connections):
            if handler.server_id:
                self.learner_came(handler)

    def _sort_learners(self) -> None:
        """Who gets proposals, and who is informed: it decides the cost of a write."""
        voters = self.server.ensemble.size
        forwarding = [learner for learner in self.learners.values() if learner.forwarding]
        self._followers = [learner for learner in forwarding if learner.server_id <= voters]
        self._observers = [learner for learner in forwarding if learner.server_id > voters]
        self._write_cost_s = self.server.parameters.write_cost_s(len(forwarding))

    def _limit_phase(self) -> None:
        """A quorum must be there within initLimit ticks, in each phase."""
        server = self.server
        limit_s = server.parameters.init_limit * server.parameters.tick_s
        server.life.plan(server.scheduler.now + limit_s, self._give_up, self._phase)

    def _give_up(self, phase: int) -> None:
        if not self.over and phase == self._phase:
            self._resign()

    def learner_came(self, handler: LearnerHandler) -> None:
        """FOLLOWERINFO: with a quorum of them, oneself included, a new epoch is proposed.

        Who came counts, even if it has died since.
        """
        if not self._accepts:
            return  # heard once the snapshot is written
        server = self.server
        number = handler.server_id
        former = self.learners.get(number)
        if former is not None and former is not handler:
            self._drop(former)
        self.learners[number] = handler
        if self._phase > 0:
            handler.propose_epoch(self.epoch)
            return
        self.epoch = max(self.epoch, handler.accepted_epoch + 1, server.accepted_epoch + 1)
        if number <= server.ensemble.size:
            self._came[number] = None
        if len(self._came) + 1 < server.quorum:
            return
        server.accepted_epoch = self.epoch
        self._phase = 1
        self._limit_phase()
        for learner in self.learners.values():
            learner.propose_epoch(self.epoch)

    def epoch_acknowledged(self, handler: LearnerHandler) -> None:
        """ACKEPOCH: with a quorum of them the learners are brought up to date."""
        server = self.server
        if self._phase > 1:
            self._bring_up(handler)
            return
        if handler.ahead_of(server):
            self._drop(handler)
            return
        if handler.server_id <= server.ensemble.size:
            self._agreed[handler.server_id] = None
        if len(self._agreed) + 1 < server.quorum:
            return
        server.current_epoch = self.epoch
        self._phase = 2
        self._limit_phase()
        for learner in list(self.learners.values()):
            if learner.epoch_acknowledged:
                self._bring_up(learner)

    def _bring_up(self, handler: LearnerHandler) -> None:
        """DIFF, TRUNC or SNAP; from here on the learner gets every proposal and commit."""
        server = self.server
        outstanding = list(self.outstanding) if handler.server_id <= server.ensemble.size else []
        packet, read_bytes = synchronise(server, self.epoch, handler.last_zxid, outstanding)
        handler.forwarding = True
        self._sort_learners()
        if read_bytes:
            handler.hold()
            server.snapshots.read(read_bytes, handler.bring_up, packet)
        else:
            handler.bring_up(packet)

    def learner_synchronised(self, handler: LearnerHandler) -> None:
        """The ack of NEWLEADER: with a quorum of them the leader serves."""
        if self._phase == 3:
            handler.serve()
            return
        voters = self.server.ensemble.size
        ready = [learner for learner in self.learners.values() if learner.synchronised and learner.server_id <= voters]
        if self._phase == 2 and len(ready) + 1 >= self.server.quorum:
            self._lead()

    def _lead(self) -> None:
        """The term begins: every session starts with its full timeout."""
        server = self.server
        now = server.scheduler.now
        self._phase = 3
        server.accepted_epoch = server.current_epoch = self.epoch
        self._zxid = first_zxid(self.epoch)
        server.term_began(server.id, self.epoch)
        server.tree_is_committed()
        for session_id, timeout_ms in server.tree.sessions.items():
            self.tracker.track(session_id, timeout_ms, now, server.id)
        self.serve()
        self._began_at = now
        self._plan_half_tick()
        server.ensemble.leads(server, self.epoch)
        for learner in self.learners.values():
            if learner.synchronised:
                learner.serve()

    # The end of a term

    def learner_lost(self, handler: LearnerHandler) -> None:
        """A learner's connection has broken."""
        if handler in self._connections:
            self._connections.remove(handler)
        if self.learners.get(handler.server_id) is handler:
            del self.learners[handler.server_id]
            self._sort_learners()

    def _drop(self, handler: LearnerHandler) -> None:
        """The leader closes a learner's connection."""
        handler.stop()
        self.learner_lost(handler)

    def end(self) -> None:
        """Learners see their connections close."""
        super().end()
        self.tracker.over = True
        self._open = False
        for connection in self._connections:
            connection.stop()
        self._connections.clear()
        self.learners.clear()
        self._followers.clear()
        self._observers.clear()

    def _resign(self) -> None:
        server = self.server
        if self.serving:
            server.ensemble.leader_lost(server, "resigns without a quorum", 0)
        server.leave_role()

    # Every half tick

    def _plan_half_tick(self) -> None:
        """The loop keeps its phase; after a freeze it goes on from where it wakes."""
        half_s = self.server.parameters.tick_s / 2.0
        now = self.server.scheduler.now
        self._half_ticks += 1
        at = self._began_at + self._half_ticks * half_s
        if at <= now:
            self._began_at = now - (self._half_ticks - 1) * half_s
            at = now + half_s
        self.server.life.plan(at, self._half_tick, None)

    def _half_tick(self, _: None) -> None:
        """Every second time the quorum is counted; every time all learners are pinged.

        A learner whose tracked proposal is not acknowledged for syncLimit ticks is closed.
        """
        if self.over:
            return
        server = self.server
        if self._half_ticks % 2 == 0:
            self.tick += 1
            voters = server.ensemble.size
            heard = sum(
                1 for learner in self.learners.values() if learner.server_id <= voters and learner.heard_in_time()
            )
            if heard + 1 < server.quorum:
                self._resign()
                return
        for learner in list(self.learners.values()):
            if not learner.forwarding:
                continue
            if learner.acknowledges_in_time(server.scheduler.now):
                learner.send(LeaderPing())
            else:
                self._drop(learner)
        if not server.standalone:
            self._plan_half_tick()
