"""What is read as stages, what is refused, and how conditions cut the innermost axis."""

from __future__ import annotations

from typing import Any

import pytest
from kernel_harness import HOST
from tvm import te, tirx
from tvm.script import tirx as T  # noqa: N812 (TVM's own idiom)

from hetcomp.schedules.program import NotStaged, parse
from hetcomp.schedules.segments import breakpoints, fold_conditions
from hetcomp.schedules.select import schedule


def function(*tensors: Any) -> tirx.PrimFunc:
    return te.create_prim_func(list(tensors))


def test_stages_of_a_reduction() -> None:
    x = te.placeholder((4, 9), "float32", name="x")
    k = te.reduce_axis((0, 9), name="k")
    total = te.compute((4,), lambda i: te.sum(x[i, k], axis=k))
    program = parse(function(x, te.compute((4,), lambda i: total[i] * total[i]), total))
    assert [stage.combiner for stage in program.stages] == ["sum", None]
    assert [stage.shape for stage in program.stages] == [(4,), (4,)]
    assert program.stages[0].reduce[0].extent == 9
    assert (len(program.inputs), len(program.outputs)) == (1, 2)


@T.prim_func(s_tir=True)
def running_sum(x: T.Buffer((8,), "float32"), y: T.Buffer((8,), "float32")) -> None:
    for i in range(8):
        with T.sblock("y"):
            v = T.axis.spatial(8, i)
            y[v] = x[v] + T.if_then_else(v > 0, y[v - 1], T.float32(0))


@T.prim_func(s_tir=True)
def written_twice(x: T.Buffer((8,), "float32"), y: T.Buffer((8,), "float32")) -> None:
    for i in range(8):
        with T.sblock("first"):
            v = T.axis.spatial(8, i)
            y[v] = x[v]
    for i in range(8):
        with T.sblock("second"):
            v = T.axis.spatial(8, i)
            y[v] = x[v] * T.float32(2)


@T.prim_func(s_tir=True)
def half(x: T.Buffer((8,), "float32"), y: T.Buffer((8,), "float32")) -> None:
    for i in range(8):
        with T.sblock("y"):
            v = T.axis.spatial(8, i)
            T.where(i < 4)
            y[v] = x[v]


@T.prim_func(s_tir=True)
def reversed_store(x: T.Buffer((8,), "float32"), y: T.Buffer((8,), "float32")) -> None:
    for i in range(8):
        with T.sblock("y"):
            v = T.axis.spatial(8, i)
            y[7 - v] = x[v]


@T.prim_func(s_tir=True)
def foreign(x: T.Buffer((8,), "float32"), y: T.Buffer((8,), "float32")) -> None:
    for i in range(8):
        with T.sblock("y"):
            v = T.axis.spatial(8, i)
            y[v] = T.call_extern("float32", "cbrtf", x[v])


REFUSED = [
    (running_sum, "reads what it or a later one writes"),
    (written_twice, "two blocks write y"),
    (half, "has a predicate"),
    (reversed_store, "does not store each element of its buffer in order"),
    (foreign, "no rule to translate"),
]


@pytest.mark.parametrize(("func", "reason"), REFUSED, ids=lambda value: getattr(value, "name", ""))
def test_refused_with_a_reason_and_run_as_it_is(func: tirx.PrimFunc, reason: str) -> None:
    with pytest.raises(NotStaged, match=reason):
        parse(func)
    scheduled = schedule(func, frozenset(), HOST.cpu)
    assert scheduled.kind == "opaque"
    assert reason in scheduled.why_no_opencl


def test_breakpoints_of_a_concatenation() -> None:
    z = tirx.Var("z", "int32")
    value = tirx.if_then_else(z < 3, 1.0, tirx.if_then_else(z < 20, 2.0, 3.0))
    assert breakpoints(value, z, 37) == [(0, 3), (3, 20), (20, 37)]
    pieces = [fold_conditions(value, z, *piece) for piece in breakpoints(value, z, 37)]
    assert [piece.value for piece in pieces] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (lambda z: z >= 5, [(0, 5), (5, 9)]),
        (lambda z: tirx.EQ(z, 4), [(0, 4), (4, 5), (5, 9)]),
        (lambda z: tirx.And(z >= 2, 8 - z > 1), [(0, 2), (2, 7), (7, 9)]),
        (lambda z: z < 9, [(0, 9)]),
        (lambda z: z * 2 < 9, [(0, 9)]),
    ],
)
def test_breakpoints(condition: Any, expected: Any) -> None:
    z = tirx.Var("z", "int32")
    assert breakpoints(tirx.Select(condition(z), 1.0, 2.0), z, 9) == expected
