"""kvplan: how much memory serving a language model takes, before you have the GPU."""

from kvplan.errors import (
    CheckpointError,
    ConfigError,
    HubError,
    HubGatedError,
    HubNotFoundError,
    HubOfflineError,
    KvplanError,
    SettingError,
    SpecError,
    UnknownEngineError,
    UnknownGpuError,
    UnknownModelError,
    UnknownNameError,
    UnsupportedArchitectureError,
)
from kvplan.gate import check
from kvplan.listing import engines, gpus, models
from kvplan.models.source import load_model
from kvplan.models.spec import ModelSpec
from kvplan.plan import Plan
from kvplan.planner import estimate

__version__ = "0.2.0"
__all__ = [
    "CheckpointError",
    "ConfigError",
    "HubError",
    "HubGatedError",
    "HubNotFoundError",
    "HubOfflineError",
    "KvplanError",
    "ModelSpec",
    "Plan",
    "SettingError",
    "SpecError",
    "UnknownEngineError",
    "UnknownGpuError",
    "UnknownModelError",
    "UnknownNameError",
    "UnsupportedArchitectureError",
    "check",
    "engines",
    "estimate",
    "gpus",
    "load_model",
    "models",
]
