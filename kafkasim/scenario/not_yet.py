"""What a scenario may ask for and the model does not have yet: refused by the mechanism's name, never ignored."""

from __future__ import annotations

from kafkasim.scenario.config_values import ConfigValue
from kafkasim.scenario.versions import Version

NAMES: dict[str, dict[str, str]] = {
    "Event": {
        "slow_cpu": "slow processors",
        "add_brokers": "adding brokers in a run", "restart": "restart by order",
        "set_config": "changing configs in a run",
        "leave": "members that leave",
    },
    "Producer": {
        "closed_loop": "closed-loop load", "concurrency": "closed-loop load", "trace": "load from a trace",
        "day_curve": "day curves", "curve": "day curves", "burst": "bursts", "bursts": "bursts",
        "transactions": "transactions", "transaction_size": "transactions", "compression": "compression",
    },
    "Host": {"page_cache": "page-cache sizes"},
    "Cluster": {"kraft": "KRaft", "controllers": "KRaft"},
    "ScenarioFile": {
        "streams": "Kafka Streams", "connect": "Kafka Connect", "mirrors": "several data centres",
        "clusters": "several data centres",
    },
}  # fmt: skip
"""Names that a mapping of the file does not know yet, by the schema's model, and the mechanism behind each."""

VALUES: dict[tuple[str, str], str] = {("start", "cold"): "a cold start"}

MAX_LONG = 2**63 - 1
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
    "process.roles": "KRaft",
}
_DEFAULT_PARTITIONER = "DefaultPartitioner"


def mechanism(side: str, name: str, value: ConfigValue, version: Version) -> str | None:
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
    if isinstance(value, int) and not isinstance(value, bool):
        return _numeric(name, value)
    if name == "isolation.level" and value == "read_committed":
        return "transactions (isolation.level=read_committed)"
    if name == "group.protocol" and str(value).lower() == "consumer":
        return "the consumer group protocol of KIP-848"
    if name == "partition.assignment.strategy" and isinstance(value, list) and value and value[0] != "range":
        return f"the {value[0]} assignor"
    if name == "replica.selector.class" and str(value).rpartition(".")[2] not in ("", "RackAwareReplicaSelector"):
        return f"the replica selector {str(value).rpartition('.')[2]}"
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


def _numeric(name: str, value: int) -> str | None:
    if name == "flushDelay" and value > 0:
        return "flushDelay"
    return None
