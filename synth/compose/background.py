"""What the text stands on: procedural surfaces, soft clutter, and pictures of the user's own."""

from __future__ import annotations

import hashlib
import platform
import warnings
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.cache import cache_dir, write_whole
from synth.compose import Refused
from synth.compose.colour import Colour, is_grey, luminance, random_colour
from synth.recipe import Background

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Image: TypeAlias = NDArray[Any]
"""`uint8`; OpenCV's stubs do not promise more."""

_HEIGHT, _WIDTH = 384, 1024
_PER_KIND = 12
_TEXTURES = 1  # raise it whenever a texture of some kind and number changes
_PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
_MAX_PIXELS = 50_000_000
_MIN_SIDE = 16
_LONGEST = 1024  # pixels kept of a picture's longer side: windows are smaller than that
_STRETCH = 256  # samples that share a few pictures: what one worker makes at a time, so that each is decoded once
_SHOWN = 6


def _octaves(rng: np.random.Generator, cells: Sequence[int], fall: float = 0.6) -> NDArray[np.float32]:
    """Smooth noise of several cell sizes in pixels, mean 0, standard deviation 1."""
    total = np.zeros((_HEIGHT, _WIDTH), np.float32)
    weight = 1.0
    for cell in cells:
        coarse = rng.standard_normal((_HEIGHT // cell + 2, _WIDTH // cell + 2), np.float32)
        total += weight * cv2.resize(coarse, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
        weight *= fall
    total -= total.mean()
    return np.asarray(total / max(float(total.std()), 1e-6), np.float32)


def _paper(rng: np.random.Generator) -> NDArray[np.float32]:
    fibres: Any = rng.standard_normal((_HEIGHT, _WIDTH), np.float32)
    fibres = cv2.GaussianBlur(fibres, (0, 0), sigmaX=1.6, sigmaY=0.6)
    return np.asarray(0.6 * fibres / fibres.std() + 0.8 * _octaves(rng, (96, 24, 6)), np.float32)


def _grain(rng: np.random.Generator) -> NDArray[np.float32]:
    """Wood: rings seen along the grain."""
    y = np.linspace(0, 1, _HEIGHT, dtype=np.float32)[:, None] * rng.uniform(8, 30)
    bend = cv2.resize(rng.standard_normal((5, 6), np.float32), (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    rings = np.sin(2 * np.pi * (y + bend * rng.uniform(0.4, 1.6)))
    streaks = cv2.resize(rng.standard_normal((_HEIGHT, 8), np.float32), (_WIDTH, _HEIGHT))
    return np.asarray(rings * 0.8 + streaks * 0.6, np.float32)


def _cloth(rng: np.random.Generator) -> NDArray[np.float32]:
    period = rng.uniform(3, 9)
    x = np.arange(_WIDTH, dtype=np.float32)[None]
    y = np.arange(_HEIGHT, dtype=np.float32)[:, None]
    weave = np.sin(2 * np.pi * x / period) * np.sin(2 * np.pi * y / period * rng.uniform(0.8, 1.2))
    return np.asarray(weave + 0.7 * _octaves(rng, (64, 8, 2), 0.8), np.float32)


def _stains(rng: np.random.Generator) -> NDArray[np.float32]:
    base = _octaves(rng, (128, 48, 16))
    edge = np.exp(-((base - rng.uniform(0.2, 0.9)) ** 2) / 0.02)
    return np.asarray(0.5 * (base > 0.5) + 0.8 * base - 1.2 * edge + 0.3 * _octaves(rng, (4, 2)), np.float32)


def _gradient(rng: np.random.Generator) -> NDArray[np.float32]:
    angle = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-1, 1, _WIDTH, dtype=np.float32)[None]
    y = np.linspace(-1, 1, _HEIGHT, dtype=np.float32)[:, None]
    return np.asarray(1.4 * (x * np.cos(angle) + y * np.sin(angle)) + 0.4 * _octaves(rng, (256,)), np.float32)


def _wall(rng: np.random.Generator) -> NDArray[np.float32]:
    """Plaster, stone, rust: noise at all scales."""
    return _octaves(rng, (96, 32, 12, 4, 2), float(rng.uniform(0.6, 1.0)))


def _ruled(rng: np.random.Generator) -> NDArray[np.float32]:
    """Paper with lines, about as far apart as an image is high."""
    lines = _lines(rng, _HEIGHT, rng.uniform(26, 44))
    return np.asarray(0.35 * _paper(rng) - rng.uniform(1.2, 2.4) * lines[:, None], np.float32)


def _squared(rng: np.random.Generator) -> NDArray[np.float32]:
    """Paper with squares."""
    period = rng.uniform(11, 26)
    across, down = _lines(rng, _HEIGHT, period), _lines(rng, _WIDTH, period)
    grid = np.maximum(across[:, None], down[None])
    return np.asarray(0.35 * _paper(rng) - rng.uniform(0.9, 1.8) * grid, np.float32)


def _lines(rng: np.random.Generator, length: int, period: float) -> NDArray[np.float32]:
    """Coverage of printed lines across `length` pixels."""
    away = np.abs((np.arange(length) + rng.uniform(0, period)) % period - period / 2)
    return np.asarray(np.clip(rng.uniform(0.5, 1.0) + 0.5 - away, 0, 1), np.float32)


_DETAIL: dict[str, Callable[[np.random.Generator], NDArray[np.float32]]] = {
    "paper": _paper,
    "gradient": _gradient,
    "grain": _grain,
    "cloth": _cloth,
    "stains": _stains,
    "wall": _wall,
    "ruled": _ruled,
    "squared": _squared,
}


def _clutter(rng: np.random.Generator) -> Image:
    """Soft photographic clutter: blurred shapes of a few related colours, with edges here and there."""
    palette = [random_colour(rng, rng.random() * 0.6) for _ in range(5)]
    image: Image = np.empty((_HEIGHT, _WIDTH, 3), np.uint8)
    image[:] = np.clip(palette[0], 0, 255)
    for _ in range(int(rng.integers(40, 110))):
        colour = tuple(
            float(c) for c in np.clip(np.array(palette[int(rng.integers(5))]) + rng.normal(0, 18, 3), 0, 255)
        )
        x, y = int(rng.integers(_WIDTH)), int(rng.integers(_HEIGHT))
        size = rng.uniform(12, 220)
        kind = rng.random()
        if kind < 0.4:
            axes = (int(size), int(size * rng.uniform(0.2, 1)) + 1)
            cv2.ellipse(image, (x, y), axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
        elif kind < 0.8:
            corners = np.array([x, y]) + rng.normal(0, size * 0.6, (int(rng.integers(3, 6)), 2))
            cv2.fillConvexPoly(image, cv2.convexHull(corners.astype(np.int32)), colour, cv2.LINE_AA)
        else:
            end = (int(x + rng.normal(0, 300)), int(y + rng.normal(0, 200)))
            cv2.line(image, (x, y), end, colour, int(rng.integers(1, 14)), cv2.LINE_AA)
        if rng.random() < 0.06:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 6))
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 3.5))
    light = 1 + 0.18 * _octaves(rng, (256, 64)) + 0.03 * _octaves(rng, (4, 2))
    return np.asarray(np.clip(image * light[:, :, None], 0, 255), np.uint8)


def _procedural(kind: str, number: int) -> Image:
    """A texture by kind and number; drawn once for all processes, which share the file's pages in memory.

    Drawing all of them takes a second. The file holds the pixels and their CRC-32; where it cannot be written or read,
    the texture is drawn anew.
    """
    shape = (_HEIGHT, _WIDTH, 3) if kind == "clutter" else (_HEIGHT, _WIDTH)
    path = cache_dir() / "textures" / _drawn_by() / f"{kind}-{number}.raw"
    with suppress(OSError, ValueError):
        stored = np.asarray(np.memmap(path, np.uint8, "r"))
        if stored[-4:].tobytes() == _checksum(stored[:-4]):
            return stored[:-4].reshape(shape)
    rng = np.random.default_rng([*kind.encode(), number])
    if kind == "clutter":
        texture = _clutter(rng)
    else:
        texture = np.asarray(np.clip(128 + 42 * _DETAIL[kind](rng), 0, 255), np.uint8)
    with suppress(OSError):
        write_whole(path, texture.tobytes() + _checksum(texture))
    return texture


def _checksum(pixels: Image) -> bytes:
    return zlib.crc32(pixels.data).to_bytes(4, "little")


@cache
def _drawn_by() -> str:
    """A name for all that the pixels of a texture depend on beside its kind and number."""
    parts = (str(_TEXTURES), np.__version__, cv2.__version__, platform.machine(), cv2.getCPUFeaturesLine())
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a texture or picture, as it lies behind a text.

    Attributes:
        key: kind and number of the texture.
        top, left, height, width: of the part, pixels of the texture.
        flipped: it is shown as in a mirror.
    """

    key: tuple[str, int]
    top: int
    left: int
    height: int
    width: int
    flipped: bool


class Backgrounds:
    """Surfaces of a recipe; each texture is a function of its kind and number alone and read when first used.

    Of many pictures, a stretch of samples shows only a few (`turn_to`): decoding one takes as long as twenty samples.

    Args:
        config: the recipe's `background` section.
        seed: chooses the pictures of each stretch.
        max_bytes: what decoded pictures and textures may hold.

    Attributes:
        pictures: files that can be used by what their first bytes say.
        rejected: files that cannot, and why.

    Raises:
        ScriptoriumError: a folder or file that is missing, or without a single usable picture.
    """

    def __init__(self, config: Background, seed: int = 0, max_bytes: int = 96 << 20) -> None:
        self._config = config
        self._seed = seed
        self._max = max_bytes
        self._held: OrderedDict[tuple[str, int], Image] = OrderedDict()
        self.rejected: list[tuple[Path, str]] = []
        self.pictures = self._find(config.paths)
        self._stretch = -1
        self._shown: Sequence[int] = ()
        self.turn_to(0)
        self._weigh()

    def with_look(self, config: Background) -> Backgrounds:
        """The same pictures and textures, those in memory shared, with other `kinds` and `strength`."""
        changed = copy(self)
        changed._config = config
        changed._weigh()
        return changed

    def _weigh(self) -> None:
        config = self._config
        kinds: dict[str, float] = {kind: weight for kind, weight in config.kinds.items() if weight > 0}
        if not self.pictures:
            kinds.pop("pictures", None)
        elif "pictures" not in config.kinds:
            # Whoever names folders wants to see them.
            kinds["pictures"] = sum(kinds.values()) or 1.0
        self._kinds = list(kinds)
        self._sums = list(accumulate(kinds.values()))

    def _find(self, paths: Sequence[Path]) -> list[Path]:
        found: list[Path] = []
        for path in paths:
            if not path.exists():
                raise ScriptoriumError(f"background.paths: {path} does not exist; name pictures or folders of them")
            names = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
            usable = 0
            problems: list[str] = []
            for name in names:
                if name.suffix.lower() not in _PICTURE_SUFFIXES:
                    continue
                try:
                    # One is decoded, so that there is one; the others when they are drawn.
                    with _opened(name) as picture:
                        if not usable:
                            _decoded(picture)
                except UnusablePicture as problem:
                    self.rejected.append((name, str(problem)))
                    problems.append(f"{name.name}: {problem}")
                else:
                    found.append(name)
                    usable += 1
            if not usable:
                why = "; ".join(problems[:3]) or "no file named .jpg, .png, .bmp, .tif or .webp"
                raise ScriptoriumError(f"background.paths: {path} has no usable picture ({why})")
        return found

    def turn_to(self, index: int) -> None:
        """Show the pictures of the stretch of samples that `index` lies in: a function of seed and index alone."""
        stretch = index // _STRETCH
        if stretch != self._stretch:
            self._stretch = stretch
            self._shown = range(len(self.pictures))
            if len(self.pictures) > _SHOWN:
                rng = np.random.default_rng([self._seed, stretch])
                self._shown = rng.choice(len(self.pictures), _SHOWN, replace=False).tolist()

    def digests(self) -> dict[str, str]:
        """SHA-256 of every picture by name, for the manifest.

        Raises:
            ScriptoriumError: one cannot be read any more.
        """
        found: dict[str, str] = {}
        for path in self.pictures:
            try:
                with path.open("rb") as file:
                    found[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise ScriptoriumError(f"{path}: cannot be read any more ({error.strerror}); start again") from error
        return found

    def draw(self, height: int, width: int, colour: Colour, rng: np.random.Generator) -> tuple[Image | None, str]:
        """A background of the given size and its kind; none where it is flat, height × width where all is grey.

        Args:
            height: pixels.
            width: pixels.
            colour: the colour of surfaces that have none of their own.
            rng: draws kind, place and strength.

        Raises:
            Refused: the picture drawn turns out to be broken.
        """
        image, kind, _ = self.view(height, width, colour, rng)
        return image, kind

    def view(
        self, height: int, width: int, colour: Colour, rng: np.random.Generator
    ) -> tuple[Image | None, str, Window | None]:
        """As `draw`, and which part of which picture it is; none where it is the same surface all over."""
        kind = self._kinds[bisect_right(self._sums, rng.random() * self._sums[-1], 0, len(self._sums) - 1)]
        if kind == "flat":
            return None, kind, None
        if kind in ("clutter", "pictures"):
            if kind == "clutter":
                number = int(rng.random() * _PER_KIND)
            else:
                number = self._shown[int(rng.random() * len(self._shown))]
            window = self._window(kind, number, height, width, rng)
            return self._shown_in(window, height, width), kind, window
        window = self._window(kind, int(rng.random() * _PER_KIND), height, width, rng)
        detail = self._shown_in(window, height, width)
        low, high = self._config.strength
        strength = low + (high - low) * rng.random() ** 2
        # Dark surfaces show less of their texture than bright ones.
        return tinted(detail, colour, (strength * (0.35 + luminance(colour) / 255))), kind, None

    def detail(self, height: int, width: int, rng: np.random.Generator) -> Image:
        """A grey texture around 128 for worn ink and textured fills."""
        kind = ("wall", "paper", "stains")[int(rng.random() * 3)]
        return self._shown_in(self._window(kind, int(rng.random() * _PER_KIND), height, width, rng), height, width)

    def picture(self, window: Window) -> Image:
        """The whole picture that a window is a part of."""
        return self._texture(*window.key)

    def _window(self, kind: str, number: int, height: int, width: int, rng: np.random.Generator) -> Window:
        rows, columns = self._texture(kind, number).shape[:2]
        zoom = 0.35 + 1.4 * rng.random()
        h = min(rows, max(2, int(height * zoom)))
        w = min(columns, max(2, int(width * zoom)))
        y, x = int(rng.random() * (rows - h + 1)), int(rng.random() * (columns - w + 1))
        return Window((kind, number), y, x, h, w, bool(rng.random() < 0.5))

    def _shown_in(self, window: Window, height: int, width: int) -> Image:
        y, x = window.top, window.left
        part = self.picture(window)[y : y + window.height, x : x + window.width]
        scaled = cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
        return cv2.flip(scaled, 1) if window.flipped else scaled

    def _texture(self, kind: str, number: int) -> Image:
        key = (kind, number)
        texture = self._held.get(key)
        if texture is not None:
            self._held.move_to_end(key)
            return texture
        if kind == "pictures":
            path = self.pictures[number]
            try:
                with _opened(path) as picture:
                    texture = _decoded(picture)
            except UnusablePicture as problem:
                raise Refused("broken background picture", f"{path}: {problem}") from None
        else:
            texture = _procedural(kind, number)
        self._held[key] = texture
        # Counted anew: others may hold the same ones (`with_look`).
        held = sum(one.nbytes for one in self._held.values())
        while held > self._max and len(self._held) > 1:
            held -= self._held.popitem(last=False)[1].nbytes
        return texture


def tinted(detail: Image, colour: Colour, strength: float) -> Image:
    """A grey texture around 128 in a colour: height × width in, height × width × 3 out, or height × width for a grey.

    Each channel is linear in `detail`, which OpenCV computes many times as fast as NumPy makes a table.
    """
    colours = colour[:1] if is_grey(colour) else colour
    channels = [cv2.addWeighted(detail, strength, detail, 0.0, c - 128 * strength) for c in colours]
    return channels[0] if len(channels) == 1 else cv2.merge(channels)


class UnusablePicture(Exception):
    """Says why a file cannot be a background."""


def read_picture(path: Path, longest: int) -> Image:
    """A picture file of any size as BGR, its longer side scaled down to `longest` pixels where it is more.

    What is transparent lies on white.

    Raises:
        UnusablePicture: it cannot be read, or has more than 50 million pixels.
    """
    with _opened(path, 1) as picture:
        return _decoded(picture, longest)


@contextmanager
def _opened(path: Path, least: int = _MIN_SIDE) -> Iterator[Picture]:
    """A picture whose first bytes say that it can be used; whatever goes wrong is an `UnusablePicture`."""
    from PIL import Image as PillowImage

    try:
        # Of what Pillow warns, size is checked here and the rest does not matter for a texture.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PillowImage.open(path) as picture:
                width, height = picture.size
                if width * height > _MAX_PIXELS:
                    raise UnusablePicture(f"too large ({width}×{height} pixels; at most {_MAX_PIXELS:,} in all)")
                if min(width, height) < least:
                    raise UnusablePicture(f"too small ({width}×{height} pixels; at least {least} each way)")
                yield picture
    except UnusablePicture:
        raise
    except PillowImage.DecompressionBombError:
        raise UnusablePicture(f"too large (at most {_MAX_PIXELS:,} pixels)") from None
    except Exception as error:  # Decoders raise whatever a broken file makes them stumble over.
        raise UnusablePicture(f"cannot be read ({type(error).__name__})") from error


def _decoded(picture: Picture, most: int = _LONGEST) -> Image:
    """A picture as BGR, at most `most` pixels on its longer side; grey, CMYK, alpha and 16-bit ones converted."""
    from PIL import Image as PillowImage
    from PIL import ImageOps

    # JPEG can be decoded at a half, a quarter, an eighth of its size for a part of the time.
    part = 0.75 * most / max(picture.size)
    picture.draft("RGB", (max(1, int(picture.width * part)), max(1, int(picture.height * part))))
    turned = ImageOps.exif_transpose(picture)
    if turned.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(turned, np.float32))
        top = 65535.0 if turned.mode.startswith("I") and values.max() > 255 else max(float(values.max()), 255.0)
        turned = PillowImage.fromarray(np.clip(values * (255 / top), 0, 255).astype(np.uint8))
    if "A" in turned.getbands() or "transparency" in turned.info:
        turned = turned.convert("RGBA")
        white = PillowImage.new("RGBA", turned.size, (255, 255, 255, 255))
        turned = PillowImage.alpha_composite(white, turned)
    image: Image = cv2.cvtColor(np.asarray(turned.convert("RGB")), cv2.COLOR_RGB2BGR)
    longest = max(image.shape[:2])
    if longest > most:
        k = most / longest
        size = (max(1, round(image.shape[1] * k)), max(1, round(image.shape[0] * k)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return image
