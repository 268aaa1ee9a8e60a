"""What travels: between clients and servers, and between servers.

Sizes are those of the small packets of the protocol; what carries data adds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kafkasim.network import Message
from kafkasim.zookeeper.operations import HEADER_BYTES, Operation, Outcome, data_bytes

if TYPE_CHECKING:
    from kafkasim.zookeeper.client_port import Attachment
    from kafkasim.zookeeper.transactions import Transaction
    from kafkasim.zookeeper.tree import DataTree

SMALL_BYTES: Final = 50

READ: Final = 0
WRITE: Final = 1
PING: Final = 2
OPEN: Final = 3
CLOSE: Final = 4
SET_WATCHES: Final = 5


class ConnectRequest(Message):
    """A client's handshake: a new session (id 0) or an old one, and the newest zxid it has seen."""

    def __init__(self, session_id: int, timeout_ms: int, last_zxid: int) -> None:
        super().__init__(SMALL_BYTES)
        self.session_id = session_id
        self.timeout_ms = timeout_ms
        self.last_zxid = last_zxid


class ConnectResponse(Message):
    """The server's answer; timeout 0 says that the session has expired."""

    def __init__(self, session_id: int, timeout_ms: int) -> None:
        super().__init__(SMALL_BYTES)
        self.session_id = session_id
        self.timeout_ms = timeout_ms


class Request(Message):
    """A request of a session, from its client to its server and on to the leader.

    ``kind`` is READ, WRITE, PING, OPEN, CLOSE or SET_WATCHES; ``attachment`` is set by the
    server that took it in; ``watched`` lists (path, 'data' | 'exists' | 'children') of SET_WATCHES.
    """

    def __init__(self, kind: int, operation: Operation | None, cause: int = 0) -> None:
        super().__init__(SMALL_BYTES if operation is None else operation.size_bytes())
        self.kind = kind
        self.operation = operation
        self.cause = cause
        self.attachment: Attachment | None = None
        self.watched: list[tuple[str, str]] = []
        self.watched_zxid: int = 0


class Reply(Message):
    """The outcome of a request, with the zxid of the server that answered."""

    def __init__(self, request: Request, outcome: Outcome, zxid: int) -> None:
        super().__init__(
            HEADER_BYTES + data_bytes(outcome.data) + sum(len(child) + 4 for child in outcome.children)
            if outcome.data is not None or outcome.children
            else HEADER_BYTES
        )
        self.request = request
        self.outcome = outcome
        self.zxid = zxid


class WatchNotice(Message):
    """A watch has fired at the session's server."""

    def __init__(self, path: str, kind: str, cause: int) -> None:
        super().__init__(SMALL_BYTES + len(path))
        self.path = path
        self.kind = kind
        self.cause = cause


class Vote:
    """Whom a server wants (or has) as leader."""

    __slots__ = ("election_epoch", "leader", "peer_epoch", "zxid")

    def __init__(self, leader: int, zxid: int, peer_epoch: int, election_epoch: int) -> None:
        self.leader = leader
        self.zxid = zxid
        self.peer_epoch = peer_epoch
        self.election_epoch = election_epoch

    def rank(self) -> tuple[int, int, int]:
        """Bigger wins."""
        return self.peer_epoch, self.zxid, self.leader


class Notification(Message):
    """A server's vote and state (LOOKING, FOLLOWING, OBSERVING, LEADING) on the election mesh."""

    def __init__(self, server_id: int, vote: Vote, state: str) -> None:
        super().__init__(SMALL_BYTES)
        self.server_id = server_id
        self.vote = vote
        self.state = state


class Hello(Message):
    """First words on an election connection: who dials."""

    def __init__(self, server_id: int) -> None:
        super().__init__(SMALL_BYTES)
        self.server_id = server_id


class FollowerInfo(Message):
    """A learner's first words to the leader."""

    def __init__(self, server_id: int, accepted_epoch: int) -> None:
        super().__init__(SMALL_BYTES)
        self.server_id = server_id
        self.accepted_epoch = accepted_epoch


class LeaderInfo(Message):
    """The epoch that the leader proposes."""

    def __init__(self, epoch: int) -> None:
        super().__init__(SMALL_BYTES)
        self.epoch = epoch


class AckEpoch(Message):
    """The learner accepts it, and says what it has."""

    def __init__(self, current_epoch: int, last_zxid: int) -> None:
        super().__init__(SMALL_BYTES)
        self.current_epoch = current_epoch
        self.last_zxid = last_zxid


class Synchronise(Message):
    """DIFF, TRUNC or SNAP, then the proposals still outstanding, then NEWLEADER.

    ``truncate_to`` is -1 without TRUNC; ``snapshot`` the leader's tree for SNAP.
    """

    def __init__(self, epoch: int, method: str, committed: list[Transaction], outstanding: list[Transaction]) -> None:
        super().__init__(
            SMALL_BYTES
            + sum(transaction.size_bytes + SMALL_BYTES for transaction in committed)
            + sum(transaction.size_bytes for transaction in outstanding)
        )
        self.epoch = epoch
        self.method = method
        self.committed = committed
        self.outstanding = outstanding
        self.truncate_to: int = -1
        self.snapshot: DataTree | None = None

    def carry(self, snapshot: DataTree, snapshot_bytes: int) -> None:
        """SNAP: the leader's tree."""
        self.snapshot = snapshot
        self.size_bytes += snapshot_bytes


class AckNewLeader(Message):
    """The learner has what the leader sent."""

    def __init__(self) -> None:
        super().__init__(SMALL_BYTES)


class UpToDate(Message):
    """The learner may serve clients."""

    def __init__(self) -> None:
        super().__init__(SMALL_BYTES)


class Forward(Message):
    """A write (or the opening or closing of a session) from a learner's client."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.size_bytes)
        self.request = request


class Proposal(Message):
    """A transaction to log."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction.size_bytes)
        self.transaction = transaction


class Ack(Message):
    """Everything up to ``zxid`` is on the learner's disk: ``count`` packets of one flush."""

    def __init__(self, zxid: int, count: int) -> None:
        super().__init__(SMALL_BYTES * count)
        self.zxid = zxid


class Commit(Message):
    """Everything up to ``zxid`` is committed: ``count`` packets of one moment."""

    def __init__(self, zxid: int, count: int) -> None:
        super().__init__(SMALL_BYTES * count)
        self.zxid = zxid


class Inform(Message):
    """A committed transaction, for an observer."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction.size_bytes)
        self.transaction = transaction


class LeaderPing(Message):
    """Every half tick."""

    def __init__(self) -> None:
        super().__init__(SMALL_BYTES)


class PingReply(Message):
    """The learner's touch table: (session, when the learner was touched)."""

    def __init__(self, touches: list[tuple[int, float]]) -> None:
        super().__init__(SMALL_BYTES + 12 * len(touches))
        self.touches = touches


class Revalidate(Message):
    """A client wants to attach an old session to a learner: does it live?"""

    def __init__(self, attachment: Attachment, session_id: int) -> None:
        super().__init__(SMALL_BYTES)
        self.attachment = attachment
        self.session_id = session_id


class Revalidated(Message):
    """The leader's answer."""

    def __init__(self, attachment: Attachment, session_id: int, timeout_ms: int) -> None:
        super().__init__(SMALL_BYTES)
        self.attachment = attachment
        self.session_id = session_id
        self.timeout_ms = timeout_ms
