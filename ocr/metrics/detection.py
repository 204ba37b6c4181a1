"""Found polygons against labelled ones: precision, recall and their harmonic mean.

The protocol is that of the ICDAR 2015 robust reading competition (Karatzas et al., 2015, task 4.1; with texts, 4.4):
a text is found where a polygon overlaps it by an intersection over union above 0.5, one for one, first come first
served; a polygon of which more than half lies in an ignored text counts neither for nor against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from ocr.data.targets import Polygon
from synth.pages.labels import IGNORED

OVERLAP: Final = 0.5


@dataclass(frozen=True, slots=True)
class Page:
    """What one picture gave.

    Attributes:
        key: names the picture for people.
        matches: pairs of numbers, (found polygon, labelled polygon).
        found, labelled: how many count.
        missed, wrong: numbers of labelled polygons that were not found, and of found ones that match none.
        read: of the matches, those whose texts agree; None where texts are not compared.
    """

    key: str
    matches: list[tuple[int, int]]
    found: int
    labelled: int
    missed: list[int]
    wrong: list[int]
    read: int | None = None


@dataclass
class DetectionMetric:
    """Adds up pictures.

    Attributes:
        fold_case: compare texts without regard to case.
        pages: all pictures so far.
    """

    fold_case: bool = True
    pages: list[Page] = field(default_factory=list)

    def add(
        self,
        found: Sequence[Polygon],
        labelled: Sequence[Polygon],
        texts: Sequence[str],
        *,
        key: str,
        read: Sequence[str] | None = None,
    ) -> Page:
        """Compare one picture.

        Args:
            found: polygons.
            labelled: polygons.
            texts: of the labelled ones, `###` for those to ignore.
            key: names the picture for people.
            read: what was read in each found polygon, where texts are to be compared.
        """
        ignored = [text == IGNORED for text in texts]
        ours, theirs = _shapes(found), _shapes(labelled)
        overlap = _intersections(ours, theirs)
        own, other = shapely.area(ours), shapely.area(theirs)
        skipped = np.array(ignored, np.bool_)
        free = np.ones(len(ours), np.bool_)
        if skipped.any():
            inside = overlap[:, skipped] > OVERLAP * own[:, None]
            free = ~inside.any(1) if len(ours) else free
        union = own[:, None] + other[None] - overlap
        matching = overlap > OVERLAP * union
        matching[:, skipped] = False
        matching[~free] = False
        matches: list[tuple[int, int]] = []
        taken: set[int] = set()
        for number in range(len(theirs)):
            for candidate in np.flatnonzero(matching[:, number]).tolist():
                if candidate not in taken:
                    taken.add(candidate)
                    matches.append((candidate, number))
                    break
        hit = {number for _, number in matches}
        agreed = None
        if read is not None:
            agreed = sum(self._same(read[one], texts[two]) for one, two in matches)
        page = Page(
            key,
            matches,
            int(free.sum()),
            int((~skipped).sum()),
            [number for number, ignore in enumerate(ignored) if not ignore and number not in hit],
            [number for number in np.flatnonzero(free).tolist() if number not in taken],
            agreed,
        )
        self.pages.append(page)
        return page

    def _same(self, one: str, two: str) -> bool:
        return one.casefold() == two.casefold() if self.fold_case else one == two

    def result(self) -> dict[str, float]:
        """precision, recall, hmean; with texts also e2e_precision, e2e_recall, e2e_hmean."""
        found, labelled = sum(page.found for page in self.pages), sum(page.labelled for page in self.pages)
        result = _rates("", sum(len(page.matches) for page in self.pages), found, labelled)
        if any(page.read is not None for page in self.pages):
            result |= _rates("e2e_", sum(page.read or 0 for page in self.pages), found, labelled)
        return result


def _rates(prefix: str, right: int, found: int, labelled: int) -> dict[str, float]:
    precision = right / found if found else 0.0
    recall = right / labelled if labelled else 0.0
    both = precision + recall
    names = (f"{prefix}precision", f"{prefix}recall", f"{prefix}hmean")
    return dict(zip(names, (precision, recall, 2 * precision * recall / both if both else 0.0), strict=True))


def _shapes(polygons: Sequence[Polygon]) -> NDArray[np.object_]:
    """Polygons as shapely knows them; those that cross themselves become the area that they wind around."""
    found = np.array([shapely.Polygon(polygon) for polygon in polygons], np.object_)
    broken = ~shapely.is_valid(found) if len(found) else np.zeros(0, np.bool_)
    if broken.any():
        found[broken] = shapely.make_valid(found[broken])
    return found


def _intersections(ours: NDArray[np.object_], theirs: NDArray[np.object_]) -> NDArray[np.float64]:
    """Areas in common, ours × theirs."""
    areas = np.zeros((len(ours), len(theirs)))
    if areas.size:
        one, two = shapely.STRtree(theirs).query(ours, predicate="intersects")
        areas[one, two] = shapely.area(shapely.intersection(ours[one], theirs[two]))
    return areas
