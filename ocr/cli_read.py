"""`ocr read` and `ocr eval-read`: pages from finding texts to reading them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from synth.terminal import Several, complain

_FILE = click.Path(path_type=Path)


def _models(command: Any) -> Any:
    for option in reversed(
        (
            click.option(
                "--det", type=_FILE, required=True, metavar="DIR", help="Detector: run, checkpoint or exported model."
            ),
            click.option(
                "--rec",
                multiple=True,
                metavar="DIR | NAME=DIR…",
                help="Recogniser, likewise; of several, without --choose, the surest is believed, line by line.",
            ),
            click.option(
                "--choose",
                type=_FILE,
                metavar="DIR",
                help="Classifier of kinds of lines: only the recogniser of that name reads a line where it is sure.",
            ),
            click.option(
                "--page-direction", type=_FILE, metavar="DIR", help="Direction classifier: turn whole pages upright."
            ),
            click.option(
                "--line-direction", type=_FILE, metavar="DIR", help="Likewise: turn lines that stand on their head."
            ),
            click.option(
                "-o",
                "--override",
                multiple=True,
                metavar="KEY=VALUE…",
                help="Of the detector's spec, such as postprocess.box_thresh=0.5 preprocess.limit_side_len=1920.",
            ),
            click.option(
                "--drop-score",
                type=click.FloatRange(0, 1),
                default=0.5,
                show_default=True,
                help="Leave out what is read with less confidence.",
            ),
            click.option(
                "--threads", type=click.IntRange(0), default=0, show_default=True, help="Of the networks; 0: all cores."
            ),
        )
    ):
        command = option(command)
    return command


@click.command(cls=Several)
@click.argument("inputs", nargs=-1, required=True, metavar="IMAGE|PDF|FILM|DIR|URL|-…")
@_models
@click.option("--boxes-only", is_flag=True, help="Find texts and put them into order, without reading them.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["text", "json", "tsv", "hocr", "alto", "pdf", "picture"]),
    default=["text"],
    show_default=True,
    help="One or several; without --output text, json or tsv.",
)
@click.option("--output", type=_FILE, metavar="DIR", help="Write a file of each format for each input.")
@click.option(
    "--dpi",
    type=click.IntRange(20, 1200),
    default=200,
    show_default=True,
    help="Of PDF pages, drawn or made.",
)
@click.option(
    "--every",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between frames of a film that are looked at.",
)
@click.option("--times", is_flag=True, help="Say what each stage took.")
def read(
    inputs: tuple[str, ...],
    det: Path,
    rec: tuple[str, ...],
    choose: Path | None,
    page_direction: Path | None,
    line_direction: Path | None,
    override: tuple[str, ...],
    drop_score: float,
    threads: int,
    boxes_only: bool,
    formats: tuple[Any, ...],
    output: Path | None,
    dpi: int,
    every: float,
    times: bool,
) -> None:
    """Read pages: find texts, read them, and put them into the order of reading.

    \b
    ocr read photo.jpg --det output/det --rec output/rec
    ocr read scans/ --det DET --rec latin=LATIN arabic=ARABIC --format pdf json --output read
    ocr read scans/ --det DET --rec latin=LATIN arabic=ARABIC --choose SCRIPTS
    """
    if boxes_only == bool(rec):
        raise click.UsageError("give a recogniser with --rec, or --boxes-only without one")
    from ocr.read.run import open_reader
    from ocr.read.run import read as run
    from synth.report.summary import counted

    reader = open_reader(det, rec, override, drop_score, threads, page_direction, line_direction, choose)
    kept = reader.detector.spec
    size, boxes = kept.preprocess, kept.postprocess
    told = {"limit_side_len": size.limit_side_len, "limit_type": size.limit_type} | boxes.model_dump(exclude={"name"})
    complain(f"detector {kept.name}: " + ", ".join(f"{key} {value}" for key, value in told.items()))
    outcome = run(
        reader,
        inputs,
        formats,
        output,
        lambda text: click.echo(text.encode(errors="backslashreplace").decode(), nl=False),
        complain,
        dpi=dpi,
        every=every,
    )
    if times:
        complain(outcome.times())
    if outcome.dropped:
        complain(
            f"dropped  {counted(outcome.dropped, 'text')} read with a confidence below {drop_score:g} (--drop-score)"
        )
    if output is not None:
        click.echo(f"made     {counted(outcome.pages, 'page')}, {counted(outcome.texts, 'text')}, in {output}")
    if outcome.failed:
        complain(f"failed   {counted(outcome.failed, 'input')} could not be read, or not to their end")
        sys.exit(1)


@click.command("eval-read", cls=Several)
@click.argument("sources", nargs=-1, required=True, type=_FILE, metavar="LABELS|DIR…")
@_models
@click.option("--fold-case/--keep-case", default=True, show_default=True, help="Compare texts without regard to case.")
@click.option(
    "--report", type=_FILE, default=Path("reading.html"), show_default=True, metavar="FILE", help="HTML page."
)
def eval_read(
    sources: tuple[Path, ...],
    det: Path,
    rec: tuple[str, ...],
    choose: Path | None,
    page_direction: Path | None,
    line_direction: Path | None,
    override: tuple[str, ...],
    drop_score: float,
    threads: int,
    fold_case: bool,
    report: Path,
) -> None:
    """Measure finding and reading together on labelled pages, and write a page with the misses.

    SOURCES are labelled as for detection: path, tab, [{"transcription": …, "points": …}, …].

    \b
    ocr eval-read receipts/labels.tsv --det DET --rec REC
    """
    if not rec:
        raise click.UsageError("give a recogniser with --rec; detectors alone are measured by ocr eval")
    from ocr.read.evaluate import evaluate
    from ocr.read.run import open_reader

    evaluate(
        open_reader(det, rec, override, drop_score, threads, page_direction, line_direction, choose),
        sources,
        fold_case,
        report,
        click.echo,
    )
