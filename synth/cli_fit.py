"""`synth fit`: a recipe fitted to real crops."""

from __future__ import annotations

from pathlib import Path

import click

from synth.terminal import Several

_FILE = click.Path(path_type=Path)


@click.command(cls=Several)
@click.option("--real", type=_FILE, required=True, metavar="DIR|LIST", help="Crops of single lines; 20 or more.")
@click.option("--output", type=_FILE, required=True, metavar="FILE.yml", help="The fitted recipe.")
@click.option("--base", default="document", show_default=True, metavar="NAME|FILE", help="The recipe to start from.")
@click.option("--root", type=_FILE, metavar="DIR", help="Where a list's paths start (default: its own folder).")
@click.option("--corpus", type=_FILE, multiple=True, metavar="FILE…", help="Texts to draw; one file or several.")
@click.option(
    "--fonts", type=_FILE, multiple=True, metavar="DIR|FILE…", help="One or several, instead of all fonts found."
)
@click.option("--height", type=int, metavar="PIXELS", help="Image height (base: as it says).")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S", help="Another search.")
@click.option(
    "--rounds", type=click.IntRange(0, 20), default=3, show_default=True, metavar="N", help="Of the search; 0: none."
)
@click.option("--report", type=_FILE, metavar="FILE", help="The page (default: FILE.html beside the recipe).")
def fit(
    real: Path,
    output: Path,
    base: str,
    root: Path | None,
    corpus: tuple[Path, ...],
    fonts: tuple[Path, ...],
    height: int | None,
    seed: int,
    rounds: int,
    report: Path | None,
) -> None:
    """Fit a recipe to real crops: its samples then have the same contrast, blur, noise, margins, angles ...

    The crops need no labels; where all have one (a list with a TAB and what each says, or labels.tsv in the folder),
    the width of letters is fitted, too. Corpus, language and fonts of the base stay as they are.

    \b
    synth fit --real crops/ --base document --corpus my_language.txt --output mine.yml
    synth generate --recipe mine.yml --corpus my_language.txt --output data/
    """
    import cv2
    import numpy as np
    from tqdm import tqdm

    from augment.errors import ScriptoriumError
    from synth.recipe import Recipe, RecipeError
    from synth.report.summary import quoted
    from synth.style.crops import find_crops
    from synth.style.fit import fit as run
    from synth.style.fit import measure_crops, samples_drawn
    from synth.style.fit_report import summary, write_recipe, write_report

    if output.suffix not in (".yml", ".yaml"):
        raise ScriptoriumError(f"--output {output}: the name of a recipe ends in .yml")
    report = report or output.with_suffix(".html")
    plain = Recipe.load(base, overrides=[] if height is None else [f"layout.height={height}"])
    if plain.task != "rec":
        raise RecipeError(f"--base {base}: a recipe of pages; crops of lines need one such as document or scene")
    drawn = plain
    if corpus:
        drawn = drawn.with_keys("corpus", files=[{"path": path} for path in corpus])
    if fonts:
        drawn = drawn.with_keys("fonts", paths=fonts)
    if not drawn.corpus.files and not (drawn.corpus.templates and drawn.corpus.template_share == 1):
        raise RecipeError("no corpus: give --corpus FILE, or corpus.files in the recipe")
    # The pictures are small: threads inside OpenCV would only get in each other's way.
    cv2.setNumThreads(1)
    crops = find_crops(real, root)
    with tqdm(total=len(crops), desc="crops", unit="", disable=None, leave=False) as bar:
        found = measure_crops(
            crops, plain.layout.height, plain.corpus.unit, np.random.default_rng(seed), str(real), bar.update
        )
    total = samples_drawn(rounds)
    with tqdm(total=total, desc="samples", unit="", disable=None, leave=False) as bar:
        begun = False

        def step(count: int) -> None:
            nonlocal begun
            if bar.disable and not begun:
                click.echo(f"search    up to {total:,} samples{', some minutes' if rounds else ''}")
            begun = True
            bar.update(count)

        done = run(drawn, found, seed=seed, rounds=rounds, step=step)
    done = done.of(plain)
    write_recipe(done, output, real.name)
    write_report(done, report, real.name)
    options = "".join(
        f" {name} {' '.join(map(quoted, paths))}" for name, paths in (("--corpus", corpus), ("--fonts", fonts)) if paths
    )
    click.echo(summary(done, output, report, options), nl=False)
