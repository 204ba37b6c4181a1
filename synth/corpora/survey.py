"""What a corpus holds, and which of its lines look wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, NamedTuple

import regex
import unicodedata2

from synth.corpora.texts import LONE_MARK, OTHER_SCRIPT, REPLACED, has_lone_mark, read_lines
from synth.report.summary import code_points, counted, quoted, shares, shown
from synth.text.bidi import isolated
from synth.text.corpus import undrawable
from synth.text.script import COMPLETE, count_scripts, main_script, members, own_script, script_name, scripts_of
from synth.text.units import INVISIBLE, split_units

MIXED: Final = "letters of several scripts in a word"
NOT_NFC: Final = "not in NFC"
HIDDEN: Final = "invisible control"
PRIVATE: Final = "private-use character"
SPACES: Final = "whitespace at an end, doubled, or unlike U+0020"

_EXAMPLES: Final = 5
_LONGEST: Final = 1000  # lengths from here on count as one
_GRAMS: Final = 1 << 18  # pairs or triples kept
_word: Final = regex.compile(r"[\p{L}\p{M}\u200c\u200d]+")
_untidy: Final = regex.compile(r"^\s|\s$|\s\s|[^\S \p{Cc}\p{Zl}\p{Zp}]")
# East Asian scripts are written in one word as a matter of course.
_TOGETHER: Final = members("Jpan") | members("Kore") | members("Hanb")
# What a reader cannot see or a trainer cannot use comes first.
_ORDER: Final = (
    REPLACED,
    "control character",
    "unassigned code point",
    "noncharacter",
    LONE_MARK,
    MIXED,
    OTHER_SCRIPT,
    NOT_NFC,
    HIDDEN,
    PRIVATE,
    SPACES,
)


class Example(NamedTuple):
    """A line that was found suspicious: where it is, the line, and what in it."""

    file: Path
    line: int
    text: str
    detail: str


@dataclass
class Finding:
    """Suspicious lines of one kind: how many, and the first few."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)


class Grams:
    """Counts of neighbouring units, the frequent ones exact; rare ones make room when there are too many."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.floor = 0

    def update(self, grams: Iterable[str]) -> None:
        """Count some."""
        self.counts.update(grams)
        while len(self.counts) > _GRAMS:
            self.floor += 1
            self.counts = Counter({gram: count for gram, count in self.counts.items() if count > self.floor})


@dataclass
class Survey:
    """What texts hold.

    Attributes:
        files: looked at.
        lines: that are not empty.
        empty: lines with nothing but whitespace.
        characters: by code point.
        units: graphemes; beyond 262,144 different ones the rarest are let go.
        pairs, triples: neighbouring units of a line.
        lengths: lines by their number of units; 1000 stands for all from there on.
        forms: lines by normal form: "NFC and NFD" (nothing composed), "NFC", "NFD", "neither".
        line_scripts: lines by their main script, "" without letters.
        findings: suspicious lines by kind, gravest first; a line may be of several.
    """

    files: tuple[Path, ...]
    lines: int = 0
    empty: int = 0
    characters: Counter[str] = field(default_factory=Counter)
    units: Grams = field(default_factory=Grams)
    pairs: Grams = field(default_factory=Grams)
    triples: Grams = field(default_factory=Grams)
    lengths: Counter[int] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    line_scripts: Counter[str] = field(default_factory=Counter)
    findings: dict[str, Finding] = field(default_factory=dict)

    @property
    def script(self) -> str | None:
        """The main script of the whole, an ISO 15924 code."""
        return main_script(self.characters)

    @property
    def scripts(self) -> Counter[str]:
        """Letters and marks by script."""
        return count_scripts(self.characters)


class _Problem(dict[str, str]):
    """What is suspicious about a character wherever it stands, "" if nothing; looked up once each."""

    def __missing__(self, character: str) -> str:
        problem = (
            ""
            if character == "\t"  # between the fields of a table
            else REPLACED
            if character == "\ufffd"
            else HIDDEN
            if character in INVISIBLE
            else PRIVATE
            if unicodedata2.category(character) == "Co"
            else undrawable(character) or ""
        )
        self[character] = problem
        return problem


def survey(files: Sequence[Path], encoding: str = "utf-8") -> Survey:
    """Look at every line of text files, in bounded memory.

    Raises:
        ScriptoriumError: a file cannot be read, is binary, or plainly in another encoding.
    """
    found = Survey(tuple(files))
    strays: dict[str, Finding] = {}
    problems = _Problem()
    for file in files:
        for number, line in enumerate(read_lines(file, encoding, progress=True), 1):
            if not line or line.isspace():
                found.empty += 1
                continue

            def note(kind: str, detail: str, file: Path = file, number: int = number, line: str = line) -> None:
                _add(found.findings, kind, Example(file, number, line, detail))

            script = _look(found, line, note, problems)
            if script:
                _add(strays, script, Example(file, number, line, script_name(script)))
    main = found.script
    for script, finding in strays.items():
        # Japanese lines without kana are Han, and so on.
        if main is not None and not members(script) & members(main):
            total = found.findings.setdefault(OTHER_SCRIPT, Finding())
            total.count += finding.count
            total.examples = (total.examples + finding.examples)[:_EXAMPLES]
    found.findings = {kind: found.findings[kind] for kind in _ORDER if kind in found.findings}
    return found


def _add(findings: dict[str, Finding], kind: str, example: Example) -> None:
    finding = findings.setdefault(kind, Finding())
    finding.count += 1
    if len(finding.examples) < _EXAMPLES:
        finding.examples.append(example)


def _look(found: Survey, line: str, note: Callable[[str, str], None], problems: _Problem) -> str:
    """Count a line, note what is wrong with it; its main script."""
    found.lines += 1
    found.characters.update(line)
    units = split_units(line, "grapheme")
    found.lengths[min(len(units), _LONGEST)] += 1
    found.units.update(units)
    found.pairs.update(map("".join, pairwise(units)))
    found.triples.update(map("".join, zip(units, units[1:], units[2:], strict=False)))

    composed, decomposed = _is(line, "NFC"), _is(line, "NFD")
    form = "NFC and NFD" if composed and decomposed else "NFC" if composed else "NFD" if decomposed else "neither"
    found.forms[form] += 1
    if not composed:
        changed = [c for unit in units if not _is(unit, "NFC") for c in unit]
        note(NOT_NFC, code_points("".join(changed[:6])))

    present = set(line)
    for kind, characters in _by_problem(present, problems).items():
        note(kind, code_points("".join(characters[:6])))
    if has_lone_mark(line):
        note(LONE_MARK, "")
    if _untidy.search(line.replace("\t", "|")):
        note(SPACES, "")
    own = {script for character in present if (script := own_script(character))}
    if len(own) > 1:
        script = main_script(Counter(line)) or ""
        if detail := _mixture(line):
            note(MIXED, detail)
    else:
        script = next((COMPLETE.get(code, code) for code in own), "")
    found.line_scripts[script] += 1
    return script


def _is(text: str, form: Literal["NFC", "NFD"]) -> bool:
    return text.isascii() or text == unicodedata2.normalize(form, text)


def _by_problem(present: set[str], problems: _Problem) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for character in sorted(present):
        if problem := problems[character]:
            kinds.setdefault(problem, []).append(character)
    return kinds


def _mixture(line: str) -> str:
    """The first word of a line with letters that no one script has: the word and its fewer letters; "" for none."""
    for word in _word.findall(line):
        sets = [(character, scripts) for character in word if (scripts := scripts_of(character))]
        common: frozenset[str] | None = None
        for _, scripts in sets:
            grown = scripts | _TOGETHER if scripts & _TOGETHER else scripts
            common = grown if common is None else common & grown
        if common is None or common:
            continue
        tally = Counter(script for _, scripts in sets for script in scripts)
        main = max(sorted(tally), key=tally.__getitem__)
        odd = dict.fromkeys(character for character, scripts in sets if main not in scripts)
        told = ", ".join(
            f"{character} ({code_points(character)}, {script_name(min(scripts_of(character)))})"
            for character in list(odd)[:3]
        )
        return f"{word}: {told} among {script_name(main)}"
    return ""


def survey_text(found: Survey) -> str:
    """What `synth corpus report` prints."""
    letters = found.scripts
    total = sum(found.characters.values())
    whole = sum(letters.values())
    names = [
        f"{script_name(code)} {share}" for code, _, share in shares(dict(letters), whole) if letters[code] * 200 > whole
    ]
    rows = [
        ("files", ", ".join(quoted(file) for file in found.files)),
        ("lines", f"{found.lines:,}" + (f", and {counted(found.empty, 'empty one')}" if found.empty else "")),
        ("lengths", _lengths(found)),
        ("characters", f"{total:,}, {len(found.characters):,} different"),
        ("units", f"{_about(found.units)} different graphemes; rarest: {_rarest(found.units.counts)}"),
        ("pairs", f"{_about(found.pairs)} different; {_frequent(found.pairs)}"),
        ("triples", f"{_about(found.triples)} different; {_frequent(found.triples)}"),
        ("scripts", ", ".join(names) or "no letters"),
        ("form", ", ".join(f"{form} {share}" for form, _, share in shares(dict(found.forms), found.lines))),
    ]
    lines = [f"{key:<11}{value}" for key, value in rows]
    if not found.findings:
        lines.append(f"{'suspicious':<11}nothing")
    for kind, finding in found.findings.items():
        lines.append(f"{counted(finding.count, 'line')}: {kind}")
        for example in finding.examples[:3]:
            detail = f"   {example.detail}" if example.detail else ""
            lines.append(f"  {example.file.name}:{example.line}: {isolated(visible(example.text))}{detail}")
    return "\n".join(lines) + "\n"


def _about(grams: Grams) -> str:
    return f"more than {len(grams.counts):,}" if grams.floor else f"{len(grams.counts):,}"


def _rarest(units: Counter[str]) -> str:
    rare = sorted(units.items(), key=lambda item: (item[1], item[0]))[:8]
    return " ".join(f"{isolated(visible(shown(unit)))} {count:,}" for unit, count in rare) or "none"


def _frequent(grams: Grams) -> str:
    """The most frequent ones of letters."""
    often = [gram for gram, _ in grams.counts.most_common(200) if not any(c.isspace() for c in gram)][:8]
    return f"most frequent {' '.join(isolated(visible(gram)) for gram in often)}" if often else "none without a space"


def _lengths(found: Survey) -> str:
    if not found.lines:
        return "none"
    ordered = sorted(found.lengths.items())
    seen = 0
    median = ordered[-1][0]
    for length, count in ordered:
        seen += count
        if 2 * seen >= found.lines:
            median = length
            break
    most = ordered[-1][0]
    return f"{ordered[0][0]} to {f'over {most - 1}' if most == _LONGEST else most} units, median {median}"


def visible(text: str, longest: int = 60) -> str:
    """A part of a text that a terminal can show: controls and what has no shape as their numbers."""
    part = text[:longest]
    told = "".join(
        f"<{ord(c):04X}>"
        if c in INVISIBLE or unicodedata2.category(c) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
        else c
        for c in part
    )
    return told + ("…" if len(text) > longest else "")
