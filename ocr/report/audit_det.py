"""An audit of a detector's data as one page: what is wrong, figures of each source, pages with what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from augment.errors import ScriptoriumError
from ocr.data.audit import covering
from ocr.data.audit_det import BROKEN, KINDS, ExaminedPages, Example, PagesAudit
from ocr.data.det import read_page
from synth.pages.labels import IGNORED
from synth.report import plots
from synth.report.preview import Letters, data_uri, faces, page, write_whole
from synth.report.summary import counted

_TEMPLATES = Path(__file__).parent / "templates"
_WIDE: Final = 640  # pixels of a page's longer side
_TEXT, _IGNORED = (60, 150, 40), (150, 150, 150)  # BGR


def write_pages_audit(audit: PagesAudit, output: Path) -> Path:
    """Write an HTML page that needs no other file and no network.

    Args:
        audit: what was found; pictures are read again from its sources.
        output: the page; written aside and renamed.

    Returns:
        `output`.

    Raises:
        ScriptoriumError: it cannot be written.
    """
    values: dict[str, Any] = {
        "title": f"Audit of {audit.config.Global.name}",
        "errors": audit.errors,
        "warnings": audit.warnings,
        "repeated": audit.repeated,
        "sources": [_source(found) for found in audit.examined],
        "faces": faces(Letters()),
    }
    write_whole(output, page("audit_det.html", templates=_TEMPLATES, **values).encode())
    return output


def _source(found: ExaminedPages) -> dict[str, Any]:
    marks = {f"{100 * share:.0f} %": covering(found.sides, share) for share in (0.1, 0.5, 0.9)} if found.sides else {}
    numbers = [
        ("pages", f"{found.usable:,} of {found.count:,}"),
        ("texts", f"{found.texts:,}"),
        ("ignored", f"{found.ignored:,}"),
        ("pages without texts", f"{found.empty:,}"),
        ("corners", ", ".join(f"{count:,} with {number}" for number, count in sorted(found.corners.items()))),
    ]
    return {
        "part": found.part,
        "name": found.name,
        "facts": numbers,
        "sides": plots.histogram(found.sides, "shorter side, pixels of the page", marks) if found.sides else "",
        "kinds": [
            {
                "name": kind,
                "count": counted(found.kinds[kind], "case"),
                "examples": [_example(found, example, kind) for example in found.examples[kind]],
                "more": found.kinds[kind] - len(found.examples[kind]),
            }
            for kind in KINDS
            if found.kinds[kind]
        ],
    }


def _example(found: ExaminedPages, example: Example, kind: str) -> dict[str, Any]:
    values = {"key": example.key, "why": example.why, "uri": "", "width": 0, "height": 0}
    if kind == BROKEN:
        return values
    try:
        shown = read_page(found.source, example.index)
    except ScriptoriumError:
        return values
    scale = min(1.0, _WIDE / max(shown.image.shape[:2]))
    size = (max(1, round(shown.image.shape[1] * scale)), max(1, round(shown.image.shape[0] * scale)))
    canvas = cv2.resize(shown.image, size, interpolation=cv2.INTER_AREA)
    if canvas.ndim == 2:
        canvas = cv2.cvtColor(canvas, cv2.COLOR_GRAY2BGR)
    for polygon, text in zip(shown.polygons, shown.texts, strict=True):
        points = np.round(polygon * scale - 0.5).astype(np.int32)
        cv2.polylines(canvas, [points], True, _IGNORED if text == IGNORED else _TEXT, 1, cv2.LINE_AA)
    uri = data_uri(cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
    return values | {"uri": uri, "width": size[0], "height": size[1]}
