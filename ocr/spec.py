"""What goes with a model wherever it goes: task, architecture, pre- and post-processing, charset, versions.

Training, evaluation, the exported predictor and ONNX Runtime all read pictures through the one `Preprocess` here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from augment.errors import ScriptoriumError
from ocr.postprocess.db import DBPostProcess
from synth.strict import Section, explain
from synth.text.charset import Charset

SPEC_FILE = "spec.json"
_LARGER = 4.0  # what a page is scaled up by at most: a strip would fill the memory
_DEEPEST = 32  # pixels of a side that the coarsest features of a detector stand for
_FORMAT = 1


class Preprocess(Section):
    """How a crop becomes the network's input."""

    height: Annotated[int, Field(ge=16, le=256, multiple_of=8)] = Field(32, description="pixels")
    channels: Literal[1, 3] = Field(1, description="1: grey; 3: blue, green, red")
    width_step: Annotated[int, Field(ge=8, le=128, multiple_of=8)] = Field(
        16, description="padded widths are multiples of this"
    )
    max_width: Annotated[int, Field(ge=64)] = Field(2048, description="wider pictures are squeezed to it")
    mean: float = Field(127.5, description="grey level that becomes 0, and that fills the padding")
    scale: Annotated[float, Field(gt=0)] = Field(127.5, description="grey levels that become 1")
    turn_ratio: Annotated[float, Field(ge=0)] = Field(
        1.5, description="crops at least so many times as high as wide are turned 90° counter-clockwise; 0: never"
    )

    @property
    def smallest(self) -> tuple[int, int]:
        """Height and width in pixels of the smallest input that the network takes."""
        return self.height, self.width_step

    def turned(self, height: int, width: int) -> bool:
        """Whether a crop of this size is read after a quarter turn."""
        return bool(self.turn_ratio) and height >= self.turn_ratio * width

    def scaled_width(self, height: int, width: int, to: int | None = None) -> int:
        """Width in pixels of a crop of the given size once it has the network's height (or `to`), turned if need be."""
        if self.turned(height, width):
            height, width = width, height
        return min(max(1, round(width * (to or self.height) / height)), self.max_width)

    def padded_width(self, width: int) -> int:
        """The width that the network sees for a picture `width` pixels wide: a function of the picture alone.

        Widths are rounded up to an eighth of their power of two, and to `width_step` at least, so that few different
        ones occur and padding stays under an eighth.
        """
        step = self.width_step
        while step * 16 <= width:
            step *= 2
        return -(-width // step) * step

    def __call__(self, image: NDArray[Any], height: int | None = None) -> NDArray[Any]:
        """Turn, convert and scale a crop, without padding.

        Args:
            image: H × W × 3 (BGR) or H × W (grey).
            height: pixels, instead of the configured height (training with several heights).

        Returns:
            `uint8`, height × scaled width, × 3 where `channels` is 3.
        """
        height = height or self.height
        rows, columns = image.shape[:2]
        width = self.scaled_width(rows, columns, height)
        if self.turned(rows, columns):
            image = cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)
        if image.ndim == 3 and self.channels == 1:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        elif image.ndim == 2 and self.channels == 3:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        if image.shape[:2] == (height, width):
            return np.ascontiguousarray(image)
        method = cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR
        return cv2.resize(image, (width, height), interpolation=method)

    def stack(self, pictures: list[NDArray[np.uint8]], width: int) -> NDArray[np.uint8]:
        """Pictures of one height side by side in a batch: `uint8`, N × height × width × channels, padded at the right.

        The padding is the grey level nearest to `mean`.
        """
        height = pictures[0].shape[0]
        batch = np.full((len(pictures), height, width, self.channels), round(self.mean), np.uint8)
        for row, picture in zip(batch, pictures, strict=True):
            row[:, : picture.shape[1]] = picture.reshape(height, -1, self.channels)
        return batch

    def normalise(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A batch as the network takes it: `uint8` N × H × W × C → `float32` N × C × H × W, (level - mean) / scale."""
        return _normalised(images, self.mean, self.scale)


class Decoder(Section):
    """How the network's output becomes text."""

    name: Literal["CTCLabelDecode"] = Field("CTCLabelDecode", description="as in PaddleOCR")
    beam: Annotated[int, Field(ge=0, le=1000)] = Field(0, description="width of the prefix beam search; 0: greedy")


class DetPreprocess(Section):
    """How a page becomes a detector's input: scaled evenly, then padded at the right and at the bottom."""

    limit_side_len: Annotated[int, Field(ge=32, le=16384)] = Field(960, description="pixels; see limit_type")
    limit_type: Literal["max", "min"] = Field(
        "max",
        description="max: longer sides are scaled down to it; min: shorter sides are scaled up to it, 4 × at most",
    )
    channels: Literal[1, 3] = Field(3, description="1: grey; 3: blue, green, red")
    multiple: Annotated[int, Field(ge=1, le=128)] = Field(32, description="padded sides are multiples of this")
    mean: float = Field(127.5, description="grey level that becomes 0, and that fills the padding")
    scale: Annotated[float, Field(gt=0)] = Field(127.5, description="grey levels that become 1")

    @property
    def smallest(self) -> tuple[int, int]:
        """Height and width in pixels of the smallest input that the network takes."""
        side = -(-_DEEPEST // self.multiple) * self.multiple
        return side, side

    def scaled(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels that a page of the given size is scaled to."""
        side, limit = (max if self.limit_type == "max" else min)(height, width), self.limit_side_len
        if (side <= limit) if self.limit_type == "max" else (side >= limit):
            return height, width
        factor = min(limit / side, _LARGER)
        return max(1, round(height * factor)), max(1, round(width * factor))

    def __call__(self, image: NDArray[Any]) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Convert, scale and pad a page.

        Args:
            image: `uint8`, H × W × 3 (BGR) or H × W (grey).

        Returns:
            `uint8`, height × width × channels, and the height and width in it that the page takes.
        """
        image = self.resized(image)
        return self.padded(image), (image.shape[0], image.shape[1])

    def resized(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """A page with the network's channels and at its scale, not padded."""
        image = self.converted(image)
        height, width = self.scaled(*image.shape[:2])
        if image.shape[:2] != (height, width):
            method = cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR
            image = cv2.resize(image, (width, height), interpolation=method)
        return np.asarray(image, np.uint8)

    def padded(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A page, or a part of one, that `resized` gave, as the network takes it: height × width × channels."""
        height, width = image.shape[:2]
        step = self.multiple
        padded = np.full(
            (-(-height // step) * step, -(-width // step) * step, self.channels), round(self.mean), np.uint8
        )
        padded[:height, :width] = image.reshape(height, width, self.channels)
        return padded

    def converted(self, image: NDArray[Any]) -> NDArray[Any]:
        """A picture with the network's channels."""
        if image.ndim == 3 and self.channels == 1:
            return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        if image.ndim == 2 and self.channels == 3:
            return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        return image

    def normalise(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A batch as the network takes it: `uint8` N × H × W × C → `float32` N × C × H × W, (level - mean) / scale."""
        return _normalised(images, self.mean, self.scale)


class Spec(Section):
    """What every model has beside its weights.

    Attributes:
        task: what it does.
        name: for people.
        architecture: the configuration's `Architecture` section.
        versions: of the libraries that made it, for people.
    """

    format: Literal[1] = 1
    task: str
    name: str = "model"
    architecture: dict[str, Any]
    versions: dict[str, str] = Field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write `spec.json` into a folder, in one step."""
        path = folder / SPEC_FILE
        aside = folder / f".{SPEC_FILE}.{os.getpid()}"
        with aside.open("w", encoding="utf-8") as file:
            json.dump(self.model_dump(mode="json"), file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)


class ModelSpec(Spec):
    """Everything about a recogniser but its weights.

    Attributes:
        preprocess: see `Preprocess`.
        decoder: see `Decoder`.
        units: the dictionary; class 0 is the CTC blank, class i + 1 is unit i.
        time_stride: pixels of width per time step.
    """

    task: Literal["rec"] = "rec"
    preprocess: Preprocess = Preprocess()
    decoder: Decoder = Decoder()
    units: tuple[str, ...]
    time_stride: Annotated[int, Field(ge=1)]

    @property
    def charset(self) -> Charset:
        """The dictionary; the space is in it only where it is among the units."""
        return Charset(self.units, space=False, source=f"dictionary of {self.name}")

    @classmethod
    def load(cls, folder: Path) -> ModelSpec:
        """Read the spec of a recogniser. Raises ScriptoriumError: see `load_spec`; or it is of another task."""
        found = load_spec(folder)
        if not isinstance(found, cls):
            raise ScriptoriumError(f"{folder}: finds texts and does not read them; name a recogniser")
        return found


class DetSpec(Spec):
    """Everything about a detector but its weights.

    Attributes:
        preprocess: see `DetPreprocess`.
        postprocess: see `DBPostProcess`.
    """

    task: Literal["det"] = "det"
    preprocess: DetPreprocess = DetPreprocess()
    postprocess: DBPostProcess = DBPostProcess()

    @classmethod
    def load(cls, folder: Path) -> DetSpec:
        """Read the spec of a detector. Raises ScriptoriumError: see `load_spec`; or it is of another task."""
        found = load_spec(folder)
        if not isinstance(found, cls):
            raise ScriptoriumError(f"{folder}: reads texts and does not find them; name a detector")
        return found


def load_spec(folder: Path) -> ModelSpec | DetSpec:
    """Read `spec.json` from a folder.

    Raises:
        ScriptoriumError: there is none, or it is broken or of a later version.
    """
    path = folder / SPEC_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScriptoriumError(
            f"{path}: cannot be read ({error.strerror}); name a checkpoint or an exported model"
        ) from None
    except ValueError as error:
        raise ScriptoriumError(f"{path}: not JSON ({error}); export the model again") from None
    if isinstance(values, dict) and values.get("format", _FORMAT) != _FORMAT:
        raise ScriptoriumError(f"{path}: format {values['format']}, this version reads {_FORMAT}; update scriptorium")
    kind = DetSpec if isinstance(values, dict) and values.get("task") == "det" else ModelSpec
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ScriptoriumError(explain(error, str(path), kind)) from None


def _normalised(images: NDArray[np.uint8], mean: float, scale: float) -> NDArray[np.float32]:
    found = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    found -= np.float32(mean)
    found /= np.float32(scale)
    return found
