"""Labels as the classes of CTC, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import unicodedata2
from numpy.typing import NDArray

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

    def encode(self, text: str) -> NDArray[np.int32]:
        """The classes of a text, one per unit. Raises `charset.UnknownUnit` for what the dictionary lacks."""
        index = self.charset.index
        return np.array([index[unit] + 1 for unit in self.charset.split(text)], np.int32)

    def decode(self, classes: Sequence[int] | NDArray[np.integer]) -> str:
        """The text of classes other than the blank, in the dictionary's spelling.

        Raises:
            ValueError: the blank, or a class that does not exist.
        """
        units = self.charset.units
        found = []
        for number in classes:
            if not 0 < number <= len(units):
                raise ValueError(f"class {number} is no unit; there are {len(units)}")
            found.append(units[number - 1])
        return "".join(found)

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
