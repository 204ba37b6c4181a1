"""Convolutional networks that turn a picture of a line into a sequence of features."""
