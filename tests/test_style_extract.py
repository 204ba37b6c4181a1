"""What is measured of crops whose truth is known, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from style_crops import Array, coverage, crop, overlap

from synth.style.extract import (
    DOUBTFUL,
    HIGHEST,
    LONG,
    NARROW,
    NO_TEXT,
    ONE_COLOUR,
    SMALL,
    TWO_LINES,
    UNREADABLE,
    Unusable,
    extract,
    read_crop,
)
from synth.style.frame import frame
from synth.style.ground import fill, ghost
from synth.style.style import Style
from synth.style.typeface import Typefaces, straightened

TEXT = "Hamburg 1823"


@pytest.fixture(scope="module")
def line(own_cache: Path, dejavu: list[Path]) -> Array:
    return coverage(dejavu[0], TEXT)


# -- text and ground ----------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(
    bright=st.booleans(),
    hue=st.tuples(*[st.integers(0, 60)] * 3),
    noise=st.sampled_from([0.0, 2.0, 6.0]),
    blur=st.sampled_from([0.0, 0.7, 1.4]),
    margin=st.integers(3, 16),
    light=st.sampled_from([0.0, 50.0]),
)
def test_text_is_told_from_its_ground(
    line: Array, bright: bool, hue: tuple[int, int, int], noise: float, blur: float, margin: int, light: float
) -> None:
    b, g, r = hue
    ink, paper = (b, g, r), (190 - b, 180, 190 - r)
    if bright:
        ink, paper = paper, ink
    made = crop(line, colour=ink, paper=paper, margin=margin, noise=noise, blur=blur, light=light)
    style = extract(made.image)
    assert overlap(style.mask, made.mask) > 0.75
    assert style.darker is not bright
    # Nothing of the text is left: the ground is as it was before it was written on.
    assert np.abs(cv2.blur(style.background, (5, 5)).astype(int) - cv2.blur(made.ground, (5, 5))).mean() < 7
    assert style.confidence > 0.5


def test_coverage_is_soft_where_edges_are(own_cache: Path, dejavu: list[Path]) -> None:
    # Strokes so wide that their middle is all ink, blurred or not.
    made = crop(coverage(dejavu[1], TEXT, 60), noise=0, blur=1.5)
    truth = cv2.GaussianBlur(made.mask, (0, 0), 1.5)
    mask = extract(made.image).mask
    assert np.abs(mask.astype(int) - truth).mean() < 8
    assert ((mask > 40) & (mask < 215)).sum() > 200


def test_colours_without_luminance_between_them(line: Array) -> None:
    # Red on green, both of luminance 100.
    made = crop(line, colour=(20, 30, 250), paper=(60, 148, 20), noise=2)
    style = extract(made.image)
    assert overlap(style.mask, made.mask) > 0.75
    assert np.abs(np.array(style.ink) - (20, 30, 250)).max() < 20


def test_pieces_of_other_lines_are_painted_over_but_no_part_of_the_text(line: Array) -> None:
    made = crop(line, margin=14)
    image = made.image.copy()
    # The feet of a line above, the heads of one below.
    for place, part in ((slice(0, 6), line[-6:]), (slice(-6, None), line[:6])):
        share = cv2.copyMakeBorder(part, 0, 0, 14, 14, cv2.BORDER_CONSTANT, value=0)[..., None] / 255
        image[place] = (image[place] * (1 - share) + 40 * share).astype(np.uint8)
    style = extract(image)
    assert overlap(style.mask, made.mask) > 0.75
    assert style.background[:6].min() > 150 and style.background[-6:].min() > 150


def test_grain_goes_on_where_text_was(line: Array) -> None:
    made = crop(line, noise=8, blur=0)
    style = extract(made.image)
    under = made.mask >= 200
    beside = cv2.dilate(made.mask, np.ones((9, 9), np.uint8)) == 0
    fine = style.background.astype(float) - cv2.blur(style.background, (3, 3))
    assert fine[under].std() == pytest.approx(fine[beside].std(), rel=0.3)


def test_a_fill_keeps_what_it_knows_and_is_the_same_every_time() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 90, 3), np.uint8)
    hole = np.zeros((40, 90), np.bool_)
    hole[10:20, 30:60] = True
    first, second = (fill(image, hole, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(first, second)
    far = cv2.dilate(hole.view(np.uint8), np.ones((5, 5), np.uint8)) == 0
    assert np.array_equal(first[far], image[far])


def test_ghost_is_what_is_left_of_the_text(line: Array) -> None:
    made = crop(line, noise=0, blur=0, margin=20)
    hole = cv2.dilate(made.mask, np.ones((9, 9), np.uint8)) > 0
    assert ghost(made.ground, made.mask, hole) < 1
    left = (made.ground - 0.2 * made.mask[..., None]).astype(np.uint8)
    assert ghost(left, made.mask, hole) > 10


def test_same_crop_same_style(line: Array) -> None:
    made = crop(line, noise=5)
    one, two = extract(made.image), extract(made.image.copy())
    for name in ("mask", "background", "quad"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert (one.ink, one.blur, one.confidence) == (two.ink, two.blur, two.confidence)


# -- ink ----------------------------------------------------------------------------------------------------------


def test_colour_and_its_change(line: Array) -> None:
    made = crop(line, colour=(30, 60, 150), noise=1, blur=0.5)
    slope = np.linspace(-20, 20, made.image.shape[1])[None, :, None] * (made.mask[..., None] / 255)
    style = extract(np.clip(made.image + slope, 0, 255).astype(np.uint8))
    assert np.abs(np.array(style.ink) - (30, 60, 150)).max() < 12
    along, down = np.array(style.gradient)
    text = np.ptp(np.flatnonzero(made.mask.any(0))) / made.mask.shape[1]
    assert along == pytest.approx([40 * text] * 3, abs=10)
    assert np.abs(down).max() < 10
    assert style.texture < 4


def test_outline_and_shadow_are_found_where_there_are_any(own_cache: Path, dejavu: list[Path]) -> None:
    ink = coverage(dejavu[1], "OUTPUT", 60)
    plain = extract(crop(ink, colour=(30, 30, 30), paper=(120, 160, 90), margin=16).image)
    assert plain.outline is None and plain.shadow is None
    ringed = extract(crop(ink, colour=(30, 30, 30), paper=(120, 160, 90), margin=16, ring=3).image)
    assert ringed.outline is not None
    assert min(ringed.outline.colour) > 200
    assert ringed.outline.width * ringed.height == pytest.approx(3, abs=1.5)
    cast = extract(crop(ink, colour=(20, 20, 180), paper=(200, 200, 200), margin=16, shadow=(5, 4)).image)
    assert cast.shadow is not None
    assert cast.shadow.x > 0 and cast.shadow.y > 0 and 0.25 < cast.shadow.strength < 0.75


# -- geometry -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [-14.0, -4.0, 0.0, 6.0, 17.0])
def test_a_turned_line(line: Array, degrees: float) -> None:
    # Short enough that a steep line still fits into the height that is kept.
    line = line[:, :190]
    made = crop(line, degrees=degrees)
    assert made.image.shape[0] <= HIGHEST
    style = extract(made.image)
    assert math.degrees(style.angle) == pytest.approx(degrees, abs=2)
    assert style.height == pytest.approx(line.shape[0], rel=0.15)
    # Corners: clockwise from the text's own top left.
    middle = np.array(made.mask.shape[::-1]) / 2
    turn = np.radians(degrees)
    x, y = np.array((np.cos(turn), np.sin(turn))), np.array((-np.sin(turn), np.cos(turn)))
    half = np.array(line.shape[::-1]) / 2
    wanted = np.array([middle + s * half[0] * x + t * half[1] * y for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
    assert np.abs(style.quad - wanted).max() < 6


def test_a_line_seen_from_the_side(own_cache: Path, dejavu: list[Path]) -> None:
    ink = coverage(dejavu[0], "HIMALAYA", 48)
    rows, columns = ink.shape
    box = np.array(((0, 0), (columns, 0), (columns, rows), (0, rows)), np.float32)
    target = np.array(((15, 15), (columns - 10, 15 + rows * 0.24), (columns - 10, 15 + rows * 0.8), (15, 15 + rows)))
    matrix = cv2.getPerspectiveTransform(box, target.astype(np.float32))
    mask = cv2.warpPerspective(ink, matrix, (columns + 10, rows + 30))
    style = extract(crop(mask, margin=2).image)
    assert np.abs(style.quad - (target + 2)).max() < 8
    straight = straightened(style.mask, style.quad)
    assert overlap(straight, cv2.resize(ink, straight.shape[::-1], interpolation=cv2.INTER_AREA)) > 0.6


def test_baseline_and_margins(own_cache: Path, dejavu: list[Path]) -> None:
    hanging = extract(crop(coverage(dejavu[0], "Happy pigs jog", 40), margin=20).image)
    standing = extract(crop(coverage(dejavu[0], "HAMMER NAILS", 40), margin=20).image)
    assert 0.7 < hanging.baseline < 0.85
    assert standing.baseline > 0.95
    assert standing.margins == pytest.approx([20 / standing.height] * 4, abs=0.08)


@pytest.mark.parametrize("slant", [-0.2, 0.0, 0.25])
def test_slanted_letters(own_cache: Path, dejavu: list[Path], slant: float) -> None:
    ink = coverage(dejavu[0], "HILITE MINT", 48, slant=slant)
    assert extract(crop(ink).image).slant == pytest.approx(slant, abs=0.08)


def test_a_frame_of_one_letter_is_upright() -> None:
    mask = np.zeros((60, 40), np.uint8)
    mask[10:50, 15:25] = 255
    lies = frame(mask)
    assert lies.angle == 0
    assert np.abs(lies.quad - ((15, 10), (25, 10), (25, 50), (15, 50))).max() <= 1


# -- quality of the picture ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("blur", [0.5, 1.2, 2.0])
def test_sharpness_and_noise(line: Array, blur: float) -> None:
    style = extract(crop(line, blur=blur, noise=3).image)
    assert style.blur == pytest.approx(blur, abs=0.5)
    assert style.noise == pytest.approx(3, abs=1.5)


def test_compression(line: Array) -> None:
    made = crop(line, noise=6)
    packed = cv2.imencode(".jpg", made.image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    assert extract(cv2.imdecode(packed, cv2.IMREAD_COLOR)).quality == pytest.approx(60, abs=3)
    assert extract(made.image).quality == 100


# -- what is refused ----------------------------------------------------------------------------------------------


def _why(image: Array) -> str:
    with pytest.raises(Unusable) as refused:
        extract(image)
    return refused.value.reason


def test_crops_that_give_no_style(line: Array) -> None:
    rng = np.random.default_rng(3)
    assert _why(np.full((40, 200, 3), 130, np.uint8)) == ONE_COLOUR
    faint = np.clip(rng.normal(128, 3, (40, 200, 3)), 0, 255).astype(np.uint8)
    assert _why(faint) == ONE_COLOUR
    assert _why(np.zeros((5, 60, 3), np.uint8)) == SMALL
    assert _why(np.zeros((60, 3, 3), np.uint8)) == SMALL
    assert _why(np.zeros((20, 2000, 3), np.uint8)) == LONG
    assert _why(np.zeros((2000, 20, 3), np.uint8)) == NARROW
    two = np.vstack([crop(line).image, crop(line, seed=1).image])
    assert _why(two) == TWO_LINES
    halves = np.full((40, 200, 3), 60, np.uint8)
    halves[:, 100:] = 200
    assert _why(halves) in (NO_TEXT, DOUBTFUL)


@settings(max_examples=20)
@given(st.integers(8, 70), st.integers(8, 300), st.integers(0, 2**32 - 1), st.booleans())
def test_nothing_but_a_reason_comes_of_any_picture(height: int, width: int, seed: int, smooth: bool) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    if smooth:
        image = cv2.GaussianBlur(image, (0, 0), 3)
    try:
        style = extract(image)
    except Unusable as refused:
        assert refused.reason
    else:
        assert isinstance(style, Style)
        assert style.mask.shape == image.shape[:2] and style.background.shape == image.shape
        assert np.isfinite(style.quad).all() and style.height > 0 and style.stroke > 0
        assert 0 <= style.confidence <= 1


def test_high_crops_are_scaled_down(own_cache: Path, dejavu: list[Path], tmp_path: Path) -> None:
    made = crop(coverage(dejavu[0], "Ham"))
    large = cv2.resize(made.image, (made.image.shape[1] * 4000 // made.image.shape[0], 4000))
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), large)
    style = extract(read_crop(path))
    assert style.image.shape[0] == HIGHEST
    assert style.quality == 100
    assert overlap(style.mask, cv2.resize(made.mask, style.mask.shape[::-1])) > 0.75


def test_alpha_lies_on_white(line: Array, tmp_path: Path) -> None:
    mask = crop(line).mask
    cv2.imwrite(str(tmp_path / "ink.png"), cv2.merge([np.full_like(mask, 40)] * 3 + [mask]))
    style = extract(read_crop(tmp_path / "ink.png"))
    assert style.darker and style.background.min() > 240
    assert overlap(style.mask, mask) > 0.8


def test_grey_and_broken_files(line: Array, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), crop(line).image[..., 0])
    assert read_crop(tmp_path / "grey.png").ndim == 3
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with pytest.raises(Unusable) as refused:
        read_crop(tmp_path / "broken.jpg")
    assert refused.value.reason == UNREADABLE


# -- fonts --------------------------------------------------------------------------------------------------------


def test_the_font_that_drew_it_is_nearest(own_cache: Path, dejavu: list[Path]) -> None:
    fonts = sorted(dejavu[0].parent.glob("DejaVu*.ttf"))
    typefaces = Typefaces(fonts)
    for font, name in (("DejaVuSans-Bold", "Sans"), ("DejaVuSerif", "Serif"), ("DejaVuSansMono-Oblique", "Mono")):
        ink = coverage(dejavu[0].parent / f"{font}.ttf", "Galgenfrist", 40)
        nearest = typefaces.nearest(extract(crop(ink).image, label="Galgenfrist"))
        assert nearest is not None
        assert name in nearest.name and ("Bold" in nearest.name) == ("Bold" in font)
        assert nearest.likeness > 0.8
        assert nearest.aspect == pytest.approx(1, abs=0.1)


def test_a_label_that_says_something_else(line: Array, dejavu: list[Path]) -> None:
    typefaces = Typefaces(dejavu)
    image = crop(line).image
    right = typefaces.nearest(extract(image, label=TEXT))
    wrong = typefaces.nearest(extract(image, label="i"))
    assert right is not None and wrong is not None
    assert right.likeness > wrong.likeness + 0.3 and wrong.aspect > 5
    assert typefaces.nearest(extract(image)) is None
    assert typefaces.nearest(extract(image, label="漢字")) is None
