"""vLLM's profile run: one forward pass with the largest batch, whose peak is taken from the cache."""
