"""Read an ONNX model from a path, bytes or a ``ModelProto`` and make sure that it is sound.

Protobuf happily parses some garbage, so every invariant that later steps rely on is checked here:
operator sets are declared, nodes are in topological order, names are unique, weights are complete.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError

from hetcomp.errors import ModelError
from hetcomp.frontend.structure import check_structure, name_nodes
from hetcomp.frontend.weights import Weights

__all__ = ["MIN_OPSET", "load_model"]

MIN_OPSET = 6  # below, broadcasting and several attributes mean something else
_HEAD_BYTES = 64
_MAGIC = {b"\x7fELF": "an ELF file (.so or executable)", b"PK\x03\x04": "a zip archive"}


def load_model(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto, weights: Weights
) -> onnx.ModelProto:
    """Return a private, structurally sound copy of the model in `source`.

    Local functions are inlined, inputs with a default value become constants, every node gets a
    unique name, and large weights are references to `weights`.

    Raises
    ------
    ModelError
        The file is missing, truncated, not ONNX, or breaks the ONNX structure.
    """
    if isinstance(source, onnx.ModelProto):
        where = "the given ModelProto"
        model = _parse(_serialise(source), where, weights)
    elif isinstance(source, bytes | bytearray | memoryview):
        where = f"the given {len(source)} bytes"
        model = _parse(bytes(source), where, weights)
    elif isinstance(source, str | os.PathLike):
        where = f"'{os.fspath(source)}'"
        model = _read(Path(source), where, weights)
    else:
        raise ModelError(
            f"cannot import a model from {type(source).__name__}; "
            "expected a path, bytes or an onnx.ModelProto"
        )
    return _normalise(model, where)


def _serialise(model: onnx.ModelProto) -> bytes:
    try:
        return bytes(model.SerializeToString())
    except (ValueError, EncodeError) as error:
        raise ModelError(
            f"the given ModelProto cannot be serialised: {error}; save it with external data and "
            "give its path"
        ) from error


def _read(path: Path, where: str, weights: Weights) -> onnx.ModelProto:
    if not path.exists():
        raise ModelError(f"no such model file: {where}")
    if not path.is_file():
        raise ModelError(f"{where} is not a file; expected an .onnx file")
    try:
        head = _head(path)
        model = _checked(lambda: weights.parse_file(path), head, where)
    except OSError as error:
        raise ModelError(f"cannot read {where}: {error.strerror}") from error
    try:
        weights.resolve_external(model, path.parent.resolve())
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(
            f"{where} keeps weights in external files, and one cannot be read: {error}; "
            "put the data files next to the model"
        ) from error
    return model


@dataclass(frozen=True)
class _Head:
    """Size and first bytes of what should be a model, to say what it is instead."""

    size: int
    start: bytes

    def __str__(self) -> str:
        for magic, meaning in _MAGIC.items():
            if self.start.startswith(magic):
                return f"it looks like {meaning}"
        if self.start.lstrip()[:1] in (b"{", b"["):
            return "it looks like JSON"
        return f"{self.size} bytes, starting with {self.start[:8].hex(' ')}"


def _head(path: Path) -> _Head:
    with path.open("rb") as stream:
        return _Head(path.stat().st_size, stream.read(_HEAD_BYTES))


def _parse(data: bytes, where: str, weights: Weights) -> onnx.ModelProto:
    head = _Head(len(data), data[:_HEAD_BYTES])
    return _checked(lambda: weights.parse_bytes(data), head, where)


def _checked(parse: Callable[[], onnx.ModelProto], head: _Head, where: str) -> onnx.ModelProto:
    if not head.size:
        raise ModelError(f"{where} is empty; expected an ONNX model")
    try:
        model = parse()
    except DecodeError as error:
        raise ModelError(
            f"{where} is not an ONNX model or is truncated ({head}); expected an ONNX protobuf"
        ) from error
    if not model.HasField("graph"):
        raise ModelError(f"{where} holds no graph ({head}): not an ONNX model, or truncated")
    return model


def _normalise(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise ModelError(f"{where} has an empty graph: nothing to compile")
    _check_opset(model, where)
    if model.functions:
        model = _inline_functions(model, where)
    _drop_default_inputs(model)
    check_structure(model.graph, where)
    name_nodes(model.graph)
    return model


def _check_opset(model: onnx.ModelProto, where: str) -> None:
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if not versions:
        raise ModelError(
            f"{where} imports no operator set of the domain ai.onnx: malformed or truncated"
        )
    newest = onnx.defs.onnx_opset_version()
    if not MIN_OPSET <= versions[0] <= newest:
        raise ModelError(
            f"{where} uses operator set {versions[0]}; supported are {MIN_OPSET} to {newest}; "
            "convert it with onnx.version_converter or export it again"
        )


def _inline_functions(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    import onnx.inliner

    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # a pybind11 module: the exception types are not documented
        raise ModelError(f"cannot inline the local functions of {where}: {error}") from error


def _drop_default_inputs(model: onnx.ModelProto) -> None:
    """Inputs that have an initializer are weights; before IR version 4 all weights were inputs."""
    graph = model.graph
    model.ir_version = max(model.ir_version, 4)
    initializers = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in initializers]
    del graph.input[:]
    graph.input.extend(inputs)
