"""``nic_capped``: a machine's network card is slower for a while, each direction.

A bad cable, a duplex mismatch, a neighbour on the same virtual host.  Nothing fails: everything that the machine sends
and receives takes longer and waits longer.  What was handed to the card before a change keeps its pace.
"""

from __future__ import annotations

from kafkasim.cluster import Cluster
from kafkasim.faults.targets import Process, host_of


class CappedNic:
    """An interface that does at most ``bytes_per_s`` until the end of the fault (``for_s`` None: of the run)."""

    def __init__(self, cluster: Cluster, process: Process, bytes_per_s: float, for_s: float | None, cause: int) -> None:
        self.hit = self.actor = str(process)
        self._host = host_of(cluster, process)
        self._bytes_per_s = bytes_per_s
        self._over = False
        self._host.cap_nic(bytes_per_s)
        if for_s is not None:
            cluster.env.call_at(cluster.env.now + for_s, self._end)

    def undone(self) -> bool:
        """The card does what it did before."""
        return self._over

    def _end(self, _: None) -> None:
        self._host.uncap_nic(self._bytes_per_s)
        self._over = True
