"""Augmentation while training, without the trainer."""

from __future__ import annotations

import multiprocessing
import pickle
import re
import sys
import types
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import augment.training as training
from augment.errors import ScriptoriumError
from augment.geometry import Borders, borders
from augment.pixel import CountRange, Image, draw_whole, known_ops
from augment.training import Join, Operation, TrainingAugment, join_images, operation

ROOT = Path(__file__).resolve().parent.parent
DEFAULTS = tuple(training._DEFAULTS)
GEOMETRIC = ("distort", "stretch", "perspective")
SIZES = st.tuples(st.integers(1, 70), st.integers(1, 300))


def only(**operations: dict[str, Any]) -> TrainingAugment:
    """Those operations and no others, always."""
    off: dict[str, Any] = {name: {"p": 0} for name in DEFAULTS}
    return TrainingAugment(off | {name: {"p": 1} | keys for name, keys in operations.items()} | {"p": 1})


def word(height: int = 32, width: int = 100) -> NDArray[np.uint8]:
    image = np.full((height, width, 3), 220, np.uint8)
    cv2.putText(image, "Sample", (4, height - 9), cv2.FONT_HERSHEY_SIMPLEX, height / 40, (30, 40, 90), 2, cv2.LINE_AA)
    return image


@pytest.fixture
def registry() -> Iterator[None]:
    """Operations that a test defines are gone after it."""
    before = dict(training._registry)
    yield
    training._registry.clear()
    training._registry.update(before)


# -- any image --------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(SIZES, st.booleans(), st.integers(0, 2**32))
def test_every_size_and_both_kinds_of_channels(size: tuple[int, int], grey: bool, seed: int) -> None:
    shape = size if grey else (*size, 3)
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    before = image.copy()
    every = TrainingAugment({"p": 1} | {name: {"p": 1} for name in DEFAULTS})
    result = every(image, np.random.default_rng(seed))
    assert result.dtype == np.uint8 and result.ndim == image.ndim and result.shape[2:] == image.shape[2:]
    assert min(result.shape[:2]) >= 1
    assert (image == before).all()


@pytest.mark.parametrize("name", sorted({*DEFAULTS, *known_ops()} - {"albumentations"}))
@pytest.mark.parametrize("shape", [(1, 1), (8, 8, 3), (32, 100), (64, 700, 3)])
def test_each_operation_alone(name: str, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    result = only(**{name: {}})(image, np.random.default_rng(2))
    assert result.dtype == np.uint8 and result.shape[2:] == image.shape[2:] and result.size


@pytest.mark.parametrize("image", [np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8), np.float32), np.zeros(8, np.uint8)])
def test_other_arrays_are_refused(image: Any) -> None:
    with pytest.raises(ValueError, match="uint8, H × W"):
        TrainingAugment({})(image, np.random.default_rng(0))


def test_an_image_too_long_for_a_warp_is_not_warped() -> None:
    image = np.zeros((8, 32767), np.uint8)
    assert only(distort={})(image, np.random.default_rng(0)) is image


def test_pure_function_of_image_and_generator_across_pickling() -> None:
    augment = TrainingAugment({"p": 1})
    copy = pickle.loads(pickle.dumps(augment))
    for seed in range(50):
        first = augment(word(), np.random.default_rng(seed))
        assert np.array_equal(first, copy(word(), np.random.default_rng(seed)))
    assert copy.settings() == augment.settings()


# -- how often --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("config", "share"), [({}, 0.4), ({"p": 0.7}, 0.7), ({"p": 0}, 0.0), ({"p": 1}, 1.0)])
def test_share_of_augmented_images(config: dict[str, Any], share: float) -> None:
    augment = TrainingAugment({"invert": {"p": 1}} | config)
    rng = np.random.default_rng(5)
    image = word()
    changed = sum(augment(image, rng) is not image for _ in range(2000))
    assert abs(changed / 2000 - share) < 4 * 0.5 / 2000**0.5


def test_each_operation_as_often_as_its_p_says() -> None:
    augment = only(invert={"p": 0.25})
    rng = np.random.default_rng(6)
    image = word()
    inverted = sum(np.array_equal(augment(image, rng), 255 - image) for _ in range(2000))
    assert abs(inverted / 2000 - 0.25) < 4 * 0.5 / 2000**0.5


# -- operations -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.integers(1, 6), st.integers(8, 300), st.integers(4, 90), st.floats(0, 0.3), st.booleans(), st.integers(0, 2**32)
)
def test_borders_have_an_exact_inverse(n: int, width: int, height: int, part: float, outside: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cell = width / n
    # As unlike as can be: every control point goes as far as it may.
    moves = (rng.integers(0, 2, (2, n + 1, 2)) * 2 - 1) * (part * cell, part * min(cell, height))
    step = Borders(width, height, moves[0], moves[1])
    reach = 1.5 if outside else 0.0
    points = (rng.random((40, 2)) * (1 + 2 * reach) - reach) * (width, height)
    x, y = points.T
    for there, back in ((step.forward, step.inverse), (step.inverse, step.forward)):
        again = back(*there(x, y))
        assert np.allclose(again, (x, y), rtol=0, atol=1e-6 * max(width, height))


def test_borders_move_control_points_as_told() -> None:
    top, bottom = [(3, 2), (-4, 1), (-2, -3)], [(1, -2), (2, 2), (0, 4)]
    warp = borders(100, 32, top, bottom)
    targets = [(x, y) for y in (0, 32) for x in (0, 50, 100)]
    # A control point that came to lie at (50, 0) was at (50, 0) less its displacement; what moved down or up did so by
    # what holds at the x it had before.
    came = warp.inverse(targets)
    assert came[:, 0].tolist() == [-3, 54, 102, -1, 48, 100]
    assert came[[0, 2, 3, 5], 1].tolist() == pytest.approx([-2, 3, 34, 28])
    # Half way down, half of both.
    assert warp.inverse([(50, 16)])[0, 0] == pytest.approx(50 - (-4 + 2) / 2)


@pytest.mark.parametrize(
    ("top", "bottom", "told"),
    [
        ([(0, 0), (-60, 0), (0, 0)], [(0, 0)] * 3, "fold"),
        ([(0, 0)] * 2, [(0, 33)] * 2, "fold"),
        ([(0, 0)], [(0, 0)], "two or more"),
        ([(0, 0, 0)] * 2, [(0, 0, 0)] * 2, "two or more"),
    ],
)
def test_borders_that_would_fold_are_refused(top: Any, bottom: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        borders(100, 32, top, bottom)


def test_geometry_keeps_the_height_and_stretch_alone_changes_the_width() -> None:
    image = word()
    for seed in range(30):
        for name in GEOMETRIC:
            result = only(**{name: {}})(image, np.random.default_rng(seed))
            assert result.shape[0] == 32
            assert 85 <= result.shape[1] <= 120 if name == "stretch" else result.shape[1] == 100
    wide = only(stretch={"length": [2, 2], "strength": [0, 0]})(image, np.random.default_rng(0))
    assert wide.shape == (32, 200, 3)
    reference = cv2.resize(image, (200, 32), interpolation=cv2.INTER_LINEAR)
    assert np.abs(wide.astype(int) - reference)[:, 4:-4].max() <= 3


def test_several_warps_are_one_interpolation(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    sampled = training._sampled

    def counting(image: Image, warp: Any, width: int) -> Image:
        calls.append(warp)
        return sampled(image, warp, width)

    monkeypatch.setattr(training, "_sampled", counting)
    only(**{name: {} for name in GEOMETRIC})(word(), np.random.default_rng(0))
    (warp,) = calls
    assert len(warp.steps) == 3


def test_a_stroke_at_the_edge_does_not_grow_into_a_bar() -> None:
    image = np.full((32, 100), 200, np.uint8)
    image[:, 40:43] = 0
    result = only(perspective={"strength": [0.4, 0.4]})(image, np.random.default_rng(3))
    outside = np.concatenate((result[0], result[-1]))
    assert result.min() < 40 < 150 < outside.min()


def test_crop_cuts_as_many_rows_and_columns_as_asked() -> None:
    image = np.arange(40 * 100, dtype=np.int64).reshape(40, 100).astype(np.uint8)
    result = only(crop={"rows": [0.1, 0.1], "columns": [0.05, 0.05]})(image, np.random.default_rng(0))
    assert np.array_equal(result, image[4:36, 2:98])


def test_grey_stays_as_it_is_through_operations_on_colour() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 50), np.uint8)
    assert np.array_equal(only(invert={})(image, np.random.default_rng(0)), 255 - image)


# -- joined samples ---------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(st.tuples(SIZES, st.booleans()), min_size=1, max_size=4), st.floats(0, 2), st.floats(0, 1), st.integers(0)
)
def test_joined_images_stand_side_by_side(
    parts: list[tuple[tuple[int, int], bool]], low: float, more: float, seed: int
) -> None:
    images = [np.full((*size, 3) if colour else size, 30 * k, np.uint8) for k, (size, colour) in enumerate(parts)]
    joined = join_images(images, np.random.default_rng(seed), (low, low + more))
    height = images[0].shape[0]
    widths = [max(1, round(image.shape[1] * height / image.shape[0])) for image in images]
    gaps = joined.shape[1] - sum(widths)
    assert joined.shape[0] == height and joined.ndim == (3 if any(colour for _, colour in parts) else 2)
    pairs = len(images) - 1
    assert pairs * round(low * height) <= gaps <= pairs * round((low + more) * height)
    # Whole and in order: the first at the left end, the last at the right end.
    assert (joined[:, : widths[0]] == 0).all() and (joined[:, -widths[-1] :] == 30 * (len(images) - 1)).all()
    columns = joined.reshape(height, joined.shape[1], -1)[0, :, 0].astype(int)
    assert (np.diff(columns) >= 0).all()


def test_join_section() -> None:
    join = TrainingAugment({"join": {"p": 0.3, "space": False, "gap": [0.5, 0.5]}}).join
    assert (join.p, join.separator) == (0.3, "")
    assert join([word(), word()], np.random.default_rng(0)).shape == (32, 216, 3)
    assert TrainingAugment().join == Join() and Join().p == 0 and Join().separator == " "
    rng = np.random.default_rng(1)
    apart = [Join()([word(), word()], rng).shape[1] - 200 for _ in range(40)]
    close = [Join(space=False)([word(), word()], rng).shape[1] - 200 for _ in range(40)]
    assert min(apart) >= 8 and max(apart) <= 19 and max(close) <= 3
    with pytest.raises(ValueError, match="no images"):
        join_images([], rng)


# -- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"blurr": {}}, "augment.blurr: no such operation; did you mean 'blur'?"),
        ({"perspectiv": 3}, "augment.perspectiv: no such operation; did you mean 'perspective'?"),
        ({"blur": {"sigm": [1, 2]}}, "augment.blur.sigm: no such parameter; did you mean 'sigma'?"),
        ({"join": {"spase": True}}, "augment.join.spase: no such parameter; did you mean 'space'?"),
        ({"blur": {"sigma": [2, 1]}}, "augment.blur.sigma: a range goes from low to high, not [2.0, 1.0]"),
        ({"blur": None}, "augment.blur: should be a section with keys, not None; write {} for the defaults"),
        ({"p": 1.5}, "augment.p: should be 1 or less, not 1.5"),
        ({"noise": {"p": -1}}, "augment.noise.p: should be 0 or more, not -1"),
        ({"distort": {"strength": [0, 0.4]}}, "augment.distort.strength.1: should be 0.3 or less, not 0.4"),
        ({"join": 0.5}, "augment.join: should be a section with keys, not 0.5"),
        ({3: {}}, "augment.3: no such operation"),
    ],
)
def test_mistakes_are_named_by_path(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ScriptoriumError, match=re.escape(told)) as caught:
        TrainingAugment(config)
    assert "\n" not in str(caught.value)


def test_the_path_begins_as_told() -> None:
    with pytest.raises(ScriptoriumError, match=r"^Train\.augment\.nois: "):
        TrainingAugment({"nois": {}}, "Train.augment")


def test_settings_make_the_same_augmentation_again() -> None:
    augment = TrainingAugment({"p": 1, "shadow": {"p": 0.5}, "blur": {"sigma": [1, 2]}, "join": {"p": 0.2}})
    told = augment.settings()
    assert told["blur"] == {"p": 0.1, "sigma": [1.0, 2.0]} and told["shadow"]["p"] == 0.5
    again = TrainingAugment(told)
    assert again.settings() == told
    for seed in range(20):
        assert np.array_equal(*(a(word(), np.random.default_rng(seed)) for a in (augment, again)))


# -- operations of one's own ------------------------------------------------------------------------------------------


@operation("test_rows")
class Rows(Operation):
    """Black rows; at module level, so that another process can find it."""

    count: CountRange = (2, 2)

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        out = image.copy()
        out[: draw_whole(self.count, rng)] = 0
        return out


def _apply(augment: TrainingAugment, image: Image) -> Image:
    return augment(image, np.random.default_rng(0))


def test_a_new_operation_works_in_a_spawned_worker() -> None:
    augment = only(test_rows={"count": [5, 5]})
    image = np.full((16, 30, 3), 200, np.uint8)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.apply(_apply, (augment, image))
    assert (result[:5] == 0).all() and (result[5:] == 200).all()


def test_the_example_in_the_guide(registry: None) -> None:
    text = (ROOT / "docs" / "augment.md").read_text(encoding="utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "@operation" in block)
    module = types.ModuleType("guide")
    sys.modules["guide"] = module
    try:
        exec(compile(code, "docs/augment.md", "exec"), module.__dict__)
        image = np.full((32, 100, 3), 60, np.uint8)
        result = only(rain={})(image, np.random.default_rng(0))
        assert result.shape == image.shape and (result >= image).all() and (result > image).any()
        with pytest.raises(ScriptoriumError, match=r"augment\.rain\.drop: no such parameter; did you mean 'drops'"):
            TrainingAugment({"rain": {"drop": [1, 2]}})
    finally:
        del sys.modules["guide"]


def test_the_guide_shows_all_defaults() -> None:
    text = (ROOT / "docs" / "augment.md").read_text(encoding="utf-8")
    defaults = {op.name: op.model_dump(mode="json") for op in TrainingAugment().operations}
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", text, re.M))
    assert {name: float(p) for name, p in rows.items()} == {name: keys["p"] for name, keys in defaults.items()}
    for name, keys in defaults.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        for key, value in keys.items():
            if key != "p":
                assert f"`{key}: {value}`" in row, (name, key)


def test_names_are_taken_once(registry: None) -> None:
    for name in ("blur", "distort", "p", "join"):
        with pytest.raises(ValueError, match=name):
            operation(name)(type("Other", (Rows,), {"__module__": "elsewhere"}))
    # A notebook's cell that is run again.
    again = type("Rows", (Rows,), {"__module__": Rows.__module__, "__qualname__": Rows.__qualname__})
    assert operation("test_rows")(again) is again


def test_added_operations_come_before_the_camera() -> None:
    # Black rows, inverted after that: white.
    image = np.full((16, 30, 3), 200, np.uint8)
    result = only(invert={}, test_rows={})(image, np.random.default_rng(0))
    assert (result[:2] == 255).all() and (result[2:] == 55).all()


def test_packages_announce_operations_by_entry_point(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, registry: None
) -> None:
    (tmp_path / "weather_of_mine.py").write_text(
        "from augment.training import Operation, operation\n"
        "@operation('fog')\n"
        "class Fog(Operation):\n"
        "    def __call__(self, image, rng):\n"
        "        return image // 2 + 100\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    entries = [EntryPoint(name, "weather_of_mine", training.ENTRY_POINTS) for name in ("fog", "hail")]
    monkeypatch.setattr(training, "entry_points", lambda group: entries if group == training.ENTRY_POINTS else [])
    with pytest.raises(ScriptoriumError, match="did you mean 'fog'"):
        TrainingAugment({"fogg": {}})
    assert "weather_of_mine" not in sys.modules
    result = only(fog={})(np.full((9, 9, 3), 20, np.uint8), np.random.default_rng(0))
    assert (result == 110).all()
    with pytest.raises(ScriptoriumError, match="hail: announced by weather_of_mine, which defines no operation"):
        TrainingAugment({"hail": {}})
