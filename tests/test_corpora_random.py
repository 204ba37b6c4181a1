"""Random texts that scripts allow."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import regex
import unicodedata2

from augment.errors import ScriptoriumError
from synth.corpora.syllables import random_texts, write_random
from synth.corpora.texts import has_lone_mark
from synth.text.charset import Charset
from synth.text.units import split_units

# What a syllable may be, written down from the chapters of the Unicode Standard, not from its property files:
# letters, marks, and a pattern for words.
C, V = "कखगघचजटडतदनपबमयरलवसह", "अआइईउऊएऐओऔ"
GRAMMARS = {
    "Devanagari": (
        f"{C}{V}्ािीुूेैोौंःँ़",
        f"(?:[{C}]़?(?:्[{C}]़?)*(?:्|[ािीुूेैोौ]?[ंःँ]?)|[{V}][ंःँ]?)+",
    ),
    "Tamil": (
        "கஙசஞடணதநபமயரலவழளறனஅஆஇஈஉஊஎஏஐஒஓஔாிீுூெேைொோௌ்ஃ",
        "(?:[க-ஹ](?:்[க-ஹ])*(?:்|[ாிீுூெேைொோௌ]?)|[அ-ஔ]|ஃ)+",
    ),
    "Thai": (
        "กขคงจชดตถทนบปผพมยรลวสหอะาิีึืุูเแโใไ่้๊๋์ำๆ",
        "(?:[เแโใไ]?[ก-ฮ](?:์|[ิีึืุู]?[่้๊๋]?[ะาำ]?)|ๆ)+",
    ),
    "Lao": (
        "ກຂຄງຈສຊຍດຕຖທນບປຜຝພຟມຢຣລວຫອຮະາິີຶືຸູເແໂໃໄ່້໊໋ຳ",
        "(?:[ເແໂໃໄ]?[ກ-ຮ][ິີຶືຸູ]?[່້໊໋]?[ະາຳ]?)+",
    ),
    "Khmer": (
        "កខគឃងចឆជឈញដឋឌឍណតថទធនបផពភមយរលវសហឡអឥឦឧា​ិីឹឺុូេែៃោៅំះ់៉៊្".replace("\u200b", ""),
        "(?:[ក-អ][៉៊]?(?:្[ក-អ][៉៊]?)*[ា-ៅ]?[ំះ់]?|[ឥ-ឧ][ំះ់]?)+",
    ),
    "Burmese": (
        "ကခဂဃငစဆဇဈညဋဌဍဎဏတထဒဓနပဖဗဘမယရလဝသဟဠအဣဤဥ္်ျြွှါာိီုူေဲံ့း",
        "(?:[က-အ](?:်|(?:္[က-အ])*[ျြွှ]?[ါ-ူေဲ]?[ံ့း]{0,2})|[ဣ-ဥ][ံ့း]?)+",
    ),
    "Tibetan": (
        "ཀཁགངཅཆཇཉཏཐདནཔཕབམཙཚཛཝཞཟའཡརལཤསཧཨྐྒྔྗྟྡྣྤྦྨྩྭྱྲླིེོུཾ་",
        "(?:[ཀ-ཨ][ྐ-ླ]?[ིེོུ]?ཾ?)+(?:་(?:[ཀ-ཨ][ྐ-ླ]?[ིེོུ]?ཾ?)+)*",
    ),
    "Hebrew": ("אבגדהוזחטיכךלמםנןסעפףצץקרשת", "[א-ת]+"),
    "Hangul": ("가각간갇갈한국글", "[가-힣]+"),
    "Ethiopic": ("ሀሁሂሃሄህሆለሉሊላሌልሎ", "[ሀ-ሎ]+"),
}


def charset(letters: str, unit: str = "codepoint", space: bool = True) -> Charset:
    units = letters if unit == "codepoint" else split_units(letters, "grapheme")
    return Charset(dict.fromkeys(units), space)


def texts(units: Charset, count: int = 400, shortest: int = 3, longest: int = 12, seed: int = 1) -> list[str]:
    return list(random_texts(units, count, shortest, longest, seed)[0])


@pytest.mark.parametrize("script", GRAMMARS)
def test_words_are_legal(script: str) -> None:
    letters, grammar = GRAMMARS[script]
    units = charset(letters)
    made = texts(units)
    assert len(made) == 400
    pattern = regex.compile(grammar)
    counts: Counter[str] = Counter()
    for text in made:
        counts.update(units.split(text))
        assert text == unicodedata2.normalize("NFC", text).strip() and not has_lone_mark(text)
        assert 3 <= len(units.split(text)) <= 12
        for word in text.split(" "):
            assert pattern.fullmatch(word), (word, [f"{ord(c):04X}" for c in word])
    # None of the letters is left out.
    assert not [letter for letter in set(letters) if not counts[letter]]


@pytest.mark.parametrize("script", ["Thai", "Lao", "Khmer", "Burmese", "Tibetan"])
def test_scripts_without_spaces_have_none(script: str) -> None:
    made = texts(charset(GRAMMARS[script][0]), 100)
    assert not any(" " in text for text in made)
    assert any("་" in text for text in made) == (script == "Tibetan")


def test_clusters_of_the_dictionary_stay_whole() -> None:
    clusters = ["ಕ", "ಕಿ", "ಕ್ಷಿ", "ತ್", "ತ್ರೈ", "ಅಂ", "ಗೌ", "೧"]
    units = Charset(clusters)
    counts = Counter(unit for text in texts(units, 200) for unit in units.split(text))
    assert set(counts) == {*clusters, " "}
    # Dealt in turn, so about as often as each other; digits come by themselves.
    often = [counts[cluster] for cluster in clusters[:-1]]
    assert max(often) < 1.5 * min(often)


def test_marks_go_with_letters_and_are_units_of_their_own() -> None:
    units = charset("аеё" + "\u0301", space=False)
    made = texts(units, 100)
    assert any("а\u0301" in text for text in made)
    # NFC has no precomposed letter for these in Cyrillic: the mark is met as itself.
    assert Counter(u for text in made for u in units.split(text))["\u0301"] > 10


def test_marks_that_nfc_takes_away_have_no_place(tmp_path: Path) -> None:
    units = Charset(["a", "á", "\u0301"])
    counts, unplaced = write_random(units, tmp_path / "out.txt", 50)
    assert unplaced == ["\u0301"] and not counts["\u0301"] and counts["á"]


def test_capitals_begin_words_or_are_all() -> None:
    made = texts(charset("abcdefABCDEF"), 300)
    words = [word for text in made for word in text.split(" ")]
    assert all(word.islower() or word.isupper() or word.istitle() for word in words)
    assert {"lower", "title"} == {"title" if w.istitle() and len(w) > 1 else "lower" for w in words if not w.isupper()}


def test_final_forms_stand_at_the_end_only() -> None:
    for letters, finals, ordinary in (("αβγσς", "ς", "σ"), ("אבכךמם", "ךם", "כמ")):
        words = [word for text in texts(charset(letters), 300) for word in text.split(" ")]
        assert not any(character in word[:-1] for word in words for character in finals)
        assert not any(word[-1] in ordinary for word in words if len(word) > 1)
        assert any(word[-1] in finals for word in words)


def test_digits_and_signs() -> None:
    made = texts(charset("абв0123456789٠١٢٣٤٥٦٧٨٩().,"), 600, 3, 15)
    tokens = [token.strip("().,") for text in made for token in text.split(" ")]
    numbers = [token for token in tokens if any(c.isdigit() for c in token)]
    assert numbers and all(n.isdecimal() and len({n0.isascii() for n0 in n}) == 1 for n in numbers)
    assert {c for text in made for c in text} >= set("().,05٥")


def test_joiners_stand_between_letters() -> None:
    made = texts(charset("कखगि्\u200c\u200d"), 300)
    joined = [found for text in made for found in regex.findall(".{2}[\u200c\u200d].", text)]
    assert joined and all(regex.fullmatch("[कखग]्[\u200c\u200d][कखग]", found) for found in joined)
    assert not [text for text in made if has_lone_mark(text)]


def test_same_seed_same_texts(tmp_path: Path) -> None:
    units = charset(GRAMMARS["Khmer"][0])
    assert texts(units, 50, seed=3) == texts(units, 50, seed=3) != texts(units, 50, seed=4)
    write_random(units, tmp_path / "a", 50, shortest=3, longest=12, seed=3)
    assert (tmp_path / "a").read_text("utf-8").splitlines() == texts(units, 50, seed=3)


@pytest.mark.parametrize("units", [["\u0301"], ["ि", "्"], [".", "!"]])
def test_dictionaries_that_make_no_text(units: list[str]) -> None:
    with pytest.raises(ScriptoriumError, match="no letter or digit in it can stand in a text"):
        texts(Charset(units))
