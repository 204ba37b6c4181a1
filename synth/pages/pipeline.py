"""One page or scene: a pure function of (recipe, seed, index)."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.compose import Refused
from synth.compose.background import Backgrounds
from synth.fonts.book import FontBook
from synth.handwriting.stitch import Hand
from synth.pages.kinds import PageMaker
from synth.pages.labels import IGNORED, quad_of
from synth.pages.scene import SceneMaker
from synth.pages.settings import PageKind
from synth.pages.sheet import Label, Shot, contrasts, shoot
from synth.pages.typeset import Typesetter
from synth.pipeline import Pipeline, Streams
from synth.recipe import Background, Recipe
from synth.sample import Sample
from synth.shards.record import Record
from synth.text.charset import Charset
from synth.text.source import TextSource

_ATTEMPTS = 60
_DESKS: dict[Any, float] = {"wall": 1.0, "grain": 1.0, "cloth": 1.0, "clutter": 1.0, "flat": 0.5}
_PICTURES: dict[Any, float] = {"clutter": 3.0, "wall": 0.5, "gradient": 0.5}
_NO_TEXT = "nothing to find"


class PagePipeline:
    """The stream of pages that a recipe with `task: det` defines; what `synth.pipeline.Pipeline` is to lines.

    A record's label is PaddleOCR's for detection, a JSON list with an entry for each text: `transcription`, which is
    `###` where the text is to be ignored; `points`, a polygon clockwise from the text's own top-left; and, with
    `output.polygons`, `units`: a quad for each dictionary unit. Coordinates are pixels, to a tenth.

    Args:
        recipe: what to draw.

    Raises:
        ScriptoriumError: as `Pipeline`.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._lines = Pipeline(recipe)
        self._streams = Streams(recipe.seed)
        kinds = {kind: weight for kind, weight in recipe.background.kinds.items() if kind != "pictures"}
        seed, paths = recipe.seed, recipe.background.paths
        strength = recipe.background.strength
        # The user's pictures are what sheets lie on, and what pictures on pages show.
        self._papers = Backgrounds(Background(kinds=kinds or {"flat": 1.0}, strength=strength), seed, 32 << 20)
        self._desks = Backgrounds(Background(paths=paths, kinds=_DESKS), seed, 32 << 20)
        self._shown = Backgrounds(Background(paths=paths, kinds=_PICTURES), seed, 32 << 20)
        self._seen = Backgrounds(recipe.background, seed, 64 << 20)
        self._degradation = recipe.degrade_ops()
        self._kinds: list[PageKind] = [kind for kind, weight in recipe.page.kinds.items() if weight > 0]
        self._sums = list(accumulate(recipe.page.kinds[kind] for kind in self._kinds))

    @cached_property
    def _typesetter(self) -> Typesetter:
        return Typesetter(self.recipe, self.book, self.charset)

    @cached_property
    def pages(self) -> PageMaker:
        """What sets pages, before they are photographed."""
        return PageMaker(self._typesetter, self.recipe.page, self.recipe.layout.vertical.p, self._shown)

    @cached_property
    def scenes(self) -> SceneMaker:
        """What paints scenes."""
        return SceneMaker(self.recipe, self._typesetter, self._seen)

    # -- what the engine and the reports ask of a pipeline ----------------------------------------------------

    @property
    def source(self) -> TextSource:
        """The texts."""
        return self._lines.source

    @property
    def warnings(self) -> list[str]:
        """See `Pipeline.warnings`."""
        return self._lines.warnings

    @property
    def charset(self) -> Charset | None:
        """The dictionary that texts keep to, if any."""
        return self._lines.charset

    @property
    def book(self) -> FontBook:
        """The fonts. Raises as `Pipeline.book`."""
        return self._lines.book

    @property
    def hand(self) -> Hand | None:
        """Pages are not written by hand."""
        return None

    @property
    def styles(self) -> None:
        """Pages are not drawn in styles."""
        return None

    @property
    def plan(self) -> None:
        """Texts of pages are not planned."""
        return None

    @property
    def rejected_fonts(self) -> list[tuple[Path, str]]:
        """As `Pipeline.rejected_fonts`."""
        return self._lines.rejected_fonts

    @property
    def rejected_pictures(self) -> list[tuple[Path, str]]:
        """As `Pipeline.rejected_pictures`."""
        return self._desks.rejected

    def head(self) -> dict[str, Any]:
        """As `Pipeline.head`."""
        return self._lines.head()

    def inputs(self) -> dict[str, Any]:
        """As `Pipeline.inputs`."""
        return self._lines.inputs()

    def __reduce__(self) -> tuple[Any, ...]:
        return PagePipeline, (self.recipe,)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(index)

    def __iter__(self) -> Iterator[Sample]:
        index = 0
        while True:
            yield self.sample(index)
            index += 1

    def block(self, start: int, stop: int) -> list[Record]:
        """The records of a range of indexes."""
        return [self.record(index) for index in range(start, stop)]

    def record(self, index: int) -> Record:
        """Page `index` as it is stored. Raises as `sample`."""
        shot, encoded, meta, refusals = self._made(index)
        units = [unit for label in shot.labels if label.text != IGNORED for unit in label.text]
        label = _compact([_entry(label, self.recipe.output.polygons) for label in shot.labels])
        return Record(index, encoded, label, _compact(meta).encode(), None, refusals, units)

    def sample(self, index: int) -> Sample:
        """Page `index`. Its `units` are the texts, its `polygons` quads around them, its `text` all of them in lines.

        Raises:
            ScriptoriumError: no text of the corpus can be drawn, or every attempt was refused.
            IndexError: the index is negative.
        """
        shot, encoded, meta, refusals = self._made(index)
        texts = [label.text for label in shot.labels]
        return Sample(
            image=_three(shot.image),
            text="\n".join(texts),
            units=texts,
            polygons=np.array([quad_of(label.polygon) for label in shot.labels], np.float32).reshape(-1, 4, 2),
            shared=np.array([text == IGNORED for text in texts], np.bool_),
            meta=meta,
            refusals=refusals,
            encoded=encoded,
        )

    # -- one page ---------------------------------------------------------------------------------------------

    def _made(self, index: int) -> tuple[Shot, bytes, dict[str, Any], list[tuple[str, str]]]:
        if index < 0:
            raise IndexError("samples are counted from 0")
        refusals: list[tuple[str, str]] = []
        for surfaces in (self._desks, self._shown, self._seen):
            surfaces.turn_to(index)
        for attempt in range(_ATTEMPTS):
            rng = self._streams.at(index, attempt)
            try:
                shot, kind = self._shot(rng)
            except Refused as refusal:
                refusals.append((refusal.reason, refusal.detail))
                continue
            finally:
                refusals += [("text " + reason, "") for reason in self._typesetter.refusals()]
            image, encoded = self._finished(shot, rng)
            if all(label.text == IGNORED for label in shot.labels):
                refusals.append((_NO_TEXT, ""))
                continue
            fonts = self._typesetter.fonts
            shot.image = image
            meta = {
                "source": ", ".join(sorted(file.path.name for file in self.recipe.corpus.files)),
                "kind": kind,
                "font": fonts[0],
                "fallback": fonts[1:],
                "background": shot.ground,
                "texts": len(shot.labels),
                "ignored": sum(label.text == IGNORED for label in shot.labels),
            }
            return shot, encoded, meta, refusals
        reasons = ", ".join(sorted({reason for reason, _ in refusals}))
        raise ScriptoriumError(f"page {index}: {_ATTEMPTS} attempts were refused ({reasons}); loosen the recipe")

    def _shot(self, rng: np.random.Generator) -> tuple[Shot, str]:
        kind = self._kinds[bisect_right(self._sums, rng.random() * self._sums[-1], 0, len(self._sums) - 1)]
        if kind == "scene":
            shot = self.scenes.make(rng)
        else:
            sheet = self.pages.make(kind, rng)
            shot = shoot(sheet, self.recipe.page, self.recipe.colour, self._papers, self._desks, rng)
        return shot, kind

    def _finished(self, shot: Shot, rng: np.random.Generator) -> tuple[NDArray[np.uint8], bytes]:
        """Degrade and encode; texts of which too little is left are labelled to be ignored."""
        image: Any = shot.image
        chosen = self._degradation.chosen(rng)
        for number in chosen:
            image = self._degradation.ops[number].apply(_three(image), rng)
        output = self.recipe.output
        if output.encoding == "png":
            encoded = cv2.imencode(".png", image, (cv2.IMWRITE_PNG_COMPRESSION, 1))[1].tobytes()
        else:
            low, high = output.quality
            quality = low + int(rng.random() * (high - low + 1))
            encoded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        floor = self.recipe.legibility
        small = self.recipe.page.legible[1]
        left, ratios = contrasts(grey, shot.ink, shot.labels)
        for label, contrast, ratio in zip(shot.labels, left.tolist(), ratios.tolist(), strict=True):
            if contrast < floor.contrast / (1 if _height(label) < small else 2) or ratio < floor.ratio:
                label.text = IGNORED
        return image, encoded


def _entry(label: Label, units: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"transcription": label.text, "points": _tenths(label.polygon)}
    if units and label.text != IGNORED:
        entry["units"] = _tenths(label.units)
    return entry


def _tenths(points: NDArray[np.float32]) -> Any:
    return np.round(points.astype(np.float64), 1).tolist()


def _height(label: Label) -> float:
    (_, _), (width, height), _ = cv2.minAreaRect(label.polygon)
    return float(min(width, height))


def _three(image: NDArray[Any]) -> NDArray[Any]:
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
