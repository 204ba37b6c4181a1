from __future__ import annotations

import io
import json
import os
import pickle
import random
import string
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from font_maker import font_bytes, make_font, save_font
from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTCollection, TTFont, newTable
from fontTools.ttLib.tables._c_m_a_p import CmapSubtable
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.errors import ScriptoriumError
from synth.fonts import index
from synth.fonts.index import FaceInfo, FontIndex, scan, sfnt_path

PLAIN_NAMES = {char: char for char in string.ascii_letters} | dict(zip("0123456789", index._DIGITS, strict=True))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCRIPTORIUM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "fonts"
    folder.mkdir()
    return folder


def only(found: FontIndex) -> FaceInfo:
    assert [reason for _, reason in found.rejected] == []
    (face,) = found.faces
    return face


def reason(path: Path) -> str:
    """Why a font is not used, in a folder with one that is."""
    save_font(path.parent / "good.ttf", "ΩΨ", family="Good")
    found = scan([path.parent])
    assert [face.family for face in found.faces] == ["Good"]
    ((where, why),) = found.rejected
    assert where == path
    with pytest.raises(ScriptoriumError, match=path.name):
        scan([path])
    return why


# --- what a face is ---


@pytest.mark.parametrize("cff", [False, True])
def test_describes_a_face(here: Path, cff: bool) -> None:
    path = save_font(here / "a.ttf", "ABC b", family="Some Family", style="Bold", cff=cff, weight=700)
    face = only(scan([path]))
    assert (face.family, face.style, face.weight, face.upem) == ("Some Family", "Bold", 700, 1000)
    assert (face.kind, face.number, face.path) == ("CFF" if cff else "glyf", 0, path)
    assert not face.italic and not face.monospaced and not face.compressed
    assert face.ranges == ((0x20, 0x20), (0x41, 0x43), (0x62, 0x62))
    assert sfnt_path(face) == path


def test_slant_and_pitch(here: Path) -> None:
    for number, change in enumerate(("post", "os2", "mono")):
        font = make_font("AB", family=change)
        if change == "post":
            font["post"].italicAngle = -12
        elif change == "os2":
            font["OS/2"].fsSelection = 1
        else:
            font["post"].isFixedPitch = 1
        (here / f"{number}.ttf").write_bytes(font_bytes(font))
    assert {face.family: (face.italic, face.monospaced) for face in scan([here]).faces} == {
        "post": (True, False),
        "os2": (True, False),
        "mono": (False, True),
    }


def test_scripts_of_gsub_and_gpos(here: Path) -> None:
    font = make_font({"A": "A", "B": "B", "C": "C"})
    addOpenTypeFeaturesFromString(
        font,
        "feature liga { script latn; sub A B by C; script dev2; sub B A by C; } liga;"
        "feature kern { script grek; pos A B -20; } kern;",
    )
    (here / "a.ttf").write_bytes(font_bytes(font))
    assert only(scan([here])).scripts == {"latn", "dev2", "grek"}


def test_variable_font(here: Path) -> None:
    from fontTools.fontBuilder import FontBuilder

    font = make_font("AB")
    builder = FontBuilder(font=font)
    builder.setupFvar(
        [("wght", 100, 400, 900, "Weight"), ("wdth", 75, 100, 125, "Width")],
        [{"location": {"wght": 700, "wdth": 90}, "stylename": "Bold Narrow"}],
    )
    builder.setupGvar({})
    (here / "a.ttf").write_bytes(font_bytes(font))
    face = only(scan([here]))
    assert face.axes == (("wght", 100, 400, 900), ("wdth", 75, 100, 125))
    assert face.instances == (("Bold Narrow", (700, 90)),)
    again = only(scan([here]))
    assert (again.axes, again.instances, again.axes[0].default) == (face.axes, face.instances, 400)


@settings(deadline=None, max_examples=50)
@given(st.sets(st.integers(0x20, 0x10FFFF), min_size=1, max_size=60), st.integers(0, 0x110000))
def test_covers_is_membership(points: set[int], probe: int) -> None:
    import numpy as np

    face = FaceInfo("d", 0, Path("x"), "", "", 400, False, False, 1000, "glyf", False, (), (), frozenset(), "")
    face = FaceInfo(**{**face.__getstate__(), "spans": index._spans(np.array(sorted(points)))})
    assert face.coverage == points
    near = {point + step for point in points for step in (-1, 0, 1)}
    assert all(face.covers(point) == (point in points) for point in near | {probe})
    copy = pickle.loads(pickle.dumps(face))
    assert copy == face and copy.coverage == points and copy.spans == face.spans


def test_pickle_leaves_the_coverage_set_out(here: Path) -> None:
    face = only(scan([save_font(here / "a.ttf", [chr(point) for point in range(0x4E00, 0x5200)])]))
    assert len(face.coverage) == 1024
    assert len(pickle.dumps(face)) < 1000


def test_agrees_with_fonttools_on_real_fonts(here: Path) -> None:
    spec = find_spec("matplotlib")
    assert spec and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"
    found = {face.path.name: face for face in scan([folder]).faces}
    for name in ("DejaVuSans.ttf", "DejaVuSerif-Italic.ttf", "STIXGeneral.ttf"):
        font = TTFont(folder / name)
        glyphs, due = font["glyf"], {}
        for point, glyph in font.getBestCmap().items():
            due[point] = glyphs[glyph].numberOfContours != 0 or not index._ink_due(point)
        wrong = found[name].coverage ^ {point for point, covered in due.items() if covered}
        assert len(wrong) <= 2, [hex(point) for point in wrong]  # STIX lets one glyph stand for two dashes
    rejected = {path.name: why for path, why in scan([folder]).rejected}
    assert "contradict" in rejected["cmex10.ttf"] and "contradict" in rejected["cmsy10.ttf"]
    assert "placeholder" in rejected["LastResortHE-Regular.ttf"]
    computer_modern = found["cmr10.ttf"]
    assert all(computer_modern.covers(ord(char)) for char in string.ascii_letters + string.digits)
    assert not any(computer_modern.covers(ord(char)) for char in '"<>\\_{|}')  # other signs lie there


# --- what counts as covered ---


@pytest.mark.parametrize("cff", [False, True])
def test_blank_glyphs_do_not_cover(here: Path, cff: bool) -> None:
    blank = "B्​ ­⠀"  # a letter; and virama, spaces, soft hyphen, Braille blank, which need no ink
    face = only(scan([save_font(here / "a.ttf", "AC" + blank, empty=blank, cff=cff)]))
    assert {chr(point) for point in face.coverage} == set("AC" + blank) - {"B"}


def test_blank_glyph_that_gsub_gives_ink(here: Path) -> None:
    font = make_font({"A": "A", "B": "B", "C": "C", "D": "D"}, empty="BC")
    addOpenTypeFeaturesFromString(font, "feature ccmp { sub B by A; } ccmp;")
    (here / "a.ttf").write_bytes(font_bytes(font))
    assert {chr(point) for point in only(scan([here])).coverage} == set("ABD")


def test_code_points_without_a_glyph(here: Path) -> None:
    face = only(scan([save_font(here / "a.ttf", {"A": "A", "B": ".notdef", "C": "C"})]))
    assert {chr(point) for point in face.coverage} == set("AC")


def test_capitals_in_place_of_small_letters(here: Path) -> None:
    face = only(scan([save_font(here / "a.ttf", {"A": "A", "a": "A", "B": "B", "b": "b", "C": "C", "c": "c"})]))
    assert {chr(point) for point in face.coverage} == set("ABCbc")


def test_names_that_mean_the_same(here: Path) -> None:
    names = {"-": "uni00AD", ";": "uni037E", "A": "A.alt", "B": "Bswash", "3": "threeoldstyle", "4": "digitfour"}
    assert {chr(point) for point in only(scan([save_font(here / "a.ttf", names)])).coverage} == set(names)


# --- what is refused ---


def test_broken_and_empty_files(here: Path) -> None:
    (here / "empty.ttf").touch()
    (here / "text.otf").write_text("no font")
    (here / "web.woff2").write_bytes(b"wOF2" + bytes(60))
    (here / "pack.ttc").write_bytes(b"ttcf" + bytes([0, 1, 0, 0]) + b"\xff" * 40)
    (here / "head.ttf").write_bytes(b"\0\1\0\0")
    found = {path.name: why for path, why in scan([save_font(here / "good.ttf").parent]).rejected}
    assert found.keys() == {"empty.ttf", "text.otf", "web.woff2", "pack.ttc", "head.ttf"}
    assert found.pop("empty.ttf") == "empty file"
    assert all(why.startswith("broken") and "\n" not in why for why in found.values())


def test_hostile_files_never_crash(here: Path) -> None:
    chance = random.Random(7)
    whole = [font_bytes(make_font("ABCabc", cff=cff)) for cff in (False, True)]
    for number in range(120):
        data = bytearray(whole[number % 2])
        if number % 3 == 0:
            del data[chance.randrange(len(data)) :]
        for _ in range(chance.randrange(1, 30)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        (here / f"{number:03}.ttf").write_bytes(data)
    found = scan([save_font(here / "good.ttf", family="Good").parent])
    assert any(face.family == "Good" for face in found.faces)
    assert found.rejected


@pytest.mark.parametrize("cff", [False, True])
def test_files_that_are_cut_short(here: Path, cff: bool) -> None:
    whole = font_bytes(make_font(string.ascii_letters, cff=cff))
    path = here / "cut.ttf"
    for size in (len(whole) // 2, len(whole) - 8):  # tables are padded to four bytes
        path.write_bytes(whole[:size])
        assert reason(path).startswith("broken: cut short: ")


def test_one_face_of_a_collection_that_is_cut_short(here: Path) -> None:
    pack = TTCollection()
    pack.fonts = [make_font("AB", family="First"), make_font(string.ascii_letters, family="Second")]
    out = io.BytesIO()
    pack.save(out, shareTables=False)
    (here / "pack.ttc").write_bytes(out.getvalue()[:-8])
    found = scan([here])
    assert [face.family for face in found.faces] == ["First"]
    assert [why.partition(" goes ")[0][:27] for _, why in found.rejected] == ["face 1: broken: cut short: "]


def test_outlines_that_the_table_does_not_hold(here: Path) -> None:
    data = bytearray(font_bytes(make_font("ABCD")))
    for at in range(12, 12 + 16 * int.from_bytes(data[4:6], "big"), 16):
        if data[at : at + 4] == b"glyf":
            data[at + 12 : at + 16] = (int.from_bytes(data[at + 12 : at + 16], "big") - 40).to_bytes(4, "big")
    (here / "a.ttf").write_bytes(data)
    assert reason(here / "a.ttf").endswith("outlines of 2 of its 4 characters are not in the file")


@pytest.mark.parametrize("name", [None, " "])
def test_a_font_without_a_name_is_called_by_its_file(here: Path, name: str | None) -> None:
    font = make_font("AB")
    font["name"].names = [record for record in font["name"].names if record.nameID != 1]
    if name:
        font["name"].setName(name, 1, 3, 1, 0x409)
    (here / "Old Hand.ttf").write_bytes(font_bytes(font))
    assert only(scan([here])).family == "Old Hand"


def test_no_letters_mapped(here: Path) -> None:
    font = make_font("AB")
    font["cmap"].tables = []
    (here / "a.ttf").write_bytes(font_bytes(font))
    assert reason(here / "a.ttf") == "empty: no character map"


def test_all_glyphs_blank(here: Path) -> None:
    assert reason(save_font(here / "blank.ttf", "ABC", empty="ABC")).startswith("empty")


def test_only_spaces(here: Path) -> None:
    assert reason(save_font(here / "a.ttf", " \u00a0")).startswith("empty")


@pytest.mark.parametrize(
    ("tables", "words"), [(("EBDT", "EBLC"), "bitmaps only"), (("CBDT", "CBLC"), "colour only (CBDT)"), ((), "empty")]
)
def test_no_outlines(here: Path, tables: tuple[str, ...], words: str) -> None:
    font = make_font("AB")
    for tag in ("glyf", "loca"):
        del font[tag]
    data = TTFont(io.BytesIO(font_bytes(font)))
    for tag in tables:
        data[tag] = newTable("XXXX")
        data[tag].data = b"\0" * 8
    (here / "a.ttf").write_bytes(font_bytes(data))
    assert words in reason(here / "a.ttf")


def test_colour_emoji(here: Path) -> None:
    for name, chars in (("emoji", "😀😁0123"), ("text", "😀AB")):
        font = make_font(chars, family=name)
        font["SVG "] = newTable("XXXX")
        font["SVG "].data = bytes(10)
        (here / f"{name}.ttf").write_bytes(font_bytes(font))
    found = scan([here])
    assert [face.family for face in found.faces] == ["text"]
    assert [(path.name, why.partition(":")[0]) for path, why in found.rejected] == [("emoji.ttf", "colour only (SVG)")]


@pytest.mark.parametrize(("platform", "encoding", "words"), [(3, 0, "symbol-encoded"), (1, 0, "no Unicode")])
def test_other_encodings(here: Path, platform: int, encoding: int, words: str) -> None:
    font = make_font("AB")
    table = CmapSubtable.newSubtable(4 if platform == 3 else 0)
    table.platformID, table.platEncID, table.language = platform, encoding, 0
    offset = 0xF000 if platform == 3 else 0
    table.cmap = {offset + 0x41: "uni0041", offset + 0x42: "uni0042"}
    font["cmap"].tables = [table]
    (here / "a.ttf").write_bytes(font_bytes(font))
    assert words in reason(here / "a.ttf")


def test_names_contradict_the_map(here: Path) -> None:
    shifted = dict(zip("ABCDEF", ["parenleft", "slashBigg", "D", "E", "F", "G"], strict=True))
    assert "'A' leads to 'parenleft'" in reason(save_font(here / "tex.ttf", shifted))


def test_dingbats_under_ascii_codes(here: Path) -> None:
    names = {letter: f"a{10 + at}" for at, letter in enumerate(string.ascii_uppercase)}
    assert reason(save_font(here / "d.ttf", names)).startswith("dingbats")
    unnamed = {letter: f"g{10 + at}" for at, letter in enumerate(string.ascii_uppercase[:15])}
    assert save_font(here / "g.ttf", unnamed) in [face.path for face in scan([here], cache_dir=here).faces]


def test_one_shape_for_all_letters(here: Path) -> None:
    assert "placeholder" in reason(save_font(here / "blocks.ttf", string.ascii_letters, same=True))


def test_one_glyph_for_all_characters(here: Path) -> None:
    chars = {chr(point): f"g{point % 3}" for point in range(0x4E00, 0x5400)}
    assert "placeholder" in reason(save_font(here / "last.ttf", chars))


def test_missing_tables_that_freetype_needs(here: Path) -> None:
    font = make_font("AB")
    data = TTFont(io.BytesIO(font_bytes(font)))
    del data["head"]
    (here / "a.ttf").write_bytes(font_bytes_raw(data))
    assert reason(here / "a.ttf").startswith(("broken", "empty"))


def font_bytes_raw(font: TTFont) -> bytes:
    out = io.BytesIO()
    font.save(out, reorderTables=None)
    return out.getvalue()


# --- files and folders ---


def test_collections(here: Path) -> None:
    pack = TTCollection()
    pack.fonts = [make_font("AB", family="One"), make_font("CD", family="Two"), make_font("E", family="No", empty="E")]
    pack.save(here / "a.ttc")
    found = scan([here])
    assert [(face.family, face.number) for face in found.faces] == [("One", 0), ("Two", 1)]
    assert found.rejected == ((here / "a.ttc", "face 2: empty: no glyph has an outline"),)


@pytest.mark.parametrize("suffix", [".woff", ".woff2"])
def test_web_fonts(here: Path, suffix: str) -> None:
    path = save_font(here / f"a{suffix}", "ABC", cff=suffix == ".woff")
    face = only(scan([path]))
    assert face.compressed and face.coverage == {0x41, 0x42, 0x43}
    plain = sfnt_path(face)
    assert plain.parent.parent == here.parent / "cache"
    assert TTFont(plain).getBestCmap().keys() == face.coverage
    before = plain.stat().st_mtime_ns
    assert sfnt_path(face) == plain and plain.stat().st_mtime_ns == before
    plain.unlink()
    save_font(path, "ABCD")
    with pytest.raises(ScriptoriumError, match="changed"):
        sfnt_path(face)
    path.unlink()
    with pytest.raises(ScriptoriumError, match="cannot be read"):
        sfnt_path(face)


def test_order_and_duplicates(here: Path, tmp_path: Path) -> None:
    save_font(here / "z" / "1.ttf", "AB", family="B")
    save_font(here / "a" / "2.ttf", "AB", family="A", style="Bold")
    save_font(here / "m.ttf", "AB", family="A", style="Regular")
    (here / "copy.otf").write_bytes((here / "z" / "1.ttf").read_bytes())
    other = tmp_path / "elsewhere"
    for number, path in enumerate(sorted(here.rglob("*.*tf"), reverse=True)):
        (other / str(number)).mkdir(parents=True)
        (other / str(number) / "x.ttf").write_bytes(path.read_bytes())
    first, second = scan([here]), scan([other])
    assert [(face.family, face.style) for face in first.faces] == [("A", "Bold"), ("A", "Regular"), ("B", "Regular")]
    assert first.faces == second.faces
    assert scan([here / "m.ttf", here]).faces == first.faces


def test_other_files_in_a_folder(here: Path) -> None:
    save_font(here / "UPPER.TTF")
    (here / "notes.txt").write_text("x")
    (here / "sub").mkdir()
    (here / "sub" / "OFL").write_text("x")
    assert len(scan([here]).faces) == 1 and not scan([here]).rejected


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links(here: Path) -> None:
    save_font(here / "a" / "a.ttf")
    (here / "a" / "loop").symlink_to(here)
    (here / "dangling.ttf").symlink_to(here / "nowhere")
    assert len(scan([here]).faces) == 1


def test_named_paths_must_lead_to_fonts(here: Path) -> None:
    with pytest.raises(ScriptoriumError, match="nowhere: no such"):
        scan([here / "nowhere"])
    with pytest.raises(ScriptoriumError, match=f"{here.name}: holds no font file"):
        scan([here])
    (here / "bad.ttf").write_text("x")
    with pytest.raises(ScriptoriumError, match=r"holds no usable font; bad.ttf: broken"):
        scan([here])
    with pytest.raises(ScriptoriumError, match=r"bad.ttf: not a usable font: broken"):
        scan([here / "bad.ttf"])


def test_default_folders(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTORIUM_FONTS", str(here))
    folders = index.font_dirs()
    assert folders[-1] == here
    assert any(folder.parts[-3:] == ("mpl-data", "fonts", "ttf") for folder in folders)
    monkeypatch.setattr(index, "font_dirs", list)
    assert scan(None) == FontIndex((), (), named=False)


# --- cache ---


def test_second_scan_reads_no_font(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_font(here / "a.ttf", family="A")
    save_font(here / "b.woff", family="B")
    (here / "bad.ttf").write_text("x")
    first = scan([here])

    def fail(path: Path) -> None:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(index, "_describe", fail)
    second = scan([here])
    assert second == first
    assert [face.__getstate__() for face in second.faces] == [face.__getstate__() for face in first.faces]


def test_warm_scan_imports_no_font_library(here: Path) -> None:
    save_font(here / "a.ttf")
    scan([here])
    code = (
        "import sys; from pathlib import Path; from synth.fonts.index import scan;"
        f"assert len(scan([Path({str(here)!r})]).faces) == 1;"
        "print([name for name in ('fontTools', 'uharfbuzz', 'freetype', 'numpy', 'matplotlib') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_changes_are_seen_and_progress_told(here: Path) -> None:
    told: list[tuple[int, int]] = []
    path = save_font(here / "a.ttf", "AB", family="Old")
    save_font(here / "b.ttf", "AB", family="Other")
    scan([here], progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 2), (1, 2), (2, 2)]
    save_font(path, "ABCD", family="New")
    told.clear()
    found = scan([here], progress=lambda done, total: told.append((done, total)))
    assert [face.family for face in found.faces] == ["New", "Other"]
    assert told == [(0, 1), (1, 1)]


def test_entries_of_lost_files_go(here: Path) -> None:
    gone = save_font(here / "gone.ttf", family="Gone")
    kept = save_font(here.parent / "elsewhere" / "kept.ttf", family="Kept")
    scan([here, kept])
    gone.unlink()
    scan([save_font(here / "new.ttf", family="New")])
    files = json.loads((here.parent / "cache" / "fonts.json").read_text())["files"]
    assert files.keys() == {str(kept), str(here / "new.ttf")}


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x00", b"[]", b'{"format": 0, "files": {}}', b'{"files": 3}', b'{"format": %d, "files": {"a": [1]}}'],
)
def test_damaged_cache_is_made_again(here: Path, content: bytes) -> None:
    save_font(here / "a.ttf")
    scan([here])
    store = here.parent / "cache" / "fonts.json"
    store.write_bytes(content.replace(b"%d", str(index._FORMAT).encode()))
    assert len(scan([here]).faces) == 1
    assert len(json.loads(store.read_text())["files"]) == 1
    assert [path.name for path in store.parent.iterdir()] == ["fonts.json"]


def test_cache_that_cannot_be_written(here: Path, tmp_path: Path) -> None:
    save_font(here / "a.woff")
    blocked = tmp_path / "file"
    blocked.write_text("x")
    (face,) = scan([here], cache_dir=blocked / "cache").faces
    with pytest.raises(ScriptoriumError, match="SCRIPTORIUM_CACHE"):
        sfnt_path(face, cache_dir=blocked / "cache")


def test_composite_glyph_counts_as_ink(here: Path) -> None:
    font = make_font("ABC", empty="C")
    pen = TTGlyphPen(font.getGlyphSet())
    pen.addComponent("uni0041", (1, 0, 0, 1, 10, 0))
    font["glyf"]["uni0043"] = pen.glyph()
    (here / "a.ttf").write_bytes(font_bytes(font))
    assert only(scan([here])).covers(ord("C"))
