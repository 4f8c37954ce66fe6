"""Engines to compare with. This version has ONNX Runtime's CPU provider."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from hetcomp.bench.reference import Array
from hetcomp.errors import ModelError

__all__ = ["PEERS", "on_first_core", "onnxruntime_run"]

PEERS = ("onnxruntime",)

Result = TypeVar("Result")


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
