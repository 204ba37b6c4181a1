"""Training from a configuration to a network that reads, stopped, resumed, and begun from another."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from augment.errors import ScriptoriumError
from ocr import runtime

runtime.start(1)
pytest.importorskip("paddle")

from ocr.config import Config  # noqa: E402
from ocr.engine import checkpoint as store  # noqa: E402
from ocr.engine.distributed import Group  # noqa: E402
from ocr.engine.trainer import arrays  # noqa: E402
from ocr.tasks.rec import Recognition  # noqa: E402
from ocr.training import train  # noqa: E402
from synth.engine import generate  # noqa: E402
from synth.pipeline import Pipeline  # noqa: E402
from synth.recipe import Recipe  # noqa: E402

Ocr = Callable[..., Any]

LETTERS = "aeios"
WORDS = ["".join(letters) for n in (2, 3) for letters in itertools.product(LETTERS, repeat=n)][::3]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, own_cache: Path, dejavu: list[Path]) -> Path:
    """A folder with 300 clean pictures of short words, their dictionary and the word list."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "words.txt").write_text("\n".join(WORDS))
    (folder / "letters.txt").write_text("\n".join(LETTERS))
    fonts = {"paths": [str(dejavu[0])]}
    recipe = Recipe.load("clean", corpus=folder / "words.txt", charset=folder / "letters.txt", fonts=fonts)
    pipeline = Pipeline(recipe)
    generate(lambda: pipeline, folder / "data", 300, manifest_head=pipeline.head(), progress=False)
    return folder


def values(place: Path, run: Path, steps: int = 120, **train_data: Any) -> dict[str, Any]:
    """A configuration that learns the pictures of `place`."""
    return {
        "Global": {
            "save_model_dir": str(run),
            "character_dict_path": str(place / "letters.txt"),
            "use_space_char": False,
            "max_steps": steps,
            "threads": 1,
            "print_batch_step": 10,
            "save_epoch_step": 0,
        },
        "Architecture": {
            "algorithm": "Rosetta",
            "Backbone": {"name": "ConvNet", "width": 0.25},
            "Neck": {"name": "SequenceEncoder", "encoder_type": "reshape"},
        },
        "Optimizer": {"lr": {"learning_rate": 0.01, "warmup_epoch": 0.5}},
        "Train": {
            "sources": [{"name": "words", "path": str(place / "data")}],
            "augment": None,
            "loader": {"batch_size_per_card": 32, "num_workers": 0},
        }
        | train_data,
        "Eval": {"sources": [{"name": "words", "path": str(place / "data"), "limit": 100}]},
    }


def configured(*args: Any, **kwargs: Any) -> Config:
    return Config.from_values(values(*args, **kwargs))


def written(folder: Path, settings: dict[str, Any]) -> Path:
    file = folder / "config.yml"
    file.write_text(yaml.safe_dump(settings))
    return file


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    """The run directory of a network that has learnt the words."""
    run = place / "run"
    lines: list[str] = []
    outcome = train(configured(place, run), False, lines.append)
    assert outcome.step == 120 and not outcome.stopped
    assert "source   words: 300 of 300 samples" in lines
    assert any(line.startswith("done at step 120 of 120: ") for line in lines)
    return run


def figures(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == kind]


def test_the_loss_falls_and_the_words_are_read(trained: Path) -> None:
    losses = [line["loss"] for line in figures(trained, "train")]
    assert len(losses) == 12
    assert losses[-1] < losses[0] / 50
    (found,) = figures(trained, "eval")
    assert found["acc"] >= 0.9
    assert found["cer"] <= 0.05
    assert (trained / "curves.png").is_file()


def test_evaluation_by_the_command_with_its_page(place: Path, trained: Path, tmp_path: Path, ocr: Ocr) -> None:
    sources = [
        {"name": "right", "path": str(place / "data"), "limit": 50},
        {"name": "wrong", "path": str(tmp_path / "labels.tsv")},
    ]
    picture = np.full((32, 100), 255, np.uint8)
    assert cv2.imwrite(str(tmp_path / "white.png"), picture)
    (tmp_path / "labels.tsv").write_text("white.png\taeiouxyz\nnothing.png\tae\n")
    settings = values(place, trained) | {"Eval": {"sources": sources}}
    page = tmp_path / "page.html"
    done = ocr("eval", "-c", written(tmp_path, settings), "--report", page)
    assert done.code == 0, done
    rows = {line.split()[0]: line.split()[1:] for line in done.out.splitlines() if line.startswith(("right", "wrong"))}
    assert rows["right"][0] == "50" and float(rows["right"][1].rstrip("%")) >= 97
    # What cannot be read or is not in the dictionary counts: nothing is left out.
    assert rows["wrong"] == ["2", "0.00%", "100.00%", "100.00%"]
    text = page.read_text(encoding="utf-8")
    assert "aeiouxyz" in text and "No such file" in text and "data:image/jpeg" in text
    assert f"page     {page}" in done.out


def test_the_command_trains_with_recipes_heights_and_processes(
    place: Path, tmp_path: Path, dejavu: list[Path], ocr: Ocr
) -> None:
    live = {"name": "live", "recipe": "clean", "corpus": [str(place / "words.txt")], "fonts": [str(dejavu[0])]}
    settings = values(
        place,
        tmp_path / "run",
        6,
        sources=[{"name": "words", "path": str(place / "data")}, live],
        sampler={"mix": {"words": 5, "live": 3}, "heights": [24, 32, 48]},
        augment={"join": {"p": 0.5, "space": False}},
        loader={"batch_size_per_card": 16, "num_workers": 2},
    )
    settings["Eval"] = {}
    done = ocr("train", "-c", written(tmp_path, settings), "-o", "Global.max_steps=4")
    assert done.code == 0, done
    assert "source   live: drawn while training" in done.out
    assert "done at step 4 of 4" in done.out
    assert store.steps(tmp_path / "run")
    again = ocr("train", "-c", tmp_path / "config.yml")
    assert "holds checkpoints of an earlier run; go on with --resume" in again.error
    more = ocr("train", "-c", tmp_path / "config.yml", "--resume")
    assert more.code == 0 and "going on from" in more.out and "done at step 6 of 6" in more.out


# -- stopped and resumed ---------------------------------------------------------------------------------------------


def mixed(place: Path, run: Path, fonts: list[Path], workers: int) -> dict[str, Any]:
    """Files and a recipe in one batch, augmented and joined, two batches a step, several heights, moving average."""
    live = {"name": "live", "recipe": "scene", "corpus": [str(place / "words.txt")], "fonts": [str(fonts[0])]}
    settings = values(
        place,
        run,
        7,
        sources=[{"name": "words", "path": str(place / "data")}, live],
        sampler={"mix": {"words": 3, "live": 1}, "heights": [32, 48]},
        augment={"p": 0.5, "join": {"p": 0.3, "space": False}},
        loader={"batch_size_per_card": 8, "num_workers": workers},
    )
    settings["Optimizer"] |= {"accumulate": 2, "ema_decay": 0.9}
    settings["Eval"] = {}
    return settings


def final(run: Path) -> dict[str, dict[str, Any]]:
    newest, broken = store.latest(run)
    assert newest is not None and not broken
    found = store.load(newest)
    assert found.state["step"] == 7
    return {"weights": found.weights, "ema": found.ema, "optimiser": found.optimiser}


def test_a_stopped_run_goes_on_to_the_same_weights(
    place: Path, tmp_path: Path, dejavu: list[Path], ocr: Ocr, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ocr("train", "-c", written(tmp_path, mixed(place, tmp_path / "whole", dejavu, 0)))
    assert whole.code == 0, whole

    file = written(tmp_path, mixed(place, tmp_path / "parts", dejavu, 1))
    calls = 0
    loss = Recognition.loss

    def signalled(self: Recognition, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 6:  # the second batch of the third step
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Recognition, "loss", signalled)
        stopped = ocr("train", "-c", file)
    assert stopped.code == 143, stopped
    assert "stopped (SIGTERM) at step 3 of 7" in stopped.out
    resumed = ocr("train", "-c", file, "--resume")
    assert resumed.code == 0, resumed

    expected, found = final(tmp_path / "whole"), final(tmp_path / "parts")
    for kind, own in expected.items():
        assert own and own.keys() == found[kind].keys()
        for name, value in own.items():
            np.testing.assert_array_equal(found[kind][name], value, err_msg=f"{kind} {name}")


# -- begun from another ----------------------------------------------------------------------------------------------


def test_another_dictionary_keeps_the_rows_of_its_units(place: Path, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("\n".join("xsoiea"))
    settings = values(place, tmp_path / "run")
    settings["Global"] |= {"character_dict_path": str(tmp_path / "more.txt")}
    task = Recognition(Config.from_values(settings), Group(), lambda line: None, data=False)
    before = arrays(task.model.state_dict())
    said = task.begin_from(trained).text()
    after = arrays(task.model.state_dict())
    newest, _ = store.latest(trained)
    assert newest is not None
    old = store.load(newest).weights
    # Blank, x (new), s, o, i, e, a; before it was blank, a, e, i, o, s.
    rows = [0, None, 5, 4, 3, 2, 1]
    axes = task.model.class_axes()
    assert axes and "loaded" in said
    for name, value in after.items():
        axis = axes.get(name)
        if axis is None:
            np.testing.assert_array_equal(value, old[name], err_msg=name)
            continue
        for new, row in enumerate(rows):
            wanted = before[name].take(new, axis) if row is None else old[name].take(row, axis)
            np.testing.assert_array_equal(value.take(new, axis), wanted, err_msg=name)


def test_a_run_begins_from_a_pretrained_model(place: Path, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "turned.txt").write_text("\n".join(reversed(LETTERS)))
    settings = values(place, tmp_path / "run", 1)
    settings["Global"] |= {"character_dict_path": str(tmp_path / "turned.txt"), "pretrained_model": str(trained)}
    settings["Optimizer"] = {"lr": {"name": "Const", "learning_rate": 1e-6}}
    lines: list[str] = []
    outcome = train(Config.from_values(settings), False, lines.append)
    assert outcome.best["acc"] >= 0.97
    assert any("loaded" in line for line in lines)
    with pytest.raises(ScriptoriumError, match="exclude each other"):
        settings["Global"] |= {"checkpoints": str(trained), "save_model_dir": str(tmp_path / "other")}
        train(Config.from_values(settings), False, lines.append)


# -- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("Global.epoch_nun=3", r"Global\.epoch_nun: unknown key; did you mean epoch_num"),
        ("Global.epoch_num=many", r"Global\.epoch_num: .*whole number"),
        ("Global.character_dict_path=none.txt", r"none\.txt: cannot be read \(No such file"),
        ("Train.sources.0.path=nowhere", "source words: nowhere is not there; name a data set"),
        ("Train.sources.0.recipe=clean", r"Train\.sources\.0: give either path \(files\) or recipe"),
        ("Train.augment.blurr.p=1", r"Train\.augment\.blurr: no such operation; did you mean 'blur'"),
        ("Train.sampler.ratio_list=[0.5]", r"sampler\.ratio_list belongs to the sampler Ratio"),
        ("Preprocess.width_step=12", r"Preprocess\.width_step: .*multiple of 8"),
        ("Optimizer.accumulate=99", r"Optimizer\.accumulate: 99 batches a step, but an epoch has only 9"),
        ("Global.pretrained_model=nowhere", "nowhere"),
        ("Global.use_amp=true", r"Global\.use_amp: needs a GPU"),
    ],
)
def test_a_mistake_is_one_line(place: Path, tmp_path: Path, ocr: Ocr, override: str, message: str) -> None:
    settings = values(place, tmp_path / "run")
    settings["Train"]["augment"] = {}
    done = ocr("train", "-c", written(tmp_path, settings), "-o", override)
    assert done.code == 2, done
    assert done.err.count("\n") == 1 and done.err.startswith("ocr: ")
    assert re.search(message, done.err), done.err
    assert not store.steps(tmp_path / "run")


def test_characters_that_the_dictionary_lacks_are_named_and_counted(place: Path, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("a\ne\ni\no\n")
    settings = values(place, tmp_path / "run")
    settings["Global"] |= {"character_dict_path": str(tmp_path / "few.txt")}
    lines: list[str] = []
    task = Recognition(Config.from_values(settings), Group(), lines.append)
    labels = [task.sources[0].sample(number).text for number in range(300)]
    count = sum("s" in label for label in labels)
    assert count
    assert lines[0] == f"source   words: {300 - count} of 300 samples"
    assert lines[1].split() == f"{count} dropped: not in the dictionary: s ({count})".split()
    assert dict(task.drops["words"]) == {"not in the dictionary": count}

    (tmp_path / "few.txt").write_text("x\ny\n")
    with pytest.raises(
        ScriptoriumError, match=r"source words: none of its 300 samples can be trained on.*not in the dic"
    ):
        Recognition(Config.from_values(settings), Group(), lines.append)


def test_what_a_recipe_draws_in_vain_is_counted(place: Path, tmp_path: Path, dejavu: list[Path]) -> None:
    live = {"name": "live", "recipe": "clean", "corpus": [str(place / "words.txt")], "fonts": [str(dejavu[0])]}
    settings = values(place, tmp_path / "run", sources=[live], sampler={"epoch_size": 320})
    settings["Global"] |= {"max_text_length": 2}
    lines: list[str] = []
    task = Recognition(Config.from_values(settings), Group(), lines.append)
    samples = task.sources[0].samples(range(128))  # type: ignore[union-attr]
    count = sum(len(sample.text) > 2 for sample in samples)
    assert 0 < count < 128
    assert f"{count} of the first 128 dropped, others drawn instead: longer than max_text_length" in lines[1]
    with task.batches(0) as batches:
        assert {len(text) for text in next(iter(batches)).texts} == {2}
    settings["Global"] |= {"max_text_length": 1}
    with pytest.raises(ScriptoriumError, match="source live: none of the first 128 samples can be trained on"):
        Recognition(Config.from_values(settings), Group(), lines.append)


def test_a_run_without_a_whole_checkpoint_does_not_begin_anew_unasked(trained: Path, tmp_path: Path, ocr: Ocr) -> None:
    run = tmp_path / "run"
    newest, _ = store.latest(trained)
    assert newest is not None
    shutil.copytree(newest, run / newest.name)
    weights = run / newest.name / "model.npz"
    weights.write_bytes(weights.read_bytes()[:100])
    done = ocr("train", "-c", newest / "config.yml", "-o", f"Global.save_model_dir={run}", "--resume")
    assert done.code == 2 and "holds no checkpoint that is whole" in done.err
    assert f"passed over: {weights}" in done.out


def test_a_run_folder_that_cannot_be_made_is_noticed_first(trained: Path, tmp_path: Path, ocr: Ocr) -> None:
    newest, _ = store.latest(trained)
    assert newest is not None
    (tmp_path / "file").write_text("")
    done = ocr("train", "-c", newest / "config.yml", "-o", f"Global.save_model_dir={tmp_path / 'file' / 'run'}")
    assert "cannot be made (Not a directory); set another Global.save_model_dir" in done.error


def test_too_many_broken_records_end_a_run_before_it_begins(place: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.tsv").write_text("".join(f"{n}.png\ta\n" for n in range(100)))
    for number in range(70):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((32, 40), number, np.uint8))
    settings = values(place, tmp_path / "run", sources=[{"name": "own", "path": str(tmp_path)}])
    lines: list[str] = []
    with pytest.raises(ScriptoriumError, match=r"source own: 30 of 100 records are broken, the first is .*70\.png"):
        Recognition(Config.from_values(settings), Group(), lines.append)
    assert any("30 dropped: broken record: " in line and "70.png" in line for line in lines)
