"""Look-alikes among the entries of a dictionary, found by drawing them and comparing the pictures.

Every entry is drawn in a few faces; two are compared wherever one face draws both, as they stand on the line: size and
height above the baseline count, the room beside them does not. In scripts whose letters join, their joined forms are
compared, too.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import regex
import unicodedata2
from fontTools.pens.recordingPen import RecordingPen
from numpy.typing import NDArray
from tqdm import tqdm

from synth.fonts.book import FontBook
from synth.fonts.face import Face
from synth.fonts.index import FaceInfo
from synth.recipe import Fonts
from synth.render.line import GlyphCache, NoInk, draw_line
from synth.render.shape import Undrawable, script_of, shape_line
from synth.report.preview import data_uri, page, write_whole
from synth.report.summary import code_points, counted, shown, with_codes
from synth.text.charset import nfc

PPEM: Final = 48
"""Pixels per em of the pictures that are compared."""
NEAR: Final = 0.4
"""Two pictures are nearly the same if nowhere more ink than this share of a window of `_WINDOW` pixels differs."""

_WINDOW: Final = 5  # a tenth of an em: dots of letters are about as wide
_SHIFT: Final = 1  # pixels that one may lie beside the other; where the ink begins falls anywhere in a pixel
_FACES: Final = 2  # that each entry is drawn in, where there are as many
# The field that descriptors are made of: rows above and below the baseline, columns, pixels per cell.
_ABOVE, _BELOW, _ACROSS, _CELL = 80, 40, 120, 4
# What descriptors may differ by in pairs that are looked into: the squared distance, as a share of the greater one's
# square, and the greatest difference of a cell, as a share of `near`. Twice what near pairs of Latin, Greek, Cyrillic,
# Arabic and Han were found to have, but for the rarest.
_ROUGHLY: Final = 0.15
_CELLWISE: Final = 0.6
_BLOCK: Final = 512
_PAIRS: Final = 16384  # looked at together
_SHOWN: Final = 12
_TRIED: Final = 24  # letters looked at for curves

_INKLESS: Final = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
_JOINING: Final = frozenset({"Arab", "Syrc", "Mand", "Mong", "Nkoo", "Phag", "Adlm", "Rohg"})
_ZWJ: Final = "\u200d"


@dataclass(frozen=True)
class View:
    """How entries are drawn: in which face, and whether joined to letters on both sides."""

    face: FaceInfo
    joined: bool

    @property
    def name(self) -> str:
        """For people: `Amiri Regular, joined`."""
        return f"{self.face.family} {self.face.style}".strip() + (", joined" if self.joined else "")


@dataclass(frozen=True)
class Alike:
    """Entries that look alike.

    Attributes:
        units: the entries, in the dictionary's order.
        distance: how much they differ, see `NEAR`; 0 for those that are the same in every pixel.
        view: where; None for entries that are blank everywhere.
    """

    units: tuple[str, ...]
    distance: float
    view: View | None


@dataclass(frozen=True)
class LookAlikes:
    """What drawing the entries of a dictionary brings to light.

    Attributes:
        same: groups that some view draws the same in every pixel, without those that are part of another.
        near: pairs that are nearly the same in all views that have both, nearest first; of groups of `same`, and those
            that share an entry with them, the first entry stands for the others.
        undrawn: entries that no face draws, with the reason.
        inkless: entries that are never drawn by themselves, such as joiners.
        faces: those used.
        compared: how many entries were drawn.
    """

    same: tuple[Alike, ...]
    near: tuple[Alike, ...]
    undrawn: dict[str, str]
    inkless: tuple[str, ...]
    faces: tuple[FaceInfo, ...]
    compared: int

    def text(self) -> str:
        """For people, shortened: `write_sheet` shows all of it."""
        names = ", ".join(dict.fromkeys(face.family for face in self.faces))
        lines = [f"drawn       {counted(self.compared, 'entry', 'entries')}, in {names or 'no font'}"]
        for what, groups in (("same", self.same), ("alike", self.near)):
            kind = "group" if what == "same" else "pair"
            if groups:
                drawn = "drawn the same" if what == "same" else "nearly the same"
                lines.append(f"{what:<12}{counted(len(groups), kind)} {drawn}:")
            for group in groups[:_SHOWN]:
                units = "   ".join(map(with_codes, group.units))
                lines.append(f"{'':<12}{units}" + (f"   ({group.view.name})" if group.view else "   (blank)"))
            if len(groups) > _SHOWN:
                lines.append(f"{'':<12}and {len(groups) - _SHOWN:,} more; --html FILE shows all")
        if self.inkless:
            lines.append(
                f"{'no ink':<12}{', '.join(map(code_points, self.inkless[:_SHOWN]))}: never drawn by themselves"
            )
        if self.undrawn:
            lines.append(f"{'no font':<12}for {counted(len(self.undrawn), 'entry', 'entries')}:")
            for unit, reason in list(self.undrawn.items())[:_SHOWN]:
                lines.append(f"{'':<12}{with_codes(unit)}: {reason}")
            if len(self.undrawn) > _SHOWN:
                lines.append(f"{'':<12}and {len(self.undrawn) - _SHOWN:,} more")
            lines.append(f"{'':<12}give --fonts DIR, or run `synth fonts install SCRIPT`")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Picture:
    """Ink, `uint8`, height × width, cut at its edges; its first row is `top` rows above the baseline."""

    ink: NDArray[np.uint8]
    top: int

    def digest(self) -> bytes:
        place = f"{self.top} {self.ink.shape}".encode()
        return hashlib.blake2b(self.ink.tobytes(), digest_size=16, salt=place[:16]).digest() + place


class _Drawer:
    """Draws entries in one face."""

    def __init__(self, info: FaceInfo, cache: GlyphCache) -> None:
        self.book = FontBook([info], Fonts(variations=0))
        self.face: Face = self.book.open(info)
        self.circle = info.covers(0x25CC)
        self.cache = cache

    def angular(self) -> bool:
        """Whether letters have no curves, as those of fonts made of pixels, in which much is alike."""
        pen = RecordingPen()
        step = max(1, len(self.face.info.ranges) // _TRIED)
        for first, last in self.face.info.ranges[::step]:
            self.face.hb.draw_glyph_with_pen(self.face.hb.get_nominal_glyph((first + last) // 2), pen)
        return all(name in ("moveTo", "lineTo", "closePath") for name, _ in pen.value)

    def draw(self, unit: str, *, joined: bool) -> _Picture | None:
        """The picture of an entry (NFC), or None where the face does not draw it rightly; marks stand on a circle."""
        if not all(self.book.able(character) for character in unit if character != _ZWJ and character != "\u200c"):
            return None
        text = unit
        if unicodedata2.category(unit[0]).startswith("M"):
            if joined:
                return None
            text = f"\u25cc{unit}" if self.circle else unit
        elif joined:
            text = f"{_ZWJ}{unit}{_ZWJ}"
        try:
            ink = draw_line(shape_line(text, [(self.face, 0, len(text))]), [text], PPEM, self.cache)
        except (Undrawable, NoInk):
            return None
        return _Picture(ink.mask, int(ink.baseline))


def find(units: Sequence[str], faces: Sequence[FaceInfo], near: float = NEAR) -> LookAlikes:
    """Draw entries and find those that look alike.

    Args:
        units: the entries, each once.
        faces: to draw in; of them those are used that draw most entries, upright and regular ones first.
        near: see `NEAR`.
    """
    drawable: list[str] = []
    inkless: list[str] = []
    blank: list[str] = []
    for unit in units:
        if unit.isspace():
            blank.append(unit)
        else:
            (inkless if _INKLESS.fullmatch(unit) else drawable).append(unit)
    texts = [nfc(unit) for unit in drawable]
    cache = GlyphCache()
    seen = _Seen(texts, faces, cache)
    pairs: defaultdict[tuple[int, int], list[tuple[float, View]]] = defaultdict(list)
    for view, members in tqdm(seen.views, desc="comparing", unit="view", disable=None, delay=2):
        drawer = _Drawer(view.face, cache)
        firsts = [number for number in members if seen.same.first(number) == number]
        pictures = [drawer.draw(texts[number], joined=view.joined) for number in firsts]
        for a, b, distance in _near([picture for picture in pictures if picture is not None], near):
            pairs[firsts[a], firsts[b]].append((distance, view))

    groups = [Alike(tuple(drawable[n] for n in members), 0.0, view) for members, view in seen.same.whole()]
    if len(blank) > 1:
        groups.append(Alike(tuple(blank), 0.0, None))
    alike = []
    for (a, b), found in pairs.items():
        if len(found) == (seen.bits[a] & seen.bits[b]).bit_count():
            distance, view = max(found, key=lambda one: one[0])
            alike.append(Alike((drawable[a], drawable[b]), distance, view))
    return LookAlikes(
        same=tuple(groups),
        near=tuple(sorted(alike, key=lambda pair: pair.distance)),
        undrawn={drawable[number]: reason for number, reason in seen.undrawn.items()},
        inkless=tuple(inkless),
        faces=tuple(dict.fromkeys(view.face for view, _ in seen.views)),
        compared=len(drawable) - len(seen.undrawn) + len(blank),
    )


class _Groups:
    """Numbers that some view draws the same, in groups."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))
        self._found: list[tuple[list[int], View]] = []

    def first(self, number: int) -> int:
        """The least of all numbers that any chain of groups leads to."""
        while self._above[number] != number:
            self._above[number] = number = self._above[self._above[number]]
        return number

    def add(self, members: list[int], view: View) -> None:
        """Several numbers, ascending, that a view draws the same."""
        self._found.append((members, view))
        for number in members[1:]:
            low, high = sorted((self.first(members[0]), self.first(number)))
            self._above[high] = low

    def whole(self) -> list[tuple[list[int], View]]:
        """The groups that are no part of another, each with the first view that has it, by their least numbers."""
        kept: list[tuple[list[int], View]] = []
        holding: defaultdict[int, list[set[int]]] = defaultdict(list)
        for members, view in sorted(self._found, key=lambda one: -len(one[0])):
            if not any(other.issuperset(members) for other in holding[members[0]]):
                kept.append((members, view))
                group = set(members)
                for number in members:
                    holding[number].append(group)
        return sorted(kept, key=lambda one: one[0])


class _Seen:
    """Entries drawn in the faces that suit best, a few each, and grouped by their pictures.

    Attributes:
        views: each with the numbers of the entries that it draws.
        bits: by entry, the views that draw it.
        same: entries that some view draws the same.
        undrawn: entries that no face draws, with the reason.
    """

    def __init__(self, texts: Sequence[str], faces: Sequence[FaceInfo], cache: GlyphCache) -> None:
        self.views: list[tuple[View, list[int]]] = []
        self.bits = [0] * len(texts)
        self.same = _Groups(len(texts))
        covers, nowhere = _coverage(texts, faces)
        joining = [any(script_of(character) in _JOINING for character in text) for text in texts]
        wanting = np.full(len(texts), _FACES)
        left = list(range(len(faces)))
        used: set[str] = set()
        angular: dict[int, bool] = {}
        with tqdm(total=len(texts), desc="drawing", unit="entry", disable=None, delay=2) as bar:
            while left:
                scores = (covers[left] @ (wanting > 0).astype(np.int64)).tolist()
                # not of pixels, a design of its own before one already seen, plain before italic or bold
                ranks = [
                    (score > 0, not angular.get(n), faces[n].family not in used, _plain(faces[n]), score, -n)
                    for n, score in zip(left, scores, strict=True)
                ]
                rank, number = max(zip(ranks, left, strict=True))
                if not rank[0]:
                    break
                drawer = _Drawer(faces[number], cache)
                if number not in angular:
                    angular[number] = drawer.angular()
                    if angular[number]:
                        continue
                left.remove(number)
                used.add(faces[number].family)
                members = np.flatnonzero(covers[number] & (wanting > 0)).tolist()
                done = self._draw(View(faces[number], False), members, texts, drawer)
                self._draw(View(faces[number], True), [n for n in done if joining[n]], texts, drawer)
                bar.update(sum(int(wanting[n] == _FACES) for n in done))
                wanting[done] -= 1
        self.undrawn = {
            number: f"no font has {nowhere[number]}"
            if number in nowhere
            else "fonts have its characters, but none draws it whole and in the right shape"
            for number in np.flatnonzero(wanting == _FACES).tolist()
        }

    def _draw(self, view: View, members: Sequence[int], texts: Sequence[str], drawer: _Drawer) -> list[int]:
        """Draw entries and group them; returns those that could be drawn."""
        drawn: defaultdict[bytes, list[int]] = defaultdict(list)
        for number in members:
            picture = drawer.draw(texts[number], joined=view.joined)
            if picture is not None:
                drawn[picture.digest()].append(number)
                self.bits[number] |= 1 << len(self.views)
        for group in drawn.values():
            if len(group) > 1:
                self.same.add(group, view)
        done = sorted(number for group in drawn.values() for number in group)
        if done:
            self.views.append((view, done))
        return done


def _plain(face: FaceInfo) -> bool:
    return not face.italic and 300 <= face.weight <= 500


def _coverage(texts: Sequence[str], faces: Sequence[FaceInfo]) -> tuple[NDArray[np.bool_], dict[int, str]]:
    """Faces × entries: whether a face has all characters; and which characters of entries no face has."""
    needed = [[ord(character) for character in text if not _INKLESS.match(character)] for text in texts]
    points = np.unique(np.array([point for text in needed for point in text], np.int64))
    places = np.searchsorted(points, [point for text in needed for point in text])
    starts = np.cumsum([0, *map(len, needed[:-1])])
    covers = np.zeros((len(faces), len(texts)), np.bool_)
    anywhere = np.zeros(len(points), np.bool_)
    for number, face in enumerate(faces):
        edges = np.array([edge for first, last in face.ranges for edge in (first, last + 1)], np.int64)
        inside = np.searchsorted(edges, points, side="right") % 2 == 1
        anywhere |= inside
        if len(texts):
            covers[number] = np.logical_and.reduceat(inside[places], starts)
    lacking = {chr(point) for point in points[~anywhere].tolist()}
    nowhere = {}
    for number, text in enumerate(texts):
        if not lacking.isdisjoint(text):
            nowhere[number] = code_points("".join(c for c in dict.fromkeys(text) if c in lacking))
    return covers, nowhere


def _near(pictures: Sequence[_Picture], near: float) -> Iterator[tuple[int, int, float]]:
    """Pairs that are nearly the same, as (number, greater number, distance).

    Blurred and coarse copies tell which pairs are worth a close look; products of matrices compare these in blocks.
    """
    if len(pictures) < 2:
        return
    cells = np.stack([_descriptor(picture) for picture in pictures])
    rough = cells.astype(np.float32)
    sizes = np.einsum("ij,ij->i", rough, rough)
    for start in range(0, len(pictures), _BLOCK):
        block = slice(start, start + _BLOCK)
        squares = sizes[block, None] + sizes[start:] - 2 * (rough[block] @ rough[start:].T)
        close = squares < _ROUGHLY * np.maximum(sizes[block, None], sizes[start:])
        candidates = np.argwhere(np.triu(close, 1)) + start
        for some in np.array_split(candidates, len(candidates) // _PAIRS + 1):
            if not len(some):
                continue  # OpenCV has no difference of nothing
            differ = cv2.absdiff(cells[some[:, 0]], cells[some[:, 1]]).max(axis=1)
            for a, b in some[differ < _CELLWISE * near * 255].tolist():
                distance = compare(pictures[a], pictures[b])
                if distance < near:
                    yield a, b, distance


def _descriptor(picture: _Picture) -> NDArray[np.uint8]:
    """A coarse copy of a picture: means of cells, each smoothed with its neighbours."""
    field = np.zeros((_ABOVE + _BELOW, _ACROSS), np.uint8)
    first = max(0, _ABOVE - picture.top)
    ink = picture.ink[max(0, picture.top - _ABOVE) :, :_ACROSS][: len(field) - first]
    field[first : first + ink.shape[0], : ink.shape[1]] = ink
    size = (field.shape[1] // _CELL, field.shape[0] // _CELL)
    cells = cv2.resize(field, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(cells, (2, 2), borderType=cv2.BORDER_CONSTANT), np.uint8).ravel()


def compare(a: _Picture, b: _Picture) -> float:
    """The greatest share of ink by which two pictures differ in any window, in their best place side by side."""
    margin = _SHIFT + _WINDOW
    above = max(a.top, b.top) + margin
    below = max(picture.ink.shape[0] - picture.top for picture in (a, b)) + margin
    across = max(a.ink.shape[1], b.ink.shape[1]) + 2 * margin
    fields = np.zeros((2, above + below, across), np.uint8)
    for field, picture in zip(fields, (a, b), strict=True):
        top = above - picture.top
        field[top : top + picture.ink.shape[0], margin : margin + picture.ink.shape[1]] = picture.ink
    return min(
        float(cv2.blur(cv2.absdiff(fields[0], np.roll(fields[1], shift, 1)), (_WINDOW, _WINDOW)).max()) / 255
        for shift in range(-_SHIFT, _SHIFT + 1)
    )


def write_sheet(found: LookAlikes, path: Path, title: str = "Look-alikes") -> None:
    """Write a page with the pictures of all groups and pairs; it needs no other file and no network.

    Raises:
        ScriptoriumError: it cannot be written.
    """
    cache = GlyphCache()
    drawers: dict[FaceInfo, _Drawer] = {}

    def described(group: Alike) -> dict[str, object]:
        units = []
        for unit in group.units:
            uri = ""
            if group.view is not None:
                drawer = drawers.setdefault(group.view.face, _Drawer(group.view.face, cache))
                picture = drawer.draw(nfc(unit), joined=group.view.joined)
                if picture is not None:
                    uri = data_uri(cv2.imencode(".png", 255 - _on_line(picture))[1].tobytes())
            names = [unicodedata2.name(character, "") for character in unit]
            units.append({"uri": uri, "shown": shown(unit), "codes": code_points(unit), "names": ", ".join(names)})
        return {
            "units": units,
            "view": group.view.name if group.view else "blank",
            "distance": f"{group.distance:.2f}" if group.distance else "",
        }

    html = page(
        "lookalikes.html",
        title=title,
        intro=found.text().splitlines()[0],
        faces="",
        same=[described(group) for group in found.same],
        near=[described(pair) for pair in found.near],
        undrawn=[(shown(unit), code_points(unit), reason) for unit, reason in found.undrawn.items()],
    )
    write_whole(path, html.encode())


def _on_line(picture: _Picture) -> NDArray[np.uint8]:
    """The picture as it stands on the line, in a field of usual height."""
    above, below = max(PPEM, picture.top), max(PPEM // 2, picture.ink.shape[0] - picture.top)
    field = np.zeros((above + below, picture.ink.shape[1] + 8), np.uint8)
    field[above - picture.top : above - picture.top + picture.ink.shape[0], 4:-4] = picture.ink
    return field
