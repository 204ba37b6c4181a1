"""`synth corpus`, and templates by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth.data import data_file
from synth.recipe import Recipe, RecipeError
from synth.text.template import Template

Synth = Callable[..., Any]
TEMPLATES = ("codes", "forms", "meters", "plates")


def test_from_a_locale_to_random_texts(synth: Synth, tmp_path: Path) -> None:
    done = synth("corpus", "build", "--locale", "kn,got", "--output", tmp_path, "--each", 1)
    assert done.code == 0, done.err
    assert "Kannada, ಕನ್ನಡ; Kannada (Knda), left to right" in done.out and "೦೧೨೩೪೫೬೭೮೯" in done.out
    assert "as in root, which is no language" in done.out and "next: synth corpus report" in done.out
    told = synth("corpus", "report", tmp_path / "kn.txt", "--html", tmp_path / "kn.html")
    assert told.code == 0 and "Kannada 100.0 %" in told.out and (tmp_path / "kn.html").is_file()
    characters = tmp_path / "kn.characters.txt"
    made = synth("corpus", "random", "--charset", characters, "--count", 300, "--output", tmp_path / "r.txt")
    assert made.code == 0 and "300 texts" in made.out
    assert len((tmp_path / "r.txt").read_text("utf-8").splitlines()) == 300
    assert not re.search("mark without|control|several scripts", synth("corpus", "report", tmp_path / "r.txt").out)


def test_the_others(synth: Synth, tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("# words\neins\nzwei\neins\n")
    done = synth("corpus", "from-wordlist", tmp_path / "w.txt", "--output", tmp_path / "o.txt")
    assert "2 texts, of 4 lines" in done.out and "1 × comment, 1 × there already" in done.out
    (tmp_path / "x.dic").write_text("1\nwork/A\n")
    done = synth("corpus", "from-hunspell", tmp_path / "x.dic", "--output", tmp_path / "o.txt")
    assert "1 text, of 1 stem" in done.out and "no .aff file beside it" in done.err
    (tmp_path / "y.aff").write_text("SFX A Y 1\nSFX A 0 s .\n")
    done = synth("corpus", "from-hunspell", tmp_path / "x.dic", tmp_path / "y.aff", "--output", tmp_path / "o.txt")
    assert "2 texts, of 1 stem" in done.out and not done.err
    done = synth("corpus", "from-text", tmp_path / "w.txt", tmp_path / "w.txt", "--output", tmp_path / "o.txt")
    assert "3 texts in Latin, of 8 lines" in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["build", "--locale", "Amharik", "--output", "o"],
            "synth: locale 'Amharik' is unknown; did you mean am (Amharic)?",
        ),
        (["from-text", "none.txt", "--output", "o"], "none.txt: cannot be read"),
        (["from-text", "empty.txt", "--output", "o"], "empty.txt: is empty"),
        (
            ["from-wordlist", "w.txt", "--output", "o", "--script", "Kanada"],
            "script 'Kanada' is unknown; did you mean Kannada?",
        ),
        (["from-wordlist", "w.txt", "--output", "w.txt/o"], "w.txt/o: cannot be written"),
        (["random", "--charset", "none.txt", "--output", "o"], "none.txt: cannot be read"),
        (["random", "--charset", "w.txt", "--output", "o", "--shortest", 9, "--longest", 3], "no length is left"),
        (["report", "none.txt"], "none.txt: cannot be read"),
        (["report", "w.txt", "--encoding", "klingon"], "encoding 'klingon' is unknown"),
    ],
)
def test_one_line_for_what_a_user_can_mend(
    synth: Synth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[object], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.txt").write_text("eins\nzwei\n")
    (tmp_path / "empty.txt").touch()
    assert told in synth("corpus", *arguments).error


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_by_name(name: str) -> None:
    recipe = Recipe.load("clean", overrides=f"corpus.templates={name}")
    assert len(recipe.corpus.templates) >= 15
    rng = np.random.default_rng(0)
    for template in recipe.corpus.templates:
        pattern = Template(template.pattern)
        assert template.weight > 0
        drawn = [pattern.draw(rng) for _ in range(20)]
        assert all(pattern.matches.fullmatch(text) and text == text.strip() for text in drawn)
    # A recipe is written with the patterns themselves.
    assert recipe.to_values()["corpus"]["templates"][0]["pattern"] == recipe.corpus.templates[0].pattern


def test_all_that_are_shipped_are_tried() -> None:
    assert sorted(path.stem for path in data_file("corpora/templates").glob("*.yml")) == list(TEMPLATES)


def test_templates_of_a_file_and_of_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("- {pattern: 'a\\d', weight: 2}\n- {pattern: b}\n")
    recipe = Recipe.from_values({"corpus": {"templates": [str(tmp_path / "mine.yml"), {"pattern": "c"}]}})
    assert [(t.pattern, t.weight) for t in recipe.corpus.templates] == [(r"a\d", 2), ("b", 1), ("c", 1)]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("plate", "corpus.templates: templates 'plate' are unknown; did you mean plates?"),
        (["none.yml"], "corpus.templates: none.yml: cannot be read (No such file or directory)"),
        (["bad.yml"], "corpus.templates: bad.yml: entry 1: should be a pattern"),
        (["map.yml"], "map.yml: a file of templates is a list of patterns"),
        (["key.yml"], "key.yml: entry 1: wieght: unknown key; did you mean weight?"),
        (["latin.yml"], "latin.yml: not UTF-8 at byte offset 0"),
        (["yaml.yml"], "yaml.yml: line 2: not YAML"),
        ([3], "corpus.templates.0: should be a section with keys, not 3"),
    ],
)
def test_templates_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Any, told: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yml").write_text("- 3\n")
    (tmp_path / "map.yml").write_text("pattern: a\n")
    (tmp_path / "key.yml").write_text("- {pattern: a, wieght: 1}\n")
    (tmp_path / "latin.yml").write_bytes(b"\xe4")
    (tmp_path / "yaml.yml").write_text("- {a\n")
    with pytest.raises(RecipeError) as error:
        Recipe.from_values({"corpus": {"templates": given}})
    assert told in str(error.value)
    assert "\n" not in str(error.value)
