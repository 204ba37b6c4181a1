"""What the machine's fonts are, and what they make of a text: for people to read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import unicodedata2
from fontTools import unicodedata as ucd

from augment.errors import ScriptoriumError
from synth.fonts.book import FontBook
from synth.fonts.index import FaceInfo, FontIndex
from synth.fonts.install import find_script
from synth.recipe import Fonts
from synth.render.line import GlyphCache, NoInk, draw_line
from synth.render.shape import Undrawable, script_of, shape_line
from synth.report.summary import counted
from synth.text.bidi import isolated
from synth.text.corpus import clean
from synth.text.units import split_units

_REJECTED_SHOWN = 3  # of the machine's own fonts, where they are nobody's fault
_FAMILIES_SHOWN = 12
_NO_SCRIPTS = frozenset({"Zyyy", "Zinh", "Zzzz"})


def list_fonts(index: FontIndex, script: str | None = None) -> str:
    """One line per family: faces, characters, and the scripts that it draws; at the end, what is of no use.

    Args:
        index: the fonts found; of those that cannot be used, all are named if the paths were, else the first three.
        script: only families that draw some of it; as `find_script` takes it, or any other ISO 15924 code.

    Raises:
        ScriptoriumError: no such script.
    """
    title, wanted, letters = _asked(script) if script else ("", frozenset[str](), "")
    families: dict[str, list[FaceInfo]] = defaultdict(list)
    for face in index.faces:
        families[face.family].append(face)
    lines: list[str] = []
    for family, faces in sorted(families.items()):
        scripts = _scripts(faces[0])
        if not wanted <= scripts.keys() or not all(faces[0].covers(ord(letter)) for letter in letters):
            continue
        largest = max(sum(stop - start + 1 for start, stop in face.ranges) for face in faces)
        names = " ".join(name for name, _ in scripts.most_common(8)) + (" …" if len(scripts) > 8 else "")
        number = f"{len(faces):>3} {'face ' if len(faces) == 1 else 'faces'}"
        lines.append(f"{family:<40} {number} {largest:>7,} characters  {names}")
    total = f"{counted(len(families), 'family', 'families')}, {counted(len(index.faces), 'face')}"
    if script:
        total = f"{len(lines)} of {total} draw {title}"
    if index.rejected:
        shown = index.rejected if index.named else index.rejected[:_REJECTED_SHOWN]
        number = counted(len(index.rejected), "file or face", "files or faces")
        total += f"; {number} of no use:" + "".join(f"\n  {path}: {reason}" for path, reason in shown)
        if len(shown) < len(index.rejected):
            total += f"\n  … and {len(index.rejected) - len(shown)} more"
    return "\n".join([*lines, total]) + "\n"


def _asked(name: str) -> tuple[str, frozenset[str], str]:
    """What a name or code asks for: title, scripts that a family should have, characters that it must cover."""
    code = name.strip().title()
    try:
        entry = find_script(name)
    except ScriptoriumError:
        if code in _NO_SCRIPTS or not ucd.script_name(code, ""):
            raise
        return code, frozenset({code}), ""  # of the scripts that no catalogued font is for
    scripts = frozenset(map(script_of, entry.sample)) - _NO_SCRIPTS
    return entry.name, scripts, entry.sample if "-" in entry.code else ""  # letters of one language among a script's


def _scripts(face: FaceInfo) -> Counter[str]:
    """How many characters of each script a face has; stray ones (under 5, or Common) are left out."""
    counts: Counter[str] = Counter()
    for start, stop in face.ranges:
        for point in range(start, stop + 1, max(1, (stop - start) // 64)):
            counts[script_of(chr(point))] += 1 + (stop - start) // 65
    return Counter({name: n for name, n in counts.items() if n >= 5 and name not in _NO_SCRIPTS})


def check_text(faces: Sequence[FaceInfo], text: str) -> str:
    """Which families draw a whole text rightly, and what the nearest of the others lack.

    Those without a single letter of the text's main script are counted only.

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
    lines = [f"draws it   {family} ({counted(n, 'face')})" for family, n in sorted(good.items())]
    letters = _main_letters(text)
    able = {face.family for face in faces if not letters or any(face.covers(ord(letter)) for letter in letters)}
    others = [family for family in bad if family not in good]
    near = sorted((family for family in others if family in able), key=lambda family: (len(bad[family]), family))
    lines += [f"does not   {family}: {bad[family]}" for family in near[:_FAMILIES_SHOWN]]
    if rest := len(others) - len(near[:_FAMILIES_SHOWN]):
        other = "other " if lines else ""
        start = "           … nor do" if near else "does not  "
        lines.append(f"{start} {counted(rest, f'{other}family', f'{other}families')}")
    book = FontBook(faces, Fonts())
    nowhere = [c for c in dict.fromkeys(text) if not c.isspace() and c not in "\u200c\u200d" and not book.able(c)]
    if nowhere:
        lines.append("in no font: " + ", ".join(_name(c) for c in nowhere) + "\nnext: synth fonts install SCRIPT")
    return "\n".join(lines) + "\n"


def _main_letters(text: str) -> set[str]:
    """The letters of the script that most of a text's letters belong to."""
    scripts = {letter: script_of(letter) for letter in text if letter.isalpha()}
    counts = Counter(scripts[letter] for letter in text if scripts.get(letter, "Zyyy") not in _NO_SCRIPTS)
    return {letter for letter in scripts if [scripts[letter]] == [name for name, _ in counts.most_common(1)]}


def _problem(info: FaceInfo, text: str, units: list[str]) -> str | None:
    book = FontBook([info], Fonts(variations=0))
    lacking = [c for c in dict.fromkeys(text) if not c.isspace() and c not in "\u200c\u200d" and not book.able(c)]
    uncovered = [c for c in lacking if not info.covers(ord(c))]
    if uncovered:
        more = f" and {len(uncovered) - 12} more" if len(uncovered) > 12 else ""
        return f"lacks {' '.join(map(isolated, uncovered[:12]))}{more}"
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
