"""Qualcomm's Hexagon tensor processor: systems on chip that have it, and its libraries here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

__all__ = ["LICENCE", "SOCS", "htp_libraries"]

SOCS: Mapping[str, str] = {
    "SM8350": "v68",
    "SM8450": "v69",
    "SM8550": "v73",
    "SM8650": "v75",
    "SM8750": "v79",
    "SM8850": "v81",
}
"""Architecture of the tensor processor, by name of the system on chip. The vendor's tools take a
name that they do not know for an old architecture without a word, so that only these are
accepted."""

LICENCE = (
    "pip install 'hetcomp[qnn]' (x86-64 Linux with glibc 2.35, Python 3.11 or newer); its compiler "
    "and emulator are proprietary, using them means to accept the AI Stack License in the package"
)
"""What to say to who lacks the libraries."""

_VARIABLES = {"onnxruntime": "HETCOMP_ONNXRUNTIME", "qnn": "HETCOMP_QNN"}


def htp_libraries(environment: Mapping[str, str]) -> dict[str, str | None]:
    """The runtime's options `onnxruntime` and `qnn`; None where the package is not installed.

    Options whose environment variable is set are left out: the variable stands.
    """
    runtime, qnn = _folder("onnxruntime"), _folder("onnxruntime_qnn")
    libraries = sorted(runtime.glob("capi/libonnxruntime.so*")) if runtime is not None else []
    found = {
        "onnxruntime": str(libraries[0]) if libraries else None,
        "qnn": None if qnn is None else str(qnn),
    }
    return {key: path for key, path in found.items() if _VARIABLES[key] not in environment}


def _folder(package: str) -> Path | None:
    """Folder of an installed package, which is not imported."""
    spec = find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else None
