"""What callers pass as inputs and outputs, as tensors for the runtime: checked, and not copied.

A NumPy array is taken as it is where it is writable and contiguous (NumPy does not export
read-only arrays through every version of DLPack), and anything else that has `__dlpack__` likewise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetcomp.errors import FeedError
from hetcomp.runtime._ffi_api import from_dlpack
from hetcomp.runtime.records import TensorInfo

__all__ = ["check_names", "input_tensor", "output_tensor"]


def check_names(expected: Iterable[str], got: Iterable[str]) -> None:
    """Raise FeedError unless both have the same names."""
    known, given = set(expected), set(got)
    parts = []
    if missing := sorted(known - given):
        parts.append(f"missing inputs: {', '.join(missing)}")
    if unknown := sorted(map(str, given - known)):
        parts.append(f"unknown inputs: {', '.join(unknown)}")
    if parts:
        raise FeedError(f"{'; '.join(parts)}; expected: {', '.join(sorted(known))}")


def input_tensor(info: TensorInfo, value: object) -> Any:
    """`value` as a dense tensor in host memory; copied only where its memory will not do."""
    if not isinstance(value, np.ndarray) and hasattr(value, "__dlpack__"):
        tensor = _import(info, value, "input")
        return tensor if tensor.is_contiguous() else from_dlpack(np.from_dlpack(tensor).copy())
    array: NDArray[Any] = np.asarray(value)
    _check(info, "input", array.shape, array.dtype.name)
    usable = array.flags.c_contiguous and array.flags.writeable
    return from_dlpack(array if usable else array.copy(order="C"))


def output_tensor(info: TensorInfo, value: object) -> Any:
    """`value` as the tensor to write to.

    Raises
    ------
    FeedError
        It is no tensor of the right shape and dtype, or its memory will not do.
    """
    if not hasattr(value, "__dlpack__"):
        raise FeedError(f'output "{info.name}": {type(value).__name__} has no __dlpack__')
    tensor = _import(info, value, "output")
    if not tensor.is_contiguous():
        raise FeedError(f'output "{info.name}": not contiguous')
    return tensor


def _import(info: TensorInfo, value: Any, what: str) -> Any:
    try:
        tensor = from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise FeedError(f'{what} "{info.name}": {error}') from error
    if tensor.device.type != "cpu":
        raise FeedError(f'{what} "{info.name}": on device {tensor.device}, expected host memory')
    _check(info, what, tuple(tensor.shape), str(tensor.dtype))
    return tensor


def _check(info: TensorInfo, what: str, shape: tuple[int, ...], dtype: str) -> None:
    if shape != info.shape or dtype != info.dtype.name:
        raise FeedError(
            f'{what} "{info.name}": got {dtype} {shape}, expected {info.dtype.name} {info.shape}'
        )
