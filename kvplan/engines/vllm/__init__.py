"""vLLM: paged cache groups drawn from one pool, and a budget that is a fraction of the GPU."""
