"""hetcomp: ONNX model in, one .so out that runs on CPU and OpenCL device at the same time.

Public names are imported on first use, so that a process which only runs compiled models
(`hetcomp.load`) never imports the compiler or TVM.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hetcomp._version import __version__

if TYPE_CHECKING:
    from hetcomp.driver import Artifact, compile
    from hetcomp.errors import (
        ArtifactError,
        CancelledError,
        DeviceError,
        FeedError,
        HetcompError,
        InputError,
        InternalError,
        LinkError,
        ModelError,
        PlanError,
        ShapeError,
        ToolchainError,
        UnsupportedOperatorError,
    )
    from hetcomp.options import CompileOptions
    from hetcomp.runtime import Request, Session, load

__all__ = [
    "Artifact",
    "ArtifactError",
    "CancelledError",
    "CompileOptions",
    "DeviceError",
    "FeedError",
    "Goal",
    "HetcompError",
    "InputError",
    "InternalError",
    "LinkError",
    "ModelError",
    "PlanError",
    "ProfileError",
    "Request",
    "Session",
    "ShapeError",
    "ToolchainError",
    "UnsupportedOperatorError",
    "__version__",
    "compile",
    "load",
]

_HOMES = {
    "Artifact": "hetcomp.driver",
    "compile": "hetcomp.driver",
    "CompileOptions": "hetcomp.options",
    "Goal": "hetcomp.goal",
    "Request": "hetcomp.runtime",
    "Session": "hetcomp.runtime",
    "load": "hetcomp.runtime",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'hetcomp' has no attribute '{name}'")
    value = getattr(import_module(_HOMES.get(name, "hetcomp.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
