"""Words of Hunspell dictionaries; all that is expected here was worked out by hand from hunspell(5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from augment.errors import ScriptoriumError
from synth.corpora.hunspell import CUT, FORBIDDEN, forms, from_hunspell, read_entries, read_rules


def written(folder: Path, aff: str, dic: str, encoding: str = "utf-8") -> Path:
    (folder / "x.aff").write_bytes(aff.encode(encoding))
    entries = dic.strip().splitlines()
    (folder / "x.dic").write_bytes("\n".join([str(len(entries)), *entries, ""]).encode(encoding))
    return folder / "x.dic"


def words(folder: Path, aff: str, dic: str, encoding: str = "utf-8") -> list[str]:
    """Everything that the stems stand for, in order, each as often as it comes."""
    path = written(folder, aff, dic, encoding)
    rules = read_rules(path.with_suffix(".aff"))
    return [form for stem, flags in read_entries(path, rules) for form in forms(stem, flags, rules)]


# The affix file of the manual's first example, and more of its conditions.
ENGLISH = """
SET UTF-8
TRY esianrtolcdugmphbyfvkwzESIANRTOLCDUGMPHBYFVKWZ'
REP 1
REP f ph

PFX A Y 1
PFX A 0 re .

SFX B Y 2
SFX B 0 ed [^y]
SFX B y ied y

SFX S N 3
SFX S 0 s [^sxy]
SFX S y ies [^aeiou]y
SFX S 0 es [sx]
"""


def test_the_manuals_example(tmp_path):
    made = words(tmp_path, ENGLISH, "hello\ntry/B\nwork/AB\n")
    assert made == ["hello", "try", "tried", "work", "rework", "worked", "reworked"]


def test_conditions_and_no_cross_product(tmp_path):
    # S takes no prefix: N.
    assert set(words(tmp_path, ENGLISH, "fly/S\nday/S\nbox/S\ndo/AS\n")) == {
        "fly", "flies", "day", "box", "boxes", "do", "dos", "redo",
    }  # fmt: skip


def test_twofold_suffixes_and_their_bound(tmp_path):
    aff = """
SET UTF-8
SFX X Y 1
SFX X 0 able/Y .
SFX Y Y 1
SFX Y 0 ness/Z .
SFX Z Y 1
SFX Z 0 es .
PFX P Y 1
PFX P 0 un .
"""
    # drink+able+ness, but not drink+able+ness+es: three suffixes are one too many.
    assert sorted(words(tmp_path, aff, "drink/XP")) == sorted(
        ["drink", "undrink", "drinkable", "undrinkable", "drinkableness", "undrinkableness"]
    )


def test_complex_prefixes(tmp_path):
    prefixes = "PFX X Y 1\nPFX X 0 b/Y .\nPFX Y Y 1\nPFX Y 0 a .\n"
    suffixes = "SFX S Y 1\nSFX S 0 z/T .\nSFX T Y 1\nSFX T 0 y .\n"
    aff = f"SET UTF-8\nCOMPLEXPREFIXES\n{prefixes}{suffixes}"
    assert sorted(words(tmp_path, aff, "m/XS")) == sorted(["m", "mz", "bm", "bmz", "abm", "abmz"])


@pytest.mark.parametrize(
    ("kind", "one", "two"),
    [("", "A", "B"), ("FLAG long", "Zz", "Yy"), ("FLAG num", "65000", "12"), ("FLAG UTF-8", "ä", "ж")],
)
def test_flag_modes(tmp_path, kind, one, two):
    aff = f"SET UTF-8\n{kind}\nPFX {one} Y 1\nPFX {one} 0 pre .\nSFX {two} Y 1\nSFX {two} 0 post .\n"
    joined = f"{one},{two}" if "num" in kind else one + two
    assert sorted(words(tmp_path, aff, f"stem/{joined}\nother/{two}")) == sorted(
        ["stem", "prestem", "stempost", "prestempost", "other", "otherpost"]
    )


def test_aliases(tmp_path):
    aff = "SET UTF-8\nAF 2\nAF AB # 1\nAF A # 2\nPFX A Y 1\nPFX A 0 re .\nSFX B Y 1\nSFX B 0 ed/2 .\n"
    assert set(words(tmp_path, aff, "work/1\nplay/2")) == {"work", "rework", "worked", "reworked", "play", "replay"}
    with pytest.raises(ScriptoriumError, match=r"x\.dic: line 2: flag alias 3, but there are 2"):
        words(tmp_path, aff, "work/3")


def test_prefix_of_a_suffix_and_suffix_of_a_prefix(tmp_path):
    flagged = "PFX P Y 1\nPFX P 0 p/T .\nSFX S Y 1\nSFX S 0 s/Q .\n"
    aff = f"SET UTF-8\n{flagged}PFX Q Y 1\nPFX Q 0 q .\nSFX T Y 1\nSFX T 0 t .\n"
    # q goes with s alone, t with p alone.
    assert sorted(words(tmp_path, aff, "x/PS")) == sorted(["x", "px", "xs", "pxs", "qxs", "pxt"])


def test_words_that_are_no_words_by_themselves(tmp_path):
    aff = """
SET UTF-8
NEEDAFFIX X
ONLYINCOMPOUND O
CIRCUMFIX C
SFX A Y 1
SFX A 0 s .
PFX G Y 1
PFX G 0 ge/C .
SFX T Y 1
SFX T 0 t/C .
SFX N Y 1
SFX N 0 n/X .
PFX M Y 1
PFX M 0 m .
"""
    assert words(tmp_path, aff, "foo/XA") == ["foos"]
    assert words(tmp_path, aff, "fuge/OA") == []
    # Half of a circumfix is none.
    assert words(tmp_path, aff, "mach/GT") == ["mach", "gemacht"]
    # -n needs another affix.
    assert sorted(words(tmp_path, aff, "a/NM")) == ["a", "ma", "man"]


def test_forbidden_words_are_left_out_wherever_they_come_from(tmp_path):
    path = written(tmp_path, "SET UTF-8\nFORBIDDENWORD !\nSFX A Y 1\nSFX A 0 s .\n", "sheep/A\nsheeps/!\nlamb/A")
    done = from_hunspell(path, tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text().split() == ["sheep", "lamb", "lambs"]
    assert done.dropped == {FORBIDDEN: 2}


def test_a_word_is_not_taken_away_whole(tmp_path):
    aff = "SET UTF-8\n{}SFX A Y 1\nSFX A go went .\n"
    assert words(tmp_path, aff.format(""), "go/A") == ["go"]
    assert words(tmp_path, aff.format("FULLSTRIP\n"), "go/A") == ["go", "went"]


@pytest.mark.parametrize(
    ("name", "encoding", "stem"),
    [
        ("ISO8859-2", "iso8859-2", "źrebię"),
        ("KOI8-R", "koi8-r", "слово"),
        ("microsoft-cp1251", "cp1251", "слово"),
        ("UTF-8", "utf-8", "слово"),
    ],
)
def test_encodings(tmp_path, name, encoding, stem):
    aff = f"SET {name}\nSFX A Y 1\nSFX A 0 {stem[0]} .\n"
    assert words(tmp_path, aff, f"{stem}/A", encoding) == [stem, stem + stem[0]]


def test_entries(tmp_path):
    dic = "drink/A po:verb\nkm\\/h\t[1]\nbe st:is\n/\nNew York/A\n"
    assert words(tmp_path, "SET UTF-8\nSFX A Y 1\nSFX A 0 s .\n", dic) == [
        "drink", "drinks", "km/h", "be", "/", "New York", "New Yorks",
    ]  # fmt: skip


def test_signs_to_ignore(tmp_path):
    aff = "SET UTF-8\nIGNORE \u064e\u064f\nSFX A Y 1\nSFX A 0 \u064eت .\n"
    assert words(tmp_path, aff, "ك\u064eتب/A") == ["كتب", "كتبت"]


def test_signs_of_regular_expressions_are_themselves(tmp_path):
    aff = "SET UTF-8\nSFX A Y 3\nSFX A . s [.]\nSFX A 0 x (a)\nSFX A 0 y [^b-]\n"
    assert words(tmp_path, aff, "c./A\nc(a)/A\nab/A\nc-/A") == ["c.", "cs", "c.y", "c(a)", "c(a)x", "c(a)y", "ab", "c-"]


def test_the_bound(tmp_path):
    rows = "\n".join(f"SFX A 0 {'x' * number} ." for number in range(1, 51))
    path = written(tmp_path, f"SET UTF-8\nSFX A Y 50\n{rows}\n", "a/A\nb\n")
    done = from_hunspell(path, tmp_path / "out.txt", most=10)
    assert done.kept == 11 and done.dropped == {CUT: 1}
    # None beyond it: no stem is cut.
    assert from_hunspell(path, tmp_path / "out.txt", most=51, longest=60).dropped == {}


def test_without_affixes(tmp_path):
    (tmp_path / "y.dic").write_text("2\nслово/AB\nдело\n", encoding="utf-8")
    from_hunspell(tmp_path / "y.dic", tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text("utf-8").split() == ["слово", "дело"]


@pytest.mark.parametrize(
    ("aff", "told"),
    [
        ("SET KLINGON\n", r"x\.aff: SET encoding 'KLINGON' is unknown"),
        ("FLAG short\n", r"x\.aff: FLAG short is unknown"),
        ("SET UTF-8\nSFX A\n", r"x\.aff: line 2: SFX with 1 field"),
        ("SET UTF-8\nSFX A Y many\n", r"x\.aff: line 2: SFX A begins with a cross product"),
        ("SET UTF-8\nFLAG num\nSFX A Y 1\n", r"x\.aff: line 3: flags 'A': FLAG num has numbers"),
        ("SET UTF-8\nFLAG long\nSFX A Y 1\n", r"x\.aff: line 3: flags 'A': FLAG long has two"),
    ],
)
def test_malformed_rules(tmp_path, aff, told):
    with pytest.raises(ScriptoriumError, match=told):
        from_hunspell(written(tmp_path, aff, "a"), tmp_path / "out.txt")


def test_no_such_file(tmp_path):
    with pytest.raises(ScriptoriumError, match=r"none\.dic: cannot be read"):
        from_hunspell(tmp_path / "none.dic", tmp_path / "out.txt")
    with pytest.raises(ScriptoriumError, match="--forms 0"):
        from_hunspell(written(tmp_path, "", "a"), tmp_path / "out.txt", most=0)
