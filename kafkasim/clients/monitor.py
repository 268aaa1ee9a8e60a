"""What clients tell the collectors: one call a batch, never one a record."""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from kafkasim.protocol import RecordBatch, TopicPartition


@mypyc_attr(allow_interpreted_subclasses=True)
class ClientMonitor:
    """Told of everything that a client feels; the run's collectors derive from it.

    ``client`` numbers the producer instance or consumer member, as registered with the
    run's directory of clients.
    """

    def acknowledged(self, client: int, tp: TopicPartition, batch: RecordBatch, now: float) -> None:
        """The callbacks of all records of ``batch`` run now, without error."""
        raise NotImplementedError

    def failed(self, client: int, tp: TopicPartition, batch: RecordBatch, error: int, now: float) -> None:
        """The callbacks of all records of ``batch`` run now with an error."""
        raise NotImplementedError

    def told(self, client: int, error: int, now: float) -> None:
        """An answer told the client of an error: once a batch, a partition or a request of the group's protocol."""

    def finished(self, client: int, stream: int, created: int, in_flight: int) -> None:
        """The run has ended: what a producer's stream of the ledger intended, and what is still on its way."""
        raise NotImplementedError

    def delivered(self, client: int, tp: TopicPartition, batch: RecordBatch, low: int, high: int, now: float) -> None:
        """``poll()`` returns records ``low`` … ``high - 1`` of ``batch`` (0 … count) now."""
        raise NotImplementedError

    def assigned(self, client: int, partitions: list[TopicPartition], generation: int, now: float, cause: int) -> None:
        """A member has got (or chosen) its partitions."""
        raise NotImplementedError

    def positioned(self, client: int, tp: TopicPartition, offset: int, reset: bool, now: float) -> None:
        """A member's position was set: from a committed offset, or by its reset policy."""
        raise NotImplementedError

    def note(self, client: int, event: str, detail: str, cause: int, now: float) -> int:
        """A row of the timeline (``metadata_learned``, ``connections_reset``, …); returns its id."""
        raise NotImplementedError
