"""Readings against labels: accuracy, character error rates, which characters fail, and how."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
import regex
import unicodedata2
from rapidfuzz.distance import Levenshtein

from synth.text.units import split_units

KEPT: Final = 500
"""Mistakes of each kind that are kept with their texts; all are counted."""

MOST_PAIRS: Final = 200_000
"""Different confusions that are counted one by one; those met after so many are counted together."""

BINS: Final = 100
"""Equal parts of 0 to 1 in which confidences are counted."""

# ZWNJ and ZWJ choose between letter forms: they are no punctuation.
_NO_LETTER: Final = regex.compile(r"[^\p{L}\p{M}\p{N}\u200c\u200d]+")
_SPACE: Final = regex.compile(r"\p{White_Space}+")


@dataclass(frozen=True, slots=True)
class Mistake:
    """A reading that differs from its label.

    Attributes:
        label: what stands there, as given, not folded.
        read: what was read, likewise.
        confidence: of the reading.
        distance: edits between them in code points, as compared.
        key: names the sample for people.
        index: of the sample in its source.
    """

    label: str
    read: str
    confidence: float
    distance: int
    key: str
    index: int


_Entry = tuple[float, float, int, Mistake]


class RecognitionMetric:
    """Compares readings with raw labels, in NFC; nothing else is normalised, stripped or left out unless asked for.

    A label that is empty, or that folding empties, counts like any other: it is read right where the reading is empty
    (or folds to nothing) too, and what was read instead counts as inserted. Memory does not grow with the samples, but
    with the different characters and confusions, and with the latter up to `MOST_PAIRS`.

    Args:
        fold_case: compare without regard to case (full case folding, Unicode Standard 3.13: ß equals ss).
        fold_punctuation: compare letters, marks, numbers (categories L, M, N of any script), ZWJ and ZWNJ only.
        ignore_space: compare without white space.

    Attributes:
        count: samples.
        correct: samples whose reading equals the label.
        emptied: labels that folding made empty.
        occurrences: how often each character (grapheme cluster, UAX #29) stands in the labels, as compared.
        found: how often it was read where it stands.
        pairs: how often a character of a label (first) was read as another (second). The first is empty where nothing
            stands, the second where nothing was read.
        other_pairs: confusions met after `MOST_PAIRS` different ones.
        sure: samples by confidence, in `BINS` equal parts of 0 to 1.
        sure_correct: those of them that are correct.
    """

    def __init__(self, fold_case: bool = False, fold_punctuation: bool = False, ignore_space: bool = False) -> None:
        self.fold_case, self.fold_punctuation, self.ignore_space = fold_case, fold_punctuation, ignore_space
        self.count = self.correct = self.emptied = 0
        self.occurrences: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.other_pairs = 0
        self.sure = np.zeros(BINS, np.int64)
        self.sure_correct = np.zeros(BINS, np.int64)
        self._edits = self._length = self._cluster_edits = 0
        self._similarity = 0.0
        self._worst: list[_Entry] = []
        self._surest: list[_Entry] = []

    def fold(self, text: str) -> str:
        """A text as it is compared: NFC, folded as asked for."""
        folded: str = unicodedata2.normalize("NFC", text)
        if self.fold_case:
            folded = folded.casefold()
        if self.fold_punctuation:
            folded = _NO_LETTER.sub("", folded)
        if self.ignore_space:
            folded = _SPACE.sub("", folded)
        if self.fold_case or self.fold_punctuation or self.ignore_space:
            folded = unicodedata2.normalize("NFC", folded)
        return folded

    def add(self, read: str, label: str, *, confidence: float = 0.0, key: str = "", index: int = 0) -> None:
        """Count one sample.

        Args:
            read: what was read.
            label: what stands there.
            confidence: of the reading, 0 to 1.
            key: names the sample for people.
            index: of the sample in its source.
        """
        folded_read, folded_label = self.fold(read), self.fold(label)
        right = folded_read == folded_label
        self.count += 1
        self.correct += right
        self.emptied += bool(label) and not folded_label
        part = min(max(int(confidence * BINS), 0), BINS - 1)
        self.sure[part] += 1
        self.sure_correct[part] += right
        self._length += len(folded_label)
        clusters = split_units(folded_label, "grapheme")
        self.occurrences.update(clusters)
        if right:
            self.found.update(clusters)
            self._similarity += 1
            return
        distance = Levenshtein.distance(folded_read, folded_label)
        self._edits += distance
        self._similarity += 1 - distance / max(len(folded_read), len(folded_label))
        self._align(split_units(folded_read, "grapheme"), clusters)
        mistake = Mistake(label, read, confidence, distance, key, index)
        _keep(self._worst, (distance, confidence, -self.count, mistake))
        _keep(self._surest, (confidence, distance, -self.count, mistake))

    def _align(self, read: list[str], label: list[str]) -> None:
        edits = Levenshtein.editops(label, read)
        self._cluster_edits += len(edits)
        missed = set()
        for edit in edits:
            stands = "" if edit.tag == "insert" else label[edit.src_pos]
            if edit.tag != "insert":
                missed.add(edit.src_pos)
            pair = stands, "" if edit.tag == "delete" else read[edit.dest_pos]
            if pair in self.pairs or len(self.pairs) < MOST_PAIRS:
                self.pairs[pair] += 1
            else:
                self.other_pairs += 1
        self.found.update(cluster for at, cluster in enumerate(label) if at not in missed)

    def result(self) -> dict[str, float]:
        """The figures, of all samples together.

        Returns:
            `acc`: correct samples / samples.
            `cer`: edit distances / label lengths, both summed, in code points; above 1 where much was invented. Labels
            that are all empty count as of length 1 together.
            `cer_grapheme`: the same in grapheme clusters (UAX #29).
            `norm_edit_dis`: mean of 1 - distance / the longer one's length, in code points, as in PaddleOCR.
            `count`: samples. Of none, the figures are at their worst: `acc` and `norm_edit_dis` 0, the others 1.
        """
        if not self.count:
            return {"acc": 0.0, "cer": 1.0, "cer_grapheme": 1.0, "norm_edit_dis": 0.0, "count": 0}
        return {
            "acc": self.correct / self.count,
            "cer": self._edits / max(self._length, 1),
            "cer_grapheme": self._cluster_edits / max(self.occurrences.total(), 1),
            "norm_edit_dis": self._similarity / self.count,
            "count": self.count,
        }

    def recall(self) -> dict[str, float]:
        """Of every character of the labels, the share of its places where it was read."""
        return {cluster: self.found[cluster] / count for cluster, count in self.occurrences.items()}

    def worst(self) -> list[Mistake]:
        """The `KEPT` mistakes with the most edits, most first; of equal ones the surest first, then the earliest."""
        return [mistake for *_, mistake in sorted(self._worst, reverse=True)]

    def surest(self) -> list[Mistake]:
        """The `KEPT` mistakes of the highest confidence, highest first; of equal ones the worst first."""
        return [mistake for *_, mistake in sorted(self._surest, reverse=True)]

    def differences(self, mistake: Mistake) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
        """A mistake's label and reading, unfolded, cut into characters, each with whether it counts as an error.

        Characters that folding takes away are no errors.
        """
        label, folded_label, label_places = self._folded_clusters(mistake.label)
        read, folded_read, read_places = self._folded_clusters(mistake.read)
        missed, wrong = set(), set()
        for edit in Levenshtein.editops(folded_label, folded_read):
            if edit.tag != "insert":
                missed.add(label_places[edit.src_pos])
            if edit.tag != "delete":
                wrong.add(read_places[edit.dest_pos])
        return (
            [(cluster, at in missed) for at, cluster in enumerate(label)],
            [(cluster, at in wrong) for at, cluster in enumerate(read)],
        )

    def _folded_clusters(self, text: str) -> tuple[list[str], list[str], list[int]]:
        """Clusters of a text; what folding leaves of them; and for each of the latter, where its origin is."""
        clusters = split_units(unicodedata2.normalize("NFC", text), "grapheme")
        left = [
            (folded, at)
            for at, cluster in enumerate(clusters)
            for folded in split_units(self.fold(cluster), "grapheme")
        ]
        return clusters, [folded for folded, _ in left], [at for _, at in left]


def _keep(heap: list[_Entry], entry: _Entry) -> None:
    """Put an entry into a heap of the `KEPT` greatest."""
    if len(heap) < KEPT:
        heapq.heappush(heap, entry)
    elif entry > heap[0]:
        heapq.heapreplace(heap, entry)
