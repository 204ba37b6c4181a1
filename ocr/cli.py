"""`ocr`: train, evaluate, export and use text recognisers."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from augment.errors import ScriptoriumError
from ocr.cli_read import eval_read, read
from synth.terminal import Commands, Several, complain

if TYPE_CHECKING:
    from ocr.config import AnyConfig

_FILE = click.Path(path_type=Path)


def _config_options(command: Any) -> Any:
    for option in reversed(
        (
            click.option("-c", "--config", type=_FILE, required=True, metavar="FILE", help="Training configuration."),
            click.option(
                "-o",
                "--override",
                multiple=True,
                metavar="KEY=VALUE…",
                help="Keys of the configuration, one or several, such as Global.epoch_num=5.",
            ),
        )
    ):
        command = option(command)
    return command


def _load(config: Path, override: Sequence[str]) -> AnyConfig:
    from ocr.config import load_config

    return load_config(config, override)


@click.group("ocr", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="scriptorium", prog_name="ocr")
def main() -> None:
    """Train text recognisers on real and synthetic images, and read pictures with them."""


@main.command(cls=Several)
@_config_options
@click.option("--output", type=_FILE, metavar="FILE", help="HTML page (default: audit.html in the run directory).")
def audit(config: Path, override: tuple[str, ...], output: Path | None) -> None:
    """Check the data of a configuration before training; exits with 1 on what would make training fail.

    \b
    ocr audit -c configs/rec/crnn.yml
    """
    from ocr.config import ClsConfig, DetConfig, KindConfig, StyleConfig
    from ocr.data.audit import Audit
    from ocr.data.audit import audit as check
    from ocr.data.audit_det import PagesAudit, audit_pages

    loaded = _load(config, override)
    if isinstance(loaded, ClsConfig | KindConfig):
        raise ScriptoriumError(
            f"{config}: a classifier needs no labels, so there is nothing to audit; look at its data with "
            "`ocr show-batch`"
        )
    if isinstance(loaded, StyleConfig):
        raise ScriptoriumError(f"{config}: its pairs are drawn, and need no audit; look at them with `ocr show-batch`")
    found: Audit | PagesAudit = audit_pages(loaded) if isinstance(loaded, DetConfig) else check(loaded)
    click.echo(found.text(), nl=False)
    click.echo(f"page     {found.write(output or loaded.Global.save_model_dir / 'audit.html')}")
    if found.fatal:
        sys.exit(1)


@main.command("show-batch", cls=Several)
@_config_options
@click.option("--output", type=_FILE, default=Path("batch.png"), show_default=True, metavar="FILE", help="A picture.")
@click.option("--step", type=click.IntRange(0), default=0, show_default=True, metavar="N", help="Number of the batch.")
def show_batch(config: Path, override: tuple[str, ...], output: Path, step: int) -> None:
    """Draw what the network will see: a batch, augmented and padded, with its labels as the network learns them.

    \b
    ocr show-batch -c configs/rec/crnn.yml
    """
    from ocr.data.show import show_batch as draw

    click.echo(draw(_load(config, override), step, output), nl=False)


@main.command(cls=Several)
@_config_options
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint of the run directory, if there is one.")
def train(config: Path, override: tuple[str, ...], resume: bool) -> None:
    """Train as a configuration says.

    \b
    ocr train -c configs/rec/crnn.yml
    ocr train -c configs/rec/crnn.yml -o Global.max_minutes=60 --resume
    """
    from ocr.training import train as run

    outcome = run(_load(config, override), resume, lambda line: click.echo(line, err=False))
    if outcome.stopped.startswith("SIG"):
        sys.exit(130 if outcome.stopped == "SIGINT" else 143)


@main.command("eval", cls=Several)
@_config_options
@click.option(
    "--model", type=_FILE, metavar="DIR", help="Run directory, checkpoint or exported model (default: the run's)."
)
@click.option("--report", type=_FILE, metavar="FILE", help="HTML page (default: evaluation.html in the run directory).")
def evaluate(config: Path, override: tuple[str, ...], model: Path | None, report: Path | None) -> None:
    """Evaluate a model on a configuration's Eval sources, and write a page with its mistakes."""
    from ocr.training import evaluate_model

    evaluate_model(_load(config, override), model, report, click.echo)


@main.command()
@click.argument("model", type=_FILE)
@click.option("--output", type=_FILE, required=True, metavar="DIR", help="A new folder.")
@click.option("--format", "format_", type=click.Choice(["paddle", "onnx"]), default="paddle", show_default=True)
def export(model: Path, output: Path, format_: str) -> None:
    """Make a model that predicts without the training code: MODEL is a run directory or a checkpoint."""
    from ocr import runtime

    runtime.start()
    runtime.import_paddle()
    from ocr.infer.export import export_onnx, export_paddle
    from ocr.spec import ClsSpec, KindSpec, load_spec

    made = (export_onnx if format_ == "onnx" else export_paddle)(model, output)
    click.echo(f"made     {made}")
    name = shlex.quote(str(made))
    following = {
        "rec": f"predict --model {name}",
        "det": f"read --det {name} --rec DIR",
        "cls": f"read --det DIR --rec DIR --line-direction {name}",
        "style": f"eval -c FILE --model {name}",
    }
    spec = load_spec(made)
    if isinstance(spec, ClsSpec) and spec.preprocess.kind == "page":
        following["cls"] = f"read --det DIR --rec DIR --page-direction {name}"
    if isinstance(spec, KindSpec):
        recognisers = " ".join(shlex.quote(f"{kind}=DIR") for kind in spec.postprocess.label_list)
        following["kind"] = f"read --det DIR --rec {recognisers} --choose {name}"
    click.echo(f"next     ocr {following[spec.task]}{'' if spec.task == 'style' else ' IMAGE…'}")


@main.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|DIR|URL|-…")
@click.option("--model", type=_FILE, required=True, metavar="DIR", help="Run directory, checkpoint or exported model.")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--draw", type=_FILE, metavar="DIR", help="Also write each picture with its text.")
@click.option("--threads", type=click.IntRange(0), default=0, show_default=True, help="Of the network; 0: all cores.")
def predict(
    images: tuple[str, ...], model: Path, format_: Literal["table", "json"], draw: Path | None, threads: int
) -> None:
    """Read pictures of words or lines: text and confidence of each.

    \b
    ocr predict --model output/rec photo.jpg crops/
    ls crops/*.png | ocr predict --model output/rec --format json - > texts.jsonl
    """
    from ocr.infer.predict import predict as run

    failed = run(images, model, format_, draw, threads, click.echo, complain)
    if failed:
        sys.exit(1)


main.add_command(read)
main.add_command(eval_read)

if __name__ == "__main__":
    main()
