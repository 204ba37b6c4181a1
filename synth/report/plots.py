"""Small plots for pages, as SVG in a `data:` address; they read on a white and on a dark page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

_INK = "#7a828c"
_BAR = "#4a8cc7"
_MARK = "#c9772b"
_BINS = 48


def bars(counts: Mapping[int, int], label: str, marks: Mapping[str, float] | None = None) -> str:
    """A bar for each value.

    Args:
        counts: how often each value occurs.
        label: of the axis of values.
        marks: values to mark, by what stands beside them.
    """
    figure, axes = _figure(label)
    axes.bar(list(counts), list(counts.values()), width=0.85, color=_BAR)
    _mark(axes, marks)
    return _svg(figure)


def histogram(
    counts: Mapping[int, int] | Mapping[float, int], label: str, marks: Mapping[str, float] | None = None
) -> str:
    """Values in 48 groups; see `bars`. The last group has the largest half per cent, however large they are."""
    values, weights = np.array(list(counts), np.float64), np.array(list(counts.values()), np.float64)
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    # A few very wide images must not press all others into one bar.
    end = values[np.searchsorted(np.cumsum(weights), 0.995 * weights.sum())]
    figure, axes = _figure(label + (" (the last bar: and above)" if values[-1] > end else ""))
    axes.hist(np.minimum(values, end), bins=_BINS, weights=weights, color=_BAR)
    _mark(axes, {name: value for name, value in (marks or {}).items() if value <= end})
    return _svg(figure)


def overlaid(sets: Mapping[str, NDArray[np.float64]], label: str) -> str:
    """Outlines of the distributions of two or three sets of values; the first is filled.

    Args:
        sets: values by what the legend calls them.
        label: of the axis of values.
    """
    known = np.concatenate(list(sets.values()))
    # A few that are far off must not press all others together.
    low, high = np.quantile(known, (0.005, 0.995)).tolist()
    edges = np.linspace(low, high if high > low else low + 1, 33)
    figure, axes = _figure(label)
    for number, (name, values) in enumerate(sets.items()):
        shares = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / max(len(values), 1)
        if number == 0:
            axes.stairs(shares, edges, fill=True, color=_INK, alpha=0.45, label=name)
        else:
            dashes = (0, (4, 2)) if number == 1 and len(sets) > 2 else "-"
            colour = _MARK if number == 1 and len(sets) > 2 else _BAR
            axes.stairs(shares, edges, color=colour, linewidth=1.6, linestyle=dashes, label=name)
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.legend(fontsize=8, frameon=False, labelcolor=_INK)
    return _svg(figure)


def ranks(counts: Mapping[str, int], limits: tuple[int, ...] = ()) -> str:
    """Frequencies of units from the most frequent on, with lines at some limits."""
    at = f"; lines at {' and '.join(map(str, limits))}" if limits else ""
    figure, axes = _figure(f"units, most frequent first{at}")
    found = sorted(counts.values(), reverse=True)
    axes.fill_between(range(1, len(found) + 1), found, 0.8, color=_BAR, alpha=0.8, step="mid", linewidth=0)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(bottom=0.8)
    axes.set_xlim(0.5, len(found) + 0.5)
    for limit in limits:
        axes.axhline(limit, color=_MARK, linewidth=0.9, linestyle=(0, (4, 3)))
    return _svg(figure)


def _figure(label: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(5.6, 2.5), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.grid(axis="y", color=_INK, alpha=0.2, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel(label, color=_INK, fontsize=9)
    return figure, axes


def _mark(axes: Any, marks: Mapping[str, float] | None) -> None:
    places = sorted((value, name) for name, value in (marks or {}).items())
    for number, (value, name) in enumerate(places):
        axes.axvline(value, color=_MARK, linewidth=0.9, linestyle=(0, (4, 3)))
        # The last name right of its line, others left: two that are close stay apart.
        side, shift = ("left", 3) if number == len(places) - 1 else ("right", -3)
        axes.annotate(
            name, (value, 1), (shift, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
            color=_MARK, fontsize=8, va="top", ha=side,
        )  # fmt: skip


def _svg(figure: Figure) -> str:
    out = io.BytesIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(out.getvalue()).decode()}"
