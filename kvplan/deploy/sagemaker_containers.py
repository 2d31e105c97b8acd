"""SageMaker's containers: images that its Python SDK looks up, and the variables that TGI's entry point there renames."""

from collections.abc import Mapping, Sequence

from kvplan.launch.text import MASK, Text, join
from kvplan.launch.words import Given

# Where the version that is asked for is the engine's own.
_BY_VERSION = ("huggingface-pytorch-tgi-inference",)
# Frameworks and backends to repositories (sagemaker-python-sdk, src/sagemaker/image_uri_config/*.json).
_REPOSITORIES = {
    "huggingface": "huggingface-pytorch-tgi-inference",
    "huggingface-llm": "huggingface-pytorch-tgi-inference",
    "huggingface-neuronx": "huggingface-pytorch-tgi-inference-neuron",
    "huggingface-llm-neuronx": "huggingface-pytorch-tgi-inference-neuron",
    "lmi": "djl-inference",
    "djl-lmi": "djl-inference",
    "djl-inference": "djl-inference",
    "djl-serving": "djl-inference",
    "djl-deepspeed": "djl-inference",
    "djl-fastertransformer": "djl-inference",
    "djl-tensorrtllm": "djl-tensorrtllm",
    "djl-neuronx": "djl-inference-neuron",
}
_BACKENDS = ("huggingface", "huggingface-neuronx", "lmi")
# The functions, the names of their first arguments, and the frameworks that they know.
_LOOKUPS = (
    ("get_huggingface_llm_image_uri", ("backend", "session", "region", "version"), _BACKENDS),
    (
        "image_uris.retrieve",
        ("framework", "region", "version"),
        tuple(name for name in _REPOSITORIES if name not in _BACKENDS),
    ),
)
# text-generation-inference, sagemaker-entrypoint.sh.
_RENAMED = {
    "HF_MODEL_ID": "MODEL_ID",
    "HF_MODEL_REVISION": "REVISION",
    "SM_NUM_GPUS": "NUM_SHARD",
    "HF_MODEL_QUANTIZE": "QUANTIZE",
    "HF_MODEL_TRUST_REMOTE_CODE": "TRUST_REMOTE_CODE",
}


def looked_up(name: str, args: Sequence[object], keywords: Mapping[str, object], call: Text) -> Text | None:
    """Return the image that a call of the SDK stands for, without its registry; None for other calls and other images.

    Args:
        name: of the function, with its dots.
        args: its values, of which only texts count.
        keywords: likewise, by their names.
        call: the call as it stands in the file.

    """
    found = next((each for each in _LOOKUPS if f".{name}".endswith(f".{each[0]}")), None)
    if found is None:
        return None
    _, names, frameworks = found
    given = dict(zip(names, args, strict=False)) | dict(keywords)
    framework, version = given.get(names[0]), given.get("version")
    if not isinstance(framework, Text) or framework.value not in frameworks:
        return None
    repository = _REPOSITORIES[framework.value]
    place = call.place()
    own = Text(repository)
    if place is not None:
        own = Text(
            repository, [call.runs[0]._replace(offset=0, length=len(repository), start=place.start, end=place.end)]
        )
    if isinstance(version, Text) and version.value and MASK not in version.value and repository in _BY_VERSION:
        return join([own, ":", version])
    return own


def as_tgi_reads(environment: Mapping[str, Given]) -> dict[str, Given]:
    """Return the variables of SageMaker's container of TGI with those that its entry point makes of them."""
    renamed = {to: environment[name] for name, to in _RENAMED.items() if name in environment}
    return dict(environment) | renamed
