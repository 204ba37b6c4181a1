import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from readers import benchmark, paddleocr

import synth.shards.writer as writer_module
from augment.errors import ScriptoriumError
from synth.engine import generate
from synth.shards.manifest import ShardInfo, first_difference
from synth.shards.merge import merge
from synth.shards.reader import ShardReader
from synth.shards.record import (
    Record,
    Tally,
    pack_block,
    pack_frame,
    pack_polygons,
    unpack_block,
    unpack_polygons,
)
from synth.shards.verify import verify
from synth.shards.writer import ShardWriter, claim
from synth.text.charset import Charset

IMAGE = cv2.imencode(".jpg", np.full((8, 20, 3), 90, np.uint8))[1].tobytes()
FILES = Path("/proc/self/fd")
ROOT = Path(__file__).resolve().parent.parent
CORNERS = st.floats(-1000, 30000, width=32)


class Words:
    """Records of one word each."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    def block(self, start: int, stop: int) -> Sequence[Record]:
        return [self.record(index) for index in range(start, stop)]

    def record(self, index: int) -> Record:
        word = self.words[index % len(self.words)]
        corners = np.arange(len(word) * 8, dtype=np.float32).reshape(-1, 4, 2) + index
        polygons = pack_polygons(corners, np.zeros(len(word), bool), range(1, len(word) + 1))
        return Record(index, IMAGE, word, b'{"i":%d}' % index, polygons, [("illegible", "")] * (index % 2), list(word))


def word_set(path: Path, words: Sequence[str] = ("one", "ಕನ್ನಡ"), count: int = 600) -> Path:
    generate(lambda: Words(words), path, count, manifest_head={"words": list(words)}, shard_size=256, progress=False)
    return path


@given(st.lists(st.tuples(st.lists(CORNERS, min_size=8, max_size=8), st.booleans(), st.integers(1, 5)), max_size=40))
def test_polygons_come_back_unchanged(units: list[tuple[list[float], bool, int]]) -> None:
    polygons = np.array([unit[0] for unit in units], np.float32).reshape(-1, 4, 2)
    shared = np.array([unit[1] for unit in units], bool)
    ends = np.cumsum([unit[2] for unit in units], dtype=int).tolist()
    packed = pack_polygons(polygons, shared, ends)
    assert len(packed) == 4 + 37 * len(units)
    back = unpack_polygons(packed)
    assert (back[0] == polygons).all() and back[0].shape == polygons.shape
    assert (back[1] == shared).all() and back[1].dtype == bool and back[2].tolist() == ends


def test_polygons_are_laid_out_as_documented() -> None:
    corners = np.array([[[1.5, -2], [3, 4], [5, 6], [7, 8]]], np.float32)
    packed = pack_polygons(corners, np.array([True]), [3])
    expected = (
        "01000100"
        + "0000c03f"
        + "000000c0"
        + "".join(np.arange(3, 9, dtype="<f4")[i : i + 1].tobytes().hex() for i in range(6))
    )
    assert packed.hex() == expected + "03000000" + "01"


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: b"\x02" + d[1:], lambda d: d[:3], lambda d: d + b"x"])
def test_broken_polygons_are_an_error_of_ours(change: Callable[[bytes], bytes]) -> None:
    packed = pack_polygons(np.zeros((2, 4, 2), np.float32), np.zeros(2, bool), [1, 2])
    with pytest.raises(ScriptoriumError):
        unpack_polygons(change(packed))


def test_polygons_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        pack_polygons(np.zeros((2, 4, 2), np.float32), np.zeros(1, bool), [1, 2])


@given(st.lists(st.tuples(st.binary(min_size=1), st.text(st.characters(exclude_categories=["Cs"])), st.binary())))
def test_a_block_comes_back_as_its_frames(rows: list[tuple[bytes, str, bytes]]) -> None:
    records = [Record(i + 5, image, label, meta, None) for i, (image, label, meta) in enumerate(rows)]
    _, parts = pack_block(records, 5, 5 + len(rows))
    frames = [(image, label.encode(), meta, b"") for image, label, meta in rows]
    assert list(unpack_block(b"".join(parts))) == frames
    assert b"".join(map(pack_frame, frames)) == b"".join(parts)


def test_a_block_with_other_indexes_is_a_bug() -> None:
    with pytest.raises(ValueError, match="other indexes"):
        pack_block([Record(3, IMAGE, "a")], 4, 5)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 9)))
def test_what_a_shard_says_of_itself_comes_back(counts: dict[str, int]) -> None:
    info = ShardInfo(512, 256, "ab" * 32, Tally.from_json({"drops": counts, "units": {}, "missing": counts}))
    assert ShardInfo.load(info.dump()) == info


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"version": 99}', b'{"version": 1, "first": 0}', b"\xff"])
def test_what_is_no_description_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        ShardInfo.load(data)


JSON = st.recursive(
    st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


@given(JSON, JSON)
def test_the_first_difference_is_one(old: object, new: object) -> None:
    found = first_difference(old, new)
    assert (found is None) == (old == new)
    if found is not None:
        path, before, after = found
        assert before != after
        for side, value in ((old, before), (new, after)):
            here = side
            for key in filter(None, path.split(".")):
                if isinstance(here, list):
                    here = here[int(key)] if int(key) < len(here) else None
                else:
                    here = here.get(key) if isinstance(here, dict) else None
            assert here == value


def test_the_map_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_FIRST_MAP", 16384)
    output = word_set(tmp_path / "set")
    assert [label for _, label in ShardReader(output)] == ["one", "ಕನ್ನಡ"] * 300
    assert verify(output, progress=False).ok


def test_a_shard_leaves_nothing_but_its_data(tmp_path: Path) -> None:
    output = word_set(tmp_path / "set")
    assert sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()) == [
        "manifest.json",
        "shard-00000/data.mdb",
        "shard-00001/data.mdb",
        "shard-00002/data.mdb",
    ]
    assert (output / "shard-00000" / "data.mdb").stat().st_size < 4 << 20, "maps must not be allocated in full"


def test_claim_takes_over_what_a_killed_run_left(tmp_path: Path) -> None:
    (tmp_path / ".set.partial" / "shard-00000").mkdir(parents=True)
    (tmp_path / ".set.lock").write_text("")
    with claim(tmp_path / "set") as aside:
        assert not list(aside.iterdir()) and aside.stat().st_dev == tmp_path.stat().st_dev
    assert not list(tmp_path.iterdir())


def foreign_lmdb(folder: Path, pairs: Iterable[tuple[bytes, bytes]]) -> Path:
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=1 << 20, lock=False) as env, env.begin(write=True) as txn:
        for key, value in pairs:
            txn.put(key, value)
    return folder


def test_reads_what_others_wrote(tmp_path: Path) -> None:
    for name, words in (("b", ["drei"]), ("a", ["eins", "zwei"])):
        pairs = [(f"label-{i:09d}".encode(), word.encode()) for i, word in enumerate(words, 1)]
        pairs += [(f"image-{i:09d}".encode(), IMAGE) for i in range(1, len(words) + 1)]
        foreign_lmdb(tmp_path / "set" / name, [*pairs, (b"num-samples", str(len(words)).encode())])
    reader = ShardReader(tmp_path / "set")
    assert list(reader) == [(IMAGE, "eins"), (IMAGE, "zwei"), (IMAGE, "drei")]
    assert reader.meta(0) == {} and reader.polygons(0) is None and reader[-1] == reader[2]
    reader.close()
    assert sorted(label for _, label in paddleocr(tmp_path / "set")) == ["drei", "eins", "zwei"]


def test_reader_gives_what_was_written(tmp_path: Path) -> None:
    output = word_set(tmp_path / "set")
    reader = ShardReader(output)
    assert len(reader) == 600 and reader[599] == (IMAGE, "ಕನ್ನಡ") and reader.meta(300) == {"i": 300}
    polygons = reader.polygons(257)
    assert polygons is not None and polygons[0][0, 0].tolist() == [257, 258] and polygons[2].tolist() == [1, 2, 3, 4, 5]
    for index in (600, -601):
        with pytest.raises(IndexError):
            reader[index]
    assert len(ShardReader(output / "shard-00002")) == 88


def test_readers_share_pickle_and_fork(tmp_path: Path) -> None:
    reader = ShardReader(word_set(tmp_path / "set"))
    assert reader[0][1] == "one"
    other = pickle.loads(pickle.dumps(reader))
    assert other[1] == reader[1]
    child = os.fork()
    if not child:
        good = False
        try:
            good = list(reader) == [(IMAGE, "one"), (IMAGE, "ಕನ್ನಡ")] * 300
            reader.close()
            other.close()
        finally:
            os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    other.close()
    assert reader[599] == other[599]
    reader.close()
    other.close()
    assert len(benchmark(tmp_path / "set")) == 600, "all files are closed, and others can open them"


def test_many_shards_do_not_keep_all_files_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.shards.reader._OPEN_SHARDS", 2)
    reader = ShardReader(word_set(tmp_path / "set", count=1200))
    before = len(list(FILES.iterdir())) if FILES.exists() else 0
    assert [reader[i][1] for i in range(0, 1200, 100)] == ["one"] * 12
    if before:
        assert len(list(FILES.iterdir())) <= before + 2


def test_reading_nothing_or_rubbish_names_it(tmp_path: Path) -> None:
    with pytest.raises(ScriptoriumError, match="no LMDB"):
        ShardReader(tmp_path)
    with pytest.raises(ScriptoriumError, match="num-samples"):
        ShardReader(foreign_lmdb(tmp_path / "a", [(b"key", b"value")]))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "data.mdb").write_bytes(b"rubbish" * 4000)
    with pytest.raises(ScriptoriumError, match="cannot be read as LMDB"):
        ShardReader(tmp_path / "b")
    with pytest.raises(ScriptoriumError, match="record 000000001 is missing"):
        ShardReader(foreign_lmdb(tmp_path / "c", [(b"num-samples", b"2")]))[0]


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_a_half_finished_copy_is_refused_before_it_is_read(tmp_path: Path, kept: float) -> None:
    output = word_set(tmp_path / "set")
    data = output / "shard-00001" / "data.mdb"
    size = data.stat().st_size
    os.truncate(data, int(size * kept))
    told = f"shard-00001: data.mdb is cut short, {int(size * kept):,} bytes of {size:,}; copy it again"
    # In a process of their own: unmended, these die of SIGBUS.
    code = (
        "import sys; from synth.cli import main\n"
        "from synth.shards.reader import ShardReader; from augment.errors import ScriptoriumError\n"
        "try: ShardReader(sys.argv[2])\nexcept ScriptoriumError as error: print(error)\n"
        "main(sys.argv[1:])"
    )
    runs = {
        command: subprocess.run(
            [sys.executable, "-c", code, command, str(output)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        for command in ("verify", "report")
    }
    assert all(told in run.stdout for run in runs.values())
    assert runs["verify"].returncode == 1 and "shard-00001: data.mdb: is cut short, " in runs["verify"].stdout
    assert runs["report"].returncode == 2 and told in runs["report"].stderr
    report = verify(output, progress=False)
    assert report.records == 344 and any("copy it again" in str(problem) for problem in report.problems)
    os.truncate(data, 0)
    assert not verify(output, progress=False).ok


def test_one_of_each_is_said_in_the_singular(tmp_path: Path) -> None:
    output = word_set(tmp_path / "set", count=1)
    assert verify(output, progress=False).text() == "1 record in 1 shard: all right\n"
    spoil(output, 0, b"meta-000000001", None)
    assert verify(output, progress=False).text().endswith("1 record in 1 shard: 1 problem\n")


def spoil(output: Path, shard: int, key: bytes, value: bytes | None) -> None:
    folder = str(output / f"shard-{shard:05d}")
    with lmdb.open(folder, map_size=1 << 24, lock=False) as env, env.begin(write=True) as txn:
        if value is None:
            txn.delete(key)
        else:
            txn.put(key, value)


CRUMPLED = pack_polygons(np.full((1, 4, 2), np.nan, np.float32), np.zeros(1, bool), [3])


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        (b"image-000000003", b"\xff\xd8 no image", "does not decode"),
        (b"image-000000003", b"", "does not decode"),
        (b"image-000000003", None, "missing"),
        (b"label-000000003", None, "missing"),
        (b"label-000000003", b"", "empty"),
        (b"label-000000003", b"\xff", "not UTF-8"),
        (b"label-000000003", "e\u0301".encode(), "not in NFC"),
        (b"label-000000003", b"onf", "outside the charset"),
        (b"label-000000003", b"ono", "digest"),
        (b"image-000000257", IMAGE, "beyond the 256"),
        (b"image-0000003", IMAGE, "beyond the 256"),
        (b"meta-000000003", b"{", "JSON"),
        (b"meta-000000003", None, "digest"),
        (b"polygons-000000003", b"\x01", "version"),
        (b"polygons-000000003", CRUMPLED, "finite"),
        (b"polygons-000000003", pack_polygons(np.zeros((1, 4, 2), np.float32), np.zeros(1, bool), [2]), "units end"),
        (b"num-samples", b"255", "was made with 256"),
        (b"num-samples", b"many", "num-samples"),
        (b"shard", b"{}", "description"),
        (b"shard", None, "manifest says otherwise"),
    ],
)
def test_verify_finds(tmp_path: Path, key: bytes, value: bytes | None, what: str) -> None:
    output = word_set(tmp_path / "set")
    charset = Charset(["o", "n", "e", "ಕ", "ನ", "ನ್ನ", "ಡ"])
    report = verify(output, charset, progress=False)
    assert report.ok and (report.records, report.shards) == (600, 3)
    spoil(output, 1, key, value)
    report = verify(output, charset, progress=False)
    assert not report.ok
    assert any(what in str(problem) and "shard-00001" in problem.where for problem in report.problems), report.problems
    assert report.text().endswith(f" in 3 shards: {report.found} problem{'s' * (report.found > 1)}\n")


def test_verify_knows_units_of_several_code_points(tmp_path: Path) -> None:
    output = word_set(tmp_path / "set", ["ನ್ನನ"])
    assert verify(output, Charset(["ನ", "ನ್ನ"]), progress=False).ok
    assert verify(output, Charset(["ನ", "ನ್", "ನ್ನನ"]), progress=False).ok
    report = verify(output, Charset(["ನ", "ನ್ನನನ"]), progress=False)
    assert report.found == 600 and report.problems[0].key == "label-000000001"


def test_verify_compares_with_the_manifest(tmp_path: Path) -> None:
    output = word_set(tmp_path / "set")

    def found(change: Callable[[dict[str, object]], object]) -> str:
        text = (output / "manifest.json").read_text()
        manifest = json.loads(text)
        change(manifest)
        (output / "manifest.json").write_text(json.dumps(manifest))
        report = verify(output, progress=False)
        (output / "manifest.json").write_text(text)
        return "\n".join(map(str, report.problems))

    assert "unfinished" in found(lambda manifest: manifest.update(complete=False))
    assert "do not sum up" in found(lambda manifest: manifest.update(count=601))
    assert "totals" in found(lambda manifest: manifest["totals"]["drops"].update(illegible=1))  # type: ignore[index]
    assert "otherwise" in found(lambda manifest: manifest["shards"][0].update(digest="00"))  # type: ignore[index]
    assert "does not list" in found(lambda manifest: manifest["shards"].pop())  # type: ignore[attr-defined]
    shutil.copytree(output, tmp_path / "bare")
    (tmp_path / "bare" / "manifest.json").unlink()
    assert "manifest is missing" in str(verify(tmp_path / "bare", progress=False).problems[0])
    shutil.rmtree(output / "shard-00001")
    assert "not there" in found(lambda manifest: None)


def test_merge_joins_in_order(tmp_path: Path) -> None:
    one = word_set(tmp_path / "one", ["ein", "Wort"], 300)
    two = word_set(tmp_path / "two", ["noch", "eins"], 600)
    three = word_set(tmp_path / "three", ["Wort", "drei"], 300)
    assert merge([one, two, three], tmp_path / "all", shard_size=500, progress=False) == 1200
    merged = ShardReader(tmp_path / "all")
    expected = [ShardReader(path) for path in (one, two, three)]
    frames = [reader.frame(index) for reader in expected for index in range(len(reader))]
    assert [merged.frame(index) for index in range(1200)] == frames
    assert verify(tmp_path / "all", progress=False).ok
    manifest = json.loads((tmp_path / "all" / "manifest.json").read_text())
    assert [shard["count"] for shard in manifest["shards"]] == [500, 500, 200]
    assert manifest["totals"]["units"]["W"] == 300 and manifest["totals"]["drops"] == {"illegible": 600}
    assert len(manifest["sources"]) == 3 and not list(tmp_path.glob(".*"))
    merged.close()
    assert sorted(label for _, label in paddleocr(tmp_path / "all")) == sorted(frame[1].decode() for frame in frames)


def test_merge_refuses(tmp_path: Path) -> None:
    one = word_set(tmp_path / "one")
    plain = tmp_path / "plain"
    generate(lambda: Words(["a"]), plain, 3, manifest_head={}, format="folder", progress=False)
    with pytest.raises(ScriptoriumError, match="plain files"):
        merge([one, plain], tmp_path / "all", progress=False)
    with pytest.raises(ScriptoriumError, match="no data sets"):
        merge([], tmp_path / "all", progress=False)
    with pytest.raises(ScriptoriumError, match="other files"):
        merge([one], plain, progress=False)
    for inside in (one, one / "all"):
        with pytest.raises(ScriptoriumError, match=f"{inside}: lies in {one}, which is to be merged"):
            merge([one], inside, progress=False)
    spoil(one, 1, b"label-000000003", b"changed")
    with pytest.raises(ScriptoriumError, match=r"shard-00001: damaged"):
        merge([one], tmp_path / "all", progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "plain"]


def test_merge_takes_nothing_twice(tmp_path: Path) -> None:
    one, two = word_set(tmp_path / "one", ["a"], 300), word_set(tmp_path / "two", ["b"], 300)
    shutil.copytree(one, tmp_path / "copy")
    merge([one, two], tmp_path / "both", progress=False)
    for again in ([one, one], [two, one, tmp_path / "copy"], [tmp_path / "both", two]):
        with pytest.raises(ScriptoriumError, match=f"{again[-1]}: holds the same samples as .*; name each data set"):
            merge(again, tmp_path / "all", progress=False)
    assert not (tmp_path / "all").exists()


def test_merge_does_not_mix_sets_with_and_without_polygons(tmp_path: Path) -> None:
    class Bare(Words):
        def record(self, index: int) -> Record:
            return replace(super().record(index), polygons=None)

    one = word_set(tmp_path / "one")
    generate(lambda: Bare(["a"]), tmp_path / "bare", 3, manifest_head={}, progress=False)
    told = f"{one}: has unit polygons, but {tmp_path / 'bare'} has none"
    for order in ([one, tmp_path / "bare"], [tmp_path / "bare", one]):
        with pytest.raises(ScriptoriumError, match=told):
            merge(order, tmp_path / "all", progress=False)
    assert not (tmp_path / "all").exists()


def test_a_shard_seen_is_a_shard_whole(tmp_path: Path) -> None:
    with claim(tmp_path / "set") as aside:
        (tmp_path / "set").mkdir()
        writer = ShardWriter(aside, "shard-00000", 0)
        tally, parts = pack_block(Words(["a"]).block(0, 256), 0, 256)
        writer.add(b"".join(parts), tally)
        writer.finish()
        assert not list((tmp_path / "set").iterdir())
        writer.seal(tmp_path / "set")
    assert len(ShardReader(tmp_path / "set")) == 256
