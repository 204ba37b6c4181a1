"""Coverage plans: what is planned, what is written, counted by brute force."""

from __future__ import annotations

import random
import string
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.errors import ScriptoriumError
from synth import Pipeline, Recipe
from synth.recipe import Corpus
from synth.shards.reader import ShardReader
from synth.text.charset import Charset
from synth.text.corpus import compile_corpus
from synth.text.plan import NO_FONT, NO_PLACE, CoveragePlan, kind, plan_coverage

pytestmark = pytest.mark.usefixtures("own_cache")

LINES = [
    "the lazy dog jumps over it",
    "a quick brown fox",
    "Seven Ships sailed",
    "it was 12:45 then",
    "résumé of it all",
]


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def counted(text: str, unit: str) -> int:
    """How often a unit of one code point stands in a text."""
    return sum(character == unit for character in text)


def planned(folder: Path, lines: list[str], units: list[str], minimum: int = 20, **keys: object) -> CoveragePlan:
    path = written(folder / "corpus.txt", lines)
    config = Corpus.model_validate({"piece": "line", "length": [1, 12], "min_per_unit": minimum} | keys)
    files = [(compile_corpus(path, folder), "corpus.txt", config.piece)]
    seed = random.Random(repr((lines, units, minimum, keys))).getrandbits(30)
    return plan_coverage(config, Charset(units), files, lambda text: "☠" not in text, seed, {})


def pipeline_of(folder: Path, dejavu: list[Path], units: list[str], *overrides: str, preset: str = "scene") -> Pipeline:
    Charset(units).write(folder / "dict.txt")
    recipe = Recipe.load(
        preset,
        corpus=[written(folder / "corpus.txt", LINES)],
        charset=folder / "dict.txt",
        overrides=["corpus.min_per_unit=15", "corpus.piece=line", *overrides],
        fonts={"paths": [str(path) for path in dejavu]},
    )
    return Pipeline(recipe)


def test_every_unit_is_in_the_labels_that_were_written(tmp_path, dejavu, synth):
    letters = [*string.ascii_letters, *string.digits, *":.éßžЖ"]
    Charset(letters).write(tmp_path / "dict.txt")
    corpus = written(tmp_path / "corpus.txt", LINES)
    # Margins that cut: what is planned must be in the frame all the same.
    made = synth(
        "generate", "--corpus", corpus, "--charset", tmp_path / "dict.txt", "--fonts", *dejavu, "--min-per-unit", "12",
        "--output", tmp_path / "data", "-o", "corpus.piece=line", "corpus.length=[1,14]", "layout.margin_x=[-0.5,0.1]",
    )  # fmt: skip
    assert made.code == 0, made
    labels = [label for _, label in ShardReader(tmp_path / "data")]
    assert f"{len(labels):,} texts" in made.out and "asked: 12" in made.out
    least = min(sum(counted(label, letter) for label in labels) for letter in letters)
    assert least >= 12
    assert f"each {least:,} times or more" in made.out
    assert max(map(len, labels)) <= 14
    # the space costs something, and so do the short lines of the corpus
    assert len(labels) < 2 * 12 * len(letters) / 8


def test_a_larger_count_adds_free_texts(tmp_path, dejavu, synth):
    Charset("abcde").write(tmp_path / "dict.txt")
    corpus = written(tmp_path / "corpus.txt", ["abc", "bad", "dead", "cab"])
    made = synth(
        "generate", "--corpus", corpus, "--charset", tmp_path / "dict.txt", "--fonts", *dejavu, "--min-per-unit", "5",
        "--output", tmp_path / "data", "--count", "60", "--recipe", "clean",
    )  # fmt: skip
    assert made.code == 0, made
    assert len(ShardReader(tmp_path / "data")) == 60


def test_any_order_and_company_gives_the_same_records(tmp_path, dejavu, monkeypatch):
    pipeline = pipeline_of(tmp_path, dejavu, [*"abcdefghij", "Q", "7"])
    assert pipeline.plan is not None
    records = pipeline.block(0, 40)
    assert [record.label for record in records[:5]] == [pipeline.plan[k][0] for k in range(5)]
    again = pipeline_of(tmp_path, dejavu, [*"abcdefghij", "Q", "7"])
    assert again.block(30, 40) == records[30:]
    assert again.record(7) == records[7]
    assert [sample.text for sample in again.samples([3, 39])] == [records[3].label, records[39].label]
    assert pipeline.first_text(3).text == records[3].label
    # without the cached plan, too
    monkeypatch.setenv("SCRIPTORIUM_CACHE", str(tmp_path / "other"))
    assert pipeline_of(tmp_path, dejavu, [*"abcdefghij", "Q", "7"]).block(0, 10) == records[:10]


def test_a_plan_is_read_from_the_cache_unless_it_is_broken(tmp_path, own_cache):
    plan = planned(tmp_path, LINES, list("abcde"))
    files = set((own_cache / "plans").iterdir())
    assert planned(tmp_path, LINES, list("abcde")).facts() == plan.facts()
    assert set((own_cache / "plans").iterdir()) == files
    [path] = [path for path in files if path.stat().st_mtime_ns == max(p.stat().st_mtime_ns for p in files)]
    whole = path.read_bytes()
    for cut in (0, 4, 40, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert [planned(tmp_path, LINES, list("abcde"))[k] for k in range(len(plan))] == [
            plan[k] for k in range(len(plan))
        ]
        assert path.read_bytes() == whole


def test_what_the_corpus_lacks_takes_the_place_of_its_like(tmp_path):
    plan = planned(tmp_path, LINES, [*string.ascii_letters, *string.digits, ":", "é"], 30)
    assert set(plan.lacking) == set(string.ascii_letters + string.digits) - set("".join(LINES))
    texts = [plan[k][0] for k in range(len(plan))]
    for unit in plan.planned:
        assert sum(counted(text, unit) for text in texts) == plan.planned[unit] >= 30
    # Capitals come where the corpus has them: at the beginning of a word or after another's end, never after a letter.
    inside = [text for text in texts if regex.search(r"\p{Ll}\p{Lu}", text)]
    assert not inside
    # two capitals in the one line that has some: 24 others, 31 times each, take half as many texts
    assert 24 * 31 / 2 <= len(texts) < 1.9 * 24 * 31 / 2
    capitals = planned(tmp_path, LINES, [*string.ascii_letters, *string.digits, ":", "é"], 30, case={"upper": 0.5})
    assert len(capitals) < 0.7 * len(plan)


def test_nearly_nothing_is_wasted_where_all_may_stand_anywhere(tmp_path):
    letters = [chr(point) for point in range(0x4E00, 0x4E00 + 400)]
    lines = ["".join(letters[k : k + 12]) for k in range(0, 120, 5)]
    plan = planned(tmp_path, lines, letters, 40)
    assert len(plan.lacking) == 400 - len(set("".join(lines)))
    # 400 × 40 places of twelve to a text: no plan could do with less
    assert 400 * 40 / 12 <= len(plan) <= 1.3 * 400 * 40 / 12
    positions = Counter(plan[k][0].find(letters[-1]) for k in range(len(plan)))
    del positions[-1]
    assert len(positions) > 6 and max(positions.values()) < 20


def test_what_cannot_be_covered_is_named(tmp_path):
    plan = planned(tmp_path, LINES, [*"abc", "☠", "\u0301"], 10)
    assert plan.impossible == {"☠": NO_FONT, "\u0301": NO_PLACE}
    assert set(plan.planned) == set("abc")
    assert "☠" in plan.text() and NO_FONT in plan.text()
    with pytest.raises(ScriptoriumError, match="no unit of charset can be covered"):
        planned(tmp_path, LINES, ["☠"], 10)


def test_a_kind_without_any_place_stands_by_itself(tmp_path):
    plan = planned(tmp_path, ["abc", "cab"], [*"abc", "☃", "№"], 8)
    texts = [plan[k][0] for k in range(len(plan))]
    assert sum(counted(text, "☃") for text in texts) >= 8
    assert all(set(text) <= set("☃№ ") for text in texts if "☃" in text)


def test_marks_stay_with_letters_that_may_bear_them(tmp_path):
    lines = ["ಕಿರು ಕಾಗದ", "ಮನೆ ಹಾಲು", "ಗಿಡ ಬೇರು"]
    units = ["ಕಿ", "ಕಾ", "ರು", "ಗ", "ದ", "ಮ", "ನೆ", "ಹಾ", "ಲು", "ಗಿ", "ಡ", "ಬೇ", "ಳೊ", "ಣೀ", "ಝ"]
    plan = planned(tmp_path, lines, units, 25)
    texts = [plan[k][0] for k in range(len(plan))]
    assert plan.lacking == ("ಳೊ", "ಣೀ", "ಝ")
    for text in texts:
        assert not regex.search(r"[\p{InSC=Vowel_Dependent}]{2}|(?<!\p{L})\p{M}", text)
    clusters = Counter(cluster for text in texts for cluster in regex.findall(r"\X", text))
    assert all(clusters[unit] >= 25 for unit in units)


def test_kinds():
    assert kind("ಕಿ") == kind("ಖ") != kind("ಅ")
    assert kind("a") == kind("z") != kind("A")
    assert kind("a") != kind("а")  # Cyrillic
    assert kind("7") == kind("3") != kind("½")
    assert kind("一") == kind("丁") != kind("한")
    assert kind("\u0cbf") != kind("\u0ccd")  # a vowel sign is no virama


@settings(max_examples=40)
@given(
    st.lists(st.text("abcdeXYZ019 .é", min_size=1, max_size=30), min_size=1, max_size=12),
    st.sets(st.sampled_from("abcdefXYZW0189.,é"), min_size=1, max_size=12),
    st.integers(1, 15),
    st.integers(2, 14),
)
def test_plans_reach_what_they_say(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], units: set[str], minimum: int, most: int
) -> None:
    folder = tmp_path_factory.mktemp("plan")
    if not any(line.strip() for line in lines):
        return
    plan = planned(folder, lines, sorted(units), minimum, length=[1, most])
    texts = [plan[k][0] for k in range(len(plan))]
    assert not plan.impossible
    for unit in units:
        assert sum(counted(text, unit) for text in texts) >= minimum
    assert all(1 <= len(text) <= most and set(text) <= units | {" "} and text == text.strip() for text in texts)
    assert len(texts) <= len(units) * (minimum + 1 + int(np.ceil(minimum * 0.02)))


def test_a_plan_needs_a_dictionary_and_a_corpus(tmp_path, dejavu, synth):
    corpus = written(tmp_path / "corpus.txt", LINES)
    said = synth("generate", "--corpus", corpus, "--fonts", *dejavu, "--min-per-unit", "5", "--output", tmp_path / "x")
    assert "corpus.min_per_unit: a plan needs a dictionary (--charset FILE)" in said.error
    said = synth("generate", "--corpus", corpus, "--min-per-unit", "0", "--output", tmp_path / "x")
    assert said.code == 2 and "--min-per-unit" in said.err
