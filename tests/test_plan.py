"""Coverage plans: what is planned, what is written, counted by brute force."""

from __future__ import annotations

import json
import math
import os
import shutil
import string
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

import synth.text.plan as plan_module
from augment.errors import ScriptoriumError
from synth import Pipeline, Recipe
from synth.recipe import Corpus
from synth.shards.reader import ShardReader
from synth.text.charset import Charset
from synth.text.plan import NO_CONTEXT, NO_FONT, NO_SHAPE, Facts, Plan, write_plan
from synth.text.source import TextSource

pytestmark = pytest.mark.usefixtures("own_cache")

LINES = [
    "the lazy dog jumps over it",
    "a quick brown fox",
    "Seven Ships sailed",
    "it was 12:45 then",
    "résumé of it all",
]
KANNADA = ["ಕಿರು ಕಾಗದ", "ಮನೆ ಹಾಲು", "ಗಿಡ ಬೇರು", "ಅಕ್ಕ ನಕ್ಷೆ"]


def written(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def counted(texts: Sequence[str], unit: str) -> int:
    """How often a unit that no other one holds stands in some texts."""
    return sum(text.count(unit) for text in texts)


def graphemes(texts: Sequence[str]) -> Counter[str]:
    return Counter(cluster for text in texts for cluster in regex.findall(r"\X", text))


def planned(
    folder: Path,
    lines: Sequence[str],
    units: Sequence[str],
    minimum: int = 20,
    *,
    seed: int = 0,
    drawable: Callable[[str], bool] = lambda text: "☠" not in text,
    covering: Callable[[str], int] = lambda text: int("☠" not in text),
    **keys: Any,
) -> Plan:
    files = [{"path": written(folder / "corpus.txt", lines)}]
    config = Corpus.model_validate({"files": files, "piece": "line", "length": [1, 12]} | keys)
    charset = Charset(units)
    source = TextSource(config, charset, folder / "cache")
    return write_plan(folder / "a.plan", source, charset, minimum, seed, covering, drawable)


def texts_of(plan: Plan) -> list[str]:
    return [plan.text(number)[0] for number in range(len(plan))]


def recipe_of(folder: Path, fonts: list[Path], units: Sequence[str], *overrides: str, preset: str = "scene") -> Recipe:
    Charset(units).write(folder / "dict.txt")
    return Recipe.load(
        preset,
        corpus=[written(folder / "corpus.txt", LINES)],
        charset=folder / "dict.txt",
        overrides=["corpus.min_per_unit=15", "corpus.piece=line", *overrides],
        fonts={"paths": list(map(str, fonts))},
    )


# -- what is written ---------------------------------------------------------------------------------------------


def test_every_unit_is_in_the_labels_that_were_written(tmp_path, dejavu, synth):
    letters = [*string.ascii_letters, *string.digits, *":.éßžЖ#"]
    Charset(letters).write(tmp_path / "dict.txt")
    corpus = written(tmp_path / "corpus.txt", LINES)
    # Margins that cut, and a floor that many attempts fall below: what is planned must be in the labels all the same.
    made = synth(
        "generate", "--corpus", corpus, "--charset", tmp_path / "dict.txt", "--fonts", *dejavu, "--min-per-unit", "12",
        "--output", tmp_path / "data", "-o", "corpus.piece=line", "corpus.length=[1,14]", "layout.margin_x=[-0.5,0.1]",
        "legibility.ratio=2",
    )  # fmt: skip
    assert made.code == 0, made
    labels = [label for _, label in ShardReader(tmp_path / "data")]
    least = min(counted(labels, letter) for letter in letters)
    assert least >= 12
    assert max(map(len, labels)) <= 14
    assert f"{len(letters)} units, each 12 times: {len(labels):,} images" in made.out
    assert f"reached  {len(letters)} of {len(letters)} units stand 12 times or more" in made.out
    assert "planned text cut off" in made.out
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["plan"]["texts"] == len(labels) == manifest["count"]
    assert manifest["plan"]["minimum"] == 12 and manifest["plan"]["unreached"] == {}
    report = synth("report", tmp_path / "data")
    assert f"all {len(letters)} units 12 times or more, as planned" in report.out


def test_count_is_a_floor_and_the_plan_is_spread(tmp_path, dejavu, synth):
    Charset("abcde").write(tmp_path / "dict.txt")
    corpus = written(tmp_path / "corpus.txt", ["abc", "bad", "dead", "cab"])
    command = [
        "generate", "--corpus", corpus, "--charset", tmp_path / "dict.txt", "--fonts", *dejavu,
        "--min-per-unit", "20", "--recipe", "clean",
    ]  # fmt: skip
    small = synth(*command, "--output", tmp_path / "small", "--count", "3")
    assert small.code == 0, small
    texts = len(ShardReader(tmp_path / "small"))
    assert 20 * 5 / 4 <= texts < 80
    large = synth(*command, "--output", tmp_path / "large", "--count", "300")
    assert large.code == 0 and "spread among 300 images" in large.out, large
    assert len(ShardReader(tmp_path / "large")) == 300
    # The recipe that is kept gives the same samples.
    pipeline = Pipeline(Recipe.load(tmp_path / "large" / "recipe.yaml"))
    labels = [label for _, label in ShardReader(tmp_path / "large")]
    assert [pipeline[k].text for k in range(20)] == labels[:20]
    places = [k for k in range(300) if pipeline.plan.place(k, 300) is not None]
    assert len(places) == texts and max(b - a for a, b in pairwise(places)) <= 300 // texts + 1


def test_any_order_and_company_gives_the_same_records(tmp_path, dejavu, monkeypatch):
    recipe = recipe_of(tmp_path, dejavu, [*"abcdefghij", "Q", "7"])
    pipeline = Pipeline(recipe)
    assert pipeline.plan is not None
    records = pipeline.block(0, 40)
    assert [record.label for record in records] == texts_of(pipeline.plan)[:40]
    again = Pipeline(recipe)
    assert again.block(30, 40) == records[30:]
    assert again.record(7) == records[7]
    assert [sample.text for sample in again.samples([3, 39])] == [records[3].label, records[39].label]
    assert pipeline.first_text(3).text == records[3].label
    # without the plan that is kept, too
    monkeypatch.setenv("SCRIPTORIUM_CACHE", str(tmp_path / "other"))
    assert Pipeline(recipe).block(0, 10) == records[:10]


def test_any_number_of_workers_interrupted_or_not_writes_the_same(tmp_path, dejavu, synth):
    Charset([*string.ascii_lowercase, *"QX7"]).write(tmp_path / "dict.txt")
    corpus = written(tmp_path / "corpus.txt", LINES)

    def make(name: str, *more: str) -> dict[str, bytes]:
        done = synth(
            "generate", "--corpus", corpus, "--charset", tmp_path / "dict.txt", "--fonts", *dejavu, "--recipe",
            "clean", "--min-per-unit", "30", "--count", "600", "--output", tmp_path / name,
            "-o", "output.shard_size=256", *more,
        )  # fmt: skip
        assert done.code == 0, done
        kept = [*(tmp_path / name).rglob("data.mdb"), tmp_path / name / "manifest.json"]
        return {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in kept}

    manifest = make("one")["manifest.json"]
    for workers in "2", "3":
        assert make(workers, "--workers", workers)["manifest.json"] == manifest
    # What a kill leaves: whole shards, and a manifest that says so.
    left = json.loads(manifest)
    for key in ("shards", "totals", "digest"):
        left.pop(key, None)
    (tmp_path / "one" / "manifest.json").write_text(json.dumps(left | {"complete": False}), encoding="utf-8")
    shutil.rmtree(tmp_path / "one" / "shard-00001")
    assert make("one", "--resume")["manifest.json"] == manifest


def test_a_plan_does_not_depend_on_the_order_of_sets(tmp_path):
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]); import test_plan\n"
        "folder = Path(sys.argv[1]); folder.mkdir()\n"
        "plan = test_plan.planned(folder, test_plan.LINES + test_plan.KANNADA, [*'abcdefghXYZ12:€é', 'ಕಿ', 'ಳೊ', 'ಕ್'])"
    )
    made = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent.parent)}
        command = [sys.executable, "-c", script, tmp_path / seed, Path(__file__).parent]
        subprocess.run(command, env=environment, check=True, timeout=120)
        made.append((tmp_path / seed / "a.plan").read_bytes())
    assert made[0] == made[1]


def test_a_plan_is_kept_unless_it_is_broken(tmp_path, dejavu, own_cache):
    recipe = recipe_of(tmp_path, dejavu, [*"abcdefg"], "seed=77")
    before = set((own_cache / "plans").glob("*"))
    texts = texts_of(Pipeline(recipe).plan)
    [path] = set((own_cache / "plans").iterdir()) - before
    whole, made = path.read_bytes(), path.stat().st_mtime_ns
    # The look and the count are no part of it; what it rests on is.
    other = recipe_of(tmp_path, dejavu, [*"abcdefg"], "seed=77", "corpus.plan_span=500", "layout.height=48")
    assert texts_of(Pipeline(other).plan) == texts and path.stat().st_mtime_ns == made
    assert texts_of(Pipeline(recipe_of(tmp_path, dejavu, [*"abcdefg"], "seed=78")).plan) != texts
    for cut in (0, 4, 40, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert texts_of(Pipeline(recipe).plan) == texts
        assert path.read_bytes() == whole


# -- what is planned ---------------------------------------------------------------------------------------------


def test_what_the_corpus_lacks_takes_the_place_of_its_like(tmp_path):
    units = [*string.ascii_letters, *string.digits, ":", "é"]
    plan = planned(tmp_path, LINES, units, 30)
    assert plan.facts.lacking == len(set(string.ascii_letters + string.digits) - set("".join(LINES)))
    texts = texts_of(plan)
    assert all(counted(texts, unit) >= 30 for unit in units)
    # Capitals come where the corpus has them: at the beginning of a word, or in words of capitals.
    assert not [text for text in texts if regex.search(r"\p{Ll}\p{Lu}", text)]
    # Whatever is no letter stays as the corpus has it, but for numbers in the place of words.
    assert not [text for text in texts if regex.search(r"\p{L}\p{Nd}|\p{Nd}\p{L}|:\p{L}|\p{L}:\p{L}", text)]


def test_nearly_nothing_is_wasted_where_all_may_stand_anywhere(tmp_path):
    letters = [chr(point) for point in range(0x4E00, 0x4E00 + 400)]
    lines = ["".join(letters[k : k + 12]) for k in range(0, 120, 5)]
    plan = planned(tmp_path, lines, letters, 40)
    assert plan.facts.lacking == 400 - len(set("".join(lines)))
    # 400 × 40 places of twelve to a text: no plan could do with less
    assert 400 * 40 / 12 <= len(plan) <= 1.2 * 400 * 40 / 12
    assert plan.facts.bound == math.ceil(400 * 40 / plan.facts.length)
    texts = texts_of(plan)
    assert len(set(texts)) == len(texts)
    positions = Counter(text.find(letters[-1]) for text in texts)
    del positions[-1]
    assert len(positions) > 6 and max(positions.values()) < 15
    # and never in the same company
    neighbours = {text[max(at - 1, 0) : at + 2] for text in texts if (at := text.find(letters[-1])) >= 0}
    assert len(neighbours) >= 39
    # any beginning of the data set has all kinds of units
    assert len(set("".join(texts[: len(texts) // 10]))) > 0.9 * 400


def test_a_unit_comes_from_all_its_lines(tmp_path):
    lines = [f"{a}{b} ж{a}{b}" for a in "абвгд" for b in "еиоу"]
    texts = texts_of(planned(tmp_path, lines, [*"абвгдеиоуж"], 40, piece="word"))
    # The unit that the corpus has least, in forty words or more of twenty.
    assert len({text for text in texts if "ж" in text}) >= 15


def test_marks_stay_with_letters_that_may_bear_them(tmp_path):
    units = ["ಕಿ", "ಕಾ", "ರು", "ಗ", "ದ", "ಮ", "ನೆ", "ಹಾ", "ಲು", "ಗಿ", "ಡ", "ಬೇ", "ಳೊ", "ಣೀ", "ಝ", "ಅ", "ಕ್", "ಕ", "ನ", "ಷೆ"]
    plan = planned(tmp_path, KANNADA, units, 25)
    texts = texts_of(plan)
    assert plan.facts.lacking == 3 and plan.facts.unreached == ()
    for text in texts:
        assert not regex.search(r"[\p{InSC=Vowel_Dependent}]{2}|(?<!\p{L})\p{M}|\u0ccd(?!\p{L})", text)
        assert not regex.search(r"\u0ccd\p{InSC=Vowel_Independent}", text)
    assert all(graphemes(texts)[unit] >= 25 for unit in units)


def test_code_points_of_one_grapheme_stay_together(tmp_path):
    units = [*sorted(set("".join(KANNADA)) - {" "}), "\u0ccc", "ಳ"]
    plan = planned(tmp_path, KANNADA, units, 20)
    texts = texts_of(plan)
    assert all(counted(texts, unit) >= 20 for unit in units)
    assert not [text for text in texts if regex.search(r"[\p{InSC=Vowel_Dependent}]{2}|(?<!\p{L})\p{M}", text)]
    assert not [text for text in texts if unicodedata.normalize("NFC", text) != text]


def test_a_mark_without_its_like_goes_to_a_letter_of_its_script(tmp_path):
    texts = texts_of(planned(tmp_path, ["tea", "box"], [*"teabox", "\u0331"], 12))
    assert counted(texts, "\u0331") >= 12
    assert all(regex.fullmatch(r"(\p{L}\u0331?)+", text) for text in texts)


def test_numbers_foreign_words_and_symbols_find_a_place(tmp_path):
    texts = texts_of(planned(tmp_path, ["abc cab", "bac"], [*"abc", *"0123", *"жщ", *"(#)"], 16))
    assert all(counted(texts, unit) >= 16 for unit in "abc0123жщ(#)")
    for text in texts:
        for word in text.split():
            assert regex.fullmatch(r"\(?([abc]+|[0123]+|[жщ]+)[#)]?", word), text


def test_spelling_of_the_dictionary_is_of_no_matter(tmp_path):
    # NFC takes U+09DC apart.
    plan = planned(tmp_path, ["গাড়ি বড়"], ["গা", "\u09dc", "\u09dcি", "ব"], 10)
    clusters = graphemes(texts_of(plan))
    assert clusters["\u09a1\u09bc"] >= 10 and clusters["\u09a1\u09bcি"] >= 10


def test_what_cannot_be_covered_is_named(tmp_path, dejavu, synth):
    units = [*"abc", "☠", "\u200d", "cb"]
    plan = planned(tmp_path, ["abc"], units, 10, drawable=lambda text: "cb" not in text)
    assert dict(plan.facts.unreached) == {"☠": NO_FONT, "\u200d": NO_CONTEXT, "cb": NO_SHAPE}
    assert all(counted(texts_of(plan), unit) >= 10 for unit in "abc")
    assert Facts.from_json(json.loads(json.dumps(plan.facts.to_json()))) == plan.facts
    with pytest.raises(ScriptoriumError, match=f"charset: no unit can be planned for \\({NO_FONT}"):
        planned(tmp_path, LINES, ["☠"], 10)
    Charset([*"abc", "ꙮ", "中"]).write(tmp_path / "dict.txt")
    corpus = written(tmp_path / "corpus.txt", ["abc"])
    made = synth(
        "generate", "--corpus", corpus, "--charset", tmp_path / "dict.txt", "--fonts", dejavu[1], "--min-per-unit", "4",
        "--output", tmp_path / "data", "--recipe", "clean",
    )  # fmt: skip
    assert made.code == 0 and f"2 out of reach, {NO_FONT}: ꙮ U+A66E, 中 U+4E2D" in made.out, made
    assert "reached  3 of 5 units stand 4 times or more\n         2 units out of reach" in made.out


def test_texts_keep_to_what_one_font_has(tmp_path):
    # Two fonts that share only c: no text needs both.
    texts = texts_of(
        planned(
            tmp_path,
            ["ccccccccccc"],
            [*"abcdefg"],
            30,
            covering=lambda text: 1 * (not set(text) - set("abcd")) | 2 * (not set(text) - set("cefg")),
        )
    )
    assert all(counted(texts, unit) >= 30 for unit in "abcdefg")
    assert sum(bool(set(text) & set("abd")) and bool(set(text) & set("efg")) for text in texts) == 0


@settings(max_examples=40)
@given(
    st.lists(st.text("abcdeXYZ019 .é", min_size=1, max_size=30), min_size=1, max_size=12),
    st.sets(st.sampled_from("abcdefXYZW0189.,é"), min_size=1, max_size=12),
    st.integers(1, 15),
    st.integers(2, 14),
    st.sampled_from(["line", "word", "words"]),
)
def test_plans_reach_what_they_say(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], units: set[str], minimum: int, most: int, piece: str
) -> None:
    folder = tmp_path_factory.mktemp("plan")
    alphabet = units | {" "}
    if not any(part.strip() for line in lines for part in regex.split(rf"[^{regex.escape(''.join(alphabet))}]", line)):
        return
    lines = [*lines, "".join(sorted(units))[:1]]
    plan = planned(folder, lines, sorted(units), minimum, length=[1, most], piece=piece)
    texts = texts_of(plan)
    unreached = dict(plan.facts.unreached)
    assert not unreached
    assert all(counted(texts, unit) >= minimum for unit in units)
    assert all(1 <= len(text) <= most and set(text) <= alphabet and text == text.strip() for text in texts)
    # No plan has fewer texts; this one has none that brings nothing.
    assert math.ceil(len(units) * minimum / most) <= len(texts) <= len(units) * minimum


@given(st.integers(1, 60), st.integers(0, 200), st.integers(0, 3))
def test_each_text_comes_once_in_a_span(size: int, span: int, passes: int) -> None:
    plan = object.__new__(Plan)
    plan.facts = Facts(1, 1, 0, 1, size, 0, 1.0, 1)
    whole = max(span, size)
    places = [plan.place(passes * whole + k, span) for k in range(whole)]
    assert [place for place in places if place is not None] == list(range(size))
    seen = 0
    for k, place in enumerate(places, 1):
        seen += place is not None
        assert abs(seen - k * size / whole) <= 1


def test_only_so_many_lines_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(plan_module, "_LINES", 64)
    lines = [f"{'ab'[k % 2]}{'cd'[k % 3 % 2]}" for k in range(5000)]
    plan = planned(tmp_path, lines, [*"abcde"], 10)
    assert plan.facts.lines == 64 and plan.facts.unreached == ()
    files = [{"path": written(tmp_path / name, lines[:size])} for name, size in (("x", 10), ("y", 5000))]
    source = TextSource(Corpus.model_validate({"files": files}), None, tmp_path / "cache")
    taken = list(source.lines(110))
    assert len({(file, line) for file, line, _ in taken}) == len(taken) == 110
    assert Counter(file for file, _, _ in taken) == {0: 10, 1: 100}
    assert [line for file, line, _ in taken if file][:8] == [0, 800, 1600, 2400, 3200, 4000, 4800, 50]
    assert all(text == lines[line] for _, line, text in taken)


# -- bad input ---------------------------------------------------------------------------------------------------


def test_a_plan_needs_a_dictionary_a_corpus_and_a_minimum(tmp_path, dejavu, synth):
    corpus = written(tmp_path / "corpus.txt", LINES)
    command = ["generate", "--corpus", corpus, "--fonts", *dejavu, "--output", tmp_path / "x"]
    said = synth(*command, "--min-per-unit", "5")
    assert "corpus.min_per_unit: a plan needs a dictionary (--charset FILE)" in said.error
    said = synth(*command, "--min-per-unit", "5", "--charset", tmp_path / "none.txt")
    assert "none.txt: cannot be read" in said.error
    for wrong in "0", "-3", "many":
        said = synth(*command, "--min-per-unit", wrong)
        assert said.code == 2 and "--min-per-unit" in said.err
    said = synth(*command, "-o", "corpus.min_per_unit=-1")
    assert "corpus.min_per_unit" in said.error
    Charset("abc").write(tmp_path / "dict.txt")
    templates = 'corpus.templates=[{pattern: "[abc]{3}"}]'
    said = synth(
        "generate", "--charset", tmp_path / "dict.txt", "--fonts", *dejavu, "--output", tmp_path / "x",
        "--min-per-unit", "5", "-o", templates, "corpus.template_share=1",
    )  # fmt: skip
    assert "a plan needs a corpus (--corpus FILE)" in said.error
    assert not (tmp_path / "x").exists()


def test_too_much_is_refused_before_it_is_begun(tmp_path):
    with pytest.raises(ScriptoriumError, match="ask for at most 6,666,666"):
        planned(tmp_path, ["abc"], [*"abc"], 7_000_000)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    source = TextSource(
        Corpus.model_validate({"files": [{"path": written(tmp_path / "a.txt", ["abc"])}]}), None, tmp_path / "cache"
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(ScriptoriumError, match="cannot keep a plan there"):
        write_plan(tmp_path / "file" / "x.plan", source, Charset("abc"), 3, 0, lambda text: 1, lambda text: True)
