"""Finding texts in pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ocr.infer.backends import (
    NETWORKS,
    ONNX,
    MapOnnxBackend,
    MapPaddleBackend,
    give_weights,
    scores_of,
    start_paddle,
)
from ocr.postprocess.boxes import boxes
from ocr.postprocess.db import Detection
from ocr.postprocess.pse import PSEPostProcess
from ocr.spec import DetSpec
from synth.strict import ConfigError, explain, parse_yaml

_GRID = 32  # pixels of the coarsest features
_OVERLAP = 256  # pixels that neighbouring tiles have in common at least
_FREE = ("limit_side_len", "limit_type")


class MapBackend(Protocol):
    """A network that gives maps.

    Attributes:
        spec: see `DetSpec`.
    """

    spec: DetSpec

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Maps as the head's `maps` describes them: probabilities of texts, and what else its algorithm knows.

        Args:
            images: N × H × W × C, as `DetPreprocess` gives them.

        Returns:
            N × H × W, or N × maps × H / 4 × W / 4.
        """
        ...


class MapModelBackend:
    """A network as it is trained.

    Args:
        model: an `ocr.models.det.DetectionModel`; run in evaluation mode, then left as it was.
        spec: what goes with it.
    """

    def __init__(self, model: Any, spec: DetSpec) -> None:
        self.spec = spec
        self._model = model

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `MapBackend`."""
        with scores_of(self._model, self.spec.preprocess.normalise(images)) as scores:
            found: NDArray[np.float32] = self._model.head.maps(scores).numpy()
        return found


class Detector:
    """Finds texts with a network and its spec.

    A page that is larger at the network's scale than a tile goes through it in tiles that overlap. Their maps become
    one map, the middle of each overlap being the border, before texts are looked for: no text is found twice or cut.

    Args:
        backend: see `MapBackend`.
        tile: side of the largest part that the network takes, in pixels at its scale; it bounds the memory. A multiple
            of 32, and more than twice as much as overlaps (256).

    Raises:
        ValueError: another `tile`.
    """

    def __init__(self, backend: MapBackend, tile: int = 1536) -> None:
        if tile % _GRID or tile <= 2 * _OVERLAP:
            raise ValueError(f"tile must be a multiple of {_GRID} above {2 * _OVERLAP}, not {tile}")
        self._backend = backend
        self._tile = tile
        self.spec = backend.spec

    def find(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The texts of a page, polygons in its pixels.

        Args:
            image: `uint8`, H × W × 3 (BGR) or H × W (grey).
        """
        page = self.spec.preprocess.resized(image)
        config = self.spec.postprocess
        down, across = (self._parts(length) for length in page.shape[:2])
        if len(down) * len(across) > 1 and not isinstance(config, PSEPostProcess):
            config = config.model_copy(update={"max_candidates": config.max_candidates * len(down) * len(across)})
        maps, stride = self._maps(page, down, across)
        height, width = image.shape[:2]
        # A coarse map may reach a few pixels beyond the page.
        covered = [
            side * count * stride / length
            for side, count, length in zip((height, width), maps.shape[-2:], page.shape[:2], strict=True)
        ]
        most = np.array((width, height), np.float32)
        return [Detection(np.minimum(found.polygon, most), found.score) for found in boxes(maps, config, *covered)]

    def _maps(self, page: NDArray[np.uint8], down: list[_Part], across: list[_Part]) -> tuple[NDArray[np.float32], int]:
        """The maps of a page, and how many of its pixels each of theirs stands for in either direction."""
        bands = []
        stride = 1
        for y in down:
            parts = []
            for x in across:
                found, stride = self._run(page[y.start : y.start + self._tile, x.start : x.start + self._tile])
                # Borders between tiles are multiples of 16.
                rows, columns = (
                    slice((one.first - one.start) // stride, -(-(one.last - one.start) // stride)) for one in (y, x)
                )
                parts.append(found[..., rows, columns])
            bands.append(np.concatenate(parts, -1))
        return np.ascontiguousarray(np.concatenate(bands, -2)), stride

    def _run(self, part: NDArray[np.uint8]) -> tuple[NDArray[np.float32], int]:
        height, width = part.shape[:2]
        padded = self.spec.preprocess.padded(part)
        [maps] = self._backend.run(padded[None])
        stride = padded.shape[1] // maps.shape[-1]
        return maps[..., : -(-height // stride), : -(-width // stride)], stride

    def _parts(self, length: int) -> list[_Part]:
        """Where tiles begin along a side, and which pixels each one gives."""
        count = max(1, math.ceil((length - _OVERLAP) / (self._tile - _OVERLAP)))
        # On the grid of the network's coarsest features, so that they see in a tile what they see in the page.
        last = max(0, -(-(length - self._tile) // _GRID) * _GRID)
        starts = [round(number * last / max(count - 1, 1) / _GRID) * _GRID for number in range(count)]
        borders = [0, *((one + self._tile + other) // 2 for one, other in pairwise(starts)), length]
        return [_Part(*found) for found in zip(starts, borders[:-1], borders[1:], strict=True)]


class _Part(NamedTuple):
    start: int
    first: int
    last: int


def open_detector(path: str | Path, overrides: Sequence[str] = (), threads: int = 0) -> Detector:
    """A detector ready to use, whatever form it has.

    Args:
        path: a run directory (its best or newest checkpoint), a checkpoint, or an exported model.
        overrides: `postprocess.key=value` and `preprocess.key=value` of its spec.
        threads: of the network; 0: all cores.

    Raises:
        ScriptoriumError: there is no detector, it is broken, what runs it is not installed, or an override does not
            fit.
    """
    from ocr.engine import checkpoint as store

    folder = store.resolve(path)
    spec = _overridden(DetSpec.load(folder), overrides)
    backend: MapBackend
    if (folder / ONNX).is_file():
        backend = MapOnnxBackend(folder, threads)
    elif any((folder / name).is_file() for name in NETWORKS):
        backend = MapPaddleBackend(folder, threads)
    else:
        start_paddle(threads)
        network, _ = load_detector(folder)
        backend = MapModelBackend(network, spec)
    backend.spec = spec
    return Detector(backend)


def _overridden(spec: DetSpec, overrides: Sequence[str]) -> DetSpec:
    if not overrides:
        return spec
    values = spec.model_dump(mode="json")
    for override in overrides:
        key, sign, value = override.partition("=")
        section, dot, name = key.strip().partition(".")
        if not sign or not dot or section not in ("preprocess", "postprocess"):
            raise ConfigError(
                f"-o {override}: must be postprocess.key=value or preprocess.key=value, "
                "such as postprocess.box_thresh=0.5"
            )
        if section == "preprocess" and name not in _FREE:
            raise ConfigError(f"-o {key}: belongs to the weights; free are {', '.join(_FREE)}")
        values[section][name] = parse_yaml(value, f"-o {key}")
    try:
        return DetSpec.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, "-o", DetSpec)) from None


def load_detector(path: Path) -> tuple[Any, DetSpec]:
    """The network of a run or checkpoint, in evaluation mode with the weights to predict with, and its spec.

    Raises:
        ScriptoriumError: no detector there, a broken one, or weights that do not fit its architecture.
    """
    import paddle

    from ocr.config import DetArchitecture
    from ocr.engine import checkpoint as store
    from ocr.models.det import build_detector

    folder = store.resolve(path)
    spec = DetSpec.load(folder)
    _, weights = store.load_model(folder)
    with paddle.utils.unique_name.guard():
        model = build_detector(DetArchitecture(**spec.architecture), spec.preprocess.channels)
    give_weights(model, weights, folder)
    return model, spec
