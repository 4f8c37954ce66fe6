"""Names of ONNX values survive fusion; nothing but names depends on it."""

from __future__ import annotations

from typing import Any

import pytest
import tvm
from kernel_harness import make_model, normal
from tvm import relax

from hetcomp.frontend import import_onnx
from hetcomp.passes.task_names import NameTasks, RememberValues, value_names
from hetcomp.pipeline import fusion_pipeline

CONV = "Conv<pads=[1,1,1,1]>"
RESIDUAL = f"""g (float[1,6,7,7] x) => (float[1,6,7,7] y) {{
    a = {CONV}(x, w, b) r = Relu(a) c = {CONV}(r, w, b) d = Add(c, r) y = Sigmoid(d) }}"""
SPLIT = """g (float[5,6] x) => (float[5,2] y, float[5,4] z) {
    p = Constant<value = int64[2] {2,4}>() l, m = Split<axis=1>(x, p) y = Relu(l) z = Neg(m) }"""


def fuse(text: str, **weights: Any) -> Any:
    return fusion_pipeline()(import_onnx(make_model(text, weights)).mod)


def names(mod: Any) -> list[tuple[str, ...]]:
    bindings = [b for block in mod["main"].body.blocks for b in block.bindings]
    return [value_names(mod, b.var) for b in bindings if isinstance(b.value, relax.Call)]


def test_values_of_a_task_are_listed_from_its_anchor_on() -> None:
    found = names(fuse(RESIDUAL, w=normal(6, 6, 3, 3), b=normal(6)))
    inner = [[name for name in task if len(name) == 1] for task in found]
    assert ["a", "r"] in inner
    assert any(task[:2] == ["c", "d"] for task in inner)


def test_equal_layers_keep_their_own_names() -> None:
    """Both call the same fused function."""
    text = f"""g (float[1,6,7,7] x) => (float[1,6,7,7] y) {{
        a = {CONV}(x, w) p = Relu(a) c = {CONV}(p, v) q = Relu(c) y = Abs(q) }}"""
    found = names(fuse(text, w=normal(6, 6, 3, 3), v=normal(6, 6, 3, 3, seed=1)))
    assert {"a", "p"} in [set(task) for task in found]
    assert {"c", "q"} <= set().union(*found)
    assert not any({"a", "c"} <= set(task) for task in found)


def test_parts_of_a_tuple_name_what_makes_it() -> None:
    named = set().union(*names(fuse(SPLIT)))
    assert {"l", "m"} <= named


def test_deep_residuals_take_linear_time() -> None:
    """Every value is read twice: followed as a tree, there would be 2**200 of them."""
    chain = " ".join(f"v{i + 1} = Add(v{i}, v{i})" for i in range(200))
    mod = fuse(f"g (float[3] v0) => (float[3] v200) {{ {chain} }}")
    assert len(names(mod)) == 1


def test_nothing_to_name_leaves_the_module() -> None:
    mod = import_onnx(make_model(SPLIT)).mod
    tvm.ir.assert_structural_equal(NameTasks()(mod), mod)
    assert value_names(mod, mod["main"].params[0]) == ()


def test_remembering_changes_no_function() -> None:
    mod = import_onnx(make_model(SPLIT)).mod
    remembered = RememberValues()(mod)
    tvm.ir.assert_structural_equal(remembered["main"], mod["main"])
    tvm.ir.assert_structural_equal(RememberValues()(remembered)["main"], mod["main"])


@pytest.mark.parametrize("text", [RESIDUAL, SPLIT])
def test_pipeline_is_deterministic(text: str) -> None:
    weights = {"w": normal(6, 6, 3, 3), "b": normal(6)} if "Conv" in text else {}
    one, two = fuse(text, **weights), fuse(text, **weights)
    assert names(one) == names(two)
    # The names are kept by variable, and variables of two modules are never equal.
    attribute = "hetcomp.value_names"
    tvm.ir.assert_structural_equal(one.without_attr(attribute), two.without_attr(attribute))
