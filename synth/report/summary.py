"""What `synth generate` says when it is done."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import unicodedata2

from synth.text.bidi import isolated
from synth.text.charset import Charset

if TYPE_CHECKING:
    from synth.engine import Summary
    from synth.pages import AnyPipeline
    from synth.text.plan import Plan

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
    return codes if seen == codes else f"{isolated(seen)} {codes}"


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


def closing(summary: Summary, pipeline: AnyPipeline) -> str:
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


def _made(summary: Summary, pipeline: AnyPipeline) -> list[str]:
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
            lines += _coverage(summary, pipeline.plan, charset)
    families = len({face.family for face in pipeline.book.faces})
    faces = counted(len(pipeline.book.faces), "face")
    lines.append(_line("fonts", f"{faces} of {counted(families, 'family', 'families')}"))
    for number, store in enumerate(pipeline.hand.stores if pipeline.hand is not None else ()):
        writers = f" by {counted(len(store.writers), 'writer')}" if store.writers else ""
        classes = counted(len(store.classes), "class", "classes")
        told = f"{store.folder.name}: {counted(len(store), 'character')} of {classes}{writers}"
        lines.append(_line("" if number else "written", told))
    for number, crops in enumerate(pipeline.styles.stores if pipeline.styles is not None else ()):
        told = f"{crops.folder.name}: {counted(len(crops), 'crop')}"
        lines.append(_line("" if number else "styles", told))
    return lines


def planned(plan: Plan, count: int) -> str:
    """What `synth generate` says of a plan before it begins: what it costs, and what it cannot do.

    Args:
        plan: the plan.
        count: samples of the data set.
    """
    facts = plan.facts
    reached = facts.wanted - len(facts.unreached)
    lines = [
        _line("plan", f"{counted(reached, 'unit')}, each {facts.minimum:,} times: {counted(facts.texts, 'image')}"),
        _line("", f"of {facts.length:g} units; {facts.bound:,} would do if none of these came more often than asked"),
        _line("", f"{counted(facts.natural, 'text')} as the corpus has them, {facts.texts - facts.natural:,} changed"),
    ]
    if facts.lacking:
        where = f"{counted(facts.lines, 'line')} of the corpus"
        lines.append(
            _line("", f"{counted(facts.lacking, 'unit')} not met in {where}: put in the place of others of their kind")
        )
    if count > facts.texts:
        lines.append(_line("", f"spread among {count:,} images; the others show texts as they are drawn"))
    for reason in sorted({reason for _, reason in facts.unreached}):
        units = [unit for unit, why in facts.unreached if why == reason]
        lines.append(_line("", f"{len(units):,} out of reach, {reason}: {_named(units)}"))
    return "\n".join(lines) + "\n"


def _coverage(summary: Summary, plan: Plan, charset: Charset) -> list[str]:
    facts = plan.facts
    below = below_minimum(charset, summary.units, facts.minimum)
    impossible = dict(facts.unreached)
    reached = facts.wanted - len(below)
    lines = [_line("reached", f"{reached:,} of {counted(facts.wanted, 'unit')} stand {facts.minimum:,} times or more")]
    missed = [f"{with_codes(unit)} ({count:,})" for unit, count in below if unit not in impossible]
    if missed:
        more = f" and {len(missed) - _LISTED:,} more" if len(missed) > _LISTED else ""
        lines.append(_line("", f"planned, yet not legible so often: {', '.join(missed[:_LISTED])}{more}"))
    if impossible:
        lines.append(_line("", f"{counted(len(impossible), 'unit')} out of reach, as the plan says above"))
    return lines


def below_minimum(charset: Charset, units: Mapping[str, int], minimum: int) -> list[tuple[str, int]]:
    """The charset's units that stand less than `minimum` times in the labels, and how often; rarest first.

    `units` may be in any spelling; the space does not count.
    """
    counts = [0] * len(charset)
    for unit, count in units.items():
        if unit in charset.index:
            counts[charset.index[unit]] += count
    found = zip(charset.units, counts, strict=True)
    return sorted(((unit, n) for unit, n in found if n < minimum and unit != " "), key=lambda item: item[1])


def _refused(summary: Summary, pipeline: AnyPipeline) -> list[str]:
    lines: list[str] = []
    drops = sum(summary.drops.values())
    if drops:
        attempts = summary.count + drops
        share = shares({"": drops}, attempts)[0][2]
        lines.append(_line("refused", f"{drops:,} of {attempts:,} attempts ({share}); each was made again"))
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
        known = {*"".join(pipeline.charset.index), " "}
        counts = pipeline.source.file_characters()
        corpus = sorted(counts.keys() - known, key=lambda c: (-counts[c], c))
        templates = [c for c in pipeline.source.template_characters() if c not in known and c not in counts]
        for characters, where in ((corpus, "corpus"), (templates, "templates")):
            if characters:
                lacks = f"lacks {counted(len(characters), 'character')} of the {where}: {_named(characters)}"
                lines.append(_line("charset", lacks))
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
