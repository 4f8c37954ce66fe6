"""The constants' block."""

from __future__ import annotations

import numpy as np
import pytest

from hetcomp.codegen.constants import ALIGNMENT, ConstantPool
from hetcomp.schedules.scheduled import Packing


def test_same_array_is_stored_once() -> None:
    pool, array = ConstantPool(), np.arange(5)
    assert pool.add(array, None) is pool.add(array, None)
    assert len(pool.arrays) == 1


def test_packings_are_told_apart_by_key() -> None:
    pool, array = ConstantPool(), np.arange(6, dtype=np.float32)
    twice = Packing("twice", lambda a: np.concatenate([a, a]))
    entries = [pool.add(array, None), pool.add(array, twice), pool.add(array, twice)]
    assert [entry.shape for entry in entries] == [(6,), (12,), (12,)]
    assert entries[1] is entries[2]


def test_views_of_one_memory_are_told_apart() -> None:
    pool, array = ConstantPool(), np.arange(6)
    entries = [
        pool.add(array, None),
        pool.add(array.reshape(2, 3), None),
        pool.add(array[:3], None),
    ]
    assert [entry.shape for entry in entries] == [(6,), (2, 3), (3,)]


def test_strided_view_of_one_memory_is_its_own() -> None:
    pool, array = ConstantPool(), np.arange(9).reshape(3, 3)
    pool.add(array, None)
    pool.add(array.T, None)
    np.testing.assert_array_equal(pool.arrays[1], array.T)


def test_offsets_are_aligned_and_sizes_add_up() -> None:
    pool = ConstantPool()
    sizes = [1, ALIGNMENT, ALIGNMENT + 1, 0]
    offsets = [pool.add(np.zeros(size, np.uint8), None).offset_bytes for size in sizes]
    assert offsets == [0, ALIGNMENT, 2 * ALIGNMENT, 4 * ALIGNMENT]
    assert pool.size_bytes == 4 * ALIGNMENT


def test_arrays_stay_alive_while_their_address_is_a_key() -> None:
    pool = ConstantPool()
    for value in range(50):
        pool.add(np.full(1000, value), None)
    assert [int(array[0]) for array in pool.arrays] == list(range(50))


@pytest.mark.parametrize("value", [np.float32(2), np.array(True), np.array(7)])
def test_scalars_have_no_axes(value: object) -> None:
    pool = ConstantPool()
    entry = pool.add(np.asarray(value), None)
    assert entry.shape == ()
    assert pool.arrays[0].shape == ()
