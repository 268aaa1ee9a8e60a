"""Which node is asked for metadata, and when a request for them is due.

Stands for ``NetworkClient.DefaultMetadataUpdater`` and ``leastLoadedNode``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kafkasim.clients.connections import Connections
from kafkasim.clients.metadata import Metadata
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.clients.node_connection import CHECKING, CONNECTING, bootstrap_ids
from kafkasim.clients.settings import UNLIMITED, ClientSettings
from kafkasim.connection import Directory
from kafkasim.hosts.host import Host
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.streams import Streams
from kafkasim.network import Network

NO_NODE: Final = -1
"""What :meth:`NetworkClient.least_loaded_node` returns when no node may be used now."""


class MetadataUpdater(Connections):
    """Connections together with the metadata that they serve; at most one metadata request is in flight."""

    def __init__(
        self, scheduler: Scheduler, network: Network, streams: Streams, name: str, host: Host, directory: Directory,
        bootstrap: list[int], settings: ClientSettings, wake: Callable[[], None], clock: Clock, monitor: ClientMonitor,
        client: int,
    ) -> None:  # fmt: skip
        super().__init__(scheduler, network, streams, name, host, directory, bootstrap, settings, wake, monitor, client)
        self._clock = clock
        self.metadata = Metadata(settings, streams.stream(f"{name}/metadata"), clock, bootstrap_ids(len(bootstrap)))
        self._metadata_max_age_ms: int = settings.metadata_max_age_ms
        self._metadata_soon_ms: int = 2 * settings.retry_backoff_max_ms
        self._metadata_in_progress: bool = False
        self._metadata_partial: bool = False
        self._metadata_version: int = 0

    def least_loaded_node(self, now: float) -> int:
        """The node with the fewest requests in flight that can take one; :data:`NO_NODE` if there is none.

        Nodes with a READY connection come first, then one that is being connected, then the
        one whose last attempt is the longest ago.
        """
        now_ms = self._clock.ms(now)
        nodes = self.metadata.nodes
        count = len(nodes)
        if count == 0:
            return NO_NODE
        start = self._draws.integer(count) if self.settings.random_order else 0
        fewest = UNLIMITED
        found = connecting = connectable = NO_NODE
        oldest_attempt_ms = UNLIMITED
        for step in range(count):
            state = self.node(nodes[(start + step) % count])
            if self._sendable(state, now_ms):
                in_flight = len(state.in_flight)
                if in_flight == 0:
                    return state.id
                if in_flight < fewest:
                    fewest = in_flight
                    found = state.id
            elif state.state == CONNECTING or state.state == CHECKING:
                connecting = state.id
            elif self._can_connect(state, now_ms) and (
                connectable == NO_NODE or state.last_attempt_ms < oldest_attempt_ms
            ):
                connectable = state.id
                oldest_attempt_ms = state.last_attempt_ms
        if found != NO_NODE:
            return found
        return connecting if connecting != NO_NODE else connectable

    def metadata_wait_ms(self, now_ms: int) -> int:
        """How long (ms) the metadata allow to sleep."""
        metadata = self.metadata
        if self._metadata_in_progress:
            return max(metadata.wait_ms(now_ms), self.settings.request_timeout_ms)
        if not metadata.need_full and not metadata.need_partial:
            # What Metadata.wait_ms answers nearly always, without the call: every pass asks.
            wait_ms = metadata.last_success_ms + self._metadata_max_age_ms - now_ms
            if wait_ms > self._metadata_soon_ms:
                return wait_ms
        return metadata.wait_ms(now_ms)

    def note_learned(self, partitions: list[str], cause: int) -> None:
        """A row of the timeline: leaders or epochs of ``partitions`` have changed for this client."""
        detail = ", ".join(partitions[:5]) + (f" and {len(partitions) - 5} more" if len(partitions) > 5 else "")
        self._monitor.note(self.client, "metadata_learned", detail, cause, self._scheduler.now)

    def _any_node_connecting(self) -> bool:
        for node in self.metadata.nodes:
            state = self._nodes.get(node)
            if state is not None and state.state == CONNECTING:
                return True
        return False

    def _update_due(self, now_ms: int) -> bool:
        if self._metadata_in_progress:
            return False
        metadata = self.metadata
        if (
            not metadata.need_full
            and not metadata.need_partial
            and metadata.last_success_ms + self._metadata_max_age_ms > now_ms
        ):
            return False
        return metadata.wait_ms(now_ms) == 0
