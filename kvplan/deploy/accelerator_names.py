"""GPUs as deployment files name them: product labels, GKE accelerators, instance types, CoreWeave classes, `H100:8`."""

import re

from kvplan.errors import KvplanError
from kvplan.gpus import GpuGroup, find_gpu

# What labels put around a GPU's name (GPU feature discovery, GKE, CoreWeave, Karpenter).
_AROUND = re.compile(
    r"^(?:nvidia|nvidia-tesla|tesla|amd|accelerator)[-_ ]+|[-_ ](?:shared|vws|vgpu|nvlink(?=[-_ ])|gpu)$", re.IGNORECASE
)
# Labels that mean another GPU than their words (GKE's G4 machines have the server edition; CoreWeave's A100 classes).
_LABELS = {"nvidia-rtx-pro-6000": "rtx-pro-6000-server", "a100_nvlink": "a100-40gb"}


def find_named_gpu(text: str, partition: str | None = None) -> GpuGroup | None:
    """Return the GPU that a label, instance type or accelerator's name means; None where no catalogue has it.

    Args:
        text: as written.
        partition: of it, a MIG profile (`1g.10gb`).

    """
    for name in _spellings(text):
        try:
            return find_gpu(f"{name} mig-{partition}" if partition else name)
        except KvplanError:
            continue
    return None


def _spellings(text: str) -> list[str]:
    plain = text.strip().strip("'\"")
    if len(plain) > 80 or plain.lower() in ("auto", "all", ""):
        return []
    short = _AROUND.sub("", _AROUND.sub("", plain))
    found = [_LABELS.get(plain.lower(), ""), plain, short, short.replace("_", "-"), plain.replace("-", " ")]
    if "." in plain:
        found.append(plain.removeprefix("ml."))
    found.append(re.sub(r"[-_ ](?:SXM\d?|HBM3e?|PCIE|NVL)(?=[-_ ]|$)", "", short, flags=re.IGNORECASE))
    return [name for name in dict.fromkeys(found) if name and name.lower() not in ("auto", "all")]
