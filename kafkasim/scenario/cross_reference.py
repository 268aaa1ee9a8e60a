"""Holds a scenario against itself: what it names exists, what it counts fits, what belongs together is together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from kafkasim.scenario import configs
from kafkasim.scenario.configs import OFFSETS_TOPIC, ConfigDict
from kafkasim.scenario.errors import listed, nearest
from kafkasim.scenario.paths import Path, find
from kafkasim.scenario.reporter import Reporter
from kafkasim.scenario.schema import ScenarioFile
from kafkasim.scenario.schema_cluster import Disk, Host, Topic
from kafkasim.scenario.versions import Version

PIPELINED_SINCE = Version(1, 1)
"""From then on the controller's requests to ZooKeeper are pipelined."""
DEFAULT_HOST = "default"
MOST_BROKERS, MOST_SERVERS, MOST_PARTITIONS = 1000, 31, 200_000


class Facts:
    """What the checks (and the resolution after them) need to know of the whole file."""

    def __init__(self, file: ScenarioFile, report: Reporter) -> None:
        self.file = file
        self.report = report
        self.version = file.cluster.version
        brokers = file.cluster.brokers
        count = brokers.count or 1
        if brokers.ids is None and report.broken_in(("cluster", "brokers")):
            count = MOST_BROKERS  # how many there are is not known: nothing more can be said of ids
        self.ids: tuple[int, ...] = tuple(brokers.ids or range(1, count + 1))
        self.servers = file.cluster.zookeeper.servers + file.cluster.zookeeper.observers
        if report.broken_in(("cluster", "zookeeper")):
            self.servers = MOST_SERVERS
        self.typed_brokers: ConfigDict = {}
        self.brokers: ConfigDict = {}
        self.partitions: dict[str, int] = {}
        """Of each topic, with those that events create."""
        self.initial: dict[str, int] = {}
        """Of each topic: the partitions that exist at t = 0."""
        self.created: dict[str, int] = {}
        """Of topics that events create: with how many partitions."""

    def names(self, section: str) -> list[str]:
        """The keys of a mapping of the file, wrong ones too; what is null counts as absent."""
        node, found = find(self.report.root, (section,))
        if not found or not isinstance(node.value, dict):
            return []
        return [name for name, child in node.value.items() if child.value is not None]

    def racks(self) -> list[str]:
        """Every rack that a broker or a server stands in, sorted."""
        cluster = self.file.cluster
        named = [*(cluster.brokers.racks or []), *(cluster.zookeeper.racks or [])]
        named.extend(own.rack for own in cluster.brokers.overrides.values() if own.rack is not None)
        return sorted(set(named))

    def at(self, section: str, index: int) -> Path:
        """The path of a member of a list as the file numbers it."""
        return (section, self.report.kept(section)[index])


def check(file: ScenarioFile, report: Reporter) -> Facts:
    """All checks; what they find goes to ``report``."""
    facts = Facts(file, report)
    checked = _Configs(facts)
    checked.brokers()
    _times(facts)
    _brokers(facts)
    _zookeeper(facts)
    _hosts(facts)
    for name, topic in file.topics.items():
        checked.side(("topics", name, "config"), "topic", topic.config)
        check_topic(facts, ("topics", name), name, topic)
        facts.initial[name] = facts.partitions[name]
    _some_racks(facts)
    return facts


def _some_racks(facts: Facts) -> None:
    """Kafka places no replicas by itself while some brokers have a rack and others have none."""
    brokers, file = facts.file.cluster.brokers, facts.file
    racked = [number for number, own in brokers.overrides.items() if own.rack is not None]
    bare = [number for number in facts.ids if number not in racked]
    places = any(topic.assignment is None for topic in file.topics.values()) or any(c.group for c in file.consumers)
    if brokers.racks is None and racked and bare and places:
        place: Path = ("cluster", "brokers", "overrides", str(racked[0]), "rack")
        facts.report.wrong(place, "some brokers have a rack, others have none: replicas cannot be placed",
                           allowed=f"a rack for broker {listed(bare)} too, or none at all")  # fmt: skip


def known_topic(facts: Facts, path: Path, name: str) -> int | None:
    """The number of partitions of a topic that the file declares; a mistake if it declares none."""
    if name in facts.partitions:
        return facts.partitions[name]
    known = facts.names("topics")
    if name not in known:
        facts.report.wrong(path, "there is no such topic", name, listed(known), nearest(name, known))
    return None


class _Configs:
    """Checks ``config:`` mappings."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def side(self, path: Path, side: str, raw: dict[str, object]) -> ConfigDict:
        """One mapping of one side, in the cluster's release."""
        facts = self.facts
        return configs.check(facts.report, path, side, raw, facts.version)

    def brokers(self) -> None:
        """The brokers' configs, common and own, and the ensemble's."""
        facts, cluster = self.facts, self.facts.file.cluster
        place: Path = ("cluster", "brokers", "config")
        facts.typed_brokers = self.side(place, "broker", cluster.brokers.config)
        facts.brokers = configs.broker(facts.typed_brokers, facts.version, facts.ids[0], None)
        for number, own in cluster.brokers.overrides.items():
            self.side(("cluster", "brokers", "overrides", str(number), "config"), "broker", own.config)
        typed = self.side(("cluster", "zookeeper", "config"), "zookeeper", cluster.zookeeper.config)
        bounds = configs.zookeeper(typed, facts.version)
        low, high = bounds["minSessionTimeout"], bounds["maxSessionTimeout"]
        if isinstance(low, int) and isinstance(high, int) and low > high:
            facts.report.wrong(
                ("cluster", "zookeeper", "config"), "minSessionTimeout is above maxSessionTimeout", f"{low} > {high}"
            )


def _times(facts: Facts) -> None:
    file, report = facts.file, facts.report
    if file.warmup >= file.duration:
        report.wrong(("warmup",), "must be shorter than duration")
    if file.duration / file.report.interval > 1e6:
        report.wrong(("report", "interval"), "gives more than a million intervals", allowed="a longer interval")


def _brokers(facts: Facts) -> None:
    brokers, report = facts.file.cluster.brokers, facts.report
    place: Path = ("cluster", "brokers")
    if brokers.count is not None and brokers.ids is not None:
        report.wrong((*place, "count"), "give count or ids, not both", at_key=True)
    if _twice(facts.ids):
        report.wrong((*place, "ids"), "every broker has an id of its own", allowed="different numbers")
    for number in brokers.overrides:
        if number not in facts.ids:
            report.wrong((*place, "overrides", str(number)), "there is no such broker", number,
                         listed(facts.ids), at_key=True)  # fmt: skip
    for name, given in brokers.config.items():
        if name == "broker.id":
            report.wrong((*place, "config", name), "the ids are given by count or ids", given, at_key=True)
    controller = facts.file.cluster.initial_controller
    if controller is not None and controller not in facts.ids:
        report.wrong(("cluster", "initial_controller"), "there is no such broker", controller, listed(facts.ids))
    client = facts.file.cluster.controller.zookeeper_client
    if client == "synchronous" and facts.version >= PIPELINED_SINCE:
        report.warn("an experiment: the controller asks ZooKeeper one thing at a time, as before Kafka 1.1")
    if client == "pipelined" and facts.version < PIPELINED_SINCE:
        report.warn("an experiment: the controller's requests to ZooKeeper are pipelined, as from Kafka 1.1 on")


def _zookeeper(facts: Facts) -> None:
    ensemble, report = facts.file.cluster.zookeeper, facts.report
    place: Path = ("cluster", "zookeeper")
    servers = f"1 to {facts.servers}"
    if ensemble.initial_leader is not None and ensemble.initial_leader > ensemble.servers:
        voters = f"1 to {ensemble.servers}"
        report.wrong((*place, "initial_leader"), "there is no such server", allowed=voters)
    for who, server in ensemble.initial_sessions.items():
        found = re.fullmatch(r"broker (\d{1,9})", who)
        if not found or int(found[1]) not in facts.ids:
            allowed = listed(f"broker {number}" for number in facts.ids)
            report.wrong((*place, "initial_sessions", who), "there is no such broker", who, allowed, at_key=True)
        elif server > facts.servers:
            report.wrong((*place, "initial_sessions", who), "there is no such server", allowed=servers)


def check_host(facts: Facts, path: Path, host: str | Host | None) -> None:
    """A host that is named must exist."""
    if isinstance(host, str) and host != DEFAULT_HOST:
        known = [DEFAULT_HOST, *facts.names("hosts")]
        if host not in known:
            facts.report.wrong((*path, "host"), "there is no such host", host, listed(known), nearest(host, known))


def _hosts(facts: Facts) -> None:
    report, cluster = facts.report, facts.file.cluster
    if DEFAULT_HOST in facts.file.hosts:
        report.wrong(("hosts", DEFAULT_HOST), "default is the built-in profile: choose another name", at_key=True)
    for name, host in facts.file.hosts.items():
        _disk(report, ("hosts", name), host)
    check_host(facts, ("cluster", "brokers"), cluster.brokers.host)
    check_host(facts, ("cluster", "zookeeper"), cluster.zookeeper.host)
    for number, own in cluster.brokers.overrides.items():
        check_host(facts, ("cluster", "brokers", "overrides", str(number)), own.host)


def _disk(report: Reporter, path: Path, host: Host) -> None:
    if host.disks is not None and "disk" in host.model_fields_set:
        report.wrong((*path, "disks"), "stands instead of disk", allowed="one of disk and disks", at_key=True)
    places: list[tuple[Path, Disk]] = [((*path, "disks", n), disk) for n, disk in enumerate(host.disks or [])]
    for place, disk in [((*path, "disk"), host.disk), *places]:
        if disk.fsync_p50 is not None and disk.fsync_p99 is not None and disk.fsync_p99 < disk.fsync_p50:
            report.wrong((*place, "fsync_p99"), "must not be below fsync_p50")


def check_config(facts: Facts, place: Path, side: str, raw: dict[str, object]) -> None:
    """One ``config:`` mapping of one side."""
    configs.check(facts.report, place, side, raw, facts.version)


def check_topic(facts: Facts, place: Path, name: str, topic: Topic) -> None:
    """A topic's replicas fit the cluster; ``facts.partitions`` then knows it."""
    report = facts.report
    if name in (".", "..", OFFSETS_TOPIC, "__transaction_state"):
        report.wrong(place, "is not a name for a topic of yours", name, at_key=True)
    assigned = topic.assignment
    count = topic.partitions or (len(assigned) if assigned else _default(facts, "num.partitions"))
    unknown_count = topic.partitions is None and assigned is None and report.broken_in(place)
    facts.partitions[name] = MOST_PARTITIONS if unknown_count else count
    if assigned is None:
        factor = topic.replication_factor or _default(facts, "default.replication.factor")
        if factor > len(facts.ids):
            key = place if topic.replication_factor is None else (*place, "replication_factor")
            report.wrong(key, f"more replicas than brokers: {factor} of {len(facts.ids)}", factor,
                         f"1 to {len(facts.ids)}")  # fmt: skip
        _min_isr(facts, name, topic, factor)
        return
    if sorted(assigned) != list(range(count)):
        report.wrong((*place, "assignment"), f"must list partitions 0 to {count - 1}, each once", listed(assigned))
    sizes = {len(replicas) for replicas in assigned.values()}
    if len(sizes) > 1:
        report.wrong((*place, "assignment"), "every partition must have the same number of replicas",
                     listed(sorted(sizes)))  # fmt: skip
    elif topic.replication_factor is not None and sizes != {topic.replication_factor}:
        report.wrong((*place, "replication_factor"), "differs from the assignment", allowed=listed(sizes))
    for partition, replicas in assigned.items():
        unknown = [number for number in replicas if number not in facts.ids]
        if unknown:
            report.wrong((*place, "assignment", str(partition)), "there is no such broker", listed(unknown),
                         listed(facts.ids))  # fmt: skip
        elif _twice(replicas):
            report.wrong((*place, "assignment", str(partition)), "a broker holds one replica of a partition",
                         listed(replicas), "different brokers")  # fmt: skip
    if sizes:
        _min_isr(facts, name, topic, max(sizes))


def _min_isr(facts: Facts, name: str, topic: Topic, factor: int) -> None:
    least = topic.config.get("min.insync.replicas", facts.brokers.get("min.insync.replicas"))
    if isinstance(least, int) and least > factor:
        capped = (facts.version.major, facts.version.minor) >= (3, 7)
        effect = f"Kafka {facts.version.line} takes {factor}" if capped else "writes with acks=all will fail"
        facts.report.warn(f"topic {name}: min.insync.replicas {least} with {factor} replicas: {effect}")


def _default(facts: Facts, name: str) -> int:
    value = facts.brokers[name]
    assert isinstance(value, int)
    return value


def _twice(values: Iterable[object]) -> bool:
    members = list(values)
    return len(set(members)) != len(members)


def duplicates(names: Sequence[str | None]) -> list[int]:
    """Indices of names that were there before."""
    seen: set[str] = set()
    found = []
    for index, name in enumerate(names):
        if name is not None and name in seen:
            found.append(index)
        elif name is not None:
            seen.add(name)
    return found
