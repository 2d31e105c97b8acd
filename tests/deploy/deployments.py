"""Small deployment files for the tests of the gate, and a way to run it."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: {name}
spec:
  nodeSelector: {{cloud.google.com/gke-accelerator: {gpu}}}
  containers:
  - name: vllm
    image: vllm/vllm-openai:v0.11.0
    args:
    - --model={model}
    - --max-model-len={length}
    resources: {{limits: {{nvidia.com/gpu: 1}}}}
"""


def pod(*, name="qwen", gpu="nvidia-l4", model="Qwen/Qwen3-8B", length="8192"):
    """Return a pod that serves a model; what is "" is left out."""
    lines = POD.format(name=name, gpu=gpu, model=model, length=length).splitlines(keepends=True)
    left_out = [
        key for key, value in (("nodeSelector", gpu), ("--model=", model), ("--max-model-len=", length)) if not value
    ]
    return "".join(line for line in lines if not any(key in line for key in left_out))


FITS = pod()
MISFIT = pod(length="65536", model="meta-llama/Llama-3.1-8B-Instruct")
# The weights leave a cache that holds the request, by less than the estimate's error.
TIGHT = pod(length="28600", model="meta-llama/Llama-3.1-8B-Instruct")
UNKNOWN = pod(gpu="")


@dataclass
class Ran:
    """What a run of kvplan ended with."""

    code: int
    out: str
    err: str

    @property
    def document(self):
        return json.loads(self.out)

    @property
    def verdicts(self):
        return [unit["verdict"] for unit in self.document["units"]]

    @property
    def codes(self):
        """Codes of the findings that count."""
        return [each["code"] for each in self.document["findings"] if not each["suppressed"]]

    @property
    def suppressed(self):
        """Codes of those that do not, and why."""
        return [(each["code"], each["suppressed"]) for each in self.document["findings"] if each["suppressed"]]


def write(folder: Path, files):
    """Write files of some names and texts into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))


def git(folder: Path, *words: str):
    """Run git in a folder, whoever's machine it is."""
    settings = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *settings, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
