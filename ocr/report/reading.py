"""Pages as read, as one page: figures, a table of all pictures, and of the worst ones their misses with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.data.det import read_page
from ocr.data.targets import Polygon
from ocr.metrics.detection import DetectionMetric
from ocr.metrics.recognition import Mistake
from ocr.report.evaluation import inline_picture, runs
from synth.pages.labels import IGNORED
from synth.report.preview import Letters, data_uri, faces, page, write_whole
from synth.report.summary import counted
from synth.text.bidi import levels

if TYPE_CHECKING:
    from ocr.read.evaluate import Compared, SourceResult

_TEMPLATES = Path(__file__).parent / "templates"
_PAGES: Final = 24  # shown of each source
_EACH: Final = 12  # misses of each kind shown of a page
_WIDE: Final = 900  # pixels of a page's longer side
# BGR
_RIGHT, _MISREAD, _MISSED, _WRONG, _SKIPPED = (
    (60, 150, 40),
    (0, 140, 240),
    (40, 40, 220),
    (210, 90, 30),
    (150, 150, 150),
)


def write_reading(results: Sequence[SourceResult], output: Path) -> Path:
    """Write an HTML page that needs no other file and no network.

    Args:
        results: of each source; pictures are read again from it.
        output: the page; written aside and renamed.

    Returns:
        `output`.

    Raises:
        ScriptoriumError: it cannot be written.
    """
    letters = Letters()
    values: dict[str, Any] = {
        "title": "Pages read",
        "figures": [_figures(result.source.name, result.metric) for result in results],
        "sources": [_source(result, letters) for result in results],
    }
    values["faces"] = faces(letters)  # last, for it wants all of the page's letters
    write_whole(output, page("reading.html", templates=_TEMPLATES, **values).encode())
    return output


def _figures(name: str, metric: DetectionMetric) -> dict[str, Any]:
    figures = metric.result()
    kinds = ("precision", "recall", "hmean", "e2e_precision", "e2e_recall", "e2e_hmean")
    return {
        "name": name,
        "pages": f"{len(metric.pages):,}",
        "texts": f"{sum(one.labelled for one in metric.pages):,}",
        "rates": [f"{100 * figures.get(kind, 0.0):.2f} %" for kind in kinds],
    }


def _source(result: SourceResult, letters: Letters) -> dict[str, Any]:
    rows = []
    for compared in result.pages:
        alone = DetectionMetric(result.metric.fold_case, [compared.page])
        figures = alone.result()
        one = compared.page
        rows.append(
            {
                "key": one.key,
                "labelled": one.labelled,
                "found": one.found,
                "matched": len(one.matches),
                "read": one.read or 0,
                "hmean": figures["hmean"],
                "e2e": figures.get("e2e_hmean", 0.0),
            }
        )
    ranked = sorted(range(len(rows)), key=lambda number: (rows[number]["e2e"], number))
    worst = [number for number in ranked if _wrong(result, result.pages[number])][:_PAGES]
    return {
        "name": result.source.name,
        "rows": rows,
        "pages": [_page(result, result.pages[number], letters) for number in worst],
        "note": f"the {len(worst):,} worst of {counted(len(rows), 'page')}",
    }


def _wrong(result: SourceResult, compared: Compared) -> bool:
    one = compared.page
    return bool(one.missed or one.wrong or len(one.matches) != one.read)


def _page(result: SourceResult, compared: Compared, letters: Letters) -> dict[str, Any]:
    one = compared.page
    metric = result.reading
    misread = [
        (found, labelled)
        for found, labelled in one.matches
        if metric.fold(compared.found[found].text) != metric.fold(compared.texts[labelled])
    ]
    values: dict[str, Any] = {"key": one.key, "problem": "", "uri": "", "misread": [], "missed": [], "wrong": []}
    counts = {"misread": len(misread), "missed": len(one.missed), "wrong": len(one.wrong)}
    values["counts"] = counts
    try:
        image = read_page(result.source, compared.index).image
    except ScriptoriumError as error:
        return values | {"problem": str(error)}
    for found, labelled in misread[:_EACH]:
        label, read = compared.texts[labelled], compared.found[found].text
        values["misread"].append(_piece(image, compared.found[found].polygon, label, read, result, letters))
    for labelled in one.missed[:_EACH]:
        values["missed"].append(
            _piece(image, compared.polygons[labelled], compared.texts[labelled], "", result, letters)
        )
    for found in one.wrong[:_EACH]:
        one_found = compared.found[found]
        values["wrong"].append(_piece(image, one_found.polygon, "", one_found.text, result, letters))
    return values | _overview(image, compared, {found for found, _ in misread})


def _piece(
    image: NDArray[np.uint8], polygon: Polygon, label: str, read: str, result: SourceResult, letters: Letters
) -> dict[str, Any]:
    letters.add(label)
    letters.add(read)
    stands, said = result.reading.differences(Mistake(label, read, 0.0, 0, "", 0))
    x, y = np.maximum(np.floor(polygon.min(0)).astype(int) - 2, 0).tolist()
    right, bottom = (np.ceil(polygon.max(0)).astype(int) + 2).tolist()
    part = image[y : max(bottom, y + 1), x : max(right, x + 1)]
    picture = inline_picture(part) if part.size else {"uri": "", "width": 0, "height": 0}
    return {
        "label": runs(stands),
        "read": runs(said),
        "direction": "rtl" if levels(label or read)[1] else "ltr",
        **picture,
    }


def _overview(image: NDArray[np.uint8], compared: Compared, misread: set[int]) -> dict[str, Any]:
    """The page with outlines in the colours of what became of each text."""
    scale = min(1.0, _WIDE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    canvas = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if canvas.ndim == 2:
        canvas = cv2.cvtColor(canvas, cv2.COLOR_GRAY2BGR)

    def outline(polygon: Polygon, colour: tuple[int, int, int], width: int = 1) -> None:
        cv2.polylines(canvas, [np.round(polygon * scale - 0.5).astype(np.int32)], True, colour, width, cv2.LINE_AA)

    one = compared.page
    for number, text in enumerate(compared.texts):
        if text == IGNORED:
            outline(compared.polygons[number], _SKIPPED)
    for found, _ in one.matches:
        outline(compared.found[found].polygon, _MISREAD if found in misread else _RIGHT)
    for found in one.wrong:
        outline(compared.found[found].polygon, _WRONG)
    for number in one.missed:
        outline(compared.polygons[number], _MISSED, 2)
    data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return {"uri": data_uri(data), "width": size[0], "height": size[1]}
