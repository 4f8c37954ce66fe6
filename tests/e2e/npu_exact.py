"""A QDQ network on driver `reference` against NumPy and ONNX Runtime, at full size.

    python tests/e2e/npu_exact.py resnet50 [--size 224]

Every tensor between tasks is compared with NumPy's (tests/support/npu_oracle.py), bit for bit, and
every quantised value with ONNX Runtime's: of the whole network, where one rounding that falls the
other way is seen in all that follows, and layer by layer, each computed from our own values. Ends
with 1 where NumPy's differ, or a layer is more than one quantum off.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from onnxruntime_values import onnxruntime_layers, onnxruntime_values
from quantized_outputs import with_quantized_outputs
from tapped_network import compile_tapped

import hetcomp
from hetcomp.bench import zoo
from hetcomp.options import CompileOptions

_TIMEOUT_MS = 600_000.0
"""For a region; the reference is slow."""


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=sorted(zoo.names()))
    parser.add_argument("--size", type=int, help="pixels or tokens; default: the published ones")
    given = parser.parse_args()
    model = with_quantized_outputs(zoo.build(given.network, qdq=True, size=given.size))
    feeds = zoo.random_inputs(model)
    options = CompileOptions(plan="npu", gpu=False)
    with tempfile.TemporaryDirectory() as folder:
        network = compile_tapped(model, Path(folder) / "m.so", options)
        with hetcomp.load(network.path, timeout_ms=_TIMEOUT_MS) as session:
            got, status = session.run(feeds), session.status()
    print(
        f"{given.network}: {network.taken} of {len(network.lowered.graph.tasks)} tasks on driver "
        f"{status.npu} in {status.npu_steps} regions"
    )
    wrong = network.differences(feeds, got)
    print("against NumPy:", "; ".join(wrong) or "equal")
    print("against ONNX Runtime:", _against(got, onnxruntime_values(model, feeds))[0])
    text, most = _against(got, onnxruntime_layers(model, {**feeds, **got}))
    print("against ONNX Runtime layer by layer:", text)
    return 1 if wrong or status.npu_fallbacks or most > 1 else 0


def _against(got: dict[str, Any], expected: dict[str, Any]) -> tuple[str, int]:
    """How many quantised values differ, and by how much at most."""
    names = [name for name, want in expected.items() if want.dtype.kind != "f"]
    off = {name: np.abs(got[name].astype(np.int32) - expected[name]) for name in names}
    count = sum(int((each > 0).sum()) for each in off.values())
    size = sum(each.size for each in off.values())
    most = max(int(each.max()) for each in off.values())
    first = next((name for name, each in off.items() if each.any()), "")
    text = f"{count} of {size} quantised values differ, by {most} at most"
    return (f"{text}, first at {first}" if first else text), most


if __name__ == "__main__":
    sys.exit(main())
