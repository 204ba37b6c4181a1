from __future__ import annotations

import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from augment.errors import ScriptoriumError
from ocr.infer import images
from ocr.infer.images import BadImage, decode, find, from_pillow, load

RNG = np.random.default_rng(0)
BGR = cv2.GaussianBlur(RNG.integers(0, 256, (24, 40, 3), np.uint8), (0, 0), 2)
GREY = BGR[..., 0].copy()


def pillow(image: Any = BGR) -> Image.Image:
    return Image.fromarray(image if image.ndim == 2 else image[..., ::-1].copy())


def saved(picture: Image.Image, format_: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format_, **options)
    return file.getvalue()


def png(image: Any) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


# -- formats: OpenCV is the reference for Pillow's way, and arithmetic for the rest ------------------------------------


@pytest.mark.parametrize("image", [BGR, GREY], ids=["colour", "grey"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp"])
def test_pictures_as_opencv_reads_them(suffix: str, image: Any) -> None:
    data = cv2.imencode(suffix, image)[1]
    found = decode(data.tobytes(), "x")
    assert found.dtype == np.uint8
    expected = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if suffix != ".webp":  # OpenCV writes grey as colour there
        assert found.ndim == image.ndim
    np.testing.assert_array_equal(found, expected)


def test_jpegs_by_both_decoders_are_the_same() -> None:
    data = saved(pillow(), "JPEG", quality=60)
    np.testing.assert_array_equal(decode(data, "x"), from_pillow(Image.open(io.BytesIO(data))))


def test_transparency_is_laid_on_white() -> None:
    alpha = RNG.integers(0, 256, GREY.shape, np.uint8)
    share = alpha[..., None] / 255
    expected = BGR * share + 255 * (1 - share)
    found = decode(png(np.dstack([BGR, alpha])), "x")
    assert np.abs(found - expected).max() <= 1
    grey = decode(saved(Image.merge("LA", [pillow(GREY), pillow(alpha)]), "PNG"), "x")
    assert grey.ndim == 2
    assert np.abs(grey - (GREY * share[..., 0] + 255 * (1 - share[..., 0]))).max() <= 1


def test_a_transparent_colour_becomes_white() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4] = 200
    found = decode(saved(pillow(image), "PNG", transparency=(0, 0, 0)), "x")
    assert found[:4].max() == 200
    assert found[4:].min() == 255


def test_sixteen_bits_are_scaled() -> None:
    wide = np.array([[0, 128, 257, 25700, 65535]], np.uint16).repeat(4, 0)
    expected = np.array([[0, 0, 1, 100, 255]]).repeat(4, 0)
    np.testing.assert_array_equal(decode(png(wide), "x"), expected)
    np.testing.assert_array_equal(decode(cv2.imencode(".tiff", wide)[1].tobytes(), "x"), expected)
    colour = decode(png(np.dstack([wide] * 3)), "x")
    assert colour.shape == (4, 5, 3)
    assert np.abs(colour - expected[..., None]).max() <= 1


def test_thirty_two_bits_are_refused() -> None:
    for levels in (np.full((4, 4), 70000, np.int32), np.full((4, 4), 0.5, np.float32)):
        with pytest.raises(BadImage, match=r"^x: has 32 bits per pixel; save it with 8 or 16"):
            decode(saved(Image.fromarray(levels), "TIFF"), "x")


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr"])
def test_other_modes(mode: str) -> None:
    flat = Image.new("RGB", (9, 5), (255, 0, 0)).convert(mode)
    found = decode(saved(flat, "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"), "x")
    if mode == "1":
        assert found.shape == (5, 9)
    else:
        assert np.abs(found.astype(int) - (0, 0, 255)).max() <= 2


def test_of_an_animation_the_first_frame() -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "lime", "blue")]
    for format_ in ("GIF", "PNG", "WEBP"):
        data = saved(frames[0], format_, save_all=True, append_images=frames[1:], **_lossless(format_))
        assert decode(data, "x")[0, 0].tolist() == [0, 0, 255]


def _lossless(format_: str) -> dict[str, Any]:
    return {"lossless": True} if format_ == "WEBP" else {}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["JPEG", "PNG"])
def test_the_orientation_is_followed(orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(pillow(), suffix, exif=exif, **({"quality": 100} if suffix == "JPEG" else {}))
    # OpenCV turns by EXIF on its own.
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert expected is not None
    assert expected.shape[:2] == (GREY.shape if orientation < 5 else GREY.T.shape)
    np.testing.assert_array_equal(decode(data, "x"), expected)


def test_broken_metadata_does_not_hurt() -> None:
    data = saved(pillow(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(20))
    assert decode(data, "x").shape == BGR.shape


# -- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [saved(pillow(), f) for f in ("JPEG", "PNG", "GIF", "TIFF", "WEBP")])
def test_what_is_cut_short_is_named(data: bytes) -> None:
    for share in (0.6, 0.9):
        with pytest.raises(BadImage, match=r"^crop\.x: is (broken|no picture)"):
            decode(data[: int(len(data) * share)], "crop.x")


@settings(max_examples=150, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=60),
        st.tuples(
            st.sampled_from([saved(pillow(), f) for f in ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF")]),
            st.integers(0, 400),
            st.binary(max_size=8),
        ).map(lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + len(parts[2]) :]),
    )
)
def test_damage_gives_a_picture_or_a_named_error(data: bytes) -> None:
    try:
        found = decode(data, "x")
    except BadImage as error:
        assert str(error).startswith("x: ")
        assert "\n" not in str(error)
    else:
        assert found.dtype == np.uint8
        assert found.ndim in (2, 3)
        assert found.size


def test_empty_missing_and_odd_names(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    for name, message in (
        ("empty.png", "is empty"),
        ("text.png", "is no picture of a known format"),
        ("none.png", "cannot be read (No such file or directory)"),
        (".", "a folder without pictures"),
        ("a\0b.png", "cannot be read (embedded null byte)"),
    ):
        with pytest.raises(BadImage) as raised:
            load(f"{tmp_path}/{name}")
        assert message in str(raised.value)
    with pytest.raises(BadImage, match="is no file"):
        load("/dev/null")


def test_what_is_too_large_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bomb = saved(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(bomb) < 100_000
    with pytest.raises(BadImage, match=r"^bomb: has more than 100 million pixels; cut it or scale it down$"):
        decode(bomb, "bomb")
    with pytest.raises(BadImage, match=r"more than 100 million pixels"):  # below Pillow's own limit
        decode(saved(Image.new("1", (10_001, 10_000)), "PNG"), "bomb")
    monkeypatch.setattr(images, "MAX_BYTES", 1 << 20)
    (tmp_path / "long.png").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(BadImage, match="more than 1 MB"):
        load(str(tmp_path / "long.png"))


# -- names -----------------------------------------------------------------------------------------------------------


def test_a_folder_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "9.PNG", "b/2.jpg", "b/.hidden.jpg", ".h/1.png", "labels.txt", "a10/x.tif", "a9/x.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [Path(name).relative_to(tmp_path).as_posix() for name in find([str(tmp_path)])]
    assert found == ["9.PNG", "10.png", "a9/x.tif", "a10/x.tif", "b/2.jpg"]


def test_names_from_standard_input(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/1.png").touch()
    lines = [b"x.png\n", b"\r\n", b"HTTP://host/y.png\n", b"caf\xe9 1.png\n", str(tmp_path / "d").encode()]
    assert list(find(["first.png", "-"], lines)) == [
        "first.png",
        "x.png",
        "HTTP://host/y.png",
        "caf\udce9 1.png",
        str(tmp_path / "d/1.png"),
    ]


def test_a_picture_in_the_place_of_names_is_refused() -> None:
    picture = cv2.imencode(".png", np.zeros((9, 9), np.uint8))[1].tobytes()
    with pytest.raises(ScriptoriumError, match="standard input holds no names"):
        list(find(["-"], io.BytesIO(picture)))


def test_an_empty_folder_stands_for_itself(tmp_path: Path) -> None:
    assert list(find([str(tmp_path), ""])) == [str(tmp_path)]


# -- addresses -------------------------------------------------------------------------------------------------------


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        data = png(GREY)
        if self.path == "/none.png":
            self.send_error(404)
            return
        if self.path == "/moved.png":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data) + (9 if self.path == "/short.png" else 0)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_picture_from_an_address(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    np.testing.assert_array_equal(load(f"{server}/a.png"), GREY)
    with pytest.raises(BadImage, match=r"none\.png: cannot be fetched \(Not Found\)"):
        load(f"{server}/none.png")
    with pytest.raises(BadImage, match=r"moved\.png: cannot be fetched \("):
        load(f"{server}/moved.png")
    monkeypatch.setattr(images, "MAX_BYTES", 10)
    with pytest.raises(BadImage, match=r"a\.png: has more than"):
        load(f"{server}/a.png")
    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(images, "_SECONDS", -1.0)
    with pytest.raises(BadImage, match=r"a\.png: not here after"):
        load(f"{server}/a.png")


def test_addresses_that_lead_nowhere(server: str) -> None:
    port = int(server.rpartition(":")[2])
    for address in (
        f"https://127.0.0.1:{port}/a.png",
        "http://",
        "http://[",
        "http://a b/",
        "http://127.0.0.1:1/a.png",
    ):
        with pytest.raises(BadImage, match="cannot be fetched"):
            load(address)
