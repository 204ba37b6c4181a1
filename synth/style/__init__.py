"""Style transfer: the look of real crops, measured, kept in a store, and given to new text."""
