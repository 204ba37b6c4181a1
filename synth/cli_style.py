"""`synth style`: the look of real crops brought into a store, and looked at."""

from __future__ import annotations

from pathlib import Path

import click

from synth.terminal import Several

_FILE = click.Path(path_type=Path)


@click.group()
def style() -> None:
    """The look of real crops, for new text; see docs/style.md.

    \b
    synth style extract crops/ crops.styles
    synth style report crops.styles
    """


@style.command("extract", cls=Several)
@click.argument("source", type=_FILE)
@click.option("--output", type=_FILE, required=True, metavar="STORE", help="A new folder.")
@click.option("--backgrounds", type=_FILE, metavar="DIR", help="The backgrounds without text as pictures, too.")
@click.option("--root", type=_FILE, metavar="DIR", help="Where a list's paths start (default: its own folder).")
@click.option(
    "--fonts",
    type=_FILE,
    multiple=True,
    metavar="DIR|FILE…",
    help="One or several, instead of all fonts found: those that labelled crops are held against.",
)
def extract_(source: Path, output: Path, backgrounds: Path | None, root: Path | None, fonts: tuple[Path, ...]) -> None:
    """Measure the look of the crops of SOURCE: text and ground apart, colours, geometry, sharpness.

    SOURCE is a picture, a folder of pictures (with labels.tsv, if there is one), or a list: a picture's path on each
    line and, if known, TAB and what it says. Each crop shows one line of text.

    \b
    synth style extract crops/ --output crops.styles
    synth style extract labels.txt --root pictures/ --output crops.styles --backgrounds grounds/
    """
    import cv2

    from synth.style.crops import extract_all, find_crops

    cv2.setNumThreads(1)
    crops = find_crops(source, root)
    done = extract_all(crops, output, source=source.name, backgrounds=backgrounds, fonts=fonts or None)
    click.echo(done.text(), nl=False)


@style.command()
@click.argument("store", type=_FILE)
@click.option("--output", type=_FILE, metavar="FILE", help="Default: STORE.html.")
def report(store: Path, output: Path | None) -> None:
    """Show a store: crop, mask, background and repainted ink of each style, and what was refused, as an HTML page."""
    from synth.style.report import write_report

    click.echo(write_report(store, output or store.parent / f"{store.resolve().name}.html"), nl=False)
