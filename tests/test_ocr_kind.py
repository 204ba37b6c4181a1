"""Classifiers of kinds of lines: their data, choices, a run from pictures to figures, exported models, the router."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from page_fakes import RedReader

from augment.errors import ScriptoriumError
from augment.training import TrainingAugment
from ocr.config import KindConfig, load_config
from ocr.data.cls import Folder, KindPreparer
from ocr.data.sampler import Draw, Planned
from ocr.spec import ClsPreprocess, ClsSpec, DetSpec, KindPostProcess, KindSpec, ModelSpec, load_spec
from synth.strict import ConfigError

paddle = pytest.importorskip("paddle")

from ocr.infer.direction import open_turner  # noqa: E402
from ocr.infer.kind import Kinds, open_chooser  # noqa: E402
from ocr.models.cls import build_classifier  # noqa: E402
from ocr.read.reader import Router  # noqa: E402
from ocr.tasks.cls import evaluate_kinds  # noqa: E402

KINDS = ("bars", "rules")


def drawn(kind: str, rng: np.random.Generator, width: int = 120) -> NDArray[np.uint8]:
    """A line in one of two scripts: one has strokes that stand, the other strokes that lie."""
    image = np.full((32, width, 3), rng.integers(190, 250), np.uint8)
    for x in range(6, width - 14, 16):
        x += int(rng.integers(0, 4))
        if kind == "bars":
            image[int(rng.integers(4, 9)) : 26, x : x + 3] = image[6:26, x + 6 : x + 9] = 30
        else:
            for y in (int(rng.integers(5, 9)), 15, 23):
                image[y : y + 3, x : x + 11] = 30
    return image


def folder_of(path: Path, images: list[NDArray[np.uint8]]) -> Path:
    path.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(path / f"{number}.png"), image)
    return path


def values_of(folder: Path) -> dict[str, Any]:
    return {
        "Global": {"save_model_dir": str(folder / "run"), "max_steps": 40, "eval_batch_step": [0, 40]},
        "Architecture": {"model_type": "kind", "Backbone": {"name": "ConvNet", "width": 0.25}},
        "Preprocess": {"width": 96},
        "PostProcess": {"label_list": list(KINDS)},
        "Optimizer": {"name": "AdamW", "lr": {"learning_rate": 0.01}, "ema_decay": 0.8},
        "Train": {
            "sources": [
                {"name": "bars", "path": str(folder / "bars")},
                {"name": "first", "path": str(folder / "rules"), "label": "rules", "limit": 8},
                {"name": "more", "path": str(folder / "rules"), "label": "rules"},
            ],
            "sampler": {"mix": {"bars": 2, "first": 1, "more": 1}},
            "augment": None,
            "loader": {"batch_size_per_card": 16, "num_workers": 0},
        },
        "Eval": {
            "sources": [
                {"name": "a", "path": str(folder / "val_bars"), "label": "bars"},
                {"name": "b", "path": str(folder / "val_rules"), "label": "rules"},
            ]
        },
    }


# -- batches -------------------------------------------------------------------------------------------------------


def test_views_are_of_the_kind_of_their_source(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lines = {kind: [drawn(kind, rng, 200) for _ in range(2)] for kind in KINDS}
    sources = [Folder(kind, folder_of(tmp_path / kind, lines[kind])) for kind in KINDS]
    (tmp_path / "rules" / "z.png").write_bytes(b"nothing")
    sources[1] = Folder("rules", tmp_path / "rules")
    preparer = KindPreparer([*sources, sources[0]], ClsPreprocess(width=96), [1, 0, 1], None, 7)
    plan = Planned([Draw(0, 0), Draw(0, 1), Draw(1, 0), Draw(1, 2), Draw(2, 1)], 32)
    starts = set()
    for step in range(6):
        batch = preparer(step, plan)
        assert batch.classes.tolist() == [1, 1, 0, 1] and batch.images.shape == (4, 32, 96, 1)
        assert [(number, Path(key).name) for number, key, _ in batch.skipped] == [(1, "z.png")]
        # A view is a part of the line, upright, from anywhere.
        grey = cv2.cvtColor(lines["bars"][0], cv2.COLOR_BGR2GRAY)
        [start] = [x for x in range(105) if (grey[:, x : x + 96] == batch.images[0, :, :, 0]).all()]
        starts.add(start)
    assert len(starts) > 3
    plan = Planned([Draw(0, 0), Draw(1, 1)], 32)
    augmented = KindPreparer(sources, ClsPreprocess(width=96), [0, 1], TrainingAugment({"p": 1}, "augment"), 7)
    images = augmented(3, plan).images
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(augmented))(3, plan).images, images)
    assert (images != KindPreparer(sources, ClsPreprocess(width=96), [0, 1], None, 7)(3, plan).images).any()


# -- choices -------------------------------------------------------------------------------------------------------


class Told:
    """Gives the probabilities that the first pixels of a view say, in percent."""

    def __init__(self, *labels: str, thresh: float = 0.9) -> None:
        self.spec = KindSpec(
            architecture={},
            preprocess=ClsPreprocess(width=32),
            postprocess=KindPostProcess(label_list=labels, thresh=thresh),
        )

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return images[:, 0, : len(self.spec.postprocess.label_list), 0].astype(np.float32) / np.float32(100)


def view_of(*percent: int) -> NDArray[np.uint8]:
    image = np.zeros((32, 32), np.uint8)
    image[0, : len(percent)] = percent
    return image


def test_a_kind_is_chosen_from_the_threshold_on() -> None:
    kinds = Kinds(Told("x", "y", "z"))
    assert kinds.names == ("x", "y", "z")
    assert kinds.choose([view_of(3, 92, 5), view_of(12, 88, 0), view_of(95, 5, 0)]) == ["y", None, "x"]
    assert Kinds(Told("x", "y"), thresh=0.6).choose([view_of(30, 70), view_of(45, 55)]) == ["y", None]
    # Views of a longer line vote.
    assert kinds.choose([np.hstack([view_of(12, 88, 0)] * 3)]) == ["y"]
    assert kinds.choose([]) == []


def test_figures_by_hand(tmp_path: Path) -> None:
    folder_of(tmp_path / "x", [view_of(95, 5, 0), view_of(60, 40, 0), view_of(2, 96, 2), view_of(30, 60, 10)])
    folder_of(tmp_path / "z", [view_of(0, 2, 98)])
    values = values_of(tmp_path)
    values["PostProcess"] = {"label_list": ["x", "y", "z"]}
    values["Train"]["sources"] = [{"name": name, "path": "p"} for name in "xyz"]
    values["Train"]["sampler"] = {"mix": {"x": 1, "y": 1, "z": 2}}
    values["Eval"]["sources"] = [{"name": name, "path": str(tmp_path / name)} for name in "xz"]
    found = evaluate_kinds(Kinds(Told("x", "y", "z")), KindConfig.from_values(values))
    counts = found.details["x"]
    assert counts.likeliest.tolist() == [2, 2, 0] and counts.chosen.tolist() == [1, 1, 0] and counts.lines == 4
    assert found.figures == {
        "x/acc": 0.5,
        "z/acc": 1.0,
        "acc": 0.75,
        "x/chosen": 0.25,
        "z/chosen": 1.0,
        "chosen": 0.625,
        "x/wrong": 0.25,
        "z/wrong": 0.0,
        "wrong": 0.125,
    }
    assert found.main == 0.75
    with pytest.raises(ScriptoriumError, match="source z: is of kind z; the classifier model tells x, y"):
        evaluate_kinds(Kinds(Told("x", "y")), KindConfig.from_values(values))


# -- the whole -----------------------------------------------------------------------------------------------------


def test_the_shipped_configuration() -> None:
    config = load_config("configs/cls/kind.yml")
    assert isinstance(config, KindConfig)
    model = build_classifier(config.Architecture, 3, 1)
    model.eval()
    assert list(model(paddle.zeros([2, 1, *config.Preprocess.smallest])).shape) == [2, 3]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, ocr: Any) -> Path:
    folder = tmp_path_factory.mktemp("kind")
    rng = np.random.default_rng(5)
    for kind in KINDS:
        folder_of(folder / kind, [drawn(kind, rng) for _ in range(16)])
        folder_of(folder / f"val_{kind}", [drawn(kind, rng) for _ in range(6)])
    (folder / "kind.yml").write_text(yaml.safe_dump(values_of(folder)), encoding="utf-8")
    done = ocr("train", "-c", folder / "kind.yml")
    assert done.code == 0 and "best     step 40: a/acc 1.0000" in done.out, done
    return folder


def test_a_run_tells_kinds_apart(run: Path, ocr: Any) -> None:
    said = ocr("eval", "-c", run / "kind.yml")
    assert said.code == 0, said
    rows = [line.split() for line in said.out.splitlines()]
    assert ["a", "6", "100.00%"] in [row[:3] for row in rows] and ["b", "6", "100.00%"] in [row[:3] for row in rows]
    assert ["bars", "6", "0"] in rows and ["rules", "0", "6"] in rows
    shown = ocr("show-batch", "-c", run / "kind.yml", "--output", run / "batch.png")
    assert shown.code == 0 and "16 views of 96 × 32 pixels" in shown.out and shown.out.count("   bars  ") == 8
    assert "a classifier needs no labels" in ocr("audit", "-c", run / "kind.yml").error


def test_each_line_is_read_by_one_recogniser(run: Path) -> None:
    rng = np.random.default_rng(6)
    order = [KINDS[number] for number in rng.integers(0, 2, 12)]
    readers = {name: RedReader(prefix=name) for name in reversed(KINDS)}
    kinds = open_chooser(run / "run", thresh=0.5)
    router = Router(readers, kinds)  # type: ignore[arg-type]
    assert [name for name, _ in router.read([drawn(kind, rng) for kind in order])] == order
    assert [len(readers[kind].seen) for kind in KINDS] == [order.count(kind) for kind in KINDS]
    assert set(kinds.choose([drawn("bars", rng), np.full((32, 96), 128, np.uint8)])) <= {*KINDS, None}
    # No probability is above 1, so there is no choice.
    assert open_chooser(run / "run", thresh=1.1).choose([drawn("bars", rng)]) == [None]


def test_exported_models_agree(run: Path, tmp_path: Path, ocr: Any) -> None:
    known = open_chooser(run / "run")
    rng = np.random.default_rng(7)
    images = [drawn(kind, rng, width) for kind, width in (("bars", 120), ("rules", 300), ("bars", 40))]
    expected = known.probabilities(images)
    done = ocr("export", run / "run", "--output", tmp_path / "paddle")
    assert f"next     ocr read --det DIR --rec bars=DIR rules=DIR --choose {tmp_path / 'paddle'} IMAGE…" in done.out
    assert load_spec(tmp_path / "paddle") == known.spec
    np.testing.assert_allclose(open_chooser(tmp_path / "paddle").probabilities(images), expected, atol=1e-3)
    pytest.importorskip("paddle2onnx")
    pytest.importorskip("onnxruntime")
    assert ocr("export", run / "run", "--format", "onnx", "--output", tmp_path / "onnx").code == 0
    np.testing.assert_allclose(open_chooser(tmp_path / "onnx").probabilities(images), expected, atol=1e-3)


def test_a_direction_model_begins_from_it(run: Path, tmp_path: Path, ocr: Any) -> None:
    own = [f"Global.save_model_dir={tmp_path}", "Global.max_steps=1", f"Global.pretrained_model={run / 'run'}"]
    backbone = "Architecture.Backbone={name: ConvNet, width: 0.25}"
    source = f"Train.sources=[{{name: a, path: {run / 'bars'}}}]"
    options = [*own, backbone, source, "Eval.sources=[]", "Train.loader.num_workers=0"]
    done = ocr("train", "-c", "configs/cls/crop.yml", *(part for option in options for part in ("-o", option)))
    assert done.code == 0 and "step 1 of 1" in done.out, done


def test_models_of_other_tasks_are_named(run: Path, tmp_path: Path, ocr: Any) -> None:
    for kind, said in ((ModelSpec, "name a recogniser"), (DetSpec, "name a detector"), (ClsSpec, "name a direction")):
        with pytest.raises(ScriptoriumError, match=f"tells of what kind texts are and does not .*{said}"):
            kind.load(next((run / "run").glob("step-*")))
    with pytest.raises(ScriptoriumError, match="does not tell how they stand"):
        open_turner(run / "run")
    ClsSpec(architecture={}).save(tmp_path)
    with pytest.raises(ScriptoriumError, match="tells how pictures of texts stand and does not tell of what kind they"):
        open_chooser(tmp_path)
    spec = KindSpec(architecture={}, postprocess=KindPostProcess(label_list=("ಕನ್ನಡ", "print")))
    spec.save(tmp_path)
    assert KindSpec.load(tmp_path) == spec
    broken = json.loads((tmp_path / "spec.json").read_text()) | {"postprocess": {"label_list": ["one"]}}
    (tmp_path / "spec.json").write_text(json.dumps(broken))
    with pytest.raises(ScriptoriumError, match="two kinds or more"):
        load_spec(tmp_path)


@pytest.mark.parametrize(
    ("section", "value", "said"),
    [
        ("PostProcess", {"label_list": ["bars"]}, "wants two kinds or more"),
        ("PostProcess", {"label_list": ["bars", "bars"]}, "each once"),
        ("PostProcess", {"label_list": ["bars", "rule"]}, "Train.sources: first is of kind rules.*did you mean rule"),
        ("PostProcess", {"label_list": ["bars", "rules", "dots"]}, "no source of Train.sources is of kind dots"),
        ("PostProcess", {"label_list": [0, 180]}, "PostProcess.label_list"),
        ("Preprocess", {"kind": "page", "width": 32}, "lines are looked at as crop, not as page"),
        ("Eval", {"sources": [{"name": "bar", "path": "x"}]}, "Eval.sources: bar is of kind bar.*did you mean bars"),
        ("Architecture", {"model_type": "cls", "Backbone": {"name": "ConvNet"}}, "label"),
    ],
)
def test_configurations_that_do_not_fit(tmp_path: Path, section: str, value: Any, said: str) -> None:
    file = tmp_path / "kind.yml"
    file.write_text(yaml.safe_dump(values_of(tmp_path) | {section: value}), encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        load_config(file)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("views", {}, "unknown key"),
        ("augment", {"join": {"p": 0.5}}, "join: is for recognisers"),
        ("sources", [{"name": "bars", "path": "x", "lable": "y"}], "did you mean label"),
    ],
)
def test_training_data_that_do_not_fit(tmp_path: Path, key: str, value: Any, said: str) -> None:
    values = values_of(tmp_path)
    values["Train"][key] = value
    with pytest.raises(ConfigError, match=said):
        KindConfig.from_values(values)
