"""The model zoo: every network is legal ONNX, runs, and gives sound numbers; so does its CLI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner

from hetcomp.bench import zoo
from hetcomp.bench.zoo.__main__ import main
from hetcomp.bench.zoo.graph import Init, Parameter, StoredWeights

# ONNX files of the small networks stay small enough to compile and run many of them in CI.
SMALL_BYTES = 16_000_000


def small(name: str, *, seed: int = 0, qdq: bool = False) -> onnx.ModelProto:
    return zoo.build(name, **zoo.small_size(name), seed=seed, qdq=qdq)


def run(model: onnx.ModelProto, seed: int = 0) -> list[npt.NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outputs: list[npt.NDArray[Any]] = session.run(None, zoo.random_inputs(model, seed))
    return outputs


def declared_shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


def cosine(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    return float(np.vdot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_the_zoo_has_27_networks() -> None:
    assert len(set(zoo.names())) == 27


@pytest.mark.parametrize("name", zoo.names())
def test_network_is_legal_and_runs(name: str) -> None:
    model = small(name)
    assert (model.ir_version, model.opset_import[0].version) == (9, 17)
    assert model.ByteSize() < SMALL_BYTES
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    outputs = run(model)
    for value, array in zip(model.graph.output, outputs, strict=True):
        assert declared_shape(value) == array.shape
        assert np.isfinite(array).all(), value.name
        assert 1e-3 <= np.abs(array).max() <= 1e4, value.name


@pytest.mark.parametrize("name", zoo.names())
def test_output_depends_on_the_input(name: str) -> None:
    """Activations must not die out: an output that only shows biases would test nothing."""
    model = small(name)
    for value, a, b in zip(model.graph.output, run(model, 0), run(model, 1), strict=True):
        change = float(np.std(a - b) / np.std(a))
        assert change > 0.01, f"{value.name} changes by {change:.1e} of its spread"


@pytest.mark.parametrize("name", zoo.names())
def test_node_names_are_unique(name: str) -> None:
    nodes = [node.name for node in small(name).graph.node]
    assert all(nodes)
    assert len(nodes) == len(set(nodes))


def test_node_names_tell_the_layer() -> None:
    nodes = {node.name for node in small("resnet18").graph.node}
    assert {"conv1", "layer1.0.conv1", "layer2.0.downsample", "classifier"} <= nodes


def test_conv_biases_are_not_zero() -> None:
    biases = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in small("mobilenetv1").graph.initializer
        if tensor.name.endswith(".bias")
    ]
    assert all(np.abs(bias).max() > 0 for bias in biases)


# Published parameter counts in millions, where the definition is the published one.
@pytest.mark.parametrize(
    ("name", "published"), [("squeezenet", 1.24), ("mobilenetv2", 3.5), ("resnet18", 11.69)]
)
def test_full_width_has_the_published_parameters(name: str, published: float) -> None:
    initialisers = zoo.build(name).graph.initializer
    count = sum(np.prod(tensor.dims) for tensor in initialisers if tensor.data_type == 1)
    # Folded batch normalisation saves a fraction of a percent.
    assert count / 1e6 == pytest.approx(published, rel=0.01)


def test_same_seed_gives_same_bytes() -> None:
    first = small("mobilenetv2").SerializeToString(deterministic=True)
    assert small("mobilenetv2").SerializeToString(deterministic=True) == first
    assert small("mobilenetv2", seed=1).SerializeToString(deterministic=True) != first


def test_width_rounds_channels_to_multiples_of_8() -> None:
    model = zoo.build("mobilenetv2", size=32, width=0.3)
    counts = {t.dims[0] for t in model.graph.initializer if t.name.endswith("project.weight")}
    assert all(count % 8 == 0 for count in counts)


@pytest.mark.parametrize("name", ["resnet18", "bert_tiny", "deepfm"])
def test_qdq_network_stays_near_the_float_one(name: str) -> None:
    model = small(name, qdq=True)
    onnx.checker.check_model(model, full_check=True)
    kinds = {node.op_type for node in model.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    for quantized, reference in zip(run(model), run(small(name)), strict=True):
        # Eight bits through a few layers; the input is the one it was calibrated on.
        assert cosine(quantized, reference) > 0.98


def test_qdq_weights_are_int8_per_channel() -> None:
    tensors = {t.name: t for t in small("resnet18", qdq=True).graph.initializer}
    weight = tensors["layer1.0.conv1.weight_quantized"]
    scale = tensors["layer1.0.conv1.weight_scale"]
    bias = tensors["layer1.0.conv1.bias_quantized"]
    assert weight.data_type == onnx.TensorProto.INT8
    assert bias.data_type == onnx.TensorProto.INT32
    assert list(scale.dims) == [weight.dims[0]]


def test_random_inputs_are_legal_and_seeded() -> None:
    model = small("bert_tiny")
    inputs = zoo.random_inputs(model, seed=3)
    vocabulary = next(
        t.dims[0] for t in model.graph.initializer if t.name.endswith("word_embeddings.weight")
    )
    assert inputs["input_ids"].dtype == np.int64
    assert 0 <= inputs["input_ids"].min() <= inputs["input_ids"].max() < vocabulary
    assert (inputs["attention_mask"] == 1).all()
    assert (zoo.random_inputs(model, seed=3)["input_ids"] == inputs["input_ids"]).all()
    assert (zoo.random_inputs(model, seed=4)["input_ids"] != inputs["input_ids"]).any()


def test_random_inputs_refuse_integers_without_a_range() -> None:
    model = small("bert_tiny")
    del model.metadata_props[:]
    with pytest.raises(zoo.ZooError, match="without a recorded range"):
        zoo.random_inputs(model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "lenet"}, "expected one of mobilenetv1"),
        ({"name": "resnet18", "size": 0}, "positive"),
        ({"name": "resnet18", "width": float("nan")}, "positive"),
        ({"name": "resnet18", "seed": -1}, "positive"),
        ({"name": "inception_v3", "size": 32}, "larger size"),
        ({"name": "vit_b32", "size": 20}, "larger size"),
        ({"name": "yolov8n", "size": 72}, "strides divide"),
        ({"name": "vgg16", "width": 8.0}, "2 GB"),
    ],
)
def test_build_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(zoo.ZooError, match=message):
        zoo.build(**arguments)


def test_stored_weights_must_exist_and_fit() -> None:
    weights = StoredWeights({"w": np.zeros((2, 3), np.float32)})
    assert weights.values(Parameter("w", (2, 3), Init())).shape == (2, 3)
    with pytest.raises(zoo.ZooError, match=r"expected \(3, 2\)"):
        weights.values(Parameter("w", (3, 2), Init()))
    with pytest.raises(zoo.ZooError, match="no tensor named 'v'"):
        weights.values(Parameter("v", (1,), Init()))


def test_cli_writes_a_network(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    arguments = ["squeezenet", "-o", str(path), "--size", "64", "--width", "0.25", "--seed", "7"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    expected = zoo.build("squeezenet", size=64, width=0.25, seed=7)
    assert onnx.load(path).graph == expected.graph


def test_cli_lists_the_networks() -> None:
    result = CliRunner().invoke(main, ["--list"])
    assert result.exit_code == 0
    assert result.output.split() == list(zoo.names())


@pytest.mark.parametrize(
    "arguments",
    [["lenet", "-o", "F"], ["squeezenet"], ["squeezenet", "-o", "missing/F"]],
    ids=["unknown name", "no output", "no such folder"],
)
def test_cli_refuses_with_status_2(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [*arguments, "--size", "64", "--width", "0.25"])
    assert result.exit_code == 2
    assert "Error: " in result.output
    assert not any(tmp_path.iterdir())


def test_cli_writes_samples(tmp_path: Path) -> None:
    """One set of inputs after the other, along the first axis."""
    files = [str(tmp_path / name) for name in ("m.onnx", "s.npz")]
    arguments = ["bert_tiny", "-o", files[0], "--size", "8", "--samples", files[1], "--count", "3"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    model = onnx.load(files[0])
    with np.load(files[1]) as samples:
        assert set(samples) == {value.name for value in model.graph.input}
        for name, array in zoo.random_inputs(model, seed=2).items():
            np.testing.assert_array_equal(samples[name][2:], array)


def test_cli_module_names_the_networks_when_refusing() -> None:
    command = [sys.executable, "-m", "hetcomp.bench.zoo", "lenet", "-o", "F.onnx"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120.0)
    assert result.returncode == 2
    assert "no network named 'lenet'" in result.stderr
    assert "gpt2" in result.stderr
