"""`ocr read`: from names of pictures, scans and films to texts, page by page, in bounded memory."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from augment.errors import ScriptoriumError
from ocr.infer.backends import open_backend
from ocr.infer.detector import open_detector
from ocr.infer.direction import open_turner
from ocr.infer.images import BadImage, find
from ocr.infer.kind import open_chooser
from ocr.infer.recogniser import Recogniser
from ocr.read.draw import PageDrawer
from ocr.read.formats import TSV_HEAD, NamedPage, alto, hocr, json_line, tsv
from ocr.read.inputs import ALL, Sheet, sheets
from ocr.read.pdf import SearchablePdf
from ocr.read.reader import Reader, upright
from synth.report.preview import write_whole
from synth.report.summary import counted

Say = Callable[[str], None]
Format = Literal["text", "json", "tsv", "hocr", "alto", "pdf", "picture"]

PRINTED: Final = ("text", "json", "tsv")
STAGES: Final = ("load", "direction", "detect", "crop", "recognise", "order", "write")
_SUFFIX: Final = {"text": ".txt", "json": ".jsonl", "tsv": ".tsv", "hocr": ".hocr", "alto": ".xml", "pdf": ".pdf"}


def open_reader(
    det: Path,
    recs: Sequence[str],
    overrides: Sequence[str],
    drop_score: float,
    threads: int,
    page_direction: Path | None = None,
    line_direction: Path | None = None,
    choose: Path | None = None,
) -> Reader:
    """The reader that a command line names.

    Args:
        det: see `open_detector`.
        recs: a recogniser, or several as `name=path`; none: texts are only found.
        overrides: of the detector's spec.
        drop_score, threads: see `Reader`.
        page_direction, line_direction: direction classifiers; None: pictures are taken to stand upright.
        choose: a classifier of kinds of lines whose names are those of the recognisers; None: the surest is believed.

    Raises:
        ScriptoriumError: a model cannot be used, or is of the other kind, or one of several has no name; or there is
            nothing to choose among, or other names than the classifier has.
    """
    names: dict[str, Path] = {}
    for rec in recs:
        name, sign, path = rec.partition("=")
        if len(recs) > 1 and not (sign and name):
            raise ScriptoriumError(f"--rec {rec}: of several recognisers each has a name, such as latin=DIR")
        if name in names and sign:
            raise ScriptoriumError(f"--rec {rec}: there is another recogniser {name}; give each its own name")
        names[name if sign else ""] = Path(path if sign else rec)
    if choose is not None and len(recs) < 2:
        raise ScriptoriumError(f"--choose {choose}: wants several recognisers, such as --rec latin=DIR arabic=DIR")
    detector = open_detector(det, overrides, threads)
    recognisers = {name: Recogniser(open_backend(path, threads)) for name, path in names.items()}
    return Reader(
        detector,
        recognisers or None,
        chooser=open_chooser(choose, threads=threads) if choose else None,
        page_turner=open_turner(page_direction, "page", threads=threads) if page_direction else None,
        line_turner=open_turner(line_direction, "crop", threads=threads) if line_direction else None,
        drop_score=drop_score,
        threads=threads,
    )


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        pages, texts: that were read.
        failed: inputs that could not be read, or not to their end.
        dropped: texts that were read with too little confidence.
        seconds: by stage.
    """

    pages: int = 0
    texts: int = 0
    failed: int = 0
    dropped: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add times."""
        for stage, value in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + value

    def times(self) -> str:
        """The time that each stage took, a line for each."""
        whole = sum(self.seconds.values())
        rows = [
            f"{stage:10}{self.seconds[stage]:9.3f} s{self.seconds[stage] / max(self.pages, 1) * 1000:10.1f} ms a page"
            f"{self.seconds[stage] / max(whole, 1e-9):8.1%}"
            for stage in STAGES
            if stage in self.seconds
        ]
        return "\n".join([*rows, f"{'all':10}{whole:9.3f} s{whole / max(self.pages, 1) * 1000:10.1f} ms a page"])


def read(
    reader: Reader,
    arguments: Sequence[str],
    formats: Sequence[Format],
    output: Path | None,
    out: Say,
    complain: Say,
    *,
    dpi: int = 200,
    every: float = 1.0,
) -> Outcome:
    """Read pictures and print or write what they say, in their order.

    Args:
        reader: see `Reader`.
        arguments: files, folders, URLs, `-` for names on standard input: see `ocr.infer.images.find`.
        formats: without `output`, one of `PRINTED`.
        output: folder for a file of each format for each input, by number and name; made if need be.
        out: prints a part of the result.
        complain: prints a line about an input that could not be read.
        dpi, every: see `sheets`; the former is also how large the pages of a searchable PDF are.

    Raises:
        ScriptoriumError: formats that cannot be printed, or a file that cannot be written.
    """
    if output is None and (len(formats) != 1 or formats[0] not in PRINTED):
        raise ScriptoriumError(
            f"--format {' '.join(formats)}: name a folder with --output; without one, it is one of {', '.join(PRINTED)}"
        )
    outcome = Outcome()
    names = find(arguments, sys.stdin.buffer, ALL) if "-" in arguments else list(find(arguments, suffixes=ALL))
    drawer = PageDrawer() if "picture" in formats else None
    if output is not None and output.exists() and not output.is_dir():
        raise ScriptoriumError(f"--output {output}: is a file; name a folder")
    shown = sys.stderr.isatty() and not (output is None and sys.stdout.isatty())
    if output is None and formats[0] == "tsv":
        out(TSV_HEAD)
    total = len(names) if isinstance(names, list) else None
    for number, name in enumerate(tqdm(names, total=total, unit="file", disable=not shown, leave=False), 1):
        document = None if output is None else _Document(output, number, name, formats, dpi, drawer, complain)
        pages = 0
        try:
            for sheet in _loaded(sheets(name, dpi=dpi, every=every), outcome):
                pages += 1
                named, image = _read_sheet(reader, sheet, outcome)
                start = time.perf_counter()
                if document is None:
                    _print(named, formats[0], pages, total != 1, out)
                else:
                    document.add(named, image)
                outcome.add({"write": time.perf_counter() - start})
        except BadImage as error:
            outcome.failed += 1
            complain(str(error))
        start = time.perf_counter()
        if document is not None and pages:
            document.close()
        outcome.add({"write": time.perf_counter() - start})
    if not outcome.pages and not outcome.failed:
        raise ScriptoriumError("no picture named; name files, folders or addresses")
    return outcome


def _loaded(pages: Iterator[Sheet], outcome: Outcome) -> Iterator[Sheet]:
    while True:
        start = time.perf_counter()
        try:
            sheet = next(pages, None)
        finally:
            outcome.add({"load": time.perf_counter() - start})
        if sheet is None:
            return
        yield sheet


def _read_sheet(reader: Reader, sheet: Sheet, outcome: Outcome) -> tuple[NamedPage, NDArray[np.uint8]]:
    page = reader.read(sheet.image)
    outcome.add(page.seconds)
    outcome.pages += 1
    outcome.texts += len(page.texts)
    outcome.dropped += page.dropped
    image = upright(sheet.image, page.turn) if page.turn else sheet.image
    return NamedPage(sheet.name, sheet.number, page, sheet.seconds), image


def _print(named: NamedPage, format_: Format, pages: int, several: bool, out: Say) -> None:
    if format_ == "json":
        out(json_line(named) + "\n")
    elif format_ == "tsv":
        out(tsv(named))
    else:
        if several or pages > 1:
            out(_heading(named) + "\n")
        out(named.page.text + "\n" if named.page.text else "")


def _heading(named: NamedPage) -> str:
    where = f", {named.seconds:.1f} s" if named.seconds is not None else f", page {named.number}"
    return f"== {named.name}{where if named.seconds is not None or named.number > 1 else ''}"


class _Document:
    """The files of one input."""

    def __init__(
        self,
        folder: Path,
        number: int,
        name: str,
        formats: Sequence[Format],
        dpi: int,
        drawer: PageDrawer | None,
        complain: Say,
    ) -> None:
        stem = re.sub(r"[^\w.-]+", "_", Path(name).stem)[:60]
        self._start = folder / f"{number:06d}_{stem}"
        self._name, self._formats, self._drawer, self._complain = name, formats, drawer, complain
        self._pages: list[NamedPage] = []
        self._pdf = SearchablePdf(dpi) if "pdf" in formats else None

    def add(self, named: NamedPage, image: NDArray[np.uint8]) -> None:
        self._pages.append(named)
        if self._pdf is not None:
            self._pdf.add(image, named.page)
        if self._drawer is not None:
            drawn, undrawn = self._drawer(image, named.page)
            if undrawn:
                some = counted(len(undrawn), "text")
                self._complain(
                    f"no font draws {some} of {self._name}, such as {undrawn[0]!r}; see synth fonts install --help"
                )
            data = cv2.imencode(".png", drawn)[1].tobytes()
            write_whole(Path(f"{self._start}_{named.number:04d}.png"), data)

    def close(self) -> None:
        pages = self._pages
        for format_ in self._formats:
            if format_ == "picture":
                continue
            path = Path(f"{self._start}{_SUFFIX[format_]}")
            if format_ == "pdf":
                assert self._pdf is not None
                self._pdf.save(path)
            elif format_ == "hocr":
                write_whole(path, hocr(pages, self._name))
            elif format_ == "alto":
                write_whole(path, alto(pages))
            elif format_ == "json":
                write_whole(path, "".join(json_line(page) + "\n" for page in pages).encode(errors="replace"))
            elif format_ == "tsv":
                write_whole(path, (TSV_HEAD + "".join(map(tsv, pages))).encode(errors="replace"))
            else:
                # A form feed between pages, as pdftotext sets it.
                write_whole(path, "\f".join(page.page.text + "\n" for page in pages).encode(errors="replace"))
