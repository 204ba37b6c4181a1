"""`ocr eval-read`: whole pages against their labels, texts found and texts read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tqdm import tqdm

from ocr.config import SourceConfig
from ocr.data.det import read_page
from ocr.data.sources import FileSource, nfc, open_source
from ocr.data.targets import Polygon
from ocr.metrics.detection import DetectionMetric, Page
from ocr.metrics.recognition import RecognitionMetric
from ocr.read.page import Text
from ocr.read.reader import Reader
from ocr.report.reading import write_reading


@dataclass(frozen=True)
class Compared:
    """A page and what was made of it.

    Attributes:
        index: in its source.
        page: numbers of what matches what.
        polygons, texts: as labelled.
        found: as found, their polygons in pixels of the picture as it was given.
    """

    index: int
    page: Page
    polygons: list[Polygon]
    texts: list[str]
    found: list[Text]


@dataclass
class SourceResult:
    """A source's pages.

    Attributes:
        source: see `open_source`.
        metric: of detection, and of both together.
        reading: of the texts that were found, read against labelled.
        pages: one by one.
    """

    source: FileSource
    metric: DetectionMetric
    reading: RecognitionMetric
    pages: list[Compared] = field(default_factory=list)


def evaluate(
    reader: Reader, paths: Sequence[Path], fold_case: bool, report: Path, log: Callable[[str], None]
) -> list[SourceResult]:
    """Read labelled pages, compare, say the figures and write a page with the mistakes.

    A text is right where a polygon is found that overlaps its own by an intersection over union above 0.5, and what was
    read in it equals the label, both in NFC. Whatever else is found counts as wrong, but for what lies in `###`.

    Args:
        reader: see `Reader`; what it drops is not found.
        paths: label files, folders with one, or LMDBs, labelled as for detection.
        fold_case: compare texts without regard to case.
        report: an HTML page.
        log: where lines go.

    Raises:
        ScriptoriumError: a source cannot be read, or the page not written.
    """
    results = []
    for path in paths:
        source = open_source(SourceConfig(name=path.name if len(paths) == 1 else str(path), path=path))
        assert isinstance(source, FileSource)
        result = SourceResult(source, DetectionMetric(fold_case), RecognitionMetric(fold_case=fold_case))
        for index in tqdm(range(len(source)), desc=source.name, unit="page", leave=False, disable=None):
            result.pages.append(_compared(reader, result, index))
        results.append(result)
    log(f"{'':24}{'pages':>7}{'texts':>8}{'':>6}{'precision':>11}{'recall':>10}{'hmean':>10}{'CER':>10}")
    for result in results:
        figures = result.metric.result()
        texts = sum(page.labelled for page in result.metric.pages)
        start = f"{result.source.name:24}{len(result.pages):7,}{texts:8,}"
        log(f"{start}{'found':>6}" + _rates(figures, ""))
        log(f"{'':39}{'read':>6}" + _rates(figures, "e2e_") + f"{result.reading.result()['cer']:10.2%}")
    log("CER of the texts that were found; " + ("case folded" if fold_case else "with regard to case"))
    log(f"page     {write_reading(results, report)}")
    for result in results:
        result.source.close()
    return results


def _rates(figures: dict[str, float], prefix: str) -> str:
    # Without any match there is nothing that could have been read.
    precision, recall, both = (figures.get(prefix + kind, 0.0) for kind in ("precision", "recall", "hmean"))
    return f"{precision:11.2%}{recall:10.2%}{both:10.2%}"


def _compared(reader: Reader, result: SourceResult, index: int) -> Compared:
    page = read_page(result.source, index)
    reading = reader.read(page.image)
    found = reading.texts
    texts = [nfc(text) for text in page.texts]
    polygons = [reading.in_picture(text.polygon) for text in found]
    read = [nfc(text.text) for text in found]
    matched = result.metric.add(polygons, page.polygons, texts, key=page.key, read=read)
    for one, two in matched.matches:
        result.reading.add(read[one], texts[two], confidence=found[one].confidence, key=page.key, index=index)
    moved = [replace(text, polygon=polygon) for polygon, text in zip(polygons, found, strict=True)]
    return Compared(index, matched, page.polygons, texts, moved)
