"""What a log is told by the configs of its topic and, behind them, of its broker.

Stands for ``LogConfig``: a topic's own config, else the broker's synonyms of it, the first that is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kafkasim.scenario.catalogue import TOPIC_SYNONYMS

NEVER: Final = 2**63 - 1
"""``Long.MaxValue``: how Kafka writes never."""
OFFSET_ENTRY_BYTES: Final = 8
TIME_ENTRY_BYTES: Final = 12


class LogConfig:
    """The configs of one topic's logs on one broker, in bytes and ms; -1 and ``NEVER`` as Kafka means them."""

    def __init__(
        self,
        segment_bytes: int = 1 << 30,
        segment_ms: int = NEVER,
        segment_jitter_ms: int = 0,
        retention_bytes: int = -1,
        retention_ms: int = -1,
        index_bytes: int = 10485760,
        index_interval_bytes: int = 4096,
        flush_messages: int = NEVER,
        flush_ms: int = NEVER,
        delete_delay_ms: int = 60000,
        deletes: bool = True,
        compacts: bool = False,
        dirty_ratio: float = 0.5,
        min_compaction_lag_ms: int = 0,
        max_compaction_lag_ms: int = NEVER,
    ) -> None:
        self.segment_bytes: int = segment_bytes
        self.segment_ms: int = segment_ms
        self.segment_jitter_ms: int = segment_jitter_ms
        self.retention_bytes: int = retention_bytes
        self.retention_ms: int = retention_ms
        self.index_interval_bytes: int = index_interval_bytes
        self.index_entries: int = min(index_bytes // OFFSET_ENTRY_BYTES, index_bytes // TIME_ENTRY_BYTES)
        self.flush_messages: int = flush_messages
        self.flush_ms: int = flush_ms
        self.delete_delay_ms: int = delete_delay_ms
        self.deletes: bool = deletes
        self.compacts: bool = compacts
        self.dirty_ratio: float = dirty_ratio
        self.min_compaction_lag_ms: int = min_compaction_lag_ms
        self.max_compaction_lag_ms: int = max_compaction_lag_ms


def log_config(topic: Mapping[str, Any], broker: Mapping[str, Any]) -> LogConfig:
    """The configs of the logs of a topic with these configs of its own, on this broker."""

    def value(name: str) -> Any:
        own = topic.get(name)
        if own is not None:
            return own
        for synonym, factor in TOPIC_SYNONYMS[name]:
            behind = broker.get(synonym)
            if behind is not None:
                return behind * factor if factor != 1 else behind
        return None

    policies = value("cleanup.policy") or ["delete"]
    return LogConfig(
        segment_bytes=int(value("segment.bytes")),
        segment_ms=int(value("segment.ms")),
        segment_jitter_ms=int(value("segment.jitter.ms") or 0),
        retention_bytes=int(value("retention.bytes")),
        retention_ms=int(value("retention.ms")),
        index_bytes=int(value("segment.index.bytes")),
        index_interval_bytes=int(value("index.interval.bytes")),
        flush_messages=int(value("flush.messages")),
        flush_ms=int(value("flush.ms")),
        delete_delay_ms=int(value("file.delete.delay.ms")),
        deletes="delete" in policies,
        compacts="compact" in policies,
        dirty_ratio=float(value("min.cleanable.dirty.ratio")),
        min_compaction_lag_ms=int(value("min.compaction.lag.ms")),
        max_compaction_lag_ms=int(value("max.compaction.lag.ms") or NEVER),
    )
