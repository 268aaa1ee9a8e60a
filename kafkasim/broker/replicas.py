"""The replicas of one broker process, and what all who work on them share.

The state of ``ReplicaManager``; its work is in :mod:`kafkasim.broker.replica_manager` (requests),
:mod:`kafkasim.broker.delayed_produce` and :mod:`kafkasim.broker.delayed_fetch`.
"""

from __future__ import annotations

from kafkasim.broker.isr_locks import IsrLocks
from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker.partition import Partition
from kafkasim.broker.replica_costs import ReplicaCosts
from kafkasim.broker.replica_listener import ReplicaListener
from kafkasim.broker.replica_selector import RackAwareSelector
from kafkasim.broker.replication_quota import ReplicationQuota
from kafkasim.broker.request_throttle import RequestThrottle
from kafkasim.broker.sessions import FetchSessionCache
from kafkasim.broker.socket_server import SocketServer
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler


class Replicas:
    """All replicas of one broker process, by the index of their partition.

    ``live``: the brokers that the metadata cache calls alive, None before it says.  ``ready_at`` (s): when the
    thread at work will have done what it did so far; the thread that causes a completion pays for it.  ``locks``: of
    partitions whose ISR is being written (before 2.7).

    ``throttle``, ``leader_quota`` and ``selector`` are None where nobody is throttled or sent elsewhere.
    ``followers_serve`` (2.4 and later): a follower answers consumers, too.  ``prefers_at_once`` (3.2 and later): so
    does a leader that sends them elsewhere; before, that answer waited for ``fetch.max.wait.ms``.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        broker_id: int,
        costs: ReplicaCosts,
        listener: ReplicaListener,
        monitor: BrokerMonitor,
        lag_time_max_s: float,
        hints: bool,
        filters_dead_replicas: bool,
        session_cache: FetchSessionCache,
    ) -> None:
        self.scheduler = scheduler
        self.broker_id: int = broker_id
        self.partitions: dict[int, Partition] = {}
        self.costs = costs
        self.listener = listener
        self.monitor = monitor
        self.lag_time_max_s: float = lag_time_max_s
        self.hints: bool = hints
        self.filters_dead_replicas: bool = filters_dead_replicas
        self.session_cache = session_cache
        self.live: frozenset[int] | None = None
        self.server: SocketServer | None = None
        self.ready_at: float = 0.0
        self.bytes_in: int = 0
        self.bytes_out: int = 0
        self.replication_bytes_out: int = 0
        self.locks: IsrLocks | None = None
        self.clock: Clock = Clock()
        self.throttle: RequestThrottle | None = None
        self.leader_quota: ReplicationQuota | None = None
        self.selector: RackAwareSelector | None = None
        self.followers_serve: bool = True
        self.prefers_at_once: bool = True
        self.fetch_max_bytes: int = 1 << 62
        self.cross_rack_bytes: int = 0  # of records, to consumers in other racks
