"""What is known of every sample of a source before training: size, length, and why it cannot be used."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from augment.errors import ScriptoriumError
from ocr.codec import Codec
from ocr.data.sources import BrokenSample, FileSource, Sample, decode, nfc
from ocr.infer import images
from ocr.spec import Preprocess
from synth.cache import cache_dir, write_whole
from synth.text.charset import UnknownUnit

_FORMAT = 2
_OK, _BROKEN, _EMPTY, _UNKNOWN = range(4)
_CACHED_FROM = 2000  # samples; a smaller source is read again sooner than the cache
_NAMED = 100  # broken records whose names are kept

BROKEN = "broken record"
EMPTY = "empty label"
UNKNOWN = "not in the dictionary"
TOO_LONG = "longer than max_text_length"
TOO_WIDE = "wider than max_wh_ratio"
NO_PATH = "more units than time steps"


@dataclass(frozen=True)
class Limits:
    """What training takes; the network's side of it.

    Attributes:
        codec: see `Codec`.
        preprocess: see `Preprocess`.
        time_stride: pixels of width per time step.
        max_text_length: units.
        max_wh_ratio: width over height.
        least_height: the smallest of the heights that batches take turns in, pixels.
    """

    codec: Codec
    preprocess: Preprocess
    time_stride: int
    max_text_length: int
    max_wh_ratio: float
    least_height: int

    def classes(self, sample: Sample) -> NDArray[np.int32]:
        """The classes of a sample's label.

        Raises:
            BrokenSample: training does not take it; the reason begins with one of this module's.
        """
        if not sample.text:
            raise BrokenSample(sample.key, EMPTY)
        try:
            found = self.codec.encode(nfc(sample.text))
        except UnknownUnit as error:
            raise BrokenSample(sample.key, f"{UNKNOWN}: {' '.join(error.missing)}") from None
        height, width = sample.image.shape[:2]
        if len(found) > self.max_text_length:
            raise BrokenSample(sample.key, TOO_LONG)
        if self.preprocess.scaled_width(height, width) > self.max_wh_ratio * self.preprocess.height:
            raise BrokenSample(sample.key, TOO_WIDE)
        if not self.fits(found, self.preprocess.scaled_width(height, width, self.least_height)):
            raise BrokenSample(sample.key, NO_PATH)
        return found

    def fits(self, classes: NDArray[np.int32], width: int) -> bool:
        """Whether CTC can align a label with a picture that is `width` pixels wide before padding."""
        steps = self.preprocess.padded_width(width) // self.time_stride
        return self.codec.needed_steps(classes) <= steps


@dataclass(frozen=True)
class Index:
    """Arrays over the samples of a source, in its order.

    Attributes:
        heights, widths: of the pictures, pixels, `uint16`.
        lengths: units of the labels, `int32`; -1 where that cannot be said.
        needed: time steps that CTC needs at least, `int32`.
        state: 0 where the sample is sound, `uint8`.
        missing: characters that the dictionary lacks, and in how many labels.
        broken: names of broken records and what is wrong with them, at most 100.
    """

    heights: NDArray[np.uint16]
    widths: NDArray[np.uint16]
    lengths: NDArray[np.int32]
    needed: NDArray[np.int32]
    state: NDArray[np.uint8]
    missing: Counter[str]
    broken: list[tuple[str, str]]

    @classmethod
    def of(cls, source: FileSource, codec: Codec) -> Index:
        """The index of a source, from the cache where its files have not changed.

        Only the heads of pictures are read: one that breaks further on is found when it is trained on, or by `ocr
        audit`.
        """
        if len(source) < _CACHED_FROM:
            return cls._read(source, codec)
        units = "\n".join(codec.charset.units)
        name = hashlib.sha256(f"{_FORMAT}\n{source.stamp()}\n{units}".encode()).hexdigest()[:32]
        path = cache_dir() / "sources" / f"{name}.npz"
        with suppress(OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error), np.load(path) as found:
            return cls._loaded(found, len(source))
        index = cls._read(source, codec)
        with suppress(OSError):  # a cache that cannot be written is none
            write_whole(path, index._stored())
        return index

    @classmethod
    def _read(cls, source: FileSource, codec: Codec) -> Index:
        count = len(source)
        heights, widths = np.zeros(count, np.uint16), np.zeros(count, np.uint16)
        lengths, needed = np.full(count, -1, np.int32), np.zeros(count, np.int32)
        state = np.zeros(count, np.uint8)
        missing: Counter[str] = Counter()
        broken: list[tuple[str, str]] = []
        for i in tqdm(range(count), desc=f"reading {source.name}", unit="", leave=False, disable=None, delay=2):
            try:
                data, text = source.raw(i)
                size = images.size(data) or decode(data, source.key(i)).shape[:2]
            except BrokenSample as error:
                state[i] = _BROKEN
                if len(broken) < _NAMED:
                    broken.append((error.key, error.reason))
                continue
            heights[i], widths[i] = np.minimum(size, 65535)
            if not text:
                state[i] = _EMPTY
                continue
            try:
                classes = codec.encode(nfc(text))
            except UnknownUnit as error:
                state[i] = _UNKNOWN
                missing.update(error.missing)
                continue
            lengths[i] = len(classes)
            needed[i] = codec.needed_steps(classes)
        source.close()
        return cls(heights, widths, lengths, needed, state, missing, broken)

    def check_broken(self, name: str) -> None:
        """Raises ScriptoriumError where more than 1 % of the records of source `name` (and over 20) are broken."""
        count, size = int((self.state == _BROKEN).sum()), len(self.state)
        if too_many_broken(count, size):
            key, reason = self.broken[0]
            raise ScriptoriumError(
                f"source {name}: {count:,} of {size:,} records are broken, the first is {key} ({reason}); "
                "more than 1 % is too many: mend the data, or make it anew"
            )

    def _stored(self) -> bytes:
        file = io.BytesIO()
        notes = json.dumps({"missing": self.missing, "broken": self.broken}).encode()
        np.savez(
            file,
            heights=self.heights,
            widths=self.widths,
            lengths=self.lengths,
            needed=self.needed,
            state=self.state,
            notes=np.frombuffer(notes, np.uint8),
        )
        return file.getvalue()

    @classmethod
    def _loaded(cls, found: Any, count: int) -> Index:
        """Raises ValueError where that is not the index of so many samples."""
        heights, widths, lengths, needed, state = (
            found[name] for name in ("heights", "widths", "lengths", "needed", "state")
        )
        if any(array.shape != (count,) for array in (heights, widths, lengths, needed, state)):
            raise ValueError("an index of another source")
        notes = json.loads(found["notes"].tobytes())
        broken = [(key, reason) for key, reason in notes["broken"]]
        return cls(heights, widths, lengths, needed, state, Counter(notes["missing"]), broken)

    def scaled_widths(self, preprocess: Preprocess, to: int | None = None) -> NDArray[np.int64]:
        """`Preprocess.scaled_width` of every sample; 1 for broken ones."""
        heights, widths = self.heights.astype(np.int64), self.widths.astype(np.int64)
        turned = heights >= preprocess.turn_ratio * widths if preprocess.turn_ratio else np.zeros(len(heights), bool)
        across, along = np.where(turned, widths, heights), np.where(turned, heights, widths)
        scaled = np.rint(along * (to or preprocess.height) / np.maximum(across, 1)).astype(np.int64)
        return np.clip(scaled, 1, preprocess.max_width)

    def usable(self, limits: Limits) -> tuple[NDArray[np.int64], Counter[str]]:
        """Which samples can be trained on (see `Limits.classes`), and the others counted by reason."""
        widths = self.scaled_widths(limits.preprocess)
        narrowest = self.scaled_widths(limits.preprocess, limits.least_height)
        steps = _padded(narrowest, limits.preprocess) // limits.time_stride
        reasons = (
            (BROKEN, self.state == _BROKEN),
            (EMPTY, self.state == _EMPTY),
            (UNKNOWN, self.state == _UNKNOWN),
            (TOO_LONG, self.lengths > limits.max_text_length),
            (TOO_WIDE, widths > limits.max_wh_ratio * limits.preprocess.height),
            (NO_PATH, self.needed > steps),
        )
        left = np.ones(len(widths), bool)
        drops: Counter[str] = Counter()
        for reason, hit in reasons:
            count = int((left & hit).sum())
            if count:
                drops[reason] = count
            left &= ~hit
        return np.flatnonzero(left), drops


def too_many_broken(count: int, size: int) -> bool:
    """Whether so many broken records of so many end a run: over 1 %, and over 20 unless the source is that small."""
    return count > max(0.01 * size, min(20, size // 2))


def _padded(widths: NDArray[np.int64], preprocess: Preprocess) -> NDArray[np.int64]:
    distinct, where = np.unique(widths, return_inverse=True)
    return np.array([preprocess.padded_width(int(width)) for width in distinct], np.int64)[where]
