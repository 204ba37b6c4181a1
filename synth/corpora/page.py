"""A survey of a corpus as an HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from synth.corpora.scripts import script_name
from synth.corpora.survey import Grams, Survey, visible
from synth.report import plots
from synth.report.dataset import bar_table, unit_row
from synth.report.preview import Letters, faces, page, write_whole

_TABLE: Final = 20_000  # rows: what a browser shows without trouble


def write_page(found: Survey, output: Path) -> None:
    """Write a survey as one page, complete in itself.

    Raises:
        ScriptoriumError: it cannot be written.
    """
    letters = Letters()
    letters.add("".join(found.units.counts))
    rows = sorted(found.units.counts.items(), key=lambda item: (item[1], item[0]))
    names = ", ".join(file.name for file in found.files)
    text = page(
        "survey.html",
        templates=Path(__file__).parent / "templates",
        title=f"Corpus: {names}",
        faces=faces(letters),
        facts=[
            ("lines", f"{found.lines:,}"),
            ("empty lines", f"{found.empty:,}"),
            ("characters", f"{sum(found.characters.values()):,}, {len(found.characters):,} different"),
            ("units", f"{len(found.units.counts):,} different graphemes"),
            ("script", script_name(found.script) if found.script else "none"),
        ],
        findings=[
            {
                "kind": kind,
                "count": finding.count,
                "examples": [
                    {
                        "where": f"{example.file.name}, line {example.line:,}",
                        "text": visible(example.text, 300),
                        "detail": example.detail,
                    }
                    for example in finding.examples
                ],
            }
            for kind, finding in found.findings.items()
        ],
        lengths=plots.bars(found.lengths, "units"),
        scripts=bar_table({script_name(code): count for code, count in found.scripts.items()}, found.scripts.total()),
        forms=bar_table(found.forms, found.lines),
        pairs=_grams(found.pairs),
        triples=_grams(found.triples),
        rows=[unit_row(unit, count, False) for unit, count in rows[:_TABLE]],
        more_rows=max(0, len(rows) - _TABLE),
    )
    write_whole(output, text.encode())


def _grams(grams: Grams) -> object:
    counts = {visible(gram.replace(" ", "␣")): count for gram, count in grams.counts.most_common(1000)}
    return bar_table(counts, grams.counts.total())
