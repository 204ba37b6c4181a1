"""Pixel and geometric augmentation with an explicit random generator."""
