"""Labelled text images from a corpus, in any script.

>>> from synth import Pipeline, Recipe
>>> recipe = Recipe.load("scene", corpus=["words.txt"])   # doctest: +SKIP
>>> sample = Pipeline(recipe)[0]                            # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth.pipeline import Pipeline
    from synth.recipe import Recipe
    from synth.sample import Sample

__all__ = ["Pipeline", "Recipe", "Sample"]
__version__ = "0.1.0"

_HOMES = {"Pipeline": "synth.pipeline", "Recipe": "synth.recipe", "Sample": "synth.sample"}


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `synth --help` stays quick.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'synth' has no attribute {name!r}")
