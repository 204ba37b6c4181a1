"""What can be given to read: pages of TIFF and PDF files, films, and what is none of these."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from page_fakes import page
from PIL import Image as Pillow
from PIL import ImageDraw

from ocr.infer.images import BadImage
from ocr.read.inputs import Sheet, sheets

SIZE = (64, 96)  # height, width


def grey(level: int) -> Any:
    return Pillow.fromarray(np.full(SIZE, level, np.uint8))


def film(path: Path, levels: list[int], rate: int = 10) -> Path:
    """Frames of one grey level each."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (SIZE[1], SIZE[0]))
    if not writer.isOpened():
        pytest.skip("OpenCV writes no films here")
    for level in levels:
        writer.write(np.full((*SIZE, 3), level, np.uint8))
    writer.release()
    return path


def read(path: Path, **options: Any) -> list[Sheet]:
    return list(sheets(str(path), **options))


def levels(found: list[Sheet]) -> list[int]:
    return [round(float(sheet.image.mean()) / 10) * 10 for sheet in found]


def test_a_picture_is_one_sheet(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), page([(5, 5, 30, 10, "a")]))
    [sheet] = read(tmp_path / "a.png")
    assert (sheet.number, sheet.seconds, sheet.image.shape) == (1, None, (300, 400, 3))


def test_pages_of_a_tiff(tmp_path: Path) -> None:
    modes = [grey(10), grey(60).convert("RGB"), grey(110).convert("CMYK"), grey(160).convert("1")]
    modes[0].save(tmp_path / "a.tif", save_all=True, append_images=modes[1:])
    found = read(tmp_path / "a.tif")
    assert [sheet.number for sheet in found] == [1, 2, 3, 4]
    assert [sheet.image.shape for sheet in found] == [SIZE, (*SIZE, 3), (*SIZE, 3), SIZE]
    assert levels(found)[:3] == [10, 60, 110]


def test_a_tiff_that_breaks_off_names_the_last_whole_page(tmp_path: Path) -> None:
    data = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (2, *SIZE), np.uint8)
    pages = [Pillow.fromarray(part) for part in noise]
    pages[0].save(data, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    (tmp_path / "cut.tif").write_bytes(data.getvalue()[: -SIZE[0] * SIZE[1] // 2])
    found = sheets(str(tmp_path / "cut.tif"))
    assert next(found).number == 1
    with pytest.raises(BadImage, match="is broken after page 1 "):
        next(found)


def test_thumbnails_in_a_tiff_are_passed_over(tmp_path: Path) -> None:
    data = io.BytesIO()
    with Pillow.new("L", (40, 30), 50) as large, Pillow.new("L", (4, 3), 50) as small:
        small.encoderinfo = {"tiffinfo": {254: 1}}
        large.save(data, "TIFF", save_all=True, append_images=[small])
    (tmp_path / "a.tif").write_bytes(data.getvalue())
    with Pillow.open(tmp_path / "a.tif") as picture:
        assert picture.n_frames == 2
    assert [sheet.image.shape for sheet in read(tmp_path / "a.tif")] == [(30, 40)]


def test_frames_of_an_animation(tmp_path: Path) -> None:
    # Half a second each; the third looks like the second.
    frames = [grey(level) for level in (10, 100, 101, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=500, loop=0)
    found = read(tmp_path / "a.gif", every=0.5)
    assert [sheet.number for sheet in found] == [1, 2, 3] and levels(found) == [10, 100, 200]
    assert [sheet.seconds for sheet in found] == pytest.approx([0.0, 0.5, 1.5])
    assert levels(read(tmp_path / "a.gif", every=1.0)) == [10, 100]
    assert levels(read(tmp_path / "a.gif", every=60)) == [10]


def test_cmyk_and_odd_sizes(tmp_path: Path) -> None:
    grey(100).convert("CMYK").save(tmp_path / "a.jpg")
    assert levels(read(tmp_path / "a.jpg")) == [100]
    for width, height in ((1, 1), (20000, 50)):
        Pillow.new("RGB", (width, height)).save(tmp_path / "odd.png")
        assert read(tmp_path / "odd.png")[0].image.shape == (height, width, 3)


def test_frames_of_a_film_that_differ(tmp_path: Path) -> None:
    path = film(tmp_path / "a.avi", [20] * 10 + [21] * 10 + [120] * 10 + [220] * 5)
    found = read(path, every=0.5)
    assert levels(found) == [20, 120, 220] and [sheet.number for sheet in found] == [1, 2, 3]
    assert [sheet.seconds for sheet in found] == pytest.approx([0.0, 2.0, 3.0])


def test_a_film_that_changes_in_one_place(tmp_path: Path) -> None:
    """A subtitle is another frame; noise is not."""
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (640, 480))
    if not writer.isOpened():
        pytest.skip("OpenCV writes no films here")
    rng = np.random.default_rng(0)
    for number in range(30):
        frame = np.full((480, 640, 3), 90, np.uint8)
        if number >= 15:
            cv2.putText(frame, "subtitle", (220, 460), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
        writer.write(np.clip(frame + rng.normal(0, 6, frame.shape), 0, 255).astype(np.uint8))
    writer.release()
    assert [sheet.seconds for sheet in read(path, every=0.5)] == pytest.approx([0.0, 1.5])


def test_a_film_that_breaks_off(tmp_path: Path) -> None:
    path = film(tmp_path / "a.avi", [20] * 20 + [120] * 20 + [220] * 20)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    found = []
    with pytest.raises(BadImage, match=r"a\.avi: (breaks off after|is no film)"):
        for sheet in sheets(str(path), every=0.5):
            found.append(sheet)
    assert levels(found)[:1] in ([20], [])
    (tmp_path / "b.mp4").write_bytes(b"no film at all" * 50)
    with pytest.raises(BadImage, match=r"b\.mp4: is no film that can be read"):
        read(tmp_path / "b.mp4")
    with pytest.raises(BadImage, match=r"c\.mp4: cannot be read"):
        read(tmp_path / "c.mp4")
    (tmp_path / "d.mp4").mkdir()
    with pytest.raises(BadImage, match=r"d\.mp4: is no file"):
        read(tmp_path / "d.mp4")


def test_pages_of_a_pdf(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    sheets_ = [Pillow.new("RGB", (100, 200), "white"), Pillow.new("RGB", (300, 100), "white")]
    ImageDraw.Draw(sheets_[0]).rectangle((10, 20, 49, 59), fill=(200, 0, 0))
    sheets_[0].save(tmp_path / "a.pdf", save_all=True, append_images=sheets_[1:], resolution=100)
    found = read(tmp_path / "a.pdf", dpi=200)
    assert [sheet.image.shape for sheet in found] == [(400, 200, 3), (200, 600, 3)]
    b, g, r = found[0].image[80, 60].tolist()
    assert r > 150 and g < 60 and b < 60
    assert read(tmp_path / "a.pdf", dpi=50)[0].image.shape == (100, 50, 3)
    with pytest.raises(BadImage, match=r"page 1 has more than 100 million pixels at 99999 dots per inch"):
        read(tmp_path / "a.pdf", dpi=99999)


def test_broken_and_locked_pdfs(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    pikepdf = pytest.importorskip("pikepdf")
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\nnothing else")
    with pytest.raises(BadImage, match=r"a\.pdf: is broken"):
        read(tmp_path / "a.pdf")
    pdf = pikepdf.Pdf.new()
    pdf.add_blank_page()
    pdf.save(tmp_path / "b.pdf", encryption=pikepdf.Encryption(owner="secret", user="secret"))
    with pytest.raises(BadImage, match=r"b\.pdf: is locked with a password"):
        read(tmp_path / "b.pdf")


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(BadImage, match="is no picture of a known format"):
        read(tmp_path / "a.txt")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(BadImage, match="is empty"):
        read(tmp_path / "a.png")
    frames = [grey(level) for level in (10, 100, 200)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(BadImage, match=r"cut\.tif: is broken"):
        read(tmp_path / "cut.tif")
