"""Training and reading text recognisers."""
