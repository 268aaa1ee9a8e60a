"""Links that misbehave, and what TCP makes of it.

A link is one direction between two machines.  While it is cut nothing gets through; it may be slower than usual, or
lose packets.  TCP hides all of that behind time: what is not acknowledged is sent again, 200 ms later at first and then
after twice as long each time, and everything that was written meanwhile waits behind it (Linux: ``TCP_RTO_MIN``,
``TCP_RTO_MAX``, ``tcp_syn_retries``).  So a partition of 5 s costs a busy connection up to twice that, and a cut in one
direction stops the other one as well, as soon as the acknowledgements are missed.

Left out: the end of a connection after ``tcp_retries2`` (15 minutes); tail-loss probes; the congestion window after a
loss; a window that fills up because a stopped process does not read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kafkasim.kernel.streams import Stream

if TYPE_CHECKING:
    from kafkasim.network import Channel, Message

RETRANSMISSION_S: Final = 0.2
"""``TCP_RTO_MIN``: the first retransmission time-out on a link of short round trips."""
LONGEST_RETRANSMISSION_S: Final = 120.0
"""``TCP_RTO_MAX``."""
SYN_RETRANSMISSION_S: Final = 1.0
"""``TCP_TIMEOUT_INIT``: a connection request is repeated after 1, 2, 4 … s."""
SEGMENT_BYTES: Final = 1448
"""Payload of an Ethernet segment with time stamps."""
FAST_RETRANSMIT_SEGMENTS: Final = 3
"""A lost segment with so many behind it is repeated at once, a round trip later; else the time-out has to end."""


class Link:
    """One direction between two machines; ``back`` is the other one.

    ``disturbed`` says whether anything at all is, or has been, wrong with it: traffic looks at the rest only then.
    """

    def __init__(self) -> None:
        self.disturbed: bool = False
        self.cuts: int = 0
        self.extra_latency_s: float = 0.0
        self.latencies_s: list[float] = []
        self.jitters_s: list[float] = []
        self.losses: list[float] = []
        self.back: Link = self

    def loss(self) -> float:
        """A segment's chance to be lost, of all faults together."""
        kept = 1.0
        for probability in self.losses:
            kept *= 1.0 - probability
        return 1.0 - kept

    def extra_s(self, draws: Stream) -> float:
        """What a one-way trip takes on top of the usual, drawn."""
        extra_s = self.extra_latency_s
        for jitter_s in self.jitters_s:
            extra_s += draws.exponential(jitter_s)
        return extra_s


class Transmission:
    """The sending end of a channel over a disturbed link: what it has written and could not deliver.

    What waits are messages, or signals (a FIN) with the function that they call at the receiver.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._waiting: deque[tuple[Message | None, Callable[[Any], None] | None, Any]] = deque()
        self._timeout_s: float = RETRANSMISSION_S
        self._missed_since: float = -1.0
        self._armed: bool = False

    def send(self, message: Message, at: float) -> float:
        """Write a message at ``at`` (s); returns when its last bit has left the interface, if it leaves now."""
        channel = self._channel
        if self._stands(at):
            self._waiting.append((message, None, None))
            return at
        left = channel.leave(message, at)
        link = channel.link
        if link.cuts > 0:
            self._waiting.append((message, None, None))
            self._arm(left)
            return left
        if link.back.cuts > 0 and self._missed_since < 0.0:
            # It gets there; its acknowledgement does not come back.
            self._missed_since = left
            self._arm(left)
        channel.travel(message, left, self._delay_s(message.size_bytes))
        return left

    def signal(self, function: Callable[[Any], None], argument: Any) -> None:
        """A FIN, behind all that was written."""
        channel = self._channel
        if channel.source.off:
            return  # nobody is there to send it
        now = channel.scheduler.now
        if self._stands(now) or channel.link.cuts > 0:
            self._waiting.append((None, function, argument))
            self._arm(now)
            return
        channel.scheduler.call_at(channel.signal_at(now), function, argument)

    def _stands(self, at: float) -> bool:
        """Whether something older has to be acknowledged first."""
        if self._waiting:
            return True
        return self._missed_since >= 0.0 and at >= self._missed_since + RETRANSMISSION_S

    def _delay_s(self, size_bytes: int) -> float:
        """What the loss of segments costs a message that gets through in the end."""
        channel = self._channel
        link = channel.link
        delay_s = link.extra_s(channel.draws)
        loss = link.loss()
        if loss <= 0.0:
            return delay_s
        segments = (size_bytes + SEGMENT_BYTES - 1) // SEGMENT_BYTES
        draws = channel.draws
        if draws.uniform() >= 1.0 - (1.0 - loss) ** segments:
            return delay_s
        if draws.integer(segments) < segments - FAST_RETRANSMIT_SEGMENTS:
            return delay_s + 2.0 * (channel.latency_s + link.extra_latency_s)
        timeout_s = RETRANSMISSION_S
        delay_s += timeout_s
        while draws.uniform() < loss and timeout_s < LONGEST_RETRANSMISSION_S:
            timeout_s *= 2.0
            delay_s += timeout_s
        return delay_s

    # The retransmission timer

    def _arm(self, at: float) -> None:
        if not self._armed:
            self._armed = True
            self._timeout_s = RETRANSMISSION_S
            self._channel.scheduler.call_at(at + RETRANSMISSION_S, self._repeat, None)

    def _repeat(self, _: None) -> None:
        """The time-out has ended: send again, or double it."""
        channel = self._channel
        self._armed = False
        if channel.source.boots != channel.source_boots:
            self._waiting.clear()
            return
        link = channel.link
        if link.cuts > 0 or link.back.cuts > 0:
            self._timeout_s = min(self._timeout_s * 2.0, LONGEST_RETRANSMISSION_S)
            self._armed = True
            channel.scheduler.call_at(channel.scheduler.now + self._timeout_s, self._repeat, None)
            return
        self._missed_since = -1.0
        waiting, self._waiting = self._waiting, deque()
        if channel.target.boots != channel.target_boots:
            # The machine has booted meanwhile and knows nothing of the connection: it answers with a reset.
            channel.refuse(2.0 * channel.latency_s)
            return
        for message, function, argument in waiting:
            if message is not None:
                channel.send(message, channel.scheduler.now)
            elif function is not None:
                channel.signal(function, argument)
