"""Languages by their tags: what CLDR (through Babel) and gflanguages know of each."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from babel import Locale, localedata
from babel.core import get_global

from augment.errors import ScriptoriumError
from synth.text.corpus import clean, undrawable
from synth.text.script import digits_of, members, scripts_of
from synth.text.ucd import bidi_class
from synth.text.units import split_units
from synth.text.vertical import ONLY_VERTICAL

if TYPE_CHECKING:
    from gfmetadata import LanguageProto

_TAG: Final = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*")


@dataclass(frozen=True)
class Language:
    """One language in one script.

    Attributes:
        tag: BCP 47, such as `am` or `mn-Mong`.
        name: in English.
        own_name: in the language itself, or "".
        script: ISO 15924, such as Ethi, or Jpan for a mixture.
        scripts: the scripts of Unicode that its letters are of.
        cldr: Babel's identifier, None where it has none.
        direction: "ltr", "rtl", or "ttb" (top to bottom, lines from left to right).
        digits: what numbers are written with, ten characters.
        native_digits: the script's own, where these are others, else "".
        main: letters that the language needs, from gflanguages; () where that has none.
        marks: combining marks that go with them.
        auxiliary: letters of foreign words and names.
        punctuation: signs.
        samples: running text, from gflanguages.
    """

    tag: str
    name: str
    own_name: str
    script: str
    scripts: frozenset[str]
    cldr: str | None
    direction: str
    digits: str
    native_digits: str
    main: tuple[str, ...]
    marks: tuple[str, ...]
    auxiliary: tuple[str, ...]
    punctuation: tuple[str, ...]
    samples: tuple[str, ...]

    def characters(self) -> list[str]:
        """Letters, marks, digits and signs, each once, in this order."""
        return list(
            dict.fromkeys(
                (*self.main, *self.marks, *self.auxiliary, *self.digits, *self.native_digits, *self.punctuation)
            )
        )


def find_language(tag: str) -> Language:
    """A language by its BCP 47 tag (`am`, `mn-Mong`, `sr_Latn_RS`), known to Babel or to gflanguages.

    Raises:
        ScriptoriumError: neither knows it; names the nearest, be it that the language's English name was given.
    """
    name = tag.strip()
    parts = [part for part in re.split("[-_]", name) if part]
    cldr = _cldr_identifier(parts) if _TAG.fullmatch(name) else None
    proto = _proto(parts, cldr) if _TAG.fullmatch(name) else None
    if cldr is None and proto is None:
        raise ScriptoriumError(f"locale {tag!r} is unknown{_hint(name)}")
    script = _script(cldr) if cldr else str(proto.script)  # type: ignore[union-attr]  # one of the two is there
    main: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    auxiliary: tuple[str, ...] = ()
    punctuation: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    digits, native = "0123456789", ""
    own_name = ""
    if proto is not None:
        characters = proto.exemplar_chars
        main, marks, auxiliary, punctuation = (
            _exemplars(text)
            for text in (characters.base, characters.marks, characters.auxiliary, characters.punctuation)
        )
        auxiliary = tuple(character for character in auxiliary if character not in main)
        samples = tuple(_samples(proto))
        own_name = proto.autonym
    if cldr is not None:
        locale = Locale.parse(cldr)
        english = locale.get_display_name("en") or str(proto.name if proto is not None else cldr)
        own_name = locale.get_display_name() or own_name
        digits = digits_of(locale.default_numbering_system) or digits
        for system in (*locale.other_numbering_systems.values(), script.lower()):
            other = digits_of(system)
            if other and other != digits and other != "0123456789":
                native = other
                break
        vertical = locale.character_order == "top-to-bottom"
    else:
        english = proto.preferred_name or proto.name  # type: ignore[union-attr]
        native = digits_of(script.lower()) or ""
        vertical = script in ONLY_VERTICAL
    letters = main or tuple("".join(samples)) or tuple(own_name)
    rtl = sum(bidi_class(c[0]) in ("R", "AL") for c in letters) > len(letters) / 2
    return Language(
        tag=(cldr or str(proto.id if proto is not None else tag)).replace("_", "-"),
        name=english,
        own_name=clean(own_name) if _written_in(own_name, script) else "",
        script=script,
        scripts=members(script),
        cldr=cldr,
        direction="ttb" if vertical else "rtl" if rtl else "ltr",
        digits=digits,
        native_digits=native,
        main=main,
        marks=marks,
        auxiliary=auxiliary,
        punctuation=punctuation,
        samples=samples,
    )


def _written_in(text: str, script: str) -> bool:
    scripts = members(script)
    return all(not scripts_of(character) or scripts_of(character) & scripts for character in text)


@cache
def _cldr_names() -> dict[str, str]:
    return {name.lower(): name for name in localedata.locale_identifiers()}


def _cldr_identifier(parts: list[str]) -> str | None:
    """Babel's identifier for a tag; one whose script or region it does not list is another thing, so None."""
    known = _cldr_names()
    language = parts[0].lower()
    aliases: dict[str, str] = get_global("language_aliases")  # type: ignore[assignment]
    for first in (language, aliases.get(language, language)):
        name = "_".join([first, *parts[1:]]).lower()
        if name in known:
            return known[name]
    # The likely script is not part of Babel's names: am for am_Ethi, sr for sr_Cyrl.
    if len(parts) > 1 and len(parts[1]) == 4:
        name = "_".join([language, *parts[2:]]).lower()
        if name in known and _script(known[name]) == parts[1].title():
            return known[name]
    return None


def _script(cldr: str) -> str:
    locale = Locale.parse(cldr)
    if locale.script:
        return str(locale.script)
    likely: dict[str, str] = get_global("likely_subtags")  # type: ignore[assignment]
    names = [f"{locale.language}_{locale.territory}"] if locale.territory else []
    for name in (*names, locale.language):
        if name in likely:
            return likely[name].split("_")[1]
    proto = _best([p for p in _protos().values() if p.language == locale.language])
    return str(proto.script) if proto is not None else "Latn"


@cache
def _protos() -> dict[str, LanguageProto]:
    import gflanguages

    found: dict[str, LanguageProto] = gflanguages.LoadLanguages()
    return dict(sorted(found.items()))


def _best(protos: Iterable[LanguageProto]) -> LanguageProto | None:
    """The one that most people use; of those of a dead language the first."""
    return min(protos, key=lambda proto: (-proto.population, proto.id), default=None)


def _proto(parts: list[str], cldr: str | None) -> LanguageProto | None:
    """What gflanguages has for a tag, in the script that the tag or Babel says."""
    exact = "_".join(parts).lower()
    for key, proto in _protos().items():
        if key.lower().replace("-", "_") == exact:
            return proto
    language = cldr.split("_")[0] if cldr else parts[0].lower()
    same = {"nb", "no"} if language in ("nb", "no") else {language}
    scripts = {_script(cldr)} if cldr else {parts[1].title()} if len(parts) > 1 and len(parts[1]) == 4 else set[str]()
    if cldr is None and len(parts) > 1 and not scripts:
        return None
    return _best(
        proto for proto in _protos().values() if proto.language in same and (not scripts or proto.script in scripts)
    )


def _hint(name: str) -> str:
    """The nearest tag or English name."""
    tags = {tag.lower(): tag.replace("_", "-") for tag in _cldr_names().values()}
    names: dict[str, str] = {}
    for key, proto in _protos().items():
        tags.setdefault(key.lower(), key.replace("_", "-"))
        tags.setdefault(proto.language.lower(), proto.language)
        best = _best(p for p in (_protos().get(names.get(proto.name.lower(), "")), proto) if p is not None)
        names[proto.name.lower()] = best.id if best is not None else key
    for tag in _cldr_names().values():
        names[(Locale.parse(tag).get_display_name("en") or tag).lower()] = tag
    wanted = name.lower().replace("-", "_")
    for table in (names, tags):
        near = difflib.get_close_matches(wanted, table, 1, 0.75)
        if near:
            tag = table[near[0]].replace("_", "-")
            told = f" ({near[0].title()})" if table is names else ""
            return f"; did you mean {tag}{told}?"
    near = difflib.get_close_matches(wanted, tags, 1, 0.5)
    return f"; did you mean {tags[near[0]]}?" if near else "; give a BCP 47 tag such as am or sr-Latn"


def _exemplars(text: str) -> tuple[str, ...]:
    """The characters of a list of gflanguages: apart by spaces, `a-e` a range, `{ch}` several, ◌ under marks."""
    found: dict[str, None] = {}
    for item in text.replace("\u25cc", " ").split():
        if len(item) == 3 and item[1] == "-" and item[0] < item[2]:
            found.update(dict.fromkeys(map(chr, range(ord(item[0]), ord(item[2]) + 1))))
        elif item.startswith("{") and item.endswith("}") and len(item) > 2:
            found.update(dict.fromkeys(split_units(clean(item[1:-1]), "grapheme")))
        elif item.strip("\u200c\u200d"):
            found.update(dict.fromkeys(split_units(clean(item), "grapheme")))
        else:
            found.update(dict.fromkeys(item))  # joiners
    return tuple(unit for unit in found if unit and not any(map(undrawable, unit)))


def _samples(proto: Any) -> Iterator[str]:
    """Running text; `masthead_full` and `masthead_partial` are letters without meaning."""
    for field, value in proto.sample_text.ListFields():
        if not field.name.startswith(("masthead", "note")):
            yield from filter(None, map(str.strip, value.splitlines()))
