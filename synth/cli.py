"""`synth`: labelled text images from a corpus."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth.cli_charset import charset
from synth.cli_convert import convert
from synth.cli_corpus import corpus
from synth.cli_fit import fit
from synth.cli_handwriting import handwriting
from synth.cli_script import fonts_audit, script
from synth.cli_style import style
from synth.terminal import Commands, Several, complain

if TYPE_CHECKING:
    from synth.pages import AnyPipeline
    from synth.recipe import Recipe

_FILE = click.Path(path_type=Path)


def _recipe_options(command: Any) -> Any:
    for option in reversed(
        (
            click.option(
                "--corpus",
                type=_FILE,
                multiple=True,
                metavar="FILE…",
                help="Texts, UTF-8, one a line; one file or several.",
            ),
            click.option(
                "--fonts",
                type=_FILE,
                multiple=True,
                metavar="DIR|FILE…",
                help="One or several, instead of all fonts found.",
            ),
            click.option(
                "--backgrounds",
                type=_FILE,
                multiple=True,
                metavar="DIR|FILE…",
                help="Pictures to write on; one or several.",
            ),
            click.option("--ink", type=click.Choice(["fonts", "handwriting"]), help="What texts are drawn with."),
            click.option(
                "--chars",
                type=_FILE,
                multiple=True,
                metavar="DIR…",
                help="Stores of characters to write with (`synth handwriting import`).",
            ),
            click.option(
                "--styles",
                type=_FILE,
                multiple=True,
                metavar="DIR…",
                help="Stores of styles to draw in (`synth style extract`).",
            ),
            click.option(
                "--style-engine",
                type=click.Choice(["drawn", "learned"]),
                help="How texts get the styles' look (drawn); learned is experimental.",
            ),
            click.option(
                "--style-model",
                type=_FILE,
                metavar="DIR",
                help="For the learned engine: a trained network (`ocr train -c configs/style/srnet_light.yml`).",
            ),
            click.option("--height", type=int, metavar="PIXELS", help="Image height (recipe: 32)."),
            click.option("--charset", type=_FILE, metavar="FILE", help="Dictionary; other texts are dropped."),
            click.option(
                "--task", type=click.Choice(["rec", "det"]), help="Crops of lines, or whole pages (recipe: rec)."
            ),
            click.option("--recipe", metavar="NAME|FILE", help="The look (default: scene; for --task det, pages)."),
            click.option(
                "-o",
                "--override",
                multiple=True,
                metavar="KEY=VALUE…",
                help="Keys of the recipe, one or several; see `synth recipe show`.",
            ),
            click.option("--seed", type=click.IntRange(0), metavar="S", help="Another stream of samples (recipe: 0)."),
        )
    ):
        command = option(command)
    return command


def _load(
    corpus: Sequence[Path],
    fonts: Sequence[Path],
    backgrounds: Sequence[Path],
    ink: str | None,
    chars: Sequence[Path],
    styles: Sequence[Path],
    style_engine: str | None,
    style_model: Path | None,
    height: int | None,
    charset: Path | None,
    task: str | None,
    recipe: str | None,
    override: Sequence[str],
    seed: int | None,
) -> Recipe:
    from synth.recipe import Recipe, RecipeError

    overrides = list(override)
    if seed is not None:
        overrides.append(f"seed={seed}")
    sections: dict[str, dict[str, Any]] = {}
    if fonts:
        sections["fonts"] = {"paths": [str(path) for path in fonts]}
    if backgrounds:
        sections["background"] = {"paths": [str(path) for path in backgrounds]}
    if chars:
        sections["handwriting"] = {"chars": [str(path) for path in chars]}
    if styles:
        sections["styles"] = {"stores": [str(path) for path in styles]}
    if style_model is not None:
        if style_engine == "drawn":
            raise RecipeError("--style-model: is for --style-engine learned; leave one out")
        sections.setdefault("styles", {})["model"] = str(style_model)
    elif style_engine == "drawn":
        sections.setdefault("styles", {})["model"] = None
    if ink is not None:
        sections.setdefault("handwriting", {})["weight"] = float(ink == "handwriting")
    if height is not None:
        sections["layout"] = {"height": height}
    recipe = recipe or ("pages" if task == "det" else "scene")
    loaded = Recipe.load(recipe, corpus=list(corpus), charset=charset, overrides=overrides, **sections)
    if task is not None and loaded.task != task:
        others = "pages or scenes" if task == "det" else "scene or document"
        raise RecipeError(f"--task {task}: recipe {recipe} is of task {loaded.task}; take another, such as {others}")
    if height is not None and loaded.task == "det":
        raise RecipeError("--height: is that of lines; the size of pages is page.side, that of scenes scene.side")
    if not loaded.corpus.files and not (loaded.corpus.templates and loaded.corpus.template_share == 1):
        raise RecipeError("no corpus: give --corpus FILE, or corpus.files in the recipe")
    if ink == "handwriting" and not loaded.handwriting.chars:
        raise RecipeError("--ink handwriting: give --chars DIR, made by `synth handwriting import`")
    if styles and not loaded.styles.weight:
        raise RecipeError("--styles: styles.weight is 0, so that none would be drawn; give -o styles.weight=1")
    if style_engine == "learned" and loaded.styles.model is None:
        raise RecipeError(
            "--style-engine learned: give --style-model DIR, trained by `ocr train -c configs/style/srnet_light.yml`"
        )
    if not loaded.styles.stores and any(item.strip().startswith("styles.") for item in override):
        raise RecipeError("-o styles.…: there are no styles; give --styles DIR, made by `synth style extract`")
    return loaded


@click.group("synth", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="scriptorium", prog_name="synth")
def main() -> None:
    """Labelled text images from a corpus, in any script."""


@main.command(cls=Several)
@_recipe_options
@click.option("--output", type=_FILE, required=True, metavar="DIR", help="A new folder.")
@click.option("--count", type=int, metavar="N", help="Images (default: 10,000, or as many as a plan takes).")
@click.option(
    "--min-per-unit", type=click.IntRange(1), metavar="N", help="Plan texts: every unit of the charset N times or more."
)
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes (default: one per core).")
@click.option("--resume", is_flag=True, help="Go on where an earlier run was stopped.")
@click.option("--format", "format_", type=click.Choice(["lmdb", "folder"]), default="lmdb", show_default=True)
def generate(
    output: Path,
    count: int | None,
    min_per_unit: int | None,
    workers: int | None,
    resume: bool,
    format_: str,
    override: tuple[str, ...],
    **recipe_options: Any,
) -> None:
    """Make a data set of labelled text images.

    \b
    synth generate --corpus my_language.txt --output data/ --count 100000
    synth generate --corpus a.txt b.txt --output data/ -o corpus.piece=line output.polygons=true
    synth generate --corpus my_language.txt --charset units.txt --min-per-unit 300 --output data/
    synth generate --styles look.styles --corpus my_language.txt --output data/
    synth generate --task det --corpus my_language.txt --output pages/ --count 2000
    """
    from functools import partial

    import cv2

    from synth.engine import generate as run
    from synth.pages import pipeline_of
    from synth.pipeline import located
    from synth.report.summary import closing, planned

    # Images are small: threads inside OpenCV would only get in each other's way.
    cv2.setNumThreads(1)
    if min_per_unit is not None:
        override = (*override, f"corpus.min_per_unit={min_per_unit}")
    recipe = located(_load(override=override, **recipe_options))
    if recipe.corpus.min_per_unit and count is not None:
        recipe = recipe.with_keys("corpus", plan_span=max(count, 0))
    pipeline = pipeline_of(recipe)
    for warning in pipeline.warnings:
        complain(f"warning: {warning}")
    if pipeline.plan is not None:
        count = max(count or recipe.corpus.plan_span, len(pipeline.plan))
        click.echo(planned(pipeline.plan, count), nl=False)
    count = 10_000 if count is None else count
    _bake(pipeline, count)
    wanted = workers or _cores()
    # A worker takes longer to start than a few hundred images take to make, or a few pages.
    wanted = wanted if workers else max(1, min(wanted, count // (100 if recipe.task == "det" else 2000)))
    make = partial(pipeline_of, recipe) if wanted > 1 else lambda: pipeline
    summary = run(
        make,
        output,
        count,
        manifest_head=pipeline.head(),
        recipe_text=recipe.to_yaml(),
        shard_size=recipe.output.shard_size,
        workers=wanted,
        resume=resume,
        format=format_,  # type: ignore[arg-type]  # click has checked it
    )
    click.echo(closing(summary, pipeline), nl=False)


@main.command(cls=Several)
@_recipe_options
@click.option(
    "--output",
    type=_FILE,
    default=Path("preview"),
    show_default=True,
    metavar="NAME",
    help="Writes NAME.png and NAME.html.",
)
@click.option("--count", type=click.IntRange(1, 2000), default=64, show_default=True, metavar="N", help="Images.")
def preview(output: Path, count: int, **recipe_options: Any) -> None:
    """Show what a recipe looks like: a contact sheet and a page with labels, fonts and unit polygons.

    \b
    synth preview --corpus my_language.txt --recipe document
    """
    from synth.pages import pipeline_of
    from synth.report.preview import write_preview
    from synth.report.summary import counted

    pipeline = pipeline_of(_load(**recipe_options))
    for warning in pipeline.warnings:
        complain(f"warning: {warning}")
    _bake(pipeline, count)
    sheet, page = write_preview(pipeline, count, output)
    click.echo(
        f"{counted(count, 'sample')}\n  {sheet}   contact sheet\n  {page}   large, with labels, fonts and unit polygons"
    )


@main.command()
@click.argument("data", type=_FILE)
@click.option("--output", type=_FILE, metavar="FILE", help="Default: report.html in DATA.")
def report(data: Path, output: Path | None) -> None:
    """Describe a data set: characters, lengths, widths, fonts, contrast, as an HTML page with plots."""
    from synth.report.dataset import write_report

    click.echo(write_report(data, output or data / "report.html"), nl=False)


@main.command()
@click.argument("data", type=_FILE)
@click.option("--charset", type=_FILE, metavar="FILE", help="Dictionary that every label must lie in.")
def verify(data: Path, charset: Path | None) -> None:
    """Check every record: decodes, label inside the charset, keys and digests right. Exits with 1 otherwise."""
    from synth.shards.verify import verify as check
    from synth.text.charset import Charset

    result = check(data, Charset.from_file(charset) if charset else None, progress=True)
    click.echo(result.text(), nl=False)
    if result.problems:
        sys.exit(1)


@main.command()
@click.argument("data", nargs=-1, required=True, type=_FILE)
@click.option("--output", type=_FILE, required=True, metavar="DIR", help="A new folder.")
def merge(data: tuple[Path, ...], output: Path) -> None:
    """Join data sets into one.

    \b
    synth merge data/ more/ --output both/
    """
    from synth.report.summary import counted, quoted
    from synth.shards.merge import merge as join

    count = join(list(data), output)
    click.echo(f"{output}: {counted(count, 'image')} from {counted(len(data), 'data set')}")
    click.echo(f"next: synth verify {quoted(output)}")


@main.command()
@click.argument("data", type=_FILE)
@click.option("--output", type=_FILE, required=True, metavar="DIR", help="A new folder.")
@click.option("--times", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Copies of each.")
@click.option("--config", type=_FILE, metavar="FILE", help="Operations and their keys; see docs/augment.md.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S", help="Other copies.")
@click.option("--keep-originals", is_flag=True, help="Put each original before its copies.")
@click.option("--root", type=_FILE, metavar="DIR", help="Where a label file's paths start (default: its own folder).")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes (default: one per core).")
@click.option("--resume", is_flag=True, help="Go on where an earlier run was stopped.")
def augment(
    data: Path,
    output: Path,
    times: int,
    config: Path | None,
    seed: int,
    keep_originals: bool,
    root: Path | None,
    workers: int | None,
    resume: bool,
) -> None:
    """Make augmented copies of labelled images: of a data set, of LMDBs, or of a label file (path, TAB, text).

    \b
    synth augment data/ --output more/ --times 3
    synth augment photos/labels.txt --output more/ --times 5 --config augment.yml
    """
    import cv2

    from synth.augmenting import augment as run
    from synth.augmenting import load_config

    cv2.setNumThreads(1)
    done = run(
        data,
        output,
        times,
        config=load_config(config) if config else None,
        where=f"{config}: augment" if config else "augment",
        seed=seed,
        keep_originals=keep_originals,
        root=root,
        workers=workers or _cores(),
        resume=resume,
    )
    click.echo(done.text(), nl=False)


@main.group()
def recipe() -> None:
    """Recipes: list the presets, print one with a comment on every key.

    A recipe says what the images look like. `--recipe` takes a preset's name or a file of your own:

    \b
    synth recipe show document > mine.yml
    synth preview --corpus my_language.txt --recipe mine.yml
    """


@recipe.command("list")
def recipe_list() -> None:
    """Name the recipes that come with the package: looks, and scripts with a small corpus and a look each."""
    from synth.recipe import Recipe

    click.echo("looks")
    for name in Recipe.presets():
        click.echo(f"  {name}")
    click.echo("scripts (with a small corpus; another look: -o base=scene)")
    for name in Recipe.scripts():
        click.echo(f"  {name}")


@recipe.command("show")
@click.argument("name")
def recipe_show(name: str) -> None:
    """Print a recipe in full, its base included, with comments; a good start for one of your own."""
    from synth.recipe import Recipe

    click.echo(Recipe.load(name).to_yaml(), nl=False)


@main.group()
def fonts() -> None:
    """Fonts: what there is, what it covers, and how to get more."""


@fonts.command("list")
@click.argument("paths", nargs=-1, type=_FILE)
@click.option("--script", metavar="CODE", help="Only families that draw some of it, such as Arab or Knda (ISO 15924).")
def fonts_list(paths: tuple[Path, ...], script: str | None) -> None:
    """List fonts: those of the machine, or those in PATHS."""
    from synth.fonts.index import scan
    from synth.fonts.listing import list_fonts

    click.echo(list_fonts(scan(paths or None), script), nl=False)


@fonts.command("check")
@click.argument("text")
@click.argument("paths", nargs=-1, type=_FILE)
def fonts_check(text: str, paths: tuple[Path, ...]) -> None:
    """Say which fonts draw TEXT rightly, and what the others lack."""
    from synth.fonts.index import scan
    from synth.fonts.listing import check_text

    click.echo(check_text(scan(paths or None).faces, text), nl=False)


@fonts.command("install")
@click.argument("scripts", nargs=-1, required=True, metavar="SCRIPT…")
@click.option("--output", type=_FILE, metavar="DIR", help="Default: where every command looks for fonts.")
def fonts_install(scripts: tuple[str, ...], output: Path | None) -> None:
    """Bring free fonts for SCRIPT (a name or an ISO 15924 code), from Debian or npm; needs neither client, nor root."""
    from synth.fonts.install import install

    click.echo(install(scripts, output, log=lambda line: click.echo(line, err=True)).text(), nl=False)


main.add_command(charset)
main.add_command(convert)
main.add_command(corpus)
main.add_command(fit)
main.add_command(handwriting)
fonts.add_command(fonts_audit)
main.add_command(script)
main.add_command(style)


def _bake(pipeline: AnyPipeline, count: int) -> None:
    """Let a network make what the first samples take from it, where that is not done yet."""
    from synth.report.summary import counted
    from synth.style.learned import LearnedLines, bake

    if isinstance(pipeline, LearnedLines) and (made := bake(pipeline, count)):
        click.echo(f"baked {counted(made, 'picture')} into {pipeline.folder}")


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


if __name__ == "__main__":
    main()
