"""Task names: the node's where there is one, unique always."""

from __future__ import annotations

import onnx
from kernel_harness import make_model

from hetcomp.codegen.names import NodeNames, unique_names
from hetcomp.plan.graph import Grid, Task


def task(kind: str, *source: str, flops: int = 0) -> Task:
    return Task("", kind, 0, (), (), Grid(1), Grid(1), "rows", "", flops=flops, source=source)


def names(*tasks: Task) -> list[str]:
    return [named.name for named in unique_names(tasks)]


def test_first_node_or_kind_and_number() -> None:
    tasks = [task("conv2d", "stem", "relu"), task("rowwise"), task("conv2d"), task("rowwise")]
    assert names(*tasks) == ["stem", "rowwise_1", "conv2d_1", "rowwise_2"]


def test_most_work_has_the_nodes_name() -> None:
    tasks = [task("elementwise", "a"), task("conv2d", "a", flops=9), task("elementwise", "a")]
    assert names(*tasks) == ["a.elementwise", "a", "a.elementwise_2"]


def test_a_node_may_be_called_like_a_made_up_name() -> None:
    tasks = [task("rowwise", "rowwise_1"), task("rowwise"), task("rowwise", "rowwise_2")]
    assert len(set(names(*tasks))) == 3


def test_nodes_are_found_by_their_outputs() -> None:
    model = make_model("g (float[3] x) => (float[3] y) { a = Relu(x) y = Neg(a) }")
    for node, name, output in zip(model.graph.node, ("r", "n"), ("b/1:0", "7"), strict=True):
        node.name, node.output[0] = name, output
    nodes = NodeNames(type("Imported", (), {"graph": model.graph}))
    assert nodes.sources(["lv", "b_1_0", "v_7", "b_1_0"]) == ("r", "n")


def test_a_model_without_nodes() -> None:
    assert NodeNames(onnx.ModelProto()).sources(["x"]) == ()
