"""Texts from the Common Locale Data Repository (UTS 35), through Babel: names, dates, numbers, prices, units.

CLDR's locales inherit: what a locale lacks is taken from its parents, and in the end from root, where months are called
M01 and units have English names. Such values are no text of the language. So every value is looked up together with
where it comes from, and kept if that is the language itself, and its letters are of the language's script.
"""

from __future__ import annotations

import datetime as dt
import pickle
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from babel import Locale, localedata
from babel.core import get_global
from babel.dates import parse_pattern, tokenize_pattern
from babel.localedata import Alias
from babel.numbers import (
    UnsupportedNumberingSystemError,
    format_compact_decimal,
    format_currency,
    format_decimal,
    format_percent,
    get_territory_currencies,
)

from synth.corpora.locales import Language
from synth.corpora.texts import OTHER_SCRIPT, fault, mend
from synth.text.script import digits_of, scripts_of

ROOT: Final = "as in root, which is no language"
FOREIGN: Final = "inherited from another language"
NO_LETTER: Final = "name without a letter"

# Kinds of names, and below which keys of Babel's data they are.
_NAMES: Final = {
    "countries": "territories",
    "languages": "languages",
    "scripts": "scripts",
    "currencies": "currency_names",
    "months": "months",
    "days": "days",
    "day periods": "day_periods",
    "quarters": "quarters",
    "eras": "eras",
    "relative dates": "date_fields",
    "units": "unit_display_names",
    "measures": "unit_patterns",
    "amounts": "currency_names_plural",
    "time zones": "meta_zones",
    "cities": "time_zones",
}
# Letters of date patterns (UTS 35, part 4) that stand for names, from how many on, and where the names are.
_FIELDS: Final = {
    "M": (3, "months", "format"),
    "L": (3, "months", "stand-alone"),
    "E": (1, "days", "format"),
    "e": (3, "days", "format"),
    "c": (3, "days", "stand-alone"),
    "Q": (3, "quarters", "format"),
    "q": (3, "quarters", "stand-alone"),
    "a": (1, "day_periods", "format"),
}
_WIDTHS: Final = {1: "abbreviated", 2: "abbreviated", 3: "abbreviated", 4: "wide", 5: "narrow", 6: "short"}
# Time zones are told in ways that need data of their own, weeks and flexible day periods hardly occur alone.
_UNUSED: Final = frozenset("zZvVOXxWwBbGFg")
_MARKERS: Final = ("∅∅∅", "↑↑↑")  # "no value", "as the parent has it"
_hole: Final = re.compile(r"\{[^}]*\}|%s|%\(")
_FIRST_DAY: Final = dt.datetime(1950, 1, 1)
_SECONDS: Final = 85 * 365 * 86_400


class Found(NamedTuple):
    """One text, or one value that is none.

    Attributes:
        kind: "countries", "dates", "prices", ...
        text: ready to be drawn, or as CLDR has it where it is dropped.
        dropped: why it is no text, "" where it is one.
    """

    kind: str
    text: str
    dropped: str = ""


class _Leaf(NamedTuple):
    value: Any
    reason: str  # "" where the value is the language's own


_Node = dict[Any, Any]
_SEE: Final = object()  # key of an alias among the keys of a node


class _Tree:
    """The data of a locale and of all that it inherits from, each value with where it is from."""

    def __init__(self, cldr: str) -> None:
        self.whole: _Node = {}
        language = _language(cldr)
        for name in reversed(list(_chain(cldr))):
            same = _language(name) == language
            # Root itself is written in English.
            reason = "" if same or (name == "root" and language == "en") else ROOT if name == "root" else FOREIGN
            _overlay(self.whole, _own_data(name), reason)

    def below(self, *keys: Any) -> _Node:
        """The values and nodes under a path, aliases followed."""
        node: Any = self.whole
        for key in keys:
            node = self._expanded(node).get(key, {})
        return self._expanded(node)

    def _expanded(self, node: Any) -> _Node:
        if not isinstance(node, dict):
            return {}
        if _SEE not in node:
            return node
        return {**self.below(*node[_SEE]), **{key: value for key, value in node.items() if key is not _SEE}}

    def leaves(self, *keys: Any) -> Iterator[tuple[tuple[Any, ...], _Leaf]]:
        """All values under a path, with their keys, in the order of the keys."""
        for key, node in sorted(self.below(*keys).items(), key=lambda item: str(item[0])):
            if isinstance(node, _Leaf):
                yield (*keys, key), node
            # What is an alias is met at its own place.
            elif set(node) != {_SEE}:
                yield from self.leaves(*keys, key)


@lru_cache(16)
def _own_data(name: str) -> Mapping[Any, Any]:
    """A locale's own data. `localedata.load` gives inherited ones too once another call has asked for them."""
    with Path(localedata.resolve_locale_filename(name)).open("rb") as file:
        data: Mapping[Any, Any] = pickle.load(file)
    return data


def _overlay(below: _Node, above: Mapping[Any, Any], reason: str) -> None:
    for key, value in above.items():
        if isinstance(value, Alias):
            below[key] = {_SEE: value.keys}
        elif isinstance(value, Mapping):
            node = below.get(key)
            if not isinstance(node, dict):
                node = below[key] = {}
            _overlay(node, value, reason)
        elif value is not None:
            below[key] = _Leaf(value, reason)


def _language(name: str) -> str:
    language = name.split("_")[0]
    return "no" if language in ("nb", "nn") else language


def _chain(name: str) -> Iterator[str]:
    """A locale and its parents, root last (UTS 35, 4.1.3)."""
    exceptions: Mapping[str, str] = get_global("parent_exceptions")
    while name != "root":
        yield name
        parts = name.split("_")
        if name in exceptions:
            name = exceptions[name]
        # A script that is not the language's usual one inherits nothing from the language.
        elif len(parts) == 1 or (len(parts) == 2 and len(parts[1]) == 4 and not _likely(parts)):
            name = "root"
        else:
            name = "_".join(parts[:-1])
    yield "root"


def _likely(parts: list[str]) -> bool:
    likely: Mapping[str, str] = get_global("likely_subtags")
    full = likely.get(parts[0])
    return full is None or full.split("_")[1] == parts[1]


def cldr_texts(language: Language, each: int = 4, seed: int = 0) -> Iterator[Found]:
    """What CLDR has of a language, as texts; the same for the same arguments and release of Babel.

    Texts may come more than once.

    Args:
        language: one that Babel knows.
        each: how many examples of each date format, and ten times as many numbers, percentages and prices.
        seed: another one gives other dates and numbers.
    """
    assert language.cldr is not None
    maker = _Maker(language, each, np.random.default_rng([seed, *language.cldr.encode()]))
    own = False
    for found in maker.names():
        own = own or not found.dropped
        yield found
    # Where no name is the language's own, its numbers would be root's.
    if own:
        yield from maker.dates()
        yield from maker.lists()
        yield from maker.numbers()


class _Maker:
    def __init__(self, language: Language, each: int, rng: np.random.Generator) -> None:
        assert language.cldr is not None
        self.language, self.each, self.rng = language, each, rng
        self.locale = Locale.parse(language.cldr)
        self.tree = _Tree(language.cldr)
        # Whole numbers by the plural category that they take.
        self.plurals: dict[str, list[int]] = {}
        for number in range(200):
            self.plurals.setdefault(self.locale.plural_form(number), []).append(number)
        default = self.locale.default_numbering_system
        # Numbers are written in the usual digits and, now and then, in the script's own.
        self.systems = [(default if digits_of(default) else "latn", language.digits)]
        if language.native_digits:
            other = next(
                (
                    name
                    for name in (*self.locale.other_numbering_systems.values(), language.script.lower())
                    if digits_of(name) == language.native_digits
                ),
                "latn",
            )
            self.systems.append((other, language.native_digits))

    def judged(self, kind: str, text: str, name: bool) -> Found:
        """A text, or why it is none; `name`: it should have letters."""
        mended = mend(text)
        reason = fault(mended) or ""
        letters = foreign = 0
        for character in mended:
            if scripts := scripts_of(character):
                letters += 1
                foreign += not scripts & self.language.scripts
        if foreign:
            reason = OTHER_SCRIPT
        elif not mended or (name and not letters):
            reason = reason or NO_LETTER
        return Found(kind, mended, reason)

    def numeral(self, text: str, digits: str) -> str:
        return text.translate(dict(zip(map(ord, "0123456789"), digits, strict=True)))

    def names(self) -> Iterator[Found]:
        for kind, top in _NAMES.items():
            for keys, (value, reason) in self.tree.leaves(top):
                if not isinstance(value, str) or (top == "time_zones" and keys[-1] != "city"):
                    continue
                if reason:
                    yield Found(kind, value, reason)
                elif any(marker in value for marker in _MARKERS):
                    yield Found(kind, value, ROOT)
                elif top == "currency_names_plural":
                    yield from self.counted(kind, f"{{0}} {value}", str(keys[-1]))
                elif "{0}" in value and "{1}" not in value:
                    yield from self.counted(kind, value, str(keys[-1]))
                elif not _hole.search(value):
                    yield self.judged(kind, value, name=True)

    def counted(self, kind: str, pattern: str, category: str) -> Iterator[Found]:
        """A pattern with a number of the plural category that it is for."""
        numbers = self.plurals.get(category)
        number = numbers[int(self.rng.integers(len(numbers)))] if numbers else None
        # Some categories are for fractions only.
        shown = self.decimal(number if number is not None else Decimal("1.5"), *self.systems[0])
        yield self.judged(kind, pattern.replace("{0}", shown), name=True)

    def decimal(self, number: int | Decimal, system: str, digits: str) -> str:
        try:
            text = format_decimal(number, locale=self.locale, numbering_system=system)
        except UnsupportedNumberingSystemError:
            text = format_decimal(number, locale=self.locale)
        return self.numeral(text, digits)

    def moments(self) -> list[dt.datetime]:
        return [_FIRST_DAY + dt.timedelta(seconds=s) for s in self.rng.integers(0, _SECONDS, self.each).tolist()]

    def dates(self) -> Iterator[Found]:
        patterns: dict[str, str] = {}
        for top in ("date_formats", "time_formats", "datetime_skeletons"):
            for _, (value, reason) in self.tree.leaves(top):
                pattern = getattr(value, "pattern", value)
                if isinstance(pattern, str):
                    patterns[pattern] = patterns.get(pattern, reason) and reason
        for pattern, reason in sorted(patterns.items()):
            fields: list[tuple[str, int]] = [
                (field[0], int(field[1])) for kind, field in tokenize_pattern(pattern) if kind == "field"
            ]
            if not fields or any(letter in _UNUSED for letter, _ in fields):
                continue
            lacking = [why for letter, length in fields if (why := self.lacks_names(letter, length)) is not None]
            # Data files leave out what is as in root, so root's order of fields may be the language's own; and in
            # figures alone there is nothing of another language.
            why = next(filter(None, lacking), reason if lacking and reason == FOREIGN else "")
            kind = "times" if all(letter in "hHkKmsaS" for letter, _ in fields) else "dates"
            if why:
                yield Found(kind, pattern, why)
                continue
            format_ = parse_pattern(pattern)
            for number, moment in enumerate(self.moments()):
                text = format_.apply(moment, self.locale)
                # The script's own digits in every fourth, if they are not the usual ones.
                _, digits = self.systems[-1 if number % 4 == 3 else 0]
                yield self.judged(kind, self.numeral(text, digits), name=False)

    def lacks_names(self, letter: str, length: int) -> str | None:
        """Why a field's names are not the language's own, "" if they are; None for a field of figures."""
        if letter not in _FIELDS or length < _FIELDS[letter][0]:
            return None
        _, top, context = _FIELDS[letter]
        width = _WIDTHS.get(length, "wide")
        below = self.tree.below(top, context, width)
        names = [below[key] for key in (("am", "pm") if letter == "a" else below) if key in below]
        leaves = [leaf for leaf in names if isinstance(leaf, _Leaf)]
        return next((leaf.reason for leaf in leaves if leaf.reason), "") if leaves else ROOT

    def lists(self) -> Iterator[Found]:
        countries = [
            leaf.value
            for _, leaf in self.tree.leaves("territories")
            if not leaf.reason and not self.judged("", str(leaf.value), True).dropped
        ]
        if len(countries) < 3:
            return
        from babel.lists import format_list

        pairs = self.tree.below("list_patterns", "standard")
        for _ in range(10 * self.each):
            picked = self.rng.choice(len(countries), int(self.rng.integers(2, 4)), replace=False)
            leaf = pairs.get("2" if len(picked) == 2 else "end")
            if isinstance(leaf, _Leaf) and leaf.reason:
                yield Found("lists", str(leaf.value), leaf.reason)
                return
            yield self.judged("lists", format_list([countries[i] for i in picked], locale=self.locale), True)

    def numbers(self) -> Iterator[Found]:
        currencies = self.currencies()
        for number in range(10 * self.each):
            system, digits = self.systems[-1 if number % 4 == 3 else 0]
            places = int(self.rng.integers(0, 4)) if self.rng.random() < 0.5 else 0
            amount = Decimal(int(10 ** self.rng.uniform(0, 7))).scaleb(-places)
            if self.rng.random() < 0.1:
                amount = -amount
            yield self.judged("numbers", self.decimal(amount, system, digits), False)
            share = Decimal(int(self.rng.integers(0, 1000))).scaleb(-3)
            yield self.judged("percentages", self.formatted(format_percent, share, system, digits), False)
            for currency in currencies:
                price = Decimal(int(10 ** self.rng.uniform(0, 7))).scaleb(-2)
                text = self.formatted(format_currency, price, system, digits, currency=currency)
                yield self.judged("prices", text, False)
            round_ = int(10 ** self.rng.uniform(3, 10))
            for width in ("short", "long"):
                if self.compact_reason(width):
                    continue
                text = self.formatted(format_compact_decimal, round_, system, digits, format_type=width)
                yield self.judged("numbers", text, False)

    def compact_reason(self, width: str) -> str:
        leaves = [leaf for _, leaf in self.tree.leaves("compact_decimal_formats", width)]
        return next((leaf.reason for leaf in leaves if leaf.reason), "") if leaves else ROOT

    def formatted(self, function: Any, number: int | Decimal, system: str, digits: str, **more: Any) -> str:
        try:
            text = function(number, locale=self.locale, numbering_system=system, **more)
        except UnsupportedNumberingSystemError:
            text = function(number, locale=self.locale, **more)
        return self.numeral(text, digits)

    def currencies(self) -> list[str]:
        """Those in use in the language's country, and the three that are known everywhere."""
        territory = self.locale.territory
        if not territory:
            likely: Mapping[str, str] = get_global("likely_subtags")
            territory = likely.get(self.language.cldr or "", likely.get(self.locale.language, "")).split("_")[-1]
        here = get_territory_currencies(territory, dt.date(2025, 1, 1)) if len(territory) == 2 else []
        return list(dict.fromkeys([*here, "USD", "EUR"]))
