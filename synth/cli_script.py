"""`synth script` and `synth fonts audit`: what is known of a script, and what fonts make of it."""

from __future__ import annotations

from pathlib import Path

import click

from synth.terminal import Several

_FILE = click.Path(path_type=Path)


@click.command(cls=Several)
@click.argument("name", required=False)
@click.option(
    "--from", "corpus", type=_FILE, multiple=True, metavar="FILE…", help="Tell the script from texts instead."
)
@click.option("--fonts", type=_FILE, multiple=True, metavar="DIR|FILE…", help="One or several, instead of all found.")
@click.option("--output", type=_FILE, metavar="FILE.png", help="Draw a sample line in the fonts that have it.")
def script(name: str | None, corpus: tuple[Path, ...], fonts: tuple[Path, ...], output: Path | None) -> None:
    """Say what is known of a script: direction, shaping, digits, units, fonts, and what to run next.

    \b
    NAME is a locale (kn, zh_Hant, mn_Mong), or a script or language by name or ISO 15924 code.
    synth script kannada
    synth script ur --output urdu.png
    synth script --from texts.txt
    """
    from synth.fonts.index import scan
    from synth.scripts import describe, describe_corpus, draw_sample, report

    if (name is None) == (not corpus):
        raise click.UsageError("give either a script or locale, or --from FILE")
    found = describe_corpus(corpus) if corpus else describe(str(name))
    text, audit = report(found, scan(fonts or None).faces)
    click.echo(text, nl=False)
    if output:
        drawn = draw_sample(found, audit, output)
        click.echo(f"sample in {drawn} {'family' if drawn == 1 else 'families'}: {output}")


@click.command("audit", cls=Several)
@click.argument("paths", nargs=-1, type=_FILE)
@click.option("--charset", type=_FILE, metavar="FILE", help="Dictionary that the fonts should draw.")
@click.option("--corpus", type=_FILE, multiple=True, metavar="FILE…", help="Texts that the fonts should draw.")
@click.option("--most", type=click.IntRange(1), default=40, show_default=True, metavar="N", help="Faces told of.")
@click.option("--output", type=_FILE, metavar="FILE.yml", help="Write a recipe with the suggested fonts.")
@click.option("--base", default="document", show_default=True, metavar="NAME|FILE", help="What that recipe builds on.")
def fonts_audit(
    paths: tuple[Path, ...], charset: Path | None, corpus: tuple[Path, ...], most: int, output: Path | None, base: str
) -> None:
    """Try fonts (those of the machine, or those in PATHS) on a dictionary or on texts, and suggest a set.

    \b
    synth fonts audit --corpus my_language.txt
    synth fonts audit my_fonts/ --charset dict.txt --output fonts.yml
    """
    from synth.fonts.audit import Wanted, audit
    from synth.fonts.index import scan
    from synth.recipe import Recipe
    from synth.report.summary import quoted

    if (charset is None) == (not corpus):
        raise click.UsageError("give either --charset FILE or --corpus FILE")
    if output:
        Recipe.load(base)  # before the long part
    wanted = Wanted.of_charset(charset) if charset else Wanted.of_corpora(corpus)
    result = audit(scan(paths or None).faces, wanted)
    click.echo(result.text(most), nl=False)
    if output:
        result.write_recipe(output, paths, base)
        given = quoted(corpus[0]) if corpus else "FILE"
        click.echo(f"recipe: {output}\nnext: synth preview --recipe {quoted(output)} --corpus {given}")
