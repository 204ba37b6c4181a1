"""What goes with a model wherever it goes: task, architecture, pre- and post-processing, charset, versions.

Training, evaluation, the exported predictor and ONNX Runtime all read pictures through the one `Preprocess` here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from augment.errors import ScriptoriumError
from ocr.postprocess.db import DBPostProcess
from ocr.postprocess.east import EASTPostProcess
from ocr.postprocess.pse import PSEPostProcess
from synth.strict import Section, explain
from synth.text.charset import Charset

SPEC_FILE = "spec.json"
_LARGER = 4.0  # what a page is scaled up by at most: a strip would fill the memory
_LONGEST = 64  # views that a line is as long as at most; a longer one is squeezed
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
        return _padded_width(width, self.width_step)

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
        return _converted(image, self.channels)

    def normalise(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A batch as the network takes it: `uint8` N × H × W × C → `float32` N × C × H × W, (level - mean) / scale."""
        return _normalised(images, self.mean, self.scale)


class ClsPreprocess(Section):
    """How a picture becomes what a classifier looks at: a few views of one size.

    A crop is scaled to their height; its views stand side by side, evenly over a line that is longer than one. Of a
    page the first view is the whole, the others are those squares of it that have most detail.
    """

    kind: Literal["crop", "page"] = Field("crop", description="crop: a word or line; page: a whole picture")
    height: Annotated[int, Field(ge=32, le=512, multiple_of=32)] = Field(32, description="of a view, pixels")
    width: Annotated[int, Field(ge=32, le=1024, multiple_of=32)] = Field(160, description="of a view, pixels")
    views: Annotated[int, Field(ge=1, le=64)] = Field(3, description="at most so many of a picture")
    limit_side_len: Annotated[int, Field(ge=32, le=8192)] = Field(
        960, description="page: longer sides are scaled down to so many pixels before squares are cut out"
    )
    channels: Literal[1, 3] = Field(1, description="1: grey; 3: blue, green, red")
    mean: float = Field(127.5, description="grey level that becomes 0, and that fills the padding")
    scale: Annotated[float, Field(gt=0)] = Field(127.5, description="grey levels that become 1")
    turn_ratio: Annotated[float, Field(ge=0)] = Field(
        1.5, description="crop: at least so many times as high as wide it is turned 90° counter-clockwise; 0: never"
    )

    @model_validator(mode="after")
    def _square(self) -> ClsPreprocess:
        if self.kind == "page" and self.height != self.width:
            raise ValueError("height and width of a page's views must be equal, so that they may be turned")
        return self

    @property
    def smallest(self) -> tuple[int, int]:
        """Height and width in pixels of a view."""
        return self.height, self.width

    def __call__(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """The views of a picture, `uint8` H × W × 3 (BGR) or H × W (grey): N × height × width × channels."""
        if self.kind == "page":
            page = self.scaled_page(image)
            found = [self.whole(page), *(self.window(page, x, y) for x, y in self.places(page))]
        else:
            line = self.scaled_line(image)
            found = [self.window(line, x, 0) for x in self.starts(line.shape[1])]
        return np.stack(found)

    def scaled_line(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """A crop, turned if need be, at the views' height."""
        rows, columns = image.shape[:2]
        if self.turn_ratio and rows >= self.turn_ratio * columns:
            image = cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)
            rows, columns = columns, rows
        width = min(round(columns * self.height / rows), _LONGEST * self.width)
        return _resized(self.converted(image), self.height, width)

    def starts(self, width: int) -> list[int]:
        """Where views of a line of that width begin: as few as cover it, at most `views`, evenly spaced."""
        count = min(self.views, max(1, -(-width // self.width)))
        slack = max(0, width - self.width)
        return [slack // 2] if count == 1 else [round(number * slack / (count - 1)) for number in range(count)]

    def scaled_page(self, image: NDArray[Any], factor: float = 1.0) -> NDArray[np.uint8]:
        """A page whose longer side is at most `factor` × `limit_side_len`."""
        rows, columns = image.shape[:2]
        shrink = min(1.0, factor * self.limit_side_len / max(rows, columns))
        return _resized(self.converted(image), round(rows * shrink), round(columns * shrink))

    def whole(self, page: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A page that `scaled_page` gave as one view, in its middle."""
        rows, columns = page.shape[:2]
        fit = self.height / max(rows, columns)
        small = _resized(page, round(rows * fit), round(columns * fit))
        return self.window(small, 0, 0)

    def places(self, page: NDArray[np.uint8]) -> list[tuple[int, int]]:
        """Left and top of the squares with most detail, the best first; none where all are blank.

        Squares of a grid half as wide as they are, no two of them overlapping by more than a quarter of their width in
        both directions. Detail is the sum of the squared differences between neighbours, after a blur: text outweighs
        the noise of a photograph.
        """
        rows, columns = page.shape[:2]
        grey = page if page.ndim == 2 else cv2.cvtColor(page, cv2.COLOR_BGR2GRAY)
        detail = np.zeros((rows, columns), np.float32)
        smooth = cv2.blur(grey, (3, 3)).astype(np.float32).reshape(rows, columns)
        across, down = (np.square(np.diff(smooth, axis=axis)) for axis in (1, 0))
        for part, difference in (
            (detail[:, 1:], across),
            (detail[:, :-1], across),
            (detail[1:], down),
            (detail[:-1], down),
        ):
            part += difference
        total = cv2.integral(detail)
        left, top = (_grid(length, self.width) for length in (columns, rows))
        x, y = (axis.ravel() for axis in np.meshgrid(left, top))
        right, bottom = np.minimum(x + self.width, columns), np.minimum(y + self.height, rows)
        amount = total[bottom, right] - total[bottom, x] - total[y, right] + total[y, x]
        found: list[tuple[int, int]] = []
        while len(found) < self.views - 1 and amount.max() > 0:
            best = int(amount.argmax())
            found.append((int(x[best]), int(y[best])))
            near = np.maximum(np.abs(x - x[best]), np.abs(y - y[best])) < 0.75 * self.width
            amount[near] = 0
        return found

    def window(self, picture: NDArray[np.uint8], x: int, y: int) -> NDArray[np.uint8]:
        """The view of a picture that begins at (x, y), height × width × channels; a smaller picture in its middle."""
        part = picture[y : y + self.height, x : x + self.width]
        rows, columns = part.shape[:2]
        view = np.full((self.height, self.width, self.channels), round(self.mean), np.uint8)
        top, left = (self.height - rows) // 2, (self.width - columns) // 2
        view[top : top + rows, left : left + columns] = part.reshape(rows, columns, self.channels)
        return view

    def converted(self, image: NDArray[Any]) -> NDArray[Any]:
        """A picture with the network's channels."""
        return _converted(image, self.channels)

    def normalise(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A batch as the network takes it: `uint8` N × H × W × C → `float32` N × C × H × W, (level - mean) / scale."""
        return _normalised(images, self.mean, self.scale)


class StylePreprocess(Section):
    """How the picture of a look and a plain text become the input of the network that joins them."""

    height: Literal[32, 48] = Field(32, description="pixels")
    width_step: Annotated[int, Field(ge=8, le=128, multiple_of=8)] = Field(
        16, description="widths of whole pictures are multiples of this"
    )

    @property
    def channels(self) -> int:
        """Of the input: blue, green and red of the look, grey of the plain text."""
        return 4

    @property
    def smallest(self) -> tuple[int, int]:
        """Height and width in pixels of the smallest input that the network takes."""
        return self.height, self.width_step

    def padded_width(self, width: int) -> int:
        """The width that the network sees: see `Preprocess.padded_width`."""
        return _padded_width(width, self.width_step)

    def normalise(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`uint8` N × H × W × C → `float32` N × C × H × W, 0 to 255 becoming -1 to 1."""
        return _normalised(images, 127.5, 127.5)


class ClsPostProcess(Section):
    """What the classes of a direction classifier mean; names and defaults as in PaddleOCR."""

    name: Literal["ClsPostProcess"] = "ClsPostProcess"
    label_list: tuple[Literal[0, 90, 180, 270], ...] = Field(
        (0, 180), description="by how many degrees a picture of each class stands turned clockwise"
    )
    thresh: Annotated[float, Field(ge=0, le=1)] = Field(
        0.9, description="probability from which a picture is turned; below it, it stays as it is"
    )

    @model_validator(mode="after")
    def _directions(self) -> ClsPostProcess:
        if len(self.label_list) < 2 or len(set(self.label_list)) < len(self.label_list) or 0 not in self.label_list:
            raise ValueError(f"label_list: wants 0 and other directions, each once, not {list(self.label_list)}")
        return self


class KindPostProcess(Section):
    """What the classes of a classifier of kinds of lines mean."""

    name: Literal["KindPostProcess"] = "KindPostProcess"
    label_list: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        description="names of the kinds, such as latin and arabic, or print and handwriting"
    )
    thresh: Annotated[float, Field(ge=0, le=1)] = Field(
        0.9, description="probability from which a kind is chosen; below it, none is"
    )

    @model_validator(mode="after")
    def _kinds(self) -> KindPostProcess:
        if len(self.label_list) < 2 or len(set(self.label_list)) < len(self.label_list):
            raise ValueError(f"label_list: wants two kinds or more, each once, not {list(self.label_list)}")
        return self


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
            raise ScriptoriumError(f"{folder}: {_DOES[found.task]} and does not read them; name a recogniser")
        return found


DetPostProcess: TypeAlias = Annotated[DBPostProcess | PSEPostProcess | EASTPostProcess, Field(discriminator="name")]


class DetSpec(Spec):
    """Everything about a detector but its weights.

    Attributes:
        preprocess: see `DetPreprocess`.
        postprocess: see `DBPostProcess`, `PSEPostProcess` and `EASTPostProcess`.
    """

    task: Literal["det"] = "det"
    preprocess: DetPreprocess = DetPreprocess()
    postprocess: DetPostProcess = DBPostProcess()

    @classmethod
    def load(cls, folder: Path) -> DetSpec:
        """Read the spec of a detector. Raises ScriptoriumError: see `load_spec`; or it is of another task."""
        found = load_spec(folder)
        if not isinstance(found, cls):
            raise ScriptoriumError(f"{folder}: {_DOES[found.task]} and does not find them; name a detector")
        return found


class ClassifierSpec(Spec):
    """Everything about a classifier but its weights.

    Attributes:
        preprocess: see `ClsPreprocess`.
        postprocess: see `ClsPostProcess` and `KindPostProcess`.
    """

    wanted: ClassVar[str]
    """Ends the message about a model of another task."""

    preprocess: ClsPreprocess = ClsPreprocess()
    postprocess: ClsPostProcess | KindPostProcess

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the spec of such a classifier. Raises ScriptoriumError: see `load_spec`; or it is of another task."""
        found = load_spec(folder)
        if not isinstance(found, cls):
            raise ScriptoriumError(f"{folder}: {_DOES[found.task]} and does not {cls.wanted}")
        return found


class ClsSpec(ClassifierSpec):
    """Everything about a direction classifier but its weights."""

    wanted = "tell how they stand; name a direction classifier"

    task: Literal["cls"] = "cls"
    postprocess: ClsPostProcess = ClsPostProcess()


class KindSpec(ClassifierSpec):
    """Everything about a classifier of kinds of lines but its weights."""

    wanted = "tell of what kind they are; name a classifier of kinds of lines"

    task: Literal["kind"] = "kind"
    postprocess: KindPostProcess


class StyleSpec(Spec):
    """Everything about a network that gives texts another look but its weights.

    Attributes:
        preprocess: see `StylePreprocess`.
    """

    task: Literal["style"] = "style"
    preprocess: StylePreprocess = StylePreprocess()

    @classmethod
    def load(cls, folder: Path) -> StyleSpec:
        """Read the spec of such a network. Raises ScriptoriumError: see `load_spec`; or it is of another task."""
        found = load_spec(folder)
        if not isinstance(found, cls):
            raise ScriptoriumError(
                f"{folder}: {_DOES[found.task]} and does not give them another look; name a model of "
                "`ocr train -c configs/style/srnet_light.yml`"
            )
        return found


AnySpec: TypeAlias = ModelSpec | DetSpec | ClsSpec | KindSpec | StyleSpec

_DOES = {
    "rec": "reads texts",
    "det": "finds texts",
    "cls": "tells how pictures of texts stand",
    "kind": "tells of what kind texts are",
    "style": "gives texts another look",
}
_KINDS: dict[Any, type[AnySpec]] = {"det": DetSpec, "cls": ClsSpec, "kind": KindSpec, "style": StyleSpec}


def load_spec(folder: Path) -> AnySpec:
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
    task = values.get("task") if isinstance(values, dict) else None
    kind = _KINDS.get(task, ModelSpec) if isinstance(task, str) else ModelSpec
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ScriptoriumError(explain(error, str(path), kind)) from None


def _converted(image: NDArray[Any], channels: int) -> NDArray[Any]:
    """A picture with one channel (H × W) or three."""
    if image.ndim == 3 and channels == 1:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if image.ndim == 2 and channels == 3:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return image


def _resized(image: NDArray[Any], height: int, width: int) -> NDArray[np.uint8]:
    height, width = max(1, height), max(1, width)
    if image.shape[:2] != (height, width):
        method = cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR
        image = cv2.resize(image, (width, height), interpolation=method)
    return np.asarray(image, np.uint8)


def _grid(length: int, window: int) -> NDArray[np.int64]:
    """Where windows begin that cover a length, half a window apart at most, symmetrically."""
    count = max(0, -(-2 * (length - window) // window)) + 1
    return np.rint(np.linspace(0, max(0, length - window), count)).astype(np.int64)


def _padded_width(width: int, step: int) -> int:
    while step * 16 <= width:
        step *= 2
    return -(-width // step) * step


def _normalised(images: NDArray[np.uint8], mean: float, scale: float) -> NDArray[np.float32]:
    found = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    found -= np.float32(mean)
    found /= np.float32(scale)
    return found
