"""Lines that a network makes in the look of crops: where letters lie, what is baked, and what samples come of it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.errors import ScriptoriumError
from synth.pages import pipeline_of
from synth.pipeline import Pipeline
from synth.recipe import Recipe
from synth.render.line import Ink
from synth.shards.reader import ShardReader
from synth.style import learned
from synth.style.engine import Patch
from synth.style.learned import LearnedLines, bake, look_of, placed
from synth.style.pairs import GROUND, fitted
from synth.style.store import StoreWriter
from synth.style.style import Style

pytestmark = pytest.mark.usefixtures("own_cache", "one_scan")


class Painter:
    """An engine that lays the plain text on the mean colour of the look, or, now and then, on black."""

    def __init__(self, model: Path, height: int, every: int = 0) -> None:
        self.height, self.every, self.asked = height, every, 0
        self.digest = (model.name * 64)[:64]

    def restyle(self, styles: Sequence[Any], targets: Sequence[Any]) -> list[Patch]:
        found = []
        for style, target in zip(styles, targets, strict=True):
            assert style.shape[0] == target.shape[0] == self.height and style.ndim == 3
            self.asked += 1
            cover = (GROUND - target.astype(np.float32)[..., None]) / GROUND
            if self.every and self.asked % self.every == 0:
                cover = cover * 0
            mean = fitted(style, target.shape[1]).reshape(-1, 3).mean(0).clip(150, 255)
            image = np.rint(mean * (1 - cover)).astype(np.uint8)
            found.append(Patch(image, image, np.rint(cover[..., 0] * 255).astype(np.uint8)))
        return found


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[Painter]:
    made: list[Painter] = []

    def opened(model: Path, height: int) -> Painter:
        made.append(Painter(model, height, int(model.suffix[1:] or 0) if model.suffix else 0))
        return made[-1]

    monkeypatch.setattr(learned, "open_engine", opened)
    monkeypatch.setattr(learned, "BLOCK", 16)
    return made


def style(name: str, **changes: Any) -> Style:
    image = np.full((48, 150, 3), 200, np.uint8)
    quad = np.array(((10, 12), (140, 12), (140, 36), (10, 36)), np.float32)
    values: dict[str, Any] = {
        **{"name": name, "image": image, "mask": image[..., 0], "background": image, "ink": (20.0, 20.0, 20.0)},
        **{"gradient": ((0.0,) * 3, (0.0,) * 3), "texture": 0.0, "darker": True, "outline": None, "shadow": None},
        **{"quad": quad, "angle": 0.0, "slant": 0.0, "height": 24.0, "baseline": 0.8, "stroke": 3.0},
        **{"margins": (0.4, 0.5, 0.4, 0.5), "blur": 0.5, "noise": 1.0, "quality": 90, "contrast": 180.0},
        **{"label": "", "font": "", "confidence": 0.9},
    }
    return Style(**(values | changes))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    writer = StoreWriter(tmp_path / "crops.styles")
    writer.add(style("light"))
    writer.add(style("dim", image=np.full((48, 150, 3), 160, np.uint8), angle=0.08, slant=0.2))
    writer.add(style("unsure", confidence=0.0))
    writer.finish("test")
    writer.close()
    return writer.folder


Make = Callable[..., Recipe]


@pytest.fixture
def recipe(tmp_path: Path, store: Path, dejavu: list[Path]) -> Make:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("Harbour\nwindow\nmany\nFive\nΩμέγα\n", encoding="utf-8")

    def make(*overrides: str, model: str = "model") -> Recipe:
        base = (f"styles.stores=[{store}]", f"styles.model={tmp_path / model}", "layout.max_ratio=20")
        return Recipe.load(
            "clean", corpus=corpus, overrides=[*base, *overrides], fonts={"paths": [str(path) for path in dejavu]}
        )

    return make


def test_samples_are_records_like_others(recipe: Make, engines: list[Painter]) -> None:
    lines = pipeline_of(recipe("output.polygons=true"))
    assert isinstance(lines, LearnedLines)
    assert bake(lines, 20) == 32
    styles = set()
    for index in range(20):
        sample = lines[index]
        assert sample.image.shape[0] == 32 and "".join(sample.units) == sample.text
        assert sample.polygons.shape == (len(sample.units), 4, 2)
        # Letters, which are dark here, lie in their polygons.
        dark = cv2.cvtColor(sample.image, cv2.COLOR_BGR2GRAY) < 90
        inside = np.zeros(dark.shape, np.uint8)
        for polygon in sample.polygons:
            cv2.fillConvexPoly(inside, np.round(polygon).astype(np.int32), 1)
            (left, top), (right, bottom) = polygon.min(0), polygon.max(0)
            assert dark[max(int(top), 0) : int(bottom) + 1, max(int(left), 0) : int(right) + 1].any()
        assert dark[cv2.dilate(inside, np.ones((3, 3), np.uint8)) == 0].sum() == 0
        styles.add(sample.meta["style"])
        record = lines.record(index)
        assert record.label == sample.text and record.image == sample.encoded and record.units == sample.units
        assert record.polygons is not None and json.loads(record.meta) == sample.meta
        assert sample.meta["style_engine"] == "learned" and sample.meta["source"] == "corpus.txt"
        assert 100 < sample.meta["contrast"] <= 255
    # A style of no confidence is never taken.
    assert styles == {"light", "dim"}
    with pytest.raises(IndexError):
        lines[-1]


def test_baked_samples_need_no_network(recipe: Make, engines: list[Painter]) -> None:
    lines = pipeline_of(recipe())
    assert bake(lines, 16) == 16  # type: ignore[arg-type]
    asked = engines[0].asked
    again = pickle.loads(pickle.dumps(lines))
    for index in (3, 15, 0):
        np.testing.assert_array_equal(again[index].image, lines[index].image)
        assert again[index].encoded == lines[index].encoded
    assert engines[0].asked == asked and engines[1].asked == 0
    # Whole blocks are made, so that it does not matter how many samples are asked for, nor in which order.
    assert bake(lines, 20) == 16 and bake(lines, 32) == 0  # type: ignore[arg-type]
    assert lines[16].text == again[16].text


def test_what_pictures_are_made_from_is_in_their_name(recipe: Make, engines: list[Painter]) -> None:
    names = {
        LearnedLines(made).name
        for made in (
            recipe(),
            recipe("seed=1"),
            recipe("layout.height=48"),
            recipe(model="other"),
            recipe("output.encoding=png"),
        )
    }
    assert len(names) == 5 and LearnedLines(recipe("output.polygons=true")).name in names
    lines = LearnedLines(recipe("seed=1"))
    with pytest.raises(
        ScriptoriumError, match=r"crops\.styles: samples from 16 on have not been baked for this recipe"
    ):
        lines[20]
    lines.folder.mkdir(parents=True)
    lines.file(1).write_bytes(b"[1")
    with pytest.raises(ScriptoriumError, match=r"000001\.block: cannot be read .* remove it, and bake it again"):
        lines[20]


def test_pictures_without_letters_are_refused(recipe: Make, engines: list[Painter]) -> None:
    lines = LearnedLines(recipe(model="model.3"))
    bake(lines, 16)
    samples = lines.samples(range(16))
    refused = [sample for sample in samples if sample.refusals]
    assert len(refused) > 3
    assert {reason for sample in refused for reason, _ in sample.refusals} == {"contrast under the floor"}
    assert all(sample.image.min() < 60 for sample in samples)
    assert not any(sample.meta.get("plain") for sample in samples)


def test_after_enough_refusals_samples_are_plain(recipe: Make, engines: list[Painter]) -> None:
    lines = LearnedLines(recipe("legibility.attempts=2", model="model.1"))
    bake(lines, 16)
    for sample in lines.samples(range(4)):
        assert sample.meta["plain"] and "style" not in sample.meta and len(sample.refusals) == 2
        assert sample.image[0, 0].tolist() == [255, 255, 255]


def test_texts_that_nothing_draws(recipe: Make, engines: list[Painter], tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("Harbour\n漢字\n", encoding="utf-8")
    lines = LearnedLines(recipe())
    bake(lines, 16)
    samples = lines.samples(range(16))
    assert {sample.text for sample in samples} == {"Harbour"}
    assert any(reason == "no plain font has all of the text" for sample in samples for reason, _ in sample.refusals)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["corpus.min_per_unit=5"], "corpus.min_per_unit: it plans its texts; styles.model takes texts as they come"),
        (["handwriting.chars=[x]"], "handwriting.chars: it writes by hand"),
    ],
)
def test_recipes_that_do_not_fit(recipe: Make, engines: list[Painter], overrides: list[str], message: str) -> None:
    with pytest.raises(ScriptoriumError, match=message):
        LearnedLines(recipe(*overrides))


def test_recipes_that_say_too_little_or_too_much(recipe: Make, tmp_path: Path) -> None:
    with pytest.raises(ScriptoriumError, match=r"styles.*model: there are no styles for it"):
        Recipe.load("clean", overrides=[f"styles.model={tmp_path}"])
    with pytest.raises(ScriptoriumError, match="a network makes all samples; leave it at 1"):
        recipe("styles.weight=0.5")
    # Where samples are drawn as they are asked for, none can be.
    with pytest.raises(ScriptoriumError, match="what a network makes is baked first, by `synth generate`"):
        Pipeline(recipe())


def test_on_the_command_line(
    recipe: Make, engines: list[Painter], synth: Any, tmp_path: Path, store: Path, dejavu: list[Path]
) -> None:
    common = ["--corpus", tmp_path / "corpus.txt", "--fonts", *dejavu, "--styles", store, "--recipe", "clean"]
    learned_ = [*common, "--style-engine", "learned"]
    done = synth("generate", *learned_, "--output", tmp_path / "none", "--count", 20)
    assert done.code == 2 and "--style-engine learned: give --style-model DIR" in done.err
    done = synth("generate", *common, "--style-engine", "drawn", "--style-model", "x", "--output", tmp_path / "none")
    assert done.code == 2 and "--style-model: is for --style-engine learned" in done.err
    learned_ += ["--style-model", tmp_path / "model"]
    for name in ("one", "two"):
        done = synth("generate", *learned_, "--output", tmp_path / name, "--count", 20)
        assert done.code == 0, done.err
        assert ("baked 32 pictures into" in done.out) == (name == "one")
    one, two = (ShardReader(tmp_path / name) for name in ("one", "two"))
    assert [one.frame(k) for k in range(20)] == [two.frame(k) for k in range(20)]
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["inputs"]["style_model"] == engines[0].digest and "styles" in manifest["inputs"]
    assert manifest["recipe"]["styles"]["model"] == "model"
    done = synth("verify", tmp_path / "one")
    assert done.code == 0, done.out
    done = synth("preview", *learned_, "--output", tmp_path / "look", "--count", 3)
    assert done.code == 0 and cv2.imread(str(tmp_path / "look.png")) is not None, done.err


# -- where text lies -------------------------------------------------------------------------------------------------


@given(
    rows=st.integers(5, 60),
    columns=st.integers(3, 900),
    tall=st.floats(4, 30),
    angle=st.floats(-1.4, 1.4),
    slant=st.floats(-0.4, 0.4),
    middle=st.floats(-20, 60),
)
def test_all_ink_is_in_the_picture(
    rows: int, columns: int, tall: float, angle: float, slant: float, middle: float
) -> None:
    ink = Ink(
        np.full((rows, columns), 255, np.uint8),
        np.zeros((0, 4), np.float32),
        np.zeros(0, bool),
        np.zeros(0, bool),
        1,
        8,
    )
    warp, width = placed(ink, tall, angle, slant, middle, (3.0, 5.0), 32)
    corners = warp.forward(np.array(((0, 0), (columns, 0), (columns, rows), (0, rows)), np.float32))
    assert corners[:, 0].min() == pytest.approx(3, abs=1e-3) and corners[:, 0].max() <= width - 5 + 1e-2
    assert corners[:, 1].min() >= -0.02 and corners[:, 1].max() <= 32.02
    straight, _ = placed(ink, tall, 0.0, slant, middle, (3.0, 5.0), 32)
    up = straight.forward(np.array(((0, 0), (0, rows)), np.float32))
    assert float(up[1, 1] - up[0, 1]) == pytest.approx(tall, rel=1e-3)


def test_of_a_crop_the_rows_of_its_text_are_taken() -> None:
    image = np.zeros((100, 90, 3), np.uint8)
    image[40:60] = 255
    quad = np.array(((10, 40), (80, 40), (80, 60), (10, 60)), np.float32)
    look = look_of(style("x", image=image, quad=quad, height=20.0, margins=(5.0, 2.0, -1.0, 2.0)), 32)
    # A third of the text's height above and below it.
    assert look.strip.shape == (32, 90, 3) and look.strip[16, 40].tolist() == [255] * 3 and look.strip[0, 0, 0] == 0
    assert look.height == pytest.approx(20) and look.middle == pytest.approx(16)
    assert look.margins == pytest.approx((16, 1.2))
    # Text that fills its crop, or goes beyond it, is made to fit.
    close = look_of(style("x", image=image[42:58], quad=quad - (0, 42), height=20.0), 48)
    assert close.strip.shape[0] == 48 and close.height <= 0.94 * 48
