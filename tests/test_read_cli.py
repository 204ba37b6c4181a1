"""`ocr read` and `ocr eval-read` as people call them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from page_fakes import LETTERS, RedReader, detector, page
from PIL import Image as Pillow

from ocr.read import reader as reader_module
from ocr.read import run as run_module

BARS = [(20, 20, 150, 18, "a"), (20, 60, 150, 18, "b")]


class Choice:
    """Is sure of the letter a alone."""

    names = ("x", "y")

    def choose(self, images: Sequence[Any]) -> list[str | None]:
        return ["y" if reading.text == "a" else None for reading in RedReader().read(images)]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that stands for every model."""
    monkeypatch.setattr(run_module, "open_detector", lambda path, overrides, threads: detector())
    monkeypatch.setattr(run_module, "open_backend", lambda path, threads: path)
    sure = {"latin": {"a": 0.9, "b": 0.6}, "other": {"a": 0.2, "b": 0.8}}

    def recogniser(path: Path) -> RedReader:
        return RedReader(sure.get(path.name, {letter: 0.9 for letter in LETTERS}), f"{path.name}-")

    monkeypatch.setattr(run_module, "Recogniser", recogniser)
    monkeypatch.setattr(reader_module, "Recogniser", RedReader)
    monkeypatch.setattr(run_module, "open_chooser", lambda path, threads: Choice())
    return tmp_path / "rec"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "page.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), page(BARS))
    return path


def test_text_is_printed(models: Path, picture: Path, ocr: Any) -> None:
    done = ocr("read", picture, "--det", models, "--rec", models, "--times")
    assert (done.code, done.out) == (0, "rec-a\nrec-b\n")
    assert "box_thresh 0.6" in done.err
    for stage in ("load", "detect", "crop", "recognise", "order", "write", "all"):
        assert f"\n{stage}" in done.err
    several = ocr("read", picture.parent, picture, "--det", models, "--rec", models)
    assert several.out == f"== {picture}\nrec-a\nrec-b\n" * 2


def test_every_format_is_written(models: Path, picture: Path, tmp_path: Path, ocr: Any) -> None:
    pytest.importorskip("pikepdf")
    formats = ["text", "json", "tsv", "hocr", "alto", "pdf", "picture"]
    out = tmp_path / "out"
    done = ocr("read", picture, "--det", models, "--rec", models, "--format", *formats, "--output", out)
    assert done.code == 0 and done.out == f"made     1 page, 2 texts, in {out}\n"
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted(
        [f"000001_page{suffix}" for suffix in (".txt", ".jsonl", ".tsv", ".hocr", ".xml", ".pdf", "_0001.png")]
    )
    assert (out / "000001_page.txt").read_text() == "rec-a\nrec-b\n"
    refused = ocr("read", picture, "--det", models, "--rec", models, "--format", "pdf")
    assert refused.code == 2 and "name a folder with --output" in refused.err
    refused = ocr("read", picture, "--det", models, "--rec", models, "--format", "json", "--output", picture)
    assert refused.code == 2 and f"--output {picture}: is a file" in refused.err


def test_pages_of_one_file_stay_together(models: Path, tmp_path: Path, ocr: Any) -> None:
    pictures = [Pillow.fromarray(np.ascontiguousarray(page(bars)[..., ::-1])) for bars in (BARS, BARS[:1], [])]
    pictures[0].save(tmp_path / "a.tif", save_all=True, append_images=pictures[1:])
    done = ocr("read", tmp_path / "a.tif", "--det", models, "--rec", models)
    file = tmp_path / "a.tif"
    assert done.out == f"rec-a\nrec-b\n== {file}, page 2\nrec-a\n== {file}, page 3\n"
    lines = ocr("read", file, "--det", models, "--rec", models, "--format", "json").out.splitlines()
    assert [json.loads(line)["page"] for line in lines] == [1, 2, 3]
    ocr("read", file, "--det", models, "--rec", models, "--output", tmp_path / "out")
    assert (tmp_path / "out/000001_a.txt").read_text() == "rec-a\nrec-b\n\frec-a\n\f\n"


def test_the_surest_of_several_recognisers(models: Path, picture: Path, ocr: Any) -> None:
    done = ocr("read", picture, "--det", models, "--rec", "x=some/latin", "y=some/other", "--format", "json")
    texts = [text for block in json.loads(done.out)["blocks"] for line in block for text in line["texts"]]
    assert [(text["text"], text["recogniser"]) for text in texts] == [("latin-a", "x"), ("other-b", "y")]
    assert "each has a name, such as latin=DIR" in ocr("read", picture, "--det", models, "--rec", "a", "b").err
    assert "give each its own name" in ocr("read", picture, "--det", models, "--rec", "a=b", "a=c").err


def test_a_chooser(models: Path, picture: Path, tmp_path: Path, ocr: Any) -> None:
    several = ["--rec", "x=some/latin", "y=some/other", "--choose", "chooser", "--drop-score", "0"]
    done = ocr("read", picture, "--det", models, *several, "--format", "json")
    texts = [text for block in json.loads(done.out)["blocks"] for line in block for text in line["texts"]]
    # Of `a` the other is surer: it was chosen for.
    assert [(text["text"], text["recogniser"]) for text in texts] == [("other-a", "y"), ("other-b", "y")]
    (picture.parent / "labels.tsv").write_text(
        'page.png\t[{"transcription": "a", "points": [[0, 0], [9, 0], [9, 9]]}]\n'
    )
    report = tmp_path / "r.html"
    assert ocr("eval-read", picture.parent, "--det", models, *several, "--report", report).code == 0
    refused = ocr("read", picture, "--det", models, "--rec", models, "--choose", "chooser").error
    assert "--choose chooser: wants several recognisers" in refused
    assert "wants several" in ocr("read", picture, "--det", models, "--boxes-only", "--choose", "chooser").error
    unknown = ocr("read", picture, "--det", models, "--rec", "x=a", "z=b", "w=c", "--choose", "chooser").error
    assert "no recogniser is named y; the chooser does not tell z, w" in unknown


def test_a_page_without_text(models: Path, tmp_path: Path, ocr: Any) -> None:
    cv2.imwrite(str(tmp_path / "white.png"), page([]))
    done = ocr("read", tmp_path / "white.png", "--det", models, "--rec", models)
    assert (done.code, done.out) == (0, "")
    done = ocr("read", tmp_path / "white.png", "--det", models, "--rec", models, "--format", "json")
    assert done.code == 0 and json.loads(done.out)["blocks"] == []


def test_what_cannot_be_read_is_named_and_the_rest_read(models: Path, picture: Path, ocr: Any) -> None:
    (picture.parent / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (picture.parent / "gone.mp4").write_bytes(b"nothing")
    done = ocr("read", picture.parent, picture.parent / "absent.png", "--det", models, "--rec", models)
    assert done.code == 1 and "rec-a\nrec-b\n" in done.out
    for said in (
        "broken.png: is no picture",
        "gone.mp4: is no film",
        "absent.png: cannot be read",
        "failed   3 inputs",
    ):
        assert said in done.err


def test_what_was_dropped_is_said(models: Path, picture: Path, ocr: Any) -> None:
    done = ocr("read", picture, "--det", models, "--rec", models, "--drop-score", "0.95")
    assert done.out == "" and "dropped  2 texts read with a confidence below 0.95" in done.err


def test_boxes_only(models: Path, picture: Path, ocr: Any) -> None:
    done = ocr("read", picture, "--det", models, "--boxes-only", "--format", "json")
    assert len(json.loads(done.out)["blocks"][0]) == 2
    for wrong in ([], ["--rec", models, "--boxes-only"]):
        assert (
            "give a recogniser with --rec, or --boxes-only without one"
            in ocr("read", picture, "--det", models, *wrong).err
        )


def test_evaluation(models: Path, picture: Path, tmp_path: Path, ocr: Any) -> None:
    entries = [{"transcription": "REC-A", "points": [[20, 20], [170, 20], [170, 38], [20, 38]]}]
    (picture.parent / "labels.tsv").write_text(f"page.png\t{json.dumps(entries)}\n")
    report = tmp_path / "r.html"
    done = ocr("eval-read", picture.parent, "--det", models, "--rec", models, "--report", report)
    assert done.code == 0 and "50.00%" in done.out and "100.00%" in done.out and f"page     {report}" in done.out
    strict = ocr("eval-read", picture.parent, "--det", models, "--rec", models, "--report", report, "--keep-case")
    assert "with regard to case" in strict.out
    assert ocr("eval-read", tmp_path / "no", "--det", models, "--rec", models).code == 2
    assert "detectors alone are measured by ocr eval" in ocr("eval-read", picture.parent, "--det", models).err


def test_folders_that_are_no_model(picture: Path, tmp_path: Path, ocr: Any) -> None:
    (tmp_path / "empty").mkdir()
    done = ocr("read", picture, "--det", tmp_path / "empty", "--rec", tmp_path / "empty")
    assert done.code == 2 and "empty: no model there; name a run directory" in done.err
    done = ocr("read", picture, "--det", tmp_path / "absent", "--boxes-only")
    assert done.code == 2 and "absent: does not exist" in done.err
