"""Values whose shape depends on the data are refused by name."""

from __future__ import annotations

import pytest
from kernel_harness import make_model

from hetcomp.errors import UnsupportedOperatorError
from hetcomp.frontend import import_onnx
from hetcomp.passes.static_shapes import require_static_shapes


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ("g (float[5] x) => (int64[1,n] y) { y = NonZero(x) }", "relax.nonzero"),
        ("g (float[5] x) => (float[n] y) { y = Unique(x) }", "relax.unique"),
    ],
)
def test_refuses(text: str, operator: str) -> None:
    with pytest.raises(UnsupportedOperatorError, match=rf"{operator}.* depends on the data"):
        require_static_shapes(import_onnx(make_model(text)).mod)


def test_accepts_static_graphs_and_tuples() -> None:
    text = """g (float[5,6] x) => (float[5,2] v, int64[5,2] i) {
        k = Constant<value = int64[1] {2}>() v, i = TopK(x, k) }"""
    require_static_shapes(import_onnx(make_model(text)).mod)
