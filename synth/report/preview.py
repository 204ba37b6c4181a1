"""What a recipe looks like: a contact sheet and a page with the same samples large."""

from __future__ import annotations

import base64
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont, newTable
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.fonts.book import FontBook
from synth.fonts.index import FaceInfo, scan, sfnt_path
from synth.recipe import Fonts
from synth.render.shape import script_of
from synth.report.summary import code_points, counted, shown, size
from synth.sample import Sample

if TYPE_CHECKING:
    from synth.pages import AnyPipeline

_TEMPLATES = Path(__file__).parent / "templates"

_SHEET_WIDTH = 1600
_GAP = 8
_PAPER = 128  # mid-grey: both light and dark samples end where they end
_SMALL = 64  # samples up to this height are doubled on the sheet
_PAGE = 500  # height up to which samples on the sheet keep their size
_LARGE = 96  # height of a sample on the page, in CSS pixels

_MOST_FACES = 24
_MOST_LETTERS = 1500
_FIRST_LETTER = "\u0530"  # those before are Latin, Greek and Cyrillic
_JOINING = "\u25cc\u200c\u200d"  # what stands in clusters of many scripts
# What a browser needs; others are of no use to it, or make fontTools complain.
_TABLES = {
    *("GlyphOrder", "cmap", "head", "hhea", "hmtx", "maxp", "name", "OS/2", "post", "glyf", "loca", "CFF ", "CFF2"),
    *("VORG", "GSUB", "GPOS", "GDEF", "BASE", "kern", "fvar", "gvar", "avar", "HVAR", "MVAR", "STAT"),
}


def page(template: str, *, templates: Path = _TEMPLATES, **values: Any) -> str:
    """A page, complete in itself; values are escaped.

    Args:
        template: file name in `templates`, which may extend and include those of this package.
        templates: a folder.
        values: what the template names.
    """
    environment = Environment(
        loader=FileSystemLoader([templates, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def data_uri(image: bytes) -> str:
    """An encoded JPEG, PNG or WebP image as a `data:` address."""
    kind = "png" if image.startswith(b"\x89PNG") else "webp" if image.startswith(b"RIFF") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


class Letters:
    """Which letters a page shows, and which fonts have drawn them.

    Latin, Greek and Cyrillic do not count: every browser has them.
    """

    def __init__(self) -> None:
        self.by_script: dict[str, set[str]] = {}
        self.fonts: dict[str, Counter[str]] = {}

    def add(self, text: str, font: str = "") -> None:
        """Note the letters of a text, and the name of the face that has drawn it if one has."""
        if text.isascii():
            return
        scripts = set()
        for character in text:
            if character >= _FIRST_LETTER:
                script = script_of(character)
                self.by_script.setdefault(script, set()).add(character)
                scripts.add(script)
        if font:
            for script in scripts:
                self.fonts.setdefault(script, Counter())[font] += 1

    def embedded(self, book: FontBook) -> Markup:
        """`@font-face` rules with just these letters, for browsers on machines that lack the fonts.

        Together they are the family `drawn`. A script is in one face where one has all of it, for a browser draws a
        cluster in one font; best in one that has drawn it, as what a face claims to cover is not always true.
        Scripts of more than `_MOST_LETTERS` letters are left to the browser.
        """
        chosen: dict[int, set[str]] = {}
        for script, letters in sorted(self.by_script.items()):
            left = {character for character in letters if book.able(character)}
            if len(left) > _MOST_LETTERS:
                continue
            drew = self.fonts.get(script, Counter())
            while left and len(chosen) < _MOST_FACES:
                score: Counter[int] = Counter()
                for character in left:
                    bits = book.able(character)
                    score.update(number for number in range(len(book.faces)) if bits >> number & 1)
                best = max(score, key=lambda number: (score[number], _fitness(book.faces[number], drew), -number))
                drawn = {character for character in left if book.able(character) >> best & 1}
                chosen.setdefault(best, set()).update(drawn)
                left -= drawn
        rules: list[str] = []
        for number, letters in chosen.items():
            with suppress(Exception):  # fontTools lets anything through; such a face is left to the browser
                font = base64.b64encode(_subset(book.faces[number], letters)).decode()
                points = ", ".join(f"U+{ord(character):X}" for character in sorted(letters | set(_JOINING)))
                rules.append(
                    "@font-face { font-family: drawn; "
                    f"src: url(data:font/woff2;base64,{font}); unicode-range: {points} }}"
                )
        return Markup("\n".join(rules))


def faces(letters: Letters, fonts: Sequence[Path] | None = None) -> Markup:
    """`@font-face` rules for a page's letters (see `Letters.embedded`); empty where no fonts are at hand.

    Args:
        letters: of the page.
        fonts: files and folders, or None: see `synth.fonts.index.scan`.
    """
    if letters.by_script:
        with suppress(ScriptoriumError):
            return letters.embedded(FontBook(scan(fonts).faces, Fonts()))
    return Markup("")


def _fitness(face: FaceInfo, drew: Mapping[str, int]) -> tuple[int, bool, bool, int]:
    """How well a face shows a script, best last: often used for it, then plain."""
    name = f"{face.family} {face.style}".strip()
    # A variable face's name goes on with its coordinates.
    used = sum(count for other, count in drew.items() if face.axes and other.startswith(f"{name} "))
    return used + drew.get(name, 0), not face.axes, not face.italic, -abs(face.weight - 400)


def _subset(face: FaceInfo, letters: set[str]) -> bytes:
    options = Options(layout_features=["*"], hinting=False, notdef_outline=True)
    with TTFont(sfnt_path(face), fontNumber=face.number, lazy=True, recalcTimestamp=False) as font:
        for tag in set(font.keys()) - _TABLES:
            del font[tag]
        # Without its glyph names, which are of no use here and often broken.
        post = newTable("post")
        post.decompile(b"\0\3\0\0" + font.reader["post"][4:32], font)
        font["post"] = post
        subsetter = Subsetter(options)
        subsetter.populate(text="".join(letters) + _JOINING)
        subsetter.subset(font)
        font.flavor = "woff2"
        out = io.BytesIO()
        font.save(out)
    return out.getvalue()


def source_name(source: str) -> str:
    """A record's `source` without the folders."""
    return source if source.startswith("template ") else Path(source).name


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: beside its place, then renamed. Its folder is made if there is none.

    Raises:
        ScriptoriumError: it cannot be written.
    """
    aside = path.parent / f".{path.name}.{os.getpid()}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(data)
        aside.replace(path)
    except OSError as error:
        raise ScriptoriumError(f"{path}: cannot be written ({error.strerror}): choose another place") from error
    finally:
        with suppress(OSError):  # it is gone where all went well
            aside.unlink()


def write_preview(pipeline: AnyPipeline, count: int, output: Path) -> tuple[Path, Path]:
    """Draw samples 0 to `count` - 1 on a contact sheet and on a page.

    Args:
        pipeline: what makes the samples.
        count: how many, at least 1.
        output: name of the files without ending; `.png` or `.html` at its end is taken off.

    Returns:
        The sheet, `OUTPUT.png`, and the page, `OUTPUT.html`. The page needs no other file and no network.

    Raises:
        ScriptoriumError: nothing can be drawn, a bad count or name, or a file that cannot be written.
    """
    if count < 1:
        raise ScriptoriumError(f"count is {count}: at least 1 sample")
    name = output.name
    if output.suffix.lower() in (".png", ".html"):
        name = output.stem
    if name in ("", ".."):
        raise ScriptoriumError(f"{output}: names no file; name one without its ending, such as preview")
    samples = [pipeline.sample(index) for index in range(count)]
    images = [_decoded(sample.encoded) for sample in samples]
    images = [_small(image) for image in images]
    sheet, html = output.parent / f"{name}.png", output.parent / f"{name}.html"
    write_whole(sheet, cv2.imencode(".png", contact_sheet(images))[1].tobytes())
    write_whole(html, _page(pipeline, samples).encode())
    return sheet, html


def contact_sheet(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Images in rows, in order, each at its own size, or doubled if all are low.

    Args:
        images: at least one, height × width × 3, BGR.

    Returns:
        height × width × 3, BGR; about 1,600 pixels wide, wider only for an image that is.
    """
    factor = 2 if max(image.shape[0] for image in images) <= _SMALL else 1
    rows: list[list[NDArray[np.uint8]]] = []
    room = 0
    for image in images:
        # Doubled pixels stay what they are: smoothing would hide what is there to be seen.
        large = image.repeat(factor, 0).repeat(factor, 1)
        if not rows or large.shape[1] > room:
            rows.append([])
            room = _SHEET_WIDTH - 2 * _GAP
        rows[-1].append(large)
        room -= large.shape[1] + _GAP
    width = max(sum(image.shape[1] + _GAP for image in row) for row in rows) + _GAP
    height = sum(max(image.shape[0] for image in row) + _GAP for row in rows) + _GAP
    sheet = np.full((height, width, 3), _PAPER, np.uint8)
    y = _GAP
    for row in rows:
        x = _GAP
        for image in row:
            sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
            x += image.shape[1] + _GAP
        y += max(image.shape[0] for image in row) + _GAP
    return sheet


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A page so small that several of them have room beside each other on the sheet; lines stay as they are."""
    if image.shape[0] <= _PAGE:
        return image
    factor = _PAGE / image.shape[0]
    return np.asarray(cv2.resize(image, None, None, factor, factor, cv2.INTER_AREA), np.uint8)


def _decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def _page(pipeline: AnyPipeline, samples: Sequence[Sample]) -> str:
    recipe = pipeline.recipe
    refusals = sum(len(sample.refusals) for sample in samples)
    corpora = ", ".join(file.path.name for file in recipe.corpus.files) or "templates"
    intro = (
        f"{counted(len(samples), 'sample')} from {corpora}, seed {recipe.seed}, "
        f"{counted(len(pipeline.book.faces), 'face')}. "
        f"{counted(refusals, 'attempt')} refused on the way: {_reasons(samples) or 'none'}."
    )
    letters = Letters()
    for sample in samples:
        letters.add(sample.text, sample.meta.get("font", ""))
    return page(
        "preview.html",
        title=f"Preview of recipe {recipe.name}",
        intro=intro,
        faces=letters.embedded(pipeline.book),
        samples=[_described(number, sample) for number, sample in enumerate(samples)],
    )


def _described(number: int, sample: Sample) -> dict[str, Any]:
    height, width = sample.image.shape[:2]
    meta = sample.meta
    facts = [f"{number}"]
    if "kind" in meta:
        facts += [meta["kind"], f"{counted(meta['texts'], 'text')}, {meta['ignored']} to be ignored"]
    else:
        facts.append(meta["font"])
    if fallback := meta.get("fallback"):
        facts.append(f"with {', '.join(fallback)}")
    facts.append(f"style {meta['style']}" if "style" in meta else f"background {meta['background']}")
    if "contrast" in meta:
        facts.append(f"contrast {meta['contrast']:g}")
    if meta.get("plain"):
        facts.append("plain rendering")
    facts.append(source_name(meta["source"]))
    facts.append(f"{width} × {height}, {size(len(sample.encoded))}")
    reasons = _reasons([sample])
    polygons = [
        {"points": _points(polygon), "shared": bool(shared), "unit": f"{unit} {code_points(unit)}"}
        for polygon, shared, unit in zip(sample.polygons, sample.shared, sample.units, strict=True)
    ]
    return {
        "uri": data_uri(sample.encoded),
        "width": width,
        "height": height,
        "shown_width": width if "kind" in meta else round(width * _LARGE / height),
        "polygons": polygons,
        "start": [round(float(value), 1) for value in sample.polygons[0, 0]] if polygons else None,
        "dot": round(3 * height / _LARGE, 2),
        "text": sample.text,
        "units": [{"shown": shown(unit), "codes": code_points(unit)} for unit in sample.units],
        "facts": facts,
        "refused": f"{counted(len(sample.refusals), 'attempt')} refused: {reasons}" if reasons else "",
    }


def _points(polygon: NDArray[np.float32]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in polygon.tolist())


def _reasons(samples: Iterable[Sample]) -> str:
    counts = Counter(reason for sample in samples for reason, _ in sample.refusals)
    return ", ".join(f"{reason} × {count}" if count > 1 else reason for reason, count in counts.most_common())
