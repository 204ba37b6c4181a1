"""A fitted recipe as a file, what it has changed and how sure that is, and the report on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import yaml

from augment.errors import ScriptoriumError
from synth.recipe import Recipe
from synth.report.plots import overlaid
from synth.report.preview import data_uri, page, write_whole
from synth.report.summary import counted, quoted
from synth.style.fit import Fit
from synth.style.measure import Measures
from synth.style.style import Image
from synth.style.twosample import Likeness, Scale, distances

_TEMPLATES: Final = Path(__file__).parent / "templates"
_NAMES: Final = Measures.names()
_SHOWN: Final = 12  # pictures of each kind
_LISTED: Final = 40  # changes that the terminal shows
_FEW: Final = 60  # crops below which a classifier learns little

NOTES: Final = {
    "luminance": "grey levels of the ground",
    "contrast": "grey levels between ink and ground",
    "darker": "1: ink darker than the ground",
    "ground_chroma": "colour of the ground, levels between channels",
    "ink_chroma": "colour of the ink, levels between channels",
    "stroke": "width of strokes over the height of the text",
    "blur": "pixels, at the recipe's height",
    "halo": "contrast left beside the ink: above 0 blurred, below sharpened",
    "ringing": "how much that varies",
    "noise": "grey levels from pixel to pixel",
    "texture": "grey levels over 5 × 5 pixels",
    "light": "grey levels from end to end",
    "ink_texture": "unevenness along strokes over the contrast",
    "fading": "unevenness from letter to letter over the contrast",
    "left": "margin over the height of the text",
    "top": "margin over the height of the text",
    "right": "margin over the height of the text",
    "bottom": "margin over the height of the text",
    "angle": "degrees, clockwise",
    "slant": "shift for each pixel up",
    "spacing": "gaps between letters over the height of the text",
    "above": "share of the width with parts of another line",
    "below": "share of the width with parts of another line",
    "aspect": "width for each unit over the height of the text",
}
"""What each measure is, briefly."""


def write_recipe(fit: Fit, output: Path, source: str) -> None:
    """Write a fitted recipe in full, with a comment on every key and what was changed on top.

    Raises:
        ScriptoriumError: it cannot be written.
    """
    before, after = fit.likeness
    head = [
        f"Fitted to {counted(len(fit.real.rows), 'real crop')} of {source}, from recipe {fit.base.name}.",
        f"A classifier tells samples from crops with an AUC of {_auc(after)}, before {_auc(before)} (0.5: not at all).",
        *(f"{key}: {_value(old)} → {_value(new)}" for key, old, new in fit.changes),
    ]
    # A name may hold a line break, which would end the comment.
    comment = "".join(f"# {' '.join(line.split())}\n" for line in head)
    text = comment + fit.recipe.to_yaml()
    write_whole(output, text.encode())
    if Recipe.load(output) != fit.recipe:
        raise ScriptoriumError(f"{output}: does not say what was fitted; this is a bug, please report it")


def summary(fit: Fit, output: Path, report: Path, options: str) -> str:
    """What `synth fit` says.

    Args:
        fit: what it has found.
        output: the recipe.
        report: the page.
        options: of the next command, beside `--recipe`.
    """
    real = fit.real
    count = len(real.rows)
    refused = f"; refused: {', '.join(f'{n:,} {why}' for why, n in real.refused.most_common())}" if real.refused else ""
    more = f"; {real.left:,} more were not looked at" if real.left else ""
    lines = [f"crops     {counted(count, 'crop')} measured at {fit.base.layout.height} pixels{refused}{more}"]
    if real.quality < 100:
        lines.append(f"          saved as JPEG of quality {real.quality}, in the middle")
    before, after = fit.likeness
    lines += [
        f"likeness  AUC of a classifier that tells samples from crops: {_auc(before)} → {_auc(after)} (0.5: it cannot)",
        *(f"          {line}" for line in _sureness(fit)),
        f"distance  of the distributions, mean over measures: {_apart(fit)} (0: the same)",
    ]
    shown = fit.changes[:_LISTED]
    width = max((len(key) for key, _, _ in shown), default=0)
    lines += [
        f"{'changed' if k == 0 else '':10}{key:{width}}  {_value(old)} → {_value(new)}"
        for k, (key, old, new) in enumerate(shown)
    ]
    if len(fit.changes) > len(shown):
        lines.append(f"          and {len(fit.changes) - len(shown):,} more")
    if not fit.changes:
        lines.append("changed   nothing: no setting was found that is nearer")
    lines.append(f"{output}   the recipe\n{report}   distributions and pictures, before and after")
    lines.append(f"next: synth preview --recipe {quoted(output)}{options}")
    return "\n".join(lines) + "\n"


def _sureness(fit: Fit) -> list[str]:
    """How far the figures may be trusted."""
    count = len(fit.real.rows)
    before, after = fit.likeness
    told = []
    gain, error = before.auc - after.auc, float(np.hypot(before.error, after.error))
    if gain > 2 * error:
        told.append("nearer to the crops, beyond chance")
    elif gain < -2 * error:
        told.append("the fitted recipe is further from the crops than its base: keep the base")
    else:
        told.append("whether it is nearer cannot be told from chance")
    if count < _FEW:
        told.append(
            f"of {count} crops a classifier learns little: expect up to {max(2 * after.error, 0.05):.2f} more, "
            f"and fit again with {_FEW} or more"
        )
    told.append("measured on the crops that were fitted; others of the kind may be told a little better")
    return told


def write_report(fit: Fit, output: Path, source: str) -> None:
    """Write a page with distributions and pictures, before and after. Raises ScriptoriumError."""
    write_whole(output, _page(fit, source).encode())


def _page(fit: Fit, source: str) -> str:
    real = fit.real
    before, after = fit.likeness
    facts = [
        ("Crops", f"{len(real.rows):,} of {source}"),
        *((f"Refused: {why}", f"{count:,}") for why, count in real.refused.most_common()),
        ("Recipe", f"{fit.recipe.name}, from {fit.base.name}"),
        ("AUC before", _auc(before)),
        ("AUC after", _auc(after)),
        ("Mean distance", _apart(fit)),
    ]
    note = (
        "AUC: how often a classifier (boosted trees on the measures below, cross-validated) ranks a sample above a "
        f"crop; 0.5 means that it cannot tell them apart. {'; '.join(_sureness(fit)).capitalize()}."
    )
    columns = (("real", real.pictures), ("before", fit.pictures[0]), ("after", fit.pictures[1]))
    gaps = [_distances(fit, rows) for rows in fit.rows]
    order = np.argsort(-gaps[0], kind="stable").tolist()
    measures: list[dict[str, str]] = []
    plots: list[str] = []
    for k in order:
        name = _NAMES[fit.used[k]]
        measures.append(
            {
                "name": name,
                "note": NOTES[name],
                "before": f"{gaps[0][k]:.2f}",
                "after": f"{gaps[1][k]:.2f}",
                "share_before": f"{before.importance[k]:.0%}",
                "share_after": f"{after.importance[k]:.0%}",
            }
        )
        sets = {"real": real.rows, "before": fit.rows[0], "after": fit.rows[1]}
        column = fit.used[k]
        plots.append(overlaid({title: rows[:, column] for title, rows in sets.items()}, f"{name}: {NOTES[name]}"))
    return page(
        "fit.html",
        templates=_TEMPLATES,
        faces="",
        title=f"Recipe fitted to {source}",
        facts=facts,
        note=note,
        pictures=[{"title": title, "uris": _uris(pictures)} for title, pictures in columns],
        measures=measures,
        plots=plots,
        changes=[{"key": key, "old": _value(old), "new": _value(new)} for key, old, new in fit.changes],
    )


def _distances(fit: Fit, rows: Any) -> Any:
    columns = fit.used
    real = fit.real.rows[:, columns]
    scale = Scale(real, np.concatenate([made[:, columns] for made in fit.rows]))
    return distances(scale(real), scale(rows[:, columns]))


def _apart(fit: Fit) -> str:
    """Mean distance before and after: it still tells recipes apart where a classifier always knows."""
    return " → ".join(f"{_distances(fit, rows).mean():.3f}" for rows in fit.rows)


def _uris(pictures: Sequence[Image]) -> list[str]:
    return [data_uri(cv2.imencode(".png", picture)[1].tobytes()) for picture in pictures[:_SHOWN]]


def _auc(likeness: Likeness) -> str:
    return f"{likeness.auc:.2f} ± {likeness.error:.2f}"


def _value(value: Any) -> str:
    """As YAML has it, on one line."""
    if value is None:
        return "none"
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
