"""Recipes: what they accept, what they say about the rest, and that they come back as they were."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from augment.errors import ScriptoriumError
from augment.pixel import known_ops
from synth.recipe import Recipe, RecipeError

PRESETS = (
    *("clean", "curved", "document", "forms", "handwriting", "historical", "lowres", "pages", "receipt", "receipts"),
    *("scene", "scenes", "seal"),
)
ROOT = Path(__file__).resolve().parent.parent


def refused(*overrides: str, source: str | Path = "clean", **sections: dict[str, Any]) -> str:
    """What a recipe that cannot be loaded says, which is one line."""
    with pytest.raises(RecipeError) as caught:
        Recipe.load(source, overrides=overrides, **sections)
    told = str(caught.value)
    assert told and "\n" not in told
    return told


def sections_of(
    model: type[BaseModel], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Every section, with the path of its key."""
    yield path, model
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from sections_of(field.annotation, (*path, name))


SECTIONS = dict(sections_of(Recipe))


def ranges() -> Iterator[tuple[str, str]]:
    """Sections and keys whose value is a pair of numbers."""
    for path, model in SECTIONS.items():
        for name, field in model.model_fields.items():
            parts = get_args(field.annotation)
            if len(parts) == 2 and all(getattr(part, "__origin__", part) in (int, float) for part in parts):
                yield ".".join((*path, name)), name


# -- presets ----------------------------------------------------------------------------------------------------------


def test_the_presets_are_there() -> None:
    assert Recipe.presets() == sorted(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_say_what_they_are_for_and_are_named_as_their_file(name: str) -> None:
    text = (ROOT / "configs" / "recipes" / f"{name}.yml").read_text(encoding="utf-8")
    assert re.match(r"# [A-Z].{20,}[.]\nname: ", text)
    assert Recipe.load(name).name == name


@pytest.mark.parametrize("name", PRESETS)
def test_presets_come_back_from_yaml_and_json(name: str) -> None:
    recipe = Recipe.load(name)
    text = recipe.to_yaml()
    assert Recipe.from_values(yaml.safe_load(text)) == recipe
    assert Recipe.from_values(json.loads(json.dumps(recipe.to_values()))) == recipe
    assert Recipe.load(name, overrides=["seed=1"]) != recipe


@pytest.mark.parametrize("name", PRESETS)
def test_presets_differ_and_their_operations_are_known(name: str) -> None:
    recipe = Recipe.load(name)
    assert [type(op).name for op in recipe.degrade_ops().ops] == list(recipe.degrade)
    assert all(recipe.degrade != Recipe.load(other).degrade for other in PRESETS if other != name)


@pytest.mark.parametrize("name", PRESETS)
def test_yaml_has_every_key_once_with_a_comment(name: str) -> None:
    lines = Recipe.load(name).to_yaml().splitlines()
    found: list[str] = []
    path: list[str] = []
    for line in lines:
        key = re.match(r"( *)([a-z_]+):", line)
        assert key and re.search(r"  # \S", line), line
        path = [*path[: len(key[1]) // 2], key[2]]
        found.append(".".join(path))
    wanted = [".".join((*at, key)) for at, model in SECTIONS.items() for key in model.model_fields]
    assert sorted(found) == sorted(wanted + [f"degrade.{name}" for name in Recipe.load(name).degrade])


def test_every_key_is_described() -> None:
    for path, model in SECTIONS.items():
        assert model.__doc__
        for name, field in model.model_fields.items():
            assert field.description or (*path, name) in SECTIONS, (path, name)


@settings(deadline=None, max_examples=60)
@given(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), max_size=3),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12),
)
@example("a: # b\n", ["\u2028", "...", "'\""], "\x85")
def test_any_text_comes_back_from_yaml(name: str, patterns: list[str], path: str) -> None:
    values = {
        "name": name,
        "corpus": {"templates": [{"pattern": pattern} for pattern in patterns], "files": [{"path": path}]},
        "fonts": {"exclude": patterns, "paths": [path]},
    }
    recipe = Recipe.from_values(values)
    assert Recipe.from_values(yaml.safe_load(recipe.to_yaml())) == recipe


# -- loading ----------------------------------------------------------------------------------------------------------


def test_a_file_is_laid_over_the_defaults_and_overrides_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("\ufefflayout: {height: 48, jitter_share: 0.5}\nink:\nseed: 3\n", encoding="utf-8")
    recipe = Recipe.load(
        path,
        corpus=["a.txt", "b.txt"],
        charset="c.txt",
        overrides=["layout.size=[1, 2]", "corpus.case.upper = 2", "degrade.blur.p=1", "degrade.noise=", "seed=4"],
        layout={"height": 64},
        fonts={"paths": ["f"]},
    )
    assert (recipe.layout.height, recipe.layout.jitter_share, recipe.layout.size) == (64, 0.5, (1.0, 2.0))
    assert recipe.corpus.case.upper == 2 and recipe.seed == 4
    assert [file.path for file in recipe.corpus.files] == [Path("a.txt"), Path("b.txt")]
    assert recipe.fonts.paths == (Path("f"),) and recipe.corpus.charset == Path("c.txt")
    assert recipe.degrade["blur"]["p"] == 1 and list(recipe.degrade) == ["blur", "noise"]
    assert recipe.degrade["noise"] == known_ops()["noise"]().model_dump(mode="json")
    # All else is as the sections have it.
    assert recipe.geometry == Recipe().geometry and recipe.ink == Recipe().ink


@pytest.mark.parametrize("corpus", ["kn.txt", Path("kn.txt"), ("kn.txt",), [Path("kn.txt")]])
def test_one_file_and_one_override_need_no_list(corpus: Any) -> None:
    one = Recipe.load("clean", corpus=corpus, overrides="layout.height=48")
    assert [file.path for file in one.corpus.files] == [Path("kn.txt")]
    assert one.layout.height == 48


def test_overrides_take_lists_and_mappings() -> None:
    recipe = Recipe.load(
        "clean",
        overrides=[
            "corpus.files=[{path: x.txt, weight: 2}, {path: y.txt, piece: line}]",
            "background.kinds={paper: 1, wall: 2}",
            "ink={underline: 1}",
        ],
    )
    assert [(file.path.name, file.weight, file.piece) for file in recipe.corpus.files] == [
        ("x.txt", 2.0, None),
        ("y.txt", 1.0, "line"),
    ]
    assert recipe.background.kinds == {"paper": 1.0, "wall": 2.0}
    assert recipe.ink.underline == 1


def test_a_recipe_does_not_change() -> None:
    recipe = Recipe.load("clean")
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 1
    with pytest.raises(ValueError, match="frozen"):
        recipe.layout.height = 1


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("sceen", "recipe 'sceen' is unknown; did you mean scene?"),
        ("zzz", "clean, curved, document, forms, handwriting, historical, lowres, pages, receipt, receipts, scene"),
        ("", "is unknown"),
        ("nowhere/mine.yml", "nowhere/mine.yml: there is no such recipe file"),
    ],
)
def test_unknown_recipes(source: str, told: str) -> None:
    assert told in refused(source=source)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "a mapping of sections, not an empty file"),
        (b"# nothing\n", "a mapping of sections, not an empty file"),
        (b"- layout\n", "a mapping of sections, not a list"),
        (b"layout", "a mapping of sections, not a text"),
        (b"7", "a mapping of sections, not 7"),
        (b"seed: 1\nlayout: {height: 4\nink: 1\n", "line 3: not YAML"),
        (b"seed: 1\nseed: 2\n", "line 2: not YAML: seed stands here twice"),
        (b"layout:\n  height: 32\n  size: [1, 1]\n  height: 48\n", "line 4: not YAML: height stands here twice"),
        (b"name: \xff\xfe\n", "not UTF-8 at byte offset 6"),
        (b"name: a\x00b\n", "not YAML"),
        (b"name: 2001-02-30\n", "not YAML"),
        (b"name: !!python/object/apply:os.getcwd []\n", "not YAML"),
        (b"layout: &a {height: *a}\n", "layout.height"),
        (b"name: " + b"[" * 3000, "not YAML"),
    ],
)
def test_files_that_are_no_recipes(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    message = refused(source=path)
    assert str(path) in message and told in message


# -- keys and values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SECTIONS, ids=".".join)
def test_an_unknown_key_is_named_with_the_nearest(path: tuple[str, ...]) -> None:
    names = list(SECTIONS[path].model_fields)
    longest = max(names, key=len)
    wrong = longest[:-1] + "q"
    told = refused(f"{'.'.join((*path, wrong))}=1")
    assert f": {'.'.join((*path, wrong))}: unknown key" in told
    if len(longest) > 3:
        assert f"did you mean {longest}?" in told


@pytest.mark.parametrize("path", [path for path in SECTIONS if path], ids=".".join)
def test_a_section_is_not_a_value(path: tuple[str, ...]) -> None:
    assert f": {'.'.join(path)}: should be a section with keys, not 5" in refused(f"{'.'.join(path)}=5")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("corpus.files=[{pth: a.txt}]", "corpus.files.0.path: is missing; corpus.files.0.pth: unknown key"),
        ("corpus.templates=[{pattern: a, wieght: 1}]", "corpus.templates.0.wieght: unknown key; did you mean weight?"),
        ("corpus.files=[a.txt]", "corpus.files.0: should be a section with keys, not 'a.txt'"),
        ("background.kinds.papr=1", "background.kinds.papr: unknown key; did you mean paper?"),
        ("background.kinds.paper=-1", "background.kinds.paper: should be 0 or more, not -1"),
        ("background.kinds={wall: 0}", "background.kinds: no surface has a weight above zero"),
        ("background.kinds={pictures: 1}", "pictures need background.paths"),
        ("degrade.blr={}", "degrade.blr: no such pixel operation; did you mean 'blur'?"),
        ("degrade.blur.sgma=1", "degrade.blur.sgma: no such parameter; did you mean 'sigma'?"),
        ("degrade.blur.sigma=[2, 1]", "degrade.blur.sigma: a range goes from low to high"),
        ("degrade.blur=3", "degrade.blur: should be a mapping, not 3"),
        ("layout.height=tall", "layout.height: should be a whole number"),
        ("layout.height=7", "layout.height: should be 8 or more, not 7"),
        ("layout.height=32.5", "layout.height: should be a whole number"),
        ("layout.height.x=3", "layout.height: should be a whole number, not {'x': 3}"),
        ("layout.spacing_share=2", "layout.spacing_share: should be 1 or less, not 2"),
        ("layout.spacing_share=.nan", "layout.spacing_share: should be a finite number"),
        ("layout.max_ratio=.inf", "layout.max_ratio: should be a finite number"),
        ("layout.margin_y=[0.2, 0.5]", "layout.margin_y.1: should be 0.45 or less, not 0.5"),
        ("layout.size=1", "layout.size: should be a list, not 1"),
        ("layout.size=[1]", "layout.size: has too few values, [1]"),
        ("layout.size=[1, 2, 3]", "layout.size: should have 2 or fewer values"),
        ("geometry.stretch.factor=[0, 1]", "geometry.stretch.factor.0: should be 0.1 or more, not 0"),
        ("geometry.curve.bend=[0, 1]", "geometry.curve.bend.0: should be more than 0"),
        ("output.encoding=gif", "output.encoding: should be 'jpeg' or 'png', not 'gif'"),
        ("output.quality=[0, 90]", "output.quality.0: should be 1 or more"),
        ("output.shard_size=300", "output.shard_size: should be a multiple of 256, not 300"),
        ("output.polygons=maybe", "output.polygons: should be true or false"),
        ("corpus.unit=letter", "corpus.unit: should be 'codepoint', 'grapheme' or 'akshara', not 'letter'"),
        ("corpus.length=[5, 2]", "corpus.length: a range goes from low to high, not [5, 2]"),
        ("fonts.paths=a", "fonts.paths: should be a list, not 'a'"),
        ("seed=-1", "seed: should be 0 or more, not -1"),
        (f"seed={2**63}", "seed: should be less than 9223372036854775808"),
        ("sed=1", "sed: unknown key; did you mean seed?"),
        ("1=1", "1: unknown key"),
        ("=1", ": unknown key"),
        ("layout", "-o layout: must be section.key=value"),
        ("layout.size=[1,", "-o layout.size: not YAML: "),
        ("name={a: 1, a: 2}", "-o name: not YAML: a stands here twice"),
        ("name=1999-13-01", "-o name: not YAML: month must be in 1..12"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(override: str, told: str) -> None:
    assert told in refused(override)


def test_a_value_where_an_override_wants_a_section() -> None:
    assert "-o name.first: name is a value, not a section" in refused("name.first=a")
    assert "layout is a value, not a section" in refused("layout=5", "layout.height=32")


def test_many_mistakes_are_one_line() -> None:
    told = refused(*(f"layout.x{n}=1" for n in range(9)))
    assert told.count("unknown key") == 3 and told.endswith("; and 6 more")


def test_file_names_that_yaml_cannot_hold() -> None:
    with pytest.raises(RecipeError, match=r"corpus\.files\.0\.path: a name that is not UTF-8"):
        Recipe.load("clean", corpus=["\udcff.txt"])


@pytest.mark.parametrize(("key", "name"), list(ranges()))
def test_every_range_goes_from_low_to_high_and_is_finite(key: str, name: str) -> None:
    # One of the pairs lies within any range's bounds.
    assert any(
        "from low to high" in refused(f"{key}={pair}") for pair in ("[0.2, 0.1]", "[2, 1]", "[20, 10]", "[200, 150]")
    )
    assert "finite number" in refused(f"{key}=[1, .inf]")


def test_there_are_ranges() -> None:
    assert len(list(ranges())) > 25


# -- what passes can be drawn ------------------------------------------------------------------------------------------


_TRIED = (-180.0, -1.0, 0.0, 0.001, 0.1, 0.3, 0.45, 1.0, 10.0, 100.0, 180.0, 255.0, 1000.0)


def extremes() -> Iterator[tuple[str, float]]:
    """For each range, the least and the greatest of `_TRIED` that it takes at both ends."""
    for key, name in ranges():
        model = SECTIONS[tuple(key.split(".")[:-1])]
        taken = []
        for value in _TRIED:
            try:
                model.model_validate({name: (value, value)})
            except ValueError:
                continue
            taken.append(value)
        yield key, taken[0]
        yield key, taken[-1]


@pytest.mark.parametrize(("key", "value"), list(extremes()))
@pytest.mark.usefixtures("own_cache")
def test_the_ends_of_every_range_can_be_drawn(key: str, value: float, tmp_path: Path, dejavu: list[Path]) -> None:
    """A recipe that is accepted gives samples, or says in a line why not: it never crashes."""
    from synth.pipeline import Pipeline

    (tmp_path / "c.txt").write_text("Wide words\nil\n|\nÅgjq.\n", encoding="utf-8")
    number = int(value) if value.is_integer() else value
    *above, _ = key.split(".")
    always = {"layout.spacing": "spacing_share", "ink.weight": "weight_share", "colour.saturation": "coloured"}
    share = [f"{'.'.join(above)}.p=1"] if "p" in SECTIONS[tuple(above)].model_fields else []
    share += [f"{'.'.join(above)}.{always[key]}=1"] if key in always else []
    recipe = Recipe.load(
        "clean",
        corpus=[tmp_path / "c.txt"],
        overrides=[f"{key}=[{number}, {number}]", *share, "background.kinds={paper: 1}", "legibility.attempts=3"],
        fonts={"paths": [str(dejavu[0])]},
    )
    try:
        pipeline = Pipeline(recipe)
        samples = [pipeline.sample(index) for index in range(6)]
    except ScriptoriumError as error:
        assert "\n" not in str(error)
        return
    for sample in samples:
        assert sample.image.shape[0] == 32 and np.isfinite(sample.polygons).all()


def test_sections_within_sections_are_merged_and_values_replaced() -> None:
    recipe = Recipe.load("seal", layout={"seal": {"unwrap": False}}, background={"kinds": {"flat": 1}})
    assert (recipe.layout.seal.p, recipe.layout.seal.unwrap) == (1.0, False)
    assert recipe.background.kinds == {"flat": 1}
