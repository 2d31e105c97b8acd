"""NVIDIA NIM: the variables that it reads (`flags.json`, by hand: NIM is not open; each names where it was read)."""
