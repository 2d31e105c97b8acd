"""vLLM's command line, to kvplan's arguments: which flags a release has, how they are read, what they mean."""
