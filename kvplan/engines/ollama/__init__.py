"""Ollama: the variables that it reads (`flags.json`, written by tools/extract_engine_flags.py)."""
