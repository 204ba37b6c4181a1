"""Colours of paper, walls, print and paint: pairs that a reader can tell apart."""

from __future__ import annotations

import numpy as np

Colour = tuple[float, float, float]
"""Blue, green, red, 0 to 255."""


def luminance(colour: Colour) -> float:
    """Luma of ITU-R BT.601, as OpenCV converts to grey."""
    return 0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2]


def is_grey(colour: Colour) -> bool:
    """Whether it is black, white or in between."""
    return colour[0] == colour[1] == colour[2]


def random_colour(rng: np.random.Generator, saturation: float) -> Colour:
    """A colour of full brightness range; `saturation` 0 (grey) to 1."""
    hue = rng.random() * 6
    value = 255 * rng.random() ** 0.6
    third = int(hue)
    f = hue - third
    p, q, t = value * (1 - saturation), value * (1 - saturation * f), value * (1 - saturation * (1 - f))
    r, g, b = ((value, t, p), (q, value, p), (p, value, t), (p, q, value), (t, p, value), (value, p, q))[third % 6]
    return b, g, r


def with_luminance(colour: Colour, target: float) -> Colour:
    """The colour brought to a luminance, towards black by scaling or towards white by mixing."""
    target = min(max(target, 0.0), 255.0)
    now = luminance(colour)
    if now >= target:
        k = target / max(now, 1e-6)
        return colour[0] * k, colour[1] * k, colour[2] * k
    k = (target - now) / max(255.0 - now, 1e-6)
    return colour[0] + (255 - colour[0]) * k, colour[1] + (255 - colour[1]) * k, colour[2] + (255 - colour[2]) * k


def contrasting_luminance(
    background: float, low: float, high: float, darker_share: float, rng: np.random.Generator
) -> float:
    """A luminance that differs from `background` by `low` to `high`; darker by chance where both ways are open."""
    room_below, room_above = background, 255.0 - background
    darker = rng.random() < darker_share
    if darker and room_below < low:
        darker = False
    if not darker and room_above < low:
        darker = room_below >= room_above
    room = room_below if darker else room_above
    low = min(low, room)
    difference = low + (min(high, room) - low) * rng.random()
    return background - difference if darker else background + difference
