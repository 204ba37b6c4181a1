"""Words of Hunspell dictionaries (hunspell(5)): stems with their affixes, within a bound.

What makes words is read: SET, FLAG, AF, PFX and SFX with conditions and continuation flags (twofold affixes), cross
products, CIRCUMFIX, NEEDAFFIX (PSEUDOROOT), FORBIDDENWORD, ONLYINCOMPOUND, FULLSTRIP, COMPLEXPREFIXES, IGNORE.
Compounds are not made: there is no end to them. What serves suggestions and checking is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from augment.errors import ScriptoriumError
from synth.corpora.plain import Cleaned, check_bounds, write
from synth.corpora.texts import REPEATED, Drops, find_encoding, mend, reading
from synth.corpora.wordlist import unfit

FORBIDDEN: Final = "forbidden word"
CUT: Final = "stem with more forms than the bound"
COMPOUND: Final = "in compounds only"

_flag_keys: Final = {
    "NEEDAFFIX": "need_affix",
    "PSEUDOROOT": "need_affix",
    "FORBIDDENWORD": "forbidden",
    "ONLYINCOMPOUND": "only_in_compound",
    "CIRCUMFIX": "circumfix",
}


@dataclass(frozen=True)
class Affix:
    """One rule: what is taken from a word, what is put there, to which words it goes, which flags the result has."""

    prefix: bool
    cross: bool
    strip: str
    add: str
    condition: re.Pattern[str]
    flags: frozenset[str]


@dataclass
class Rules:
    """What an affix file says."""

    encoding: str = "iso8859-1"
    flag_kind: str = "char"
    aliases: list[frozenset[str]] = field(default_factory=list)
    affixes: dict[str, list[Affix]] = field(default_factory=dict)
    need_affix: str | None = None
    forbidden: str | None = None
    only_in_compound: str | None = None
    circumfix: str | None = None
    full_strip: bool = False
    complex_prefixes: bool = False
    ignore: str = ""

    def flags(self, text: str, where: str) -> frozenset[str]:
        """The flags of a word or affix, in any of the four ways of writing them; numbers may stand for sets (AF)."""
        if not text:
            return frozenset()
        if self.aliases and text.isdecimal():
            number = int(text)
            if not 1 <= number <= len(self.aliases):
                raise ScriptoriumError(f"{where}: flag alias {text}, but there are {len(self.aliases)} (AF)")
            return self.aliases[number - 1]
        return frozenset(self.split(text, where))

    def split(self, text: str, where: str) -> list[str]:
        """Flags one by one."""
        if self.flag_kind == "long":
            if len(text) % 2:
                raise ScriptoriumError(f"{where}: flags {text!r}: FLAG long has two characters each")
            return [text[i : i + 2] for i in range(0, len(text), 2)]
        if self.flag_kind == "num":
            numbers = text.split(",")
            if not all(number.strip().isdecimal() for number in numbers):
                raise ScriptoriumError(f"{where}: flags {text!r}: FLAG num has numbers with commas between them")
            return [str(int(number)) for number in numbers]
        return list(text)


def read_rules(path: Path) -> Rules:
    """An affix file.

    Raises:
        ScriptoriumError: it cannot be read, or a rule is malformed; names the line.
    """
    with reading(path) as file:
        data = file.read().removeprefix(b"\xef\xbb\xbf")
    rules = Rules()
    if found := re.search(rb"^[ \t]*SET[ \t]+(\S+)", data, re.MULTILINE):
        rules.encoding = _encoding(found[1].decode("ascii", "replace"), path)
    if found := re.search(rb"^[ \t]*FLAG[ \t]+(\S+)", data, re.MULTILINE):
        rules.flag_kind = found[1].decode("ascii", "replace").lower()
        if rules.flag_kind not in ("long", "num", "utf-8"):
            raise ScriptoriumError(f"{path}: FLAG {rules.flag_kind} is unknown: there are long, num and UTF-8")
    lines = data.decode(rules.encoding, "replace").splitlines()
    crossing: dict[str, bool] = {}
    expected: dict[tuple[str, str], int] = {}
    aliases_begun = False
    for number, line in enumerate(lines, 1):
        where = f"{path}: line {number}"
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        key = parts[0]
        if key in ("PFX", "SFX"):
            if len(parts) < 4:
                raise ScriptoriumError(f"{where}: {key} with {len(parts) - 1} fields: it has a flag and three or more")
            (flag,) = rules.split(parts[1], where)[:1] or [""]
            if expected.get((key, flag), 0) <= 0:
                crossing[flag] = parts[2] == "Y"
                if not parts[3].isdecimal():
                    raise ScriptoriumError(f"{where}: {key} {flag} begins with a cross product Y or N and a number")
                expected[key, flag] = int(parts[3])
                continue
            expected[key, flag] -= 1
            rules.affixes.setdefault(flag, []).append(_affix(rules, key == "PFX", crossing[flag], parts, where))
        elif key == "AF" and len(parts) > 1:
            if aliases_begun:
                rules.aliases.append(frozenset(rules.split(parts[1], where)))
            aliases_begun = True
        elif key in _flag_keys and len(parts) > 1:
            setattr(rules, _flag_keys[key], rules.split(parts[1], where)[0])
        elif key == "FULLSTRIP":
            rules.full_strip = True
        elif key == "COMPLEXPREFIXES":
            rules.complex_prefixes = True
        elif key == "IGNORE" and len(parts) > 1:
            rules.ignore = parts[1]
    return rules


def _encoding(name: str, path: Path) -> str:
    # Hunspell's own names.
    name = {"microsoft-cp1251": "cp1251", "tis620-2533": "tis-620"}.get(name.lower(), name)
    try:
        return find_encoding(name)
    except ScriptoriumError as error:
        raise ScriptoriumError(f"{path}: SET {error}") from None


def _affix(rules: Rules, prefix: bool, cross: bool, parts: list[str], where: str) -> Affix:
    strip = "" if parts[2] == "0" else parts[2]
    add, _, flags = _escaped(parts[3])
    add = "" if add == "0" else add
    if rules.ignore:
        add = add.translate(dict.fromkeys(map(ord, rules.ignore)))
    condition = parts[4] if len(parts) > 4 else "."
    # A condition has characters, ., [abc] and [^abc]; all else stands for itself.
    pieces = re.findall(r"\[\^?[^\]]*\]|.", condition)
    pattern = "".join(
        piece
        if piece == "."
        else f"[{'^' if piece[1] == '^' else ''}{re.escape(piece[1:-1].lstrip('^'))}]"
        if len(piece) > 2
        else re.escape(piece)
        for piece in pieces
    )
    try:
        compiled = re.compile(f"{pattern}" if prefix else f"(?:{pattern})$", re.DOTALL)
    except re.error as error:
        raise ScriptoriumError(f"{where}: condition {condition!r}: {error}") from None
    if condition == ".":
        compiled = re.compile("")
    return Affix(prefix, cross, strip, add, compiled, rules.flags(flags, where))


def _escaped(text: str) -> tuple[str, str, str]:
    """`text` before and after its first slash that has no backslash before it."""
    found = re.search(r"(?<!\\)/", text)
    head, tail = (text[: found.start()], text[found.end() :]) if found else (text, "")
    return head.replace("\\/", "/"), "/" if found else "", tail


def read_entries(path: Path, rules: Rules) -> Iterator[tuple[str, frozenset[str]]]:
    """Stems with their flags, as they stand in a dictionary file; the first line is the number of them.

    Raises:
        ScriptoriumError: the file cannot be read, or has flags that the affix file does not allow; names the line.
    """
    with reading(path) as file:
        for number, raw in enumerate(file, 1):
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
                if raw.split()[:1] and raw.split()[0].isdigit():
                    continue
            line = raw.decode(rules.encoding, "replace").rstrip("\r\n")
            # Tabs and "po:noun" begin what is told of a word.
            line = re.split(r"\t|\s+(?=[a-z]{2}:)", line, maxsplit=1)[0].strip()
            if not line:
                continue
            word, _, flags = _escaped(line) if not line.startswith("/") else (line, "", "")
            flags = flags.split()[0] if flags.split() else ""
            if rules.ignore:
                word = word.translate(dict.fromkeys(map(ord, rules.ignore)))
            yield word, rules.flags(flags, f"{path}: line {number}")


@dataclass(frozen=True)
class _Form:
    """A word on its way: with no affix, or with some on the side where there may be two.

    Attributes:
        word: so far.
        flags: of the last affix, of the stem where there is none.
        cross: whether an affix of the other side may come, too.
        bound: whether it is a word only with another affix.
        half: whether it has half of a circumfix.
    """

    word: str
    flags: frozenset[str]
    cross: bool
    bound: bool
    half: bool


def forms(stem: str, flags: frozenset[str], rules: Rules) -> Iterator[str]:
    """The words that a stem stands for, itself first; some may come twice.

    As in Hunspell, a word has at most two suffixes and one prefix, with COMPLEXPREFIXES two prefixes and one suffix.
    """
    if rules.only_in_compound in flags:
        return
    single = not rules.complex_prefixes  # the side with one affix at most is that of prefixes
    bare = _Form(stem, flags, True, rules.need_affix in flags, False)
    first = [bare, *_extended(bare, flags, not single, rules)]
    for once in first:
        twofold = _extended(once, once.flags, not single, rules) if once is not bare else ()
        for form in (once, *twofold):
            if not form.bound and not form.half:
                yield form.word
            for other in _extended(form, flags | form.flags, single, rules):
                if form is bare:
                    if not other.bound and not other.half:
                        yield other.word
                    # What the stem has no flag for may go on the affix of the other side.
                    if other.cross:
                        for last in _extended(other, other.flags - flags, not single, rules):
                            if last.cross and last.half == other.half:
                                yield last.word
                elif form.cross and other.cross and form.half == other.half:
                    yield other.word


def _extended(form: _Form, flags: frozenset[str], prefix: bool, rules: Rules) -> Iterator[_Form]:
    """A form with one more affix on one side, in every way that some flags allow."""
    for flag in sorted(flags):
        for affix in rules.affixes.get(flag, ()):
            if affix.prefix is not prefix or rules.only_in_compound in affix.flags:
                continue
            word = form.word
            if len(word) <= len(affix.strip) and not (rules.full_strip and word == affix.strip):
                continue
            if prefix:
                if not (word.startswith(affix.strip) and affix.condition.match(word)):
                    continue
                word = affix.add + word[len(affix.strip) :]
            else:
                if not (word.endswith(affix.strip) and affix.condition.search(word)):
                    continue
                word = word[: len(word) - len(affix.strip)] + affix.add
            yield _Form(
                word,
                affix.flags,
                affix.cross and form.cross,
                rules.need_affix in affix.flags,
                rules.circumfix in affix.flags,
            )


def find_rules(dictionary: Path) -> Path | None:
    """The affix file that lies beside a dictionary, if there is one."""
    beside = dictionary.with_suffix(".aff")
    return beside if beside.is_file() else None


def from_hunspell(
    dictionary: Path,
    output: Path,
    rules: Path | None = None,
    *,
    most: int = 100,
    shortest: int = 1,
    longest: int = 40,
) -> Cleaned:
    """Make a corpus of the words of a Hunspell dictionary, each once, stems followed by their forms.

    Args:
        dictionary: the .dic file.
        output: the corpus.
        rules: the .aff file; the one beside the dictionary by default, and stems alone, in UTF-8, without one.
        most: forms of one stem; further ones are dropped, and such stems counted.
        shortest, longest: graphemes; words beyond are dropped.

    Raises:
        ScriptoriumError: a file cannot be used, nothing is left, or the output cannot be written.
    """
    from tqdm import tqdm

    check_bounds(shortest, longest)
    if most < 1:
        raise ScriptoriumError(f"--forms {most}: at least the stem itself is a form")
    path = rules or find_rules(dictionary)
    known = read_rules(path) if path else Rules(encoding="utf-8")
    # Forbidden words are entries of their own, and forbid what other stems make.
    forbidden = {word for word, flags in read_entries(dictionary, known) if known.forbidden in flags}
    dropped = Drops()
    lines = 0

    def words() -> Iterator[str]:
        nonlocal lines
        for stem, flags in tqdm(read_entries(dictionary, known), unit=" stems", disable=None, delay=2):
            lines += 1
            if known.forbidden in flags:
                dropped[FORBIDDEN] += 1
                continue
            if known.only_in_compound in flags:
                dropped[COMPOUND] += 1
                continue
            made = forms(stem, flags, known)
            for form in islice(made, most):
                text = mend(form)
                if form in forbidden:
                    dropped[FORBIDDEN] += 1
                elif reason := unfit(text, shortest, longest):
                    dropped[reason] += 1
                else:
                    yield text
            if next(made, None) is not None:
                dropped[CUT] += 1

    kept, again = write(words(), output, dropped)
    if again:
        dropped[REPEATED] += again
    return Cleaned(output, lines, kept, dropped, "")
