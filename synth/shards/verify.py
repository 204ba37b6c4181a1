"""Check a data set record by record."""

from __future__ import annotations

import hashlib
import json
import sys
import unicodedata
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import lmdb
import numpy as np
from tqdm import tqdm

from augment.errors import ScriptoriumError
from synth.pages.labels import IGNORED, read_label
from synth.report.summary import counted
from synth.shards.manifest import NAME, ShardInfo, read_manifest
from synth.shards.reader import OpenShard, shard_folders
from synth.shards.record import Tally, pack_frame, unpack_polygons
from synth.shards.writer import SIDECARS
from synth.text.charset import Charset

_KINDS = (b"image", b"label", b"meta", b"polygons")
_LISTED = 1000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (shard or file), under which key, and what."""

    where: str
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.what}"


@dataclass(slots=True)
class VerifyReport:
    """What was looked at and what is wrong.

    Attributes:
        records: records looked at.
        shards: shards looked at; 0 for plain files.
        problems: the first 1,000.
        found: number of problems, listed or not.
    """

    records: int = 0
    shards: int = 0
    problems: list[Problem] = field(default_factory=list)
    found: int = 0

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.found

    def text(self) -> str:
        """The report for a terminal: one line for each listed problem, and one that sums up."""
        lines = [str(problem) for problem in self.problems]
        if self.found > len(lines):
            lines.append(f"... and {self.found - len(lines):,} more")
        looked = counted(self.records, "record") + (f" in {counted(self.shards, 'shard')}" if self.shards else "")
        lines.append(f"{looked}: " + ("all right" if self.ok else counted(self.found, "problem")))
        return "\n".join(lines) + "\n"

    def add(self, where: str, key: str, what: str) -> None:
        """Note a problem."""
        self.found += 1
        if len(self.problems) < _LISTED:
            self.problems.append(Problem(where, key, what))


def verify(path: str | Path, charset: Charset | None = None, progress: bool = True) -> VerifyReport:
    """Check that every record decodes and that keys, labels, polygons, digests and manifest are right.

    Works on what `synth generate` and `synth merge` write, on single shards, and on LMDBs of PaddleOCR or the benchmark
    family, which carry neither digests nor manifest.

    Args:
        path: a data set, a shard, or a folder of LMDBs.
        charset: the dictionary that all labels must lie in.
        progress: show a bar on stderr where that is a terminal.

    Raises:
        ScriptoriumError: there is nothing there that could be checked. What is wrong in a data set is reported instead.
    """
    path = Path(path)
    report = VerifyReport()
    check = _Check(report, charset)
    with tqdm(unit="image", unit_scale=True, disable=not (progress and sys.stderr.isatty())) as bar:
        if (path / NAME).exists():
            manifest = read_manifest(path)
            check.pages = manifest.get("recipe", {}).get("task") == "det"
            if manifest.get("format") == "folder":
                _verify_files(path, manifest, check, bar)
            else:
                _verify_set(path, manifest, check, bar)
        else:
            for folder in shard_folders(path):
                info = _verify_shard(folder, check, bar)
                if info is not None and folder != path:
                    report.add(str(folder), NAME, "a shard of a data set whose manifest is missing")
    return report


@dataclass(slots=True)
class _Check:
    """What holds for a record wherever it is stored."""

    report: VerifyReport
    charset: Charset | None
    pages: bool = False

    def image(self, where: str, key: str, data: bytes) -> None:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if image is None or not image.size:
            self.report.add(where, key, "does not decode as an image")

    def label(self, where: str, key: str, data: bytes) -> str | None:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            self.report.add(where, key, f"not UTF-8 at byte {error.start}")
            return None
        if not text:
            self.report.add(where, key, "empty label")
        elif not unicodedata.is_normalized("NFC", text):
            self.report.add(where, key, f"label not in NFC: {text!r}")
        else:
            for shown in self._texts(where, key, text):
                if self.charset is not None and (missing := self.charset.missing(shown)):
                    lacking = " ".join(missing)
                    self.report.add(where, key, f"label outside the charset, which lacks {lacking}: {shown!r}")
        return text

    def _texts(self, where: str, key: str, label: str) -> list[str]:
        """What a label says: one text, or those of a page."""
        if not self.pages:
            return [label]
        try:
            return [found.text for found in read_label(label) if found.text != IGNORED]
        except ValueError as error:
            self.report.add(where, key, f"no label of a page: {error}")
            return []

    def meta(self, where: str, key: str, data: bytes) -> None:
        try:
            if not isinstance(json.loads(data), dict):
                raise ValueError("not an object")
        except ValueError as error:
            self.report.add(where, key, f"not a JSON object: {error}")

    def polygons(self, where: str, key: str, data: bytes, text: str) -> None:
        try:
            polygons, _, ends = unpack_polygons(data)
        except ScriptoriumError as error:
            self.report.add(where, key, str(error))
            return
        if not np.isfinite(polygons).all():
            self.report.add(where, key, "a corner is not a finite number")
        cuts = [0, *ends.tolist()]
        if cuts[-1] != len(text) or any(a >= b for a, b in pairwise(cuts)):
            self.report.add(where, key, f"units end at {cuts[1:]} in a label of {len(text)} code points")


def _verify_set(path: Path, manifest: dict[str, Any], check: _Check, bar: tqdm[Any]) -> None:
    report = check.report
    listed = {str(shard["name"]): shard for shard in manifest.get("shards", ())}
    if not manifest["complete"]:
        report.add(str(path), NAME, "unfinished: run the same again with --resume")
    elif sum(shard["count"] for shard in listed.values()) != manifest["count"]:
        report.add(str(path), NAME, f"its shards do not sum up to its count, {manifest['count']}")
    bar.total = manifest["count"]
    totals: Tally | None = Tally()
    for folder in sorted(folder for folder in path.iterdir() if folder.is_dir()):
        info = _verify_shard(folder, check, bar)
        entry = listed.pop(folder.name, None)
        if entry is None:
            if manifest["complete"]:
                report.add(str(folder), NAME, "a folder that the manifest does not list")
        elif info is None or any(entry[name] != getattr(info, name) for name in ("first", "count", "digest")):
            report.add(str(folder), NAME, "the manifest says otherwise of first, count or digest")
        if totals and info and info.tally:
            totals.add(info.tally)
        else:
            totals = None
    for name in listed:
        report.add(str(path / name), NAME, "listed in the manifest, but not there")
    if manifest["complete"] and totals and totals.to_json() != manifest.get("totals"):
        report.add(str(path), NAME, "totals are not the sum of the shards'")


def _verify_shard(folder: Path, check: _Check, bar: tqdm[Any]) -> ShardInfo | None:
    report, where = check.report, str(folder)
    report.shards += 1
    try:
        with OpenShard(folder) as shard:
            count = shard.count()
            _verify_keys(shard, where, count, report)
            digest = hashlib.sha256()
            for number in range(1, count + 1):
                digest.update(_verify_record(shard, where, number, check))
                report.records += 1
                bar.update()
            try:
                info = shard.info()
            except ValueError as error:
                report.add(where, "shard", str(error))
                return None
    except (ScriptoriumError, lmdb.Error) as error:
        report.add(where, "data.mdb", str(error).removeprefix(f"{where}: ").removeprefix("data.mdb "))
        return None
    if info is not None and info.count != count:
        report.add(where, "num-samples", f"{count}, but the shard was made with {info.count}")
    if info is not None and info.digest != digest.hexdigest():
        report.add(where, "shard", "the digest is not that of the records: something was changed")
    return info


def _verify_keys(shard: OpenShard, where: str, count: int, report: VerifyReport) -> None:
    for key in shard:
        kind, _, number = key.partition(b"-")
        if kind in _KINDS and not (number.isdigit() and len(number) >= 9 and 1 <= int(number) <= count):
            report.add(where, key.decode(errors="backslashreplace"), f"a key beyond the {count} samples")


def _verify_record(shard: OpenShard, where: str, number: int, check: _Check) -> bytes:
    """Check one record; its packed frame, for the digest."""
    frame = []
    text: str | None = None
    for kind in _KINDS:
        key = f"{kind.decode()}-{number:09d}"
        value = shard.get(key.encode())
        data = value or b""
        frame.append(data)
        if kind == b"image" or kind == b"label":
            if value is None:
                check.report.add(where, key, "missing")
            elif kind == b"image":
                check.image(where, key, data)
            else:
                text = check.label(where, key, data)
        elif value is not None and kind == b"meta":
            check.meta(where, key, data)
        elif value is not None and text is not None:
            check.polygons(where, key, data, text)
    return pack_frame((frame[0], frame[1], frame[2], frame[3]))


def _verify_files(path: Path, manifest: dict[str, Any], check: _Check, bar: tqdm[Any]) -> None:
    report = check.report
    digest = hashlib.sha256()
    labels = path / "labels.tsv"
    if not labels.is_file():
        report.add(str(path), labels.name, "missing")
        return
    bar.total = manifest["count"]
    listed = set()
    for row in labels.read_bytes().split(b"\n")[:-1]:
        name, _, label = row.partition(b"\t")
        image = path / name.decode(errors="backslashreplace")
        listed.add(image.name)
        check.label(str(labels), image.name, label)
        data = image.read_bytes() if image.is_file() else b""
        check.image(str(path), f"images/{image.name}", data)
        digest.update(pack_frame((data, label, b"", b"")))
        report.records += 1
        bar.update()
    for image in sorted((path / "images").iterdir()):
        if image.name not in listed:
            report.add(str(path), f"images/{image.name}", "an image without a label")
    for sidecar in SIDECARS:
        if (path / sidecar).is_file():
            digest.update((path / sidecar).read_bytes())
    if report.records != manifest["count"]:
        report.add(str(labels), NAME, f"{report.records} labels, but the manifest counts {manifest['count']}")
    if digest.hexdigest() != manifest["digest"]:
        report.add(str(path), NAME, "the digest is not that of the files: something was changed")
