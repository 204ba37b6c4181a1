"""Lines stitched from single characters: sizes, places, spacing, writers, what stands in, and the stream of samples."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from itertools import pairwise
from pathlib import Path

import cv2
import fontset
import numpy as np
import pytest
from character_sets import HANDS, Character, characters, drawn, folder
from fontTools.ttLib import TTFont

from augment.errors import ScriptoriumError
from synth.fonts.book import FontBook
from synth.fonts.face import Face
from synth.fonts.index import scan
from synth.handwriting.readers import Options
from synth.handwriting.reference import Reference
from synth.handwriting.stitch import NONE_WRITTEN, NOT_JOINED, Hand, Unwritable
from synth.handwriting.store import Store, import_set
from synth.pipeline import Pipeline
from synth.recipe import Fonts, Handwriting, Recipe
from synth.render.line import Ink
from synth.shards.record import NO_CLASS
from synth.text.source import Drawn
from synth.text.units import split_units

PPEM = 40
BY_WRITER = Options(writer_pattern="([a-z]+)_[0-9]+")


@pytest.fixture(scope="module")
def sans(dejavu: list[Path], own_cache: Path) -> FontBook:
    return FontBook(scan([dejavu[0]]).faces, Fonts())


def store(root: Path, found: list[Character]) -> Path:
    if not (root / "store").exists():
        folder(root / "set", found, "U+{1}")
        import_set(root / "set", root / "store", BY_WRITER)
    return root / "store"


@pytest.fixture(scope="module")
def latin(dejavu: list[Path], own_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store(tmp_path_factory.mktemp("latin"), characters(dejavu[0], "AVabceghilmnopqstuxz.,-'´(3"))


def hand(book: FontBook, *chars: Path, **options: object) -> Hand:
    allowed = options.pop("allowed", lambda text: True)
    direction = options.pop("direction", "auto")
    return Hand(Handwriting(chars=chars, **options), book, direction=direction, allowed=allowed)  # type: ignore[arg-type]


def text(words: str, unit: str = "grapheme") -> Drawn:
    return Drawn(words, split_units(words, unit), "test")  # type: ignore[arg-type]


def write(writer: Hand, words: str, seed: int = 0, plain: bool = True, unit: str = "grapheme") -> Ink:
    rng = np.random.default_rng(seed)
    return writer.draw(writer.write(text(words, unit), rng), PPEM, rng, plain=plain)


def inked(ink: Ink) -> list[list[float]]:
    """Boxes around what is dark in each unit's box."""
    found = []
    for left, top, right, bottom in ink.boxes.astype(int):
        part = ink.mask[top:bottom, left:right] > 127
        rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
        found.append([left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1])
    return found


# -- sizes and places -----------------------------------------------------------------------------------------------


def test_letters_are_as_high_as_the_reference_has_them(sans: FontBook, latin: Path, dejavu: list[Path]) -> None:
    writer = hand(sans, latin)
    with TTFont(dejavu[0]) as font:
        glyphs, names, upem = font["glyf"], font.getBestCmap(), font["head"].unitsPerEm
        for letter in "Aabghlmpt":
            # Beside one that stands on the baseline, drawn where it should be.
            for seed in range(6):
                ink = write(writer, letter, seed)
                _, top, _, bottom = inked(ink)[0]
                glyph = glyphs[names[ord(letter)]]
                assert ink.baseline - top == pytest.approx(glyph.yMax * PPEM / upem, abs=2.5), letter
                assert ink.baseline - bottom == pytest.approx(glyph.yMin * PPEM / upem, abs=2.5), letter


def test_punctuation_stands_where_it_should(sans: FontBook, latin: Path) -> None:
    writer = hand(sans, latin)
    for seed in range(4):
        ink = write(writer, "a.a,a-a'a", seed)
        boxes = inked(ink)
        base, x_height = boxes[0][3], boxes[0][3] - boxes[0][1]
        stop, comma, dash, quote = boxes[1], boxes[3], boxes[5], boxes[7]
        assert abs(stop[3] - base) <= 2 and stop[3] - stop[1] < 0.4 * x_height
        assert comma[3] > base + 1 and comma[1] > base - 0.5 * x_height
        assert base - x_height < (dash[1] + dash[3]) / 2 < base - 0.2 * x_height and dash[3] - dash[1] < 0.4 * x_height
        assert quote[3] < base - 0.5 * x_height and quote[1] < base - x_height


def test_contours_keep_their_distance_where_boxes_overlap(sans: FontBook, latin: Path) -> None:
    """Against a search over all pixels of the ink: of each letter one component."""
    for low, high in ((0.08, 0.08), (0.16, 0.16)):
        writer = hand(sans, latin, gap=(low, high))
        for words in ("oxzo", "pqgb", "ebnm", "zVxA"):
            ink = write(writer, words)
            count, labels, stats, _ = cv2.connectedComponentsWithStats((ink.mask > 100).astype(np.uint8))
            assert count == len(words) + 1, words
            order = np.argsort(stats[1:, cv2.CC_STAT_LEFT]) + 1
            for one, other in pairwise(order):
                left, right = labels == one, labels == other
                gaps = []
                for row in range(len(labels)):
                    near = slice(max(row - 3, 0), row + 4)
                    ends, starts = np.flatnonzero(left[row]), np.flatnonzero(right[near].any(0))
                    if len(ends) and len(starts):
                        gaps.append(starts[0] - ends[-1] - 1)
                assert low * PPEM - 2 <= min(gaps) <= low * PPEM + 4, (words, min(gaps))
    # A and V lean against each other, but no further than by a quarter.
    boxes = write(hand(sans, latin, gap=(0.0, 0.0)), "AV").boxes
    assert boxes[0, 2] - boxes[1, 0] == pytest.approx(0.25 * (boxes[0, 2] - boxes[0, 0]), abs=2)


def test_spaces(sans: FontBook, latin: Path) -> None:
    for width in (0.2, 0.6):
        ink = write(hand(sans, latin, gap=(0.0, 0.0), space=(width, width)), "on  on")
        boxes = ink.boxes.tolist()
        assert boxes[4][0] - boxes[1][2] == pytest.approx(2 * width * PPEM * 1.0, rel=0.25, abs=4)
        assert boxes[2][0] == pytest.approx(boxes[1][2], abs=1) and boxes[3][2] == pytest.approx(boxes[4][0], abs=1)
        assert boxes[2][2] == pytest.approx(boxes[3][0], abs=1)
        assert ink.blank.tolist() == [False, False, True, True, False, False]


def test_all_ink_lies_in_the_boxes_of_its_units(sans: FontBook, latin: Path) -> None:
    writer = hand(sans, latin)
    for seed in range(8):
        ink = write(writer, "aspic, Vamp - not in", seed, plain=False)
        covered = np.zeros_like(ink.mask)
        for left, top, right, bottom in ink.boxes[~ink.blank].astype(int):
            covered[top:bottom, left:right] = 255
        assert not (ink.mask & ~covered).any()
        assert ink.mask.any(1)[[0, -1]].all() or ink.mask.shape[0] > 20
        assert (ink.boxes[:, 2] > ink.boxes[:, 0]).all()


def test_jitter_is_as_wide_as_it_says(sans: FontBook, latin: Path) -> None:
    def bottoms(**options: float) -> float:
        writer = hand(sans, latin, **{"rise": 0.0, "drift": 0.0, "size": 0.0, "slant": 0.0, **options})
        found = []
        for seed in range(30):
            ink = write(writer, "xzx", seed, plain=False)
            found += [(ink.baseline - box[3]) / PPEM for box in inked(ink)]
        return float(np.std(found))

    still = bottoms()
    assert still < 0.015
    assert bottoms(rise=0.06) == pytest.approx(0.06, rel=0.3)
    assert bottoms(drift=0.1) == pytest.approx(0.1 / np.sqrt(2), rel=0.35)


# -- whose hand -----------------------------------------------------------------------------------------------------


def test_one_writer_per_line(sans: FontBook, latin: Path) -> None:
    writer = hand(sans, latin)
    index, names = Store(latin).index, Store(latin).writers
    seen = Counter()
    for seed in range(60):
        done = writer.write(text("pachineo"), np.random.default_rng(seed))
        used = {names[int(index["writer"][writer._origin[i][1]])] for letter in done.letters for i in letter.images}
        assert used == {done.writer}
        seen[done.writer] += 1
    assert set(seen) == set(HANDS) and min(seen.values()) > 6


def test_a_writer_with_all_letters_goes_before_one_without(sans: FontBook, dejavu: list[Path], tmp_path: Path) -> None:
    found = characters(dejavu[0], "abc") + characters(dejavu[0], "xyz", ["bob"])
    writer = hand(sans, store(tmp_path, found))
    for seed in range(20):
        assert writer.write(text("axbycz"), np.random.default_rng(seed)).writer == "bob"


def test_the_nearest_in_stroke_and_slant_fills_in(sans: FontBook, dejavu: list[Path], tmp_path: Path) -> None:
    """`cid` writes bold and upright: where he has no letter, that of one who writes so comes in."""
    face = Face(sans.faces[0])
    found = characters(dejavu[0], "abcmn", ["cid"])
    rng = np.random.default_rng(0)
    looks = [("bold", 2, -0.1), ("thin", 0, -0.1), ("leaning", 2, 0.5)]
    found += [
        Character("h", name, drawn(face, "h", int(rng.integers(26, 30)), slant, bold))
        for name, bold, slant in looks
        for _ in range(8)
    ]
    folder(tmp_path / "set", found, "U+{1}")
    import_set(tmp_path / "set", tmp_path / "store", BY_WRITER)
    names, index = Store(tmp_path / "store").writers, Store(tmp_path / "store").index
    writer = hand(sans, tmp_path / "store")
    who = Counter()
    for seed in range(60):
        done = writer.write(text("abcmnh"), np.random.default_rng(seed))
        if done.writer == "cid":
            who[names[int(index["writer"][writer._origin[done.letters[-1].images[0]][1]])]] += 1
    assert who.total() > 30 and who["bold"] > 0.85 * who.total()


def test_unknown_writers_keep_to_one_stroke_and_slant(sans: FontBook, dejavu: list[Path], tmp_path: Path) -> None:
    folder(tmp_path / "set", characters(dejavu[0], "abcmnx", each=4), "U+{1}")
    import_set(tmp_path / "set", tmp_path / "store")
    origins = Store(tmp_path / "store").origins()
    writer = hand(sans, tmp_path / "store")
    alike = 0
    for seed in range(60):
        done = writer.write(text("abcmnx"), np.random.default_rng(seed))
        hands = Counter(origins[writer._origin[letter.images[0]][1]].split("/")[1][:3] for letter in done.letters)
        alike += max(hands.values())
    # A third of them would be at random.
    assert alike > 0.8 * 60 * 6


def test_a_letter_is_not_written_twice_in_the_same_way(sans: FontBook, latin: Path) -> None:
    writer = hand(sans, latin)
    for seed in range(20):
        done = writer.write(text("aa"), np.random.default_rng(seed))
        assert done.letters[0].images != done.letters[1].images


def test_several_stores(sans: FontBook, latin: Path, dejavu: list[Path], tmp_path: Path) -> None:
    other = store(tmp_path, characters(dejavu[0], "Ωλ"))
    writer = hand(sans, latin, other)
    assert writer.able("aΩ") and not hand(sans, latin).able("aΩ")
    done = writer.write(text("λΩa"), np.random.default_rng(0))
    assert [int(writer._origin[letter.images[0]][0]) for letter in done.letters] == [1, 1, 0]
    assert [entry["sha256"] for entry in writer.digests()] == [Store(latin).digest, Store(other).digest]


def test_suspects_are_left_out(sans: FontBook, dejavu: list[Path], tmp_path: Path) -> None:
    found = characters(dejavu[0], "abcdeghkmx", each=3)
    wrong = [k for k, c in enumerate(found) if c.text == "a"][:1]
    found = [Character("x", c.writer, c.image) if k in wrong else c for k, c in enumerate(found)]
    place = store(tmp_path, found)
    assert (Store(place).index["suspect"] > 0).sum() == 1
    counts = [
        last - first
        for chars in (False, True)
        for first, last in [hand(sans, place, suspects=chars)._ranges[Store(place).classes.index("x")]]
    ]
    assert counts == [9, 10]


# -- what stands in -------------------------------------------------------------------------------------------------


def refusal(writer: Hand, words: str, recase: bool = True) -> tuple[str, str]:
    with pytest.raises(Unwritable) as error:
        writer.write(text(words), np.random.default_rng(0), recase=recase)
    return error.value.reason, error.value.characters


def test_the_other_case(sans: FontBook, latin: Path) -> None:
    writer = hand(sans, latin, missing=("case",))
    # C looks like c: the label stays, and it is as high as a capital.
    done = writer.write(text("Cap"), np.random.default_rng(0))
    assert done.drawn.text == "Cap"
    boxes = inked(write(writer, "Cc"))
    assert boxes[0][3] - boxes[0][1] > 1.2 * (boxes[1][3] - boxes[1][1])
    # G does not look like g: what is written is to be read.
    done = writer.write(text("Gab v"), np.random.default_rng(0))
    assert done.drawn.text == "gab v" and done.drawn.units == list("gab v")
    assert done.drawn.source == "test"
    assert refusal(writer, "Gab", recase=False) == (NO_CLASS, "G")
    strict = hand(sans, latin, missing=("case",), allowed=lambda text: text not in "g")
    assert refusal(strict, "Gab") == (NO_CLASS, "G")
    assert refusal(hand(sans, latin, missing=()), "Cap") == (NO_CLASS, "C")


def test_letters_composed_of_base_and_mark(sans: FontBook, latin: Path, dejavu: list[Path]) -> None:
    writer = hand(sans, latin, missing=("compose",))
    with TTFont(dejavu[0]) as font:
        glyphs, names, upem = font["glyf"], font.getBestCmap(), font["head"].unitsPerEm
        wanted = glyphs[names[ord("é")]].yMax * PPEM / upem
    for words in ("é", "e\u0301"):
        ink = write(writer, words, unit="grapheme")
        assert len(ink.boxes) == 1 and not ink.shared[0]
        assert ink.baseline == pytest.approx(wanted, abs=4)
        # The acute is there, apart from the e.
        assert cv2.connectedComponents((ink.mask > 127).astype(np.uint8))[0] == 3
    done = writer.write(text("a’n–a"), np.random.default_rng(0))
    assert done.drawn.text == "a’n–a" and not done.fonts
    boxes = inked(write(writer, "-a–"))
    assert boxes[2][2] - boxes[2][0] > 1.2 * (boxes[0][2] - boxes[0][0])
    # The dot of the i is in an accent's way; there is no tilde in the set; and it may be forbidden.
    assert refusal(writer, "í") == (NO_CLASS, "í")
    assert refusal(writer, "ñ") == (NO_CLASS, "ñ")
    assert refusal(hand(sans, latin, missing=("case",)), "é") == (NO_CLASS, "é")


def test_a_font_draws_what_is_missing(sans: FontBook, latin: Path, dejavu: list[Path]) -> None:
    writer = hand(sans, latin, missing=("font",), fonts=(dejavu[1],))
    done = writer.write(text("kaф"), np.random.default_rng(0))
    assert done.fonts == ["DejaVu Serif Bold"] and [letter.face is None for letter in done.letters] == [
        False,
        True,
        False,
    ]
    ink = writer.draw(done, PPEM, np.random.default_rng(0))
    assert len(ink.boxes) == 3
    # Of the fonts at hand, only one that looks written will do; DejaVu does not.
    assert refusal(hand(sans, latin), "ka") == (NO_CLASS, "k")
    # No face has it.
    assert refusal(writer, "a他") == (NO_CLASS, "他")


def test_a_font_that_looks_written(dejavu: list[Path], latin: Path, tmp_path: Path, own_cache: Path) -> None:
    with TTFont(dejavu[0]) as font:
        font["OS/2"].panose.bFamilyType = 3
        for record in font["name"].names:
            if record.nameID in (1, 4, 16):
                record.string = "Plain Name"
        font.save(tmp_path / "written.ttf")
    book = FontBook(scan([dejavu[1], tmp_path]).faces, Fonts())
    done = hand(book, latin).write(text("ka"), np.random.default_rng(0))
    assert len(done.fonts) == 1 and done.fonts[0].startswith("Plain Name")


def test_right_to_left(sans: FontBook, dejavu: list[Path], tmp_path: Path) -> None:
    writer = hand(sans, store(tmp_path, characters(dejavu[0], "אבגשab13()")))
    ink = write(writer, "אבג")
    lefts = ink.boxes[:, 0].tolist()
    assert lefts == sorted(lefts, reverse=True)
    # Numbers and Latin run the other way within.
    ink = write(writer, "אב 13 ab ש")
    order = np.argsort(ink.boxes[:, 0] + ink.boxes[:, 2]).tolist()
    words = "אב 13 ab ש"
    assert "".join(words[k] for k in order) == "ש ab 13 בא"
    # Brackets open to the other side: the pen draws what Unicode mirrors.
    done = writer.write(text("(א)"), np.random.default_rng(0))
    assert done.drawn.text == "(א)"
    classes = Store(tmp_path / "store").classes
    index = Store(tmp_path / "store").index
    shown = [classes[int(index["class"][writer._origin[letter.images[0]][1]])] for letter in done.letters]
    assert shown == ["(", "א", ")"] and done.letters[0].start == 2


def test_scripts_whose_letters_join(sans: FontBook, dejavu: list[Path], tmp_path: Path) -> None:
    place = store(tmp_path, characters(dejavu[0], "شمسa3"))
    writer = hand(sans, place)
    assert refusal(writer, "شمس") == (NOT_JOINED, "".join(sorted("شمس")))
    assert writer.able("a3")
    writer = hand(sans, place, joined="isolated")
    lefts = write(writer, "شمس").boxes[:, 0].tolist()
    assert lefts == sorted(lefts, reverse=True)


def test_headlines_are_joined(own_cache: Path, tmp_path: Path) -> None:
    """Devanagari, with vowel signs from classes of their own, one of which stands before its letter."""
    words = "कमल किम"
    face = fontset.face_for(words)
    letters = [c for c in "कमलि"]
    found = [
        Character(c, who, drawn(face, c, 30 + 2 * k, slant, bold, frame=64))
        for c in letters
        for who, (slant, bold) in HANDS.items()
        for k in range(2)
    ]
    book = FontBook([face.info], Fonts())
    place = store(tmp_path, found)
    writer = hand(book, place, gap=(0.12, 0.12))
    for seed in range(5):
        ink = write(writer, words, seed)
        count, _, stats, _ = cv2.connectedComponentsWithStats((ink.mask > 60).astype(np.uint8))
        # Two words, each in one piece.
        assert count - 1 == 2, stats
    reference = Reference(book)
    setting = reference.setting("कि")
    assert setting is not None and [(p.start, p.stop) for p in setting.parts] == [(0, 1), (1, 2)]
    assert setting.parts[1].box.left < setting.parts[0].box.left and setting.joins == (True, True)
    code_points = write(writer, "किम", unit="codepoint")
    assert code_points.boxes[1, 0] < code_points.boxes[0, 0] < code_points.boxes[2, 0]
    assert not code_points.shared.any()


def test_marks_that_a_font_draws_as_one(own_cache: Path, tmp_path: Path) -> None:
    """Noto Sans Devanagari has a glyph for े and ं together."""
    words = "में"
    face = next(f for f in fontset.faces_of(words) if f.info.family == "Noto Sans Devanagari")
    found = [Character(c, "ann", drawn(face, c, 30 + 2 * k, frame=64)) for c in "मेंा" for k in range(2)]
    writer = hand(FontBook([face.info], Fonts()), store(tmp_path, found))
    parts = Reference(FontBook([face.info], Fonts())).setting(words)
    assert parts is not None and [(p.start, p.stop) for p in parts.parts] == [(0, 1), (1, 3)]
    ink = write(writer, words, unit="codepoint")
    base, vowel, nasal = ink.boxes
    assert vowel[3] < base[1] + 0.4 * (base[3] - base[1]) and nasal[3] <= vowel[3] + 2 and not ink.shared.any()
    assert not writer.able("मैं")


def test_vowel_signs_on_both_sides(own_cache: Path, tmp_path: Path) -> None:
    """An image of ো lies across no letter: its halves stand beside it, or it is refused."""
    face = next(f for f in fontset.faces_of("লো") if f.info.family.startswith("Noto Sans Bengali"))
    book = FontBook([face.info], Fonts())

    def made(name: str, letters: tuple[str, ...]) -> Path:
        return store(tmp_path / name, [Character(c, "ann", drawn(face, c, 30, frame=64)) for c in letters])

    setting = Reference(book).setting("লো")
    assert setting is not None and [part.around for part in setting.parts] == [False, True]
    whole = hand(book, made("whole", ("ক", "ল", "\u09cb")), missing=("compose",))
    assert refusal(whole, "লো") == (NO_CLASS, "লো")
    halves = hand(book, made("halves", ("ক", "ল", "\u09c7", "\u09be")), missing=("compose",))
    way = halves.write(text("লো"), np.random.default_rng(0)).letters[0].way
    assert way is not None and [halves.classes[piece.kind] for piece in way.pieces] == ["ল", "\u09c7", "\u09be"]
    base, before, after = (piece.box for piece in way.pieces)
    assert before.right < (base.left + base.right) / 2 < after.left
    assert before.left == pytest.approx(setting.parts[1].box.left, abs=0.02)
    assert after.right == pytest.approx(setting.parts[1].box.right, abs=0.02)
    ink = write(halves, "লো")
    assert len(ink.boxes) == 1
    # A sign beside its letter is one part, as it was.
    aside = Reference(book).setting("কি")
    assert aside is not None and not any(part.around for part in aside.parts)


def test_punctuation_of_han_stands_where_fonts_of_han_have_it(
    dejavu: list[Path], own_cache: Path, tmp_path: Path
) -> None:
    """Another script's face that has 。 at the top of the line says nothing of it, as reference or in its stead."""
    han = fontset.face_for("の一。")
    with TTFont(dejavu[0]) as font:
        for table in font["cmap"].tables:
            if table.isUnicode():
                table.cmap[0x3002] = table.cmap[0xB0]
        for record in font["name"].names:
            if record.nameID in (1, 4, 16):
                record.string = "Noto Sans Other"
        font.save(tmp_path / "other.ttf")
    other = scan([tmp_path / "other.ttf"]).faces[0]
    book = FontBook([other, han.info], Fonts())
    found = Reference(book).setting("。")
    assert found is not None and found == Reference(FontBook([han.info], Fonts())).setting("。")
    letters = store(tmp_path, [Character(c, "ann", drawn(han, c, 30, frame=64)) for c in "の一"])
    ink = write(hand(book, letters, fonts=(tmp_path / "other.ttf",)), "の。")
    _, top, _, bottom = inked(ink)[1]
    middle = (found.box.top + found.box.bottom) / 2 * PPEM
    assert (top + bottom) / 2 - ink.baseline == pytest.approx(middle, abs=1.5)
    # Without such a font, any that has it.
    assert Reference(FontBook([other], Fonts())).setting("。") is not None


def test_letters_of_one_shape(sans: FontBook) -> None:
    reference = Reference(sans)
    assert [c for c in "abcdefghijklmnopqrstuvwxyz" if reference.alike(c, c.upper())] == list("cosvwxz")


# -- the stream -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "words.txt"
    path.write_text("noise piano\nchange, again\nVanish - paint\nGlass (box) 33\n", encoding="utf-8")
    return path


def stream(corpus: Path, latin: Path, dejavu: list[Path], *overrides: str, recipe: str = "handwriting") -> Pipeline:
    return Pipeline(
        Recipe.load(
            recipe,
            corpus=corpus,
            fonts={"paths": [str(path) for path in dejavu]},
            handwriting={"chars": [str(latin)]},
            overrides=["output.polygons=true", *overrides],
        )
    )


def test_samples_are_what_their_index_says(corpus: Path, latin: Path, dejavu: list[Path]) -> None:
    pipeline = stream(corpus, latin, dejavu)
    together = pipeline.samples(range(40))
    again = pickle.loads(pickle.dumps(pipeline))
    for k in (0, 7, 39):
        alone = again.sample(k)
        assert alone.encoded == together[k].encoded and alone.text == together[k].text
        assert np.array_equal(alone.polygons, together[k].polygons)
    for sample in together:
        assert "".join(sample.units) == sample.text and len(sample.polygons) == len(sample.units)
        assert sample.meta["font"] == "handwriting store" and sample.meta["writer"] in HANDS
        assert not set(sample.text) & set("kdGB") or sample.meta["fallback"]
    assert len({sample.text for sample in together}) > 8
    assert sum(sample.meta.get("plain", False) for sample in together) <= 2


def test_mixed_with_fonts_by_weight(corpus: Path, latin: Path, dejavu: list[Path]) -> None:
    pipeline = stream(corpus, latin, dejavu, "handwriting.weight=0.3")
    by_hand = sum("writer" in sample.meta for sample in pipeline.samples(range(200)))
    assert 35 < by_hand < 85
    assert not any("writer" in s.meta for s in stream(corpus, latin, dejavu, "handwriting.weight=0").samples(range(20)))


def test_recipes_without_handwriting_are_what_they_were(corpus: Path, latin: Path, dejavu: list[Path]) -> None:
    plain = Recipe.load("scene", corpus=corpus, fonts={"paths": [str(path) for path in dejavu]})
    other = stream(corpus, latin, dejavu, "handwriting.weight=0", "output.polygons=false", recipe="scene")
    assert [s.encoded for s in Pipeline(plain).samples(range(12))] == [s.encoded for s in other.samples(range(12))]


def test_what_cannot_be_written_is_refused_and_counted(corpus: Path, latin: Path, dejavu: list[Path]) -> None:
    pipeline = stream(
        corpus, latin, dejavu, "handwriting.missing=[]", "corpus.template_share=0", "corpus.case={as_is: 1}"
    )
    samples = pipeline.samples(range(30))
    refused = [refusal for sample in samples for refusal in sample.refusals if refusal[0] == NO_CLASS]
    assert refused and set("".join(characters for _, characters in refused)) <= set("Gr)dBk")
    assert not any(set(sample.text) & set("Gr)") for sample in samples)


def test_nothing_can_be_written(latin: Path, dejavu: list[Path], tmp_path: Path) -> None:
    (tmp_path / "ru.txt").write_text("ёжик\nкот\n", encoding="utf-8")
    with pytest.raises(ScriptoriumError, match="no text of the corpus can be written: the character sets have no"):
        stream(tmp_path / "ru.txt", latin, dejavu, "corpus.template_share=0").sample(0)
    (tmp_path / "ar.txt").write_text("شمس\n", encoding="utf-8")
    place = store(tmp_path, characters(dejavu[0], "شمس"))
    with pytest.raises(ScriptoriumError, match="should join with their neighbours") as error:
        stream(tmp_path / "ar.txt", place, dejavu, "corpus.template_share=0").sample(0)
    assert "handwriting.joined=isolated" in str(error.value)
    sample = stream(
        tmp_path / "ar.txt", place, dejavu, "corpus.template_share=0", "handwriting.joined=isolated"
    ).sample(0)
    assert sample.text == "شمس"


def test_texts_that_fonts_would_draw_alone_are_refused(
    latin: Path, sans: FontBook, dejavu: list[Path], tmp_path: Path
) -> None:
    writer = hand(sans, latin, missing=("font",), fonts=(dejavu[1],))
    assert refusal(writer, "908") == (NONE_WRITTEN, "")
    assert writer.lacking("908") == (NONE_WRITTEN, "")
    assert writer.lacking("a908") == ("", "")
    (tmp_path / "numbers.txt").write_text("908\n", encoding="utf-8")
    pipeline = stream(
        tmp_path / "numbers.txt", latin, dejavu, "corpus.template_share=0", "handwriting.missing=[font]",
        f"handwriting.fonts=['{dejavu[1]}']",
    )  # fmt: skip
    with pytest.raises(ScriptoriumError, match="has a letter of the character sets"):
        pipeline.sample(0)


def test_joined_letters_are_named_where_next_to_no_text_can_be_stitched(dejavu: list[Path], tmp_path: Path) -> None:
    (tmp_path / "ar.txt").write_text("شمس\n" * 150 + "321\n", encoding="utf-8")
    place = store(tmp_path, characters(dejavu[0], "شمس123"))
    pipeline = stream(tmp_path / "ar.txt", place, dejavu, "corpus.template_share=0", "corpus.piece=line")
    assert pipeline.hand is not None
    with pytest.raises(ScriptoriumError, match=r"handwriting\.joined=isolated"):
        pipeline.samples(range(40))


def test_planned_texts_keep_their_case(latin: Path, dejavu: list[Path], corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "units.txt").write_text("\n".join("abceghilmnopqstuxzVA3") + "\n", encoding="utf-8")
    pipeline = Pipeline(
        Recipe.load(
            "clean",
            corpus=corpus,
            charset=tmp_path / "units.txt",
            fonts={"paths": [str(path) for path in dejavu]},
            handwriting={"chars": [str(latin)]},
            overrides=["corpus.min_per_unit=2", "corpus.piece=word"],
        )
    )
    assert pipeline.plan is not None
    texts = [pipeline.first_text(k).text for k in range(len(pipeline.plan))]
    assert [sample.text for sample in pipeline.samples(range(len(texts)))] == texts
    assert all(Counter("".join(texts))[letter] >= 2 for letter in "chpV")
    assert "G" not in "".join(texts)


def test_commands(corpus: Path, latin: Path, dejavu: list[Path], synth, tmp_path: Path) -> None:
    common = ("--corpus", corpus, "--fonts", dejavu[0], "--recipe", "handwriting")
    done = synth(
        "generate", *common, "--ink", "handwriting", "--chars", latin, "--output", tmp_path / "d", "--count", 40
    )
    assert done.code == 0, done.err
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())
    assert manifest["inputs"]["handwriting"] == [{"name": "store", "sha256": Store(latin).digest}]
    assert synth("verify", tmp_path / "d").code == 0
    assert synth("report", tmp_path / "d").code == 0
    again = synth("generate", "--recipe", tmp_path / "d" / "recipe.yaml", "--output", tmp_path / "e", "--count", 40)
    assert again.code == 0, again.err
    digests = [json.loads((tmp_path / x / "manifest.json").read_text())["shards"][0]["digest"] for x in "de"]
    assert digests[0] == digests[1]
    assert "--chars DIR" in synth("preview", *common, "--ink", "handwriting", "--output", tmp_path / "p").error
    error = synth("preview", *common, "--chars", tmp_path / "gone", "--output", tmp_path / "p").error
    assert "there is no such folder" in error and "synth handwriting import" in error
    done = synth("preview", *common, "--chars", latin, "--output", tmp_path / "p", "--count", 6)
    assert done.code == 0 and (tmp_path / "p.png").exists()
