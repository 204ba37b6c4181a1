from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

import augment.pixel
from augment import banks
from augment.errors import ScriptoriumError
from augment.ops_camera import _disc, _streak
from augment.ops_paper import ink_is_dark
from augment.pixel import (
    Degrade,
    Image,
    PixelOp,
    PixelOpError,
    ShareRange,
    draw,
    dump_ops,
    known_ops,
    parse_ops,
    pixel_op,
)

NAMES = sorted(set(known_ops()) - {"albumentations"})
BLIND = {"grey", "invert"}  # draw nothing


def text(dark_ink: bool = True, width: int = 120) -> Image:
    image = np.full((32, width, 3), (215, 225, 230), np.uint8)
    cv2.putText(image, "Sample", (4, 23), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (40, 30, 50), 2, cv2.LINE_AA)
    return image if dark_ink else 255 - image


def one(name: str, **parameters: object) -> PixelOp:
    return parse_ops({name: parameters})[0]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


IMAGES = {
    "text": text(),
    "light": text(dark_ink=False),
    "1x1": np.full((1, 1, 3), 90, np.uint8),
    "1x4": np.full((1, 4, 3), 90, np.uint8),
    "4x1": np.full((4, 1, 3), 90, np.uint8),
    "8x8": np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8),
    "long": text(width=1000),
    "tall": np.ascontiguousarray(text().transpose(1, 0, 2)),
    "page": np.random.default_rng(0).integers(0, 256, (600, 50, 3), np.uint8),
    "wide": np.zeros((3, 2500, 3), np.uint8),
    "black": np.zeros((32, 100, 3), np.uint8),
    "white": np.full((32, 100, 3), 255, np.uint8),
    "view": text(width=300)[:, 20:140],
}


@pytest.mark.parametrize("picture", IMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_shape_and_type_are_kept_and_the_input_too(name: str, picture: str) -> None:
    image = IMAGES[picture]
    before = image.copy()
    for seed in range(6):
        out = one(name).apply(image, rng(seed))
        assert out.shape == image.shape
        assert out.dtype == np.uint8
        assert not np.shares_memory(out, image)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", NAMES)
def test_the_result_depends_on_the_generator_alone(name: str) -> None:
    op, image = one(name), text()
    assert np.array_equal(op.apply(image, rng(1)), op.apply(image, rng(1)))
    results = {op.apply(image, rng(seed)).tobytes() for seed in range(8)}
    assert len(results) == 1 if name in BLIND else len(results) >= 6


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dark", [True, False])
def test_text_stays_where_it_is_and_readable(name: str, dark: bool) -> None:
    """Nothing moves: the correlation with the original is high, and highest at no displacement."""
    image = text(dark)
    original = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    best = []
    for seed in range(20):
        out = cv2.cvtColor(one(name).apply(image, rng(seed)), cv2.COLOR_BGR2GRAY).astype(np.float32)
        scores = np.abs(cv2.matchTemplate(out, original[3:-3, 3:-3], cv2.TM_CCOEFF_NORMED))
        assert scores[3, 3] == scores.max(), seed
        best.append(scores.max())
    assert np.mean(best) > 0.8
    assert np.min(best) > 0.5


class Coins:
    """A generator that counts its draws."""

    def __init__(self) -> None:
        self.draws = 0

    def random(self) -> float:
        self.draws += 1
        return 0.0


@pytest.mark.parametrize("name", NAMES)
def test_an_operation_not_chosen_draws_one_coin(name: str) -> None:
    coins = Coins()
    image = text()
    assert Degrade({name: {"p": 0}})(image, coins) is image  # type: ignore[arg-type]
    assert coins.draws == 1


def test_degrade_applies_in_order_as_often_as_asked() -> None:
    image = text()
    first = Degrade({"noise": {"p": 1}, "jpeg": {"p": 1}})(image, rng(3))
    stream = rng(3)
    stream.random()
    expected = one("noise").apply(image, stream)
    stream.random()
    assert np.array_equal(first, one("jpeg").apply(expected, stream))
    degrade, stream = Degrade({"invert": {"p": 0.3}}), rng()
    assert sum(degrade(image, stream) is not image for _ in range(2000)) == pytest.approx(600, abs=80)


@pytest.mark.parametrize("name", NAMES)
def test_dump_and_parse_are_inverse(name: str) -> None:
    ops = parse_ops({name: None})
    assert parse_ops(dump_ops(ops)) == ops
    assert ops[0].name == name
    assert dump_ops(ops)[name]["p"] == ops[0].p


@pytest.mark.parametrize("name", NAMES)
def test_every_range_is_validated(name: str) -> None:
    op = one(name)
    ranges = [key for key, value in op if isinstance(value, tuple)]
    for key in ranges:
        low, high = getattr(op, key)
        with pytest.raises(PixelOpError, match=rf"^{name}\.{key}: a range goes from low to high"):
            one(name, **{key: (high, low)})
        with pytest.raises(PixelOpError, match=rf"^{name}\.{key}"):
            one(name, **{key: (low, math.inf)})
        with pytest.raises(PixelOpError, match=rf"^{name}\.{key}"):
            one(name, **{key: low})
    for key in [key for key, value in op if isinstance(value, float)]:
        with pytest.raises(PixelOpError, match=rf"^{name}\.{key}: should be 1 or less, not 1\.5"):
            one(name, **{key: 1.5})
    with pytest.raises(ValidationError):
        op.p = 0.5


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"blurr": None}, r"blurr: no such pixel operation; did you mean 'blur'\?"),
        ({"qqqq": None}, "qqqq: no such pixel operation; known: albumentations, binarise, .*"),
        ({"blur": {"sigmaa": [1, 2]}}, r"blur\.sigmaa: no such parameter; did you mean 'sigma'\?"),
        ({"blur": {"sigma": [0, 2]}}, r"blur\.sigma\.0: should be more than 0, not 0"),
        ({"jpeg": {"quality": [0, 50]}}, r"jpeg\.quality\.0: should be 1 or more, not 0"),
        ({"jpeg": {"quality": [10, 101]}}, r"jpeg\.quality\.1: should be 100 or less, not 101"),
        ({"blur": 3}, r"blur: should be a section with keys, not 3"),
        ({3: None}, "3: no such pixel operation.*"),
    ],
)
def test_errors_name_the_key_and_the_remedy_on_one_line(mapping: dict[str, object], message: str) -> None:
    with pytest.raises(ScriptoriumError, match=f"^{message}$") as caught:
        parse_ops(mapping)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_operations_fit_into_a_pydantic_field() -> None:
    class Section(BaseModel):
        model_config = ConfigDict(frozen=True)
        degrade: tuple[PixelOp, ...]

        @field_validator("degrade", mode="before")
        @classmethod
        def parse(cls, value: object) -> object:
            return parse_ops(value) if isinstance(value, dict) else value

    section = Section.model_validate({"degrade": {"blur": {"p": 0.5}, "jpeg": None}})
    assert [op.name for op in section.degrade] == ["blur", "jpeg"]
    assert type(section.degrade[0]) is known_ops()["blur"]
    with pytest.raises(ValidationError, match="did you mean 'jpeg'"):
        Section.model_validate({"degrade": {"jpg": None}})


@pytest.fixture
def own_op() -> Iterator[type[PixelOp]]:
    @pixel_op("dim")
    class Dim(PixelOp):
        factor: ShareRange = (0.5, 0.5)

        def apply(self, image: Image, rng: np.random.Generator) -> Image:
            return (image * draw(self.factor, rng)).astype(np.uint8)

    yield Dim
    del augment.pixel._registry["dim"]


def test_users_plug_in_their_own(own_op: type[PixelOp]) -> None:
    (op,) = parse_ops({"dim": {"p": 1}})
    assert isinstance(op, own_op)
    assert Degrade([op])(text(), rng()).max() == 115
    with pytest.raises(ValueError, match=r"'dim' is .*Dim already"):
        pixel_op("dim")(own_op)


# Single operations against what defines them.


@pytest.mark.parametrize("sigma", [0.4, 0.8, 1.5, 2.5])
def test_blur_is_gaussian(sigma: float) -> None:
    size = 2 * math.ceil(2.5 * sigma) + 1
    sigma = round(sigma * 32) / 32
    expected = cv2.GaussianBlur(text(), (size, size), sigma, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(one("blur", sigma=(sigma, sigma)).apply(text(), rng()).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_jpeg_is_what_opencv_writes(quality: int) -> None:
    encoded = cv2.imencode(".jpg", text(), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    expected = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert expected is not None
    assert np.array_equal(one("jpeg", quality=(quality, quality)).apply(text(), rng()), expected)


def test_scattered_light_darkens_the_ground_beside_ink() -> None:
    image = np.full((32, 64, 3), 240, np.uint8)
    assert np.array_equal(one("scatter", amount=(0.3, 0.3), sigma=(2, 2)).apply(image, rng()), image)
    image[:, 30:34] = 20
    found = one("scatter", amount=(0.2, 0.2), sigma=(2, 2)).apply(image, rng())[16, :, 0].astype(int)
    # Of the normal curve between 3 and 7 pixels away, a fifth of 220 levels.
    expected = 0.2 * 220 * (math.erf(6.5 / 2 / math.sqrt(2)) - math.erf(2.5 / 2 / math.sqrt(2))) / 2
    assert 240 - found[36] == pytest.approx(expected, abs=1.5)
    assert found[10] == 240 and found[28] < found[26] < 240 and found[31] > 20


@pytest.mark.parametrize("steps", range(8, 33))
def test_defocus_kernels_are_even_discs(steps: int) -> None:
    kernel = _disc(steps)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    half = kernel.shape[0] // 2
    assert kernel[half, half] == pytest.approx(1 / (math.pi * (steps / 8) ** 2), rel=0.03)
    squares = np.square(np.arange(-half, half + 1))
    # The mean square distance from the middle of a disc is r²/2; binning adds about that of a pixel, 1/6.
    assert (kernel * np.add.outer(squares, squares)).sum() == pytest.approx((steps / 8) ** 2 / 2 + 1 / 6, abs=0.15)


@pytest.mark.parametrize("direction", range(24))
@pytest.mark.parametrize("steps", [2, 5, 10, 24])
def test_motion_kernels_are_even_lines(steps: int, direction: int) -> None:
    kernel = _streak(steps, direction).astype(float)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.shape[0] % 2 == kernel.shape[1] % 2 == 1
    y, x = (np.arange(n) - n // 2 for n in kernel.shape)
    assert (kernel * y[:, None]).sum() == pytest.approx(0, abs=1e-6)
    assert (kernel * x[None, :]).sum() == pytest.approx(0, abs=1e-6)
    angle = direction * math.pi / 24
    along = np.add.outer(y * math.sin(angle), x * math.cos(angle))
    across = np.add.outer(y * math.cos(angle), -x * math.sin(angle))
    assert (kernel * along**2).sum() == pytest.approx((steps / 2) ** 2 / 12, abs=0.4)
    assert (kernel * across**2).sum() < 0.3


@pytest.mark.parametrize(("coarse", "colour"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("sigma", [3.0, 15.0])
def test_noise_has_the_asked_strength(sigma: float, coarse: int, colour: int) -> None:
    flat = np.full((200, 400, 3), 128, np.uint8)
    added = one("noise", sigma=(sigma, sigma), coarse=coarse, colour=colour).apply(flat, rng()).astype(float) - 128
    assert added.std() == pytest.approx(sigma, rel=0.08)
    assert abs(added.mean()) < 0.3
    assert np.array_equal(added[..., 0], added[..., 1]) is (colour == 0)
    neighbours = np.corrcoef(added[:, :-1, 0].ravel(), added[:, 1:, 0].ravel())[0, 1]
    assert neighbours > 0.3 if coarse else abs(neighbours) < 0.05


def test_sensor_noise_grows_as_the_root_of_light() -> None:
    op = one("sensor", floor=(3, 3), shot=(12, 12))
    for level in (40, 128, 200):
        flat = np.full((200, 400, 3), level, np.uint8)
        added = op.apply(flat, rng()).astype(float) - level
        assert added.std() == pytest.approx(math.sqrt(9 + 144 * level / 255), rel=0.08)
        assert abs(added.mean()) < 0.3


def test_banks_have_the_promised_statistics_and_no_more_than_one_copy() -> None:
    for bank in (banks.white(), banks.grain()):
        assert bank.shape == (banks.HEIGHT, banks.WIDTH, 3)
        assert bank.mean() == pytest.approx(128, abs=0.05)
        assert bank.std() == pytest.approx(banks.SPREAD, rel=0.01)
    assert banks.white() is banks.white()
    assert np.array_equal(banks.white_grey(), banks.white()[..., 0])
    assert np.array_equal(banks.grain_grey(), banks.grain()[..., 0])
    assert abs(banks.signed().mean()) < 0.05
    channels = banks.white().reshape(-1, 3).astype(float)
    assert np.abs(np.corrcoef(channels.T) - np.eye(3)).max() < 0.01
    cover = [(banks.clouds(64, 64, 12, rng(seed)) < 64).mean() for seed in range(60)]
    assert np.mean(cover) == pytest.approx(0.25, abs=0.06)


def test_windows_are_views_until_the_bank_is_too_small() -> None:
    bank = banks.white()
    assert np.shares_memory(banks.window(bank, 32, 100, rng()), bank)
    assert not np.array_equal(banks.window(bank, 32, 100, rng(1)), banks.window(bank, 32, 100, rng(2)))
    assert np.array_equal(banks.window(bank, banks.HEIGHT, banks.WIDTH, rng()), bank)
    large = banks.window(bank, 1500, 2500, rng())
    assert large.shape == (1500, 2500, 3)
    assert large.std() == pytest.approx(banks.SPREAD, rel=0.02)


def test_tone_operations_do_what_they_say() -> None:
    image = text()
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    expected = np.rint(255 * (np.arange(256) / 255) ** 2)
    assert np.array_equal(one("gamma", gamma=(2, 2)).apply(ramp, rng())[0, :, 0], expected)
    neutral = one("colour", gain=(1, 1), offset=(0, 0), saturation=(1, 1)).apply(image, rng())
    assert np.array_equal(neutral, image)
    grey = one("colour", gain=(1, 1), offset=(0, 0), saturation=(0, 0)).apply(image, rng())
    assert np.abs(grey.astype(int) - one("grey").apply(image, rng())).max() <= 1
    levels = one("posterise", levels=(4, 4)).apply(ramp, rng())
    assert np.unique(levels).tolist() == [0, 85, 170, 255]
    assert np.array_equal(one("invert").apply(image, rng()), 255 - image)
    flat = np.full((8, 8, 3), 120, np.uint8)
    assert (one("brightness_contrast", contrast=(0.3, 0.3), brightness=(30, 30)).apply(flat, rng()) == 150).all()
    assert (one("brightness_contrast", contrast=(1, 1), brightness=(-250, -250)).apply(flat, rng()) == 30).all()
    assert (one("brightness_contrast", contrast=(1, 1), brightness=(-9, -9)).apply(flat // 12, rng()) == 10).all()


@pytest.mark.parametrize("dark", [True, False])
def test_ink_operations_know_the_ink(dark: bool) -> None:
    image = text(dark)
    assert ink_is_dark(image) is dark
    sign = 1 if dark else -1
    assert sign * (one("bleed", amount=(1, 1)).apply(image, rng()).astype(int) - image).mean() < -3
    for name in ("fade", "thermal"):
        assert sign * (one(name, strength=(0.6, 0.6)).apply(image, rng()).astype(int) - image).mean() > 3
    gone = one("fade", strength=(1, 1), patchy=(0, 0)).apply(image, rng())
    assert np.ptp(gone) <= np.ptp(image) / 3
    assert np.array_equal(one("fade", strength=(0, 0)).apply(image, rng()), image)


@pytest.mark.parametrize("adaptive", [0, 1])
@pytest.mark.parametrize("dark", [True, False])
def test_binarised_text_is_black_and_white(dark: bool, adaptive: int) -> None:
    image = np.asarray(cv2.copyMakeBorder(text(dark), 8, 8, 8, 8, cv2.BORDER_REPLICATE), np.uint8)
    out = one("binarise", adaptive=adaptive, noise=(0, 5), offset=(-5, 5)).apply(image, rng())
    assert np.isin(out, (0, 255)).mean() > 0.75
    ground = 255 if dark else 0
    assert (out[:5] == ground).all()
    assert (out == 255 - ground).mean() > 0.05


def test_specks_cover_the_asked_share() -> None:
    flat = np.full((200, 400, 3), 128, np.uint8)
    for large in (0.0, 1.0):
        out = one("specks", share=(0.02, 0.02), light=(0.25, 0.25), large=(large, large)).apply(flat, rng())
        assert (out != 128).any(-1).mean() == pytest.approx(0.02, rel=0.15)
        assert (out[out != 128] == 255).mean() == pytest.approx(0.25, abs=0.06)


def test_light_changes_light_as_strongly_as_asked() -> None:
    flat = np.full((40, 160, 3), 200, np.uint8)
    darkest = [
        one("shadow", strength=(0.5, 0.5), blob=blob).apply(flat, rng(seed)).min()
        for blob in (0, 1)
        for seed in range(9)
    ]
    assert min(darkest) == pytest.approx(100, abs=3)
    dark = np.full((40, 160, 3), 20, np.uint8)
    brightest = [int(one("glare", strength=(0.5, 0.5)).apply(dark, rng(seed)).max()) for seed in range(9)]
    assert max(brightest) == pytest.approx(20 + 127, abs=4)
    assert min(brightest) > 60
    sloped = one("illumination", slope=(0.3, 0.3), vignette=(0, 0)).apply(flat // 2, rng()).astype(float)
    assert sloped.max() <= 100 * 1.43 and sloped.min() >= 100 * 0.56 and np.ptp(sloped) > 40


# The plug-in.


def test_nothing_imports_albumentations_before_it_is_used() -> None:
    code = "import sys, augment.pixel as p; p.parse_ops({'blur': None}); sys.exit('albumentations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_albumentations_is_seeded_and_sees_rgb() -> None:
    pytest.importorskip("albumentations")
    image = text()
    op = one("albumentations", transforms={"ISONoise": {"intensity": [0.3, 0.5]}})
    assert np.array_equal(op.apply(image, rng(4)), op.apply(image, rng(4)))
    assert not np.array_equal(op.apply(image, rng(4)), op.apply(image, rng(5)))
    assert op.apply(image, rng()).shape == image.shape
    ops = parse_ops({"albumentations": {"transforms": {"ToSepia": None}}})
    assert parse_ops(dump_ops(ops)) == ops
    blue, _, red = ops[0].apply(np.full((4, 4, 3), 120, np.uint8), rng())[0, 0].tolist()
    assert red > blue
    assert np.array_equal(one("albumentations", transforms={"ToSepia": {"p": 0}}).apply(image, rng()), image)


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ({"Affine": None}, "Affine is no pixel transform"),
        ({"CoarseDropout": None}, "CoarseDropout is no pixel transform"),
        ({"ISONoize": None}, "did you mean 'ISONoise'"),
        ({"GaussNoise": {"nonsense": 1}}, "GaussNoise: .*nonsense"),
        ({"GaussNoise": {"std_range": [2, 3]}}, "GaussNoise: .*std_range"),
        ({"Normalize": None}, "Normalize does not give an 8-bit image"),
        ({"TextImage": {"font_path": "none.ttf"}}, "TextImage needs more than an image"),
        ({"__class__": None}, "no such pixel transform"),
        ({}, "should have 1 or more values"),
    ],
)
def test_albumentations_refuses_what_is_not_a_pixel_operation(transforms: dict[str, object], message: str) -> None:
    pytest.importorskip("albumentations")
    with pytest.raises(PixelOpError, match=f"^albumentations.*{message}") as caught:
        one("albumentations", transforms=transforms)
    assert "\n" not in str(caught.value)


def test_operations_are_chosen_as_often_as_they_say() -> None:
    degrade = Degrade({"blur": {"p": 0.2}, "invert": {"p": 1.0}, "grey": {"p": 0.0}, "gamma": {"p": 0.7}})
    rng = np.random.default_rng(3)
    counts = Counter(k for _ in range(4000) for k in degrade.chosen(rng))
    assert (counts[1], counts[2]) == (4000, 0)
    assert counts[0] / 4000 == pytest.approx(0.2, abs=0.03) and counts[3] / 4000 == pytest.approx(0.7, abs=0.03)
