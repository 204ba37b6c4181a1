"""`synth augment`: augmented copies of shards and label files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import lmdb
import numpy as np
import pytest
from numpy.typing import NDArray
from readers import paddleocr

import synth.augmenting as augmenting
from augment.training import TrainingAugment
from synth.engine import Interrupted, generate
from synth.shards.reader import ShardReader
from synth.shards.record import Record, pack_polygons
from synth.shards.verify import verify

Synth = Callable[..., Any]
ONE = ("--workers", 1)


def picture(index: int, suffix: str = ".jpg") -> bytes:
    """A different image for each index."""
    image = np.full((16, 40 + index % 5, 3), 230, np.uint8)
    cv2.putText(image, str(index), (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (index % 200, 20, 60), 1, cv2.LINE_AA)
    return cv2.imencode(suffix, image)[1].tobytes()


class Numbers:
    """Our own records, with meta and polygons."""

    def block(self, start: int, stop: int) -> Sequence[Record]:
        return [self.record(index) for index in range(start, stop)]

    def record(self, index: int) -> Record:
        text = f"n{index}"
        corners = np.zeros((len(text), 4, 2), np.float32)
        polygons = pack_polygons(corners, np.zeros(len(text), bool), range(1, len(text) + 1))
        return Record(index, picture(index), text, b'{"contrast":9}', polygons, units=list(text))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 records in two shards."""
    path = tmp_path_factory.mktemp("ours") / "data"
    generate(Numbers, path, 300, manifest_head={}, shard_size=256, progress=False)
    return path


def foreign(path: Path, records: Sequence[tuple[bytes | None, bytes | None]]) -> Path:
    """An LMDB as PaddleOCR's; a record's image or label may be missing."""
    with lmdb.open(str(path), map_size=1 << 24) as env, env.begin(write=True) as txn:
        for number, (image, label) in enumerate(records, 1):
            if image is not None:
                txn.put(b"image-%09d" % number, image)
            if label is not None:
                txn.put(b"label-%09d" % number, label)
        txn.put(b"num-samples", b"%d" % len(records))
    (path / "lock.mdb").unlink()
    return path


def frames(path: Path) -> list[tuple[bytes, bytes, bytes, bytes]]:
    reader = ShardReader(path)
    found = [reader.frame(index) for index in range(len(reader))]
    reader.close()
    return found


def manifest(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    return found


def decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR), np.uint8)


# -- what comes out ---------------------------------------------------------------------------------------------------


def test_from_shards_to_shards_that_verify(synth: Synth, ours: Path, tmp_path: Path) -> None:
    out = tmp_path / "more"
    done = synth("augment", ours, "--output", out, "--times", 3, "--seed", 7, *ONE)
    assert done.code == 0, done.err
    assert done.out.startswith(f"made     900 images in {out}\n") and "from     300 of 300 records\n" in done.out
    assert f"next     synth verify {out}\n" in done.out and "skipped" not in done.out
    assert synth("verify", out).code == 0 and synth("report", out).code == 0
    found = frames(out)
    assert [frame[1].decode() for frame in found] == [f"n{index}" for index in range(300) for _ in range(3)]
    assert not any(meta or polygons for _, _, meta, polygons in found)
    assert len(paddleocr(out)) == 900
    told = manifest(out)
    assert told["seed"] == 7 and told["augmented"]["times"] == 3 and told["augmented"]["augment"]["p"] == 1.0
    assert told["augmented"]["source"]["name"] == "data" and told["totals"]["units"]["n"] == 900


def test_a_copy_is_a_function_of_seed_record_and_number(ours: Path, tmp_path: Path) -> None:
    augmenting.augment(ours, tmp_path / "a", 3, seed=5, progress=False)
    source, copies = frames(ours), frames(tmp_path / "a")
    augment = TrainingAugment({"p": 1.0})
    for index, copy in ((0, 1), (17, 3), (299, 2)):
        expected = augment(decoded(source[index][0]), np.random.default_rng((5, index, copy)))
        encoded = cv2.imencode(".jpg", expected, (cv2.IMWRITE_JPEG_QUALITY, 95))[1].tobytes()
        assert copies[3 * index + copy - 1][0] == encoded
    # One in twelve draws no operation, so that a few are twins.
    assert len({frame[0] for frame in copies}) > 870
    augmenting.augment(ours, tmp_path / "b", 3, seed=6, progress=False)
    same = sum(one[0] == other[0] for one, other in zip(copies, frames(tmp_path / "b"), strict=True))
    assert same < 100


def test_originals_are_kept_byte_for_byte_and_copies_are_the_same(ours: Path, tmp_path: Path) -> None:
    augmenting.augment(ours, tmp_path / "without", 2, progress=False)
    augmenting.augment(ours, tmp_path / "with", 2, keep_originals=True, progress=False)
    kept, without = frames(tmp_path / "with"), frames(tmp_path / "without")
    assert [frame[:2] for frame in kept[::3]] == [frame[:2] for frame in frames(ours)]
    assert [frame for number, frame in enumerate(kept) if number % 3] == without
    assert verify(tmp_path / "with", progress=False).ok


def test_workers_change_nothing(ours: Path, tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        augmenting.augment(ours, tmp_path / name, 2, workers=workers, shard_size=256, progress=False)
    assert frames(tmp_path / "one") == frames(tmp_path / "two")
    assert (tmp_path / "one" / "manifest.json").read_bytes() == (tmp_path / "two" / "manifest.json").read_bytes()


def test_label_file_with_png_grey_and_another_root(synth: Synth, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    grey = np.full((20, 30), 90, np.uint8)
    (photos / "a.png").write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    (photos / "b.jpg").write_bytes(picture(3))
    labels = tmp_path / "labels.txt"
    labels.write_bytes("\ufeffa.png\tCafe\u0301 du\tcoin \r\n\nb.jpg\tಕನ್ನಡ".encode())
    out = tmp_path / "out"
    done = synth("augment", labels, "--root", photos, "--output", out, "--times", 2, *ONE)
    assert done.code == 0, done.err
    assert "1 label brought to NFC\n" in done.out
    found = frames(out)
    assert [frame[1].decode() for frame in found] == ["Café du\tcoin "] * 2 + ["ಕನ್ನಡ"] * 2
    assert all(frame[0].startswith(b"\x89PNG") and decoded(frame[0]).ndim == 2 for frame in found[:2])
    assert all(frame[0].startswith(b"\xff\xd8") for frame in found[2:])
    assert synth("verify", out).code == 0


def test_folder_data_set(ours: Path, tmp_path: Path) -> None:
    generate(Numbers, tmp_path / "plain", 20, manifest_head={}, format="folder", progress=False)
    done = augmenting.augment(tmp_path / "plain", tmp_path / "out", 1, progress=False)
    assert done.usable == 20 and verify(tmp_path / "out", progress=False).ok


def test_config(synth: Synth, ours: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.yml"
    off = "".join(
        f"  {name}: {{p: 0}}\n" for name in TrainingAugment().settings() if name not in ("p", "join", "invert")
    )
    config.write_text(f"augment:\n  invert: {{p: 1}}\n{off}")
    out = tmp_path / "out"
    assert synth("augment", ours, "--output", out, "--config", config, *ONE).code == 0
    source, copy = decoded(frames(ours)[0][0]), decoded(frames(out)[0][0])
    assert np.abs(255 - source.astype(int) - copy).mean() < 3
    assert manifest(out)["augmented"]["augment"]["invert"] == {"p": 1.0}


# -- what is broken ---------------------------------------------------------------------------------------------------


def test_broken_records_are_skipped_counted_and_named(synth: Synth, tmp_path: Path) -> None:
    wide = cv2.imencode(".png", np.zeros((1, 40000), np.uint8))[1].tobytes()
    data = foreign(
        tmp_path / "data",
        [
            (picture(0), b"good"),
            (b"no image", b"text"),
            (b"", b"text"),
            (picture(1), b""),
            (picture(2), b"\xff"),
            (picture(3), None),
            (None, b"text"),
            (wide, b"text"),
            (picture(4), b"good too"),
        ],
    )
    out = tmp_path / "out"
    done = synth("augment", data, "--output", out, "--times", 2, *ONE)
    assert done.code == 0, done.err
    assert "from     2 of 9 records\nskipped  7 records\n" in done.out
    for line in (
        "2  does not decode as an image",
        "1  empty label",
        "1  label not UTF-8",
        "2  missing",
        "1  longer than 32,766 px",
        f"  {data}: record 000000002: does not decode as an image",
    ):
        assert f"         {line}\n" in done.out
    assert [frame[1] for frame in frames(out)] == [b"good", b"good", b"good too", b"good too"]
    source = manifest(out)["augmented"]["source"]
    assert source["records"] == 9 and source["usable"] == 2 and sum(source["skipped"].values()) == 7
    assert len(source["broken"]) == 7
    # Where a record stands does not depend on the broken ones before it, nor does what becomes of it.
    whole = foreign(tmp_path / "whole", [(picture(0), b"good")] * 8 + [(picture(4), b"good too")])
    augmenting.augment(whole, tmp_path / "all", 2, progress=False)
    assert frames(tmp_path / "all")[-2:] == frames(out)[-2:]


def test_broken_lines_of_a_label_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(1))
    (tmp_path / "labels.txt").write_bytes(
        b"a.jpg\tone\nno-tab\nlost.jpg\ttwo\n\xff.jpg\tthree\na\x00.jpg\tfour\n.\tfive\n"
    )
    done = augmenting.augment(tmp_path / "labels.txt", tmp_path / "out", 1, progress=False)
    assert done.skipped == {
        "a line without a tab": 1,
        "no such file, or not to be read": 3,
        "a path that is not UTF-8": 1,
    }
    assert "lost.jpg: no such file, or not to be read" in done.names


def test_many_broken_records_are_not_all_shown(tmp_path: Path) -> None:
    data = foreign(tmp_path / "data", [(picture(0), b"good")] + [(b"-", b"bad")] * 1200)
    done = augmenting.augment(data, tmp_path / "out", 1, progress=False)
    assert done.text().count(": record ") == 10 and "  and more; " in done.text()
    assert len(manifest(tmp_path / "out")["augmented"]["source"]["broken"]) == 1000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "--output", "out"], "nowhere: No such file or directory; name a data set or a label file"),
        (["empty", "--output", "out"], "empty: no LMDB (data.mdb) there or below"),
        (["empty.txt", "--output", "out"], "empty.txt: is empty; name another"),
        (["bad.txt", "--output", "out"], "bad.txt: lost.jpg: no such file, or not to be read; has no record"),
        (["data", "--output", "data"], "data: is where the images come from; name a new folder"),
        (["data", "--output", "data/more"], "data/more: lies in data, which is to be augmented"),
        (["data", "--output", "full"], "full: holds other files"),
        (["data", "--output", "out", "--root", "."], "data: --root belongs to a label file"),
        (["data", "--output", "out", "--times", "0"], "0 is not in the range"),
        (["data", "--output", "out", "--config", "no.yml"], "no.yml: No such file or directory; name a YAML file"),
        (["data", "--output", "out", "--config", "wrong.yml"], "wrong.yml: augment.blurr: no such operation; did you"),
        (["data", "--output", "out", "--config", "list.yml"], "list.yml: should hold the keys of `augment`"),
        (["data", "--output", "out", "--config", "join.yml"], "join.yml: augment.join.p: samples are joined while"),
        (["unfinished", "--output", "out"], "unfinished: unfinished; finish it with --resume"),
    ],
)
def test_mistakes_are_one_line(
    synth: Synth, ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "full", "unfinished"):
        Path(name).mkdir()
    Path("full/notes").write_text("mine")
    Path("unfinished/manifest.json").write_text(json.dumps(manifest(ours) | {"complete": False}))
    shutil.copytree(ours, "data")
    Path("empty.txt").write_text("\n")
    Path("bad.txt").write_text("lost.jpg\tx\n")
    Path("wrong.yml").write_text("blurr: {p: 0.2}")
    Path("list.yml").write_text("- blur")
    Path("join.yml").write_text("join: {p: 0.2}")
    assert told in synth("augment", *arguments, *ONE).error
    assert not Path("out").exists() and not list(Path().glob(".*"))


# -- runs that are stopped --------------------------------------------------------------------------------------------


@pytest.fixture
def stopped(ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run over 600 copies that was interrupted after its first shard of 256."""
    calls = 0
    block = augmenting._Copies.block

    def interrupted(self: Any, start: int, stop: int) -> Sequence[Record]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return block(self, start, stop)

    with monkeypatch.context() as patch:
        patch.setattr(augmenting._Copies, "block", interrupted)
        with pytest.raises(Interrupted, match="--resume"):
            augmenting.augment(ours, tmp_path / "out", 2, shard_size=256, progress=False)
    yield tmp_path / "out"


def test_a_stopped_run_goes_on_and_ends_the_same(ours: Path, stopped: Path, tmp_path: Path) -> None:
    assert not manifest(stopped)["complete"] and (stopped / "shard-00000").is_dir()
    done = augmenting.augment(ours, stopped, 2, shard_size=256, resume=True, progress=False)
    assert done.summary.kept >= 256
    augmenting.augment(ours, tmp_path / "whole", 2, shard_size=256, progress=False)
    assert frames(stopped) == frames(tmp_path / "whole")
    assert (stopped / "manifest.json").read_bytes() == (tmp_path / "whole" / "manifest.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seed": 1}, "seed was 0, now 1"),
        ({"config": {"blur": {"p": 0.9}}}, r"augmented\.augment\.blur\.p was 0\.1, now 0\.9"),
        ({"keep_originals": True}, "cannot resume"),
    ],
)
def test_resuming_with_something_else_is_refused(ours: Path, stopped: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(Exception, match=told):
        augmenting.augment(ours, stopped, 2, shard_size=256, resume=True, progress=False, **changed)


def test_resuming_over_another_source_is_refused(stopped: Path, tmp_path: Path) -> None:
    other = foreign(tmp_path / "data", [(picture(index + 1), b"n%d" % index) for index in range(300)])
    with pytest.raises(Exception, match=r"augmented\.source\.digest was"):
        augmenting.augment(other, stopped, 2, shard_size=256, resume=True, progress=False)
