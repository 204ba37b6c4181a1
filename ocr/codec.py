"""Labels as the classes of CTC, from left to right as a picture shows them, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import unicodedata2
from numpy.typing import NDArray

from ocr.order import as_read, as_seen, runs_left
from synth.text.charset import Charset


class Codec:
    """Text to classes and back over a dictionary; class 0 is the CTC blank, class i + 1 is unit i.

    Texts are cut by the longest match, and a unit matches in its own spelling and in NFC (see `Charset`).

    Attributes:
        charset: the dictionary.
        classes: units and the blank.
    """

    def __init__(self, charset: Charset) -> None:
        self.charset = charset
        self.classes = len(charset) + 1
        self._turns = any(runs_left(unit) for unit in charset.units)

    def encode(self, text: str) -> NDArray[np.int32]:
        """The classes of a text in logical order, one per unit, as they are seen from left to right: see `ocr.order`.

        Raises:
            UnknownUnit: the dictionary lacks some of it.
        """
        index = self.charset.index
        units = self.charset.split(text)
        if not (self._turns and runs_left(text)):
            return np.array([index[unit] + 1 for unit in units], np.int32)
        return np.array([index[unit] + 1 for _, unit in as_seen(units, index)], np.int32)

    def decode(self, classes: Sequence[int] | NDArray[np.integer]) -> str:
        """The text, in logical order and the dictionary's spelling, of classes seen from left to right; no blanks.

        Raises:
            ValueError: the blank, or a class that does not exist.
        """
        units = self.charset.units
        found = []
        for number in classes:
            if not 0 < number <= len(units):
                raise ValueError(f"class {number} is no unit; there are {len(units)}")
            found.append(units[number - 1])
        return "".join(unit for _, unit in as_read(found, self.charset.index))

    def extend(self, units: Iterable[str]) -> Codec:
        """A codec whose dictionary has these units after its own; those that it has already, in NFC, add nothing."""
        known = dict.fromkeys(_nfc(unit) for unit in self.charset.units)
        new = []
        for unit in units:
            if _nfc(unit) not in known:
                known[_nfc(unit)] = None
                new.append(unit)
        return Codec(Charset([*self.charset.units, *new], space=False, source=self.charset.source))

    def row_map(self, old_units: Sequence[str]) -> NDArray[np.int64]:
        """For each class that of the same unit (in NFC) in an older dictionary, -1 where it is new; blank to blank."""
        old = {_nfc(unit): number for number, unit in enumerate(old_units, 1)}
        return np.array([0, *(old.get(_nfc(unit), -1) for unit in self.charset.units)], np.int64)

    @staticmethod
    def needed_steps(classes: Sequence[int] | NDArray[np.integer]) -> int:
        """The least time steps that CTC can align a label with: one per unit, and a blank between equal neighbours."""
        values = np.asarray(classes)
        return len(values) + int((values[1:] == values[:-1]).sum())


def _nfc(text: str) -> str:
    normal: str = unicodedata2.normalize("NFC", text)
    return normal
