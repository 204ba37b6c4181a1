"""Pages that show how a model does."""
