"""An audit as one page: what is wrong, figures of each source, pictures of what is left out, units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from augment.errors import ScriptoriumError
from ocr.data.audit import COVERED, REASONS, Audit, Examined, Example, covering
from ocr.report.evaluation import inline_picture
from synth.report import plots
from synth.report.dataset import FEW, RARE, bar_table, unit_row
from synth.report.preview import Letters, faces, page, write_whole
from synth.report.summary import counted
from synth.text.bidi import levels

_TEMPLATES = Path(__file__).parent / "templates"
_TABLE = 20_000  # rows: what a browser shows without trouble
_NAMED = 200  # units named in one place
_BARS = 60  # a bar for each length up to so many


def write_audit(audit: Audit, output: Path) -> Path:
    """Write an HTML page that needs no other file and no network.

    Args:
        audit: what was found; pictures are read again from its sources.
        output: the page; written aside and renamed.

    Returns:
        `output`.

    Raises:
        ScriptoriumError: it cannot be written.
    """
    letters = Letters()
    coverage = audit.coverage()
    counts = {unit: count for unit, count in coverage.items() if count is not None}
    for unit in coverage:
        letters.add(unit)
    rows = [unit_row(unit, count, True) for unit, count in counts.items()]
    values: dict[str, Any] = {
        "title": f"Audit of {audit.config.Global.name}",
        "errors": audit.errors,
        "warnings": audit.warnings,
        "height": audit.config.Preprocess.height,
        "covered": [f"{100 * share:.0f} %" for share in COVERED],
        "figures": [_figures(found) for found in audit.examined],
        "batches": counted(audit.batches, "batch", "batches"),
        "batch_size": audit.config.Train.loader.batch_size_per_card,
        "shares": audit.shares,
        "repeated": audit.repeated,
        "sources": [_source(found, letters) for found in audit.examined],
        "units": rows[:_TABLE],
        "rare": [row for row in rows if row["mark"]][:_NAMED],
        "few_count": sum(count < FEW for count in counts.values()),
        "rare_count": sum(count < RARE for count in counts.values()),
        "never_count": sum(not count for count in counts.values()),
        "drawn_count": len(coverage) - len(counts),
        "few_limit": FEW,
        "rare_limit": RARE,
    }
    # Last, for it wants all of the page's letters.
    values["faces"] = faces(letters)
    write_whole(output, page("audit.html", templates=_TEMPLATES, **values).encode())
    return output


def _figures(found: Examined) -> dict[str, Any]:
    return {
        "part": found.part,
        "name": found.name,
        "count": f"first {found.count:,}" if found.live else f"{found.count:,}",
        "usable": f"{found.usable:,}",
        "other": f"{found.labels - found.composed:,}",
        "edged": f"{found.edged:,}",
        "widths": [f"{covering(found.widths, share):,}" if found.widths else "" for share in COVERED],
        "lengths": [f"{covering(found.lengths, share):,}" if found.lengths else "" for share in COVERED],
    }


def _source(found: Examined, letters: Letters) -> dict[str, Any]:
    drawn = []
    if found.widths:
        drawn.append(("Width", plots.histogram(found.widths, "pixels at the network's height", _marks(found.widths))))
    if found.lengths:
        draw = plots.bars if max(found.lengths) <= _BARS else plots.histogram
        drawn.append(("Length of the labels", draw(found.lengths, "units in a label", _marks(found.lengths))))
    missing = found.missing.most_common(_NAMED)
    for character, _ in missing:
        letters.add(character)
    return {
        "part": found.part,
        "name": found.name,
        "plots": [{"title": title, "uri": uri} for title, uri in drawn],
        "drops": bar_table(found.drops, found.count),
        "missing": [unit_row(character, count, False) for character, count in missing],
        "missing_count": len(found.missing),
        "reasons": [
            {
                "name": reason,
                "count": found.drops[reason],
                "examples": [_example(found, example, letters, reason) for example in found.examples[reason]],
            }
            for reason in REASONS
            if found.drops[reason]
        ],
        "edges": [_example(found, example, letters, "") for example in found.edges],
    }


def _marks(counts: Any) -> dict[str, float]:
    return {f"{100 * share:.0f} %": covering(counts, share) for share in COVERED}


def _example(found: Examined, example: Example, letters: Letters, reason: str) -> dict[str, Any]:
    letters.add(example.text)
    values = {
        "text": example.text,
        "direction": "rtl" if levels(example.text)[1] else "ltr",
        "key": example.key,
        "why": example.why if example.why != reason else "",
        "uri": "",
    }
    try:
        return values | inline_picture(found.source.sample(example.index).image)
    except ScriptoriumError:
        return values
