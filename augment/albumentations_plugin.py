"""Pixel transforms of albumentations 2.0.8 (its last release under the MIT licence) as one pixel operation.

The library is imported only when a recipe names the operation; it is in the extra `albumentations`.
"""

from __future__ import annotations

import functools
import os
import warnings
from typing import Any, Self

import cv2
import numpy as np
from pydantic import Field, model_validator

from augment.pixel import Image, PixelOp, PixelOpError, nearest, pixel_op


@functools.cache
def _library() -> Any:
    # Set before the import, or it asks the network for its newest version.
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    try:
        import albumentations
    except ImportError as error:
        raise PixelOpError("albumentations is not installed; pip install 'scriptorium[albumentations]'") from error
    return albumentations


@functools.cache
def _classes() -> tuple[dict[str, type[Any]], frozenset[str]]:
    """The pixel transforms by name, and the names of all the others."""
    library = _library()
    every = {
        name: value
        for name, value in vars(library).items()
        if isinstance(value, type) and issubclass(value, library.BasicTransform)
    }
    pixel = {name: value for name, value in every.items() if issubclass(value, library.ImageOnlyTransform)}
    del pixel["ImageOnlyTransform"]  # the base class
    return pixel, frozenset(every) - frozenset(pixel)


def _make(name: str, arguments: dict[str, Any] | None) -> Any:
    pixel, others = _classes()
    if name in others:
        raise PixelOpError(f"{name} is no pixel transform and would part image from polygons; use the recipe's warps")
    if name not in pixel:
        raise PixelOpError(f"{name}: no such pixel transform in albumentations; {nearest(name, sorted(pixel))}")
    with warnings.catch_warnings():
        # It only warns about arguments that it does not know, and goes on without them.
        warnings.simplefilter("error", UserWarning)
        try:
            transform = pixel[name](**{"p": 1.0, **(arguments or {})})
        except (TypeError, ValueError, UserWarning) as error:
            raise PixelOpError(f"{name}: {' '.join(str(error).split())}") from error
    trial = np.full((32, 64, 3), 128, np.uint8)
    try:
        transform.set_random_seed(0)
        result = transform(image=trial, force_apply=True)["image"]
    except (KeyError, TypeError, ValueError) as error:
        raise PixelOpError(f"{name} needs more than an image: {' '.join(str(error).split())}") from error
    if result.dtype != np.uint8 or result.shape != trial.shape:
        raise PixelOpError(f"{name} does not give an 8-bit image of three channels; leave it out")
    return transform


@pixel_op("albumentations")
class Albumentations(PixelOp):
    """Pixel transforms of albumentations, applied in order, on RGB as that library expects.

    Each transform is seeded from the explicit generator at every call, so the result depends on nothing else.

    Attributes:
        transforms: class name and arguments of each, such as `{ISONoise: {intensity: [0.1, 0.4]}}`; a transform's own
            `p` is 1 unless given.
    """

    transforms: dict[str, dict[str, Any] | None] = Field(min_length=1)

    @functools.cached_property
    def chain(self) -> tuple[Any, ...]:
        """The library's transforms."""
        return tuple(_make(name, arguments) for name, arguments in self.transforms.items())

    @model_validator(mode="after")
    def _usable(self) -> Self:
        _ = self.chain
        return self

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Apply all transforms.

        Raises:
            PixelOpError: a transform refuses images of this size.
        """
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        for name, transform in zip(self.transforms, self.chain, strict=True):
            transform.set_random_seed(int(rng.integers(2**32)))
            try:
                rgb = transform(image=rgb)["image"]
            except (ValueError, cv2.error) as error:
                size = f"{image.shape[1]} × {image.shape[0]}"
                raise PixelOpError(f"albumentations.{name}: fails on an image of {size}; leave it out") from error
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)
