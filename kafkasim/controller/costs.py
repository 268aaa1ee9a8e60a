"""What the controller's event thread computes, in seconds of one core.

Everything else that an event takes is waiting: for ZooKeeper, for the network, for brokers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ControllerCosts:
    """CPU times of the event thread (assumed: of the order of JSON decoding and map updates on a JVM).

    ``event_s``: taking an event from the queue and updating the gauges after it.
    ``state_s``: decoding or encoding one partition state and choosing its leader.
    ``entry_s``: one partition in a LeaderAndIsr or UpdateMetadata request that is being built.
    """

    event_s: float = 20e-6
    state_s: float = 5e-6
    entry_s: float = 1e-6
