"""Augmentation of word and line crops while a recogniser is trained, as PaddleOCR's RecAug does it.

An operation is a class: a pydantic model of its parameters that is called with an image. Add your own with

    @operation("rain")
    class Rain(Operation):
        \"\"\"Bright streaks.\"\"\"

        drops: CountRange = (3, 12)

        def __call__(self, image: Image, rng: np.random.Generator) -> Image:
            ...

and name it in a configuration: `augment: {rain: {p: 0.1}}`. The pixel operations of recipes (`augment.pixel`) are known
here under their names as well. docs/augment.md shows all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, ClassVar, Final, TypeAlias, TypeVar

import cv2
import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from augment.geometry import Warp, borders, quad, stretch, translation
from augment.pixel import (
    Image,
    LengthRange,
    PixelOp,
    PixelOpError,
    Share,
    draw,
    draw_whole,
    known_ops,
    nearest,
    ordered,
    read_parameters,
)

ENTRY_POINTS: Final = "scriptorium.augmentations"
"""The entry point group under which packages announce operations: the name, and the class or its module."""

_RESERVED: Final = frozenset({"p", "join"})  # keys that are no operations
_LONGEST: Final = 32766  # px that OpenCV's warps can take

_Segments = Annotated[int, Field(ge=1, le=64)]
_Gentle = Annotated[float, Field(ge=0, le=0.3)]
_Mild = Annotated[float, Field(ge=0, le=0.4)]
_Below1 = Annotated[float, Field(ge=0, le=0.9)]
_Factor = Annotated[float, Field(ge=0.25, le=4)]
SegmentRange: TypeAlias = Annotated[tuple[_Segments, _Segments], AfterValidator(ordered)]
GentleRange: TypeAlias = Annotated[tuple[_Gentle, _Gentle], AfterValidator(ordered)]
MildRange: TypeAlias = Annotated[tuple[_Mild, _Mild], AfterValidator(ordered)]
Below1Range: TypeAlias = Annotated[tuple[_Below1, _Below1], AfterValidator(ordered)]
FactorRange: TypeAlias = Annotated[tuple[_Factor, _Factor], AfterValidator(ordered)]


class Operation(BaseModel, ABC):
    """Base of operations on training images: their parameters, strict and frozen; ranges are (low, high) pairs.

    Attributes:
        name: the name in configurations, set by `operation`.
        p: how often an image that is augmented at all gets the operation, 0 to 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)
    name: ClassVar[str]

    p: Share = 0.1

    @abstractmethod
    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Return a changed copy of `image` (`uint8`, height × width × 3, BGR), which stays as it is.

        The result may be of another size. It depends on nothing but the parameters, the image and `rng`.
        """


class Geometric(Operation):
    """An operation that moves things: those of one image are joined into one map, and the image is sampled once."""

    @abstractmethod
    def warp(self, width: int, height: int, rng: np.random.Generator) -> tuple[Warp, int]:
        """The map for an image of `width` × `height` pixels, and the width of the result, which keeps the height."""

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Warp the image alone."""
        height, width = image.shape[:2]
        warp, wide = self.warp(width, height, rng)
        return _sampled(image, warp, wide)


_IN_RING: Final = translation(-1.0, -1.0)


def _sampled(image: Image, warp: Warp, width: int) -> Image:
    """The warped image, of `width` pixels and its own height.

    What lies outside the image has the colours of its edge averaged over a length of its height: strokes that touch the
    edge do not grow into bars.
    """
    height = image.shape[0]
    ring = np.asarray(cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REPLICATE), np.uint8)
    reach = height | 1
    for edge, size in (
        (ring[:1], (reach, 1)),
        (ring[-1:], (reach, 1)),
        (ring[:, :1], (1, reach)),
        (ring[:, -1:], (1, reach)),
    ):
        edge[...] = np.asarray(cv2.blur(edge, size, borderType=cv2.BORDER_REPLICATE)).reshape(edge.shape)
    return np.asarray(_IN_RING.then(warp).apply(ring, (width, height)), np.uint8)


Op = TypeVar("Op", bound=type[Operation])

_registry: dict[str, type[Operation]] = {}


def operation(name: str) -> Callable[[Op], Op]:
    """Class decorator: make an `Operation` known to configurations under `name`.

    Raises:
        ValueError: another operation has that name already.
    """

    def register(op: Op) -> Op:
        taken = _registry.get(name) or known_ops().get(name)
        # A cell of a notebook that is run again defines the same class again.
        if taken is not None and (taken.__module__, taken.__qualname__) != (op.__module__, op.__qualname__):
            raise ValueError(f"operation {name!r} is {taken.__qualname__} already")
        if name in _RESERVED:
            raise ValueError(f"{name!r} is a key of the section itself; give the operation another name")
        op.name = name
        _registry[name] = op
        return op

    return register


@operation("distort")
class Distort(Geometric):
    """Moves control points on the top and bottom borders, each for itself (Luo et al., "Learn to Augment", 2020).

    Attributes:
        segments: control points on each border, less one; never closer than 8 px.
        strength: longest way of a control point, as a share of their distance (across: of the height at most).
    """

    p: Share = 0.3
    segments: SegmentRange = (3, 6)
    strength: GentleRange = (0.05, 0.2)

    def warp(self, width: int, height: int, rng: np.random.Generator) -> tuple[Warp, int]:
        """Draw the control points' displacements."""
        segments = _segments(self.segments, width, rng)
        cell = width / segments
        strength = draw(self.strength, rng)
        moves = rng.random((2, segments + 1, 2))
        moves *= 2.0
        moves -= 1.0
        # Outwards letters would be cut off: the ends do not move there at all, the others half as far as inwards.
        moves[:, 0, 0] = abs(moves[:, 0, 0])
        moves[:, -1, 0] = -abs(moves[:, -1, 0])
        moves[:, :, 1] *= 0.75
        moves[0, :, 1] += 0.25
        moves[1, :, 1] -= 0.25
        moves *= (strength * cell, strength * min(cell, height))
        return borders(width, height, moves[0], moves[1]), width


@operation("stretch")
class Stretch(Geometric):
    """Makes parts of the text wider and others narrower, and the whole longer or shorter.

    Attributes:
        segments: parts; never narrower than 8 px.
        strength: how far the bounds between parts move, as a share of the widest move without overlap.
        length: factor of the whole image's width.
    """

    p: Share = 0.3
    segments: SegmentRange = (3, 6)
    strength: Below1Range = (0.1, 0.5)
    length: FactorRange = (0.85, 1.2)

    def warp(self, width: int, height: int, rng: np.random.Generator) -> tuple[Warp, int]:
        """Draw the bounds' displacements."""
        segments = _segments(self.segments, width, rng)
        wide = max(1, round(width * draw(self.length, rng)))
        source = np.arange(segments + 1) / segments
        target = source.copy()
        target[1:-1] += (rng.random(segments - 1) - 0.5) * (draw(self.strength, rng) / segments)
        return stretch(source * width, target * wide), wide


@operation("perspective")
class Perspective(Geometric):
    """Sees the text obliquely: the four corners move inwards.

    Attributes:
        strength: longest way of a corner up or down, as a share of the height; to the side it is half of that.
    """

    p: Share = 0.3
    strength: MildRange = (0.03, 0.2)

    def warp(self, width: int, height: int, rng: np.random.Generator) -> tuple[Warp, int]:
        """Draw the corners."""
        down = draw(self.strength, rng) * height
        aside = 0.5 * down * min(1.0, width / height)
        a, b, c, d, e, f, g, h = rng.random(8).tolist()
        corners = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
        moved = (
            (a * aside, b * down),
            (width - c * aside, d * down),
            (width - e * aside, height - f * down),
            (g * aside, height - h * down),
        )
        return quad(corners, moved), width


def _segments(pair: tuple[int, int], width: int, rng: np.random.Generator) -> int:
    return min(draw_whole(pair, rng), max(1, width // 8))


@operation("crop")
class Crop(Operation):
    """Cuts off a few rows and columns, as a detector does that does not meet the text exactly.

    Attributes:
        rows: cut at the top and at the bottom, each drawn for itself, as a share of the height.
        columns: cut at the left and at the right, each drawn for itself, as a share of the height.
    """

    p: Share = 0.3
    rows: MildRange = (0.0, 0.08)
    columns: MildRange = (0.0, 0.06)

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Cut; a view of the image."""
        height, width = image.shape[:2]
        side = min(height, width)
        top, bottom = int(draw(self.rows, rng) * height), int(draw(self.rows, rng) * height)
        left, right = int(draw(self.columns, rng) * side), int(draw(self.columns, rng) * side)
        return image[top : height - bottom, left : width - right]


class Join(BaseModel):
    """Joined samples, as PaddleOCR's RecConAug: several images side by side, their labels joined likewise.

    Attributes:
        p: how often a sample is joined with another.
        space: a space stands between the labels.
        gap: between the images, in units of the height; None: 0.25 to 0.6 with a space, else 0 to 0.1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    p: Share = 0.0
    space: bool = True
    gap: LengthRange | None = None

    @property
    def separator(self) -> str:
        """What stands between the labels."""
        return " " if self.space else ""

    def __call__(self, images: Sequence[Image], rng: np.random.Generator) -> Image:
        """Join images from left to right: see `join_images`."""
        return join_images(images, rng, self.gap or ((0.25, 0.6) if self.space else (0.0, 0.1)))


def join_images(images: Sequence[Image], rng: np.random.Generator, gap: tuple[float, float] = (0.25, 0.6)) -> Image:
    """Put images side by side, from left to right; those of right-to-left texts come last first.

    Args:
        images: `uint8`, height × width or height × width × 3; one at least.
        rng: source of the gaps' widths.
        gap: (least, greatest) width of a gap, in units of the height; its colours fade from those of the left image's
            edge to those of the right one's.

    Returns:
        An image of the first one's height, to which the others are scaled with their proportions kept; of three
        channels where one of them is.

    Raises:
        ValueError: no images.
    """
    if not images:
        raise ValueError("no images to join")
    height = images[0].shape[0]
    colour = any(image.ndim == 3 for image in images)
    parts: list[Image] = []
    for image in images:
        if image.shape[0] != height:
            wide = max(1, round(image.shape[1] * height / image.shape[0]))
            how = cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, (wide, height), interpolation=how), np.uint8)
        if colour and image.ndim == 2:
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
        if parts and (between := round(draw(gap, rng) * height)):
            edges = np.stack((parts[-1][:, -1], image[:, 0]), 1)
            # Averaged along the edge, or strokes that touch it would run on as bars.
            edges = np.asarray(cv2.blur(edges, (1, height | 1), borderType=cv2.BORDER_REPLICATE), np.uint8)
            parts.append(np.asarray(cv2.resize(edges, (between, height), interpolation=cv2.INTER_LINEAR), np.uint8))
        parts.append(image)
    return np.concatenate(parts, 1)


# What happens unless a configuration says otherwise, in this order: what moves things, the camera, the file.
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "distort": {},
    "stretch": {},
    "perspective": {},
    "crop": {},
    "blur": {"p": 0.1, "sigma": (0.3, 1.2)},
    "motion": {"p": 0.05, "length": (2.0, 4.0)},
    "downscale": {"p": 0.05, "factor": (1.2, 2.0)},
    "brightness_contrast": {"p": 0.15, "contrast": (0.6, 1.3), "brightness": (-40.0, 40.0)},
    "gamma": {"p": 0.1, "gamma": (0.6, 1.6)},
    "colour": {"p": 0.15},
    "invert": {"p": 0.1},
    "noise": {"p": 0.15, "sigma": (2.0, 12.0)},
    "jpeg": {"p": 0.15, "quality": (30, 90)},
}


class _Section(BaseModel):
    """The key of an `augment` section that is no section itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    p: Share = 0.4


class TrainingAugment:
    """Augments cropped words and lines at random.

    First all chosen geometric operations in one warp, then what a configuration adds, in its order, then the others in
    the order of docs/augment.md.

    Args:
        config: `p`, how often an image is augmented at all; `join`, the keys of `Join`; and operations by name, each
            with its keys, which replace the defaults. Those that are not among the defaults happen when they are named.
        where: the configuration's own key, which begins error messages.

    Attributes:
        p: how often an image is augmented at all.
        join: how samples are joined; the loader does it, for it has their labels.

    Raises:
        PixelOpError: an unknown operation or key (the nearest is named), or a value out of its range.
    """

    def __init__(self, config: Mapping[str, Any] | None = None, where: str = "augment") -> None:
        own: dict[str, Any] = {}
        chosen: dict[str, Mapping[str, Any]] = {}
        for key, values in (config or {}).items():
            if key in _RESERVED:
                own[key] = values
            elif isinstance(values, Mapping):
                chosen[key] = values
            else:
                raise PixelOpError(
                    f"{where}.{key}: {_unknown(key)}"
                    if _find(key) is None
                    else f"{where}.{key}: should be a section with keys, not {values!r}; "
                    "write {} for the defaults, {p: 0} for never"
                )
        self.join = read_parameters(Join, own.pop("join", {}), f"{where}.join")
        self.p = read_parameters(_Section, own, where).p
        added = [key for key in chosen if key not in _DEFAULTS]
        geometric: list[Geometric] = []
        others: list[Operation | PixelOp] = []
        for key in (*added, *_DEFAULTS):
            model = _find(key)
            if model is None:
                raise PixelOpError(f"{where}.{key}: {_unknown(key)}")
            op = read_parameters(model, {**_DEFAULTS.get(key, {}), **chosen.get(key, {})}, f"{where}.{key}")
            if isinstance(op, Geometric):
                geometric.append(op)
            else:
                others.append(op)
        self.operations: tuple[Operation | PixelOp, ...] = (*geometric, *others)
        self._geometric = tuple((op.p, op) for op in geometric if op.p)
        self._others = tuple((op.p, op.apply if isinstance(op, PixelOp) else op) for op in others if op.p)
        self._draws = len(self._geometric) + len(self._others)

    def settings(self) -> dict[str, Any]:
        """The configuration in full, of plain YAML and JSON values."""
        settings: dict[str, Any] = {"p": self.p, "join": self.join.model_dump(mode="json")}
        return settings | {op.name: op.model_dump(mode="json") for op in self.operations}

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Augment an image.

        Args:
            image: `uint8`, height × width or height × width × 3 (BGR), which stays as it is. Warps leave out images
                longer than 32766 px.
            rng: the only source of randomness.

        Returns:
            The image itself, a view of it, or another with as many channels, at least 1 px wide and high.

        Raises:
            ValueError: another type or shape.
        """
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            raise ValueError(f"an image of {image.dtype} {image.shape}; augmentation takes uint8, H × W or H × W × 3")
        if rng.random() >= self.p:
            return image
        rolls = rng.random(self._draws).tolist()
        image = self._warped(image, rolls, rng)
        grey = image.ndim == 2
        split = len(self._geometric)
        wide = False  # a grey image has three channels while other operations work on it
        for roll, (p, apply) in zip(rolls[split:], self._others, strict=True):
            if roll < p:
                if grey and not wide:
                    image, wide = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8), True
                image = apply(image, rng)
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8) if wide else image

    def _warped(self, image: Image, rolls: Sequence[float], rng: np.random.Generator) -> Image:
        height, width = image.shape[:2]
        warp = Warp()
        wide = width
        for roll, (p, op) in zip(rolls, self._geometric, strict=False):
            if roll < p:
                step, wide = op.warp(wide, height, rng)
                warp = warp.then(step)
        if not warp.steps or max(height, width, wide) > _LONGEST:
            return image
        return _sampled(image, warp, wide)


def _find(name: str) -> type[Operation] | type[PixelOp] | None:
    """The operation of that name: defined here, of recipes, defined by the caller, or announced by a package."""
    found = _registry.get(name) or known_ops().get(name)
    if found is None and name in (announced := _announced()):
        announced[name].load()
        found = _registry.get(name)
        if found is None:
            raise PixelOpError(f"{name}: announced by {announced[name].value}, which defines no operation of that name")
    return found


def _announced() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def _unknown(name: str) -> str:
    names = sorted({*_registry, *known_ops(), *_announced(), *_RESERVED})
    return f"no such operation; {nearest(str(name), names)}"
