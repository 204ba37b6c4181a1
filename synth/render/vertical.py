"""Vertical lines: upright, turned and side by side (UAX #50), drawn turned a quarter to the left.

So drawn, a column runs from left to right: runs that are turned to the right in a column, such as Latin or Mongolian,
are ordinary lines, and upright glyphs lie on their left side. All that comes after sees a line like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby
from operator import attrgetter, itemgetter
from typing import Literal

import cv2
import numpy as np
import unicodedata2

from synth.fonts.face import Face
from synth.render.line import GlyphCache, Ink, Placed, draw_line, place_runs
from synth.render.shape import LOOSE, Run, Setting, Undrawable, script_of, script_runs, shape_line, shape_run
from synth.text import bidi, vertical
from synth.text.ucd import bidi_class

# Half, third and quarter widths, for so many glyphs in a cell.
_NARROW = {2: "hwid", 3: "twid", 4: "qwid"}


def settings(
    text: str, faces: Sequence[tuple[Face, int, int]], *, digits: int = 0, stacked: bool = False
) -> list[tuple[int, int, Setting]]:
    """How the parts of a vertical line stand, as (start, stop, setting), covering the text.

    Args:
        text: one line.
        faces: which face draws which part, as `shape_line` takes them.
        digits: most digits to be set side by side in one cell; 0: none are, nor pairs of ! and ?.
        stacked: set letters and digits upright, too, in scripts that are written from left to right with letters that
            stand alone (`LOOSE`).
    """
    found: list[tuple[int, int, Setting]] = []
    cells = dict(vertical.combined(text, digits)) if digits else {}
    part = done = 0
    for start, stop, value in vertical.orientations(text):
        if start < done:
            continue
        while faces[part][2] <= start:
            part += 1
        if cells.get(start, len(text) + 1) <= faces[part][2]:
            done = cells[start]
            found.append((start, done, "combined"))
            continue
        cluster = text[start:stop]
        upright = value in ("U", "Tu") or (value == "Tr" and _has_form(faces[part][0], cluster))
        found.append((start, stop, "upright" if upright or (stacked and _stackable(cluster)) else "line"))
    return found


_forms: dict[tuple[str, str], bool] = {}


def _has_form(face: Face, cluster: str) -> bool:
    """Whether a face draws a cluster otherwise in vertical lines."""
    key = (face.key, cluster)
    known = _forms.get(key)
    if known is None:
        try:
            shaped = [
                shape_run(face, cluster, 0, len(cluster), rtl=False, script=script_of(cluster[0]), setting=setting)
                for setting in ("line", "upright")
            ]
            known = shaped[0].glyphs != shaped[1].glyphs
        except Undrawable:
            known = False
        _forms[key] = known
        if len(_forms) > 4096:
            del _forms[next(iter(_forms))]
    return known


def _stackable(cluster: str) -> bool:
    first = cluster[0]
    if script_of(first) not in LOOSE or bidi_class(first) in ("R", "AL"):
        return False
    return unicodedata2.category(first)[0] in "LN" or first in "!?&%@#"


def shape_column(
    text: str,
    faces: Sequence[tuple[Face, int, int]],
    *,
    language: str | None = None,
    direction: Literal["auto", "ltr", "rtl"] = "auto",
    features: dict[str, bool] | None = None,
    digits: int = 0,
    stacked: bool = False,
) -> list[Run]:
    """Shape a vertical line; returns runs in visual order, from top to bottom.

    Args:
        text: one line, NFC, logical order.
        faces: as `shape_line` takes them.
        language: BCP 47.
        direction: base direction; what is read from right to left stands from bottom to top.
        features: OpenType features switched on or off for the whole line.
        digits: see `settings`.
        stacked: see `settings`.

    Raises:
        Undrawable: see `shape_run`.
    """
    parts: list[tuple[int, int, Setting]] = []
    for setting, group in groupby(settings(text, faces, digits=digits, stacked=stacked), itemgetter(2)):
        cells = [(start, stop, setting) for start, stop, _ in group]
        # Two cells side by side stay two.
        parts += cells if setting == "combined" else [(cells[0][0], cells[-1][1], setting)]
    if len(parts) == 1 and parts[0][2] == "line":
        return shape_line(text, faces, language=language, direction=direction, features=features)
    scripts = script_runs(text)
    runs: list[Run] = []
    for start, stop, level in bidi.runs(bidi.levels(text, direction)[0]):
        here: list[Run] = []
        for s0, s1, script in scripts:
            for face, f0, f1 in faces:
                for p0, p1, setting in parts:
                    a, b = max(start, s0, f0, p0), min(stop, s1, f1, p1)
                    if a >= b:
                        continue
                    wanted = features
                    if setting == "combined" and (narrow := _NARROW.get(b - a)):
                        wanted = {**(features or {}), narrow: True}
                    here.append(
                        shape_run(
                            *(face, text, a, b),
                            rtl=bool(level & 1),
                            script=script,
                            language=language,
                            features=wanted,
                            setting=setting,
                        )
                    )
        runs.extend(reversed(here) if level & 1 else here)
    return runs


def draw_column(
    runs: Sequence[Run],
    units: Sequence[str],
    ppem: int,
    cache: GlyphCache,
    *,
    spacing: float = 0.0,
    jitter: Sequence[tuple[float, float]] | None = None,
) -> Ink:
    """Draw a vertical line, turned a quarter to the left: its top is at the left, its right side above.

    Takes and raises what `draw_line` does, with runs of `shape_column`. What lies along a line that has upright letters
    too is centred on them (`Face.middle`).
    """
    if all(run.setting == "line" for run in runs):
        return draw_line(runs, units, ppem, cache, spacing=spacing, jitter=jitter)
    line = Placed()
    turned = [False] * sum(map(len, units))
    drop = None
    for run in runs:
        if run.setting != "line":
            turned[run.start : run.stop] = [True] * (run.stop - run.start)
        elif drop is None:
            drop = run.face.middle * ppem / run.face.upem
    for setting, group in groupby(runs, attrgetter("setting")):
        if setting == "combined":
            for run in group:
                _place_cell(line, run, ppem, cache)
                line.pen += spacing * ppem
        else:
            place_runs(line, list(group), ppem, cache, spacing=spacing, jitter=jitter, drop=drop or 0.0)
    ink = line.ink(units, ppem)
    # Lines under the text are lines at the left of a column.
    ink.baseline += ppem / 2
    starts = accumulate(map(len, units[:-1]), initial=0)
    ink.turned = np.array([turned[start] for start in starts], np.bool_)
    return ink


def _place_cell(line: Placed, run: Run, ppem: int, cache: GlyphCache) -> None:
    """Place a run side by side in one cell of a column, squeezed to its width."""
    cell = Placed()
    place_runs(cell, [run], ppem, cache)
    pen, line.pen = line.pen, line.pen + ppem
    width = cell.pen
    narrowed = min(ppem / width, 1.0) if width else 1.0
    # The column's own coordinates, x from its middle to the right and y down; then turned.
    baseline = pen + ppem / 2 + run.face.middle * ppem / run.face.upem
    x = y = 0
    if cell.bitmaps:
        mask, left, top = cell.coverage()
        x = round((left - width / 2) * narrowed)
        if narrowed < 1:
            size = (max(round(mask.shape[1] * narrowed), 1), mask.shape[0])
            narrowed = size[0] / mask.shape[1]
            mask = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        rows, columns = mask.shape
        y = round(baseline + top)
        bitmap = cv2.rotate(mask, cv2.ROTATE_90_COUNTERCLOCKWISE).astype(np.uint8, copy=False)
        line.bitmaps.append((bitmap, y, -x - columns, y + rows, -x))
    for start, stop, _, _, x0, y0, x1, y1, *_ in cell.clusters:
        if x1 > x0:
            x0, x1 = (x + (edge - left) * narrowed for edge in (x0, x1))
            x0, y0, x1, y1 = y + y0 - top, -x1, y + y1 - top, -x0
        line.clusters.append([start, stop, pen, line.pen, x0, y0, x1, y1, -1, 0.0, run])
