"""Field types of the scenario's schema: quantities with units, names, and values that are a name or a mapping."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from kafkasim.scenario import units

CUSTOM = "kafkasim"
"""Type of the errors that our own validators raise; their context may hold ``allowed``, ``nearest``."""


class Strict(BaseModel):
    """A mapping of the file: unknown names are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


def wrong(message: str, allowed: str = "", nearest: str = "") -> PydanticCustomError:
    """An error of ours; braces in the message are kept as they are."""
    context = {"text": message, "allowed": allowed, "nearest": nearest}
    return PydanticCustomError(CUSTOM, "{text}", context)


def _quantity(parse: Callable[[object], float | int], positive: bool = False) -> BeforeValidator:
    def validate(value: object) -> float | int:
        try:
            number = parse(value)
        except units.UnitError as error:
            raise wrong(str(error), error.allowed) from None
        if positive and not number > 0:
            raise wrong("must be more than nothing", "a positive quantity")
        return number

    return BeforeValidator(validate)


def _shape(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


Duration = Annotated[float, _quantity(units.parse_duration), _shape(units.DURATION_PATTERN, "10ms", "1.5s", "2h30m")]


def _signed_duration(value: object) -> float:
    """A duration with a sign: ``-2h`` is 7200 seconds back."""
    if isinstance(value, str) and value.strip()[:1] in ("-", "+"):
        text = value.strip()
        seconds = units.parse_duration(text[1:])
        return -seconds if text[0] == "-" else seconds
    return units.parse_duration(value)


SignedDuration = Annotated[
    float, _quantity(_signed_duration), _shape("^[-+]?" + units.DURATION_PATTERN.lstrip("^"), "1h", "-30d", "500ms")
]
PositiveDuration = Annotated[
    float, _quantity(units.parse_duration, True), _shape(units.DURATION_PATTERN, "10ms", "1.5s", "2h30m")
]
Size = Annotated[int, _quantity(units.parse_size), _shape(units.SIZE_PATTERN, "280B", "64KiB")]
PositiveSize = Annotated[int, _quantity(units.parse_size, True), _shape(units.SIZE_PATTERN, "280B", "64KiB")]
PositiveRate = Annotated[float, _quantity(units.parse_rate, True), _shape(units.RATE_PATTERN, "50_000/s")]
PositiveByteRate = Annotated[
    float, _quantity(units.parse_byte_rate, True), _shape(units.BYTE_RATE_PATTERN, "200MiB/s", "10Gbit/s")
]
Processing = Annotated[float, _quantity(units.parse_processing), _shape(units.PROCESSING_PATTERN, "20us/record")]
Cost = Annotated[float, _quantity(units.parse_cost), _shape(units.COST_PATTERN, "22us", "1.6ns/B")]


def _id_from_key(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):
        return int(value)
    raise wrong("must be a number from 0 on", "a whole number")


NumberKey = Annotated[int, BeforeValidator(_id_from_key), WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,9}$"})]
"""A number used as a key, such as a partition or a broker id."""

Identifier = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""Name of a producer, a consumer or a host."""
TopicName = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9._-]{1,249}$")]
"""As Kafka accepts it."""
ScenarioName = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
Text = Annotated[str, StringConstraints(strict=True, max_length=20_000)]
BrokerId = Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]
PartitionNumber = Annotated[StrictInt, Field(ge=0, le=10**6)]

ConfigScalar = bool | int | float | str | None
Configs = Annotated[dict[str, Any], Field(default_factory=dict)]
"""Raw configs by Kafka's names; the catalogue checks them."""

CHOICE_PREFIX = "("
"""Tags of unions begin with it, so that they can be told from keys in an error's place."""


def choose(text_tag: str, mapping_tag: str, list_tag: str | None = None) -> Callable[[object], str]:
    """A discriminator: which alternative a value is, by its kind."""

    def tag(value: object) -> str:
        if isinstance(value, (dict, BaseModel)):
            return mapping_tag
        if list_tag is not None and isinstance(value, (list, tuple)):
            return list_tag
        return text_tag

    return tag
