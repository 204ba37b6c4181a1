"""Texts planned so that every unit of a dictionary comes often enough, with as few texts as can be.

First come pieces of the corpus around the units that are rarest in it, as long as most of a piece is still wanted.
What is then lacking is placed in the corpus's own texts, in the places of units of the same kind that have reached
their number already: a consonant with its vowel sign for another one, a capital for a capital.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import regex
import unicodedata2
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth import cache
from synth.recipe import Corpus
from synth.text.charset import Charset
from synth.text.corpus import CorpusIndex, clean
from synth.text.units import split_units

_FORMAT: Final = 5  # of the cached plan: raise it whenever the same inputs give other texts
_LINES: Final = 200_000  # of a corpus file that are looked at, evenly spread
_CHARACTERS: Final = 12_000_000  # of all files that are looked at
_CAPITALS: Final = 20_000  # lines of them that are also looked at in capitals, where the recipe has such texts
_DENSITY: Final = 0.7  # share of a piece that must be wanted for the corpus's own words to be taken as they are
_OFFSETS: Final = 3  # places of a window around a unit that are compared
_SPARE: Final = 0.02  # planned beyond the minimum, for texts that turn out unreadable in every attempt
_FAILURES: Final = 40  # texts in a row that cannot be drawn, until their unit is given up
_ALONE: Final = 6  # units side by side where the corpus has no place for their kind

NO_FONT: Final = "no font draws it"
NO_PLACE: Final = "cannot begin a text, and the corpus has nothing of its kind to take its place"
NO_TEXT: Final = "in no text that the fonts draw"

_attaching: Final = regex.compile(r"[\p{M}\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]")
_SYLLABIC: Final = (
    "Consonant", "Consonant_Dead", "Consonant_Final", "Consonant_Head_Letter", "Consonant_Medial",
    "Consonant_Subjoined", "Consonant_Succeeding_Repha", "Vowel_Independent", "Vowel_Dependent", "Number", "Virama",
    "Pure_Killer", "Invisible_Stacker", "Bindu", "Visarga", "Nukta", "Tone_Mark", "Avagraha",
)  # fmt: skip
_syllabic: Final = regex.compile("|".join(rf"(?P<{name}>\p{{InSC={name}}})" for name in _SYLLABIC))


@dataclass(frozen=True)
class CoveragePlan:
    """Planned texts, the first samples of a data set.

    Attributes:
        minimum: what each unit is to reach.
        sources: corpus files' names, as texts refer to them.
        planned: how often each unit stands in the planned texts, by its spelling.
        lacking: units that the scanned part of the corpus does not hold, so that all of theirs are placed.
        impossible: units that cannot be covered, with the reason.
        bound: texts of the same length that it would take, were every place in them wanted.
    """

    minimum: int
    sources: tuple[str, ...]
    planned: dict[str, int]
    lacking: tuple[str, ...]
    impossible: dict[str, str]
    bound: int
    _ends: NDArray[np.uint64] = field(repr=False)
    _files: NDArray[np.uint16] = field(repr=False)
    _blob: bytes = field(repr=False)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> tuple[str, str]:
        """A text and the name of the file that it, or what it was made from, stands in."""
        start = int(self._ends[index - 1]) if index else 0
        return self._blob[start : int(self._ends[index])].decode(), self.sources[int(self._files[index])]

    def text(self) -> str:
        """What it will cost, for people."""
        units = len(self.planned)
        lines = [
            f"plan     {units:,} units, each {self.minimum:,} times: {len(self):,} texts "
            f"(with every place in them wanted it would be {self.bound:,})"
        ]
        if self.lacking:
            lines.append(
                f"         {len(self.lacking):,} units that the corpus lacks take the place of others like them"
            )
        by_reason: dict[str, list[str]] = defaultdict(list)
        for unit, reason in self.impossible.items():
            by_reason[reason].append(unit)
        for reason, those in by_reason.items():
            named = " ".join(those[:12]) + (" …" if len(those) > 12 else "")
            lines.append(f"         {len(those):,} cannot be covered ({reason}): {named}")
        return "\n".join(lines)

    def facts(self) -> dict[str, Any]:
        """What a manifest keeps of it."""
        return {
            "minimum": self.minimum,
            "texts": len(self),
            "units": len(self.planned),
            "lacking": len(self.lacking),
            "impossible": self.impossible,
        }


def plan_coverage(
    config: Corpus,
    charset: Charset,
    files: Sequence[tuple[CorpusIndex, str, str]],
    drawable: Callable[[str], bool],
    seed: int,
    inputs: Mapping[str, Any],
) -> CoveragePlan:
    """The plan of a recipe: made once, then read from the cache.

    Args:
        config: the `corpus` section; `min_per_unit` above 0.
        charset: the dictionary.
        files: of each corpus file the index, the name and the kind of piece.
        drawable: whether the fonts draw a text.
        seed: of the recipe.
        inputs: what else the plan rests on, as JSON values: digests of fonts and the like.

    Raises:
        ScriptoriumError: no unit at all can be covered.
    """
    described = {
        "format": _FORMAT,
        "corpus": config.model_dump(mode="json", exclude={"files", "charset", "templates"}),
        "files": [(index.digest, piece) for index, _, piece in files],
        "units": charset.units,
        "seed": seed,
        "unicode": unicodedata2.unidata_version,
        "inputs": inputs,
    }
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    path = cache.cache_dir() / "plans" / f"{digest}.plan"
    names = tuple(name for _, name, _ in files)
    if (found := _read(path, names)) is not None:
        return found
    plan = _Planner(config, charset, files, drawable, np.random.default_rng([seed, _FORMAT])).plan()
    if not len(plan):
        reasons = ", ".join(sorted(set(plan.impossible.values())))
        raise ScriptoriumError(f"corpus.min_per_unit: no unit of {charset.source} can be covered ({reasons})")
    try:
        cache.write_whole(path, _packed(plan))
    except OSError as error:
        raise ScriptoriumError(
            f"{path}: cannot be written ({error.strerror}); set SCRIPTORIUM_CACHE to a writable folder"
        ) from None
    return plan


class _Planner:
    def __init__(
        self,
        config: Corpus,
        charset: Charset,
        files: Sequence[tuple[CorpusIndex, str, str]],
        drawable: Callable[[str], bool],
        rng: np.random.Generator,
    ) -> None:
        self._charset, self._drawable, self._rng = charset, drawable, rng
        self._config = config
        self._least, self._most = max(1, config.length[0]), config.length[1]
        self._minimum = config.min_per_unit
        self._units = charset.units
        count = len(self._units)
        self._wanted = np.array([not unit.isspace() for unit in self._units])
        self._need = np.where(self._wanted, self._minimum + int(np.ceil(self._minimum * _SPARE)), 0)
        self._have = np.zeros(count, np.int64)
        self._texts: list[str] = []
        self._from: list[int] = []
        self._impossible: dict[str, str] = {}
        self._names = tuple(name for _, name, _ in files)
        self._scan(files)

    # -- the corpus ---------------------------------------------------------------------------------------------

    def _scan(self, files: Sequence[tuple[CorpusIndex, str, str]]) -> None:
        """Cut the corpus into pieces of dictionary units, all in one array."""
        flat: list[int] = []
        ends: list[int] = []
        of: list[int] = []
        budget = _CHARACTERS // len(files)
        capitals = _CAPITALS if self._config.case.upper else 0
        for number, (index, _, kind) in enumerate(files):
            left = budget
            step = max(1, len(index) // _LINES)
            for line in range(0, len(index), step):
                text = index[line]
                left -= len(text)
                if left < 0:
                    break
                pieces = text.split() if kind == "word" else [text.strip()]
                if capitals > 0 and (upper := clean(text.upper())) != text:
                    capitals -= 1
                    pieces += upper.split() if kind == "word" else [upper.strip()]
                for piece in pieces:
                    for units in self._covered(piece):
                        flat += units
                        ends.append(len(flat))
                        of.append(number)
        self._flat = np.array(flat, np.int32)
        self._ends = np.array(ends, np.int64)
        self._starts = np.concatenate((np.zeros(1, np.int64), self._ends[:-1])) if ends else self._ends
        self._of = np.array(of, np.int16)
        self._piece_of = np.repeat(np.arange(len(ends)), self._ends - self._starts)
        self._seen = np.bincount(self._flat, minlength=len(self._units))
        self._learn_pairs()
        order = np.argsort(self._flat, kind="stable")
        bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(self._seen)))
        self._places = order, bounds

    def _learn_pairs(self) -> None:
        """Which kinds of characters the corpus has side by side, where one unit ends and the next begins.

        So no vowel sign comes after another, and no joiner where it does nothing, unless the language writes so.
        """
        signatures: dict[tuple[str, ...], int] = {}
        self._last = np.array([signatures.setdefault(kind(unit[-1]), len(signatures)) for unit in self._units])
        self._first = np.array([signatures.setdefault(kind(unit[0]), len(signatures)) for unit in self._units])
        self._pairs = np.zeros((len(signatures), len(signatures)), np.bool_)
        if len(self._flat) > 1:
            inside = self._piece_of[1:] == self._piece_of[:-1]
            self._pairs[self._last[self._flat[:-1][inside]], self._first[self._flat[1:][inside]]] = True

    def _covered(self, piece: str) -> Iterator[list[int]]:
        """The stretches of a piece that lie in the dictionary, as numbers of units."""
        index = self._charset.index
        if not self._charset.missing(piece):
            found = [index[unit] for unit in self._charset.split(piece)]
            if len(found) >= self._least and not _attaching.match(piece):
                yield found
            return
        stretch = ""
        for cluster in [*split_units(piece, "grapheme"), ""]:
            if cluster and not self._charset.missing(cluster):
                stretch += cluster
                continue
            stretch = stretch.strip()
            if stretch and not self._charset.missing(stretch) and not _attaching.match(stretch):
                found = [index[unit] for unit in self._charset.split(stretch)]
                if len(found) >= self._least:
                    yield found
            stretch = ""

    # -- the plan -----------------------------------------------------------------------------------------------

    def plan(self) -> CoveragePlan:
        """See `plan_coverage`."""
        self._refuse_undrawable()
        lacking = tuple(self._units[u] for u in np.flatnonzero((self._seen == 0) & (self._need > 0)).tolist())
        self._take_pieces()
        self._place_the_rest()
        order = self._rng.permutation(len(self._texts)).tolist()
        encoded = [self._texts[k].encode() for k in order]
        # Of their length, had every place in them been wanted.
        length = int(self._have.sum()) / max(len(self._texts), 1)
        bound = int(np.ceil(self._minimum * int((self._need > 0).sum()) / max(length, 1.0)))
        planned = {
            unit: int(have)
            for unit, have, wanted in zip(self._units, self._have, self._wanted, strict=True)
            if wanted and unit not in self._impossible
        }
        return CoveragePlan(
            self._minimum,
            self._names,
            planned,
            lacking,
            self._impossible,
            bound,
            np.cumsum([len(text) for text in encoded], dtype=np.uint64) if encoded else np.zeros(0, np.uint64),
            np.array([self._from[k] for k in order], np.uint16),
            b"".join(encoded),
        )

    def _refuse_undrawable(self) -> None:
        for number in np.flatnonzero(self._need > 0).tolist():
            unit = self._units[number]
            if not _attaching.match(unit) and not self._drawable(unit):
                self._give_up(number, NO_FONT)

    def _give_up(self, number: int, reason: str) -> None:
        self._impossible[self._units[number]] = reason
        self._need[number] = 0

    def _take_pieces(self) -> None:
        """Pieces of the corpus around each unit in turn, the rarest first, while most of what they hold is wanted."""
        order, bounds = self._places
        have, need = self._have, self._need
        for unit in np.argsort(self._seen, kind="stable").tolist():
            if have[unit] >= need[unit] or not self._seen[unit]:
                continue
            places = order[bounds[unit] : bounds[unit + 1]]
            poor = 0
            for place in self._rng.permutation(places)[: 4 * int(need[unit])].tolist():
                if have[unit] >= need[unit] or poor > _FAILURES:
                    break
                start, stop = self._window(place)
                part = self._flat[start:stop]
                if (have[part] < need[part]).mean() < _DENSITY:
                    poor += 1
                    continue
                if self._add([self._units[u] for u in part.tolist()], part, int(self._of[self._piece_of[place]])):
                    poor = 0
                else:
                    poor += 1

    def _window(self, place: int) -> tuple[int, int]:
        """A part of a piece around a place: the most wanted of a few that hold it."""
        piece = int(self._piece_of[place])
        start, stop = int(self._starts[piece]), int(self._ends[piece])
        most = self._most
        if stop - start <= most:
            return start, stop
        best, found = -1, (start, start + most)
        for _ in range(_OFFSETS):
            low, high = max(start, place - most + 1), min(place, stop - most)
            at = low + int(self._rng.random() * (high - low + 1))
            part = self._flat[at : at + most]
            gain = int((self._have[part] < self._need[part]).sum())
            if gain > best:
                best, found = gain, (at, at + most)
        return found

    def _place_the_rest(self) -> None:
        """Put what is still wanted in the place of units of the same kind."""
        kinds: dict[tuple[str, ...], int] = {}
        kind_of = np.array([kinds.setdefault(kind(unit), len(kinds)) for unit in self._units])
        wanted: dict[int, list[int]] = {}
        for number in np.flatnonzero(self._need > self._have).tolist():
            wanted.setdefault(int(kind_of[number]), []).extend([number] * int(self._need[number] - self._have[number]))
        pools = {k: deque(self._rng.permutation(numbers).tolist()) for k, numbers in wanted.items()}
        kinds_flat = kind_of[self._flat] if len(self._flat) else self._flat
        # The kinds that are wanted least go first: the others' texts take them in, but not the other way round.
        for k in sorted(pools, key=lambda k: (len(pools[k]), k)):
            places = np.flatnonzero(kinds_flat == k)
            failures = 0
            while (head := self._next(pools[k])) is not None:
                if len(places) and failures < _FAILURES:
                    place = int(places[int(self._rng.random() * len(places))])
                    if self._substitute(place, head, pools, kind_of):
                        failures = 0
                    else:
                        failures += 1
                        pools[k].appendleft(head)
                elif self._alone(head, pools[k]):
                    failures = 0
                else:
                    mark = _attaching.match(self._units[head])
                    self._give_up(head, NO_PLACE if mark and not len(places) else NO_TEXT)
                    failures = 0

    def _next(self, pool: deque[int]) -> int | None:
        """The next unit of a kind that is still wanted."""
        while pool:
            unit = pool.pop()
            if self._have[unit] < self._need[unit]:
                return unit
        return None

    def _substitute(self, place: int, head: int, pools: dict[int, deque[int]], kind_of: NDArray[np.int64]) -> bool:
        """Fill a window's places of no further use with wanted units of their kinds; `head` goes to `place`."""
        start, stop = self._window(place)
        part = self._flat[start:stop].copy()
        part[place - start] = head
        taken: list[int] = []
        counts: dict[int, int] = defaultdict(int)
        counts[head] += 1
        for at in range(len(part)):
            unit = int(part[at])
            if at == place - start or self._have[unit] + counts[unit] < self._need[unit]:
                counts[unit] += 1
                continue
            pool = pools.get(int(kind_of[unit]))
            new = self._next(pool) if pool else None
            if new is not None:
                part[at] = new
                taken.append(new)
                counts[new] += 1
        done = self._add([self._units[u] for u in part.tolist()], part, int(self._of[self._piece_of[place]]))
        if not done:
            for unit in taken:
                pools[int(kind_of[unit])].appendleft(unit)
        return done

    def _alone(self, head: int, pool: deque[int]) -> bool:
        """A text of units of one kind, with spaces where the dictionary has them; or of the unit by itself."""
        if _attaching.match(self._units[head]):
            return False
        several = [head]
        while len(several) < min(_ALONE, (self._most + 1) // 2) and (more := self._next(pool)) is not None:
            several.append(more)
        space = self._charset.index.get(" ")
        if len(several) > 1 and space is not None:
            numbers = [u for unit in several for u in (unit, space)][:-1]
            self._pairs[self._last[space], self._first[several]] = self._pairs[
                self._last[several], self._first[space]
            ] = True
            if self._add([self._units[u] for u in numbers], np.array(numbers), 0):
                return True
        pool.extend(several[1:])
        return self._least <= 1 and self._add([self._units[head]], np.array([head]), 0)

    def _add(self, units: list[str], numbers: NDArray[Any], source: int) -> bool:
        """Take a text into the plan, if it says what it should and can be drawn."""
        while units and units[0].isspace():
            units, numbers = units[1:], numbers[1:]
        while units and units[-1].isspace():
            units, numbers = units[:-1], numbers[:-1]
        if not self._pairs[self._last[numbers[:-1]], self._first[numbers[1:]]].all():
            return False
        text = "".join(units)
        if len(units) < self._least or not text or _attaching.match(text):
            return False
        text = unicodedata2.normalize("NFC", text)
        index = self._charset.index
        if self._charset.missing(text) or [index[unit] for unit in self._charset.split(text)] != numbers.tolist():
            return False  # side by side, they are other units
        if len(split_units(text, "grapheme")) < len(units) and not _same_marks(units, text):
            return False
        if not self._drawable(text):
            return False
        np.add.at(self._have, numbers, 1)
        self._texts.append(text)
        self._from.append(source)
        return True


def _same_marks(units: list[str], text: str) -> bool:
    """Whether no mark has gone over to a letter of another unit: clusters begin where units do, or units are marks."""
    starts = {0}
    at = 0
    for unit in units:
        at += len(unit)
        starts.add(at)
    at = 0
    for cluster in split_units(text, "grapheme"):
        if at not in starts:
            return False
        at += len(cluster)
    return True


def kind(unit: str) -> tuple[str, ...]:
    """What decides whose place a unit may take: categories of its first character, and whose letter that is.

    A cluster counts as its base does: a consonant with a vowel sign stands where a bare consonant may. Of units that
    are marks all characters' categories count.
    """
    first = unit[0]
    category: str = unicodedata2.category(first)
    found = _syllabic.match(first)
    # The first word of a letter's name is its script's, as good as: LATIN, KANNADA, CJK, HANGUL.
    script = unicodedata2.name(first, "").split(" ")[0].split("-")[0] if category[0] in "LM" else ""
    marks = tuple(unicodedata2.category(c) for c in unit) if category[0] == "M" else ()
    return (category, found.lastgroup or "" if found else "", script, *marks)


def _packed(plan: CoveragePlan) -> bytes:
    head = json.dumps(
        {
            "minimum": plan.minimum,
            "planned": plan.planned,
            "lacking": plan.lacking,
            "impossible": plan.impossible,
            "bound": plan.bound,
            "texts": len(plan),
        },
        ensure_ascii=False,
    ).encode()
    return b"".join((struct.pack("<Q", len(head)), head, plan._ends.tobytes(), plan._files.tobytes(), plan._blob))


def _read(path: Path, names: tuple[str, ...]) -> CoveragePlan | None:
    try:
        data = path.read_bytes()
        (length,) = struct.unpack_from("<Q", data)
        head = json.loads(data[8 : 8 + length])
        count = int(head["texts"])
        ends = np.frombuffer(data, np.uint64, count, 8 + length)
        files = np.frombuffer(data, np.uint16, count, 8 + length + 8 * count)
        blob = data[8 + length + 10 * count :]
        if len(blob) != (int(ends[-1]) if count else 0) or (count and int(files.max()) >= len(names)):
            return None
        return CoveragePlan(
            int(head["minimum"]),
            names,
            head["planned"],
            tuple(head["lacking"]),
            head["impossible"],
            int(head["bound"]),
            ends,
            files,
            blob,
        )
    except (OSError, ValueError, KeyError, struct.error):
        return None  # none yet, or one cut short: it is made again
