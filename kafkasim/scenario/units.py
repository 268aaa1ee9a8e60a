"""Quantities with units: what a scenario writes, turned into SI numbers, and back.

=========== =============================================== ======================
kind        written                                         becomes
=========== =============================================== ======================
duration    ``250us``, ``10ms``, ``1.5s``, ``2h30m``, ``1d`` seconds
size        ``280B``, ``64KiB``, ``1MB``                    bytes (a whole number)
rate        ``50_000/s``, ``6/min``                         records per second
byte rate   ``200MiB/s``, ``1Gbit/s``                       bytes per second
processing  ``20us/record``                                 seconds per record
cost        ``1.6ns/B`` or ``1.6ns``                        seconds per byte
=========== =============================================== ======================

``k M G T`` are powers of 1000, ``Ki Mi Gi Ti`` of 1024; ``B`` is a byte and ``bit`` a bit, always spelled out. A bare
number is refused: only under ``config:``, where Kafka itself defines the unit, does a number stand alone. Sums are
made with exact fractions, so that ``0.1ms`` is the float nearest to a ten-thousandth of a second.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction

_NUMBER = r"(?:[0-9][0-9_]*(?:\.[0-9]+)?)"
_TIME_UNITS: dict[str, Fraction] = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "μs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "sec": Fraction(1),
    "m": Fraction(60),
    "min": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
_TIME_ORDER = ("d", "h", "min", "s", "ms", "us", "ns")
_PREFIXES: dict[str, int] = {
    "": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_PER: dict[str, int] = {"s": 1, "sec": 1, "min": 60, "h": 3600}

DURATION_PATTERN = r"^\s*(?:[0-9][0-9_]*(?:\.[0-9]+)?\s*(?:ns|us|µs|μs|ms|sec|s|min|m|h|d)\s*)+$"
SIZE_PATTERN = r"^\s*[0-9][0-9_]*(?:\.[0-9]+)?\s*(?:k|K|M|G|T|Ki|Mi|Gi|Ti)?B\s*$"
RATE_PATTERN = r"^\s*[0-9][0-9_]*(?:\.[0-9]+)?\s*[kM]?\s*/\s*(?:s|sec|min|h)\s*$"
BYTE_RATE_PATTERN = r"^\s*[0-9][0-9_]*(?:\.[0-9]+)?\s*(?:k|K|M|G|T|Ki|Mi|Gi|Ti)?(?:B|bit)\s*/\s*s\s*$"
PROCESSING_PATTERN = DURATION_PATTERN[:-1] + r"/\s*record\s*$"
COST_PATTERN = DURATION_PATTERN[:-1] + r"(?:/\s*(?:B|record|partition|request|follower)\s*)?$"

_TIME_PART = re.compile(rf"\s*({_NUMBER})\s*([a-zµμ]+)")
_SIZE = re.compile(rf"({_NUMBER})\s*([kKMGT]i?)?B")
_RATE = re.compile(rf"({_NUMBER})\s*([kM])?\s*/\s*(sec|s|min|h)")
_BYTE_RATE = re.compile(rf"({_NUMBER})\s*([kKMGT]i?)?(B|bit)\s*/\s*s")
_LONGEST = 64


class UnitError(ValueError):
    """A quantity that cannot be read; ``allowed`` says what could be written instead."""

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed


def _number(text: str) -> Fraction:
    return Fraction(text.replace("_", ""))


def _text(value: object, what: str, allowed: str, hints: tuple[str, ...]) -> str:
    """The stripped text of a quantity; bare and not-finite numbers are refused here."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UnitError(f"{what} is expected", allowed)
    if isinstance(value, float) and not math.isfinite(value):
        raise UnitError(f"{what} must be a finite number with a unit", allowed)
    text = str(value).strip()
    if len(text) > _LONGEST:
        raise UnitError(f"{what} is expected, in fewer than {_LONGEST} characters", allowed)
    if text.lower().lstrip("+-.") in ("nan", "inf", "infinity"):
        raise UnitError(f"{what} must be a finite number with a unit", allowed)
    if re.fullmatch(rf"[-+]?{_NUMBER}", text):
        options = " or ".join(f"{text.lstrip('+')}{hint}" for hint in hints)
        raise UnitError(f"{what} needs a unit: write {options}", allowed)
    if text.startswith("-"):
        raise UnitError(f"{what} cannot be negative", allowed)
    return text


def _finite(value: Fraction, what: str, allowed: str) -> float:
    if value > 10**18:
        raise UnitError(f"{what} is out of all proportion", allowed)
    return float(value)


_DURATION_FORMS = "a number with ns, us, ms, s, min, h or d, such as 10ms, 1.5s or 2h30m"


def _duration(text: str, what: str, allowed: str) -> Fraction:
    if not text:
        raise UnitError(f"{what} is expected", allowed)
    total, place, previous = Fraction(0), 0, None
    while place < len(text):
        part = _TIME_PART.match(text, place)
        if not part:
            raise UnitError(f"{what} is expected", allowed)
        unit = _TIME_UNITS.get(part[2])
        if unit is None:
            raise UnitError(f"'{part[2]}' is not a unit of time", allowed)
        if previous is not None and unit >= previous:
            raise UnitError(f"the parts of {what} go from the largest unit to the smallest", allowed)
        total, place, previous = total + _number(part[1]) * unit, part.end(), unit
    return total


def parse_duration(value: object) -> float:
    """``1m30s`` → 90.0 seconds."""
    text = _text(value, "a duration", _DURATION_FORMS, ("ms", "s"))
    return _finite(_duration(text, "a duration", _DURATION_FORMS), "a duration", _DURATION_FORMS)


def parse_size(value: object) -> int:
    """``64KiB`` → 65536 bytes."""
    allowed = "a number with B, kB, KiB, MB, MiB, GB or GiB, such as 280B or 64KiB"
    text = _text(value, "a size in bytes", allowed, ("B", "KiB"))
    found = _SIZE.fullmatch(text)
    if not found:
        raise UnitError("a size in bytes is expected", allowed)
    size = _number(found[1]) * _PREFIXES[found[2] or ""]
    if size.denominator != 1:
        raise UnitError("a size must be a whole number of bytes", allowed)
    _finite(size, "a size", allowed)
    return int(size)


def parse_rate(value: object) -> float:
    """``50_000/s`` → 50000.0 records per second."""
    allowed = "a number of records with /s, /min or /h, such as 50_000/s"
    text = _text(value, "a rate", allowed, ("/s", "/min"))
    found = _RATE.fullmatch(text)
    if not found:
        raise UnitError("a rate is expected", allowed)
    return _finite(_number(found[1]) * _PREFIXES[found[2] or ""] / _PER[found[3]], "a rate", allowed)


def parse_byte_rate(value: object) -> float:
    """``1Gbit/s`` → 125000000.0 bytes per second."""
    allowed = "a number with B/s, MB/s, MiB/s, Mbit/s or Gbit/s, such as 200MiB/s or 10Gbit/s"
    text = _text(value, "a rate of bytes", allowed, ("MB/s", "Mbit/s"))
    found = _BYTE_RATE.fullmatch(text)
    if not found:
        raise UnitError("a rate of bytes is expected", allowed)
    rate = _number(found[1]) * _PREFIXES[found[2] or ""] / (8 if found[3] == "bit" else 1)
    return _finite(rate, "a rate of bytes", allowed)


def parse_processing(value: object) -> float:
    """``20us/record`` → 0.00002 seconds per record."""
    allowed = "a duration per record, such as 20us/record"
    text = _text(value, "a processing time", allowed, ("us/record", "ms/record"))
    time, slash, per = text.partition("/")
    if not slash or per.strip() != "record" or not time.strip():
        raise UnitError("a processing time is written per record", allowed)
    return _finite(_duration(time.strip(), "a processing time", allowed), "a processing time", allowed)


def parse_cost(value: object) -> float:
    """``1.6ns/B`` or ``22us`` → seconds; what it is per (``/B``, ``/record`` …) may be written or left out."""
    allowed = "a duration, such as 22us or 1.6ns/B"
    text = _text(value, "a cost", allowed, ("us", "ns"))
    time, slash, per = text.partition("/")
    if (slash and per.strip() not in ("B", "record", "partition", "request", "follower")) or not time.strip():
        raise UnitError("a cost is a duration", allowed)
    return _finite(_duration(time.strip(), "a cost", allowed), "a cost", allowed)


def _plain(value: Fraction) -> str | None:
    """A decimal without exponent if the fraction has one of at most 30 digits; else None."""
    for digits in range(31):
        scaled = value * 10**digits
        if scaled.denominator == 1:
            text = str(scaled.numerator).rjust(digits + 1, "0")
            return text if not digits else f"{text[:-digits]}.{text[-digits:]}"
    return None


def _written(value: float, unit: Callable[[str], str], scale: Fraction = Fraction(1)) -> str:
    exact = Fraction(repr(float(value))) if math.isfinite(value) else Fraction(0)
    text = _plain(exact / scale)
    if text is None:
        text = _plain(Fraction(repr(float(exact / scale)))) or "0"
    return unit(text)


def format_duration(seconds: float) -> str:
    """The shortest single-unit form, such as ``10ms``; :func:`parse_duration` reads the same float back."""
    if seconds == 0:
        return "0s"
    exact = Fraction(repr(float(seconds)))
    best: str | None = None
    for name in _TIME_ORDER:
        text = _plain(exact / _TIME_UNITS[name])
        if text is not None and (best is None or len(text) + len(name) < len(best)):
            best = text + name
    return best if best is not None and len(best) < _LONGEST else f"{float(seconds):.9f}s"


def format_size(size: int) -> str:
    """``65536`` → ``64KiB``; whole multiples only, so that it reads back exactly."""
    for prefix in ("Ti", "Gi", "Mi", "Ki", "T", "G", "M", "k"):
        if size and size % _PREFIXES[prefix] == 0:
            return f"{size // _PREFIXES[prefix]}{prefix}B"
    return f"{size}B"


def format_rate(per_second: float) -> str:
    """``50000.0`` → ``50000/s``."""
    return _written(per_second, lambda text: f"{text}/s")


def format_byte_rate(per_second: float) -> str:
    """``125000000.0`` → ``125000000B/s``."""
    return _written(per_second, lambda text: f"{text}B/s")


def format_processing(seconds: float) -> str:
    """``0.00002`` → ``20us/record``."""
    return f"{format_duration(seconds)}/record"
