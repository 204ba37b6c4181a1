"""The full check of a detector's data before training: every page is decoded, every polygon looked at."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
from tqdm import tqdm

from augment.errors import ScriptoriumError
from augment.pixel import Degrade
from ocr import runtime
from ocr.config import DetConfig
from ocr.data.audit import Repeated, covering, line, repeated
from ocr.data.det import DEFAULT_OPS, parse_label
from ocr.data.index import too_many_broken
from ocr.data.sources import BrokenSample, FileSource, decode, open_source
from ocr.data.targets import Polygon
from synth.pages.labels import IGNORED
from synth.report.summary import counted, shares

FLAT: Final = "polygons without an area, left out"
CROSSED: Final = "polygons that cross themselves"
OUTSIDE: Final = "polygons that reach beyond the picture"
GONE: Final = "polygons wholly beyond the picture"
SMALL: Final = "texts too small to be learnt at any scale of the training squares"
BROKEN: Final = "broken records"
KINDS: Final = (BROKEN, GONE, FLAT, CROSSED, OUTSIDE, SMALL)
"""What is counted, the gravest first."""

_EXAMPLES: Final = 8
_NAMED: Final = 2
_SLACK: Final = 2.0  # pixels beyond the picture that are rounding
_MANY: Final = 0.1


@dataclass(frozen=True)
class Example:
    """A page that something is said of.

    Attributes:
        index: in its source.
        key: names it for people.
        why: what is wrong with it.
    """

    index: int
    key: str
    why: str


@dataclass
class ExaminedPages:
    """What is known of one source.

    Attributes:
        part: "Train" or "Eval".
        source: see `open_source`.
        count, usable: pages, and those of them that can be read with their labels.
        texts, ignored: polygons, without and with the text `###`.
        empty: pages without any text.
        corners: how often polygons have so many.
        sides: shorter sides of the texts, in whole pixels of the page.
        kinds: how often each of `KINDS` was met.
        examples: some of these, by kind.
        digests: of the pictures' bytes, 64 bits each, in order; 0 for what cannot be read.
    """

    part: str
    source: FileSource
    count: int = 0
    usable: int = 0
    texts: int = 0
    ignored: int = 0
    empty: int = 0
    corners: Counter[int] = field(default_factory=Counter)
    sides: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)
    digests: array[int] = field(default_factory=lambda: array("Q"))

    @property
    def name(self) -> str:
        """Of the source."""
        return self.source.name

    @property
    def live(self) -> bool:
        """Never: pages come from files."""
        return False

    def key(self, index: int) -> str:
        """What messages call a record."""
        return self.source.key(index)

    def add(self, index: int, largest_scale: float, min_side: float) -> None:
        """Look at a page.

        Args:
            index: in the source.
            largest_scale: of the squares that training cuts.
            min_side: pixels of a text's shorter side below which a square ignores it.
        """
        self.count += 1
        digest = 0
        try:
            data, label = self.source.raw(index)
            polygons, texts = parse_label(label, self.key(index))
            height, width = decode(data, self.key(index)).shape[:2]
            digest = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
        except BrokenSample as error:
            self._count(BROKEN, 1, index, error.reason)
            self.digests.append(0)
            return
        self.digests.append(digest)
        self.usable += 1
        self._count(FLAT, len(json.loads(label)) - len(polygons), index, "")
        found: Counter[str] = Counter()
        for polygon, text in zip(polygons, texts, strict=True):
            self.corners[len(polygon)] += 1
            least, most = polygon.min(0), polygon.max(0)
            if most[0] <= 0 or most[1] <= 0 or least[0] >= width or least[1] >= height:
                found[GONE] += 1
            elif (least < -_SLACK).any() or most[0] > width + _SLACK or most[1] > height + _SLACK:
                found[OUTSIDE] += 1
            found[CROSSED] += _crosses(polygon)
            if text == IGNORED:
                self.ignored += 1
                continue
            self.texts += 1
            side = min(cv2.minAreaRect(polygon[:, None])[1])
            self.sides[round(side)] += 1
            found[SMALL] += side * largest_scale < min_side
        self.empty += not any(text != IGNORED for text in texts)
        for kind, count in found.items():
            self._count(kind, count, index, "")

    def _count(self, kind: str, count: int, index: int, why: str) -> None:
        if not count:
            return
        self.kinds[kind] += count
        kept = self.examples.setdefault(kind, [])
        if len(kept) < _EXAMPLES:
            kept.append(Example(index, self.key(index), why))


def _crosses(polygon: Polygon) -> bool:
    import shapely

    return not shapely.Polygon(polygon).is_valid


@dataclass
class PagesAudit:
    """What an audit of a detector's data has found.

    Attributes:
        config: that was looked at.
        examined: the sources, those of training first.
        repeated: pictures in training and in evaluation.
        errors: what would make training fail.
        warnings: what would make its result worse than need be.
    """

    config: DetConfig
    examined: list[ExaminedPages] = field(default_factory=list)
    repeated: list[Repeated] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def fatal(self) -> bool:
        """Whether training would fail."""
        return bool(self.errors)

    def text(self) -> str:
        """The findings as lines for the terminal."""
        lines = []
        for found in self.examined:
            lines += _described(found)
        lines += [line("warning", warning) for warning in self.warnings]
        lines += [line("error", error) for error in self.errors]
        if not self.errors and not self.warnings:
            lines.append(line("result", "nothing to mend"))
        return "\n".join(lines) + "\n"

    def write(self, output: Path) -> Path:
        """Write the findings as a page, with pictures. Raises ScriptoriumError: it cannot be written."""
        from ocr.report.audit_det import write_pages_audit

        return write_pages_audit(self, output)


def _described(found: ExaminedPages) -> list[str]:
    said = (
        f"{found.name}: {found.usable:,} of {counted(found.count, 'page')} can be read, {counted(found.texts, 'text')}"
    )
    lines = [
        line(found.part.lower(), f"{said}, {found.ignored:,} ignored; {counted(found.empty, 'page')} without texts")
    ]
    for kind in KINDS:
        if found.kinds[kind]:
            named = ", ".join(
                example.key + (f" ({example.why})" if example.why else "") for example in found.examples[kind][:_NAMED]
            )
            lines.append(line("", f"{found.kinds[kind]:10,} {kind}, such as in {named}"))
    if found.corners:
        parts = [f"{count:,} with {number}" for number, count in sorted(found.corners.items())[:6]]
        lines.append(line("", "corners: " + ", ".join(parts) + (", …" if len(found.corners) > len(parts) else "")))
    if found.sides:
        parts = [f"{share:.0%} up to {covering(found.sides, share):,}".replace("%", " %") for share in (0.1, 0.5, 0.9)]
        lines.append(line("", f"shorter sides: {', '.join(parts)}, all up to {max(found.sides):,} pixels of the page"))
    return lines


def audit_pages(config: DetConfig) -> PagesAudit:
    """Check the data of a detector's configuration.

    Args:
        config: see `DetConfig`.
    """
    settings = config.Global
    runtime.start(settings.threads, settings.processor_mend)
    runtime.import_paddle()
    from ocr.models.det import build_detector

    audit = PagesAudit(config)
    try:
        build_detector(config.Architecture, config.Preprocess.channels)
        ops: dict[str, Any] | None = config.Train.augment
        Degrade(DEFAULT_OPS if ops == {} else ops or {})
    except ScriptoriumError as error:
        audit.errors.append(str(error))
        return audit
    crop = config.Train.crop
    parts = [*(("Train", one) for one in config.Train.sources), *(("Eval", one) for one in config.Eval.sources)]
    for part, source_config in parts:
        try:
            source = open_source(source_config)
        except ScriptoriumError as error:
            audit.errors.append(str(error))
            continue
        assert isinstance(source, FileSource)
        found = ExaminedPages(part, source)
        for index in tqdm(range(len(source)), desc=f"audit {source.name}", unit="", leave=False, disable=None):
            found.add(index, crop.scale[1], crop.min_side)
        source.close()
        audit.examined.append(found)
        _judge(audit, found)
    audit.repeated = repeated(audit.examined)
    for same in audit.repeated:
        mine, theirs = same.pairs[0]
        audit.warnings.append(
            f"{counted(same.count, 'picture')} of {same.train} are in {same.evaluation}, too, whose figures they "
            f"flatter, such as {mine}, there {theirs}"
        )
    return audit


def _judge(audit: PagesAudit, found: ExaminedPages) -> None:
    broken = found.kinds[BROKEN]
    name = f"source {found.name}"
    if found.part == "Train" and too_many_broken(broken, found.count):
        audit.errors.append(
            f"{name}: {broken:,} of {found.count:,} records are broken; more than 1 % is too many: mend the data"
        )
    elif found.part == "Eval" and broken:
        audit.errors.append(f"{name}: {counted(broken, 'record')} broken; evaluation would stop there: mend the data")
    elif broken:
        audit.warnings.append(f"{name}: {counted(broken, 'record')} broken, which training leaves out")
    if found.part == "Train" and found.usable and not found.texts:
        audit.errors.append(f"{name}: no page has a text; there is nothing to learn")
    if found.kinds[GONE]:
        audit.warnings.append(
            f"{name}: {counted(found.kinds[GONE], 'polygon')} wholly beyond the picture; mend the labels"
        )
    if found.texts and found.kinds[SMALL] > _MANY * found.texts:
        share = shares({"": found.kinds[SMALL]}, found.texts)[0][2]
        audit.warnings.append(
            f"{name}: {share} of the texts are too small to be learnt; use larger pages, or a larger Train.crop.scale"
        )
