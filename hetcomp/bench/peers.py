"""Engines to compare with: ONNX Runtime's CPU provider and, where it is installed, OpenVINO."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from hetcomp.bench.reference import Array
from hetcomp.errors import ModelError

__all__ = [
    "PEERS",
    "Peer",
    "missing_peers",
    "on_first_core",
    "onnxruntime_run",
    "open_peers",
]

PEERS = ("onnxruntime", "openvino")

Result = TypeVar("Result")


@dataclass(frozen=True)
class Peer:
    """An engine with a model.

    Attributes
    ----------
    name, threads
        Which, on how many threads.
    run
        One inference.
    """

    name: str
    threads: int
    run: Callable[[], Mapping[str, Array]]


def missing_peers(names: Sequence[str]) -> tuple[str, ...]:
    """Those of `names` whose packages are not installed."""
    return tuple(name for name in names if find_spec(name) is None)


def open_peers(
    names: Sequence[str], model: Path, feeds: Mapping[str, Array], threads: int
) -> list[Peer]:
    """ONNX Runtime with one thread and with `threads`, and OpenVINO as it comes.

    Raises
    ------
    ModelError
        One of them cannot load the model.
    """
    counts = sorted({1, threads}) if "onnxruntime" in names else []
    found = [Peer("onnxruntime", n, onnxruntime_run(model, feeds, n)) for n in counts]
    if "openvino" in names:
        found.append(_openvino(model, feeds))
    return found


def onnxruntime_run(
    model: Path, feeds: Mapping[str, Array], threads: int
) -> Callable[[], dict[str, Array]]:
    """One inference of `model` in ONNX Runtime as a function.

    One thread runs on the first core that this process may use, as our CPU steps do; several are
    left to the system.

    Raises
    ------
    ModelError
        ONNX Runtime cannot load the model.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(os.fspath(model), options, ["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no common base of its exceptions
        raise ModelError(f"model '{model}': ONNX Runtime cannot load it: {error}") from error
    names = [output.name for output in session.get_outputs()]
    given = dict(feeds)

    def run() -> dict[str, Array]:
        return dict(zip(names, session.run(names, given), strict=True))

    return on_first_core(run) if threads == 1 else run


def _openvino(model: Path, feeds: Mapping[str, Array]) -> Peer:
    """OpenVINO's CPU plug-in by its default settings: threads and precision are its choice."""
    import openvino

    try:
        compiled = openvino.Core().compile_model(os.fspath(model), "CPU")
    except RuntimeError as error:
        raise ModelError(f"model '{model}': OpenVINO cannot load it: {error}") from error
    request = compiled.create_infer_request()
    outputs = [(port.get_any_name(), port) for port in compiled.outputs]
    given = dict(feeds)

    def run() -> dict[str, Array]:
        found = request.infer(given, share_inputs=True, share_outputs=True)
        return {name: found[port] for name, port in outputs}

    return Peer("openvino", int(compiled.get_property("INFERENCE_NUM_THREADS")), run)


def on_first_core(run: Callable[[], Result]) -> Callable[[], Result]:
    """`run` on the first core that this process may use, where our CPU steps run."""

    def pinned() -> Result:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(allowed)})
        try:
            return run()
        finally:
            os.sched_setaffinity(0, allowed)

    return pinned
