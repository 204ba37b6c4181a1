"""What each face makes of a dictionary or a corpus: what it lacks, what it draws wrongly, which faces look the same."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import unicodedata2
import yaml
from numpy.typing import NDArray
from tqdm import tqdm

from augment.errors import ScriptoriumError
from synth.fonts.book import SHAPED, FontBook, needed_tags
from synth.fonts.face import Face
from synth.fonts.index import FaceInfo
from synth.recipe import Fonts
from synth.render.line import GlyphCache, NoInk, draw_line
from synth.render.shape import Run, Undrawable, script_of, shape_line
from synth.report.preview import write_whole
from synth.report.summary import code_points, counted, shown
from synth.text.bidi import isolated
from synth.text.charset import Charset
from synth.text.corpus import compile_corpus
from synth.text.units import split_units

ENOUGH: Final = 0.98
"""Share of the wanted letters, by how often they occur, that a face of the suggested set draws.

Digits and punctuation do not count: where a face lacks them, the generator takes those of another.
"""

_MOST_UNITS: Final = 20_000  # distinct ones, the most frequent of a corpus
_MOST_LINES: Final = 300
_PPEM: Final = 24
_BASES: Final = 12  # letters that a lone mark is tried on
_APART: Final = 0.25  # em of white between a mark and the rest of its cluster: no anchor has placed it
_DRAWN_NOT: Final = frozenset(" \u00a0\u180e\u200c\u200d\u3000\t")
_NEUTRAL: Final = frozenset({"Zyyy", "Zinh", "Zzzz"})

# Comparing looks: units drawn, rows and columns of each picture, and what may differ of the ink of both. Liberation and
# Croscore, two cuts of one design, differ by up to 2.8 %, Lato Italic and Lato Medium Italic by 3.3 %.
_LOOKED_AT: Final = 24
_ROWS, _COLUMNS, _CELL = 48, 64, 8
_SAME: Final = 0.03
_LEAST_COMMON: Final = 4

_WEIGHTS: Final = {
    100: "thin",
    200: "extra light",
    300: "light",
    500: "medium",
    600: "semibold",
    700: "bold",
    800: "extra bold",
    900: "black",
}
_WRITTEN: Final = (
    *("hand", "script", "brush", "pen", "marker", "cursive", "calligra", "chancery", "manuscript", "scribble"),
    *("ruqaa", "ruq'ah", "diwani", "shikasta", "caoshu", "xingshu", "kaishu", "gyosho", "purisa", "chilanka"),
)


@dataclass(frozen=True)
class Wanted:
    """What the fonts should draw.

    Attributes:
        units: each with how often it occurs, most frequent first; the space is not among them.
        lines: some whole lines, for what happens between units.
        source: a name for people.
    """

    units: dict[str, int]
    lines: tuple[str, ...]
    source: str

    @classmethod
    def of_charset(cls, path: Path) -> Wanted:
        """The units of a dictionary, all alike. Raises ScriptoriumError as `Charset.from_file`."""
        units = [unit for unit in Charset.from_file(path).units if not unit.isspace()]
        return cls({unicodedata2.normalize("NFC", unit): 1 for unit in units}, (), path.name)

    @classmethod
    def of_corpora(cls, paths: Sequence[Path]) -> Wanted:
        """The grapheme clusters of text files. Raises ScriptoriumError as `compile_corpus`."""
        counts: Counter[str] = Counter()
        lines: list[str] = []
        for path in paths:
            corpus = compile_corpus(path)
            for number in tqdm(range(len(corpus)), desc=f"reading {path.name}", unit="line", disable=None, leave=False):
                line = corpus[number]
                counts.update(split_units(line, "grapheme"))
                if len(lines) < _MOST_LINES:
                    lines.append(line)
        return cls.of_counts(counts, lines, ", ".join(path.name for path in paths))

    @classmethod
    def of_counts(cls, counts: Counter[str], lines: Iterable[str], source: str) -> Wanted:
        """Units by how often they occur; of more than 20,000 the most frequent. Raises ScriptoriumError: no units."""
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        units = {unit: count for unit, count in ordered[:_MOST_UNITS] if not unit.isspace()}
        if not units:
            raise ScriptoriumError(f"{source}: nothing but spaces; give texts that the fonts should draw")
        return cls(units, tuple(lines), source)

    @property
    def scripts(self) -> tuple[str, ...]:
        """ISO 15924 codes of the scripts, the most frequent first."""
        counts: Counter[str] = Counter()
        for unit, count in self.units.items():
            counts[script_of(unit[0])] += count
        return tuple(code for code, _ in counts.most_common() if code not in _NEUTRAL)


@dataclass(frozen=True)
class Verdict:
    """What one face makes of what is wanted.

    Attributes:
        face: the face.
        share: of the wanted units, by how often they occur, that it draws rightly.
        letters: likewise of the wanted units that begin with a letter; of all, if none does.
        missing: characters that it has no glyph for, the most frequent first.
        broken: units whose characters it has and that it draws wrongly, with the reason.
        unshaped: scripts (ISO 15924) whose letters it has without the tables, or the conjuncts, that they need.
        lines_broken: whole lines of those it covers that it draws wrongly, though their units are right alone.
        hints: what the font says of itself: weight, italic, written by hand, and so on.
        stroke: mean width of its strokes in em; 0 where it draws nothing of what is wanted.
        twin_of: a face that looks the same, of those before this one.
    """

    face: FaceInfo
    share: float
    letters: float
    missing: tuple[str, ...]
    broken: tuple[tuple[str, str], ...]
    unshaped: tuple[str, ...]
    lines_broken: int
    hints: tuple[str, ...]
    stroke: float
    twin_of: FaceInfo | None = None

    @property
    def good(self) -> bool:
        """Whether it is fit for the suggested set, apart from twins."""
        return self.letters >= ENOUGH and not self.unshaped


@dataclass(frozen=True)
class Audit:
    """All verdicts, the best faces first, and what follows from them.

    Attributes:
        wanted: what they were asked for.
        verdicts: of every face.
        suggested: families to use, each with a face that is good and no twin of another's, or that alone draws a unit.
        nowhere: wanted units that no face draws.
    """

    wanted: Wanted
    verdicts: tuple[Verdict, ...]
    suggested: tuple[str, ...]
    nowhere: tuple[str, ...]

    def text(self, most: int = 40) -> str:
        """For people; of the faces that draw something, `most`."""
        drawing = [verdict for verdict in self.verdicts if verdict.letters or verdict.unshaped or verdict.broken]
        total = counted(len(self.wanted.units), "different unit")
        lines = [f"{self.wanted.source}: {total}, scripts {' '.join(self.wanted.scripts) or 'none'}"]
        for verdict in drawing[:most]:
            lines += _told(verdict, len(self.wanted.units))
        if len(drawing) > most:
            lines.append(f"… and {counted(len(drawing) - most, 'face')} more that draw part of it")
        if idle := len(self.verdicts) - len(drawing):
            lines.append(f"{counted(idle, 'face')} {'draws' if idle == 1 else 'draw'} none of its letters")
        if self.nowhere:
            lines.append(f"in no face: {_listed(self.nowhere, 20)}")
        good = sum(verdict.good for verdict in self.verdicts)
        twins = sum(verdict.twin_of is not None for verdict in self.verdicts)
        lines.append(
            f"{counted(good, 'face')} of {len(self.verdicts)} {'draws' if good == 1 else 'draw'} at least "
            f"{ENOUGH:.0%} of the letters rightly; "
            f"{counted(twins, 'face')} {'looks' if twins == 1 else 'look'} like another"
        )
        if self.suggested:
            lines.append(f"suggested ({counted(len(self.suggested), 'family', 'families')}):")
            lines += [f"  {name}" for name in self.suggested]
        else:
            lines.append("suggested: none; get more with `synth fonts install SCRIPT`")
        return "\n".join(lines) + "\n"

    def write_recipe(self, path: Path, fonts: Sequence[Path], base: str) -> None:
        """Write a recipe with the suggested families on top of `base`.

        Raises:
            ScriptoriumError: there is nothing to suggest, or the file cannot be written.
        """
        if not self.suggested:
            raise ScriptoriumError(f"{path}: not written: no font to suggest; run `synth fonts install SCRIPT`")
        section: dict[str, list[str]] = {"paths": [str(font.absolute()) for font in fonts]} if fonts else {}
        section["families"] = list(self.suggested)
        values = {"name": path.stem, "base": base, "fonts": section}
        write_whole(path, yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=120).encode())


def audit(faces: Sequence[FaceInfo], wanted: Wanted) -> Audit:
    """Try every face on what is wanted.

    A unit is drawn rightly if the face has its characters, knows the script where it needs shaping (see
    `synth.fonts.book`), shapes it without a missing glyph or a dotted circle, leaves no unit without ink, and sets no
    mark apart from its base. Of the checks of shaperglot these are the ones that hold for any language.

    Args:
        faces: those of an index; variable fonts are looked at as they are by default.
        wanted: units and lines.

    Raises:
        ScriptoriumError: there are no faces, or a font file has changed since it was indexed.
    """
    if not faces:
        raise ScriptoriumError("no usable font found: give folders of fonts or run `synth fonts install SCRIPT`")
    looked_at = _spread(list(wanted.units))
    cache = GlyphCache(32 << 20)
    verdicts: list[Verdict] = []
    looks: list[_Look | None] = []
    drawn: dict[str, list[int]] = {unit: [] for unit in wanted.units}
    total = sum(wanted.units.values())
    letters = {unit: n for unit, n in wanted.units.items() if unit[0].isalpha()} or wanted.units
    for number, info in enumerate(tqdm(faces, desc="trying fonts", unit="face", disable=None, leave=False)):
        trial = _Trial(info, wanted, cache)
        for unit in trial.right:
            drawn[unit].append(number)
        look = _Look.of(trial, looked_at, cache) if trial.right else None
        looks.append(look)
        verdicts.append(
            Verdict(
                info,
                sum(wanted.units[unit] for unit in trial.right) / total,
                sum(letters.get(unit, 0) for unit in trial.right) / sum(letters.values()),
                trial.missing,
                trial.broken,
                trial.unshaped,
                trial.lines_broken,
                hints(info),
                look.stroke if look else 0.0,
            )
        )
    order = sorted(
        range(len(faces)), key=lambda n: (-verdicts[n].letters, -verdicts[n].share, len(verdicts[n].broken), n)
    )
    twin = _twins([looks[number] for number in order])
    ranked = [
        verdict if of is None else _with_twin(verdict, verdicts[order[of]].face)
        for verdict, of in zip((verdicts[number] for number in order), twin, strict=True)
    ]
    suggested = {verdict.face.family for verdict in ranked if verdict.good and verdict.twin_of is None}
    # A unit that no good face draws is worth a family of its own.
    rank = {number: place for place, number in enumerate(order)}
    for numbers in drawn.values():
        if numbers and not any(verdicts[number].face.family in suggested for number in numbers):
            best = min(numbers, key=rank.__getitem__)
            if not verdicts[best].unshaped:
                suggested.add(verdicts[best].face.family)
    nowhere = tuple(unit for unit, numbers in drawn.items() if not numbers)
    return Audit(wanted, tuple(ranked), tuple(sorted(suggested)), nowhere)


def hints(info: FaceInfo) -> tuple[str, ...]:
    """What a face says of itself beyond its name: weight class, width, slant, and whether it imitates writing.

    From OS/2: usWeightClass, usWidthClass, sFamilyClass (IBM: 10 is scripts, 9 ornamentals, 12 symbols) and PANOSE
    (2 text, 3 written by hand, 4 decorative, 5 symbols); as many fonts leave those empty, also from words in the name.
    """
    found = []
    nearest = min(_WEIGHTS | {400: ""}, key=lambda weight: abs(weight - info.weight))
    if nearest != 400:
        found.append(_WEIGHTS[nearest])
    if info.italic:
        found.append("italic")
    if info.monospaced:
        found.append("monospaced")
    if info.axes:
        found.append("variable " + "/".join(axis.tag for axis in info.axes))
    os2 = Face(info).table("OS/2")
    width = struct.unpack_from(">H", os2, 6)[0] if len(os2) >= 8 else 5
    if 0 < width < 5:
        found.append("narrow")
    elif 5 < width < 10:
        found.append("wide")
    kind = os2[30] if len(os2) > 30 else 0
    panose = os2[32] if len(os2) > 32 else 0
    name = f"{info.family} {info.style}".casefold()
    if kind == 10 or panose == 3 or any(word in name for word in _WRITTEN):
        found.append("like handwriting")
    elif kind == 9 or panose == 4:
        found.append("decorative")
    elif kind == 12 or panose == 5:
        found.append("symbols")
    return tuple(found)


class _Trial:
    """One face tried on everything."""

    def __init__(self, info: FaceInfo, wanted: Wanted, cache: GlyphCache) -> None:
        self.book = FontBook([info], Fonts(variations=0))
        self.face: Face = self.book.open(info)
        self._cache = cache
        firsts = dict.fromkeys(unit[0] for unit in wanted.units)
        self._letters = [c for c in firsts if unicodedata2.category(c) in ("Lo", "Ll") and info.covers(ord(c))]
        self.right: list[str] = []
        missing: Counter[str] = Counter()
        broken: list[tuple[str, str]] = []
        unshaped: dict[str, None] = {}
        for unit, count in wanted.units.items():
            lacking = [c for c in unit if c not in _DRAWN_NOT and not info.covers(ord(c))]
            if lacking:
                missing.update(dict.fromkeys(lacking, count))
                continue
            tagless = [c for c in unit if c not in _DRAWN_NOT and not self.book.able(c)]
            if tagless and not needed_tags(script_of(tagless[0])):
                broken.append((unit, "as wide as a Han character"))
                continue
            if tagless:
                unshaped.setdefault(script_of(tagless[0]))
                continue
            problem = self._problem(unit)
            if problem:
                broken.append((unit, problem))
            else:
                self.right.append(unit)
        self.missing = tuple(c for c, _ in sorted(missing.items(), key=lambda item: (-item[1], item[0])))
        self.broken = tuple(broken)
        self.unshaped = tuple(unshaped)
        right = set(self.right)
        self.lines_broken = 0
        if not self.unshaped:
            for line in wanted.lines:
                units = split_units(line, "grapheme")
                if all(unit in right or unit.isspace() for unit in units):
                    self.lines_broken += self._whole_problem(line, units) is not None

    def _problem(self, unit: str) -> str | None:
        if unicodedata2.category(unit[0])[0] == "M":
            # Alone it would stand on a dotted circle, and rightly so: it is for some base to carry.
            carried = [self._whole_problem(base + unit, [base + unit]) for base in self._bases(unit)]
            return None if None in carried else carried[0] if carried else "a mark without a base to carry it"
        if len(unit) == 1 and script_of(unit) not in SHAPED:
            return None  # the index has seen its ink
        return self._whole_problem(unit, [unit])

    def _bases(self, mark: str) -> list[str]:
        """Some letters of the mark's script that the face has; a dotted circle that is meant, if it has none."""
        script = script_of(mark[0])
        letters = [c for c in self._letters if script in ("Zinh", script_of(c))]
        return [*letters[:_BASES], *("\u25cc" if self.face.info.covers(0x25CC) else "")]

    def _whole_problem(self, text: str, units: list[str]) -> str | None:
        try:
            runs = shape_line(text, [(self.face, 0, len(text))])
        except Undrawable as error:
            return f"missing glyph or dotted circle at {code_points(error.characters)}"
        try:
            draw_line(runs, units, _PPEM, self._cache)
        except NoInk as error:
            return f"no ink for {code_points(error.unit)}"
        if len(units) == 1 and len(text) > 1 and _mark_apart(self.face, runs, text):
            return "a mark stands apart from its base"
        return None


def _mark_apart(face: Face, runs: Sequence[Run], text: str) -> bool:
    """Whether a glyph of a base with nonspacing marks lies beside all others of it, by more than `_APART`."""
    if len(runs) != 1 or not all(unicodedata2.category(c) in ("Mn", "Me", "Cf") for c in text[1:]):
        return False
    boxes: list[tuple[float, float]] = []
    pen = 0
    run = runs[0]
    for glyph, advance, offset in zip(run.glyphs, run.advances, run.x_offsets, strict=True):
        extents = face.hb.get_glyph_extents(glyph)
        if extents is not None and extents.width:
            left = pen + offset + extents.x_bearing
            boxes.append((left, left + extents.width))
        pen += advance
    for i, (left, right) in enumerate(boxes):
        gaps = [max(other[0] - right, left - other[1]) for j, other in enumerate(boxes) if j != i]
        if gaps and min(gaps) > _APART * face.upem:
            return True
    return False


def _spread(units: list[str]) -> list[str]:
    """Up to `_LOOKED_AT` units, evenly from the more frequent half: letters before anything else."""
    letters = [unit for unit in units if unicodedata2.category(unit[0])[0] == "L"] or units
    half = letters[: max(_LOOKED_AT, len(letters) // 2)]
    step = max(1, len(half) // _LOOKED_AT)
    return half[::step][:_LOOKED_AT]


@dataclass(frozen=True)
class _Look:
    """Pictures of the same units in one face.

    Attributes:
        pictures: units × rows × columns, `uint8`; those that it does not draw are blank.
        coarse: units × cells, the ink in each square of `_CELL` pixels.
        drawn: `bool`, units.
        stroke: see `Verdict`.
    """

    pictures: NDArray[np.uint8]
    coarse: NDArray[np.int32]
    drawn: NDArray[np.bool_]
    stroke: float

    @classmethod
    def of(cls, trial: _Trial, units: Sequence[str], cache: GlyphCache) -> _Look:
        right = set(trial.right)
        masks: list[NDArray[np.uint8] | None] = []
        baselines: list[float] = []
        for unit in units:
            masks.append(None)
            baselines.append(0.0)
            if unit in right:
                ink = draw_line(shape_line(unit, [(trial.face, 0, len(unit))]), [unit], 2 * _ROWS, cache)
                masks[-1], baselines[-1] = ink.mask, ink.baseline
        there = [(mask, baseline) for mask, baseline in zip(masks, baselines, strict=True) if mask is not None]
        pictures = np.zeros((len(units), _ROWS, _COLUMNS), np.uint8)
        stroke = 0.0
        if there:
            # One scale for all units, so that a design that was scaled as a whole still looks the same.
            up = max(baseline for _, baseline in there)
            down = max(mask.shape[0] - baseline for mask, baseline in there)
            scale = (_ROWS - 2) / max(up + down, 1.0)
            for number, (mask, baseline) in enumerate(zip(masks, baselines, strict=True)):
                if mask is not None:
                    shift = np.array([[scale, 0, 1], [0, scale, 1 + (up - baseline) * scale]])
                    size = (_COLUMNS, _ROWS)
                    pictures[number] = cv2.warpAffine(mask, shift, size, flags=cv2.INTER_AREA)
            # A bar of width w lies w / 4 from its edges on average.
            framed = [np.pad((mask >= 128).astype(np.uint8), 1) for mask, _ in there]
            depth = [cv2.distanceTransform(mask, cv2.DIST_L2, 3) for mask in framed]
            inside = [d[d > 0] for d in depth]
            values = np.concatenate(inside) if any(d.size for d in inside) else np.zeros(1)
            stroke = 4 * float(values.mean()) / (2 * _ROWS)
        cells = pictures.reshape(len(units), _ROWS // _CELL, _CELL, _COLUMNS // _CELL, _CELL)
        coarse = cells.sum((2, 4), dtype=np.int32).reshape(len(units), -1)
        return cls(pictures, coarse, np.array([mask is not None for mask in masks]), stroke)


def _twins(looks: Sequence[_Look | None]) -> list[int | None]:
    """For each look the first one before it that is the same, as far as both draw the units."""
    found: list[int | None] = [None] * len(looks)
    kept: list[int] = []
    for number, look in enumerate(looks):
        if look is None or not look.drawn.any():
            continue
        for other in kept:
            first = looks[other]
            assert first is not None
            both = first.drawn & look.drawn
            if both.sum() < min(_LEAST_COMMON, look.drawn.size):
                continue
            ink = int(first.coarse[both].sum()) + int(look.coarse[both].sum())
            # Sums over cells never differ by more than the pixels do.
            if np.abs(first.coarse[both] - look.coarse[both]).sum() > _SAME * ink:
                continue
            if int(cv2.absdiff(first.pictures[both], look.pictures[both]).sum(dtype=np.int64)) <= _SAME * ink:
                found[number] = other
                break
        else:
            kept.append(number)
    return found


def _with_twin(verdict: Verdict, twin: FaceInfo) -> Verdict:
    return Verdict(**{**verdict.__dict__, "twin_of": twin})


def _told(verdict: Verdict, units: int) -> list[str]:
    face = verdict.face
    notes = list(verdict.hints)
    if verdict.stroke:
        notes.append(f"stroke {verdict.stroke:.2f} em")
    if verdict.twin_of is not None:
        notes.append(f"looks like {verdict.twin_of.family} {verdict.twin_of.style}".rstrip())
    mark = "good" if verdict.good else "part" if verdict.share else "none"
    lines = [f"{mark}  {verdict.share:>6.1%}  {f'{face.family} {face.style}':<44} {', '.join(notes)}".rstrip()]
    if verdict.missing:
        lines.append(f"      lacks {len(verdict.missing)}: {_listed(verdict.missing, 12)}")
    if verdict.unshaped:
        tags = ", ".join(sorted(tag for code in verdict.unshaped for tag in needed_tags(code)))
        lines.append(f"      does not shape {', '.join(verdict.unshaped)}: no working GSUB or GPOS for {tags}")
    if verdict.broken:
        reasons: dict[str, list[str]] = defaultdict(list)
        for unit, reason in verdict.broken:
            reasons[reason.split(" at ")[0].split(" for ")[0]].append(unit)
        for reason, bad in reasons.items():
            lines.append(f"      {counted(len(bad), 'unit')} of {units}: {reason}: {_listed(bad, 6)}")
    if verdict.lines_broken:
        lines.append(f"      {counted(verdict.lines_broken, 'line')} drawn wrongly, though each unit alone is right")
    return lines


def _listed(units: Sequence[str], most: int) -> str:
    more = f" … and {len(units) - most} more" if len(units) > most else ""
    return " ".join(f"{isolated(shown(unit))} ({code_points(unit)})" for unit in units[:most]) + more
