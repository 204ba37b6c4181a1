"""Dictionaries as files: made from a corpus, compared, joined, and looked through for what would go wrong in training.

An entry is one unit of a label, matched in Normalization Form C (UAX #15) whatever its spelling; see `Charset`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import regex
import unicodedata2
from tqdm import tqdm

from augment.errors import ScriptoriumError
from synth.report.summary import code_points, counted, quoted, with_codes
from synth.text.charset import Charset, UnknownUnit, dictionary_bytes, named, nfc, unusable
from synth.text.corpus import CorpusIndex, compile_corpus
from synth.text.units import Unit, split_units

Form = Literal["nfc", "given"]
Order = Literal["codepoint", "frequency"]

_KEY: Final = 12  # width of the column of keys
_LISTED: Final = 12  # entries named in one place

# Flags, emoji with their modifiers, and variation sequences are one picture: their parts are no letters of a text.
_WHOLE: Final = regex.compile(
    r"[\p{RI}\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Variation_Selector}\u20e3\U000e0020-\U000e007f]"
)
_STEPS: Final[dict[Unit, tuple[Unit, ...]]] = {
    "akshara": ("akshara", "grapheme"),
    "grapheme": ("grapheme",),
    "codepoint": (),
}


@dataclass(frozen=True)
class Built:
    """A dictionary made from a corpus.

    Attributes:
        entries: in order; the space, if it was asked for, is the last.
        counts: how often longest match meets each entry in the corpus, the space included.
        clusters: how many different ones the corpus has: aksharas, graphemes or code points, as asked for.
        decomposed: clusters (NFC) that fell into smaller units, and how often each occurs.
        kept: entries rarer than the least count that cannot be decomposed.
        files, lines: of the corpus.
        dropped: lines that are not usable, by reason.
    """

    entries: tuple[str, ...]
    counts: dict[str, int]
    clusters: int
    decomposed: dict[str, int]
    kept: tuple[str, ...]
    files: int
    lines: int
    dropped: dict[str, int]

    def write(self, path: Path) -> None:
        """Write the entries, one per line. Raises ScriptoriumError if that fails."""
        Charset(self.entries, space=False).write(path)

    def text(self, path: Path) -> str:
        """What was made, for people; `path` is where it was written."""
        space = "with the space" if " " in self.entries else "without the space, which is always known"
        lines = [_line("made", f"{path}: {counted(len(self.entries), 'entry', 'entries')}, {space}")]
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items())
        lines.append(
            _line(
                "corpus",
                f"{counted(self.files, 'file')}, {counted(self.lines, 'line')}"
                + (f"; {sum(self.dropped.values()):,} more are not usable: {dropped}" if dropped else ""),
            )
        )
        lines.append(_line("", f"{counted(self.clusters, 'different unit')}, {sum(self.counts.values()):,} in all"))
        if self.decomposed:
            rarest = sorted(self.decomposed, key=lambda cluster: (-self.decomposed[cluster], cluster))
            times = sum(self.decomposed.values())
            lines.append(
                _line("decomposed", f"{len(rarest):,} rare ones, met {counted(times, 'time')}: {_listed(rarest)}")
            )
        if self.kept:
            lines.append(_line("kept", f"{len(self.kept):,} rare ones that have no parts: {_listed(self.kept)}"))
        lines.append(_line("next", f"synth charset check {quoted(path)} --corpus FILE…"))
        return "\n".join(lines) + "\n"


def build(
    corpora: Sequence[Path | str],
    unit: Unit = "grapheme",
    *,
    min_count: int = 1,
    form: Form = "nfc",
    order: Order = "codepoint",
    space: bool = False,
) -> Built:
    """Make the dictionary of a corpus; longest match over it encodes every usable line.

    Memory depends on how many different clusters there are, not on the size of the corpus.

    Args:
        corpora: text files, one text per line.
        unit: what an entry is.
        min_count: clusters rarer than this fall into smaller units: aksharas into graphemes, these into a base and its
            marks, as far as longer entries do not serve. Emoji and variation sequences stay whole.
        form: `nfc` writes entries in NFC, `given` as the corpus spells them most often.
        order: by code point (of the NFC form), or most frequent first.
        space: make the space the last entry.

    Raises:
        ScriptoriumError: a file that cannot be used, or a least count for code points, which have no parts.
    """
    if unit == "codepoint" and min_count > 1:
        raise ScriptoriumError(
            f"min-count {min_count}: code points have no smaller units; leave it out or take grapheme or akshara"
        )
    indexes = [compile_corpus(path) for path in corpora]
    met: Counter[str] = Counter()
    for index in indexes:
        met.update(_clusters(index, unit, form))

    entries: defaultdict[str, Counter[str]] = defaultdict(Counter)  # NFC → how often it is spelled how
    decomposed: dict[str, int] = {}
    rare: list[str] = []
    rest = met
    for step in _STEPS[unit]:
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for spelled, count in rest.items():
            for part in split_units(spelled, step):
                found[nfc(part)][part] += count
        rest = Counter()
        for cluster, spellings in found.items():
            enough = cluster in entries or spellings.total() >= min_count
            if enough or len(cluster) == 1 or _WHOLE.search(cluster):
                entries[cluster].update(spellings)
                if not enough:
                    rare.append(cluster)
            else:
                rest.update(spellings)
                if step == unit:
                    decomposed[cluster] = spellings.total()
    _decompose(rest, entries, every=unit == "codepoint")

    spelling = {cluster: min(found, key=lambda one: (-found[one], one)) for cluster, found in entries.items()}
    charset = Charset(spelling.values())
    counts: Counter[str] = Counter()
    clusters: Counter[str] = Counter()
    for spelled, count in met.items():
        clusters[nfc(spelled)] += count
    for cluster, count in clusters.items():
        for one in charset.split(cluster):
            counts[charset.units[charset.index[one]]] += count
    order_of = {one: cluster for cluster, one in spelling.items() if cluster != " "}
    ordered = sorted(order_of, key=lambda one: (-counts[one] if order == "frequency" else 0, order_of[one]))
    dropped: Counter[str] = Counter()
    for index in indexes:
        dropped.update(index.dropped)
    return Built(
        entries=(*ordered, " ") if space else tuple(ordered),
        counts=dict(counts),
        clusters=len(entries) if unit == "codepoint" else len(clusters),
        decomposed=decomposed,
        kept=tuple(spelling[cluster] for cluster in sorted(rare) if counts[spelling[cluster]] < min_count),
        files=len(indexes),
        lines=sum(map(len, indexes)),
        dropped=dict(dropped),
    )


def _clusters(index: CorpusIndex, unit: Unit, form: Form) -> Counter[str]:
    """How often each cluster occurs, as the file spells it or in NFC."""
    if unit == "codepoint" and form == "nfc":
        return Counter(index.characters)
    step: Unit = "grapheme" if unit == "codepoint" else unit
    counts: Counter[str] = Counter()
    line = index.spelled if form == "given" else index.__getitem__
    for number in tqdm(range(len(index)), desc=index.path.name, unit="line", unit_scale=True, disable=None, delay=2):
        text = line(number)
        clusters = split_units(text, step)
        if form == "given" and not text.isascii():
            normal = nfc(text)
            if normal != text and "".join(map(nfc, clusters)) != normal:
                clusters = split_units(normal, step)
        counts.update(clusters)
    return counts


def _decompose(rest: Counter[str], entries: defaultdict[str, Counter[str]], *, every: bool) -> None:
    """Add what is lacking to match all clusters of `rest`: `every` code point, or only those that are needed."""
    parts = {spelled: _parts(spelled) for spelled in rest}
    if every:
        for spelled, count in rest.items():
            for part, way in parts[spelled]:
                entries[part][way] += count
    added = True
    while added:  # a new entry may lead longest match another way through clusters that were done
        added = False
        for spelled in parts:
            text = nfc(spelled)
            starts = {}
            at = 0
            for part, way in parts[spelled]:
                starts[at] = part, way
                at += len(part)
            at = 0
            while at < len(text):
                end = next((end for end in range(len(text), at, -1) if text[at:end] in entries), 0)
                if not end:
                    part, way = starts.get(at, (text[at], text[at]))
                    entries[part][way] += rest[spelled]
                    end = at + len(part)
                    added = True
                at = end


def _parts(spelled: str) -> list[tuple[str, str]]:
    """The code points of a cluster as (NFC, spelling); those of its NFC where they compose."""
    parts = [(nfc(character), character) for character in spelled]
    whole = nfc(spelled)
    if "".join(part for part, _ in parts) == whole:
        return parts
    return [(character, character) for character in whole]


@dataclass(frozen=True)
class Difference:
    """What tells two dictionaries apart; entries are the same if their NFC is.

    Attributes:
        before, after: the two.
        added, removed: entries of only the second, of only the first.
        moved: common entries that left the order of the others, as spelled in the second.
        respelled: common entries in (first, second) spelling where these differ.
    """

    before: Charset
    after: Charset
    added: tuple[str, ...]
    removed: tuple[str, ...]
    moved: tuple[str, ...]
    respelled: tuple[tuple[str, str], ...]

    @property
    def extends(self) -> bool:
        """Whether all entries of the first keep their numbers, so that a model of the first can be widened."""
        shared = zip(self.before.units, self.after.units, strict=False)
        return len(self.before) <= len(self.after) and all(nfc(a) == nfc(b) for a, b in shared)

    def text(self) -> str:
        """The differences, one entry a line with its line in the file, and their numbers; for people."""
        old = {unit: number for number, unit in enumerate(self.before.units, 1)}
        new = {unit: number for number, unit in enumerate(self.after.units, 1)}
        position = self.before.index
        lines = [f"- line {old[unit]:<6} {with_codes(unit)}" for unit in self.removed]
        lines += [f"+ line {new[unit]:<6} {with_codes(unit)}" for unit in self.added]
        lines += [f"> line {position[nfc(unit)] + 1} → {new[unit]}  {with_codes(unit)}" for unit in self.moved]
        lines += [f"~ line {new[b]:<6} {code_points(a)} is spelled {code_points(b)}" for a, b in self.respelled]
        if not lines:
            return f"the same {counted(len(self.before), 'entry', 'entries')} in the same order\n"
        lines.append(
            f"{len(self.removed):,} removed, {len(self.added):,} added, {len(self.moved):,} moved, "
            f"{len(self.respelled):,} spelled otherwise"
        )
        lines.append(
            "all entries of the first keep their numbers"
            if self.extends
            else "numbers change: a model trained with the first does not fit the second"
        )
        return "\n".join(lines) + "\n"


def diff(before: Path, after: Path) -> Difference:
    """Compare two dictionary files.

    Raises:
        ScriptoriumError: one of them is no dictionary.
    """
    a, b = Charset.from_file(before, space=False), Charset.from_file(after, space=False)
    places = [a.index[form] for unit in b.units if (form := nfc(unit)) in a.index]
    common = [unit for unit in b.units if nfc(unit) in a.index]
    still = set(_longest_ascending(places))
    return Difference(
        before=a,
        after=b,
        added=tuple(unit for unit in b.units if nfc(unit) not in a.index),
        removed=tuple(unit for unit in a.units if nfc(unit) not in b.index),
        moved=tuple(unit for unit, place in zip(common, places, strict=True) if place not in still),
        respelled=tuple(
            (a.units[place], unit) for unit, place in zip(common, places, strict=True) if a.units[place] != unit
        ),
    )


def _longest_ascending(values: Sequence[int]) -> list[int]:
    """A longest ascending subsequence of different numbers (Fredman 1975)."""
    tails: list[int] = []  # positions of the least last element of a run of each length
    lasts: list[int] = []
    before: list[int] = []
    for position, value in enumerate(values):
        length = bisect_left(lasts, value)
        before.append(tails[length - 1] if length else -1)
        if length == len(tails):
            tails.append(position)
            lasts.append(value)
        else:
            tails[length], lasts[length] = position, value
    found: list[int] = []
    position = tails[-1] if tails else -1
    while position >= 0:
        found.append(values[position])
        position = before[position]
    return found[::-1]


@dataclass(frozen=True)
class Merged:
    """Dictionaries joined: the order of the first kept, what others have besides appended.

    Attributes:
        charset: the entries; no space is added.
        files: each with how many entries it has, and how many of them were new.
        respelled: entries that a later file spells otherwise, as (kept, other).
    """

    charset: Charset
    files: tuple[tuple[Path, int, int], ...]
    respelled: tuple[tuple[str, str], ...]

    def text(self, path: Path) -> str:
        """What came from where, for people; `path` is where it was written."""
        lines = [_line("made", f"{path}: {counted(len(self.charset), 'entry', 'entries')}")]
        for number, (file, size, new) in enumerate(self.files):
            lines.append(
                _line("" if number else "from", f"{file}: {counted(size, 'entry', 'entries')}, {new:,} of them new")
            )
        if self.respelled:
            listed = [f"{code_points(kept)} for {code_points(other)}" for kept, other in self.respelled]
            lines.append(_line("spelling", f"the first one's is kept: {_some(listed)}"))
        lines.append(_line("next", f"synth charset check {quoted(path)}"))
        return "\n".join(lines) + "\n"


def merge(paths: Sequence[Path]) -> Merged:
    """Join dictionary files; entries are the same if their NFC is, and the first spelling is kept.

    Raises:
        ScriptoriumError: one of them is no dictionary.
    """
    units: dict[str, str] = {}
    files = []
    respelled = []
    for path in paths:
        charset = Charset.from_file(path, space=False)
        size = len(units)
        for unit in charset.units:
            kept = units.setdefault(nfc(unit), unit)
            if kept != unit:
                respelled.append((kept, unit))
        files.append((path, len(charset), len(units) - size))
    return Merged(Charset(units.values(), space=False), tuple(files), tuple(respelled))


@dataclass(frozen=True)
class Checked:
    """What there is to say of a dictionary file.

    Attributes:
        path: the file.
        charset: its usable entries, each once, with the space; None if it has none.
        lines: the line of each entry in the file, by entry; without the added space.
        problems: what would break training, one line each.
        hints: (what, how many, details) of what is odd, yet may be meant.
    """

    path: Path
    charset: Charset | None
    lines: dict[str, int]
    problems: tuple[str, ...]
    hints: tuple[tuple[str, int, str], ...] = field(default=())

    def text(self) -> str:
        """All of it, for people."""
        long = sum(len(unit) > 1 for unit in self.lines)
        several = f", {long:,} of them of several code points" if long else ""
        lines = [
            _line("dictionary", f"{self.path}: {counted(len(self.lines), 'usable entry', 'usable entries')}{several}")
        ]
        if long:
            lines.append(_line("", "(PaddleOCR itself looks labels up by code point and never finds those)"))
        for number, problem in enumerate(self.problems):
            lines.append(_line("" if number else "broken", problem))
        for number, (what, count, details) in enumerate(self.hints):
            lines.append(_line("" if number else "hint", f"{count:,} {what}: {details}"))
        return "\n".join(lines) + "\n"


def check(path: Path, corpora: Sequence[Path | str] = ()) -> Checked:
    """Look through a dictionary file, read leniently so that everything is reported at once.

    Args:
        path: one entry per line; see `Charset.from_file` for the format.
        corpora: text files that the dictionary is meant for.

    Raises:
        ScriptoriumError: the file cannot be read, or a corpus cannot be used.
    """
    lines: dict[str, int] = {}
    problems: list[str] = []
    first: dict[str, str] = {}
    for number, unit in _lenient(path, problems):
        problem = unusable(unit)
        if problem is None:
            other = first.setdefault(nfc(unit), unit)
            if unit in lines:
                problem = f"{named(unit)} is already line {lines[unit]}: leave one of them"
            elif other != unit:
                problem = (
                    f"{named(unit)} and {named(other)} in line {lines[other]} are one in normal form NFC: "
                    "leave one of them"
                )
        if problem is None:
            lines[unit] = number
        else:
            problems.append(f"line {number}: {problem}")
    if not lines:
        problems.append("no usable entry: a dictionary has one unit per line")
        return Checked(path, None, {}, tuple(problems))
    charset = Charset(lines, source=str(path))
    hints = _oddities(lines)
    if corpora:
        hints += _against(charset, lines, corpora, problems)
    return Checked(path, charset, lines, tuple(problems), tuple(hints))


def _lenient(path: Path, problems: list[str]) -> Iterator[tuple[int, str]]:
    """The lines with their numbers; what is not text goes to `problems`."""
    data = dictionary_bytes(path)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ScriptoriumError(f"{path}: is UTF-16 (byte order mark at byte 0); convert it to UTF-8")
    lines = [line.removesuffix(b"\r") for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    while lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            problems.append(f"line {number}: not UTF-8: byte 0x{line[error.start]:02x}: save the file as UTF-8")


def _oddities(lines: dict[str, int]) -> list[tuple[str, int, str]]:
    """What is odd in the entries themselves."""
    kinds: dict[str, list[str]] = {
        "lone marks, which stand beside a base in every text": [],
        "with spaces in or around them, matched with these": [],
        "of several letters or clusters": [],
        "spelled otherwise than in NFC, matched either way": [],
        "without a meaning in Unicode": [],
    }
    marks, spaced, several, respelled, unassigned = kinds.values()
    for unit in lines:
        if unicodedata2.category(unit[0]).startswith("M"):
            marks.append(unit)
        if len(unit) > 1 and any(character.isspace() for character in unit):
            spaced.append(unit)
        elif len(split_units(nfc(unit), "akshara")) > 1:
            several.append(unit)
        if nfc(unit) != unit:
            respelled.append(unit)
        if any(unicodedata2.category(character) == "Cn" for character in unit):
            unassigned.append(unit)
    return [(what, len(units), _listed(units)) for what, units in kinds.items() if units]


def _against(
    charset: Charset, lines: dict[str, int], corpora: Sequence[Path | str], problems: list[str]
) -> list[tuple[str, int, str]]:
    """What a dictionary lacks for a corpus, and what it has in vain."""
    reached: set[str] = set()
    lacking: Counter[str] = Counter()
    whole = unread = 0
    for path in corpora:
        index = compile_corpus(path)
        name = index.path.name
        for number in tqdm(range(len(index)), desc=name, unit="line", unit_scale=True, disable=None, delay=2):
            whole += 1
            try:
                reached.update(charset.split(index[number]))
            except UnknownUnit as error:
                unread += 1
                lacking.update(error.missing)
    listed = _listed([character for character, _ in lacking.most_common()])
    if unread == whole:
        problems.append(f"no line of the corpus can be encoded: the dictionary lacks {listed}")
        return []
    hints = []
    if unread:
        hints.append((f"of {counted(whole, 'line')} of the corpus hold what the dictionary lacks", unread, listed))
    found = {charset.index[unit] for unit in reached}
    longer = [nfc(unit) for unit in reached if len(unit) > 1]
    unmet = [unit for unit in lines if charset.index[unit] not in found and unit != " "]
    inside = {unit: any(nfc(unit) in other for other in longer) for unit in unmet}
    swallowed = [unit for unit in unmet if inside[unit]]
    absent = [unit for unit in unmet if not inside[unit]]
    if swallowed:
        hints.append(("never reached, as longer entries match first", len(swallowed), _listed(swallowed)))
    if absent:
        where = "the lines that can be encoded" if unread else "the corpus"
        hints.append((f"absent from {where}", len(absent), _listed(absent)))
    return hints


def _listed(units: Sequence[str]) -> str:
    return _some([with_codes(unit) for unit in units])


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - _LISTED:,} more" if len(items) > _LISTED else ""
    return ", ".join(items[:_LISTED]) + more


def _line(key: str, text: str) -> str:
    return f"{key:<{_KEY}}{text}"
