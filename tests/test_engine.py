import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from readers import benchmark, leaf_folders, paddleocr

import synth.shards.writer as writer_module
from augment.errors import ScriptoriumError
from synth.engine import generate
from synth.shards.reader import ShardReader
from synth.shards.record import NO_FONT, Record, pack_polygons
from synth.shards.verify import verify

COUNT = 1100
SHARD = 512
HEAD = {"recipe": {"corpus": {"length": (1, 25)}}, "seed": 7, "inputs": {"corpus": "abc"}}


class Toy:
    """Small true images; every property of a record differs between neighbours."""

    def __init__(self, act: str = "", at: int = -1, sign: Path | None = None) -> None:
        self.act, self.at, self.sign = act, at, sign
        if sign is not None:
            self.held = sign.open("wb", buffering=0)
            self.held.write(b"x")

    def block(self, start: int, stop: int) -> Sequence[Record]:
        sys.audit("toy.block", start)
        if start <= self.at < stop:
            self.misbehave()
        return [self.record(index) for index in range(start, stop)]

    def misbehave(self) -> None:
        if self.act == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.act == "stall":
            time.sleep(600)
        if self.act == "refuse":
            raise ScriptoriumError("corpus.txt:3: nothing there; add text")
        raise ZeroDivisionError("toy trouble")

    @staticmethod
    @cache
    def record(index: int) -> Record:
        rng = np.random.Generator(np.random.Philox(counter=[0, 0, 0, index], key=7))
        image = rng.integers(0, 256, (4, 3 + index % 5, 3), dtype=np.uint8)
        encoded = cv2.imencode(".png", image)[1].tobytes()
        label = f"ನ{index}é"
        units = list(label)
        polygons = None
        if index % 2:
            corners = rng.random((len(units), 4, 2), dtype=np.float32)
            polygons = pack_polygons(corners, np.zeros(len(units), bool), range(1, len(units) + 1))
        refusals = [("illegible", "contrast 3.1")] * (index % 3) + [(NO_FONT, "ꙮ𞤀")] * (index % 11 == 0)
        meta = json.dumps({"i": index}, separators=(",", ":")).encode()
        return Record(index, encoded, label, meta, polygons, refusals, units)


def make_set(output: Path, make: Callable[[], Toy] = Toy, **changes: object):
    options = {"manifest_head": HEAD, "recipe_text": "seed: 7\n", "shard_size": SHARD, "progress": False}
    return generate(make, output, **({"count": COUNT} | options | changes))  # type: ignore[arg-type]


def contents(root: Path) -> dict[str, object]:
    """Every record of every shard and the bytes of every other file."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.name == "data.mdb":
            with lmdb.open(str(path.parent), readonly=True, lock=False) as env, env.begin() as txn:
                found[name] = dict(txn.cursor())
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def forked(act: Callable[[], object]) -> int:
    """Run in a forked child; its wait status."""
    child = os.fork()
    if not child:
        try:
            act()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("reference") / "set"
    make_set(output)
    return output


def test_records_are_what_the_maker_made(reference: Path) -> None:
    reader = ShardReader(reference)
    assert len(reader) == COUNT
    for index in range(COUNT):
        record = Toy.record(index)
        assert reader.frame(index) == (record.image, record.label.encode(), record.meta, record.polygons or b"")
    assert verify(reference, progress=False).ok
    assert sorted(path.name for path in reference.parent.iterdir()) == ["set"], "something was left beside it"


def test_trainers_read_it_by_their_own_rules(reference: Path) -> None:
    assert len(leaf_folders(reference)) == 3
    labels = sorted(f"ನ{index}é" for index in range(COUNT))
    assert sorted(label for _, label in paddleocr(reference)) == labels
    read = benchmark(reference)
    assert sorted(label for _, label in read) == labels
    by_label = dict((label, image) for image, label in read)
    for image, label in paddleocr(reference):
        assert (image == by_label[label][..., ::-1]).all()


def test_manifest_and_summary_count_what_happened(tmp_path: Path) -> None:
    output = tmp_path / "set"
    summary = make_set(output)
    records = [Toy.record(index) for index in range(COUNT)]
    drops = Counter(reason for record in records for reason, _ in record.refusals)
    assert summary.drops == drops and summary.missing == {"ꙮ": 100, "𞤀": 100}
    assert summary.units == Counter(unit for record in records for unit in record.units)
    assert (summary.count, summary.kept, summary.shards) == (COUNT, 0, 3)
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["complete"] and manifest["seed"] == 7 and manifest["totals"]["drops"] == drops
    assert [shard["count"] for shard in manifest["shards"]] == [512, 512, 76]
    assert (output / "recipe.yaml").read_text() == "seed: 7\n"
    assert str(tmp_path) not in (output / "manifest.json").read_text()


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_do_not_change_a_byte(reference: Path, tmp_path: Path, workers: int) -> None:
    make_set(tmp_path / "set", workers=workers)
    assert contents(tmp_path / "set") == contents(reference)


def run_until(output: Path, die_at: int, workers: int = 1, sign: Path | None = None) -> Callable[[], None]:
    """A run, for a forked child, that kills itself just before its `die_at`-th step on the file system or block."""

    def run() -> None:
        steps = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal steps
            ours = event in ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "open") and output.name in str(arguments)
            if event == "toy.block" or ours:
                steps += 1
                if steps == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        make_set(output, partial(Toy, sign=sign), workers=workers, resume=True)

    return run


def test_killed_before_any_step_and_resumed_it_is_the_same(reference: Path, tmp_path: Path) -> None:
    expected = contents(reference)
    died = 0
    while True:
        output = tmp_path / f"set{died}"
        status = forked(run_until(output, died + 1))
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        died += 1
        make_set(output, resume=True)
        assert contents(output) == expected, f"killed before step {died}"
        assert not list(tmp_path.glob(".*")), "remains beside the data set"
        shutil.rmtree(output)
    assert died > 20, "blocks, shards and manifest should all have been steps"


@pytest.mark.parametrize("seed", range(5))
def test_killed_again_and_again_with_workers(reference: Path, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    output = tmp_path / "set"
    for _ in range(2):
        status = forked(run_until(output, int(rng.integers(10, 24)), workers=2))
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
    make_set(output, resume=True, workers=int(rng.integers(1, 3)))
    assert contents(output) == contents(reference)


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    os.mkfifo(sign)
    ear = os.open(sign, os.O_RDONLY | os.O_NONBLOCK)
    output = tmp_path / "set"
    # By then the first shard is whole: workers have been at work.
    assert os.WTERMSIG(forked(run_until(output, 14, workers=2, sign=sign))) == signal.SIGKILL
    deadline = time.monotonic() + 60
    heard = b""
    while time.monotonic() < deadline:
        try:
            said = os.read(ear, 100)
        except BlockingIOError:
            time.sleep(0.02)
            continue
        heard += said
        if not said:
            break
    os.close(ear)
    assert heard and not said, "a worker outlived its parent"


def test_a_worker_that_dies_is_named(reference: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    with pytest.raises(ScriptoriumError, match=r"killed by SIGKILL .*samples 768 to 1023; .*--resume") as caught:
        make_set(output, partial(Toy, "kill", 800), workers=2)
    assert "\n" not in str(caught.value)
    make_set(output, resume=True)
    assert contents(output) == contents(reference)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_maker_raises_comes_through(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ScriptoriumError, match=r"^corpus.txt:3: nothing there; add text$"):
        make_set(tmp_path / "a", partial(Toy, "refuse", 700), workers=workers)
    if workers == 1:  # the first shard is good, and --resume goes on from there; of two workers, one may be ahead
        assert (tmp_path / "a" / "manifest.json").exists()
    with pytest.raises(ScriptoriumError, match=r"nothing there; add text$"):
        make_set(tmp_path / "none", partial(Toy, "refuse", 300), workers=workers)
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScriptoriumError, match=r"nothing there; add text$"):
        make_set(tmp_path / "empty", partial(Toy, "refuse", 300), workers=workers)
    assert not list((tmp_path / "empty").iterdir())
    with pytest.raises((RuntimeError, ZeroDivisionError), match="toy trouble"):
        make_set(tmp_path / "b", partial(Toy, "divide", 700), workers=workers)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_it_says_how_to_go_on(reference: Path, tmp_path: Path, workers: int) -> None:
    output = tmp_path / "set"
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from test_engine import *\n"
        f"make_set(Path({str(output)!r}), partial(Toy, 'stall', 1099), workers={workers})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (output / "shard-00001").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert said.splitlines()[-1].startswith("synth.engine.Interrupted: "), said
    assert "--resume (1024 of 1100 samples are safe)" in said and said.count("Traceback") == 1, said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]
    assert make_set(output, resume=True).kept == 1024
    assert contents(output) == contents(reference)


def test_a_full_disk_is_named_and_mended_by_resuming(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def __init__(self, env: lmdb.Environment) -> None:
            self.env = env
            self.close, self.sync, self.set_mapsize = env.close, env.sync, env.set_mapsize

        def begin(self, **options: bool) -> lmdb.Transaction:
            if (tmp_path / "set" / "shard-00000").exists():
                raise lmdb.DiskError("mdb_txn_commit: No space left on device")
            return self.env.begin(**options)

    opened = lmdb.open
    with monkeypatch.context() as patch:
        patch.setattr(writer_module.lmdb, "open", lambda *a, **k: Full(opened(*a, **k)))
        with pytest.raises(ScriptoriumError, match=r"No space left.*free space, then.*--resume \(512 of 1100"):
            # The blocks of the second shard wait for the first to be there.
            make_set(tmp_path / "set", partial(Waiting, tmp_path / "set" / "shard-00000"))
    assert not list(tmp_path.glob(".*"))
    assert make_set(tmp_path / "set", resume=True).kept == 512
    assert contents(tmp_path / "set") == contents(reference)


class Waiting(Toy):
    """Begins the second shard when the first is there."""

    def __init__(self, first: Path) -> None:
        super().__init__()
        self.first = first

    def block(self, start: int, stop: int) -> Sequence[Record]:
        deadline = time.monotonic() + 60
        while start >= SHARD and not self.first.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return super().block(start, stop)


@pytest.mark.parametrize("kind", ["lmdb", "folder"])
def test_a_file_that_may_not_grow_is_an_error_of_one_line(tmp_path: Path, kind: str) -> None:
    def run() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        with pytest.raises(ScriptoriumError, match=r"^[^\n]*cannot write: [^\n]*--resume[^\n]*$"):
            make_set(tmp_path / "set", format=kind)

    assert forked(run) == 0
    assert not list(tmp_path.glob(".*"))


def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    never = partial(Toy, "divide", 0)
    places = [tmp_path / "file", tmp_path / "file" / "set"]
    if sys.platform == "linux":
        places.append(Path("/proc/set"))  # not even root makes folders there
    if os.geteuid():
        (tmp_path / "locked").mkdir(0o500)
        places.append(tmp_path / "locked" / "set")
    for place in places:
        with pytest.raises(ScriptoriumError, match=str(place)) as caught:
            make_set(place, never)
        assert "\n" not in str(caught.value)


def test_other_content_is_never_touched(tmp_path: Path) -> None:
    output = tmp_path / "set"
    output.mkdir()
    (output / "thesis.txt").write_text("mine")
    for resume in (False, True):
        for kind in ("lmdb", "folder"):
            with pytest.raises(ScriptoriumError, match="other files"):
                make_set(output, resume=resume, format=kind)
    assert contents(output) == {"thesis.txt": b"mine"}


def test_a_complete_set_stays_as_it_is(reference: Path, tmp_path: Path) -> None:
    with pytest.raises(ScriptoriumError, match=r"holds a complete data set; name a new folder$"):
        make_set(reference)
    summary = make_set(reference, partial(Toy, "divide", 0), resume=True)
    assert summary.kept == COUNT and summary.units["ನ"] == COUNT
    shutil.copytree(reference, tmp_path / "set")
    (tmp_path / "set" / "report.html").write_text("a report may lie there")
    make_set(tmp_path / "set", resume=True)


def test_unfinished_without_resume_says_so(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        make_set(tmp_path / "set", partial(Toy, "divide", 0))
    with pytest.raises(
        ScriptoriumError, match=r"holds an unfinished data set: go on with --resume, or name a new folder$"
    ):
        make_set(tmp_path / "set")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"manifest_head": HEAD | {"seed": 8}}, r"seed was 7, now 8"),
        (
            {"manifest_head": HEAD | {"recipe": {"corpus": {"length": [1, 30]}}}},
            r"recipe.corpus.length.1 was 25, now 30",
        ),
        ({"manifest_head": HEAD | {"inputs": {"corpus": "abd"}}}, r'inputs.corpus was "abc", now "abd"'),
        ({"manifest_head": HEAD | {"inputs": HEAD["inputs"] | {"font": "x"}}}, r'inputs.font was absent, now "x"'),
        ({"manifest_head": {key: HEAD[key] for key in ("recipe", "seed")}}, r"inputs was .*, now absent"),
        ({"count": COUNT + 1}, r"count was 1100, now 1101.*synth merge"),
        ({"shard_size": 256}, r"shard_size was 512, now 256"),
        ({"format": "folder"}, r'format was "lmdb", now "folder"'),
    ],
)
def test_resuming_with_something_else_names_it(reference: Path, changes: dict[str, object], message: str) -> None:
    before = contents(reference)
    with pytest.raises(ScriptoriumError, match=message):
        make_set(reference, resume=True, **changes)
    assert contents(reference) == before


def test_damaged_and_missing_shards_are_made_anew(reference: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    shutil.copytree(reference, output)
    (output / "shard-00000" / "data.mdb").write_bytes(b"broken")
    shutil.rmtree(output / "shard-00002")
    assert make_set(output, resume=True).kept == 512
    assert contents(output) == contents(reference)
    (output / "mine").mkdir()
    with pytest.raises(ScriptoriumError, match="mine: a folder that is no shard"):
        make_set(output, resume=True)


@pytest.mark.parametrize("count", [0, -5, 10**12 + 1])
def test_counts_that_cannot_be_are_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(ScriptoriumError, match=f"count is {count:,}: at "):
        make_set(tmp_path / "set", count=count)
    assert not list(tmp_path.iterdir())


class Early(Exception):
    """Ends a run at its second shard."""


class Ends(Toy):
    """Makes blocks up to an index, and fails with `Early` there."""

    def misbehave(self) -> None:
        raise Early


def test_the_largest_count_begins_and_resumes_at_once(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        for at in (512, 1536):
            with pytest.raises(Early):
                make_set(tmp_path / "set", partial(Ends, at=at), count=10**12, resume=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A list of all blocks or names would take hundreds of gigabytes.
    assert peak < 64 << 20
    assert sorted(path.name for path in (tmp_path / "set").iterdir() if path.is_dir()) == [
        "shard-00000", "shard-00001", "shard-00002",
    ]  # fmt: skip
    for name in ("shard-0", "shard-9999999999999", "shard-000000"):
        (tmp_path / "set" / name).mkdir()
        with pytest.raises(ScriptoriumError, match=f"{name}: a folder that is no shard"):
            make_set(tmp_path / "set", partial(Ends, at=1536), count=10**12, resume=True)
        (tmp_path / "set" / name).rmdir()


def test_two_runs_cannot_share_a_folder(tmp_path: Path) -> None:
    with writer_module.claim(tmp_path / "set"), pytest.raises(ScriptoriumError, match="another run"):
        make_set(tmp_path / "set")
    make_set(tmp_path / "set", count=3)


def test_plain_files(reference: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    with pytest.raises(ZeroDivisionError):
        make_set(output, partial(Toy, "divide", 1099), format="folder")
    assert not list(tmp_path.iterdir()), "nothing is there before all is"
    output.mkdir()
    make_set(output, format="folder", workers=2, resume=True)
    rows = [row.split("\t") for row in (output / "labels.tsv").read_text().splitlines()]
    assert [label for _, label in rows] == [label for _, label in ShardReader(reference)]
    for (name, _), (image, _) in zip(rows, ShardReader(reference), strict=True):
        assert (output / name).read_bytes() == image
    metas = [json.loads(row) for row in (output / "meta.jsonl").read_text().splitlines()]
    assert metas[5] == {"image": "images/000000006.png", "i": 5}
    polygons = json.loads((output / "polygons.jsonl").read_text().splitlines()[1])
    assert polygons["image"] == "images/000000004.png"
    expected = ShardReader(reference).polygons(3)
    assert expected is not None
    assert (np.array(polygons["polygons"], np.float32) == expected[0]).all() and polygons["ends"] == [1, 2, 3]
    assert verify(output, progress=False).ok
    assert make_set(output, partial(Toy, "divide", 0), format="folder", resume=True).kept == COUNT
    (output / rows[8][0]).unlink()
    report = verify(output, progress=False)
    assert any("000000009" in str(problem) for problem in report.problems)
