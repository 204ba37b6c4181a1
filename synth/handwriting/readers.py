"""Sets of single characters in the shapes that they come in, read one image at a time."""

from __future__ import annotations

import gzip
import os
import re
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.handwriting.labels import Names, column, decoded, parse_table, read_table, resolve, rows

Grey = NDArray[np.uint8]

_PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".pgm", ".pbm"})
_LARGEST: Final = 4 << 30  # bytes of one file inside an archive
_MOST_PIXELS: Final = 1 << 26
_TABLES: Final = ("labels.tsv", "labels.csv", "labels.txt")
_PATH_COLUMNS: Final = ("path", "file", "filename", "file_name", "image", "name")
_LABEL_COLUMNS: Final = ("label", "text", "character", "char", "class", "unicode", "codepoint")
_WRITER_COLUMNS: Final = ("writer", "writer_id", "user", "subject", "author")


class Broken(Exception):
    """One image that cannot be read; the set as a whole can. Says why."""


@dataclass(frozen=True)
class Options:
    """How a set is read; what is left out is found out.

    Attributes:
        labels: a table of labels (`labels.read_table`).
        names: how class names are read where there is no table.
        table: the table of a flat folder: path, label and, if known, writer; default: `labels.tsv`, `.csv` or `.txt`.
        label_pattern: regular expression searched in the path within the set; its group is the class name.
        writer_pattern: the same for the writer.
        grid: rows and columns of sheets.
        inset: what is cut off a sheet's cell on each side, as a share of it.
        transposed: images of IDX, CSV or NPZ stored by columns.
    """

    labels: Path | None = None
    names: Names = "auto"
    table: Path | None = None
    label_pattern: str | None = None
    writer_pattern: str | None = None
    grid: tuple[int, int] | None = None
    inset: float = 0.04
    transposed: bool = False


def parse_grid(text: str) -> tuple[int, int]:
    """Rows and columns, of `10x8`. Raises ScriptoriumError."""
    match = re.fullmatch(r"\s*([1-9]\d{0,3})\s*[x×]\s*([1-9]\d{0,3})\s*", text)
    if match is None:
        raise ScriptoriumError(f"--grid {text}: should be rows and columns, such as 10x8")
    return int(match[1]), int(match[2])


@dataclass
class CharacterSet(ABC):
    """Images of single characters, by number.

    Attributes:
        form: what kind of set it is, for people.
        texts: what each image shows, NFC.
        writers: who wrote it; empty where that is not known.
        left_out: images and classes that are not in it, by reason.
    """

    form: str
    texts: list[str] = field(default_factory=list)
    writers: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.texts)

    @abstractmethod
    def image(self, number: int) -> Grey:
        """An image, height × width, as it is. Raises Broken. Quickest in the order of numbers."""

    @abstractmethod
    def origin(self, number: int) -> str:
        """Where it comes from, for people."""


# -- places ---------------------------------------------------------------------------------------------------------


class _Place:
    """A folder, a file or a zip archive: names of files, with `/` between parts, and their bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = path if path.is_dir() else path.parent
        self._zip: zipfile.ZipFile | None = None
        self._members: dict[str, zipfile.ZipInfo] = {}
        if not path.exists():
            raise ScriptoriumError(f"{path}: there is no such file or folder")
        if path.is_file() and path.suffix.lower() == ".zip":
            try:
                self._zip = zipfile.ZipFile(path)
                members = [member for member in self._zip.infolist() if not member.is_dir()]
            except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
                raise ScriptoriumError(f"{path}: a broken zip archive ({error}); fetch it again") from None
            self._members = {_zip_name(member): member for member in members}
            names: Iterable[str] = self._members
        elif path.is_file():
            names = [path.name]
        else:
            names = _walk(path)
        self.names = sorted(name for name in names if not _hidden(name))

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises ScriptoriumError."""
        try:
            if self._zip is not None:
                member = self._members[name]
                if member.file_size > _LARGEST:
                    raise ScriptoriumError(f"{self.path}: {name}: too large ({member.file_size:,} bytes); unpack it")
                return self._zip.read(member)
            return (self.root / name).read_bytes()
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise ScriptoriumError(
                f"{self.path}: {name}: broken inside the archive ({error}); fetch it again"
            ) from None
        except OSError as error:
            raise ScriptoriumError(f"{self.root / name}: cannot be read ({error.strerror})") from None

    def unpacked(self, name: str) -> bytes:
        """The same, unpacked where its name ends in .gz."""
        data = self.read(name)
        if not name.lower().endswith(".gz"):
            return data
        try:
            return gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ScriptoriumError(f"{self.where(name)}: broken gzip ({error}); fetch it again") from None

    def where(self, name: str) -> str:
        """A file's place for error messages."""
        return f"{self.path}: {name}" if self._zip is not None else str(self.root / name)

    def ending(self, *endings: str) -> list[str]:
        """Names that end so, in any case."""
        return [name for name in self.names if name.lower().endswith(endings)]


def _walk(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _hidden(name)]
        at = Path(parent).relative_to(folder).as_posix()
        for name in files:
            yield name if at == "." else f"{at}/{name}"


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _zip_name(member: zipfile.ZipInfo) -> str:
    """A member's name; archives that do not say that it is UTF-8 mostly have it all the same, those of China GBK."""
    if member.flag_bits & 0x800:
        return member.filename
    for encoding in ("utf-8", "gbk"):
        with suppress(UnicodeError):
            return member.filename.encode("cp437").decode(encoding)
    return member.filename


# -- pictures -------------------------------------------------------------------------------------------------------


def grey_picture(data: bytes) -> Grey:
    """A picture file in grey, height × width; what is transparent lies on white. Raises Broken."""
    if not data:
        raise Broken("an empty file")
    image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        image = _by_pillow(data)
    return _grey(image)


def _by_pillow(data: bytes) -> NDArray[Any]:
    from PIL import Image

    try:
        with Image.open(BytesIO(data)) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise Broken(f"{picture.width} × {picture.height} pixels are too many")
            return np.asarray(picture.convert("RGBA"))[:, :, [2, 1, 0, 3]]
    except Broken:
        raise
    except Exception as error:  # Pillow lets anything through
        raise Broken(f"no picture ({type(error).__name__})") from None


def _grey(image: NDArray[Any]) -> Grey:
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    elif image.dtype != np.uint8:
        image = cv2.normalize(image.astype(np.float32), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload]
    if image.ndim == 3 and image.shape[2] == 4:
        alpha = image[:, :, 3:].astype(np.uint16)
        image = ((image[:, :, :3] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)
    if image.ndim == 3:
        image = image[:, :, 0] if image.shape[2] < 3 else cv2.cvtColor(image[:, :, :3], cv2.COLOR_BGR2GRAY)
    return np.ascontiguousarray(image)


@dataclass
class _Pictures(CharacterSet):
    """A picture file for each character."""

    place: _Place = field(kw_only=True)
    names: list[str] = field(default_factory=list, kw_only=True)

    def image(self, number: int) -> Grey:
        return grey_picture(self.place.read(self.names[number]))

    def origin(self, number: int) -> str:
        return self.names[number]


@dataclass
class _Arrays(CharacterSet):
    """Images held in memory: of IDX, CSV and NPZ files."""

    images: list[NDArray[Any]] = field(default_factory=list, kw_only=True)
    sources: list[str] = field(default_factory=list, kw_only=True)
    transposed: bool = field(default=False, kw_only=True)
    kept: list[tuple[int, int]] = field(default_factory=list, kw_only=True)

    def image(self, number: int) -> Grey:
        part, at = self.kept[number]
        image = self.images[part][at]
        if self.transposed:
            image = np.swapaxes(image, 0, 1)
        return np.ascontiguousarray(image)

    def origin(self, number: int) -> str:
        part, at = self.kept[number]
        return f"{self.sources[part]} number {at}"


@dataclass
class _Sheets(CharacterSet):
    """Sheets with a character in each cell of a grid."""

    place: _Place = field(kw_only=True)
    cells: list[tuple[str, int]] = field(default_factory=list, kw_only=True)
    grid: tuple[int, int] = field(kw_only=True)
    inset: float = field(kw_only=True)
    _held: tuple[str, Grey] | None = field(default=None, kw_only=True)

    def image(self, number: int) -> Grey:
        name, cell = self.cells[number]
        if self._held is None or self._held[0] != name:
            self._held = name, grey_picture(self.place.read(name))
        sheet, (rows_, columns) = self._held[1], self.grid
        height, width = sheet.shape[0] / rows_, sheet.shape[1] / columns
        if min(height, width) < 4:
            raise Broken(f"cells of {width:.0f} × {height:.0f} pixels")
        row, at = divmod(cell, columns)
        top, bottom = round((row + self.inset) * height), round((row + 1 - self.inset) * height)
        left, right = round((at + self.inset) * width), round((at + 1 - self.inset) * width)
        return np.ascontiguousarray(sheet[top:bottom, left:right])

    def origin(self, number: int) -> str:
        name, cell = self.cells[number]
        return f"{name} cell {cell + 1}"


@dataclass
class _Gnt(CharacterSet):
    """CASIA GNT files."""

    place: _Place = field(kw_only=True)
    files: list[str] = field(default_factory=list, kw_only=True)
    file_of: array[int] = field(default_factory=lambda: array("l"), kw_only=True)
    offsets: array[int] = field(default_factory=lambda: array("q"), kw_only=True)
    _held: tuple[int, bytes] | None = field(default=None, kw_only=True)

    def image(self, number: int) -> Grey:
        which = self.file_of[number]
        if self._held is None or self._held[0] != which:
            self._held = which, self.place.read(self.files[which])
        data, at = self._held[1], self.offsets[number]
        _, _, width, height = _GNT_HEAD.unpack_from(data, at)
        return np.frombuffer(data, np.uint8, width * height, at + _GNT_HEAD.size).reshape(height, width).copy()

    def origin(self, number: int) -> str:
        return f"{self.files[self.file_of[number]]} at byte {self.offsets[number]:,}"


# -- telling them apart ---------------------------------------------------------------------------------------------


def read_set(source: Path, options: Options) -> CharacterSet:
    """Find out what kind of set `source` is, and list what it holds.

    Args:
        source: a folder, a zip archive, or one file.
        options: see there.

    Raises:
        ScriptoriumError: no set of a known kind, or a broken one; class names that are no characters.
    """
    place = _Place(source)
    table = read_table(options.labels) if options.labels is not None else None
    if options.grid is not None:
        found: CharacterSet = _sheets(place, options, table)
    elif place.ending(".gnt"):
        found = _gnt(place, options, table)
    elif any(_IDX_IMAGES.search(name) for name in place.names):
        found = _idx(place, options, table)
    elif place.ending(".npz"):
        found = _npz(place, options, table)
    elif place.ending(*_PICTURES):
        found = _pictures(place, options, table)
    elif place.ending(".csv", ".csv.gz"):
        found = _csv(place, options, table)
    else:
        raise ScriptoriumError(
            f"{source}: no pictures, IDX, CSV, NPZ or GNT files in it; name the folder, archive or file that has them"
        )
    if not len(found):
        why = ", ".join(f"{count:,} {reason}" for reason, count in found.left_out.items()) or "it is empty"
        raise ScriptoriumError(f"{source}: no image of a character in it ({why})")
    return found


def _pattern(pattern: str | None, option: str) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ScriptoriumError(f"{option} {pattern}: no regular expression ({error})") from None
    if compiled.groups != 1:
        raise ScriptoriumError(f"{option} {pattern}: needs one group in brackets, such as ^(w[0-9]+)_")
    return compiled


def _found(pattern: re.Pattern[str] | None, name: str) -> str:
    match = pattern.search(name) if pattern else None
    return (match[1] or "") if match else ""


def _classed(
    found: CharacterSet, names: Sequence[str], options: Options, table: dict[str, str] | None, where: object
) -> list[bool]:
    """Give a set the texts of its class names; says which images stay."""
    texts = resolve(names, table, options.names, where)
    kept = [name in texts for name in names]
    found.texts = [texts[name] for name in names if name in texts]
    if left := len(names) - len(found.texts):
        found.left_out["of classes that the table leaves out"] += left
    return kept


def _pictures(place: _Place, options: Options, table: dict[str, str] | None) -> CharacterSet:
    labelled = options.table is not None or any(name in _TABLES for name in place.names)
    by_name = _pattern(options.label_pattern, "--class")
    by_writer = _pattern(options.writer_pattern, "--writer")
    pictures = place.ending(*_PICTURES)
    if labelled and by_name is None:
        found = _Pictures("pictures with a table", place=place)
        listed = _listed(place, options)
        known = set(pictures)
        missing = [path for path, _, _ in listed if path not in known]
        if len(missing) == len(listed):
            raise ScriptoriumError(f"{place.path}: its table names no file that is there, such as {missing[0]}")
        if missing:
            found.left_out["named in the table, but not there"] += len(missing)
        listed = [row for row in listed if row[0] in known]
        kept = _classed(found, [label for _, label, _ in listed], options, table, place.path)
        listed = [row for row, keep in zip(listed, kept, strict=True) if keep]
        found.names = [path for path, _, _ in listed]
        found.writers = [writer or _found(by_writer, path) for path, _, writer in listed]
        return found
    found = _Pictures("a folder for each class", place=place)
    if by_name is not None:
        found.form = "pictures, the class in their names"
        unmatched = [name for name in pictures if not _found(by_name, name)]
        if len(unmatched) == len(pictures):
            raise ScriptoriumError(
                f"{place.path}: --class {options.label_pattern} fits no path within it, such as {pictures[0]}"
            )
        found.left_out.update({"whose path does not fit --class": len(unmatched)} if unmatched else {})
        pictures = [name for name in pictures if _found(by_name, name)]
        classes = [_found(by_name, name) for name in pictures]
    else:
        loose = [name for name in pictures if "/" not in name]
        if len(loose) == len(pictures):
            raise ScriptoriumError(
                f"{place.path}: pictures in one folder without classes; add labels.tsv (path, TAB, character), or say "
                "where the class stands in their names: --class '^(.)_'"
            )
        found.left_out.update({"beside the folders of classes": len(loose)} if loose else {})
        pictures = [name for name in pictures if "/" in name]
        classes = [PurePosixPath(name).parent.name for name in pictures]
    kept = _classed(found, classes, options, table, place.path)
    found.names = [name for name, keep in zip(pictures, kept, strict=True) if keep]
    found.writers = [_found(by_writer, name) for name in found.names]
    return found


def _listed(place: _Place, options: Options) -> list[tuple[str, str, str]]:
    """Path, label and writer of each line of a flat folder's table."""
    if options.table is not None:
        name: object = options.table
        try:
            text = decoded(options.table.read_bytes(), name)
        except OSError as error:
            raise ScriptoriumError(f"{name}: cannot be read ({error.strerror})") from None
    else:
        inside = next(known for known in _TABLES if known in place.names)
        name = place.where(inside)
        text = decoded(place.read(inside), name)
    table = rows(text, name)
    path_at, label_at, writer_at = 0, 1, 2
    if table and (head := column(table[0], _PATH_COLUMNS)) is not None:
        labels, writers = column(table[0], _LABEL_COLUMNS), column(table[0], _WRITER_COLUMNS)
        if labels is not None:
            path_at, label_at, writer_at, table = head, labels, -1 if writers is None else writers, table[1:]
    short = next((number for number, row in enumerate(table, 1) if len(row) <= max(path_at, label_at)), None)
    if not table or short is not None:
        at = f" (line {short})" if short else ""
        raise ScriptoriumError(f"{name}: each line should be path, TAB, character and, if known, TAB, writer{at}")
    return [
        (row[path_at].strip(), row[label_at].strip(), row[writer_at].strip() if 0 <= writer_at < len(row) else "")
        for row in table
    ]


def _sheets(place: _Place, options: Options, table: dict[str, str] | None) -> CharacterSet:
    assert options.grid is not None
    size = options.grid[0] * options.grid[1]
    pictures = place.ending(*_PICTURES)
    if not pictures:
        raise ScriptoriumError(f"{place.path}: no sheets in it; name a folder or archive of pictures, or a picture")
    by_writer = _pattern(options.writer_pattern, "--writer")
    by_name = _pattern(options.label_pattern, "--class")
    # With a character for each cell, the sheets are forms, each filled in by somebody; else each is of one class.
    form = table is not None and set(table) <= {str(number) for number in range(size)} and by_name is None
    found = _Sheets("sheets", place=place, grid=options.grid, inset=options.inset)
    if form:
        assert table is not None
        unnamed = sum(str(cell) not in table for cell in range(size))
        if unnamed:
            found.left_out["in cells that the table does not name"] += unnamed * len(pictures)
        for name in pictures:
            writer = _found(by_writer, name) if by_writer else PurePosixPath(name).stem
            for cell in range(size):
                if text := table.get(str(cell)):
                    found.texts.append(text)
                    found.writers.append(writer)
                    found.cells.append((name, cell))
        found.form = "sheets with a table of their cells"
        return found
    classes = [_found(by_name, name) if by_name else PurePosixPath(name).stem for name in pictures]
    texts = resolve(classes, table, options.names, f"{place.path}: sheets named by their class, without --labels CELLS")
    for name, label in zip(pictures, classes, strict=True):
        if label not in texts:
            found.left_out["of classes that the table leaves out"] += size
            continue
        found.texts += [texts[label]] * size
        found.writers += [_found(by_writer, name)] * size
        found.cells += [(name, cell) for cell in range(size)]
    found.form = "sheets of one class each"
    return found


# -- arrays ---------------------------------------------------------------------------------------------------------

_IDX_IMAGES: Final = re.compile(r"(?i)images?[-._]idx3[-._]ubyte(?:\.gz)?$")


def _idx(place: _Place, options: Options, table: dict[str, str] | None) -> CharacterSet:
    found = _Arrays("IDX", transposed=options.transposed)
    numbers: list[int] = []
    for name in (name for name in place.names if _IDX_IMAGES.search(name)):
        images = _idx_array(place, name, 3)
        labels_name = re.sub(r"(?i)image(s?)([-._])idx3", r"label\1\2idx1", name)
        # A single file's own folder has its labels.
        home = place if place.path.is_dir() or labels_name in place.names else _Place(place.root)
        if labels_name not in home.names:
            labels_name = labels_name.removesuffix(".gz") if labels_name.endswith(".gz") else labels_name + ".gz"
        if labels_name not in home.names:
            raise ScriptoriumError(f"{place.where(name)}: its labels are not beside it ({labels_name})")
        labels = _idx_array(home, labels_name, 1)
        if len(labels) != len(images):
            raise ScriptoriumError(
                f"{place.where(name)}: {len(images):,} images, but {len(labels):,} labels; fetch both again"
            )
        if table is None:
            mapping = re.sub(r"(?i)(?:-(?:train|test))?-images?[-._]idx3.*", "-mapping.txt", name)
            if mapping in home.names:
                table = parse_table(decoded(home.read(mapping), home.where(mapping)), home.where(mapping))
        found.images.append(images)
        found.sources.append(name)
        numbers += labels.tolist()
        # EMNIST keeps the order of the MATLAB files that it was made of.
        found.transposed = found.transposed or PurePosixPath(name).name.lower().startswith("emnist")
    return _numbered(found, [str(number) for number in numbers], options, table, place)


def _idx_array(place: _Place, name: str, dimensions: int) -> NDArray[np.uint8]:
    data = place.unpacked(name)
    where = place.where(name)
    if len(data) < 4 + 4 * dimensions or data[:2] != b"\0\0":
        raise ScriptoriumError(f"{where}: no IDX file; fetch it again")
    if data[2] != 8 or data[3] != dimensions:
        raise ScriptoriumError(f"{where}: not {dimensions} dimensions of bytes, as images and labels have them")
    shape = struct.unpack(f">{dimensions}I", data[4 : 4 + 4 * dimensions])
    wanted = int(np.prod(shape, dtype=np.int64))
    if len(data) - 4 - 4 * dimensions != wanted:
        raise ScriptoriumError(f"{where}: {len(data):,} bytes, but its head promises {wanted:,}; fetch it again")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _numbered(
    found: _Arrays, names: list[str], options: Options, table: dict[str, str] | None, place: _Place
) -> CharacterSet:
    """Classes of a set of arrays, whose images of all parts are counted through."""
    if table is None and all(name.isdecimal() for name in names) and max(map(int, names), default=0) > 9:
        raise ScriptoriumError(
            f"{place.path}: its classes are numbers up to {max(map(int, names))}; say which characters they are: "
            "--labels TABLE (number, TAB, character)"
        )
    kept = _classed(found, names, options, table, place.path)
    places = [(part, at) for part, images in enumerate(found.images) for at in range(len(images))]
    found.kept = [at for at, keep in zip(places, kept, strict=True) if keep]
    found.writers = [""] * len(found.kept)
    return found


def _npz(place: _Place, options: Options, table: dict[str, str] | None) -> CharacterSet:
    arrays: dict[str, NDArray[Any]] = {}
    for name in place.ending(".npz"):
        try:
            with np.load(BytesIO(place.read(name)), allow_pickle=False) as file:
                arrays |= {f"{name}: {key}": file[key] for key in file.files}
        except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise ScriptoriumError(f"{place.where(name)}: cannot be read as NPZ ({error}); fetch it again") from None
    found = _Arrays("NPZ", transposed=options.transposed)
    names: list[str] = []
    writers: list[str] = []
    pictures = {key: value for key, value in arrays.items() if value.ndim in (3, 4) and value.dtype.kind in "uif"}
    for key, images in pictures.items():
        # Of several pairs, those go together that are called alike: x_train and y_train, train-imgs and train-labels.
        fitting = [other for other, value in arrays.items() if value.ndim == 1 and len(value) == len(images)]
        labels = _partner(key, [name for name in fitting if "writer" not in name.lower()])
        if labels is None:
            raise ScriptoriumError(
                f"{place.path}: no array of {len(images):,} labels for the images {key}; an NPZ needs both"
            )
        found.images.append(_as_bytes(images))
        found.sources.append(key)
        names += [str(value) for value in arrays[labels].tolist()]
        writer = _partner(key, [name for name in fitting if "writer" in name.lower()])
        writers += [str(value) for value in arrays[writer].tolist()] if writer else [""] * len(images)
    if not pictures:
        raise ScriptoriumError(f"{place.path}: no array of images (number × height × width) in it")
    if table is None:
        for name in place.ending("classmap.csv"):
            table = parse_table(decoded(place.read(name), place.where(name)), place.where(name))
    done = _numbered(found, names, options, table, place)
    starts = np.cumsum([0, *map(len, found.images)])
    done.writers = [writers[starts[part] + at] for part, at in found.kept]
    return done


def _partner(key: str, others: Sequence[str]) -> str | None:
    """Of the names of arrays of the right length, the one that has most parts in common with `key`."""
    parts = set(re.split(r"[^a-z0-9]+", key.lower()))
    return max(others, key=lambda other: len(parts & set(re.split(r"[^a-z0-9]+", other.lower()))), default=None)


def _as_bytes(images: NDArray[Any]) -> NDArray[np.uint8]:
    if images.ndim == 4:
        images = images[..., :3].mean(-1) if images.shape[-1] in (1, 3, 4) else images.mean(1)
    if images.dtype == np.uint8:
        return images
    low, high = float(images.min(initial=0)), float(images.max(initial=0))
    if not np.isfinite((low, high)).all():
        raise ScriptoriumError("its images have values that are no numbers; mend the file")
    # Shares of 1, sixteenths and signed values are stretched over all grey levels; bytes stay what they are.
    if 100 < high <= 255 and low >= 0:
        return images.astype(np.uint8)
    return ((images - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)


def _csv(place: _Place, options: Options, table: dict[str, str] | None) -> CharacterSet:
    found = _Arrays("CSV", transposed=options.transposed)
    names: list[str] = []
    pixels: dict[str, NDArray[np.uint8]] = {}
    labels: dict[str, list[str]] = {}
    for name in place.ending(".csv", ".csv.gz"):
        label, values = _csv_values(place, name)
        if values.shape[1] == 0:
            labels[name] = label
            continue
        side = round(values.shape[1] ** 0.5)
        if side * side != values.shape[1] or side < 2:
            raise ScriptoriumError(
                f"{place.where(name)}: {values.shape[1]:,} values a line are no square image; a line should be a label "
                "and the pixels of a square"
            )
        pixels[name] = values.reshape(-1, side, side)
        if label:
            labels[name] = label
    for name, images in pixels.items():
        own = labels.get(name)
        if own is None:
            fitting = [other for other in labels if other not in pixels and len(labels[other]) == len(images)]
            # csvTrainImages and csvTrainLabel, whatever the numbers in their names.
            close = [other for other in fitting if _stem(other) == _stem(name)] or fitting
            if len(close) != 1:
                raise ScriptoriumError(
                    f"{place.where(name)}: {images.shape[1] ** 2:,} values a line and no label, nor a file of "
                    f"{len(images):,} labels beside it"
                )
            own = labels[close[0]]
        found.images.append(images)
        found.sources.append(name)
        names += own
    if not pixels:
        raise ScriptoriumError(f"{place.path}: tables without pixels")
    return _numbered(found, names, options, table, place)


def _stem(name: str) -> str:
    return re.sub(r"(?i)image|label|s\b|[\d\s_x.-]|csv", "", PurePosixPath(name).name).lower()


def _csv_values(place: _Place, name: str) -> tuple[list[str], NDArray[np.uint8]]:
    """Labels (none where a line has only pixels) and values of a CSV file's lines; no values: labels alone."""
    where = place.where(name)
    lines = [line for line in decoded(place.unpacked(name), where).splitlines() if line.strip()]
    if not lines:
        raise ScriptoriumError(f"{where}: an empty table")
    head = [part.strip().strip('"') for part in lines[0].split(",")]
    named = column(head, _LABEL_COLUMNS)
    if len(head) == 1:
        values = [line.strip().strip('"') for line in (lines[1:] if named is not None else lines)]
        return values, np.zeros((len(values), 0), np.uint8)
    # A heading has words where pixels should be.
    headed = named is not None or not all(part.replace(".", "", 1).isdigit() for part in head[1:-1])
    if headed:
        lines = lines[1:]
    width = len(head)
    alone = round(width**0.5) ** 2 == width and named is None
    at = 0 if named is None else named
    labels: list[str] = []
    images = np.empty((len(lines), width - (not alone)), np.uint8)
    scale = 1.0
    for number, line in enumerate(lines):
        parts = line.split(",")
        try:
            if not alone:
                labels.append(parts.pop(at).strip().strip('"').removesuffix(".0"))
            row = np.array(parts, np.float64)
            if len(row) != images.shape[1] or not (row.min() >= 0 and row.max() <= 255):
                raise ValueError
        except (ValueError, IndexError):
            raise ScriptoriumError(
                f"{where}: line {number + 1 + headed}: not {images.shape[1]:,} pixels from 0 to 255"
            ) from None
        if not number and row.max() <= 1 and row.any():
            scale = 255.0  # shares of 1
        images[number] = np.minimum(row * scale, 255.0)
    return labels, images


# -- CASIA ----------------------------------------------------------------------------------------------------------

_GNT_HEAD: Final = struct.Struct("<I2sHH")


def _gnt(place: _Place, options: Options, table: dict[str, str] | None) -> CharacterSet:
    """GNT: size, GBK code, width, height and pixels of each character; a file has one writer (Liu et al., 2011)."""
    found = _Gnt("CASIA GNT", place=place, files=place.ending(".gnt"))
    by_writer = _pattern(options.writer_pattern, "--writer")
    names: list[str] = []
    for which, name in enumerate(found.files):
        data, at = place.read(name), 0
        writer = _found(by_writer, name) if by_writer else PurePosixPath(name).stem
        while at < len(data):
            if len(data) - at < _GNT_HEAD.size:
                raise ScriptoriumError(f"{place.where(name)}: cut short after byte {at:,}; fetch it again")
            size, code, width, height = _GNT_HEAD.unpack_from(data, at)
            if not (width and height) or size != _GNT_HEAD.size + width * height:
                raise ScriptoriumError(
                    f"{place.where(name)}: byte {at:,}: {width} × {height} pixels do not make {size:,} bytes; no GNT "
                    "file, or a broken one: fetch it again"
                )
            if at + size > len(data):
                raise ScriptoriumError(f"{place.where(name)}: cut short after byte {at:,}; fetch it again")
            label = _gbk(code)
            if label is None:
                found.left_out["with a code that is not GBK"] += 1
            else:
                names.append(label)
                found.file_of.append(which)
                found.offsets.append(at)
                found.writers.append(writer)
            at += size
    kept = _classed(found, names, options, table, place.path)
    if not all(kept):
        found.file_of = array("l", [w for w, keep in zip(found.file_of, kept, strict=True) if keep])
        found.offsets = array("q", [o for o, keep in zip(found.offsets, kept, strict=True) if keep])
        found.writers = [w for w, keep in zip(found.writers, kept, strict=True) if keep]
    return found


def _gbk(code: bytes) -> str | None:
    try:
        text = code.rstrip(b"\0").decode("gb18030")
    except UnicodeDecodeError:
        return None
    return text if len(text) == 1 and not text.isspace() and text.isprintable() else None


__all__ = ["Broken", "CharacterSet", "Grey", "Options", "grey_picture", "parse_grid", "read_set"]
