"""Lines read and written, running text and word lists made corpora."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
import unicodedata2
from hypothesis import given
from hypothesis import strategies as st

from augment.errors import ScriptoriumError
from synth.corpora import texts as module
from synth.corpora.plain import cut, from_text, sentences
from synth.corpora.texts import MAX_LINE, fault, has_lone_mark, mend, read_lines, write_distinct
from synth.corpora.wordlist import from_wordlist
from synth.text.script import find_script, main_script
from synth.text.units import split_units

LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=12)


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


@given(st.lists(LINE, min_size=1), st.sampled_from(["\n", "\r\n"]), st.integers(1, 9))
def test_lines_are_those_of_the_file(tmp_path_factory, given_lines, end, chunk):
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes(("x" + end + end.join(given_lines) + end).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        assert list(read_lines(path)) == ["x", *given_lines]


def test_a_file_may_begin_with_a_mark_and_end_without_a_line_end(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\ntwo")
    assert list(read_lines(tmp_path / "a.txt")) == ["one", "two"]


@pytest.mark.parametrize("encoding", ["utf-16", "cp1251", "gb18030", "iso2022_jp"])
def test_other_encodings(tmp_path, encoding):
    text = {"gb18030": "汉字\n词", "iso2022_jp": "漢字\nかな"}.get(encoding, "слово\nещё")
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", 3)
        assert list(read_lines(tmp_path / "a.txt", encoding)) == text.split("\n")


def test_lines_without_end_are_cut(tmp_path):
    (tmp_path / "a.txt").write_text("word " * 40_000 + "\n" + "क्षि" * 60_000, encoding="utf-8")
    parts = list(read_lines(tmp_path / "a.txt"))
    assert max(map(len, parts)) <= MAX_LINE
    assert "".join(parts) == "word " * 40_000 + "क्षि" * 60_000
    assert all(part.endswith(" ") for part in parts[:3]) and all(part.startswith("क") for part in parts[4:])


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes("eins\nzw\xe4i\ndrei\n".encode("latin-1"))
    assert list(read_lines(tmp_path / "a.txt")) == ["eins", "zw\ufffdi", "drei"]
    done = from_text([tmp_path / "a.txt"], tmp_path / "out.txt")
    assert lines(tmp_path / "out.txt") == ["eins", "drei"]
    assert done.dropped == {module.REPLACED: 1}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        ("Съешь ещё этих мягких французских булок\n".encode("cp1251"), "is not UTF-8: say its --encoding"),
        ("text".encode("utf-16"), "is UTF-16"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "is no text file"),
    ],
)
def test_files_that_are_no_text(tmp_path, data, told):
    (tmp_path / "a.txt").write_bytes(data)
    for make in (
        lambda: from_text([tmp_path / "a.txt"], tmp_path / "o"),
        lambda: from_wordlist(tmp_path / "a.txt", tmp_path / "o"),
    ):
        with pytest.raises(ScriptoriumError, match=told):
            make()
    assert not (tmp_path / "o").exists()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=3), min_size=1))
def test_each_text_is_written_once_in_order(tmp_path_factory, given_texts):
    path = tmp_path_factory.getbasetemp() / "distinct.txt"
    with pytest.MonkeyPatch.context() as patch:
        # Several parts and blocks, as with millions of texts.
        patch.setattr(module, "_AT_ONCE", 3)
        patch.setattr(module, "_HASHES", 4)
        kept, again = write_distinct(iter(given_texts), path)
    expected = list(dict.fromkeys(given_texts))
    assert path.read_bytes().decode().removesuffix("\n").split("\n") == expected
    assert (kept, again) == (len(expected), len(given_texts) - len(expected))


def test_nothing_is_left_beside_the_file(tmp_path):
    write_distinct(["a", "b", "a"], tmp_path / "new" / "out.txt")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.txt"]
    (tmp_path / "new" / "out.txt").write_text("as it was")

    def broken():
        yield "a"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_distinct(broken(), tmp_path / "new" / "out.txt")
    assert (tmp_path / "new" / "out.txt").read_text() == "as it was"
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_memory_does_not_grow_with_the_texts(tmp_path):
    def peak(count):
        tracemalloc.start()
        write_distinct((str(number % (count // 2)) * 20 for number in range(count)), tmp_path / "out.txt")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_AT_ONCE", 1000)
        patch.setattr(module, "_HASHES", 1000)
        small, large = peak(4000), peak(40_000)
    assert large < 1.5 * small + 100_000


def test_mending():
    assert mend("  a\u00a0b\u2009 c\t\u200bd\u00ad ") == "a b c d"
    assert mend("e\u0301") == "é" and mend("ക്\u200d") == "ക്\u200d"


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("ನ್\u200c\u200c\u200cನ", "ನ್\u200cನ"),
        ("\u200cab \u200cc 1\u200c", "ab c 1"),
        ("کتاب\u200cها", "کتاب\u200cها"),
        ("ನ್\u200d\u200cನ", "ನ್\u200d\u200cನ"),
    ],
)
def test_a_zwnj_stays_only_where_it_does_something(text: str, mended: str) -> None:
    assert mend(text) == mended


@pytest.mark.parametrize("text", ["\u0301a", "a \u0301", "क ि", "(\u094d)", "\u0e34", "a\u00a0 \u0b82"])
def test_lone_marks(text):
    assert has_lone_mark(text) and fault(text) == module.LONE_MARK


@pytest.mark.parametrize("text", ["ä", "a\u0308", "कि", "ക്\u200d", "◌ि", "1️⃣", "👩‍🚀", "นํ้า", "ܒ݂", "מִי", "नि\u200cख"])
def test_no_lone_marks(text):
    assert not has_lone_mark(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("It costs 3.50 at www.example.org, e.g. here.", ["It costs 3.50 at www.example.org, e.g. here."]),
        ('He said "Stop!" Then (he left.) Well', ['He said "Stop!"', "Then (he left.)", "Well"]),
        ("今天天气很好。我们去吧！“好的。”他说。", ["今天天气很好。", "我们去吧！", "“好的。”", "他说。"]),
        ("मैं हूँ। तुम हो॥", ["मैं हूँ।", "तुम हो॥"]),
        ("ሰላም፡ነው።፡ደህና።", ["ሰላም፡ነው።", "ደህና።"]),
        ("یہ ہے۔ وہ؟", ["یہ ہے۔", "وہ؟"]),
        ("བོད་ཡིག། ང་།", ["བོད་ཡིག།", "ང་།"]),
        ("So… it goes", ["So… it goes"]),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


def test_sentences_take_linear_time():
    # A backtracking pattern would need minutes for each.
    for text in ("." * 60_000, "a." * 30_000, "。" * 60_000, ". " * 30_000, '."' * 30_000):
        assert "".join("".join(sentences(text)).split()) == "".join(text.split())


@given(st.text(st.sampled_from("ab ขากำ가각กि क्षनि👩‍🚀"), max_size=60), st.integers(1, 9))
def test_cut_keeps_all_and_no_more_than_asked(text, longest):
    text = " ".join(text.split())
    if not text:
        return
    parts = list(cut(text, longest))
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")
    for part in parts:
        # One akshara of several graphemes is never cut.
        assert len(split_units(part, "grapheme")) <= longest or len(split_units(part, "akshara")) == 1


def test_running_text(tmp_path):
    text = (
        "Это <b>первое</b> предложение. Второе &amp; последнее!\r\n"
        "Это <b>первое</b> предложение.\n"
        "English only here.\n"
        "Слово word слово слово слово слово.\n"
        "бо\x07м\n"
        "\u0301а\n"
        "Кафе\u0301\u00a0 тут\n"
        "я\n"
        "\n"
        "поле\tдругое\n"
    )
    (tmp_path / "a.txt").write_text(text, encoding="utf-8", newline="")
    done = from_text([tmp_path / "a.txt"], tmp_path / "out.txt")
    assert lines(tmp_path / "out.txt") == [
        "Это первое предложение.",
        "Второе & последнее!",
        "Слово word слово слово слово слово.",
        unicodedata2.normalize("NFC", "Кафе\u0301 тут"),
        "поле",
        "другое",
    ]
    assert (done.lines, done.kept, done.script) == (10, 6, "Cyrl")
    assert done.dropped == {
        "there already": 1,
        "in another script": 1,
        "control character": 1,
        module.LONE_MARK: 1,
        "too short": 1,
    }
    strict = from_text([tmp_path / "a.txt"], tmp_path / "out.txt", foreign=0, split="line", longest=20)
    assert "Слово word" not in (tmp_path / "out.txt").read_text("utf-8")
    assert strict.dropped["in another script"] == 2
    assert max(map(len, lines(tmp_path / "out.txt"))) <= 20


def test_the_script_may_be_named(tmp_path):
    (tmp_path / "a.txt").write_text("это по-русски\nи это тоже\nthis is English\n", encoding="utf-8")
    done = from_text([tmp_path / "a.txt"], tmp_path / "out.txt", script="latin")
    assert done.script == "Latn" and lines(tmp_path / "out.txt") == ["this is English"]
    with pytest.raises(ScriptoriumError, match=r"script 'Cyrilic' is unknown; did you mean Cyrillic\?"):
        find_script("Cyrilic")


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("日本の", "Jpan"),
        ("한국어", "Kore"),
        ("漢字漢字", "Hani"),
        ("カナ", "Jpan"),
        ("abcd где", "Latn"),
        ("123", None),
    ],
)
def test_main_script(text, script):
    assert main_script(Counter(text)) == script


def test_nothing_left(tmp_path):
    (tmp_path / "a.txt").write_text("a\nb\nc\n")
    with pytest.raises(ScriptoriumError, match=r"no text is left \(dropped: 3 × too short\)"):
        from_text([tmp_path / "a.txt"], tmp_path / "out.txt")
    (tmp_path / "a.txt").write_text("1 2 3\n")
    with pytest.raises(ScriptoriumError, match="no letter in it"):
        from_text([tmp_path / "a.txt"], tmp_path / "out.txt")
    with pytest.raises(ScriptoriumError, match="no length is left"):
        from_text([tmp_path / "a.txt"], tmp_path / "out.txt", shortest=9, longest=3)
    with pytest.raises(ScriptoriumError, match="cannot be read"):
        from_text([tmp_path / "none.txt"], tmp_path / "out.txt")
    with pytest.raises(ScriptoriumError, match="encoding 'klingon' is unknown"):
        from_text([tmp_path / "a.txt"], tmp_path / "out.txt", encoding="klingon")
    with pytest.raises(ScriptoriumError, match="cannot be written"):
        write_distinct(["a"], tmp_path)


def test_wordlist(tmp_path):
    (tmp_path / "a.txt").write_text(
        "# comment\n// too\n%\nÄpfel\nA\u0308pfel\n<i>Birne</i>\nzu lang dieses Wort\nda\u00df\tKonj.\n"
        "#1\nслово\nwo\ufffdrd\n\n",
        encoding="utf-8",
    )
    done = from_wordlist(tmp_path / "a.txt", tmp_path / "out.txt", longest=10, script="Latn")
    assert lines(tmp_path / "out.txt") == ["%", "Äpfel", "Birne", "daß"]
    assert done.dropped == {
        "comment": 3,
        "there already": 1,
        "too long": 1,
        "in another script": 1,
        module.REPLACED: 1,
    }


def test_counts_are_taken_off_where_all_lines_have_them(tmp_path):
    (tmp_path / "a.txt").write_text("the 5000\nof, 4000\nWindows 95 12\n")
    from_wordlist(tmp_path / "a.txt", tmp_path / "out.txt")
    assert lines(tmp_path / "out.txt") == ["the", "of", "Windows 95"]
    (tmp_path / "a.txt").write_text("Windows 95\nLinux\n")
    from_wordlist(tmp_path / "a.txt", tmp_path / "out.txt")
    assert lines(tmp_path / "out.txt") == ["Windows 95", "Linux"]
