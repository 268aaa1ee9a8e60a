"""The clients of one server: handshakes, the order within a session, reads, replies.

NIOServerCnxn, CommitProcessor and FinalRequestProcessor.  Requests of one session are
answered in their order: what comes behind a write that is not committed yet waits for it,
pings too.  Writes go to the leader at once; a commit is applied behind the reads that the
server's processor holds already.  While more requests are in progress than the server's share
of ``globalOutstandingLimit``, it does not read on from a client that has one of them.

Left out: RequestThrottler (off by default).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from kafkasim.hosts.life import Life
from kafkasim.kernel.stations import Job
from kafkasim.zookeeper.operations import (
    CHANGED,
    CHILDREN,
    CREATED,
    DELETED,
    NONODE,
    SESSIONMOVED,
    Exists,
    GetChildren,
    GetData,
    Operation,
    Outcome,
)
from kafkasim.zookeeper.packets import (
    CLOSE,
    OPEN,
    PING,
    READ,
    SET_WATCHES,
    WRITE,
    ConnectRequest,
    ConnectResponse,
    Reply,
    Request,
    WatchNotice,
)
from kafkasim.zookeeper.sockets import Listener, Socket, SocketOwner
from kafkasim.zookeeper.transactions import Change, Transaction
from kafkasim.zookeeper.watches import Watches

if TYPE_CHECKING:
    from kafkasim.zookeeper.server import Server


class Attachment(SocketOwner):
    """One client connection; ``queue`` holds the first write that waits for its commit and all behind it."""

    def __init__(self, port: ClientPort, socket: Socket) -> None:
        self.port = port
        self.socket = socket
        self.server_id: int = port.server.id
        self.session_id: int = 0
        self.timeout_ms: int = 0
        self.term: int = port.term
        self.queue: deque[Request] = deque()
        self.outstanding: int = 0
        """Requests in progress, pings not counted."""
        self.unread: deque[Request] | None = None
        """What the socket holds while the server does not read it."""

    @property
    def life(self) -> Life:
        """The server's process."""
        return self.port.server.life

    def socket_message(self, socket: Socket, message: Any) -> None:
        """Something from the client."""
        if isinstance(message, Request):
            if self.unread is None:
                self.port.request(self, message)
            else:
                self.unread.append(message)
        else:
            self.port.handshake(self, message)

    def socket_closed(self, socket: Socket) -> None:
        """The client has closed or died: the session lives on."""
        self.port.forget(self)


class ClientPort(Listener):
    """The client port of ``server``."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.attachments: dict[int, Attachment] = {}
        self.watches = Watches()
        self.term: int = 0
        """Counts how often all clients were cut off."""
        self.in_progress: int = 0
        self._limit = server.parameters.outstanding_limit(server.ensemble.size, server.observes)
        self._anonymous: dict[Attachment, None] = {}

    def listens(self) -> bool:
        """A running server accepts; while it has no role it closes at the handshake."""
        return self.server.running

    def accept(self, socket: Socket) -> SocketOwner:
        """A client has connected."""
        attachment = Attachment(self, socket)
        self._anonymous[attachment] = None
        return attachment

    def attach_settled(self, attachment: Attachment, session_id: int, timeout_ms: int) -> None:
        """A session that has been here for long."""
        attachment.timeout_ms = timeout_ms
        self._attach(attachment, session_id)

    def forget(self, attachment: Attachment) -> None:
        """A connection is gone, and the watches kept for it."""
        self._anonymous.pop(attachment, None)
        attachment.unread = None
        if self.attachments.get(attachment.session_id) is attachment:
            del self.attachments[attachment.session_id]
            self.watches.forget(attachment.session_id)

    def close_all(self) -> None:
        """The server loses its role or dies: every client is cut off."""
        for attachment in [*self.attachments.values(), *self._anonymous]:
            attachment.socket.close()
        self.attachments.clear()
        self._anonymous.clear()
        self.watches.clear()
        self.in_progress = 0
        self.term += 1

    def close_session(self, session_id: int) -> None:
        """The session's end has been applied here."""
        attachment = self.attachments.get(session_id)
        if attachment is not None:
            attachment.socket.close()
            self.forget(attachment)

    # The handshake

    def handshake(self, attachment: Attachment, hello: ConnectRequest) -> None:
        """A new session is a write; an old one is revalidated by the leader."""
        server = self.server
        if not server.serving or hello.last_zxid > server.tree.last_zxid:
            attachment.socket.close()
            self.forget(attachment)
            return
        if hello.session_id:
            server.role.revalidate(attachment, hello.session_id)
            return
        attachment.timeout_ms = server.parameters.session_timeout_ms(hello.timeout_ms)
        self._attach(attachment, server.new_session_id())
        request = Request(OPEN, None)
        request.attachment = attachment
        attachment.queue.append(request)
        self.in_progress += 1
        server.role.write(request)

    def revalidated(self, attachment: Attachment, session_id: int, timeout_ms: int) -> None:
        """The leader has said whether the session lives (timeout 0: it does not)."""
        if attachment not in self._anonymous:
            return  # the client did not wait
        attachment.socket.send(ConnectResponse(session_id, timeout_ms))
        if timeout_ms:
            attachment.timeout_ms = timeout_ms
            self._attach(attachment, session_id)
        else:
            attachment.socket.close()
            self.forget(attachment)

    def _attach(self, attachment: Attachment, session_id: int) -> None:
        former = self.attachments.get(session_id)
        if former is not None:
            former.socket.close()
            self.forget(former)
        self._anonymous.pop(attachment, None)
        attachment.session_id = session_id
        self.attachments[session_id] = attachment

    # Requests

    def request(self, attachment: Attachment, request: Request) -> None:
        """A request of an attached session: it touches, then takes its place in the session's order."""
        server = self.server
        if not server.serving or attachment.session_id == 0 or not server.role.touched(attachment.session_id):
            return
        request.attachment = attachment
        self.in_progress += 1
        kind = request.kind
        if kind != PING:
            attachment.outstanding += 1
            if self.in_progress > self._limit:
                attachment.unread = deque()
        if kind in (WRITE, CLOSE):
            attachment.queue.append(request)
            server.role.write(request)
        elif attachment.queue:
            attachment.queue.append(request)
        else:
            self._read(request)

    def committed(self, transaction: Transaction) -> None:
        """A transaction has been applied here: answer its client, and let go what waited behind."""
        request = transaction.request
        if request is None or request.attachment is None:
            return
        attachment = request.attachment
        queue = attachment.queue
        if attachment.port is not self or attachment.term != self.term or not queue or queue[0] is not request:
            return
        queue.popleft()
        if transaction.outcome.error == SESSIONMOVED:
            # a matter of the connection: the server closes it, without an answer
            attachment.socket.close()
            self.forget(attachment)
        elif request.kind == OPEN:
            failed = transaction.outcome.error is not None
            attachment.socket.send(ConnectResponse(attachment.session_id, 0 if failed else attachment.timeout_ms))
        else:
            attachment.socket.send(Reply(request, transaction.outcome, transaction.zxid))
        self._answered(attachment, request)
        while queue and queue[0].kind in (READ, PING, SET_WATCHES):
            self._release(queue.popleft())

    def fire(self, change: Change, cause: int) -> None:
        """Watches on what ``change`` has changed, in commit order."""
        for session_id, path, kind in self.watches.fired_by(change):
            self.attachments[session_id].socket.send(WatchNotice(path, kind, cause))

    def _answered(self, attachment: Attachment, request: Request) -> None:
        """One request less in progress: a client that was not read may be read again."""
        self.in_progress -= 1
        if request.kind in (PING, OPEN):
            return
        attachment.outstanding -= 1
        unread = attachment.unread
        if unread is not None and (attachment.outstanding < 1 or self.in_progress < self._limit):
            attachment.unread = None
            while unread and attachment.unread is None:
                self.request(attachment, unread.popleft())
            if unread:
                attachment.unread = unread

    def _read(self, request: Request) -> None:
        if request.kind == READ and self.server.standalone:
            self.server.log.pass_through(request, self._compute)
        else:
            self._compute(request)

    def _release(self, request: Request) -> None:
        """A read that waited for a write of its session: answered before the next commit is applied.

        It has passed the processor's queue before: its processor time is charged, it does not queue again.
        """
        if request.kind == READ:
            self.server.compute(self.server.parameters.read_s, _nothing, None)
        self._answer(request)

    def _compute(self, request: Job) -> None:
        assert isinstance(request, Request)
        service_s = self.server.parameters.read_s if request.kind == READ else 0.0
        self.server.compute(service_s, self._answer, request)

    def _answer(self, request: Request) -> None:
        attachment = request.attachment
        assert attachment is not None
        if self.attachments.get(attachment.session_id) is not attachment:
            self.in_progress -= 1
            return
        zxid = self.server.tree.last_zxid
        if request.kind == PING:
            attachment.socket.send(Reply(request, _NOTHING, zxid))
        elif request.kind == SET_WATCHES:
            attachment.socket.send(Reply(request, _NOTHING, zxid))
            self._set_watches(attachment, request)
        else:
            assert request.operation is not None
            outcome = self._look_up(request.operation, attachment.session_id)
            attachment.socket.send(Reply(request, outcome, zxid))
        self._answered(attachment, request)

    def _look_up(self, operation: Operation, session_id: int) -> Outcome:
        node = self.server.tree.nodes.get(operation.path)
        path = operation.path
        if isinstance(operation, Exists):
            if operation.watch:
                self.watches.add_data(path, session_id)
        elif node is not None and isinstance(operation, (GetData, GetChildren)) and operation.watch:
            if isinstance(operation, GetData):
                self.watches.add_data(path, session_id)
            else:
                self.watches.add_children(path, session_id)
        if node is None:
            return Outcome(error=NONODE, path=path)
        outcome = Outcome(version=node.version, czxid=node.czxid, owner=node.owner, path=path)
        if isinstance(operation, GetData):
            outcome.data = node.data
        elif isinstance(operation, GetChildren) and node.children is not None:
            outcome.children = list(node.children)
        return outcome

    def _set_watches(self, attachment: Attachment, request: Request) -> None:
        """Register again after a reconnect; what happened meanwhile fires at once."""
        session_id = attachment.session_id
        since = request.watched_zxid
        for path, sort in request.watched:
            node = self.server.tree.nodes.get(path)
            fired = ""
            if sort == "exists":
                fired = CREATED if node is not None else ""
            elif node is None:
                fired = DELETED
            elif sort == "data":
                fired = CHANGED if node.mzxid > since else ""
            else:
                fired = CHILDREN if node.pzxid > since else ""
            if fired:
                cause = self.server.ensemble.last_row(path, fired)
                attachment.socket.send(WatchNotice(path, fired, cause))
            elif sort == "children":
                self.watches.add_children(path, session_id)
            else:
                self.watches.add_data(path, session_id)


def _nothing(_: None) -> None:
    """Processor time without an effect."""


_NOTHING = Outcome()
