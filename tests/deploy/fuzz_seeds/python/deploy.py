"""Starts an engine on rented GPUs."""

import subprocess

import modal

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
LENGTH = 8192
app = modal.App("chat")
image = modal.Image.debian_slim().pip_install("vllm==0.11.0")


@app.function(image=image, gpu="L4:1", timeout=600)
@modal.web_server(port=8000)
def serve():
    """Start it."""
    command = ["vllm", "serve", MODEL, "--max-model-len", str(LENGTH)]
    command += ["--gpu-memory-utilization", f"{0.9}"]
    subprocess.Popen(" ".join(command), shell=True)  # noqa: S602
