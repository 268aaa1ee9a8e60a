"""Holds a scenario's events against the cluster that they act on."""

from __future__ import annotations

from math import inf

from kafkasim.scenario.conditions import FORMS as CONDITIONS
from kafkasim.scenario.conditions import ConditionError, parse_condition
from kafkasim.scenario.configs import OFFSETS_TOPIC
from kafkasim.scenario.cross_reference import Facts, known_topic
from kafkasim.scenario.errors import listed, nearest
from kafkasim.scenario.paths import Path, find
from kafkasim.scenario.places import OTHERS, PLACE_FORMS, parse_place
from kafkasim.scenario.schema_chance import RANDOM_VERBS, RandomFaults
from kafkasim.scenario.schema_events import DISKS, LASTING, LINKS, NEED_FOR, TARGETED, VERBS, Ends, Event
from kafkasim.scenario.targets import FORMS, parse_target

MOST_RANDOM = 10_000
"""Faults of one kind that one event may make in the mean."""
_ROLES = ("controller", "zookeeper leader", "random broker")


def check(facts: Facts) -> None:
    """All events; what is wrong goes to the facts' reporter."""
    for index, event in enumerate(facts.file.events):
        _event(facts, facts.at("events", index), event)


def _event(facts: Facts, place: Path, event: Event) -> None:
    report = facts.report
    _beginning(facts, place, event)
    verbs = [verb for verb in VERBS if getattr(event, verb) is not None]
    if len(verbs) != 1:
        if not any(report.broken_in((*place, *more)) for more in _below(facts, place)):
            message = "an event has one verb" if verbs else "a verb is missing"
            report.wrong(place, message, listed(verbs) if verbs else None, ", ".join(VERBS))
        return
    verb = verbs[0]
    if event.for_ is not None and verb not in LASTING:
        report.wrong((*place, "for"), f"belongs to {listed(LASTING)}", at_key=True)
    if verb in NEED_FOR and event.for_ is None and not report.broken((*place, "for")):
        report.wrong((*place, verb), "needs to know for how long", allowed="for: 8s beside it")
    _disk_options(facts, place, verb, event)
    _clock(facts, place, event, verb)
    if event.random_faults is not None:
        _random(facts, (*place, verb), event.random_faults, event.for_ or facts.file.duration - (event.at or 0.0))
    if verb in TARGETED:
        _target(facts, (*place, verb), getattr(event, verb))
    elif verb in LINKS:
        _ends(facts, (*place, verb), getattr(event, verb))
    elif event.nic_capped is not None:
        _target(facts, (*place, verb, "host"), event.nic_capped.host)
    elif event.elect_leaders is not None and event.elect_leaders.topic is not None:
        wanted = event.elect_leaders
        count = known_topic(facts, (*place, verb, "topic"), str(wanted.topic))
        if count is not None and wanted.partition is not None and wanted.partition >= count:
            report.wrong((*place, verb, "partition"), f"{wanted.topic} has no such partition", wanted.partition,
                         f"0 to {count - 1}")  # fmt: skip


def _beginning(facts: Facts, place: Path, event: Event) -> None:
    """An event has a time or a condition."""
    report = facts.report
    allowed = "at: 20s, or when: leader of orders-0 changes"
    if event.when is None and event.after is not None:
        report.wrong((*place, "after"), "belongs to when", at_key=True)
    timed = event.at < inf
    if timed and event.when is not None:
        report.wrong((*place, "when"), "an event has a time or a condition, not both", allowed=allowed, at_key=True)
    elif not timed and event.when is None:
        if not report.broken((*place, "at")) and not report.broken((*place, "when")):
            report.wrong(place, "needs a time or a condition", allowed=allowed)
    elif event.when is not None:
        condition(facts, (*place, "when"), event.when)
    elif timed and event.at >= facts.file.duration:
        limit = f"less than duration ({facts.file.duration:g} s)"
        report.wrong((*place, "at"), "the run is over by then", allowed=limit)


def condition(facts: Facts, place: Path, text: str) -> None:
    """A condition: its form, and that what it names exists."""
    report = facts.report
    try:
        said = parse_condition(text)
    except ConditionError as error:
        report.wrong(place, str(error), text, "; ".join(CONDITIONS), error.nearest)
        return
    for number in said.brokers:
        _broker(facts, place, f"broker {number}", number)
    if said.topic is not None and said.partition is not None:
        _partition(facts, place, text, said.topic, said.partition)


def _disk_options(facts: Facts, place: Path, verb: str, event: Event) -> None:
    """``factor``, ``add`` and ``disk`` stand beside the verbs that know them."""
    report = facts.report
    for name, verbs in (("factor", ("slow_disk",)), ("add", ("slow_disk",)), ("disk", DISKS)):
        if getattr(event, name) is not None and verb not in verbs:
            report.wrong((*place, name), f"belongs to {listed(verbs)}", at_key=True)
    if verb == "slow_disk" and event.factor is None and event.add is None:
        if not report.broken((*place, "factor")) and not report.broken((*place, "add")):
            report.wrong((*place, verb), "needs to know how slow", allowed="factor: 10 or add: 20ms beside it")
    if verb in DISKS[1:] and str(getattr(event, verb)).startswith("zookeeper"):
        report.wrong((*place, verb), "acts on log directories of brokers", getattr(event, verb), "a broker")


def _clock(facts: Facts, place: Path, event: Event, verb: str) -> None:
    """How wrong a clock is belongs to ``clock_skew``, which needs to know."""
    report = facts.report
    given = [name for name in ("ahead", "behind", "drift") if getattr(event, name) is not None]
    if verb != "clock_skew":
        for name in given:
            report.wrong((*place, name), "belongs to clock_skew", at_key=True)
    elif not given and not any(report.broken((*place, name)) for name in ("ahead", "behind", "drift")):
        report.wrong(
            (*place, verb), "needs to know how wrong the clock is", allowed="ahead: 2s, behind: 2s, drift: 1ms"
        )
    elif "ahead" in given and "behind" in given:
        report.wrong((*place, "behind"), "a clock is ahead or behind, not both", at_key=True)


def _random(facts: Facts, place: Path, faults: RandomFaults, span_s: float) -> None:
    """No more faults than a run can tell of."""
    for verb in RANDOM_VERBS:
        kind = getattr(faults, verb)
        if kind is not None and span_s / kind.every > MOST_RANDOM:
            allowed = f"at least {span_s / MOST_RANDOM:g} s"
            facts.report.wrong((*place, verb, "every"), "makes too many faults", f"{kind.every:g} s", allowed)


def _below(facts: Facts, place: Path) -> list[Path]:
    """The paths of what the mapping at ``place`` holds, relative to it."""
    node, _ = find(facts.report.root, place)
    return [(key,) for key in node.value] if isinstance(node.value, dict) else [()]


def _target(facts: Facts, place: Path, text: str) -> None:
    report = facts.report
    try:
        target = parse_target(text)
    except ValueError as error:
        report.wrong(place, str(error), text, FORMS, nearest(text, list(_ROLES)))
        return
    if target.kind == "broker":
        _broker(facts, place, text, target.id)
    elif target.kind == "zookeeper":
        _server(facts, place, text, target.id)
    elif target.kind == "rack":
        _rack(facts, place, text, target.name)
    elif target.kind == "leader_of" and target.topic is not None and target.partition is not None:
        _partition(facts, place, text, target.topic, target.partition)


def _partition(facts: Facts, place: Path, text: str, topic: str, partition: int) -> None:
    if topic == OFFSETS_TOPIC:
        value = facts.brokers["offsets.topic.num.partitions"]
        count = value if isinstance(value, int) else None
    else:
        count = known_topic(facts, place, topic)
    if count is not None and partition >= count:
        facts.report.wrong(place, f"{topic} has no such partition", text, f"0 to {count - 1}")


def _broker(facts: Facts, place: Path, text: str, number: int | None) -> None:
    if number not in facts.ids:
        facts.report.wrong(place, "there is no such broker", text, listed(f"broker {known}" for known in facts.ids))


def _server(facts: Facts, place: Path, text: str, number: int | None) -> None:
    servers = facts.servers
    if not 1 <= (number or 0) <= servers:
        known = listed(f"zookeeper {server}" for server in range(1, servers + 1))
        facts.report.wrong(place, "there is no such ZooKeeper server", text, known)


def _rack(facts: Facts, place: Path, text: str, name: str | None) -> None:
    racks = facts.racks()
    if name not in racks:
        facts.report.wrong(place, "there is no such rack", text, listed(f"rack {rack}" for rack in racks) or "no racks")


def _ends(facts: Facts, place: Path, ends: Ends) -> None:
    sides = [(key, getattr(ends, field)) for key, field in _END_FIELDS if getattr(ends, field) is not None]
    others = 0
    for key, value in sides:
        texts = value if isinstance(value, list) else [value]
        for number, text in enumerate(texts):
            path = (*place, key, number) if isinstance(value, list) else (*place, key)
            others += text == OTHERS
            _place(facts, path, text)
    if others > 1:
        facts.report.wrong(place, "others names what the other end does not", allowed="others at one end")


_END_FIELDS = (("between", "between"), ("and", "and_"), ("from", "from_"), ("to", "to"))


def _place(facts: Facts, place: Path, text: str) -> None:
    try:
        said = parse_place(text)
    except ValueError as error:
        facts.report.wrong(place, str(error), text, PLACE_FORMS)
        return
    if said.kind == "broker":
        _broker(facts, place, text, said.id)
    elif said.kind == "zookeeper":
        _server(facts, place, text, said.id)
    elif said.kind == "rack":
        _rack(facts, place, text, said.name)
    elif said.kind == "client":
        file = facts.file
        clients = [*(p.name for p in file.producers), *(c.group or c.name or "" for c in file.consumers)]
        if said.name not in clients:
            known = [*clients, "brokers", "zookeeper", "controller", "clients", OTHERS]
            facts.report.wrong(place, "there are no such machines", text, PLACE_FORMS, nearest(text, known))
