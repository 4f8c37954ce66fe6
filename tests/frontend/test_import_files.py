"""Bad files and malformed graphs: one clear error that says what is at fault, never a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import onnx
import pytest
from hypothesis import strategies

from hetcomp.errors import InputError, ModelError
from hetcomp.frontend import TensorSpec, import_onnx

SMALL = "g (float[2,3] x) => (float[2,3] y) { y = Relu (x) }"


def test_path_bytes_and_proto_give_the_same(tmp_path: Path, parse: Any) -> None:
    model = parse(SMALL)
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    for source in (path, str(path), path.read_bytes(), model):
        imported = import_onnx(source)
        assert imported.inputs == (TensorSpec("x", (2, 3), "float32"),)
        assert imported.outputs == (TensorSpec("y", (2, 3), "float32"),)
        assert imported.name == "g"


def test_missing_file_and_folder(tmp_path: Path, failure: Any) -> None:
    assert "no such model file" in failure(ModelError, tmp_path / "absent.onnx")
    assert "is not a file" in failure(ModelError, str(tmp_path))
    assert "int" in failure(ModelError, 3)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty"),
        (b"\x7fELF\x02\x01\x01" + bytes(57), "ELF"),
        (b'{"nodes": []}', "JSON"),
        (np.random.default_rng(0).bytes(4096), "not an ONNX model"),
        (onnx.ModelProto(ir_version=8).SerializeToString(), "no graph"),
    ],
    ids=["empty", "elf", "json", "random", "no-graph"],
)
def test_files_that_are_not_models(content: bytes, part: str, tmp_path: Path, failure: Any) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    text = failure(ModelError, path)
    assert part in text
    assert str(path) in text


def test_empty_graph(parse: Any, failure: Any) -> None:
    model = parse(SMALL)
    for field in ("node", "output"):
        del getattr(model.graph, field)[:]
    assert "empty graph" in failure(ModelError, model)


def test_missing_external_data(tmp_path: Path, parse: Any, failure: Any) -> None:
    body = "g (float[2,3] x) => (float[2,3] y) { y = Add (x, w) }"
    model = parse(body, weights={"w": np.ones((2, 3), np.float32)})
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert import_onnx(path).outputs[0].shape == (2, 3)
    (tmp_path / "net.data").unlink()
    assert "external files" in failure(ModelError, path)
    assert "'w' is in an external file" in failure(ModelError, path.read_bytes())


def test_truncated_weight(parse: Any, failure: Any) -> None:
    body = "g (float[2,3] x) => (float[2,3] y) { y = Add (x, w) }"
    model = parse(body, weights={"w": np.ones((2, 3), np.float32)})
    model.graph.initializer[0].raw_data = b"1234"
    assert "initializer 'w' of shape [2, 3]" in failure(ModelError, model)


@pytest.mark.parametrize("opset", [1, 5, 999])
def test_operator_set_out_of_range(opset: int, parse: Any, failure: Any) -> None:
    model = parse(SMALL)
    model.opset_import[0].version = opset
    assert f"operator set {opset}; supported are 6 to" in failure(ModelError, model)


def test_order_and_names_are_checked(parse: Any, failure: Any) -> None:
    swapped = parse("g (float[2] x) => (float[2] y) { y = Relu (t) t = Neg (x) }")
    assert "reads 't', which no earlier node makes" in failure(ModelError, swapped)
    twice = parse("g (float[2] x) => (float[2] y) { y = Relu (x) y = Neg (x) }")
    assert "defines 'y' a second time" in failure(ModelError, twice)
    nowhere = parse("g (float[2] x) => (float[2] z) { y = Relu (x) }")
    assert "graph output 'z' is made by no node" in failure(ModelError, nowhere)


def test_malformed_attribute_is_named(parse: Any, failure: Any) -> None:
    model = parse("g (float[2,3] x) => (float[] y) { [bad] y = Concat (x, x) }")
    text = failure(ModelError, model)
    assert "node 'bad' (Concat)" in text
    assert "axis" in text


@hypothesis.settings(max_examples=60, deadline=None, print_blob=True)
@hypothesis.given(data=strategies.data())
def test_truncated_or_corrupted_file_never_crashes(data: Any, parse: Any) -> None:
    """A cut or flipped file imports or raises InputError; hypothesis prints the reproducer."""
    body = "g (float[n,4] x) => (float[n,2] y) { h = Gemm (x, w) t = Clip (h, z) y = Softmax (t) }"
    weights = {"w": np.ones((4, 2), np.float32), "z": np.float32(0)}
    whole = bytearray(parse(body, weights=weights).SerializeToString())
    if data.draw(strategies.booleans(), label="flip a byte"):
        whole[data.draw(strategies.integers(0, len(whole) - 1))] ^= data.draw(
            strategies.integers(1, 255)
        )
    cut = data.draw(strategies.integers(0, len(whole)), label="cut")
    try:
        imported = import_onnx(bytes(whole[:cut]), shapes={"x": (1, 4)})
    except InputError:
        return
    assert imported.inputs[0].shape == (1, 4)


@pytest.mark.parametrize(
    ("attributes", "part"),
    [
        ('auto_pad: string = "SAME_UPER"', "auto_pad is 'SAME_UPER'"),
        ('auto_pad: string = "SAME_UPPER", strides: ints = [0, 1]', "Conv"),
        ("strides: int = 2", "strides"),
        ("pads: ints = [-9, 0, -9, 0]", "Conv"),
    ],
)
def test_malformed_windows_are_named(attributes: str, part: str, parse: Any, failure: Any) -> None:
    body = f"g (float[1,1,4,4] x) => (float[] y) {{ [c1] y = Conv <{attributes}> (x, w) }}"
    text = failure(ModelError, parse(body, weights={"w": np.ones((1, 1, 3, 3), np.float32)}))
    assert "node 'c1' (Conv)" in text
    assert part in text


def test_negative_extents_stop_at_their_node(parse: Any, failure: Any) -> None:
    """Passed on, they make onnx's C++ abort in the shape inference of Slice."""
    body = "g (float[2,2] x) => (float[] y) { [p1] p = Pad (x, w) y = Slice (p, s, e) }"
    weights = {"w": np.array([-5, 0, 0, 0]), "s": np.array([0]), "e": np.array([1])}
    text = failure(ModelError, parse(body, weights=weights))
    assert "node 'p1' (Pad) gives 'p' the shape (-3, 2)" in text


def test_text_that_is_not_utf8(parse: Any, failure: Any) -> None:
    data = parse(SMALL).SerializeToString().replace(b"Relu", b"Re\xffu")
    assert "not valid UTF-8" in failure(ModelError, data)
