"""Handwriting: sets of single characters, written by people, to lines of ink."""
