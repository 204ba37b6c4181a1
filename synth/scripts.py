"""What is known of a script or language, from Unicode, CLDR and gflanguages, and what to run to get a data set."""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import cv2
import numpy as np
import regex
import unicodedata2
from fontTools import unicodedata as ucd
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.data import data_file
from synth.fonts.audit import Audit, Wanted, audit
from synth.fonts.book import SHAPED, FontBook, needed_tags
from synth.fonts.index import FaceInfo
from synth.fonts.install import Script, catalog
from synth.recipe import Fonts, Recipe
from synth.render.line import GlyphCache, NoInk, draw_line
from synth.render.shape import Undrawable, script_of, shape_line
from synth.report.preview import write_whole
from synth.report.summary import code_points, counted
from synth.strict import parse_yaml
from synth.text.bidi import isolated
from synth.text.corpus import compile_corpus
from synth.text.script import NO_SPACES, digits_of, lead, ten_digits
from synth.text.ucd import bidi_class
from synth.text.units import Unit, split_units
from synth.text.vertical import ONLY_VERTICAL

_NEUTRAL: Final = frozenset({"Zyyy", "Zinh", "Zzzz"})
_WIDE: Final = regex.compile(r"[\p{ea=W}\p{ea=F}]")
_JOINED: Final = regex.compile(r"\p{jt=D}")
_IGNORED: Final = regex.compile(r"\p{DI}+")
_LETTERS_PER_SPACE: Final = 14  # beyond this, spaces divide sentences: Tibetan has 30, Finnish 8, Malayalam 6
_MARKED: Final = 0.05
_SAMPLE: Final = 60  # units of a sample line
_MOST_LISTED: Final = 60
_ROWS: Final = 10
_PER_UNIT: Final = 200  # labels with each unit that the commands ask for
_PPEM: Final = 40
_TALL: Final = 48  # pixels of a line of clusters: at 32, marks and stacks are a pixel or two


@dataclass(frozen=True)
class Description:
    """What is known of a script as one language, or one corpus, writes it.

    Attributes:
        title: for people.
        script: ISO 15924 code, as the language has it (Jpan, Hans, Kore).
        scripts: Unicode scripts of the letters, the most frequent first.
        language: BCP 47, or None.
        characters: letters and signs in use, as units.
        sample: text, one or more lines.
        direction: of a line.
        joining: the letters join their neighbours and change their shapes (Joining_Type).
        tags: OpenType script tags without which a font is of no use; empty where none is needed.
        marks: share of the sample's letters that carry combining marks.
        vertical: whether lines are set from top to bottom, too.
        digits: the digits of its own, ten characters, or empty.
        numbering: CLDR's default numbering system for the language (`latn`, `arab`, …), empty where it has none.
        cased: has capitals and small letters.
        spaced: words are divided by spaces.
        rewritten: characters of the script that NFC replaces by others.
        private: private-use characters of a corpus.
        unit: what to cut labels into.
    """

    title: str
    script: str
    scripts: tuple[str, ...]
    language: str | None
    characters: tuple[str, ...]
    sample: tuple[str, ...]
    direction: Literal["ltr", "rtl"]
    joining: bool
    tags: tuple[str, ...]
    marks: float
    vertical: Literal["no", "also", "only"]
    digits: str
    numbering: str
    cased: bool
    spaced: bool
    rewritten: tuple[str, ...]
    private: tuple[str, ...]
    unit: Unit

    def wanted(self) -> Wanted:
        """What fonts for it should draw: its characters and those of the sample."""
        counts = Counter(self.characters)
        for line in self.sample:
            counts.update(split_units(line, "grapheme"))
        return Wanted.of_counts(counts, self.sample, self.title)

    def entry(self) -> Script | None:
        """The entry of the font catalogue, if there is one."""
        entries = catalog()
        language = (self.language or "").split("-")[0]
        name = self.title.split(" (")[0].casefold()
        # Of one language among several of a script, such as Urdu with its own style of Arabic.
        named = [code for code, entry in entries.items() if self.language and name in entry.aliases]
        codes = (f"{language}-{self.script}", *named, self.script, *self.scripts)
        return next((entries[code] for code in codes if code in entries), None)

    def recipe(self) -> str | None:
        """The name of the recipe for it among those that come with the package, if there is one."""
        language = (self.language or "").split("-")[0]
        suiting = [recipe for recipe in _recipes() if self.scripts and self.scripts[0] in recipe.scripts]
        same = [recipe.name for recipe in suiting if language and recipe.language == language]
        return next(iter([*same, *(recipe.name for recipe in suiting if not recipe.styled)]), None)


class _Recipe(NamedTuple):
    """A recipe that comes with the package: its language, scripts of its texts, whether it wants certain fonts."""

    name: str
    language: str
    scripts: frozenset[str]
    styled: bool


@cache
def _recipes() -> tuple[_Recipe, ...]:
    found = []
    for name in Recipe.scripts():
        # What it adds to its base is enough, and quicker to read than all of it.
        text = data_file(f"configs/recipes/scripts/{name}.yml").read_text(encoding="utf-8")
        values = parse_yaml(text, name)
        corpus = values["corpus"]
        letters = filter(str.isalpha, data_file(corpus["files"][0]["path"]).read_text(encoding="utf-8"))
        counts = Counter(map(script_of, letters))
        main = frozenset(script for script, count in counts.items() if 3 * count > counts.total())
        language = corpus.get("language", "").split("-")[0]
        found.append(_Recipe(name, language, main, bool(values.get("fonts", {}).get("families"))))
    return tuple(found)


def describe(name: str) -> Description:
    """What is known of a script or language.

    Args:
        name: a locale (`kn`, `zh_Hant`, `mn-Mong`), an ISO 15924 code, or the English name of a script or language.

    Raises:
        ScriptoriumError: there is no such script or language; names the nearest.
    """
    languages = _languages()
    if not _plain(name):
        raise ScriptoriumError("no script or language is named; give a locale such as kn or mn_Mong, or a name")
    if language := _by_locale(name) or _by_language_name(name):
        found = languages[language]
        return _of_language(found)
    if code := _script_code(name):
        speakers = sorted((x for x in languages.values() if x.script == code), key=lambda x: -x.population)
        spoken = [x for x in speakers if x.HasField("sample_text")] or speakers
        if spoken:
            return replace(_of_language(spoken[0]), title=_script_title(code, spoken[0].name))
        return _of_script(code)
    known = sorted({*_script_names(), *(x.name for x in languages.values()), *(x.language for x in languages.values())})
    near = difflib.get_close_matches(name.casefold(), [word.casefold() for word in known], 1, 0.6)
    hint = next((f"; did you mean {word}?" for word in known if near and word.casefold() == near[0]), "")
    hint = hint or "; give a locale such as kn or mn_Mong, or a name such as Kannada"
    raise ScriptoriumError(f"no script or language {name!r} is known{hint}")


def describe_corpus(paths: Sequence[Path], most: int = 20_000) -> Description:
    """What script a corpus is in, and what is known of it; characters and sample are the corpus's own.

    Args:
        paths: text files.
        most: lines that are looked at, spread over each file.

    Raises:
        ScriptoriumError: a file that cannot be used as a corpus, or one without letters.
    """
    counts: Counter[str] = Counter()
    sample: list[str] = []
    for path in paths:
        corpus = compile_corpus(path)
        for number in range(0, len(corpus), max(1, len(corpus) // most)):
            line = corpus[number]
            counts.update(split_units(line, "grapheme"))
            if len(sample) < 100:
                sample.append(line)
    source = ", ".join(path.name for path in paths)
    scripts: Counter[str] = Counter()
    for unit, count in counts.items():
        if unit[0].isalpha() and script_of(unit[0]) not in _NEUTRAL:
            scripts[script_of(unit[0])] += count
    if not scripts:
        raise ScriptoriumError(f"{source}: no letters of any script; give texts")
    code = scripts.most_common(1)[0][0]
    if code == "Hani" and (scripts["Hira"] or scripts["Kana"]):
        code = "Hira"
    text = [unit for unit, _ in counts.most_common() if not unit.isspace()]
    shares = ", ".join(f"{_name_of(name)} {count / scripts.total():.0%}" for name, count in scripts.most_common(4))
    private = tuple(sorted({c for unit in counts for c in unit if unicodedata2.category(c) == "Co"}))
    return replace(
        _described(f"{source}: {shares}", code, None, text, sample),
        private=private,
        scripts=tuple(name for name, _ in scripts.most_common()),
    )


# -- names ------------------------------------------------------------------------------------------------------------


@cache
def _languages() -> dict[str, Any]:
    from gflanguages import LoadLanguages

    return dict(LoadLanguages())


def _plain(name: str) -> str:
    return regex.sub(r"[^\p{L}\p{N}]", "", unicodedata2.normalize("NFKD", name.casefold()))


def _by_locale(name: str) -> str | None:
    """gflanguages' key for a locale such as kn, kn_IN, zh-Hant-TW; the script as CLDR's likely subtags say."""
    match = re.fullmatch(r"([a-z]{2,3})(?:[-_]([A-Z][a-z]{3}))?(?:[-_](?:[A-Z]{2}|\d{3}))?", name.strip())
    if not match:
        return None
    from babel.core import get_global

    language, script = match.groups()
    languages = _languages()
    likely = get_global("likely_subtags")
    for tag in (name.replace("-", "_"), language):
        parts = str(likely.get(tag, "")).split("_")
        if script is None and len(parts) > 1:
            script = parts[1]
    if f"{language}_{script}" in languages:
        return f"{language}_{script}"
    if match.group(2):
        return None  # the script was asked for, and nothing is known of the language in it
    others = [key for key, value in languages.items() if value.language == language]
    return max(others, key=lambda key: languages[key].population, default=None)


def _by_language_name(name: str) -> str | None:
    # A name of a script goes before one of a language, unless the script is named after the language.
    code = _script_code(name)
    found = _language_names().get(_plain(name), ())
    if code:
        found = tuple(key for key in found if lead(code) == lead(_script(key)))
    return max(found, key=lambda key: _languages()[key].population, default=None)


def _script(key: str) -> str:
    return str(_languages()[key].script)


@cache
def _language_names() -> dict[str, tuple[str, ...]]:
    """gflanguages' keys by all names of a language, plain; a name without what stands in brackets serves, too."""
    names: dict[str, tuple[str, ...]] = {}
    for key, value in _languages().items():
        known = (value.name, value.preferred_name, value.autonym, key, value.name.split(" (")[0])
        for name in {_plain(name) for name in known if name}:
            names[name] = (*names.get(name, ()), key)
    return names


@cache
def _script_names() -> dict[str, str]:
    """Codes by what scripts are called: in the catalogue, in Unicode, in gflanguages."""
    from gflanguages import LoadScripts

    names = {entry.name: code.split("-")[-1] for code, entry in catalog().items() if "-" not in code}
    names |= {code: code for code in names.values()}
    for key, value in LoadScripts().items():
        names.setdefault(value.name, key)
        names.setdefault(key, key)
    for code in ucd.Scripts.NAMES:
        names.setdefault(ucd.script_name(code).replace("_", " "), code)
        names.setdefault(code, code)
    for code, entry in catalog().items():
        for alias in entry.aliases:
            names.setdefault(alias, code.split("-")[-1])
    return {name: code for name, code in names.items() if code not in _NEUTRAL}


@cache
def _plain_script_names() -> dict[str, str]:
    plain: dict[str, str] = {}
    for name, code in _script_names().items():
        plain.setdefault(_plain(name), code)
    return plain


def _script_code(name: str) -> str | None:
    return _plain_script_names().get(_plain(name))


@cache
def _name_of(code: str) -> str:
    return next((word for word, known in _script_names().items() if known == code and word != code), code)


def _script_title(code: str, language: str) -> str:
    name = _name_of(code)
    return name if _plain(name) == _plain(language) else f"{name}, as in {language}"


# -- facts ------------------------------------------------------------------------------------------------------------


def _of_language(language: Any) -> Description:
    exemplars = language.exemplar_chars
    characters = [
        *_listed(exemplars.base),
        *_listed(exemplars.marks),
        *_listed(exemplars.numerals),
        *_listed(exemplars.punctuation),
    ]
    text = language.sample_text
    sample = [
        line for field in (text.styles, text.tester, text.specimen_36, text.specimen_21) for line in _lines(field)
    ]
    entry = catalog().get(language.script)
    if entry and not exemplars.base:
        characters += list(entry.sample)
    tag = f"{language.language}-{language.script}"
    name = language.name if "(" in language.name else f"{language.name} ({_name_of(language.script)})"
    if language.name == _name_of(language.script):
        name = language.name
    return _described(name, language.script, tag, characters, sample)


def _of_script(code: str) -> Description:
    """A script that no language of gflanguages is written in."""
    unicode = lead(code)
    entry = catalog().get(code)
    letters = list(entry.sample) if entry else [c for c in _assigned(unicode) if unicodedata2.category(c)[0] in "LN"]
    return _described(_name_of(code), code, None, letters, [])


def _listed(exemplars: str) -> list[str]:
    """Units of a list of exemplar characters, in CLDR's form: divided by spaces, clusters in braces, ranges."""
    found: list[str] = []
    for token in exemplars.replace("\u25cc", "").split():
        word = token.strip("{}") if len(token) > 2 and token[0] == "{" else token
        if re.fullmatch(r"\w-\w", word):
            found += [chr(point) for point in range(ord(word[0]), ord(word[2]) + 1)]
        else:
            found += split_units(unicodedata2.normalize("NFC", word), "grapheme")
    return found


def _lines(text: str) -> list[str]:
    return [unicodedata2.normalize("NFC", line.strip()) for line in text.split("\n") if line.strip()]


@cache
def _assigned(script: str) -> str:
    """All characters of a Unicode script, in code point order."""
    ends = [*ucd.Scripts.RANGES[1:], sys.maxunicode + 1]
    ranges = zip(ucd.Scripts.RANGES, ends, ucd.Scripts.VALUES, strict=True)
    return "".join(chr(point) for start, end, value in ranges if value == script for point in range(start, end))


def _described(
    title: str, code: str, language: str | None, characters: Iterable[str], sample: Sequence[str]
) -> Description:
    unicode = lead(code)
    units = list(dict.fromkeys(unit for unit in characters if not unit.isspace() and not _IGNORED.fullmatch(unit)))
    text = [unit for line in sample for unit in split_units(line, "grapheme") if unit[0].isalpha()]
    letters = [*text, *(unit for unit in units if unit[0].isalpha())]
    scripts = Counter(script_of(unit[0]) for unit in letters)
    named = [name for name, _ in scripts.most_common() if name not in _NEUTRAL]
    if unicode in named:
        named.insert(0, named.pop(named.index(unicode)))
    own = [unit for unit in letters if script_of(unit[0]) in named[:3]] or list(_assigned(unicode))
    written = text or own
    marks = sum(any(unicodedata2.category(c)[0] == "M" for c in unit) for unit in written) / len(written)
    if not text:
        marks = max(marks, float(bool(needed_tags(unicode))))
    rtl = sum(bidi_class(unit[0]) in ("R", "AL") for unit in own) * 2 > len(own)
    wide = sum(bool(_WIDE.match(unit)) for unit in own) * 2 > len(own)
    return Description(
        title=title,
        script=code,
        scripts=tuple(named) or (unicode,),
        language=language,
        characters=tuple(units),
        sample=tuple(sample),
        direction="rtl" if rtl else "ltr",
        joining=any(map(_JOINED.match, own)),
        tags=tuple(sorted(needed_tags(unicode))) if unicode in SHAPED else (),
        marks=marks,
        vertical="only" if unicode in ONLY_VERTICAL else "also" if wide else "no",
        digits=_digits(unicode, units),
        numbering=_numbering(language),
        cased={"Lu", "Ll"} <= {unicodedata2.category(unit[0]) for unit in own},
        spaced=_spaced(own, sample),
        rewritten=_rewritten(unicode),
        private=(),
        unit="grapheme" if marks > _MARKED else "codepoint",
    )


@cache
def _rewritten(script: str) -> tuple[str, ...]:
    return tuple(c for c in _assigned(script) if unicodedata2.normalize("NFC", c) != c)


def _spaced(letters: Sequence[str], sample: Sequence[str]) -> bool:
    if sum(script_of(letter[0]) in NO_SPACES for letter in letters) * 2 > len(letters):
        return False
    # By their names: Tibetan has a mark between syllables, Ethiopic one between words beside the space.
    names = {c: unicodedata2.name(c, "") for line in sample for c in line if unicodedata2.category(c)[0] == "P"}
    if any("INTERSYLLABIC" in name for name in names.values()):
        return False
    dividers = {" "} | {c for c, name in names.items() if re.search("WORDSPACE|WORD (SEPARATOR|DIVIDER)", name)}
    words = sum(sum(c in dividers for c in line) + 1 for line in sample)
    inked = sum(unit[0].isalpha() for line in sample for unit in split_units(line, "grapheme"))
    return not sample or inked / words <= _LETTERS_PER_SPACE


def _digits(script: str, units: Sequence[str]) -> str:
    """Ten digits of the script's own: those among the exemplars, else those of Unicode's script; "" for none."""
    used = (c for unit in units for c in unit if unicodedata2.category(c) == "Nd" and not c.isascii())
    first = next(used, "")
    return ten_digits(first) if first else digits_of(script.lower()) or ""


def _numbering(language: str | None) -> str:
    from babel import Locale, UnknownLocaleError

    if language is None:
        return ""
    known = language.replace("-", "_")
    for tag in (known, known.split("_")[0]):
        try:
            locale = Locale.parse(tag)
        except (UnknownLocaleError, ValueError):
            continue
        return str(locale.default_numbering_system)
    return ""


# -- for people -------------------------------------------------------------------------------------------------------


def report(description: Description, faces: Sequence[FaceInfo]) -> tuple[str, Audit]:
    """What is known, which fonts of `faces` draw it, which more can be had, and what to run next.

    Raises:
        ScriptoriumError: a font file has changed since it was indexed.
    """
    wanted = description.wanted()
    letters = [unit[0] for unit in wanted.units if unit[0].isalpha()]
    able = [face for face in faces if any(face.covers(ord(letter)) for letter in letters[:200])]
    found = audit(able, wanted) if able else Audit(wanted, (), (), tuple(wanted.units))
    lines = [*_facts(description), "", *_fonts(description, found), "", *_next(description)]
    return "\n".join(lines) + "\n", found


def _facts(d: Description) -> list[str]:
    row = "{:<12}{}".format
    scripts = ", ".join(f"{_name_of(code)} ({code})" for code in d.scripts[:4])
    lines = [d.title, row("script", scripts + (f", {d.script} in ISO 15924" if d.script not in d.scripts else ""))]
    if d.language:
        lines.append(row("language", d.language))
    direction = "right to left" if d.direction == "rtl" else "left to right"
    vertical = {
        "no": "",
        "also": "; also top to bottom, letters upright (UAX #50)",
        "only": "; in use from top to bottom, letters turned (UAX #50)",
    }
    lines.append(row("direction", direction + vertical[d.vertical]))
    if d.tags:
        needs = f"needed: only fonts whose GSUB or GPOS know {' or '.join(d.tags)} draw it rightly"
    else:
        needs = "marks are placed by the font or by HarfBuzz" if d.marks > _MARKED else "none needed"
    lines.append(row("shaping", needs + ("; letters join their neighbours" if d.joining else "")))
    kind = script_of(d.digits[-1:] or "0")
    digits = f"{d.digits} ({_name_of(kind)})" if kind not in _NEUTRAL else d.digits
    numbering = f"; CLDR's default: {d.numbering}" if d.numbering else ""
    lines.append(row("digits", (isolated(digits) if d.digits else "none of its own: 0123456789") + numbering))
    if d.cased:
        lines.append(row("case", "capitals and small letters"))
    lines.append(row("words", "divided by spaces" if d.spaced else "not divided by spaces: use corpus.piece=line"))
    form = "NFC, as everywhere here"
    if d.rewritten:
        form += f"; it replaces {counted(len(d.rewritten), 'character')}: " + ", ".join(
            f"{c} ({code_points(c)}) by {code_points(unicodedata2.normalize('NFC', c))}" for c in d.rewritten[:3]
        )
        form += " …" if len(d.rewritten) > 3 else ""
    lines.append(row("normal form", form))
    why = f"{d.marks:.0%} of letters carry marks" if d.sample else "by the script's kind"
    lines.append(row("unit", f"{d.unit} ({why}): corpus.unit={d.unit}"))
    if d.private:
        lines.append(row("private use", f"{' '.join(map(code_points, d.private[:12]))}: kept where a font draws them"))
    shown = d.characters[:_MOST_LISTED]
    more = f" … {len(d.characters):,} in all" if len(d.characters) > len(shown) else ""
    lines.append(row("characters", " ".join(map(isolated, shown)) + more))
    if d.sample:
        lines.append(row("sample", isolated("".join(split_units(d.sample[0], "grapheme")[:_SAMPLE]))))
    return lines


def _fonts(d: Description, found: Audit) -> list[str]:
    best: dict[str, Any] = {}
    number: Counter[str] = Counter()
    for verdict in found.verdicts:
        best.setdefault(verdict.face.family, verdict)
        number[verdict.face.family] += 1
    lines = [f"fonts on this machine ({counted(len(best), 'family', 'families')} with letters of it)"]
    for family, verdict in list(best.items())[:20]:
        told = f"{verdict.share:>5.0%}  {family} ({counted(number[family], 'face')})"
        if verdict.missing:
            told += f"  lacks {_some(verdict.missing, 8)}"
        if verdict.unshaped:
            told += f"  does not shape {', '.join(verdict.unshaped)}"
        if verdict.broken:
            told += f"  draws {counted(len(verdict.broken), 'unit')} wrongly: "
            told += _some([unit for unit, _ in verdict.broken], 6)
        lines.append(told)
    if len(best) > 20:
        lines.append(f"       … and {len(best) - 20} more families")
    if found.nowhere and best:
        lines.append(f"in no font: {_some(found.nowhere, 20)}")
    entry = d.entry()
    if entry is None:
        lines.append(
            "no free fonts are catalogued for it: search for its name and 'Unicode font', and look at the licence"
        )
        return lines
    more = [family for family in entry.families if family.family not in best]
    if more:
        lines.append(f"more to be had, by `synth fonts install {entry.code}`:")
        lines += [
            f"       {family.family}  {family.licence}, {' or '.join(filter(None, (family.debian, family.npm)))}"
            for family in more
        ]
    lines.append(f"elsewhere: {entry.elsewhere}")
    return lines


def _some(units: Sequence[str], most: int) -> str:
    return " ".join(map(isolated, units[:most])) + (" …" if len(units) > most else "")


def _next(d: Description) -> list[str]:
    entry, recipe = d.entry(), d.recipe()
    language = (d.language or "").replace("-", "_")
    corpus = f"{(d.language or d.script).split('-')[0]}.txt"
    look = f"--recipe {recipe}" if recipe else f"--recipe document -o {' '.join(_overrides(d))}"
    charset = corpus.replace(".txt", "_dict.txt")
    lines = ["next"]
    if entry:
        lines.append(f"  synth fonts install {entry.code}")
    if language:
        lines.append(
            f"  synth corpus build --locale {language} --output {corpus}    # or texts of your own, one a line"
        )
    lines += [
        f"  synth fonts audit --corpus {corpus}",
        f"  synth charset build --corpus {corpus} --unit {d.unit} --output {charset}",
        f"  synth preview {look} --corpus {corpus}",
        f"  synth generate {look} --corpus {corpus} --charset {charset} --min-per-unit {_PER_UNIT} --output data/",
        "  synth verify data/",
    ]
    return lines


def _overrides(d: Description) -> list[str]:
    found = [f"corpus.unit={d.unit}"]
    if not d.spaced:
        found.append("corpus.piece=line")
    if d.direction == "rtl":
        found.append("corpus.direction=rtl")
    if d.language:
        found.append(f"corpus.language={d.language.split('-')[0]}")
    if d.unit == "grapheme":
        found.append(f"layout.height={_TALL}")
    if d.digits:
        found.append(shlex.quote(f'corpus.digits="{d.digits}"'))
    return found


def draw_sample(description: Description, found: Audit, path: Path) -> int:
    """Draw a line of the sample in each of up to ten families, the best first, as a PNG file.

    Args:
        description: whose sample; without one, its characters.
        found: which faces draw it.
        path: where the picture goes.

    Returns:
        How many families are on it.

    Raises:
        ScriptoriumError: no font draws it, or the file cannot be written.
    """
    text = description.sample[0] if description.sample else " ".join(description.characters)
    units = split_units(text, "grapheme")[:_SAMPLE]
    while units and units[-1].isspace():
        units.pop()
    rows: dict[str, NDArray[np.uint8]] = {}
    cache = GlyphCache()
    for verdict in found.verdicts:
        if verdict.face.family in rows or len(rows) == _ROWS or not verdict.share:
            continue
        lacking = set(verdict.missing)
        bad = {unit for unit, _ in verdict.broken}
        own = [unit for unit in units if unit not in bad and lacking.isdisjoint(unit)]
        if verdict.unshaped or 2 * len(own) < len(units):
            continue
        book = FontBook([verdict.face], Fonts(variations=0))
        line = "".join(own)
        try:
            runs = shape_line(line, [(book.open(verdict.face), 0, len(line))], direction=description.direction)
            rows[verdict.face.family] = draw_line(runs, own, _PPEM, cache).mask
        except (Undrawable, NoInk):
            continue
    if not rows:
        raise ScriptoriumError(f"{path}: not drawn: no font found draws {description.title}; see `synth fonts install`")
    gap, label = 10, 16
    width = max(mask.shape[1] for mask in rows.values()) + 2 * gap
    height = sum(mask.shape[0] + label + 2 * gap for mask in rows.values()) + gap
    sheet = np.full((height, max(width, 320)), 255, np.uint8)
    y = gap
    for family, mask in rows.items():
        # Names of families are in ASCII nearly always; what is not shows as question marks here, not in the list.
        cv2.putText(sheet, family, (gap, y + label - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 130, 1, cv2.LINE_AA)
        y += label + gap
        x = sheet.shape[1] - gap - mask.shape[1] if description.direction == "rtl" else gap
        sheet[y : y + mask.shape[0], x : x + mask.shape[1]] = 255 - mask
        y += mask.shape[0] + gap
    write_whole(path, cv2.imencode(".png", sheet)[1].tobytes())
    return len(rows)
