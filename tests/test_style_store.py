"""Crops as users have them, the store that they go into, and what the command says of both."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from conftest import Done
from style_crops import coverage, crop

from augment.errors import ScriptoriumError
from synth.style.crops import MISFIT, extract_all, find_crops
from synth.style.extract import ONE_COLOUR, SMALL, TWO_LINES, UNREADABLE
from synth.style.report import repainted, write_report
from synth.style.store import VERSION, Store, StoreWriter
from synth.style.style import Outline, Shadow, Style

Run = Callable[..., Done]
TEXTS = ("Hamburg", "Norden", "Winter 7")


@pytest.fixture(scope="module")
def pictures(own_cache: Path, dejavu: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three words, two of them with labels.tsv's texts, in a folder of their own."""
    folder = tmp_path_factory.mktemp("crops")
    (folder / "images").mkdir()
    for number, text in enumerate(TEXTS):
        image = crop(coverage(dejavu[number % 2], text), colour=(30, 30, 30 + 60 * number), seed=number).image
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
    (folder / "labels.tsv").write_text("".join(f"images/{n}.png\t{text}\n" for n, text in enumerate(TEXTS)))
    return folder


@pytest.fixture(scope="module")
def store(pictures: Path, dejavu: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("stores") / "words.styles"
    extract_all(find_crops(pictures), output, source="crops", fonts=dejavu)
    return output


def _style(number: int = 0) -> Style:
    rng = np.random.default_rng(number)
    return Style(
        name=f"crop {number} \udcff",
        image=rng.integers(0, 256, (20, 50, 3), np.uint8),
        mask=rng.integers(0, 256, (20, 50), np.uint8),
        background=rng.integers(0, 256, (20, 50, 3), np.uint8),
        ink=(1.5, 2.25, 250.0),
        gradient=((1.0, -2.0, 3.5), (0.0, 0.25, 0.5)),
        texture=1.25,
        darker=bool(number % 2),
        outline=Outline((0.5, 1.5, 2.5), 0.125) if number % 2 else None,
        shadow=Shadow(0.125, -0.25, 0.5) if number % 2 else None,
        quad=np.array(((1, 2), (40, 3), (39.5, 15), (2, 14)), np.float32),
        angle=0.125,
        slant=-0.25,
        height=12.5,
        baseline=0.75,
        stroke=2.5,
        margins=(0.25, -0.125, 0.5, 0.75),
        blur=0.5,
        noise=1.5,
        quality=75,
        contrast=120.0,
        label="ಕ್ಷಿ",
        font="Some Face",
        confidence=0.25 + number / 8,
    )


def _same(one: Style, other: Style) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Style))


# -- store --------------------------------------------------------------------------------------------------------


def _written(folder: Path, styles: int = 3) -> dict[str, object]:
    writer = StoreWriter(folder)
    for number in range(styles):
        writer.add(_style(number))
    writer.refuse("a.png", "no text found")
    writer.refuse("b.png", "no text found")
    head = writer.finish("test")
    writer.close()
    return head


def _name_of(store: Store) -> str:
    return store[1].name


def test_styles_come_back_as_they_were(tmp_path: Path) -> None:
    _written(tmp_path / "s")
    store = Store(tmp_path / "s")
    assert len(store) == 3 and [style.name for style in store] == [_style(n).name for n in range(3)]
    assert all(_same(store[number], _style(number)) for number in range(3))
    assert store.confidences == pytest.approx([0.25, 0.375, 0.5])
    assert store.head["refused"] == {"no text found": 2} and store.head["named"] == {
        "no text found": ["a.png", "b.png"]
    }
    with pytest.raises(IndexError):
        store[3]
    with pytest.raises(IndexError):
        store[-1]


def test_digest_follows_from_the_styles_alone(tmp_path: Path) -> None:
    digests = [_written(tmp_path / name, count)["digest"] for name, count in (("a", 3), ("b", 3), ("c", 2))]
    assert digests[0] == digests[1] != digests[2]


def test_other_processes_open_it_themselves(tmp_path: Path) -> None:
    _written(tmp_path / "s")
    store = Store(tmp_path / "s")
    assert store[0].name == _style(0).name
    assert _same(pickle.loads(pickle.dumps(store))[2], store[2])
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_name_of, (store,)) == _style(1).name
    assert store[2].name == _style(2).name


def test_nothing_in_it_is_pickled(store: Path) -> None:
    with lmdb.open(str(store), readonly=True, lock=False) as environment, environment.begin() as transaction:
        for key, value in transaction.cursor():
            assert value.startswith((b"\x89PNG", b"{")), key


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1])
def test_a_store_of_another_version(tmp_path: Path, version: int) -> None:
    _written(tmp_path / "s")
    _put(tmp_path / "s", b"styles", json.dumps({"version": version}).encode())
    with pytest.raises(
        ScriptoriumError, match=rf"of version {version}, .* reads {VERSION}; make it again: synth style"
    ):
        Store(tmp_path / "s")


def test_broken_stores(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(ScriptoriumError, match="no such folder; make a store: synth style extract"):
        Store(tmp_path / "nothing")
    with pytest.raises(ScriptoriumError, match="no store and no shard"):
        Store(pictures)
    _written(tmp_path / "s")
    _put(tmp_path / "s", b"mask-000000001", b"no picture")
    store = Store(tmp_path / "s")
    assert store[0].name
    with pytest.raises(ScriptoriumError, match="style 1 is broken"):
        store[1]
    del store
    _put(tmp_path / "s", b"styles", b"{}")
    with pytest.raises(ScriptoriumError, match="broken store"):
        Store(tmp_path / "s")
    lmdb.open(str(tmp_path / "other")).close()
    with pytest.raises(ScriptoriumError, match="no store of styles"):
        Store(tmp_path / "other")


def _put(folder: Path, key: bytes, value: bytes) -> None:
    with lmdb.open(str(folder), lock=False) as environment, environment.begin(write=True) as transaction:
        transaction.put(key, value)


# -- crops --------------------------------------------------------------------------------------------------------


def test_what_a_name_stands_for(pictures: Path, tmp_path: Path) -> None:
    assert [(c.name, c.label) for c in find_crops(pictures)] == [(f"images/{n}.png", t) for n, t in enumerate(TEXTS)]
    assert [(c.name, c.label) for c in find_crops(pictures / "images")] == [(f"{n}.png", "") for n in range(3)]
    assert [c.path for c in find_crops(pictures / "images" / "1.png")] == [pictures / "images" / "1.png"]
    bare = tmp_path / "list.txt"
    bare.write_bytes("\ufeff0.png\r\n\r\n2.png\tWinter e\u0301\r\n".encode())
    crops = find_crops(bare, pictures / "images")
    assert [(c.name, c.label) for c in crops] == [("0.png", ""), ("2.png", "Winter é")]
    assert all(c.path.is_file() for c in crops)


def test_names_that_stand_for_nothing(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ScriptoriumError, match="there is no such file"):
        find_crops(tmp_path / "missing.tsv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScriptoriumError, match="no picture in it"):
        find_crops(tmp_path / "empty")
    listed = tmp_path / "list.tsv"
    listed.write_text("images/0.png\tHamburg\nelsewhere/1.png\tNorden\n")
    with pytest.raises(ScriptoriumError, match=r"1 of 2 pictures are not in .*: elsewhere/1.png; .*--root DIR"):
        find_crops(listed, pictures)
    listed.write_text("\n\n")
    with pytest.raises(ScriptoriumError, match="an empty list"):
        find_crops(listed)
    listed.write_bytes(b"a.png\tb\xff\n")
    with pytest.raises(ScriptoriumError, match="not UTF-8 at byte offset 7"):
        find_crops(listed)


def test_labels_bring_the_font_that_drew_them(store: Path) -> None:
    styles = list(Store(store))
    assert [style.label for style in styles] == list(TEXTS)
    assert [style.font for style in styles] == ["DejaVu Sans Book", "DejaVu Serif Bold", "DejaVu Sans Book"]


def test_repainted_ink_is_the_crop_again(store: Path) -> None:
    for style in Store(store):
        assert np.abs(repainted(style).astype(int) - style.image).mean() < 5


# -- command line -------------------------------------------------------------------------------------------------


def test_extract_and_report(synth: Run, pictures: Path, dejavu: list[Path], tmp_path: Path) -> None:
    output, grounds = tmp_path / "s", tmp_path / "grounds"
    done = synth("style", "extract", pictures, "--output", output, "--backgrounds", grounds, "--fonts", *dejavu)
    assert done.code == 0, done
    assert f"{output}: 3 styles from 3 crops" in done.out
    assert "with a label: 3; of these held against fonts: 3" in done.out
    assert "refused" not in done.out and f"next: synth style report {output}" in done.out
    store = Store(output)
    names = sorted(path.name for path in grounds.iterdir())
    assert names == ["000000_0.png", "000001_1.png", "000002_2.png"]
    for name, style in zip(names, store, strict=True):
        assert np.array_equal(cv2.imread(str(grounds / name)), style.background)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    done = synth("style", "report", output)
    assert done.code == 0 and "3 styles, confidence in the middle 0." in done.out
    page = (tmp_path / "s.html").read_text()
    assert len(re.findall("<img", page)) == 12 and "DejaVu Serif Bold" in page and "http" not in page.split("<body>")[1]


def test_a_single_picture(synth: Run, pictures: Path, tmp_path: Path) -> None:
    done = synth("style", "extract", pictures / "images" / "0.png", "--output", tmp_path / "s")
    assert done.code == 0 and "1 style from 1 crop" in done.out
    (style,) = Store(tmp_path / "s")
    assert style.label == "" and style.font == ""


def test_refused_crops_are_counted_and_named(synth: Run, pictures: Path, dejavu: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    word = cv2.imread(str(pictures / "images" / "0.png"))
    cv2.imwrite(str(folder / "flat.png"), np.full((40, 90, 3), 90, np.uint8))
    cv2.imwrite(str(folder / "low.png"), word[:5])
    cv2.imwrite(str(folder / "two.png"), np.vstack((word, word)))
    (folder / "broken.jpg").write_bytes(b"nothing")
    cv2.imwrite(str(folder / "good.png"), word)
    cv2.imwrite(str(folder / "other.png"), word)
    (folder / "labels.tsv").write_text(
        "flat.png\tHamburg\nlow.png\tHamburg\ntwo.png\tHamburg\nbroken.jpg\tHamburg\ngood.png\tHamburg\nother.png\ti\n"
    )
    done = synth("style", "extract", folder, "--output", tmp_path / "s", "--fonts", *dejavu)
    assert done.code == 0, done
    for name, reason in (
        ("flat.png", ONE_COLOUR),
        ("low.png", SMALL),
        ("two.png", TWO_LINES),
        ("broken.jpg", UNREADABLE),
        ("other.png", MISFIT),
    ):
        assert f"refused: 1 {reason} ({name})" in done.out
    store = Store(tmp_path / "s")
    assert [style.name for style in store] == ["good.png"]
    assert store.head["refused"][MISFIT] == 1 and store.head["named"][MISFIT] == ["other.png"]
    assert "Refused: label does not fit the ink" in _reported(tmp_path)


def _reported(folder: Path) -> str:
    write_report(folder / "s", folder / "page.html")
    return (folder / "page.html").read_text()


def test_bad_input_is_said_on_one_line(synth: Run, pictures: Path, tmp_path: Path) -> None:
    assert "there is no such file" in synth("style", "extract", tmp_path / "no.tsv", "--output", tmp_path / "s").error
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for option in ("--output", "--backgrounds"):
        other = "--output" if option == "--backgrounds" else "--backgrounds"
        done = synth("style", "extract", pictures, option, tmp_path / "full", other, tmp_path / "s")
        assert done.error.endswith("is not empty; name a new folder")
    cv2.imwrite(str(tmp_path / "flat.png"), np.zeros((40, 90, 3), np.uint8))
    done = synth("style", "extract", tmp_path / "flat.png", "--output", tmp_path / "s")
    assert "no crop gives a style (1 one colour)" in done.error
    assert not (tmp_path / "s").exists()
    assert "no such folder" in synth("style", "report", tmp_path / "s").error
