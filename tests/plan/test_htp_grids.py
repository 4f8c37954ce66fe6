"""Scales and zero points of bytes: found from ratios, or contradictions are refused."""

from __future__ import annotations

import pytest

from hetcomp.npu.htp.grids import Grid, GridSolver
from hetcomp.npu.htp.layers import Clip, Float, Requantise, Term
from hetcomp.npu.refused import Refused


def total(name: str, *terms: tuple[str, float], offset: float) -> Requantise:
    return Requantise(name, tuple(Term(*term) for term in terms), offset, None)


def moved(name: str, source: str, factor: float, source_zero: int, zero: int) -> Requantise:
    return Requantise(name, (Term(source, factor),), zero - factor * source_zero, zero)


def test_scales_follow_from_factors_and_a_float() -> None:
    solver = GridSolver()
    solver.add([moved("b", "a", 0.5, 3, 7)])
    solver.add([Float("f", "b", 0.04, -0.04 * 7)])
    assert solver.grids(["a", "b"]) == {
        "a": Grid(pytest.approx(0.02), 3),
        "b": Grid(pytest.approx(0.04), 7),
    }


def test_the_zero_point_of_a_sum_is_within_its_offset() -> None:
    solver = GridSolver()
    solver.add([moved("b", "a", 0.5, 10, 20)])
    solver.add([total("c", ("a", 0.25), ("b", 0.5), offset=100 - 0.25 * 10 - 0.5 * 20)])
    grids = solver.grids(["a", "b", "c"])
    assert {name: grid.zero_point for name, grid in grids.items()} == {"a": 10, "b": 20, "c": 100}
    assert grids["b"].scale / grids["c"].scale == pytest.approx(0.5)


def test_what_nobody_says_is_chosen() -> None:
    solver = GridSolver()
    solver.add([total("c", ("a", 1.0), ("b", 2.0), offset=4.0), Clip("d", "c", 2, 9)])
    grids = solver.grids(["a", "b", "c", "d"])
    assert [grids[name].zero_point for name in "abcd"] == [0, 0, 4, 4]


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([moved("b", "a", 0.3, 0, 0)], "scales of its operands"),
        ([moved("c", "a", 1.0, 9, 9)], "no zero points fit"),
        ([total("c", ("a", 0.25), ("b", 0.5), offset=4.5)], "no zero points fit"),
    ],
)
def test_a_contradiction_is_refused_and_forgotten(layers: list[Requantise], reason: str) -> None:
    solver = GridSolver()
    solver.add([moved("b", "a", 0.5, 0, 0)])
    with pytest.raises(Refused, match=reason):
        solver.add(layers)
    assert solver.grids(["a", "b"])["b"].zero_point == 0
