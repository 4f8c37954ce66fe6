"""Running compiled models. Needs tvm_ffi and NumPy, never TVM itself."""

from hetcomp.runtime.image import Image, read_image
from hetcomp.runtime.loading import load
from hetcomp.runtime.records import Profile, RunProfile, SessionStatus, StepTimes, TensorInfo
from hetcomp.runtime.request import Request
from hetcomp.runtime.session import Session
from hetcomp.runtime.stats import Adaptation, SessionStats, StepAverage, Switch

__all__ = [
    "Adaptation",
    "Image",
    "Profile",
    "Request",
    "RunProfile",
    "Session",
    "SessionStats",
    "SessionStatus",
    "StepAverage",
    "StepTimes",
    "Switch",
    "TensorInfo",
    "load",
    "read_image",
]
