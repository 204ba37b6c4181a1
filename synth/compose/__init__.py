"""Ink and background to image: colours, textures, blending, legibility."""
