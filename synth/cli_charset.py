"""`synth charset`: dictionaries made, compared, joined and checked."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from synth.terminal import Several

_FILE = click.Path(path_type=Path)


@click.group()
def charset() -> None:
    """Dictionaries: make one from a corpus, compare, join and check them.

    A dictionary is a text file with one unit per line, in PaddleOCR's format; see docs/dictionaries.md.
    """


@charset.command(cls=Several)
@click.option(
    "--corpus",
    type=_FILE,
    multiple=True,
    required=True,
    metavar="FILE…",
    help="Texts, UTF-8, one a line; one file or several.",
)
@click.option("--output", type=_FILE, required=True, metavar="FILE", help="The dictionary.")
@click.option(
    "--unit",
    type=click.Choice(["grapheme", "codepoint", "akshara"]),
    default="grapheme",
    show_default=True,
    help="What an entry is.",
)
@click.option(
    "--min-count",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Rarer ones fall into smaller units.",
)
@click.option(
    "--form",
    type=click.Choice(["nfc", "given"]),
    default="nfc",
    show_default=True,
    help="Spell entries in NFC, or as the corpus does.",
)
@click.option(
    "--order",
    type=click.Choice(["codepoint", "frequency"]),
    default="codepoint",
    show_default=True,
    help="Of the entries.",
)
@click.option("--space", is_flag=True, help="Add a line for the space; without it, it is always known.")
def build(
    corpus: tuple[Path, ...], output: Path, unit: str, min_count: int, form: str, order: str, space: bool
) -> None:
    """Make the dictionary of a corpus; it encodes every line.

    \b
    synth charset build --corpus my_language.txt --output units.txt
    synth charset build --corpus a.txt b.txt --output units.txt --unit akshara --min-count 20
    """
    from synth.text import dictionary

    built = dictionary.build(
        corpus,
        unit,  # type: ignore[arg-type]  # click has checked these
        min_count=min_count,
        form=form,  # type: ignore[arg-type]
        order=order,  # type: ignore[arg-type]
        space=space,
    )
    built.write(output)
    click.echo(built.text(output), nl=False)


@charset.command()
@click.argument("before", type=_FILE)
@click.argument("after", type=_FILE)
def diff(before: Path, after: Path) -> None:
    """Say what AFTER has added (+), removed (-), moved (>) and spelled otherwise (~)."""
    from synth.text import dictionary

    click.echo(dictionary.diff(before, after).text(), nl=False)


@charset.command()
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE…")
@click.option("--output", type=_FILE, required=True, metavar="FILE", help="The joined dictionary.")
def merge(files: tuple[Path, ...], output: Path) -> None:
    """Join dictionaries: the first keeps its order, what the others have besides is appended.

    \b
    synth charset merge old.txt new.txt --output both.txt
    """
    from synth.text import dictionary

    merged = dictionary.merge(files)
    merged.charset.write(output)
    click.echo(merged.text(output), nl=False)


@charset.command(cls=Several)
@click.argument("file", type=_FILE)
@click.option(
    "--fonts", type=_FILE, multiple=True, metavar="DIR|FILE…", help="One or several, instead of all fonts found."
)
@click.option("--corpus", type=_FILE, multiple=True, metavar="FILE…", help="Texts that it is meant for.")
@click.option(
    "--near",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="How much of a dot may differ anywhere between look-alikes (default: 0.4).",
)
@click.option("--html", type=_FILE, metavar="FILE", help="Write a page with pictures of the look-alikes.")
def check(file: Path, fonts: tuple[Path, ...], corpus: tuple[Path, ...], near: float | None, html: Path | None) -> None:
    """Say what is wrong or odd in a dictionary, and which entries look alike. Exits with 1 if training would break.

    \b
    synth charset check units.txt --corpus my_language.txt --html lookalikes.html
    """
    from synth.fonts import lookalike
    from synth.fonts.index import scan
    from synth.text import dictionary

    checked = dictionary.check(file, corpus)
    click.echo(checked.text(), nl=False)
    if checked.lines:
        faces = scan(fonts or None).faces
        found = lookalike.find(list(checked.lines), faces, lookalike.NEAR if near is None else near)
        click.echo(found.text(), nl=False)
        if html:
            lookalike.write_sheet(found, html, title=f"Look-alikes in {file.name}")
            click.echo(f"{'pictures':<12}{html}")
    if checked.problems:
        sys.exit(1)
