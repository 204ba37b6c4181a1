from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_task import SPEC, VALUES, config, make_task, trained

from augment.errors import ScriptoriumError
from ocr import runtime
from ocr.config import Config, LearningRate
from ocr.engine import checkpoint as store
from ocr.engine.checkpoint import BrokenCheckpoint, Checkpoint
from ocr.engine.log import RunLog
from ocr.engine.optimiser import learning_rate
from ocr.engine.transfer import check_share, transfer
from ocr.runtime import Processor
from ocr.spec import Preprocess
from synth.strict import ConfigError

# -- configuration ---------------------------------------------------------------------------------------------------


def test_a_wrong_key_names_its_path_and_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "c.yml"
    file.write_text("Global: {character_dict_path: c.txt, epoch_nun: 3}\nArchitecture: {Backbone: {name: ConvNet}}\n")
    with pytest.raises(ConfigError, match=r"c\.yml: Global\.epoch_nun: unknown key; did you mean epoch_num\?"):
        Config.load(file)


def test_overrides_reach_into_lists(tmp_path: Path) -> None:
    file = tmp_path / "c.yml"
    file.write_text(json.dumps(VALUES))
    loaded = Config.load(file, ["Train.sources.0.path=other", "Optimizer.lr.learning_rate=0.5"])
    assert loaded.Train.sources[0].path == Path("other")
    assert loaded.Optimizer.lr.learning_rate == 0.5
    with pytest.raises(ConfigError, match="3 is no position in a list of 1"):
        Config.load(file, ["Train.sources.3.path=other"])
    with pytest.raises(ConfigError, match=r"Global\.character_dict_path is a value, not a section"):
        Config.load(file, ["Global.character_dict_path.x=1"])


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"sampler": {"mix": {"reel": 1}}}, "no source reel; did you mean real"),
        ({"sampler": {"mix": {"real": 5, "synth": 1}}}, "not divisible by the 6 parts"),
        ({"sampler": {"mix": {"real": 1}}}, "says nothing of source synth"),
        ({"sampler": {"name": "Ratio", "ratio_list": [1.0]}}, "1 ratios for 2 sources"),
        (
            {"sampler": {"name": "Ratio", "ratio_list": [1.0, 1.0], "easy_first": 9}},
            r"easy_first belongs to the sampler MixedBatch",
        ),
    ],
)
def test_a_sampler_that_does_not_fit_its_sources(train: dict[str, Any], message: str) -> None:
    sources = [{"name": "real", "path": "a"}, {"name": "synth", "path": "b"}]
    with pytest.raises(ConfigError, match=message):
        Config.from_values(VALUES | {"Train": {"sources": sources} | train})


# -- preprocessing ---------------------------------------------------------------------------------------------------


def test_padded_widths_are_few_and_close() -> None:
    preprocess = Preprocess()
    widths = [preprocess.padded_width(width) for width in range(1, 2049)]
    assert all(padded >= width and padded % 16 == 0 for width, padded in enumerate(widths, 1))
    assert all(padded - width < max(16, width / 8) for width, padded in enumerate(widths, 1))
    assert len(set(widths)) < 50


def test_high_crops_are_turned_counter_clockwise() -> None:
    image = np.zeros((90, 30), np.uint8)
    image[:30] = 255  # the top comes to the left
    read = Preprocess()(image)
    assert read.shape == (32, 96)
    assert read[:, :30].min() == 255
    assert read[:, 34:].max() == 0


# -- processors ------------------------------------------------------------------------------------------------------

_AMD = "vendor_id\t: AuthenticAMD\nmodel name\t: EPYC\nflags\t\t: fma avx2 "


@pytest.mark.parametrize(
    ("cpuinfo", "kind"),
    [
        (_AMD + "avx512f avx512cd avx512bw avx512dq avx512vl", "7"),
        (_AMD + "avx512f", "5"),
        ("vendor_id: AuthenticAMD\nflags: sse2 avx", None),
        ("vendor_id: GenuineIntel\nflags: avx2 fma avx512f avx512cd avx512bw avx512dq avx512vl", None),
        ("", None),
    ],
)
def test_the_mend_follows_the_flags(cpuinfo: str, kind: str | None) -> None:
    assert Processor.read(cpuinfo).mkl_type == kind


def test_the_environment_is_set_before_paddle_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    amd = Processor("AuthenticAMD", "EPYC", frozenset(("avx2", "fma")))
    monkeypatch.setattr(Processor, "read", lambda: amd)
    monkeypatch.delenv("MKL_DEBUG_CPU_TYPE", raising=False)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "9")
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    assert runtime.start(0, mend=False).threads == 1
    started = runtime.start(2)
    assert "AVX2" in started.mend
    assert os.environ["MKL_DEBUG_CPU_TYPE"] == "5"
    assert os.environ["OMP_NUM_THREADS"] == "2"
    monkeypatch.delenv("MKL_DEBUG_CPU_TYPE")


def test_processes_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = runtime.cores()
    monkeypatch.setenv("PADDLE_TRAINER_ENDPOINTS", "10.0.0.1:6170,10.0.0.1:6171,10.0.0.2:6170")
    monkeypatch.setenv("PADDLE_CURRENT_ENDPOINT", "10.0.0.1:6171")
    assert runtime.cores() == max(1, alone // 2)


# -- learning rate ---------------------------------------------------------------------------------------------------


def test_cosine_with_warmup_by_hand() -> None:
    rate = learning_rate(LearningRate(learning_rate=1.0, warmup_epoch=0.5), 30, 20)
    assert [rate(step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert rate(10) == pytest.approx(1.0)
    assert rate(20) == pytest.approx(0.5)
    assert rate(29) == pytest.approx(0.5 * (1 + math.cos(math.pi * 19 / 20)))


# -- checkpoints -----------------------------------------------------------------------------------------------------


def saved(run: Path, step: int) -> Path:
    weights = {"w": np.full(3, step, np.float32)}
    return store.save(run, Checkpoint(SPEC, weights, {}, {"m": weights["w"]}, {"step": step, "best": {}}))


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    found = store.load(saved(tmp_path, 7))
    assert found.spec == SPEC
    assert found.weights["w"].tolist() == [7, 7, 7]
    assert found.state["step"] == 7


@pytest.mark.parametrize("name", ["model.npz", "optimiser.npz", "spec.json", "contents.json"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, name: str) -> None:
    good, bad = saved(tmp_path, 1), saved(tmp_path, 2)
    file = bad / name
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(BrokenCheckpoint, match="name another"):
        store.load(bad)
    newest, broken = store.latest(tmp_path)
    assert newest == good
    assert len(broken) == 1


def test_changed_contents_are_noticed(tmp_path: Path) -> None:
    folder = saved(tmp_path, 1)
    data = bytearray((folder / "model.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.npz").write_bytes(data)
    with pytest.raises(BrokenCheckpoint, match="have changed"):
        store.load_model(folder)


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = saved(tmp_path, 1)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_arrays", full)
    with pytest.raises(ScriptoriumError, match="No space left on device"):
        saved(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == [good.name]


def test_the_best_is_kept_and_meant_by_the_run_directory(tmp_path: Path) -> None:
    folders = [saved(tmp_path, step) for step in range(1, 6)]
    assert store.resolve(tmp_path) == folders[-1]
    store.mark_best(tmp_path, folders[0], {"acc": 1.0})
    store.prune(tmp_path, 2)
    assert store.steps(tmp_path) == [folders[4], folders[3], folders[0]]
    assert store.resolve(tmp_path) == folders[0]
    with pytest.raises(ScriptoriumError, match="no model there"):
        (tmp_path / "empty").mkdir()
        store.resolve(tmp_path / "empty")


def test_a_write_that_fails_halfway_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    good = saved(tmp_path, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    weights = {"w": np.zeros(100_000, np.float32)}
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(
            ScriptoriumError, match=r"step-00000002: checkpoint could not be written \(File too large\)"
        ):
            store.save(tmp_path, Checkpoint(SPEC, weights, state={"step": 2, "best": {}}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == [good.name]
    assert store.load(good).weights["w"].tolist() == [1, 1, 1]


# -- weights of another run ------------------------------------------------------------------------------------------


def test_rows_go_with_their_units() -> None:
    own = {"body": np.zeros(2), "head.weight": np.zeros((2, 4)), "head.bias": np.full(4, -1.0)}
    given = {"body": np.ones(2), "head.weight": np.array([[10, 11, 12], [20, 21, 22]]), "head.bias": np.arange(3.0)}
    # Blank stays; the old second unit comes first now; one is new; the old first one comes last.
    merged, found = transfer(own, given, {"head.weight": 1, "head.bias": 0}, np.array([0, 2, -1, 1]))
    assert merged["head.weight"].tolist() == [[10, 12, 0, 11], [20, 22, 0, 21]]
    assert merged["head.bias"].tolist() == [0, 2, -1, 1]
    assert found.by_unit == {"head.weight": (3, 1), "head.bias": (3, 1)}
    assert found.loaded == ["body"]
    assert found.numbers == (2 + 6 + 3, 14)
    check_share(found, "x", allowed=False)


def test_less_than_half_is_refused_unless_allowed() -> None:
    own = {"a": np.zeros(9), "b": np.zeros(1)}
    _, found = transfer(own, {"a": np.zeros(8), "b": np.zeros(1)}, {}, np.array([0]))
    assert "shape [8] in the checkpoint, [9] here" in found.text()
    with pytest.raises(ScriptoriumError, match=r"only 10% of the network's weights.*allow_partial"):
        check_share(found, "x", allowed=False)
    check_share(found, "x", allowed=True)


# -- the loop --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_at", [1, 5, 9])
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path, stop_at: int) -> None:
    settings = {"epoch_num": 2, "eval_batch_step": [0, 4]}
    outcome, whole = trained(config(tmp_path / "whole", **settings), make_task())
    assert (outcome.step, outcome.stopped) == (12, "")
    parted = config(tmp_path / "parted", **settings)
    outcome, _ = trained(parted, make_task(stop_at=stop_at))
    assert (outcome.step, outcome.stopped) == (stop_at + 1, "SIGTERM")
    newest, _ = store.latest(tmp_path / "parted/run")
    assert newest is not None
    outcome, resumed = trained(parted, make_task(), newest)
    assert outcome.step == 12
    assert whole.keys() == resumed.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)
    one, two = (store.load(store.steps(tmp_path / kind / "run")[0]) for kind in ("whole", "parted"))
    for name in one.ema:
        np.testing.assert_array_equal(one.ema[name], two.ema[name], err_msg=name)
    assert one.state == two.state


def test_a_disk_that_fills_up_while_training_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"epoch_num": 2, "eval_batch_step": [0, 3]}
    _, whole = trained(config(tmp_path / "whole", **settings), make_task())
    parted = config(tmp_path / "parted", **settings)
    own, saves = store.write_arrays, []

    def full(path: Path, values: Any) -> None:
        saves.append(path)
        if len(saves) > 5:  # weights, their average, the optimiser; then again weights and average
            raise OSError(28, "No space left on device")
        own(path, values)

    monkeypatch.setattr(store, "write_arrays", full)
    with pytest.raises(ScriptoriumError, match=r"step-00000006: .*No space left on device.*go on .* with --resume"):
        trained(parted, make_task())
    monkeypatch.undo()
    newest, broken = store.latest(tmp_path / "parted/run")
    assert newest is not None
    assert (newest.name, broken) == ("step-00000003", [])
    _, resumed = trained(parted, make_task(), newest)
    for name in whole:
        np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)


def test_a_full_disk_is_named_when_metrics_are_written(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0)
    with Path("/dev/full").open("w") as full:
        log._file = full
        with pytest.raises(ScriptoriumError, match=r"metrics\.jsonl: cannot be written \(No space left on device\)"):
            log.add("train", 1, {"loss": 1.0})
        with contextlib.suppress(OSError):
            full.close()


@pytest.mark.parametrize(
    ("spec", "weights", "message"),
    [
        ({"architecture": {"Backbone": {"name": "ResNet34_vd"}}}, {}, "another architecture; .* set Global.pretrained"),
        ({"units": ("a", "c")}, {}, "another dictionary; to keep the units that stay set Global.pretrained_model"),
        ({}, {"3.weight": None}, r"the checkpoint lacks 3\.weight"),
        ({}, {"4.weight": np.zeros(2)}, r"the network has no place for 4\.weight"),
        ({}, {"3.weight": np.zeros((9, 1))}, r"the checkpoint has another shape of 3\.weight"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(
    tmp_path: Path, spec: dict[str, Any], weights: dict[str, Any], message: str
) -> None:
    trained(config(tmp_path, epoch_num=1), make_task())
    found = store.load(store.steps(tmp_path / "run")[0])
    found.spec = found.spec.model_copy(update=spec)
    found.weights = {name: value for name, value in (found.weights | weights).items() if value is not None}
    other = store.save(tmp_path / "other", found)
    task = make_task()
    before = {name: value.numpy().copy() for name, value in task.model.state_dict().items()}
    with pytest.raises(ScriptoriumError, match=message):
        trained(config(tmp_path / "new", epoch_num=1), task, other)
    for name, value in task.model.state_dict().items():
        np.testing.assert_array_equal(before[name], value.numpy(), err_msg=name)


def test_nan_stops_with_the_batch_kept(tmp_path: Path) -> None:
    from ocr.engine.trainer import NotFinite

    with pytest.raises(NotFinite, match=r"step 4: the loss is nan; the batch is kept in .*not-finite-00000004"):
        trained(config(tmp_path, epoch_num=1), make_task(bad_at=3))
    assert (tmp_path / "run/not-finite-00000004/batch.npy").is_file()


def test_a_run_leaves_metrics_and_a_plot(tmp_path: Path) -> None:
    trained(config(tmp_path, epoch_num=1, print_batch_step=2, eval_batch_step=[0, 3]), make_task())
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [(line["kind"], line["step"]) for line in lines] == [
        ("train", 2),
        ("eval", 3),
        ("train", 4),
        ("train", 6),
        ("eval", 6),
    ]
    assert (tmp_path / "run/curves.png").stat().st_size > 1000


def test_training_says_how_it_goes_where_no_bar_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ocr.engine import trainer
    from ocr.engine.distributed import Group

    monkeypatch.setattr(trainer, "_SILENCE", 0.0)
    told: list[str] = []
    settings = config(tmp_path, epoch_num=1, print_batch_step=2, eval_batch_step=[0, 100])
    trainer.Trainer(settings, make_task(), Group(), told.append).train()
    steps = [line.split(":")[0] for line in told if "samples/s" in line]
    assert steps == ["step 2 of 6", "step 4 of 6", "step 6 of 6"] and "loss" in told[0]


def test_frozen_parameters_stay(tmp_path: Path) -> None:
    task = make_task()
    before = {name: value.numpy().copy() for name, value in task.model.state_dict().items()}
    _, after = trained(config(tmp_path, epoch_num=1, freeze=["0", "1"]), task)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"3.weight", "3.bias"}
    with pytest.raises(ScriptoriumError, match=r"Global\.freeze: no parameter is named spine"):
        trained(config(tmp_path, freeze=["spine"]), make_task())
