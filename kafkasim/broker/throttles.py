"""All quotas of one broker: of its clients, and of what it copies.

Stands for ``QuotaFactory`` and for what ``ConfigHandler`` does with the throttles of topics and brokers.  Limits live
in ZooKeeper and outlive a process; what has been measured does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kafkasim.broker.fetcher import ReplicaFetcher
from kafkasim.broker.follower_throttle import FollowerThrottle
from kafkasim.broker.quota_manager import CONSUMER_BYTE_RATE, PRODUCER_BYTE_RATE, ClientQuotas
from kafkasim.broker.replica_manager import ReplicaManager
from kafkasim.broker.replication_quota import ReplicationQuota, throttled_partitions
from kafkasim.broker.request_throttle import RequestThrottle
from kafkasim.broker.sampled_rate import keeps_overlap
from kafkasim.broker.socket_server import SocketServer
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.scenario.model import QuotaSpec
from kafkasim.scenario.versions import Version
from kafkasim.topics import Topics

_UNLIMITED = 2**63 - 1
_STATIC = {"quota.producer.default": PRODUCER_BYTE_RATE, "quota.consumer.default": CONSUMER_BYTE_RATE}
_MUTES_SINCE = Version(2, 0)
_CAPS_FETCHES_SINCE = Version(2, 4)


class ReplicationThrottles:
    """The two replication quotas of one broker, and who has to heed them."""

    def __init__(
        self, broker_id: int, config: Mapping[str, Any], version: Version, clock: Clock, replicas: ReplicaManager,
        fetchers: Callable[[], list[ReplicaFetcher]],
    ) -> None:  # fmt: skip
        samples = int(config["replication.quota.window.num"])
        window_ms = 1000 * int(config["replication.quota.window.size.seconds"])
        self.leader = ReplicationQuota(samples, window_ms, keeps_overlap(version))
        self.follower = ReplicationQuota(samples, window_ms, keeps_overlap(version))
        self._broker_id = broker_id
        self._own = (
            config.get("leader.replication.throttled.rate", _UNLIMITED),
            config.get("follower.replication.throttled.rate", _UNLIMITED),
        )
        self._clock = clock
        self._replicas = replicas
        self._fetchers = fetchers
        self._heeded = False
        self.limit(None)

    def from_topics(self, topics: Topics, names: Iterable[str]) -> None:
        """What the own configs of these topics throttle."""
        for topic in names:
            config = topics.config(topic)
            self.throttle(
                topic,
                config.get("leader.replication.throttled.replicas") or (),
                config.get("follower.replication.throttled.replicas") or (),
            )

    def limit(self, bytes_per_s: float | None) -> None:
        """Both limits, as an administrator sets them; None: those of the broker's own config again."""
        for quota, own in ((self.leader, self._own[0]), (self.follower, self._own[1])):
            limit = own if bytes_per_s is None else bytes_per_s
            quota.limit = -1.0 if limit >= _UNLIMITED else float(limit)

    def throttle(self, topic: str, as_leader: Sequence[str], as_follower: Sequence[str]) -> None:
        """``leader.`` and ``follower.replication.throttled.replicas`` of a topic; empty: none."""
        self.leader.throttle(topic, throttled_partitions(as_leader, self._broker_id))
        self.follower.throttle(topic, throttled_partitions(as_follower, self._broker_id))
        self._replicas.shared.leader_quota = None if self.leader.idle() else self.leader
        if not self.follower.idle():
            self._heeded = True  # fetchers that have been told go on looking: there is nothing to find
            for fetcher in self._fetchers():
                self.hand_to(fetcher)

    def hand_to(self, fetcher: ReplicaFetcher) -> None:
        """A fetcher thread heeds the follower's quota, once something is throttled."""
        if self._heeded and fetcher.throttle is None:
            fetcher.throttle = FollowerThrottle(self.follower, self._clock)

    def crash(self) -> None:
        """The process has died."""
        self.leader.crash()
        self.follower.crash()


def client_throttle(
    scheduler: Scheduler, specs: Sequence[QuotaSpec], config: Mapping[str, Any], version: Version, clock: Clock,
    network_s: float, handler: Callable[[Any], float],
) -> RequestThrottle | None:  # fmt: skip
    """The client quotas of one broker; None if there are none."""
    static = {
        quota: float(limit)
        for name, quota in _STATIC.items()
        if (limit := config.get(name)) is not None and limit < _UNLIMITED
    }
    if not specs and not static:
        return None
    quotas = ClientQuotas(
        specs,
        int(config["quota.window.num"]),
        1000 * int(config["quota.window.size.seconds"]),
        keeps_overlap(version),
        version >= _MUTES_SINCE,
        version >= _CAPS_FETCHES_SINCE,
        static,
    )
    return RequestThrottle(scheduler, quotas, clock, network_s, handler)


def impose(throttle: RequestThrottle, replicas: ReplicaManager, server: SocketServer) -> None:
    """All who answer clients heed ``throttle``."""
    replicas.shared.throttle = throttle
    server.throttle = throttle
