from __future__ import annotations

import io
import multiprocessing.util
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import cv2
import lmdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from augment.errors import ScriptoriumError
from augment.training import TrainingAugment
from ocr.codec import Codec
from ocr.config import SourceConfig
from ocr.data.index import BROKEN, EMPTY, NO_PATH, TOO_LONG, TOO_WIDE, UNKNOWN, Index, Limits, too_many_broken
from ocr.data.loader import Loader
from ocr.data.prepare import Batch, Preparer
from ocr.data.sampler import Draw, Endless, MixedBatch, Passes, Planned
from ocr.data.sources import BrokenSample, FileSource, Live, Sample, Source, decode, open_source
from ocr.infer import images
from ocr.spec import Preprocess
from synth.engine import generate
from synth.pipeline import Pipeline
from synth.recipe import Recipe
from synth.text.charset import Charset

ROOT = Path(__file__).resolve().parent.parent
CODEC = Codec(Charset("abcdefgh", space=True))
RNG = np.random.default_rng


def picture(width: int, height: int = 32, seed: int = 0, channels: int = 3) -> NDArray[np.uint8]:
    noise = RNG(seed).integers(0, 256, (height, width, channels), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8).reshape(height, width, channels)


def jpeg(image: NDArray[np.uint8], *options: int) -> bytes:
    return cv2.imencode(".jpg", image, list(options))[1].tobytes()


def saved(mode: str, width: int, height: int, kind: str, **options: Any) -> bytes:
    """A picture as Pillow saves it."""
    made = Image.fromarray(picture(width, height)).convert("RGB")
    file = io.BytesIO()
    wide = made.convert("L").point(lambda level: level * 256, "I") if mode == "I;16" else made.convert(mode)
    (wide.convert(mode) if mode == "I;16" else wide).save(file, kind, **options)
    return file.getvalue()


def turned_by(orientation: int) -> Any:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def write_lmdb(path: Path, records: list[tuple[bytes | None, bytes | None]], first: int = 1) -> Path:
    """The layout of PaddleOCR and deep-text-recognition-benchmark."""
    path.mkdir(parents=True)
    with lmdb.open(str(path), map_size=1 << 26) as environment, environment.begin(write=True) as transaction:
        for number, (image, label) in enumerate(records, first):
            if image is not None:
                transaction.put(b"image-%09d" % number, image)
            if label is not None:
                transaction.put(b"label-%09d" % number, label)
        transaction.put(b"num-samples", b"%d" % len(records))
    return path


def words(count: int, seed: int = 0, channels: int = 3) -> list[tuple[bytes, str]]:
    """Noise with labels, in many widths; no label is too long for its picture."""
    found = []
    for number in range(count):
        rng = RNG((seed, number))
        text = "".join(rng.choice(list("abcdefgh"), rng.integers(1, 7)))
        found.append((jpeg(picture(int(rng.integers(60, 200)), seed=number, channels=channels)), text))
    return found


def word_set(path: Path, count: int = 300, seed: int = 0) -> Path:
    return write_lmdb(path, [(data, text.encode()) for data, text in words(count, seed)])


def file_set(path: Path, records: list[tuple[bytes, str]]) -> Path:
    (path / "crops").mkdir(parents=True)
    lines = []
    for number, (data, text) in enumerate(records):
        (path / "crops" / f"{number}.jpg").write_bytes(data)
        lines.append(f"crops/{number}.jpg\t{text}\n")
    (path / "labels.tsv").write_text("".join(lines), encoding="utf-8")
    return path


def opened(path: Path, **settings: Any) -> FileSource:
    source = open_source(SourceConfig(name="real", path=path, **settings))
    assert isinstance(source, FileSource)
    return source


def limits(**settings: Any) -> Limits:
    values = {"max_text_length": 25, "max_wh_ratio": 10.0, "least_height": 32, "time_stride": 4}
    return Limits(**({"codec": CODEC, "preprocess": Preprocess()} | values | settings))


# -- sources ---------------------------------------------------------------------------------------------------------


def test_our_own_shards(tmp_path: Path, own_cache: Path, dejavu: list[Path]) -> None:
    corpus = tmp_path / "words.txt"
    corpus.write_text("one\ntwo\nthree\n")
    recipe = Recipe.load(corpus=corpus, fonts={"paths": [str(path) for path in dejavu]})
    pipeline = Pipeline(recipe)
    generate(lambda: pipeline, tmp_path / "data", 300, manifest_head=pipeline.head(), shard_size=256, progress=False)
    source = opened(tmp_path / "data")
    assert len(source) == 300
    for index in (0, 255, 256, 299):
        sample, made = source.sample(index), pipeline.sample(index)
        np.testing.assert_array_equal(sample.image, images.decode(made.encoded, ""))
        assert sample.text == made.text
    assert source.sample(256).key.endswith("record 000000001")
    assert len(opened(tmp_path / "data", limit=30)) == 30


def test_lmdbs_of_other_makers_one_or_many_in_subfolders(tmp_path: Path) -> None:
    records = words(5)
    stored: list[tuple[bytes | None, bytes | None]] = [(data, text.encode()) for data, text in records]
    one = opened(write_lmdb(tmp_path / "one", stored))
    many = tmp_path / "many"
    write_lmdb(many / "ST" / "a", stored[:2])
    write_lmdb(many / "MJ", stored[2:])
    assert [one.raw(index) for index in range(5)] == records
    both = opened(many)
    assert [both.raw(index)[1] for index in range(5)] == [records[i][1] for i in (2, 3, 4, 0, 1)]
    assert both.sample(3).key == f"{many / 'ST' / 'a'}: record 000000001"
    copy = pickle.loads(pickle.dumps(both))
    assert copy.raw(4) == both.raw(4)


def test_broken_records_of_an_lmdb_are_named(tmp_path: Path) -> None:
    good = jpeg(picture(60))
    path = write_lmdb(
        tmp_path / "data", [(good, b"a"), (None, b"b"), (good, None), (good, b"\xff"), (b"x", b"c"), (b"", b"d")]
    )
    source = opened(path)
    problems = []
    for index in range(1, 6):
        with pytest.raises(BrokenSample) as caught:
            source.sample(index)
        assert str(caught.value).startswith(f"{path}: record {index + 1:09d}: ")
        problems.append(caught.value.reason)
    assert "missing" in problems[0] and "missing" in problems[1]
    assert problems[2:] == ["label is not UTF-8 at byte offset 0", "is no picture of a known format", "is empty"]


def test_an_lmdb_with_damaged_pages_gives_broken_samples(tmp_path: Path) -> None:
    path = word_set(tmp_path / "data", 400)
    source = opened(path)
    size = (path / "data.mdb").stat().st_size
    with (path / "data.mdb").open("r+b") as file:
        file.seek(4 * 4096)
        file.write(b"\xa5" * (size - 4 * 4096))
    broken = 0
    for index in range(len(source)):
        try:
            source.sample(index)
        except BrokenSample:
            broken += 1
    assert broken


def test_label_files(tmp_path: Path) -> None:
    data = jpeg(picture(60))
    (tmp_path / "in").mkdir()
    for name in ("in/a b.jpg", "c.jpg", "d.jpg"):
        (tmp_path / name).write_bytes(data)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file = elsewhere / "list.txt"
    text = f"in/a b.jpg\t two  words \r\nc.jpg\ttab\tin it\r\n\r\n{tmp_path}/d.jpg\tabsolute\nd.jpg\t\nmissing.jpg\te"
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    source = opened(file, root=tmp_path)
    assert [source.raw(index)[1] for index in range(4)] == [" two  words ", "tab\tin it", "absolute", ""]
    assert all(source.sample(index).image.shape == (32, 60, 3) for index in range(4))
    with pytest.raises(BrokenSample, match=r"missing\.jpg \(list\.txt line 6\): No such file"):
        source.sample(4)
    with pytest.raises(BrokenSample, match=r"a b\.jpg \(list\.txt line 1\): No such file"):
        opened(file).sample(0)
    assert len(opened(file, limit=2)) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a.jpg\tx\nb.jpg y\n", r"list\.txt: line 2: must be path, tab, text"),
        (b"a.jpg\tx\n\tno name\n", r"list\.txt: line 2: must be path, tab, text"),
        (b"a.jpg\tx\nb.jpg\t\xff\n", r"list\.txt: line 2: not UTF-8 at byte offset 14"),
        (b"\r\n\n", r"source real: .*list\.txt holds no samples"),
    ],
)
def test_label_files_that_are_none(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(ScriptoriumError, match=message):
        opened(tmp_path / "list.txt")


@pytest.mark.parametrize("name", ["labels.tsv", "rec_gt.txt"])
def test_a_folder_with_labels(tmp_path: Path, name: str) -> None:
    records = words(3)
    folder = file_set(tmp_path / "set", records)
    (folder / "labels.tsv").rename(folder / name)
    source = opened(folder)
    assert [source.raw(index) for index in range(3)] == records
    (folder / name).write_text("")
    with pytest.raises(ScriptoriumError, match="holds no samples"):
        opened(folder)


def test_places_without_data(tmp_path: Path) -> None:
    with pytest.raises(ScriptoriumError, match=r"source real: .*nowhere is not there"):
        opened(tmp_path / "nowhere")
    with pytest.raises(ScriptoriumError, match=r"holds neither LMDBs \(data\.mdb\) nor a label file \(labels\.tsv,"):
        opened(tmp_path)
    with pytest.raises(ScriptoriumError, match="holds no samples"):
        opened(write_lmdb(tmp_path / "empty", []))
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(ScriptoriumError, match="cannot be read as LMDB"):
        opened(tmp_path / "junk")


# -- pictures and their sizes ----------------------------------------------------------------------------------------

PICTURES = {
    "jpeg": saved("RGB", 61, 33, "JPEG"),
    "jpeg, grey": saved("L", 61, 33, "JPEG"),
    "jpeg, progressive": saved("RGB", 61, 33, "JPEG", progressive=True),
    "jpeg, optimised": saved("RGB", 61, 33, "JPEG", optimize=True, quality=30, comment=b"\xff\xc0 a comment"),
    "jpeg, cmyk": saved("CMYK", 61, 33, "JPEG"),
    "jpeg, restarts": jpeg(picture(61, 33), cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "png": saved("RGB", 61, 33, "PNG"),
    "png, grey": saved("L", 61, 33, "PNG"),
    "png, 16 bits": saved("I;16", 61, 33, "PNG"),
    "png, alpha": saved("RGBA", 61, 33, "PNG"),
    "png, palette": saved("P", 61, 33, "PNG"),
    "png, bits": saved("1", 61, 33, "PNG"),
    "webp": saved("RGB", 61, 33, "WEBP"),
    "bmp": saved("RGB", 61, 33, "BMP"),
    "gif": saved("P", 61, 33, "GIF"),
    "tiff": saved("RGB", 61, 33, "TIFF"),
    **{f"jpeg, turned {n}": saved("RGB", 61, 33, "JPEG", exif=turned_by(n)) for n in range(1, 9)},
    **{f"png, turned {n}": saved("RGB", 61, 33, "PNG", exif=turned_by(n)) for n in (1, 6)},
}


@pytest.mark.parametrize("name", PICTURES)
def test_sizes_from_heads_are_those_of_the_decoded_picture(name: str) -> None:
    data = PICTURES[name]
    size = images.size(data)
    image = images.decode(data, "")
    turned = "turned" in name and int(name[-1]) > 4
    assert image.shape[:2] == ((61, 33) if turned else (33, 61))
    assert size in (None, image.shape[:2])
    if name in ("jpeg", "jpeg, grey", "jpeg, progressive", "jpeg, optimised", "jpeg, restarts", "png", "png, grey"):
        assert size is not None


@pytest.mark.parametrize("name", PICTURES)
def test_training_sees_the_pixels_that_prediction_sees(name: str, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    file.write_bytes(PICTURES[name])
    np.testing.assert_array_equal(decode(PICTURES[name], "key"), images.load(str(file)))


@given(st.binary(max_size=60), st.sampled_from(list(PICTURES.values())), st.integers(0, 3000), st.integers(0, 3000))
@settings(max_examples=300, deadline=None)
def test_heads_of_damaged_files(junk: bytes, data: bytes, at: int, cut: int) -> None:
    damaged = (data[:at] + junk + data[at + len(junk) :])[: len(data) - cut if cut < len(data) else None]
    size = images.size(damaged)
    assert size is None or (0 < size[0] <= 65535 * 65535 and size[1] > 0)
    for start in (b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xc0"):
        images.size(start + junk)


# -- what is known before training -----------------------------------------------------------------------------------

LABELS = ["a", "abc", "a" * 5, "", "xyz", "é b", "abcdefgh", "gh gh", "e\u0301", "abcab"]


def mixed_records(count: int) -> list[tuple[bytes, str]]:
    """Pictures of every kind and size with labels of every kind, some of both broken."""
    rng = RNG(5)
    kinds = list(PICTURES.values())
    found = []
    for number in range(count):
        if number % 3 == 0:
            data = kinds[number // 3 % len(kinds)]
        else:
            data = jpeg(picture(int(rng.integers(2, 500)), int(rng.integers(8, 120)), number))
        if number % 17 == 16:
            data = [b"", b"junk", data[: len(data) // 2]][number % 3]
        found.append((data, LABELS[int(rng.integers(len(LABELS)))]))
    return found


def by_brute_force(source: FileSource, limits: Limits) -> tuple[list[int], Counter[str]]:
    usable, drops = [], Counter[str]()
    for index in range(len(source)):
        try:
            data, text = source.raw(index)
            # As the index: of files that tell their size by their head, nothing else is read.
            head = images.size(data)
            image = np.zeros((*head, 3), np.uint8) if head else images.decode(data, "")
        except ScriptoriumError:
            drops[BROKEN] += 1
            continue
        picture = limits.preprocess(image)
        steps = (
            limits.preprocess.padded_width(limits.preprocess(image, limits.least_height).shape[1]) // limits.time_stride
        )
        classes = [ord(c) - 96 if c != " " else 9 for c in text]
        repeats = sum(a == b for a, b in pairwise(classes))
        if not text:
            drops[EMPTY] += 1
        elif any(c not in "abcdefgh " for c in text):
            drops[UNKNOWN] += 1
        elif len(text) > limits.max_text_length:
            drops[TOO_LONG] += 1
        elif picture.shape[1] > limits.max_wh_ratio * limits.preprocess.height:
            drops[TOO_WIDE] += 1
        elif len(classes) + repeats > steps:
            drops[NO_PATH] += 1
        else:
            usable.append(index)
    return usable, drops


@pytest.mark.parametrize("kind", ["lmdb", "files"])
@pytest.mark.parametrize(
    "chosen",
    [
        limits(),
        limits(max_text_length=4, max_wh_ratio=3.0),
        limits(preprocess=Preprocess(height=48, turn_ratio=0), max_wh_ratio=5.0, time_stride=8),
        limits(preprocess=Preprocess(height=64, channels=3, turn_ratio=1.2), least_height=16, time_stride=8),
    ],
)
def test_the_index_against_reading_everything(tmp_path: Path, kind: str, chosen: Limits) -> None:
    records = mixed_records(400)
    if kind == "lmdb":
        source = opened(write_lmdb(tmp_path / "set", [(data, text.encode()) for data, text in records]))
    else:
        source = opened(file_set(tmp_path / "set", records))
    usable, drops = Index.of(source, CODEC).usable(chosen)
    expected, reasons = by_brute_force(source, chosen)
    assert usable.tolist() == expected
    assert drops == reasons
    assert len(reasons) >= 5 and len(expected) > 20
    index = Index.of(source, CODEC)
    widths = index.scaled_widths(chosen.preprocess)
    # One sample at a time the rules are the same.
    for number in range(len(source)):
        try:
            sample = source.sample(number)
        except BrokenSample:
            continue
        assert chosen.preprocess(sample.image).shape[1] == widths[number]
        try:
            chosen.classes(sample)
            assert number in expected
        except BrokenSample as error:
            assert number not in expected
            assert any(error.reason.startswith(reason) for reason in reasons)


def test_what_is_missing_and_broken_is_named(tmp_path: Path) -> None:
    records = [(jpeg(picture(99)), text) for text in ("xa", "ax", "zxx", "é", "b")]
    source = opened(file_set(tmp_path / "set", [*records, (b"junk", "a")]))
    index = Index.of(source, CODEC)
    assert index.missing == Counter({"x": 3, "z": 1, "é": 1})
    ((key, reason),) = index.broken
    assert key.endswith("5.jpg (labels.tsv line 6)") and reason == "is no picture of a known format"


@pytest.mark.parametrize("size", [1, 2, 19, 100, 5000])
def test_how_many_broken_records_are_too_many(size: int) -> None:
    allowed = max(size // 100, min(20, size // 2))
    assert not too_many_broken(allowed, size)
    assert too_many_broken(allowed + 1, size)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often an index was read from its source, not from the cache."""
    count = 0
    read = Index._read.__func__  # type: ignore[attr-defined]

    def counting(cls: type[Index], source: FileSource, codec: Codec) -> Index:
        nonlocal count
        count += 1
        found: Index = read(cls, source, codec)
        return found

    monkeypatch.setattr(Index, "_read", classmethod(counting))
    monkeypatch.setattr("ocr.data.index._CACHED_FROM", 10)
    return lambda: count


def same(first: Index, second: Index) -> bool:
    arrays = ("heights", "widths", "lengths", "needed", "state")
    return (
        all(np.array_equal(getattr(first, name), getattr(second, name)) for name in arrays)
        and first.missing == second.missing
        and first.broken == second.broken
    )


@pytest.mark.parametrize("kind", ["lmdb", "files"])
def test_the_cache_is_used_until_files_or_dictionary_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: Callable[[], int], kind: str
) -> None:
    monkeypatch.setenv("SCRIPTORIUM_CACHE", str(tmp_path / "cache"))
    records = mixed_records(60)
    if kind == "lmdb":
        path = write_lmdb(tmp_path / "set", [(data, text.encode()) for data, text in records])
    else:
        path = file_set(tmp_path / "set", records)
    first = Index.of(opened(path), CODEC)
    assert counted() == 1
    assert first.missing and first.broken
    assert same(Index.of(opened(path), CODEC), first)
    assert counted() == 1
    Index.of(opened(path), Codec(Charset("abcdefghx", space=True)))
    assert counted() == 2
    Index.of(opened(path, limit=50), CODEC)
    assert counted() == 3
    records[1] = jpeg(picture(77)), "abc"
    if kind == "lmdb":
        with lmdb.open(str(path), map_size=1 << 26) as environment, environment.begin(write=True) as transaction:
            transaction.put(b"image-%09d" % 2, records[1][0])
            transaction.put(b"label-%09d" % 2, b"abc")
        again = Index.of(opened(path), CODEC)
    else:
        (path / "crops" / "1.jpg").write_bytes(records[1][0])
        again = Index.of(opened(path), CODEC)
    assert counted() == 4
    assert again.widths[1] == 77
    if kind == "files":
        (path / "crops" / "2.jpg").unlink()
        assert Index.of(opened(path), CODEC).state[2] == 1
        (path / "labels.tsv").write_text((path / "labels.tsv").read_text().replace("\tabc\n", "\tab\n"))
        assert Index.of(opened(path), CODEC).lengths[1] in (-1, 2, first.lengths[1])
        assert counted() == 6


@pytest.mark.parametrize("damage", ["empty", "cut", "junk", "other"])
def test_a_broken_cache_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: Callable[[], int], damage: str
) -> None:
    monkeypatch.setenv("SCRIPTORIUM_CACHE", str(tmp_path / "cache"))
    source = opened(word_set(tmp_path / "set", 30))
    first = Index.of(source, CODEC)
    (file,) = (tmp_path / "cache" / "sources").iterdir()
    good = file.read_bytes()
    if damage == "other":
        other = Index.of(opened(word_set(tmp_path / "other", 20)), CODEC)
        file.write_bytes(other._stored())
    else:
        file.write_bytes({"empty": b"", "cut": good[: len(good) // 2], "junk": b"junk" * 99}[damage])
    before = counted()
    assert same(Index.of(source, CODEC), first)
    assert counted() == before + 1
    assert file.read_bytes() == good


def test_a_cache_that_cannot_be_written_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: Callable[[], int]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCRIPTORIUM_CACHE", str(tmp_path / "file"))
    source = opened(word_set(tmp_path / "set", 30))
    Index.of(source, CODEC)
    Index.of(source, CODEC)
    assert counted() == 2


# -- from draws to arrays --------------------------------------------------------------------------------------------


class Given(Source):
    """Pictures and labels as they are given; None is a broken one."""

    def __init__(self, samples: list[tuple[NDArray[np.uint8], str] | None], name: str = "given") -> None:
        self.name, self._samples = name, samples

    def sample(self, index: int) -> Sample:
        found = self._samples[index]
        if found is None:
            raise BrokenSample(f"record {index}", "broken")
        return Sample(*found, f"record {index}")


def prepared(samples: list[tuple[NDArray[np.uint8], str] | None], augment: Any = None, height: int = 32) -> Batch:
    made = None if augment is None else TrainingAugment(augment, "Train.augment")
    preparer = Preparer([Given(samples)], limits(), made, 7)
    return preparer(3, Planned([Draw(0, index) for index in range(len(samples))], height))


def test_arrays_by_hand() -> None:
    wide, narrow = picture(100), picture(40, 16)
    batch = prepared([(wide, "abba"), None, (narrow, "h e\u0301"[:3] + "")])
    assert batch.images.shape == (2, 32, 112, 1)
    assert batch.images.dtype == np.uint8
    grey = cv2.cvtColor(wide, cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(batch.images[0, :, :100, 0], grey)
    assert set(batch.images[0, :, 100:].ravel()) == {128}
    doubled = cv2.resize(cv2.cvtColor(narrow, cv2.COLOR_BGR2GRAY), (80, 32), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(batch.images[1, :, :80, 0], doubled)
    assert set(batch.images[1, :, 80:].ravel()) == {128}
    # 112 and 80 pixels, four to a step: padding beyond a picture's own padded width is none of its steps.
    np.testing.assert_array_equal(batch.steps, [28, 20])
    np.testing.assert_array_equal(batch.labels, [[1, 2, 2, 1], [8, 9, 5, 0]])
    np.testing.assert_array_equal(batch.lengths, [4, 3])
    assert batch.labels.dtype == batch.lengths.dtype == batch.steps.dtype == np.int32
    assert batch.texts == ["abba", "h e"]
    assert batch.keys == ["record 0", "record 2"]
    assert batch.skipped == [(0, "record 1", "broken")]
    assert prepared([(wide, "ab")], height=48).images.shape == (1, 48, 160, 1)


def test_a_batch_of_broken_samples_is_empty() -> None:
    batch = prepared([None, None])
    assert batch.texts == [] and batch.images.shape[0] == 0 and len(batch.skipped) == 2


def test_samples_that_training_does_not_take_are_skipped() -> None:
    good = picture(100)
    batch = prepared(
        [(good, ""), (good, "xyx"), (good, "a" * 26), (picture(330), "a"), (picture(24), "aaaaa"), (good, "a")]
    )
    assert batch.texts == ["a"]
    assert [reason for _, _, reason in batch.skipped] == [EMPTY, f"{UNKNOWN}: x y", TOO_LONG, TOO_WIDE, NO_PATH]


def test_labels_are_in_nfc() -> None:
    codec = Codec(Charset(["é"], space=False))
    preparer = Preparer([Given([(picture(60), "e\u0301")])], limits(codec=codec), None, 0)
    batch = preparer(0, Planned([Draw(0, 0)], 32))
    assert batch.texts == ["é"]
    np.testing.assert_array_equal(batch.labels, [[1]])


def joining(**settings: Any) -> dict[str, Any]:
    """A configuration that joins samples and changes nothing else."""
    return {"p": 0.0, "join": {"p": 1.0, "gap": [0, 0]} | settings}


def test_joined_samples() -> None:
    samples: list[Any] = [(picture(40, seed=n), text) for n, text in enumerate(["ab", "c", "de"])]
    batch = prepared(samples, joining(gap=[0.5, 0.5]))
    assert batch.texts == ["ab c", "c de", "de ab"]
    assert batch.keys[0] == "record 0 + record 1"
    greys = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image, _ in samples]
    np.testing.assert_array_equal(batch.images[1, :, :40, 0], greys[1])
    np.testing.assert_array_equal(batch.images[1, :, 56:96, 0], greys[2])
    np.testing.assert_array_equal(batch.steps, [24] * 3)
    np.testing.assert_array_equal(batch.lengths, [4, 4, 5])
    close = prepared(samples, joining(space=False))
    assert close.texts == ["abc", "cde", "deab"]
    np.testing.assert_array_equal(close.images[0, :, :80, 0], np.hstack(greys[:2]))


def test_right_to_left_samples_are_joined_from_the_right() -> None:
    codec = Codec(Charset("אבגab", space=True))
    join = TrainingAugment(joining(), "augment")
    texts = ["אב", "ג", "ab", "1"[:0] + "ב"]
    samples: list[Any] = [(picture(40, seed=n), text) for n, text in enumerate(texts)]
    preparer = Preparer([Given(samples)], limits(codec=codec), join, 0)
    batch = preparer(0, Planned([Draw(0, index) for index in range(4)], 32))
    # Texts of two directions are not joined.
    assert batch.texts == ["אב ג", "ג", "ab", "ב אב"]
    greys = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image, _ in samples]
    np.testing.assert_array_equal(batch.images[0, :, :80, 0], np.hstack([greys[1], greys[0]]))
    np.testing.assert_array_equal(batch.images[3, :, :80, 0], np.hstack([greys[0], greys[3]]))


def test_what_would_be_too_much_joined_stays_alone() -> None:
    join = joining()
    assert prepared([(picture(100), "a" * 13), (picture(100), "b" * 12)], join).texts == ["a" * 13, "b" * 12]
    assert prepared([(picture(200), "a"), (picture(200), "b")], join).texts == ["a", "b"]
    assert prepared([(picture(100), "a")], join).texts == ["a"]
    without_space = limits(codec=Codec(Charset("ab", space=False)))
    samples: list[Any] = [(picture(40), "a"), (picture(40), "b")]
    preparer = Preparer([Given(samples)], without_space, TrainingAugment(join, "augment"), 0)
    assert preparer(0, Planned([Draw(0, 0), Draw(0, 1)], 32)).texts == ["a", "b"]


def test_only_samples_of_one_source_are_joined() -> None:
    join = TrainingAugment(joining(), "augment")
    one: list[Any] = [(picture(40), "a"), (picture(40), "b")]
    preparer = Preparer([Given(one), Given([(picture(40), "c")])], limits(), join, 0)
    assert preparer(0, Planned([Draw(0, 0), Draw(0, 1), Draw(1, 0)], 32)).texts == ["a b", "b a", "c"]


class Squeeze:
    """Makes pictures so narrow that no longer label has a path."""

    join = None

    def __call__(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        return image[:, :24].copy()


def test_augmentation_that_leaves_no_path_is_undone() -> None:
    samples: list[Any] = [(picture(100), "a" * 9), (picture(100), "ab")]
    preparer = Preparer([Given(samples)], limits(), Squeeze(), 0)  # type: ignore[arg-type]
    batch = preparer(0, Planned([Draw(0, 0), Draw(0, 1)], 32))
    np.testing.assert_array_equal(batch.steps, [28, 8])
    np.testing.assert_array_equal(batch.images[0, :, :100, 0], cv2.cvtColor(samples[0][0], cv2.COLOR_BGR2GRAY))


def test_augmentation_follows_the_step_and_the_sample_alone() -> None:
    samples: list[Any] = [(picture(100, seed=n), "abc") for n in range(6)]
    make = lambda seed: Preparer([Given(samples)], limits(), TrainingAugment({"p": 1.0}, "augment"), seed)  # noqa: E731
    one = make(7)
    both = one(5, Planned([Draw(0, n) for n in range(6)], 32))
    for number in (4, 1):
        alone = one(5, Planned([Draw(0, number)], 32)).images[0]
        width = alone.shape[1]
        np.testing.assert_array_equal(both.images[number][:, :width], alone)
    whole = Planned([Draw(0, n) for n in range(6)], 32)
    assert not np.array_equal(one(6, whole).images, both.images)
    assert not np.array_equal(make(8)(5, whole).images, both.images)


# -- recipes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def live_config(tmp_path: Path, own_cache: Path, dejavu: list[Path]) -> SourceConfig:
    corpus = tmp_path / "words.txt"
    corpus.write_text("\n".join("abcdefgh"[i : i + n] for i in range(8) for n in range(1, 8)))
    return SourceConfig(name="live", recipe="scene", corpus=(corpus,), fonts=tuple(dejavu))


def live(config: SourceConfig, seed: int = 1, charset: Path | None = None) -> Live:
    source = open_source(config, seed, 32, charset)
    assert isinstance(source, Live)
    return source


def test_a_live_source_is_its_recipes_stream(live_config: SourceConfig, dejavu: list[Path]) -> None:
    source = live(live_config, 5)
    fonts = {"paths": [str(path) for path in dejavu]}
    pipeline = Pipeline(Recipe.load(corpus=live_config.corpus, overrides=["seed=5", "layout.height=32"], fonts=fonts))
    found = source.samples([3, 1_000_000, 3])
    for sample, index in zip(found, (3, 1_000_000, 3), strict=True):
        made = pipeline.sample(index)
        assert sample.text == made.text
        np.testing.assert_array_equal(sample.image, images.decode(made.encoded, ""))
        np.testing.assert_array_equal(sample.image, source.sample(index).image)
        assert source.length(index) == len(pipeline.first_text(index).units)
    assert len({source.sample(index).image.tobytes() for index in range(100)}) == 100
    other = live(live_config, 6)
    assert any(source.sample(i).text != other.sample(i).text for i in range(20))
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy.sample(9).image, source.sample(9).image)


def test_a_recipe_of_pages_is_no_live_source(live_config: SourceConfig) -> None:
    with pytest.raises(ScriptoriumError, match="source live: recipe pages draws pages"):
        live(live_config.model_copy(update={"recipe": "pages"}))


def test_overrides_of_a_live_source_come_last(live_config: SourceConfig) -> None:
    config = live_config.model_copy(update={"overrides": ("seed=9", "layout.height=48")})
    assert live(config, 1).sample(4).text == live(config, 2).sample(4).text
    assert max(sample.image.shape[0] for sample in live(config).samples(range(20))) > 32


def test_a_live_source_keeps_to_the_dictionary(live_config: SourceConfig, tmp_path: Path) -> None:
    file = tmp_path / "few.txt"
    file.write_text("a\nb\nc\n")
    for sample in live(live_config, charset=file).samples(range(60)):
        assert set(sample.text) <= set("abc ")
    own = tmp_path / "own.txt"
    own.write_text("d\ne\n")
    config = live_config.model_copy(update={"overrides": (f"corpus.charset={own}",)})
    assert set("".join(s.text for s in live(config, charset=file).samples(range(60)))) <= set("de ")


def test_other_texts_come_for_those_that_training_does_not_take(live_config: SourceConfig) -> None:
    source = live(live_config)
    draws = [Draw(0, index) for index in range(200, 264)]
    chosen = limits(max_text_length=6)
    assert any(len(source.sample(draw.index).text) > 6 for draw in draws)
    batch = Preparer([source], chosen, None, 0)(0, Planned(draws, 32))
    assert len(batch.texts) == 64 and not batch.skipped
    assert max(map(len, batch.texts)) == 6
    for draw, text in zip(draws, batch.texts, strict=True):
        own = source.sample(draw.index).text
        assert text == own or len(own) > 6 or not set(own) <= set("abcdefgh ")
    with pytest.raises(ScriptoriumError, match="source live: 20 texts in a row cannot be trained on, the last: not in"):
        Preparer([source], limits(codec=Codec(Charset("xyz"))), None, 0)(0, Planned(draws, 32))


# -- batches in order ------------------------------------------------------------------------------------------------


def loader(
    sources: list[Source],
    workers: int = 0,
    start: int = 0,
    log: Callable[[str], None] = lambda line: None,
    size: int = 300,
    batch: int = 8,
    prefetch: int = 4,
) -> Loader:
    streams = [
        Endless(source.length) if isinstance(source, Live) else Passes(np.arange(size), np.ones(size, np.int64), 3, n)
        for n, source in enumerate(sources)
    ]
    plan = MixedBatch(streams, [batch] * len(sources), 10, (32,), 3)
    preparer = Preparer(sources, limits(), TrainingAugment({}, "Train.augment"), 3)
    names = [source.name for source in sources]
    sizes = [len(source) if isinstance(source, FileSource) else size for source in sources]
    return Loader(plan.batch, preparer, names, sizes, workers, prefetch, start, log)


def first(made: Loader, count: int) -> list[Batch]:
    try:
        batches = iter(made)
        return [next(batches) for _ in range(count)]
    finally:
        made.close()


def same_batches(one: list[Batch], two: list[Batch]) -> bool:
    return all(
        np.array_equal(a.images, b.images)
        and np.array_equal(a.labels, b.labels)
        and np.array_equal(a.lengths, b.lengths)
        and np.array_equal(a.steps, b.steps)
        and (a.texts, a.keys, a.sources) == (b.texts, b.keys, b.sources)
        for a, b in zip(one, two, strict=True)
    )


def test_batches_do_not_depend_on_processes_or_start(tmp_path: Path, live_config: SourceConfig) -> None:
    sources: list[Source] = [
        opened(word_set(tmp_path / "set")),
        opened(file_set(tmp_path / "files", words(300, 1))),
        live(live_config),
    ]
    expected = first(loader(sources), 12)
    assert {tuple(batch.sources) for batch in expected} == {(0,) * 8 + (1,) * 8 + (2,) * 8}
    assert same_batches(first(loader(sources, 1), 12), expected)
    assert same_batches(first(loader(sources, 3, start=4), 8), expected[4:])
    assert same_batches(first(loader(sources, 0, start=7), 5), expected[7:])


@pytest.mark.parametrize(("signal_", "said"), [(signal.SIGKILL, "want of memory"), (signal.SIGBUS, "cut short")])
def test_a_killed_process_is_said(tmp_path: Path, signal_: signal.Signals, said: str) -> None:
    made = loader([opened(word_set(tmp_path / "set"))], 2)
    try:
        batches = iter(made)
        next(batches)
        process, _ = made._workers[1]
        assert process.pid is not None
        os.kill(process.pid, signal_)
        with pytest.raises(ScriptoriumError, match=rf"a process that prepares batches died.*{said}.*--resume"):
            for _ in range(50):
                next(batches)
    finally:
        made.close()


class Faulty(Given):
    def sample(self, index: int) -> Sample:
        raise ZeroDivisionError("a bug")


def test_a_bug_in_a_process_shows_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="a bug") as caught:
        first(loader([Faulty([])], 1), 1)
    assert 'raise ZeroDivisionError("a bug")' in "".join(caught.value.__notes__)


def test_processes_end_with_their_loader(tmp_path: Path) -> None:
    made = loader([opened(word_set(tmp_path / "set"))], 2)
    pids = [process.pid for process, _ in made._workers]
    next(iter(made))
    made.close()
    made.close()
    assert not any(alive(pid) for pid in pids if pid)


def broken_words(path: Path, count: int, broken: set[int]) -> Path:
    """JPEGs whose heads are well, and that end early."""
    records: list[tuple[bytes | None, bytes | None]] = []
    for number, (data, text) in enumerate(words(count)):
        records.append((data[: len(data) * 2 // 3] if number in broken else data, text.encode()))
    return write_lmdb(path, records)


@pytest.mark.parametrize("workers", [0, 1])
def test_records_that_break_on_the_way_are_skipped_counted_and_named(tmp_path: Path, workers: int) -> None:
    broken = {5, 17, 100, 101, 102, 103, 250}
    source = opened(broken_words(tmp_path / "set", 300, broken))
    assert not Index.of(source, CODEC).broken
    lines: list[str] = []
    made = loader([source], workers, log=lines.append)
    batches = first(made, 75)  # two passes
    assert made.skipped == {0: 7}
    assert len(lines) == 5
    named = {f"{tmp_path / 'set'}: record {number + 1:09d}" for number in broken}
    for line in lines:
        key = line.removeprefix("skipped  ").rpartition(": ")[0]
        assert any(line.startswith(f"skipped  {name}: is broken") for name in named), (line, key)
    read = Counter(key for batch in batches for key in batch.keys)
    assert len(read) == 293 and not named & set(read)


@pytest.mark.parametrize("workers", [0, 1])
def test_too_many_broken_records_stop(tmp_path: Path, workers: int) -> None:
    source = opened(broken_words(tmp_path / "set", 300, set(range(0, 300, 10))))
    made = loader([source], workers)
    with pytest.raises(
        ScriptoriumError, match=r"source real: 21 records cannot be used, the last is .*1 % is too many"
    ):
        first(made, 75)


def test_a_batch_of_which_nothing_is_left_gives_way_to_a_later_one(tmp_path: Path) -> None:
    source = opened(broken_words(tmp_path / "set", 300, {7, 8, 9, 10}))
    alone = first(loader([source], batch=1), 300)
    assert all(batch.texts for batch in alone)
    for start in (3, 150, 222):
        assert same_batches(first(loader([source], 1, start=start, batch=1), 20), alone[start : start + 20])


def test_nothing_but_broken_batches_stop() -> None:
    samples: list[Any] = [None] * 300
    with pytest.raises(ScriptoriumError, match="cannot be used"):
        first(loader([Given(samples)]), 1)
    with pytest.raises(ScriptoriumError, match="100 batches in a row hold nothing that can be used"):
        preparer = Preparer([Given([None])], limits(), None, 0)
        first(Loader(lambda step: Planned([Draw(0, 0)], 32), preparer, ["given"], [2], 0, 1, 0, str), 1)


def test_an_lmdb_removed_while_training_is_read_on_where_it_is_open(tmp_path: Path) -> None:
    path = word_set(tmp_path / "set")
    expected = first(loader([opened(path)]), 20)
    made = loader([opened(path)], 1)
    batches = iter(made)
    begun = [next(batches)]
    shutil.rmtree(path)
    try:
        assert same_batches(begun + [next(batches) for _ in range(19)], expected)
    finally:
        made.close()


def test_an_lmdb_removed_before_it_is_opened_stops(tmp_path: Path) -> None:
    source = opened(word_set(tmp_path / "set"))
    shutil.rmtree(tmp_path / "set")
    told: list[str] = []
    with pytest.raises(ScriptoriumError, match=r"^source real: \S+set: no store and no shard"):
        first(loader([source], 1, log=told.append), 10)
    assert not told


def test_processes_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(word_set(tmp_path / "set"))
    # Python's own process beside them, which the first one started in a run brings along, is not meant.
    resource_tracker.ensure_running()
    started = []
    spawn = multiprocessing.util.spawnv_passfds

    def refuse_the_second(*args: Any) -> Any:
        if started:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(spawn(*args))
        return started[0]

    with monkeypatch.context() as patch:
        patch.setattr("multiprocessing.util.spawnv_passfds", refuse_the_second)
        with pytest.raises(
            ScriptoriumError, match=r"Train\.loader\.num_workers: 2 processes cannot be started \(Resource"
        ):
            loader([source], 2)
    assert not alive(started[0])


def test_processes_do_without_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Any:
        raise FileNotFoundError(2, "No such file or directory")  # what a machine without /dev/shm says

    source = opened(word_set(tmp_path / "set"))
    monkeypatch.setattr("multiprocessing.synchronize._multiprocessing.SemLock", refuse)
    assert same_batches(first(loader([source], 2), 6), first(loader([source]), 6))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


PARENT = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_ocr_data import loader, opened

if __name__ == "__main__":
    made = loader([opened(Path({data!r}))], 2)
    batches = iter(made)
    next(batches)
    print(*(process.pid for process, _ in made._workers), flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    word_set(tmp_path / "set")
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(tests=str(ROOT / "tests"), data=str(tmp_path / "set")))
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert workers and all(map(alive, workers))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, workers))
