"""Sets of single characters in all the shapes that they come in, and what is wrong with them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from character_sets import Character, broken_zip, characters, folder, gnt, idx, png
from hypothesis import given
from hypothesis import strategies as st

from augment.errors import ScriptoriumError
from synth.handwriting.labels import character, parse_table, read_table
from synth.handwriting.readers import Broken, CharacterSet, Options, grey_picture, parse_grid, read_set


@pytest.fixture(scope="module")
def found(dejavu: list[Path], own_cache: Path) -> list[Character]:
    return characters(dejavu[0], "abg3")


def same(read: CharacterSet, found: list[Character], writers: bool = True) -> None:
    """The set read has just these characters, whatever their order."""
    got = sorted(
        (text, who if writers else "", read.image(k).tobytes())
        for k, (text, who) in enumerate(zip(read.texts, read.writers, strict=True))
    )
    assert got == sorted((c.text, c.writer if writers else "", c.image.tobytes()) for c in found)


def problem(source: Path, **options: object) -> str:
    with pytest.raises(ScriptoriumError) as error:
        read_set(source, Options(**options))
    message = str(error.value)
    assert "\n" not in message
    return message


# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a", "a"),
        ("ক", "ক"),
        ("U+0995", "ক"),
        ("u0995", "ক"),
        ("0x995", None),
        ("0x0995", "ক"),
        ("0995", "ক"),
        ("U+0995_U+09CD_U+09B7", "ক্ষ"),
        ("u0995 u09be", "কা"),
        ("ক্ষ", "ক্ষ"),
        ("◌ি", "ি"),
        ("e\u0301", "é"),
        ("5b83", "它"),
        ("1F600", "😀"),
        ("7", "7"),
        ("12", None),
        ("U+0000", None),
        ("U+D800", None),
        ("U+110000", None),
        ("character01", None),
        ("ab", None),
        ("", None),
        (" ", None),
    ],
)
def test_class_names(name: str, text: str | None) -> None:
    assert character(name) == text


@given(st.characters(categories=("L", "N", "P", "S")))
def test_every_letter_by_all_its_names(letter: str) -> None:
    text = character(letter)
    if text is None or len(text) > 1:  # changed by NFC, or a control for bidi
        return
    for name in (f"U+{ord(text):04X}", f"u{ord(text):04x}", f"0x{ord(text):04X}", f"{ord(text):04x}"):
        assert character(name) == text


def test_hexadecimal_on_request() -> None:
    assert character("4a") is None
    assert character("4a", "hex") == "J"
    assert character("a", "hex") is None
    assert character("0995", "character") is None


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        ("0\tあ\n1\tい\n", {"0": "あ", "1": "い"}),
        ("0,あ\n1,い\n", {"0": "あ", "1": "い"}),
        ("a U+0061\nb 0062\n", {"a": "a", "b": "b"}),
        ("0 48\n1 49\n10 65\n", {"0": "0", "1": "1", "10": "A"}),
        ("index,codepoint,char\n0,U+3042,あ\n", {"0": "あ"}),
        ("label\tcodepoint\nx\tU+0995\n", {"x": "ক"}),
        ("あ\nい\n", {"0": "あ", "1": "い"}),
        ('{"0": "あ", "1": ""}', {"0": "あ", "1": ""}),
        ('["あ", "い"]', {"0": "あ", "1": "い"}),
        ("x\tあ\ny\t\n", {"x": "あ", "y": ""}),
    ],
)
def test_tables_of_labels(table: str, texts: dict[str, str]) -> None:
    assert parse_table(table, "t") == texts


def test_bad_tables(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"0\t\xff\n")
    with pytest.raises(ScriptoriumError, match="not UTF-8 at byte offset 2"):
        read_table(tmp_path / "t")
    with pytest.raises(ScriptoriumError, match="'zwei' is no single character"):
        parse_table("2\tzwei\n", "t")
    with pytest.raises(ScriptoriumError, match="2 classes hold two characters each, as A and a"):
        parse_table("1 65 97\n2 66 98\n", "t")
    with pytest.raises(ScriptoriumError, match="empty table"):
        parse_table("\n", "t")


# -- shapes of sets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["{0}", "{1}", "U+{1}", "u{1}", "letters/{0}"])
def test_folders_of_classes(found: list[Character], tmp_path: Path, name: str) -> None:
    read = read_set(folder(tmp_path, found, name), Options(writer_pattern="([a-z]+)_[0-9]+"))
    same(read, found)


def test_folders_with_a_table_of_labels(found: list[Character], tmp_path: Path) -> None:
    root = folder(tmp_path / "set", found, "class {1}")
    (tmp_path / "t").write_text("class 0061\ta\nclass 0062\tb\nclass 0067\t\nclass 0033\t3\n")
    read = read_set(root, Options(labels=tmp_path / "t"))
    same(read, [c for c in found if c.text != "g"], writers=False)
    assert read.left_out == {"of classes that the table leaves out": 6}
    (tmp_path / "t").write_text("class 0061\ta\n")
    assert "lacks class 0033, class 0062, class 0067" in problem(root, labels=tmp_path / "t")


def test_class_and_writer_in_the_name(found: list[Character], tmp_path: Path) -> None:
    for number, (text, writer, image) in enumerate(found):
        (tmp_path / f"{writer}-{text}-{number}.png").write_bytes(png(image))
    (tmp_path / "readme.png").write_bytes(png(found[0].image))
    read = read_set(tmp_path, Options(label_pattern="-(.)-", writer_pattern="^([a-z]+)-"))
    same(read, found)
    assert read.left_out == {"whose path does not fit --class": 1}


def test_flat_folder_with_table(found: list[Character], tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    rows = []
    for number, (text, writer, image) in enumerate(found):
        (tmp_path / f"images/{number}.png").write_bytes(png(image))
        rows.append(f"images/{number}.png\t{text}\t{writer}\n")
    (tmp_path / "labels.tsv").write_text("".join(rows) + "images/gone.png\ta\tann\n", encoding="utf-8")
    read = read_set(tmp_path, Options())
    same(read, found)
    assert read.left_out == {"named in the table, but not there": 1}
    (tmp_path / "labels.tsv").unlink()
    table = "writer,filename,character\n" + "".join(
        f"{c.writer},images/{k}.png,{c.text}\n" for k, c in enumerate(found)
    )
    (tmp_path / "mine.csv").write_text(table, encoding="utf-8")
    same(read_set(tmp_path, Options(table=tmp_path / "mine.csv")), found)


@pytest.mark.parametrize("packed", [False, True])
def test_idx(found: list[Character], tmp_path: Path, packed: bool) -> None:
    end = ".gz" if packed else ""
    names = "abg3"
    for part in ("train", "t10k"):
        half = found[: len(found) // 2] if part == "train" else found[len(found) // 2 :]
        images = np.stack([c.image for c in half])
        labels = np.array([names.index(c.text) for c in half], np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte{end}").write_bytes(idx(images, packed))
        (tmp_path / f"{part}-labels-idx1-ubyte{end}").write_bytes(idx(labels, packed))
    (tmp_path / "names.txt").write_text("\n".join(names))
    same(read_set(tmp_path, Options(labels=tmp_path / "names.txt")), found, writers=False)
    one = read_set(tmp_path / f"t10k-images-idx3-ubyte{end}", Options(labels=tmp_path / "names.txt"))
    same(one, found[len(found) // 2 :], writers=False)


def test_emnist(found: list[Character], tmp_path: Path) -> None:
    """Its images are stored by columns, its mapping gives decimal code points."""
    images = np.stack([c.image.T for c in found])
    labels = np.array(["3abg".index(c.text) + 8 for c in found], np.uint8)
    (tmp_path / "emnist-byclass-train-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "emnist-byclass-train-labels-idx1-ubyte").write_bytes(idx(labels))
    assert "numbers up to 11" in problem(tmp_path)
    (tmp_path / "emnist-byclass-mapping.txt").write_text("8 51\n9 97\n10 98\n11 103\n")
    same(read_set(tmp_path, Options()), found, writers=False)


def test_digits_need_no_mapping(found: list[Character], tmp_path: Path) -> None:
    threes = [c for c in found if c.text == "3"]
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.stack([c.image for c in threes])))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.full(len(threes), 3, np.uint8)))
    same(read_set(tmp_path, Options()), threes, writers=False)


@pytest.mark.parametrize("shape", ["first", "last", "headed", "apart"])
def test_csv_of_pixels(found: list[Character], tmp_path: Path, shape: str) -> None:
    rows = [",".join(map(str, c.image.ravel().tolist())) for c in found]
    pixels = ",".join(f"pixel{k}" for k in range(found[0].image.size))
    if shape == "first":
        text = "".join(f"{c.text},{row}\n" for c, row in zip(found, rows, strict=True))
    elif shape == "last":
        text = f"{pixels},label\n" + "".join(f"{row},{c.text}\n" for c, row in zip(found, rows, strict=True))
    elif shape == "headed":
        text = f"label,{pixels}\n" + "".join(f"{c.text},{row}\n" for c, row in zip(found, rows, strict=True))
    else:
        text = "\n".join(rows) + "\n"
        (tmp_path / "csvTrainLabel 24x1.csv").write_text("".join(f"{c.text}\n" for c in found))
    (tmp_path / "csvTrainImages 24x2304.csv").write_text(text)
    same(read_set(tmp_path, Options()), found, writers=False)


def test_npz(found: list[Character], tmp_path: Path) -> None:
    images, labels = np.stack([c.image for c in found]), np.array([c.text for c in found])
    writers = np.array([c.writer for c in found])
    np.savez_compressed(tmp_path / "all.npz", images=images, labels=labels, writers=writers)
    same(read_set(tmp_path, Options()), found)
    # As Kuzushiji has it: images and labels in files of their own, numbers, and a map of classes.
    (tmp_path / "all.npz").unlink()
    np.savez(tmp_path / "k4-train-imgs.npz", images)
    np.savez(tmp_path / "k4-train-labels.npz", np.array([10 + "abg3".index(c.text) for c in found]))
    (tmp_path / "k4_classmap.csv").write_text(
        "index,codepoint,char\n" + "".join(f"{10 + k},U+{ord(c):04X},{c}\n" for k, c in enumerate("abg3"))
    )
    same(read_set(tmp_path, Options()), found, writers=False)


def test_npz_of_floating_point_numbers(found: list[Character], tmp_path: Path) -> None:
    images = np.stack([c.image for c in found]).astype(np.float64) / 255
    np.savez(
        tmp_path / "x.npz",
        x_train=images[:20, ..., None],
        y_train=[c.text for c in found[:20]],
        x_test=images[20:, ..., None],
        y_test=[c.text for c in found[20:]],
    )
    read = read_set(tmp_path, Options())
    order = {read.image(k).tobytes() for k in range(len(read))}
    assert len(read) == len(found) and len(order) == len({c.image.tobytes() for c in found})


def test_gnt_and_its_zip(dejavu: list[Path], own_cache: Path, tmp_path: Path) -> None:
    ann, bob = (characters(dejavu[0], "ab3Ω", [who]) for who in ("ann", "bob"))
    (tmp_path / "ann.gnt").write_bytes(gnt(ann))
    (tmp_path / "bob.gnt").write_bytes(gnt(bob))
    same(read_set(tmp_path, Options()), ann + bob)
    with zipfile.ZipFile(tmp_path / "HWDB.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.write(tmp_path / "ann.gnt", "set/ann.gnt")
        file.write(tmp_path / "bob.gnt", "set/bob.gnt")
    same(read_set(tmp_path / "HWDB.zip", Options()), ann + bob)


def test_zip_whose_names_do_not_say_that_they_are_utf8(dejavu: list[Path], own_cache: Path, tmp_path: Path) -> None:
    found = characters(dejavu[0], "Ωж")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for number, (text, _, image) in enumerate(found):
            file.writestr(f"set/{text}/{number}.png", png(image))
        file.writestr("__MACOSX/set/x/1.png", b"")
    # The flag for UTF-8 (bit 11) taken from local and central heads.
    raw = bytearray(data.getvalue())
    for mark, at in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        start = raw.find(mark)
        while start >= 0:
            raw[start + at] &= 0xF7
            start = raw.find(mark, start + 4)
    (tmp_path / "a.zip").write_bytes(raw)
    same(read_set(tmp_path / "a.zip", Options()), found, writers=False)


def sheet(images: list[np.ndarray], rows: int, columns: int) -> np.ndarray:
    return np.vstack([np.hstack(images[r * columns : (r + 1) * columns]) for r in range(rows)])


def test_sheets(found: list[Character], tmp_path: Path) -> None:
    ann = [c for c in found if c.writer == "ann"][:6]
    (tmp_path / "ann.png").write_bytes(png(sheet([c.image for c in ann], 2, 3)))
    table = tmp_path / "cells.txt"
    table.write_text("\n".join(c.text for c in ann[:5]))  # the last cell is left empty
    options = Options(grid=(2, 3), inset=0.0, labels=table)
    read = read_set(tmp_path / "ann.png", options)
    same(read, ann[:5])
    assert read.left_out == {"in cells that the table does not name": 1}
    with pytest.raises(ScriptoriumError, match=r"ann\.png: sheets named by their class, without --labels CELLS"):
        read_set(tmp_path / "ann.png", Options(grid=(2, 3)))
    # A sheet for each class.
    letters = tmp_path / "sheets"
    letters.mkdir()
    for text in "ab":
        mine = [c for c in found if c.text == text]
        (letters / f"{text}.png").write_bytes(png(sheet([c.image for c in mine], 3, 2)))
    same(read_set(letters, Options(grid=(3, 2), inset=0.0)), [c for c in found if c.text in "ab"], writers=False)
    read = read_set(letters, Options(grid=(3, 2), inset=0.125))
    assert read.image(0).shape == (36, 36)
    assert parse_grid("10x8") == parse_grid("10 × 8") == (10, 8)
    for bad in ("10", "0x3", "axb"):
        with pytest.raises(ScriptoriumError, match="10x8"):
            parse_grid(bad)


# -- pictures -------------------------------------------------------------------------------------------------------


def test_pictures_of_all_kinds(found: list[Character]) -> None:
    image = found[0].image
    alpha = np.dstack([np.zeros((*image.shape, 3), np.uint8), 255 - image])  # black ink on nothing
    assert np.abs(grey_picture(cv2.imencode(".png", alpha)[1].tobytes()).astype(int) - image).max() <= 1
    deep = image.astype(np.uint16) * 257
    assert np.array_equal(grey_picture(cv2.imencode(".png", deep)[1].tobytes()), image)
    colour = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    assert np.array_equal(grey_picture(cv2.imencode(".bmp", colour)[1].tobytes()), image)
    with pytest.raises(Broken, match="no picture"):
        grey_picture(b"nothing of the kind")
    with pytest.raises(Broken, match="empty"):
        grey_picture(b"")


# -- bad input ------------------------------------------------------------------------------------------------------


def test_sets_that_are_none(tmp_path: Path, found: list[Character]) -> None:
    assert "there is no such file or folder" in problem(tmp_path / "gone")
    assert "no pictures, IDX, CSV, NPZ or GNT" in problem(tmp_path)
    (tmp_path / "1.png").write_bytes(png(found[0].image))
    assert "without classes" in problem(tmp_path) and "--class" in problem(tmp_path)
    assert "fits no path" in problem(tmp_path, label_pattern="x(.)y")
    assert "no regular expression" in problem(tmp_path, label_pattern="(")
    assert "one group" in problem(tmp_path, label_pattern="x")
    (tmp_path / "labels.tsv").write_text("table\n")
    assert "each line should be path" in problem(tmp_path)
    (tmp_path / "labels.tsv").write_text("2.png\ta\n")
    assert "names no file that is there, such as 2.png" in problem(tmp_path)


def test_names_that_are_no_characters(tmp_path: Path, found: list[Character]) -> None:
    root = folder(tmp_path, found, "class {1}")
    message = problem(root)
    assert "4 class names are no character: class 0033, class 0061" in message and "--labels" in message


def test_broken_archives(tmp_path: Path, found: list[Character]) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 but no archive")
    assert "broken zip archive" in problem(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("ann.gnt", gnt(found))
    (tmp_path / "b.zip").write_bytes(broken_zip((tmp_path / "b.zip").read_bytes()))
    assert "ann.gnt: broken inside the archive" in problem(tmp_path / "b.zip")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-5], "cut short after byte"),
        (lambda data: data + b"\1\2\3", "cut short after byte"),
        (lambda data: b"\xff" + data[1:], "byte 0: 48 × 48 pixels do not make 2,559 bytes"),
        (lambda data: b"GIF89a and so on", "do not make"),
    ],
)
def test_broken_gnt(tmp_path: Path, found: list[Character], change: object, said: str) -> None:
    (tmp_path / "ann.gnt").write_bytes(change(gnt(found)))  # type: ignore[operator]
    assert said in problem(tmp_path)


def test_broken_arrays(tmp_path: Path, found: list[Character]) -> None:
    images = idx(np.stack([c.image for c in found]))
    place = tmp_path / "train-images-idx3-ubyte"
    place.write_bytes(images)
    assert "labels are not beside it" in problem(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8)))
    assert "24 images, but 3 labels" in problem(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(24, np.uint8)))
    place.write_bytes(images[:-1])
    assert "promises" in problem(tmp_path)
    place.write_bytes(b"no idx at all")
    assert "no IDX file" in problem(tmp_path)
    place.unlink()
    packed = tmp_path / "train-images-idx3-ubyte.gz"
    packed.write_bytes(b"\x1f\x8b broken")
    assert "broken gzip" in problem(tmp_path)
    packed.unlink()
    (tmp_path / "x.npz").write_bytes(b"PK")
    assert "cannot be read as NPZ" in problem(tmp_path)
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 8, 8), np.uint8), labels=np.zeros(4))
    assert "no array of 3 labels" in problem(tmp_path)
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 8, 8)), labels=np.array([object(), 1], object))
    assert "cannot be read as NPZ" in problem(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,1,2,3,4,5\n", "no square image"),
        ("a,1,2,3,4\na,1,2,3\n", "line 2: not 4 pixels"),
        ("a,1,2,3,4\na,1,2,3,256\n", "line 2: not 4 pixels"),
        ("a,1,2,3,4\na,1,2,x,4\n", "line 2: not 4 pixels"),
        ("label,p,p,p,p\na,1,2,3,400\n", "line 2: not 4 pixels"),
        ("1,2,3,4\n", "no label"),
        ("", "empty table"),
    ],
)
def test_broken_csv(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    assert said in problem(tmp_path)
