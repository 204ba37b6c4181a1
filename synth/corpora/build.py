"""Corpora for languages of which there are none: from locale data and sample texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from augment.errors import ScriptoriumError
from synth.corpora.cldr import cldr_texts
from synth.corpora.locales import Language, find_language
from synth.corpora.plain import cut, sentences
from synth.corpora.scripts import Weigher
from synth.corpora.texts import OTHER_SCRIPT, Drops, fault, mend, write_distinct
from synth.text.charset import Charset
from synth.text.corpus import undrawable
from synth.text.units import INVISIBLE

SAMPLES = "running text"
_LONGEST = 120  # graphemes of a piece of running text


@dataclass(frozen=True)
class Built:
    """A corpus that was built.

    Attributes:
        language: of it.
        corpus: the file of texts, one a line.
        characters: the dictionary beside it.
        texts: how many there are.
        kinds: how many by kind (countries, dates, ...), repeated ones included.
        repeated: how many came more than once.
        dropped: values that are no text of the language, by reason.
        units: entries of the dictionary.
    """

    language: Language
    corpus: Path
    characters: Path
    texts: int
    kinds: Counter[str]
    repeated: int
    dropped: Drops
    units: int


def find_languages(tags: str) -> list[Language]:
    """Languages by tags with commas between them, each once.

    Raises:
        ScriptoriumError: one is unknown, or there is none.
    """
    names = [name for name in tags.replace(" ", ",").split(",") if name]
    if not names:
        raise ScriptoriumError("no locale: give BCP 47 tags such as am,kn,sr-Latn")
    return list({language.tag: language for language in map(find_language, names)}.values())


def build(languages: Sequence[Language], output: Path, *, each: int = 4, seed: int = 0) -> Iterator[Built]:
    """Write a corpus and a dictionary of characters for each language.

    Into the file `output` for one language whose output has a suffix, else as `TAG.txt` into the folder `output`; the
    dictionary is `….characters.txt` beside it: letters, marks, letters of foreign words, digits and signs as
    gflanguages lists them, and whatever else the texts hold. The same for the same arguments and releases of Babel and
    gflanguages.

    Args:
        languages: which.
        output: a file or a folder.
        each: how many examples of each date format; ten times as many numbers and prices.
        seed: another one gives other dates and numbers.

    Raises:
        ScriptoriumError: a language has no text at all, or a file cannot be written.
    """
    one = len(languages) == 1 and output.suffix != "" and not output.is_dir()
    if not one and output.is_file():
        raise ScriptoriumError(f"{output}: is a file: several corpora need a folder")
    for language in languages:
        corpus = output if one else output / f"{language.tag}.txt"
        yield _build(language, corpus, each, seed)


def _build(language: Language, corpus: Path, each: int, seed: int) -> Built:
    kinds: Counter[str] = Counter()
    dropped = Drops()
    held: set[str] = set()

    def texts() -> Iterator[str]:
        for kind, text, reason in _all(language, each, seed):
            if reason:
                dropped[reason] += 1
            else:
                kinds[kind] += 1
                held.update(text)
                yield text

    try:
        count, repeated = write_distinct(texts(), corpus)
    except ScriptoriumError as error:
        if "no text is left" not in str(error):
            raise
        raise ScriptoriumError(
            f"locale {language.tag}: CLDR and gflanguages have no text in it (dropped: {dropped.text()}); "
            "give a text of your own to `synth corpus from-text`"
        ) from None
    listed = language.characters()
    rest = sorted(held - {*listed, " "})
    entries = [unit for unit in (*listed, *rest) if not any(undrawable(c) or c in INVISIBLE for c in unit)]
    charset = Charset(entries, source=language.tag)
    characters = corpus.with_name(f"{corpus.stem}.characters.txt")
    charset.write(characters)
    return Built(language, corpus, characters, count, kinds, repeated, dropped, len(charset))


def _all(language: Language, each: int, seed: int) -> Iterator[tuple[str, str, str]]:
    if language.cldr is not None:
        yield from cldr_texts(language, each, seed)
    weigher = Weigher([language.script])
    for sample in language.samples:
        for sentence in sentences(sample):
            text = mend(sentence)
            reason = fault(text) or (OTHER_SCRIPT if weigher.count(text)[1] else "")
            if reason:
                yield SAMPLES, text, reason
            else:
                for part in cut(text, _LONGEST):
                    yield SAMPLES, part, ""
