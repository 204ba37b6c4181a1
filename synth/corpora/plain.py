"""Running text made a corpus: cut into sentences, mended, judged, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import regex

from augment.errors import ScriptoriumError
from synth.corpora.scripts import Weigher, find_script, main_script
from synth.corpora.texts import (
    OTHER_SCRIPT,
    REPEATED,
    SHORT,
    Drops,
    fault,
    mend,
    read_lines,
    units,
    write_distinct,
)
from synth.text.units import split_units

Split = Literal["sentence", "line"]

# Tibetan's shad is not among the terminals of Unicode, nor is the ellipsis.
_END: Final = r"[\p{Sentence_Terminal}\u2026\u0f0d\u0f0e\u0f11]"
_end: Final = regex.compile(rf"({_END}++)[\p{{Pe}}\p{{Pf}}\"'’”»]*+([\s\u1361]*+)", regex.V1)
_tag: Final = regex.compile(r"<(?:/?[A-Za-z][^<>]{0,200}|!--.{0,500}?--)>")
_entity: Final = regex.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,30}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")
_SAMPLE: Final = 2_000_000  # characters from which the script is told


def unmarked(text: str) -> str:
    """`text` without HTML or XML tags, and with characters for their references (`&amp;`)."""
    if "<" in text:
        text = _tag.sub(" ", text)
    if "&" in text:
        from html import unescape

        text = _entity.sub(lambda found: unescape(found[0]), text)
    return text


def sentences(text: str) -> list[str]:
    """A text cut after its sentences, whitespace at their ends taken off.

    A plain rule, not UAX #29. A sentence ends at its sign and the quotes and brackets that close there, if whitespace
    follows, or if the sign is not one of ASCII (Chinese has no spaces); where a small letter follows, it goes on. So an
    abbreviation before a capital ends a sentence, too.
    """
    parts = []
    start = 0
    for found in _end.finditer(text):
        following = text[found.end() : found.end() + 1]
        apart = found[2] or not (found[1].isascii() or found[1] == "\u2026")
        if apart and not following.islower():
            parts.append(text[start : found.end()])
            start = found.end()
    parts.append(text[start:])
    return [part for sentence in parts if (part := sentence.strip().strip("\u1361"))]


def cut(text: str, longest: int) -> Iterator[str]:
    """A mended text in parts of at most so many graphemes: whole words where there are spaces, else whole aksharas."""
    if len(text) <= longest or units(text) <= longest:
        yield text
        return
    part: list[str] = []
    length = 0
    for word in text.split(" "):
        size = units(word)
        if part and length + 1 + size > longest:
            yield " ".join(part)
            part, length = [], 0
        if size > longest:
            *pieces, word = _cut_word(word, longest)
            yield from pieces
            size = units(word)
        length += size + bool(part)
        part.append(word)
    if part:
        yield " ".join(part)


def _cut_word(word: str, longest: int) -> list[str]:
    pieces, piece, length = [], "", 0
    for syllable in split_units(word, "akshara"):
        size = units(syllable)
        if piece and length + size > longest:
            pieces.append(piece)
            piece, length = "", 0
        piece += syllable
        length += size
    return [*pieces, piece]


@dataclass(frozen=True)
class Cleaned:
    """What came of texts.

    Attributes:
        output: the file.
        lines: lines read.
        kept: texts written.
        dropped: texts that were dropped, by reason.
        script: ISO 15924 code of the script that was kept.
    """

    output: Path
    lines: int
    kept: int
    dropped: Drops
    script: str


def from_text(
    files: Sequence[Path],
    output: Path,
    *,
    split: Split = "sentence",
    shortest: int = 2,
    longest: int = 120,
    script: str | None = None,
    foreign: float = 0.2,
    encoding: str = "utf-8",
) -> Cleaned:
    """Make a corpus of text files, one text a line, each once, in order.

    Tags and character references are taken out; texts are mended (`mend`) and dropped where they hold what cannot be
    drawn, marks without letters, or too many letters of other scripts. Memory does not grow with the files.

    Args:
        files: texts.
        output: the corpus.
        split: "sentence" cuts lines after sentences, "line" leaves them whole.
        shortest: graphemes below which a text is dropped.
        longest: graphemes above which a text is cut, between words where it has spaces.
        script: ISO 15924 code or name; the one of most letters by default.
        foreign: the share of letters of other scripts up to which a text is kept.
        encoding: of the files.

    Raises:
        ScriptoriumError: a file cannot be used, nothing is left, or the output cannot be written.
    """
    check_bounds(shortest, longest)
    code = find_script(script) if script else _told_script(files, encoding)
    weigher = Weigher([code])
    dropped = Drops()
    lines = 0

    def texts() -> Iterator[str]:
        nonlocal lines
        for file in files:
            for line in read_lines(file, encoding, progress=True):
                lines += 1
                for text in _texts(unmarked(line), split):
                    mended = mend(text)
                    if not mended:
                        continue
                    reason = fault(mended)
                    if reason is None and weigher.foreign_share(mended) > foreign:
                        reason = OTHER_SCRIPT
                    if reason is not None:
                        dropped[reason] += 1
                        continue
                    for part in cut(mended, longest):
                        if units(part) < shortest:
                            dropped[SHORT] += 1
                        else:
                            yield part

    kept, again = write(texts(), output, dropped)
    if again:
        dropped[REPEATED] += again
    return Cleaned(output, lines, kept, dropped, code)


def _texts(line: str, split: Split) -> Iterator[str]:
    # What ends lines for Unicode but not for files (CR alone, LINE SEPARATOR, ...) ends texts; so do tabs.
    for part in line.replace("\t", "\n").splitlines():
        yield from sentences(part) if split == "sentence" else [part]


def write(texts: Iterable[str], output: Path, dropped: Drops) -> tuple[int, int]:
    """`write_distinct`, with what was dropped in the error where nothing is left."""
    try:
        return write_distinct(texts, output)
    except ScriptoriumError as error:
        if dropped and "no text is left" in str(error):
            raise ScriptoriumError(f"{error} (dropped: {dropped.text()}); look at the bounds and the file") from None
        raise


def check_bounds(shortest: int, longest: int) -> None:
    """Raises ScriptoriumError unless 1 ≤ shortest ≤ longest."""
    if not 1 <= shortest <= longest:
        raise ScriptoriumError(
            f"--shortest {shortest} --longest {longest}: no length is left; say 1 ≤ shortest ≤ longest"
        )


def _told_script(files: Sequence[Path], encoding: str) -> str:
    counts: Counter[str] = Counter()
    share = _SAMPLE // len(files)
    for file in files:
        seen = 0
        for line in read_lines(file, encoding):
            counts.update(line)
            seen += len(line)
            if seen > share:
                break
    code = main_script(counts)
    if code is None:
        raise ScriptoriumError(f"{', '.join(map(str, files))}: no letter in it: give a text, or say its --encoding")
    return code
