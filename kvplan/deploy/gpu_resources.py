"""GPUs as Kubernetes counts them: extended resources, whose names tell the vendor, a partition or the kind of accelerator."""

import re

from kvplan.deploy.tree import Node
from kvplan.deploy.workload import Gpus, given
from kvplan.launch.words import Given, Word

# Extended resources that are GPUs or other accelerators (device plugins of the vendors; `gpu` is Dynamo's own word).
_COUNTS = frozenset({
    "nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe", "nvidia.com/gpu.shared", "gpu",
    "google.com/tpu", "habana.ai/gaudi", "aws.amazon.com/neuron", "aws.amazon.com/neuroncore",
    "aws.amazon.com/neurondevice", "huawei.com/Ascend910", "huawei.com/Ascend910B", "huawei.com/ascend-1980",
})  # fmt: skip
_PARTITION = re.compile(r"nvidia\.com/mig-(\d+g\.\d+gb)(?:\.\w+)*")
# What these and other files call accelerators that are no GPUs of NVIDIA's or AMD's.
OTHER_KINDS = re.compile(
    r"(?:intel[-_]?)?(?:gaudi\d?|i915|xe|xpu)|intel|neuron\w*|tpu[\w-]*|ascend\w*|hpu|npu", re.IGNORECASE
)
# Kinds of accelerators that a resource's name tells; NVIDIA's and AMD's say the vendor alone, which is no kind.
_KIND = re.compile(
    r"habana\.ai/(gaudi)|gpu\.(intel)\.com/\w+|aws\.amazon\.com/(neuron)\w*|google\.com/(tpu)|huawei\.com/(ascend)[\w-]+",
    re.IGNORECASE,
)


def asked_for(resources: Node, types: tuple[Given, ...] = ()) -> Gpus:
    """Return the GPUs that a container asks for; limits count, requests must equal them.

    Args:
        resources: of the container.
        types: what its placement says of the GPU; where it says nothing, the resource's name may tell the kind.

    """
    for part in ("limits", "requests"):
        for key, value in resources.get(part).entries():
            name = key.value.strip()
            if match := _PARTITION.fullmatch(name):
                partition = Given(match[1], (Word(key.value, place=key.text),))
                return Gpus(count=count_of(value, key), partition=partition, types=types)
            if name in _COUNTS:
                count = count_of(value, key)
                own = types if types or (count is not None and count.value == 0) else _kind(key)
                return Gpus(count=count, types=own)
    return Gpus(types=types)


def _kind(key: Node) -> tuple[Given, ...]:
    match = _KIND.search(key.value)
    if match is None or match.lastindex is None:
        return ()
    text = key.text.cut(*match.span(match.lastindex))
    return (Given(text.value.lower(), (Word(text.value, place=text),)),)


def count_of(value: Node, key: Node | None = None) -> Given | None:
    """Return a number of GPUs, written as a number or a text; a text that is none is kept as it is written."""
    found = given(value, key)
    if found is None:
        return None
    return Given(value.number, found.words) if value.number is not None else found
