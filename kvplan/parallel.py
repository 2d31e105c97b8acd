"""How a model is spread over GPUs."""

from dataclasses import dataclass

from kvplan.errors import SettingError
from kvplan.models.config import show


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallelism:
    """The parallel sizes of a deployment; one replica is tensor x pipeline GPUs, and there are `data` replicas.

    Attributes:
        tensor: ranks that split each layer.
        pipeline: stages that split the layers.
        data: replicas.
        context: ranks of a tensor-parallel group that split the positions of a decode (vLLM's
            decode_context_parallel_size); divides `tensor`.

    """

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    context: int = 1

    def __post_init__(self) -> None:
        for name in ("tensor", "pipeline", "data", "context"):
            size = getattr(self, name)
            if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 65_536:
                flag = "decode_context_parallel_size" if name == "context" else f"{name}_parallel"
                raise SettingError(f"{flag} is {show(size)}; a whole number from 1 to 65,536 was expected.")
        if self.tensor % self.context:
            raise SettingError(
                f"The context-parallel size {self.context} does not divide the tensor-parallel size {self.tensor}."
            )

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.tensor * self.pipeline * self.data

    def stages(self, layers: int) -> tuple[range, ...]:
        """Return the layers of each pipeline stage.

        Layers that do not divide go one each to the stages before the last, which has the head, from the end on.
        Source: vLLM 0.33 distributed/utils.py get_pp_indices.

        Raises:
            SettingError: more stages than layers.

        """
        if self.pipeline > max(layers, 1):
            raise SettingError(
                f"{self.pipeline} pipeline stages are more than the model's {layers} layers.", about="pipeline_parallel"
            )
        sizes = [layers // self.pipeline] * self.pipeline
        for extra in range(layers % self.pipeline):
            sizes[-(extra + 2)] += 1
        starts = [sum(sizes[:i]) for i in range(self.pipeline)]
        return tuple(range(start, start + size) for start, size in zip(starts, sizes, strict=True))
