"""The exceptions of hetcomp: one tree, so that a caller can catch as much or as little as it wants.

::

    HetcompError
    ├── InputError                    bad input or bad usage; the command line exits with status 2
    │   ├── ModelError                the ONNX file is missing, malformed or not ONNX at all
    │   │   └── UnsupportedOperatorError   well-formed, but hetcomp cannot run these operators
    │   ├── ShapeError                a shape is missing, or does not fit the model
    │   ├── PlanError                 a plan does not fit the model or the device
    │   ├── ProfileError              a device profile is damaged, or of another device or version
    │   ├── ArtifactError             a compiled .so is truncated, or is not one of ours
    │   └── FeedError                 a run-time input has a wrong name, shape or dtype
    ├── ToolchainError                a compiler, linker or LLVM is missing or has failed
    ├── DeviceError                   OpenCL or an NPU driver has failed
    ├── LinkError                     the connection to a board dropped, and did not come back
    ├── CancelledError                a request was given up before it began
    └── InternalError                 a bug of hetcomp: please report it

A message says what failed, on which node and device, what was got, what was expected and what to
do next.  This module imports nothing, so that every layer may use it.
"""

__all__ = [
    "ArtifactError",
    "CancelledError",
    "DeviceError",
    "FeedError",
    "HetcompError",
    "InputError",
    "InternalError",
    "LinkError",
    "ModelError",
    "PlanError",
    "ProfileError",
    "ShapeError",
    "ToolchainError",
    "UnsupportedOperatorError",
]


class HetcompError(Exception):
    """Base of every exception that hetcomp raises on purpose."""


class InputError(HetcompError):
    """The user's input or usage is wrong; the command line exits with status 2."""


class ModelError(InputError):
    """The ONNX model is missing, malformed, or not an ONNX model."""


class UnsupportedOperatorError(ModelError):
    """The model is well-formed but has operators, or forms of them, that hetcomp cannot run."""


class ShapeError(InputError):
    """A shape is missing, is not positive, or does not fit the model."""


class PlanError(InputError):
    """A plan is malformed, or does not fit the model or the device."""


class ProfileError(InputError):
    """A device profile is damaged, or was measured on another device or by another version."""


class ArtifactError(InputError):
    """A compiled .so is truncated, was made for another version, or is not one of ours."""


class FeedError(InputError):
    """An input given at run time has a wrong name, shape or dtype."""


class ToolchainError(HetcompError):
    """A compiler, a linker or LLVM is missing or has failed."""


class DeviceError(HetcompError):
    """OpenCL or an NPU driver has failed."""


class LinkError(HetcompError):
    """The connection to a board that measures over RPC dropped, and did not come back."""


class CancelledError(HetcompError):
    """A submitted inference was cancelled, or its session closed, before it began."""


class InternalError(HetcompError):
    """An invariant of hetcomp does not hold: a bug to report."""
