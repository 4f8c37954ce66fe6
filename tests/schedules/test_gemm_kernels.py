"""Linear layers and batched products: every shape class, whole and cut, against ONNX Runtime."""

from __future__ import annotations

import pytest
from kernel_harness import MATRIX, check, make_model, normal

from hetcomp.schedules.facts import CpuFacts

FACTS = [CpuFacts.AVX512, CpuFacts.AVX2, CpuFacts.NEON, CpuFacts.SSE]


def linear_model(m: int, k: int, n: int) -> object:
    text = f"g (float[{m},{k}] x) => (float[{m},{n}] y) {{ y = MatMul(x, w) }}"
    return make_model(text, {"w": normal(k, n)})


@pytest.mark.parametrize("m", [1, 2, 5, 14, 33])
@pytest.mark.parametrize("n", [1, 3, 17, 33, 50, 257])
def test_linear(m: int, n: int) -> None:
    check(linear_model(m, 37, n), MATRIX, kinds=["linear"])


@pytest.mark.parametrize("facts", FACTS, ids=lambda f: f.name)
@pytest.mark.parametrize(("m", "n"), [(1, 50), (3, 9), (13, 33), (40, 7)])
def test_linear_of_other_register_files(m: int, n: int, facts: object) -> None:
    check(linear_model(m, 19, n), MATRIX, kinds=["linear"], facts=facts)


@pytest.mark.parametrize(("m", "k", "n"), [(600, 1, 5), (450, 3, 33), (7, 1100, 1000), (2, 1, 1)])
def test_linear_of_extreme_proportions(m: int, k: int, n: int) -> None:
    check(linear_model(m, k, n), MATRIX, kinds=["linear"])


def test_linear_with_leading_axes() -> None:
    text = "g (float[2,3,5,21] x) => (float[2,3,5,18] y) { y = MatMul(x, w) }"
    check(make_model(text, {"w": normal(21, 18)}), MATRIX, kinds=["linear"])


def test_linear_of_transposed_weights() -> None:
    text = "g (float[5,21] x) => (float[5,18] y) { y = Gemm<transB=1>(x, w, b) }"
    weights = {"w": normal(18, 21), "b": normal(18)}
    check(make_model(text, weights), MATRIX, kinds=["linear"])


PRODUCTS = {
    "square": ("float[2,3,33,40] a, float[2,3,40,50] b", "float[2,3,33,50]", "y = MatMul(a, b)"),
    "one row": ("float[2,3,1,40] a, float[2,3,40,17] b", "float[2,3,1,17]", "y = MatMul(a, b)"),
    "one column": ("float[3,7,40] a, float[3,40,1] b", "float[3,7,1]", "y = MatMul(a, b)"),
    "narrow": ("float[3,15,9] a, float[3,9,3] b", "float[3,15,3]", "y = MatMul(a, b)"),
    "two axes": ("float[15,9] a, float[9,31] b", "float[15,31]", "y = MatMul(a, b)"),
    "many rows": ("float[300,9] a, float[9,31] b", "float[300,31]", "y = MatMul(a, b)"),
    "left broadcast": (
        *("float[1,4,15,9] a, float[3,4,9,31] b", "float[3,4,15,31]"),
        "y = MatMul(a, b)",
    ),
    "right broadcast": ("float[3,4,15,9] a, float[9,31] b", "float[3,4,15,31]", "y = MatMul(a, b)"),
    "both broadcast": (
        *("float[3,1,15,9] a, float[1,4,9,31] b", "float[3,4,15,31]"),
        "y = MatMul(a, b)",
    ),
    "right transposed": (
        *("float[2,3,17,9] a, float[2,3,19,9] b", "float[2,3,17,19]"),
        "t = Transpose<perm=[0,1,3,2]>(b) y = MatMul(a, t)",
    ),
    "left transposed": (
        *("float[2,9,17] a, float[2,9,19] b", "float[2,17,19]"),
        "t = Transpose<perm=[0,2,1]>(a) y = MatMul(t, b)",
    ),
    "constant on the left": ("float[2,9,19] b", "float[2,17,19]", "y = MatMul(w, b)"),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_batched_product(name: str) -> None:
    inputs, output, nodes = PRODUCTS[name]
    weights = {"w": normal(2, 17, 9)} if "constant" in name else None
    model = make_model(f"g ({inputs}) => ({output} y) {{ {nodes} }}", weights)
    check(model, MATRIX, kinds=["matmul"])


@pytest.mark.parametrize("facts", FACTS, ids=lambda f: f.name)
def test_batched_product_of_other_register_files(facts: object) -> None:
    text = "g (float[3,11,10] a, float[3,10,13] b) => (float[3,11,13] y) { y = MatMul(a, b) }"
    check(make_model(text), MATRIX, kinds=["matmul"], facts=facts)


def test_constant_batched_weights() -> None:
    """Weights with batch axes are constants but no single matrix."""
    text = "g (float[3,15,9] a) => (float[3,15,20] y) { y = MatMul(a, w) }"
    check(make_model(text, {"w": normal(3, 9, 20)}), MATRIX, kinds=["matmul"])


def test_product_of_vectors() -> None:
    text = "g (float[15,9] a, float[9] b) => (float[15] y) { y = MatMul(a, b) }"
    check(make_model(text), MATRIX)


def test_integer_product_is_not_a_float_kernel() -> None:
    text = "g (int64[15,9] a, int64[9,4] b) => (int64[15,4] y) { y = MatMul(a, b) }"
    lowered = check(make_model(text), 0.0)
    assert lowered.graph.tasks[-1].kind != "matmul"
