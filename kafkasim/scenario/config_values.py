"""Values of configs: typed as Kafka's ConfigDef types them, and held against the valid range.

A value may stand in YAML as it would in ``server.properties`` (``"5000"``) or as a number. Units are Kafka's own, so a
quantity such as ``10ms`` is refused with the number to write.
"""

from __future__ import annotations

import re

from kafkasim.scenario.catalogue import REQUIRED, ConfigEntry
from kafkasim.scenario.units import UnitError, parse_duration, parse_size
from kafkasim.scenario.versions import Version

ConfigValue = int | float | bool | str | list[str] | None

_LIMITS = {"int": 2**31 - 1, "short": 2**15 - 1, "long": 2**63 - 1}
_RANGE = re.compile(r"\[(-?[\d.]+|),?\.\.\.,?(-?[\d.]+|)\](?: or (-?\d+))?")
_CHOICE = re.compile(r"(\(case insensitive\) )?\[([^\]]+)\]")
_UNIT_SECONDS = {"ms": 1000.0, "s": 1.0, "min": 1 / 60, "h": 1 / 3600}

ASSIGNORS = {
    "RangeAssignor": "range",
    "RoundRobinAssignor": "roundrobin",
    "StickyAssignor": "sticky",
    "CooperativeStickyAssignor": "cooperative-sticky",
}
"""Kafka's assignor classes and their short names."""


class ConfigError(ValueError):
    """A value that a config cannot have; ``allowed`` says what it can, ``choices`` are the names it can be."""

    def __init__(self, message: str, allowed: str | None = None, choices: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed
        self.choices = choices


def default_value(entry: ConfigEntry, version: Version) -> ConfigValue:
    """The typed default of a release; None where there is none."""
    text = entry.default_text(version)
    if text in ("null", REQUIRED, "(absent)"):
        return None
    if text == "" and entry.type in ("int", "long", "short", "double", "boolean"):
        return None
    return _typed(entry, text)


def typed_value(entry: ConfigEntry, raw: object) -> ConfigValue:
    """The typed value of what a scenario holds, within the valid range; :class:`ConfigError` otherwise."""
    if isinstance(raw, dict):
        raise ConfigError("must be a single value", _kind(entry))
    if raw is None:
        optional = entry.type in ("string", "class", "password")
        if optional or any(text in ("null", REQUIRED) for _, text in entry.defaults):
            return None
        raise ConfigError("has no value", _kind(entry))
    value = _typed(entry, raw)
    _check_range(entry, value)
    return value


def _kind(entry: ConfigEntry) -> str:
    unit = f" in {entry.unit}" if entry.unit else ""
    if entry.type in ("int", "long", "short"):
        return f"a whole number{unit}" + (f" in {entry.valid}" if entry.valid else "")
    kinds = {"double": f"a number{unit}", "boolean": "true or false", "list": "a list or text with commas"}
    return entry.valid or kinds.get(entry.type, "text")


def _typed(entry: ConfigEntry, raw: object) -> ConfigValue:
    kind = entry.type
    if kind in ("int", "long", "short"):
        return _whole(entry, raw)
    if kind == "double":
        if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
            raise ConfigError("must be a number", _kind(entry))
        try:
            number = float(raw)
        except (ValueError, OverflowError):
            raise ConfigError("must be a number", _kind(entry)) from None
        if number != number or number in (float("inf"), float("-inf")):
            raise ConfigError("must be a finite number", _kind(entry))
        return number
    if kind == "boolean":
        if isinstance(raw, bool):
            return raw
        if isinstance(raw, str) and raw.strip().lower() in ("true", "false"):
            return raw.strip().lower() == "true"
        raise ConfigError("must be true or false", "true, false")
    if kind == "list":
        items = [str(item).strip() for item in raw] if isinstance(raw, (list, tuple)) else str(raw).split(",")
        words = [item.strip() for item in items if item.strip()]
        if entry.name == "partition.assignment.strategy":
            return [_assignor(entry, word) for word in words]
        return words
    if isinstance(raw, (list, tuple)):
        raise ConfigError("must be a single value", _kind(entry))
    text = ("true" if raw else "false") if isinstance(raw, bool) else str(raw)
    return ("all" if text == "-1" else text) if entry.name == "acks" else text


def _whole(entry: ConfigEntry, raw: object) -> int:
    if isinstance(raw, str) and re.fullmatch(r"\s*[-+]?\d{1,20}\s*", raw):
        raw = int(raw)
    if isinstance(raw, float) and raw == int(raw if abs(raw) < 1e18 else 0):
        raise ConfigError(f"must be a whole number: write {int(raw)}", _kind(entry))
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise ConfigError("must be a whole number" + _unit_hint(entry, raw), _kind(entry))
    limit = _LIMITS[entry.type]
    if not -limit - 1 <= raw <= limit:
        raise ConfigError(f"does not fit Kafka's type {entry.type}", f"{-limit - 1} to {limit}")
    return raw


def _unit_hint(entry: ConfigEntry, raw: object) -> str:
    """What to write for ``10ms``: under ``config`` Kafka defines the unit."""
    if not isinstance(raw, str):
        return ""
    try:
        if entry.unit in _UNIT_SECONDS:
            number = parse_duration(raw) * _UNIT_SECONDS[entry.unit]
        elif entry.unit == "B":
            number = float(parse_size(raw))
        else:
            return ""
    except UnitError:
        return ""
    whole = f": write {round(number)}" if abs(number - round(number)) < 1e-9 else ""
    return f", its unit is {entry.unit}{whole}"


def _assignor(entry: ConfigEntry, word: str) -> str:
    short = ASSIGNORS.get(word.rpartition(".")[2], word)
    if short not in ASSIGNORS.values():
        names = tuple(ASSIGNORS.values())
        raise ConfigError("is not an assignor of Kafka", ", ".join(names) + ", or Kafka's class name", names)
    return short


def _check_range(entry: ConfigEntry, value: ConfigValue) -> None:
    valid = entry.valid
    if not valid or value is None:
        return
    limits = _RANGE.fullmatch(valid)
    if limits and isinstance(value, (int, float)):
        low, high, besides = limits[1], limits[2], limits[3]
        if besides and value == int(besides):
            return
        if (low and value < float(low)) or (high and value > float(high)):
            raise ConfigError("is out of range", valid)
        return
    if valid == "non-empty string" and value == "":
        raise ConfigError("must not be empty", valid)
    choice = _CHOICE.fullmatch(valid)
    if choice and entry.type in ("string", "list") and ":" not in valid:
        names = tuple(word.strip() for word in choice[2].split(","))
        for word in value if isinstance(value, list) else [str(value)]:
            known = [name.lower() for name in names] if choice[1] else list(names)
            if (word.lower() if choice[1] else word) not in known:
                raise ConfigError("is not one of its values", ", ".join(names), names)
