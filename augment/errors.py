"""The one error that people can cause, and how it words what pydantic refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class ScriptoriumError(Exception):
    """Something the user can mend: says what is wrong, where, and what to do, on one line.

    Command lines print it and exit with status 2; anything else that escapes is a bug.
    """


# By pydantic's types of errors; braces name what its `ctx` holds. Whatever is not here has pydantic's own wording.
_WHOLE, _NUMBER, _TRUTH = "should be a whole number", "should be a number", "should be true or false"
_SHOULD_BE = {
    "model_type": "should be a section with keys",
    "dict_type": "should be a mapping",
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "missing": "is missing",
    "string_pattern_mismatch": "should be a BCP 47 tag such as sr or zh-Hant",
    "too_long": "should have {max_length} or fewer values",
    "too_short": "should have {min_length} or more values",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "string_type": "should be text",
    "path_type": "should be the name of a file or folder",
    "greater_than_equal": "should be {ge} or more",
    "greater_than": "should be more than {gt}",
    "less_than_equal": "should be {le} or less",
    "less_than": "should be less than {lt}",
}
_LONG = 60  # characters of a value that is not shown
_YAML: dict[Any, str] = {None: "null", True: "true", False: "false"}


def refusal(problem: ErrorDetails) -> str:
    """Why pydantic refuses a value, to go after its key: `should be a whole number, not 'abc'`."""
    kind, given = problem["type"], problem["input"]
    wording = problem["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if kind in _SHOULD_BE:
        limits = problem.get("ctx", {})
        shortened = {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in limits.items()}
        wording = _SHOULD_BE[kind].format_map(shortened)
    shown = _YAML[given] if given is None or isinstance(given, bool) else repr(given)
    if kind in ("missing", "value_error") or len(shown) >= _LONG:
        return wording
    if kind == "string_type" and isinstance(given, int | float):
        return f'{wording}, not {shown}; put it in quotes: "{shown}"'
    return f"{wording}, not {shown}"
