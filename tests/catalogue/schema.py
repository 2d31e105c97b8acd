"""What a file of `model_specs/` holds: the contract for whoever adds a model.

The order of the keys is the order of the fields below. `id:` and `aliases:` stand on one line each, because the
catalogue reads them as text.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
HubId = Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")]
# A log or a script may name a repository without its owner, and mean another than the one that bears the name here.
HubName = Annotated[str, StringConstraints(pattern=r"^([\w.-]+/)?[\w.-]+$")]
Text = Annotated[str, StringConstraints(min_length=3)]

# Bits per parameter that a checkpoint of a format can have on disk: embeddings, norms and towers often stay in 16 bits,
# and scales come on top. `native` is what the entry's own quantization_config describes, `gguf` an unknown mix.
BITS_PER_PARAMETER: dict[str, tuple[float, float]] = {
    "fp32": (30.0, 34.0),
    "bf16": (15.5, 17.5),
    "fp16": (15.5, 17.5),
    "fp8": (7.5, 13.0),
    "fp8-block": (7.5, 13.0),
    "mxfp8": (7.5, 13.0),
    "int8": (7.5, 13.0),
    "gptq-int8": (7.5, 13.0),
    "awq": (3.8, 9.0),
    "gptq": (3.8, 9.0),
    "w4a16": (3.8, 9.0),
    "int4": (3.8, 9.0),
    "nf4": (3.8, 9.0),
    "nvfp4": (3.8, 9.0),
    "mxfp4": (3.8, 9.0),
    "q4_0": (4.2, 6.5),
    "q4_k_m": (4.2, 7.9),
    "gguf": (1.5, 9.0),
    "native": (3.8, 13.0),
}


class Strict(BaseModel):
    """A mapping without keys that nobody reads."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Checkpoint(Strict):
    """One published set of weights of this architecture."""

    hub: HubName | None = None
    ollama: str | None = None
    format: str
    kv_cache: Literal["fp8", "nvfp4"] | None = None  # the KV cache format that the checkpoint declares
    bytes: Annotated[int, Field(gt=0)] | None = None
    source: Text | None = None
    quantization_config: dict[str, Any] | None = None  # as published, where it is short

    @model_validator(mode="after")
    def _known_and_sourced(self) -> Self:
        if self.format not in BITS_PER_PARAMETER:
            raise ValueError(f"unknown format {self.format}")
        if self.bytes is not None and self.source is None:
            raise ValueError("bytes need a source")
        if self.hub is None and self.bytes is None:
            raise ValueError("a checkpoint without a repository needs a size")
        if self.hub is not None and "/" not in self.hub and self.source is None:
            raise ValueError("a repository without its owner needs a source that names it so")
        return self


class ModelFile(Strict):
    """One model: every repository of `hub` has this architecture, shape and context."""

    id: Name
    aliases: list[Annotated[str, StringConstraints(pattern=r"^[\w./:-]+$")]]
    name: Text
    hub: Annotated[list[HubId], Field(min_length=1)]
    confidence: Literal["exact", "reconstructed"]  # exact: the published file's own keys and values
    source: Text  # where the configuration is from
    note: Text | None = None
    completed: dict[str, Text] = {}  # keys that the source lacks or has wrong, and where their values are from
    parameters: Annotated[int, Field(gt=0)] | None  # as transformers counts them; null: not known
    parameters_source: Text
    checkpoints: list[Checkpoint]
    config: dict[str, Any]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not isinstance(self.config.get("model_type"), str):
            raise ValueError("config has no model_type")  # noqa: TRY004  pydantic wants ValueError
        if self.confidence == "exact" and self.completed:
            raise ValueError("an exact file needs no completed keys")
        for path in self.completed:
            value: Any = self.config
            for key in path.split("."):
                if key not in value:
                    raise ValueError(f"completed names {path}, which config lacks")
                value = value[key]
        for checkpoint in self.checkpoints:
            if checkpoint.bytes is None or self.parameters is None:
                continue
            low, high = BITS_PER_PARAMETER[checkpoint.format]
            bits = 8 * checkpoint.bytes / self.parameters
            if not low <= bits <= high:
                raise ValueError(f"{checkpoint.format} at {bits:.2f} bits per parameter")
        return self
