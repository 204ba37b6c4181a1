"""What a store of styles looks like: crop, mask, background and re-drawn text side by side, as an HTML page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from synth.report.preview import data_uri, page, write_whole
from synth.report.summary import counted, quoted
from synth.style.store import Store
from synth.style.style import Colour, Image, Style

_TEMPLATES: Final = Path(__file__).parent / "templates"
_STYLES: Final = 400
_NAMED: Final = 50  # refused crops of each reason


def write_report(folder: Path, output: Path) -> str:
    """Describe a store on a page that needs no other file and no network.

    Args:
        folder: the store.
        output: the page.

    Returns:
        A few lines for the terminal.

    Raises:
        ScriptoriumError: no store, a broken one, or a page that cannot be written.
    """
    store = Store(folder)
    write_whole(output, _page(store).encode(errors="backslashreplace"))
    refused: dict[str, int] = store.head["refused"]
    lines = [f"{folder}: {counted(len(store), 'style')}, confidence in the middle {np.median(store.confidences):.2f}"]
    lines += [f"  refused: {count:,} {reason}" for reason, count in refused.items()]
    lines.append(f"{output}   crops, masks, backgrounds, ink repainted ({quoted(output)})")
    return "\n".join(lines) + "\n"


def repainted(style: Style) -> Image:
    """The crop's own ink painted on its background anew, with outline, shadow and colour as they were measured."""
    image = style.background.astype(np.float32)
    rows, columns = style.mask.shape
    if style.shadow is not None:
        shift = np.array(((1.0, 0.0, style.shadow.x * style.height), (0.0, 1.0, style.shadow.y * style.height)))
        cast = cv2.warpAffine(style.mask, shift, (columns, rows)).astype(np.float32) / 255
        image *= 1 - style.shadow.strength * cast[..., None]
    if style.outline is not None:
        side = 2 * max(1, round(style.outline.width * style.height)) + 1
        ring = cv2.dilate(style.mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
        _lay(image, np.array(style.outline.colour), ring)
    y, x = np.mgrid[:rows, :columns].astype(np.float32) + np.float32(0.5)
    c, s = math.cos(style.angle), math.sin(style.angle)
    middle = style.quad.mean(0)
    along = ((x - middle[0]) * c + (y - middle[1]) * s) / max(float(np.linalg.norm(style.quad[1] - style.quad[0])), 1.0)
    down = ((y - middle[1]) * c - (x - middle[0]) * s) / style.height
    colour = np.array(style.ink) + along[..., None] * style.gradient[0] + down[..., None] * style.gradient[1]
    _lay(image, colour, style.mask)
    return np.asarray(np.clip(image + 0.5, 0, 255).astype(np.uint8))


def _lay(image: Any, colour: Any, mask: Image) -> None:
    image += (colour - image) * (mask[..., None].astype(np.float32) / 255)


def _page(store: Store) -> str:
    head = store.head
    order = np.argsort(store.confidences, kind="stable")
    # Of many, all confidences alike: the doubtful ones are what one looks for.
    picked = order[:: max(1, -(-len(order) // _STYLES))].tolist()
    refused = [
        {"reason": reason, "count": count, "names": head["named"][reason][:_NAMED]}
        for reason, count in head["refused"].items()
    ]
    confidences = store.confidences
    facts = [
        ("Source", head["source"]),
        ("Styles", f"{len(store):,}"),
        (
            "Confidence",
            f"{confidences.min():.2f} to {confidences.max():.2f}, in the middle {np.median(confidences):.2f}",
        ),
        ("SHA-256", store.digest),
        *((f"Refused: {entry['reason']}", f"{entry['count']:,}") for entry in refused),
    ]
    return page(
        "style.html",
        templates=_TEMPLATES,
        title=f"Styles of {store.folder.resolve().name}",
        faces="",
        facts=facts,
        styles=[_shown(store[number]) for number in picked],
        count=len(store),
        refused=refused,
    )


def _shown(style: Style) -> dict[str, Any]:
    crop = style.image.copy()
    cv2.polylines(crop, [np.round(style.quad * 16).astype(np.int32)], True, (60, 200, 60), 1, cv2.LINE_AA, 4)
    details = [
        f"{'dark' if style.darker else 'bright'} ink {_hex(style.ink)}, contrast {style.contrast:.0f}",
        f"height {style.height:.0f} px, stroke {style.stroke / style.height:.0%}, baseline at {style.baseline:.0%}",
        f"turned {math.degrees(style.angle):.1f}°, slant {math.degrees(math.atan(style.slant)):.1f}°",
        f"blur {style.blur:.2f} px, noise {style.noise:.1f}, "
        + (f"JPEG {style.quality}" if style.quality < 100 else "no trace of JPEG"),
    ]
    if style.outline is not None:
        details.append(f"outline {_hex(style.outline.colour)}, {style.outline.width:.0%} of the height")
    if style.shadow is not None:
        details.append(
            f"shadow of {style.shadow.strength:.0%} at {style.shadow.x:+.0%}, {style.shadow.y:+.0%} of the height"
        )
    return {
        "name": style.name,
        "label": style.label,
        "font": style.font,
        "confidence": f"{style.confidence:.2f}",
        "details": details,
        "pictures": [_uri(picture) for picture in (crop, style.mask, style.background, repainted(style))],
    }


def _hex(colour: Colour) -> str:
    b, g, r = (min(max(round(value), 0), 255) for value in colour)
    return f"#{r:02x}{g:02x}{b:02x}"


def _uri(image: Image) -> str:
    return data_uri(cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 92))[1].tobytes())
