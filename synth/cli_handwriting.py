"""`synth handwriting`: sets of single characters brought into a store, and looked at."""

from __future__ import annotations

from pathlib import Path

import click

_FILE = click.Path(path_type=Path)


@click.group()
def handwriting() -> None:
    """Sets of single characters, to write lines with; see docs/handwriting.md.

    \b
    synth handwriting import letters/ letters.chars --writer '^([^/]+)/'
    synth generate --ink handwriting --chars letters.chars --corpus my_language.txt --recipe handwriting --output data/
    """


@handwriting.command("import")
@click.argument("source", type=_FILE)
@click.argument("output", type=_FILE)
@click.option("--labels", type=_FILE, metavar="TABLE", help="What the classes are: name, TAB, character (or U+0995).")
@click.option(
    "--names",
    type=click.Choice(["auto", "character", "hex"]),
    default="auto",
    show_default=True,
    help="How class names are read without a table.",
)
@click.option("--table", type=_FILE, metavar="FILE", help="Path, TAB, character, TAB, writer (SOURCE/labels.tsv).")
@click.option("--class", "label", metavar="REGEX", help="The class in a picture's path, as the group of a pattern.")
@click.option("--writer", metavar="REGEX", help="The writer in a picture's path, likewise.")
@click.option("--grid", metavar="ROWSxCOLUMNS", help="The pictures are sheets with a character in each cell.")
@click.option(
    "--inset",
    type=click.FloatRange(0, 0.4),
    default=0.04,
    show_default=True,
    help="Cut off a cell's sides, as a share.",
)
@click.option("--transposed", is_flag=True, help="Images of IDX, CSV or NPZ are stored by columns.")
@click.option("--ink", type=click.Choice(["dark", "bright"]), help="Default: what most images say.")
def import_(
    source: Path,
    output: Path,
    labels: Path | None,
    names: str,
    table: Path | None,
    label: str | None,
    writer: str | None,
    grid: str | None,
    inset: float,
    transposed: bool,
    ink: str | None,
) -> None:
    """Bring SOURCE, a set of single characters, into OUTPUT, a new folder.

    SOURCE is a folder (or zip) with a folder of pictures for each class, pictures with a table, sheets, IDX (MNIST,
    EMNIST), CSV or NPZ files of pixels, or CASIA GNT files.

    \b
    synth handwriting import emnist-gzip.zip emnist.chars
    synth handwriting import HWDB1.1trn_gnt.zip casia.chars
    synth handwriting import forms/ forms.chars --grid 10x8 --labels cells.txt
    """
    from synth.handwriting.readers import Options, parse_grid
    from synth.handwriting.store import import_set

    options = Options(
        labels=labels,
        names=names,  # type: ignore[arg-type]  # click has checked it
        table=table,
        label_pattern=label,
        writer_pattern=writer,
        grid=parse_grid(grid) if grid else None,
        inset=inset,
        transposed=transposed,
    )
    click.echo(import_set(source, output, options, ink).text(), nl=False)  # type: ignore[arg-type]  # likewise


@handwriting.command()
@click.argument("store", type=_FILE)
@click.option("--output", type=_FILE, metavar="FILE", help="Default: STORE.html.")
def report(store: Path, output: Path | None) -> None:
    """Show a store: characters per class and writer, samples, and what is suspect, as an HTML page."""
    from synth.handwriting.report import write_report

    click.echo(write_report(store, output or store.parent / f"{store.resolve().name}.html"), nl=False)
