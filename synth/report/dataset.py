"""What a data set holds: counts of units, lengths, widths, fonts, contrast, and a gallery, as one page."""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import unicodedata2

from augment.errors import ScriptoriumError
from synth.pages.labels import IGNORED, Found, outlined, read_label
from synth.recipe import Recipe
from synth.report import plots
from synth.report.preview import Letters, data_uri, faces, page, source_name, write_whole
from synth.report.summary import (
    absent_units,
    below_minimum,
    code_points,
    counted,
    quoted,
    shares,
    shown,
    size,
    with_codes,
)
from synth.shards.manifest import NAME, read_manifest
from synth.shards.reader import OpenShard, ShardReader, shard_folders
from synth.shards.record import Tally
from synth.text.charset import Charset
from synth.text.units import Unit, split_units

SAMPLED = 50_000
"""Records looked at; the others of a larger data set are only counted."""

FEW, RARE = 300, 200
"""Units in fewer than `FEW` labels' places are marked, those in fewer than `RARE` more so: too few to learn from."""

_GALLERY = 60
_TEXTS = 6  # of a page that are written below its picture
_TABLE = 20_000  # rows: what a browser shows without trouble
_ROWS = 20  # fonts, sources and the like
_LEAST = 12  # units under a plan's minimum named in the terminal
_NAMED = 200  # rare units named at the top


@dataclass(slots=True)
class _Data:
    """One data set, whatever its layout.

    Attributes:
        count: records in it.
        shards: LMDBs in it; 0 for plain files.
        manifest: empty for LMDBs of other makers.
        tally: counts over all records; None where nobody counted.
    """

    path: Path
    count: int
    shards: int
    manifest: dict[str, Any]
    tally: Tally | None

    def records(self, indexes: Sequence[int]) -> Iterator[tuple[bytes, str, dict[str, Any]]]:
        """Image, label and meta at ascending indexes."""
        if self.manifest.get("format") == "folder":
            yield from self._files(indexes)
            return
        reader = ShardReader(self.path)
        try:
            for index in indexes:
                image, label, meta, _ = reader.frame(index)
                yield image, label.decode(errors="replace"), _object(meta)
        finally:
            reader.close()

    def _files(self, indexes: Sequence[int]) -> Iterator[tuple[bytes, str, dict[str, Any]]]:
        wanted = set(indexes)
        metas: Iterator[dict[str, Any]] = iter(())
        if (self.path / "meta.jsonl").is_file():
            metas = map(_object, (self.path / "meta.jsonl").open("rb"))
        with (self.path / "labels.tsv").open(encoding="utf-8", errors="replace", newline="\n") as rows:
            meta = next(metas, {})
            for index, row in enumerate(rows):
                name, _, label = row.removesuffix("\n").partition("\t")
                # In the order of the labels, but only for images that have some.
                mine = meta.get("image") == name
                if index in wanted:
                    yield (self.path / name).read_bytes(), label, meta if mine else {}
                if mine:
                    meta = next(metas, {})


def _open(path: Path) -> _Data:
    if not path.is_dir():
        raise ScriptoriumError(f"{path}: no such folder; name a data set")
    manifest = read_manifest(path) if (path / NAME).exists() else {}
    tally: Tally | None = None
    if manifest.get("totals"):
        tally = Tally.from_json(manifest["totals"])
    if manifest.get("format") == "folder":
        return _Data(path, int(manifest["count"]), 0, manifest, tally)
    folders = shard_folders(path)
    count = 0
    counted_here: Tally | None = Tally()
    for folder in folders:
        with OpenShard(folder) as shard:
            count += shard.count()
            info = None
            with suppress(ValueError):  # `synth verify` says what is wrong with it
                info = shard.info()
        if counted_here is not None and info is not None and info.tally is not None:
            counted_here.add(info.tally)
        else:
            counted_here = None
    return _Data(path, count, len(folders), manifest, tally or counted_here)


def _object(data: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        found = json.loads(data)
        if isinstance(found, dict):
            return found
    return {}


def image_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of an encoded image, from its header where that is simple (JPEG, PNG).

    Returns:
        (0, 0) if it is no image.
    """
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data.startswith(b"\xff\xd8"):
        at = 2
        # ITU-T T.81, annex B: segments of marker and length, up to the frame header (SOF).
        while at + 9 <= len(data) and data[at] == 0xFF:
            marker = data[at + 1]
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                height, width = struct.unpack_from(">HH", data, at + 5)
                return width, height
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big") if marker != 0xFF else 1
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    return (0, 0) if image is None else (image.shape[1], image.shape[0])


@dataclass(slots=True)
class _Seen:
    """What the sampled records show."""

    lengths: list[int] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    heights: Counter[int] = field(default_factory=Counter)
    contrasts: list[float] = field(default_factory=list)
    fonts: Counter[str] = field(default_factory=Counter)
    backgrounds: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    letters: Letters = field(default_factory=Letters)
    looked: int = 0
    texts: list[int] = field(default_factory=list)
    ignored: int = 0
    plain: int = 0
    broken: int = 0
    gallery: list[dict[str, Any]] = field(default_factory=list)


def _texts(label: str) -> list[Found]:
    with suppress(ValueError):  # `synth verify` says what is wrong with it
        return read_label(label)
    return []


def _look(data: _Data, unit: Unit) -> _Seen:
    seen = _Seen()
    pages = data.manifest.get("recipe", {}).get("task") == "det"
    sampled = min(data.count, SAMPLED)
    indexes = [i * data.count // sampled for i in range(sampled)]
    rng = np.random.default_rng(0)
    chosen = rng.choice(sampled, min(_GALLERY, sampled), replace=False)
    shown_at = {indexes[i] for i in chosen.tolist()}
    for index, (image, label, meta) in zip(indexes, data.records(indexes), strict=True):
        seen.looked += 1
        texts = [label]
        if pages:
            found = _texts(label)
            texts = [one.text for one in found if one.text != IGNORED]
            seen.texts.append(len(texts))
            seen.ignored += len(found) - len(texts)
        for text in texts:
            units = split_units(text, unit)
            seen.lengths.append(len(units))
            seen.units.update(units)
            seen.letters.add(text, str(meta.get("font", "")))
        width, height = image_size(image)
        if width and height:
            seen.widths.append(width)
            seen.heights[height] += 1
        else:
            seen.broken += 1
        if isinstance(contrast := meta.get("contrast"), int | float):
            seen.contrasts.append(float(contrast))
        if "font" in meta:
            seen.fonts[str(meta["font"])] += 1
        if "kind" in meta:
            seen.kinds[str(meta["kind"])] += 1
        if "background" in meta:
            seen.backgrounds[str(meta["background"])] += 1
        if "source" in meta:
            seen.sources[source_name(str(meta["source"]))] += 1
        seen.plain += bool(meta.get("plain"))
        if index in shown_at and width and height:
            about = [str(meta["font"])] if "font" in meta else []
            about += [f"contrast {meta['contrast']}"] if "contrast" in meta else []
            about += [str(meta["kind"]), f"{len(texts)} texts"] if "kind" in meta else []
            if pages:
                image, width, height = outlined(image, found)
            seen.gallery.append(
                {
                    "uri": data_uri(image),
                    "width": width,
                    "height": height,
                    "text": label if not pages else "\n".join(texts[:_TEXTS]),
                    "about": " · ".join([f"{index + 1:,}", *about]),
                }
            )
    return seen


def write_report(data: Path, output: Path) -> str:
    """Describe a data set on an HTML page that needs no other file and no network.

    Units, drops and missing characters are counted over all records, as the manifest or the shards have them. All else
    is from at most `SAMPLED` records, evenly spread; so are the units of LMDBs of other makers, cut into graphemes.

    Args:
        data: a data set, finished or not, as shards or plain files; a single shard; or a folder of LMDBs of PaddleOCR
            or the benchmark family.
        output: the page.

    Returns:
        A few lines for the terminal.

    Raises:
        ScriptoriumError: there is no data set, a record is missing, or the page cannot be written.
    """
    found = _open(data)
    if not found.count:
        raise ScriptoriumError(f"{data}: holds no records; name another data set")
    corpus = found.manifest.get("recipe", {}).get("corpus", {})
    try:
        seen = _look(found, corpus.get("unit", "grapheme"))
    except OSError as error:
        raise ScriptoriumError(f"{error.filename}: cannot be read ({error.strerror}); run `synth verify`") from None
    absent = _absent(found)
    write_whole(output, _page(found, seen, absent).encode())
    return _text(found, seen, absent, output)


def _recipe(data: _Data) -> Recipe | None:
    """The recipe stored with the data, which says where its files were; the manifest has their names only."""
    with suppress(ScriptoriumError):
        return Recipe.load(data.path / "recipe.yaml")
    return None


def _charset(data: _Data) -> Charset | None:
    """The dictionary; none if it is gone or has changed."""
    recipe = _recipe(data)
    digest = data.manifest.get("inputs", {}).get("charset")
    if recipe is not None and recipe.corpus.charset is not None:
        with suppress(OSError, ScriptoriumError):
            if hashlib.sha256(recipe.corpus.charset.read_bytes()).hexdigest() == digest:
                return Charset.from_file(recipe.corpus.charset)
    return None


def _absent(data: _Data) -> list[str]:
    """Units of the charset that no label holds; none if the charset is gone or has changed."""
    charset = _charset(data)
    return [] if charset is None or data.tally is None else absent_units(charset, data.tally.units)


def _counts(data: _Data, seen: _Seen) -> tuple[Counter[str], bool]:
    """Units and whether the counts are those of the whole data set."""
    if data.tally is not None:
        return data.tally.units, True
    return seen.units, seen.looked == data.count


def _text(data: _Data, seen: _Seen, absent: list[str], output: Path) -> str:
    units, whole = _counts(data, seen)
    shards = f" in {counted(data.shards, 'shard')}" if data.shards else ""
    lines = [
        f"report   {output}",
        f"images   {data.count:,}{shards}, {size(_bytes(data.path))}",
        f"units    {len(units):,} different, {units.total():,} in all" + ("" if whole else " in the sample"),
    ]
    if whole:
        few = sum(count < FEW for count in units.values())
        rare = sum(count < RARE for count in units.values())
        lines.append(f"         {few:,} under {FEW} times, {rare:,} of them under {RARE}")
    if absent:
        lines.append(f"         {counted(len(absent), 'unit')} of the charset never")
    lines += _coverage(data)
    looked = [f"length {_spread(seen.lengths or [0])} units"]
    if seen.texts:
        looked.insert(0, f"{_spread(seen.texts)} texts, {seen.ignored:,} to be ignored")
    if seen.widths:
        looked.append(f"width {_spread(seen.widths)} px")
    if seen.contrasts:
        looked.append(f"contrast {_spread(seen.contrasts)}")
    if seen.fonts:
        looked.append(counted(len(seen.fonts), "font"))
    lines.append(f"sampled  {seen.looked:,}: {', '.join(looked)}")
    if seen.broken:
        lines.append(f"broken   {counted(seen.broken, 'image')} of the sample; run `synth verify {quoted(data.path)}`")
    return "\n".join(lines) + "\n"


def _coverage(data: _Data) -> list[str]:
    """Which units a plan has not brought to the minimum, where there was one and its charset is still there."""
    minimum = data.manifest.get("recipe", {}).get("corpus", {}).get("min_per_unit", 0)
    charset = _charset(data) if minimum else None
    if charset is None or data.tally is None:
        return []
    below = below_minimum(charset, data.tally.units, minimum)
    if not below:
        return [f"         all {len(charset) - (' ' in charset):,} units {minimum:,} times or more, as planned"]
    named = ", ".join(f"{with_codes(unit)} {count:,}" for unit, count in below[:_LEAST])
    return [f"least    {counted(len(below), 'unit')} under the plan's {minimum:,}: {named}"]


def _bytes(path: Path) -> int:
    # Without reports, so that a second one says the same as the first.
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and file.suffix != ".html")


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):g}–{max(values):g} (median {float(np.median(values)):g})"


def _page(data: _Data, seen: _Seen, absent: list[str]) -> str:
    units, whole = _counts(data, seen)
    recipe = _recipe(data)
    sampled = seen.looked
    everything = sampled == data.count
    drops = data.tally.drops if data.tally else Counter[str]()
    missing = data.tally.missing if data.tally else Counter[str]()
    rows = sorted([(unit, 0) for unit in absent] + list(units.items()), key=lambda row: (row[1], row[0]))
    rare = [row for row in rows if row[1] < FEW] if whole else []
    drawn = [("Label length", plots.bars(Counter(seen.lengths), "units in a label"))]
    if seen.texts:
        drawn = [
            ("Texts", plots.histogram(Counter(seen.texts), "texts on a page")),
            ("Text length", plots.histogram(Counter(seen.lengths), "units in a text")),
        ]
    if seen.widths:
        drawn.append(("Image width", plots.histogram(Counter(seen.widths), "width in pixels")))
    if seen.contrasts:
        drawn.append(("Contrast of the weakest unit", plots.histogram(Counter(seen.contrasts), "grey levels")))
    drawn.append(("Units by frequency", plots.ranks(units, (RARE, FEW) if whole else ())))
    tables = [
        ("Kinds", seen.kinds),
        ("Fonts", seen.fonts),
        ("Backgrounds", seen.backgrounds),
        ("Sources", seen.sources),
    ]
    for unit, _ in rows[:_TABLE]:
        seen.letters.add(unit)
    return page(
        "dataset.html",
        faces=faces(seen.letters, (recipe and recipe.fonts.paths) or None),
        title=f"Data set {data.path.resolve().name}",
        facts=_facts(data, seen),
        looked="all records" if everything else f"{sampled:,} of {data.count:,} records, evenly spread",
        whole=whole,
        unit_count=len(units),
        unit_total=units.total(),
        rows=[unit_row(unit, count, whole) for unit, count in rows[:_TABLE]],
        more_rows=max(0, len(rows) - _TABLE),
        rare=[unit_row(unit, count, whole) for unit, count in rare[:_NAMED]],
        rare_count=sum(count < RARE for _, count in rare),
        few_count=len(rare),
        never_count=len(absent),
        few_limit=FEW,
        rare_limit=RARE,
        plots=[{"title": title, "uri": uri} for title, uri in drawn],
        tables=[
            {"title": title, "note": f"{len(counts):,}", **bar_table(counts, sampled)}
            for title, counts in tables
            if counts
        ],
        attempts=data.count + drops.total(),
        drops={"total": drops.total(), **bar_table(drops, data.count + drops.total())},
        missing=[unit_row(character, count, False) for character, count in missing.most_common(_NAMED)],
        missing_count=len(missing),
        gallery=seen.gallery,
    )


def _facts(data: _Data, seen: _Seen) -> list[tuple[str, str]]:
    manifest = data.manifest
    recipe = manifest.get("recipe", {})
    inputs = manifest.get("inputs", {})
    shards = f" in {counted(data.shards, 'shard')}" if data.shards else " as plain files"
    facts = [("images", f"{data.count:,}{shards}, {size(_bytes(data.path))}")]
    if manifest and not manifest["complete"]:
        facts.append(("state", f"unfinished: {data.count:,} of {int(manifest['count']):,}"))
    if recipe:
        facts.append(("recipe", f"{recipe['name']}, seed {recipe['seed']}"))
    if sources := manifest.get("sources"):
        facts.append(("merged from", f"{counted(len(sources), 'data set')}"))
    if corpora := inputs.get("corpora"):
        facts.append(("corpora", ", ".join(file["name"] for file in corpora)))
    if charset := recipe.get("corpus", {}).get("charset"):
        facts.append(("charset", charset))
    if fonts := inputs.get("fonts"):
        facts.append(("fonts", counted(len(fonts), "face")))
    if pictures := inputs.get("backgrounds"):
        facts.append(("backgrounds", counted(len(pictures), "picture")))
    heights = ", ".join(str(height) for height, _ in seen.heights.most_common(4))
    if heights:
        facts.append(("height", f"{heights}{' …' if len(seen.heights) > 4 else ''} px"))
    if seen.plain:
        share = shares({"": seen.plain}, seen.looked)[0][2]
        facts.append(("plain", f"{share} drawn plainly, after too many refused attempts"))
    if seen.broken:
        facts.append(("broken", f"{counted(seen.broken, 'image')} of the sample; run `synth verify`"))
    if libraries := inputs.get("libraries"):
        facts.append(("made with", ", ".join(f"{name} {number}" for name, number in libraries.items() if number)))
    return facts


def unit_row(unit: str, count: int, marked: bool) -> dict[str, Any]:
    """What panels.html shows of a unit; `marked`: as rare or few where it is."""
    names = [unicodedata2.name(character, "unnamed") for character in unit]
    return {
        "shown": shown(unit),
        "codes": code_points(unit),
        "name": " + ".join(names).lower(),
        "count": count,
        "mark": "" if not marked or count >= FEW else "rare" if count < RARE else "few",
    }


def bar_table(counts: Mapping[str, int], whole: int) -> dict[str, Any]:
    """What panels.html shows as bars: the most frequent, with their shares of `whole`."""
    rows = shares(counts, whole)
    most = max((count for _, count, _ in rows), default=1)
    return {
        "rows": [
            {"name": name, "count": count, "share": share, "part": round(100 * count / most, 1)}
            for name, count, share in islice(rows, _ROWS)
        ],
        "more": max(0, len(rows) - _ROWS),
    }
