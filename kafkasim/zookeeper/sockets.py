"""TCP between the processes of an ensemble and its clients.

Two ends, a channel each way: connecting takes a round trip or is refused, messages keep
their order, and closing (or dying) reaches the other end behind all that was sent before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.network import Channel, Message, Network

CONNECTING: Final = 0
OPEN: Final = 1
CLOSED: Final = 2


class SocketOwner:
    """Who holds one end; each call happens at the simulated moment of the event, or when its process goes on."""

    @property
    def life(self) -> Life | None:
        """The life of the process that holds the end (None: it is never stopped)."""
        return None

    def socket_opened(self, socket: Socket) -> None:
        """The connection that was dialled is there."""
        raise NotImplementedError

    def socket_refused(self, socket: Socket) -> None:
        """Nobody listens there."""
        raise NotImplementedError

    def socket_message(self, socket: Socket, message: Any) -> None:
        """A message has arrived."""
        raise NotImplementedError

    def socket_closed(self, socket: Socket) -> None:
        """The other end has closed or died."""
        raise NotImplementedError


class Listener:
    """A port."""

    def listens(self) -> bool:
        """Whether a connection would be accepted now."""
        raise NotImplementedError

    def accept(self, socket: Socket) -> SocketOwner:
        """A connection has come in; returns who holds this end."""
        raise NotImplementedError


class Socket:
    """One end of a connection; ``peer`` is the other one."""

    def __init__(self, network: Network, name: str, host: Host, other_host: Host) -> None:
        self.host = host
        self.state: int = CONNECTING
        self.owner: SocketOwner = SocketOwner()
        self.peer: Socket = self
        self.scheduler = network.scheduler
        self.out: Channel = network.channel(host, other_host, name, self._arrive)

    def send(self, message: Message) -> None:
        """Write a message now; an end that is not open writes nothing."""
        if self.state == OPEN:
            self.out.send(message, self.scheduler.now)

    def close(self) -> None:
        """Close this end; the other one hears of it behind all that was sent."""
        if self.state != CLOSED:
            self.state = CLOSED
            self.out.signal(self.peer._fin, None)

    def _arrive(self, message: Any) -> None:
        peer = self.peer
        if peer.state == OPEN and not peer._held(self._arrive, message):
            peer.owner.socket_message(peer, message)

    def _held(self, function: Callable[[Any], None], argument: Any) -> bool:
        """Whether the process at this end is stopped: what has come waits in the socket."""
        life = self.owner.life
        return life is not None and life.holds(function, argument)

    def _fin(self, _: None) -> None:
        if self.state == CONNECTING:
            self.state = CLOSED  # the dialler has given up before its SYN came through
        elif self.state != CLOSED and not self._held(self._fin, None):
            self.state = CLOSED
            self.owner.socket_closed(self)

    def _syn(self, listener: Listener) -> None:
        """At the listener's machine; ``self`` is its end."""
        pause_s = self.out.try_again_s(0.0)
        if pause_s > 0.0:
            self.scheduler.call_at(self.scheduler.now + pause_s, self.peer._dial, (listener, pause_s))
            return
        back = self.out.signal_at(self.scheduler.now)
        if listener.listens():
            self.state = OPEN
            self.scheduler.call_at(back, self.peer._opened, None)
            self.owner = listener.accept(self)
        else:
            self.state = CLOSED
            self.scheduler.call_at(back, self.peer._refused, None)

    def _dial(self, planned: tuple[Listener, float]) -> None:
        """At the dialler's end: a SYN that does not get through is repeated after 1, 2, 4 … s."""
        listener, pause_s = planned
        if self.state != CONNECTING:
            return
        now = self.scheduler.now
        pause_s = self.out.try_again_s(pause_s)
        if pause_s > 0.0:
            self.scheduler.call_at(now + pause_s, self._dial, (listener, pause_s))
        else:
            self.scheduler.call_at(self.out.signal_at(now), self.peer._syn, listener)

    def _opened(self, _: None) -> None:
        if self.state == CONNECTING and not self._held(self._opened, None):
            self.state = OPEN
            self.owner.socket_opened(self)

    def _refused(self, _: None) -> None:
        if self.state == CONNECTING and not self._held(self._refused, None):
            self.state = CLOSED
            self.owner.socket_refused(self)


def _pair(network: Network, name: str, host: Host, listener_host: Host) -> tuple[Socket, Socket]:
    near = Socket(network, f"{name}/up", host, listener_host)
    far = Socket(network, f"{name}/down", listener_host, host)
    near.peer = far
    far.peer = near
    near.out.refused = near._fin
    far.out.refused = far._fin
    return near, far


def dial(
    network: Network, name: str, owner: SocketOwner, host: Host, listener: Listener, listener_host: Host
) -> Socket:
    """Connect from ``host``; the owner hears of the opening or the refusal one round trip later."""
    near = _pair(network, name, host, listener_host)[0]
    near.owner = owner
    near._dial((listener, 0.0))
    return near


def connected(
    network: Network, name: str, owner: SocketOwner, host: Host, listener: Listener, listener_host: Host
) -> Socket:
    """A connection that has been there for long (a settled start)."""
    near, far = _pair(network, name, host, listener_host)
    near.owner = owner
    near.state = OPEN
    far.state = OPEN
    far.owner = listener.accept(far)
    return near
