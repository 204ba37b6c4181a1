"""Text to ink: shaping, rasterising, laying out."""
