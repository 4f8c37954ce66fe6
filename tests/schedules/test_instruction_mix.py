"""Instructions counted on a kernel's code, against counts by hand."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from hetcomp.codegen.lower import lower_tasks
from hetcomp.cost.instruction_mix import InstructionMix
from hetcomp.frontend import import_onnx
from hetcomp.pipeline import fusion_pipeline
from hetcomp.profile.layers import Layer, model_of
from hetcomp.profile.movers import Elementwise, Pool, Transpose
from hetcomp.profile.products import Linear
from hetcomp.schedules.facts import CpuFacts

REGISTER_FLOATS = 16


def mix_of(layer: Layer) -> InstructionMix:
    imported = import_onnx(model_of([layer], 0))
    module = fusion_pipeline(integers=False)(imported.mod)
    lowered = lower_tasks(imported, module, CpuFacts.AVX512, gpu=False)
    return lowered.graph.kernels[-1].mix


def test_an_aligned_function_is_loads_one_operation_and_stores() -> None:
    vectors = 8 * 8 * 64 // REGISTER_FLOATS
    mix = mix_of(Elementwise(8, 8, 64, 1, 0, 1))
    assert (mix.vector_loads, mix.vector_ops, mix.vector_stores) == (vectors,) * 3
    assert mix.crossings == mix.gathered == mix.scalar_ops == 0


def test_rows_beside_lines_cross_them() -> None:
    mix = mix_of(Elementwise(8, 8, 36, 1, 1, 1))
    assert mix.crossings > 0.4 * mix.vector_loads


def test_windows_at_the_border_have_fewer_taps() -> None:
    vectors = 64 // REGISTER_FLOATS
    taps = (3 * 28 - 2) ** 2
    assert mix_of(Pool(28, 28, 64, 3, 1, 0)).vector_loads == pytest.approx(taps * vectors)


def test_a_transpose_gathers_from_afar() -> None:
    mix = mix_of(Transpose(64, 4, 32, 1))
    elements = 64 * 4 * 32
    assert mix.gathered == elements
    assert mix.gather_bytes == elements * 4 * 32 * 4


def test_a_product_multiplies_and_adds_at_once() -> None:
    rows, depth, columns = 28, 256, 128
    mix = mix_of(Linear(rows, depth, columns, 0))
    products = rows * depth * columns // REGISTER_FLOATS
    assert mix.vector_ops == pytest.approx(products, rel=0.02)
    assert mix.vector_stores == rows * columns // REGISTER_FLOATS


def test_counts_are_never_negative() -> None:
    assert all(count >= 0 for count in asdict(mix_of(Pool(9, 9, 20, 5, 1, 0))).values())
