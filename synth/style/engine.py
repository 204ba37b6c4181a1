"""What gives texts another look: a protocol that packages with a trained network fulfil, and how they are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

from augment.errors import ScriptoriumError

GROUP = "scriptorium.style_engines"
"""Entry points of this group are functions (model's folder, threads) → `StyleEngine`."""

Image: TypeAlias = NDArray[Any]
"""`uint8`; OpenCV's stubs do not promise more."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A text in another look.

    Attributes:
        image: H × W × 3.
        text: H × W × 3, its letters on `synth.style.pairs.GROUND`.
        mask: H × W, 0 to 255, their coverage.
    """

    image: Image
    text: Image
    mask: Image


class StyleEngine(Protocol):
    """Gives texts the look of pictures.

    Attributes:
        height: of all pictures, pixels.
        digest: of the network, in hexadecimal; another one for other weights.
    """

    height: int
    digest: str

    def restyle(self, styles: Sequence[Image], targets: Sequence[Image]) -> list[Patch]:
        """Patches as large as their targets.

        Args:
            styles: H × W × 3, of any widths: see `synth.style.pairs.fitted`.
            targets: as many, H × W, plain texts: see `Pair.target`.

        The same arguments give the same patches, on the same machine; in other company a patch may differ by rounding.
        """
        ...


def open_engine(model: Path, height: int, name: str = "learned", threads: int = 0) -> StyleEngine:
    """The engine of a trained network.

    Args:
        model: its folder.
        height: of the pictures that it is to make, pixels.
        name: of the entry point.
        threads: of the network; 0: all cores.

    Raises:
        ScriptoriumError: no installed package has such engines, the model cannot be used, or is of another height.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ScriptoriumError(
            f"style engine {name!r}: no installed package has it (known: {known}); install scriptorium"
        )
    engine: StyleEngine = found[name].load()(model, threads)
    if engine.height != height:
        raise ScriptoriumError(
            f"{model}: makes pictures {engine.height} pixels high, not {height}; set layout.height={engine.height}, or "
            f"train one with Preprocess.height={height}"
        )
    return engine
