"""A model.so that was compiled anew under the same name is what a later load opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import parser

import hetcomp


def _scale_by(factor: float) -> onnx.ModelProto:
    return parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[4,8] x) => (float[4,8] y) '
        f"<float f = {{{factor}}}> {{ y = Mul(x, f) }}"
    )


def test_recompiled_file_is_loaded_anew(tmp_path: Path) -> None:
    path = tmp_path / "m.so"
    feeds = {"x": np.ones((4, 8), np.float32)}
    options = hetcomp.CompileOptions(plan="cpu", gpu=False)
    results = []
    for factor in (2.0, 3.0, 5.0):
        hetcomp.compile(_scale_by(factor), output=path, options=options)
        with hetcomp.load(path, device="off") as session:
            results.append(float(session.run(feeds)["y"][0, 0]))
    assert results == [2.0, 3.0, 5.0]
