from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
from collections import Counter
from pathlib import Path

import pytest
import unicodedata2
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.errors import ScriptoriumError
from synth.text import corpus
from synth.text.corpus import CorpusIndex, compile_corpus
from synth.text.units import INVISIBLE, split_units


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def made(tmp_path: Path, data: bytes | str, name: str = "corpus.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def parts(line: bytes) -> list[bytes]:
    """A line, cut after the last whitespace within the limit, or else before the last akshara."""
    found = []
    while len(line) > corpus.MAX_LINE:
        head = line[: corpus.MAX_LINE].decode(errors="ignore")
        *spaces, end = [0, *(i + 1 for i, c in enumerate(head) if c.isspace())]
        if not spaces:
            end = len("".join(split_units(head, "akshara")[:-1])) or len(head)
        size = len(head[:end].encode())
        found.append(line[:size].removesuffix(b"\r"))
        line = line[size:]
    return [*found, line]


def reference(data: bytes) -> tuple[list[str], dict[str, int]]:
    """The lines and the drops, one line after the other."""
    lines, drops = [], Counter[str]()
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\t", b"\n").removesuffix(b"\n")
    for raw in [part for line in data.split(b"\n") for part in parts(line.removesuffix(b"\r"))]:
        text = "".join(c for c in unicodedata2.normalize("NFC", raw.decode()) if c not in INVISIBLE)
        text = unicodedata2.normalize("NFC", text)
        wrong = [c for c in text if unicodedata2.category(c) in ("Cc", "Cn", "Zl", "Zp")]
        if wrong and unicodedata2.category(wrong[0]) == "Cn":
            drops["noncharacter" if wrong[0] in "\ufdd0\U0001fffe" else "unassigned code point"] += 1
        elif wrong:
            drops["control character"] += 1
        elif not text.strip():
            drops["empty line"] += 1
        else:
            lines.append(text)
    return lines, dict(drops)


_CHARACTERS = (
    "abzé\u0301\u0301\u200b\u00ad\u00a0\u3000\t\x07\x85\u2028\u0378\ufdd0\U0001fffe"
    "\ue000漢क\u093c\u094d😀\uac00\u1100\r "
)
texts = st.lists(st.sampled_from([*_CHARACTERS, "\n", "\n", "\n", "\r\n", "a" * 9]), max_size=60).map("".join)


@settings(max_examples=150, deadline=None)
@given(text=texts, mark=st.booleans(), chunk=st.sampled_from([1, 3, 7, 50]), longest=st.sampled_from([8, 20]))
def test_equals_a_line_by_line_reading(
    tmp_path_factory: pytest.TempPathFactory, text: str, mark: bool, chunk: int, longest: int
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    data = (b"\xef\xbb\xbf" if mark else b"") + text.encode()
    if not text:
        return
    path = made(folder, data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "_CHUNK", chunk)
        patch.setattr(corpus, "_FIRST_CHUNK", chunk + 3)
        patch.setattr(corpus, "MAX_LINE", longest)
        lines, drops = reference(data)
        if not lines:
            with pytest.raises(ScriptoriumError, match="no usable line"):
                compile_corpus(path, folder)
            return
        index = compile_corpus(path, folder)
    assert [index[i] for i in range(len(index))] == lines
    assert index.dropped == drops
    assert index.characters == Counter("".join(lines))
    for character in index.characters:
        assert list(index.postings(character)) == [i for i, line in enumerate(lines) if character in line]


def test_lines_keep_their_whitespace(tmp_path: Path, cache: Path) -> None:
    index = compile_corpus(made(tmp_path, "  a \u00a0 b  \r\n \n\u3000c\n\nlast"), cache)
    assert [index[i] for i in range(len(index))] == ["  a \u00a0 b  ", "\u3000c", "last"]
    assert index.dropped == {"empty line": 2}


@pytest.mark.parametrize("number", [3, -1])
def test_no_such_line(tmp_path: Path, cache: Path, number: int) -> None:
    with pytest.raises(IndexError):
        compile_corpus(made(tmp_path, "a\nb\nc"), cache)[number]


def test_megabyte_lines(tmp_path: Path, cache: Path) -> None:
    limit = corpus.MAX_LINE
    words = "ночь улица фонарь  аптека " * 30_000
    akshara = "\u0915\u094d\u0937\u0947\u0301"
    lines = ["x" * limit, "first", words, "é" * 700_000, "y" * (limit + 1), akshara * 50_000, "last", "z" * 100_000]
    index = compile_corpus(made(tmp_path, "\r\n".join(lines)), cache)
    cut = [index[i] for i in range(len(index))]
    assert "".join(cut) == "".join(lines)
    assert index.dropped == {}
    assert index.characters == Counter("".join(lines))
    assert max(len(line.encode()) for line in cut) == limit
    assert len(cut) < sum(len(line.encode()) // (limit - 100) + 1 for line in lines) + 2
    assert cut[:2] == lines[:2] and cut[-3] == "last"
    assert all(line.endswith(" ") for line in cut if "ночь" in line)
    assert {line.replace(akshara, "") for line in cut if akshara[0] in line} == {""}


def test_a_character_longer_than_a_line_may_be_is_cut_all_the_same(tmp_path: Path, cache: Path) -> None:
    index = compile_corpus(made(tmp_path, "a" + "\u0301" * 40_000), cache)
    assert "".join(index[i] for i in range(len(index))) == "á" + "\u0301" * 39_999


def test_a_tab_ends_a_line(tmp_path: Path, cache: Path) -> None:
    path = made(tmp_path, "img/1.jpg\tfirst  text\r\n\tsecond\nthird\t\r\n")
    index = compile_corpus(path, cache)
    assert [index[i] for i in range(len(index))] == ["img/1.jpg", "first  text", "second", "third"]
    assert index.dropped == {"empty line": 2}
    assert "\t" not in index.characters
    # Errors count the lines that an editor shows.
    with pytest.raises(ScriptoriumError, match="byte offset 6, line 2;"):
        compile_corpus(made(tmp_path, b"a\tb\tc\n\xff\n"), cache)


def test_digest_is_of_the_file(tmp_path: Path, cache: Path) -> None:
    data = b"\xef\xbb\xbfone\ntwo\n"
    assert compile_corpus(made(tmp_path, data), cache).digest == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "no usable line"),
        (b"\n \n\t\n", r"no usable line \(4 × empty line\)"),
        (b"good\nb\xe9d\n", "byte 0xe9 at byte offset 6, line 2"),
        (b"good\n" * 50_000 + b"\xed\xa0\x80\n", "byte 0xed at byte offset 250000, line 50001"),
        (b"caf\xc3", "byte 0xc3 at byte offset 3, line 1"),
        (b"\xef\xbb\xbfab\r\n\r\n\xff\n", "byte 0xff at byte offset 9, line 3"),
        (b"x\n" + b"a" * 3_000_000 + b"\xff" + b"a" * 200_000, "byte 0xff at byte offset 3000002, line 2"),
        (b"x\n" + b"a" * 3_000_000 + b"\xc3", "byte 0xc3 at byte offset 3000002, line 2"),
        ("text".encode("utf-16"), "is UTF-16"),
        (b"\xfe\xff\0t", "is UTF-16"),
        ("text".encode("utf-32"), "is UTF-32"),
        (b"ab\ncd\0e\n", "NUL at byte offset 5, line 2"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\r", "binary|not UTF-8"),
    ],
)
def test_unusable_files(tmp_path: Path, cache: Path, data: bytes, told: str) -> None:
    path = made(tmp_path, data)
    with pytest.raises(ScriptoriumError, match=told) as caught:
        compile_corpus(path, cache)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(cache.rglob("*.part"))


def test_missing_and_folder(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ScriptoriumError, match=r"nowhere\.txt: No such file"):
        compile_corpus(tmp_path / "nowhere.txt", cache)
    with pytest.raises(ScriptoriumError, match="is a folder"):
        compile_corpus(tmp_path, cache)


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = made(tmp_path, "a file, not a folder", "blocked")
    with pytest.raises(ScriptoriumError, match="SCRIPTORIUM_CACHE"):
        compile_corpus(made(tmp_path, "a\n"), blocked)


def test_made_once_per_content(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(tmp_path, "one\ntwo\n", "first.txt")
    second = made(tmp_path, "one\ntwo\n", "second.txt")
    compile_corpus(first, cache)

    def never(*_: object) -> None:
        raise AssertionError("made again")

    with monkeypatch.context() as patch:
        patch.setattr(corpus, "_write_index", never)
        assert compile_corpus(second, cache)[1] == "two"
        # By path, size and time of change, without reading the file.
        patch.setattr(hashlib, "file_digest", never)
        assert compile_corpus(first, cache)[1] == "two"

    made(tmp_path, "one\ntwo\nthree\n", "first.txt")
    assert len(compile_corpus(first, cache)) == 3


@pytest.mark.parametrize("damage", [lambda data: data[:-5], lambda data: b"", lambda data: data[8:]])
def test_damaged_index_is_made_again(tmp_path: Path, cache: Path, damage) -> None:  # type: ignore[no-untyped-def]
    path = made(tmp_path, "one\ntwo\n")
    compile_corpus(path, cache)
    (kept,) = cache.rglob("*.lines")
    kept.write_bytes(damage(kept.read_bytes()))
    index = compile_corpus(path, cache)
    assert [index[0], index[1]] == ["one", "two"]


def test_changed_file_is_noticed(tmp_path: Path, cache: Path) -> None:
    path = made(tmp_path, "one\ntwo\n")
    index = compile_corpus(path, cache)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ScriptoriumError, match="changed since"):
        index[0]
    path.unlink()
    with pytest.raises(ScriptoriumError, match="No such file"):
        index.characters  # noqa: B018


def test_changed_while_indexed(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path, "one\ntwo\n")
    write = corpus._write_index

    def slow(*args):  # type: ignore[no-untyped-def]
        write(*args)
        path.write_text("one\ntwo\nmore\n")

    monkeypatch.setattr(corpus, "_write_index", slow)
    with pytest.raises(ScriptoriumError, match="changed while"):
        compile_corpus(path, cache)
    assert not list(cache.rglob("*.lines"))


def test_pickle_carries_paths_only(tmp_path: Path, cache: Path) -> None:
    index = compile_corpus(made(tmp_path, "été\n" * 10_000), cache)
    assert index[9_999] == "été"
    packed = pickle.dumps(index)
    assert len(packed) < 2000
    again: CorpusIndex = pickle.loads(packed)
    assert (len(again), again[5], again.digest) == (10_000, "été", index.digest)


def _compile(path: Path, cache: Path) -> str:
    return compile_corpus(path, cache)[2]


def test_two_processes_at_once(tmp_path: Path, cache: Path) -> None:
    path = made(tmp_path, "a\nb\nc\n" * 50_000)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.starmap(_compile, [(path, cache)] * 2, chunksize=1) == ["c", "c"]
    assert len(list(cache.rglob("*.lines"))) == 1
    assert not list(cache.rglob("*.part"))


def test_postings_are_bounded_and_spread(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Small chunks, so that characters change from scarce to frequent on the way.
    monkeypatch.setattr(corpus, "_CHUNK", 40_000)
    monkeypatch.setattr(corpus, "_FIRST_CHUNK", 10_000)
    lines = [f"common{'ß' if i % 50 == 0 else ''}{'ж' if 60_000 <= i < 63_000 else ''}" for i in range(100_000)]
    lines[77_777] += "Ω"
    index = compile_corpus(made(tmp_path, "\n".join(lines)), cache)
    for character in "cßжΩ":
        noted = list(index.postings(character))
        assert noted == sorted(set(noted))
        assert all(character in lines[i] for i in noted)
        assert len(noted) <= corpus.MAX_POSTINGS
    assert list(index.postings("Ω")) == [77_777]
    assert len(index.postings("ж")) > 100
    assert list(index.postings("x")) == []
    for character in "cß":
        tenths = Counter(i // 10_000 for i in index.postings(character))
        assert len(tenths) == 10
        assert max(tenths.values()) < 3 * min(tenths.values())


def test_postings_where_no_window_is(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "_FIRST_CHUNK", 10_000)
    monkeypatch.setattr(corpus, "_CHUNK", 1_000_000)
    # Frequent, and all in the third tenth of the only long chunk.
    lines = ["abc жж" if 30_000 <= i < 33_000 else "abcdefgh" for i in range(100_000)]
    index = compile_corpus(made(tmp_path, "\n".join(lines)), cache)
    assert len(index.postings("ж")) > 100
    assert all("ж" in lines[i] for i in index.postings("ж"))


def test_memory_is_bounded(tmp_path: Path, cache: Path) -> None:
    import tracemalloc

    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        for _ in range(12):
            file.write(("ein Wörterbuch für alle\n" * 42_000).encode())
    tracemalloc.start()
    compile_corpus(path, cache)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
