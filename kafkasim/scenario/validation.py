"""Holds a composed scenario against the schema, and turns what pydantic finds into mistakes with a place."""

from __future__ import annotations

import copy
import types
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from kafkasim.scenario import not_yet
from kafkasim.scenario.errors import listed, nearest
from kafkasim.scenario.fields import CHOICE_PREFIX, CUSTOM
from kafkasim.scenario.paths import Path
from kafkasim.scenario.reporter import Reporter
from kafkasim.scenario.schema import ScenarioFile
from kafkasim.scenario.yaml_reader import plain

_WORDS = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
_STAND_INS: dict[str | int, Any] = {
    "name": "missing", "topic": "missing", "duration": "1d", "cluster": {}, "at": "0s", "latency": "0s", "count": 1,
}  # fmt: skip


def validate(report: Reporter) -> ScenarioFile | None:
    """The scenario as far as it is valid; mistakes go to ``report``.

    With mistakes in it the wrong parts are taken out and the rest is validated again, so that the checks that come
    later still see it. None if nothing useful remains.
    """
    tree = without_nothing(plain(report.root))
    assert isinstance(tree, dict)
    for attempt in range(8):
        try:
            return ScenarioFile.model_validate(tree)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=True)
            if attempt == 0:
                for item in found:
                    _report(report, item)
            tree = copy.deepcopy(tree)
            wrong = {_path(item): item["type"] == "missing" for item in found}
            for path in sorted(wrong, key=_order, reverse=True):
                if not (wrong[path] and _put_in(tree, path)):
                    _take_out(tree, path[:-1] if wrong[path] else path, report)
    return None


def without_nothing(tree: Any, inside_config: bool = False) -> Any:
    """The tree without keys that hold nothing; under ``config`` nothing is a value."""
    if isinstance(tree, dict):
        return {
            key: without_nothing(value, key == "config")
            for key, value in tree.items()
            if inside_config or value is not None
        }
    if isinstance(tree, list):
        return [without_nothing(value) for value in tree]
    return tree


def _path(item: Any) -> Path:
    """The path in the file: without the tags of unions and pydantic's ``[key]``."""
    parts = [p for p in item["loc"] if not (isinstance(p, str) and (p.startswith(CHOICE_PREFIX) or p == "[key]"))]
    return tuple(parts)


def _order(path: Path) -> list[tuple[int, int, str]]:
    return [(0, part, "") if isinstance(part, int) else (1, 0, part) for part in path]


def _step_down(tree: Any, path: Path) -> Any:
    """What stands at the path; None if nothing does."""
    for part in path:
        if isinstance(tree, dict) and str(part) in tree:
            tree = tree[str(part)]
        elif isinstance(tree, list) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
        else:
            return None
    return tree


def _put_in(tree: Any, path: Path) -> bool:
    """Puts a stand-in where something required is missing (which is reported), so that the rest can be checked."""
    if path[-1] not in _STAND_INS:
        return False
    tree = _step_down(tree, path[:-1])
    if isinstance(tree, dict):
        tree[str(path[-1])] = _STAND_INS[path[-1]]
    return isinstance(tree, dict)


def _take_out(tree: Any, path: Path, report: Reporter) -> None:
    """Removes what stands at the path; ``report`` remembers where the remaining members of a list came from."""
    if not path:
        return
    tree = _step_down(tree, path[:-1])
    last = path[-1]
    if isinstance(tree, dict):
        tree.pop(str(last), None)
    elif isinstance(tree, list) and isinstance(last, int) and last < len(tree):
        tree.pop(last)
        if len(path) == 2:
            report.kept(str(path[0])).pop(last)


def _report(report: Reporter, item: Any) -> None:
    kind, path, context = item["type"], _path(item), item.get("ctx") or {}
    at_key = "[key]" in item["loc"]
    if kind == CUSTOM:
        report.wrong(path, context["text"], allowed=context["allowed"], nearest=context["nearest"], at_key=at_key)
    elif kind == "missing":
        report.wrong(path, "is required", allowed=_field_hint(item["loc"]))
    elif kind == "extra_forbidden":
        model = _model_at(item["loc"][:-1])
        word = str(path[-1])
        future = not_yet.NAMES.get(model.__name__, {}).get(word) if model else None
        if future:
            report.wrong(path, f"{future}: not modelled yet", at_key=True)
            return
        names = _names(model) if model else []
        report.wrong(path, "unknown name", word, listed(names, 30), nearest(word, names), at_key=True)
    elif kind in ("literal_error", "enum"):
        value = item.get("input")
        mechanism = not_yet.VALUES.get((str(path[-1]), str(value)))
        if mechanism:
            report.wrong(path, f"{mechanism} is not modelled yet", allowed=_expected(context))
            return
        names = [name.strip("'") for name in _expected(context).split(", ")]
        report.wrong(path, "is not one of its values", allowed=", ".join(names), nearest=nearest(value, names))
    else:
        report.wrong(path, _WORDS.get(kind) or _limits(kind, context, item), at_key=at_key)


def _expected(context: dict[str, Any]) -> str:
    return str(context.get("expected", "")).replace(" or ", ", ")


def _limits(kind: str, context: dict[str, Any], item: Any) -> str:
    match kind:
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "greater_than":
            return f"must be more than {context['gt']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "too_short":
            return f"must have at least {context['min_length']} members"
        case "too_long":
            return f"must have at most {context['max_length']} members"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case "string_pattern_mismatch":
            first = "a letter or digit"
            lower = "a-z0-9" if "A-Z" not in context["pattern"] else "A-Za-z0-9"
            most = "249" if "249" in context["pattern"] else "100"
            return f"is not a name: 1 to {most} of {lower} . _ - that begin with {first}"
    return str(item["msg"]).lower()


def _field_hint(loc: tuple[int | str, ...]) -> str:
    model = _model_at(loc[:-1])
    if model is None:
        return ""
    for name, info in model.model_fields.items():
        if (info.alias or name) == loc[-1] and info.description:
            return info.description
    return ""


def _names(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _model_at(loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The schema's model of the mapping at this place."""
    kind: Any = ScenarioFile
    for part in loc:
        if isinstance(part, str) and (part.startswith(CHOICE_PREFIX) or part == "[key]"):
            continue
        kinds = _alternatives(kind)
        step: Any = None
        for option in kinds:
            if isinstance(option, type) and issubclass(option, BaseModel):
                for name, info in option.model_fields.items():
                    if (info.alias or name) == part:
                        step = info.annotation
            elif get_origin(option) is list:
                step = get_args(option)[0]
            elif get_origin(option) is dict:
                step = get_args(option)[1]
        if step is None:
            return None
        kind = step
    models = [k for k in _alternatives(kind) if isinstance(k, type) and issubclass(k, BaseModel)]
    return models[0] if models else None


def _alternatives(kind: Any) -> list[Any]:
    """The members of unions, without their annotations."""
    if hasattr(kind, "__metadata__"):
        return _alternatives(kind.__origin__)
    if get_origin(kind) in (Union, types.UnionType):
        return [inner for member in get_args(kind) for inner in _alternatives(member)]
    return [kind]
