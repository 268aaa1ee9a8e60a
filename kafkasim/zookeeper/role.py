"""What leader and follower have in common: a term of a server, in which it may serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafkasim.zookeeper.packets import Request
from kafkasim.zookeeper.transactions import Change, Transaction

if TYPE_CHECKING:
    from kafkasim.zookeeper.client_port import Attachment
    from kafkasim.zookeeper.server import Server


class Role:
    """One term of ``server``; ``over`` once it has ended: what was planned for it does nothing then."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.over = False
        self.serving = False

    def begin(self) -> None:
        """The election has given this role."""
        raise NotImplementedError

    def serve(self) -> None:
        """Clients are answered from here on."""
        self.serving = True

    def end(self) -> None:
        """The term ends."""
        self.over = True
        self.serving = False

    def uncommitted(self) -> list[Transaction]:
        """What was proposed and not committed, in order."""
        raise NotImplementedError

    def touched(self, session_id: int) -> bool:
        """A request or ping of a session has come in; False drops it (the session is closing)."""
        raise NotImplementedError

    def write(self, request: Request) -> None:
        """A write of a client of this server."""
        raise NotImplementedError

    def revalidate(self, attachment: Attachment, session_id: int) -> None:
        """A client wants to attach its old session here."""
        raise NotImplementedError

    def flushed(self, transactions: list[Transaction]) -> None:
        """These are on this server's disk."""
        raise NotImplementedError

    def session_changed(self, change: Change) -> None:
        """The opening or closing of a session has been applied here."""
        raise NotImplementedError

    def applied(self, zxid: int) -> None:
        """The tree stands at ``zxid``."""
