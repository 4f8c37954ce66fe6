"""Running compiled models. Needs tvm_ffi and NumPy, never TVM itself."""

from hetcomp.runtime.image import Image, read_image
from hetcomp.runtime.records import Profile, RunProfile, SessionStatus, StepTimes, TensorInfo
from hetcomp.runtime.request import Request
from hetcomp.runtime.session import Session, load
from hetcomp.runtime.stats import SessionStats, StepAverage

__all__ = [
    "Image",
    "Profile",
    "Request",
    "RunProfile",
    "Session",
    "SessionStats",
    "SessionStatus",
    "StepAverage",
    "StepTimes",
    "TensorInfo",
    "load",
    "read_image",
]
