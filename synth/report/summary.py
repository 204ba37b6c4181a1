"""What `synth generate` says when it is done."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import unicodedata2

from synth.text.charset import Charset

if TYPE_CHECKING:
    from synth.engine import Summary
    from synth.pipeline import Pipeline
    from synth.text.plan import CoveragePlan

_KEY = 9  # width of the column of keys
_LISTED = 12  # characters named in one place
_FILES = 3  # files named in one place


def shown(text: str) -> str:
    """`text` so that it can be seen: a dotted circle under a mark that has no base, names for what has no ink."""
    if not text:
        return text
    category = unicodedata2.category(text[0])
    if text.isspace() or category in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return " ".join({" ": "space", "\u200c": "ZWNJ", "\u200d": "ZWJ"}.get(c, f"U+{ord(c):04X}") for c in text)
    return f"\u25cc{text}" if category.startswith("M") else text


def code_points(text: str) -> str:
    """`U+0915 U+094D` for क्."""
    return " ".join(f"U+{ord(character):04X}" for character in text)


def with_codes(unit: str) -> str:
    """A unit and its code points: `क U+0915`; only these where it has no ink."""
    codes = code_points(unit)
    seen = shown(unit)
    return codes if seen == codes else f"{seen} {codes}"


def size(count: int) -> str:
    """Bytes as people say them, in decimal units: `52.3 MB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return counted(count, "byte")


def counted(count: int, one: str, many: str = "") -> str:
    """`1 image`, `2 images`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def shares(counts: Mapping[str, int], whole: int) -> list[tuple[str, int, str]]:
    """What, how often, and its share of `whole` as `0.3 %`; most frequent first. What is there is never `0.0 %`."""
    rows = []
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        share = 100 * count / whole if whole else 0.0
        rows.append((name, count, "< 0.1 %" if 0 < share < 0.05 else f"{share:.1f} %"))
    return rows


def absent_units(charset: Charset, units: Iterable[str]) -> list[str]:
    """The charset's units that are not among `units` in any spelling, in its order; the space does not count."""
    met = {charset.index[unit] for unit in units if unit in charset.index}
    return [unit for position, unit in enumerate(charset.units) if position not in met and unit != " "]


def closing(summary: Summary, pipeline: Pipeline) -> str:
    """The closing text of `synth generate`: what was made, what was refused and why, what to do next.

    Args:
        summary: what the run has brought.
        pipeline: what made it.
    """
    paragraphs = [
        _made(summary, pipeline),
        _refused(summary, pipeline),
        _next(summary.output),
    ]
    return "\n".join(line for paragraph in paragraphs for line in paragraph) + "\n"


def _made(summary: Summary, pipeline: Pipeline) -> list[str]:
    fresh = summary.count - summary.kept
    lines = [_line("made", f"{counted(summary.count, 'image')} in {summary.output}")]
    facts = [counted(summary.shards, "shard")] if summary.shards else []
    facts.append(size(summary.bytes))
    if fresh:
        rate = fresh / max(summary.seconds, 1e-3)
        facts.append(f"{summary.seconds:,.1f} s, {rate:,.0f} images/s")
    lines.append(_line("", ", ".join(facts)))
    if summary.kept:
        kept = f"{summary.kept:,} of them" if fresh else "all there already,"
        lines.append(_line("", f"{kept} from an earlier run"))

    labels = f"{counted(len(summary.units), 'different unit')}, {sum(summary.units.values()):,} in all"
    lines.append(_line("labels", labels))
    charset = pipeline.charset
    if charset is not None:
        never = absent_units(charset, summary.units)
        name = Path(charset.source).name
        found = "all of them appear" if not never else f"{len(never):,} never appear: {_named(never)}"
        lines.append(
            _line("", f"{name} has {counted(len(charset), 'unit')} with the space, which is always known; {found}")
        )
    if pipeline.plan is not None:
        lines += _coverage(summary, pipeline.plan)
    families = len({face.family for face in pipeline.book.faces})
    faces = counted(len(pipeline.book.faces), "face")
    lines.append(_line("fonts", f"{faces} of {counted(families, 'family', 'families')}"))
    for number, store in enumerate(pipeline.hand.stores if pipeline.hand is not None else ()):
        writers = f" by {counted(len(store.writers), 'writer')}" if store.writers else ""
        classes = counted(len(store.classes), "class", "classes")
        told = f"{store.folder.name}: {counted(len(store), 'character')} of {classes}{writers}"
        lines.append(_line("" if number else "written", told))
    return lines


def _coverage(summary: Summary, plan: CoveragePlan) -> list[str]:
    reached = {unit: summary.units.get(unit, 0) for unit in plan.planned}
    least = min(reached.values(), default=0)
    lines = [
        _line("reached", f"{counted(len(reached), 'unit')}, each {least:,} times or more (asked: {plan.minimum:,})")
    ]
    below = sorted((count, unit) for unit, count in reached.items() if count < plan.minimum)
    if below:
        named = ", ".join(f"{with_codes(unit)} ({count:,})" for count, unit in below[:_LISTED])
        lines.append(_line("", f"{len(below):,} below it, too faint in most faces: {named}"))
    if plan.impossible:
        lines.append(_line("", f"{counted(len(plan.impossible), 'unit')} could not be covered, as the plan says above"))
    return lines


def _refused(summary: Summary, pipeline: Pipeline) -> list[str]:
    lines: list[str] = []
    drops = sum(summary.drops.values())
    if drops:
        attempts = summary.count + drops
        share = shares({"": drops}, attempts)[0][2]
        lines.append(_line("refused", f"{drops:,} of {attempts:,} attempts ({share}); each was drawn anew"))
        for reason, count, share in shares(summary.drops, attempts):
            lines.append(_line("", f"{count:>{len(f'{drops:,}')},}  {share:>7}  {reason}"))
    if summary.missing:
        most = sorted(summary.missing, key=lambda character: (-summary.missing[character], character))
        named = f"for {counted(len(most), 'character')}: {_named(most)}"
        if pipeline.hand is None:
            lines.append(_line("no font", named))
            lines.append(_line("", "give --fonts DIR, or run `synth fonts install SCRIPT`"))
        else:
            lines.append(_line("no class", named))
            lines.append(_line("", "give further sets with --chars, or fonts that look written (handwriting.fonts)"))
    for file in pipeline.source.describe():
        dropped = sum(file["dropped"].values())
        if dropped:
            why = ", ".join(f"{count:,} {reason}" for reason, count, _ in shares(file["dropped"], dropped))
            name, lines_in_all = Path(file["path"]).name, file["lines"] + dropped
            lines.append(_line("corpus", f"{name}: {dropped:,} of {counted(lines_in_all, 'line')} not usable: {why}"))
    if pipeline.charset is not None:
        known = set("".join(pipeline.charset.index))
        counts = pipeline.source.characters()
        lacking = sorted((c for c in counts if c not in known and c != " "), key=lambda c: (-counts[c], c))
        if lacking:
            lines.append(
                _line("charset", f"lacks {counted(len(lacking), 'character')} of the corpus: {_named(lacking)}")
            )
    if unused := pipeline.source.unused_templates:
        lines.append(_line("", f"{counted(len(unused), 'template')} left out: never inside the charset"))
    lines += _rejected("font files", pipeline.rejected_fonts)
    lines += _rejected("pictures", pipeline.rejected_pictures)
    return lines


def _rejected(what: str, rejected: Sequence[tuple[Path, str]]) -> list[str]:
    if not rejected:
        return []
    files = Counter(path for path, _ in rejected)
    lines = [_line("unusable", f"{what}: {len(files):,}")]
    for path, reason in rejected[:_FILES]:
        lines.append(_line("", f"  {path.name}: {reason}"))
    if len(rejected) > _FILES:
        lines.append(_line("", f"  and {len(rejected) - _FILES:,} more"))
    return lines


def _next(output: Path) -> list[str]:
    folder = quoted(output)
    recipe = quoted(output / "recipe.yaml")
    return [
        _line("next", f"synth verify {folder}"),
        _line("", f"synth report {folder}"),
        _line("", f"synth preview --recipe {recipe}"),
    ]


def _line(key: str, text: str) -> str:
    return f"{key:<{_KEY}}{text}"


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    text = str(path)
    return shlex.quote(text) if os.name == "posix" else f'"{text}"' if " " in text else text


def _named(units: Sequence[str]) -> str:
    """The first few units with their code points."""
    names = [with_codes(unit) for unit in units[:_LISTED]]
    more = f" and {len(units) - _LISTED:,} more" if len(units) > _LISTED else ""
    return ", ".join(names) + more
