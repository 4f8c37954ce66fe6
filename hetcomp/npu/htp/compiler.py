"""The process that calls the vendor's compiler: `python -m hetcomp.npu.htp.compiler DIR N SOC`.

Reads `DIR/0.onnx` and so on, writes `DIR/0.context` and so on, and `DIR/answer.json`: for each
model why there is no context, "" where there is one. Apart from the caller, since the library
prints, may end the process, and must not meet the copy that a model.so loads.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnxruntime
import onnxruntime_qnn

__all__: list[str] = []

_PROVIDER = "QNNExecutionProvider"
_ERRORS_ONLY = 3


def _session_options(soc: str) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # All of the region on the tensor processor, or an error.
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    devices = [d for d in onnxruntime.get_ep_devices() if d.ep_name == _PROVIDER]
    provider = {
        "backend_path": onnxruntime_qnn.get_qnn_htp_path(),
        "soc_model": soc,
        "offload_graph_io_quantization": "0",
    }
    options.add_provider_for_devices(devices[:1], provider)
    return options


def _compile(source: Path, soc: str) -> str:
    """Compile one model; why not, or ""."""
    model = source.read_bytes()
    try:
        compiler = onnxruntime.ModelCompiler(
            _session_options(soc), model, embed_compiled_data_into_model=True
        )
        context = compiler.compile_to_bytes()
    except Exception as error:  # the binding's errors have no common type
        return f"Qualcomm's compiler refuses it: {' '.join(str(error).split())}"
    source.with_suffix(".context").write_bytes(context)
    return ""


def main(folder: Path, count: int, soc: str) -> None:
    """Compile all models."""
    onnxruntime.register_execution_provider_library(_PROVIDER, onnxruntime_qnn.get_library_path())
    answer = [_compile(folder / f"{index}.onnx", soc) for index in range(count)]
    (folder / "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
