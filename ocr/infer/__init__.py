"""Reading pictures with a trained or exported model."""
