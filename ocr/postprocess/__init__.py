"""From the network's output to results: NumPy only."""
