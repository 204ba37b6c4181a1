"""Corpora from CLDR and gflanguages."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import pytest
import unicodedata2
from babel import Locale, localedata
from fontTools import unicodedata as ucd

from augment.errors import ScriptoriumError
from synth.corpora.build import SAMPLES, build, find_languages
from synth.corpora.cldr import FOREIGN, ROOT, cldr_texts
from synth.corpora.locales import find_language
from synth.text.charset import Charset
from synth.text.script import digits_of, members

# Locale, its script, direction.
LOCALES = """
am Ethi ltr, ar Arab rtl, as Beng ltr, bg Cyrl ltr, bn Beng ltr, bo Tibt ltr, ccp Cakm ltr, chr Cher ltr, cop Copt ltr,
cs Latn ltr, de Latn ltr, dv Thaa rtl, el Grek ltr, en Latn ltr, fa Arab rtl, ff-Adlm Adlm rtl, got Goth ltr,
gu Gujr ltr, he Hebr rtl, hi Deva ltr, hnj Hmnp ltr, hy Armn ltr, iu Cans ltr, ja Jpan ltr, jv-Java Java ltr,
ka Geor ltr, km Khmr ltr, kn Knda ltr, ko Kore ltr, lo Laoo ltr, ml Mlym ltr, mn-Mong Mong ttb, mni Beng ltr,
my Mymr ltr, ne Deva ltr, nqo Nkoo rtl, or Orya ltr, pa Guru ltr, ru Cyrl ltr, sat Olck ltr, si Sinh ltr,
sr-Latn Latn ltr, syr Syrc rtl, ta Taml ltr, te Telu ltr, th Thai ltr, ur Arab rtl, vai Vaii ltr, vi Latn ltr,
yue Hant ltr, zgh Tfng ltr, zh Hans ltr
"""
EXPECTED = {name: (script, direction) for name, script, direction in (row.split() for row in LOCALES.split(","))}


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_fifty_locales_in_thirty_scripts(tmp_path: Path) -> None:
    languages = find_languages(",".join(EXPECTED))
    assert len(languages) >= 40 and len({language.script for language in languages}) >= 25
    for tag, built in zip(EXPECTED, build(languages, tmp_path, each=1), strict=True):
        language = built.language
        assert (language.script, language.direction) == EXPECTED[tag], tag
        texts = lines(built.corpus)
        assert len(texts) == built.texts == len(set(texts)) > 5, tag
        # The total adds up: what was written and what came twice is what the kinds had.
        assert sum(built.kinds.values()) == built.texts + built.repeated, tag
        assert all(text == unicodedata2.normalize("NFC", text) == " ".join(text.split()) for text in texts), tag
        allowed = members(language.script)
        for character in set("".join(texts)):
            if unicodedata2.category(character)[0] == "L":
                scripts = set(ucd.script_extension(character))
                assert scripts & (allowed | {"Zyyy", "Zinh"}), (tag, character)
        charset = Charset.from_file(built.characters)
        assert len(charset) == built.units
        assert not [text for text in texts if charset.missing(text)], tag


def test_names_are_those_of_babel(tmp_path: Path) -> None:
    (built,) = build(find_languages("kn"), tmp_path / "kn.txt", each=2)
    assert built.corpus == tmp_path / "kn.txt" and built.characters == tmp_path / "kn.characters.txt"
    texts = set(lines(built.corpus))
    locale = Locale.parse("kn")
    for names in (locale.territories, locale.languages, locale.months["format"]["wide"], locale.days["format"]["wide"]):
        assert {name for name in names.values() if name.isprintable()} & texts
    assert {"ಭಾರತ", "ಜನವರಿ", "ಸೋಮವಾರ", "ಭಾರತೀಯ ರೂಪಾಯಿ", "ಬೆಂಗಾಲಿ"} <= texts | set(locale.scripts.values())
    # Both ways of writing numbers.
    assert any("೫" in text for text in texts) and any("5" in text for text in texts)
    assert built.language.native_digits == "೦೧೨೩೪೫೬೭೮೯"


def test_nothing_of_root_is_text() -> None:
    dropped: Counter[str] = Counter()
    texts = []
    for found in cldr_texts(find_language("mn-Mong")):
        dropped[found.dropped] += 1
        texts += [] if found.dropped else [found.text]
    # Its months are M01 to M12, its days Sun to Sat, and its currencies are in Cyrillic.
    assert not texts
    assert dropped[ROOT] > 100 and dropped["in another script"] == 9
    values = [found.text for found in cldr_texts(find_language("mn-Mong")) if found.dropped == ROOT]
    assert {"M01", "Sun", "Q1"} <= set(values)


def test_german_has_no_english_day_periods() -> None:
    # "AM" is root's: German has names for parts of the day only.
    texts = {found.text for found in cldr_texts(find_language("de")) if not found.dropped}
    assert {"Mitternacht", "Montag", "Mo", "März", "Österreich"} <= texts
    assert not [text for text in texts if "AM" in text.split() or "PM" in text.split()]


def test_english_has_them() -> None:
    texts = {found.text for found in cldr_texts(find_language("en")) if not found.dropped}
    assert [text for text in texts if text.endswith((" AM", " PM"))]


def test_nothing_comes_from_another_language() -> None:
    # Hindi in Latin letters inherits from English.
    found = list(cldr_texts(find_language("hi-Latn")))
    assert "Germany" not in {each.text for each in found if not each.dropped}
    assert "Germany" in {each.text for each in found if each.dropped == FOREIGN}
    # Norwegian Bokmål inherits from Norwegian: that is the same language.
    assert "Tyskland" in {each.text for each in cldr_texts(find_language("nb")) if not each.dropped}


def test_own_data_does_not_depend_on_what_was_asked_before() -> None:
    before = [found for found in cldr_texts(find_language("bo")) if not found.dropped]
    localedata.load("bo")  # Babel's cache has the inherited data from now on
    assert [found for found in cldr_texts(find_language("bo")) if not found.dropped] == before
    with Path(localedata.resolve_locale_filename("bo")).open("rb") as file:
        own = pickle.load(file)
    months = {str(name) for widths in own["months"].values() for names in widths.values() for name in names.values()}
    assert {found.text for found in before if found.kind == "months"} <= months


@pytest.mark.parametrize(("tag", "digits"), [("ar-EG", "٠١٢٣٤٥٦٧٨٩"), ("fa", "۰۱۲۳۴۵۶۷۸۹"), ("my", "၀၁၂၃၄၅၆၇၈၉")])
def test_numbers_are_in_the_locales_own_digits(tag: str, digits: str) -> None:
    language = find_language(tag)
    assert language.digits == digits
    texts = [f.text for f in cldr_texts(language) if not f.dropped and f.kind in ("numbers", "prices", "times")]
    assert texts and not [text for text in texts if any(c in "0123456789" for c in text)]
    assert set(digits) <= set("".join(texts))


def test_numbering_systems_are_in_order() -> None:
    for system in ("deva", "adlm", "mymrshan", "tamldec", "hmnp", "olck", "cakm", "thai"):
        digits = digits_of(system)
        assert digits is not None
        assert [unicodedata2.decimal(digit) for digit in digits] == list(range(10))
    assert digits_of("hanidec") == "〇一二三四五六七八九"
    assert digits_of("ethi") is None and digits_of("roman") is None


def test_a_language_that_babel_lacks(tmp_path: Path) -> None:
    (built,) = build(find_languages("got"), tmp_path)
    assert built.language.cldr is None and built.corpus.name == "got-Goth.txt"
    assert set(built.kinds) == {SAMPLES}
    assert all(0x10330 <= ord(c) < 0x10350 or not c.isalpha() for text in lines(built.corpus) for c in text)


def test_same_arguments_same_files(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        list(build(find_languages("am"), tmp_path / name, seed=seed))
    a, b, c = ((tmp_path / name / "am.txt").read_bytes() for name in "abc")
    assert a == b != c
    assert (tmp_path / "a" / "am.characters.txt").read_bytes() == (tmp_path / "b" / "am.characters.txt").read_bytes()


@pytest.mark.parametrize(
    ("tag", "hint"),
    [
        ("Amharik", "did you mean am (Amharic)?"),
        ("Kannada", "did you mean kn (Kannada)?"),
        ("sr-Latm", "did you mean sr-Latn?"),
        ("../../etc/passwd", ""),
        ("kn-QX", ""),
        ("q", ""),
    ],
)
def test_unknown_locales(tag: str, hint: str) -> None:
    with pytest.raises(ScriptoriumError, match="is unknown") as error:
        find_languages(f"kn,{tag}")
    assert hint in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tag", "found"),
    [
        ("iw", "he"),
        ("sr_Cyrl", "sr-Cyrl"),
        ("am-Ethi", "am"),
        ("PT-br", "pt-BR"),
        ("zh-hant", "zh-Hant"),
        ("tlh", "tlh-Latn"),
    ],
)
def test_spellings_of_tags(tag: str, found: str) -> None:
    assert find_language(tag).tag == found


def test_no_locale_at_all() -> None:
    with pytest.raises(ScriptoriumError, match="no locale"):
        find_languages(" , ")


def test_several_corpora_need_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("x")
    with pytest.raises(ScriptoriumError, match="need a folder"):
        list(build(find_languages("am,kn"), tmp_path / "out.txt"))
