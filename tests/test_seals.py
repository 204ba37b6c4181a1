"""Seals and stamps: what is printed where, the pipeline, and the stamp as a pixel operation."""

from __future__ import annotations

import math

import cv2
import fontset
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.pixel import PixelOpError, known_ops, parse_ops
from synth.pipeline import Pipeline
from synth.recipe import Recipe, RecipeError, SealLine
from synth.render.curve import Page, Prints, TooLong, lay_line, move_along, straighten
from synth.render.outline import OutlineCache
from synth.render.seal import make_seal
from synth.render.shape import shape_line

RED, BLUE = (40.0, 30.0, 205.0), (190.0, 70.0, 30.0)


def line_of(text: str):
    face = fontset.face_for(text)
    runs = shape_line(text, [(face, 0, len(text))])
    cache = OutlineCache()
    return lambda spacing: lay_line(runs, cache, spacing=spacing)


def seal_of(text: str, seed: int = 0, other: str = "", **config):
    values = {"p": 1.0, "unwrap": False, "twice": 0.0, "over": 0.0, **config}
    further = line_of(other)(0.0) if other else None
    return make_seal(SealLine(**values), line_of(text), lambda: further, np.random.default_rng(seed))


def drawn(seal, text: str, ppem: int = 30):
    return move_along(seal.laid, seal.path, list(text)).drawn(ppem, seal.prints)


# -- what is printed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["round", "oval"])
@pytest.mark.parametrize("valley", [0.0, 1.0])
@pytest.mark.parametrize("text", ["REGISTERED", "مكتب البريد", "国家图书馆印章"])
def test_a_ring_text_is_on_its_ring_upright_at_the_top_or_at_the_bottom(shape, valley, text):
    for seed in range(6):
        seal = seal_of(text, seed, shapes={shape: 1.0}, valley=valley, double=0.0, border=1.0, star=0.0, lines=(0, 0))
        x, y, angle = seal.path.at(np.linspace(0, seal.laid.length, 50))
        # The centre is at the origin, as that of the border is.
        corners = seal.prints.corners
        assert np.abs(corners.max(0) + corners.min(0)).max() < 1e-6
        ratio = float(np.ptp(corners[:, 0]) / np.ptp(corners[:, 1]))
        if shape == "round":
            assert np.ptp(np.hypot(x, y)) < 0.02 and ratio == pytest.approx(1, abs=0.01)
        else:
            assert 1.05 < ratio < 1.6
        middle = (len(x) - 1) // 2
        assert (y[middle] > 0) == bool(valley) and abs(angle[middle]) < 0.1 and x[0] < x[-1]
        # All of the text lies within the border, and no letter on another's place.
        points = move_along(seal.laid, seal.path, list(text)).shapes.points
        size = corners.max(0)
        assert (np.hypot(*(points / size).T) < 1).all()


@given(st.integers(0, 10_000), st.sampled_from(["A", "Post office", "A rather long name of an authority"]))
def test_ring_texts_never_meet_themselves(seed, text):
    try:
        seal = seal_of(text, seed, shapes={"round": 0.5, "oval": 0.5}, smallest=0.3)
    except TooLong:
        return
    assert not seal.path.crosses() and seal.path.tightest > seal.laid.height / 2
    x, y, _ = seal.path.at(np.array((0.0, seal.laid.length)))
    # Between the end and the beginning some room is left.
    assert seal.laid.length < 1 or math.hypot(x[1] - x[0], y[1] - y[0]) > 0.5


def test_short_texts_are_spaced_out_and_long_ones_refused():
    natural = line_of("LONDON")(0.0).length
    wide = seal_of("LONDON", shapes={"round": 1.0}, radius=(3.0, 3.0), spread=(0.6, 0.6)).laid
    assert wide.length > 1.2 * natural
    arabic = line_of("لندن")(0.0).length
    assert seal_of("لندن", shapes={"round": 1.0}, spread=(0.8, 0.8)).laid.length == pytest.approx(arabic)
    text = "far too many words for such a small stamp"
    seal_of(text, shapes={"round": 1.0}, radius=(2.2, 2.2), smallest=0.2)
    with pytest.raises(TooLong):
        seal_of(text, shapes={"round": 1.0}, radius=(2.2, 2.2), smallest=0.9)


def test_star_lines_opposite_text_and_borders():
    def printed(**config):
        values = {"border": 0.0, "double": 0.0, "star": 0.0, "lines": (0, 0), "opposite": 0.0, **config}
        seal = seal_of("SEAL", other="Office", shapes={"round": 1.0}, radius=(4.0, 4.0), spread=(0.2, 0.2), **values)
        return drawn(seal, "SEAL")

    def ink(made) -> int:
        return int((made.stamp.mask > 128).sum())

    none = ink(printed())
    for config in ({"border": 1.0}, {"star": 1.0}, {"lines": (1, 1)}, {"opposite": 1.0}):
        assert ink(printed(**config)) > none + 150, config
    assert ink(printed(border=1.0, double=1.0)) > ink(printed(border=1.0))
    assert ink(printed(lines=(2, 2))) > ink(printed(lines=(1, 1)))


def test_nothing_else_is_printed_over_the_text():
    for seed in range(40):
        seal = seal_of("Harbour 12", seed, other="master", opposite=1.0)
        made = drawn(seal, "Harbour 12")
        stamp = made.stamp.mask[made.stamp.pad : -made.stamp.pad, made.stamp.pad : -made.stamp.pad]
        assert stamp.shape == made.mask.shape
        assert not cv2.bitwise_and((made.mask > 64).astype(np.uint8), (stamp > 64).astype(np.uint8)).any()


def test_the_mask_has_room_for_all_of_the_stamp():
    for seed in range(20):
        seal = seal_of("Harbour 12", seed, other="master")
        made = drawn(seal, "Harbour 12")
        x, y, w, h = cv2.boundingRect(cv2.max(made.stamp.mask[30:-30, 30:-30], made.mask))
        height, width = made.mask.shape
        assert max(x, y, width - x - w, height - y - h) <= 1


def test_straightened_borders_are_where_they_were():
    """A ring's border at a distance from the text becomes a bar at that distance."""
    for valley in (0.0, 1.0):
        config = {
            "shapes": {"round": 1.0},
            "double": 0.0,
            "border": 1.0,
            "star": 0.0,
            "lines": (0, 0),
            "valley": valley,
        }
        whole = seal_of("REGISTERED", 3, unwrap=False, opposite=0.0, **config)
        strip = seal_of("REGISTERED", 3, unwrap=True, **config)
        [(_, top, _, bottom)] = strip.prints.bars
        x, y, _ = strip.path.at(np.array(0.0))
        radius = math.hypot(x, y)
        outer = whole.prints.corners[:, 0].max()
        assert max(abs(top), abs(bottom)) == pytest.approx(outer - radius, abs=0.01)
        assert (top > 0) == bool(valley)  # below a text that stands on the ring's bottom, above all others
        ink = straighten(strip.laid, strip.path, list("REGISTERED"), 0.0, np.random.default_rng(0)).drawn(
            40, strip.prints
        )
        rows = np.flatnonzero(ink.stamp.mask[:, ink.stamp.mask.shape[1] // 2] > 128) - ink.stamp.pad
        if len(rows):  # within the room that is kept
            assert (rows.min() >= ink.mask.shape[0]) if valley else (rows.max() < 0)


@given(*[st.floats(-1, 6)] * 4)
def test_bars_cover_what_they_cover_of_each_pixel(a, b, c, d):
    x0, x1, y0, y1 = min(a, b), max(a, b), min(c, d), max(c, d)
    mask = np.zeros((60, 80), np.uint8)
    made = Prints(None, [(x0, y0, x1, y1)], None, None, RED).drawn(mask, 15, np.array((-5, 3)), 0, None).mask
    columns, rows = np.arange(80), np.arange(60)
    across = np.clip(np.minimum(x1 * 15 + 5, columns + 1) - np.maximum(x0 * 15 + 5, columns), 0, 1)
    down = np.clip(np.minimum(y1 * 15 - 3, rows + 1) - np.maximum(y0 * 15 - 3, rows), 0, 1)
    assert np.abs(made - 255 * down[:, None] * across).max() <= 1.01


def test_a_second_impression_is_paler_and_beside_the_first():
    seal = seal_of("SEAL", 1, twice=0.0)
    once = drawn(seal, "SEAL")
    seal.prints.double = (0.2, 0.1)
    twice = drawn(seal, "SEAL")
    more = twice.stamp.mask.astype(int) - once.stamp.mask
    assert more.min() >= 0 and 100 < more.max() < 160
    shifted = np.roll(cv2.max(once.stamp.mask, np.pad(once.mask, once.stamp.pad)), (3, 6), (0, 1))
    assert np.abs(np.maximum(shifted * 0.55, once.stamp.mask) - twice.stamp.mask).mean() < 2


@pytest.mark.parametrize("straight", [True, False])
def test_print_behind_a_stamp_repeats_a_text(straight):
    lay = line_of("behind")
    row = move_along(lay(0.0), seal_of("x", shapes={"square": 1.0}).path, list("behind")).shapes.placed(1.0, 0.0, 0.6)
    page = Page(row, 5.0, 2.0, 0.0, (0.3, 0.2))
    path = None if straight else seal_of("REGISTERED", shapes={"round": 1.0}).path
    mask = np.zeros((160, 400), np.uint8)
    under = Prints(None, [], page, None, RED).drawn(mask, 20, np.array((0, 0)), 0, path).under
    assert under.shape == mask.shape and (under > 128).mean() > 0.02
    if straight:
        assert np.abs(under[:-40].astype(int) - under[40:]).max() <= 2  # two em down
        assert np.abs(under[:, :-100].astype(int) - under[:, 100:]).max() <= 2  # five em along


# -- the pipeline ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "en.txt"
    path.write_text("Harbour master\nlighthouse\nfish and chips\nPost office 12\nx\n", encoding="utf-8")
    return path


def pipeline(corpus, dejavu, preset="seal", overrides=(), **seal):
    return Pipeline(
        Recipe.load(
            preset,
            corpus=corpus,
            overrides=["corpus.piece=line", *overrides],
            fonts={"paths": [str(path) for path in dejavu]},
            layout={"seal": {"p": 1.0, **seal}},
            output={"encoding": "png", "polygons": True},
        )
    )


def test_samples_are_the_same_alone_and_in_company(own_cache, corpus, dejavu):
    together = pipeline(corpus, dejavu).samples(range(20))
    for index in (0, 7, 19):
        alone = pipeline(corpus, dejavu).sample(index)
        assert np.array_equal(alone.image, together[index].image) and alone.text == together[index].text
        assert np.array_equal(alone.polygons, together[index].polygons)


def test_by_default_a_sample_is_the_ring_text_straightened(own_cache, corpus, dejavu):
    texts = set()
    for sample in pipeline(corpus, dejavu).samples(range(40)):
        assert sample.image.shape[0] == 32 and "polygon" not in sample.meta
        assert len(sample.units) == 1 or "plain" in sample.meta or sample.meta["seal"] is True
        assert (np.diff(sample.polygons.mean(1)[:, 0]) > 0).all() and not sample.shared.any()  # no ligatures either
        texts.add(sample.text.lower())
    assert {"harbour master", "lighthouse", "fish and chips"} <= texts


@pytest.mark.parametrize("unwrap", [True, False])
def test_ink_of_the_label_lies_in_its_polygons(own_cache, corpus, dejavu, unwrap):
    """With a stamp of text alone, printed flatly, all that is dark is in a polygon."""
    options = {"border": 0.0, "star": 0.0, "lines": [0, 0], "opposite": 0.0, "twice": 0.0, "over": 0.0}
    shapes = {"round": 1.0} if unwrap else {"square": 1.0}
    flat = [
        "layout.height=96",
        "background.kinds={flat: 1}",
        "layout.margin_x=[0.1, 0.2]",
        "layout.margin_y=[0.1, 0.2]",
    ]
    made = pipeline(corpus, dejavu, "clean", flat, unwrap=unwrap, shapes=shapes, **options)
    for sample in made.samples(range(20)):
        grey = cv2.cvtColor(sample.image, cv2.COLOR_BGR2GRAY)
        dark = (grey < int(grey.max()) - 30).astype(np.uint8)
        region = np.zeros(dark.shape, np.uint8)
        for polygon in sample.polygons:
            cv2.fillConvexPoly(region, np.round(polygon * 16).astype(np.int32), 1, cv2.LINE_8, 4)
        assert not dark[cv2.dilate(region, np.ones((3, 3), np.uint8)) == 0].any()
        assert not np.concatenate((dark[0], dark[-1], dark[:, 0], dark[:, -1])).any()


def test_whole_seals_are_seen_whole(own_cache, corpus, dejavu):
    options = {"border": 1.0, "over": 0.0, "shapes": {"round": 1.0}, "unwrap": False, "twice": 0.0}
    flat = [
        "layout.height=128",
        "background.kinds={flat: 1}",
        "layout.margin_x=[0.1, 0.2]",
        "layout.margin_y=[0.1, 0.2]",
    ]
    for sample in pipeline(corpus, dejavu, "clean", flat, **options).samples(range(16)):
        if "seal" not in sample.meta:
            continue
        height, width = sample.image.shape[:2]
        outline = np.array(sample.meta["polygon"])
        assert outline.shape == (32, 2) and outline.min() > 0 and (outline < (width, height)).all()
        grey = cv2.cvtColor(sample.image, cv2.COLOR_BGR2GRAY)
        dark = (grey < int(grey.max()) - 30).astype(np.uint8)
        assert not np.concatenate((dark[0], dark[-1], dark[:, 0], dark[:, -1])).any()
        # The border is around the text.
        x, y, w, _ = cv2.boundingRect(dark)
        assert (x < outline[:, 0].min() and y < outline[:, 1].min()) or w > np.ptp(outline[:, 0])


@pytest.mark.parametrize(("colour", "channel"), [("red", 2), ("blue", 0)])
def test_ink_has_the_stamps_colour(own_cache, corpus, dejavu, colour, channel):
    made = pipeline(corpus, dejavu, "clean", ["background.kinds={flat: 1}"], colours={colour: 1.0}, over=0.0)
    for sample in made.samples(range(10)):
        if "seal" not in sample.meta:
            continue
        grey = cv2.cvtColor(sample.image, cv2.COLOR_BGR2GRAY)
        ink = sample.image[grey < (int(grey.min()) + 40)].astype(int)
        assert (ink.argmax(1) == channel).mean() > 0.9 or ink.max() < 30


def test_over_print_there_is_other_ink_under_the_label(own_cache, corpus, dejavu):
    flat = ["background.kinds={flat: 1}", "layout.height=64"]
    kept = {"border": 0.0, "lines": [0, 0], "twice": 0.0, "colours": {"red": 1.0}, "shapes": {"round": 1.0}}
    grey = {}
    for over in (0.0, 1.0):
        found = 0
        for sample in pipeline(corpus, dejavu, "clean", flat, over=over, **kept).samples(range(16)):
            image = sample.image.astype(int)
            found += int(((np.ptp(image, axis=2) < 12) & (image.max(2) < image.max() - 50)).sum())
        grey[over] = found
    assert grey[1.0] > 3 * grey[0.0] + 200


def test_too_long_texts_are_refused_and_counted(own_cache, tmp_path, dejavu):
    corpus = tmp_path / "long.txt"
    corpus.write_text("abc\n" + "the office for all that is much too long\n" * 3, encoding="utf-8")
    made = pipeline(
        *(corpus, dejavu, "seal", ["corpus.length=[1, 60]"]), radius=[2.2, 2.2], smallest=0.95, shapes={"round": 1.0}
    )
    assert "text longer than its curve" in {reason for s in made.samples(range(12)) for reason, _ in s.refusals}


def test_seals_and_curves_share_a_data_set(own_cache, corpus, dejavu):
    recipe = pipeline(corpus, dejavu, p=0.5).recipe.with_keys("layout", curve={"p": 0.6})
    kinds = [("seal" in s.meta, "curved" in s.meta) for s in Pipeline(recipe).samples(range(60)) if len(s.units) > 1]
    assert all(kinds.count(kind) > 4 for kind in ((True, False), (False, True), (False, False)))


@pytest.mark.parametrize(
    ("seal", "told"),
    [
        ({"p": -1}, "layout.seal.p"),
        ({"shapes": {"triangle": 1}}, "layout.seal.shapes.triangle: unknown key"),
        ({"shapes": {"round": 0}}, "layout.seal: shapes: none has a weight above zero"),
        ({"colours": {}}, "layout.seal: colours: none has a weight above zero"),
        ({"smallest": 0}, "layout.seal.smallest"),
        ({"lines": [2, 1]}, "layout.seal.lines"),
        ({"ring": 1}, "layout.seal.ring: unknown key"),
    ],
)
def test_wrong_keys_are_named(corpus, seal, told):
    with pytest.raises(RecipeError) as caught:
        Recipe.load("clean", corpus=corpus, layout={"seal": seal})
    assert told in str(caught.value) and "\n" not in str(caught.value)


# -- a stamp over ordinary lines ---------------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.integers(8, 90), st.integers(8, 300), st.booleans())
def test_a_stamp_darkens_and_nothing_else(seed, height, width, box):
    [op] = parse_ops({"stamp": {"box": float(box)}})
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    before = image.copy()
    made = op.apply(image, np.random.default_rng(seed))
    assert made.shape == image.shape and made.dtype == np.uint8 and np.array_equal(image, before)
    assert (made <= image).all()
    assert np.array_equal(made, op.apply(image, np.random.default_rng(seed)))


def test_a_stamp_covers_a_part_in_one_of_its_colours():
    [op] = parse_ops({"stamp": {"opacity": [0.7, 0.7], "worn": [0.0, 0.0]}})
    white = np.full((48, 240, 3), 255, np.uint8)
    shares, colours = [], set()
    for seed in range(60):
        lost = 255 - op.apply(white, np.random.default_rng(seed)).astype(int)
        shares.append((lost.max(2) > 20).mean())
        if lost.max() > 60:
            colours.add(int(lost[np.unravel_index(lost.sum(2).argmax(), lost.shape[:2])].argmin()))
    assert 0.02 < np.mean(shares) < 0.4 and max(shares) < 0.8
    assert {0, 2} <= colours  # blue keeps most of blue, red of red


def test_worn_stamps_lack_ink():
    white = np.full((64, 256, 3), 255, np.uint8)
    ink = []
    for worn in (0.0, 0.5, 1.0):
        [op] = parse_ops({"stamp": {"worn": [worn, worn], "opacity": [0.7, 0.7]}})
        ink.append(sum(int((255 - op.apply(white, np.random.default_rng(s)).astype(int)).sum()) for s in range(20)))
    assert ink[0] > 1.3 * ink[1] > 1.3 * ink[2]


def test_stamped_lines_stay_legible(own_cache, corpus, dejavu):
    """What a stamp makes illegible is refused, and counted."""
    recipe = Recipe.load(
        *("clean",),
        corpus=corpus,
        overrides=["corpus.piece=line", "degrade.stamp={p: 1.0, opacity: [0.9, 1.0], size: [0.4, 0.8], worn: [0, 0]}"],
        fonts={"paths": [str(path) for path in dejavu]},
        legibility={"ratio": 1.5},
    )
    reasons = [reason for sample in Pipeline(recipe).samples(range(60)) for reason, _ in sample.refusals]
    assert "noise over the floor" in reasons


def test_the_stamp_is_known_and_strict():
    assert "stamp" in known_ops()
    with pytest.raises(PixelOpError, match=r"stamp\.colour: no such parameter"):
        parse_ops({"stamp": {"colour": "red"}})
