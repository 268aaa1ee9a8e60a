"""The JSON Schema of scenario files, for editors: names, units and every config with its type and default.

Editors with a YAML language server complete and check a scenario that begins with
``# yaml-language-server: $schema=kafkasim.schema.json``.
"""

from __future__ import annotations

from typing import Any

from kafkasim.scenario.catalogue import REQUIRED, ConfigEntry, catalogue
from kafkasim.scenario.schema import ScenarioFile
from kafkasim.scenario.versions import LATEST

_SIDES = {
    "Brokers": "broker", "BrokerOverrides": "broker", "ZooKeeper": "zookeeper", "Topic": "topic",
    "Producer": "producer", "Consumer": "consumer",
}  # fmt: skip
_TYPES: dict[str, list[str]] = {
    "int": ["integer", "string"], "long": ["integer", "string"], "short": ["integer", "string"],
    "double": ["number", "string"], "boolean": ["boolean", "string"], "list": ["array", "string"],
}  # fmt: skip


def json_schema() -> dict[str, Any]:
    """The schema of draft 2020-12."""
    schema: dict[str, Any] = ScenarioFile.model_json_schema(by_alias=True)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "kafkasim scenario", **schema}
    definitions: dict[str, Any] = schema["$defs"]
    for side in sorted(set(_SIDES.values())):
        definitions[f"config_{side}"] = _config_schema(side)
    for model, side in _SIDES.items():
        where = definitions[model]
        where = where if "properties" in where else where["anyOf"][-1]
        where["properties"]["config"] = {"$ref": f"#/$defs/config_{side}"}
    # A broker's own configs may stand beside its host and rack.
    own = definitions["BrokerOverrides"]["properties"]
    own.update((name, entry) for name, entry in definitions["config_broker"]["properties"].items() if name not in own)
    definitions["Event"]["oneOf"] = [{"required": ["at"]}, {"required": ["when"]}]
    _tidy(schema)
    schema["required"] = ["name"] + [name for name in schema["required"] if name not in ("name", "duration", "cluster")]
    schema["anyOf"] = [{"required": ["extends"]}, {"required": ["duration", "cluster"]}]
    return schema


def _config_schema(side: str) -> dict[str, Any]:
    entries = catalogue(side).values()
    return {
        "type": ["object", "null"],
        "description": f"Configs of a {side}, by Kafka's names and in Kafka's units.",
        "additionalProperties": False,
        "properties": {entry.name: _entry_schema(entry) for entry in entries},
    }


def _entry_schema(entry: ConfigEntry) -> dict[str, Any]:
    default = entry.default_text(LATEST)
    words = [f"in {entry.unit}" if entry.unit else "", f"default {default}" if default not in ("", REQUIRED) else ""]
    words += [f"valid {entry.valid}" if entry.valid else "", f"{entry.status}: {entry.note}" if entry.note else ""]
    kinds = [*_TYPES.get(entry.type, ["string", "integer", "number", "boolean"]), "null"]
    return {"type": kinds, "description": "; ".join(word for word in words if word)}


def _tidy(part: Any) -> None:
    """Takes out defaults in SI units (descriptions give them with their unit), and allows an empty section."""
    if isinstance(part, dict):
        if isinstance(part.get("properties"), dict):
            for field in part["properties"].values():
                if isinstance(field, dict) and isinstance(field.get("default"), float | int | dict):
                    keep = field.get("type") in ("integer", "boolean")
                    if not keep:
                        field.pop("default")
        for inner in part.values():
            _tidy(inner)
    elif isinstance(part, list):
        for inner in part:
            _tidy(inner)
