"""Which font faces there are, and what each of them is and covers."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import struct
import sys
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from augment.errors import ScriptoriumError
from synth import cache

if TYPE_CHECKING:
    import freetype
    import numpy as np
    from numpy.typing import NDArray

FONT_SUFFIXES = frozenset({".ttf", ".otf", ".ttc", ".otc", ".woff", ".woff2"})

_FORMAT = 7  # of the cache file: raise it whenever a field or a rule of acceptance changes
_ROW = 13  # values that the cache keeps of a face
_LARGEST = 256 << 20  # bytes; the largest font collections in use stay below 150 MB
_MOST_FACES = 256


class Axis(NamedTuple):
    """One axis of a variable font, in the axis's own units."""

    tag: str
    minimum: float
    default: float
    maximum: float


class Instance(NamedTuple):
    """A named instance of a variable font: one coordinate per axis, in the order of `FaceInfo.axes`."""

    name: str
    coordinates: tuple[float, ...]


@dataclass(frozen=True)
class FaceInfo:
    """One usable face. Two are equal if they are the same face of the same file content, wherever it lies.

    Attributes:
        digest: SHA-256 of the file, hexadecimal.
        number: index of the face in its collection, 0 elsewhere.
        path: the file.
        family: typographic family name (name table, 16, else 1), else the file's name without its suffix.
        style: typographic style name (name table, 17, else 2).
        weight: OS/2 usWeightClass, 1–1000; 400 is regular.
        italic: slanted, by OS/2, head or post.
        monospaced: post says so.
        upem: font units per em.
        kind: the table that holds the outlines: `glyf`, `CFF` or `CFF2`.
        compressed: the file is WOFF or WOFF2; `sfnt_path` unpacks it.
        axes: axes of a variable font.
        instances: its named instances.
        scripts: OpenType script tags that GSUB or GPOS know, such as `dev2`.
        spans: coverage as text, `first-last` in hexadecimal, separated by spaces; see `ranges`.
    """

    digest: str
    number: int
    path: Path = field(compare=False)
    family: str = field(compare=False)
    style: str = field(compare=False)
    weight: int = field(compare=False)
    italic: bool = field(compare=False)
    monospaced: bool = field(compare=False)
    upem: int = field(compare=False)
    kind: str = field(compare=False)
    compressed: bool = field(compare=False)
    axes: tuple[Axis, ...] = field(compare=False)
    instances: tuple[Instance, ...] = field(compare=False)
    scripts: frozenset[str] = field(compare=False)
    spans: str = field(compare=False, repr=False)

    @cached_property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Covered code points as sorted, disjoint (first, last) ranges, both ends included."""
        ends = (span.partition("-") for span in self.spans.split())
        return tuple((int(first, 16), int(last or first, 16)) for first, _, last in ends)

    @cached_property
    def _edges(self) -> array[int]:
        # first, last + 1, first, last + 1, ...: an odd insertion point lies inside a range
        return array("l", [edge for first, last in self.ranges for edge in (first, last + 1)])

    @cached_property
    def coverage(self) -> frozenset[int]:
        """All covered code points. Large for Han (some megabytes): `covers` does without it."""
        return frozenset(point for first, last in self.ranges for point in range(first, last + 1))

    def covers(self, codepoint: int) -> bool:
        """Whether the character map leads to a glyph that has ink, or needs none."""
        return bisect_right(self._edges, codepoint) % 2 == 1

    def __getstate__(self) -> dict[str, Any]:
        # without what can be computed again: workers get small pickles
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class FontIndex:
    """What a scan found.

    Attributes:
        faces: the usable faces, sorted by family, style, digest and number; each content once.
        rejected: files (or faces of a collection) that cannot be used, with the reason.
        named: the caller named the files and folders; otherwise they are `font_dirs()`.
    """

    faces: tuple[FaceInfo, ...]
    rejected: tuple[tuple[Path, str], ...]
    named: bool = False


def installed_dir() -> Path:
    """Where `synth fonts install` puts fonts: `$SCRIPTORIUM_FONTS`, else in the user's own data folder."""
    if chosen := os.environ.get("SCRIPTORIUM_FONTS"):
        return Path(chosen)
    home = Path.home()
    if sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "scriptorium" / "fonts"


def font_dirs() -> list[Path]:
    """The folders that are searched when none is named: those of them that exist.

    The system's and the user's font folders, matplotlib's own fonts (without importing it), and `installed_dir()`.
    """
    home = Path.home()
    if sys.platform == "darwin":
        folders = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"]
    elif sys.platform == "win32":
        folders = [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"]
        if local := os.environ.get("LOCALAPPDATA"):
            folders.append(Path(local) / "Microsoft" / "Windows" / "Fonts")
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
        folders = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".fonts", data / "fonts"]
    spec = find_spec("matplotlib")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folders.append(Path(place) / "mpl-data" / "fonts" / "ttf")
    folders.append(installed_dir())
    return [folder for folder in folders if folder.is_dir()]


def scan(
    paths: Sequence[Path] | None = None,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FontIndex:
    """Find and describe the font faces in files and folders.

    Folders are searched with all that is below them; files in them that are no fonts by their suffix are passed over.
    What was learnt of a file is cached under its path, size and time of change.

    Args:
        paths: files and folders; None means `font_dirs()`, which may well hold no font.
        cache_dir: where the cache file lies; None means `synth.cache.cache_dir()`.
        progress: called with (done, total) for the files that must be read because the cache lacks them.

    Raises:
        ScriptoriumError: a named path does not exist, or has no usable font in it.
    """
    store = (cache_dir or cache.cache_dir()) / "fonts.json"
    groups = [(Path(path), list(_font_files(path))) for path in (font_dirs() if paths is None else paths)]
    files = {file: stat for _, found in groups for file, stat in found}
    known = _load(store)
    fresh = [file for file, stat in files.items() if known.get(file, ())[:2] != [stat.st_size, stat.st_mtime_ns]]
    for done, file in enumerate(fresh):
        if progress:
            progress(done, len(fresh))
        known[file] = [files[file].st_size, files[file].st_mtime_ns, *_describe(Path(file))]
    if fresh:
        if progress:
            progress(len(fresh), len(fresh))
        _save(store, {file: entry for file, entry in known.items() if file in files or Path(file).exists()})
    if paths is not None:
        for path, found in groups:
            if not any(known[file][3] for file, _ in found):
                raise ScriptoriumError(_why_nothing(path, [(file, known[file][4]) for file, _ in found]))
    faces: dict[tuple[str, int], FaceInfo] = {}
    rejected: list[tuple[Path, str]] = []
    for file in sorted(files):
        _, _, digest, described, reasons = known[file]
        for row in described:
            faces.setdefault((digest, row[0]), _face(Path(file), digest, row))
        rejected += [(Path(file), reason) for reason in reasons]
    order = sorted(faces.values(), key=lambda face: (face.family, face.style, face.digest, face.number))
    return FontIndex(tuple(order), tuple(rejected), named=paths is not None)


def sfnt_path(face: FaceInfo, cache_dir: Path | None = None) -> Path:
    """A file that HarfBuzz and FreeType can read: the face's own, or for WOFF its unpacked form from the cache.

    Raises:
        ScriptoriumError: the font file is gone or has changed since the scan, or the cache cannot be written.
    """
    if not face.compressed:
        return face.path
    target = (cache_dir or cache.cache_dir()) / "sfnt" / f"{face.digest}.{'ttf' if face.kind == 'glyf' else 'otf'}"
    if not target.exists():
        try:
            data = face.path.read_bytes()
        except OSError as error:
            raise ScriptoriumError(f"{face.path}: cannot be read any more ({error.strerror}); scan again") from error
        if hashlib.sha256(data).hexdigest() != face.digest:
            raise ScriptoriumError(f"{face.path}: has changed since it was scanned; scan again")
        try:
            cache.write_whole(target, unpack(data))
        except OSError as error:
            raise ScriptoriumError(
                f"{target}: cannot be written ({error.strerror}); set SCRIPTORIUM_CACHE to a writable folder"
            ) from error
    return target


def unpack(data: bytes) -> bytes:
    """The sfnt form of a WOFF or WOFF2 file; other data is returned as it is.

    Raises:
        Exception: whatever fontTools raises for a broken file; it has no common base.
    """
    if data[:4] not in (b"wOFF", b"wOF2"):
        return data
    from fontTools.ttLib import TTFont

    with TTFont(io.BytesIO(data), lazy=True, recalcBBoxes=False, recalcTimestamp=False) as font:
        font.flavor = None
        out = io.BytesIO()
        font.save(out, reorderTables=None)
    return out.getvalue()


# --- files and cache -------------------------------------------------------------------------------------------------


def _font_files(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Absolute paths of the font files that `path` names or holds; links are followed, loops are not."""
    top = os.path.abspath(path)  # noqa: PTH100  Path.absolute keeps "..", and resolve would follow links
    if os.path.isfile(top):  # noqa: PTH113
        yield top, os.stat(top)  # noqa: PTH116
        return
    if not os.path.isdir(top):  # noqa: PTH112
        raise ScriptoriumError(f"{path}: no such font file or folder")
    seen: set[str] = set()
    folders = [top]
    while folders:
        folder = folders.pop()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue  # a folder that we may not enter has nothing for us
        for entry in entries:
            with contextlib.suppress(OSError):  # dangling links
                if entry.is_dir():
                    folders.append(entry.path)
                elif os.path.splitext(entry.name)[1].lower() in FONT_SUFFIXES:  # noqa: PTH122  hot
                    yield entry.path, entry.stat()


def _why_nothing(path: Path, files: Iterable[tuple[str, list[str]]]) -> str:
    reasons = [(file, reason) for file, found in files for reason in found]
    if not reasons:
        return f"{path}: holds no font file ({' '.join(sorted(FONT_SUFFIXES))})"
    file, reason = reasons[0]
    if Path(file).name == path.name:
        return f"{path}: not a usable font: {reason}"
    return f"{path}: holds no usable font; {Path(file).name}: {reason} ({len(reasons)} rejected in all)"


def _load(store: Path) -> dict[str, list[Any]]:
    try:
        content = json.loads(store.read_bytes())
        files = content["files"]
        if content["format"] == _FORMAT and all(
            len(entry) == 5 and all(len(row) == _ROW for row in entry[3]) for entry in files.values()
        ):
            return dict(files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # absent or damaged: it is made again
    return {}


def _save(store: Path, files: dict[str, list[Any]]) -> None:
    text = json.dumps({"format": _FORMAT, "files": files}, ensure_ascii=False, separators=(",", ":"))
    with contextlib.suppress(OSError):  # a read-only home costs time, not the run
        cache.write_whole(store, text.encode("utf-8", "surrogatepass"))


def _face(path: Path, digest: str, row: list[Any]) -> FaceInfo:
    number, family, style, weight, italic, monospaced, upem, kind, compressed, axes, instances, scripts, spans = row
    return FaceInfo(
        digest=digest,
        number=number,
        path=path,
        family=family,
        style=style,
        weight=weight,
        italic=italic,
        monospaced=monospaced,
        upem=upem,
        kind=kind,
        compressed=compressed,
        axes=tuple(Axis(*axis) for axis in axes),
        instances=tuple(Instance(name, tuple(at)) for name, at in instances),
        scripts=frozenset(scripts),
        spans=spans,
    )


# --- one font --------------------------------------------------------------------------------------------------------


class _Unusable(Exception):
    """Why a face cannot be used."""


def _describe(path: Path) -> tuple[str, list[list[Any]], list[str]]:
    """(digest, one row per usable face, reasons for the others), as the cache keeps them."""
    try:
        if path.stat().st_size > _LARGEST:
            return "", [], [f"larger than {_LARGEST >> 20} MB"]
        data = path.read_bytes()
    except OSError as error:
        return "", [], [f"cannot be read ({error.strerror})"]
    digest = hashlib.sha256(data).hexdigest()
    if not data:
        return digest, [], ["empty file"]
    try:
        sfnt = unpack(data)
    except Exception as error:  # fontTools lets anything through for hostile data
        return digest, [], [f"broken: {_one_line(error)}"]
    if data[:4] == b"ttcf":
        count = struct.unpack(">I", data[8:12])[0] if len(data) >= 12 else 0
        if not 0 < count <= _MOST_FACES:
            return digest, [], [f"broken: a collection of {count} faces"]
    elif sfnt[:4] in (b"\0\1\0\0", b"OTTO", b"true"):
        count = 1
    else:
        return digest, [], ["broken: not an OpenType or TrueType file"]
    rows: list[list[Any]] = []
    reasons: list[str] = []
    for number in range(count):
        where = f"face {number}: " if count > 1 else ""
        try:
            row = _describe_face(sfnt, number, compressed=sfnt is not data)
            row[1] = row[1] if row[1].strip() else path.stem
            rows.append(row)
        except _Unusable as reason:
            reasons.append(f"{where}{reason}")
        except Exception as error:  # offsets that lead nowhere, sizes that lie: all of it is a broken font
            reasons.append(f"{where}broken: {_one_line(error)}")
    return digest, rows, reasons


def _one_line(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:120]


def _describe_face(sfnt: bytes, number: int, *, compressed: bool) -> list[Any]:
    import numpy as np
    import uharfbuzz as hb

    _refuse_cut(sfnt, number)
    # HarfBuzz reads the font as the shaper will: what it maps, and by which of the character maps, is what counts
    face = hb.Face(sfnt, number)
    tables = set(face.table_tags)
    if not tables:
        raise _Unusable("broken: no tables")
    kind = next((tag for tag in ("glyf", "CFF ", "CFF2") if tag in tables), "")
    colour = sorted(tag.strip() for tag in tables & {"COLR", "CBDT", "sbix", "SVG "})
    if not kind:
        if colour:
            raise _Unusable(f"colour only ({', '.join(colour)}): no outlines")
        if tables & {"EBDT", "bdat"}:
            raise _Unusable("bitmaps only: no outlines")
        raise _Unusable("empty: no outlines")
    encodings = _encodings(_table(face, "cmap"))
    if not encodings:
        raise _Unusable("empty: no character map")
    if not any(platform == 0 or (platform, encoding) in ((3, 1), (3, 10)) for platform, encoding in encodings):
        raise _Unusable(
            "symbol-encoded: no Unicode character map" if (3, 0) in encodings else "no Unicode character map"
        )

    font = hb.Font(face)
    # HarfBuzz prefers a symbol map where there is one, and then finds U+F041 under U+0041 too
    mapped = sorted(point for point in face.unicodes if not 0xD800 <= point < 0xE000)
    points = np.array(mapped, np.int64)
    glyphs = np.array([font.get_nominal_glyph(point) or 0 for point in mapped], np.int64)
    outlines = _outlines(face, kind)
    inside = (glyphs > 0) & (glyphs < face.glyph_count)
    points, glyphs = points[inside], glyphs[inside]
    if not points.size:
        raise _Unusable("empty: its character map leads to no glyph")
    if lost := int(outlines.cut[glyphs].sum()):
        raise _Unusable(f"broken: cut short: outlines of {lost} of its {glyphs.size} characters are not in the file")

    blank = outlines.blank[glyphs]
    blank[blank] = [_ink_due(point) and not _shaped_ink(font, point, outlines) for point in points[blank].tolist()]
    if blank.all():
        raise _Unusable("empty: no glyph has an outline")
    points, glyphs = points[~blank], glyphs[~blank]
    pairs = dict(zip(points.tolist(), glyphs.tolist(), strict=True))
    _refuse_placeholders(pairs, outlines)
    wrong = _wrongly_drawn(pairs, font.get_glyph_name, outlines)
    points = points[~np.isin(points, wrong)] if wrong else points
    if colour and not any(unicodedata.category(chr(point))[0] == "L" for point in points.tolist()):
        raise _Unusable(f"colour only ({', '.join(colour)}): no letter has an outline of its own")
    if not any(unicodedata.category(chr(point))[0] not in "CZ" for point in points.tolist()):
        raise _Unusable("empty: no visible character")
    rasteriser = _try_rasteriser(sfnt, number, glyphs)
    points = points[~np.isin(points, _misdrawn_letters(rasteriser, points))]

    os2, post, head = _table(face, "OS/2"), _table(face, "post"), _table(face, "head")
    selection = struct.unpack_from(">H", os2, 62)[0] if len(os2) >= 64 else 0
    slanted = len(post) >= 8 and struct.unpack_from(">i", post, 4)[0] != 0
    macstyle = struct.unpack_from(">H", head, 44)[0] if len(head) >= 46 else 0
    weight = struct.unpack_from(">H", os2, 4)[0] if len(os2) >= 6 else 700 if macstyle & 1 else 400
    return [
        number,
        face.get_name(16) or face.get_name(1) or "",
        face.get_name(17) or face.get_name(2) or "",
        weight,
        bool(selection & 0x201 or macstyle & 2 or slanted),
        len(post) >= 16 and struct.unpack_from(">I", post, 12)[0] != 0,
        face.upem,
        kind.strip(),
        compressed,
        [[axis.tag, axis.min_value, axis.default_value, axis.max_value] for axis in face.axis_infos],
        [
            [face.get_name(instance.subfamily_name_id) or "", list(instance.design_coords)]
            for instance in face.named_instances
        ],
        sorted({tag for table in ("GSUB", "GPOS") for tag in face.get_table_script_tags(table)}),
        _spans(points),
    ]


def _refuse_cut(sfnt: bytes, number: int) -> None:
    """Refuse what HarfBuzz reads as far as it goes: a file whose table directory names more than there is."""
    start = struct.unpack_from(">I", sfnt, 12 + 4 * number)[0] if sfnt[:4] == b"ttcf" else 0
    for at in range(struct.unpack_from(">H", sfnt, start + 4)[0]):
        tag, _, offset, length = struct.unpack_from(">4sIII", sfnt, start + 12 + 16 * at)
        if offset + length > len(sfnt):
            name = tag.decode("latin-1").strip()
            raise _Unusable(f"broken: cut short: {name} goes to byte {offset + length:,} of {len(sfnt):,}")


def _table(face: Any, tag: str) -> bytes:
    data: bytes | None = face.reference_table(tag).data
    return data or b""


def _encodings(cmap: bytes) -> set[tuple[int, int]]:
    count = struct.unpack_from(">H", cmap, 2)[0] if len(cmap) >= 4 else 0
    return {struct.unpack_from(">HH", cmap, 4 + 8 * at) for at in range(min(count, (len(cmap) - 4) // 8))}


def _spans(points: NDArray[np.int64]) -> str:
    import numpy as np

    breaks = np.flatnonzero(np.diff(points) != 1)
    firsts = points[np.concatenate(([0], breaks + 1))].tolist()
    lasts = points[np.concatenate((breaks, [len(points) - 1]))].tolist()
    pairs = zip(firsts, lasts, strict=True)
    return " ".join(f"{first:x}" if first == last else f"{first:x}-{last:x}" for first, last in pairs)


# Blank by their nature, though neither spaces nor format characters: grapheme joiner, Hangul fillers, Khmer inherent
# vowels, Braille blank, null notehead, Khitan filler, Egyptian blanks
_BLANK = frozenset({0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0x1D159, 0x16FE4, 0x13441, 0x13442})
# Format characters that are drawn: those with Prepended_Concatenation_Mark (Unicode, PropList.txt)
_DRAWN = frozenset({*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD})


def _ink_due(point: int) -> bool:
    """Whether an empty glyph for this code point is a hole in the font."""
    char = chr(point)
    if unicodedata.category(char) in ("Zs", "Zl", "Zp", "Cc", "Cf"):
        return point in _DRAWN
    # a virama (class 9) may have no shape of its own: it stacks or joins its neighbours
    return not (
        point in _BLANK
        or 0x180B <= point <= 0x180F
        or 0xFE00 <= point <= 0xFE0F
        or 0xE0000 <= point <= 0xE0FFF
        or unicodedata.combining(char) == 9
    )


def _shaped_ink(font: Any, point: int, outlines: _Outlines) -> bool:
    """Whether an empty glyph is replaced by others with ink: newer Nastaliq fonts build all letters from parts."""
    import uharfbuzz as hb

    if not font.face.has_layout_substitution:
        return False
    buffer = hb.Buffer()
    buffer.add_codepoints([point])
    buffer.guess_segment_properties()
    hb.shape(font, buffer)
    circle = font.get_nominal_glyph(0x25CC) or 0  # HarfBuzz puts one under a mark that stands alone
    shaped = {info.codepoint for info in buffer.glyph_infos} - {0, circle}
    return any(not outlines.blank[glyph] for glyph in shaped if glyph < outlines.count)


class _Outlines:
    """Where each glyph's outline lies in its table, which of them are empty, and which the table does not hold."""

    def __init__(
        self, data: bytes, offsets: NDArray[np.int64], blank: NDArray[np.bool_], cut: NDArray[np.bool_]
    ) -> None:
        self._data, self._offsets = data, offsets
        self.blank, self.cut = blank, cut
        self.count = len(blank)

    def of(self, glyph: int) -> bytes:
        return self._data[self._offsets[glyph] : self._offsets[glyph + 1]]


def _outlines(face: Any, kind: str) -> _Outlines:
    import numpy as np

    data = _table(face, kind)
    if kind == "glyf":
        head = _table(face, "head")
        wide = len(head) >= 52 and struct.unpack_from(">h", head, 50)[0] != 0
        loca = _table(face, "loca")
        size = 4 if wide else 2
        offsets = np.frombuffer(loca[: len(loca) // size * size], ">u4" if wide else ">u2").astype(np.int64)
        offsets, cut = _of_all(offsets if wide else offsets * 2, face.glyph_count, len(data))
        start, length = offsets[:-1], np.diff(offsets)
        blank = (length < 10) | cut  # a glyph header alone has ten bytes
        raw = np.frombuffer(data, np.uint8)
        at = start[~blank]
        blank[~blank] = (raw[at] == 0) & (raw[at + 1] == 0)  # no contours
        return _Outlines(data, offsets, blank, cut)
    offsets, cut = _of_all(_charstring_offsets(data, two=kind == "CFF2"), face.glyph_count, len(data))
    length = np.diff(offsets)
    blank = (length <= 0) | cut
    for glyph in np.flatnonzero(~blank & (length <= 7)).tolist():  # longer ones draw something
        blank[glyph] = _draws_nothing(data[offsets[glyph] : offsets[glyph + 1]])
    return _Outlines(data, offsets, blank, cut)


def _of_all(offsets: NDArray[np.int64], glyphs: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Offsets of all glyphs, count + 1 of them, and which glyphs end outside a table of `size` bytes."""
    import numpy as np

    lacking = max(0, glyphs + 1 - len(offsets))
    offsets = np.concatenate((offsets[: glyphs + 1], np.full(lacking, size + 1)))
    return offsets, offsets[1:] > size


def _charstring_offsets(cff: bytes, *, two: bool) -> NDArray[np.int64]:
    """Offsets of the charstrings in a CFF (Adobe Technical Note 5176) or CFF2 (OpenType) table, count + 1 of them."""
    header = cff[2]
    if two:
        top = cff[header : header + struct.unpack_from(">H", cff, 3)[0]]
    else:
        _, end = _index_offsets(cff, header, two=False)  # Name INDEX
        tops, _ = _index_offsets(cff, end, two=False)
        top = cff[tops[0] : tops[1]]
    at = 0
    operand = 0
    while at < len(top):
        byte = top[at]
        at += 1
        if byte == 28:
            operand = struct.unpack_from(">h", top, at)[0]
            at += 2
        elif byte == 29:
            operand = struct.unpack_from(">i", top, at)[0]
            at += 4
        elif byte == 30:  # a real number, in nibbles; 0xf ends it
            while top[at] & 0x0F != 0x0F and top[at] >> 4 != 0x0F:
                at += 1
            at += 1
        elif 32 <= byte <= 246:
            operand = byte - 139
        elif 247 <= byte <= 254:
            operand = (byte - 247) * 256 + top[at] + 108 if byte < 251 else -(byte - 251) * 256 - top[at] - 108
            at += 1
        elif byte == 17:  # CharStrings
            return _index_offsets(cff, operand, two=two)[0]
        elif byte == 12:
            at += 1
    raise _Unusable("broken: CFF without charstrings")


def _index_offsets(cff: bytes, at: int, *, two: bool) -> tuple[NDArray[np.int64], int]:
    """Absolute offsets of an INDEX's items (count + 1 of them), and where the INDEX ends."""
    import numpy as np

    width = 4 if two else 2
    count = int.from_bytes(cff[at : at + width], "big")
    at += width
    if not count:
        return np.zeros(1, np.int64), at
    size = cff[at]
    raw = np.frombuffer(cff, np.uint8, (count + 1) * size, at + 1).reshape(count + 1, size).astype(np.int64)
    offsets = raw @ (256 ** np.arange(size - 1, -1, -1, dtype=np.int64)) + at + (count + 1) * size
    return offsets, int(offsets[-1])


def _draws_nothing(charstring: bytes) -> bool:
    """Whether a short charstring has no operator but endchar or vsindex: the width at most, no path, no subroutine."""
    at = operands = 0
    while at < len(charstring):
        byte = charstring[at]
        if byte == 14:
            return operands < 4  # with four operands, endchar composes two other glyphs
        if byte == 15:
            operands = 0
            at += 1
        elif byte == 28:
            at += 3
            operands += 1
        elif byte >= 32:
            at += 1 if byte <= 246 else 2 if byte <= 254 else 5
            operands += 1
        else:
            return False
    return True


_LETTERS = [*range(0x41, 0x5B), *range(0x61, 0x7B)]
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_ALPHANUMERIC = frozenset({*_LETTERS, *range(0x30, 0x3A)})


def _own_name(name: str, point: int) -> bool:
    """Whether a word such as digitzero or Aswash means this code point's character."""
    if 0x30 <= point <= 0x39:
        return _DIGITS[point - 0x30] in name
    return point not in _LETTERS or name.lower().startswith(chr(point).lower())


def _refuse_placeholders(pairs: dict[int, int], outlines: _Outlines) -> None:
    """Refuse fonts that draw one shape for many characters, such as LastResort, Adobe Blank and redacted ones."""
    alike = f"a placeholder: it draws {len(set(pairs.values()))} glyphs for {len(pairs)} characters"
    if len(pairs) > 1000 and len(set(pairs.values())) * 8 < len(pairs):
        raise _Unusable(alike)
    letters = [outlines.of(pairs[point]) for point in _LETTERS if point in pairs]
    if len(letters) >= 10 and len(set(letters)) * 3 < len(letters):  # capitals only would give a half
        raise _Unusable("a placeholder: its letters look alike")


def _wrongly_drawn(pairs: dict[int, int], name_of: Callable[[int], str | None], outlines: _Outlines) -> list[int]:
    """Code points that are mapped to a glyph of some other character: their labels would be wrong.

    Told by glyph names (Adobe Glyph List Specification) in the ASCII range, and by capitals that stand for small
    letters. Old TeX fonts hold symbols, or other punctuation, under ASCII codes.

    Raises:
        _Unusable: three letters or digits are wrong, so no part of the map can be trusted.
    """
    from fontTools import agl

    def drawn(point: int) -> str:
        """What the name of its glyph says, "" if it says nothing."""
        name = (name_of(pairs[point]) or "").split(".")[0]
        text: str = agl.toUnicode(name)
        if text and 0xE000 <= ord(text[0]) < 0xF900:  # the list gives Asmall, zerooldstyle and so on private codes
            for ending in ("oldstyle", "small"):
                text = agl.toUnicode(name.removesuffix(ending)) if name.endswith(ending) else text
        text = "-" if text in ("\u00ad", "\u2010", "\u2011") else unicodedata.normalize("NFKC", text)
        if text or not name.isalpha() or len(name) < 4 or _own_name(name, point):
            return text
        return "\ufffd"  # a word, such as parenrightBigg, but not this character's

    # Zapf Dingbats' glyphs are called a1 to a206 (in no list of letters), and stand under ASCII codes.
    own = [name_of(pairs[point]) or "" for point in _ALPHANUMERIC if point in pairs]
    dingbats = [name for name in own if not agl.toUnicode(name) and agl.toUnicode(name, isZapfDingbats=True)]
    if len(dingbats) >= 10:
        raise _Unusable("dingbats: its letters are pictures of other things (Zapf Dingbats)")
    names = {point: drawn(point) for point in range(0x21, 0x7F) if point in pairs}
    wrong = {point for point, text in names.items() if text and text != chr(point)}
    foreign = sorted(p for p in wrong if p in _ALPHANUMERIC and names[p].lower() != chr(p).lower())
    if len(foreign) >= 3:
        example = name_of(pairs[foreign[0]])
        raise _Unusable(f"glyph names contradict the character map: {chr(foreign[0])!r} leads to {example!r}")
    if len(wrong - _ALPHANUMERIC) >= 3:  # an encoding of its own: only what the names confirm
        wrong |= {point for point in pairs if point > 0x20 and drawn(point) != chr(point)}
    for small in range(0x61, 0x7B):
        if small in pairs and small - 32 in pairs and outlines.of(pairs[small]) == outlines.of(pairs[small - 32]):
            wrong.add(small)
    return sorted(wrong)


def _try_rasteriser(sfnt: bytes, number: int, glyphs: NDArray[np.int64]) -> freetype.Face:
    """Load a few glyphs with FreeType, which is stricter than HarfBuzz about broken tables; the face, opened."""
    import freetype

    try:
        face = freetype.Face.from_bytes(sfnt, number)
        for glyph in glyphs[:: len(glyphs) // 8 + 1].tolist():
            face.load_glyph(glyph, freetype.FT_LOAD_NO_SCALE | freetype.FT_LOAD_NO_BITMAP)
    except freetype.FT_Exception as error:
        raise _Unusable(f"broken: FreeType: {_one_line(error)}") from error
    return face


def _misdrawn_letters(face: freetype.Face, points: NDArray[np.int64]) -> list[int]:
    """Small Latin letters that a face of capitals draws as such, of the code points that it covers.

    Raises:
        _Unusable: it draws other things than Latin letters under their codes.
    """
    import numpy as np

    from synth.fonts import letters

    covered = np.isin([ord(letter) for letter in letters.LETTERS], points)
    if not covered.any():
        return []
    pictures, there = letters.shapes(face)
    there &= covered
    if letters.known_share(pictures, there) < letters.LEAST_RIGHT:
        raise _Unusable("pictures or another script under the codes of Latin letters: their shapes are none of these")
    if not letters.capitals_only(pictures, there):
        return []
    return [point for point in points.tolist() if unicodedata.name(chr(point), "").startswith("LATIN SMALL LETTER")]
