"""Coverage plans: texts chosen and made so that every unit of a dictionary is written often enough.

A plan is a list of texts in which each unit that can be reached stands at least so often, in as few texts as their
lengths allow. It is made once, from the seed, and kept in a file that all processes map into their memory.

Texts are drawn from the corpus as any other, each about the unit that lacks most. While most of a text's units are
still wanted, it stays as the corpus has it. Later, units that have been written often enough make way for wanted ones
of the same kind, and so a unit that the corpus lacks gets its contexts:

* in the place of a unit of the same kind: same scripts, general categories and Indic syllabic categories, code point by
  code point; or, where that does not suffice, of one that begins alike and, as it does or does not, ends in a virama;
* digits, and letters of a script that the corpus lacks, as a number or word in the place of one;
* punctuation and symbols also at the edges of words, opening ones before them;
* marks without their like in the corpus after a letter of their script.

Whatever is made so must be cut into exactly these units again, with graphemes where they were, be in normal form, keep
the recipe's lengths, and be drawn by some font without a dotted circle.
"""

from __future__ import annotations

import heapq
import json
import math
import mmap
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import regex
import unicodedata2
from fontTools import unicodedata as ucd
from tqdm import tqdm

from augment.errors import ScriptoriumError
from synth.cache import write_whole
from synth.text.charset import Charset, UnknownUnit
from synth.text.corpus import clean
from synth.text.source import Drawn, TextSource, attaches
from synth.text.units import split_units

VERSION: Final = 2
"""Of the way in which plans are made: another one gives other plans."""

MOST_WANTED: Final = 20_000_000
"""Units times minimum: 60 MB or so of text, some minutes of planning."""

NO_FONT: Final = "no font draws it"
NO_SHAPE: Final = "no font draws it rightly in the contexts tried"
NO_CONTEXT: Final = "no legal context in the corpus"
NO_MATCH: Final = "never cut out whole: longer entries match first"

_LINES: Final = 100_000  # of the corpus that are looked at for where units stand
_LINE_START: Final = 400  # characters looked at of each
_POSTINGS: Final = 64  # lines noted for each unit
_NATURAL: Final = 0.75  # a text with this share of wanted units stays as the corpus has it
_SURPLUS: Final = 0.1  # share of units beyond the minimum that a text keeps
_COMPARED: Final = 3  # texts drawn, of which one is taken
_ROOMY: Final = 0.9  # share of places for wanted units with which the first of them will do
_TEXTS_PER_LINE: Final = 16  # drawn about a unit from each of its lines; then it is placed elsewhere, too
_ENOUGH: Final = 4  # places of a kind in the corpus, below which a wider kind is taken
_TRIES: Final = 6  # for a text about one unit
_GIVE_UP: Final = 40  # texts without success, after which a unit counts as out of reach
_BLAMED: Final = 3  # times that a unit could not be drawn, after which it is no longer put beside others
_PASSED_OVER: Final = 16  # units that do not go with a text, after which its place stays as it is
_NUMBER: Final = 8  # digits of a number at most

_MAGIC: Final = b"scrplan1"

Key = tuple[Any, ...]

_SYLLABIC: Final = (
    "Avagraha", "Bindu", "Brahmi_Joining_Number", "Cantillation_Mark", "Consonant", "Consonant_Dead",
    "Consonant_Final", "Consonant_Head_Letter", "Consonant_Initial_Postfixed", "Consonant_Killer", "Consonant_Medial",
    "Consonant_Placeholder", "Consonant_Preceding_Repha", "Consonant_Prefixed", "Consonant_Subjoined",
    "Consonant_Succeeding_Repha", "Consonant_With_Stacker", "Gemination_Mark", "Invisible_Stacker", "Joiner",
    "Modifying_Letter", "Non_Joiner", "Nukta", "Number", "Number_Joiner", "Other", "Pure_Killer", "Register_Shifter",
    "Syllable_Modifier", "Tone_Letter", "Tone_Mark", "Virama", "Visarga", "Vowel", "Vowel_Dependent",
    "Vowel_Independent",
)  # fmt: skip
_syllabic: Final = [regex.compile(rf"\p{{InSC={name}}}") for name in _SYLLABIC]
_joins: Final = regex.compile(r"[\p{InSC=Virama}\p{InSC=Invisible_Stacker}\u200d]\Z")
_OPENING: Final = frozenset("¿¡")


@cache
def _class(character: str) -> tuple[str, str, int, bool]:
    """Script, general category, Indic syllabic category, and whether it is as wide as an ideograph."""
    insc = next((number for number, pattern in enumerate(_syllabic) if pattern.match(character)), -1)
    wide = unicodedata2.east_asian_width(character) in ("W", "F")
    return ucd.script(character), unicodedata2.category(character), insc, wide


def _group(unit: str) -> str:
    """The kind of a unit's first character: Lu, Ll, Lt, L for other letters, M, Nd, N, P, S, Z or C."""
    category = _class(unit[0])[1]
    return category if category in ("Lu", "Ll", "Lt", "Nd") else category[0]


class _Unit:
    """One entry of the dictionary.

    Attributes:
        text: NFC.
        group: see `_group`.
        keys: what units it may take the place of, from the narrowest kind to the widest.
        joins: it ends in a sign that joins what follows.
        fixed: it is placed nowhere: white space, joiners and other characters without a picture of their own.
    """

    __slots__ = ("fixed", "group", "joins", "keys", "opening", "script", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.group = _group(text)
        self.joins = _joins.search(text) is not None
        classes = tuple(_class(character) for character in text)
        self.script, category, insc, wide = classes[0]
        self.keys: tuple[Key, ...] = (
            (0, *classes),
            (1, self.script, self.group, self.joins, insc, wide),
            (2, self.script, self.group, self.joins),
        )
        self.opening = category in ("Ps", "Pi", "Sc") or text in _OPENING
        self.fixed = text.isspace() or self.group in "ZC"


class Unreached(NamedTuple):
    """A unit that the plan does not bring to the minimum, and why."""

    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a plan is.

    Attributes:
        minimum: how often each unit is to be written.
        wanted: units of the dictionary, without the space.
        lacking: how many of them none of the corpus lines looked at holds.
        lines: corpus lines looked at.
        texts: the plan's texts.
        natural: how many of them are as the corpus has them.
        length: mean length of the texts, in units, white space aside.
        bound: texts of that length that it would take if no unit stood in them more often than asked.
        unreached: units that cannot be brought to the minimum.
    """

    minimum: int
    wanted: int
    lacking: int
    lines: int
    texts: int
    natural: int
    length: float
    bound: int
    unreached: tuple[Unreached, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `unreached` as a mapping from units to reasons."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "unreached"}
        return values | {"unreached": dict(self.unreached)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Facts:
        """The inverse of `to_json`. Raises KeyError or TypeError for other values."""
        unreached = tuple(Unreached(unit, reason) for unit, reason in values["unreached"].items())
        return cls(**(values | {"unreached": unreached}))


class Plan:
    """The planned texts, in random order, by number; the file is mapped, so that all processes share its memory.

    Attributes:
        facts: what it is.
    """

    def __init__(self, path: Path) -> None:
        """Open what `write_plan` wrote. Raises OSError or ValueError where that is not there, or not whole."""
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        length, magic = struct.unpack("<Q8s", data[-16:]) if len(data) >= 16 else (0, b"")
        texts_end = len(data) - 16 - length
        if magic != _MAGIC or texts_end < 0:
            raise ValueError("not a plan")
        head = json.loads(bytes(data[texts_end:-16]))
        self.facts = Facts.from_json(head["facts"])
        count = self.facts.texts
        table = texts_end - 12 * count
        if table != head["bytes"]:
            raise ValueError("a plan cut short")
        self._data = data
        self._ends = np.frombuffer(data, np.uint64, count, table)
        self._files = np.frombuffer(data, np.uint32, count, table + 8 * count)

    def __len__(self) -> int:
        return self.facts.texts

    def text(self, number: int) -> tuple[str, int]:
        """Text `number`, and the number of the corpus file that it comes from."""
        start = int(self._ends[number - 1]) if number else 0
        return str(self._data[start : int(self._ends[number])], "utf-8"), int(self._files[number])

    def place(self, index: int, span: int) -> int | None:
        """Which text sample `index` shows, None for one of no plan's; all are shown once in every `span` samples.

        They are spread evenly.
        """
        size = self.facts.texts
        span = max(span, size)
        index %= span
        return index * size // span if index * size % span < size else None


def write_plan(
    path: Path,
    source: TextSource,
    charset: Charset,
    minimum: int,
    seed: int,
    covering: Callable[[str], int],
    drawable: Callable[[str], bool],
) -> Plan:
    """Make a plan and keep it at `path`. The same arguments give the same plan.

    Of the corpus, the beginnings of up to 100,000 lines, evenly spread, are looked at for where units stand, which
    bounds time and memory whatever its size; texts are then drawn from them.

    Args:
        path: where the plan is kept; whatever is there is replaced in one step.
        source: what texts are drawn from.
        charset: whose units are to be reached; the space does not count.
        minimum: how often.
        seed: of all choices.
        covering: the fonts that have all characters of a text, as bits.
        drawable: whether some font draws a text without missing glyphs and dotted circles, each unit with ink.

    Raises:
        ScriptoriumError: no unit can be reached, too much is asked for, the corpus gives no texts, or the plan cannot
            be kept.
    """
    wanted = sum(unit != " " for unit in charset.units)
    if wanted * minimum > MOST_WANTED:
        raise ScriptoriumError(
            f"corpus.min_per_unit: {wanted:,} units, each {minimum:,} times, are more than the {MOST_WANTED:,} that a "
            f"plan can hold; ask for at most {MOST_WANTED // wanted:,}"
        )
    with source.uncounted():
        data = _Planner(source, charset, minimum, seed, covering, drawable).run()
    try:
        write_whole(path, data)
        return Plan(path)
    except OSError as error:
        raise ScriptoriumError(
            f"{path.parent}: cannot keep a plan there ({error.strerror}); set SCRIPTORIUM_CACHE to another folder"
        ) from error


@dataclass(slots=True)
class _Text:
    """A text in the making: its units, their numbers in the dictionary, and which of them begin a grapheme."""

    units: list[str]
    numbers: list[int]
    starts: list[bool]
    file: int

    def put(self, start: int, stop: int, units: Sequence[_Unit], numbers: Sequence[int], begins: bool = True) -> None:
        """Put units in the place of those from `start` to `stop`."""
        self.units[start:stop] = [unit.text for unit in units]
        self.numbers[start:stop] = numbers
        self.starts[start:stop] = [begins] * len(units)

    def copy(self) -> _Text:
        return _Text(self.units.copy(), self.numbers.copy(), self.starts.copy(), self.file)


@dataclass(slots=True)
class _Deck:
    """Units that go to the same places.

    Attributes:
        way: how they are placed: `slot`, `word`, `edge`, `mark`, or `none`, only where the corpus has them.
        key: of the places, for `slot`.
        heap: (minus what is lacking when it was put there, random number, unit).
        lacking: times that its units have still to be written.
        gain: how many of these a text about one of them brings, about.
    """

    way: str
    key: Key
    heap: list[tuple[int, float, int]] = field(default_factory=list)
    lacking: int = 0
    gain: float = 1.0


class _Pool(NamedTuple):
    """Units of one kind that the corpus has, and running sums of the lines noted for each."""

    units: list[int]
    sums: list[int]


class _Planner:
    """Makes one plan."""

    def __init__(
        self,
        source: TextSource,
        charset: Charset,
        minimum: int,
        seed: int,
        covering: Callable[[str], int],
        drawable: Callable[[str], bool],
    ) -> None:
        self.source, self.charset, self.minimum, self.drawable = source, charset, minimum, drawable
        self.rng = np.random.Generator(np.random.Philox(key=np.array((seed, 0x506C616E), np.uint64)))
        self.random = self.rng.random
        self.least, self.most = source.length
        self.files = {name: number for number, name in enumerate(source.names)}
        self.units = [_Unit(clean(text)) for text in charset.units]
        self.fonts = [covering(unit.text) for unit in self.units]
        self.lacks = [minimum if unit.text != " " else 0 for unit in self.units]
        # A small dictionary must repeat its units within a text.
        self.repeats = max(2, -(-self.most // len(self.units)))
        self.unreached: dict[int, str] = {}
        self.failures = [0] * len(self.units)
        self.blame = [0] * len(self.units)
        self.data = bytearray()
        self.ends: list[int] = []
        self.sources: list[int] = []
        self.natural = 0
        self.inked = 0
        self.aside: list[tuple[_Deck, int]] = []

    # -- what the corpus has --------------------------------------------------------------------------------------

    def scan(self) -> None:
        """Note lines for each unit, and the units of each kind."""
        self.lines: list[list[tuple[int, int]]] = [[] for _ in self.units]
        self.looked = 0
        index = self.charset.index
        for file, line, text in self.source.lines(_LINES):
            self.looked += 1
            for number in {index[unit] for unit in self.known(text[:_LINE_START])}:
                noted = self.lines[number]
                if len(noted) < _POSTINGS:
                    noted.append((file, line))
        self.drawn = [0] * len(self.units)
        counts = self.source.characters()
        self.rarest = [
            min(unit.text, key=lambda character: counts.get(character, 0)) if unit.text else "" for unit in self.units
        ]
        pools: dict[Key, _Pool] = {}
        for number, unit in enumerate(self.units):
            if self.lines[number] and not unit.fixed and self.fonts[number]:
                for key in unit.keys:
                    pool = pools.setdefault(key, _Pool([], []))
                    pool.units.append(number)
                    pool.sums.append((pool.sums[-1] if pool.sums else 0) + len(self.lines[number]))
        self.pools = pools

    def known(self, text: str) -> list[str]:
        """Units of a text, without what is unknown in it."""
        try:
            return self.charset.split(text)
        except UnknownUnit as error:
            units: list[str] = []
            for unknown in error.missing:
                text = text.replace(unknown, "\n")
            for part in text.split("\n"):
                if not self.charset.missing(part):
                    units += self.charset.split(part)
            return units

    def deal_out(self) -> None:
        """Sort the units into decks."""
        self.decks: dict[tuple[str, Key], _Deck] = {}
        self.home: list[_Deck | None] = [None] * len(self.units)
        for number in range(len(self.units)):
            if not self.lacks[number]:
                continue
            if not self.fonts[number]:
                self.give_up(number, NO_FONT)
                continue
            way, key = self.way(number)
            if not way:
                self.give_up(number, NO_CONTEXT)
                continue
            deck = self.decks.setdefault((way, key), _Deck(way, key))
            deck.lacking += self.lacks[number]
            deck.heap.append((-self.lacks[number], self.random(), number))
            self.home[number] = deck
        for deck in self.decks.values():
            heapq.heapify(deck.heap)
        # Decks by the places that their units may take, for filling up; and those whose units begin like what is there.
        self.by_key = {deck.key: deck for deck in self.decks.values() if deck.way == "slot"}
        self.kin: dict[Key, list[_Deck]] = {}
        for deck in self.by_key.values():
            for key in {self.units[number].keys[1] for _, _, number in deck.heap if len(self.units[number].text) > 1}:
                self.kin.setdefault(key, []).append(deck)

    def way(self, number: int) -> tuple[str, Key]:
        """How a unit is placed; ("", ()) if in no way."""
        unit = self.units[number]
        if unit.fixed:
            return ("none", ()) if self.lines[number] else ("", ())
        found = []
        for key in unit.keys:
            pool = self.pools.get(key)
            places = pool.sums[-1] - len(self.lines[number]) if pool else 0
            if places >= _ENOUGH:
                return "slot", key
            found.append((places, key))
        places, key = max(found, key=lambda item: item[0])
        if places:
            return "slot", key
        if unit.group == "M":
            return "mark", (unit.script,)
        if unit.group[0] in "PSN" and unit.group != "Nd":
            return "edge", (unit.group,)
        return "word", (unit.script, unit.group)

    def give_up(self, number: int, reason: str) -> None:
        self.unreached[number] = reason
        deck = self.home[number] if hasattr(self, "home") else None
        if deck is not None:
            deck.lacking -= self.lacks[number]
        self.lacks[number] = 0

    # -- choosing units -------------------------------------------------------------------------------------------

    def top(self, deck: _Deck) -> int:
        """The unit of a deck that lacks most; it stays in the heap."""
        heap, lacks = deck.heap, self.lacks
        while heap:
            count, _, number = heap[0]
            if -count == lacks[number]:
                return number
            if lacks[number]:
                heapq.heapreplace(heap, (-lacks[number], self.random(), number))
            else:
                heapq.heappop(heap)
        raise AssertionError("a deck that lacks something is not empty")

    def deal(self, deck: _Deck, fonts: int, used: Counter[int]) -> int | None:
        """A unit that is still wanted, goes with the fonts of the text, and is not yet in it too often."""
        if not deck.heap:
            self.put_back()
        heap, lacks = deck.heap, self.lacks
        passed = 0
        while heap and passed < _PASSED_OVER:
            count, _, number = heapq.heappop(heap)
            if -count != lacks[number]:
                if lacks[number]:
                    heapq.heappush(heap, (-lacks[number], self.random(), number))
                continue
            # Not to be dealt again until all others were.
            self.aside.append((deck, number))
            fit = self.blame[number] < _BLAMED and self.fonts[number] & fonts
            if fit and used[number] < min(self.repeats, lacks[number]):
                used[number] += 1
                return number
            passed += 1
        return None

    def put_back(self) -> None:
        """What was dealt or passed over goes back into its heap."""
        for deck, number in self.aside:
            if self.lacks[number]:
                heapq.heappush(deck.heap, (-self.lacks[number], self.random(), number))
        self.aside.clear()

    # -- drawing from the corpus ----------------------------------------------------------------------------------

    def about(self, number: int) -> _Text | None:
        """A text of the corpus with a unit in it, from one of the lines noted for it."""
        lines = self.lines[number]
        for _ in range(_TRIES):
            file, line = lines[int(self.random() * len(lines))]
            drawn = self.source.about(file, line, self.rarest[number], self.rng)
            if drawn is not None and self.units[number].text in drawn.units:
                return self.text(drawn)
        return None

    def like(self, deck: _Deck) -> _Text | None:
        """A text of the corpus with a place for the units of a deck."""
        if deck.way != "slot":
            return self.text(self.source.draw(self.rng, files_only=True))
        pool = self.pools[deck.key]
        return self.about(pool.units[bisect_right(pool.sums, int(self.random() * pool.sums[-1]))])

    def best(self, draw: Callable[[], _Text | None]) -> _Text | None:
        """Of a few texts the first that has room for much that is wanted, or else the one that has most."""
        most, found = -1.0, None
        for _ in range(_COMPARED):
            text = draw()
            if text is None:
                continue
            inked = open_ = 0
            for number in text.numbers:
                unit = self.units[number]
                if not unit.text.isspace():
                    inked += 1
                    open_ += bool(self.lacks[number]) or any(deck.lacking for deck in self.decks_for(unit))
            if open_ > most * inked:
                most, found = open_ / max(inked, 1), text
            if most >= _ROOMY:
                break
        return found

    def text(self, drawn: Drawn) -> _Text:
        index = self.charset.index
        numbers = [index[unit] for unit in drawn.units]
        # As the dictionary spells them or in NFC: labels have the latter.
        return _Text(drawn.units.copy(), numbers, _starts(drawn.text, drawn.units), self.files[drawn.source])

    # -- making texts ---------------------------------------------------------------------------------------------

    def useful(self, numbers: Sequence[int]) -> list[bool]:
        """Which units of a text are still wanted, the first ones of each first."""
        left: dict[int, int] = {}
        found = []
        for number in numbers:
            lacks = left.get(number, self.lacks[number])
            left[number] = lacks - 1
            found.append(lacks > 0)
        return found

    def slots(self, text: _Text, key: Key) -> list[int]:
        """Where a unit of a kind may stand."""
        level = key[0]
        found = []
        for at, number in enumerate(text.numbers):
            unit = self.units[number]
            if not unit.fixed and unit.keys[level] == key and (not level or self.apart(text, at)):
                found.append(at)
        return found

    def decks_for(self, unit: _Unit) -> list[_Deck]:
        """The decks of which units may take the place of one."""
        decks = [deck for key in unit.keys if (deck := self.by_key.get(key)) is not None]
        return decks + self.kin.get(unit.keys[1], [])

    def apart(self, text: _Text, at: int) -> bool:
        """Whether nothing before a place joins what stands there."""
        return not at or not self.units[text.numbers[at - 1]].joins

    def one(self, places: Sequence[int]) -> int:
        return places[int(self.random() * len(places))]

    def place(self, text: _Text, deck: _Deck, number: int, used: Counter[int], fonts: int) -> bool:
        """Put a unit into a text; whether there was a place for it."""
        unit = self.units[number]
        if deck.way == "word" or (unit.group == "Nd" and self.random() < 0.5):
            self.put_word(text, deck, number, used, fonts)
            return True
        if deck.way == "edge":
            return self.put_edges(text, deck, number, used, fonts)
        if deck.way == "mark":
            return self.put_mark(text, number)
        if deck.way == "none":
            return False
        places = self.slots(text, deck.key)
        if not places:
            return False
        useful = self.useful(text.numbers)
        at = self.one([at for at in places if not useful[at]] or places)
        text.put(at, at + 1, [unit], [number], text.starts[at])
        return True

    def put_word(self, text: _Text, deck: _Deck, number: int, used: Counter[int], fonts: int) -> None:
        """A word or number of a deck's units in the place of a word; of all where there is none."""
        runs: list[tuple[int, int]] = []
        start = -1
        for at in range(len(text.numbers) + 1):
            letter = at < len(text.numbers) and self.units[text.numbers[at]].group[0] in "LMN"
            if letter and start < 0:
                start = at
            elif not letter and start >= 0:
                runs.append((start, at))
                start = -1
        if not runs:
            runs.append((0, len(text.numbers)))
        start, stop = runs[int(self.random() * len(runs))]
        if self.units[number].group == "Nd" and stop - start > _NUMBER:
            starts = [at for at in range(start, stop) if text.starts[at]]
            start = self.one(starts)
            stop = max([at for at in (*starts, stop) if start < at <= start + _NUMBER], default=stop)
        dealt = [number]
        while len(dealt) < stop - start and (other := self.deal(deck, fonts, used)) is not None:
            dealt.append(other)
        # The unit itself is not always the first.
        at = int(self.random() * len(dealt))
        dealt[0], dealt[at] = dealt[at], dealt[0]
        text.put(start, stop, [self.units[other] for other in dealt], dealt)

    def put_edges(self, text: _Text, deck: _Deck, number: int | None, used: Counter[int], fonts: int) -> bool:
        """Punctuation and symbols at edges of words, `number` among them; at most one at each edge."""
        words: list[tuple[int, int]] = []
        start = 0
        for at, inked in enumerate([*(not unit.isspace() for unit in text.units), False]):
            if not inked:
                if at > start:
                    words.append((start, at))
                start = at + 1
        room = self.most - len(text.units)
        put: list[tuple[int, int]] = []
        for k in self.rng.permutation(len(words)).tolist():
            start, stop = words[k]
            free = [self.units[text.numbers[at]].group[0] not in "PS" for at in (start, stop - 1)]
            while room and any(free):
                other = number if number is not None else self.deal(deck, fonts, used)
                number = None
                if other is None:
                    break
                side = 0 if self.units[other].opening else 1
                if not free[side]:
                    break
                free[side] = False
                room -= 1
                put.append((stop if side else start, other))
        for at, other in sorted(put, reverse=True):
            text.put(at, at, [self.units[other]], [other])
        return bool(put)

    def put_mark(self, text: _Text, number: int) -> bool:
        """A mark after a grapheme that begins with a letter of its script."""
        script = self.units[number].script
        places = []
        for at in range(len(text.units)):
            if text.starts[at]:
                before = self.units[text.numbers[at]]
                if before.group[0] == "L" and script in (before.script, "Zinh", "Zyyy") and not before.joins:
                    places.append(at)
        if not places or len(text.units) >= self.most:
            return False
        at = self.one(places) + 1
        while at < len(text.units) and not text.starts[at]:
            at += 1
        text.put(at, at, [self.units[number]], [number], begins=False)
        return True

    def fill(self, text: _Text, used: Counter[int], fonts: int, natural: bool) -> list[tuple[int, int]]:
        """Which units to put in the place of those that are not wanted any more, as (place, unit).

        None where a text is as the corpus has it and most of it is wanted.
        """
        useful = self.useful(text.numbers)
        inked = sum(not unit.isspace() for unit in text.units)
        surplus = inked - sum(useful)
        if natural and surplus <= (1 - _NATURAL) * inked:
            return []
        spare = [at for at, wanted in enumerate(useful) if not wanted and not self.units[text.numbers[at]].fixed]
        # Which of them stay is left to chance.
        for at in range(len(spare) - 1, 0, -1):
            other = int(self.random() * (at + 1))
            spare[at], spare[other] = spare[other], spare[at]
        changes: list[tuple[int, int]] = []
        keep = int(_SURPLUS * inked)
        for at in spare:
            if surplus <= keep:
                break
            apart = self.apart(text, at)
            unit = self.units[text.numbers[at]]
            # Exactly of its kind; where none of these is wanted, those that begin alike.
            best = self.by_key.get(unit.keys[0])
            if (best is None or not best.lacking) and apart:
                decks = [deck for deck in self.decks_for(unit) if deck.lacking]
                best = max(decks, key=lambda deck: deck.lacking / deck.gain, default=None)
            if best is not None and best.lacking and (number := self.deal(best, fonts, used)) is not None:
                changes.append((at, number))
                surplus -= 1
        return changes

    def fits(self, text: _Text) -> bool:
        """Whether a text that was changed says what it should: exactly these units, graphemes where they were."""
        whole = "".join(text.units)
        if not self.least <= len(text.units) <= self.most or clean(whole) != whole:
            return False
        if attaches(whole[0]) or whole.strip() != whole:
            return False
        try:
            if self.charset.split(whole) != text.units:
                return False
        except UnknownUnit:
            return False
        return _starts(whole, text.units) == text.starts

    def make(self, deck: _Deck, number: int) -> str:
        """Add a text about one unit to the plan. Returns why that did not work, or an empty string."""
        # Letters, digits and symbols may stand by themselves where nothing else has worked.
        alone = self.failures[number] >= _GIVE_UP // 2 and self.units[number].group not in "MZC"
        lines = self.lines[number]
        natural = bool(lines) and (deck.way == "none" or self.drawn[number] < _TEXTS_PER_LINE * len(lines))
        fonts = self.font_of(number)
        used: Counter[int] = Counter()
        text = None
        if natural and not alone:
            self.drawn[number] += 1
            text = self.best(lambda: self.about(number))
        placed = text is None
        if alone:
            text = _Text([self.units[number].text] * self.least, [number] * self.least, [True] * self.least, 0)
        elif text is None:
            used[number] = 1
            text = self.best(lambda: self.like(deck))
            if text is not None and not self.place(text, deck, number, used, fonts):
                text = None
        if text is None:
            return NO_CONTEXT
        if placed and not self.fits(text):
            return NO_MATCH
        used = Counter(text.numbers)
        done = text
        changed = placed
        if self.units[number].group[0] in "PS" and deck.way != "none":
            more = done.copy()
            if self.put_edges(more, deck, None, used, fonts) and self.fits(more):
                done, changed = more, True
        changes = self.fill(done, used, fonts, not changed)
        if changes:
            full = self.changed(done, changes)
            if full is not done and self.drawable("".join(full.units)):
                self.add(full, deck, natural=False)
                return ""
        if not self.drawable("".join(done.units)):
            if done is text or not self.drawable("".join(text.units)):
                return NO_SHAPE
            done, changed, changes = text, placed, []
        full = self.drawn_part(done, changes)
        self.add(full, deck, natural=full is text and not placed)
        return ""

    def drawn_part(self, text: _Text, changes: Sequence[tuple[int, int]]) -> _Text:
        """The text with those changes that can be drawn, where all at once cannot; units to blame are noted."""
        if len(changes) == 1:
            self.blame[changes[0][1]] += 1
            return text
        half = len(changes) // 2
        for part in (changes[:half], changes[half:]):
            if part:
                full = self.changed(text, part)
                if full is not text:
                    text = full if self.drawable("".join(full.units)) else self.drawn_part(text, part)
        return text

    def changed(self, text: _Text, changes: Sequence[tuple[int, int]]) -> _Text:
        """The text with units changed; where all at once do not fit, those that do."""
        full = text.copy()
        for at, number in changes:
            full.put(at, at + 1, [self.units[number]], [number], full.starts[at])
        if self.fits(full):
            return full
        for at, number in changes:
            one = text.copy()
            one.put(at, at + 1, [self.units[number]], [number], one.starts[at])
            if self.fits(one):
                text = one
        return text

    def font_of(self, number: int) -> int:
        """One of the fonts that have a unit, as a bit: what goes with it is chosen among what that font has."""
        bits = self.fonts[number]
        for _ in range(int(self.random() * bits.bit_count())):
            bits &= bits - 1
        return bits & -bits

    def add(self, text: _Text, deck: _Deck, natural: bool) -> None:
        """Take a text into the plan."""
        self.data += "".join(text.units).encode()
        self.ends.append(len(self.data))
        self.sources.append(text.file)
        self.natural += natural
        gain = 0
        for number in text.numbers:
            self.inked += not self.units[number].text.isspace()
            if self.lacks[number]:
                self.lacks[number] -= 1
                home = self.home[number]
                assert home is not None
                home.lacking -= 1
                gain += home is deck
                self.written += 1
        deck.gain += 0.05 * (gain - deck.gain)

    # -- the plan -------------------------------------------------------------------------------------------------

    def run(self) -> bytes:
        """The plan's file."""
        self.scan()
        self.written = 0
        self.deal_out()
        wanted = sum(unit.text != " " for unit in self.units)
        with tqdm(total=sum(self.lacks), desc="planning", unit="unit", unit_scale=True, disable=None, delay=2) as bar:
            while True:
                # The deck that would take most texts: what else is wanted comes along.
                deck = max(self.decks.values(), key=lambda deck: deck.lacking / deck.gain, default=None)
                if deck is None or not deck.lacking:
                    break
                number = self.top(deck)
                self.aside.append((deck, heapq.heappop(deck.heap)[2]))
                reason = self.make(deck, number)
                self.put_back()
                if reason:
                    self.failures[number] += 1
                    if self.failures[number] >= _GIVE_UP:
                        self.give_up(number, reason)
                else:
                    self.failures[number] = 0
                bar.update(self.written - bar.n)
        if not self.ends:
            _, reason = next(iter(self.unreached.items()))
            raise ScriptoriumError(
                f"{self.charset.source}: no unit can be planned for ({reason}, to begin with); take a dictionary, a "
                "corpus and fonts that go together"
            )
        mean = self.inked / len(self.ends)
        reached = wanted - len(self.unreached)
        facts = Facts(
            minimum=self.minimum,
            wanted=wanted,
            lacking=sum(not lines and unit.text != " " for lines, unit in zip(self.lines, self.units, strict=True)),
            lines=self.looked,
            texts=len(self.ends),
            natural=self.natural,
            length=round(mean, 2),
            bound=math.ceil(reached * self.minimum / mean),
            unreached=tuple(
                Unreached(self.charset.units[number], reason) for number, reason in sorted(self.unreached.items())
            ),
        )
        return self.packed(facts)

    def packed(self, facts: Facts) -> bytes:
        order = self.rng.permutation(len(self.ends))
        ends = np.array([0, *self.ends], np.int64)
        lengths = np.diff(ends)[order]
        texts = b"".join(bytes(self.data[ends[k] : ends[k + 1]]) for k in order.tolist())
        # The numbers that follow are read in place.
        texts += b" " * (-len(texts) % 8)
        head = json.dumps({"facts": facts.to_json(), "bytes": len(texts)}, ensure_ascii=False).encode()
        return b"".join(
            (
                texts,
                np.cumsum(lengths).astype(np.uint64).tobytes(),
                np.array(self.sources, np.uint32)[order].tobytes(),
                head,
                struct.pack("<Q8s", len(head), _MAGIC),
            )
        )


def _starts(text: str, units: Sequence[str]) -> list[bool]:
    """For each unit, whether it begins where a grapheme begins."""
    graphemes = split_units(text, "grapheme")
    if graphemes == units:
        return [True] * len(units)
    bounds = set(accumulate(map(len, graphemes), initial=0))
    at = 0
    found = []
    for unit in units:
        found.append(at in bounds)
        at += len(unit)
    return found
