"""Hugging Face transformers: DynamicCache and StaticCache, to the byte."""
