"""Texts without a corpus: random words that a script allows, of the units of a dictionary.

A dictionary may list whole graphemes, or letters and marks by themselves as most for Indic scripts do. What stands by
itself is composed to syllables as the script does, by the Unicode properties Indic_Syllabic_Category and
Indic_Positional_Category (UAX #44), in the order of the Universal Shaping Engine:

    [vowel written before] base [nukta] (virama base [nukta])* [subjoined] [medial] [register shifter] [vowel]
    [gemination, bindu, tone, visarga, final]

The words mean nothing, but no mark stands alone and no stacker without what it stacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import regex
import unicodedata2
from fontTools import unicodedata as ucd

from augment.errors import ScriptoriumError
from synth.corpora.plain import check_bounds
from synth.corpora.scripts import COMPLETE, NO_SPACES, scripts_of
from synth.corpora.texts import write_distinct
from synth.text.charset import Charset

_TRIES: Final = 40
_SEPARATORS: Final[dict[str, str]] = {"Tibt": "་", "Ethi": "፡"}  # signs that stand between words or syllables
_JOINERS: Final = "\u200c\u200d"
# Khmer inherent vowels, which are never written, and Tibetan vowels that Unicode has deprecated.
_UNUSED: Final = "\u17b4\u17b5\u0f77\u0f79"
# Letters with a form for the end of a word.
_FINALS: Final = dict(zip("σכמנפצ", "ςךםןףץ", strict=True))
_ORDINARY: Final = {final: letter for letter, final in _FINALS.items()}
# What may follow a base, by Indic_Syllabic_Category, in the order in which it stands.
_SLOTS: Final = (
    ("Consonant_Succeeding_Repha", "Register_Shifter"),
    ("Consonant_Subjoined",),
    ("Consonant_Medial",),
    ("Vowel_Dependent",),
    ("Gemination_Mark",),
    ("Bindu", "Syllable_Modifier", "Cantillation_Mark"),
    ("Tone_Mark",),
    ("Visarga",),
    ("Consonant_Final",),
)
_SLOT_OF: Final = {category: number for number, slot in enumerate(_SLOTS) for category in slot}
_VOWEL: Final = _SLOT_OF["Vowel_Dependent"]
_TONE: Final = _SLOT_OF["Tone_Mark"]
_AFTER_VOWELS: Final = _VOWEL + 1  # slots from here on go with independent vowels, too
_BASES: Final = frozenset({"Consonant", "Consonant_Head_Letter", "Consonant_With_Stacker", "Consonant_Prefixed"})
# Gurmukhi's bearers (placeholders) take some vowels only, and these come as letters of their own.
_STANDING: Final = frozenset(
    {"Consonant_Dead", "Consonant_Placeholder", "Consonant_Initial_Postfixed", "Avagraha", "Modifying_Letter"}
)
_KILLERS: Final = frozenset({"Pure_Killer", "Consonant_Killer", "Reordering_Killer"})
_CATEGORIES: Final = (
    *_SLOT_OF,
    *_BASES,
    *_STANDING,
    *_KILLERS,
    "Vowel_Independent",
    "Vowel",
    "Virama",
    "Invisible_Stacker",
    "Nukta",
    "Consonant_Preceding_Repha",
)
_syllabic: Final = {name: regex.compile(rf"\p{{InSC={name}}}") for name in _CATEGORIES}
_written_before: Final = regex.compile(r"\p{InPC=Visual_Order_Left}")
_spacing: Final = regex.compile(r"\p{L}")


def _category(character: str) -> str:
    """Indic_Syllabic_Category, "" for those that play no part here."""
    if character == "\u17c8":  # Khmer yuukaleapintu ends a syllable as a visarga does, though classed with vowels
        return "Visarga"
    return next((name for name, pattern in _syllabic.items() if pattern.match(character)), "")


def _nfc(text: str) -> str:
    normal: str = unicodedata2.normalize("NFC", text)
    return normal


def _script(unit: str) -> str:
    """The script of a unit; "" where it has none of its own."""
    for character in unit:
        if scripts_of(character):
            own = str(ucd.script(character))
            code = own if own in scripts_of(character) else min(scripts_of(character))
            return COMPLETE.get(code, "Jpan" if code == "Hani" else code)
    return ""


class _Deck:
    """Deals units in random order, each as often as the others."""

    def __init__(self, units: list[str], rng: np.random.Generator) -> None:
        self.units, self.rng = units, rng
        self.left: list[str] = []

    def __len__(self) -> int:
        return len(self.units)

    def deal(self) -> str:
        if not self.left:
            self.left = [self.units[i] for i in self.rng.permutation(len(self.units))]
        return self.left.pop()


class _Alphabet:
    """The units of one script, by what they do."""

    def __init__(self, script: str, units: list[str], charset: Charset, rng: np.random.Generator) -> None:
        self.script, self.charset, self.rng = script, charset, rng
        self.category: dict[str, str] = {}
        self.bases: list[str] = []  # take marks and join with stackers
        self.vowels: list[str] = []  # take the marks that come after vowels
        self.letters: list[str] = []  # of scripts without syllables: take what marks there are
        self.whole: list[str] = []  # stand by themselves
        self.slots: list[list[str]] = [[] for _ in _SLOTS]
        self.nuktas: list[str] = []
        self.stackers: list[str] = []
        self.killers: list[str] = []
        self.rephas: list[str] = []
        self.marks: list[str] = []
        for unit in units:
            self._sort(unit)
        syllabic = bool(self.bases)
        if not syllabic:
            # Dependent vowels without consonants of the dictionary stand nowhere.
            self.letters += self.vowels
        targets = [
            *self.bases, *self.vowels, *(() if not syllabic else self.letters), *self.whole, *self.nuktas,
            *self.stackers, *self.killers, *self.rephas, *self.marks, *(unit for slot in self.slots for unit in slot),
            *(self.letters if not syllabic else ()),
        ]  # fmt: skip
        self.unplaced = [unit for unit in dict.fromkeys(targets) if not self.syllable(unit)]
        placed = [unit for unit in dict.fromkeys(targets) if unit not in set(self.unplaced)]
        self.capitals = _Deck([unit for unit in placed if unit[0].isupper()], rng)
        self.others = _Deck([unit for unit in placed if not unit[0].isupper()], rng)

    def _sort(self, unit: str) -> None:
        first = unit[0]
        category = self.category[unit] = _category(first)
        general = unicodedata2.category(first)
        if len(unit) > 1 and not general.startswith("M") and first not in _JOINERS:
            self.whole.append(unit)
        elif category in _BASES:
            self.bases.append(unit)
        elif category in ("Vowel_Independent", "Vowel"):
            self.vowels.append(unit)
        elif category in _STANDING:
            self.whole.append(unit)
        elif category in _SLOT_OF:
            self.slots[_SLOT_OF[category]].append(unit)
        elif category == "Nukta":
            self.nuktas.append(unit)
        elif category in ("Virama", "Invisible_Stacker"):
            self.stackers.append(unit)
        elif category in _KILLERS:
            self.killers.append(unit)
        elif category == "Consonant_Preceding_Repha":
            self.rephas.append(unit)
        elif general.startswith("M"):
            self.marks.append(unit)
        else:
            self.letters.append(unit)

    def _one(self, units: list[str]) -> str:
        return units[int(self.rng.integers(len(units)))]

    def _maybe(self, units: list[str], chance: float) -> str:
        return self._one(units) if units and self.rng.random() < chance else ""

    def syllable(self, target: str) -> str:
        """A legal syllable with `target` as a unit of its own; "" where none is found."""
        for _ in range(_TRIES):
            text = _nfc(self._compose(target))
            if text and not self.charset.missing(text) and target in map(_nfc, self.charset.split(text)):
                return text
        return ""

    def _compose(self, target: str) -> str:
        category = self.category[target]
        if target in self.whole or (target in self.letters and not self.marks):
            return target
        if target in self.letters:
            return self._marked(target, self._maybe(self.marks, 0.2 if self.script != "Latn" else 0.05))
        if target in self.vowels:
            return target + self._maybe(self.slots[int(self.rng.integers(_AFTER_VOWELS, len(_SLOTS)))], 0.3)
        if target in self.marks:
            hosts = self.letters or self.bases
            return self._marked(self._one(hosts), target) if hosts else ""
        if not self.bases:
            hosts = self.letters or self.vowels or self.whole
            return self._one(hosts) + target if hosts and not _spacing.match(target) else ""
        if category in _SLOT_OF and _SLOT_OF[category] >= _AFTER_VOWELS and self.vowels and self.rng.random() < 0.1:
            return self._one(self.vowels) + target
        base = target if target in self.bases else self._one(self.bases)
        if target in self.killers or (self.killers and category in _BASES and self.rng.random() < 0.1):
            return base + (target if target in self.killers else self._one(self.killers))
        text = self._nukta(base, target)
        stacked = 1 if target in self.stackers else int(self.rng.random() < 0.2) if self.stackers else 0
        for _ in range(stacked):
            stacker = target if target in self.stackers else self._one(self.stackers)
            text += stacker + self._nukta(self._one(self.bases), "")
        if target in self.rephas or self.rng.random() < 0.05:
            text = (target if target in self.rephas else self._maybe(self.rephas, 1)) + text
        return self._dressed(text, target)

    def _marked(self, letter: str, mark: str) -> str:
        """A letter with a mark, "" if it has that one already."""
        return "" if mark and mark in unicodedata2.normalize("NFD", letter) else letter + mark

    def _nukta(self, base: str, target: str) -> str:
        return base + (target if target in self.nuktas else self._maybe(self.nuktas, 0.05))

    def _dressed(self, text: str, target: str) -> str:
        """A base or stack with what follows it, slot by slot."""
        before = after = ""
        # Of the signs that end a syllable one at most, beside a tone mark.
        ends = [number for number in range(_AFTER_VOWELS, len(_SLOTS)) if number != _TONE]
        end = next((number for number in ends if target in self.slots[number]), self.rng.choice(ends))
        for number, slot in enumerate(self.slots):
            if number >= _AFTER_VOWELS and number not in (end, _TONE):
                continue
            picked = target if target in slot else self._maybe(slot, 0.5 if number == _VOWEL else 0.08)
            if not picked:
                continue
            if number == _VOWEL and _written_before.match(picked):
                before = picked
            elif number == _VOWEL and _spacing.match(picked):
                after = picked  # Thai and Lao: a tone mark stands before a vowel that is a letter
            else:
                text += picked
        return before + text + after

    def word(self, count: int) -> str:
        """About so many syllables, small letters, a capital and small ones, or capitals."""
        if self.capitals and self.others:
            style = self.rng.random()
            decks = [self.capitals if style < 0.2 or (style < 0.5 and not i) else self.others for i in range(count)]
        else:
            decks = [self.others if self.others else self.capitals] * count
        return self._ended("".join(self.syllable(deck.deal()) for deck in decks))

    def _ended(self, word: str) -> str:
        """The forms of letters for the end of a word there, and only there, as far as the dictionary has them."""
        if not word or not (set(word) & (_FINALS.keys() | _ORDINARY.keys())):
            return word
        known = self.charset.index
        bare = [i for i, character in enumerate(word) if not unicodedata2.category(character).startswith("M")]
        letters = list(word)
        for i in bare[:-1]:
            if _ORDINARY.get(letters[i]) in known:
                letters[i] = _ORDINARY[letters[i]]
        last = bare[-1]
        if len(bare) > 1 and _FINALS.get(letters[last]) in known:
            letters[last] = _FINALS[letters[last]]
        return "".join(letters)


class Composer:
    """Random texts of a dictionary's units.

    Every unit is dealt about as often as every other of its script and case, so that all of them come early.

    Attributes:
        unplaced: units for which there is no legal place: marks without letters, or ones that NFC takes away.

    Args:
        charset: the dictionary.
        rng: all depends on its state.

    Raises:
        ScriptoriumError: the dictionary has no letter or digit that can stand in a text.
    """

    def __init__(self, charset: Charset, rng: np.random.Generator) -> None:
        self.charset, self.rng = charset, rng
        scripts: dict[str, list[str]] = {}
        loose: list[str] = []
        digits: dict[int, list[str]] = {}
        opening, closing, joiners = [], [], []
        self.unplaced: list[str] = []
        for unit in dict.fromkeys(map(_nfc, charset.units)):
            first = unit[0]
            general = unicodedata2.category(first)
            if unit == " ":
                continue
            if unit in _UNUSED:
                self.unplaced.append(unit)
            elif unit in _JOINERS:
                joiners.append(unit)
            elif general == "Nd" and len(unit) == 1:
                digits.setdefault(ord(unit) - unicodedata2.decimal(unit), []).append(unit)
            elif general.startswith("M") and ucd.script(first) in ("Zinh", "Zyyy"):
                loose.append(unit)
            elif script := _script(unit):
                scripts.setdefault(script, []).append(unit)
            elif general in ("Ps", "Pi"):
                opening.append(unit)
            elif unit not in _SEPARATORS.values():
                closing.append(unit)
        # Combining marks of no script of their own go with every script that has letters without syllables.
        largest = max(scripts, key=lambda script: len(scripts[script]), default="")
        for mark in loose:
            homes = [script for script in scripts if script in ucd.script_extension(mark[0])] or [largest]
            for home in filter(None, homes):
                scripts[home].append(mark)
        self.alphabets = [_Alphabet(script, units, charset, rng) for script, units in sorted(scripts.items())]
        lost = Counter(unit for alphabet in self.alphabets for unit in set(alphabet.unplaced))
        tried = Counter(unit for units in scripts.values() for unit in units)
        self.unplaced += [unit for unit in tried if lost[unit] == tried[unit]]
        if not scripts:
            self.unplaced += loose
        self.alphabets = [alphabet for alphabet in self.alphabets if alphabet.others or alphabet.capitals]
        self.weights = np.cumsum([len(a.others) + len(a.capitals) for a in self.alphabets] or [0])
        self.digits = [_Deck(units, rng) for _, units in sorted(digits.items())]
        self.opening, self.closing = _Deck(opening, rng), _Deck(closing, rng)
        self.joined = [
            alphabet for alphabet in self.alphabets if alphabet.stackers or alphabet.script in ("Arab", "Syrc")
        ]
        self.joiners = _Deck(joiners if self.joined else [], rng)
        if not self.joined:
            self.unplaced += joiners
        if not self.alphabets and not self.digits:
            raise ScriptoriumError(f"{charset.source}: no letter or digit in it can stand in a text: add letters")

    def text(self, shortest: int, longest: int) -> str:
        """A text of `shortest` to `longest` units."""
        wanted = int(self.rng.integers(shortest, longest + 1))
        text = ""
        for _ in range(8 * longest):
            left = wanted - len(self.charset.split(text))
            if left <= 0:
                break
            token, script = self._token(left)
            separator = self._separator(script) if text else ""
            longer = _nfc(text + separator + token)
            if not token or self.charset.missing(longer) or len(self.charset.split(longer)) > longest:
                continue
            text = longer
        return text

    def _separator(self, script: str) -> str:
        known = self.charset.index
        sign = _SEPARATORS.get(script, "")
        # Ethiopic has its own sign in older texts, a space in newer ones; Tibetan has no other.
        if sign in known and sign and (script == "Tibt" or self.rng.random() < 0.2):
            return sign
        return " " if " " in known and script not in NO_SPACES and script != "Jpan" else ""

    def _token(self, left: int) -> tuple[str, str]:
        rng = self.rng
        kind = rng.random()
        if self.digits and (kind < 0.12 or not self.alphabets):
            deck = self.digits[int(rng.integers(len(self.digits)))]
            token, script = "".join(deck.deal() for _ in range(int(rng.integers(1, min(left, 6) + 1)))), ""
        else:
            alphabet = self.alphabets[int(np.searchsorted(self.weights, rng.random() * self.weights[-1], "right"))]
            script = alphabet.script
            token = alphabet.word(int(rng.integers(1, min(left, 5) + 1)))
            if self.joiners and alphabet in self.joined and rng.random() < 0.1:
                token = self._with_joiner(alphabet) or token
        if left > 3 and self.closing and rng.random() < 0.15:
            token += self.closing.deal()
        if left > 3 and self.opening and rng.random() < 0.06:
            sign = self.opening.deal()
            token = sign + token
        return token, script

    def _with_joiner(self, alphabet: _Alphabet) -> str:
        """Two letters with ZWNJ or ZWJ between them, after a virama where there are such."""
        joiner = self.joiners.deal()
        hosts = alphabet.bases or alphabet.letters
        if len(hosts) < 2:
            return ""
        viramas = [unit for unit in alphabet.stackers if alphabet.category[unit] == "Virama"]
        if alphabet.stackers and not viramas:
            return ""
        virama = viramas[int(self.rng.integers(len(viramas)))] if viramas else ""
        first, second = (hosts[int(i)] for i in self.rng.integers(len(hosts), size=2))
        return first + virama + joiner + second


def random_texts(
    charset: Charset, count: int, shortest: int, longest: int, seed: int
) -> tuple[Iterator[str], Composer]:
    """So many texts, and what makes them; the same for the same arguments."""
    composer = Composer(charset, np.random.default_rng(seed))

    def texts() -> Iterator[str]:
        made = 0
        for _ in range(20 * count):
            if made == count:
                return
            text = composer.text(shortest, longest)
            if len(charset.split(text)) >= shortest:
                made += 1
                yield text
        raise ScriptoriumError(
            f"{charset.source}: hardly any text of {shortest} to {longest} units can be made of it: allow longer ones"
        )

    return texts(), composer


def write_random(
    charset: Charset, output: Path, count: int, *, shortest: int = 3, longest: int = 20, seed: int = 0
) -> tuple[Counter[str], list[str]]:
    """Write random texts, one a line.

    Args:
        charset: the dictionary.
        output: the corpus.
        count: how many.
        shortest, longest: units of a text.
        seed: another one gives others.

    Returns:
        How often each unit of the dictionary came, and the units for which there is no legal place.

    Raises:
        ScriptoriumError: nothing can be made of the dictionary, or the file cannot be written.
    """
    check_bounds(shortest, longest)
    texts, composer = random_texts(charset, count, shortest, longest, seed)
    counts: Counter[str] = Counter()

    def counted() -> Iterator[str]:
        for text in texts:
            counts.update(charset.split(text))
            yield text

    write_distinct(counted(), output, repeats=True)
    return counts, composer.unplaced
