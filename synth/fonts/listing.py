"""What the machine's fonts are, and what they make of a text: for people to read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import unicodedata2

from augment.errors import ScriptoriumError
from synth.fonts.book import FontBook
from synth.fonts.index import FaceInfo, FontIndex
from synth.recipe import Fonts
from synth.render.line import GlyphCache, NoInk, draw_line
from synth.render.shape import Undrawable, script_of, shape_line
from synth.text.corpus import clean
from synth.text.units import split_units

_REJECTED_SHOWN = 20


def list_fonts(index: FontIndex, script: str | None = None) -> str:
    """One line per family: faces, characters, and the scripts that it draws.

    Args:
        index: the fonts found.
        script: ISO 15924 code; only families that draw some of it.
    """
    families: dict[str, list[FaceInfo]] = defaultdict(list)
    for face in index.faces:
        families[face.family].append(face)
    lines: list[str] = []
    for family, faces in sorted(families.items()):
        scripts = _scripts(faces[0])
        if script and script not in scripts:
            continue
        largest = max(sum(stop - start + 1 for start, stop in face.ranges) for face in faces)
        names = " ".join(name for name, _ in scripts.most_common(8)) + (" …" if len(scripts) > 8 else "")
        lines.append(f"{family:<40} {len(faces):>3} faces {largest:>7,} characters  {names}")
    total = f"{len(families)} families, {len(index.faces)} faces"
    if script:
        total = f"{len(lines)} of {total} draw {script}"
    if index.rejected:
        total += f"; {len(index.rejected)} files or faces are of no use:"
        total += "".join(f"\n  {path}: {reason}" for path, reason in index.rejected[:_REJECTED_SHOWN])
        if len(index.rejected) > _REJECTED_SHOWN:
            total += f"\n  … and {len(index.rejected) - _REJECTED_SHOWN} more"
    return "\n".join([*lines, total]) + "\n"


def _scripts(face: FaceInfo) -> Counter[str]:
    """How many characters of each script a face has; stray ones (under 5, or Common) are left out."""
    counts: Counter[str] = Counter()
    for start, stop in face.ranges:
        for point in range(start, stop + 1, max(1, (stop - start) // 64)):
            counts[script_of(chr(point))] += 1 + (stop - start) // 65
    return Counter({name: n for name, n in counts.items() if n >= 5 and name not in ("Zyyy", "Zinh", "Zzzz")})


def check_text(faces: Sequence[FaceInfo], text: str) -> str:
    """Which families draw a whole text rightly, and what the others lack.

    Each face is tried in earnest: shaped, and every unit looked at for ink.

    Raises:
        ScriptoriumError: the text is empty.
    """
    text = clean(text)
    if not text.strip():
        raise ScriptoriumError("fonts check: the text is empty")
    units = split_units(text, "grapheme")
    good: Counter[str] = Counter()
    bad: dict[str, str] = {}
    for face in faces:
        problem = _problem(face, text, units)
        if problem is None:
            good[face.family] += 1
        else:
            bad.setdefault(face.family, problem)
    lines = [f"draws it   {family} ({n} faces)" for family, n in sorted(good.items())]
    near = sorted((len(p), family, p) for family, p in bad.items() if family not in good)
    lines += [f"does not   {family}: {problem}" for _, family, problem in near[:12]]
    if len(near) > 12:
        lines.append(f"           … nor do {len(near) - 12} other families")
    book = FontBook(faces, Fonts())
    nowhere = [c for c in dict.fromkeys(text) if not c.isspace() and c not in "\u200c\u200d" and not book.able(c)]
    if nowhere:
        lines.append("in no font: " + ", ".join(_name(c) for c in nowhere) + "\nnext: synth fonts install SCRIPT")
    return "\n".join(lines) + "\n"


def _problem(info: FaceInfo, text: str, units: list[str]) -> str | None:
    book = FontBook([info], Fonts(variations=0))
    lacking = [c for c in dict.fromkeys(text) if not c.isspace() and c not in "\u200c\u200d" and not book.able(c)]
    uncovered = [c for c in lacking if not info.covers(ord(c))]
    if uncovered:
        return "lacks " + " ".join(uncovered[:12]) + (f" and {len(uncovered) - 12} more" if len(uncovered) > 12 else "")
    if lacking:
        return "has the characters but does not shape " + ", ".join(sorted({script_of(c) for c in lacking}))
    try:
        draw_line(shape_line(text, [(book.open(info), 0, len(text))]), units, 32, GlyphCache())
    except Undrawable as error:
        return f"shapes {error.characters} with a missing glyph or a dotted circle"
    except NoInk as error:
        return f"draws nothing for {error.unit}"
    return None


def _name(character: str) -> str:
    return f"{character} U+{ord(character):04X} {unicodedata2.name(character, '')}".rstrip()
