"""The shipped training configurations: each is whole, its network learns, and the commands in its head run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ocr.codec import Codec
from ocr.config import Config
from ocr.engine.transfer import transfer
from synth.shards.reader import ShardReader
from synth.text.charset import Charset

paddle = pytest.importorskip("paddle")

from ocr.losses.rec import recognition_loss  # noqa: E402
from ocr.models.build import build_model  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
NAMES = ["crnn", "extend", "finetune", "rosetta", "svtr_lcnet", "tiny"]


def text_of(name: str) -> str:
    return (ROOT / f"configs/rec/{name}.yml").read_text(encoding="utf-8")


def codec_of(config: Config) -> Codec:
    settings = config.Global
    return Codec(Charset.from_file(ROOT / settings.character_dict_path, space=settings.use_space_char))


def network(config: Config) -> Any:
    paddle.seed(1)
    return build_model(config.Architecture, codec_of(config).classes, config.Preprocess.channels)


def test_all_are_tested() -> None:
    assert sorted(path.stem for path in (ROOT / "configs/rec").iterdir()) == NAMES


def test_dictionaries() -> None:
    english, latin = (Charset.from_file(ROOT / f"configs/dict/{name}.txt", space=False) for name in ("en", "latin1"))
    assert english.units == tuple(map(chr, range(33, 127)))
    added = bytes(range(161, 256)).decode("latin-1").replace("\N{SOFT HYPHEN}", "")
    assert latin.units == (*english.units, *added)


@pytest.mark.parametrize("name", NAMES)
def test_the_network_learns(name: str) -> None:
    config = Config.load(f"configs/rec/{name}.yml")
    preprocess, codec, model = config.Preprocess, codec_of(config), network(config)
    assert preprocess.width_step % model.time_stride == 0
    rng = np.random.default_rng(1)
    width, texts = 3 * preprocess.width_step, ["Ab", "7"]
    images = rng.standard_normal((2, preprocess.channels, preprocess.height, width)).astype(np.float32)
    steps = np.array([width // model.time_stride, preprocess.width_step * 2 // model.time_stride])
    assert model(paddle.to_tensor(images)).shape == [2, steps[0], codec.classes]
    labels, lengths = np.zeros((2, 2), np.int32), np.array([2, 1])
    for row, text in zip(labels, texts, strict=True):
        row[: len(text)] = codec.encode(text)
    loss = recognition_loss(model, paddle.to_tensor(images), labels, lengths, steps, config.Loss.guide_weight)
    loss.backward()
    assert np.isfinite(float(loss))
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters() if not p.stop_gradient)


@pytest.mark.parametrize("name", ["finetune", "extend"])
def test_a_second_stage_takes_over_the_first_network(name: str) -> None:
    first, second = Config.load("configs/rec/crnn.yml"), Config.load(f"configs/rec/{name}.yml")
    assert second.Global.pretrained_model == first.Global.save_model_dir
    assert second.Preprocess == first.Preprocess
    model = network(second)
    own, given = ({key: value.numpy() for key, value in net.state_dict().items()} for net in (model, network(first)))
    rows = codec_of(second).row_map(codec_of(first).charset.units)
    _, found = transfer(own, given, model.class_axes(), rows)
    assert not found.missing
    assert not found.unused
    new = codec_of(second).classes - codec_of(first).classes
    assert set(found.by_unit.values()) == {(codec_of(first).classes, new)}
    assert (new > 0) == (name == "extend")


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_in_the_head_make_the_data(
    name: str, tmp_path: Path, synth: Callable[..., Any], dejavu: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config.load(f"configs/rec/{name}.yml")
    commands = [shlex.split(line) for line in re.findall(r"^#   (.*)$", text_of(name), re.MULTILINE)]
    assert commands[-1] == ["ocr", "train", "-c", f"configs/rec/{name}.yml"]
    monkeypatch.chdir(ROOT)
    mine = tmp_path / "my_texts.txt"
    mine.write_text("Größe\ndéjà vu\n£5 “quoted”\n", encoding="utf-8")
    made = set()
    for command in commands[:-1]:
        values = dict(zip(command[2::2], command[3::2], strict=True))
        made.add(Path(values["--output"]))
        values |= {"--output": str(tmp_path / values["--output"]), "--count": "4", "--workers": "1"}
        values["--corpus"] = values["--corpus"].replace(mine.name, str(mine))
        done = synth("generate", *[part for pair in values.items() for part in pair], "--fonts", *dejavu)
        assert done.code == 0, done.err
        reader = ShardReader(values["--output"])
        for index in range(4):
            codec_of(config).encode(reader[index][1])
    first = {"finetune": {"data/train"}, "extend": {"data/train", "data/val"}}.get(name, set())
    users = {"data/real", "data/real_val"} if name == "finetune" else set()
    used = {source.path for source in (*config.Train.sources, *config.Eval.sources)}
    assert used == made | set(map(Path, first | users))
