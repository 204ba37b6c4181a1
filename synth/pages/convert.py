"""`synth convert`: a detection data set in the forms that others read, and crops of its texts."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from augment.errors import ScriptoriumError
from synth.augmenting import Broken, Source, decoded, open_source
from synth.pages.labels import IGNORED, Found, quad_of, read_label
from synth.report.summary import counted, quoted
from synth.shards.writer import claim, replace_folder, writing

Format = Literal["label-file", "icdar", "coco", "crops"]

_TALL = 1.5  # a text so many times as high as wide is a column, and its crop is turned, as recognisers have it
_LEAST = 3  # pixels; less is no crop
_QUALITY = 95
_PNG, _JPEG = b"\x89PNG", b"\xff\xd8"


@dataclass(slots=True)
class Converted:
    """What was written.

    Attributes:
        output: the folder.
        pages: how many were read.
        texts: how many of them are not to be ignored.
        ignored: how many are.
        crops: images of single texts, where these were asked for.
        skipped: pages and texts left out, by reason.
        first: of each reason the first record, counted from 1 (in a label file its line, without empty ones).
    """

    output: Path
    pages: int = 0
    texts: int = 0
    ignored: int = 0
    crops: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)

    def skip(self, reason: str, record: int) -> None:
        """Count a page or text that is left out."""
        self.skipped[reason] += 1
        self.first.setdefault(reason, record)

    def text(self, how: Format) -> str:
        """For a terminal."""
        what = f"{counted(self.texts, 'text')} and {self.ignored:,} to be ignored"
        lines = [f"{self.output}: {counted(self.pages, 'page')} with {what}"]
        if how == "crops":
            lines = [f"{self.output}: {counted(self.crops, 'crop')} of {counted(self.pages, 'page')}"]
        for reason, count in self.skipped.most_common():
            lines.append(f"left out: {count:,} × {reason} (first: record {self.first[reason]:,})")
        if how in ("crops", "label-file"):
            task = "rec/crnn" if how == "crops" else "det/db_light"
            source = f"{{name: made, path: {quoted(self.output)}}}"
            lines.append(f'next: ocr train -c configs/{task}.yml -o Train.sources="[{source}]"')
        return "\n".join(lines) + "\n"


def convert(data: Path, how: Format, output: Path, *, progress: bool = True) -> Converted:
    """Write a detection data set in another form.

    - `label-file`: `images/` and `labels.tsv`, PaddleOCR's: path, TAB, JSON list.
    - `icdar`: `images/` and for each `gt/gt_NAME.txt`, as for ICDAR 2015: eight whole coordinates and the text. Bent
      polygons become the smallest quad around them.
    - `coco`: `images/` and `annotations.json`, with the text under `text`; ignored ones are `iscrowd`.
    - `crops`: `images/` and `labels.tsv` for a recogniser; quads by perspective, bent polygons straightened, columns
      turned a quarter to the left.

    Args:
        data: shards, a folder with `labels.tsv`, or a label file.
        how: what to write.
        output: a new folder.
        progress: show a bar on stderr where that is a terminal.

    Raises:
        ScriptoriumError: nothing there to read, no page among it, or the output cannot be written.
    """
    source = open_source(data)
    done = Converted(output)
    with claim(output) as aside:
        if output.exists() and any(output.iterdir()):
            raise ScriptoriumError(f"{output}: holds other files; name a new folder")
        folder = aside / "data"
        with writing(folder):
            (folder / "images").mkdir(parents=True)
            pages = _pages(source, done, progress)
            if how == "label-file":
                _write_label_file(pages, folder)
            elif how == "icdar":
                _write_icdar(pages, folder)
            elif how == "coco":
                _write_coco(pages, folder)
            else:
                _write_crops(pages, folder, done)
        if not done.pages:
            reasons = "; ".join(done.skipped) or "it is empty"
            raise ScriptoriumError(
                f"{data}: no page with texts and their places ({reasons}); name a detection data set"
            )
        replace_folder(folder, output)
    return done


@dataclass(frozen=True, slots=True)
class _Page:
    record: int
    number: int
    data: bytes
    label: str
    texts: list[Found]

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.number:09d}" + (".png" if self.data.startswith(_PNG) else ".jpg")


def _pages(source: Source, done: Converted, progress: bool) -> Iterator[_Page]:
    bar = tqdm(range(len(source)), unit="page", disable=not (progress and sys.stderr.isatty()))
    for index in bar:
        try:
            data, raw = source.read(index)
            label = raw.decode()
            texts = read_label(label)
            if not data.startswith((_PNG, _JPEG)):
                data = cv2.imencode(".png", decoded(data))[1].tobytes()
        except (Broken, ValueError) as problem:
            done.skip(f"page whose {problem}" if str(problem).startswith("text ") else f"page: {problem}", index + 1)
            continue
        done.pages += 1
        ignored = sum(found.text == IGNORED for found in texts)
        done.ignored += ignored
        done.texts += len(texts) - ignored
        yield _Page(index + 1, done.pages, data, label, texts)


def _write_label_file(pages: Iterator[_Page], folder: Path) -> None:
    with (folder / "labels.tsv").open("w", encoding="utf-8", newline="\n") as rows:
        for page in pages:
            (folder / "images" / page.name).write_bytes(page.data)
            rows.write(f"images/{page.name}\t{page.label}\n")


def _write_icdar(pages: Iterator[_Page], folder: Path) -> None:
    (folder / "gt").mkdir()
    for page in pages:
        (folder / "images" / page.name).write_bytes(page.data)
        lines = []
        for found in page.texts:
            corners = np.rint(quad_of(found.polygon)).astype(int).ravel().tolist()
            lines.append(",".join(map(str, corners)) + f",{found.text}\r\n")
        stem = page.name.partition(".")[0]
        (folder / "gt" / f"gt_{stem}.txt").write_bytes("".join(lines).encode())


def _write_coco(pages: Iterator[_Page], folder: Path) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for page in pages:
        (folder / "images" / page.name).write_bytes(page.data)
        height, width = decoded(page.data).shape[:2]
        images.append({"id": page.number, "file_name": page.name, "width": width, "height": height})
        for found in page.texts:
            low, high = found.polygon.min(0), found.polygon.max(0)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": page.number,
                    "category_id": 1,
                    "segmentation": [np.round(found.polygon.astype(np.float64), 1).ravel().tolist()],
                    "bbox": np.round((*low.tolist(), *(high - low).tolist()), 1).tolist(),
                    "area": round(float(cv2.contourArea(found.polygon)), 1),
                    "iscrowd": int(found.text == IGNORED),
                    "text": found.text,
                }
            )
    whole = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "text"}]}
    (folder / "annotations.json").write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")


def _write_crops(pages: Iterator[_Page], folder: Path, done: Converted) -> None:
    with (folder / "labels.tsv").open("w", encoding="utf-8", newline="\n") as rows:
        for page in pages:
            image = decoded(page.data)
            for found in page.texts:
                if found.text == IGNORED:
                    continue
                crop = None if "\t" in found.text or "\n" in found.text else cut_out(image, found.polygon)
                if crop is None:
                    done.skip("text: too small, or with a line break", page.record)
                    continue
                done.crops += 1
                name = f"images/{done.crops:09d}.jpg"
                (folder / name).write_bytes(
                    cv2.imencode(".jpg", crop, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))[1].tobytes()
                )
                rows.write(f"{name}\t{found.text}\n")


def cut_out(image: NDArray[Any], polygon: NDArray[np.float32]) -> NDArray[Any] | None:
    """A text straightened, its own left at the left; None where it would be less than 3 pixels wide or high.

    Args:
        image: height × width or height × width × 3.
        polygon: clockwise from the text's own top-left: a quad, or half of the points along either long side.

    Columns come out turned a quarter to the left.
    """
    first, second = _sides(polygon)
    along = max(_length(first), _length(second))
    across = float(np.linalg.norm(first - second, axis=1).mean())
    width, height = round(along), round(across)
    if min(width, height) < _LEAST:
        return None
    if len(polygon) == 4:
        target = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float32)
        source = np.array((first[0], first[1], second[1], second[0]), np.float32)
        # From pixel corners, which polygons count from, to the centres that OpenCV counts from.
        matrix = cv2.getPerspectiveTransform(source - np.float32(0.5), target - np.float32(0.5))
        crop = cv2.warpPerspective(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    else:
        x = (np.arange(width) + 0.5) / width * (len(first) - 1)
        knots = np.arange(len(first))
        upper = np.stack([np.interp(x, knots, first[:, k]) for k in (0, 1)], 1)
        lower = np.stack([np.interp(x, knots, second[:, k]) for k in (0, 1)], 1)
        t = ((np.arange(height) + 0.5) / height)[:, None, None]
        where = (upper * (1 - t) + lower * t - 0.5).astype(np.float32)
        crop = cv2.remap(image, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(crop)


def _sides(polygon: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A text's upper and lower side in its reading direction; of a column, its right and left one from the top down."""
    half = len(polygon) // 2
    if len(polygon) == 4:
        a, b, c, d = polygon
        tall = np.linalg.norm(d - a) + np.linalg.norm(c - b) >= _TALL * (np.linalg.norm(b - a) + np.linalg.norm(c - d))
        return (np.stack((b, c)), np.stack((a, d))) if tall else (np.stack((a, b)), np.stack((d, c)))
    # Of a bent column the first point ends the left side; then the polygon turns at the second one.
    before, after = polygon[1] - polygon[0], polygon[2] - polygon[1]
    if abs(float(before[0] * after[1] - before[1] * after[0])) > float(before @ after):
        polygon = np.roll(polygon, -1, axis=0)
    return polygon[:half], polygon[half : 2 * half][::-1]


def _length(points: Sequence[Any] | NDArray[np.float32]) -> float:
    return float(np.linalg.norm(np.diff(np.asarray(points), axis=0), axis=1).sum())
