"""One sample: a pure function of (recipe, seed, index)."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import synth
from augment.errors import ScriptoriumError
from synth.cache import cache_dir
from synth.compose import Refused
from synth.compose.background import Backgrounds
from synth.compose.composer import KEPT_INK, Composed, Composer, Draft, Neighbours
from synth.compose.legibility import unit_contrasts
from synth.fonts.book import FontBook, Uncovered
from synth.fonts.face import Face
from synth.fonts.index import FaceInfo, FontIndex, scan
from synth.fonts.install import catalog
from synth.handwriting.stitch import NONE_WRITTEN, NOT_JOINED, Hand, Manuscript, Unwritable
from synth.recipe import Fonts, Recipe
from synth.render.curve import Along, Laid, Prints, Straightened, TooLong, choose_path, lay_line, move_along, straighten
from synth.render.line import GlyphCache, Ink, NoInk, draw_line
from synth.render.outline import OutlineCache
from synth.render.seal import make_seal
from synth.render.shape import Run, Undrawable, script_of, shape_line
from synth.render.vertical import draw_column, shape_column
from synth.sample import Sample
from synth.shards.record import NO_CLASS, NO_FONT, Record, pack_polygons
from synth.style.draw import Styles, Variation
from synth.text.bidi import isolated
from synth.text.charset import Charset
from synth.text.plan import VERSION as plan_version
from synth.text.plan import Plan, write_plan
from synth.text.script import own_script, script_name
from synth.text.source import Alien, Drawn, TextSource

_BAD_SHAPE = "missing glyph or dotted circle"
_BLANK = "no ink where ink is due"
_UNDRAWN = frozenset((NO_FONT, _BAD_SHAPE, _BLANK, NO_CLASS, NOT_JOINED, NONE_WRITTEN))
_BATCH = 64  # samples that go through the stages together
_PLAIN_ATTEMPTS = 200  # texts tried for the plain rendering before the corpus counts as undrawable
_PLANNED_ATTEMPTS = 20  # plain renderings of a planned text, in other faces, before another text takes its place
_FACES_TRIED = 3  # with a text before it counts as one that cannot be planned
_PLAN_PPEM = 16  # at which a planned text is drawn to see whether all of it has ink
_TOO_LONG = "text longer than its curve"
_DRAWN = 1.2  # pixels of a curved line's ink for one of the picture
_LIKENESSES = 3  # faces tried for a style, until one has strokes that can be made like the style's
_LIKENED = 8  # units of the text that they are compared by
_LIKENED_PPEM = 24
_SEAL_UNITS = 16  # of another text that a seal shows
_CUT_OFF = "planned text cut off"
_UNPLANNED = "planned text given up"
_NEIGHBOUR_WORDS = 24  # characters kept of a neighbouring text: more is never seen
_LIBRARIES = ("numpy", "opencv-python-headless", "uharfbuzz", "freetype-py", "fonttools", "regex", "unicodedata2")


class Streams:
    """Random generators by index and attempt.

    Philox, keyed by the seed, its counter started at (0, 0, attempt, index). The generator that `at` returns is the
    same object each time, wound to its place; that costs a tenth of making one.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._bits = np.random.Philox(key=np.array((seed, 0x53637269), np.uint64))
        self._state: Any = self._bits.state
        self._generator = np.random.Generator(self._bits)

    def at(self, index: int, attempt: int) -> np.random.Generator:
        """The generator of one attempt at one sample."""
        state = self._state
        state["state"]["counter"][:] = (0, 0, attempt, index)
        state["buffer_pos"] = 4
        state["has_uint32"] = 0
        self._bits.state = state
        return self._generator

    def __reduce__(self) -> tuple[type[Streams], tuple[int]]:
        # NumPy before 2 restores a generator upon bits of its own: those kept here would no longer be its bits.
        return Streams, (self._seed,)


@dataclass(slots=True)
class _Column:
    """How a vertical line is set; see `synth.render.vertical.settings`."""

    digits: int
    stacked: bool


@dataclass(slots=True)
class _Beside:
    """A neighbouring text, shaped, and where it is seen."""

    runs: list[Run]
    units: list[str]
    sides: list[str]
    hand: Manuscript | None = None


@dataclass(slots=True)
class _Work:
    """One sample on its way through the stages; what a stage has not yet set is unset."""

    index: int
    streams: Streams
    attempt: int = 0
    plain: bool = False
    repaint: bool = False
    files_only: bool = False
    planned: Drawn | None = None
    refusals: list[tuple[str, str]] = field(default_factory=list)
    rng: np.random.Generator = field(init=False)
    drawn: Drawn = field(init=False)
    faces: list[tuple[Face, int, int]] = field(init=False)
    spacing: float = field(init=False)
    jitter: list[tuple[float, float]] | None = field(init=False)
    ppem: int = field(init=False)
    column: _Column | None = field(init=False)
    curved: bool = field(init=False)
    sealed: bool = field(init=False)
    bent: Along | Straightened | None = None
    prints: Prints | None = None
    hand: Manuscript | None = None
    style: Variation | None = None
    runs: list[Run] = field(init=False)
    ink: Ink = field(init=False)
    beside: _Beside | None = field(init=False)
    draft: Draft = field(init=False)
    inside: NDArray[np.float64] | None = None
    composed: Composed = field(init=False)
    image: NDArray[Any] = field(init=False)
    first: int = field(init=False)
    last: int = field(init=False)
    encoded: bytes = field(init=False)
    quality: int = 100
    proven: bool = field(init=False)
    grey: Any = field(init=False)
    contrast: float = field(init=False)
    refusal: str = ""


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
        if recipe.styles.model is not None:
            raise ScriptoriumError(
                "styles.model: what a network makes is baked first, by `synth generate`; leave it out, or train on the "
                "data set that this gives"
            )
        if not corpus.files and not (corpus.templates and corpus.template_share == 1):
            raise ScriptoriumError("no corpus: give --corpus FILE, or corpus.files in the recipe")
        self.charset = Charset.from_file(recipe.corpus.charset) if recipe.corpus.charset else None
        self.source = TextSource(recipe.corpus, self.charset)
        self._aliens = self._unknown_scripts()
        self._names = {str(file.path): file.path.name for file in recipe.corpus.files}
        self._backgrounds = Backgrounds(recipe.background, recipe.seed)
        self._streams = [Streams(recipe.seed)]  # one for each place in a batch: its generator goes through all stages
        self._cache = GlyphCache()
        self._outlines = OutlineCache()
        self._look()

    @cached_property
    def _known(self) -> frozenset[str] | None:
        """The characters of the dictionary; None without one."""
        return None if self.charset is None else frozenset("".join(self.charset.index))

    @property
    def _charset_name(self) -> str:
        return Path(self.charset.source).name if self.charset else ""

    def _unknown_scripts(self) -> list[Alien]:
        """Scripts of the corpus of which the dictionary has no letter.

        Raises:
            ScriptoriumError: hardly anything is left without them.
        """
        known = self._known
        if known is None:
            return []
        scripts = set(map(own_script, known)) - {""}
        if not scripts:
            return []  # a dictionary of digits: letters are not wanted
        aliens = [alien for alien in self.source.aliens(known.__contains__) if alien.script not in scripts]
        if self._useless(aliens):
            name = self._charset_name
            raise ScriptoriumError(
                f"{_of_scripts(aliens)}, and {name} has none of these: only digits and punctuation would be left; "
                f"give its own dictionary (synth charset build --corpus FILE --output DICT), or a corpus for {name}"
            )
        return aliens

    def _useless(self, aliens: Sequence[Alien]) -> bool:
        """Whether no file has letters that can be used."""
        hopeless = {alien.file for alien in aliens if alien.hopeless}
        return bool(hopeless) and hopeless == {file.path.name for file in self.recipe.corpus.files if file.weight}

    @cached_property
    def warnings(self) -> list[str]:
        """What is odd enough to be told before anything is drawn: scripts of the corpus that cannot be used.

        Raises:
            ScriptoriumError: see `book`.
        """
        told = [f"{_of_scripts([alien])}, of which {self._charset_name} has no letter" for alien in self._aliens]
        if self.hand is None or self.recipe.handwriting.weight < 1:
            told += [
                f"{_of_scripts([alien])}, of which no font has a letter; give --fonts DIR or "
                f"run `synth fonts install {_catalogued([alien.script])}`"
                for alien in self.source.aliens(lambda character: self.book.able(character) != 0, self._known)
            ]
        return told

    @cached_property
    def _index(self) -> FontIndex:
        return scan(self.recipe.fonts.paths or None)

    @cached_property
    def _all_fonts(self) -> FontBook:
        return FontBook(_wanted(self._index.faces, self.recipe.fonts), self.recipe.fonts)

    @cached_property
    def hand(self) -> Hand | None:
        """What writes by hand, where the recipe has it.

        Raises:
            ScriptoriumError: a store that cannot be used, or none of 2,000 texts of the corpus can be written.
        """
        config, charset = self.recipe.handwriting, self.charset
        if not config.chars or not config.weight:
            return None
        hand = Hand(
            config,
            self._all_fonts,
            direction=self.recipe.corpus.direction,
            allowed=lambda text: charset is None or not charset.missing(text),
        )
        lacking: Counter[str] = Counter()
        reasons: Counter[str] = Counter()

        def able(text: str) -> bool:
            reason, characters = hand.lacking(text)
            lacking.update(characters)
            reasons[reason] += 1
            return not reason

        if not self.source.any_text(able):
            raise _unwritable(reasons.most_common(1)[0][0], lacking)
        return hand

    @cached_property
    def book(self) -> FontBook:
        """The fonts of the recipe.

        Raises:
            ScriptoriumError: there are none; they draw none of 2,000 texts of the corpus files, or hardly a letter.
        """
        book = self._all_fonts
        if self.hand is not None and self.recipe.handwriting.weight == 1:
            return book
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
        aliens = self.source.aliens(lambda character: book.able(character) != 0, self._known)
        if self.hand is None and self._useless(aliens):
            raise ScriptoriumError(
                f"{_of_scripts(aliens)}, and no font has a letter of it: only digits and punctuation would be left; "
                f"give --fonts DIR or run `synth fonts install {_catalogued(alien.script for alien in aliens)}`"
            )
        return book

    @cached_property
    def plan(self) -> Plan | None:
        """The plan, where `corpus.min_per_unit` asks for one: found in the cache, or made now and kept there.

        Raises:
            ScriptoriumError: there is no dictionary or no corpus to plan with; see also `synth.text.plan.write_plan`.
        """
        config = self.recipe.corpus
        if not config.min_per_unit:
            return None
        if self.charset is None or not config.files:
            lacking = "a dictionary (--charset FILE)" if self.charset is None else "a corpus (--corpus FILE)"
            raise ScriptoriumError(f"corpus.min_per_unit: a plan needs {lacking}")
        digests = self.source.digests()
        # What it follows from: neither the look of the images nor their number.
        basis: dict[str, Any] = {
            "version": plan_version,
            "corpus": config.model_dump(mode="json", exclude={"files", "charset", "plan_span"}),
            "files": [[digests[str(file.path)], file.weight, file.piece] for file in config.files],
            "units": self.charset.units,
            "fonts": [[face.digest, face.number] for face in self.book.faces],
            "fallback": [self.recipe.fonts.fallback, self.recipe.fonts.variations],
            "seed": self.recipe.seed,
            "libraries": _libraries(),
        }
        hand = self.hand
        if hand is not None:
            basis["handwriting"] = [hand.digests(), self.recipe.handwriting.model_dump(mode="json")]
        path = cache_dir() / "plans" / (hashlib.sha256(_compact(basis).encode()).hexdigest()[:32] + ".plan")
        with suppress(OSError, ValueError, KeyError, TypeError):
            return Plan(path)
        rng = np.random.default_rng([self.recipe.seed, config.min_per_unit])

        alone = hand is not None and self.recipe.handwriting.weight == 1
        charset = self.charset

        def covering(text: str) -> int:
            written = 1 if hand is None else hand.covering(text)
            return written if alone or not written else self.book.covering(text)

        def drawable(text: str) -> bool:
            if hand is not None and not hand.able(text, recase=False):
                return False
            if alone:
                return True
            units = charset.split(text)
            # A letter that a font has is seen; of signs, joiners and what is put together of them only the ink tells.
            doubtful = any(len(unit) > 1 or not (unit.isalnum() or unit.isspace()) for unit in units)
            for _ in range(_FACES_TRIED):
                try:
                    runs = self._runs(text, self.book.choose(text, rng), None)
                    if doubtful:
                        draw_line(runs, units, _PLAN_PPEM, self._cache)
                except Uncovered:
                    return False
                except (Refused, NoInk):
                    continue
                return True
            return False

        return write_plan(path, self.source, self.charset, config.min_per_unit, self.recipe.seed, covering, drawable)

    def _planned(self, index: int) -> Drawn | None:
        """The text that the plan has for a sample."""
        if self.plan is None:
            return None
        number = self.plan.place(index, self.recipe.corpus.plan_span)
        if number is None:
            return None
        assert self.charset is not None
        text, file = self.plan.text(number)
        return Drawn(text, self.charset.split(text), self.source.names[file])

    def with_look(self, recipe: Recipe) -> Pipeline:
        """A pipeline of another look that shares texts, fonts and what is cached of them with this one.

        It makes the samples that `Pipeline(recipe)` makes, and is there in a thousandth of the time. One of the two
        draws at a time.

        Args:
            recipe: differs in `styles`, `layout`, `ink`, `surroundings`, `background` except its paths, `colour`,
                `geometry`, `degrade`, `legibility` and `output` alone.

        Raises:
            ValueError: it differs in anything else.
            ScriptoriumError: see `book`.
        """
        own, other = self.recipe, recipe
        for key in ("task", "seed", "corpus", "fonts", "handwriting"):
            if getattr(own, key) != getattr(other, key):
                raise ValueError(f"{key} differs, which is more than the look")
        if own.background.paths != other.background.paths:
            raise ValueError("background.paths differs, which is more than the look")
        # What both need is made once.
        _ = self.book, self.hand, self.plan
        # Not `copy`, which would make a pipeline anew, as in another process (`__reduce__`).
        changed = object.__new__(Pipeline)
        changed.__dict__.update(self.__dict__)
        changed.recipe = recipe
        changed._backgrounds = self._backgrounds.with_look(recipe.background)
        changed._look()
        return changed

    def _look(self) -> None:
        """What is made of the recipe's sections on the look."""
        recipe = self.recipe
        self._composer = Composer(recipe, self._backgrounds)
        self.styles: Styles | None = None
        if recipe.styles.stores and recipe.styles.weight:
            self.styles = Styles(recipe.styles, recipe.layout.height, recipe.legibility.contrast, recipe.seed)
        self._degradation = recipe.degrade_ops()
        surroundings = recipe.surroundings
        self._neighboured = surroundings.above + surroundings.below + surroundings.beside > 0

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
        records = {work.index: self._record(work) for work in self._made(range(start, stop))}
        return [records[index] for index in range(start, stop)]

    def record(self, index: int) -> Record:
        """Sample `index` as it is stored."""
        return self._record(next(self._made([index])))

    def _record(self, work: _Work) -> Record:
        units, text = self._label(work)
        polygons = None
        if self.recipe.output.polygons:
            part = slice(work.first, work.last)
            ends = list(accumulate(map(len, units)))
            polygons = pack_polygons(self._polygons(work), work.ink.shared[part], ends)
        meta = _compact(self._meta(work)).encode()
        return Record(work.index, work.encoded, text, meta, polygons, work.refusals, units)

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
        makes encoding, for one, more than twice as fast as going through all stages sample by sample. Each attempt has
        a random stream of its own, so that the company makes no difference.
        """
        done = {work.index: self._sample(work) for work in self._made(indexes)}
        return [done[index] for index in indexes]

    def _made(self, indexes: Sequence[int]) -> Iterator[_Work]:
        """What `samples` and `block` give, through all stages, in the order in which it is done.

        Those that are refused go on with the next batch: small batches take more time for each.
        """
        if any(index < 0 for index in indexes):
            raise IndexError("samples are counted from 0")
        while len(self._streams) < len(indexes):
            self._streams.append(Streams(self.recipe.seed))
        waiting = (_Work(index, streams) for index, streams in zip(indexes, self._streams, strict=False))
        works = list(islice(waiting, _BATCH))
        while works:
            refused: list[_Work] = []
            for work in self._attempt(works, refused):
                if reason := work.refusal:
                    self._refuse(work, Refused(reason))
                    refused.append(work)
                else:
                    yield work
            works = [*refused, *islice(waiting, max(_BATCH - len(refused), 0))]

    def _attempt(self, works: Sequence[_Work], refused: list[_Work]) -> Sequence[_Work]:
        """Take samples through all stages once; a stage that refuses some adds them to `refused`."""
        repainted = [work for work in works if work.repaint]
        works = [work for work in works if not work.repaint]
        for stage in (self._write, self._shape, self._bend, self._look_beside, self._draw, self._place, self._gather):
            works = self._passed(stage, works, refused)
        drafted = [work for work in works if not work.plain]
        for work, inside in zip(drafted, self._composer.insides([work.draft for work in drafted]), strict=True):
            work.inside = inside
        works = self._passed(self._frame, works, refused)
        for work in works:
            self._draw_layers(work)
        for work in repainted:
            work.rng = work.streams.at(work.index, work.attempt)
        works = [*works, *repainted]
        for stage in (self._lay_ground, self._paint, self._compose):
            works = self._passed(stage, works, refused)
        self._degrade(works)
        for work in works:
            self._encode(work)
        for work in works:
            work.proven = self._exact(work, encoding_error(self.recipe.output.encoding, work.quality))
        for work in works:
            if not work.proven:
                work.grey = cv2.imdecode(np.frombuffer(work.encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
        self._judge(works)
        return works

    def first_text(self, index: int) -> Drawn:
        """The text that sample `index` tries first: a guess at its length that costs no drawing."""
        if (planned := self._planned(index)) is not None:
            return planned
        try:
            return self.source.draw(self._streams[0].at(index, 0))
        finally:
            self.source.refusals.clear()

    def inputs(self) -> dict[str, Any]:
        """What bit identity rests on: digests of corpora, charset, fonts and backgrounds, and library versions."""
        charset = self.recipe.corpus.charset
        corpora, pictures = self.source.digests(), self._backgrounds.digests()
        return {
            "corpora": [_named(file.path, corpora) for file in self.recipe.corpus.files],
            "charset": hashlib.sha256(charset.read_bytes()).hexdigest() if charset else None,
            "fonts": {f"{face.family} {face.style} #{face.number}": face.digest for face in self.book.faces},
            "backgrounds": [_named(path, pictures) for path in self._backgrounds.pictures],
            **({} if self.hand is None else {"handwriting": self.hand.digests()}),
            **({} if self.styles is None else {"styles": self.styles.digests()}),
            "libraries": _libraries(),
        }

    def head(self) -> dict[str, Any]:
        """What a manifest says of the origin of its data: recipe, `inputs()`, and what the plan is, if there is one.

        Of paths only the last part is kept, so that it does not matter where files lie or how a path was spelt; which
        files they were, the digests say.
        """
        recipe = _with_paths(self.recipe.model_dump(), lambda path: _absolute(path).name)
        plan = {} if self.plan is None else {"plan": self.plan.facts.to_json()}
        return {"recipe": recipe, "inputs": self.inputs(), **plan}

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
        """Count a refusal and prepare the next attempt. Raises ScriptoriumError when there have been too many.

        What cannot be read is painted and degraded once more before another text takes its place: that costs half as
        much, and keeps thin faces and small marks from becoming rare.
        """
        work.refusals.append((refusal.reason, refusal.detail))
        work.files_only = work.files_only or refusal.reason in _UNDRAWN
        work.attempt += 1
        attempts = self.recipe.legibility.attempts
        work.plain = work.attempt >= attempts
        work.repaint = bool(work.refusal) and not work.repaint and not work.plain
        work.refusal = ""
        if not work.repaint:
            work.inside = None
        if work.planned is not None and work.attempt >= attempts + _PLANNED_ATTEMPTS:
            # Another text is better than none; the closing summary says what the labels lack.
            work.planned = None
            work.refusals.append((_UNPLANNED, ""))
        if work.attempt < attempts + _PLAIN_ATTEMPTS:
            return
        lacking = Counter(c for reason, detail in work.refusals if reason == NO_FONT for c in detail)
        if lacking:
            raise _undrawable(lacking)
        joined = Counter(c for reason, detail in work.refusals if reason == NOT_JOINED for c in detail)
        if joined:
            raise _unwritable(NOT_JOINED, joined)
        reasons = ", ".join(sorted({reason for reason, _ in work.refusals}))
        count = len(work.refusals)
        raise ScriptoriumError(f"sample {work.index}: {count} attempts were refused ({reasons}); loosen the recipe")

    def _write(self, work: _Work) -> None:
        """Text, faces, spacing, jitter and size."""
        rng = work.rng = work.streams.at(work.index, work.attempt)
        layout = self.recipe.layout
        if work.attempt == 0:
            work.planned = self._planned(work.index)
        if work.planned is not None:
            work.drawn = work.planned
        else:
            try:
                work.drawn = self.source.draw(rng, work.files_only)
            finally:
                self._count_texts(work)
        work.hand = work.style = None
        if self.styles is not None and not work.plain and rng.random() < self.recipe.styles.weight:
            self.styles.turn_to(work.index)
            work.style = self.styles.draw(rng)
        if self.hand is not None and rng.random() < self.recipe.handwriting.weight:
            work.hand = self._written(work.drawn, rng, recase=work.planned is None)
            work.drawn, work.faces = work.hand.drawn, []
        elif work.style is not None:
            work.faces = self._faces_like(work.style, work.drawn, rng)
            work.style.take_face(work.faces[0][0].info.italic)
        else:
            work.faces = self._faces(work.drawn.text, rng)
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
        work.column = None
        if layout.vertical.p and work.hand is None and work.style is None:
            vertical, chances = layout.vertical, rng.random(3).tolist()
            # A crop of a single letter is as wide as high: nobody turns it.
            if chances[0] < vertical.p and len(work.drawn.units) > 1:
                digits = vertical.digits if chances[1] < vertical.combined else 0
                work.column = _Column(digits, chances[2] < vertical.stacked)
        work.curved = work.sealed = False
        straight = work.plain or work.hand is not None or work.style is not None or work.column is not None
        if layout.curve.p + layout.seal.p and not straight:
            chances = rng.random(2).tolist()
            if len(work.drawn.units) > 1:
                work.sealed = chances[0] < layout.seal.p
                work.curved = not work.sealed and chances[1] < layout.curve.p
        low, high = layout.size
        # Few sizes, so that glyphs are found in the cache.
        step = int(rng.random() * 4) / 3 if high > low else 0.0
        work.ppem = max(6, round(layout.height * (low + (high - low) * step)))

    def _faces(self, text: str, rng: np.random.Generator, among: int = -1) -> list[tuple[Face, int, int]]:
        try:
            return self.book.choose(text, rng, among)
        except Uncovered as uncovered:
            raise Refused(NO_FONT, uncovered.characters) from None

    def _faces_like(self, style: Variation, drawn: Drawn, rng: np.random.Generator) -> list[tuple[Face, int, int]]:
        """The face that is nearest to a style's own, or one whose strokes are about as wide and lean alike."""
        named = self.book.named(style.look.font)
        if named and rng.random() < self.recipe.styles.face:
            faces = self._faces(drawn.text, rng, named)
            if len(faces) == 1 and self.book.bit(faces[0][0].info) & named:
                return faces
        units = drawn.units[:_LIKENED]
        text = "".join(units)
        among = self.book.weighing(*style.weights, italic=style.italic)
        best: tuple[float, list[tuple[Face, int, int]]] | None = None
        for _ in range(_LIKENESSES):
            faces = self._faces(drawn.text, rng, among)
            with suppress(Refused, NoInk):
                short = [(face, start, min(stop, len(text))) for face, start, stop in faces if start < len(text)]
                ink = draw_line(self._runs(text, short, None), units, _LIKENED_PPEM, self._cache)
                away = style.suits(ink.mask, _LIKENED_PPEM)
                if best is None or away < best[0]:
                    best = away, faces
                if away <= 1:
                    break
        return faces if best is None else best[1]

    def _written(self, drawn: Drawn, rng: np.random.Generator, *, recase: bool) -> Manuscript:
        assert self.hand is not None
        try:
            return self.hand.write(drawn, rng, recase=recase)
        except Unwritable as problem:
            raise Refused(problem.reason, problem.characters) from None

    def _shape(self, work: _Work) -> None:
        if work.hand is not None:
            return
        # A seal may space its letters out.
        spacing = work.spacing or float(work.sealed)
        work.runs = self._runs(work.drawn.text, work.faces, work.column, spacing)

    def _bend(self, work: _Work) -> None:
        """Lines along curves and in seals: where everything lies."""
        work.bent = work.prints = None
        if not (work.curved or work.sealed):
            return
        rng, units, curve, stamp = work.rng, work.drawn.units, self.recipe.layout.curve, self.recipe.layout.seal

        def lay(spacing: float) -> Laid:
            return lay_line(work.runs, self._outlines, spacing=work.spacing + spacing, jitter=work.jitter)

        try:
            if work.curved:
                laid = lay(0.0)
                path = choose_path(curve, laid, rng)
                unwrap, slack = curve.unwrap, curve.slack
            else:
                seal = make_seal(stamp, lay, lambda: self._laid_beside(work), rng)
                laid, path, work.prints = seal.laid, seal.path, seal.prints
                unwrap, slack = stamp.unwrap, stamp.slack
            work.bent = straighten(laid, path, units, slack, rng) if unwrap else move_along(laid, path, units)
        except TooLong:
            raise Refused(_TOO_LONG) from None
        except NoInk as no_ink:
            raise Refused(_BLANK, no_ink.unit) from None

    def _laid_beside(self, work: _Work) -> Laid | None:
        """Another text of the corpus in the same face, laid out; None where that lacks a glyph."""
        try:
            drawn = self.source.draw(work.rng)
        finally:
            self._count_texts(work)
        text = "".join(drawn.units[:_SEAL_UNITS])
        with suppress(Refused, NoInk):
            return lay_line(self._runs(text, [(work.faces[0][0], 0, len(text))], None), self._outlines)
        return None

    def _look_beside(self, work: _Work) -> None:
        """Text of neighbouring lines and words."""
        work.beside = None
        if not work.plain and self._neighboured and work.style is None:
            try:
                work.beside = self._beside(work)
            finally:
                self._count_texts(work)

    def _draw(self, work: _Work) -> None:
        """Ink of the line and of its neighbours."""
        drawing = draw_line if work.column is None else draw_column
        try:
            if work.hand is not None:
                assert self.hand is not None
                work.ink = self.hand.draw(work.hand, work.ppem, work.rng, plain=work.plain)
            elif work.bent is not None:
                size = work.ppem
                if isinstance(work.bent, Along):
                    # About as large as the picture will show it: a line that rises high has small letters.
                    size = max(6, work.bent.size(math.ceil(self.recipe.layout.height * _DRAWN), work.prints))
                work.ink = work.bent.drawn(size, work.prints)
            else:
                work.ink = drawing(
                    work.runs, work.drawn.units, work.ppem, self._cache, spacing=work.spacing, jitter=work.jitter
                )
        except NoInk as no_ink:
            raise Refused(_BLANK, no_ink.unit) from None
        except Unwritable as problem:
            raise Refused(problem.reason, problem.characters) from None
        if work.plain:
            return
        neighbours = None
        if work.beside is not None:
            # Where the face draws nothing for a letter, there is no neighbour.
            with suppress(NoInk, Unwritable):
                if work.beside.hand is not None and self.hand is not None:
                    mask = self.hand.draw(work.beside.hand, work.ppem, work.rng).mask
                else:
                    mask = drawing(work.beside.runs, work.beside.units, work.ppem, self._cache).mask
                neighbours = Neighbours(letter=max(3, work.ppem // 2), **dict.fromkeys(work.beside.sides, mask))
        work.draft = Draft(work.ink, neighbours, work.drawn.units, work.style)

    def _place(self, work: _Work) -> None:
        if not work.plain:
            self._composer.place(work.draft, work.rng)

    def _gather(self, work: _Work) -> None:
        if not work.plain:
            self._composer.gather(work.draft, work.rng)

    def _lay_ground(self, work: _Work) -> None:
        if not work.plain:
            self._backgrounds.turn_to(work.index)
            self._composer.lay_ground(work.draft, work.rng)

    def _draw_layers(self, work: _Work) -> None:
        if not work.plain:
            self._composer.draw(work.draft)

    def _paint(self, work: _Work) -> None:
        if not work.plain:
            self._composer.paint(work.draft, work.rng)

    def _frame(self, work: _Work) -> None:
        """Which units are in the picture."""
        work.first, work.last = _kept(work.inside, work.drawn.units)
        if work.planned is not None and work.last - work.first < len(work.drawn.units):
            raise Refused(_CUT_OFF)

    def _compose(self, work: _Work) -> None:
        """The picture."""
        if work.plain:
            work.composed = self._composer.plain(work.ink, self.recipe.layout.height)
        else:
            work.composed = self._composer.finish(work.draft, work.inside)
        if self._stands(work):
            work.composed.image = cv2.rotate(work.composed.image, cv2.ROTATE_90_CLOCKWISE)
        work.image = work.composed.image

    def _stands(self, work: _Work) -> bool:
        """Whether a vertical line leaves as a column; all but its image stays turned to the left till then."""
        return work.column is not None and self.recipe.layout.vertical.rotate == "none"

    def _polygons(self, work: _Work) -> NDArray[np.float32]:
        """Polygons of the label's units in the image, each clockwise from the unit's own top-left."""
        polygons = work.composed.polygons[work.first : work.last]
        if work.column is None:
            return polygons
        polygons = polygons.copy()
        if work.ink.turned is not None:
            turned = work.ink.turned[work.first : work.last]
            polygons[turned] = np.roll(polygons[turned], 1, axis=1)
        if self._stands(work):
            polygons = np.stack((self.recipe.layout.height - polygons[..., 1], polygons[..., 0]), axis=-1)
        return polygons

    def _degrade(self, works: Sequence[_Work]) -> None:
        """Each operation in turn, on all samples that get it."""
        ops = self._degradation.ops
        turns: list[list[_Work]] = [[] for _ in ops]
        share = self.recipe.styles.degrade
        for work in works:
            if work.style is not None:
                work.image = work.style.degrade(_three(work.image), work.rng)
            if ops and not work.plain and (work.style is None or (share and work.rng.random() < share)):
                for k in self._degradation.chosen(work.rng):
                    turns[k].append(work)
        for op, turn in zip(ops, turns, strict=True):
            for work in turn:
                work.image = op.apply(_three(work.image), work.rng)

    def _encode(self, work: _Work) -> None:
        output = self.recipe.output
        if output.encoding == "png":
            work.encoded = cv2.imencode(".png", work.image, _PNG)[1].tobytes()
            return
        low, high = output.quality
        work.quality = low + int(work.rng.random() * (high - low + 1))
        work.encoded = cv2.imencode(".jpg", work.image, (cv2.IMWRITE_JPEG_QUALITY, work.quality))[1].tobytes()

    def _label(self, work: _Work) -> tuple[list[str], str]:
        """Units and text of what is in the frame."""
        units, text = work.drawn.units, work.drawn.text
        if work.first or work.last < len(units):
            units = units[work.first : work.last]
            text = "".join(units)
        return units, text

    def _meta(self, work: _Work) -> dict[str, Any]:
        meta: dict[str, Any] = {
            "source": self._names.get(work.drawn.source, work.drawn.source),
            "font": "",
            "background": work.composed.background,
            "contrast": work.contrast,
        }
        faces = work.faces
        if work.hand is not None:
            meta["font"] = f"handwriting {work.hand.store}"
            if work.hand.writer:
                meta["writer"] = work.hand.writer
            if work.hand.fonts:
                meta["fallback"] = work.hand.fonts
        else:
            main = faces[0][0] if len(faces) == 1 else max(faces, key=lambda part: part[2] - part[1])[0]
            meta["font"] = main.name
            if len(faces) > 1:
                meta["fallback"] = sorted({face.name for face, _, _ in faces} - {main.name})
        if work.style is not None:
            meta["style"] = work.style.look.name
        if work.plain:
            meta["plain"] = True
        if work.column is not None:
            meta["vertical"] = True
        if work.curved:
            meta["curved"] = True
        if work.sealed:
            meta["seal"] = True
        if work.composed.outline is not None:
            meta["polygon"] = work.composed.outline.astype(np.float64).round(1).tolist()
        return meta

    def _sample(self, work: _Work) -> Sample:
        units, text = self._label(work)
        part = slice(work.first, work.last)
        return Sample(
            image=_three(work.image),
            text=text,
            units=units,
            polygons=self._polygons(work),
            shared=work.ink.shared[part],
            meta=self._meta(work),
            refusals=work.refusals,
            encoded=work.encoded,
        )

    def _count_texts(self, work: _Work) -> None:
        if self.source.refusals:
            work.refusals += [("text " + reason, "") for reason in self.source.refusals.elements()]
            self.source.refusals.clear()

    def _runs(
        self, text: str, faces: list[tuple[Face, int, int]], column: _Column | None, spacing: float = 0.0
    ) -> list[Run]:
        corpus = self.recipe.corpus
        # Spaced letters do not form ligatures, as in typesetting (CSS Text 3, section 8.2).
        features = {"liga": False, "clig": False} if spacing else None
        language, direction = corpus.language, corpus.direction
        try:
            if column is None:
                return shape_line(text, faces, language=language, direction=direction, features=features)
            return shape_column(
                *(text, faces),
                language=language,
                direction=direction,
                features=features,
                digits=column.digits,
                stacked=column.stacked,
            )
        except Undrawable as undrawable:
            raise Refused(_BAD_SHAPE, undrawable.characters) from None

    def _beside(self, work: _Work) -> _Beside | None:
        rng, faces, column = work.rng, work.faces, work.column
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
        text, units, source = self.source.draw(rng)
        if len(units) > _NEIGHBOUR_WORDS:
            units = units[:_NEIGHBOUR_WORDS]
            text = "".join(units)
        try:
            if work.hand is not None:
                return _Beside([], units, sides, self._written(Drawn(text, units, source), rng, recase=True))
            # In the same hand, as on a page; where that lacks a glyph, there is no neighbour.
            return _Beside(self._runs(text, [(faces[0][0], 0, len(text))], column), units, sides)
        except Refused:
            return None

    def _judge(self, works: Sequence[_Work]) -> None:
        """Measure the contrast of the labels' units on the decoded images, and refuse what is below the floor."""
        measured = [k for k, work in enumerate(works) if not (work.proven or self._exact_as_decoded(work))]
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
            grey = cv2.rotate(work.grey, cv2.ROTATE_90_COUNTERCLOCKWISE) if self._stands(work) else work.grey
            for coverage in shown:
                greys.append(grey)
                coverages.append(coverage)
                polygons.append(part)
        if not polygons:
            return
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
                works[k].refusal = "contrast under the floor"
                continue
            for other in range(1, ways):
                again = measures[:, at - (ways - other) * count :][:, :count]
                found = np.where(again[1] > found[1], again, found)
            contrast, ratio, evenness = found.min(1).tolist()
            if contrast < floor.contrast:
                works[k].refusal = "contrast under the floor"
            elif ratio < floor.ratio:
                works[k].refusal = "noise over the floor"
            elif evenness < floor.evenness:
                works[k].refusal = "strokes lost"
            works[k].contrast = round(min(contrast, 255.0), 1)

    def _exact(self, work: _Work, error: float) -> bool:
        """Whether flat ink on a flat ground is legible by what was drawn, as all noise is the encoder's.

        Args:
            work: the sample; its contrast is set where this is so.
            error: by which the encoder has changed any pixel's luminance at most.
        """
        exact = work.composed.exact
        if exact is None or work.image is not work.composed.image:
            return False
        # Even ink that covers a quarter of a pixel at best stands out then.
        if error > _ENCODING * abs(exact) or (abs(exact) - error) / 4 < self.recipe.legibility.contrast:
            return False
        work.contrast = round(abs(exact), 1)
        return True

    def _exact_as_decoded(self, work: _Work) -> bool:
        """The same by the error that the encoder has in fact made."""
        image = work.image
        if work.composed.exact is None or image is not work.composed.image:
            return False
        expected: Any = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        return self._exact(work, cv2.norm(work.grey, expected, cv2.NORM_INF))


_ENCODING = 0.25  # of the contrast, that the encoder may change any pixel by where all else is exact


@cache
def encoding_error(encoding: str, quality: int) -> float:
    """By how many grey levels at most an encoder changes the luminance of a pixel.

    JPEG rounds the coefficients of each block of 8 × 8 pixels to multiples of its table's entries (ITU-T T.81, A.3.4).
    The transform being orthonormal, no pixel changes by more than the root of the sum of the squared errors. A
    quarter is added for the rounding within the transform to each error, a grey level for that of the pixels.

    Args:
        encoding: png or jpeg.
        quality: of JPEG, 1 to 100.
    """
    if encoding == "png":
        return 0.0
    black = np.zeros((8, 8), np.uint8)
    file = cv2.imencode(".jpg", black, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()
    table = np.frombuffer(file, np.uint8, 64, file.index(b"\xff\xdb") + 5).astype(np.float64)
    return float(np.sqrt((((table + 0.5) / 2) ** 2).sum()) + 1.0)


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


def _of_scripts(aliens: Sequence[Alien]) -> str:
    """`kn.txt is 98 % Kannada (12,345 of 12,600 letters)`."""
    return "; ".join(
        f"{a.file} is {100 * a.letters / a.total:.0f} % {script_name(a.script).replace('_', ' ')} "
        f"({a.letters:,} of {a.total:,} letters)"
        for a in aliens
    )


def _catalogued(scripts: Iterable[str]) -> str:
    """What `synth fonts install` calls the first of some scripts of Unicode that it knows."""
    entries = {script_of(entry.sample[0]): entry for entry in reversed(catalog().values())}
    return next((entries[code].code for code in scripts if code in entries), "SCRIPT")


def _undrawable(lacking: Counter[str]) -> ScriptoriumError:
    """What to tell when the corpus holds nothing that the fonts draw; the characters most often met are named."""
    names = " ".join(
        f"{isolated(c)} U+{ord(c):04X}" for c, _ in sorted(lacking.items(), key=lambda item: (-item[1], item[0]))[:20]
    )
    script = _catalogued(code for code, _ in Counter(script_of(c) for c in lacking).most_common())
    return ScriptoriumError(
        f"no text of the corpus can be drawn: no font has {names}{' …' if len(lacking) > 20 else ''}; "
        f"give --fonts DIR or run `synth fonts install {script}`"
    )


def _unwritable(reason: str, lacking: Counter[str]) -> ScriptoriumError:
    """What to tell when the corpus holds nothing that the character sets can write."""
    names = " ".join(isolated(c) for c, _ in sorted(lacking.items(), key=lambda item: (-item[1], item[0]))[:20])
    if reason == NONE_WRITTEN:
        return ScriptoriumError(
            "no text of the corpus has a letter of the character sets, so that fonts would draw all of it; give sets "
            "of its script with --chars"
        )
    if reason == NOT_JOINED:
        return ScriptoriumError(
            f"hardly a text of the corpus can be stitched: {names} should join with their neighbours, and letters "
            "written alone do not look so; draw it with fonts, or have it nevertheless: -o handwriting.joined=isolated"
        )
    return ScriptoriumError(
        f"no text of the corpus can be written: the character sets have no {names}, and nothing may stand in for them "
        "(handwriting.missing); give further sets with --chars, or fonts that look written with handwriting.fonts"
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


def _libraries() -> dict[str, str | None]:
    return {"scriptorium": synth.__version__} | {name: _version(name) for name in _LIBRARIES}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


__all__ = ["Pipeline", "Streams", "located"]
