"""Networks that give texts another look: layers, losses, figures, batches, a run from recipe to export."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from augment.errors import ScriptoriumError
from ocr.config import SourceConfig, StyleArchitecture, StyleConfig, StyleLoss, load_config
from ocr.data.sampler import Draw, Planned
from ocr.data.style import PairPreparer, PairSource, StyleBatch, windowed
from ocr.infer.style import Engine, Restyler, open_restyler
from ocr.metrics.style import psnr, ssim
from ocr.spec import ModelSpec, StylePreprocess, StyleSpec, load_spec
from synth.style.engine import GROUP, Patch, open_engine
from synth.style.pairs import GROUND, Pair

paddle = pytest.importorskip("paddle")

from tiny_network import checkpoint, network  # noqa: E402

from ocr.engine.distributed import Group  # noqa: E402
from ocr.infer.export import export_onnx, export_paddle  # noqa: E402
from ocr.infer.style import StyleModelBackend  # noqa: E402
from ocr.losses.style import (  # noqa: E402
    Perception,
    Targets,
    deceit_loss,
    dice_loss,
    gram,
    judges_loss,
    style_loss,
    weighed_difference,
)
from ocr.models.style import Restyled, build_style  # noqa: E402
from ocr.tasks.style import StyleTransfer  # noqa: E402

pytestmark = pytest.mark.usefixtures("own_cache", "one_scan")

ROOT = Path(__file__).resolve().parent.parent
TINY = {"model_type": "style", "Generator": {"name": "SRNet", "width": 4, "blocks": 1}}
JUDGED = TINY | {"Discriminator": {"name": "Patch", "width": 4}}


def model_of(architecture: dict[str, Any] = TINY) -> Any:
    paddle.seed(3)
    with paddle.utils.unique_name.guard():
        return build_style(StyleArchitecture(**architecture))


def tensors(seed: int = 0, size: tuple[int, int] = (32, 48), count: int = 2) -> Targets:
    rng = np.random.default_rng(seed)

    def drawn(channels: int, low: float) -> Any:
        return paddle.to_tensor(rng.uniform(low, 1, (count, channels, *size)).astype(np.float32))

    return Targets(drawn(4, -1), drawn(1, 0), drawn(1, 0), drawn(3, -1), drawn(1, 0), drawn(3, -1), drawn(3, -1))


# -- networks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(32, 8), (32, 136), (48, 64)])
def test_the_generator_takes_any_width(height: int, width: int) -> None:
    model = model_of()
    model.eval()
    made = model(paddle.zeros([2, 4, height, width]))
    channels = {"ink": 1, "skeleton": 1, "text": 3, "mask": 1, "background": 3, "fused": 3}
    for name, found in made._asdict().items():
        assert found.shape == [2, channels[name], height, width]
        low = 0 if channels[name] == 1 else -1
        assert low <= float(found.min()) and float(found.max()) <= 1


def test_every_part_has_a_say() -> None:
    model = model_of(JUDGED)
    targets = tensors()
    made = model(targets.images)
    sum(value.sum() for value in made).backward()
    trained = [(name, p) for name, p in model.generator.named_parameters() if not p.stop_gradient]
    idle = [name for name, parameter in trained if parameter.grad is None]
    assert idle == []
    # The look reaches the letters, and the plain text does not reach the background.
    images = paddle.to_tensor(targets.images.numpy(), stop_gradient=False)
    model(images).text.sum().backward()
    assert float(images.grad[:, :3].abs().max()) > 0 and float(images.grad[:, 3:].abs().max()) > 0
    images = paddle.to_tensor(targets.images.numpy(), stop_gradient=False)
    model(images).background.sum().backward()
    assert float(images.grad[:, 3:].abs().max()) == 0


def test_architectures_that_cannot_be() -> None:
    for keys, message in (
        ({"Generator": {"name": "SRNe"}}, r"Architecture.Generator.name: no generator 'SRNe'"),
        ({"Generator": {"name": "SRNet", "widht": 4}}, "Architecture.Generator.widht: unknown key of SRNet"),
        ({"Generator": {"name": "SRNet", "width": 2}}, "Architecture.Generator: SRNet: width goes from 4 to 128"),
        ({"Discriminator": {"name": "Patch", "width": 1}}, "Architecture.Discriminator: Patch: width goes from 4"),
    ):
        with pytest.raises(ScriptoriumError, match=message):
            model_of(TINY | keys)


# -- losses ----------------------------------------------------------------------------------------------------------


def test_dice() -> None:
    wanted = paddle.to_tensor(np.array([[1, 1, 0, 0]], np.float32).reshape(1, 1, 2, 2))
    half = paddle.to_tensor(np.array([[1, 0, 1, 0]], np.float32).reshape(1, 1, 2, 2))
    assert float(dice_loss(wanted, wanted)) == 0
    assert float(dice_loss(half, wanted)) == pytest.approx(1 - (2 * 1 + 1) / (4 + 1))
    nothing = paddle.zeros([1, 1, 2, 2])
    assert float(dice_loss(nothing, nothing)) == 0
    # Each picture counts alike, however much there is in it.
    both = float(dice_loss(paddle.concat([half, wanted]), paddle.concat([wanted, wanted])))
    assert both == pytest.approx(0.5 * float(dice_loss(half, wanted)))


def test_gram() -> None:
    features = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    a, b = features.reshape(2, 6)
    expected = np.array([[a @ a, a @ b], [b @ a, b @ b]]) / 12
    np.testing.assert_allclose(gram(paddle.to_tensor(features)).numpy()[0], expected, rtol=1e-6)


def test_letters_weigh_more() -> None:
    found, wanted = paddle.zeros([1, 3, 1, 2]), paddle.to_tensor([[[[1.0, 3.0]]] * 3]).reshape([1, 3, 1, 2])
    mask = paddle.to_tensor([[[[0.0, 1.0]]]])
    assert float(weighed_difference(found, wanted, mask, 0.0)) == pytest.approx(2)
    assert float(weighed_difference(found, wanted, mask, 4.0)) == pytest.approx((1 * 1 + 5 * 3) / (1 + 5))


def test_adversaries_learn_from_their_own_part_alone() -> None:
    model, targets = model_of(JUDGED), tensors()
    sides = {"generator": model.generator, "discriminators": model.discriminators}
    # The running statistics of normalisation are parameters, too.
    trained = {name: [p for p in side.parameters() if not p.stop_gradient] for name, side in sides.items()}

    def gradients(loss: Callable[[Restyled], Any]) -> dict[str, list[Any]]:
        model.clear_gradients()
        loss(model(targets.images)).backward()
        return {name: [None if p.grad is None else p.grad.numpy().copy() for p in trained[name]] for name in sides}

    judges = gradients(lambda made: judges_loss(model, made, targets))
    deceit = gradients(lambda made: deceit_loss(model, made, targets))
    assert all(g is None or not g.any() for g in judges["generator"] + deceit["discriminators"])
    assert all(g is not None and g.any() for g in judges["discriminators"])
    assert sum(g is not None and g.any() for g in deceit["generator"]) > 0.9 * len(deceit["generator"])
    both = gradients(lambda made: 0.5 * deceit_loss(model, made, targets) + judges_loss(model, made, targets))
    for one, other in zip(both["discriminators"], judges["discriminators"], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    for one, other in zip(both["generator"], deceit["generator"], strict=True):
        if other is not None:
            np.testing.assert_allclose(one, 0.5 * other, rtol=1e-4, atol=1e-6)
    assert all(not parameter.stop_gradient for parameters in trained.values() for parameter in parameters)


def test_adversarial_losses_by_hand() -> None:
    model, targets = model_of(JUDGED), tensors()
    made = model(targets.images)
    scores = {}
    for name, beside, false, true in (
        ("background", targets.images[:, :3], made.background, targets.background),
        ("fusion", targets.images[:, 3:], made.fused, targets.fused),
    ):
        judge = model.discriminators[name]
        scores[name] = [judge(paddle.concat([beside, image], axis=1)).numpy() for image in (true, false)]
        assert scores[name][0].shape == (2, 1, 4, 6)
    expected = sum((((real - 1) ** 2).mean() + (fake**2).mean()) / 2 for real, fake in scores.values())
    assert float(judges_loss(model, made, targets)) == pytest.approx(float(expected), rel=1e-5)
    expected = sum(((fake - 1) ** 2).mean() for _, fake in scores.values())
    assert float(deceit_loss(model, made, targets)) == pytest.approx(float(expected), rel=1e-5)


def test_the_sum_is_what_the_configuration_weighs() -> None:
    model, targets = model_of(), tensors()
    made = model(targets.images)
    silent = {"text": 0, "ink": 0, "skeleton": 0, "mask": 0, "background": 0, "fusion": 0, "letters": 3}
    parts = {
        "text": weighed_difference(made.text, targets.text, targets.mask, 3),
        "ink": dice_loss(made.ink, targets.ink),
        "skeleton": dice_loss(made.skeleton, targets.skeleton),
        "mask": dice_loss(made.mask, targets.mask),
        "background": (made.background - targets.background).abs().mean(),
        "fusion": weighed_difference(made.fused, targets.fused, targets.mask, 3),
    }
    for name, part in parts.items():
        found = style_loss(model, made, targets, StyleLoss(**(silent | {name: 2.5})), None)
        assert float(found) == pytest.approx(2.5 * float(part), rel=1e-5)
    # What is made as it should be costs nothing.
    perfect = Restyled(
        targets.ink.round(),
        targets.skeleton.round(),
        targets.text,
        targets.mask.round(),
        targets.background,
        targets.fused,
    )
    sharp = targets._replace(ink=targets.ink.round(), skeleton=targets.skeleton.round(), mask=targets.mask.round())
    assert float(style_loss(model, perfect, sharp, StyleLoss(), None)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_perception(channels: int) -> None:
    recogniser, spec = network(channels=channels)
    perception = Perception(recogniser, spec.preprocess)
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (2, 3, 32, 64)).astype(np.float32)
    images = paddle.to_tensor((levels - 127.5) / 127.5, stop_gradient=False)
    features = perception.features(images)
    sizes = [tuple(found.shape[2:]) for found in features]
    assert len(set(sizes)) == len(sizes) > 1
    # The recogniser sees what it would of the picture itself.
    rows = levels.transpose(0, 2, 3, 1).astype(np.uint8)
    shown = rows if channels == 3 else np.stack([cv2.cvtColor(row, cv2.COLOR_BGR2GRAY) for row in rows])[..., None]
    own = perception._backbone(paddle.to_tensor(spec.preprocess.normalise(shown)))
    again = perception._backbone(
        (images * 127.5 + 127.5 - spec.preprocess.mean) / spec.preprocess.scale
        if channels == 3
        else paddle.to_tensor(
            ((levels * np.reshape((0.114, 0.587, 0.299), (1, 3, 1, 1))).sum(1, keepdims=True) - 127.5) / 127.5
        ).astype("float32")
    )
    np.testing.assert_allclose(own.numpy(), again.numpy(), atol=0.05)
    other = paddle.to_tensor(rng.uniform(-1, 1, (2, 3, 32, 64)).astype(np.float32))
    assert float(perception.loss(images, images.detach(), 1.0, 500.0)) == pytest.approx(0, abs=1e-5)
    theirs = perception.features(other)
    content = sum(float((a - b).abs().mean()) for a, b in zip(features, theirs, strict=True))
    look = sum(float((gram(a) - gram(b)).abs().mean()) for a, b in zip(features, theirs, strict=True))
    found = perception.loss(images, other, 2.0, 3.0)
    assert float(found) == pytest.approx(2 * content + 3 * look, rel=1e-4)
    found.backward()
    assert float(images.grad.abs().max()) > 0
    assert all(parameter.grad is None for parameter in recogniser.parameters())


# -- figures ---------------------------------------------------------------------------------------------------------


def test_psnr_and_ssim_by_hand() -> None:
    a, b = np.full((16, 20), 100, np.uint8), np.full((16, 20), 110, np.uint8)
    assert psnr(a, a) == 100 and psnr(a, b) == pytest.approx(20 * np.log10(255 / 10))
    c1 = (0.01 * 255) ** 2
    assert ssim(a, a) == pytest.approx(1) and ssim(a, b) == pytest.approx((2 * 100 * 110 + c1) / (100**2 + 110**2 + c1))
    # One window: the definition, written out.
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 256, (2, 11, 11)).astype(np.uint8)
    weight = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weight = np.outer(weight, weight) / weight.sum() ** 2
    mx, my = (weight * x).sum(), (weight * y).sum()
    vx, vy = (weight * (x - mx) ** 2).sum(), (weight * (y - my) ** 2).sum()
    xy, c2 = (weight * (x - mx) * (y - my)).sum(), (0.03 * 255) ** 2
    expected = (2 * mx * my + c1) * (2 * xy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim(x, y) == pytest.approx(expected, rel=1e-9)
    assert ssim(np.stack([x] * 3, 2), np.stack([y] * 3, 2)) == pytest.approx(expected, abs=0.01)
    with pytest.raises(ValueError, match="at least 11 × 11, not 8 × 20"):
        ssim(a[:8], b[:8])


# -- batches ---------------------------------------------------------------------------------------------------------


def pair_of(width: int) -> Pair:
    rng = np.random.default_rng(width)

    def drawn(*shape: int) -> Any:
        return rng.integers(1, 200, shape).astype(np.uint8)

    three = [drawn(32, width, 3) for _ in range(4)]
    one = [drawn(32, width) for _ in range(4)]
    return Pair(
        three[0],
        one[3],
        one[0],
        one[1],
        three[1],
        three[2],
        three[3],
        one[2],
        "ab",
        ["a", "b"],
        np.zeros((2, 4, 2), np.float32),
        "c",
    )


def test_windows_of_wide_pairs_are_one_place_in_all_parts() -> None:
    pair = pair_of(90)
    found = [windowed(pair, 40, np.random.default_rng(seed)) for seed in range(6)]
    starts = set()
    for window in found:
        [start] = [x for x in range(51) if (pair.mask[:, x : x + 40] == window.mask).all()]
        starts.add(start)
        for name in ("style", "ink", "target", "skeleton", "text", "background", "fused"):
            np.testing.assert_array_equal(getattr(window, name), getattr(pair, name)[:, start : start + 40])
    assert len(starts) > 2
    np.testing.assert_array_equal(windowed(pair, 40).mask, pair.mask[:, :40])


def test_windows_of_narrow_pairs_go_on_without_text() -> None:
    pair = pair_of(30)
    found = windowed(pair, 70)
    assert found.mask.shape == (32, 70) and not found.mask[:, 30:].any() and not found.skeleton[:, 30:].any()
    assert (found.target[:, 30:] == GROUND).all() and (found.text[:, 30:] == GROUND).all()
    np.testing.assert_array_equal(found.style[:, 30:60], pair.style[:, ::-1])
    np.testing.assert_array_equal(found.ink[:, 30:60], pair.ink[:, ::-1])
    np.testing.assert_array_equal(found.fused[:, :30], pair.fused)
    np.testing.assert_array_equal(found.fused[:, 30:], found.background[:, 30:])


def source_config(tmp_path: Path, dejavu: list[Path], name: str = "pairs") -> dict[str, Any]:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("Harbour\nwindow\nFive\nold\n", encoding="utf-8")
    return {
        "name": name,
        "recipe": "document",
        "corpus": [str(corpus)],
        "fonts": [str(path) for path in dejavu],
        "overrides": ["corpus.piece=word"],
    }


def test_batches_follow_from_step_and_seed(tmp_path: Path, dejavu: list[Path]) -> None:
    source = PairSource(SourceConfig(**source_config(tmp_path, dejavu)), 5, 32)
    preparer = pickle.loads(pickle.dumps(PairPreparer([source], 48, 1)))
    planned = Planned([Draw(0, index) for index in (4, 9)], 32)
    batch = preparer(3, planned)
    assert batch.keys == ["pairs: pair 4", "pairs: pair 9"] and batch.skipped == []
    again = PairPreparer([source], 48, 1)(3, planned)
    for name, channels in (
        ("images", 4),
        ("ink", 1),
        ("skeleton", 1),
        ("text", 3),
        ("mask", 1),
        ("background", 3),
        ("fused", 3),
    ):
        assert getattr(batch, name).shape == (2, 32, 48, channels)
        np.testing.assert_array_equal(getattr(batch, name), getattr(again, name))
    sample = source.sample(4)
    assert sample.text == source.pair(4).label and sample.key == "pairs: pair 4"


# -- a run -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, dejavu: list[Path]) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("style")
    return {
        "Global": {
            **{"save_model_dir": str(folder / "run"), "epoch_num": 1, "eval_batch_step": [0, 2]},
            **{"print_batch_step": 1, "threads": 1, "seed": 4},
        },
        "Architecture": JUDGED,
        "Optimizer": {"lr": {"learning_rate": 0.003}, "ema_decay": 0.5, "lr_factors": {"discriminators": 0.5}},
        "Train": {
            "sources": [source_config(folder, dejavu)],
            "sampler": {"epoch_size": 12},
            "width": 48,
            "loader": {"batch_size_per_card": 3, "num_workers": 0},
        },
        "Eval": {"sources": [source_config(folder, dejavu, "unseen")], "pairs": 3},
    }


@pytest.fixture(scope="module")
def run(settings: dict[str, Any], ocr: Any) -> Path:
    folder = Path(settings["Global"]["save_model_dir"])
    config = folder.parent / "config.yml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    done = ocr("train", "-c", config)
    assert done.code == 0, done.err
    assert "drawn while training" in done.out and "network  SRNet" in done.out and "best     step" in done.out
    return folder


def test_a_run_leaves_figures_and_a_spec(run: Path) -> None:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [row for row in rows if row["kind"] == "eval"]
    assert [row["step"] for row in found] == [2, 4]
    assert all(-1 <= row["ssim"] <= 1 and 0 < row["psnr"] <= 100 for row in found)
    spec = load_spec(next(run.glob("step-*")))
    assert isinstance(spec, StyleSpec) and spec.preprocess == StylePreprocess() and spec.task == "style"


def test_a_run_that_goes_on_is_one_that_never_stopped(run: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    from ocr.engine import checkpoint as store
    from ocr.engine.trainer import Trainer

    def trained(steps: int, start: Path | None, folder: Path) -> Path:
        values = settings | {"Global": settings["Global"] | {"save_model_dir": str(folder)}}
        config = StyleConfig.from_values(values)
        trainer = Trainer(config, StyleTransfer(config, Group(), lambda line: None), Group(), lambda line: None)
        if start is not None:
            trainer.restore(start)
        while trainer.step < steps:
            with trainer.task.batches(trainer.step) as batches:
                trainer._train_mode()
                trainer._gradients(iter(batches))
            trainer._update()
            trainer.step += 1
        return trainer.save()  # type: ignore[return-value]

    half = trained(2, None, tmp_path / "half")
    whole, joined = store.load(trained(4, None, tmp_path / "a")), store.load(trained(4, half, tmp_path / "b"))
    for one, other in ((whole.weights, joined.weights), (whole.ema, joined.ema), (whole.optimiser, joined.optimiser)):
        assert one.keys() == other.keys() and any("discriminators" in name for name in whole.weights)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_eval_and_export(run: Path, ocr: Any, tmp_path: Path) -> None:
    config = run.parent / "config.yml"
    done = ocr("eval", "-c", config)
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines()][-1] == "unseen"
    done = ocr("export", run, "--output", tmp_path / "export")
    assert done.code == 0 and "next     ocr eval -c FILE --model" in done.out
    pair = PairSource(load_config(config).Eval.sources[0], 1, 32).pair(0)  # type: ignore[arg-type]
    own, exported = (open_restyler(path) for path in (run, tmp_path / "export"))
    [one], [other] = (restyler.restyle([pair.style], [pair.target]) for restyler in (own, exported))
    assert one.image.shape == pair.fused.shape and one.mask.shape == pair.mask.shape
    for name in ("image", "text", "mask"):
        assert np.abs(getattr(one, name).astype(int) - getattr(other, name)).max() <= 1
    # A model of another task, and of another height.
    with pytest.raises(ScriptoriumError, match="gives texts another look and does not read them"):
        ModelSpec.load(tmp_path / "export")
    done = ocr("eval", "-c", config, "-o", "Preprocess.height=48")
    assert done.code == 2 and "makes pictures 32 pixels high; set it to 32" in done.err


def test_onnx(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("paddle2onnx")
    export_onnx(run, tmp_path / "onnx")
    styles, targets = [np.full((32, 30, 3), 90, np.uint8)], [np.full((32, 50), GROUND, np.uint8)]
    own, exported = (open_restyler(path).restyle(styles, targets)[0] for path in (run, tmp_path / "onnx"))
    assert np.abs(own.image.astype(int) - exported.image).max() <= 1


def test_show_batch(run: Path, ocr: Any, tmp_path: Path) -> None:
    done = ocr("show-batch", "-c", run.parent / "config.yml", "--output", tmp_path / "batch.png")
    assert done.code == 0 and "3 pairs of 48 × 32 pixels" in done.out
    assert cv2.imread(str(tmp_path / "batch.png")) is not None
    done = ocr("audit", "-c", run.parent / "config.yml")
    assert done.code == 2 and "need no audit" in done.err


def test_what_training_refuses(settings: dict[str, Any], tmp_path: Path) -> None:
    def config(**changes: dict[str, Any]) -> StyleConfig:
        return StyleConfig.from_values({key: value | changes.get(key, {}) for key, value in settings.items()})

    with pytest.raises(ScriptoriumError, match="pairs of texts in one look are drawn: give a recipe, not a path"):
        config(Train={"sources": [{"name": "real", "path": str(tmp_path)}]})
    with pytest.raises(ScriptoriumError, match="pairs of texts in one look are drawn"):
        config(Eval={"sources": [{"name": "real", "path": str(tmp_path)}]})
    with pytest.raises(ScriptoriumError, match="easy_first and heights are of recognisers alone"):
        config(Train={"sampler": {"epoch_size": 6, "heights": [32]}})
    with pytest.raises(ScriptoriumError, match=r"Preprocess\.height"):
        config(Preprocess={"height": 40}) if "Preprocess" in settings else StyleConfig.from_values(
            settings | {"Preprocess": {"height": 40}}
        )
    reader = export_paddle(checkpoint(tmp_path / "rec"), tmp_path / "export")
    with pytest.raises(ScriptoriumError, match="an exported model, whose features cannot be looked at"):
        perceptual = {"perceptual": {"model": str(reader)}}
        StyleTransfer(StyleConfig.from_values(settings | {"Loss": perceptual}), Group(), lambda line: None)


def test_a_recogniser_takes_part_in_the_loss(settings: dict[str, Any], tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "rec")
    losses = []
    for perceptual in (None, {"model": str(folder), "content": 1, "look": 100}):
        config = StyleConfig.from_values(settings | {"Loss": {"perceptual": perceptual}})
        task = StyleTransfer(config, Group(), lambda line: None)
        with task.batches(0) as batches:
            batch = next(iter(batches))
        assert isinstance(batch, StyleBatch)
        loss, count = task.loss(batch)
        assert count == 3
        losses.append(float(loss))
        assert not any("backbone" in name for name, _ in task.model.named_parameters())
    assert losses[1] > losses[0] + 1e-3
    task.keep(batch, tmp_path / "kept")
    kept = cv2.imread(str(tmp_path / "kept" / "0000.png"))
    assert kept is not None and kept.shape == (8 * 32, 48, 3)


# -- patches ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def restyler() -> Restyler:
    spec = StyleSpec(architecture=StyleArchitecture(**TINY).model_dump(mode="json"))
    return Restyler(StyleModelBackend(model_of(), spec), max_batch_pixels=32 * 256)


def test_patches_do_not_depend_on_their_company(restyler: Restyler) -> None:
    rng = np.random.default_rng(0)
    styles = [rng.integers(0, 256, (32, width, 3)).astype(np.uint8) for width in (20, 300, 64, 64, 9)]
    targets = [rng.integers(0, 128, (32, width)).astype(np.uint8) for width in (70, 40, 64, 70, 1)]
    found = restyler.restyle(styles, targets)
    for style, target, patch in zip(styles, targets, found, strict=True):
        assert isinstance(patch, Patch) and patch.image.shape == patch.text.shape == (*target.shape, 3)
        assert patch.mask.shape == target.shape
        [alone] = restyler.restyle([style], [target])
        assert np.abs(alone.image.astype(int) - patch.image).max() <= 1
    assert restyler.restyle([], []) == []


def test_pictures_that_do_not_fit(restyler: Restyler) -> None:
    style, target = np.zeros((32, 20, 3), np.uint8), np.zeros((32, 30), np.uint8)
    for styles, targets, message in (
        ([style[:24]], [target], "style 0: is 24 pixels high; this model takes 32"),
        ([style], [target[:30]], "target 0: is 30 pixels high"),
        ([style[..., 0]], [target], "style 0: is 32 × 20 of uint8; give height × width × 3"),
        ([style], [target.astype(np.float32)], "target 0: is 32 × 30 of float32"),
        ([style[:, :0]], [target], "style 0: is 32 × 0 × 3"),
    ):
        with pytest.raises(ScriptoriumError, match=message):
            restyler.restyle(styles, targets)


def test_engines_are_found_by_their_entry_point(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = parser["options.entry_points"][GROUP].strip().splitlines()
    [(name, _, place)] = [line.partition(" = ") for line in lines]
    module, _, attribute = place.partition(":")
    assert name == "learned" and getattr(import_module(module), attribute) is Engine

    class Entry:
        name = "learned"

        def load(self) -> Any:
            return Engine

    monkeypatch.setattr("synth.style.engine.entry_points", lambda group: [Entry()] if group == GROUP else [])
    engine = open_engine(run, 32)
    [patch] = engine.restyle([np.full((32, 30, 3), 90, np.uint8)], [np.full((32, 50), GROUND, np.uint8)])
    assert patch.image.shape == (32, 50, 3)
    # The digest is of the network: the same of a copy, another of other weights.
    assert len(engine.digest) == 64 and open_engine(run, 32).digest == engine.digest
    with pytest.raises(
        ScriptoriumError, match=r"makes pictures 32 pixels high, not 48; set layout.height=32, or train"
    ):
        open_engine(run, 48)
    with pytest.raises(ScriptoriumError, match="reads texts and does not give them another look"):
        open_engine(checkpoint(tmp_path / "rec"), 32)
    with pytest.raises(ScriptoriumError, match="does not exist"):
        open_engine(tmp_path / "nothing", 32)
    monkeypatch.setattr("synth.style.engine.entry_points", lambda group: [])
    with pytest.raises(ScriptoriumError, match=r"'learned': no installed package has it \(known: none\)"):
        open_engine(run, 32)


@pytest.mark.parametrize("name", ["srnet", "srnet_light"])
def test_shipped_configurations(name: str) -> None:
    config = load_config(f"configs/style/{name}.yml")
    assert isinstance(config, StyleConfig)
    model = build_style(config.Architecture)
    assert (model.discriminators is not None) == (name == "srnet")
    text = (ROOT / f"configs/style/{name}.yml").read_text(encoding="utf-8")
    assert f"#   ocr train -c configs/style/{name}.yml" in text.splitlines()
    assert sorted(path.stem for path in (ROOT / "configs/style").iterdir()) == ["srnet", "srnet_light"]
