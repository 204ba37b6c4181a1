"""From images to a store: ink and paper, what is measured, what is suspect."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from character_sets import HANDS, characters, drawn, folder, gnt, png
from hypothesis import given
from hypothesis import strategies as st

from augment.errors import ScriptoriumError
from synth.fonts.face import Face
from synth.fonts.index import scan
from synth.handwriting.extract import BANDS, BARE, LONGEST, Paper, extract, judge, profiles, strokes, vote
from synth.handwriting.readers import Options
from synth.handwriting.store import CUT, INVERTED, UNLIKE, Store, import_set
from synth.handwriting.suspects import features, unlike

DARK = Paper("dark", "otsu")


@pytest.fixture(scope="module")
def face(dejavu: list[Path], own_cache: Path) -> Face:
    return Face(scan([dejavu[0]]).faces[0])


# -- ink ------------------------------------------------------------------------------------------------------------


@given(st.integers(2, 9), st.integers(20, 60), st.sampled_from([0, 10, 60]), st.sampled_from([200, 230, 255]))
def test_a_bar_is_found_where_it_is(width: int, length: int, ink: int, paper: int) -> None:
    image = np.full((80, 40), paper, np.uint8)
    image[10 : 10 + length, 15 : 15 + width] = ink
    found = extract(image, DARK)
    assert found is not None
    # One pixel more on each side for soft edges.
    assert (found.left, found.top) == (14, 9)
    assert found.mask.shape == (length + 2, width + 2)
    assert (found.mask[1:-1, 1:-1] == 255).all() and not found.mask[0].any() and not found.mask[:, -1].any()
    assert found.edge == 0 and not found.inverted
    # Twice the area over the contour; a bar has ends as well.
    assert found.stroke == pytest.approx(2 * width * length / (2 * (width + length)), rel=0.03)
    assert found.slant == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("slant", [-0.4, -0.15, 0.0, 0.2, 0.45])
def test_slant_of_a_leaning_bar(slant: float) -> None:
    mask = np.zeros((90, 120), np.uint8)
    mask[10:80, 57:63] = 255
    matrix = np.array(((1.0, -slant, slant * 45), (0.0, 1.0, 0.0)))
    assert strokes(cv2.warpAffine(mask, matrix, (120, 90)))[1] == pytest.approx(slant, abs=0.03)


@given(st.integers(2, 12))
def test_stroke_width_of_a_ring(width: int) -> None:
    y, x = np.indices((100, 100))
    away = np.abs(np.hypot(x - 49.5, y - 49.5) - 35)
    mask = (np.clip(width / 2 + 0.5 - away, 0, 1) * 255).astype(np.uint8)
    assert strokes(mask)[0] == pytest.approx(width, rel=0.08)


def test_profiles_of_a_wedge() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[:32] = np.tril(np.full((32, 64), 255, np.uint8))  # row r has ink from 0 to r
    left, right = profiles(mask)
    assert (left[:8] == 0).all() and (left[8:] == BARE).all() and (right[8:] == BARE).all()
    for band in range(8):
        assert right[band] == round((band + 1) * 4 / 64 * 254)
    assert profiles(mask).shape == (2, BANDS)
    assert (profiles(np.full((1, 1), 255, np.uint8)) == [[0] * BANDS, [254] * BANDS]).all()


@given(st.integers(1, 70), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_profiles_band_by_band(height: int, width: int, seed: int) -> None:
    mask = ((np.random.default_rng(seed).random((height, width)) < 0.1) * 255).astype(np.uint8)
    left, right = profiles(mask)
    for band in range(BANDS):
        touched = [r for r in range(height) if r * BANDS < (band + 1) * height and (r + 1) * BANDS > band * height]
        columns = np.flatnonzero(mask[touched].any(0))
        if len(columns):
            assert left[band] == round(columns[0] * 254 / width)
            assert right[band] == round((columns[-1] + 1) * 254 / width)
        else:
            assert left[band] == right[band] == BARE


def test_soft_edges_stay_soft(face: Face) -> None:
    image = drawn(face, "S")
    found = extract(image, DARK)
    assert found is not None
    top, left = int(found.top), int(found.left)
    rows, columns = found.mask.shape
    truth = 255 - image[top : top + rows, left : left + columns]
    assert np.abs(found.mask.astype(int) - truth).mean() < 8
    assert ((found.mask > 40) & (found.mask < 215)).sum() > 20


@pytest.mark.parametrize("bright", [False, True])
def test_ink_and_paper(face: Face, bright: bool) -> None:
    images = [drawn(face, text, bold=2) for text in "abcdeMW1."]
    if bright:
        images = [255 - image for image in images]
    assert all((vote(image) < 0) == bright for image in images)
    paper = judge(images)
    assert paper == Paper("bright" if bright else "dark", "otsu")
    odd = extract(255 - images[0], paper)
    plain = extract(images[0], paper)
    assert odd is not None and plain is not None
    assert odd.inverted and not plain.inverted
    assert np.array_equal(odd.mask, plain.mask)


def test_shaded_paper_has_a_threshold_for_each_place(face: Face) -> None:
    shade = np.linspace(1.0, 0.35, 48)[None]
    images = [(drawn(face, text) * 0.7 * shade + 60 * shade).astype(np.uint8) for text in "abcdeghk"]
    paper = judge(images)
    assert paper == Paper("dark", "sauvola")
    for image, text in zip(images, "abcdeghk", strict=True):
        found, plain = extract(image, paper), extract(drawn(face, text), DARK)
        assert found is not None and plain is not None
        there, wanted = np.zeros((48, 48)), np.zeros((48, 48))
        for canvas, ink in ((there, found), (wanted, plain)):
            y, x = int(ink.top), int(ink.left)
            canvas[y : y + ink.mask.shape[0], x : x + ink.mask.shape[1]] = ink.mask > 127
        # Strokes of three pixels: a soft edge that falls the other way is a third of them.
        overlap = np.logical_and(there, wanted).sum() / np.logical_or(there, wanted).sum()
        assert overlap > 0.65


def test_noise_and_dust_stay_out(face: Face) -> None:
    rng = np.random.default_rng(0)
    image = drawn(face, "i", frame=64).astype(float)
    clean = extract(image.astype(np.uint8), DARK)
    image[5, 5] = image[60, 40] = 90  # dust
    noisy = np.clip(image * 0.8 + 40 + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    found = extract(noisy, DARK)
    assert clean is not None and found is not None
    # The dot of the i is there, dust is not.
    assert np.abs(np.subtract(found.mask.shape, clean.mask.shape)).max() <= 1
    assert abs(found.left - clean.left) <= 1 and abs(found.top - clean.top) <= 1
    assert cv2.connectedComponents((found.mask > 127).astype(np.uint8))[0] == 3


@pytest.mark.parametrize(
    "image",
    [
        np.full((30, 30), 255, np.uint8),
        np.full((30, 30), 0, np.uint8),
        np.full((1, 1), 0, np.uint8),
        np.full((1, 40), 0, np.uint8),
        np.full((3, 3), 128, np.uint8),
        np.random.default_rng(0).integers(120, 135, (30, 30)).astype(np.uint8),
    ],
)
def test_images_without_ink(image: np.ndarray) -> None:
    for paper in (DARK, Paper("dark", "sauvola"), Paper("bright", "otsu")):
        assert extract(image, paper) is None


def test_large_images_are_made_small(face: Face) -> None:
    image = cv2.resize(drawn(face, "g"), (1500, 1500), interpolation=cv2.INTER_CUBIC)
    found, small = extract(image, DARK), extract(drawn(face, "g"), DARK)
    assert found is not None and small is not None
    assert max(found.mask.shape) == LONGEST
    assert found.stroke / found.mask.shape[0] == pytest.approx(small.stroke / small.mask.shape[0], rel=0.15)
    assert found.left / found.width == pytest.approx((small.left + 1) / small.width, abs=0.03)


# -- suspects -------------------------------------------------------------------------------------------------------


def test_mislabelled_characters_are_found(face: Face) -> None:
    rng = np.random.default_rng(0)
    texts = "abdeghkmnrstwxz3458"
    looks, classes = [], []
    for kind, text in enumerate(texts):
        for _ in range(12):
            slant, bold = float(rng.normal(0.1, 0.12)), int(rng.integers(0, 3))
            ink = extract(drawn(face, text, int(rng.integers(22, 34)), slant, bold), DARK)
            assert ink is not None
            looks.append(features(ink.mask))
            classes.append(kind)
    found, right = np.stack(looks), np.array(classes, np.int32)
    assert (unlike(found, right) >= 0).mean() < 0.01
    wrong = right.copy()
    changed = rng.choice(len(wrong), 10, replace=False)
    wrong[changed] = (wrong[changed] + rng.integers(1, len(texts), len(changed))) % len(texts)
    like = unlike(found, wrong)
    assert (like[changed] == right[changed]).mean() >= 0.9
    assert (np.delete(like, changed) >= 0).mean() < 0.01


def test_little_is_not_judged() -> None:
    looks = np.random.default_rng(0).integers(0, 255, (6, 288)).astype(np.uint8)
    assert (unlike(looks, np.arange(6, dtype=np.int32)) == -1).all()
    looks = np.repeat(looks, 2, axis=0)
    assert (unlike(looks, np.arange(12, dtype=np.int32) // 2) == -1).all()


# -- the store ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(dejavu: list[Path], own_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with a bit of everything that is wrong."""
    place = tmp_path_factory.mktemp("sets")
    root = folder(place / "set", characters(dejavu[0], "abdeghkmn", each=3))
    blank = np.full((48, 48), 255, np.uint8)
    (root / "a" / "ann_blank.png").write_bytes(png(blank))
    (root / "a" / "bob_dot.png").write_bytes(png(blank[:1, :1]))
    (root / "a" / "cid_broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    cut = cv2.imread(str(next((root / "m").glob("ann_*"))), cv2.IMREAD_GRAYSCALE)
    (root / "m" / "ann_cut.png").write_bytes(png(cut[:24]))
    (root / "k" / "ann_inverted.png").write_bytes(png(255 - cv2.imread(str(next((root / "k").glob("ann_*"))), 0)))
    import_set(root, place / "store", Options(writer_pattern="/([a-z]+)_"))
    return place / "store"


def test_what_a_store_holds(made: Path) -> None:
    store = Store(made)
    assert store.classes == list("abdeghkmn") and store.writers == sorted(HANDS)
    assert len(store) == 9 * 9 + 2
    origins = store.origins()
    by_origin = {origin: row for origin, row in zip(origins, store.index, strict=True)}
    for number, row in enumerate(store.index):
        text, name = origins[number].split("/")
        assert store.classes[row["class"]] == text
        assert store.writers[row["writer"]] == name.split("_")[0]
        mask = store.mask(number)
        assert mask.shape == (row["rows"], row["columns"])
        stroke, slant = strokes(mask)
        assert row["stroke"] == pytest.approx(stroke) and row["slant"] == pytest.approx(slant, abs=1e-6)
        assert np.array_equal(row["profiles"], profiles(mask))
    assert {o for o, row in by_origin.items() if row["suspect"] & CUT} == {"m/ann_cut.png"}
    assert {o for o, row in by_origin.items() if row["suspect"] & INVERTED} == {"k/ann_inverted.png"}
    assert {o for o, row in by_origin.items() if row["suspect"] & UNLIKE} <= {"m/ann_cut.png"}
    head = store.head
    assert head["dropped"] == {"no ink": 2, "cannot be read": 1}
    assert head["named"]["no ink"] == ["a/ann_blank.png", "a/bob_dot.png"]
    assert head["named"]["cannot be read"][0].startswith("a/cid_broken.png: ")


def test_writers_differ_as_they_were_drawn(made: Path) -> None:
    store = Store(made)
    index = store.index[store.index["suspect"] == 0]
    by_writer = {name: index[index["writer"] == k] for k, name in enumerate(store.writers)}
    slants = {name: float(np.median(rows["slant"])) for name, rows in by_writer.items()}
    assert slants["cid"] < slants["ann"] < slants["bob"] - 0.15
    widths = {name: float(np.median(rows["stroke"] / rows["rows"])) for name, rows in by_writer.items()}
    assert widths["cid"] > 1.3 * widths["ann"]


def test_a_store_is_the_same_again(made: Path) -> None:
    again = made.parent / "again"
    import_set(made.parent / "set", again, Options(writer_pattern="/([a-z]+)_"))
    assert Store(again).digest == Store(made).digest
    other = made.parent / "other"
    import_set(made.parent / "set", other, Options())
    assert Store(other).digest != Store(made).digest


def test_stores_survive_pickling_and_forks(made: Path) -> None:
    store = Store(made)
    mask = store.mask(3)
    assert np.array_equal(pickle.loads(pickle.dumps(store)).mask(3), mask)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, b"same" if np.array_equal(store.mask(3), mask) else b"else")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 4) == b"same"
    os.close(reader), os.close(writer)


def test_mixed_sizes(face: Face, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for text in "abc":
        (tmp_path / "set" / text).mkdir(parents=True)
        for k in range(6):
            image = drawn(face, text)
            size = (int(rng.integers(10, 300)), int(rng.integers(10, 300)))
            (tmp_path / "set" / text / f"{k}.png").write_bytes(png(cv2.resize(image, size)))
    store = Store(import_set(tmp_path / "set", tmp_path / "store").output)
    assert len(store) == 18
    assert all(max(store.mask(k).shape) <= LONGEST for k in range(18))


def test_stores_that_are_none(made: Path, tmp_path: Path) -> None:
    def problem(path: Path) -> str:
        with pytest.raises(ScriptoriumError) as error:
            Store(path)
        return str(error.value)

    assert "there is no such folder" in problem(tmp_path / "gone")
    assert "no store and no shard" in problem(tmp_path)
    with lmdb.open(str(tmp_path / "x")) as other, other.begin(write=True) as transaction:
        transaction.put(b"num-samples", b"0")
    assert "no store of characters" in problem(tmp_path / "x")
    with lmdb.open(str(tmp_path / "y")) as other, other.begin(write=True) as transaction:
        transaction.put(b"handwriting", b"{")
        transaction.put(b"index", b"")
    assert "a broken store" in problem(tmp_path / "y")
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "data.mdb").write_bytes((made / "data.mdb").read_bytes()[:20_000])
    assert "cut short" in problem(cut)


def test_nothing_is_left_of_an_import_that_fails(tmp_path: Path) -> None:
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "1.png").write_bytes(png(np.full((20, 20), 255, np.uint8)))
    with pytest.raises(ScriptoriumError, match=r"no image has ink \(1 no ink\)"):
        import_set(tmp_path / "set", tmp_path / "store")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "mine").touch()
    with pytest.raises(ScriptoriumError, match="is not empty"):
        import_set(tmp_path / "set", tmp_path / "store")


# -- commands -------------------------------------------------------------------------------------------------------


def test_commands(dejavu: list[Path], synth, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for who in HANDS:
        (tmp_path / "set" / f"{who}.gnt").write_bytes(gnt(characters(dejavu[0], "abcΩ", [who])))
    done = synth("handwriting", "import", tmp_path / "set", tmp_path / "store")
    assert done.code == 0, done.err
    assert "24 characters of 4 classes by 3 writers" in done.out and "read as CASIA GNT; dark ink" in done.out
    assert f"next: synth handwriting report {tmp_path / 'store'}" in done.out
    assert "is not empty" in synth("handwriting", "import", tmp_path / "set", tmp_path / "store").error
    assert "no such file" in synth("handwriting", "import", tmp_path / "gone", tmp_path / "x").error
    done = synth("handwriting", "report", tmp_path / "store", "--output", tmp_path / "page.html")
    assert done.code == 0, done.err
    assert "of a class: 6 to 6" in done.out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Ω" in page and "U+03A9" in page and page.count("data:image/png") == 4 and "cid" in page


def test_report_shows_what_is_suspect(made: Path, synth, tmp_path: Path) -> None:
    done = synth("handwriting", "report", made, "--output", tmp_path / "page.html")
    assert "suspect: 1 cut off at an edge" in done.out and "suspect: 1 inverted" in done.out
    assert "left out: 2 no ink" in done.out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for origin in ("m/ann_cut.png", "k/ann_inverted.png", "a/ann_blank.png", "a/cid_broken.png"):
        assert origin in page
