"""Run a Relax mutator over a module."""

from __future__ import annotations

from typing import Any

from tvm import relax

__all__ = ["rewrite_functions"]


def rewrite_functions(mod: Any, mutator: Any) -> Any:
    """Return `mod` with its Relax functions as `mutator`, made for `mod`, rewrites them."""
    for name, function in mod.functions.items():
        if isinstance(function, relax.Function):
            mutator.builder_.update_func(name, mutator.visit_expr(function))
    return mutator.builder_.get()
