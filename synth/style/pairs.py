"""Pairs of texts in one look: what a generator that carries a look from one text to another learns from.

The parts are those of Wu et al., "Editing Text in the Wild" (2019), with two differences. There the plain target is set
by itself and stretched over the picture, and the network has to find where letters go. Here the plain letters lie where
the styled ones do, unit by unit and under the same warp: the network learns the look alone, and the polygons of a plain
target are those of what is made from it. And a picture of a style may be of any width: `fitted` gives it that of the
target, while training as later.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.compose import Refused
from synth.compose.background import Backgrounds
from synth.compose.composer import Composer, Draft
from synth.compose.legibility import judged
from synth.fonts.book import FontBook, Uncovered
from synth.fonts.face import Face
from synth.handwriting.reference import Reference
from synth.pipeline import Pipeline, Streams
from synth.recipe import Recipe
from synth.render.line import GlyphCache, Ink, NoInk, draw_line
from synth.render.shape import Undrawable, shape_line
from synth.text.source import Drawn

Image: TypeAlias = NDArray[Any]
"""`uint8`; OpenCV's stubs do not promise more."""

Direction: TypeAlias = Literal["auto", "ltr", "rtl"]

GROUND = 127
"""Grey level on which the plain target and the styled text without background stand."""

_ATTEMPTS = 200
_STRETCH = 1.6  # by which a plain letter is stretched or squeezed at most
_FAR = 1e6  # pixels; beyond all masks
_SOFTENING = frozenset({"blur", "scatter", "defocus", "motion", "downscale"})
"""Pixel operations that letters show by themselves; all others need what the letters stand on."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts in one look, taken apart; all pictures of one size.

    Attributes:
        style: H × W × 3, the first text (i_s), cut or mirrored to the width of the second one: see `fitted`.
        ink: H × W, 0 to 255, coverage of the letters in `style` and of what is drawn around them.
        target: H × W, the second text in a plain face, black on `GROUND` (i_t).
        skeleton: H × W, 0 or 255, middle lines of the second text's letters as they look (t_sk).
        text: H × W × 3, the second text in the look, on `GROUND` (t_t).
        background: H × W × 3, of `style`, without its text (t_b).
        fused: H × W × 3, the second text in the look on `background` (t_f).
        mask: H × W, 0 to 255, coverage of the letters and of what is drawn around them in `fused` (m_t).
        label: the second text.
        units: `label` cut into dictionary units.
        polygons: `float32`, units × 4 × 2, where they lie in `target` and in `fused`.
        style_label: the first text.
    """

    style: Image
    ink: Image
    target: Image
    skeleton: Image
    text: Image
    background: Image
    fused: Image
    mask: Image
    label: str
    units: list[str]
    polygons: NDArray[np.float32]
    style_label: str


def fitted(picture: Image, width: int) -> Image:
    """A picture at another width: cut at the right, or gone on with as its own mirror image, as often as need be."""
    own = picture.shape[1]
    if width <= own:
        return np.ascontiguousarray(picture[:, :width])
    place = np.arange(width) % (2 * own)
    return np.ascontiguousarray(picture[:, np.where(place < own, place, 2 * own - 1 - place)])


def on_ground(coverage: Image) -> Image:
    """A plain text as generators take it, black on `GROUND`, from its coverage; H × W, as the result."""
    return cv2.LUT(coverage, _ON_GROUND)


def pair_recipe(recipe: Recipe) -> Recipe:
    """A recipe without what two texts cannot share, or what is no part of a look.

    That is: neighbouring text, rules and underlines, columns, curves and seals, handwriting, styles, and distortions of
    single letters; margins cut nothing off.

    Raises:
        ScriptoriumError: it draws pages.
    """
    if recipe.task != "rec":
        raise ScriptoriumError(f"recipe {recipe.name}: draws pages; pairs of texts want one that draws lines")
    values = recipe.model_dump()
    values["handwriting"]["chars"] = values["styles"]["stores"] = ()
    values["styles"]["model"] = None
    for section, key in (("layout", "vertical"), ("layout", "curve"), ("layout", "seal"), ("geometry", "elastic")):
        values[section][key]["p"] = 0.0
    values["layout"]["jitter_share"] = 0.0
    values["ink"]["underline"] = 0.0
    values["surroundings"] = dict.fromkeys(values["surroundings"], 0.0)
    for key in ("margin_x", "margin_y"):
        values["layout"][key] = tuple(max(margin, 0.0) for margin in values["layout"][key])
    return Recipe.from_values(values, f"recipe {recipe.name}")


class PlainWriter:
    """Draws texts in a standard face: of those that have all of its letters, the plainest.

    Args:
        book: the fonts.
        language, direction: of shaping, as in `Corpus`.
    """

    def __init__(self, book: FontBook, language: str | None, direction: Direction) -> None:
        self._reference = Reference(book)
        self._language, self._direction = language, direction
        self._cache = GlyphCache()

    def draw(self, drawn: Drawn, ppem: int) -> tuple[Ink, str]:
        """The ink of a text, and the face's name. Raises Refused: no face has all of it, or a unit has no ink."""
        face = self._reference.face(drawn.text)
        if face is None:
            raise Refused("no plain font has all of the text")
        return self.draw_in(face, drawn, ppem, 0.0), face.name

    def draw_in(self, face: Face, drawn: Drawn, ppem: int, spacing: float) -> Ink:
        """The ink of a text in a face, its letters spaced out, em. Raises as `draw`."""
        features = {"liga": False, "clig": False} if spacing else None
        try:
            runs = shape_line(
                *(drawn.text, [(face, 0, len(drawn.text))]),
                language=self._language,
                direction=self._direction,
                features=features,
            )
            return draw_line(runs, drawn.units, ppem, self._cache, spacing=spacing)
        except (Undrawable, NoInk):
            raise Refused("missing glyph, or no ink where ink is due") from None


@dataclass(slots=True)
class _Look:
    """One draw of everything that makes a look; each stage finds the same random choices again and again."""

    seeds: list[int]
    spacing: float
    ppem: int

    def rng(self, stage: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(self.seeds[stage]))


_PLACE, _GATHER, _GROUND, _INK, _PAINT, _DEGRADE = range(6)


class Pairs:
    """The stream of pairs that a recipe defines; `pairs[i]` is a pure function of (recipe, seed, index).

    Args:
        recipe: what to draw; see `pair_recipe` for what is left out of it.

    May be pickled; it then opens its files again on the other side.

    Raises:
        ScriptoriumError: as `Pipeline`, or the recipe draws pages.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = pair_recipe(recipe)
        self._pipeline = Pipeline(self.recipe)
        self._backgrounds = Backgrounds(self.recipe.background, self.recipe.seed)
        self._composer = Composer(self.recipe, self._backgrounds)
        self._streams = Streams(self.recipe.seed)
        self._degrade = self.recipe.degrade_ops()
        self._softening = [k for k, op in enumerate(self._degrade.ops) if op.name in _SOFTENING]

    def __reduce__(self) -> tuple[type[Pairs], tuple[Recipe]]:
        return Pairs, (self.recipe,)

    @cached_property
    def _writer(self) -> PlainWriter:
        corpus = self.recipe.corpus
        return PlainWriter(self._pipeline.book, corpus.language, corpus.direction)

    def __getitem__(self, index: int) -> Pair:
        """Pair `index`.

        Raises:
            ScriptoriumError: no two texts were found that one font draws and that can be read.
            IndexError: the index is negative.
        """
        if index < 0:
            raise IndexError("pairs are counted from 0")
        reason = ""
        for attempt in range(_ATTEMPTS):
            try:
                return self._pair(index, self._streams.at(index, attempt))
            except Refused as refusal:
                reason = refusal.reason
            finally:
                self._pipeline.source.refusals.clear()
        raise ScriptoriumError(
            f"pair {index}: {_ATTEMPTS} attempts were refused, the last one for: {reason}; give fonts that draw more "
            "of the corpus, or loosen the recipe"
        )

    def _pair(self, index: int, rng: np.random.Generator) -> Pair:
        source = self._pipeline.source
        first, second = source.draw(rng), source.draw(rng)
        look = self._look(rng)
        try:
            faces = self._pipeline.book.choose(f"{first.text} {second.text}", rng)
        except Uncovered:
            raise Refused("no font has the glyphs") from None
        if len(faces) > 1:
            raise Refused("no font has both texts")
        one, other = (self._drafted(drawn, faces[0][0], look) for drawn in (first, second))
        width, height = other.placed.width, other.placed.height
        composer = self._composer
        self._backgrounds.turn_to(index)
        composer.lay_ground(one, look.rng(_GROUND))
        background = fitted(_three(one.ground.image()), width)
        colour = composer.choose_ink(one, look.rng(_INK))
        composer.paint_in(one, colour, look.rng(_PAINT))
        plain = self._plain(second, other)
        text, fused = np.full((height, width, 3), GROUND, np.uint8), background
        layers = []
        for surface in (text, fused):
            composer.lay_picture(other, surface, one)
            composer.paint_in(other, colour, look.rng(_PAINT))
            layers.append(_three(other.ground.image()))
        text, fused = layers
        pictures = [fitted(_three(one.ground.image()), width), background, fused]
        chosen = self._degrade.chosen(look.rng(_DEGRADE))
        style, background, fused = (self._degraded(picture, chosen, look) for picture in pictures)
        text = self._degraded(text, [k for k in chosen if k in self._softening], look)
        mask = _drawn(other)
        shown = other.placed.polygons[~other.ink.blank]
        reason, _ = judged(cv2.cvtColor(fused, cv2.COLOR_BGR2GRAY), mask, shown, self.recipe.legibility)
        if reason:
            raise Refused(reason)
        return Pair(
            style=style,
            ink=fitted(_drawn(one), width),
            target=on_ground(plain),
            skeleton=skeleton(mask),
            text=text,
            background=background,
            fused=fused,
            mask=mask,
            label=second.text,
            units=second.units,
            polygons=other.placed.polygons,
            style_label=first.text,
        )

    def _look(self, rng: np.random.Generator) -> _Look:
        layout = self.recipe.layout
        spacing = 0.0
        if layout.spacing_share and rng.random() < layout.spacing_share:
            low, high = layout.spacing
            spacing = low + (high - low) * rng.random()
        low, high = layout.size
        # Few sizes, so that glyphs are found in the cache.
        step = int(rng.random() * 4) / 3 if high > low else 0.0
        ppem = max(6, round(layout.height * (low + (high - low) * step)))
        return _Look(rng.integers(2**63, size=6).tolist(), spacing, ppem)

    def _drafted(self, drawn: Drawn, face: Face, look: _Look) -> Draft:
        draft = Draft(self._writer.draw_in(face, drawn, look.ppem, look.spacing), None, drawn.units)
        self._composer.place(draft, look.rng(_PLACE))
        self._composer.gather(draft, look.rng(_GATHER))
        self._composer.draw(draft)
        return draft

    def _plain(self, drawn: Drawn, styled: Draft) -> Image:
        """Coverage of a text in the plain face, its letters where the styled ones are."""
        plain, _ = self._writer.draw(drawn, styled.ink.ppem)
        return styled.placed.draw(aligned(plain, styled.ink), 0)

    def _degraded(self, picture: Image, chosen: list[int], look: _Look) -> Image:
        """A picture after operations, each of which draws the same for all pictures."""
        for k in chosen:
            rng = np.random.Generator(np.random.Philox(key=(look.seeds[_DEGRADE], k + 1)))
            picture = self._degrade.ops[k].apply(picture, rng)
        return picture


def _drawn(draft: Draft) -> Image:
    """Coverage of letters and rims."""
    mask = draft.coverage if draft.strokes is None else draft.strokes
    return mask if draft.ring is None else cv2.max(mask, draft.ring)


def aligned(plain: Ink, styled: Ink) -> Image:
    """The mask of a text in one face, its letters moved and stretched to where another face has them.

    The map is linear over each unit and each gap, and between top, baseline and bottom. Units are stretched by
    `_STRETCH` at most. Where the two faces have them in another order, the line is stretched as a whole.

    Args:
        plain, styled: of the same units.

    Returns:
        `uint8`, as large as the mask of `styled`.
    """
    (rows, columns), plain_rows = styled.mask.shape, plain.mask.shape[0]
    shown = ~styled.blank & ~plain.blank
    there, here = styled.boxes[shown], plain.boxes[shown]
    order = np.argsort(there[:, 0] + there[:, 2], kind="stable")
    there, here = there[order], here[order]
    x: list[tuple[float, float]] = []
    for to, of in zip(there, here, strict=True):
        width = float(of[2] - of[0])
        # A bar that becomes a letter with serifs would be a block: it stays a bar, in the middle of its place.
        half = min(max(float(to[2] - to[0]), width / _STRETCH), width * _STRETCH) / 2
        middle = float(to[0] + to[2]) / 2
        for knot in ((middle - half, float(of[0])), (middle + half, float(of[2]))):
            if not x or min(knot[0] - x[-1][0], knot[1] - x[-1][1]) >= 1:
                x.append(knot)
    if not x or (np.diff(here[:, 0] + here[:, 2]) < 0).any():
        x = [(0.0, 0.0), (float(columns), float(plain.mask.shape[1]))]
    # Beyond the first and the last unit nothing is stretched.
    x = [(x[0][0] - _FAR, x[0][1] - _FAR), *x, (x[-1][0] + _FAR, x[-1][1] + _FAR)]
    y = [(0.0, 0.0), (float(rows), float(plain_rows))]
    if 1 <= styled.baseline <= rows - 1 and 1 <= plain.baseline <= plain_rows - 1:
        # What hardly reaches below the baseline does not drip down from it.
        room = (rows - styled.baseline) * plain.baseline / styled.baseline / _STRETCH
        bottom = plain.baseline + max(plain_rows - plain.baseline, room)
        y = [(0.0, 0.0), (styled.baseline, plain.baseline), (float(rows), bottom)]
    (across_to, across_from), (down_to, down_from) = np.array(x).T, np.array(y).T
    across = np.interp(np.arange(columns) + 0.5, across_to, across_from) - 0.5
    down = np.interp(np.arange(rows) + 0.5, down_to, down_from) - 0.5
    where = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
    return cv2.remap(plain.mask, where[0], where[1], cv2.INTER_LINEAR)


def skeleton(mask: Image) -> Image:
    """Middle lines of strokes, one pixel wide (Zhang and Suen, "A fast parallel algorithm for thinning", 1984).

    Args:
        mask: H × W, 0 to 255; strokes are what is from 128 up.

    Returns:
        `uint8`, H × W, 0 or 255.
    """
    left = cv2.copyMakeBorder((mask >= 128).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    while True:
        before = left
        for peel in _PEELS:
            # The eight neighbours as the bits of one number, and a table of what they mean.
            around = cv2.filter2D(left, cv2.CV_8U, _NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)
            left = cv2.bitwise_and(left, cv2.LUT(around, peel))
        if np.array_equal(left, before):
            return np.ascontiguousarray(left[1:-1, 1:-1] * np.uint8(255))


_NEIGHBOURS = np.array(((128, 1, 2), (64, 0, 4), (32, 16, 8)), np.float32)
"""Bits of the neighbours, clockwise from the one above."""


def _peel(step: int) -> Image:
    """By the neighbours of a pixel, 1 where it stays and 0 where a sub-iteration takes it away."""
    stays = np.ones(256, np.uint8)
    for code in range(256):
        p = [code >> bit & 1 for bit in range(8)]
        changes = sum(a < b for a, b in zip(p, [*p[1:], p[0]], strict=True))
        up, right, down, left = p[0::2]
        sides = (up * right * down, right * down * left) if step == 0 else (up * right * left, up * down * left)
        stays[code] = not (2 <= sum(p) <= 6 and changes == 1 and not any(sides))
    return stays


_PEELS = (_peel(0), _peel(1))
_ON_GROUND = np.round(GROUND * (1 - np.arange(256) / 255)).astype(np.uint8)


def _three(image: Image) -> Image:
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image


__all__ = ["GROUND", "Pair", "Pairs", "PlainWriter", "aligned", "fitted", "on_ground", "pair_recipe", "skeleton"]
