"""Complete configs of each process: the release's defaults, overlaid with what the scenario says.

Also the checks that Kafka makes when it reads a configuration: unknown names, types, ranges, and the rules between
configs. A config that the model ignores is said so once by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafkasim.scenario import not_yet
from kafkasim.scenario.catalogue import TOPIC_SYNONYMS, catalogue, sides_of
from kafkasim.scenario.config_values import ConfigError, ConfigValue, default_value, typed_value
from kafkasim.scenario.errors import listed, nearest
from kafkasim.scenario.paths import Path
from kafkasim.scenario.reporter import Reporter
from kafkasim.scenario.versions import Version

ConfigDict = dict[str, ConfigValue]
OFFSETS_TOPIC = "__consumer_offsets"
_WITHOUT_EFFECT = (Version(3, 0, 0), Version(3, 1, 0))
"""Releases whose default ``enable.idempotence: true`` was read and not acted upon."""


def check(report: Reporter, path: Path, side: str, raw: Mapping[str, Any], version: Version) -> ConfigDict:
    """The typed configs of one ``config:`` mapping; what is wrong with them goes to ``report``."""
    known = catalogue(side)
    typed: ConfigDict = {}
    for name, value in raw.items():
        place = (*path, name)
        entry = known.get(name)
        if entry is None:
            others = [other for other in sides_of(name) if other != side]
            text = f"is a {' and '.join(others)} config, not a {side} config" if others else "unknown config"
            near = None if others else nearest(name, known)
            if side == "broker" and name in TOPIC_SYNONYMS:
                near = TOPIC_SYNONYMS[name][0][0]
            report.wrong(place, text, name, nearest=near, at_key=True)
            continue
        if not entry.exists_in(version):
            told = f"is only known since Kafka {entry.since.line}"
            if entry.until is not None and entry.until < version:
                told = f"is gone: Kafka {entry.until.line} was the last to have it"
            report.warn(f"{side} config {name} {told}; Kafka {version.line} ignores it", once=(side, name, version))
            continue
        try:
            typed[name] = typed_value(entry, value)
        except ConfigError as error:
            near = nearest(value, error.choices) if error.choices else None
            report.wrong(place, str(error), value, error.allowed, near)
            continue
        mechanism = not_yet.mechanism(side, name, typed[name], version)
        if mechanism:
            report.wrong(place, f"{mechanism}: not modelled yet")
        elif entry.status == "ignored":
            report.warn(f"{side} config {name} is ignored: {entry.note}", once=(side, name))
    return typed


def overlay(side: str, raw: Mapping[str, Any], version: Version) -> ConfigDict:
    """Defaults of the release with the valid values of ``raw`` on top; what the release does not have is left out."""
    known = catalogue(side)
    complete = {name: default_value(entry, version) for name, entry in known.items() if entry.exists_in(version)}
    for name, value in raw.items():
        if name in complete:
            complete[name] = typed_value(known[name], value)
    return complete


def broker(raw: Mapping[str, Any], version: Version, broker_id: int, rack: str | None) -> ConfigDict:
    """A broker's complete config."""
    complete = overlay("broker", raw, version)
    complete["broker.id"] = broker_id
    if complete.get("broker.rack") is None:
        complete["broker.rack"] = rack
    return complete


def topic(raw: Mapping[str, Any], version: Version, broker_config: ConfigDict, name: str) -> ConfigDict:
    """A topic's complete config: its own, else the broker's synonym, else the default."""
    complete = overlay("topic", {}, version)
    for config, synonyms in TOPIC_SYNONYMS.items():
        if config not in complete:
            continue
        for synonym, factor in synonyms:
            value = broker_config.get(synonym)
            if value is not None:
                complete[config] = value * factor if isinstance(value, int) and factor != 1 else value
                break
    if name == OFFSETS_TOPIC:
        complete["cleanup.policy"] = ["compact"]
        complete["compression.type"] = "producer"
        complete["segment.bytes"] = broker_config["offsets.topic.segment.bytes"]
    known = catalogue("topic")
    for config, value in raw.items():
        if config in complete:
            complete[config] = typed_value(known[config], value)
    return complete


def zookeeper(raw: Mapping[str, Any], version: Version) -> ConfigDict:
    """A ZooKeeper server's complete config; the bounds of sessions are filled in from the tick."""
    complete = overlay("zookeeper", raw, version)
    tick = complete["tickTime"]
    assert isinstance(tick, int)
    if complete["minSessionTimeout"] == -1:
        complete["minSessionTimeout"] = 2 * tick
    if complete["maxSessionTimeout"] == -1:
        complete["maxSessionTimeout"] = 20 * tick
    return complete


def producer(raw: Mapping[str, Any], version: Version, client_id: str = "") -> ConfigDict:
    """A producer's complete config after the rules that Kafka's constructor applies.

    From 3.0.1 on idempotence is the default and is switched off, if nobody asked for it, where ``acks`` is not all,
    ``retries`` is 0 or more than five requests may be in flight; before, asking for it makes acks all. A delivery
    timeout that nobody set is raised to ``linger.ms`` + ``request.timeout.ms`` (before 2.1 there is none).
    """
    complete = overlay("producer", raw, version)
    if not complete["client.id"]:
        complete["client.id"] = client_id
    explicit = raw.get("enable.idempotence") is not None
    if complete.get("enable.idempotence") and explicit and "acks" not in raw:
        complete["acks"] = "all"
    if version in _WITHOUT_EFFECT and not explicit:
        complete["enable.idempotence"] = False
    if complete.get("enable.idempotence") and not explicit and idempotence_conflict(complete) is not None:
        complete["enable.idempotence"] = False
    least = min(_int(complete, "linger.ms") + _int(complete, "request.timeout.ms"), 2**31 - 1)
    if (
        "delivery.timeout.ms" in complete
        and "delivery.timeout.ms" not in raw
        and _int(complete, "delivery.timeout.ms") < least
    ):
        complete["delivery.timeout.ms"] = least
    return complete


def idempotence_conflict(config: Mapping[str, ConfigValue]) -> tuple[str, str] | None:
    """The config that idempotence cannot live with, and what it must be."""
    if config["acks"] != "all":
        return "acks", "all"
    if config["retries"] == 0:
        return "retries", "more than 0"
    in_flight = config["max.in.flight.requests.per.connection"]
    if isinstance(in_flight, int) and in_flight > 5:
        return "max.in.flight.requests.per.connection", "at most 5"
    return None


def check_producer(report: Reporter, path: Path, typed: ConfigDict, version: Version) -> None:
    """The rules between a producer's configs."""
    complete = producer(typed, version)
    if typed.get("enable.idempotence") is True:
        conflict = idempotence_conflict(complete)
        if conflict:
            name, allowed = conflict
            place = (*path, name if name in typed else "enable.idempotence")
            message = f"{name} does not go with enable.idempotence: true"
            report.wrong(place, message, complete[name], f"{name} {allowed}")
    least = _int(complete, "linger.ms") + _int(complete, "request.timeout.ms")
    if "delivery.timeout.ms" in typed and _int(complete, "delivery.timeout.ms") < least:
        report.wrong(
            (*path, "delivery.timeout.ms"),
            "must be at least linger.ms + request.timeout.ms",
            allowed=f"{least} or more",
        )


def consumer(raw: Mapping[str, Any], version: Version, group: str | None, rack: str | None = None) -> ConfigDict:
    """A consumer's complete config; without a group nothing is committed by itself."""
    complete = overlay("consumer", raw, version)
    complete["group.id"] = group
    if group is None and "enable.auto.commit" not in raw:
        complete["enable.auto.commit"] = False
    if complete.get("client.rack") == "" and rack is not None and "client.rack" in raw:
        complete["client.rack"] = rack
    return complete


def check_consumer(
    report: Reporter, path: Path, typed: ConfigDict, version: Version, group: str | None, brokers: ConfigDict
) -> None:
    """The rules between a consumer's configs, and those the coordinator would refuse it for."""
    if "group.id" in typed:
        report.wrong((*path, "group.id"), "the group is given by 'group:' of the consumer", at_key=True)
    complete = consumer(typed, version, group)
    if group is None:
        if typed.get("enable.auto.commit") is True:
            report.wrong((*path, "enable.auto.commit"), "a consumer without group cannot commit", allowed="false")
        return
    session, beat = _int(complete, "session.timeout.ms"), _int(complete, "heartbeat.interval.ms")
    if beat >= session:
        name = "heartbeat.interval.ms" if "heartbeat.interval.ms" in typed else "session.timeout.ms"
        allowed = f"more than {beat}" if name.startswith("session") else f"less than {session}"
        report.wrong((*path, name), "heartbeat.interval.ms must be lower than session.timeout.ms", allowed=allowed)
    low, high = _int(brokers, "group.min.session.timeout.ms"), _int(brokers, "group.max.session.timeout.ms")
    if not low <= session <= high:
        limits = listed(("group.min.session.timeout.ms", "group.max.session.timeout.ms"))
        report.wrong((*path, "session.timeout.ms"), f"is outside the brokers' limits ({limits})", session,
                     f"{low} to {high}")  # fmt: skip


def _int(config: Mapping[str, ConfigValue], name: str) -> int:
    value = config[name]
    assert isinstance(value, int), name
    return value
