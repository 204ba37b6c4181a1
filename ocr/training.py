"""A training run and an evaluation, from a configuration to the lines that people read."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from augment.errors import ScriptoriumError
from ocr import runtime
from ocr.config import AnyConfig, ClsConfig, DetConfig, KindConfig, StyleConfig, shipped
from ocr.spec import ModelSpec
from synth.text.charset import Charset

Log = Callable[[str], None]


def train(config: AnyConfig, resume: bool, log: Log) -> Any:
    """Train as the configuration says.

    Args:
        config: see `ocr.config`.
        resume: go on from the newest whole checkpoint of the run directory; without one, begin.
        log: where lines go.

    Returns:
        An `ocr.engine.trainer.Outcome`.

    Raises:
        ScriptoriumError: the configuration, the data or a checkpoint cannot be used, or training failed.
    """
    settings = config.Global
    started = runtime.start(settings.threads, settings.processor_mend)
    _choose_device(settings.use_gpu)
    if settings.use_amp and not settings.use_gpu:
        raise ScriptoriumError("Global.use_amp: needs a GPU; set Global.use_gpu, or leave it out")
    from ocr.engine import checkpoint as store
    from ocr.engine.distributed import Group
    from ocr.engine.trainer import Trainer

    group = Group()
    say: Log = log if group.first else lambda line: None
    run = settings.save_model_dir
    if settings.pretrained_model and settings.checkpoints:
        raise ScriptoriumError(
            "Global.pretrained_model (weights only) and Global.checkpoints (everything) exclude each other; "
            "leave one out"
        )
    start: Path | None = settings.checkpoints and store.resolve(settings.checkpoints)
    if resume:
        newest, broken = store.latest(run)
        for problem in broken:
            say(f"passed over: {problem}")
        if broken and newest is None and start is None:
            raise ScriptoriumError(
                f"{run}: holds no checkpoint that is whole; to begin anew remove it and leave out --resume"
            )
        start = newest or start
    elif store.steps(run):
        raise ScriptoriumError(
            f"{run}: holds checkpoints of an earlier run; go on with --resume, or set another Global.save_model_dir"
        )
    if group.first:
        try:
            run.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ScriptoriumError(
                f"{run}: cannot be made ({error.strerror}); set another Global.save_model_dir"
            ) from None
    say(started.header())
    task = _task(config, group, say)
    if settings.pretrained_model and start is None:
        say(task.begin_from(settings.pretrained_model).text())
    trainer = Trainer(config, task, group, say)
    if start is not None:
        trainer.restore(start)
        say(f"going on from {start}")
    group.same_weights(task.model)
    numbers = sum(int(p.size) for p in task.model.parameters())
    classes = f", {len(task.spec.units) + 1:,} classes" if isinstance(task.spec, ModelSpec) else ""
    say(
        f"network  {config.Architecture.algorithm}, {numbers:,} parameters{classes}; "
        f"{trainer.steps:,} steps, {trainer.steps_per_epoch:,} an epoch"
    )
    outcome = trainer.train()
    rate = outcome.samples / max(outcome.seconds, 1e-9)
    waited = outcome.waited / max(outcome.seconds, 1e-9)
    ended = f"stopped ({outcome.stopped})" if outcome.stopped else "done"
    say(f"{ended} at step {outcome.step:,} of {outcome.steps:,}: {rate:,.0f} samples/s, {waited:.1%} waiting for data")
    if outcome.best:
        figures = ", ".join(f"{k} {v:.4f}" for k, v in outcome.best.items() if k not in ("step", "main"))
        say(f"best     step {outcome.best['step']:,}: {figures}")
    say(f"run      {run} (checkpoints, metrics.jsonl, curves.png)")
    use = (
        f"ocr predict --model {shlex.quote(str(run))} IMAGE…"
        if isinstance(task.spec, ModelSpec)
        else "ocr eval with the same options"
    )
    say("next     " + ("the same command with --resume" if outcome.stopped else use))
    return outcome


def _task(config: AnyConfig, group: Any, say: Log) -> Any:
    if isinstance(config, DetConfig):
        from ocr.tasks.det import Detection

        return Detection(config, group, say)
    if isinstance(config, ClsConfig):
        from ocr.tasks.cls import Direction

        return Direction(config, group, say)
    if isinstance(config, KindConfig):
        from ocr.tasks.cls import Kind

        return Kind(config, group, say)
    if isinstance(config, StyleConfig):
        from ocr.tasks.style import StyleTransfer

        return StyleTransfer(config, group, say)
    from ocr.tasks.rec import Recognition

    return Recognition(config, group, say)


def evaluate_model(config: AnyConfig, model: Path | None, report: Path | None, log: Log) -> Any:
    """Evaluate a model on the configuration's `Eval` sources; of a recogniser, write the page with its mistakes.

    Returns:
        An `ocr.tasks.base.Evaluation`.

    Raises:
        ScriptoriumError: no model, or no evaluation sources.
    """
    settings = config.Global
    if not config.Eval.sources:
        raise ScriptoriumError("Eval.sources: there are none; name what to evaluate on")
    started = runtime.start(settings.threads, settings.processor_mend)
    _choose_device(settings.use_gpu)
    if isinstance(config, DetConfig):
        log(started.header())
        return _evaluate_detector(config, model, log)
    if isinstance(config, ClsConfig):
        log(started.header())
        return _evaluate_direction(config, model, log)
    if isinstance(config, KindConfig):
        log(started.header())
        return _evaluate_kinds(config, model, log)
    if isinstance(config, StyleConfig):
        log(started.header())
        return _evaluate_style(config, model, log)
    from ocr.data.sources import open_source
    from ocr.infer.backends import open_backend
    from ocr.infer.recogniser import Recogniser
    from ocr.report.evaluation import write_evaluation
    from ocr.tasks.rec import evaluate

    log(started.header())
    folder = model or settings.save_model_dir
    backend = open_backend(folder)
    own = config.Global
    charset = Charset.from_file(shipped(own.character_dict_path), space=own.use_space_char)
    lacking = [unit for unit in charset.units if unit not in backend.spec.charset]
    if lacking:
        shown = " ".join(lacking[:20]) + (" …" if len(lacking) > 20 else "")
        log(f"warning  {folder} has another dictionary, without {len(lacking):,} units of this one: {shown}")
    found = evaluate(Recogniser(backend), config)
    log(f"{'':24}{'count':>8}{'acc':>10}{'cer':>10}{'cer by grapheme':>18}")
    for name, metric in found.details.items():
        result = metric.result()
        log(f"{name:24}{result['count']:8,.0f}{result['acc']:10.2%}{result['cer']:10.2%}{result['cer_grapheme']:18.2%}")
    sources = {source.name: open_source(source) for source in config.Eval.sources}
    page = write_evaluation(
        found.details,
        lambda name, index: sources[name].sample(index).image,
        f"Evaluation of {backend.spec.name}",
        report or (folder if folder.is_dir() else settings.save_model_dir) / "evaluation.html",
    )
    log(f"page     {page}")
    return found


def _evaluate_detector(config: DetConfig, model: Path | None, log: Log) -> Any:
    from ocr.infer.detector import Detector, MapModelBackend, load_detector
    from ocr.tasks.det import evaluate

    network, spec = load_detector(model or config.Global.save_model_dir)
    # How maps become boxes, and how large pages are, may be tried out on a trained network.
    spec = spec.model_copy(update={"postprocess": config.PostProcess, "preprocess": config.Preprocess})
    found = evaluate(Detector(MapModelBackend(network, spec)), config)
    log(f"{'':24}{'pages':>8}{'texts':>8}{'precision':>11}{'recall':>10}{'hmean':>10}")
    for name, metric in found.details.items():
        result = metric.result()
        texts = sum(page.labelled for page in metric.pages)
        rates = f"{result['precision']:11.2%}{result['recall']:10.2%}{result['hmean']:10.2%}"
        log(f"{name:24}{len(metric.pages):8,}{texts:8,}{rates}")
    return found


def _evaluate_direction(config: ClsConfig, model: Path | None, log: Log) -> Any:
    from ocr.infer.direction import open_turner
    from ocr.tasks.cls import evaluate

    turner = open_turner(model or config.Global.save_model_dir, config.Preprocess.kind, config.PostProcess.thresh)
    found = evaluate(turner, config)
    log(f"{'':24}{'pictures':>10}{'acc':>10}{'upright':>10}{'wrongly turned':>17}")
    for name, counts in found.details.items():
        result = counts.result()
        rates = f"{result['acc']:10.2%}{result['upright']:10.2%}{result['spoilt']:17.2%}"
        log(f"{name:24}{counts.pictures:10,}{rates}")
    return found


def _evaluate_kinds(config: KindConfig, model: Path | None, log: Log) -> Any:
    from ocr.infer.kind import open_chooser
    from ocr.tasks.cls import evaluate_kinds

    kinds = open_chooser(model or config.Global.save_model_dir, config.PostProcess.thresh)
    found = evaluate_kinds(kinds, config)
    names = kinds.names
    log(f"{'':24}{'lines':>8}{'acc':>10}{'chosen':>10}{'wrongly chosen':>17}")
    confused: dict[str, Any] = {}
    for name, counts in found.details.items():
        result = counts.result()
        log(f"{name:24}{counts.lines:8,}{result['acc']:10.2%}{result['chosen']:10.2%}{result['wrong']:17.2%}")
        kind = names[counts.kind]
        confused[kind] = confused.get(kind, 0) + counts.likeliest
    widths = [max(8, len(name) + 2) for name in names]
    log(
        f"\n{'is, and is taken for':24}"
        + "".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
    )
    for kind, row in confused.items():
        log(f"{kind:24}" + "".join(f"{count:{width},}" for count, width in zip(row.tolist(), widths, strict=True)))
    return found


def _evaluate_style(config: StyleConfig, model: Path | None, log: Log) -> Any:
    from ocr.infer.style import open_restyler
    from ocr.tasks.style import evaluate, unseen_pairs

    restyler = open_restyler(model or config.Global.save_model_dir)
    if restyler.height != config.Preprocess.height:
        raise ScriptoriumError(
            f"Preprocess.height: is {config.Preprocess.height}, but this model makes pictures {restyler.height} pixels "
            f"high; set it to {restyler.height}"
        )
    found = evaluate(restyler, unseen_pairs(config), config)
    log(f"{'':24}{'pairs':>8}{'ssim':>10}{'psnr':>10}")
    for name, likeness in found.details.items():
        result = likeness.result()
        log(f"{name:24}{len(likeness.ssim):8,}{result['ssim']:10.4f}{result['psnr']:10.2f}")
    return found


def _choose_device(gpu: bool) -> None:
    runtime.import_paddle()
    import paddle

    if gpu and not paddle.is_compiled_with_cuda():
        raise ScriptoriumError("Global.use_gpu: this Paddle has no GPU; install the extra gpu, or set it to false")
    paddle.set_device("gpu" if gpu else "cpu")
