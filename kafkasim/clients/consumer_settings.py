"""What a consumer is configured with, by Kafka's names, and which release's rules hold.

Stands for ``ConsumerConfig``; times in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafkasim.clients.fetcher import FetchSettings
from kafkasim.clients.settings import ClientSettings, release

MAX_IN_FLIGHT = 100
"""Requests in flight a connection of a consumer: as good as unlimited."""

_CLASSES = {
    "RangeAssignor": "range",
    "RoundRobinAssignor": "roundrobin",
    "StickyAssignor": "sticky",
    "CooperativeStickyAssignor": "cooperative-sticky",
}


class ConsumerCosts:
    """CPU of the application thread (s): a response, a record, a wake-up."""

    def __init__(
        self, consumer_request_s: float = 0.0, consumer_per_record_s: float = 0.0, client_wake_up_s: float = 0.0
    ) -> None:
        self.consumer_request_s: float = consumer_request_s
        self.consumer_per_record_s: float = consumer_per_record_s
        self.client_wake_up_s: float = client_wake_up_s


class ConsumerSettings:
    """The configs that the model of a consumer uses."""

    def __init__(self, config: Mapping[str, Any], version: Any, group: str | None) -> None:
        number = release(version)
        self.version = number
        default_id = f"consumer-{group}-1" if group is not None else "consumer-1"
        self.client_id = str(config.get("client.id") or default_id)
        self.client = ClientSettings(config, number, MAX_IN_FLIGHT, self.client_id)
        self.request_timeout_s: float = self.client.request_timeout_ms / 1000.0
        self.retry_backoff_ms: int = self.client.retry_backoff_ms
        self.session_timeout_ms = int(config.get("session.timeout.ms", 45000 if number >= (3, 0, 0) else 10000))
        self.heartbeat_interval_ms = int(config.get("heartbeat.interval.ms", 3000))
        self.max_poll_interval_ms = int(config.get("max.poll.interval.ms", 300000))
        self.max_poll_records = int(config.get("max.poll.records", 500))
        self.auto_commit = _boolean(config.get("enable.auto.commit", True)) and group is not None
        self.auto_commit_interval_ms = int(config.get("auto.commit.interval.ms", 5000))
        self.auto_offset_reset = str(config.get("auto.offset.reset", "latest"))
        self.fetch = FetchSettings(
            int(config.get("fetch.min.bytes", 1)),
            int(config.get("fetch.max.wait.ms", 500)) / 1000.0,
            int(config.get("fetch.max.bytes", 52428800)),
            int(config.get("max.partition.fetch.bytes", 1048576)),
            self.request_timeout_s,
            number >= (3, 1, 0),
            number >= (1, 1, 0),
            str(config.get("client.rack") or "") if number >= (2, 4, 0) else "",
            self.client.metadata_max_age_ms,
        )
        default: list[str] = ["range", "cooperative-sticky"] if number >= (3, 0, 0) else ["range"]
        self.strategies = _strategies(config.get("partition.assignment.strategy", default))
        self.keeps_member_id = number >= (3, 2, 0)
        self.blocks_in_prepare = number < (3, 2, 0)
        """The commit before a join is one blocking call, with pauses of its own between its attempts."""
        self.rack = str(config.get("client.rack") or "") if number >= (3, 5, 0) else ""
        self.tells_generation = number >= (3, 4, 0)


def _boolean(value: Any) -> bool:
    return value.strip().lower() == "true" if isinstance(value, str) else bool(value)


def _strategies(value: Any) -> tuple[str, ...]:
    """Short names of assignors from Kafka's list of classes (or of short names)."""
    names = value.split(",") if isinstance(value, str) else list(value)
    short = [str(name).strip().rsplit(".", 1)[-1] for name in names]
    return tuple(_CLASSES.get(name, name) for name in short)
