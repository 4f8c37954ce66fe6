"""From fused modules to task graphs: tensors, constants, aliases, outputs, names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_harness import MATRIX, check, lower, make_model, normal

import hetcomp
from hetcomp.bench import zoo
from hetcomp.codegen.image import constant_tensors
from hetcomp.errors import UnsupportedOperatorError
from hetcomp.options import CompileOptions
from hetcomp.plan.graph import Space, TaskGraph


def graph_of(text: str, **weights: Any) -> TaskGraph:
    return lower(make_model(text, weights)).graph


def tensors_named(graph: TaskGraph, name: str) -> list[int]:
    return [index for index, tensor in enumerate(graph.tensors) if tensor.name == name]


def test_inputs_and_outputs_keep_their_onnx_names_and_order() -> None:
    text = """g (float[3] b, int64[2] a, bool[2] c) => (int64[2] z, float[3] y, bool[2] x) {
        y = Neg(b) z = Neg(a) x = Not(c) }"""
    graph = graph_of(text)
    named = [[graph.tensors[i].name for i in side] for side in (graph.inputs, graph.outputs)]
    assert named == [["b", "a", "c"], ["z", "y", "x"]]
    kinds = [graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)]
    assert kinds == ["float32", "int64", "bool", "int64", "float32", "bool"]
    assert [graph.tensors[i].size_bytes for i in graph.inputs] == [12, 16, 2]


def test_weight_of_two_tasks_is_stored_once() -> None:
    text = """g (float[1,40] x, float[1,40] z) => (float[1,40] y, float[1,40] t) {
        y = MatMul(x, w) t = MatMul(z, w) }"""
    weight = normal(40, 40)
    lowered = check(make_model(text, {"w": weight}), MATRIX)
    assert len(lowered.graph.kernels) == 1
    stored = [tensor.size_bytes for tensor in constant_tensors(lowered.graph)]
    assert len(stored) == 1
    assert len(lowered.constants) == 1


def test_weight_in_two_layouts_is_stored_twice() -> None:
    """One row of a product wants wider panels than many rows."""
    text = """g (float[1,40] x, float[30,200] z) => (float[1,200] y, float[30,40] t) {
        v = Transpose(w) y = MatMul(x, w) t = MatMul(z, v) }"""
    lowered = check(make_model(text, {"w": normal(40, 200)}), MATRIX)
    assert len(lowered.constants) == 2


def test_constants_are_aligned_and_apart() -> None:
    text = """g (float[1,5] x) => (float[1,7] y) {
        a = MatMul(x, w) b = Add(a, v) c = Mul(b, u) y = Sub(c, t) }"""
    weights = {"w": normal(5, 7), "v": normal(7), "u": normal(7, seed=1), "t": np.float32(2)}
    lowered = check(make_model(text, weights), MATRIX)
    spans = sorted((t.offset_bytes, t.size_bytes) for t in constant_tensors(lowered.graph))
    assert all(offset % 128 == 0 for offset, _ in spans)
    ends = [offset + size for offset, size in spans]
    assert all(end <= begin for end, (begin, _) in zip(ends, spans[1:], strict=False))
    assert ends[-1] <= lowered.graph.constants_bytes


def test_reshape_is_an_alias() -> None:
    text = """g (float[4,6] x) => (float[3,8] y) {
        a = Relu(x) s = Constant<value = int64[2] {3,8}>() r = Reshape(a, s) y = Softmax(r) }"""
    lowered = check(make_model(text), 1e-6)
    graph = lowered.graph
    assert [task.kind for task in graph.tasks] == ["elementwise", "rowwise"]
    (read,) = graph.tasks[1].inputs
    assert graph.tensors[read].shape == (3, 8)
    assert graph.root(read) == graph.tasks[0].outputs[0]


def test_reshapes_of_an_input_need_no_task() -> None:
    inputs, outputs, nodes = RETURNED["reshapes of the input"]
    graph = graph_of(f"g ({inputs}) => ({outputs}) {{ {nodes} }}")
    assert graph.tasks == ()
    assert {graph.root(output) for output in graph.outputs} == set(graph.inputs)


RETURNED = {
    "input": ("float[3] x", "float[3] y", "y = Identity(x)"),
    "input, also computed with": (
        *("float[3] x", "float[3] y, float[3] z"),
        "y = Identity(x) z = Relu(x)",
    ),
    "constant": ("float[3] x", "float[3] y, float[2] z", "y = Relu(x) z = Identity(c)"),
    "constant, twice": ("float[3] x", "float[2] y, float[2] z", "y = Identity(c) z = Identity(c)"),
    "value, twice": ("float[3] x", "float[3] y, float[3] z", "y = Relu(x) z = Identity(y)"),
    "value, also used": ("float[3] x", "float[3] y, float[3] z", "y = Relu(x) z = Exp(y)"),
    "value and its reshape": (
        *("float[6] x", "float[6] y, float[2,3] z"),
        "y = Relu(x) s = Constant<value = int64[2] {2,3}>() z = Reshape(y, s)",
    ),
    "reshapes of the input": (
        *("float[6] x", "float[3,2] y, float[2,3] z"),
        "r = Constant<value = int64[2] {3,2}>() s = Constant<value = int64[2] {2,3}>() "
        "y = Reshape(x, r) z = Reshape(x, s)",
    ),
}


@pytest.mark.parametrize("name", RETURNED)
def test_returned(name: str) -> None:
    inputs, outputs, nodes = RETURNED[name]
    weights = {"c": np.float32([1, 2])} if "Identity(c)" in nodes else {}
    lowered = check(make_model(f"g ({inputs}) => ({outputs}) {{ {nodes} }}", weights), 1e-6)
    graph = lowered.graph
    wanted = [
        part.split()[-1] for part in outputs.replace("[3,2]", "").replace("[2,3]", "").split(", ")
    ]
    assert [graph.tensors[i].name for i in graph.outputs] == wanted
    assert [graph.tensors[i].name for i in graph.inputs] == ["x"]
    assert len(set(graph.outputs)) == len(graph.outputs)


@pytest.mark.parametrize("name", ["input", "constant", "value, twice"])
def test_returned_by_a_compiled_model(name: str, tmp_path: Any) -> None:
    inputs, outputs, nodes = RETURNED[name]
    weights = {"c": np.float32([1, 2])} if "Identity(c)" in nodes else {}
    model = make_model(f"g ({inputs}) => ({outputs}) {{ {nodes} }}", weights)
    path = tmp_path / "model.so"
    hetcomp.compile(model, output=path, options=CompileOptions(plan="cpu", gpu=False))
    x = np.float32([1, -2, 3])
    with hetcomp.load(path, device="off") as session:
        results = session.run({"x": x})
    relu = np.maximum(x, 0)
    expected = {"input": [x], "constant": [relu, weights.get("c")], "value, twice": [relu, relu]}
    for got, wanted in zip(results.values(), expected[name], strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_unused_input_is_kept() -> None:
    graph = graph_of("g (float[3] x, float[4] unused) => (float[3] y) { y = Neg(x) }")
    assert [graph.tensors[i].name for i in graph.inputs] == ["x", "unused"]


def test_tasks_are_named_after_their_main_node() -> None:
    text = """g (float[1,6,7,7] x) => (float[1,6,7,7] y) {
        a = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(a) c = Conv<pads=[1,1,1,1]>(r, w, b)
        d = Add(c, r) y = Sigmoid(d) }"""
    model = make_model(text, {"w": normal(6, 6, 3, 3), "b": normal(6)})
    for name, node in zip(
        ("stem/conv", "relu", "7.conv", "add", "out"), model.graph.node, strict=True
    ):
        node.name = name
    graph = lower(model).graph
    named = {task.name: task for task in graph.tasks if task.kind == "conv2d"}
    assert set(named) == {"stem/conv", "7.conv"}
    assert named["stem/conv"].source == ("stem/conv", "relu")
    assert named["7.conv"].source[:2] == ("7.conv", "add")


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2", "bert_tiny", "shufflenetv2"])
def test_names_in_networks(name: str) -> None:
    model = zoo.build(name, **zoo.small_size(name))
    graph = lower(model).graph
    nodes = {node.name for node in model.graph.node}
    names = [task.name for task in graph.tasks]
    assert len(set(names)) == len(names)
    assert all(set(task.source) <= nodes for task in graph.tasks)
    weighted = [t for t in graph.tasks if t.kind in ("conv2d", "depthwise", "linear")]
    assert all(task.name in nodes for task in weighted)
    assert lower(model).graph == graph


def test_graph_survives_json() -> None:
    graph = graph_of("g (float[3,5] x) => (float[3,5] y) { y = Softmax(x) }")
    assert TaskGraph.from_json(graph.to_json()) == graph


def test_arena_tensors_belong_to_one_task() -> None:
    graph = lower(zoo.build("resnet18", **zoo.small_size("resnet18"))).graph
    written = [output for task in graph.tasks for output in task.outputs]
    assert len(set(written)) == len(written)
    assert all(graph.tensors[output].space is Space.ARENA for output in written)


def test_control_flow_is_refused_by_name() -> None:
    text = "g (float[5] x) => (int64[1,n] y) { y = NonZero(x) }"
    with pytest.raises(UnsupportedOperatorError, match="nonzero"):
        hetcomp.compile(make_model(text), output="unwritten.so")
