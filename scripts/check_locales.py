#!/usr/bin/env python3
"""From nothing to a balanced data set, for many languages, by the commands that `synth script` names; and check it.

    scripts/check_locales.py --output DIR --fonts FONTS
    scripts/check_locales.py --output DIR --fonts FONTS --min-per-unit 300 kn bo ur

For each locale, in a folder of its own: `synth corpus build`, `charset build`, `generate --min-per-unit N` and
`verify`, as `synth script LOCALE` prints them. Then, by means that share as little as can be with what made the data:

* every unit of the dictionary is counted in the labels: N or more, unless the plan says why not;
* every character of every label is in the character map of a font named for it (fontTools), and hb-shape gives neither
  a missing glyph nor a dotted circle;
* labels evenly spread over the data set are shaped once more, and hb-shape gives the same glyphs, clusters, advances
  and offsets for each run. Where it differs and is of another version than the HarfBuzz in use here, --harfbuzzjs DIR,
  where `npm install harfbuzzjs` was run, lets that decide (it must be of the same version); else such runs are counted.

Prints a table, and writes one picture for each script into DIR/sheets. What is done stays done: run it again after a
stop, or with more locales. The data sets are removed once they are checked, unless --keep is given. Exits with 1 if
anything is wrong. Needs hb-shape (Debian: libharfbuzz-bin).
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "scripts")]

import cv2  # noqa: E402
import fontset  # noqa: E402
import numpy as np  # noqa: E402
import uharfbuzz  # noqa: E402
from check_labels import WITHOUT_GLYPH, Fonts, shaped_badly  # noqa: E402

from synth.fonts.face import Face  # noqa: E402
from synth.fonts.index import scan, sfnt_path  # noqa: E402
from synth.render.shape import Run, shape_line  # noqa: E402
from synth.report.summary import below_minimum  # noqa: E402
from synth.shards.manifest import read_manifest  # noqa: E402
from synth.shards.reader import ShardReader  # noqa: E402
from synth.text.charset import Charset  # noqa: E402

# fmt: off
LOCALES = (
    "ar", "fa", "ur", "ckb", "ps", "hy", "as", "bn", "chr", "ru", "sr", "kk", "hi", "mr", "ne", "am", "ti", "ka", "el",
    "gu", "pa", "he", "yi", "kn", "km", "ko", "lo", "ml", "my", "ja", "zh", "zh_Hant", "nqo", "or", "si", "syr", "ta",
    "te", "th", "bo", "dz", "vi", "tr", "pl", "yo", "dv", "zgh", "ff_Adlm", "iu", "sat", "vai", "ii", "mni_Mtei",
    "mn_Mong", "cop", "jv_Java", "ban_Bali", "osa", "rhg_Rohg", "lis",
)
# fmt: on
"""Sixty or so, in more than forty scripts."""

_SHAPED = 200  # labels of a locale that are compared with hb-shape
_SHOWN = 56  # samples on a sheet
_SHEET = 1600  # pixels
_NODE = """
import * as hb from "harfbuzzjs"; import { readFileSync } from "fs";
const answers = [hb.versionString()];
for (const run of JSON.parse(readFileSync(0))) {
  const font = new hb.Font(new hb.Face(new hb.Blob(readFileSync(run.path)), run.number));
  const buffer = new hb.Buffer();
  const points = [...run.text].map(character => character.codePointAt(0));
  buffer.addCodePoints(points, run.start, run.stop - run.start);
  buffer.setDirection(run.rtl ? hb.Direction.RTL : hb.Direction.LTR);
  buffer.setScript(run.script); buffer.setLanguage(run.language);
  buffer.setFlags((run.start ? 0 : 1) | (run.stop < points.length ? 0 : 2));  // beginning and end of text
  hb.shape(font, buffer);
  const places = buffer.getGlyphPositions();
  answers.push(buffer.getGlyphInfos().map((glyph, k) =>
    [glyph.codepoint, glyph.cluster - run.start, places[k].xAdvance, places[k].xOffset, places[k].yOffset]));
}
console.log(JSON.stringify(answers));
"""

Synth = Callable[[Sequence[str], Path], tuple[int, str]]
"""Runs `synth` with arguments in a folder: status, and what it said."""


@dataclass
class Row:
    """What came of one locale.

    Attributes:
        locale: as `synth script` takes it.
        script: ISO 15924.
        texts: lines of the corpus.
        units: entries of the dictionary, without the space.
        samples: images made.
        bound: images of the same length that would do if no unit came more often than asked.
        reached: units in N labels or more.
        unreached: the others that the plan gives up, with its reason.
        shaped: runs compared with hb-shape.
        versions: runs that hb-shape, of another version, shapes otherwise, and harfbuzzjs (if it was asked) as we do.
        faults: what is wrong, in words; none if all is well.
        seconds: of the four commands.
    """

    locale: str
    script: str = ""
    texts: int = 0
    units: int = 0
    samples: int = 0
    bound: int = 0
    reached: int = 0
    unreached: dict[str, str] = field(default_factory=dict)
    shaped: int = 0
    versions: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    HEAD = f"{'locale':9} {'script':6} {'texts':>6} {'units':>6} {'samples':>8} {'bound':>8} {'reached':>8} {'s':>6}"

    def text(self) -> str:
        """A line of the table, and one for each reason and fault below it."""
        lines = [
            f"{self.locale:9} {self.script:6} {self.texts:6,} {self.units:6,} {self.samples:8,} {self.bound:8,} "
            f"{self.reached:8,} {self.seconds:6.0f}"
        ]
        for reason in sorted(set(self.unreached.values())):
            units = [unit for unit, why in self.unreached.items() if why == reason]
            codes = ", ".join("+".join(f"{ord(c):04X}" for c in unit) for unit in units[:12])
            lines.append(f"  {len(units)} out of reach, {reason}: {codes}{' …' if len(units) > 12 else ''}")
        more = [f"and {len(self.faults) - 10} more faults"] if len(self.faults) > 10 else []
        return "\n".join([*lines, *(f"  WRONG: {fault}" for fault in [*self.faults[:10], *more])])


class Failed(Exception):
    """A command did not end well; says which, and how."""


def run_locale(
    locale: str,
    folder: Path,
    minimum: int,
    fonts: Sequence[Path],
    synth: Synth,
    sheets: Path | None = None,
    harfbuzzjs: Path | None = None,
) -> Row:
    """Build, plan, generate, verify and check one locale in `folder`, which holds the data set afterwards."""
    row = Row(locale)
    begun = time.monotonic()
    try:
        data = make(row, folder, minimum, fonts, synth)
    except Failed as failed:
        row.faults.append(str(failed))
        return row
    row.seconds = round(time.monotonic() - begun, 1)
    check(row, folder / data, Charset.from_file(next(folder.glob("*_dict.txt"))), minimum, fonts, harfbuzzjs)
    if sheets is not None:
        sheet = sheets / f"{row.script}.png"
        if not sheet.exists():
            draw_sheet(ShardReader(folder / data), sheet)
    return row


def make(row: Row, folder: Path, minimum: int, fonts: Sequence[Path], synth: Synth) -> str:
    """Run the commands that `synth script` prints; the name of the data set's folder. Raises Failed."""

    def run(*args: str) -> str:
        code, said = synth(args, folder)
        if code:
            raise Failed(f"synth {shlex.join(args)}: status {code}: {' '.join(said.split())[-400:]}")
        return said

    # What fonts make of the script is no matter here, so it is tried with one.
    told = run("script", row.locale, "--fonts", str(scan(list(fonts) or None).faces[0].path))
    facts, _, following = told.partition("\nnext\n")
    row.script = re.findall(r"^script .*?([A-Z][a-z]{3})(?:\)| in ISO 15924)$", facts, re.MULTILINE)[0]

    def command(name: str) -> list[str]:
        line = next(line for line in following.splitlines() if line.startswith(f"  synth {name} "))
        return shlex.split(line, comments=True)[1:]

    corpus, charset, generate = map(command, ("corpus build", "charset build", "generate"))
    generate[generate.index("--min-per-unit") + 1] = str(minimum)
    data = generate[generate.index("--output") + 1]
    run(*corpus)
    run(*charset)
    if fonts:
        generate += ["--fonts", *map(str, fonts)]
    run(*generate, *(["--resume"] if (folder / data).exists() else []))
    run("verify", data, "--charset", charset[charset.index("--output") + 1])
    texts = (folder / corpus[corpus.index("--output") + 1]).read_text(encoding="utf-8")
    row.texts = len(texts.splitlines())
    return data


@cache
def character_maps(fonts: tuple[Path, ...]) -> Fonts:
    """Those of all fonts that the data may be drawn with."""
    return Fonts(scan(list(fonts) or None).faces)


def check(row: Row, data: Path, charset: Charset, minimum: int, fonts: Sequence[Path], harfbuzzjs: Path | None) -> None:
    """Fill in what is found in a data set."""
    manifest = read_manifest(data)
    plan = manifest["plan"]
    language, direction = (manifest["recipe"]["corpus"][key] for key in ("language", "direction"))
    row.bound, row.units = plan["bound"], plan["wanted"]
    reader = ShardReader(data)
    row.samples = len(reader)
    maps = character_maps(tuple(fonts))
    counts: Counter[str] = Counter()
    drawn: dict[str, set[str]] = defaultdict(set)
    step = max(1, len(reader) // _SHAPED)
    compared: dict[str, set[str]] = defaultdict(set)
    for index in range(len(reader)):
        label, meta = reader[index][1], reader.meta(index)
        counts.update(charset.split(label))
        names = [meta["font"], *meta.get("fallback", [])]
        known = [maps.glyphs(face) for name in names for face in maps.named(name)]
        for character in set(label) - set(WITHOUT_GLYPH):
            if not any(ord(character) in glyphs for glyphs in known):
                row.faults.append(f"sample {index}: U+{ord(character):04X} is in none of {names}")
        if len(names) == 1:
            drawn[names[0]].add(label)
            if index % step == 0:
                compared[names[0]].add(label)
    below = dict(below_minimum(charset, counts, minimum))
    row.reached = row.units - len(below)
    for unit, count in below.items():
        if unit in plan["unreached"]:
            row.unreached[unit] = plan["unreached"][unit]
        else:
            row.faults.append(f"{unit!r} stands in {count} labels only")
    suspects = shaped_badly(drawn, maps, fontset.hb_shape_program())
    for name, label in suspects:
        compared[name].add(label)
    found = [
        item
        for name, labels in compared.items()
        for item in differences(row, name, sorted(labels), maps, language, direction)
    ]
    differing = {(name, label) for name, label, *_ in found}
    row.faults += [
        f"{name}: {label!r}: missing glyph or dotted circle"
        for name, label in suspects
        if (name, label) not in differing
    ]
    decide(row, found, harfbuzzjs)


Difference = tuple[str, str, dict[str, Any], list[Any]]
"""A run that hb-shape shapes otherwise: face, label, what another program needs to shape it, and our glyphs."""


def differences(
    row: Row, name: str, labels: Sequence[str], maps: Fonts, language: str | None, direction: Any
) -> list[Difference]:
    """Shape labels once more in the face of a name and compare each run with hb-shape; they are counted in `row`."""
    found: list[Difference] = []
    for info in maps.named(name):
        face = Face(info)
        able = maps.glyphs(info)
        alike: dict[tuple[str, bool, str, str], list[tuple[str, Run]]] = defaultdict(list)
        for label in labels:
            if any(ord(c) not in able and c not in WITHOUT_GLYPH for c in label):
                continue
            for run in shape_line(label, [(face, 0, len(label))], language=language, direction=direction):
                alike[run.script, run.rtl, label[: run.start], label[run.stop :]].append((label, run))
        for (script, rtl, before, after), runs in alike.items():
            facts: dict[str, Any] = {"script": script, "language": language or "und", "rtl": rtl}
            parts = [label[run.start : run.stop] for label, run in runs]
            row.shaped += len(runs)
            shaped = fontset.hb_shape(face, parts, **facts, before=before, after=after)
            for (label, run), expected in zip(runs, shaped, strict=True):
                ours = fontset.glyphs_of(run)
                if ours != expected:
                    place = {"path": str(sfnt_path(info)), "number": info.number}
                    case = {**place, **facts, "text": label, "start": run.start, "stop": run.stop}
                    found.append((name, label, case, [list(glyph) for glyph in ours]))
    return found


def decide(row: Row, found: Sequence[Difference], harfbuzzjs: Path | None) -> None:
    """Which differences from hb-shape are faults, and which its version's."""
    if not found:
        return
    ours = uharfbuzz.version_string()
    tool = subprocess.run([fontset.hb_shape_program(), "--version"], capture_output=True, text=True, check=True)
    theirs = tool.stdout.splitlines()[0].split()[-1]
    if theirs == ours:
        row.faults += [f"{name}: {label!r}: differs from hb-shape" for name, label, *_ in found]
        return
    if harfbuzzjs is None:
        row.versions += len(found)
        return
    command = ["node", "--input-type=module", "--eval", _NODE]
    cases = json.dumps([case for _, _, case, _ in found])
    done = subprocess.run(command, input=cases, cwd=harfbuzzjs, capture_output=True, text=True, check=True)
    version, *shaped = json.loads(done.stdout)
    if version != ours:
        raise SystemExit(f"harfbuzzjs is HarfBuzz {version}, uharfbuzz {ours}: install one of the same version")
    for (name, label, _, glyphs), other in zip(found, shaped, strict=True):
        if glyphs == other:
            row.versions += 1
        else:
            row.faults.append(f"{name}: {label!r}: differs from hb-shape {theirs} and from harfbuzzjs {version}")


def draw_sheet(reader: ShardReader, path: Path) -> None:
    """Samples evenly spread over a data set, in rows, at their own size."""
    rows: list[list[np.ndarray]] = [[]]
    room = _SHEET
    for index in np.linspace(0, len(reader) - 1, min(_SHOWN, len(reader))).astype(int).tolist():
        image = cv2.imdecode(np.frombuffer(reader[index][0], np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        image = cv2.copyMakeBorder(image[:, : _SHEET - 8], 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=(128, 128, 128))
        if image.shape[1] > room:
            rows.append([])
            room = _SHEET
        rows[-1].append(image)
        room -= image.shape[1]
    strips = [np.hstack(row) for row in rows]
    grey = (128, 128, 128)
    sheet = [cv2.copyMakeBorder(s, 0, 0, 0, _SHEET - s.shape[1], cv2.BORDER_CONSTANT, value=grey) for s in strips]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.vstack(sheet))


def summary(rows: Sequence[Row], minimum: int) -> str:
    """The table in one sentence."""
    return (
        f"{len(rows)} locales in {len({row.script for row in rows})} scripts: "
        f"{sum(row.units for row in rows):,} units, "
        f"{sum(row.reached for row in rows):,} in {minimum} labels or more, "
        f"{sum(len(row.unreached) for row in rows)} given up with a reason; "
        f"{sum(row.samples for row in rows):,} images ({sum(row.bound for row in rows):,} is the bound), "
        f"{sum(row.shaped - row.versions for row in rows):,} runs as hb-shape, "
        f"{sum(row.versions for row in rows)} not as its version; {sum(bool(row.faults) for row in rows)} locales wrong"
    )


def in_a_process(args: Sequence[str], folder: Path) -> tuple[int, str]:
    """`synth` as a person runs it."""
    folder.mkdir(parents=True, exist_ok=True)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from synth.cli import main; main(prog_name='synth')"
    done = subprocess.run([sys.executable, "-c", code, *args], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("locales", nargs="*", default=LOCALES, help=f"by default: {' '.join(LOCALES)}")
    parser.add_argument("--output", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--fonts", type=Path, action="append", default=[], help="folder of fonts; may be repeated")
    parser.add_argument("--min-per-unit", type=int, default=200, help="labels with each unit")
    parser.add_argument("--harfbuzzjs", type=Path, metavar="DIR", help="where npm has installed harfbuzzjs")
    parser.add_argument("--keep", action="store_true", help="keep the data sets")
    options = parser.parse_args()
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it tells of tables that are of no use here
    fonts = [path.resolve() for path in options.fonts]
    output = options.output.resolve()
    harfbuzzjs = options.harfbuzzjs and options.harfbuzzjs.resolve()
    rows: list[Row] = []
    print(Row.HEAD, flush=True)
    for locale in options.locales:
        folder = output / locale
        done = folder / f"row-{options.min_per_unit}.json"
        if done.exists():
            row = Row(**json.loads(done.read_text(encoding="utf-8")))
        else:
            row = run_locale(locale, folder, options.min_per_unit, fonts, in_a_process, output / "sheets", harfbuzzjs)
            if not row.faults:
                done.write_text(json.dumps(asdict(row), ensure_ascii=False), encoding="utf-8")
                if not options.keep:
                    shutil.rmtree(folder / "data")
        rows.append(row)
        print(row.text(), flush=True)
    print(summary(rows, options.min_per_unit))
    return int(any(row.faults for row in rows))


if __name__ == "__main__":
    sys.exit(main())
