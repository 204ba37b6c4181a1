"""Recipes fitted to crops: the classifier, the search, what is written, and what is refused."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import Done
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.pipeline import Pipeline
from synth.recipe import Recipe
from synth.style import fit as f
from synth.style import search
from synth.style.crops import find_crops
from synth.style.measure import Measures
from synth.style.search import Goal, Share, Simulator, Span, Weights, corrected, decoded, parameters, prepared
from synth.style.twosample import Scale, distances, tell_apart

pytestmark = pytest.mark.usefixtures("own_cache", "one_scan")

Array = NDArray[Any]
NAMES = Measures.names()
TRUTH = {
    "colour.luminance": "[150, 190]",
    "colour.contrast": "[70, 120]",
    "degrade": "{noise: {p: 1.0, sigma: [10, 14], coarse: 0}}",
    "layout.margin_x": "[0.3, 0.5]",
    "geometry.rotation": "{p: 1.0, degrees: [1, 2]}",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "texts.txt"
    path.write_text("\n".join(["hamburg", "quellen", "nihilum", "vortex", "grandis", "limnos"]) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def base(corpus: Path, dejavu: list[Path]) -> Recipe:
    loaded = Recipe.load("document", corpus=[corpus], overrides=["corpus.piece=word", "degrade.binarise.p=0"])
    return loaded.with_keys("fonts", paths=dejavu)


@pytest.fixture(scope="module")
def crops(base: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops that stand for real ones: of another recipe, at another height."""
    folder = tmp_path_factory.mktemp("crops")
    overrides = [f"{key}={value}" for key, value in TRUTH.items()]
    files = [str(path.path) for path in base.corpus.files]
    other = Recipe.load("clean", corpus=files, overrides=["corpus.piece=word", "seed=77", *overrides])
    other = other.with_keys("fonts", paths=base.fonts.paths)
    for number, sample in enumerate(Pipeline(other).samples(range(60))):
        cv2.imwrite(str(folder / f"{number:03d}.png"), cv2.resize(decoded(sample), None, fx=1.25, fy=1.25))
    return folder


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Fewer samples than in earnest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f, "_COMPARED", 100)
        patch.setattr(search, "_JUDGED", 60)
        patch.setattr(search, "_TRIES", 250)
        patch.setattr(search, "_MOVES", 30)
        yield


# -- the classifier ---------------------------------------------------------------------------------------------------


def test_equal_sets_cannot_be_told_apart_and_others_can() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(150, 6)), rng.normal(size=(150, 6))
    same = tell_apart(first, second, rng)
    assert abs(same.auc - 0.5) < 3 * same.error and 0.02 < same.error < 0.05
    second[:, 4] += 1.5
    other = tell_apart(first, second, rng)
    assert other.auc > 0.8 and other.importance.argmax() == 4
    assert other.importance.sum() == pytest.approx(1)


def test_the_classifier_sees_what_only_two_measures_show_together() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(300, 3)), rng.normal(size=(300, 3))
    second[:, 1] = np.sign(second[:, 0]) * np.abs(second[:, 1])
    assert tell_apart(first, second, rng).auc > 0.75


def test_a_constant_measure_tells_nothing() -> None:
    rng = np.random.default_rng(2)
    found = tell_apart(np.ones((30, 2)), np.ones((30, 2)), rng)
    assert found.auc == 0.5 and found.error == 0


@given(st.integers(0, 10_000), st.floats(0.1, 50), st.floats(-100, 100))
@settings(max_examples=25)
def test_ranks_do_not_depend_on_units(seed: int, factor: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    real, made = rng.normal(size=(40, 2)), rng.normal((0, 1), size=(50, 2))
    gaps = distances(Scale(real, made)(real), Scale(real, made)(made))
    moved = [rows * factor + shift for rows in (real, made)]
    scale = Scale(moved[0], moved[1])
    assert np.allclose(distances(scale(moved[0]), scale(moved[1])), gaps, atol=1e-6)
    assert gaps[1] > 0.1 and distances(scale(moved[0]), scale(moved[0])).max() == 0


# -- the search -------------------------------------------------------------------------------------------------------


def test_a_pipeline_with_another_look_makes_what_a_new_one_makes(base: Recipe) -> None:
    pipeline = Pipeline(base)
    before = [sample.encoded for sample in pipeline.samples(range(12))]
    other = base.with_keys("colour", luminance=[100, 140], contrast=[60, 90]).with_keys("ink", weight_share=1.0)
    other = other.with_keys("background", kinds={"wall": 1.0}).with_keys("surroundings", above=0.0, below=0.0, beside=0)
    looking = pipeline.with_look(other)
    assert looking.book is pipeline.book and looking.source is pipeline.source
    changed_look = [sample.encoded for sample in looking.samples(range(12))]
    assert changed_look == [sample.encoded for sample in Pipeline(other).samples(range(12))]
    assert before == [sample.encoded for sample in pipeline.samples(range(12))] != changed_look
    with pytest.raises(ValueError, match="corpus"):
        pipeline.with_look(base.with_keys("corpus", piece="line"))
    with pytest.raises(ValueError, match=r"background\.paths"):
        pipeline.with_look(base.with_keys("background", paths=["somewhere"]))


def test_every_trial_is_a_recipe_with_one_value_of_each_parameter(base: Recipe) -> None:
    recipe = prepared(base)
    values = recipe.to_values()
    searched = parameters(recipe, coloured=True, aspect=True)
    assert len({parameter.key for parameter in searched}) == len(searched)
    rng = np.random.default_rng(3)
    for _ in range(20):
        tried = copy.deepcopy(values)
        for parameter in searched:
            drawn = parameter.draw(values, tried, rng)
            value: Any = tried
            for part in parameter.key:
                value = value[part]
            match parameter:
                case Share():
                    assert value == drawn and value in (0, 1)
                case Span(low=low, high=high):
                    assert value[0] == value[1] and low - 1e-9 <= value[0] <= high + 1e-9
                case Weights():
                    assert sorted(value.values())[-2:] == [0, 1]
        Recipe.from_values(tried)
    assert values == recipe.to_values()


def test_what_makes_no_difference_stays() -> None:
    rng = np.random.default_rng(4)
    values = {"share": 0.3, "range": [0.4, 0.6], "kinds": {"a": 3.0, "b": 1.0}}
    for parameter in (Share(("share",)), Span(("range",), 0.0, 1.0), Weights(("kinds",))):
        drawn = np.array([parameter.draw(values, copy.deepcopy(values), rng) for _ in range(2000)])
        parameter.learn(values, drawn, rng.integers(0, 2000, (300, 6)))
    assert values["share"] == pytest.approx(0.3, abs=0.04)
    assert values["range"] == pytest.approx([0.4, 0.6], abs=0.03)
    assert values["kinds"]["a"] == pytest.approx(0.75, abs=0.05)


def test_what_was_picked_is_learnt() -> None:
    rng = np.random.default_rng(5)
    values: dict[str, Any] = {"share": 0.0, "range": [0.4, 0.6], "whole": [40, 60], "kinds": {"a": 1.0, "b": 1.0}}
    for parameter in (Share(("share",)), Weights(("kinds",))):
        drawn = np.array([parameter.draw(values, copy.deepcopy(values), rng) for _ in range(2000)])
        parameter.learn(values, drawn, rng.choice(np.flatnonzero(drawn == 1), (300, 6)))
    assert values["share"] > 0.9 and values["kinds"]["b"] > 0.9
    for key, scale in (("range", 1), ("whole", 100)):
        span = Span((key,), 0.0, float(scale))
        drawn = np.array([span.draw(values, copy.deepcopy(values), rng) for _ in range(2000)])
        span.learn(values, drawn, rng.choice(np.flatnonzero((drawn > 0.56) & (drawn < 0.62)), (300, 6)))
        assert np.array(values[key]) / scale == pytest.approx([0.56, 0.62], abs=0.025)
    assert all(isinstance(end, int) for end in values["whole"])


def test_what_can_be_read_off_moves_by_what_is_lacking(base: Recipe) -> None:
    values = base.to_values()
    real = np.zeros((40, len(NAMES)))
    made = real.copy()
    for side in ("left", "right"):
        real[:, NAMES.index(side)] = np.linspace(0.2, 0.6, 40)
        made[:, NAMES.index(side)] = np.linspace(0.1, 0.5, 40)
    real[:, NAMES.index("contrast")] = 30
    changed = corrected(values, real, made)
    moved = changed["layout"]
    contrast = np.array(changed["colour"]["contrast"]) - values["colour"]["contrast"]
    assert contrast[0] == pytest.approx(30) and changed["colour"]["contrast"][1] == 255
    assert np.array(moved["margin_x"]) - values["layout"]["margin_x"] == pytest.approx([0.1, 0.1], abs=0.01)
    assert moved["margin_y"] == pytest.approx(values["layout"]["margin_y"])


def test_the_distance_is_least_for_the_same_distribution() -> None:
    rng = np.random.default_rng(6)
    real, near, far = rng.normal(size=(200, 3)), rng.normal(0.2, 1, (200, 3)), rng.normal(1, 1, (200, 3))
    goal = Goal(real, np.concatenate((near, far)))
    assert goal.distance(real) == 0 < goal.distance(near) < goal.distance(far)


def test_operations_that_a_recipe_lacks_are_put_in_where_they_belong() -> None:
    names = list(prepared(Recipe.load("document", overrides=["degrade={jpeg: {}, blur: {}, invert: {}}"])).degrade)
    assert names.index("noise") < names.index("jpeg") < names.index("blur") < names.index("invert")
    assert names.index("bleed") < names.index("jpeg") and "grey" in names
    whole = prepared(Recipe.load("document"))
    assert prepared(whole) == whole


# -- a whole fit ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(base: Recipe, crops: Path) -> f.Fit:
    real = f.measure_crops(find_crops(crops), base.layout.height, "grapheme", np.random.default_rng(0))
    return f.fit(base, real, rounds=0)


def test_measures_alone_bring_a_recipe_near(fitted: f.Fit) -> None:
    before, after = fitted.likeness
    assert before.auc > 0.97 and after.auc < before.auc
    colour = fitted.recipe.colour
    assert colour.luminance == pytest.approx((150, 190), abs=12)
    assert colour.contrast == pytest.approx((70, 120), abs=25)
    assert fitted.recipe.geometry.rotation.degrees == pytest.approx((1, 2), abs=1.5)
    assert fitted.recipe.layout.margin_x[0] > 0.2


def test_only_the_look_changes(fitted: f.Fit, base: Recipe) -> None:
    sections = {key.split(".")[0] for key, _, _ in fitted.changes}
    assert sections and sections <= {
        "layout",
        "ink",
        "surroundings",
        "background",
        "colour",
        "geometry",
        "degrade",
        "output",
    }
    for section in ("corpus", "fonts", "handwriting", "legibility", "seed"):
        assert getattr(fitted.recipe, section) == getattr(base, section)
    assert fitted.recipe.layout.height == base.layout.height
    other = base.with_keys("corpus", files=[], language="de")
    assert fitted.of(other).recipe.corpus == other.corpus
    assert {key for key, _, _ in fitted.of(other).changes} == {key for key, _, _ in fitted.changes}


def test_a_round_brings_tones_near(base: Recipe, crops: Path) -> None:
    real = f.measure_crops(find_crops(crops), base.layout.height, "grapheme", np.random.default_rng(0))
    drawn: list[int] = []
    found = f.fit(base, real, rounds=1, step=drawn.append)
    tones = [NAMES.index("contrast"), NAMES.index("luminance")]
    middle = np.median(real.rows, axis=0)
    before, after = (np.abs(np.median(rows, axis=0) - middle)[tones] for rows in found.rows)
    assert (after < before).all()
    assert sum(drawn) <= f.samples_drawn(1)


def test_noise_is_learnt_from_the_samples_that_are_near(base: Recipe, crops: Path) -> None:
    real = f.measure_crops(find_crops(crops), base.layout.height, "grapheme", np.random.default_rng(0))
    searched = [Share(("degrade", "noise", "p")), Share(("degrade", "blur", "p"))]
    simulator = Simulator(prepared(base))
    values = f.matched(prepared(base).to_values(), real.rows, coloured=False)
    columns = [NAMES.index(name) for name in ("noise", "blur", "texture")]
    found = search.learnt(simulator, values, searched, real.rows, columns, np.random.default_rng(1))
    assert found["degrade"]["noise"]["p"] > 0.8 > 0.3 > values["degrade"]["noise"]["p"]
    assert found["colour"] == values["colour"]


def test_the_descent_ends_nearer_and_within_its_moves(base: Recipe, crops: Path) -> None:
    real = f.measure_crops(find_crops(crops), base.layout.height, "grapheme", np.random.default_rng(0))
    drawn: list[int] = []
    simulator = Simulator(prepared(base), drawn.append)
    values = f.matched(prepared(base).to_values(), real.rows, coloured=False)
    columns = [NAMES.index(name) for name in ("noise", "blur", "contrast")]
    start = simulator.rows(values, range(60))
    goal = search.Goal(real.rows[:, columns], start[:, columns])
    searched = [Share(("degrade", "noise", "p")), *search._READ_OFF]
    drawn.clear()
    found = search.descended(simulator, values, searched, goal, columns)
    assert sum(drawn) <= 30 * 60
    after = simulator.rows(found, range(60))
    assert goal.distance(after[:, columns]) < 0.8 * goal.distance(start[:, columns])
    changed = {section for section in found if found[section] != values[section]}
    assert changed <= {"degrade", "layout", "colour", "geometry", "legibility"}


@given(st.floats(0.0, 1.0), st.floats(0.05, 1.0))
@example(1e-12, 1.0)
def test_moves_stay_within_what_is_searched(place: float, step: float) -> None:
    values = {"share": place, "span": [place, min(place + 0.1, 1.0)], "kinds": {"a": place, "b": 1.0, "c": 0.0}}
    share, span, kinds = Share(("share",)), Span(("span",), 0.1, 0.9), Weights(("kinds",))
    assert all(0 <= p <= 1 and p != place for p in share.moves(values, step))
    assert all(0.1 - 1e-9 <= low <= high <= 0.9 + 1e-9 for low, high in span.moves(values, step))
    for weights in kinds.moves(values, step):
        assert sum(weights.values()) == pytest.approx(1) and min(weights.values()) >= 0
    assert Span(("span",), 0.1, 0.9, share=("off",)).moves(values | {"off": 0.0}, step) == []


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_a_recipe_that_generates(
    synth: Callable[..., Done], crops: Path, corpus: Path, dejavu: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "mine.yml"
    given = ("fit", "--real", crops, "--corpus", corpus, "--fonts", *dejavu, "--rounds", 0, "--output")
    done = synth(*given, output)
    assert done.code == 0, done
    assert re.search(r"AUC .*: [01]\.\d\d ± 0\.\d\d → [01]\.\d\d ± 0\.\d\d", done.out)
    assert "60 crops measured at 32 pixels" in done.out and "colour.luminance" in done.out
    assert f"next: synth preview --recipe {output} --corpus {corpus} --fonts" in done.out
    recipe, plain = Recipe.load(output), Recipe.load("document")
    assert recipe.corpus == plain.corpus and recipe.fonts == plain.fonts and recipe.name == "document-fitted"
    page = (tmp_path / "mine.html").read_text("utf-8")
    assert page.count("<img") >= 24 + len(NAMES) - 1 and "colour.luminance" in page
    other = tmp_path / "again.yml"
    assert synth(*given, other).code == 0
    assert other.read_bytes() == output.read_bytes()
    made = synth(
        "generate",
        "--recipe",
        output,
        "--corpus",
        corpus,
        "--fonts",
        *dejavu,
        "--count",
        10,
        "--output",
        tmp_path / "d",
    )
    assert made.code == 0, made


def test_labels_bring_the_width_of_letters(base: Recipe, crops: Path, tmp_path: Path) -> None:
    listed = tmp_path / "labels.txt"
    names = sorted(path.name for path in crops.iterdir())
    listed.write_text("".join(f"{name}\tletters\n" for name in names), "utf-8")
    real = f.measure_crops(find_crops(listed, crops), 32, "grapheme", np.random.default_rng(0))
    assert real.labelled and (real.rows[:, NAMES.index("aspect")] > 0).all()
    listed.write_text("".join(f"{name}\tletters\n" for name in names[1:]) + f"{names[0]}\n", "utf-8")
    assert not f.measure_crops(find_crops(listed, crops), 32, "grapheme", np.random.default_rng(0)).labelled


def test_few_crops_are_said_to_be_few(base: Recipe, crops: Path, tmp_path: Path) -> None:
    from synth.style.fit_report import summary

    real = f.measure_crops(find_crops(crops)[:20], 32, "grapheme", np.random.default_rng(0))
    found = f.fit(base, real, rounds=0)
    assert len(found.real.rows) == 20
    assert "of 20 crops a classifier learns little" in summary(found, tmp_path / "a.yml", tmp_path / "a.html", "")


def test_bad_input(
    synth: Callable[..., Done], base: Recipe, crops: Path, corpus: Path, dejavu: list[Path], tmp_path: Path
) -> None:
    given = ("--corpus", corpus, "--fonts", *dejavu, "--output", tmp_path / "o.yml")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no picture" in synth("fit", "--real", empty, *given).error
    assert "no such file" in synth("fit", "--real", tmp_path / "absent", *given).error
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("nowhere.png\nelsewhere.png\n", "utf-8")
    assert "2 of 2 pictures are not in" in synth("fit", "--real", wrong, *given).error
    few = tmp_path / "few"
    few.mkdir()
    for number, path in enumerate(sorted(crops.iterdir())[:5]):
        (few / f"{number}.png").write_bytes(path.read_bytes())
    (few / "broken.png").write_bytes(b"no picture")
    error = synth("fit", "--real", few, *given).error
    assert "5 of 6 crops can be measured" in error and "needs 20" in error
    blank = tmp_path / "blank"
    blank.mkdir()
    for number in range(25):
        cv2.imwrite(str(blank / f"{number}.png"), np.full((32, 90, 3), 200, np.uint8))
    assert "0 of 25 crops can be measured (25 one colour)" in synth("fit", "--real", blank, *given).error
    assert "did you mean document?" in synth("fit", "--real", crops, "--base", "documnet", *given).error
    assert "a recipe of pages" in synth("fit", "--real", crops, "--base", "pages", *given).error
    assert "no corpus" in synth("fit", "--real", crops, "--output", tmp_path / "o.yml").error
    absent = synth("fit", "--real", crops, "--corpus", tmp_path / "no.txt", "--output", tmp_path / "o.yml")
    assert "no.txt" in absent.error
    assert "ends in .yml" in synth("fit", "--real", crops, "--corpus", corpus, "--output", tmp_path / "o").error
    assert not (tmp_path / "o.yml").exists()


def test_nothing_drawn_is_said(base: Recipe, crops: Path) -> None:
    real = f.measure_crops(find_crops(crops), 32, "grapheme", np.random.default_rng(0))
    with pytest.raises(ScriptoriumError):
        f.fit(base.with_keys("layout", max_ratio=0.01), real, rounds=0)


def test_the_simulator_measures_each_picture_once(base: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    real = search.measure

    def counting(image: Array, units: int) -> Measures:
        measured.append(units)
        return real(image, units=units)

    monkeypatch.setattr(search, "measure", counting)
    simulator = Simulator(prepared(base))
    values = prepared(base).to_values()
    first = simulator.rows(values, range(20))
    assert len(measured) == 20
    assert np.array_equal(simulator.rows(values, range(20)), first) and len(measured) == 20
