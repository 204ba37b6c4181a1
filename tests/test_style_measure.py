"""Measures of crops: drawn with known values, they come back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from synth.fonts.face import Face
from synth.fonts.index import scan
from synth.render.line import GlyphCache, draw_line
from synth.render.shape import shape_line
from synth.style import measure as m
from synth.text.units import split_units

pytestmark = pytest.mark.usefixtures("own_cache")

Array = NDArray[Any]
TEXT = "Hamburg fliegt 1823, Quellen"


@pytest.fixture(scope="module")
def face(own_cache: Path, dejavu: list[Path]) -> Face:
    return Face(scan(dejavu[:1]).faces[0])


class Letters:
    """Coverage of a line, 4 times as large as it will be, so that shapes can be moved by fractions of a pixel."""

    def __init__(self, face: Face, text: str = TEXT, ppem: int = 30) -> None:
        runs = shape_line(text, [(face, 0, len(text))])
        ink = draw_line(runs, split_units(text, "grapheme"), ppem * 4, GlyphCache()).mask
        self.large = cv2.copyMakeBorder(ink, 48, 48, 48, 48, cv2.BORDER_CONSTANT, value=0)
        self.height = ink.shape[0] / 4

    def coverage(self, *, slant: float = 0.0, degrees: float = 0.0) -> Array:
        rows, columns = self.large.shape
        lean = np.array(((1.0, -slant, slant * rows / 2), (0.0, 1.0, 0.0)))
        large = cv2.warpAffine(self.large, lean, (columns, rows))
        pad = int(abs(math.sin(math.radians(degrees))) * columns / 2) // 4 * 4
        large = cv2.copyMakeBorder(large, pad, pad, 0, 0, cv2.BORDER_CONSTANT, value=0)
        turn = cv2.getRotationMatrix2D((columns / 2, large.shape[0] / 2), -degrees, 1.0)
        large = cv2.warpAffine(large, turn, large.shape[::-1])
        return cv2.resize(large, (columns // 4, large.shape[0] // 4), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def letters(face: Face) -> Letters:
    return Letters(face)


def painted(
    coverage: Array, ink: Any = (40.0, 40.0, 40.0), ground: Any = (220.0, 220.0, 220.0), sigma: float = 0.0
) -> Array:
    alpha = coverage[..., None] / 255.0
    image = np.asarray(ground) * (1 - alpha) + np.asarray(ink) * alpha
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma else image


def stored(image: Array) -> Array:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("ink", "ground"), [(30, 230), (90, 170), (235, 40), (200, 120)])
def test_tones_come_back_for_either_polarity(letters: Letters, ink: int, ground: int) -> None:
    image = stored(painted(letters.coverage(), (ink,) * 3, (ground,) * 3))
    found = m.measure(image)
    assert found.darker == (ink < ground)
    assert found.luminance == pytest.approx(ground, abs=1)
    assert found.contrast == pytest.approx(abs(ink - ground), rel=0.05)
    assert found.ground_chroma == found.ink_chroma == 0


def test_colours_come_back(letters: Letters) -> None:
    image = stored(painted(letters.coverage(), (150, 40, 20), (190, 220, 235)))
    ink, ground = m.colours(image, m.quick_mask(image))
    assert np.allclose(ink, (150, 40, 20), atol=12)
    assert np.allclose(ground, (190, 220, 235), atol=1)
    assert m.measure(image).ground_chroma == pytest.approx(45, abs=2)


def test_the_quick_mask_is_the_drawn_one(letters: Letters) -> None:
    for sigma, ink in ((0.0, (40,) * 3), (0.7, (150,) * 3), (0.5, (250,) * 3)):
        coverage = letters.coverage()
        mask = m.quick_mask(stored(painted(coverage, ink, (205,) * 3, sigma)))
        both = np.count_nonzero((mask >= 128) & (coverage >= 128))
        assert both / np.count_nonzero((mask >= 128) | (coverage >= 128)) > 0.85


@given(sigma=st.floats(0.45, 1.6), contrast=st.integers(60, 200), noise=st.sampled_from((0.0, 2.0)))
@settings(max_examples=25)
def test_blur_comes_back(letters: Letters, sigma: float, contrast: int, noise: float) -> None:
    image = painted(letters.coverage(), (230 - contrast,) * 3, (230,) * 3, sigma)
    image += np.random.default_rng(1).normal(0, noise, image.shape[:2])[..., None]
    assert m.measure(stored(image)).blur == pytest.approx(sigma, abs=0.12 + 0.15 * sigma)


@given(sigma=st.floats(0.8, 12.0), blur=st.sampled_from((0.0, 0.8)))
@settings(max_examples=25)
def test_noise_comes_back(letters: Letters, sigma: float, blur: float) -> None:
    image = painted(letters.coverage(), (20,) * 3, (180,) * 3, blur)
    image += np.random.default_rng(2).normal(0, sigma, image.shape[:2])[..., None]
    assert m.measure(stored(image)).noise == pytest.approx(sigma, rel=0.2, abs=0.15)


def test_stroke_width_comes_back_however_soft() -> None:
    for width in (2, 3, 5):
        bars = np.zeros((40, 200), np.uint8)
        for x in range(10, 190, 15):
            bars[8:32, x : x + width] = 255
        # A bar's ends are part of its outline.
        expected = 2 * 24 * width / (2 * (24 + width))
        for sigma in (0.0, 0.5, 0.25 * width):
            soft = cv2.GaussianBlur(bars, (0, 0), sigma) if sigma else bars
            assert m.stroke_width(soft) == pytest.approx(expected, rel=0.15)


def test_heavier_strokes_are_measured_heavier(dejavu: list[Path]) -> None:
    thin, bold = (Face(info) for info in scan(dejavu).faces)
    strokes = [m.measure(stored(painted(Letters(face).coverage()))).stroke for face in (thin, bold)]
    assert strokes[1] > 1.35 * strokes[0]


@given(degrees=st.floats(-3.5, 3.5))
@settings(max_examples=20)
def test_angle_comes_back(letters: Letters, degrees: float) -> None:
    image = stored(painted(letters.coverage(degrees=degrees)))
    assert m.measure(image).angle == pytest.approx(degrees, abs=0.4)


@given(slant=st.floats(-0.2, 0.35), degrees=st.sampled_from((0.0, 2.0)))
@settings(max_examples=20)
def test_slant_comes_back(letters: Letters, slant: float, degrees: float) -> None:
    image = stored(painted(letters.coverage(slant=slant, degrees=degrees)))
    assert m.measure(image).slant == pytest.approx(slant, abs=0.06)


@given(margins=st.tuples(*[st.integers(0, 25)] * 4))
@settings(max_examples=30)
def test_margins_come_back(letters: Letters, margins: tuple[int, int, int, int]) -> None:
    coverage = letters.coverage()
    x, y, width, height = cv2.boundingRect((coverage >= 128).astype(np.uint8))
    left, top, right, bottom = margins
    tight = coverage[y : y + height, x : x + width]
    framed = cv2.copyMakeBorder(tight, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    found = m.measure(stored(painted(framed)))
    expected = np.array(margins) / height
    assert np.allclose((found.left, found.top, found.right, found.bottom), expected, atol=1.5 / height)
    assert np.allclose(m.margins(framed), expected)


@pytest.mark.parametrize("quality", [15, 30, 50, 70, 84, 92])
def test_jpeg_quality_comes_back(letters: Letters, quality: int) -> None:
    image = painted(letters.coverage(), (40, 60, 50), (215, 220, 225), 0.6)
    image += np.random.default_rng(3).normal(0, 3, image.shape)
    encoded = cv2.imencode(".jpg", stored(image), (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    assert m.jpeg_quality(cv2.imdecode(encoded, cv2.IMREAD_COLOR)) == pytest.approx(quality, abs=4)


def test_what_was_never_jpeg_shows_no_quality(letters: Letters) -> None:
    image = painted(letters.coverage(), sigma=0.6) + np.random.default_rng(4).normal(0, 3, (1, 1, 3))
    noisy = image + np.random.default_rng(5).normal(0, 4, image.shape)
    for picture in (stored(image), stored(noisy), np.full((7, 300, 3), 90, np.uint8)):
        assert m.jpeg_quality(picture) == 100


def test_light_and_texture_are_told_apart(letters: Letters) -> None:
    coverage = letters.coverage()
    height, width = coverage.shape
    rng = np.random.default_rng(6)
    even = painted(coverage)
    ramp = even + np.linspace(-30, 30, width)[None, :, None]
    cloudy = even + cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 4)[..., None] * 90
    found = [m.measure(stored(image)) for image in (even, ramp, cloudy)]
    assert found[0].light < 1 and found[1].light == pytest.approx(60, rel=0.1) and found[2].light < 35
    assert found[0].texture < 0.3 and found[1].texture < 1 and found[2].texture > 3
    masks = [m.quick_mask(stored(image)) for image in (even, ramp, cloudy)]
    kinds = [m.ground_kind(stored(i), mask) for i, mask in zip((even, ramp, cloudy), masks, strict=True)]
    assert kinds[:2] == ["flat", "gradient"] and kinds[2] in ("stains", "clutter")
    lined = even.copy()
    lined[3::12] -= 25
    lined = np.where(coverage[..., None] > 0, even, lined)
    assert m.ground_kind(stored(lined), coverage) == "ruled"


def test_uneven_ink_is_measured(letters: Letters) -> None:
    coverage = letters.coverage()
    rng = np.random.default_rng(7)
    blotches = np.clip(cv2.GaussianBlur(rng.normal(0, 1, coverage.shape), (0, 0), 1.0) * 2.5, -1, 1)
    faded = coverage * np.linspace(1.0, 0.4, coverage.shape[1])[None]
    even, worn, fading = (m.measure(stored(painted(c))) for c in (coverage, coverage * (0.75 + 0.25 * blotches), faded))
    assert worn.ink_texture > even.ink_texture + 0.08
    assert fading.fading > even.fading + 0.08


def test_sharpening_and_jpeg_show_beside_the_ink(letters: Letters) -> None:
    image = stored(painted(letters.coverage(), (60,) * 3, (200,) * 3, 0.8))
    sharp = cv2.addWeighted(image, 2.5, cv2.GaussianBlur(image, (0, 0), 1.2), -1.5, 0)
    coarse = cv2.imdecode(cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 15))[1], cv2.IMREAD_COLOR)
    plain = m.measure(image)
    assert m.measure(sharp).halo < -0.02 < plain.halo
    assert m.measure(coarse).ringing > plain.ringing + 0.01


def test_other_lines_and_rules_do_not_count_as_text(letters: Letters) -> None:
    coverage = letters.coverage()
    alone = m.measure(stored(painted(coverage)))
    crowded = coverage.copy()
    crowded[-5:, 20:120:7] = 255  # the tops of letters below
    crowded[-5:, 21:120:7] = 255
    crowded[1:3] = 255  # a rule above
    found = m.measure(stored(painted(crowded)))
    assert found.below > 0.05 and found.above == 1.0
    assert alone.above == alone.below == 0
    assert found.bottom == pytest.approx(alone.bottom, abs=0.05) and found.top == pytest.approx(alone.top, abs=0.05)


def test_a_full_stop_at_the_edge_is_text(face: Face) -> None:
    coverage = Letters(face, "1.05").coverage()
    x, y, width, height = cv2.boundingRect((coverage >= 128).astype(np.uint8))
    tight = coverage[y : y + height, x - 6 : x + width + 6]
    mask = m.quick_mask(stored(painted(tight)))
    assert np.count_nonzero(mask >= 128) > 0.93 * np.count_nonzero(tight >= 128)


def test_spacing_and_aspect_grow_with_the_letters(face: Face) -> None:
    coverage = Letters(face, "NIHILUM").coverage()
    wide = cv2.resize(coverage, None, fx=1.4, fy=1.0, interpolation=cv2.INTER_AREA)
    first, second = (m.measure(stored(painted(c)), units=7) for c in (coverage, wide))
    assert second.aspect == pytest.approx(1.4 * first.aspect, rel=0.05)
    assert second.spacing > 1.2 * first.spacing
    assert m.measure(stored(painted(coverage))).aspect == 0


def test_grey_planes_are_measured_like_pictures(letters: Letters) -> None:
    image = stored(painted(letters.coverage()))
    assert m.measure(image[..., 0]) == m.measure(image)


def test_measuring_changes_nothing_and_repeats_itself(letters: Letters) -> None:
    image = stored(painted(letters.coverage()))
    before = image.copy()
    assert m.measure(image) == m.measure(image)
    assert np.array_equal(image, before)
    assert m.Measures.names()[0] == "luminance" and len(m.measure(image).row()) == len(m.Measures.names())


def test_crops_without_text_are_refused() -> None:
    flat = np.full((32, 100, 3), 200, np.uint8)
    with pytest.raises(m.Unmeasurable, match="one colour"):
        m.measure(flat)
    with pytest.raises(m.Unmeasurable, match="too small"):
        m.measure(np.zeros((5, 100, 3), np.uint8))
    speck = flat.copy()
    speck[10, 10] = 0
    with pytest.raises(m.Unmeasurable, match="no text"):
        m.measure(speck)
    with pytest.raises(m.Unmeasurable, match="no text"):
        m.measure(flat, np.zeros((32, 100), np.uint8))
    with pytest.raises(m.Unmeasurable, match="no text"):
        m.stroke_width(np.zeros((32, 100), np.uint8))


@given(st.integers(6, 60), st.integers(6, 200), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_any_picture_is_measured_or_refused(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    if seed % 2:
        image = stored(cv2.GaussianBlur(image.astype(np.float64), (0, 0), 2.0))
    try:
        found = m.measure(image)
    except m.Unmeasurable as refusal:
        assert str(refusal) in (m.ONE_COLOUR, m.NO_TEXT, m.TOO_SMALL)
    else:
        assert np.isfinite(found.row()).all()
        assert 0 <= found.luminance <= 255 and found.contrast > 0 and found.stroke > 0
