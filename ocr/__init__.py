"""Training and reading text recognisers.

>>> from ocr import Recognizer
>>> recognizer = Recognizer("output/rec")                           # doctest: +SKIP
>>> recognizer.read("word.png").text                                # doctest: +SKIP
'Scriptorium'
>>> [reading.text for reading in recognizer.read(["a.png", "b.png"])]   # doctest: +SKIP
['one', 'two']
>>> from ocr import Reader
>>> page = Reader(det="output/det", rec="output/rec").read("page.jpg")  # doctest: +SKIP
>>> page.text                                                           # doctest: +SKIP
'Scriptorium\\nfrom a text corpus to a trained recogniser'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ocr.infer.recogniser import Reading
    from ocr.infer.sdk import Recognizer
    from ocr.read.page import PageReading
    from ocr.read.reader import Reader

__all__ = ["PageReading", "Reader", "Reading", "Recognizer"]

_HOMES = {
    "PageReading": "ocr.read.page",
    "Reader": "ocr.read.reader",
    "Reading": "ocr.infer.recogniser",
    "Recognizer": "ocr.infer.sdk",
}


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `ocr --help` stays quick.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ocr' has no attribute {name!r}")
