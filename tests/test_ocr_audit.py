"""`ocr audit` finds what is wrong with data, each fault by itself; `ocr show-batch` shows what training takes."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ocr import runtime

runtime.start(1)

from ocr.config import Config  # noqa: E402
from ocr.data.audit import Audit, Examined, audit, covering  # noqa: E402
from ocr.data.index import BROKEN, EMPTY, NO_PATH, TOO_LONG, TOO_WIDE, UNKNOWN, Index  # noqa: E402
from ocr.data.sources import FileSource  # noqa: E402

Ocr = Callable[..., Any]
Row = tuple[str, int]  # label, width of a picture 32 pixels high

GOOD: list[Row] = [("abc", 64), ("cab", 80), ("bca", 96), ("a b", 64)]
# Every unit of the dictionary in enough pictures.
PLENTY: list[Row] = [("ab c", 64), ("c ab", 80), ("b ca", 96)] * 100


def picture(width: int, number: int) -> np.ndarray[Any, Any]:
    """Noise that is the same for the same arguments and different for others."""
    return np.random.default_rng((width, number)).integers(0, 256, (32, width), dtype=np.uint8)


def write(folder: Path, rows: Sequence[Row], start: int = 0) -> Path:
    """A label file and its pictures, numbered from `start`."""
    folder.mkdir(parents=True)
    lines = []
    for number, (label, width) in enumerate(rows, start):
        cv2.imwrite(str(folder / f"{number}.png"), picture(width, number))
        lines.append(f"{number}.png\t{label}\n")
    (folder / "labels.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


def values(folder: Path, train: Sequence[dict[str, Any]], evaluation: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """A configuration over the dictionary a, b, c and the space."""
    (folder / "dict.txt").write_text("a\nb\nc\n")
    return {
        "Global": {
            "character_dict_path": str(folder / "dict.txt"),
            "save_model_dir": str(folder / "run"),
            "max_text_length": 6,
            "threads": 1,
        },
        "Architecture": {
            "algorithm": "Rosetta",
            "Backbone": {"name": "ConvNet", "width": 0.25},
            "Neck": {"name": "SequenceEncoder", "encoder_type": "reshape"},
        },
        "Train": {"sources": list(train), "loader": {"batch_size_per_card": 2, "num_workers": 0}},
        "Eval": {"sources": list(evaluation)},
    }


def audited(folder: Path, rows: Sequence[Row], evaluation: Sequence[Row] = (), **settings: Any) -> Audit:
    """What is found in a training source `real` and, if there is one, an evaluation source `val`."""
    train = {"name": "real", "path": str(write(folder / "train", rows))}
    evals = [{"name": "val", "path": str(write(folder / "val", evaluation, 10_000))}] if evaluation else []
    found = values(folder, [train], evals)
    found["Global"] |= settings
    return audit(Config.from_values(found))


def train_part(found: Audit) -> Examined:
    (part,) = (examined for examined in found.examined if examined.part == "Train")
    return part


# -- each finding -----------------------------------------------------------------------------------------------------


def test_sound_data(tmp_path: Path) -> None:
    found = audited(tmp_path, PLENTY, [("abc", 65)])
    assert not found.fatal and not found.errors and not found.warnings
    part = train_part(found)
    assert (part.count, part.usable, part.drops, part.missing) == (300, 300, Counter(), Counter())
    assert part.widths == {64: 100, 80: 100, 96: 100} and part.lengths == {4: 300}
    assert part.units == found.coverage() == {"a": 300, "b": 300, "c": 300, " ": 300}
    (share,) = found.shares
    assert (found.batches, share.name, share.batch, share.epoch, share.passes) == (150, "real", 2, 300, 1.0)
    text = found.text()
    assert "train    real: 300 of 300 samples can be trained on\n" in text
    assert "widths   80 % up to 96, 95 % up to 96, all up to 96 px (at height 32; max_wh_ratio takes 320)\n" in text


@pytest.mark.parametrize(
    ("row", "reason", "said"),
    [
        (("", 64), EMPTY, "1 empty label, such as "),
        (("aéb ü é", 64), UNKNOWN, "1 not in the dictionary: é (1), ü (1)\n"),
        (("abcabca", 200), TOO_LONG, "1 longer than max_text_length, such as "),
        (("abc", 321), TOO_WIDE, "1 wider than max_wh_ratio, such as "),
        (("aaaaa", 30), NO_PATH, "1 more units than time steps, such as "),
    ],
)
def test_what_training_leaves_out(tmp_path: Path, row: Row, reason: str, said: str) -> None:
    found = audited(tmp_path, [*GOOD, row, ("bb", 64)])
    part = train_part(found)
    assert part.drops == {reason: 1} and part.usable == 5 and not found.fatal
    (example,) = part.examples[reason]
    assert (example.index, example.text) == (4, row[0]) and example.key.endswith("4.png (labels.tsv line 5)")
    assert said in found.text() and "training leaves out 16.7 %" in found.text()


def test_broken_and_missing_pictures(tmp_path: Path) -> None:
    folder = write(tmp_path / "train", GOOD * 10)
    (folder / "3.png").unlink()
    (folder / "5.png").write_bytes(b"no picture")
    whole = (folder / "7.png").read_bytes()
    (folder / "7.png").write_bytes(whole[: len(whole) // 2])  # its head is sound: only decoding shows it
    found = audit(Config.from_values(values(tmp_path, [{"name": "real", "path": str(folder)}])))
    part = train_part(found)
    assert part.drops == {BROKEN: 3} and part.usable == 37 and not found.fatal
    assert [example.index for example in part.examples[BROKEN]] == [3, 5, 7]
    assert "No such file" in part.examples[BROKEN][0].why
    assert "3 broken record: " in found.text()


def test_too_many_broken_pictures_are_fatal(tmp_path: Path) -> None:
    folder = write(tmp_path / "train", GOOD * 10)
    for number in range(21):
        (folder / f"{number}.png").write_bytes(b"")
    found = audit(Config.from_values(values(tmp_path, [{"name": "real", "path": str(folder)}])))
    assert found.fatal and "21 of 40 records are broken" in found.errors[0]


def test_labels_are_described(tmp_path: Path) -> None:
    found = audited(tmp_path, [*GOOD, (" ab", 64), ("ab ", 64), ("a\u0301", 64)])
    part = train_part(found)
    assert (part.labels, part.composed, part.edged) == (7, 6, 2)
    assert [example.text for example in part.edges] == [" ab", "ab "]
    assert "labels   all but 1 in NFC; 2 begin or end with a space: " in found.text()
    assert any("2 labels with a space at an end" in warning for warning in found.warnings)


def test_what_the_network_cannot_read_of_an_evaluation_source(tmp_path: Path) -> None:
    # Long and wide ones are evaluated all the same.
    found = audited(tmp_path, PLENTY, [("abc", 64), ("abé", 64), ("aaaaa", 30), ("abcabca", 400)])
    assert not found.fatal
    assert found.examined[1].drops == {UNKNOWN: 1, NO_PATH: 1} and found.examined[1].missing == {"é": 1}
    assert "eval     val: 2 of 4 samples that the network can read\n" in found.text()
    (warning,) = found.warnings
    assert warning.startswith("source val: 2 samples count as read wrongly")


def test_pictures_in_training_and_in_evaluation(tmp_path: Path) -> None:
    folder = write(tmp_path / "train", PLENTY)
    other = write(tmp_path / "val", [("abc", 64)] * 5, 10_000)
    shutil.copy(folder / "17.png", other / "10002.png")
    shutil.copy(folder / "17.png", folder / "30.png")
    shutil.copy(folder / "5.png", other / "10004.png")
    found = audit(
        Config.from_values(
            values(tmp_path, [{"name": "real", "path": str(folder)}], [{"name": "val", "path": str(other)}])
        )
    )
    train = {number: (folder / f"{number}.png").read_bytes() for number in range(300)}
    evaluation = {number: (other / f"{number}.png").read_bytes() for number in range(10_000, 10_005)}
    expected = [
        (
            f"{folder / f'{one}.png'} (labels.tsv line {one + 1})",
            f"{other / f'{two}.png'} (labels.tsv line {two - 9999})",
        )
        for one, data in train.items()
        for two, same in evaluation.items()
        if data == same
    ]
    assert len(expected) == 3
    (same,) = found.repeated
    assert (same.train, same.evaluation, same.count, same.pairs) == ("real", "val", 3, expected)
    assert found.warnings[0].startswith("3 pictures of real are in val, too")


def test_rare_and_absent_units(tmp_path: Path) -> None:
    rows: list[Row] = [("b", 64)] * 250 + [("bb", 64)] * 100 + [("ab", 64)] * 199
    found = audited(tmp_path, rows)
    # b stands twice in some labels, which are one picture each all the same.
    assert found.coverage() == {"c": 0, "a": 199, "b": 549}
    assert list(found.coverage()) == ["c", "a", "b"]
    assert found.warnings == [
        "1 unit of the dictionary in no training picture: c",
        "1 unit in fewer than 200 training pictures, too few for a usable model: a (199)",
    ]
    found = audited(tmp_path / "more", [*rows, ("a", 64)], max_text_length=6)
    assert found.warnings[1] == "1 unit in fewer than 300 training pictures, which fine-tuning wants: a (200)"


# -- what makes training fail -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("Global.character_dict_path", "nowhere.txt", "nowhere.txt: cannot be read"),
        ("Architecture.algorithm", "Rosette", "Architecture.algorithm: no algorithm 'Rosette'"),
        ("Train.augment.noize", {"p": 0.5}, "Train.augment.noize"),
        ("Train.sources.0.path", "nowhere", "source real: nowhere is not there"),
        ("Global.max_text_length", 2, "source real: none of its samples can be trained on (mostly: longer than"),
    ],
)
def test_what_makes_training_fail(tmp_path: Path, key: str, value: object, said: str) -> None:
    config = values(tmp_path, [{"name": "real", "path": str(write(tmp_path / "train", GOOD))}])
    config["Train"]["augment"] = {}
    *sections, last = key.split(".")
    at: Any = config
    for section in sections:
        at = at[int(section)] if isinstance(at, list) else at[section]
    at[last] = value
    found = audit(Config.from_values(config))
    (error,) = found.errors
    assert found.fatal and said in error
    assert f"error    {error}\n" in found.text()
    assert said.split("'")[0] in found.write(tmp_path / "page.html").read_text(encoding="utf-8")


def test_an_empty_source_and_a_sound_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "labels.tsv").write_text("")
    sources = [
        {"name": "none", "path": str(tmp_path / "empty")},
        {"name": "real", "path": str(write(tmp_path / "train", GOOD))},
    ]
    config = values(tmp_path, sources)
    config["Train"]["sampler"] = {"mix": {"none": 1, "real": 1}}
    found = audit(Config.from_values(config))
    assert len(found.errors) == 1 and "source none: " in found.errors[0]
    # The other one is looked at all the same.
    assert train_part(found).usable == 4 and not found.shares


def test_what_batches_hold_by_ratios(tmp_path: Path) -> None:
    sources = [
        {"name": "one", "path": str(write(tmp_path / "one", GOOD * 2))},
        {"name": "two", "path": str(write(tmp_path / "two", GOOD * 3, 100))},
    ]
    config = values(tmp_path, sources)
    config["Train"]["sampler"] = {"name": "Ratio", "ratio_list": [2, 0.25]}
    found = audit(Config.from_values(config))
    assert [(share.name, share.batch, share.epoch, share.passes) for share in found.shares] == [
        ("one", None, 16, 2.0),
        ("two", None, 3, 0.25),
    ]
    assert found.batches == 9  # of two, from 19 samples
    text = found.text()
    assert "batch    2 pictures\nepoch    9 batches\n" in text and "3 of two, each usable one 0.25 times\n" in text
    config["Train"]["loader"]["batch_size_per_card"] = 20
    assert "an epoch has 19 samples, less than a batch of 20" in audit(Config.from_values(config)).errors[0]


# -- what agrees with what --------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.floats(0.01, 1))
def test_covering_is_a_quantile(numbers: list[int], share: float) -> None:
    found = covering(Counter(numbers), share)
    assert sum(number <= found for number in numbers) >= share * len(numbers)
    assert sum(number < found for number in numbers) < share * len(numbers)


def test_training_leaves_out_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    letters = list("aaaaabcbé")
    rows = [("".join(rng.choice(letters, rng.integers(0, 9))), int(rng.integers(8, 400))) for _ in range(300)]
    rows += [("aaaaa", int(width)) for width in range(8, 60, 4)]
    found = train_part(audited(tmp_path, rows))
    config = Config.from_values(values(tmp_path, [{"name": "real", "path": str(tmp_path / "train")}]))
    from ocr.engine.distributed import Group
    from ocr.tasks.rec import Recognition, training_limits

    task = Recognition(config, Group(), lambda line: None, data=False)
    assert isinstance(found.source, FileSource)
    usable, drops = Index.of(found.source, task.codec).usable(
        training_limits(config, task.codec, task.spec.time_stride)
    )
    assert (found.usable, found.drops) == (len(usable), drops)
    assert set(drops) == {EMPTY, UNKNOWN, TOO_LONG, TOO_WIDE, NO_PATH}


@pytest.mark.usefixtures("own_cache")
def test_a_recipe_is_tried(tmp_path: Path, dejavu: list[Path]) -> None:
    (tmp_path / "words.txt").write_text("abc\ncab\nabcabca\n")
    live = {
        "name": "live",
        "recipe": "clean",
        "corpus": [str(tmp_path / "words.txt")],
        "fonts": [str(dejavu[0])],
    }
    real = {"name": "real", "path": str(write(tmp_path / "train", [("a b", 64)] * 20))}
    config = values(tmp_path, [real, live])
    config["Train"]["sampler"] = {"mix": {"real": 1, "live": 1}}
    found = audit(Config.from_values(config))
    assert not found.errors
    part = found.examined[1]
    assert part.live and part.count == 500 and part.drops[TOO_LONG] == 500 - part.usable > 50
    # What the recipe draws has no end; of the rest the files' count stands.
    assert found.coverage() == {" ": 20, "a": None, "b": None, "c": None}
    assert [(share.name, share.batch, share.passes) for share in found.shares] == [("real", 1, 1.0), ("live", 1, None)]
    assert "others are drawn in the place of the rest" in found.text()


# -- pages and the command line ---------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A configuration file over sound data, a label in Arabic and one that HTML must escape."""
    rows = [*GOOD, ("مرحبا", 64), ("<b>&", 64)]
    config = values(tmp_path, [{"name": "real", "path": str(write(tmp_path / "train", rows))}])
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return tmp_path / "config.yml"


def test_the_command(ocr: Ocr, files: Path) -> None:
    done = ocr("audit", "-c", files)
    assert done.code == 0 and not done.err
    page = files.parent / "run" / "audit.html"
    assert done.out.splitlines()[-1] == f"page     {page}"
    html = page.read_text(encoding="utf-8")
    assert "مرحبا" in html and 'dir="rtl"' in html
    assert "&lt;b&gt;&amp;" in html and "<b>&" not in html
    assert html.count("<figure") == 2 and html.count("data:image/jpeg") == 2 and 'src="http' not in html
    done = ocr(
        "audit",
        "-c",
        files,
        "--output",
        files.parent / "there" / "a.html",
        "-o",
        "Global.max_text_length=2",
        "Global.name=x",
    )
    assert done.code == 1 and "error    source real: none of its samples" in done.out
    assert "Audit of x" in (files.parent / "there" / "a.html").read_text(encoding="utf-8")


def test_show_batch(ocr: Ocr, tmp_path: Path) -> None:
    # One picture in each source, so that each batch has all of them, of different widths.
    sources = [
        {"name": f"s{number}", "path": str(write(tmp_path / f"s{number}", [row], number))}
        for number, row in enumerate(GOOD)
    ]
    config = values(tmp_path, sources)
    config["Train"] |= {"sampler": {"mix": {source["name"]: 1 for source in sources}}, "augment": None}
    config["Train"]["loader"]["batch_size_per_card"] = 4
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    out = tmp_path / "batch.png"
    done = ocr("show-batch", "-c", tmp_path / "config.yml", "--output", out)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert "batch    0: 4 pictures of 96 × 32 pixels, 24 time steps" in lines and lines[-1] == f"picture  {out}"
    rows = [line.split(maxsplit=8) for line in lines[lines.index(f"picture  {out}") - 4 : -1]]
    image = cv2.imread(str(out))
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    for number, ((label, width), row) in enumerate(zip(GOOD, rows, strict=True)):
        assert row[:4] == [f"{number + 1}", f"s{number}", "3", f"{width // 4}"]
        assert row[4].endswith(f"{number}.png") and row[-1] == label
        # The picture is there, doubled; after it, what is beyond its own time steps is hatched.
        large = picture(width, number).repeat(2, 0).repeat(2, 1)
        match = cv2.matchTemplate(grey, large, cv2.TM_SQDIFF)
        left, top = cv2.minMaxLoc(match)[2]
        assert (grey[top : top + 64, left : left + 2 * width] == large).all()
        beyond = image[top : top + 64, left + 2 * width : left + 192].reshape(-1, 3)
        assert set(map(tuple, beyond.tolist())) == ({(214, 226, 242), (150, 176, 222)} if width < 96 else set())
        # Below it a ruler: a step is 4 pixels wide, 8 when doubled.
        ruler = image[top + 64, left : left + 2 * width]
        changes = np.flatnonzero((ruler[1:] != ruler[:-1]).any(axis=1)) + 1
        assert changes.tolist() == list(range(8, 2 * width, 8))


def test_show_batch_augments_and_counts_steps(ocr: Ocr, files: Path) -> None:
    out = files.parent / "batch.png"
    shown = {}
    for step in (0, 1, 1):
        done = ocr("show-batch", "-c", files, "--output", out, "--step", step, "-o", "Train.augment.p=1")
        assert done.code == 0 and f"batch    {step}: 2 pictures" in done.out
        assert shown.setdefault(step, out.read_bytes()) == out.read_bytes()
    assert shown[0] != shown[1]
    assert "name a file that ends in .png" in ocr("show-batch", "-c", files, "--output", "b.jpg").error
