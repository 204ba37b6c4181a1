"""Whole pages and scenes for training detectors: many texts in one picture, with their polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, Union

if TYPE_CHECKING:
    from synth.pages.pipeline import PagePipeline
    from synth.pipeline import Pipeline
    from synth.recipe import Recipe

AnyPipeline: TypeAlias = Union["Pipeline", "PagePipeline"]
"""What a recipe's samples come from, whatever its task."""


def pipeline_of(recipe: Recipe) -> AnyPipeline:
    """The stream of samples of a recipe: lines, or pages where its task is `det`. Raises as `Pipeline`."""
    if recipe.task == "det":
        from synth.pages.pipeline import PagePipeline

        return PagePipeline(recipe)
    from synth.pipeline import Pipeline

    return Pipeline(recipe)
