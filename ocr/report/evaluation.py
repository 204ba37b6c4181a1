"""An evaluation as one page: figures, weakest characters, confusions, confidence, and mistakes with their pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import unicodedata2
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.metrics.recognition import BINS, Mistake, RecognitionMetric
from synth.report.preview import Letters, data_uri, faces, page, write_whole
from synth.report.summary import code_points, counted, shares, shown
from synth.text.bidi import levels

Picture = Callable[[str, int], NDArray[np.uint8]]

_TEMPLATES = Path(__file__).parent / "templates"

_WORST, _SUREST = 60, 24  # mistakes shown of each source
_CHARACTERS, _CONFUSIONS = 500, 300  # rows
_INSTEAD = 3  # readings named beside a character
_LOW, _TALL = 56, 224  # heights of pictures in CSS pixels: of a line, and of one that stands upright
_WIDE = 1400  # CSS pixels
_SHARP = 2  # pixels of a picture for each CSS pixel, at most
# Bounds of confidence in hundredths: finest where most readings of a good model are.
_BOUNDS = (0, 30, 50, 70, 80, 90, 95, 98, 99, BINS)


def write_evaluation(metrics: Mapping[str, RecognitionMetric], picture: Picture, title: str, output: Path) -> Path:
    """Write an HTML page that needs no other file and no network.

    Args:
        metrics: what was compared, by source.
        picture: gives a source's picture by its index: H × W × 3 (BGR) or H × W. A `ScriptoriumError` from it stands
            in the picture's place.
        title: of the page.
        output: the page; written aside and renamed.

    Returns:
        `output`.

    Raises:
        ScriptoriumError: it cannot be written.
    """
    letters = Letters()
    together = list(metrics.values())
    occurrences, found, pairs = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    for metric in together:
        occurrences += metric.occurrences
        found += metric.found
        pairs += metric.pairs
    missed = {character: count - found[character] for character, count in occurrences.items()}
    missed = {character: count for character, count in missed.items() if count}
    emptied = sum(metric.emptied for metric in together)
    other_pairs = sum(metric.other_pairs for metric in together)
    values = {
        "title": title,
        "compared": _compared(together),
        "figures": _figures(metrics),
        "emptied": f"Folding empties {counted(emptied, 'label')}, counted all the same." if emptied else "",
        "characters": _characters(occurrences, missed, pairs, letters),
        "characters_note": f"{len(missed):,} of {counted(len(occurrences), 'different character')} (grapheme clusters) "
        f"missed at least once{_first(len(missed), _CHARACTERS)}.",
        "confusions": _confusions(pairs, pairs.total() + other_pairs, letters),
        "confusions_note": f"{counted(pairs.total() + other_pairs, 'edit')}, "
        f"{len(pairs):,}{' or more' if other_pairs else ''} different{_first(len(pairs), _CONFUSIONS)}.",
        "confidence": _confidence(together),
        "sources": [_source(name, metric, picture, letters) for name, metric in metrics.items()],
    }
    write_whole(output, page("evaluation.html", templates=_TEMPLATES, faces=faces(letters), **values).encode())
    return output


def _first(count: int, most: int) -> str:
    return f"; {most:,} are shown" if count > most else ""


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _compared(metrics: Sequence[RecognitionMetric]) -> str:
    without = [
        what
        for what, asked in (
            ("case", any(metric.fold_case for metric in metrics)),
            ("punctuation and spaces", any(metric.fold_punctuation for metric in metrics)),
            ("spaces", any(metric.ignore_space and not metric.fold_punctuation for metric in metrics)),
        )
        if asked
    ]
    if not without:
        return "Readings against raw labels, both in NFC; nothing else is normalised or left out."
    return f"Readings against labels, both in NFC, without regard to {' and '.join(without)}."


def _figures(metrics: Mapping[str, RecognitionMetric]) -> list[dict[str, Any]]:
    kinds = ("acc", "cer", "cer_grapheme", "norm_edit_dis")
    results = [metric.result() for metric in metrics.values()]
    rows = [
        {
            "name": name,
            "count": f"{metric.count:,}",
            "correct": f"{metric.correct:,}",
            "figures": [_percent(result[kind]) for kind in kinds],
            "mean": False,
        }
        for (name, metric), result in zip(metrics.items(), results, strict=True)
    ]
    if len(rows) > 1:
        means = [_percent(sum(result[kind] for result in results) / len(results)) for kind in kinds]
        rows.append({"name": "mean of the sources", "count": "", "correct": "", "figures": means, "mean": True})
    return rows


def _cell(character: str, letters: Letters) -> dict[str, str]:
    letters.add(character)
    names = " + ".join(unicodedata2.name(part, "unnamed") for part in character)
    return {"shown": shown(character), "codes": code_points(character), "name": names}


def _characters(
    occurrences: Mapping[str, int], missed: Mapping[str, int], pairs: Counter[tuple[str, str]], letters: Letters
) -> list[dict[str, Any]]:
    instead: dict[str, list[str]] = {}
    for (label, read), _ in pairs.most_common():
        instead.setdefault(label, []).append(read)
    ranked = sorted(missed, key=lambda character: (-missed[character], occurrences[character], character))
    return [
        {
            **_cell(character, letters),
            "count": occurrences[character],
            "missed": missed[character],
            "recall": 1 - missed[character] / occurrences[character],
            "instead": [_cell(read, letters) for read in instead.get(character, ())[:_INSTEAD]],
        }
        for character in ranked[:_CHARACTERS]
    ]


def _confusions(pairs: Counter[tuple[str, str]], whole: int, letters: Letters) -> list[dict[str, Any]]:
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_CONFUSIONS]
    return [
        {
            "label": _cell(label, letters),
            "read": _cell(read, letters),
            "count": count,
            "share": shares({"": count}, whole)[0][2],
            "part": round(100 * count / ranked[0][1], 1),
        }
        for (label, read), count in ranked
    ]


def _confidence(metrics: Sequence[RecognitionMetric]) -> list[dict[str, Any]]:
    """Rows from the highest confidence down, so that those above a row are the surer ones."""
    readings = sum((metric.sure for metric in metrics), np.zeros(BINS, np.int64))
    right = sum((metric.sure_correct for metric in metrics), np.zeros(BINS, np.int64))
    whole = int(readings.sum())
    rows = []
    for low, high in reversed(list(pairwise(_BOUNDS))):
        count, correct = int(readings[low:high].sum()), int(right[low:high].sum())
        accepted, accepted_right = int(readings[low:].sum()), int(right[low:].sum())
        rows.append(
            {
                "name": f"{low / 100:.2f} – {high / 100:.2f}",
                "count": count,
                "right": _percent(correct / count) if count else "",
                "part": round(100 * correct / count, 1) if count else 0,
                "accepted": _percent(accepted / whole) if whole else "",
                "accepted_right": _percent(accepted_right / accepted) if accepted else "",
            }
        )
    return rows


def _source(name: str, metric: RecognitionMetric, picture: Picture, letters: Letters) -> dict[str, Any]:
    worst = metric.worst()[:_WORST]
    shown_already = set(worst)
    surest = [mistake for mistake in metric.surest() if mistake not in shown_already][:_SUREST]
    wrong = metric.count - metric.correct
    note = f"{counted(wrong, 'mistake')} in {counted(metric.count, 'sample')}"
    if wrong > len(worst) + len(surest):
        note += f", {len(worst) + len(surest)} shown"
    return {
        "name": name,
        "note": note,
        "worst": [_mistake(name, metric, mistake, picture, letters) for mistake in worst],
        "surest": [_mistake(name, metric, mistake, picture, letters) for mistake in surest],
    }


def _mistake(
    source: str, metric: RecognitionMetric, mistake: Mistake, picture: Picture, letters: Letters
) -> dict[str, Any]:
    letters.add(mistake.label)
    letters.add(mistake.read)
    label, read = metric.differences(mistake)
    found: dict[str, Any] = {
        "label": runs(label),
        "read": runs(read),
        # Both alike, whatever letter a reading begins with.
        "direction": "rtl" if levels(mistake.label)[1] else "ltr",
        "confidence": mistake.confidence,
        "edits": counted(mistake.distance, "edit"),
        "key": mistake.key,
        "uri": "",
        "problem": "",
    }
    try:
        image = picture(source, mistake.index)
    except ScriptoriumError as error:
        return found | {"problem": str(error)}
    return found | inline_picture(image)


def inline_picture(image: NDArray[np.uint8]) -> dict[str, Any]:
    """A line's picture for a page: its `data:` address, width and height in CSS pixels, none larger than of use."""
    height, width = image.shape[:2]
    scale = min((_TALL if height > 1.5 * width else _LOW) / height, _WIDE / width)
    if scale * _SHARP < 1:
        small = max(1, round(width * scale * _SHARP)), max(1, round(height * scale * _SHARP))
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    return {
        "uri": data_uri(data),
        "width": max(1, round(width * scale)),
        "height": max(1, round(height * scale)),
    }


def runs(characters: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Characters with whether they are wrong, as runs of alike ones; what has no ink, as its name where it is wrong."""
    return [
        ("".join(_visible(character) if wrong else character for character, _ in run), wrong)
        for wrong, run in groupby(characters, lambda item: item[1])
    ]


def _visible(character: str) -> str:
    # A wrong space shows as a marked one.
    return character if character == " " else shown(character)
