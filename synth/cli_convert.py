"""`synth convert`."""

from __future__ import annotations

from pathlib import Path

import click

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("data", type=_FILE)
@click.argument("output", type=_FILE)
@click.option(
    "--to", "how", type=click.Choice(["label-file", "icdar", "coco", "crops"]), required=True, help="The form."
)
def convert(data: Path, output: Path, how: str) -> None:
    """Write the pages of a detection data set (shards or a label file) to the folder OUTPUT in another form.

    \b
    synth convert pages/ --to label-file pages_paddle/   images and PaddleOCR's label file
    synth convert pages/ --to icdar pages_icdar/         images and a gt_*.txt for each
    synth convert pages/ --to coco pages_coco/           images and annotations.json
    synth convert pages/ --to crops words/               crops of all texts, to train a recogniser
    """
    from synth.pages.convert import convert as run

    done = run(data, how, output)  # type: ignore[arg-type]  # click has checked it
    click.echo(done.text(how), nl=False)  # type: ignore[arg-type]
