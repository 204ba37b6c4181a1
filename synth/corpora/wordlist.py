"""Lists of words made corpora: without comments, counts and markup, in NFC, each word once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Final

from synth.corpora.plain import Cleaned, check_bounds, unmarked, write
from synth.corpora.scripts import Weigher, find_script
from synth.corpora.texts import LONG, OTHER_SCRIPT, REPEATED, SHORT, Drops, fault, mend, read_lines, units

COMMENT: Final = "comment"

_comment: Final = re.compile(r"\s*(?:#|//|;|%)")
_count: Final = re.compile(r"\S.*?[\s,;]+[0-9][0-9.,]*\s*$")
_after: Final = re.compile(r"[\s,;]+[0-9][0-9.,]*\s*$")
_first_field: Final = re.compile(r"[^\t]*")
_SAMPLE: Final = 1000


def from_wordlist(
    file: Path,
    output: Path,
    *,
    shortest: int = 1,
    longest: int = 40,
    script: str | None = None,
    encoding: str = "utf-8",
) -> Cleaned:
    """Make a corpus of a list of words or names, one a line.

    Lines that begin with #, //, ; or % and a letter or space after it are comments. Of a table with tabs the first
    field counts. Where every one of the first lines ends with a number, these are frequencies and are taken off. Tags
    and character references are taken out.

    Args:
        file: the list.
        output: the corpus.
        shortest, longest: graphemes; words beyond are dropped.
        script: ISO 15924 code or name; words with letters of others are dropped. All are kept by default.
        encoding: of the list.

    Raises:
        ScriptoriumError: the list cannot be used, nothing is left, or the output cannot be written.
    """
    check_bounds(shortest, longest)
    code = find_script(script) if script else ""
    weigher = Weigher([code]) if code else None
    dropped = Drops()
    lines = 0

    def words() -> Iterator[str]:
        nonlocal lines
        raw = iter(read_lines(file, encoding, progress=True))
        head = list(islice(raw, _SAMPLE))
        counted = _counted(head)
        for line in chain(head, raw):
            lines += 1
            if not line or line.isspace():
                continue
            if is_comment(line):
                dropped[COMMENT] += 1
                continue
            text = _after.sub("", line) if counted else line
            found = _first_field.match(text.lstrip("\t"))
            text = mend(unmarked(found[0] if found else text))
            reason = unfit(text, shortest, longest)
            if reason is None and weigher is not None and weigher.count(text)[1]:
                reason = OTHER_SCRIPT
            if reason is None:
                yield text
            elif text:
                dropped[reason] += 1

    kept, again = write(words(), output, dropped)
    if again:
        dropped[REPEATED] += again
    return Cleaned(output, lines, kept, dropped, code)


def unfit(text: str, shortest: int, longest: int) -> str | None:
    """Why a mended word is dropped, or None."""
    if reason := fault(text):
        return reason
    length = units(text)
    return SHORT if length < shortest else LONG if length > longest else None


def is_comment(line: str) -> bool:
    """Whether a line of a list is a comment; a sign that stands alone is a word."""
    found = _comment.match(line)
    return found is not None and bool(line[found.end() :].strip())


def _counted(lines: Iterable[str]) -> bool:
    """Whether all lines end with a number after a word."""
    entries = [line for line in lines if line.strip() and not is_comment(line)]
    return bool(entries) and all(_count.match(line) for line in entries)
