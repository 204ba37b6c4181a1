"""New text in the look of a crop: shape, strokes, colours, ground, and the stream of samples."""

from __future__ import annotations

import json
import math
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from character_sets import characters, folder
from conftest import Done
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from style_crops import coverage, crop

from augment.errors import ScriptoriumError
from synth import Pipeline, Recipe
from synth.fonts.book import FontBook
from synth.fonts.index import scan
from synth.handwriting.extract import strokes
from synth.handwriting.readers import Options
from synth.handwriting.store import import_set
from synth.recipe import Fonts, RecipeError
from synth.recipe import Styles as Settings
from synth.sample import Sample
from synth.style.draw import Styles, Variation, _extended, _seams, _unblurred, look_of
from synth.style.store import Store, StoreWriter
from synth.style.style import Outline, Shadow, Style

pytestmark = pytest.mark.usefixtures("own_cache", "one_scan")

Array = NDArray[Any]
Run = Callable[..., Done]
BLUE, RED = (120, 30, 10), (30, 40, 230)
WORDS = ["noise", "piano", "change", "again", "Vanish", "paint", "Quito", "harbour", "a"]
ARABIC = ["ضوء القمر يملأ غرفة الجلوس", "ممنوع الوقوف", "مدرسة"]


def style(drawn_in: Path, name: str = "crop", text: str = "Norden", margin: int = 8, **changes: Any) -> Style:
    """A word in red on blue, of which everything is known."""
    ink = coverage(drawn_in, text)
    made = crop(ink, colour=RED, paper=BLUE, margin=margin, blur=0.0, noise=0.0)
    rows, columns = ink.shape
    box = np.array(((0, 0), (columns, 0), (columns, rows), (0, rows)), np.float32) + margin
    whole = Style(
        name=name,
        image=made.image,
        mask=made.mask,
        background=made.ground,
        ink=RED,
        gradient=((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        texture=0.0,
        darker=False,
        outline=None,
        shadow=None,
        quad=box,
        angle=0.0,
        slant=0.0,
        height=float(rows),
        baseline=1.0,
        stroke=strokes(ink)[0],
        margins=(margin / rows,) * 4,
        blur=0.0,
        noise=0.0,
        quality=100,
        contrast=60.0,
        label=text,
        font="",
        confidence=0.9,
    )
    return replace(whole, **changes)


def write(place: Path, *all_of_them: Style) -> Path:
    writer = StoreWriter(place)
    for one in all_of_them:
        writer.add(one)
    writer.finish("crops")
    writer.close()
    return place


@pytest.fixture(scope="module")
def store(dejavu: list[Path], own_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three styles: plain, soft and noisy in large pixels, and turned with rim and shadow."""
    turned = style(dejavu[1], "turned", outline=Outline((255.0, 255.0, 255.0), 0.06), shadow=Shadow(0.06, 0.08, 0.4))
    middle = turned.quad.mean(0)
    c, s = math.cos(math.radians(7)), math.sin(math.radians(7))
    quad = ((turned.quad - middle) @ np.array(((c, s), (-s, c))) + middle).astype(np.float32)
    soft = style(dejavu[0], "soft \udcff", blur=0.7, noise=3.0, texture=8.0, quality=60)
    small = cv2.resize(soft.background, None, fx=0.5, fy=0.5)
    soft = replace(
        soft,
        image=small,
        background=small,
        mask=small[:, :, 0],
        quad=soft.quad / 2,
        height=soft.height / 2,
        stroke=soft.stroke / 2,
    )
    place = tmp_path_factory.mktemp("styles") / "words.styles"
    return write(place, style(dejavu[0], "plain"), soft, replace(turned, quad=quad, angle=math.radians(7)))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "words.txt"
    path.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return path


def stream(corpus: Path, fonts: list[Path], place: Path | None, *overrides: str, recipe: str = "clean") -> Pipeline:
    sections = {} if place is None else {"styles": {"stores": [str(place)]}}
    fonts_of = {"paths": [str(font) for font in fonts]}
    return Pipeline(Recipe.load(recipe, corpus=corpus, fonts=fonts_of, overrides=overrides, **sections))


def alone(one: Style, root: Path, corpus: Path, fonts: list[Path], *overrides: str) -> Pipeline:
    """The stream in one style, as measured."""
    place = write(root / "one.styles", one)
    return stream(corpus, fonts, place, "styles.vary=0", "output.encoding=png", "layout.height=48", *overrides)


def tones(sample: Sample) -> tuple[Array, Array]:
    """Middle colour of what is nearest to red, and of what lies at the picture's sides."""
    image = sample.image.astype(float)
    away = np.abs(image - np.array(RED)).sum(2)
    ink = image[away <= np.quantile(away, 0.05)]
    ends = np.concatenate((image[:, :2].reshape(-1, 3), image[:, -2:].reshape(-1, 3)))
    return np.median(ink, axis=0), np.median(ends, axis=0)


# -- a style made ready ---------------------------------------------------------------------------------------------


def test_a_crop_fills_the_height_with_its_own_margins(dejavu: list[Path]) -> None:
    one = style(dejavu[0], margin=10)
    look = look_of(one, 64)
    rows, columns = one.background.shape[:2]
    assert look.scale == pytest.approx(64 / rows)
    assert look.margins == pytest.approx((10 * 64 / rows,) * 4)
    assert look.height == pytest.approx(one.height * 64 / rows)
    assert look.columns == pytest.approx(columns * 64 / rows)
    assert look.mean == pytest.approx(BLUE, abs=1)
    assert look_of(one, 8).ground.shape[0] == 16  # not kept larger than can be seen


def test_room_above_and_below_is_limited(dejavu: list[Path]) -> None:
    look = look_of(style(dejavu[0], margin=120), 48)
    assert 0.4 * 48 < look.height < 0.5 * 48
    assert max(look.margins) <= 48


@given(st.floats(-40, 40), st.floats(1.5, 12), st.floats(-0.12, 0.12), st.floats(10, 60), st.floats(0, 20))
def test_angle_and_perspective_are_told_apart(
    degrees: float, wide: float, narrowing: float, high: float, away: float
) -> None:
    """A box that narrows to the right, turned."""
    box = np.array(((-wide, -1), (wide, -1), (wide, 1), (-wide, 1))) * (high / 2)
    box[:, 1] *= 1 - 2 * narrowing * np.sign(box[:, 0])
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    quad = box @ np.array(((c, s), (-s, c)))
    quad += away - quad.min(0)
    rows = 2 * (1 + int(np.abs(quad).max()))
    blank = np.zeros((rows, rows, 3), np.uint8)
    made = Style(
        **{name: None for name in Style.__slots__}  # type: ignore[arg-type]
        | {
            "background": blank,
            "quad": quad,
            "height": high,
            "baseline": 1.0,
            "stroke": 0.1 * high,
            "blur": 0.0,
            "noise": 0.0,
            "slant": 0.0,
        }
    )
    look = look_of(made, 32, "made")
    assert math.degrees(look.angle) == pytest.approx(degrees, abs=0.01)
    assert look.wide == pytest.approx(wide, rel=0.01)
    expected = narrowing * np.array((-1, 1, -1, 1))
    assert look.corners[:, 1] == pytest.approx(expected, abs=0.002)
    assert look.corners[:, 0] == pytest.approx(0, abs=0.002)


@given(st.floats(0.5, 12), st.floats(0.0, 2.0))
def test_blur_is_taken_off_strokes(wide: float, sigma: float) -> None:
    """A stroke, blurred and brought back to its height, seems wider."""
    line = np.zeros(601)
    line[300 - int(wide * 10) : 300 + int(wide * 10)] = 1  # twenty samples for a pixel
    kept = len(np.flatnonzero(line)) / 20
    if sigma > 0.1:
        x = np.arange(-200, 201) / 20
        line = np.convolve(line, np.exp(-x * x / (2 * sigma * sigma)) / (sigma * math.sqrt(2 * math.pi) * 20), "same")
    seems = line.sum() / 20 / line.max()
    true = _unblurred(seems, sigma)
    assert true <= seems + 1e-9
    if kept > 1.5 * sigma:
        assert true == pytest.approx(kept, rel=0.12)


# -- ground -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(8, 40), st.integers(2, 120), st.integers(1, 500), st.integers(0, 2**32 - 1))
def test_an_extended_ground_has_both_ends_and_nothing_new(height: int, columns: int, more: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tile = rng.integers(60, 200, (height, columns, 3), np.uint8)
    made = _extended(tile, columns + more, rng)
    assert made.shape == (height, columns + more, 3) and made.dtype == np.uint8
    assert np.array_equal(made[:, : columns // 3], tile[:, : columns // 3])
    last = columns // 8
    assert not last or np.array_equal(made[:, -last:], tile[:, -last:])
    assert made.min() >= tile.min() and made.max() <= tile.max()


def lay(one: Style, width: int, long: str, places: list[float], vary: float = 0.0, seed: int = 0) -> Array:
    """The ground under units of equal width between the given x."""
    look = look_of(one, 32)
    variation = Variation(look, Settings(stores=("s",), vary=vary, long=long), 32, 24.0, np.random.default_rng(seed))
    boxes = np.array([((a, 4), (b, 4), (b, 28), (a, 28)) for a, b in pairwise(places)], np.float32)
    blank = np.zeros(len(boxes), np.bool_)
    return variation.lay(width, boxes, blank, ["n"] * len(boxes), np.random.default_rng(seed))


@settings(max_examples=40)
@given(
    st.sampled_from(["joined", "extended"]),
    st.integers(4, 900),
    st.integers(1, 30),
    st.floats(0, 1),
    st.integers(0, 1000),
)
def test_ground_of_any_width(long: str, width: int, units: int, vary: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = int(rng.integers(6, 200))
    background = rng.integers(0, 256, (40, columns, 3), np.uint8)
    box = np.array(((2, 5), (columns - 2, 5), (columns - 2, 35), (2, 35)), np.float32)
    made = replace(_blank(), background=background, quad=box, height=30.0, ink=RED, darker=False)
    places = sorted(rng.random(units + 1) * width)
    assert lay(made, width, long, places, vary, seed).shape == (32, width, 3)


def _blank() -> Style:
    return Style(
        **{name: None for name in Style.__slots__}  # type: ignore[arg-type]
        | {"name": "", "baseline": 1.0, "stroke": 3.0, "blur": 0.0, "noise": 0.0, "slant": 0.0}
    )


def test_copies_are_joined_between_units() -> None:
    """The ground has a stripe at its start: where copies begin, and nowhere within a unit."""
    ramp = np.broadcast_to(np.linspace(20, 220, 80).astype(np.uint8)[None, :, None], (32, 80, 3)).copy()
    box = np.array(((2, 4), (78, 4), (78, 28), (2, 28)), np.float32)
    made = replace(_blank(), background=ramp, quad=box, height=24.0, ink=RED, darker=False)
    places = [4.0 + 30 * k for k in range(13)]
    ground = lay(made, 368, "joined", places)
    fall = np.flatnonzero(np.diff(ground[16, :, 0].astype(int)) < -3)
    starts = sorted({min(places, key=lambda place: abs(place - x)) for x in fall.tolist()})
    assert 3 <= len(starts) <= 8
    # Seams, which are a few pixels wide, lie where units meet.
    assert all(min(abs(place - x) for place in places) <= 5 for x in fall.tolist())
    whole = lay(made, 368, "extended", places)
    assert np.array_equal(whole[:, :20], ramp[:, :20])
    # Shorter texts see a window of it.
    part = lay(made, 40, "joined", [2.0, 38.0])
    assert any(np.array_equal(part, ramp[:, x : x + 40]) for x in range(41))


def test_seams_keep_out_of_clusters_and_joined_letters() -> None:
    def boxes(*ends: tuple[float, float]) -> Array:
        return np.array([((a, 0), (b, 0), (b, 9), (a, 9)) for a, b in ends], np.float32)

    def seams(units: str, *ends: tuple[float, float]) -> list[float]:
        blank = np.array([unit.isspace() for unit in units])
        return _seams(boxes(*ends), blank, list(units), 1.0)

    assert seams("ab c", (0, 10), (12, 20), (20, 26), (26, 30)) == [11, 23]
    assert seams("ab", (0, 10), (4, 12)) == []  # overlap
    assert seams("ab", (0, 10), (0, 10)) == []  # one cluster
    assert seams("كم لو", (40, 50), (30, 40), (24, 30), (10, 24), (0, 9)) == [27]
    assert seams("שב", (12, 20), (0, 10)) == [11]
    assert seams("कम 12", (0, 10), (10, 20), (20, 30), (30, 38), (40, 48)) == [25, 39]


# -- what a sample takes from a style -------------------------------------------------------------------------------


def test_colours(dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    one = style(dejavu[1])
    for sample in alone(one, tmp_path, corpus, dejavu).samples(range(6)):
        ink, ground = tones(sample)
        assert ink == pytest.approx(RED, abs=12) and ground == pytest.approx(BLUE, abs=3), sample.text
        assert sample.meta["style"] == "one.styles/crop" and sample.meta["background"] == "style"
        assert sample.image.shape[0] == 48


def test_gradient(dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    # From darker to brighter along the line.
    one = style(dejavu[1], gradient=((0.0, 0.0, 120.0), (0.0, 0.0, 0.0)), ink=(30.0, 40.0, 190.0))
    found = 0
    for sample in alone(one, tmp_path, corpus, dejavu).samples(range(8)):
        width = sample.image.shape[1]
        if len(sample.text) < 5:
            continue
        left, right = (part[..., 2].astype(float) for part in np.split(sample.image, [width // 2], axis=1))
        assert np.quantile(left, 0.97) + 20 < np.quantile(right, 0.97)
        found += 1
    assert found


def test_texture_and_noise_are_in_the_ink_only(dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    def spread(**changes: Any) -> float:
        root = tmp_path / str(changes)
        root.mkdir()
        sample = alone(style(dejavu[1], **changes), root, corpus, dejavu).sample(3)
        grey = cv2.cvtColor(sample.image, cv2.COLOR_BGR2GRAY).astype(float)
        assert np.ptp(grey[:, 0]) < 4
        mask = cv2.erode((np.abs(sample.image.astype(float) - RED).sum(2) < 160).astype(np.uint8), np.ones((3, 3)))
        return float(grey[mask > 0].std())

    assert spread() < 2
    assert spread(texture=14.0) > 7
    assert spread(texture=14.0, noise=14.0) > 7


@pytest.mark.parametrize(("factor", "wider"), [(0.6, False), (1.6, True)])
def test_strokes_grow_and_thin(dejavu: list[Path], corpus: Path, tmp_path: Path, factor: float, wider: bool) -> None:
    def inked(stroke: float) -> float:
        root = tmp_path / str(stroke)
        root.mkdir()
        sample = alone(style(dejavu[0], stroke=stroke), root, corpus, dejavu[:1]).sample(1)
        share = (sample.image[..., 2].astype(float) - BLUE[2]) / (RED[2] - BLUE[2])
        return float(np.clip(share, 0, 1).sum())

    own = style(dejavu[0]).stroke
    plain, changed = inked(own), inked(factor * own)
    assert (changed > 1.15 * plain) if wider else (changed < 0.9 * plain)


def test_slant_and_turn(dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    one = style(dejavu[0], slant=0.3)
    for k, sample in enumerate(alone(one, tmp_path, corpus, dejavu).samples(range(4))):
        for polygon in sample.polygons:
            lean = (polygon[0, 0] - polygon[3, 0]) / (polygon[3, 1] - polygon[0, 1])
            assert lean == pytest.approx(0.3, abs=0.03), k
    c, s = math.cos(0.15), math.sin(0.15)
    middle = one.quad.mean(0)
    turned = style(dejavu[0], quad=(one.quad - middle) @ np.array(((c, s), (-s, c))) + middle, angle=0.15)
    (tmp_path / "b").mkdir()
    for sample in alone(turned, tmp_path / "b", corpus, dejavu).samples(range(4)):
        for polygon in sample.polygons:
            rise = math.atan2(polygon[1, 1] - polygon[0, 1], polygon[1, 0] - polygon[0, 0])
            assert rise == pytest.approx(0.15, abs=0.02)


def test_blur(dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    steepest = []
    for sigma in (0.0, 1.6):
        (tmp_path / str(sigma)).mkdir()
        sample = alone(style(dejavu[1], blur=sigma), tmp_path / str(sigma), corpus, dejavu[1:]).sample(2)
        steepest.append(float(np.abs(np.diff(sample.image[..., 2].astype(float), axis=1)).max()))
        # Of blurred ink, too, the middle is as it was measured.
        assert tones(sample)[0] == pytest.approx(RED, abs=40)
    assert steepest[1] < 0.6 * steepest[0]


def test_rim_and_shadow(dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    rim = style(dejavu[0], outline=Outline((250.0, 250.0, 250.0), 0.08))
    sample = alone(rim, tmp_path, corpus, dejavu).sample(1)
    white = (sample.image.min(2) > 200).sum()
    assert white > 0.15 * (np.abs(sample.image.astype(float) - RED).sum(2) < 120).sum()
    (tmp_path / "b").mkdir()
    cast = style(dejavu[0], shadow=Shadow(0.15, 0.0, 0.6))
    sample = alone(cast, tmp_path / "b", corpus, dejavu).sample(1)
    assert (sample.image[..., 0] < 0.6 * BLUE[0]).sum() > 20


def test_too_little_contrast_is_helped(dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    """Ink hardly brighter than its ground is drawn somewhat brighter, so that the text can be read."""
    faint = style(dejavu[1], ink=(130.0, 40.0, 20.0))
    samples = alone(faint, tmp_path, corpus, dejavu).samples(range(12))
    assert sum("style" in sample.meta for sample in samples) >= 10
    assert all(24 <= sample.meta["contrast"] < 90 for sample in samples if "style" in sample.meta)


def test_lines_keep_to_the_size_of_their_type(dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    """On the ground of a line a short word without tall letters is not blown up, and stands on the same line."""
    (tmp_path / "texts").write_text("nun\nnext harbour\n")
    line = style(dejavu[0], text="Hamburg an der Elbe", baseline=0.78)
    heights = {}
    for sample in alone(line, tmp_path, tmp_path / "texts", dejavu[:1], "corpus.piece=line").samples(range(12)):
        letters = [k for k, unit in enumerate(sample.units) if unit == "n"]
        top, bottom = sample.polygons[letters[0], [0, 3], 1]
        heights[sample.text] = (float(bottom - top), float(bottom))
    assert len(heights) == 2
    (one, low), (other, foot) = heights.values()
    assert one == pytest.approx(other, rel=0.15) and low == pytest.approx(foot, abs=3)


# -- faces ------------------------------------------------------------------------------------------------------------


def test_faces_by_name_and_weight(dejavu: list[Path], own_cache: Path) -> None:
    book = FontBook(scan(dejavu).faces, Fonts())
    sans, serif = (face for face in sorted(book.faces, key=lambda face: face.family))
    assert book.named("DejaVu Serif Bold") == book.bit(serif) and not book.named("Nothing")
    assert book.weighing(300, 500, italic=False) == book.bit(sans)
    assert book.weighing(600, 1000, italic=False) == book.bit(serif)
    assert not book.weighing(1, 1000, italic=True)


def test_the_crops_own_face(dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    one = style(dejavu[1], font=_name(dejavu[0]))
    one = replace(one, stroke=1.3 * one.stroke)
    own = alone(one, tmp_path, corpus, dejavu, "styles.face=1")
    assert {sample.meta["font"] for sample in own.samples(range(8))} == {_name(dejavu[0])}
    (tmp_path / "b").mkdir()
    # Else by the width of strokes.
    bold = alone(one, tmp_path / "b", corpus, dejavu, "styles.face=0")
    assert {sample.meta["font"] for sample in bold.samples(range(8))} == {_name(dejavu[1])}


def _name(font: Path) -> str:
    face = scan([font]).faces[0]
    return f"{face.family} {face.style}"


# -- the stream -------------------------------------------------------------------------------------------------------


def told(sample: Sample) -> tuple[Any, ...]:
    return sample.encoded, sample.text, sample.polygons.tobytes(), json.dumps(sample.meta), sample.refusals


def drawn_elsewhere(pipeline: Pipeline, indexes: list[int]) -> list[tuple[Any, ...]]:
    return [told(pipeline[index]) for index in indexes]


def test_samples_are_what_their_index_says(dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    """Of more styles than are shown at a time."""
    place = write(tmp_path / "many.styles", *(style(dejavu[k % 2], f"{k}", stroke=2.0 + k / 20) for k in range(60)))
    pipeline = stream(corpus, dejavu, place, recipe="scene")
    indexes = [*range(40), 3000, 700]
    together = [told(sample) for sample in pipeline.samples(indexes)]
    other = stream(corpus, dejavu, place, recipe="scene")
    assert [told(other[index]) for index in reversed(indexes)] == together[::-1]
    assert told(pickle.loads(pickle.dumps(pipeline))[700]) == together[-1]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(drawn_elsewhere, pipeline, [700, 5]).result(timeout=120) == [together[-1], together[5]]
    names = {json.loads(one[3]).get("style") for one in together}
    assert len(names) > 15


def test_the_surer_styles_come_more_often(dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    place = write(tmp_path / "s", *(style(dejavu[0], f"{k}", confidence=0.9 if k % 2 else 0.1) for k in range(100)))
    styles = Styles(Settings(stores=(place,)), 32, 24.0)
    shown = []
    for index in range(0, 20 * 256, 256):
        styles.turn_to(index)
        rng = np.random.default_rng(index)
        shown += [int(styles.draw(rng).look.name.partition("/")[2]) for _ in range(20)]
    assert 0.8 < np.mean(np.array(shown) % 2) < 0.99
    assert len(styles) == 100


@pytest.mark.parametrize("long", ["joined", "extended"])
@pytest.mark.parametrize(("texts", "direction"), [(WORDS, "ltr"), (ARABIC, "rtl"), (["שלום עולם", "רכבת"], "rtl")])
def test_labels_and_polygons_in_any_script(
    texts: list[str], direction: str, long: str, dejavu: list[Path], store: Path, tmp_path: Path
) -> None:
    (tmp_path / "texts").write_text("\n".join([*texts, " ".join(texts * 2)]), encoding="utf-8")
    pipeline = stream(
        tmp_path / "texts",
        dejavu[:1],
        store,
        f"styles.long={long}",
        "corpus.piece=line",
        "corpus.length=[1,60]",
        "layout.height=40",
    )
    whole = (tmp_path / "texts").read_text(encoding="utf-8")
    samples = pipeline.samples(range(30))
    assert sum("style" in sample.meta for sample in samples) >= 28
    for sample in samples:
        assert sample.text in whole and "".join(sample.units) == sample.text
        assert len(sample.polygons) == len(sample.units) and np.isfinite(sample.polygons).all()
        height, width = sample.image.shape[:2]
        assert height == 40
        centres = sample.polygons.mean(1)
        assert (centres > -2).all() and (centres[:, 0] < width + 2).all() and (centres[:, 1] < height + 2).all()
        order = np.diff(centres[:, 0])
        assert (order > -6).all() if direction == "ltr" else (order < 6).all()


def test_polygons_show_where_the_ink_is(dejavu: list[Path], store: Path, corpus: Path) -> None:
    """In every style: what is red lies in the polygons."""
    pipeline = stream(corpus, dejavu, store, "layout.height=48", "output.encoding=png", "styles.vary=0.2")
    seen = set()
    for sample in pipeline.samples(range(40)):
        if "style" not in sample.meta:
            continue
        seen.add(sample.meta["style"])
        inside = np.zeros(sample.image.shape[:2], np.uint8)
        for polygon in sample.polygons:
            cv2.fillPoly(inside, [np.round(polygon).astype(np.int32)], 255)
        inside = cv2.dilate(inside, np.ones((9, 9), np.uint8))
        tone = sample.image[..., 2].astype(int)
        ground = float(np.median(tone[:, :2]))
        red = tone > ground + 0.5 * (tone.max() - ground)
        assert tone.max() > ground + 60 and (red & (inside == 0)).sum() < 0.04 * red.sum(), sample.text
    assert len(seen) == 3 and "words.styles/soft \\udcff" in seen


def test_mixed_by_weight(dejavu: list[Path], store: Path, corpus: Path) -> None:
    samples = stream(corpus, dejavu, store, "styles.weight=0.3").samples(range(200))
    assert 35 < sum("style" in sample.meta for sample in samples) < 85


def test_recipes_without_styles_are_what_they_were(dejavu: list[Path], store: Path, corpus: Path) -> None:
    plain = stream(corpus, dejavu, None, recipe="scene").samples(range(12))
    other = stream(corpus, dejavu, store, "styles.weight=0", recipe="scene").samples(range(12))
    assert [sample.encoded for sample in plain] == [sample.encoded for sample in other]


def test_a_style_that_cannot_be_read_gives_way(dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    wild = style(dejavu[0])
    rng = np.random.default_rng(0)
    blots = cv2.resize(rng.integers(0, 2, (9, 24), np.uint8) * 255, wild.background.shape[1::-1])
    wild = replace(wild, background=cv2.merge([blots] * 3), ink=(128.0, 128.0, 128.0))
    pipeline = alone(wild, tmp_path, corpus, dejavu)
    for sample in pipeline.samples(range(4)):
        assert sample.meta.get("plain") and "style" not in sample.meta
        assert len(sample.refusals) == pipeline.recipe.legibility.attempts


def test_share_that_is_degraded_as_well(dejavu: list[Path], store: Path, corpus: Path) -> None:
    noise = ("degrade={noise: {p: 1.0, sigma: [30, 30]}}", "output.encoding=png", "legibility.ratio=0")

    def rough(share: float) -> int:
        samples = stream(corpus, dejavu, store, f"styles.degrade={share}", *noise).samples(range(30))
        return sum(float(np.abs(np.diff(s.image[:3].astype(float), axis=1)).mean()) > 12 for s in samples)

    assert rough(0) < 5 and rough(1) > 25


def test_planned_texts_are_shown_whole(dejavu: list[Path], store: Path, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "units.txt").write_text("\n".join("abceghinoprstuvVQ") + "\n")
    pipeline = stream(corpus, dejavu, store, f"corpus.charset={tmp_path / 'units.txt'}", "corpus.min_per_unit=3")
    assert pipeline.plan is not None
    texts = [pipeline.first_text(k).text for k in range(len(pipeline.plan))]
    assert [sample.text for sample in pipeline.samples(range(len(texts)))] == texts


def test_written_by_hand_in_a_style(dejavu: list[Path], store: Path, corpus: Path, tmp_path: Path) -> None:
    folder(tmp_path / "set", characters(dejavu[0], "acegnhiops"), "U+{1}")
    import_set(tmp_path / "set", tmp_path / "hand", Options(writer_pattern="([a-z]+)_[0-9]+"))
    (tmp_path / "texts").write_text("piano\nnoise\nsing\nshop\n")
    sections: dict[str, Any] = {
        "styles": {"stores": [str(store)]},
        "handwriting": {"chars": [str(tmp_path / "hand")], "missing": []},
        "fonts": {"paths": [str(font) for font in dejavu]},
    }
    pipeline = Pipeline(
        Recipe.load("clean", corpus=tmp_path / "texts", overrides=["corpus.case={as_is: 1}"], **sections)
    )
    both = [s for s in pipeline.samples(range(12)) if "style" in s.meta]
    assert len(both) > 8 and all(s.meta["font"].startswith("handwriting") for s in both)


def test_vertical_and_curved_lines_keep_the_recipes_look(dejavu: list[Path], store: Path, corpus: Path) -> None:
    pipeline = stream(
        corpus, dejavu, store, "styles.weight=0.5", "layout.curve.p=0.5", "layout.vertical.p=0.3", "layout.height=48"
    )
    samples = pipeline.samples(range(80))
    kinds = [("style" in s.meta, "curved" in s.meta, "vertical" in s.meta) for s in samples]
    assert any(style for style, _, _ in kinds) and any(bent for _, bent, _ in kinds) and any(up for _, _, up in kinds)
    assert all(sum(kind) <= 1 for kind in kinds)


# -- what goes wrong, and the commands ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["layout.seal.p=0.5"], "styles.weight: 1 leaves no sample for layout.seal"),
        (["layout.vertical.p=0.1"], "lower it, or set layout.vertical.p to 0"),
        (["task=det"], "pages and scenes are not drawn in styles"),
        (["styles.stores=[]", "styles.weight=0.5"], "styles.weight: there are no styles to weigh"),
        (["styles.long=cut"], "styles.long"),
        (["styles.vary=2"], "styles.vary"),
        (["styles.wieght=1"], "did you mean weight"),
    ],
)
def test_recipes_that_cannot_be(overrides: list[str], told: str, store: Path, corpus: Path) -> None:
    with pytest.raises(RecipeError) as error:
        Recipe.load("clean", corpus=corpus, styles={"stores": [str(store)]}, overrides=overrides)
    assert told in str(error.value) and ": :" not in str(error.value)


def test_stores_that_cannot_be_used(dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ScriptoriumError, match=r"gone: there is no such folder; make a store: synth style extract"):
        stream(corpus, dejavu, tmp_path / "gone")
    (tmp_path / "bare").mkdir()
    with pytest.raises(ScriptoriumError, match=r"bare"):
        stream(corpus, dejavu, tmp_path / "bare")
    with pytest.raises(ScriptoriumError, match=r"none: holds no style; extract some: synth style extract"):
        stream(corpus, dejavu, write(tmp_path / "none"))
    folder(tmp_path / "set", characters(dejavu[0], "ab"), "U+{1}")
    import_set(tmp_path / "set", tmp_path / "hand", Options())
    with pytest.raises(ScriptoriumError, match=r"hand: no store of styles"):
        stream(corpus, dejavu, tmp_path / "hand")


def test_commands(dejavu: list[Path], store: Path, corpus: Path, synth: Run, tmp_path: Path) -> None:
    common = ("--corpus", corpus, "--fonts", *dejavu, "--recipe", "clean")
    done = synth("generate", *common, "--styles", store, "--output", tmp_path / "d", "--count", 24)
    assert done.code == 0, done.err
    assert "styles" in done.out and "words.styles: 3 crops" in done.out
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())
    assert manifest["inputs"]["styles"] == [{"name": "words.styles", "sha256": Store(store).digest}]
    assert manifest["recipe"]["styles"]["stores"] == ["words.styles"]
    assert synth("verify", tmp_path / "d").code == 0
    assert synth("report", tmp_path / "d").code == 0
    again = synth("generate", "--recipe", tmp_path / "d" / "recipe.yaml", "--output", tmp_path / "e", "--count", 24)
    assert again.code == 0, again.err
    digests = [json.loads((tmp_path / x / "manifest.json").read_text())["shards"][0]["digest"] for x in "de"]
    assert digests[0] == digests[1]
    done = synth("preview", *common, "--styles", store, "--output", tmp_path / "p", "--count", 12)
    assert done.code == 0 and "style words.styles/plain" in (tmp_path / "p.html").read_text()
    out = ("--output", tmp_path / "x")
    assert "styles.weight is 0" in synth("preview", *common, *out, "--styles", store, "-o", "styles.weight=0").error
    assert "give --styles DIR" in synth("preview", *common, *out, "-o", "styles.vary=0.5").error
    assert "synth style extract" in synth("preview", *common, *out, "--styles", tmp_path / "gone").error
    pages = ("--corpus", corpus, "--task", "det", "--styles", store)
    assert "pages and scenes are not drawn in styles" in synth("generate", *pages, *out).error


def test_what_was_extracted_can_be_drawn(dejavu: list[Path], corpus: Path, synth: Run, tmp_path: Path) -> None:
    """The whole way: pictures, store, new text that is as dark, on ground as bright."""
    (tmp_path / "crops").mkdir()
    for number, text in enumerate(("Hamburg", "Norden", "Winter")):
        made = crop(coverage(dejavu[number % 2], text), colour=(30, 30, 130), paper=(190, 215, 220), seed=number)
        cv2.imwrite(str(tmp_path / "crops" / f"{number}.png"), made.image)
    done = synth("style", "extract", tmp_path / "crops", "--output", tmp_path / "crops.styles")
    assert done.code == 0, done.err
    pipeline = stream(corpus, dejavu, tmp_path / "crops.styles", "styles.vary=0", "output.encoding=png")
    samples = [sample for sample in pipeline.samples(range(12)) if "style" in sample.meta]
    assert len(samples) >= 10
    for sample in samples:
        ends = np.median(sample.image[:, :2].reshape(-1, 3), axis=0)
        assert ends == pytest.approx((190, 215, 220), abs=8)
        dark = np.quantile(sample.image.reshape(-1, 3), 0.03, axis=0)
        assert dark[0] < 90 and dark[2] > dark[0] + 40
