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
        self.request_timeout_s: float = 30.0
        self.connect_timeout_s: float = 10.0
        self.receive_buffer_bytes: int = 0
        self.fetch_s: float = 0.0
        self.per_byte_s: float = 0.0
        self.per_session_partition_s: float = 0.0
        self.wake_up_s: float = 0.0
        self.syncs_rolls: bool = False
        self.syncs_cut_epochs: bool = False
        self.keeps_epochs: bool = True
        self.truncates_on_fetch: bool = True
        self.asks_epoch_again: bool = True
        self.fences: bool = True
        self.halts_ahead: bool = False
        self.fails_partitions: bool = True
        self.watches_storage: bool = False


def fetcher_settings(
    config: Mapping[str, Any], costs: Any, release: BrokerRelease, watches_storage: bool = False
) -> FetcherSettings:
    """The settings of a broker with these configs on a host with these costs."""
    settings = FetcherSettings()
    settings.max_wait_s = config["replica.fetch.wait.max.ms"] / 1000.0
    settings.min_bytes = int(config["replica.fetch.min.bytes"])
    settings.partition_max_bytes = int(config["replica.fetch.max.bytes"])
    settings.response_max_bytes = int(config["replica.fetch.response.max.bytes"])
    settings.receive_buffer_bytes = int(config["replica.socket.receive.buffer.bytes"])
    settings.backoff_s = config["replica.fetch.backoff.ms"] / 1000.0
    settings.request_timeout_s = config["request.timeout.ms"] / 1000.0
    timeout_ms = config["replica.socket.timeout.ms"]
    settings.connect_timeout_s = min(timeout_ms, config.get("socket.connection.setup.timeout.ms", timeout_ms)) / 1000.0
    settings.fetch_s = float(costs.follower_fetch_s)
    settings.per_byte_s = float(costs.follower_per_byte_s)
    settings.per_session_partition_s = float(costs.follower_per_session_partition_s)
    settings.wake_up_s = float(costs.wake_up_s)
    settings.syncs_rolls = release.syncs_rolls
    settings.watches_storage = watches_storage
    settings.syncs_cut_epochs = release.syncs_cut_epochs
    settings.keeps_epochs = release.keeps_epochs
    settings.truncates_on_fetch = release.truncates_on_fetch
    settings.asks_epoch_again = release.asks_epoch_again
    settings.fences = release.fences_fetchers
    settings.halts_ahead = release.halts_ahead
    settings.fails_partitions = release.fails_partitions
    return settings
