from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

import ocr.metrics.recognition as recognition
from ocr.metrics.recognition import Mistake, RecognitionMetric


def levenshtein(a: Sequence[str], b: Sequence[str]) -> int:
    """The plain table (Wagner and Fischer, 1974)."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]


def clusters(text: str) -> list[str]:
    return regex.findall(r"\X", text)


def measured(*samples: tuple[str, str], **options: bool) -> RecognitionMetric:
    """A metric that has seen (label, read) pairs."""
    metric = RecognitionMetric(**options)
    for index, (label, read) in enumerate(samples):
        metric.add(read, label, index=index)
    return metric


# Letters that combine, fold, join and reverse; few, so that texts share some.
LETTERS = st.text("aAéßſ\u0301\u0327 -١שक्ष\u200d\u094dெகா각ﬁİ", max_size=9)
SAMPLES = st.lists(st.tuples(LETTERS, LETTERS), min_size=1, max_size=6)


@given(SAMPLES)
def test_figures_are_those_of_the_plain_table(samples: list[tuple[str, str]]) -> None:
    normal = [tuple(unicodedata.normalize("NFC", text) for text in sample) for sample in samples]
    distances = [levenshtein(label, read) for label, read in normal]
    by_cluster = [levenshtein(clusters(label), clusters(read)) for label, read in normal]
    similarities = [
        1 - distance / max(len(label), len(read), 1) for distance, (label, read) in zip(distances, normal, strict=True)
    ]
    assert measured(*samples).result() == pytest.approx(
        {
            "acc": sum(label == read for label, read in normal) / len(normal),
            "cer": sum(distances) / max(sum(len(label) for label, _ in normal), 1),
            "cer_grapheme": sum(by_cluster) / max(sum(len(clusters(label)) for label, _ in normal), 1),
            "norm_edit_dis": sum(similarities) / len(normal),
            "count": len(normal),
        }
    )


@given(SAMPLES, st.booleans(), st.booleans(), st.booleans())
def test_the_counts_of_one_alignment_agree(
    samples: list[tuple[str, str]], case: bool, punctuation: bool, space: bool
) -> None:
    metric = measured(*samples, fold_case=case, fold_punctuation=punctuation, ignore_space=space)
    stands = Counter(cluster for label, _ in samples for cluster in clusters(metric.fold(label)))
    was_read = Counter(cluster for _, read in samples for cluster in clusters(metric.fold(read)))
    assert metric.occurrences == stands
    missed, wrong = Counter[str](), Counter[str]()
    for (label, read), count in metric.pairs.items():
        assert label != read
        missed[label] += count
        wrong[read] += count
    del missed[""], wrong[""]
    # What stands and was not found is in the pairs; and so is what was read and does not stand there.
    assert metric.found + missed == stands
    assert metric.found + wrong == was_read
    assert metric.pairs.total() == pytest.approx(metric.result()["cer_grapheme"] * max(stands.total(), 1))
    assert all(0 <= share <= 1 for share in metric.recall().values())
    assert len(metric.worst()) == metric.count - metric.correct
    for mistake in metric.worst():
        label, read = metric.differences(mistake)
        assert "".join(cluster for cluster, _ in label) == unicodedata.normalize("NFC", mistake.label)
        assert "".join(cluster for cluster, _ in read) == unicodedata.normalize("NFC", mistake.read)


@given(LETTERS, st.booleans(), st.booleans(), st.booleans())
def test_folding_is_done_once_and_for_all(text: str, case: bool, punctuation: bool, space: bool) -> None:
    metric = RecognitionMetric(case, punctuation, space)
    folded = metric.fold(text)
    assert metric.fold(folded) == folded
    assert unicodedata.is_normalized("NFC", folded)
    assert metric.fold(unicodedata.normalize("NFD", text)) == folded


def test_hand_computed_figures() -> None:
    metric = measured(("kitten", "sitting"), ("same", "same"), ("ab", ""))
    # kitten → sitting: k → s, e → i, and g invented; "ab": both left out.
    assert metric.result() == pytest.approx(
        {"acc": 1 / 3, "cer": 5 / 12, "cer_grapheme": 5 / 12, "norm_edit_dis": (4 / 7 + 1 + 0) / 3, "count": 3}
    )
    assert metric.pairs == {("k", "s"): 1, ("e", "i"): 1, ("", "g"): 1, ("a", ""): 1, ("b", ""): 1}
    assert metric.recall() == {
        **{"k": 0, "i": 1, "t": 1, "e": 1 / 2, "n": 1},
        **{"s": 1, "a": 1 / 2, "m": 1, "b": 0},
    }


@pytest.mark.parametrize(
    ("label", "read", "edits", "length", "cluster_edits", "cluster_length", "pairs"),
    [
        # Kannada: the vowel sign i missing changes one cluster of two, and one code point of three.
        ("ಕಿತ", "ಕತ", 1, 3, 1, 2, {("ಕಿ", "ಕ"): 1}),
        # A conjunct is one cluster in Devanagari (UAX #29, GB9c).
        ("क्षमा", "कमा", 2, 5, 1, 2, {("क्ष", "क"): 1}),
        # Arabic in logical order: the last letter differs.
        ("كتاب", "كتات", 1, 4, 1, 4, {("ب", "ت"): 1}),
        # Polytonic Greek: one code point in NFC, whatever was given.
        ("ᾧ", unicodedata.normalize("NFD", "ὧ"), 1, 1, 1, 1, {("ᾧ", "ὧ"): 1}),
        # Khmer: a subscript consonant is part of its cluster.
        ("ស្រី", "សរី", 1, 4, 2, 1, {}),
        # Korean syllables, composed from letters.
        ("한국", unicodedata.normalize("NFD", "한글"), 1, 2, 1, 2, {("국", "글"): 1}),
        # A family of three joined by ZWJ, beyond the basic plane: five code points, one cluster.
        ("👨\u200d👩\u200d👧", "👨\u200d👩", 2, 5, 1, 1, {("👨\u200d👩\u200d👧", "👨\u200d👩"): 1}),
    ],
)
def test_scripts(
    label: str,
    read: str,
    edits: int,
    length: int,
    cluster_edits: int,
    cluster_length: int,
    pairs: dict[tuple[str, str], int],
) -> None:
    metric = measured((label, read))
    assert metric.result()["cer"] == pytest.approx(edits / length)
    assert metric.result()["cer_grapheme"] == pytest.approx(cluster_edits / cluster_length)
    if pairs:
        assert metric.pairs == pairs


def test_another_spelling_is_right_and_nothing_else_is_forgiven() -> None:
    assert measured(("é", "e\u0301")).result()["acc"] == 1
    for label, read in [
        ("a ", "a"),
        (" a", "a"),
        ("A", "a"),
        ("a.", "a"),
        ("ﬁ", "fi"),
        ("１", "1"),
        ("می\u200cخواهم", "میخواهم"),
        ("☑", ""),
    ]:
        assert measured((label, read)).result()["acc"] == 0, (label, read)


def test_only_what_is_asked_for_is_folded() -> None:
    assert measured(("Straße", "STRASSE"), fold_case=True).result()["acc"] == 1
    assert measured(("ΣΑΣ", "σας"), fold_case=True).result()["acc"] == 1
    assert measured(("a-b", "ab"), fold_case=True).result()["acc"] == 0
    assert measured(("a-b: «c»", "abc"), fold_punctuation=True).result()["acc"] == 1
    assert measured(("A", "a"), fold_punctuation=True).result()["acc"] == 0
    # Marks and numbers of any script stay, and so do the joiners.
    for text in ("ಕ್ಷಿ", "नमस्ते", "١٢٣", "e\u0301", "½Ⅳ", "می\u200cخواهم", "שָׁלוֹם"):
        assert RecognitionMetric(fold_punctuation=True).fold(text) == unicodedata.normalize("NFC", text)
    assert measured(("a b\u3000c", "abc"), ignore_space=True).result()["acc"] == 1
    assert measured(("a b.", "ab"), ignore_space=True).result()["acc"] == 0


def test_labels_that_folding_empties_still_count() -> None:
    metric = measured(("***", "-"), ("***", "a"), ("", ""), ("b", "b"), fold_punctuation=True)
    assert metric.emptied == 2
    assert metric.pairs == {("", "a"): 1}
    assert metric.result() == pytest.approx(
        {"acc": 3 / 4, "cer": 1, "cer_grapheme": 1, "norm_edit_dis": 3 / 4, "count": 4}
    )
    # The denominator is never zero.
    assert measured(("", "abc")).result() == {"acc": 0, "cer": 3, "cer_grapheme": 3, "norm_edit_dis": 0, "count": 1}


def test_of_no_samples_the_figures_are_at_their_worst() -> None:
    assert RecognitionMetric().result() == {"acc": 0, "cer": 1, "cer_grapheme": 1, "norm_edit_dis": 0, "count": 0}


def test_the_worst_and_the_surest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "KEPT", 3)
    metric = RecognitionMetric()
    for index, (read, confidence) in enumerate(
        [("abcd", 1.0), ("abcX", 0.9), ("aXXX", 0.2), ("abXX", 0.7), ("XXXX", 0.1), ("aXXX", 0.3), ("aXXX", 0.3)]
    ):
        metric.add(read, "abcd", confidence=confidence, key=f"sample {index}", index=index)
    assert [mistake.index for mistake in metric.worst()] == [4, 5, 6]
    assert [mistake.index for mistake in metric.surest()] == [1, 3, 5]
    assert metric.worst()[0] == Mistake("abcd", "XXXX", 0.1, 4, "sample 4", 4)
    assert metric.count - metric.correct == 6


def test_confusions_beyond_the_bound_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "MOST_PAIRS", 2)
    metric = measured(("a", "x"), ("b", "y"), ("c", "z"), ("a", "x"), ("d", ""))
    assert metric.pairs == {("a", "x"): 2, ("b", "y"): 1}
    assert metric.other_pairs == 2
    assert metric.found.total() == 0 and metric.occurrences.total() == 5


def test_confidences_are_counted_by_hundredths() -> None:
    metric = RecognitionMetric()
    for read, confidence in [("a", 1.0), ("a", 0.999), ("b", 0.99), ("a", 0.5), ("b", 0.0)]:
        metric.add(read, "a", confidence=confidence)
    assert {part: int(count) for part, count in enumerate(metric.sure) if count} == {0: 1, 50: 1, 99: 3}
    assert {part: int(count) for part, count in enumerate(metric.sure_correct) if count} == {50: 1, 99: 2}


def test_differences_are_marked_in_the_texts_as_given() -> None:
    metric = RecognitionMetric(fold_case=True, fold_punctuation=True)
    label, read = metric.differences(Mistake("Straße, 12", "STRASSE 1x3", 0.5, 2, "", 0))
    assert [cluster for cluster, wrong in label if wrong] == ["2"]
    assert [cluster for cluster, wrong in read if wrong] == ["x", "3"]
    plain = RecognitionMetric()
    label, read = plain.differences(Mistake("ಕಿತ", "ಕತ", 0.5, 1, "", 0))
    assert label == [("ಕಿ", True), ("ತ", False)]
    assert read == [("ಕ", True), ("ತ", False)]
