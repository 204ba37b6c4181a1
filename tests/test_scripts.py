from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import fontset
import numpy as np
import pytest
import unicodedata2
from conftest import Done
from font_maker import save_font

from augment.errors import ScriptoriumError
from synth.data import data_file
from synth.fonts.index import scan
from synth.fonts.install import catalog
from synth.pipeline import Pipeline
from synth.recipe import Recipe, RecipeError
from synth.render.shape import script_of
from synth.scripts import describe, describe_corpus, draw_sample, report

pytestmark = pytest.mark.usefixtures("own_cache", "one_scan")

SCRIPTS = Recipe.scripts()
loaded = cache(Recipe.load)  # of these several tests look at each


# -- facts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "script", "direction", "joining", "vertical", "digits", "spaced", "unit", "cased"),
    [
        ("kannada", "Knda", "ltr", False, "no", "೦೧೨೩೪೫೬೭೮೯", True, "grapheme", False),
        ("ar", "Arab", "rtl", True, "no", "٠١٢٣٤٥٦٧٨٩", True, "codepoint", False),
        ("ur", "Arab", "rtl", True, "no", "۰۱۲۳۴۵۶۷۸۹", True, "codepoint", False),
        ("Hebrew", "Hebr", "rtl", False, "no", "", True, "codepoint", False),
        ("th_TH", "Thai", "ltr", False, "no", "๐๑๒๓๔๕๖๗๘๙", False, "grapheme", False),
        ("khmer", "Khmr", "ltr", False, "no", "០១២៣៤៥៦៧៨៩", False, "grapheme", False),
        ("Burmese", "Mymr", "ltr", False, "no", "၀၁၂၃၄၅၆၇၈၉", False, "grapheme", False),
        ("bo", "Tibt", "ltr", False, "no", "༠༡༢༣༤༥༦༧༨༩", False, "grapheme", False),
        ("ja", "Jpan", "ltr", False, "also", "", False, "codepoint", False),
        ("zh_Hant_TW", "Hant", "ltr", False, "also", "", False, "codepoint", False),
        ("mn_Mong", "Mong", "ltr", True, "only", "᠐᠑᠒᠓᠔᠕᠖᠗᠘᠙", True, "codepoint", False),
        ("N'Ko", "Nkoo", "rtl", True, "no", "߀߁߂߃߄߅߆߇߈߉", True, "grapheme", False),
        ("Russian", "Cyrl", "ltr", False, "no", "", True, "codepoint", True),
        ("Cherokee", "Cher", "ltr", False, "no", "", True, "codepoint", True),
        ("Amharic", "Ethi", "ltr", False, "no", "", True, "codepoint", False),
    ],
)
def test_facts(
    name: str,
    script: str,
    direction: str,
    joining: bool,
    vertical: str,
    digits: str,
    spaced: bool,
    unit: str,
    cased: bool,
) -> None:
    d = describe(name)
    found = (d.script, d.direction, d.joining, d.vertical, d.digits, d.spaced, d.unit, d.cased)
    assert found == (script, direction, joining, vertical, digits, spaced, unit, cased)


def test_what_nfc_replaces_is_told() -> None:
    assert {"\u09dc", "\u09dd", "\u09df"} == set(describe("Bengali").rewritten)
    assert describe("Kannada").rewritten == ()


@pytest.mark.parametrize("code", sorted(catalog()))
def test_scripts_of_the_catalogue_are_known(code: str) -> None:
    d = describe(code.split("-")[-1])
    assert d.entry() is not None and d.characters
    assert all(unicodedata2.normalize("NFC", unit) == unit for unit in d.characters)


def test_joining_is_as_in_unicodes_own_file() -> None:
    file = Path(os.environ.get("SCRIPTORIUM_UNICODE_DATA", "/usr/share/unicode")) / "ArabicShaping.txt"
    assert file.is_file(), "run scripts/test, which installs unicode-data"
    rows = [line.split(";") for line in file.read_text(encoding="utf-8").splitlines() if re.match("[0-9A-F]", line)]
    joining = {script_of(chr(int(row[0], 16))) for row in rows if row[2].strip() == "D"}
    codes = {code for code in catalog() if "-" not in code and code not in ("Aran", "Latf", "Hans", "Hant", "Jpan")}
    assert {code for code in codes if describe(code).joining} == codes & joining


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("kn", "kn-Knda"),
        ("kn_IN", "kn-Knda"),
        ("knda", "kn-Knda"),
        ("KANNADA", "kn-Knda"),
        ("ಕನ್ನಡ", "kn-Knda"),
        ("sr_Latn", "sr-Latn"),
        ("sr", "sr-Cyrl"),
        ("urdu", "ur-Arab"),
        ("bangla", "bn-Beng"),
        ("zh", "zh-Hans"),
        ("Hindi", "hi-Deva"),
        ("old italic", "osc-Ital"),
    ],
)
def test_names(name: str, language: str) -> None:
    found = describe(name).language
    assert found is not None and found.split("-")[1] == language.split("-")[1]
    assert found == language or name == "old italic"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("kanada", "did you mean Kannada?"),
        ("Amharik", "did you mean Amharic?"),
        ("xx_XX", "no script or language 'xx_XX' is known"),
        ("kn_Cher", "no script or language 'kn_Cher' is known"),
        ("", "give a locale such as kn or mn_Mong"),
    ],
)
def test_unknown_names(name: str, told: str) -> None:
    with pytest.raises(ScriptoriumError) as caught:
        describe(name)
    assert told in str(caught.value) and "\n" not in str(caught.value)


# -- from texts -------------------------------------------------------------------------------------------------------


def test_the_script_of_texts(tmp_path: Path) -> None:
    texts = tmp_path / "a.txt"
    texts.write_text("ಅಕ್ಕಿ ಮತ್ತು ಬೆಲ್ಲ\nrice\nಹಳ್ಳಿಯ ಕೆರೆ \ue001\n", encoding="utf-8")
    d = describe_corpus([texts])
    assert d.script == "Knda" and d.scripts == ("Knda", "Latn") and d.unit == "grapheme"
    assert {"ಕ್", "ಕಿ", "ಕೆ", "r"} <= set(d.characters) and "ೆ" not in d.characters
    assert d.private == ("\ue001",) and d.recipe() == "kannada"
    assert "private use U+E001: kept where a font draws them" in report(d, [])[0]


def test_texts_without_letters(tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text("12 34\n", encoding="utf-8")
    with pytest.raises(ScriptoriumError, match=r"n\.txt: no letters of any script; give texts"):
        describe_corpus([tmp_path / "n.txt"])


@pytest.mark.parametrize("name", SCRIPTS)
def test_recipes_follow_what_their_texts_say(name: str) -> None:
    recipe = loaded(name)
    d = describe_corpus([recipe.corpus.files[0].path])
    assert (recipe.corpus.piece == "line") == (not d.spaced)
    if name != "early-latin":  # its signs of abbreviation are marks that a small corpus has few of
        assert recipe.corpus.unit == d.unit
    assert (recipe.corpus.direction == "rtl") == (d.direction == "rtl")
    if recipe.corpus.digits != "0123456789":
        assert recipe.corpus.digits in (d.digits, "۰۱۲۳۴۵۶۷۸۹")


# -- fonts and pictures -----------------------------------------------------------------------------------------------


def test_fonts_that_are_there_and_those_to_be_had(dejavu: list[Path], tmp_path: Path) -> None:
    d = describe("Hebrew")
    text, found = report(d, scan(dejavu).faces)
    assert "DejaVu Sans (1 face)" in text and "DejaVu Serif" not in text
    assert "more to be had, by `synth fonts install Hebr`:\n       Frank Ruehl CLM  GPL-2.0-only, culmus" in text
    assert "  synth charset build --corpus he.txt --unit codepoint --output he_dict.txt\n" in text
    made = "synth generate --recipe hebrew --corpus he.txt --charset he_dict.txt --min-per-unit 200 --output data/"
    assert made in text
    picture = tmp_path / "he.png"
    assert draw_sample(d, found, picture) == 1
    image = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    columns = np.flatnonzero((image[26:] < 128).any(0))
    assert columns.size and image.shape[1] - columns[-1] < 16  # a line from right to left ends at the right


def test_the_commands_can_be_pasted_and_fit_a_script_without_a_recipe() -> None:
    lines = report(describe("Balinese"), [])[0].partition("\nnext\n")[2].splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    assert [line[:3] for line in words[1:3]] == [["synth", "corpus", "build"], ["synth", "fonts", "audit"]]
    (generate,) = [line for line in words if line[1] == "generate"]
    assert {"corpus.unit=grapheme", "corpus.piece=line", "corpus.language=ban", "layout.height=48"} <= set(generate)
    assert words[-1] == ["synth", "verify", "data/"]


def test_a_script_that_no_font_has(dejavu: list[Path], tmp_path: Path) -> None:
    d = describe("Kannada")
    text, found = report(d, scan(dejavu).faces)
    assert "0 families" in text and "by `synth fonts install Knda`" in text
    with pytest.raises(ScriptoriumError, match=r"not drawn: no font found draws Kannada"):
        draw_sample(d, found, tmp_path / "x.png")


def test_the_command(synth: Callable[..., Done], tmp_path: Path, dejavu: list[Path]) -> None:
    done = synth("script", "he", "--fonts", *dejavu, "--output", tmp_path / "he.png")
    assert done.code == 0 and "right to left" in done.out and "sample in 1 family: " in done.out
    texts = tmp_path / "a.txt"
    texts.write_text("שלום עולם\n", encoding="utf-8")
    assert "Hebrew 100%" in synth("script", "--from", texts, "--fonts", *dejavu).out
    assert "give either a script or locale, or --from FILE" in synth("script").error
    assert "give either a script or locale, or --from FILE" in synth("script", "he", "--from", texts).error
    assert "did you mean Hebrew?" in synth("script", "hebrw", "--fonts", *dejavu).error
    assert "--from" in synth("script", "--help").out


# -- recipes ----------------------------------------------------------------------------------------------------------


def test_there_is_a_recipe_for_every_script_that_is_promised() -> None:
    promised = (
        "arabic persian urdu hebrew devanagari bengali tamil kannada khmer burmese thai lao tibetan sinhala ethiopic "
        "georgian armenian cherokee nko syriac greek fraktur early-latin vietnamese japanese chinese korean"
    )
    assert set(promised.split()) <= set(SCRIPTS) and set(SCRIPTS).isdisjoint(Recipe.presets())


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_recipes_say_what_they_are_for_and_build_on_a_look(name: str) -> None:
    text = (data_file("configs/recipes/scripts") / f"{name}.yml").read_text(encoding="utf-8")
    assert re.match(rf"# [A-Z].{{15,}}[.\]]\nname: {name}\nbase: (document|historical)\n", text)
    recipe = loaded(name)
    assert recipe.name == name and recipe.degrade == loaded(re.findall("base: (.*)", text)[0]).degrade
    assert all(file.path.is_absolute() and file.path.is_file() for file in recipe.corpus.files)


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_recipes_draw_with_nothing_else_once_fonts_are_installed(name: str) -> None:
    pipeline = Pipeline(loaded(name).with_keys("fonts", paths=fontset.folders()))
    for sample in pipeline.samples(range(6)):
        assert not sample.meta.get("plain") and sample.image.shape[0] == pipeline.recipe.layout.height
        # No text was given up because no font had a character of it.
        assert all(reason != "no font" for reason, _ in sample.refusals), sample.refusals


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_says_only_what_differs_from_its_base(tmp_path: Path) -> None:
    write(tmp_path / "below" / "b.yml", "base: receipt\nlayout: {height: 40}\ncorpus: {words: [1, 2]}\n")
    mine = write(
        tmp_path / "a.yml", "base: below/b.yml\nlayout: {size: [1, 1]}\ncorpus: {templates: [{pattern: x}]}\nseed: 3\n"
    )
    receipt, recipe = Recipe.load("receipt"), Recipe.load(mine)
    assert (recipe.layout.height, recipe.layout.size, recipe.layout.jitter_share) == (40, (1, 1), 0.15)
    assert recipe.corpus.words == (1, 2) and recipe.corpus.case == receipt.corpus.case
    assert [template.pattern for template in recipe.corpus.templates] == ["x"]  # lists are not joined
    assert recipe.seed == 3 and recipe.name == "receipt" and recipe.degrade == receipt.degrade
    assert list(recipe.degrade) == list(receipt.degrade)
    assert Recipe.load(mine, overrides=["base=clean"]).degrade == {}
    assert Recipe.load(mine, overrides=["base=clean"]).layout.size == (1, 1)
    assert Recipe.load("clean", overrides="base=scene").degrade == Recipe.load("scene").degrade


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("base: documnt\n", "base: recipe 'documnt' is unknown; did you mean document?"),
        ("base: nowhere.yml\n", "nowhere.yml: there is no such recipe file"),
        ("base: [clean]\n", "base: should be the name of a recipe or a file, not ['clean']"),
        ("base: a.yml\n", "base leads back to itself: a.yml → a.yml"),
        ("base: b.yml\n", "base leads back to itself: a.yml → b.yml → a.yml"),
        ("base: clean\nlayout: {hight: 3}\n", "layout.hight: unknown key; did you mean height?"),
    ],
)
def test_bases_that_cannot_be_used(tmp_path: Path, text: str, told: str) -> None:
    write(tmp_path / "b.yml", "base: a.yml\n")
    with pytest.raises(RecipeError) as caught:
        Recipe.load(write(tmp_path / "a.yml", text))
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_the_command_line_shows_recipes_resolved(synth: Callable[..., Done]) -> None:
    listed = synth("recipe", "list").out
    assert listed.index("scene") < listed.index("kannada")
    shown = synth("recipe", "show", "kannada").out
    assert "base" not in re.findall(r"^\w+", shown, re.MULTILINE) and "illumination" in shown and "kn.txt" in shown


# -- fonts that a recipe wants, and bad input -------------------------------------------------------------------------


def texts(folder: Path, text: str) -> Path:
    return write(folder / "texts.txt", text)


def test_only_the_families_that_are_wanted(tmp_path: Path, dejavu: list[Path]) -> None:
    corpus = texts(tmp_path, "some words\n")
    fonts = {"paths": dejavu, "families": ["DejaVu Serif", "Nowhere"]}
    book = Pipeline(Recipe.load("clean", corpus=corpus, fonts=fonts)).book
    assert {face.family for face in book.faces} == {"DejaVu Serif"}
    with pytest.raises(ScriptoriumError, match=r"none of Nowhere is among the fonts found; run `synth fonts install"):
        _ = Pipeline(Recipe.load("clean", corpus=corpus, fonts={"paths": dejavu, "families": ["Nowhere"]})).book


def test_a_corpus_in_another_script_than_the_fonts(tmp_path: Path, dejavu: list[Path]) -> None:
    corpus = texts(tmp_path, "ಕನ್ನಡ ನಾಡು\n")
    with pytest.raises(ScriptoriumError, match=r"no font has .*ನ U\+0CA8.*run `synth fonts install Knda`"):
        _ = Pipeline(Recipe.load("clean", corpus=corpus, fonts={"paths": dejavu})).book


def test_private_use_characters_are_kept_where_a_font_draws_them(tmp_path: Path, dejavu: list[Path]) -> None:
    corpus = texts(tmp_path, "ab\ue5b3\n")
    font = save_font(tmp_path / "mufi.ttf", "ab\ue5b3", family="Mufi")
    pipeline = Pipeline(Recipe.load("clean", corpus=corpus, fonts={"paths": [font]}))
    assert pipeline.sample(0).text == "ab\ue5b3"
    with pytest.raises(ScriptoriumError, match=r"no font has .* U\+E5B3"):
        _ = Pipeline(Recipe.load("clean", corpus=corpus, fonts={"paths": dejavu})).book
