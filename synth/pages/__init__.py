"""Whole pages and scenes for training detectors: many texts in one picture, with their polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, Union

if TYPE_CHECKING:
    from synth.pages.pipeline import PagePipeline
    from synth.pipeline import Pipeline
    from synth.recipe import Recipe
    from synth.style.learned import LearnedLines

AnyPipeline: TypeAlias = Union["Pipeline", "PagePipeline", "LearnedLines"]
"""What a recipe's samples come from, whatever its task."""


def pipeline_of(recipe: Recipe) -> AnyPipeline:
    """The stream of samples of a recipe: lines, or pages where its task is `det`. Raises as `Pipeline`.

    Lines that a network makes (`styles.model`) are there once they have been baked: see `synth.style.learned.bake`.
    """
    if recipe.task == "det":
        from synth.pages.pipeline import PagePipeline

        return PagePipeline(recipe)
    if recipe.styles.model is not None:
        from synth.style.learned import LearnedLines

        return LearnedLines(recipe)
    from synth.pipeline import Pipeline

    return Pipeline(recipe)
