"""Direction classifiers: views, turned pictures, votes, a run from pictures to figures, exported models."""

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

from augment.errors import ScriptoriumError
from ocr.config import ClsConfig, SourceConfig, Views, load_config
from ocr.data.cls import ClsBatch, Folder, TurnPreparer, open_pictures, turned
from ocr.data.sampler import Draw, Planned
from ocr.infer.images import decode
from ocr.spec import ClsPostProcess, ClsPreprocess, ClsSpec, DetSpec, ModelSpec, load_spec

paddle = pytest.importorskip("paddle")

from ocr.engine.distributed import Group  # noqa: E402
from ocr.infer.direction import Direction, open_turner  # noqa: E402
from ocr.infer.export import export_onnx, export_paddle  # noqa: E402
from ocr.models.cls import build_classifier  # noqa: E402
from ocr.tasks import cls as task  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
ALL = (0, 90, 180, 270)
PAGE = ClsPreprocess(kind="page", height=64, width=64, views=4, limit_side_len=256)


def drawn_line(rng: np.random.Generator, width: int = 120) -> NDArray[np.uint8]:
    """A line of marks that stand on a base line: L-shaped, all the same way up."""
    image = np.full((32, width, 3), rng.integers(190, 250), np.uint8)
    for x in range(6, width - 12, 16):
        x += int(rng.integers(0, 4))
        top = int(rng.integers(4, 9))
        image[top:26, x : x + 3] = 30
        image[23:26, x : x + 10] = 30
    return image


def drawn_page(rng: np.random.Generator) -> NDArray[np.uint8]:
    page = np.full((220, 160, 3), 235, np.uint8)
    for y in range(20, 180, 40):
        page[y : y + 32, 16:136] = drawn_line(rng)
    return page


def folder_of(path: Path, images: list[NDArray[np.uint8]]) -> Path:
    path.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(path / f"{number}.png"), image)
    return path


# -- views ---------------------------------------------------------------------------------------------------------


def test_views_of_a_line_cover_it_evenly() -> None:
    preprocess = ClsPreprocess(height=32, width=64, views=3)
    image = np.tile(np.arange(150, dtype=np.uint8), (32, 1))
    views = preprocess(image)
    assert views.shape == (3, 32, 64, 1)
    assert views[:, 0, 0, 0].tolist() == [0, 43, 86] and views[-1, 0, -1, 0] == 149
    assert len(preprocess(image[:, :64])) == 1 and len(preprocess(image[:, :65])) == 2
    # A longer line has gaps between its views; a shorter one stands in the middle of grey.
    assert preprocess.starts(640) == [0, 288, 576]
    [short] = preprocess(image[:, :24])
    assert (short[:, 20:44, 0] == image[:, :24]).all() and (short[:, :20] == 128).all() and (short[:, 44:] == 128).all()
    # A line that runs downwards is laid down as for recognisers.
    np.testing.assert_array_equal(preprocess(np.rot90(image, -1)), views)
    for shape in ((1, 1), (1, 5000), (5000, 1), (20, 20000)):
        assert preprocess(np.zeros(shape, np.uint8)).shape[1:] == (32, 64, 1)
    single = ClsPreprocess(height=32, width=64, views=1)
    assert single.starts(150) == [43]


def test_views_of_a_page_show_where_most_is() -> None:
    page = np.full((200, 256), 220, np.uint8)
    page[130:190, 190:250] = np.random.default_rng(0).integers(0, 256, (60, 60))  # most detail
    page[10:40, 10:40] = np.random.default_rng(1).integers(100, 200, (30, 30))
    views = PAGE(page)
    assert views.shape[1:] == (64, 64, 1) and 3 <= len(views) <= 4
    assert PAGE.places(page)[0] == (192, 136)
    # The whole lies in the middle of grey.
    assert (views[0][:7] == 128).all() and (views[0][-7:] == 128).all() and (views[0][9:55] != 128).any()
    # No two squares show nearly the same, and blank pages have none.
    places = PAGE.places(np.random.default_rng(2).integers(0, 256, (256, 256)).astype(np.uint8))
    assert len(places) == 3
    assert min(max(abs(a - c), abs(b - d)) for i, (a, b) in enumerate(places) for c, d in places[:i]) >= 48
    assert PAGE.places(np.zeros((256, 256), np.uint8)) == [] and len(PAGE(np.zeros((256, 256), np.uint8))) == 1
    for shape in ((1, 1), (1, 5000), (3000, 1)):
        assert PAGE(np.zeros(shape, np.uint8)).shape == (1, 64, 64, 1)


@pytest.mark.parametrize("degrees", ALL)
def test_views_turn_with_the_page(degrees: int) -> None:
    page = np.random.default_rng(3).integers(0, 256, (256, 192)).astype(np.uint8)
    straight = {view.tobytes() for view in PAGE(page)}
    back = {turned(view, -degrees).tobytes() for view in PAGE(turned(page, degrees))}
    assert straight == back


def test_turned_is_clockwise() -> None:
    image = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    assert turned(image, 90).tolist() == [[4, 1], [5, 2], [6, 3]]
    assert turned(image, 180).tolist() == [[6, 5, 4], [3, 2, 1]]
    assert turned(turned(image, 270), 90).tolist() == image.tolist()


# -- batches -------------------------------------------------------------------------------------------------------


def test_lines_are_turned_by_what_their_class_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    lines = [drawn_line(rng) for _ in range(4)]
    source = Folder("lines", folder_of(tmp_path / "lines", lines))
    preparer = TurnPreparer([source], Views(), ClsPreprocess(width=128), ClsPostProcess(), None, 7)
    plan = Planned([Draw(0, index) for index in (0, 1, 2, 3, 0, 1, 2, 3)], 32)
    batches = [preparer(step, plan) for step in range(8)]
    for batch in batches:
        assert batch.images.shape == (8, 32, 128, 1) and batch.skipped == [] and batch.keys[5].endswith("1.png")
        for draw, image, chosen in zip(plan.draws, batch.images, batch.classes, strict=True):
            grey = cv2.cvtColor(turned(lines[draw.index], (0, 180)[chosen]), cv2.COLOR_BGR2GRAY)
            np.testing.assert_array_equal(image[:, 4:124, 0], grey)
    # One sample comes both ways, and a step's batch is always the same.
    assert {int(batch.classes[0]) for batch in batches} == {0, 1}
    again = pickle.loads(pickle.dumps(preparer))(3, plan)
    np.testing.assert_array_equal(again.images, batches[3].images)


def test_pages_are_turned_by_what_their_class_says(tmp_path: Path) -> None:
    # Bright above, dark below, red at the left: the direction can be read off any view.
    page = np.zeros((240, 240, 3), np.uint8)
    page += np.linspace(250, 10, 240).astype(np.uint8)[:, None, None]
    page[:, :, 1] = np.linspace(0, 250, 240).astype(np.uint8)
    page[::6] //= 2
    source = Folder("pages", folder_of(tmp_path / "pages", [page]))
    preprocess = PAGE.model_copy(update={"channels": 3})
    views = Views(squares=16, whole=0.3, degrees=0)
    preparer = TurnPreparer([source], views, preprocess, ClsPostProcess(label_list=ALL), None, 1)
    batch = preparer(0, Planned([Draw(0, 0)], 64))
    assert batch.images.shape == (16, 64, 64, 3) and set(batch.classes.tolist()) == {0, 1, 2, 3}
    for image, chosen in zip(batch.images, batch.classes, strict=True):
        upright = turned(image, -ALL[chosen]).astype(float)
        upright[(upright == 128).all(2)] = np.nan  # beyond the page
        assert np.nanmean(upright[:32, :, 0]) > np.nanmean(upright[32:, :, 0])
        assert np.nanmean(upright[:, :32, 1]) < np.nanmean(upright[:, 32:, 1])
    degraded = TurnPreparer([source], Views(), PAGE, ClsPostProcess(label_list=ALL), {}, 1)
    assert degraded(0, Planned([Draw(0, 0)], 64)).images.shape == (4, 64, 64, 1)


def test_sources(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "lines").mkdir()
    cv2.imwrite(str(tmp_path / "lines/a.png"), np.zeros((9, 9), np.uint8))
    (tmp_path / "lines/b.png").write_bytes(b"nothing")
    found = open_pictures(SourceConfig(name="x", path=tmp_path / "lines"))
    assert isinstance(found, Folder) and len(found) == 2 and found.stamp() != Folder("y", tmp_path).stamp()[:5]
    batch = TurnPreparer([found], Views(), ClsPreprocess(), ClsPostProcess(), None, 0)(
        0, Planned([Draw(0, 0), Draw(0, 1)], 32)
    )
    assert len(batch.keys) == 1 and batch.skipped[0][1].endswith("b.png")
    assert len(open_pictures(SourceConfig(name="x", path=tmp_path / "lines", limit=1))) == 1  # type: ignore[arg-type]
    with pytest.raises(ScriptoriumError, match=r"source x: .*empty holds no pictures"):
        open_pictures(SourceConfig(name="x", path=tmp_path / "empty"))
    # Labels, of recognisers or detectors, are passed over.
    (tmp_path / "lines/labels.tsv").write_text("a.png\t[{]\n", encoding="utf-8")
    assert not isinstance(open_pictures(SourceConfig(name="x", path=tmp_path / "lines")), Folder)


# -- votes ---------------------------------------------------------------------------------------------------------


class Told:
    """Gives the probabilities that the first pixels of a view say, in percent."""

    def __init__(self, spec: ClsSpec) -> None:
        self.spec = spec
        self.sizes: list[int] = []

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.sizes.append(len(images))
        return images[:, 0, : len(self.spec.postprocess.label_list), 0].astype(np.float32) / np.float32(100)


def view_of(*percent: int) -> NDArray[np.uint8]:
    image = np.zeros((32, 32), np.uint8)
    image[0, : len(percent)] = percent
    return image


def test_votes_and_threshold() -> None:
    preprocess = ClsPreprocess(kind="crop", width=32, views=8)
    spec = ClsSpec(architecture={}, preprocess=preprocess, postprocess=ClsPostProcess(label_list=ALL))
    turner = Direction(Told(spec), max_batch_pixels=3 * 32 * 32)
    sure, unsure = view_of(1, 95, 2, 2), view_of(30, 10, 55, 5)
    assert turner.turns([sure, unsure]) == [(1, pytest.approx(0.95, abs=1e-5)), (0, pytest.approx(0.3, abs=1e-5))]
    # Views that agree are surer together: 0.55² against 0.3² + 0.1² + 0.05².
    [(turns, probability)] = turner.turns([np.hstack([unsure] * 2)])
    assert (turns, probability) == (0, pytest.approx(0.3**2 / (0.3**2 + 0.1**2 + 0.55**2 + 0.05**2), abs=1e-4))
    [(turns, probability)] = turner.turns([np.hstack([unsure] * 5)])
    assert turns == 2 and probability > 0.9
    # One view does not outvote the others, however sure it is.
    certain = view_of(100, 0, 0, 0)
    assert turner.turns([np.hstack([sure] * 6 + [certain])])[0][0] == 1
    backend = Told(spec)
    pictures = [np.hstack([sure] * 4), unsure, np.hstack([sure] * 2)]
    rows = Direction(backend, max_batch_pixels=3 * 32 * 32).probabilities(pictures)
    assert backend.sizes == [3, 3, 1]  # views of several pictures share a batch
    for row, image in zip(rows, pictures, strict=True):
        np.testing.assert_allclose(row, Direction(Told(spec)).probabilities([image])[0])
    assert Direction(Told(spec), thresh=0.5).turns([unsure])[0][0] == 2
    assert turner.turns([]) == []


# -- the whole -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["crop", "page"])
def test_shipped_configurations(name: str) -> None:
    config = load_config(f"configs/cls/{name}.yml")
    assert isinstance(config, ClsConfig) and config.Preprocess.kind == name
    classes = len(config.PostProcess.label_list)
    model = build_classifier(config.Architecture, classes, config.Preprocess.channels)
    model.eval()
    height, width = config.Preprocess.smallest
    assert list(model(paddle.zeros([2, 1, height, width])).shape) == [2, classes]


def test_loss_by_hand() -> None:
    config = ClsConfig.from_values(
        {
            "Architecture": {"Backbone": {"name": "ConvNet", "width": 0.25}},
            "Loss": {"label_smoothing": 0.1},
            "Train": {"sources": [{"name": "a", "path": "b"}]},
        }
    )
    made = task.Direction(config, Group(), print, data=False)
    scores = np.array([[2.0, -1.0], [0.5, 0.25]])
    made.model = lambda images: paddle.to_tensor(scores.astype(np.float32))
    batch = ClsBatch(np.zeros((2, 32, 160, 1), np.uint8), np.array([0, 1]), ["a", "b"])
    logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    expected = -np.mean([0.95 * logs[0, 0] + 0.05 * logs[0, 1], 0.05 * logs[1, 0] + 0.95 * logs[1, 1]])
    found, count = made.loss(batch)
    assert float(found) == pytest.approx(expected, rel=1e-5) and count == 2


@pytest.fixture(scope="module", params=["crop", "page"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ocr: Any) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    rng = np.random.default_rng(5)
    draw = drawn_line if request.param == "crop" else drawn_page
    train = folder_of(folder / "train", [draw(rng) for _ in range(32)])
    val = folder_of(folder / "val", [draw(rng) for _ in range(6)])
    page = {"kind": "page", "height": 64, "width": 64, "views": 4, "limit_side_len": 224}
    values = {
        "Global": {"save_model_dir": str(folder / "run"), "max_steps": 100, "eval_batch_step": [0, 100]},
        "Architecture": {"model_type": "cls", "Backbone": {"name": "ConvNet", "width": 0.25}},
        "Preprocess": {"kind": "crop", "width": 96} if request.param == "crop" else page,
        "PostProcess": {"label_list": [0, 180] if request.param == "crop" else list(ALL)},
        "Optimizer": {"name": "AdamW", "lr": {"learning_rate": 0.01}, "ema_decay": 0.9},
        "Train": {
            "sources": [{"name": "own", "path": str(train)}],
            "augment": None,
            "views": {"squares": 4, "scale": [0.9, 1.1]},
            "loader": {"batch_size_per_card": 16 if request.param == "crop" else 4, "num_workers": 0},
        },
        "Eval": {"sources": [{"name": "val", "path": str(val)}]},
    }
    file = folder / "cls.yml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    done = ocr("train", "-c", file)
    assert done.code == 0 and "best     step 100: acc" in done.out, done
    return folder


def test_a_run_learns_and_turns_pictures(run: Path, ocr: Any) -> None:
    said = ocr("eval", "-c", run / "cls.yml")
    assert said.code == 0, said
    name, pictures, acc, upright, _ = said.out.split()[-5:]
    assert (name, pictures) == ("val", "6") and float(acc.rstrip("%")) >= 90 and float(upright.rstrip("%")) >= 50
    kind = run.name.rstrip("0123456789")
    turner = open_turner(run / "run", kind)  # type: ignore[arg-type]
    image = (drawn_line if kind == "crop" else drawn_page)(np.random.default_rng(99))
    for by in turner.spec.postprocess.label_list:
        shown = turned(image, by)
        [(turns, _)] = Direction(turner._backend, thresh=0).turns([shown])
        np.testing.assert_array_equal(np.rot90(shown, turns), image)
    other = "page" if kind == "crop" else "crop"
    with pytest.raises(ScriptoriumError, match=f"was trained on pictures of kind {kind}; name one of {other}"):
        open_turner(run / "run", other)  # type: ignore[arg-type]
    for wanted in (ModelSpec, DetSpec):
        with pytest.raises(ScriptoriumError, match="tells how pictures of texts stand"):
            wanted.load(next((run / "run").glob("step-*")))
    assert "tells how pictures of texts stand" in ocr("predict", "--model", run / "run", run / "val/0.png").error


def test_exported_models_agree(run: Path, tmp_path: Path, ocr: Any) -> None:
    known = open_turner(str(run / "run"))
    image = decode((run / "val/0.png").read_bytes(), "0.png")
    expected = known.probabilities([image, turned(image, 180)])
    kind = known.spec.preprocess.kind
    done = ocr("export", run / "run", "--output", tmp_path / "paddle")
    assert done.code == 0 and f"--{'line' if kind == 'crop' else 'page'}-direction {tmp_path / 'paddle'}" in done.out
    np.testing.assert_allclose(
        open_turner(tmp_path / "paddle").probabilities([image, turned(image, 180)]), expected, atol=1e-3
    )
    assert load_spec(export_paddle(run / "run", tmp_path / "again")) == known.spec
    pytest.importorskip("paddle2onnx")
    pytest.importorskip("onnxruntime")
    onnx = open_turner(export_onnx(run / "run", tmp_path / "onnx"))
    np.testing.assert_allclose(onnx.probabilities([image, turned(image, 180)]), expected, atol=1e-3)


def test_the_batch_is_drawn(run: Path, ocr: Any) -> None:
    done = ocr("show-batch", "-c", run / "cls.yml", "--output", run / "batch.png")
    assert done.code == 0 and "16 views of" in done.out and (run / "batch.png").stat().st_size > 1000
    assert "look at its data with `ocr show-batch`" in ocr("audit", "-c", run / "cls.yml").error


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("PostProcess.label_list", "[0, 90]", "crops stand at 0 or 180 degrees"),
        ("PostProcess.label_list", "[90, 180]", "wants 0 and other directions"),
        ("Preprocess.kind", "page", "must be equal"),
        ("Train.views.scale", "[2, 1]", "views.scale"),
        ("Train.sampler.easy_first", "5", "of recognisers alone"),
        ("Architecture.Backbone.name", "ConvNot", "did you mean ConvNet"),
        ("Architecture.Head.drop", "0.5", "did you mean drop_rate"),
        ("Train.sources.0.path", "/nowhere", "is not there"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, ocr: Any, key: str, value: str, said: str) -> None:
    path = folder_of(tmp_path / "lines", [drawn_line(np.random.default_rng(0))])
    sources = f"Train.sources=[{{name: a, path: {path}}}]"
    options = ["-o", sources, "-o", f"Global.save_model_dir={tmp_path / 'run'}", "-o", "Train.loader.num_workers=0"]
    assert said in ocr("train", "-c", "configs/cls/crop.yml", *options, "-o", f"{key}={value}").err


def test_specs_are_told_apart(tmp_path: Path) -> None:
    ClsSpec(architecture={}).save(tmp_path)
    assert ClsSpec.load(tmp_path).postprocess.thresh == 0.9
    (tmp_path / "spec.json").write_text(json.dumps({"task": ["cls"]}))
    with pytest.raises(ScriptoriumError, match="task"):
        load_spec(tmp_path)
    DetSpec(architecture={}).save(tmp_path)
    with pytest.raises(ScriptoriumError, match="finds texts and does not tell how they stand"):
        ClsSpec.load(tmp_path)
