"""Views of pictures for classifiers: turned at random, or of a kind that their source tells.

Labels are not looked at: that pictures stand upright is known, and so is the kind of a source's lines.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from augment.pixel import Degrade
from augment.training import TrainingAugment
from ocr.config import SourceConfig, Views
from ocr.data.det import DEFAULT_OPS
from ocr.data.sampler import Planned
from ocr.data.sources import LABEL_FILES, BrokenSample, FileSource, Source, open_source
from ocr.infer import images as pictures
from ocr.spec import ClsPostProcess, ClsPreprocess
from synth.pipeline import Streams

_FAR = 2**40  # no source has so many samples


class Folder(FileSource):
    """Picture files in a folder and below, without labels.

    Args:
        name: see `Source`.
        path: the folder.
        limit: use only the first so many; 0: all.
    """

    def __init__(self, name: str, path: Path, limit: int = 0) -> None:
        self.name = name
        # A folder without pictures gives itself.
        self._files = [Path(found) for found in pictures.find([str(path)]) if Path(found) != path][: limit or None]

    def __len__(self) -> int:
        return len(self._files)

    def raw(self, index: int) -> tuple[bytes, str]:
        """See `FileSource.raw`; the label is empty."""
        try:
            return self._files[index].read_bytes(), ""
        except OSError as error:
            raise BrokenSample(self.key(index), error.strerror or str(error)) from None

    def key(self, index: int) -> str:
        """See `FileSource.key`."""
        return str(self._files[index])

    def stamp(self) -> str:
        """See `FileSource.stamp`."""
        return hashlib.sha256("\n".join(map(str, self._files)).encode()).hexdigest()


def open_pictures(config: SourceConfig, seed: int = 0, height: int = 32) -> Source:
    """Open what a configuration describes; as `open_source`, and folders of pictures without labels.

    Args:
        config: see `SourceConfig`.
        seed, height: of a live source.

    Raises:
        ScriptoriumError: there is nothing, or nothing of use.
    """
    path = config.path
    if path is None or not path.is_dir() or _labelled(path):
        return open_source(config, seed, height)
    source = Folder(config.name, path, config.limit)
    if not len(source):
        raise ScriptoriumError(f"source {config.name}: {path} holds no pictures; name another")
    return source


def _labelled(path: Path) -> bool:
    return any((path / name).is_file() for name in LABEL_FILES) or next(path.rglob("data.mdb"), None) is not None


def turned(image: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """A picture turned clockwise by a multiple of 90 degrees, exactly."""
    return np.ascontiguousarray(np.rot90(image, -degrees // 90))


@dataclass
class ClsBatch:
    """What a training step takes.

    Attributes:
        images: `uint8`, N × height × width × channels.
        classes: `int64`, N; numbers in the `label_list` of the spec.
        keys: names of the records.
        skipped: records that could not be used: number of the source, name, what is wrong.
    """

    images: NDArray[np.uint8]
    classes: NDArray[np.int64]
    keys: list[str]
    skipped: list[tuple[int, str, str]] = field(default_factory=list)


_View: TypeAlias = tuple[NDArray[np.uint8], int]


class Preparer(ABC):
    """Reads pictures and makes views of them; a pure function of the plan and the seed.

    May be pickled with its sources; that is how it comes into a worker process.

    Args:
        sources: as the draws number them.
        preprocess: of the network.
        augment: of lines, before they are scaled; None: none.
        seed: of the run.
    """

    def __init__(
        self, sources: Sequence[Source], preprocess: ClsPreprocess, augment: TrainingAugment | None, seed: int
    ) -> None:
        self._sources, self._preprocess, self._line = list(sources), preprocess, augment
        self._streams = Streams(seed)

    def __call__(self, step: int, planned: Planned) -> ClsBatch:
        """The batch of a step. Records that cannot be read are left out and named."""
        found: list[NDArray[np.uint8]] = []
        classes: list[int] = []
        keys: list[str] = []
        skipped: list[tuple[int, str, str]] = []
        for number, index in planned.draws:
            source = self._sources[number]
            key = source.key(index) if isinstance(source, FileSource) else f"{source.name}: sample {index}"
            try:
                image = source.sample(index).image
            except BrokenSample as error:
                skipped.append((number, error.key, error.reason))
                continue
            for view, chosen in self._views_of(number, image, self._streams.at(step, number * _FAR + index)):
                found.append(view)
                classes.append(chosen)
                keys.append(key)
        size = self._preprocess
        images = np.stack(found) if found else np.zeros((0, size.height, size.width, size.channels), np.uint8)
        return ClsBatch(images, np.array(classes, np.int64), keys, skipped)

    @abstractmethod
    def _views_of(self, number: int, image: NDArray[np.uint8], rng: np.random.Generator) -> list[_View]:
        """Views of a picture of source `number`, and their classes."""

    def _line_view(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """A view of a line, from anywhere in it."""
        if self._line is not None:
            image = self._line(image, rng)
        line = self._preprocess.scaled_line(image)
        slack = max(0, line.shape[1] - self._preprocess.width)
        return self._preprocess.window(line, int(rng.integers(slack + 1)), 0)


class KindPreparer(Preparer):
    """Views of lines, each of the class of its source.

    Args:
        sources, preprocess, augment, seed: see `Preparer`.
        classes: of the sources; numbers in `KindPostProcess.label_list`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        preprocess: ClsPreprocess,
        classes: Sequence[int],
        augment: TrainingAugment | None,
        seed: int,
    ) -> None:
        super().__init__(sources, preprocess, augment, seed)
        self._classes = list(classes)

    def _views_of(self, number: int, image: NDArray[np.uint8], rng: np.random.Generator) -> list[_View]:
        return [(self._line_view(image, rng), self._classes[number])]


class TurnPreparer(Preparer):
    """Views of lines or pages that are turned at random.

    They are turned before they are degraded: what happens to them later knows no direction.

    Args:
        sources, preprocess, seed: see `Preparer`.
        views: see `Views`.
        postprocess: what the classes mean.
        augment: see `ClsTrainData`.

    Raises:
        PixelOpError: `augment` is not as it should be.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        views: Views,
        preprocess: ClsPreprocess,
        postprocess: ClsPostProcess,
        augment: dict[str, Any] | None,
        seed: int,
    ) -> None:
        line = augment is not None and preprocess.kind == "crop"
        super().__init__(sources, preprocess, TrainingAugment(augment, "Train.augment") if line else None, seed)
        self._views, self._degrees = views, postprocess.label_list
        page = augment is not None and preprocess.kind == "page"
        self._page = Degrade((augment or DEFAULT_OPS) if page else {})

    def _views_of(self, number: int, image: NDArray[np.uint8], rng: np.random.Generator) -> list[_View]:
        return self._of_line(image, rng) if self._preprocess.kind == "crop" else self._of_page(image, rng)

    def _of_line(self, image: NDArray[np.uint8], rng: np.random.Generator) -> list[_View]:
        chosen = int(rng.integers(len(self._degrees)))
        return [(self._line_view(turned(image, self._degrees[chosen]), rng), chosen)]

    def _of_page(self, image: NDArray[np.uint8], rng: np.random.Generator) -> list[_View]:
        settings, preprocess = self._views, self._preprocess
        low, high = settings.scale
        page = preprocess.scaled_page(image, low * (high / low) ** rng.random())
        places = preprocess.places(page)
        found = []
        for _ in range(settings.squares):
            chosen = int(rng.integers(len(self._degrees)))
            if not places or rng.random() < settings.whole:
                view = preprocess.whole(page)
            else:
                view = self._square(page, *places[int(rng.integers(len(places)))], rng)
            view = turned(view, self._degrees[chosen])
            colours = np.asarray(cv2.cvtColor(view, cv2.COLOR_GRAY2BGR), np.uint8) if view.shape[2] == 1 else view
            degraded = preprocess.converted(self._page(colours, rng))
            found.append((degraded.reshape(view.shape), chosen))
        return found

    def _square(self, page: NDArray[np.uint8], x: int, y: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """A square near a place, slightly turned."""
        side = self._preprocess.width
        across, down = (start + side / 2 + (rng.random() - 0.5) * side / 2 for start in (x, y))
        angle = self._views.degrees * (2 * rng.random() - 1)
        matrix = np.asarray(cv2.getRotationMatrix2D((across, down), angle, 1.0), np.float64)
        matrix[:, 2] += (side / 2 - across, side / 2 - down)
        fill = (round(self._preprocess.mean),) * 3
        square = cv2.warpAffine(page, matrix, (side, side), borderMode=cv2.BORDER_CONSTANT, borderValue=fill)
        return np.asarray(square, np.uint8).reshape(side, side, -1)
