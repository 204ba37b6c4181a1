"""Pixel operations: what a camera, a scanner, a printer or a codec does to an image without moving anything in it.

An operation is a class: a pydantic model of its parameters with one method. Users add their own with

    @pixel_op("dim")
    class Dim(PixelOp):
        \"\"\"Darkens by a factor.\"\"\"

        factor: ShareRange = (0.5, 0.9)

        def apply(self, image: Image, rng: np.random.Generator) -> Image:
            return (image * draw(self.factor, rng)).astype(np.uint8)

and name it in a recipe like any other.
"""

from __future__ import annotations

import difflib
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from augment.errors import ScriptoriumError, refusal

Image: TypeAlias = NDArray[np.uint8]


def ordered(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    """The range itself; for the annotation of other ranges. ValueError where it goes from high to low."""
    if pair[0] > pair[1]:
        raise ValueError(f"a range goes from low to high, not {list(pair)}")
    return pair


_Share = Annotated[float, Field(ge=0, le=1)]
_Positive = Annotated[float, Field(gt=0)]
_Length = Annotated[float, Field(ge=0)]
_Quality = Annotated[int, Field(ge=1, le=100)]
_Count = Annotated[int, Field(ge=0)]

Share: TypeAlias = _Share
Range: TypeAlias = Annotated[tuple[float, float], AfterValidator(ordered)]
ShareRange: TypeAlias = Annotated[tuple[_Share, _Share], AfterValidator(ordered)]
PositiveRange: TypeAlias = Annotated[tuple[_Positive, _Positive], AfterValidator(ordered)]
LengthRange: TypeAlias = Annotated[tuple[_Length, _Length], AfterValidator(ordered)]
QualityRange: TypeAlias = Annotated[tuple[_Quality, _Quality], AfterValidator(ordered)]
CountRange: TypeAlias = Annotated[tuple[_Count, _Count], AfterValidator(ordered)]


class PixelOpError(ScriptoriumError, ValueError):
    """An operation or a parameter that cannot be used; also a ValueError, so that a recipe's validators report it."""


class PixelOp(BaseModel, ABC):
    """Base of all pixel operations: their parameters, strict and frozen; ranges are (low, high) pairs.

    Attributes:
        name: the name in recipes, set by `pixel_op`.
        p: how often `Degrade` applies the operation, 0 to 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)
    name: ClassVar[str]

    p: Share = 0.3

    @abstractmethod
    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Return a changed copy of `image` (`uint8`, height × width × 3, BGR), which stays as it is."""


Op = TypeVar("Op", bound=type[PixelOp])

_registry: dict[str, type[PixelOp]] = {}


def pixel_op(name: str) -> Callable[[Op], Op]:
    """Class decorator: make a `PixelOp` known to recipes under `name`.

    Raises:
        ValueError: another class has that name already.
    """

    def register(op: Op) -> Op:
        if name in _registry:
            raise ValueError(f"pixel operation {name!r} is {_registry[name].__qualname__} already")
        op.name = name
        _registry[name] = op
        return op

    return register


def known_ops() -> Mapping[str, type[PixelOp]]:
    """All operations by name: the built-in ones and those that users registered."""
    _register_builtin()
    return _registry


@functools.cache
def _register_builtin() -> None:
    # These modules register themselves, and import this one.
    import augment.albumentations_plugin
    import augment.ops_camera
    import augment.ops_light
    import augment.ops_paper  # noqa: F401


def nearest(word: str, known: Sequence[str]) -> str:
    """A hint for whoever misspelt `word`: the closest of `known`, or all of them."""
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


Parameters = TypeVar("Parameters", bound=BaseModel)


def read_parameters(model: type[Parameters], values: Any, where: str) -> Parameters:
    """Make a model from plain data; `where` begins the message.

    Raises:
        PixelOpError: an unknown parameter (the nearest is named), or a value out of its range.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in (where, *first["loc"]))
        if first["type"] == "extra_forbidden":
            remedy = f"no such parameter; {nearest(str(first['loc'][-1]), list(model.model_fields))}"
        else:
            remedy = refusal(first)
        raise PixelOpError(f"{key}: {remedy}") from error


def parse_ops(mapping: Mapping[str, Any]) -> tuple[PixelOp, ...]:
    """Make operations from `{name: {parameter: value}}`, in order; `{name: null}` takes the defaults.

    Raises:
        PixelOpError: an unknown operation or parameter (the nearest is named), or a value out of its range.
    """
    ops = []
    for name, parameters in mapping.items():
        op = known_ops().get(name)
        if op is None:
            raise PixelOpError(f"{name}: no such pixel operation; {nearest(str(name), sorted(known_ops()))}")
        ops.append(read_parameters(op, {} if parameters is None else parameters, name))
    return tuple(ops)


def dump_ops(ops: Sequence[PixelOp]) -> dict[str, dict[str, Any]]:
    """The mapping, of plain YAML and JSON values, from which `parse_ops` makes these operations."""
    return {op.name: op.model_dump(mode="json") for op in ops}


class Degrade:
    """Applies operations in order, each as often as its `p` says.

    Args:
        ops: operations, or the mapping that `parse_ops` takes.

    Raises:
        PixelOpError: as `parse_ops`.
    """

    def __init__(self, ops: Sequence[PixelOp] | Mapping[str, Any]) -> None:
        self.ops = parse_ops(ops) if isinstance(ops, Mapping) else tuple(ops)
        self._steps = tuple((op.p, op.apply) for op in self.ops)

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Degrade `image` (`uint8`, height × width × 3, BGR), which stays as it is.

        One draw decides about each operation, and only the chosen ones draw more. Where none is chosen the result is
        `image` itself.
        """
        for p, apply in self._steps:
            if rng.random() < p:
                image = apply(image, rng)
        return image

    def chosen(self, rng: np.random.Generator) -> list[int]:
        """The numbers of the operations that one image gets, for those who apply them one by one to many images."""
        return [
            k
            for k, (share, (p, _)) in enumerate(zip(rng.random(len(self.ops)).tolist(), self._steps, strict=True))
            if share < p
        ]


def draw(pair: tuple[float, float], rng: np.random.Generator) -> float:
    """One uniform draw from a range."""
    return pair[0] + (pair[1] - pair[0]) * rng.random()


def draw_whole(pair: tuple[int, int], rng: np.random.Generator) -> int:
    """One uniform draw of a whole number, both ends included."""
    return pair[0] + int(rng.random() * (pair[1] - pair[0] + 1))
