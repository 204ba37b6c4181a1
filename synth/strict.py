"""Strict configuration: YAML in which nothing is dropped; errors name the file, the key and the nearest right one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from augment.errors import ScriptoriumError, refusal


class ConfigError(ScriptoriumError):
    """A recipe or configuration that cannot be used; names the file and the key."""


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once: of two, one would be dropped silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep)
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key} stands here twice", key_node.start_mark)
            seen.add(key)
        return mapping


def parse_yaml(text: str, where: str) -> Any:
    """Plain data from YAML; `where` begins the message of the ConfigError for what is none, or names a key twice."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark and "\n" in text else ""
        raise ConfigError(f"{where}: {line}not YAML: {error.problem}") from None
    # Dates that do not exist, characters that YAML forbids, brackets by the thousand.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not YAML: {' '.join(str(error).split())}") from None


def set_key(values: dict[str, Any], key: tuple[str, ...], value: Any, where: str) -> None:
    """Set a value below sections, making those that are not there. Raises ConfigError where one is a value."""
    for depth, part in enumerate(key[:-1]):
        below = values.setdefault(part, {})
        if not isinstance(below, dict):
            raise ConfigError(f"{where}: {'.'.join(key[: depth + 1])} is a value, not a section")
        values = below
    values[key[-1]] = value


def nearest(name: str, names: Sequence[str]) -> str:
    """A hint for whoever misspelt `name`: the closest of `names`, or all of them."""
    near = difflib.get_close_matches(name, names, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else f" (there are: {', '.join(names)})"


def explain(error: ValidationError, where: str, model: type[BaseModel]) -> str:
    """What is wrong with data that `model` refused, on one line, beginning with `where`; the first three problems."""
    problems = error.errors()
    parts = [_problem(model, problem) for problem in problems[:3]]
    more = len(problems) - len(parts)
    return f"{where}: " + "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def _problem(model: type[BaseModel], problem: ErrorDetails) -> str:
    """What is wrong, beginning with the path of the key."""
    kind, message = problem["type"], problem["msg"]
    location, at = _followed(model, problem["loc"])
    path = [str(part) for part in location]
    if path[-1:] == ["[key]"]:
        known = re.findall("'([^']*)'", problem.get("ctx", {}).get("expected", ""))
        return f"{'.'.join(path[:-1])}: unknown key{nearest(path[-2], known)}"
    if kind == "missing" and isinstance(location[-1], int):
        return f"{'.'.join(path[:-1])}: has too few values, {problem['input']!r}"
    key = ".".join(path)
    if kind == "extra_forbidden":
        return f"{key}: unknown key{nearest(path[-1], list(at.model_fields) if at else [])}"
    if kind == "value_error":
        # Of a value's own validator, or, with the rest of the path before a colon, of one that looks at several.
        below = "." if location in (("degrade",), ("background",), ("styles",)) else ": " if location else ""
        return key + below + message.removeprefix("Value error, ")
    return f"{key}: {refusal(problem)}"


def _followed(
    model: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[tuple[int | str, ...], type[BaseModel] | None]:
    """A location without the tags that tell the members of a union apart, and the model that its last key is of."""
    members, at, path = [model], model, []
    for part in location:
        tags = [getattr(member.model_fields.get("name"), "default", None) for member in members]
        tagged = [member for member, tag in zip(members, tags, strict=True) if len(members) > 1 and tag == part]
        if tagged:
            members = tagged
            continue
        path.append(part)
        if isinstance(part, int):
            continue
        if not members:
            return location, None
        at = members[0]
        field = at.model_fields.get(part)
        members = _models(field.annotation) if field else []
    return tuple(path), at


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The model in an annotation, or, of a union, the models."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = [a for a in get_args(annotation) if a is not Ellipsis]
    found = [model for a in inner for model in _models(a)]
    return found if isinstance(annotation, UnionType) or get_origin(annotation) is Union else found[:1]
