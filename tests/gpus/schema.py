"""What a file of `gpu_specs/` holds: the form that a pull request's file is held to."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Text = Annotated[str, Field(min_length=1)]
Mib = Annotated[int, Field(ge=2**10, le=2**21)]


class Strict(BaseModel):
    """No key that is not described, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Memory(Strict):
    """The memory of one card (`devices_per_card` devices); the readings are of one device."""

    type: Text
    marketing_gb: Annotated[int, Field(ge=4, le=1024)]
    marketing_unit: Literal["GiB", "GB"]  # what the box means by GB
    devices_per_card: Annotated[int, Field(ge=2, le=4)] = 1
    configurations_gb: Annotated[list[int], Field(min_length=2)] | None = None
    driver_mib: Mib | None
    driver_source: Text | None
    torch_mib: Mib | None
    torch_range_mib: Annotated[list[Mib], Field(min_length=2, max_length=2)] | None = None
    torch_source: Text | None
    ecc: Text | None
    ecc_on: bool = False

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """Hold the totals against each other and against their sources."""
        unit = 2**30 if self.marketing_unit == "GiB" else 10**9
        marketed = self.marketing_gb * unit / self.devices_per_card
        for total, source in ((self.driver_mib, self.driver_source), (self.torch_mib, self.torch_source)):
            if total is not None:
                assert source, "a reading needs its source"
                assert total * 2**20 <= marketed * 1.02, "more than the box says"
        if self.torch_range_mib is not None:
            low, high = self.torch_range_mib
            assert self.torch_mib is not None
            assert low < high, "a range runs upwards"
            assert low <= self.torch_mib <= high
        if self.configurations_gb is not None:
            assert self.marketing_gb == max(self.configurations_gb)
            assert self.configurations_gb == sorted(self.configurations_gb)
        return self


class Unified(Strict):
    """How much of a memory shared with the CPU is the GPU's."""

    usable: Text
    source: Text


class GpuFile(Strict):
    """One file of `gpu_specs/`."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    aliases: list[Text]
    name: Text
    vendor: Literal["NVIDIA", "AMD", "Intel", "Apple", "Google", "AWS"]
    architecture: Text
    compute_capability: Annotated[str, Field(pattern=r"^\d{1,2}\.\d$")] | None
    gfx: Annotated[str, Field(pattern=r"^gfx[0-9a-f]{3,4}$")] | None = None
    fp8: bool | None
    fp4: bool | None
    memory: Memory
    bandwidth_gb_s: Annotated[float, Field(ge=50, le=20_000)] | None
    interconnect: Text
    unified: Unified | None = None
    source: Annotated[list[Text], Field(min_length=1)]
    note: list[Text]


class InstanceRow(Strict):
    """One instance type: so many GPUs, or one part of a GPU (`1/8`)."""

    gpu: Text
    count: Annotated[int, Field(ge=1, le=64)] | Annotated[str, Field(pattern=r"^1/[2-9]$")]
    provider_mib: Annotated[int, Field(ge=1024, le=2**20)] | None = None
    source: Text
    note: Text | None = None


class InstanceFile(Strict):
    """One file of `gpu_specs/instances/`."""

    provider: Text
    sources: dict[str, Text]
    unsupported: dict[str, Text] = {}
    instances: dict[str, InstanceRow]
