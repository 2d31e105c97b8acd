"""TensorRT-LLM (trtllm-serve): the flags of its server (`flags.json`, written by tools/extract_engine_flags.py)."""
