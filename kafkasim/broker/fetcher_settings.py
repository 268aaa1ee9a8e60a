"""Configs and CPU costs of a broker's replica fetchers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafkasim.broker.release import BrokerRelease


class FetcherSettings:
    """Configs and CPU costs of a broker's fetchers."""

    def __init__(self) -> None:
        self.max_wait_s: float = 0.5
        self.min_bytes: int = 1
        self.partition_max_bytes: int = 1048576
        self.response_max_bytes: int = 10485760
        self.backoff_s: float = 1.0
        self.receive_buffer_bytes: int = 0
        self.fetch_s: float = 0.0
        self.per_byte_s: float = 0.0
        self.per_session_partition_s: float = 0.0
        self.wake_up_s: float = 0.0
        self.syncs_rolls: bool = False
        self.syncs_cut_epochs: bool = False


def fetcher_settings(config: Mapping[str, Any], costs: Any, release: BrokerRelease) -> FetcherSettings:
    """The settings of a broker with these configs on a host with these costs."""
    settings = FetcherSettings()
    settings.max_wait_s = config["replica.fetch.wait.max.ms"] / 1000.0
    settings.min_bytes = int(config["replica.fetch.min.bytes"])
    settings.partition_max_bytes = int(config["replica.fetch.max.bytes"])
    settings.response_max_bytes = int(config["replica.fetch.response.max.bytes"])
    settings.receive_buffer_bytes = int(config["replica.socket.receive.buffer.bytes"])
    settings.backoff_s = config["replica.fetch.backoff.ms"] / 1000.0
    settings.fetch_s = float(costs.follower_fetch_s)
    settings.per_byte_s = float(costs.follower_per_byte_s)
    settings.per_session_partition_s = float(costs.follower_per_session_partition_s)
    settings.wake_up_s = float(costs.wake_up_s)
    settings.syncs_rolls = release.syncs_rolls
    settings.syncs_cut_epochs = release.syncs_cut_epochs
    return settings
