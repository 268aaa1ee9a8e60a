"""What work costs a host's CPU: named parameters, each with where its default comes from.

``measured``: derived from unit costs measured on a real Kafka 3.9.1 cluster (one machine with two cores, plain text,
page cache); ``assumed``: a plausible share of such a figure that was not measured by itself; ``published``: fitted to
figures that others published. A wake-up is charged only when work meets a thread that sleeps: that is why the cost of
a request falls as the rate rises.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

MEASURED, ASSUMED, PUBLISHED = "measured", "assumed", "published"


def _cost(default: float, source: str, doc: str) -> float:
    value: float = field(default=default, metadata={"source": source, "doc": doc})
    return value


@dataclass(frozen=True, slots=True)
class CostsSpec:
    """CPU costs in seconds, or seconds per byte, record or partition where the name says so."""

    wake_up_s: float = _cost(22e-6, MEASURED, "waking a broker thread that sleeps")
    network_read_s: float = _cost(15e-6, ASSUMED, "reading a request off its socket")
    network_write_s: float = _cost(15e-6, ASSUMED, "writing a response to its socket")
    produce_s: float = _cost(31e-6, MEASURED, "handling a produce request")
    produce_per_byte_s: float = _cost(1.6e-9, MEASURED, "handling a produce request, per byte of records")
    fetch_s: float = _cost(39e-6, MEASURED, "handling a fetch request")
    fetch_per_byte_s: float = _cost(0.97e-9, MEASURED, "answering a follower's fetch, per byte sent")
    fetch_per_session_partition_s: float = _cost(
        3e-6, MEASURED, "handling a follower's fetch, per partition of its session, idle or not"
    )
    consumer_fetch_per_byte_s: float = _cost(0.6e-9, MEASURED, "answering a consumer's fetch, per byte sent")
    completion_s: float = _cost(10e-6, ASSUMED, "completing a parked produce or fetch on the thread that releases it")
    control_request_s: float = _cost(50e-6, ASSUMED, "handling any other request")
    follower_fetch_s: float = _cost(58e-6, MEASURED, "a follower's own work per fetch")
    follower_per_byte_s: float = _cost(2.7e-9, MEASURED, "a follower's append, per byte")
    follower_per_session_partition_s: float = _cost(
        1e-6, MEASURED, "a follower's own work per fetch, per partition of its session"
    )
    producer_request_s: float = _cost(36e-6, MEASURED, "a producer's work per request")
    producer_per_byte_s: float = _cost(4.2e-9, MEASURED, "a producer's work per byte of records")
    producer_per_record_s: float = _cost(0.43e-6, MEASURED, "a producer's work per record")
    client_wake_up_s: float = _cost(17.5e-6, MEASURED, "waking a client thread that sleeps")
    consumer_per_record_s: float = _cost(0.18e-6, MEASURED, "a consumer's work per record")
    consumer_request_s: float = _cost(40e-6, ASSUMED, "a consumer's work per fetch")
    leader_and_isr_per_partition_s: float = _cost(
        20e-6, ASSUMED, "applying a change of leader or ISR at a broker, per partition"
    )
    zookeeper_read_s: float = _cost(30e-6, PUBLISHED, "a ZooKeeper server's work per read")
    zookeeper_client_write_s: float = _cost(
        30e-6, PUBLISHED, "a ZooKeeper server's work per write of a client of its own, besides the leader's"
    )
    zookeeper_write_s: float = _cost(35e-6, PUBLISHED, "the ZooKeeper leader's work per write")
    zookeeper_write_per_follower_s: float = _cost(
        4.7e-6, PUBLISHED, "the ZooKeeper leader's work per write and follower"
    )
    zookeeper_follower_write_s: float = _cost(15e-6, ASSUMED, "a ZooKeeper follower's work per write")


def cost_docs() -> dict[str, tuple[float, str, str]]:
    """Name of each cost as a scenario writes it (without ``_s``) → default in seconds, source, meaning."""
    usual = CostsSpec()
    return {
        f.name.removesuffix("_s"): (float(getattr(usual, f.name)), f.metadata["source"], f.metadata["doc"])
        for f in fields(CostsSpec)
    }
