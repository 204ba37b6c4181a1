"""`synth corpus`: corpora made from locale data, lists, dictionaries, texts, or by rule; and looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from synth.terminal import Several

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.decorators import FC

    from synth.corpora.build import Built
    from synth.corpora.plain import Cleaned

_FILE = click.Path(path_type=Path)


def _shortest(default: int) -> Callable[[FC], FC]:
    return click.option(
        "--shortest", type=int, default=default, show_default=True, metavar="N", help="Units (graphemes) of a text."
    )


def _longest(default: int, help_: str) -> Callable[[FC], FC]:
    return click.option("--longest", type=int, default=default, show_default=True, metavar="N", help=help_)


_output = click.option("--output", type=_FILE, required=True, metavar="FILE", help="The corpus, one text a line.")
_encoding = click.option("--encoding", default="utf-8", show_default=True, metavar="NAME", help="Of the files.")


@click.group()
def corpus() -> None:
    """Corpora: make one of what there is for a language, and look at it.

    A corpus is a text file, UTF-8, one text a line; see docs/corpora.md.
    """


@corpus.command()
@click.option("--locale", required=True, metavar="TAG,…", help="BCP 47 tags, such as am,kn,sr-Latn,got.")
@click.option("--output", type=_FILE, required=True, metavar="FILE|DIR", help="A file for one locale, else a folder.")
@click.option(
    "--each",
    type=click.IntRange(1, 10_000),
    default=4,
    show_default=True,
    metavar="N",
    help="Examples of each date format; ten times as many numbers and prices.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S", help="Other dates, numbers.")
def build(locale: str, output: Path, each: int, seed: int) -> None:
    """Write texts of CLDR and gflanguages: names, dates, numbers, prices, units, running text.

    For every locale that Babel has, and the languages of gflanguages besides. Beside the corpus comes a dictionary of
    the language's characters.

    \b
    synth corpus build --locale am --output am.txt
    synth corpus build --locale am,kn,sr-Latn --output corpora/
    """
    from synth.corpora.build import build as run
    from synth.corpora.build import find_languages
    from synth.report.summary import quoted

    built = None
    for built in run(find_languages(locale), output, each=each, seed=seed):
        click.echo(_built(built), nl=False)
    assert built is not None
    click.echo(f"next: synth corpus report {quoted(built.corpus)}")


def _built(built: Built) -> str:
    from synth.report.summary import counted, quoted
    from synth.text.script import script_name

    language = built.language
    own = f", {language.own_name}" if language.own_name else ""
    direction = {"ltr": "left to right", "rtl": "right to left", "ttb": "top to bottom"}[language.direction]
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in built.kinds.most_common())
    rows = [
        ("language", f"{language.name}{own}; {script_name(language.script)} ({language.script}), {direction}"),
        ("digits", language.digits + (f", and {language.native_digits}" if language.native_digits else "")),
        ("letters", _letters(language.main) + (f", and {len(language.marks)} marks" if language.marks else "")),
        ("foreign", _letters(language.auxiliary)),
        ("of", kinds),
        ("dropped", built.dropped.text() + (f", {built.repeated:,} × there already" if built.repeated else "")),
    ]
    lines = [
        f"{quoted(built.corpus)}: {counted(built.texts, 'text')}",
        f"{quoted(built.characters)}: {counted(built.units, 'character')}",
    ]
    return "\n".join([*lines, *(f"  {key:<10}{value}" for key, value in rows)]) + "\n"


def _letters(units: tuple[str, ...]) -> str:
    from synth.text.bidi import isolated

    shown = " ".join(map(isolated, units[:40]))
    more = f" … ({len(units):,})" if len(units) > 40 else ""
    return f"{shown}{more}" if units else "none listed"


@corpus.command("from-wordlist")
@click.argument("file", type=_FILE)
@_output
@_shortest(1)
@_longest(40, "Longer ones are dropped.")
@click.option("--script", metavar="CODE", help="Drop words with letters of others (ISO 15924, such as Knda).")
@_encoding
def from_wordlist(file: Path, output: Path, shortest: int, longest: int, script: str | None, encoding: str) -> None:
    """Clean a list of words: NFC, each once, without comments, counts and markup.

    \b
    synth corpus from-wordlist words.txt --output corpus.txt
    """
    from synth.corpora.wordlist import from_wordlist as run

    _cleaned(run(file, output, shortest=shortest, longest=longest, script=script, encoding=encoding), "line")


@corpus.command("from-hunspell")
@click.argument("dictionary", type=_FILE, metavar="NAME.dic")
@click.argument("rules", type=_FILE, required=False, metavar="[NAME.aff]")
@_output
@click.option("--forms", "most", type=int, default=100, show_default=True, metavar="N", help="Of one stem, at most.")
@_shortest(1)
@_longest(40, "Longer ones are dropped.")
def from_hunspell(dictionary: Path, rules: Path | None, output: Path, most: int, shortest: int, longest: int) -> None:
    """Write the words of a Hunspell dictionary with their affixes; the .aff file beside it is found by itself.

    \b
    synth corpus from-hunspell kk_KZ.dic --output corpus.txt
    """
    from synth.corpora.hunspell import find_rules
    from synth.corpora.hunspell import from_hunspell as run

    if rules is None and find_rules(dictionary) is None:
        click.echo(f"{dictionary}: no .aff file beside it: stems alone", err=True)
    _cleaned(run(dictionary, output, rules, most=most, shortest=shortest, longest=longest), "stem")


@corpus.command("from-text")
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE…")
@_output
@click.option("--split", type=click.Choice(["sentence", "line"]), default="sentence", show_default=True)
@_shortest(2)
@_longest(120, "Longer ones are cut between words.")
@click.option("--script", metavar="CODE", help="Default: that of most letters (ISO 15924, such as Knda).")
@click.option(
    "--foreign",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    metavar="SHARE",
    help="Letters of other scripts in a text, at most.",
)
@_encoding
def from_text(
    files: tuple[Path, ...],
    output: Path,
    split: str,
    shortest: int,
    longest: int,
    script: str | None,
    foreign: float,
    encoding: str,
) -> None:
    """Make texts of running text: clean, cut into sentences, each once.

    \b
    synth corpus from-text book.txt articles.txt --output corpus.txt
    """
    from synth.corpora.plain import from_text as run

    done = run(
        files,
        output,
        split=split,  # type: ignore[arg-type]  # click has checked it
        shortest=shortest,
        longest=longest,
        script=script,
        foreign=foreign,
        encoding=encoding,
    )
    _cleaned(done, "line")


def _cleaned(done: Cleaned, read: str) -> None:
    from synth.report.summary import counted, quoted
    from synth.text.script import script_name

    script = f" in {script_name(done.script)}" if done.script else ""
    click.echo(f"{quoted(done.output)}: {counted(done.kept, 'text')}{script}, of {counted(done.lines, read)}")
    click.echo(f"  dropped   {done.dropped.text()}")
    click.echo(f"next: synth corpus report {quoted(done.output)}")


@corpus.command("random")
@click.option("--charset", type=_FILE, required=True, metavar="FILE", help="Dictionary, one unit a line.")
@click.option("--count", type=click.IntRange(1), default=10_000, show_default=True, metavar="N", help="Texts.")
@_output
@_shortest(3)
@_longest(20, "Units of the dictionary.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S", help="Other texts.")
def random_(charset: Path, count: int, output: Path, shortest: int, longest: int, seed: int) -> None:
    """Make words that the script allows, of a dictionary's units, for units that no corpus has.

    \b
    synth corpus random --charset kn.characters.txt --count 20000 --output random.txt
    """
    from synth.corpora.syllables import write_random
    from synth.report.summary import absent_units, code_points, counted, quoted, shown
    from synth.text.bidi import isolated
    from synth.text.charset import Charset

    units = Charset.from_file(charset)
    counts, unplaced = write_random(units, output, count, shortest=shortest, longest=longest, seed=seed)
    absent = [unit for unit in absent_units(units, counts) if unit not in unplaced]
    least = min((counts[unit] for unit in counts if unit != " "), default=0)
    click.echo(f"{quoted(output)}: {counted(count, 'text')}")
    click.echo(f"  units     {len(counts):,} of {len(units):,}; at least {least:,} of each")
    for key, listed in (("no place", unplaced), ("not met", absent)):
        if listed:
            told = ", ".join(f"{isolated(shown(unit))} ({code_points(unit)})" for unit in listed[:12])
            more = f" and {len(listed) - 12:,} more" if len(listed) > 12 else ""
            click.echo(f"  {key:<10}{told}{more}")
    click.echo(f"next: synth preview --corpus {quoted(output)} --charset {quoted(charset)}")


@corpus.command(cls=Several)
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE…")
@click.option("--html", type=_FILE, metavar="FILE", help="Write a page with tables, too.")
@_encoding
def report(files: tuple[Path, ...], html: Path | None, encoding: str) -> None:
    """Describe corpora: characters, units, n-grams, lengths, scripts, normal form, and lines that look wrong.

    \b
    synth corpus report corpus.txt --html corpus.html
    """
    from synth.corpora.survey import survey, survey_text
    from synth.report.summary import quoted

    found = survey(files, encoding)
    click.echo(survey_text(found).encode(errors="backslashreplace").decode(), nl=False)
    if html is not None:
        from synth.corpora.page import write_page

        write_page(found, html)
        click.echo(f"{quoted(html)}: the same with tables")
