"""Ink and background to image: colours, textures, blending, legibility."""

from __future__ import annotations


class Refused(Exception):
    """An attempt that gave no usable sample; `reason` is counted."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
