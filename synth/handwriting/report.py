"""What a store of characters looks like: counts, samples and suspects, as an HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.handwriting.store import CUT, EMPTY, INVERTED, SUSPICIONS, UNLIKE, UNREADABLE, Store
from synth.report.preview import Letters, data_uri, faces, page, write_whole
from synth.report.summary import code_points, counted, quoted, shown

_TEMPLATES: Final = Path(__file__).parent / "templates"
_SIDE: Final = 40  # pixels of a sample
_SAMPLES: Final = 12  # of a class
_CLASSES: Final = 1000
_WRITERS: Final = 50
_SUSPECTS: Final = 200  # of each kind
_NAMED: Final = 50

_NOTES: Final = {
    CUT: "Ink runs along an edge of the image, in a set whose images mostly leave it free. No line is made of them.",
    INVERTED: "Ink and paper are the other way round than in the rest of the set. They have been turned round.",
    UNLIKE: "The nearest images are of another class: mislabelled, or badly written. No line is made of them.",
}
_TITLES: Final = {CUT: "Cut off", INVERTED: "Inverted", UNLIKE: "Like another class"}


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
    write_whole(output, _page(store).encode())
    index, head = store.index, store.head
    sizes = np.bincount(index["class"], minlength=len(store.classes))
    writers = f"by {counted(len(store.writers), 'writer')}" if store.writers else "writers not known"
    stroke = np.median(index["stroke"] / np.maximum(index["rows"], index["columns"]))
    lines = [
        f"{folder}: {counted(len(index), 'character')} of {counted(len(store.classes), 'class', 'classes')}, {writers}",
        f"  of a class: {sizes.min():,} to {sizes.max():,}, in the middle {int(np.median(sizes)):,}",
        f"  strokes {stroke:.0%} of a character's size",
    ]
    for bit, reason in SUSPICIONS.items():
        if count := int((index["suspect"] & bit > 0).sum()):
            lines.append(f"  suspect: {count:,} {reason}")
    lines += [f"  left out: {count:,} {reason}" for reason, count in head["dropped"].items() if count]
    lines.append(f"{output}   samples of each class, suspects with their origin ({quoted(output)})")
    return "\n".join(lines) + "\n"


def _page(store: Store) -> str:
    index, head = store.index, store.head
    origins = store.origins()
    sizes = np.bincount(index["class"], minlength=len(store.classes))
    order = np.argsort(index["class"], kind="stable")
    starts = np.searchsorted(index["class"][order], np.arange(len(store.classes) + 1))
    letters = Letters()
    classes = []
    for kind in np.argsort(sizes, kind="stable")[:_CLASSES].tolist():
        here = order[starts[kind] : starts[kind + 1]]
        text = store.classes[kind]
        letters.add(text)
        picked = here[:: max(1, len(here) // _SAMPLES)][:_SAMPLES]
        classes.append(
            {
                "shown": shown(text),
                "codes": code_points(text),
                "count": len(here),
                "writers": len(set(index["writer"][here].tolist()) - {-1}) or "",
                "suspect": int((index["suspect"][here] > 0).sum()),
                "uri": _strip([store.mask(int(number)) for number in picked]),
            }
        )
    suspects = []
    for bit, title in _TITLES.items():
        found = np.flatnonzero(index["suspect"] & bit)
        if len(found):
            items = [_suspect(store, number, origins) for number in found[:_SUSPECTS].tolist()]
            suspects.append({"title": title, "count": len(found), "note": _NOTES[bit], "pictures": items})
    by_writer = np.bincount(index["writer"][index["writer"] >= 0], minlength=len(store.writers))
    most = int(by_writer.max(initial=1))
    writers: list[dict[str, Any]] = [
        {
            "name": store.writers[who],
            "count": int(by_writer[who]),
            "share": f"{by_writer[who] / len(index):.1%}",
            "part": round(100 * by_writer[who] / most),
        }
        for who in np.argsort(-by_writer, kind="stable")[:_WRITERS].tolist()
    ]
    paper = head["paper"]
    facts = [
        ("Source", f"{head['source']}, {head['form']}"),
        ("Characters", f"{len(index):,}"),
        ("Classes", f"{len(store.classes):,}, of {sizes.min():,} to {sizes.max():,} characters"),
        ("Writers", f"{len(store.writers):,}" if store.writers else "not known"),
        ("Paper", f"{paper['ink']} ink; threshold by {paper['threshold'].capitalize()}"),
        ("SHA-256", store.digest),
        *((f"Left out: {reason}", f"{count:,}") for reason, count in head["left_out"].items()),
    ]
    dropped = [
        {"reason": reason, "count": head["dropped"][reason], "names": head["named"][reason][:_NAMED]}
        for reason in (EMPTY, UNREADABLE)
        if head["dropped"][reason]
    ]
    return page(
        "handwriting.html",
        templates=_TEMPLATES,
        title=f"Characters of {store.folder.resolve().name}",
        faces=faces(letters),
        facts=facts,
        suspects=suspects,
        dropped=dropped,
        writers=writers if store.writers else [],
        more_writers=max(0, len(store.writers) - _WRITERS),
        classes=classes,
        more_classes=max(0, len(store.classes) - _CLASSES),
    )


def _suspect(store: Store, number: int, origins: list[str]) -> dict[str, str]:
    row = store.index[number]
    like = int(row["like"])
    return {
        "uri": _strip([store.mask(number)]),
        "text": shown(store.classes[int(row["class"])]),
        "like": shown(store.classes[like]) if like >= 0 else "",
        "origin": origins[number] if number < len(origins) else "",
    }


def _strip(masks: list[NDArray[np.uint8]]) -> str:
    """Samples in a row, dark on white, as a `data:` address."""
    strip = np.full((_SIDE, len(masks) * (_SIDE + 4)), 255, np.uint8)
    for k, mask in enumerate(masks):
        scale = _SIDE / max(mask.shape)
        size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
        view = cv2.resize(mask, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        x, y = k * (_SIDE + 4) + (_SIDE - size[0]) // 2, (_SIDE - size[1]) // 2
        strip[y : y + size[1], x : x + size[0]] = cv2.bitwise_not(view)
    return data_uri(cv2.imencode(".png", strip)[1].tobytes())
