"""Composition: legibility, colours, surfaces, and where the ink lands."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile

from augment import geometry
from augment.errors import ScriptoriumError
from synth.compose import Refused
from synth.compose.background import Backgrounds, tinted
from synth.compose.colour import contrasting_luminance, luminance, random_colour, with_luminance
from synth.compose.composer import Composed, Composer, Neighbours
from synth.compose.legibility import unit_contrast, unit_contrasts
from synth.fonts.face import Face
from synth.fonts.index import scan
from synth.recipe import Background, Recipe
from synth.render.line import GlyphCache, Ink, draw_line
from synth.render.shape import shape_line
from synth.text.units import split_units

pytestmark = pytest.mark.usefixtures("own_cache")

Array = NDArray[Any]
KINDS = ("paper", "gradient", "grain", "cloth", "stains", "wall", "clutter")
WHITE = (255.0, 255.0, 255.0)


@pytest.fixture(scope="module")
def faces(own_cache: Path, dejavu: list[Path]) -> list[Face]:
    return [Face(info) for info in scan(dejavu).faces]


def written(face: Face, text: str, ppem: int = 36) -> Ink:
    return draw_line(shape_line(text, [(face, 0, len(text))]), split_units(text, "grapheme"), ppem, GlyphCache())


def composer(preset: str = "scene", *overrides: str) -> Composer:
    recipe = Recipe.load(preset, overrides=overrides)
    return Composer(recipe, Backgrounds(recipe.background))


# -- legibility -------------------------------------------------------------------------------------------------------


def mean_around(plane: Array, y: int, x: int, side: int) -> float:
    """Mean over a square, in whole grey levels, the picture mirrored at its edges (the edge itself not repeated)."""

    def mirrored(at: int, end: int) -> int:
        while not 0 <= at < end:
            at = -at if at < 0 else 2 * (end - 1) - at
        return at

    plane = plane.astype(float)
    rows = [mirrored(y + dy, plane.shape[0]) for dy in range(-(side // 2), side // 2 + 1)]
    columns = [mirrored(x + dx, plane.shape[1]) for dx in range(-(side // 2), side // 2 + 1)]
    return round(float(sum(plane[r, c] for r in rows for c in columns)) / side**2)


def by_the_formula(grey: Array, coverage: Array, box: tuple[int, int, int, int]) -> tuple[float, float] | None:
    """Contrast and ratio of one unit as the module's head defines them, pixel by pixel; None without ink."""
    side = grey.shape[0] // 4 | 1
    left, top, right, bottom = box
    g, m = [], []
    for y in range(top, bottom):
        for x in range(left, right):
            g.append(float(grey[y, x]) - mean_around(grey, y, x, side))
            m.append((float(coverage[y, x]) - mean_around(coverage, y, x, side)) / 255)
    squares = sum(b * b for b in m)
    if squares < 1e-3:
        return None
    c = sum(a * b for a, b in zip(g, m, strict=True)) / squares
    rest = sum((a - c * b) ** 2 for a, b in zip(g, m, strict=True))
    # One grey level of rounding noise in every pixel is taken for granted.
    peak = max(float(coverage[y, x]) for y in range(grey.shape[0]) for x in range(left, right)) / 255
    return c * peak, abs(c) * math.sqrt(squares) / math.sqrt(rest + (right - left) * (bottom - top))


def boxes_of(polygons: Array, shape: tuple[int, ...]) -> Array:
    """Whole pixels around polygons, within the picture."""
    height, width = shape[:2]
    low = np.clip(np.floor(polygons.min(1)), 0, (width - 1, height - 1))
    high = np.clip(np.ceil(polygons.max(1)), low + 1, (width, height))
    return np.concatenate([low, high], 1).astype(np.intp)


def print_of(face: Face, text: str, ink: float, ground: float, height: int = 32) -> tuple[Array, Array, Array]:
    """A flat print: picture, coverage, and the box of each unit."""
    drawn = composer("clean").plain(written(face, text), height)
    grey = np.round(ground + (ink - ground) * (drawn.coverage / 255)).astype(np.uint8)
    return grey, drawn.coverage, boxes_of(drawn.polygons, grey.shape)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(9, 24), st.integers(12, 40))
def test_contrast_and_ratio_follow_the_formula(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    coverage = np.zeros((height, width), np.uint8)
    for x in range(1, width, 4):  # strokes
        top, length = rng.integers(0, height // 2, 2)
        coverage[top : top + length + 3, x : x + int(rng.integers(1, 3))] = rng.integers(200, 256)
    coverage = cv2.GaussianBlur(coverage, (0, 0), 0.4)
    ground, ink = rng.integers(0, 256, 2)
    noise = rng.normal(0, rng.uniform(0, 30), (height, width))
    grey = np.clip(ground + (int(ink) - int(ground)) * (coverage / 255) + noise, 0, 255).astype(np.uint8)
    boxes = [(0, 0, 4, height), (3, 2, 9, 7), (5, 4, 6, 9), (9, 0, width, height), (0, height - 3, width, height)]
    contrast, ratio, _ = unit_contrast(grey, coverage, np.array(boxes, np.intp))
    for unit, box in enumerate(boxes):
        expected = by_the_formula(grey, coverage, box)
        if expected is not None:
            assert (contrast[unit], ratio[unit]) == pytest.approx(expected, abs=0.01, rel=1e-3)


def test_what_else_is_measured_makes_no_difference(faces: list[Face]) -> None:
    # More of them than are laid side by side at once, a narrow one and one without units among them.
    prints = [print_of(faces[0], text, 3 * k, 255 - 2 * k) for k, text in enumerate(("Wig", "i", "jumble") * 14)]
    prints.append((*prints[0][:2], prints[0][2][:0]))
    prints += [print_of(faces[0], "wide " * 8, 0, 255), print_of(faces[0], "Ag", 90, 40)]
    greys, coverages, boxes = (list(part) for part in zip(*prints, strict=True))
    together = unit_contrasts(greys, coverages, [len(part) for part in boxes], np.concatenate(boxes))
    alone = [unit_contrast(*one) for one in prints]
    for found, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert np.array_equal(found, np.concatenate(parts))


def test_nothing_there_is_no_contrast(faces: list[Face]) -> None:
    _, coverage, boxes = print_of(faces[0], "Words", 0, 255)
    for level in (0, 127, 255):
        contrast, ratio, _ = unit_contrast(np.full_like(coverage, level), coverage, boxes)
        assert np.abs(contrast).max() < 1 and ratio.max() < 0.1
    contrast, ratio, _ = unit_contrast(np.full_like(coverage, 9), np.zeros_like(coverage), boxes)
    assert not contrast.any() and not ratio.any()


@pytest.mark.parametrize(("ink", "ground"), [(0, 255), (255, 0), (90, 140), (200, 150)])
def test_a_flat_print_stands_out_and_its_sign_tells_the_polarity(faces: list[Face], ink: int, ground: int) -> None:
    for face in faces:
        grey, coverage, boxes = print_of(face, "Wig,.|0", ink, ground)
        contrast, ratio, _ = unit_contrast(grey, coverage, boxes)
        assert contrast == pytest.approx(np.full(len(boxes), float(ink - ground)), abs=4, rel=0.05)
        assert ratio.min() > 5


def test_light_and_shade_do_not_count(faces: list[Face]) -> None:
    grey, coverage, boxes = print_of(faces[0], "shade", 20, 120)
    slope = np.linspace(0, 100, grey.shape[1])[None]
    flat = unit_contrast(grey, coverage, boxes)
    lit = unit_contrast((grey + slope).astype(np.uint8), coverage, boxes)
    assert lit[0] == pytest.approx(flat[0], abs=4)
    assert (lit[1] > 0.6 * flat[1]).all()


@pytest.mark.parametrize("harm", ["blur", "noise"])
def test_more_harm_is_less_legible(faces: list[Face], harm: str) -> None:
    grey, coverage, boxes = print_of(faces[0], "legible", 40, 200)
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, grey.shape)
    found = []
    for strength in (0.0, 1.0, 2.0, 4.0):
        if harm == "noise":
            worse = np.clip(grey + 12 * strength * noise, 0, 255).astype(np.uint8)
        else:
            worse = cv2.GaussianBlur(grey, (0, 0), strength) if strength else grey
        contrast, ratio, _ = unit_contrast(worse, coverage, boxes)
        found.append((np.abs(contrast), ratio))
    for (before, ratio), (after, worse) in pairwise(found):
        assert (worse < ratio).all()
        assert harm == "noise" or (after < before).all()
    assert (found[-1][1] < 0.3 * found[0][1]).all()


def test_a_unit_painted_over_is_found_out(faces: list[Face]) -> None:
    grey, coverage, boxes = print_of(faces[0], "abcdef", 0, 255)
    start, _, stop, _ = boxes[2]
    grey[:, start:stop] = 255
    contrast, ratio, _ = unit_contrast(grey, coverage, boxes)
    assert abs(contrast[2]) < 10 and ratio[2] < 0.5
    assert np.delete(ratio, 2).min() > 2


def test_a_lost_mark_is_found_out(faces: list[Face]) -> None:
    grey, coverage, boxes = print_of(faces[0], "ñiñi", 0, 255)
    assert unit_contrast(grey, coverage, boxes)[2].min() > 0.8
    left, top, right, bottom = boxes[2]
    grey[top : top + (bottom - top) // 4, left:right] = 255  # the tilde
    contrast, ratio, evenness = unit_contrast(grey, coverage, boxes)
    assert contrast[2] < -150 and ratio[2] > 1  # the letter itself is as good as before
    assert evenness[2] < 0.2 and np.delete(evenness, 2).min() > 0.8


# -- colours ----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
def test_luminance_is_opencvs_grey(seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (1, 50, 3), np.uint8)
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)[0]
    for pixel, expected in zip(pixels[0].tolist(), grey.tolist(), strict=True):
        assert luminance(tuple(pixel)) == pytest.approx(expected, abs=1)


colours = st.tuples(*[st.floats(0, 255)] * 3)


@given(colours, st.floats(-50, 300))
def test_with_luminance_hits_its_target_within_the_gamut(colour: tuple[float, float, float], target: float) -> None:
    found = with_luminance(colour, target)
    assert luminance(found) == pytest.approx(min(max(target, 0), 255), abs=1)
    assert min(found) >= -1e-6 and max(found) <= 255 + 1e-6


@given(st.floats(0, 255), st.floats(0, 255), st.floats(0, 255), st.floats(0, 1), st.integers(0, 999))
def test_contrasting_luminance(ground: float, a: float, b: float, darker: float, seed: int) -> None:
    low, high = sorted((a, b))
    ink = contrasting_luminance(ground, low, high, darker, np.random.default_rng(seed))
    assert 0 <= ink <= 255
    difference = abs(ink - ground)
    assert difference <= high + 1e-6
    if max(ground, 255 - ground) >= low:
        assert difference >= low - 1e-6
    else:  # as far as it goes
        assert difference == pytest.approx(max(ground, 255 - ground))


def test_contrasting_luminance_is_darker_as_often_as_asked() -> None:
    rng = np.random.default_rng(5)
    inks = [contrasting_luminance(128, 20, 100, 0.3, rng) for _ in range(4000)]
    assert np.mean(np.array(inks) < 128) == pytest.approx(0.3, abs=0.03)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_random_colours_have_the_asked_saturation(seed: int, saturation: float) -> None:
    colour = random_colour(np.random.default_rng(seed), saturation)
    assert min(colour) >= 0 and max(colour) <= 255
    # HSV: one minus the least over the greatest channel.
    assert min(colour) == pytest.approx(max(colour) * (1 - saturation), abs=1e-6)


@given(colours, st.floats(0, 1))
def test_a_tint_has_the_colour_where_the_texture_is_neutral(
    colour: tuple[float, float, float], strength: float
) -> None:
    ramp = np.arange(256, dtype=np.uint8)[None]
    image = tinted(ramp, colour, strength)
    grey = colour[0] == colour[1] == colour[2]
    assert image.shape == ((1, 256) if grey else (1, 256, 3))
    assert np.abs(image[0, 128] - np.array(colour)).max() <= 1
    assert (np.diff(image[0].astype(int), axis=0) >= 0).all()


# -- surfaces ---------------------------------------------------------------------------------------------------------


def background(*paths: Path, kinds: dict[str, float] | None = None, **options: Any) -> Backgrounds:
    # `kinds` of None leaves only the pictures.
    return Backgrounds(Background.model_validate({"paths": paths, "kinds": kinds or {}}), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_fills_any_size(kind: str) -> None:
    surfaces = background(kinds={kind: 1})
    seen = set()
    for height, width in ((32, 100), (8, 4), (256, 3000), (48, 1)):
        image, name = surfaces.draw(height, width, (180.0, 190.0, 200.0), np.random.default_rng(height))
        assert image is not None and image.shape == (height, width, 3) and image.dtype == np.uint8
        assert name == kind
        seen.add(float(image.std()))
    assert max(seen) > 1


def test_flat_is_no_picture() -> None:
    assert background(kinds={"flat": 1}).draw(32, 100, WHITE, np.random.default_rng(0)) == (None, "flat")


def test_kinds_come_as_often_as_they_weigh() -> None:
    surfaces = background(kinds={"flat": 3, "paper": 1, "wall": 0})
    rng = np.random.default_rng(2)
    names = [surfaces.draw(8, 8, WHITE, rng)[1] for _ in range(3000)]
    assert set(names) == {"flat", "paper"}
    assert names.count("paper") / 3000 == pytest.approx(0.25, abs=0.03)


def test_what_is_drawn_depends_on_the_generator_alone() -> None:
    weights = dict.fromkeys(KINDS, 1.0)
    one, other = background(kinds=weights), background(kinds=weights)
    for seed in range(30):  # only one of them has drawn others before
        other.draw(20, 50, WHITE, np.random.default_rng(1000 + seed))
        other.detail(20, 20, np.random.default_rng(seed))
    for seed in reversed(range(12)):
        first, name = one.draw(24, 60, WHITE, np.random.default_rng(seed))
        second, same = other.draw(24, 60, WHITE, np.random.default_rng(seed))
        assert name == same and np.array_equal(first, second)
    assert np.array_equal(one.detail(16, 40, np.random.default_rng(3)), other.detail(16, 40, np.random.default_rng(3)))


def test_textures_are_drawn_once_for_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def window(kind: str) -> Any:
        return background(kinds={kind: 1}).draw(40, 90, WHITE, np.random.default_rng(5))[0]

    monkeypatch.setenv("SCRIPTORIUM_CACHE", str(tmp_path))
    for kind in ("clutter", "wall"):
        drawn = window(kind)
        (file,) = tmp_path.rglob(f"{kind}-*.raw")
        content = file.read_bytes()
        assert np.array_equal(window(kind), drawn)
        # what another kind of texture would be: so the file is what is shown
        other = np.frombuffer(content, np.uint8)[:-4] ^ 255
        file.write_bytes(other.tobytes() + zlib.crc32(other).to_bytes(4, "little"))
        assert not np.array_equal(window(kind), drawn)
        for broken in (b"", content[:100], content[:-1] + b"?", content + b"....", bytes(len(content))):
            file.write_bytes(broken)
            assert np.array_equal(window(kind), drawn)
            assert file.read_bytes() == content
    monkeypatch.setenv("SCRIPTORIUM_CACHE", str(file))  # no folder
    assert np.array_equal(window("wall"), drawn)


def test_stronger_textures_vary_more() -> None:
    def deviation(strength: float) -> float:
        surfaces = Backgrounds(Background(kinds={"wall": 1.0}, strength=(strength, strength)))
        images = [surfaces.draw(64, 64, (128.0,) * 3, np.random.default_rng(seed))[0] for seed in range(8)]
        return float(np.mean([image.std() for image in images if image is not None]))

    assert deviation(0.0) == 0 and deviation(0.1) < 0.5 * deviation(0.4)


# -- pictures of the user's own ---------------------------------------------------------------------------------------


def picture(size: tuple[int, int] = (80, 60), seed: int = 0) -> Image.Image:
    """Half red, half blue, with some noise; red is on the left."""
    pixels = np.random.default_rng(seed).integers(0, 40, (size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2, 0] += 200
    pixels[:, size[0] // 2 :, 2] += 200
    return Image.fromarray(pixels)


def shown(path: Path) -> Array:
    """The picture as it is held for drawing."""
    surfaces = background(path)
    surfaces.draw(8, 8, WHITE, np.random.default_rng(0))
    ((_, image),) = surfaces._held.items()
    return image


def as_16_bit(path: Path) -> None:
    cv2.imwrite(str(path), np.arange(60 * 80, dtype=np.uint16).reshape(60, 80) * 13)


def as_palette(path: Path) -> None:
    picture().quantize(8).save(path)


def as_rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: what is stored as left is seen at the top
    picture().save(path, quality=95, exif=exif)


FORMS: dict[str, Callable[[Path], object]] = {
    "rgb.png": lambda path: picture().save(path),
    "grey.png": lambda path: picture().convert("L").save(path),
    "bilevel.png": lambda path: picture().convert("1").save(path),
    "alpha.png": lambda path: picture().convert("RGBA").save(path),
    "grey-alpha.png": lambda path: picture().convert("LA").save(path),
    "palette.png": as_palette,
    "16-bit.png": as_16_bit,
    "float.tif": lambda path: Image.fromarray(np.linspace(0, 1000, 4800, dtype=np.float32).reshape(60, 80)).save(path),
    "cmyk.jpg": lambda path: picture().convert("CMYK").save(path, quality=95),
    "turned.jpg": as_rotated,
    "UPPER.JPEG": lambda path: picture().save(path, "JPEG", quality=95),
    "plain.bmp": lambda path: picture().save(path),
    "small.webp": lambda path: picture().save(path, lossless=True),
}


@pytest.mark.parametrize("name", FORMS)
def test_pictures_of_every_sort_become_bgr(tmp_path: Path, name: str) -> None:
    FORMS[name](tmp_path / name)
    image = shown(tmp_path / name)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    if name == "turned.jpg":
        assert image.shape[:2] == (80, 60)
        image = np.rot90(image)  # top to the left
    assert image.shape[:2] == (60, 80)
    left, right = image[:, :38].mean((0, 1)), image[:, 42:].mean((0, 1))
    if name in ("16-bit.png", "float.tif"):  # a ramp from top to bottom
        rows = image.mean((1, 2))
        assert (np.diff(rows) >= 0).all() and np.ptp(image.max(2) - image.min(2)) == 0
        assert rows[-1] == pytest.approx({"16-bit.png": 255 * 4799 * 13 / 65535, "float.tif": 255}[name], abs=6)
    elif "grey" in name or "bilevel" in name:
        assert left[0] == pytest.approx(left[2], abs=1) and left.mean() > right.mean()
    else:
        assert left[2] > 150 > 70 > left[0] and right[0] > 150 > 70 > right[2]


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    clear = picture().convert("RGBA")
    clear.putalpha(Image.new("L", clear.size, 0))
    clear.save(tmp_path / "clear.png")
    assert (shown(tmp_path / "clear.png") == 255).all()


def test_large_photos_are_held_small(tmp_path: Path) -> None:
    picture((3000, 2000)).save(tmp_path / "photo.jpg")
    picture((2000, 3000)).save(tmp_path / "scan.png")
    for name, (height, width) in {"photo.jpg": (2, 3), "scan.png": (3, 2)}.items():
        image = shown(tmp_path / name)
        assert 700 <= max(image.shape) <= 1024
        assert image.shape[0] / image.shape[1] == pytest.approx(height / width, rel=0.01)


def spoil(path: Path, keep: float) -> None:
    picture((200, 200)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def test_unusable_pictures_are_told_with_the_reason(tmp_path: Path) -> None:
    picture().save(tmp_path / "good.png")
    picture((15, 400)).save(tmp_path / "thin.png")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "notes.txt").write_text("not a picture by its name")
    (tmp_path / "Thumbs.db").write_bytes(b"\0")
    (tmp_path / "folder.png").mkdir()
    surfaces = background(tmp_path)
    assert [path.name for path in surfaces.pictures] == ["good.png"]
    reasons = {path.name: reason for path, reason in surfaces.rejected}
    assert set(reasons) == {"thin.png", "empty.jpg", "text.png"}
    assert reasons["thin.png"] == "too small (15×400 pixels; at least 16 each way)"
    assert reasons["text.png"].startswith("cannot be read")


@pytest.mark.parametrize("pixels", [60_000_000, 100_000_000, 400_000_000])
def test_a_decompression_bomb_is_not_decoded(
    tmp_path: Path, pixels: int, recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A header that promises `pixels`, and no data worth speaking of.
    side = math.isqrt(pixels)
    path = tmp_path / "bomb.png"
    picture((20, 20)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path.write_bytes(data)
    picture().save(tmp_path / "good.png")
    load = ImageFile.ImageFile.load

    def checked(self: ImageFile.ImageFile) -> Any:
        assert self.size[0] * self.size[1] < 1_000_000, "decoded"
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", checked)
    surfaces = background(tmp_path)
    assert [(where.name, why.partition(" (")[0]) for where, why in surfaces.rejected] == [("bomb.png", "too large")]
    assert not recwarn.list


def test_folders_without_a_usable_picture(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    spoil(tmp_path / "bad" / "cut.png", 0.5)
    (tmp_path / "notes.txt").write_text("x")
    for name, told in {
        "nowhere": "does not exist",
        "empty": "has no usable picture (no file named .jpg",
        "bad": "has no usable picture (cut.png: cannot be read",
        "notes.txt": "has no usable picture",
    }.items():
        with pytest.raises(ScriptoriumError) as caught:
            background(tmp_path / name)
        message = str(caught.value)
        assert message.startswith(f"background.paths: {tmp_path / name} {told}") and "\n" not in message


def test_a_picture_that_breaks_off_refuses_the_attempt(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    spoil(tmp_path / "b.png", 0.5)
    surfaces = background(tmp_path)
    rng = np.random.default_rng(0)
    outcomes = []
    for _ in range(40):
        try:
            outcomes.append(surfaces.draw(16, 16, WHITE, rng)[1])
        except Refused as refused:
            outcomes.append(refused.reason)
            assert refused.detail.startswith(str(tmp_path / "b.png"))
    assert set(outcomes) == {"pictures", "broken background picture"}


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_damaged_pictures_never_crash(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    name = data.draw(st.sampled_from(sorted(FORMS)))
    FORMS[name](folder / name)
    content = bytearray((folder / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / name).write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        image, _ = background(folder).draw(16, 32, WHITE, np.random.default_rng(0))
    except (ScriptoriumError, Refused):
        return
    assert image is not None and image.shape == (16, 32, 3)


def test_pictures_share_half_of_the_surfaces_unless_weighed(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")

    def share(kinds: dict[str, float]) -> float:
        surfaces = background(tmp_path, kinds=kinds)
        rng = np.random.default_rng(4)
        return sum(surfaces.draw(8, 8, WHITE, rng)[1] == "pictures" for _ in range(2000)) / 2000

    assert share({"flat": 2, "paper": 1}) == pytest.approx(0.5, abs=0.04)
    assert share({"flat": 3, "pictures": 1}) == pytest.approx(0.25, abs=0.04)
    assert share({"flat": 3, "pictures": 0}) == 0
    assert share({}) == 1


def test_of_many_pictures_a_stretch_of_samples_shows_a_few(tmp_path: Path) -> None:
    for number in range(30):
        # Told apart by their level of grey.
        Image.new("L", (40, 40), 8 * number).save(tmp_path / f"{number:02}.png")
    surfaces, same, other = background(tmp_path), background(tmp_path), background(tmp_path, seed=1)

    def seen(surfaces: Backgrounds, index: int) -> set[int]:
        rng = np.random.default_rng(index)
        found = set()
        for _ in range(60):
            surfaces.turn_to(index)
            image, _ = surfaces.draw(8, 8, WHITE, rng)
            assert image is not None
            found.add(int(image[0, 0, 0]) // 8)
        return found

    first = seen(surfaces, 0)
    assert len(first) <= 8 and seen(surfaces, 255) == first
    everything = first.union(*(seen(surfaces, 256 * block) for block in range(1, 40)))
    assert everything == set(range(30))
    assert seen(same, 256 * 7 + 5) == seen(surfaces, 256 * 7 + 200) != seen(other, 256 * 7)


def test_memory_is_bounded(tmp_path: Path) -> None:
    for number in range(12):
        picture((400, 300), number).save(tmp_path / f"{number}.png")
    limit = 5 * 400 * 300 * 3
    surfaces = background(tmp_path, kinds={"pictures": 1, "wall": 1, "paper": 1}, max_bytes=limit)
    for index in range(0, 256 * 20, 64):
        surfaces.turn_to(index)
        surfaces.draw(16, 16, WHITE, np.random.default_rng(index))
        held = sum(image.nbytes for image in surfaces._held.values())
        assert held <= limit


def test_digests_are_of_the_files(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    surfaces = background(tmp_path)
    path = tmp_path / "a.png"
    assert surfaces.digests() == {str(path): hashlib.sha256(path.read_bytes()).hexdigest()}
    path.unlink()
    with pytest.raises(ScriptoriumError, match="cannot be read any more"):
        surfaces.digests()


# -- composition ------------------------------------------------------------------------------------------------------

TEXTS = ("Scene", "i", "Größe 7", "Wow!", "Ελλάδα", "שלום", "fjord", "Q&A", "l|I", "Straßenbahnhaltestelle", ".", "0")


def composed(
    composer: Composer, face: Face, text: str, seed: int, neighbours: Neighbours | None = None, ppem: int = 36
) -> tuple[Ink, Composed] | None:
    if not all(face.info.covers(ord(character)) for character in text):
        return None
    ink = written(face, text, ppem)
    try:
        return ink, composer.compose(ink, neighbours, np.random.default_rng(seed))
    except Refused:
        return None


def filled(polygons: Array, shape: tuple[int, int], grown: int) -> Array:
    """1 inside any of the polygons, grown by some pixels."""
    scale = 16
    mask = np.zeros(shape, np.uint8)
    for polygon in polygons:
        # Pixel centres lie at integers + 0.5 here, at integers for OpenCV.
        corners = np.round((polygon - 0.5) * scale).astype(np.int32)
        cv2.fillPoly(mask, [corners], 1, shift=4)
    return cv2.dilate(mask, np.ones((2 * grown + 1, 2 * grown + 1), np.uint8)) if grown else mask


@pytest.mark.parametrize("preset", ["scene", "document", "historical", "lowres", "receipt", "clean"])
def test_polygons_enclose_the_ink(faces: list[Face], preset: str) -> None:
    made = composer(preset)
    shares: list[float] = []
    for seed in range(250 if preset == "scene" else 50):
        result = composed(made, faces[seed % 5 // 4], TEXTS[seed % len(TEXTS)], seed)
        if result is None:
            continue
        written_ink, found = result
        # Enlarging spreads the ink by half of its own pixels.
        spread = 0.5 * found.coverage.shape[0] / written_ink.mask.shape[0]
        inside = filled(found.polygons, found.coverage.shape, max(1, math.ceil(spread)))
        ink = found.coverage.astype(np.float64)
        assert ink.sum() > 0
        shares.append((ink * inside).sum() / ink.sum())
        # A wide letter on a narrow arc bulges over the straight edges of its polygon.
        assert shares[-1] >= 0.96, (seed, TEXTS[seed % len(TEXTS)])
    assert np.mean(np.array(shares) >= 0.99) > 0.97
    assert len(shares) >= (200 if preset == "scene" else 36)


@pytest.mark.parametrize("preset", ["scene", "document"])
def test_polygons_are_clockwise_from_the_texts_own_top_left(faces: list[Face], preset: str) -> None:
    made = composer(preset)
    for seed in range(120):
        result = composed(made, faces[0], TEXTS[seed % len(TEXTS)], seed)
        if result is None:
            continue
        polygons = result[1].polygons.astype(np.float64)
        assert polygons.shape[1:] == (4, 2)
        x, y = polygons[..., 0], polygons[..., 1]
        twice = (x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(1)
        # With y downwards, a positive area is clockwise; a mirrored letter would have a negative one.
        assert (twice > 0).all(), (seed, TEXTS[seed % len(TEXTS)])
        assert (x[:, 0] < x[:, 1]).all() and (y[:, 0] < y[:, 3]).all()


def test_the_picture_has_the_asked_height_and_fits_its_polygons(faces: list[Face]) -> None:
    for height in (8, 32, 48, 256):
        made = composer(
            "document", f"layout.height={height}", "layout.margin_x=[0.05, 0.3]", "layout.margin_y=[0, 0.2]"
        )
        for seed in range(12):
            result = composed(made, faces[0], TEXTS[seed], seed, ppem=height)
            assert result is not None
            _, found = result
            assert found.image.shape[:2] == found.coverage.shape == (height, found.image.shape[1])
            assert found.inside is None
            assert found.polygons[..., 0].min() >= -0.01 and found.polygons[..., 1].min() >= -0.01
            assert found.polygons[..., 0].max() <= found.image.shape[1] + 0.01
            assert found.polygons[..., 1].max() <= height + 0.01


def test_what_is_composed_depends_on_the_generator_alone(faces: list[Face]) -> None:
    one, other = composer(), composer()
    for seed in range(5):
        composed(other, faces[1], "before", 100 + seed)
    for seed in range(15):
        first, second = (composed(made, faces[0], "Same", seed) for made in (one, other))
        assert first is not None and second is not None
        assert np.array_equal(first[1].image, second[1].image)
        assert np.array_equal(first[1].polygons, second[1].polygons)
        assert first[1].background == second[1].background


def test_too_wide_is_refused(faces: list[Face]) -> None:
    made = composer("clean", "layout.max_ratio=2")
    with pytest.raises(Refused, match="too wide"):
        made.compose(written(faces[0], "far too wide"), None, np.random.default_rng(0))
    assert composed(made, faces[0], "ok", 0) is not None


@pytest.mark.parametrize("warps", ["", "rotation shear perspective", "curve wave elastic rotation"])
def test_the_share_inside_equals_that_on_a_bigger_canvas(
    faces: list[Face], warps: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = [f"geometry.{name}.p=1" for name in warps.split()]
    made = composer("clean", "layout.margin_x=[-0.6, 0.1]", "layout.margin_y=[-0.3, 0.1]", *shape)
    places: list[Any] = []
    original = Composer.insides

    def watched(self: Composer, drafts: Any) -> Any:
        places.extend(draft.placed for draft in drafts)
        return original(self, drafts)

    monkeypatch.setattr(Composer, "insides", watched)
    room = 60
    partly = 0
    for seed in range(40):
        text = TEXTS[seed % len(TEXTS)]
        places.clear()
        result = composed(made, faces[0], text, seed)
        if result is None or not places:
            continue
        ink, found = result
        placed = places[0]
        height, width = found.coverage.shape
        assert found.inside is not None
        onto = placed.warp.then(geometry.translation(room, room))
        for unit, (x0, y0, x1, y1) in enumerate(ink.boxes.tolist()):
            if ink.blank[unit]:
                continue
            rows = range(math.floor(y0), math.ceil(y1))
            columns = slice(math.floor(x0), math.ceil(x1))
            whole = int(ink.mask[rows.start : rows.stop, columns].sum())
            shares = []
            # The whole unit, and its upper, middle and lower third where there is ink.
            for part in (rows, *([y for k, y in enumerate(rows) if k * 3 // len(rows) == third] for third in range(3))):
                alone = np.zeros_like(ink.mask)
                for y in part:
                    alone[y, columns] = ink.mask[y, columns]
                if alone.sum() < 0.05 * whole:
                    continue
                big = onto.apply(alone, (width + 2 * room, height + 2 * room), 0).astype(np.float64)
                shares.append(big[room : room + height, room : room + width].sum() / big.sum())
            share = min(shares)
            # Counted by the ink's own pixels, of which a third of a full stop has few.
            coarse = 2.0 / min(x1 - x0, y1 - y0)
            assert found.inside[unit] == pytest.approx(share, abs=max(0.08, coarse)), (seed, text, unit)
            partly += 0.1 < share < 0.9
    assert partly > 20


def test_a_space_beyond_the_frame_is_outside(faces: list[Face]) -> None:
    made = composer("clean", "layout.margin_x=[-0.9, -0.9]")
    ink = written(faces[0], "i abcdef i")
    inside = made.compose(ink, None, np.random.default_rng(0)).inside
    assert inside is not None
    assert inside[0] == inside[-1] == 0 and inside[1] == inside[-2] == 0
    assert (inside[4:6] == 1).all()


def test_neighbours_are_seen_in_part_and_do_not_touch_the_text(faces: list[Face]) -> None:
    made = composer("clean", "layout.margin_x=[0.3, 0.3]", "layout.margin_y=[0.2, 0.2]")
    other = np.full((26, 120), 255, np.uint8)
    text = written(faces[0], "nnnn")
    for seed in range(20):
        bare = made.compose(text, None, np.random.default_rng(seed))
        for name in ("above", "below", "before", "after"):
            busy = made.compose(text, Neighbours(**{name: other}, letter=18), np.random.default_rng(seed))
            assert busy.image.shape[:2] == bare.image.shape[:2]
            extra = (busy.image.reshape(*bare.coverage.shape, -1)[..., 0] < 60) & (bare.coverage < 20)
            rows, columns = np.nonzero(extra)
            height = len(extra)
            x, y = bare.polygons[..., 0], bare.polygons[..., 1]
            if not len(rows):
                continue
            if name == "above":
                assert rows.max() < y.min()
            if name == "below":
                assert rows.min() >= y.max() - 1
            if name == "before":
                assert columns.max() < x.min()
            if name == "after":
                assert columns.min() >= x.max() - 1
            # Of a line above or below, at most the documented part.
            assert name in ("before", "after") or np.ptp(rows) + 1 <= 0.4 * 26 * height / text.mask.shape[0] + 2


@pytest.mark.parametrize("height", [12, 32, 48, 256])
def test_a_plain_rendering_is_always_legible(faces: list[Face], height: int) -> None:
    made = composer("scene")
    floors = [Recipe.load(name).legibility for name in Recipe.presets()] + [Recipe().legibility]
    texts = [
        *TEXTS,
        "".join(map(chr, range(33, 127))),
        "ÀÉÎÕÜ çñ",
        "Съешь ещё",
        "العربية",
        ".,;:'\"`-_~",
        "....",
        "WWWWMMMM",
    ]
    for face in faces:
        for text in texts:
            if any(not face.info.covers(ord(character)) for character in text):
                continue
            ink = written(face, text, max(6, height))
            found = made.plain(ink, height)
            assert found.inside is None and found.image.shape[0] == height
            encoded = cv2.imencode(".jpg", found.image, (cv2.IMWRITE_JPEG_QUALITY, 60))[1]
            grey = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)
            contrast, ratio, _ = unit_contrast(grey, found.coverage, boxes_of(found.polygons, grey.shape)[~ink.blank])
            assert np.abs(contrast).min() >= max(floor.contrast for floor in floors), (text, height)
            assert ratio.min() >= max(floor.ratio for floor in floors), (text, height)
