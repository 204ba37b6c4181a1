"""One sample: a pure function of (recipe, seed, index)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import synth
from augment.errors import ScriptoriumError
from synth.compose import Refused
from synth.compose.background import Backgrounds
from synth.compose.composer import KEPT_INK, Composed, Composer, Draft, Neighbours
from synth.compose.legibility import unit_contrasts
from synth.fonts.book import FontBook, Uncovered
from synth.fonts.face import Face
from synth.fonts.index import FaceInfo, FontIndex, scan
from synth.fonts.install import catalog
from synth.recipe import Fonts, Recipe
from synth.render.line import GlyphCache, Ink, NoInk, draw_line
from synth.render.shape import Run, Undrawable, script_of, shape_line
from synth.sample import Sample
from synth.shards.record import NO_FONT, Record, pack_polygons
from synth.text.charset import Charset
from synth.text.source import Drawn, TextSource

_BAD_SHAPE = "missing glyph or dotted circle"
_BLANK = "no ink where ink is due"
_UNDRAWN = frozenset((NO_FONT, _BAD_SHAPE, _BLANK))
_TEXT, _BESIDE, _PLACE, _LAYERS, _GROUND, _PAINT, _DEGRADE, _ENCODE, _OPS = *range(8), 16  # random streams
_BATCH = 64  # samples that go through the stages together
_PLAIN_ATTEMPTS = 200  # texts tried for the plain rendering before the corpus counts as undrawable
_NEIGHBOUR_WORDS = 24  # characters kept of a neighbouring text: more is never seen
_LIBRARIES = ("numpy", "opencv-python-headless", "uharfbuzz", "freetype-py", "fonttools", "regex", "unicodedata2")


class Streams:
    """Random generators by index, attempt and stage.

    Philox, keyed by the seed, its counter started at (0, stage, attempt, index). The generator that `at` returns is the
    same object each time, wound to its place; that costs a tenth of making one.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.Philox(key=np.array((seed, 0x53637269), np.uint64))
        self._state: Any = self._bits.state
        self._generator = np.random.Generator(self._bits)

    def at(self, index: int, attempt: int, stage: int = 0) -> np.random.Generator:
        """The generator of one stage of one attempt at one sample."""
        state = self._state
        state["state"]["counter"][:] = (0, stage, attempt, index)
        state["buffer_pos"] = 4
        state["has_uint32"] = 0
        self._bits.state = state
        return self._generator


@dataclass(slots=True)
class _Beside:
    """A neighbouring text, shaped, and where it is seen."""

    runs: list[Run]
    units: list[str]
    sides: list[str]


@dataclass(slots=True)
class _Work:
    """One sample on its way through the stages; what a stage has not yet set is unset."""

    index: int
    attempt: int = 0
    plain: bool = False
    files_only: bool = False
    refusals: list[tuple[str, str]] = field(default_factory=list)
    drawn: Drawn = field(init=False)
    faces: list[tuple[Face, int, int]] = field(init=False)
    spacing: float = field(init=False)
    jitter: list[tuple[float, float]] | None = field(init=False)
    ppem: int = field(init=False)
    runs: list[Run] = field(init=False)
    ink: Ink = field(init=False)
    beside: _Beside | None = field(init=False)
    draft: Draft = field(init=False)
    composed: Composed = field(init=False)
    image: NDArray[Any] = field(init=False)
    first: int = field(init=False)
    last: int = field(init=False)
    encoded: bytes = field(init=False)
    grey: Any = field(init=False)
    contrast: float = field(init=False)


class Pipeline:
    """The stream of samples that a recipe defines.

    Args:
        recipe: what to draw.

    `pipeline[i]` is sample `i`; iterating runs from 0 without an end. A pipeline may be pickled; it then opens its
    files again on the other side.

    Raises:
        ScriptoriumError: a file that the recipe names is missing or of no use, or there is nothing to draw.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        corpus = recipe.corpus
        if not corpus.files and not (corpus.templates and corpus.template_share == 1):
            raise ScriptoriumError("no corpus: give --corpus FILE, or corpus.files in the recipe")
        self.charset = Charset.from_file(recipe.corpus.charset) if recipe.corpus.charset else None
        self.source = TextSource(recipe.corpus, self.charset)
        self._names = {str(file.path): file.path.name for file in recipe.corpus.files}
        self._backgrounds = Backgrounds(recipe.background, recipe.seed)
        self._composer = Composer(recipe, self._backgrounds)
        self._streams = Streams(recipe.seed)
        self._cache = GlyphCache()
        self._degradation = recipe.degrade_ops()
        surroundings = recipe.surroundings
        self._neighboured = surroundings.above + surroundings.below + surroundings.beside > 0

    @cached_property
    def _index(self) -> FontIndex:
        return scan(self.recipe.fonts.paths or None)

    @cached_property
    def book(self) -> FontBook:
        """The fonts of the recipe.

        Raises:
            ScriptoriumError: there are none, or they draw none of 2,000 texts of the corpus files.
        """
        book = FontBook(_wanted(self._index.faces, self.recipe.fonts), self.recipe.fonts)
        lacking: Counter[str] = Counter()
        rng = np.random.default_rng(0)

        def covered(text: str) -> bool:
            try:
                book.choose(text, rng)
            except Uncovered as uncovered:
                lacking.update(uncovered.characters)
                return False
            return True

        # Here, before anything is drawn: templates could hide for ever that the corpus itself yields nothing.
        if not self.source.any_text(covered):
            raise _undrawable(lacking)
        return book

    @property
    def rejected_fonts(self) -> list[tuple[Path, str]]:
        """Files and faces that are of no use, with the reason, where the recipe names fonts."""
        return list(self._index.rejected) if self.recipe.fonts.paths else []

    @property
    def rejected_pictures(self) -> list[tuple[Path, str]]:
        """Background pictures that are of no use, with the reason."""
        return self._backgrounds.rejected

    def __reduce__(self) -> tuple[Any, ...]:
        return Pipeline, (self.recipe,)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(index)

    def __iter__(self) -> Iterator[Sample]:
        index = 0
        while True:
            yield self.sample(index)
            index += 1

    def block(self, start: int, stop: int) -> list[Record]:
        """The records of a range of indexes."""
        records: list[Record] = []
        for first in range(start, stop, _BATCH):
            indexes = range(first, min(first + _BATCH, stop))
            records += [self._record(i, sample) for i, sample in zip(indexes, self.samples(indexes), strict=True)]
        return records

    def record(self, index: int) -> Record:
        """Sample `index` as it is stored."""
        return self._record(index, self.sample(index))

    def _record(self, index: int, sample: Sample) -> Record:
        polygons = None
        if self.recipe.output.polygons:
            ends: list[int] = []
            at = 0
            for unit in sample.units:
                at += len(unit)
                ends.append(at)
            polygons = pack_polygons(sample.polygons, sample.shared, ends)
        meta = _compact(sample.meta).encode()
        return Record(index, sample.encoded, sample.text, meta, polygons, sample.refusals, sample.units)

    def sample(self, index: int) -> Sample:
        """Sample `index`.

        Once a text was refused because it cannot be drawn, the attempts that follow draw from the corpus files only (if
        there are any), so that templates do not take the place of the corpus.

        Raises:
            ScriptoriumError: no text of the corpus can be drawn with the recipe's fonts; or every attempt was refused.
            IndexError: the index is negative.
        """
        return self.samples([index])[0]

    def samples(self, indexes: Sequence[int]) -> list[Sample]:
        """The samples of some indexes: those that `sample` gives, in less time. Raises as `sample`.

        All of them go through one stage before the next: the processor's caches then hold that stage's code, which
        makes encoding, for one, more than twice as fast as going through all stages sample by sample. Each stage of
        each attempt has a random stream of its own, so that the company makes no difference.
        """
        if any(index < 0 for index in indexes):
            raise IndexError("samples are counted from 0")
        stages = (
            *(self._write, self._shape, self._look_beside, self._draw),
            *(self._place, self._gather, self._lay_ground, self._draw_layers, self._paint),
        )
        done: dict[int, Sample] = {}
        works = [_Work(index) for index in indexes]
        while works:
            refused: list[_Work] = []
            for stage in stages:
                works = self._passed(stage, works, refused)
            insides = self._composer.insides([work.draft for work in works if not work.plain])
            for work, inside in zip((work for work in works if not work.plain), insides, strict=True):
                work.composed = self._composer.finish(work.draft, inside)
            works = self._passed(self._compose, works, refused)
            self._degrade(works)
            for work in works:
                self._encode(work)
            for work in works:
                work.grey = cv2.imdecode(np.frombuffer(work.encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
            for work, reason in zip(works, self._judged(works), strict=True):
                if reason:
                    self._refuse(work, Refused(reason))
                    refused.append(work)
                else:
                    done[work.index] = self._finish(work)
            works = refused
        return [done[index] for index in indexes]

    def first_text(self, index: int) -> Drawn:
        """The text that sample `index` tries first: a guess at its length that costs no drawing."""
        try:
            return self.source.draw(self._streams.at(index, 0, _TEXT))
        finally:
            self.source.refusals.clear()

    def inputs(self) -> dict[str, Any]:
        """What bit identity rests on: digests of corpora, charset, fonts and backgrounds, and library versions."""
        import hashlib

        charset = self.recipe.corpus.charset
        corpora, pictures = self.source.digests(), self._backgrounds.digests()
        return {
            "corpora": [_named(file.path, corpora) for file in self.recipe.corpus.files],
            "charset": hashlib.sha256(charset.read_bytes()).hexdigest() if charset else None,
            "fonts": {f"{face.family} {face.style} #{face.number}": face.digest for face in self.book.faces},
            "backgrounds": [_named(path, pictures) for path in self._backgrounds.pictures],
            "libraries": {"scriptorium": synth.__version__} | {name: _version(name) for name in _LIBRARIES},
        }

    def head(self) -> dict[str, Any]:
        """What a manifest says of the origin of its data: recipe and `inputs()`.

        Of paths only the last part is kept, so that it does not matter where files lie or how a path was spelt; which
        files they were, the digests say.
        """
        recipe = _with_paths(self.recipe.model_dump(), lambda path: _absolute(path).name)
        return {"recipe": recipe, "inputs": self.inputs()}

    # -- the stages ---------------------------------------------------------------------------------------------

    def _passed(self, stage: Callable[[_Work], None], works: Sequence[_Work], refused: list[_Work]) -> list[_Work]:
        """Take samples through a stage; those that it refuses go to `refused`, the others are returned."""
        passed: list[_Work] = []
        for work in works:
            try:
                stage(work)
            except Refused as refusal:
                self._refuse(work, refusal)
                refused.append(work)
            else:
                passed.append(work)
        return passed

    def _refuse(self, work: _Work, refusal: Refused) -> None:
        """Count a refusal and prepare the next attempt. Raises ScriptoriumError when there have been too many."""
        work.refusals.append((refusal.reason, refusal.detail))
        work.files_only = work.files_only or refusal.reason in _UNDRAWN
        work.attempt += 1
        attempts = self.recipe.legibility.attempts
        work.plain = work.attempt >= attempts
        if work.attempt < attempts + _PLAIN_ATTEMPTS:
            return
        lacking = Counter(c for reason, detail in work.refusals if reason == NO_FONT for c in detail)
        if lacking:
            raise _undrawable(lacking)
        reasons = ", ".join(sorted({reason for reason, _ in work.refusals}))
        count = len(work.refusals)
        raise ScriptoriumError(f"sample {work.index}: {count} attempts were refused ({reasons}); loosen the recipe")

    def _write(self, work: _Work) -> None:
        """Text, faces, spacing, jitter and size."""
        rng = self._streams.at(work.index, work.attempt, _TEXT)
        layout = self.recipe.layout
        try:
            work.drawn = self.source.draw(rng, work.files_only)
        finally:
            self._count_texts(work)
        try:
            work.faces = self.book.choose(work.drawn.text, rng)
        except Uncovered as uncovered:
            raise Refused(NO_FONT, uncovered.characters) from None
        work.spacing, work.jitter = 0.0, None
        if not work.plain:
            if layout.spacing_share and rng.random() < layout.spacing_share:
                low, high = layout.spacing
                work.spacing = low + (high - low) * rng.random()
            if layout.jitter_share and rng.random() < layout.jitter_share:
                shifts = rng.standard_normal((min(len(work.drawn.units), 64), 2))
                work.jitter = [
                    (up * layout.jitter_rise, 1.0 + min(max(size * layout.jitter_size, -0.3), 0.3))
                    for up, size in shifts.tolist()
                ]
        low, high = layout.size
        # Few sizes, so that glyphs are found in the cache.
        step = int(rng.random() * 4) / 3 if high > low else 0.0
        work.ppem = max(6, round(layout.height * (low + (high - low) * step)))

    def _shape(self, work: _Work) -> None:
        work.runs = self._runs(work.drawn.text, work.faces, work.spacing)

    def _look_beside(self, work: _Work) -> None:
        """Text of neighbouring lines and words."""
        work.beside = None
        if not work.plain and self._neighboured:
            rng = self._streams.at(work.index, work.attempt, _BESIDE)
            try:
                work.beside = self._beside(work.faces, rng)
            finally:
                self._count_texts(work)

    def _draw(self, work: _Work) -> None:
        """Ink of the line and of its neighbours."""
        try:
            work.ink = draw_line(
                work.runs, work.drawn.units, work.ppem, self._cache, spacing=work.spacing, jitter=work.jitter
            )
        except NoInk as no_ink:
            raise Refused(_BLANK, no_ink.unit) from None
        if work.plain:
            return
        neighbours = None
        if work.beside is not None:
            # Where the face draws nothing for a letter, there is no neighbour.
            with suppress(NoInk):
                mask = draw_line(work.beside.runs, work.beside.units, work.ppem, self._cache).mask
                neighbours = Neighbours(letter=max(3, work.ppem // 2), **dict.fromkeys(work.beside.sides, mask))
        work.draft = Draft(work.ink, neighbours)

    def _place(self, work: _Work) -> None:
        if not work.plain:
            self._composer.place(work.draft, self._streams.at(work.index, work.attempt, _PLACE))

    def _gather(self, work: _Work) -> None:
        if not work.plain:
            self._composer.gather(work.draft, self._streams.at(work.index, work.attempt, _LAYERS))

    def _lay_ground(self, work: _Work) -> None:
        if not work.plain:
            self._backgrounds.turn_to(work.index)
            self._composer.lay_ground(work.draft, self._streams.at(work.index, work.attempt, _GROUND))

    def _draw_layers(self, work: _Work) -> None:
        if not work.plain:
            self._composer.draw(work.draft)

    def _paint(self, work: _Work) -> None:
        if not work.plain:
            self._composer.paint(work.draft, self._streams.at(work.index, work.attempt, _PAINT))

    def _compose(self, work: _Work) -> None:
        """The picture, and which units are in it."""
        if work.plain:
            work.composed = self._composer.plain(work.ink, self.recipe.layout.height)
        work.image = work.composed.image
        work.first, work.last = _kept(work.composed.inside, work.drawn.units)

    def _degrade(self, works: Sequence[_Work]) -> None:
        """Each operation in turn, on all samples that get it."""
        ops = self._degradation.ops
        turns: list[list[_Work]] = [[] for _ in ops]
        for work in works:
            if ops and not work.plain:
                for k in self._degradation.chosen(self._streams.at(work.index, work.attempt, _DEGRADE)):
                    turns[k].append(work)
        for k, (op, turn) in enumerate(zip(ops, turns, strict=True), _OPS):
            for work in turn:
                work.image = op.apply(_three(work.image), self._streams.at(work.index, work.attempt, k))

    def _encode(self, work: _Work) -> None:
        output = self.recipe.output
        if output.encoding == "png":
            work.encoded = cv2.imencode(".png", work.image, _PNG)[1].tobytes()
            return
        low, high = output.quality
        quality = low + int(self._streams.at(work.index, work.attempt, _ENCODE).random() * (high - low + 1))
        work.encoded = cv2.imencode(".jpg", work.image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()

    def _finish(self, work: _Work) -> Sample:
        units, text = work.drawn.units, work.drawn.text
        first, last = work.first, work.last
        if first or last < len(units):
            units = units[first:last]
            text = "".join(units)
        faces = work.faces
        main = max(faces, key=lambda part: part[2] - part[1])[0]
        meta: dict[str, Any] = {
            "source": self._names.get(work.drawn.source, work.drawn.source),
            "font": main.name,
            "background": work.composed.background,
            "contrast": work.contrast,
        }
        if len(faces) > 1:
            meta["fallback"] = sorted({face.name for face, _, _ in faces} - {main.name})
        if work.plain:
            meta["plain"] = True
        polygons, shared = work.composed.polygons[first:last], work.ink.shared[first:last]
        return Sample(_three(work.image), text, units, polygons, shared, meta, work.refusals, work.encoded)

    def _count_texts(self, work: _Work) -> None:
        if self.source.refusals:
            work.refusals += [("text " + reason, "") for reason in self.source.refusals.elements()]
            self.source.refusals.clear()

    def _runs(self, text: str, faces: list[tuple[Face, int, int]], spacing: float = 0.0) -> list[Run]:
        corpus = self.recipe.corpus
        # Spaced letters do not form ligatures, as in typesetting (CSS Text 3, section 8.2).
        features = {"liga": False, "clig": False} if spacing else None
        try:
            return shape_line(text, faces, language=corpus.language, direction=corpus.direction, features=features)
        except Undrawable as undrawable:
            raise Refused(_BAD_SHAPE, undrawable.characters) from None

    def _beside(self, faces: list[tuple[Face, int, int]], rng: np.random.Generator) -> _Beside | None:
        config = self.recipe.surroundings
        sides: list[str] = []
        if config.above and rng.random() < config.above:
            sides.append("above")
        if config.below and rng.random() < config.below:
            sides.append("below")
        if config.beside and rng.random() < config.beside:
            sides.append("before" if rng.random() < 0.5 else "after")
        if not sides:
            return None
        text, units, _ = self.source.draw(rng)
        if len(units) > _NEIGHBOUR_WORDS:
            units = units[:_NEIGHBOUR_WORDS]
            text = "".join(units)
        try:
            # In the same hand, as on a page; where that lacks a glyph, there is no neighbour.
            return _Beside(self._runs(text, [(faces[0][0], 0, len(text))]), units, sides)
        except Refused:
            return None

    def _judged(self, works: Sequence[_Work]) -> list[str]:
        """Measure the contrast of the labels' units on the decoded images.

        Returns:
            For each sample why it is refused, being below the recipe's floor, or an empty string.
        """
        reasons = [""] * len(works)
        measured = [k for k, work in enumerate(works) if not self._exact(work)]
        # Of each image the letters, and of outlined ones the further coverages by which they may be recognised.
        greys: list[NDArray[np.uint8]] = []
        coverages: list[NDArray[np.uint8]] = []
        polygons: list[NDArray[np.float32]] = []
        tries: list[tuple[int, int, int]] = []
        for k in measured:
            work = works[k]
            composed = work.composed
            part, blank = composed.polygons[work.first : work.last], work.ink.blank[work.first : work.last]
            if blank.any():
                part = part[~blank]
            shown = (composed.coverage, *composed.outlined)
            tries.append((k, len(part), len(shown)))
            for coverage in shown:
                greys.append(work.grey)
                coverages.append(coverage)
                polygons.append(part)
        if not polygons:
            return reasons
        counts = [len(part) for part in polygons]
        widths = np.repeat([grey.shape[1] for grey in greys], counts)
        boxes = _boxes(np.concatenate(polygons), widths, greys[0].shape[0])
        measures = np.stack(unit_contrasts(greys, coverages, counts, boxes))
        np.abs(measures[0], out=measures[0])
        floor = self.recipe.legibility
        at = 0
        for k, count, ways in tries:
            found = measures[:, at : at + count]
            at += count * ways
            if not count:
                reasons[k] = "contrast under the floor"
                continue
            for other in range(1, ways):
                again = measures[:, at - (ways - other) * count :][:, :count]
                found = np.where(again[1] > found[1], again, found)
            contrast, ratio, evenness = found.min(1).tolist()
            if contrast < floor.contrast:
                reasons[k] = "contrast under the floor"
            elif ratio < floor.ratio:
                reasons[k] = "noise over the floor"
            elif evenness < floor.evenness:
                reasons[k] = "strokes lost"
            works[k].contrast = round(min(contrast, 255.0), 1)
        return reasons

    def _exact(self, work: _Work) -> bool:
        """Whether flat ink on a flat ground is legible by what was drawn, and all noise is the encoder's."""
        image, exact = work.image, work.composed.exact
        if exact is None or image is not work.composed.image:
            return False
        expected: Any = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        error = cv2.norm(work.grey, expected, cv2.NORM_INF)
        # Even ink that covers a quarter of a pixel at best stands out then.
        if error > _ENCODING * abs(exact) or (abs(exact) - error) / 4 < self.recipe.legibility.contrast:
            return False
        work.contrast = round(abs(exact), 1)
        return True


_ENCODING = 0.25  # of the contrast, that the encoder may change any pixel by where all else is exact


def _boxes(polygons: NDArray[np.float32], widths: NDArray[np.intp], height: int) -> NDArray[np.intp]:
    """Pixel boxes around polygons, half a pixel wider and within their images, as `unit_contrasts` takes them."""
    boxes = np.empty((len(polygons), 4), np.intp)
    ends = np.empty((len(polygons), 2), np.float32)
    ends[:, 0], ends[:, 1] = widths, height
    np.clip(polygons.min(1) - np.float32(0.5), 0, ends - 1, out=boxes[:, :2], casting="unsafe")
    np.clip(polygons.max(1) + np.float32(1.5), 1, ends, out=boxes[:, 2:], casting="unsafe")
    return boxes


def _three(image: NDArray[Any]) -> NDArray[Any]:
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)


def _kept(inside: NDArray[np.float64] | None, units: list[str]) -> tuple[int, int]:
    """The range of units that stay in the label: those at the ends with too little ink in the frame leave.

    Raises:
        Refused: one in the middle would have to leave, or none stays.
    """
    if inside is None:
        return 0, len(units)
    seen = inside >= KEPT_INK
    if seen.all():
        return 0, len(units)
    stay = np.flatnonzero(seen)
    if not len(stay):
        raise Refused("outside the frame")
    first, last = int(stay[0]), int(stay[-1]) + 1
    if not seen[first:last].all():
        raise Refused("a letter in the middle is cut off")
    while first < last and units[first].isspace():
        first += 1
    while last > first and units[last - 1].isspace():
        last -= 1
    if first == last:
        raise Refused("outside the frame")
    return first, last


def _wanted(faces: Sequence[FaceInfo], fonts: Fonts) -> list[FaceInfo]:
    """The faces of the families that a recipe wants. Raises ScriptoriumError where it names some and none is there."""
    named, excluded = set(fonts.families), set(fonts.exclude)
    wanted = [face for face in faces if face.family not in excluded and (not named or face.family in named)]
    if named and not wanted:
        raise ScriptoriumError(
            f"fonts.families: none of {', '.join(fonts.families)} is among the fonts found; "
            "run `synth fonts install SCRIPT`, or let all fonts be used: -o fonts.families=[]"
        )
    return wanted


def _undrawable(lacking: Counter[str]) -> ScriptoriumError:
    """What to tell when the corpus holds nothing that the fonts draw; the characters most often met are named."""
    names = " ".join(
        f"{c} U+{ord(c):04X}" for c, _ in sorted(lacking.items(), key=lambda item: (-item[1], item[0]))[:20]
    )
    scripts = Counter(script_of(c) for c in lacking)
    entries = {script_of(entry.sample[0]): entry for entry in reversed(catalog().values())}
    script = next((entries[code].code for code, _ in scripts.most_common() if code in entries), "SCRIPT")
    return ScriptoriumError(
        f"no text of the corpus can be drawn: no font has {names}{' …' if len(lacking) > 20 else ''}; "
        f"give --fonts DIR or run `synth fonts install {script}`"
    )


def located(recipe: Recipe) -> Recipe:
    """The same recipe with absolute paths, `~` resolved, so that it works from any folder."""
    return Recipe.from_values(_with_paths(recipe.model_dump(), _absolute))


def _with_paths(value: Any, change: Callable[[Path], Any]) -> Any:
    """Plain data with every path in it changed."""
    if isinstance(value, dict):
        return {key: _with_paths(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_paths(item, change) for item in value]
    return change(value) if isinstance(value, Path) else value


def _absolute(path: Path) -> Path:
    # What cannot be resolved (no such user, links in a circle) is left to whoever opens it. A link keeps its own name:
    # that of its target need not say what the file is.
    with suppress(OSError, RuntimeError, ValueError):
        path = path.expanduser()
        return path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name
    return path


def _named(path: Path, digests: dict[str, str]) -> dict[str, str]:
    return {"name": path.name, "sha256": digests[str(path)]}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


__all__ = ["Pipeline", "Streams", "located"]
