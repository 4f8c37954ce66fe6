"""Attention as one operator: `softmax(q k * scale + mask) v`, its scores never in memory.

The transposes of heads around it vanish into the reads of `q` and `v` and the write of the result;
so does a split of what holds both. The keys' transpose stays, because scores are computed in
vectors along the keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import tvm
from tvm import relax, te, tirx

from .relax_values import dims_of_expr, dtype_of
from .rewrite import rewrite_functions
from .slices import Part, part_of

__all__ = ["ATTENTION", "FuseAttention"]

ATTENTION = "attention"
"""Name of the anchor."""

_SWAP_HEADS = [0, 2, 1, 3]
_FLOATS = ("float32", "float16")
_RANK = 4
_MAX_KEYS = 2048
"""Rows of scores up to this length stay in a first-level cache, several at a time."""
_OPAQUE = 8
_STEPS = {
    "relax.add": tirx.Add,
    "relax.subtract": tirx.Sub,
    "relax.multiply": tirx.Mul,
    "relax.divide": tirx.Div,
}


@dataclass(frozen=True)
class _Step:
    """An element-wise operator between scores and softmax, with its other operand on the right."""

    operator: str
    other: Any


@dataclass(frozen=True)
class _Heads:
    """Where the query or the values `[batch, heads, rows, width]` lie in memory.

    `swapped`: as `[batch, rows, heads, width]`; `first`: head by head from there on in the last
    axis of `[batch, rows, channels]`.
    """

    rows: int
    width: int
    swapped: bool = False
    first: int | None = None

    def element(self, tensor: Any, b: Any, h: Any, i: Any, c: Any) -> Any:
        """One element, of the tensor that holds them."""
        if self.first is not None:
            return tensor(b, i, h * self.width + (c + self.first))
        return tensor(b, i, h, c) if self.swapped else tensor(b, h, i, c)


@dataclass(frozen=True)
class _Operand:
    """A tensor, and where what is used of it lies there."""

    tensor: Any
    heads: _Heads


@dataclass(frozen=True)
class _Match:
    """Operands of an attention and what is done to its scores."""

    query: _Operand
    key: Any
    value: _Operand
    steps: tuple[_Step, ...]


@tvm.transform.module_pass(opt_level=0, name="FuseAttention")
@dataclass(frozen=True)
class FuseAttention:
    """Replace `matmul(softmax(matmul(q, k) ...), v)`, with the transpose behind it if any."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass."""
        for root in ("relax.permute_dims", "relax.matmul"):
            mod = relax.transform.DeadCodeElimination()(rewrite_functions(mod, _Fuser(mod, root)))
        return mod


@relax.expr_functor.mutator
class _Fuser(relax.PyExprMutator):  # type: ignore[misc]
    """Rewrites calls of `root`."""

    def __init__(self, mod: Any, root: str) -> None:
        super().__init__(mod)
        self._root = root
        self._uses = _count_uses(mod["main"])

    def visit_call_(self, call: Any) -> Any:
        """Replace the last operator of an attention."""
        call = self.visit_expr_post_order(call)
        if not isinstance(call.op, tvm.ir.Op) or call.op.name != self._root:
            return call
        swapped = self._root == "relax.permute_dims"
        product = self._bound(call.args[0], "relax.matmul", once=True) if swapped else call
        if swapped and list(call.attrs.axes or ()) != _SWAP_HEADS:
            return call
        match = None if product is None else self._match(product)
        if match is None:
            return call
        compute = partial(
            _te_attention,
            operators=[step.operator for step in match.steps],
            query_heads=match.query.heads,
            value_heads=match.value.heads,
            swapped=swapped,
        )
        tensors = (match.query.tensor, match.key, match.value.tensor)
        return self.builder_.call_te(
            compute,
            *tensors,
            [step.other for step in match.steps],
            primfunc_name_hint="attention",
            primfunc_attrs={"op_pattern": _OPAQUE},
        )

    def _match(self, product: Any) -> _Match | None:
        softmax = self._bound(product.args[0], "relax.nn.softmax", once=True)
        if softmax is None or int(softmax.attrs.axis) % _RANK != _RANK - 1:
            return None
        steps: list[_Step] = []
        scores = softmax.args[0]
        while (step := self._step(scores)) is not None:
            scores = step.args[0]
            steps.insert(0, _Step(step.op.name, step.args[1]))
        inner = self._bound(scores, "relax.matmul", once=True)
        if inner is None or not _fits(inner, product):
            return None
        query, value = self._operand(inner.args[0]), self._operand(product.args[1])
        return _Match(query, inner.args[1], value, tuple(steps))

    def _step(self, expr: Any) -> Any | None:
        """The call that computes `expr` where it is one of `_STEPS` that keeps the shape."""
        found = (self._bound(expr, name, once=True) for name in _STEPS)
        call = next((one for one in found if one is not None), None)
        if call is None or dims_of_expr(call.args[0]) != dims_of_expr(call):
            return None
        other = dims_of_expr(call.args[1])
        return call if other is not None and len(other) <= _RANK else None

    def _operand(self, expr: Any) -> _Operand:
        """`expr` as what it is computed from, without a transpose of heads and a split."""
        rows, width = (dims_of_expr(expr) or ())[2:]
        call = self._bound(expr, "relax.permute_dims")
        if call is None or list(call.attrs.axes or ()) != _SWAP_HEADS:
            return _Operand(expr, _Heads(rows, width))
        part = self._part(call.args[0])
        if part is None:
            return _Operand(call.args[0], _Heads(rows, width, swapped=True))
        return _Operand(part.source, _Heads(rows, width, first=part.first))

    def _part(self, expr: Any) -> Part | None:
        """The part of `[batch, rows, channels]` that `expr` is, its channels by heads."""
        reshape = self._bound(expr, "relax.reshape")
        if reshape is None:
            return None
        part = part_of(self._lookup(reshape.args[0]), self._lookup)
        dims, shape = dims_of_expr(reshape.args[0]) or (), dims_of_expr(expr) or ()
        split = part is not None and part.axis == len(dims) - 1
        return part if split and len(dims) == _RANK - 1 and dims[:2] == shape[:2] else None

    def _lookup(self, expr: Any) -> Any:
        bound = self.lookup_binding(expr) if isinstance(expr, relax.Var) else expr
        return expr if bound is None else bound

    def _bound(self, expr: Any, name: str, *, once: bool = False) -> Any | None:
        """The call of operator `name` that `expr` is bound to; with `once`, if read only here."""
        if not isinstance(expr, relax.Var) or (once and self._uses.get(expr, 1) != 1):
            return None
        call = self.lookup_binding(expr)
        is_op = isinstance(call, relax.Call) and isinstance(call.op, tvm.ir.Op)
        return call if is_op and call.op.name == name else None


def _fits(scores: Any, mix: Any) -> bool:
    """Float products of rank 4 with equal batch and heads, and rows of scores that fit a cache."""
    shapes = [dims_of_expr(expr) for expr in (*scores.args, mix.args[1])]
    if any(shape is None or len(shape) != _RANK for shape in shapes):
        return False
    query, key, value = (shape or () for shape in shapes)
    same_heads = query[:2] == key[:2] == value[:2]
    floats = dtype_of(scores) == dtype_of(mix) and dtype_of(mix) in _FLOATS
    return same_heads and floats and key[3] <= _MAX_KEYS


def _count_uses(main: Any) -> dict[Any, int]:
    counts: dict[Any, int] = {}

    def visit(node: Any) -> None:
        if isinstance(node, relax.Var):
            counts[node] = counts.get(node, 0) + 1

    for block in main.body.blocks:
        for binding in block.bindings:
            for part in getattr(binding.value, "args", [binding.value]):
                relax.analysis.post_order_visit(part, visit)
    relax.analysis.post_order_visit(main.body.body, visit)
    return counts


def _te_attention(
    query: Any,
    key: Any,
    value: Any,
    others: Sequence[Any],
    *,
    operators: Sequence[str],
    query_heads: _Heads,
    value_heads: _Heads,
    swapped: bool,
) -> Any:
    q, v = partial(query_heads.element, query), partial(value_heads.element, value)
    batch, heads, depth, keys = (int(dim) for dim in key.shape)
    rows, width = query_heads.rows, value_heads.width
    d = te.reduce_axis((0, depth), name="d")
    scores = te.compute(
        (batch, heads, rows, keys),
        lambda b, h, i, j: te.sum(q(b, h, i, d) * key(b, h, d, j), axis=[d]),
        name="scores",
        attrs={"hetcomp.anchor": ATTENTION, "hetcomp.swapped": int(swapped)},
    )

    def logit(*at: Any) -> Any:
        result = scores(*at)
        for operator, other in zip(operators, others, strict=True):
            result = _STEPS[operator](result, other(*_broadcast(other, at)))
        return result

    logits = te.compute(scores.shape, logit, name="logits")
    j1 = te.reduce_axis((0, keys), name="j")
    highest = te.compute(
        (batch, heads, rows), lambda b, h, i: te.max(logits(b, h, i, j1), axis=[j1]), name="highest"
    )
    weights = te.compute(
        scores.shape,
        lambda b, h, i, j: te.exp(logits(b, h, i, j) - highest(b, h, i)),
        name="weights",
    )
    j2, j3 = (te.reduce_axis((0, keys), name="j") for _ in range(2))
    total = te.compute(
        (batch, heads, rows), lambda b, h, i: te.sum(weights(b, h, i, j2), axis=[j2]), name="total"
    )

    def mixed(*at: Any) -> Any:
        b, h, i, c = (at[0], at[2], at[1], at[3]) if swapped else at
        return te.sum(weights(b, h, i, j3) / total(b, h, i) * v(b, h, j3, c), axis=[j3])

    shape = (batch, rows, heads, width) if swapped else (batch, heads, rows, width)
    return te.compute(shape, mixed, name="mixed")


def _broadcast(tensor: Any, at: Sequence[Any]) -> list[Any]:
    """Indices into `tensor`, whose leading axes may be missing, any of them 1."""
    extents = [int(dim) for dim in tensor.shape]
    used = at[len(at) - len(extents) :]
    return [0 if extent == 1 else index for extent, index in zip(extents, used, strict=True)]
