"""What a scenario may ask for and the model does not have yet: refused by the mechanism's name, never ignored."""

from __future__ import annotations

from kafkasim.scenario.config_values import ConfigValue
from kafkasim.scenario.versions import Version

NAMES: dict[str, dict[str, str]] = {
    "Event": {
        "slow_disk": "slow disks", "slow_cpu": "slow processors", "disk_failure": "failure of a log directory",
        "add_brokers": "adding brokers in a run", "restart": "restart by order",
        "set_config": "changing configs in a run",
        "leave": "members that leave",
    },
    "Producer": {
        "closed_loop": "closed-loop load", "concurrency": "closed-loop load", "trace": "load from a trace",
        "day_curve": "day curves", "curve": "day curves", "burst": "bursts", "bursts": "bursts",
        "transactions": "transactions", "transaction_size": "transactions", "compression": "compression",
    },
    "Brokers": {"quotas": "quotas"},
    "Host": {"disks": "several disks a host", "page_cache": "page-cache sizes"},
    "Cluster": {"kraft": "KRaft", "controllers": "KRaft"},
    "ScenarioFile": {
        "streams": "Kafka Streams", "quotas": "quotas", "connect": "Kafka Connect", "mirrors": "several data centres",
        "clusters": "several data centres",
    },
}  # fmt: skip
"""Names that a mapping of the file does not know yet, by the schema's model, and the mechanism behind each."""

VALUES: dict[tuple[str, str], str] = {("start", "cold"): "a cold start"}

MAX_LONG = 2**63 - 1
_RETENTION_MS = {
    "retention.ms": 1, "log.retention.ms": 1, "log.retention.minutes": 60_000, "log.retention.hours": 3_600_000,
}  # fmt: skip
_ROLL_MS = {"segment.ms": 1, "log.roll.ms": 1, "log.roll.hours": 3_600_000}
_FLUSH = {
    "flush.messages", "flush.ms", "log.flush.interval.messages", "log.flush.interval.ms",
    "log.flush.scheduler.interval.ms",
}  # fmt: skip
_SECURITY = {"security.protocol", "security.inter.broker.protocol"}
_SWITCHES = {
    "remote.storage.enable": "tiered storage",
    "remote.log.storage.system.enable": "tiered storage",
    "zookeeper.ssl.client.enable": "TLS",
    "zookeeper.metadata.migration.enable": "migration to KRaft",
    "eligible.leader.replicas.enable": "eligible leader replicas",
    "group.coordinator.new.enable": "the newer group coordinator",
    "group.share.enable": "share groups",
    "localSessionsEnabled": "local sessions",
    "sslQuorum": "TLS",
}
_PRESENT = {
    "transactional.id": "transactions",
    "group.instance.id": "static membership",
    "replica.selector.class": "fetching from followers",
    "process.roles": "KRaft",
}
_DEFAULT_PARTITIONER = "DefaultPartitioner"


def mechanism(side: str, name: str, value: ConfigValue, version: Version, duration_s: float) -> str | None:
    """The mechanism that this value needs and the model lacks; None if the value can be honoured or has no effect."""
    if value is None:
        return None
    if name in _SWITCHES and value is True:
        return _SWITCHES[name]
    if name in _PRESENT and value not in ("", []):
        return _PRESENT[name]
    if name in _SECURITY and str(value).upper() != "PLAINTEXT":
        return f"{value} (security)"
    if name == "compression.type" and value not in ("none", "producer", "uncompressed"):
        return f"compression ({value})"
    if name in ("cleanup.policy", "log.cleanup.policy") and isinstance(value, list) and "compact" in value:
        return "compaction (cleanup.policy=compact)"
    if isinstance(value, int) and not isinstance(value, bool):
        return _numeric(name, value, duration_s)
    if name == "isolation.level" and value == "read_committed":
        return "transactions (isolation.level=read_committed)"
    if name == "group.protocol" and str(value).lower() == "consumer":
        return "the consumer group protocol of KIP-848"
    if name == "partition.assignment.strategy" and isinstance(value, list) and value and value[0] != "range":
        return f"the {value[0]} assignor"
    if name == "partitioner.class" and not str(value).endswith(_DEFAULT_PARTITIONER) and value != "":
        return f"the partitioner {str(value).rpartition('.')[2]}"
    if name in ("message.timestamp.type", "log.message.timestamp.type") and value == "LogAppendTime":
        return "LogAppendTime"
    if name in ("inter.broker.protocol.version", "log.message.format.version", "message.format.version"):
        try:
            asked = Version.parse(str(value).partition("-")[0])
        except ValueError:
            return f"{name} {value}"
        if asked.line != version.line and (name == "inter.broker.protocol.version" or asked < Version(0, 11)):
            return f"{name} {value} beside Kafka {version.line}"
    if name in ("forceSync", "leaderServes") and str(value).lower() in ("no", "false"):
        return f"{name}={value}"
    return None


def _numeric(name: str, value: int, duration_s: float) -> str | None:
    if name in _RETENTION_MS and 0 <= value * _RETENTION_MS[name] < duration_s * 1000:
        return "retention by time"
    if name in ("retention.bytes", "log.retention.bytes") and value != -1:
        return "retention by size"
    if name in _ROLL_MS and value * _ROLL_MS[name] < duration_s * 1000:
        return "rolling segments by time"
    if name in _FLUSH and value != MAX_LONG:
        return "flushing the log by count or time"
    if name.startswith("quota.") and name.endswith(".default") and value != MAX_LONG:
        return "quotas"
    if name == "flushDelay" and value > 0:
        return "flushDelay"
    return None
