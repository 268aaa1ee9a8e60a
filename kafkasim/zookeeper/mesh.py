"""The election connections of one server: a full mesh (QuorumCnxManager).

A connection is always dialled in the end by the higher id; a dial from the lower one is
dropped and dialled back.  Only the newest message waits for a peer; a new connection
repeats the last one.  There is no heartbeat: a connection that has died unnoticed takes in
messages until one end learns of it, or until the peer dials anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafkasim.hosts.life import Deadline, Life
from kafkasim.zookeeper.packets import Hello, Notification, Vote
from kafkasim.zookeeper.sockets import Listener, Socket, SocketOwner, connected, dial

if TYPE_CHECKING:
    from kafkasim.zookeeper.server import Server


class _Line(SocketOwner):
    """What one server keeps for one peer."""

    def __init__(self, mesh: ElectionMesh, peer: int) -> None:
        self.mesh = mesh
        self.peer = peer
        self.socket: Socket | None = None
        self.dialled: Socket | None = None
        self.waiting: Notification | None = None
        self.last: Notification | None = None
        self._taken_in_at = 0.0
        self._dial_limit = Deadline(mesh.server.life, self._give_up)

    @property
    def life(self) -> Life:
        """The server's process."""
        return self.mesh.server.life

    def send(self, notification: Notification) -> None:
        """Send, or let it wait for a connection in the place of what waited before."""
        self.waiting = notification
        if self.socket is not None:
            self.flush()
        else:
            self.connect()

    def connect(self) -> None:
        """Dial, unless a dial is under way."""
        if self.socket is None and self.dialled is None:
            self.dialled = self.mesh.dial(self)
            server = self.mesh.server
            self._dial_limit.move(server.scheduler.now + server.parameters.election_connect_s)

    def dial_back(self) -> None:
        """The lower id has dialled: what there was is dropped, and dialled anew."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        self.connect()

    def _give_up(self) -> None:
        """Nobody has answered."""
        if self.dialled is not None:
            self.dialled.close()
            self.dialled = None

    def use(self, socket: Socket) -> None:
        """This is the connection from now on."""
        if self.socket is not None and self.socket is not socket:
            self.socket.close()
        self.socket = socket
        self.flush()

    def flush(self) -> None:
        """Send what waits, else repeat the last message."""
        message = self.waiting if self.waiting is not None else self.last
        self.waiting = None
        self.last = message
        if message is not None and self.socket is not None:
            self.socket.send(Notification(message.server_id, message.vote, message.state))

    def reset(self) -> None:
        """The process has died."""
        for socket in (self.socket, self.dialled):
            if socket is not None:
                socket.close()
        self.socket = self.dialled = None
        self.waiting = self.last = None
        self._dial_limit.stop()

    def socket_opened(self, socket: Socket) -> None:
        """The dial got through: the lower id will be dialled back."""
        if self.dialled is not socket:
            return
        self._dial_limit.stop()
        self.dialled = None
        socket.send(Hello(self.mesh.server.id))
        if self.mesh.server.id > self.peer:
            self.use(socket)

    def socket_refused(self, socket: Socket) -> None:
        """The peer's process is down."""
        if self.dialled is socket:
            self._dial_limit.stop()
            self.dialled = None

    def socket_message(self, socket: Socket, message: Any) -> None:
        """A notification: through two threads to the one that waits for it, in order."""
        server = self.mesh.server
        self._taken_in_at = max(self._taken_in_at, server.scheduler.now + server.draw_notification_s())
        server.life.plan(self._taken_in_at, server.notified, message)

    def socket_closed(self, socket: Socket) -> None:
        """The peer has died, or has dropped a dial of ours."""
        if self.socket is socket:
            self.socket = None
        if self.dialled is socket:
            self.dialled = None


class _Caller(SocketOwner):
    """A connection that came in and has not said who it is."""

    def __init__(self, mesh: ElectionMesh) -> None:
        self.mesh = mesh

    @property
    def life(self) -> Life:
        """The server's process."""
        return self.mesh.server.life

    def socket_message(self, socket: Socket, message: Any) -> None:
        """The dialler's id."""
        assert isinstance(message, Hello)
        self.mesh.callers.pop(socket, None)
        if not self.mesh.server.running:
            socket.close()
            return
        line = self.mesh.lines[message.server_id]
        if message.server_id < self.mesh.server.id:
            socket.close()
            line.dial_back()
            return
        socket.owner = line
        line.use(socket)

    def socket_closed(self, socket: Socket) -> None:
        """It did not stay."""
        self.mesh.callers.pop(socket, None)


class ElectionMesh(Listener):
    """Lines to all other servers; votes go to voters, an observer is only answered."""

    def __init__(self, server: Server, peers: list[int]) -> None:
        self.server = server
        self.callers: dict[Socket, None] = {}
        """Who has dialled and not said yet who it is."""
        self.lines: dict[int, _Line] = {peer: _Line(self, peer) for peer in peers}
        self._voters = [line for line in self.lines.values() if line.peer <= server.ensemble.size]

    def listens(self) -> bool:
        """The election port is open as long as the process runs."""
        return self.server.running

    def accept(self, socket: Socket) -> SocketOwner:
        """A peer has dialled."""
        self.callers[socket] = None
        return _Caller(self)

    def broadcast(self, vote: Vote, state: str) -> None:
        """Tell every peer."""
        for line in self._voters:
            line.send(Notification(self.server.id, vote, state))

    def send(self, peer: int, vote: Vote, state: str) -> None:
        """Tell one peer."""
        self.lines[peer].send(Notification(self.server.id, vote, state))

    def delivered(self) -> bool:
        """Whether some peer has no message waiting for it."""
        return any(line.waiting is None for line in self._voters)

    def connect_all(self) -> None:
        """Dial every peer that is not connected."""
        for line in self._voters:
            line.connect()

    def dial(self, line: _Line) -> Socket:
        """Dial the peer of ``line``."""
        server = self.server
        peer = server.ensemble.server(line.peer)
        name = f"zookeeper/election {server.id} to {line.peer}"
        return dial(server.network, name, line, server.host, peer.mesh, peer.host)

    def settle(self, peer: Server) -> None:
        """Be connected with a lower peer since long."""
        server = self.server
        line = self.lines[peer.id]
        name = f"zookeeper/election {server.id} to {peer.id}"
        line.socket = connected(server.network, name, line, server.host, peer.mesh, peer.host)
        far = line.socket.peer
        far.owner = peer.mesh.lines[server.id]
        peer.mesh.lines[server.id].socket = far

    def die(self) -> None:
        """The process has died: its connections are reset."""
        for socket in list(self.callers):
            socket.close()
        self.callers.clear()
        for line in self.lines.values():
            line.reset()
