"""Lines of a corpus in the look of real crops, made by a trained network and baked into the store of the crops.

What a network makes differs by rounding between machines, and with what else goes through it. So its pictures are made
in fixed blocks of `BLOCK` samples and kept beside the styles, a file for each, in a folder of the store whose name
follows from all that they were made from. Samples are made from there: a pure function of (recipe, seed, index) and of
what is in the store. The letters lie where the plain text has them, which is laid as the crop's own text lies: polygons
are exact by design, and a picture that does not show the letters there is refused, as everywhere.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from augment import geometry
from augment.errors import ScriptoriumError
from synth.cache import write_whole
from synth.compose import Refused
from synth.compose.background import Backgrounds
from synth.compose.composer import Composer
from synth.compose.legibility import judged
from synth.fonts.book import FontBook
from synth.pipeline import Pipeline, Streams
from synth.recipe import Recipe
from synth.render.line import Ink
from synth.sample import Sample
from synth.shards.record import Record, pack_polygons
from synth.style.draw import Styles
from synth.style.engine import open_engine
from synth.style.pairs import PlainWriter, on_ground
from synth.style.store import Store
from synth.style.style import Image, Style
from synth.text.charset import Charset
from synth.text.source import Drawn, TextSource

BLOCK: Final = 256
"""Samples baked together."""

_VERSION: Final = 1
_ROOM: Final = 0.3  # heights of the text that are kept of a crop above and below it
_SIDES: Final = (0.06, 0.8)  # least and greatest margin at the sides, heights of the text
_TALLEST: Final = 0.94  # of the picture's height
_SLANTED: Final = 0.45  # greatest tangent
_SIZES: Final = (0.8, 1.3)  # by which ink may be scaled; else it is drawn anew
_HELD: Final = 256  # styles
_PLAIN_ATTEMPTS: Final = 200
_CORNERS: Final = np.array((0, 1, 2, 1, 2, 3, 0, 3))
_PNG: Final = (cv2.IMWRITE_PNG_COMPRESSION, 3)


@dataclass(frozen=True, slots=True)
class _Look:
    """What is taken of a style: a strip of the crop at the image's height, and how text lies in it.

    Attributes:
        name: of the crop.
        strip: height × width × 3.
        angle: of the line, radians, clockwise.
        slant: of the letters.
        height: of the text, pixels.
        middle: y of the line's middle.
        margins: left and right, pixels.
    """

    name: str
    strip: Image
    angle: float
    slant: float
    height: float
    middle: float
    margins: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Line:
    """One attempt at a sample, before the network and the encoder."""

    drawn: Drawn
    font: str
    look: _Look | None
    coverage: Image
    polygons: NDArray[np.float32]
    blank: NDArray[np.bool_]
    shared: NDArray[np.bool_]
    quality: int


@dataclass(frozen=True, slots=True)
class _Baked:
    """What the store has of a sample: which attempt it is, its picture (none where it is plain), refused attempts."""

    attempt: int
    picture: bytes
    refusals: list[tuple[str, str]]


class LearnedLines:
    """The stream of samples that a recipe with `styles.stores` and `styles.model` defines.

    Args:
        recipe: texts, fonts, image height, legibility and encoding; the look is that of the styles.

    May be pickled; it then opens its files again on the other side. The network is opened by `bake` alone.

    Raises:
        ScriptoriumError: as `Pipeline`, `Store` and `open_engine`; or the recipe plans its texts or is of handwriting.
    """

    plan = None
    hand = None

    def __init__(self, recipe: Recipe) -> None:
        styles = recipe.styles
        assert styles.model is not None
        for wrong, what in (
            (bool(recipe.handwriting.chars and recipe.handwriting.weight), "handwriting.chars: it writes by hand"),
            (bool(recipe.corpus.min_per_unit), "corpus.min_per_unit: it plans its texts"),
        ):
            if wrong:
                raise ScriptoriumError(f"{what}; styles.model takes texts as they come, in print: leave one out")
        self.recipe = recipe
        self.engine = open_engine(styles.model, recipe.layout.height)
        self._pipeline = Pipeline(recipe.with_keys("styles", model=None))
        self._stores = [Store(path) for path in styles.stores]
        confidences = np.concatenate([store.confidences for store in self._stores])
        if not confidences.sum() > 0:
            raise ScriptoriumError(f"{styles.stores[0]}: no style in it is of use; extract others")
        self._chances = np.cumsum(confidences) / confidences.sum()
        self._starts = [0, *accumulate(map(len, self._stores))]
        self._streams = Streams(recipe.seed)
        self._composer = Composer(recipe, Backgrounds(recipe.background, recipe.seed))
        self._looks: Callable[[int], _Look] = lru_cache(_HELD)(self._look)
        self._blocks: Callable[[int], list[_Baked]] = lru_cache(2)(self._block)

    def __reduce__(self) -> tuple[Any, ...]:
        return LearnedLines, (self.recipe,)

    @property
    def charset(self) -> Charset | None:
        """See `Pipeline`; likewise the others."""
        return self._pipeline.charset

    @property
    def source(self) -> TextSource:  # noqa: D102
        return self._pipeline.source

    @property
    def book(self) -> FontBook:  # noqa: D102
        return self._pipeline.book

    @property
    def styles(self) -> Styles | None:  # noqa: D102
        return self._pipeline.styles

    @property
    def warnings(self) -> list[str]:  # noqa: D102
        return self._pipeline.warnings

    @property
    def rejected_fonts(self) -> list[tuple[Path, str]]:  # noqa: D102
        return self._pipeline.rejected_fonts

    @property
    def rejected_pictures(self) -> list[tuple[Path, str]]:  # noqa: D102
        return self._pipeline.rejected_pictures

    @cached_property
    def _writer(self) -> PlainWriter:
        corpus = self.recipe.corpus
        return PlainWriter(self._pipeline.book, corpus.language, corpus.direction)

    def inputs(self) -> dict[str, Any]:
        """See `Pipeline.inputs`; with the digest of the network."""
        return {**self._pipeline.inputs(), "style_model": self.engine.digest}

    def head(self) -> dict[str, Any]:
        """See `Pipeline.head`."""
        head = self._pipeline.head()
        assert self.recipe.styles.model is not None
        head["recipe"]["styles"]["model"] = self.recipe.styles.model.name
        return {**head, "inputs": self.inputs()}

    @cached_property
    def name(self) -> str:
        """What the pictures are kept under in the store: it follows from all that they are made from."""
        recipe = self.recipe
        basis = {
            "version": _VERSION,
            "block": BLOCK,
            "inputs": self.inputs(),
            "recipe": [recipe.seed, recipe.layout.height, recipe.layout.max_ratio, recipe.fonts.fallback],
            "corpus": recipe.corpus.model_dump(mode="json", exclude={"files", "charset"}),
            "files": [[file.weight, file.piece] for file in recipe.corpus.files],
            "judged": [recipe.legibility.model_dump(mode="json"), recipe.output.encoding, recipe.output.quality],
        }
        text = json.dumps(basis, ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]

    # -- samples -------------------------------------------------------------------------------------------------

    def __getitem__(self, index: int) -> Sample:
        return self.sample(index)

    def sample(self, index: int) -> Sample:
        """Sample `index`.

        Raises:
            ScriptoriumError: its block has not been baked.
            IndexError: the index is negative.
        """
        line, baked, image, encoded = self._made(index)
        return Sample(
            image=image,
            text=line.drawn.text,
            units=line.drawn.units,
            polygons=line.polygons,
            shared=line.shared,
            meta=self._meta(line, encoded),
            refusals=baked.refusals,
            encoded=encoded,
        )

    def samples(self, indexes: Sequence[int]) -> list[Sample]:
        """The samples of some indexes. Raises as `sample`."""
        return [self.sample(index) for index in indexes]

    def block(self, start: int, stop: int) -> list[Record]:
        """The records of a range of indexes. Raises as `sample`."""
        return [self.record(index) for index in range(start, stop)]

    def record(self, index: int) -> Record:
        """Sample `index` as it is stored. Raises as `sample`."""
        line, baked, _, encoded = self._made(index)
        polygons = None
        if self.recipe.output.polygons:
            polygons = pack_polygons(line.polygons, line.shared, list(accumulate(map(len, line.drawn.units))))
        meta = json.dumps(self._meta(line, encoded), ensure_ascii=False, separators=(",", ":")).encode()
        return Record(index, encoded, line.drawn.text, meta, polygons, baked.refusals, line.drawn.units)

    def _made(self, index: int) -> tuple[_Line, _Baked, Image, bytes]:
        if index < 0:
            raise IndexError("samples are counted from 0")
        baked = self._blocks(index // BLOCK)[index % BLOCK]
        line = self._line(index, baked.attempt)
        if line.look is None:
            image = cv2.cvtColor(cv2.bitwise_not(line.coverage), cv2.COLOR_GRAY2BGR)
        else:
            image = _decoded(baked.picture, cv2.IMREAD_COLOR)
        return line, baked, image, self._encoded(image, line)

    def _meta(self, line: _Line, encoded: bytes) -> dict[str, Any]:
        names = {str(file.path): file.path.name for file in self.recipe.corpus.files}
        meta: dict[str, Any] = {
            "source": names.get(line.drawn.source, line.drawn.source),
            "font": line.font,
            "background": "style" if line.look is not None else "flat",
            "contrast": self._judged(line, encoded)[1],
        }
        if line.look is None:
            return {**meta, "plain": True}
        return {**meta, "style": line.look.name, "style_engine": "learned"}

    def _block(self, number: int) -> list[_Baked]:
        try:
            return unpacked(self.file(number).read_bytes())
        except FileNotFoundError:
            raise ScriptoriumError(
                f"{self._stores[0].folder}: samples from {number * BLOCK:,} on have not been baked for this recipe and "
                "network; `synth generate` bakes them"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise ScriptoriumError(
                f"{self.file(number)}: cannot be read ({error}); remove it, and bake it again"
            ) from None

    # -- making --------------------------------------------------------------------------------------------------

    def file(self, number: int) -> Path:
        """Where a block is, or will be."""
        return self.folder / f"{number:06d}.block"

    @property
    def folder(self) -> Path:
        """Where all blocks are."""
        return self._stores[0].folder / "learned" / self.name

    def bake(self, number: int) -> bytes:
        """Make the pictures of a block.

        Args:
            number: of the block, from 0.

        Raises:
            ScriptoriumError: no text of the corpus can be drawn.
        """
        done: dict[int, _Baked] = {}
        refusals: dict[int, list[tuple[str, str]]] = {}
        attempts = dict.fromkeys(range(number * BLOCK, (number + 1) * BLOCK), 0)
        while attempts:
            lines: dict[int, _Line] = {}
            for index, attempt in attempts.items():
                with suppress(Refused):
                    lines[index] = self._tried(index, attempt, refusals)
            looks = {index: line.look for index, line in lines.items() if line.look is not None}
            targets = [on_ground(lines[index].coverage) for index in looks]
            pictures = dict(
                zip(
                    looks,
                    (p.image for p in self.engine.restyle([look.strip for look in looks.values()], targets)),
                    strict=True,
                )
            )
            for index, line in lines.items():
                if line.look is None:
                    done[index] = _Baked(attempts.pop(index), b"", refusals.get(index, []))
                    continue
                reason, _ = self._judged(line, self._encoded(pictures[index], line))
                if reason:
                    refusals.setdefault(index, []).append((reason, ""))
                    continue
                picture = cv2.imencode(".png", pictures[index], _PNG)[1].tobytes()
                done[index] = _Baked(attempts.pop(index), picture, refusals.get(index, []))
            attempts = {index: attempt + 1 for index, attempt in attempts.items()}
        return packed([done[index] for index in sorted(done)])

    def _tried(self, index: int, attempt: int, refusals: dict[int, list[tuple[str, str]]]) -> _Line:
        try:
            return self._line(index, attempt)
        except Refused as refusal:
            refusals.setdefault(index, []).append((refusal.reason, refusal.detail))
            if attempt >= self.recipe.legibility.attempts + _PLAIN_ATTEMPTS:
                reasons = ", ".join(sorted({reason for reason, _ in refusals[index]}))
                raise ScriptoriumError(
                    f"sample {index}: {attempt + 1} attempts were refused ({reasons}); give fonts that draw the corpus"
                ) from None
            raise

    def _judged(self, line: _Line, encoded: bytes) -> tuple[str, float]:
        """Why a picture cannot be read, and its contrast; letters are to be where the plain text has them."""
        grey = _decoded(encoded, cv2.IMREAD_GRAYSCALE)
        return judged(grey, line.coverage, line.polygons[~line.blank], self.recipe.legibility)

    def _encoded(self, image: Image, line: _Line) -> bytes:
        if self.recipe.output.encoding == "png":
            return cv2.imencode(".png", image)[1].tobytes()
        return cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, line.quality))[1].tobytes()

    def _line(self, index: int, attempt: int) -> _Line:
        """One attempt at a sample. Raises Refused."""
        rng = self._streams.at(index, attempt)
        source = self._pipeline.source
        try:
            drawn = source.draw(rng)
        finally:
            source.refusals.clear()
        low, high = self.recipe.output.quality
        quality = low + int(rng.random() * (high - low + 1))
        chosen = min(int(np.searchsorted(self._chances, rng.random(), side="right")), len(self._chances) - 1)
        height = self.recipe.layout.height
        ink, font = self._writer.draw(drawn, height)
        if attempt >= self.recipe.legibility.attempts:
            plain = self._composer.plain(ink, height)
            return _Line(drawn, font, None, plain.coverage, plain.polygons, ink.blank, ink.shared, quality)
        look = self._looks(chosen)
        scale = look.height / ink.mask.shape[0]
        if not _SIZES[0] <= scale <= _SIZES[1]:
            ink, font = self._writer.draw(drawn, max(6, round(height * scale)))
        warp, width = placed(ink, look.height, look.angle, look.slant, look.middle, look.margins, height)
        if width > self.recipe.layout.max_ratio * height:
            raise Refused("too wide")
        coverage = warp.apply(ink.mask, (width, height), 0)
        polygons = warp.forward(ink.boxes[:, _CORNERS].reshape(-1, 4, 2))
        return _Line(drawn, font, look, coverage, polygons, ink.blank, ink.shared, quality)

    def _look(self, number: int) -> _Look:
        which = next(k for k, (a, b) in enumerate(pairwise(self._starts)) if a <= number < b)
        store = self._stores[which]
        return look_of(store[number - self._starts[which]], self.recipe.layout.height)


def _decoded(data: bytes, how: int) -> Image:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    assert image is not None  # it was written by this module
    return image


def look_of(style: Style, height: int) -> _Look:
    """What is taken of a style for images of a height: the crop's rows that its text is in, and a little more."""
    quad = np.asarray(style.quad, np.float64)
    rows = style.image.shape[0]
    low, high = quad[:, 1].min(), quad[:, 1].max()
    room = _ROOM * style.height
    top, bottom = max(0, math.floor(low - room)), min(rows, math.ceil(high + room))
    if bottom - top < 4:
        top, bottom = 0, rows
    scale = height / (bottom - top)
    strip = style.image[top:bottom]
    width = max(1, round(strip.shape[1] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    strip = cv2.resize(strip, (width, height), interpolation=method)
    tall = min(style.height * scale, _TALLEST * height)
    least, most = (share * tall for share in _SIDES)
    left, _, right, _ = (min(max(margin * tall, least), most) for margin in style.margins)
    middle = (float(quad[:, 1].mean()) - top) * scale
    return _Look(
        style.name, strip, style.angle, min(max(style.slant, -_SLANTED), _SLANTED), tall, middle, (left, right)
    )


def placed(
    ink: Ink,
    tall: float,
    angle: float,
    slant: float,
    middle: float,
    margins: tuple[float, float],
    height: int,
) -> tuple[geometry.Warp, int]:
    """Where a line of ink comes to lie.

    Args:
        ink: the line.
        tall: height that its ink is to have, pixels.
        angle: of the line, radians, clockwise; less where the line would leave the picture.
        slant: of the letters, horizontal shift for each pixel up.
        middle: y of the line's middle; moved where the line would leave the picture.
        margins: left and right, pixels.
        height: of the picture.

    Returns:
        The warp from the ink's pixels to the picture's, and the picture's width.
    """
    rows, columns = ink.mask.shape
    scale = tall / rows
    reach = columns * scale
    most = math.asin(min(max((height - tall) / reach, 0.0), 1.0))
    angle = min(max(angle, -most), most)
    warp = geometry.scaling(scale).then(geometry.shear(-slant, 0.0, (0.0, tall / 2)))
    warp = warp.then(geometry.rotation(angle, (reach / 2, tall / 2)))
    corners = warp.forward(np.array(((0, 0), (columns, 0), (columns, rows), (0, rows)), np.float32))
    (x0, y0), (x1, y1) = corners.min(0).tolist(), corners.max(0).tolist()
    if y1 - y0 > height:  # slanted letters of a short line may still rise too high
        warp = warp.then(geometry.scaling(height / (y1 - y0)))
        corners = warp.forward(np.array(((0, 0), (columns, 0), (columns, rows), (0, rows)), np.float32))
        (x0, y0), (x1, y1) = corners.min(0).tolist(), corners.max(0).tolist()
    half = (y1 - y0) / 2
    middle = min(max(middle, half), max(height - half, half))
    warp = warp.then(geometry.translation(margins[0] - x0, middle - (y0 + y1) / 2))
    return warp, max(8, math.ceil(x1 - x0 + sum(margins)))


def packed(block: Sequence[_Baked]) -> bytes:
    """A block as one value: what is known of each sample as JSON on a line, then the pictures."""
    facts = [[baked.attempt, len(baked.picture), baked.refusals] for baked in block]
    head = json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()
    return head + b"\n" + b"".join(baked.picture for baked in block)


def unpacked(data: bytes) -> list[_Baked]:
    """Undo `packed`."""
    head, _, pictures = data.partition(b"\n")
    facts = json.loads(head)
    ends = list(accumulate((length for _, length, _ in facts), initial=0))
    return [
        _Baked(attempt, pictures[start:stop], [(reason, detail) for reason, detail in refusals])
        for (attempt, _, refusals), (start, stop) in zip(facts, pairwise(ends), strict=True)
    ]


def bake(lines: LearnedLines, count: int, *, progress: bool = True) -> int:
    """Make all blocks of the first `count` samples that are not there yet; each is kept as soon as it is made.

    Args:
        lines: the stream.
        count: samples.
        progress: show a bar on stderr where that is a terminal.

    Returns:
        How many samples were made.

    Raises:
        ScriptoriumError: see `LearnedLines.bake`; or the store cannot be written.
    """
    wanted = [number for number in range(-(-count // BLOCK)) if not lines.file(number).is_file()]
    for number in tqdm(wanted, unit="block", disable=None if progress else True, dynamic_ncols=True):
        data = lines.bake(number)
        try:
            write_whole(lines.file(number), data)
        except OSError as error:
            raise ScriptoriumError(f"{lines.file(number)}: cannot be written ({error.strerror})") from None
    return len(wanted) * BLOCK


__all__ = ["BLOCK", "LearnedLines", "bake", "look_of", "placed"]
