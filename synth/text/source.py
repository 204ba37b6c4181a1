"""The stream of texts: pieces of corpora and templates, as the recipe's `corpus` section says."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from itertools import accumulate, compress, islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import regex
import unicodedata2

from augment.errors import ScriptoriumError
from synth.recipe import Corpus
from synth.text.charset import Charset, UnknownUnit
from synth.text.corpus import CorpusIndex, clean, compile_corpus
from synth.text.script import own_script
from synth.text.template import Template
from synth.text.units import Unit, split_units

MAX_REFUSALS: Final = 10_000
"""Texts refused in a row after which `TextSource.draw` gives up: far beyond chance, yet well under a second."""

# A target character may stand only in texts that are refused; then another is taken.
_TRIES_PER_TARGET: Final = 30
# Random lines looked at for a target before its noted lines are used; these are fewer, and so less varied.
_RANDOM_LINES: Final = 16
_MAX_MISSING: Final = 10_000

OUTSIDE: Final = "outside the charset"
SHORT: Final = "too short"
LONG: Final = "too long"
DEFECTIVE: Final = "begins with a combining mark"
LOST: Final = "target character cut off"

_word: Final = re.compile(r"\S+")
_space: Final = re.compile(r"\s")
_attaching: Final = regex.compile(r"[\p{M}\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]")
_flag: Final = regex.compile(r"\p{Regional_Indicator}")

_Random = Callable[[], float]


class Drawn(NamedTuple):
    """One text.

    Attributes:
        text: NFC, logical order.
        units: `text` cut into dictionary units: by the charset if there is one, else by `corpus.unit`.
        source: the corpus file, or `template ` and the pattern.
    """

    text: str
    units: list[str]
    source: str


class Alien(NamedTuple):
    """A script that much of a corpus file is in, and of which a dictionary or the fonts have not one letter.

    Attributes:
        file: its name, without folders.
        script: ISO 15924.
        letters: letters and marks of it in the file.
        total: letters and marks of any script in the file.
        known: how many of these the dictionary or the fonts have.
    """

    file: str
    script: str
    letters: int
    total: int
    known: int

    @property
    def hopeless(self) -> bool:
        """Hardly any text of the file has letters that can be used: what is left is digits and punctuation."""
        return self.known < _HOPELESS * self.total


class _File(NamedTuple):
    lines: CorpusIndex
    name: str
    piece: str
    weight: float


class _Attaching(dict[str, bool]):
    """Whether a character cannot begin a text, because it attaches to one before it; looked up once each."""

    def __missing__(self, character: str) -> bool:
        found = self[character] = _attaching.match(character) is not None
        return found


attaches: Final = _Attaching().__getitem__
"""Whether a character cannot begin a text, because it attaches to one before it."""


_Casing = Callable[[str], str]


def _upper(text: str) -> str:
    return _greek_upper(text) if _greek.search(text) else text.upper()


def _titles(capitalize: _Casing) -> _Casing:
    def word(found: re.Match[str]) -> str:
        letters = found[0]
        first = next((i for i, character in enumerate(letters) if character.isalpha()), 0)
        return letters[:first] + capitalize(letters[first:])

    return lambda text: _word.sub(word, text)


_greek: Final = re.compile("[\u0370-\u03ff\u1f00-\u1fff]")
_ACCENTS: Final = "\u0300\u0301\u0302\u0303\u0311\u0342"
# Accents, length marks, breathings; what stays is the dialytika, and the iota subscript, which becomes a letter.
_NOT_ON_CAPITALS: Final = dict.fromkeys(map(ord, _ACCENTS + "\u0304\u0306\u0313\u0314"))
_hiatus: Final = regex.compile(
    rf"(?<=[αεηιουωΑΕΗΙΟΥΩ](?:(?!\u0308)\p{{M}})*[{_ACCENTS}](?:(?!\u0308)\p{{M}})*)[ιυΙΥ](?!\p{{M}}*\u0308)"
)
_greek_marked: Final = regex.compile(
    rf"(?P<or>(?<!\p{{L}}\p{{M}}*)[ηΗ](?=\p{{M}}*[{_ACCENTS}])(?!\p{{M}}*\u0345)\p{{M}}+(?!\p{{L}}))"
    r"|[\p{Greek}--\p{M}]\p{M}+",
    regex.V1,
)


def _greek_upper(text: str) -> str:
    """Capitals as Greek is written, by the rules of ICU's casing for `el`.

    Without accents and breathings; a dialytika keeps apart what an accent kept apart; the word ή keeps its tonos.
    """

    def bare(found: regex.Match[str]) -> str:
        return "Η\u0301" if found["or"] else found[0].translate(_NOT_ON_CAPITALS)

    apart = _hiatus.sub("\\g<0>\u0308", unicodedata2.normalize("NFD", text))
    return _greek_marked.sub(bare, apart).upper()


_TURKIC_CAPITALS: Final = {ord("i"): "İ"}
_TURKIC_SMALL: Final = {ord("I"): "ı", ord("İ"): "i"}
# Small letters, capitals, and a capital at the beginning of each word.
_CASINGS: Final[tuple[_Casing, ...]] = (str.lower, _upper, _titles(str.capitalize))
_TURKIC_CASINGS: Final[tuple[_Casing, ...]] = (
    lambda text: text.translate(_TURKIC_SMALL).lower(),
    lambda text: _upper(text.translate(_TURKIC_CAPITALS)),
    _titles(lambda word: (word[:1].translate(_TURKIC_CAPITALS) + word[1:].translate(_TURKIC_SMALL)).capitalize()),
)
# Capitals of Georgian (Mtavruli) and small letters of old Georgian and of Cherokee, which hardly any font or reader
# knows; and combining marks, which stay over where a letter has no precomposed partner (J\u030c for \u01f0).
_unusual: Final = regex.compile(r"[\u1c90-\u1cbf\u2d00-\u2d2f\u13f8-\u13fd\uab70-\uabbf\p{M}]")
# Lithuanian keeps the dot of i and j under accents.
_dotted_accent: Final = re.compile("[iIjJ]\u0328?[\u0300\u0301\u0303\u0307]")


def _sums(weights: list[float], key: str) -> list[float]:
    sums = list(accumulate(weights))
    if not sums[-1] > 0:
        raise ScriptoriumError(f"{key}: all weights are zero; give at least one a weight above zero")
    return sums


def _pick(sums: list[float], random: _Random) -> int:
    """A number by weight, from running sums; one of weight zero never."""
    # The last one's start is the limit, as a product may be rounded up to the total.
    return bisect_right(sums, random() * sums[-1], 0, bisect_left(sums, sums[-1]))


def _one(items: list[int], random: _Random) -> int:
    return items[int(random() * len(items))]


_SAMPLED: Final = 2000
# Where the charset refuses nearly all texts, those that pass are slow to come by.
_SAMPLED_REFUSALS: Final = 50_000
_PASSES: Final = 16
_HOPELESS: Final = 0.05
_ALIEN: Final = 0.1  # of a file's letters, from which on a script counts
_LETTERS: Final = 200  # different ones looked at, the most frequent of a file
_TRIAL_DRAWS = 50  # of a template, to see whether the charset allows it at all


class TextSource:
    """Draws texts from weighted corpus files and templates.

    A *piece* is a line, a word (a run without whitespace, as `str.split` has it), or neighbouring words of one line.
    Whitespace within a piece stays exactly as it is; at its ends it is taken off, as nobody can see it in an image.
    Pieces longer than `length[1]` units are cut to a part of random length (`words` first lose whole words at an end),
    with the whitespace at a cut taken off; `words` shorter than `length[0]` take in neighbouring words; what is still
    shorter is refused. Cuts fall on unit boundaries, for code points on grapheme boundaries. Of lines beyond a few
    thousand characters a random stretch is used. `join` puts a second piece of the same file directly after the first.

    Case variants are those of Unicode, but Greek capitals have no accents and breathings, and `language` tr or az tells
    i from ı. A variant is not used if it would leave the charset or the length range; bring in Georgian capitals
    (Mtavruli) or small letters of Cherokee or old Georgian, for which there are hardly any fonts; add a combining mark
    to the text; or, with `language` lt, change an accented i or j. Templates are neither cased, joined nor cut.

    With `balance`, every draw from a corpus aims at one character, which is in the label (before case variants): of
    those that occur in the corpora and in the charset, whitespace aside, each is as likely as the other (`uniform`),
    or as the square root of its frequency (`sqrt`).

    Texts with characters outside the charset, too short or too long ones, and ones that begin with a combining mark are
    refused, and drawn again from the same file.

    Attributes:
        refusals: refused texts by reason.
        missing: characters outside the charset in refused texts, how often met; at most 10,000 different ones.
        unused_templates: those that are left out because they hardly ever give a text that lies in the charset.

    Args:
        config: the `corpus` section. Its `charset` is not read.
        charset: the dictionary that labels must keep to, if any.
        cache_dir: where line indexes are kept (`compile_corpus`).

    Raises:
        ScriptoriumError: nothing to draw from, a file or pattern that cannot be used, weights that are all zero.
    """

    def __init__(self, config: Corpus, charset: Charset | None = None, cache_dir: Path | None = None) -> None:
        self.refusals: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        self._charset = charset
        self._unit: Unit = config.unit
        self._cutting: Unit = "grapheme" if config.unit == "codepoint" else config.unit
        self._least, self._most = max(1, config.length[0]), config.length[1]
        if self._most < 1:
            raise ScriptoriumError(f"corpus.length: {list(config.length)} leaves no unit; give at least [1, 1]")
        self._words = (max(1, config.words[0]), max(1, config.words[1]))
        self._join, self._cut_share = config.join, config.cut
        self._window = max(2048, 16 * self._most)

        case = config.case
        self._cases = _sums([case.as_is, case.lower, case.upper, case.title], "corpus.case")
        self._cased = case.lower + case.upper + case.title > 0
        language = (config.language or "").split("-")[0].lower()
        self._turkic, self._lithuanian = language in ("tr", "az"), language == "lt"

        self._files = [
            _File(compile_corpus(file.path, cache_dir), str(file.path), file.piece or config.piece, file.weight)
            for file in config.files
        ]
        self._file_sums = _sums([file.weight for file in self._files], "corpus.files") if config.files else []
        self.unused_templates: list[str] = []
        self._templates: list[tuple[Template, str]] = []
        self._template_share = config.template_share if config.templates else 0.0
        if self._template_share:
            self._templates = [
                (Template(template.pattern, config.digits), f"template {template.pattern}")
                for template in config.templates
            ]
            weights = [template.weight for template in config.templates]
            if charset is not None:
                fitting = [self._fits(template) for template, _ in self._templates]
                self.unused_templates = [
                    name for (_, name), fits in zip(self._templates, fitting, strict=True) if not fits
                ]
                self._templates = list(compress(self._templates, fitting))
                weights = list(compress(weights, fitting))
            if self._templates:
                self._template_sums = _sums(weights, "corpus.templates")
            elif config.files:
                self._template_share = 0.0
            else:
                raise ScriptoriumError("corpus.templates: none gives a text that lies in the charset")
        if not config.files:
            if not self._template_share:
                raise ScriptoriumError("corpus.files: nothing to draw from; name a text file (--corpus FILE)")
            self._template_share = 1.0
        self._targets: list[str] = []
        if config.balance != "none" and config.files:
            self._balance(0.5 if config.balance == "sqrt" else 0.0)

    def _fits(self, template: Template) -> bool:
        """Whether a template gives texts within the charset now and then."""
        rng = np.random.default_rng(0)
        assert self._charset is not None
        return any(not self._charset.missing(clean(template.draw(rng))) for _ in range(_TRIAL_DRAWS))

    def _balance(self, power: float) -> None:
        allowed = set("".join(self._charset.index)) if self._charset is not None else None
        frequencies: dict[str, float] = {}
        parts: dict[str, list[float]] = {}
        for number, file in enumerate(self._files):
            if not file.weight:
                continue
            counts = {
                character: count
                for character, count in file.lines.characters.items()
                if not character.isspace() and (allowed is None or character in allowed)
            }
            total = sum(counts.values())
            for character, count in counts.items():
                frequencies[character] = frequencies.get(character, 0.0) + file.weight * count / total
                parts.setdefault(character, [0.0] * len(self._files))[number] = file.weight * (count / total)
        if not frequencies:
            raise ScriptoriumError(
                f"{', '.join(file.name for file in self._files)}: no character of the charset occurs in it; "
                "take a charset or a corpus that go together"
            )
        self._targets = sorted(frequencies)
        self._target_sums = list(accumulate(frequencies[target] ** power for target in self._targets))
        self._target_files = {target: list(accumulate(parts[target])) for target in self._targets}

    def draw(self, rng: np.random.Generator, files_only: bool = False) -> Drawn:
        """One text; which one depends on the state of `rng` alone. `files_only`: no template, where there are files.

        Raises:
            ScriptoriumError: `MAX_REFUSALS` texts in a row were refused; or a corpus file has changed.
        """
        random = rng.random
        if self._template_share and not (files_only and self._files) and random() < self._template_share:
            templates, sums = self._templates, self._template_sums
            template, name = templates[_pick(sums, random)]
            other = "at the pattern, or set corpus.template_share to 0"
            return self._persist(lambda _: self._from_template(template, name, rng), name, other)
        if self._targets:
            return self._draw_balanced(random)
        files = self._files
        file = files[0] if len(files) == 1 else files[_pick(self._file_sums, random)]
        return self._persist(lambda _: self._from_file(file, "", random), file.name)

    def any_text(self, usable: Callable[[str], bool]) -> bool:
        """Whether one of 2,000 texts of the files is usable; always the same texts, and none of this is counted.

        True where no text is ever drawn from files.

        Raises:
            ScriptoriumError: see `draw`.
        """
        if not self._files or self._template_share == 1.0:
            return True
        rng = np.random.default_rng(0)
        with self.uncounted():
            for _ in range(_SAMPLED):
                if usable(self.draw(rng, files_only=True).text):
                    return True
                if self.refusals.total() > _SAMPLED_REFUSALS:
                    break
        return False

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Within it, refusals and missing characters are counted apart and forgotten at the end."""
        counted = self.refusals, self.missing
        self.refusals, self.missing = Counter(), Counter()
        try:
            yield
        finally:
            self.refusals, self.missing = counted

    def lines(self, most: int) -> Iterator[tuple[int, int, str]]:
        """Lines of the files that have a weight, each as (file, line, text): all, or about `most`, evenly spread.

        They come in 16 passes from the beginning of a file to its end, so that the first ones are spread, too. Of long
        lines, only the beginning.
        """
        files = [number for number, file in enumerate(self._files) if file.weight]
        # A file that has fewer lines than its share leaves the rest to larger ones.
        for done, number in enumerate(sorted(files, key=lambda number: len(self._files[number].lines))):
            index = self._files[number].lines
            count = min(len(index), most // (len(files) - done))
            most -= count
            for start in range(_PASSES):
                for k in range(start, count, _PASSES):
                    line = k * len(index) // count
                    yield number, line, index[line][: self._window]

    def about(self, file: int, line: int, character: str, rng: np.random.Generator) -> Drawn | None:
        """A text from one line, drawn as any other, around one of the places where `character` stands in it.

        None where what was drawn is refused; another try may give one.
        """
        found = self._files[file]
        drawn = self._from_file(found, character, rng.random, found.lines[line])
        return drawn if isinstance(drawn, Drawn) else None

    def _draw_balanced(self, random: _Random) -> Drawn:
        target, file = "", self._files[0]

        def attempt(number: int) -> Drawn | str:
            nonlocal target, file
            if number % _TRIES_PER_TARGET == 0:
                target = self._targets[_pick(self._target_sums, random)]
                if len(self._files) > 1:
                    file = self._files[_pick(self._target_files[target], random)]
            return self._from_file(file, target, random)

        return self._persist(attempt, ", ".join(file.name for file in self._files))

    def _persist(self, attempt: Callable[[int], Drawn | str], name: str, other: str = "at the text") -> Drawn:
        drawn = attempt(0)
        if isinstance(drawn, Drawn):
            return drawn
        reasons = Counter([drawn])
        for number in range(1, MAX_REFUSALS):
            drawn = attempt(number)
            if isinstance(drawn, Drawn):
                self.refusals.update(reasons)
                return drawn
            reasons[drawn] += 1
        self.refusals.update(reasons)
        told = ", ".join(f"{count} × {reason}" for reason, count in reasons.most_common())
        remedy = f"look at corpus.length [{self._least}, {self._most}] and {other}"
        if reasons[OUTSIDE]:
            worst = " ".join(f"{c!r} U+{ord(c[0]):04X}" for c, _ in self.missing.most_common(10))
            remedy = f"most often missing from the charset: {worst}; add them to it or take another text"
        raise ScriptoriumError(f"{name}: {MAX_REFUSALS} texts in a row were refused ({told}); {remedy}")

    def _from_template(self, template: Template, name: str, rng: np.random.Generator) -> Drawn | str:
        text = clean(template.draw(rng)).strip()
        return self._checked(text, split_units(text, self._unit), name)

    def _from_file(self, file: _File, target: str, random: _Random, line: str | None = None) -> Drawn | str:
        """A text with `target` in it (any text for ""), from `line` if that is given, or why there is none."""
        text = self._piece(file, target, random, line)
        if self._join and random() < self._join:
            text = clean(text + self._piece(file, "", random))
        if target not in text:
            return LOST
        units = split_units(text, self._unit)
        count = len(units)
        most = 0
        if count > self._most:
            most = self._most
        elif self._cut_share and random() < self._cut_share and count > self._least:
            most = count - 1
        if most:
            length = self._least + int(random() * (most - self._least + 1))
            text = self._part(units, length, target, random)
            if target not in text:
                return LOST
            units = split_units(text, self._unit)
        if self._cased:
            case = _pick(self._cases, random)
            variant = self._variant(text, case - 1) if case else text
            if variant != text:
                drawn = self._checked(variant, split_units(variant, self._unit), file.name, False)
                if isinstance(drawn, Drawn):
                    return drawn
        return self._checked(text, units, file.name)

    def _variant(self, text: str, number: int) -> str:
        """The text in another case, or the text itself where that would not be usual."""
        casing = (_TURKIC_CASINGS if self._turkic else _CASINGS)[number]
        if text.isascii() and not self._turkic:
            return casing(text)
        if text.lower() == text.upper():
            return text
        if self._lithuanian and _dotted_accent.search(unicodedata2.normalize("NFD", text)):
            return text
        variant = clean(casing(text))
        if (unusual := _unusual.findall(variant)) and Counter(unusual) - Counter(_unusual.findall(text)):
            return text
        return variant

    def _checked(self, text: str, units: list[str], name: str, count_missing: bool = True) -> Drawn | str:
        if self._charset is not None:
            try:
                units = self._charset.split(text)
            except UnknownUnit as error:
                if count_missing:
                    for character in error.missing:
                        if character in self.missing or len(self.missing) < _MAX_MISSING:
                            self.missing[character] += 1
                return OUTSIDE
        if len(units) < self._least:
            return SHORT
        if len(units) > self._most:
            return LONG
        if attaches(text[0]):
            return DEFECTIVE
        return Drawn(text, units, name)

    def _piece(self, file: _File, target: str, random: _Random, line: str | None = None) -> str:
        """A piece of the file, not cut yet; "" if what was met cannot be one."""
        index = file.lines
        if line is None:
            line = self._line_with(index, target, random) if target else index[int(random() * len(index))]
        if len(line) > self._window:
            line = self._stretch(line, target, random)
        if file.piece == "line":
            return line.strip()
        if file.piece == "words":
            return self._run(line, target, random)
        words = line.split()
        if target:
            words = [word for word in words if target in word]
        if len(words) == 1:
            return words[0]
        return words[int(random() * len(words))] if words else ""

    def _line_with(self, index: CorpusIndex, target: str, random: _Random) -> str:
        count = len(index)
        if index.characters[target] * _RANDOM_LINES >= count:
            for _ in range(_RANDOM_LINES):
                line = index[int(random() * count)]
                if target in line:
                    return line
        noted = index.postings(target)
        return index[noted[int(random() * len(noted))]]

    def _stretch(self, line: str, target: str, random: _Random) -> str:
        """A part of a long line around the target, from word to word, or from unit to unit where words are long."""
        size = self._window
        if target:
            place = _one([at for at, character in enumerate(line) if character == target], random)
            start = place - size // 4 - int(random() * (size // 2))
        else:
            start = int(random() * (len(line) - size + 1))
        start = min(max(start, 0), len(line) - size)
        text = line[start : start + size]
        if start + size < len(line):
            spaces = [found.start() for found in _space.finditer(text, size - size // 8)]
            text = text[: spaces[-1]] if spaces else "".join(split_units(text, self._cutting)[:-1])
        if start:
            first = _space.search(text, 0, size // 8)
            if first:
                return text[first.end() :]
            # What begins in the middle may take two units, or a row of flags, until its boundaries are true ones.
            units = split_units(text, self._cutting)[2:]
            return "".join(units[next((i for i, unit in enumerate(units) if not _flag.match(unit)), len(units)) :])
        return text

    def _run(self, line: str, target: str, random: _Random) -> str:
        """Neighbouring words of a line."""
        spans = [found.span() for found in _word.finditer(line)]
        if not spans:
            return ""
        count = min(len(spans), self._words[0] + int(random() * (self._words[1] - self._words[0] + 1)))
        low, high, wanted = 0, len(spans) - count, -1
        if target:
            holding = [i for i, (start, end) in enumerate(spans) if target in line[start:end]]
            if not holding:
                return ""
            wanted = _one(holding, random)
            low, high = max(low, wanted - count + 1), min(high, wanted)
        first = low + int(random() * (high - low + 1))
        last = first + count - 1
        grown = False
        while True:
            text = line[spans[first][0] : spans[last][1]]
            units = len(split_units(text, self._unit))
            if units > self._most and last > first and not grown:
                if last == wanted:
                    first += 1
                else:
                    last -= 1
            elif units < self._least and last - first + 1 < len(spans):
                grown = True  # dropping words again would go on for ever
                if last + 1 < len(spans):
                    last += 1
                else:
                    first -= 1
            else:
                return text

    def _part(self, units: list[str], length: int, target: str, random: _Random) -> str:
        """A part of about `length` units (less where whitespace or a code point inside a grapheme ends it)."""
        count = len(units)
        low, high = 0, count - length
        if target:
            wanted = _one([i for i, unit in enumerate(units) if target in unit], random)
            low, high = max(low, wanted - length + 1), min(high, wanted)
        start = low + int(random() * (high - low + 1))
        end = start + length
        if self._unit == "codepoint":
            bounds = [0, *accumulate(map(len, split_units("".join(units), "grapheme")))]
            start = next(bound for bound in bounds if bound >= start)
            end = next(bound for bound in reversed(bounds) if bound <= end)
        if start:
            while start < end and units[start][0].isspace():
                start += 1
        if end < count:
            while end > start and units[end - 1][-1].isspace():
                end -= 1
        return "".join(units[start:end])

    def characters(self) -> dict[str, int]:
        """How often each character occurs in the corpus files; those of templates only count as 1."""
        return dict.fromkeys(self.template_characters(), 1) | self.file_characters()

    def file_characters(self) -> dict[str, int]:
        """How often each character occurs in the corpus files."""
        counts: Counter[str] = Counter()
        for file in self._files:
            counts.update(file.lines.characters)
        return dict(counts)

    def template_characters(self) -> list[str]:
        """The characters that templates may give, in code point order; of those left out none."""
        return sorted({character for template, _ in self._templates for character in template.characters()})

    def aliens(self, knows: Callable[[str], bool], within: Container[str] | None = None) -> list[Alien]:
        """Scripts in which a file has a tenth of its letters or more and `knows` is true of none of them.

        None where no text is ever drawn from files.

        Args:
            knows: of a letter. One is known, too, where its capital or small one is.
            within: letters that count; None for all.
        """
        found: list[Alien] = []
        if self._template_share == 1.0:
            return found
        for file in self._files:
            letters: Counter[str] = Counter()
            known: Counter[str] = Counter()
            frequent = (
                (c, n)
                for c, n in Counter(file.lines.characters).most_common()
                if own_script(c) and (within is None or c in within)
            )
            for character, count in islice(frequent, _LETTERS):
                script = own_script(character)
                letters[script] += count
                if any(knows(c) for c in (character, character.upper(), character.lower()) if len(c) == 1):
                    known[script] += count
            total = letters.total()
            found += [
                Alien(Path(file.name).name, script, count, total, known.total())
                for script, count in letters.most_common()
                if file.weight and not known[script] and count >= _ALIEN * total
            ]
        return found

    @property
    def names(self) -> list[str]:
        """The corpus files as the recipe gives them."""
        return [file.name for file in self._files]

    @property
    def length(self) -> tuple[int, int]:
        """Fewest and most units of a text."""
        return self._least, self._most

    def digests(self) -> dict[str, str]:
        """SHA-256 of every corpus file, by its path as the recipe gives it."""
        return {file.name: file.lines.digest for file in self._files}

    def describe(self) -> list[dict[str, Any]]:
        """What each corpus file holds, for summaries: path, lines, dropped lines by reason."""
        return [
            {"path": file.name, "lines": len(file.lines), "dropped": dict(file.lines.dropped)} for file in self._files
        ]
