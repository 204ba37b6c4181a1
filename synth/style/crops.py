"""Crops as the user has them: a picture, a folder, a list with or without labels; and all of them into a store."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
from tqdm import tqdm

from augment.errors import ScriptoriumError
from synth.shards.writer import claim, replace_folder, writing
from synth.style.extract import Unusable, extract, read_crop
from synth.style.store import StoreWriter
from synth.style.style import Style
from synth.style.typeface import Typefaces

PICTURES: Final = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"))
LABELS: Final = "labels.tsv"
MISFIT: Final = "label does not fit the ink"
_ASPECT: Final = 2.6  # times as wide as the label, or as narrow, that no spacing of letters explains
_LIKENESS: Final = 0.35  # of the nearest font, below which the ink says something else
_SHOWN: Final = 5  # names in a message


@dataclass(frozen=True, slots=True)
class Crop:
    """One picture to look at.

    Attributes:
        path: of the picture.
        name: for people, and in the store.
        label: what it says; empty where that is not known.
    """

    path: Path
    name: str
    label: str


def find_crops(source: Path, root: Path | None = None) -> list[Crop]:
    """The crops that a name stands for.

    Args:
        source: a picture; a folder of pictures, with or without `labels.tsv`; or a list, UTF-8, with a picture's path
            on each line and, after a tab, what it says (as PaddleOCR's label files have it).
        root: where the paths of a list start; default: the list's own folder.

    Raises:
        ScriptoriumError: there is nothing there, or a list names pictures that are not there.
    """
    if source.is_dir():
        if (source / LABELS).is_file():
            return _listed(source / LABELS, root or source)
        found = sorted(path for path in source.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())
        if not found:
            raise ScriptoriumError(
                f"{source}: no picture in it (.jpg, .png, .bmp, .gif, .tif, .webp); name another folder"
            )
        return [Crop(path, path.relative_to(source).as_posix(), "") for path in found]
    if not source.exists():
        raise ScriptoriumError(f"{source}: there is no such file; name a picture, a list of pictures or a folder")
    if source.suffix.lower() in PICTURES:
        return [Crop(source, source.name, "")]
    return _listed(source, root or source.parent)


def _listed(source: Path, root: Path) -> list[Crop]:
    try:
        lines = source.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise ScriptoriumError(f"{source}: cannot be read ({error.strerror}); name another list") from None
    except UnicodeDecodeError as error:
        raise ScriptoriumError(f"{source}: not UTF-8 at byte offset {error.start}; save the list as UTF-8") from None
    crops = []
    for line in lines:
        name, _, label = line.rstrip("\r").partition("\t")
        if name.strip():
            crops.append(Crop(root / name.strip(), name.strip(), unicodedata.normalize("NFC", label.strip())))
    if not crops:
        raise ScriptoriumError(f"{source}: an empty list; put a picture's path on each line")
    missing = [crop.name for crop in crops if not crop.path.is_file()]
    if missing:
        some = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
        raise ScriptoriumError(
            f"{source}: {len(missing):,} of {len(crops):,} pictures are not in {root}: {some}; "
            "mend the list, or say where its paths start (--root DIR)"
        )
    return crops


@dataclass
class Extraction:
    """What an extraction has brought."""

    output: Path
    backgrounds: Path | None
    count: int
    styles: int
    labelled: int
    refused: dict[str, int]
    examples: dict[str, list[str]]
    faces: dict[str, int]

    def text(self) -> str:
        """For people: what was made, what was refused and why, what to do next."""
        from synth.report.summary import counted, quoted

        lines = [f"{self.output}: {counted(self.styles, 'style')} from {counted(self.count, 'crop')}"]
        if self.labelled:
            named = sum(self.faces.values())
            lines.append(f"  with a label: {self.labelled:,}; of these held against fonts: {named:,}")
        if self.faces:
            most = sorted(self.faces.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
            lines.append("  nearest: " + ", ".join(f"{name} {count:,}" for name, count in most))
        for reason, count in sorted(self.refused.items(), key=lambda item: (-item[1], item[0])):
            some = ", ".join(self.examples[reason][:_SHOWN]) + (", …" if count > _SHOWN else "")
            lines.append(f"  refused: {count:,} {reason} ({some})")
        if self.backgrounds is not None:
            lines.append(f"{self.backgrounds}: {counted(self.styles, 'background')} without text")
        lines.append(f"next: synth style report {quoted(self.output)}")
        return "\n".join(lines) + "\n"


def extract_all(
    crops: Sequence[Crop],
    output: Path,
    *,
    source: str,
    backgrounds: Path | None = None,
    fonts: Sequence[Path] | None = None,
) -> Extraction:
    """Bring the styles of crops into a store.

    Args:
        crops: pictures.
        output: a new folder.
        source: what the store says it came from.
        backgrounds: another new folder, for the backgrounds as pictures.
        fonts: files and folders of fonts among which the one nearest to a labelled crop is looked for; None: those that
            are installed.

    Raises:
        ScriptoriumError: no crop can be used, or a folder cannot be written.
    """
    for folder in (output, backgrounds):
        if folder is not None and folder.is_dir() and any(folder.iterdir()):
            raise ScriptoriumError(f"{folder}: is not empty; name a new folder")
    if backgrounds is not None and backgrounds.resolve() == output.resolve():
        raise ScriptoriumError(f"{backgrounds}: the store itself; name another folder for the backgrounds")
    with claim(output) as aside:
        writer = StoreWriter(aside / "store")
        made = _Making(writer, aside / "backgrounds" if backgrounds is not None else None, Typefaces(fonts))
        try:
            for crop in tqdm(crops, desc="crops", unit="", disable=None, leave=False):
                made.add(crop)
            if not made.styles:
                reasons = ", ".join(f"{count:,} {reason}" for reason, count in made.refused.items())
                raise ScriptoriumError(
                    f"{source}: no crop gives a style ({reasons}); name crops of one line of text each"
                )
            writer.finish(source)
        finally:
            writer.close()
        if backgrounds is not None:
            with claim(backgrounds) as beside:
                with writing(backgrounds):
                    (aside / "backgrounds").rename(beside / "backgrounds")
                replace_folder(beside / "backgrounds", backgrounds)
        replace_folder(aside / "store", output)
    return Extraction(
        output,
        backgrounds,
        len(crops),
        made.styles,
        made.labelled,
        made.refused,
        made.examples,
        made.faces,
    )


class _Making:
    def __init__(self, writer: StoreWriter, backgrounds: Path | None, typefaces: Typefaces) -> None:
        self._writer, self._backgrounds, self._typefaces = writer, backgrounds, typefaces
        self.styles = self.labelled = 0
        self.refused: dict[str, int] = {}
        self.examples: dict[str, list[str]] = {}
        self.faces: dict[str, int] = {}
        if backgrounds is not None:
            with writing(backgrounds):
                backgrounds.mkdir()

    def add(self, crop: Crop) -> None:
        try:
            style = self._named(extract(read_crop(crop.path), crop.name, crop.label))
        except Unusable as problem:
            self._writer.refuse(crop.name, problem.reason)
            self.refused[problem.reason] = self.refused.get(problem.reason, 0) + 1
            self.examples.setdefault(problem.reason, []).append(crop.name)
            return
        self._writer.add(style)
        self.labelled += bool(style.label)
        if style.font:
            self.faces[style.font] = self.faces.get(style.font, 0) + 1
        if self._backgrounds is not None:
            data = cv2.imencode(".png", style.background)[1].tobytes()
            with writing(self._backgrounds):
                (self._backgrounds / f"{self.styles:06d}_{Path(crop.name).stem[:60]}.png").write_bytes(data)
        self.styles += 1

    def _named(self, style: Style) -> Style:
        """With the nearest font, where there is a label. Raises Unusable: it does not fit the ink."""
        nearest = self._typefaces.nearest(style) if style.label else None
        if nearest is None:
            return style
        if not 1 / _ASPECT <= nearest.aspect <= _ASPECT or nearest.likeness < _LIKENESS:
            raise Unusable(MISFIT, f"likeness {nearest.likeness:.2f}, {nearest.aspect:.2f} times as wide")
        return replace(style, font=nearest.name)
