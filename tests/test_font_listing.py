from __future__ import annotations

from pathlib import Path

import pytest
from font_maker import save_font

from augment.errors import ScriptoriumError
from synth.fonts.index import FontIndex, scan
from synth.fonts.listing import check_text, list_fonts

KANNADA, HIRAGANA, KATAKANA, HAN, COPTIC = "ಕಖಗಘಚ", "あいうえお", "アイウエオ", "一二三四五", "ⲀⲁⲂⲃⲄ"


def indexed(folder: Path, **fonts: str) -> FontIndex:
    """Fonts of one face each, by family."""
    for name, chars in fonts.items():
        save_font(folder / f"{name}.ttf", chars, family=name)
    return scan([folder], cache_dir=folder / "cache")


def families(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[:-1]]


# -- list ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("Knda", ["Kannada"]),
        ("knda", ["Kannada"]),
        ("Kannada", ["Kannada"]),
        ("KANNADA", ["Kannada"]),
        ("kanarese", ["Kannada"]),
        ("japanese", ["Japanese"]),
        ("Hani", ["Chinese", "Japanese"]),
        ("Hira", ["Japanese"]),  # what no catalogued font is for goes by its code
        ("copt", ["Coptic"]),
        ("english", ["Kannada", "Viet"]),
        ("vietnamese", ["Viet"]),
    ],
)
def test_a_script_goes_by_name_or_code(tmp_path: Path, script: str, expected: list[str]) -> None:
    letters = "ĂăÂâĐđÊêÔôƠơƯưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"
    found = indexed(
        tmp_path,
        Kannada=KANNADA + "abcdef",
        Japanese=HIRAGANA + KATAKANA + HAN,
        Chinese=HAN,
        Coptic=COPTIC,
        Viet="abcdef" + letters,
    )
    assert families(list_fonts(found, script)) == expected


@pytest.mark.parametrize("script", ["Klingon", "Zyyy", "Xxxx"])
def test_an_unknown_script_is_an_error(tmp_path: Path, script: str) -> None:
    with pytest.raises(ScriptoriumError, match=f"script '{script}'"):
        list_fonts(indexed(tmp_path, Latin="abc"), script)


def test_one_and_many(tmp_path: Path) -> None:
    found = indexed(tmp_path, One="abcdef")
    first, last = list_fonts(found, "Latin").splitlines()
    assert first.split()[:4] == ["One", "1", "face", "6"]
    assert last == "1 of 1 family, 1 face draw Latin"
    save_font(tmp_path / "bold.ttf", "abcdef", family="One", style="Bold")
    lines = list_fonts(indexed(tmp_path, Two="ab")).splitlines()
    assert [line.split()[1:3] for line in lines[:-1]] == [["2", "faces"], ["1", "face"]]
    assert lines[-1] == "2 families, 3 faces"


def test_unusable_fonts_are_named_in_full_only_where_the_paths_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (tmp_path / f"bad{number}.ttf").touch()
    named = list_fonts(indexed(tmp_path, Good="abcdef"))
    assert named.count("empty file") == 5 and "5 files or faces of no use:" in named
    monkeypatch.setattr("synth.fonts.index.font_dirs", lambda: [tmp_path])
    machine = list_fonts(scan(cache_dir=tmp_path / "cache"))
    assert machine.count("empty file") == 3 and machine.endswith("\n  … and 2 more\n")
    assert "5 files or faces of no use:" in machine


# -- check -----------------------------------------------------------------------------------------------------


def test_families_without_a_letter_of_the_main_script_are_only_counted(tmp_path: Path) -> None:
    found = indexed(tmp_path, Whole="abc 12", Part="ab 12", Greek="αβγ 12", Hebrew="אבג 12").faces
    assert check_text(found, "abc 12 α").splitlines() == [
        "does not   Whole: lacks α",
        "does not   Part: lacks c α",
        "           … nor do 2 other families",
    ]
    assert check_text(found, "abc 1").splitlines() == [
        "draws it   Whole (1 face)",
        "does not   Part: lacks c",
        "           … nor do 2 other families",
    ]
    assert check_text(found, "אב").splitlines() == ["draws it   Hebrew (1 face)", "does not   3 other families"]
    assert check_text([face for face in found if face.family == "Greek"], "a").splitlines()[0] == "does not   1 family"


def test_without_letters_all_families_are_named(tmp_path: Path) -> None:
    found = indexed(tmp_path, Digits="12", Letters="ab").faces
    assert check_text(found, "12").splitlines() == ["draws it   Digits (1 face)", "does not   Letters: lacks 1 2"]
