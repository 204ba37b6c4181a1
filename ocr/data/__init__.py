"""Training data: sources, their index, batches as a function of the step, and the processes that prepare them."""
