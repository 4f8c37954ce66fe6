"""Inputs and outputs of `hetcomp run`: .npz files, or seeded random numbers."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hetcomp.errors import FeedError
from hetcomp.files import atomic_path

__all__ = ["Array", "InputInfo", "random_feeds", "read_npz", "write_npz"]

Array = np.ndarray[Any, Any]

INDEX_LIMIT = 2
"""Random whole numbers are 0 or 1: valid as index, token, mask and segment alike."""


class InputInfo(Protocol):
    """What is known of an input."""

    @property
    def name(self) -> str:
        """Its name in the ONNX model."""

    @property
    def shape(self) -> Sequence[int]:
        """Its sizes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type."""


def random_feeds(inputs: Sequence[InputInfo], seed: int) -> dict[str, Array]:
    """Normal floats, and zeros and ones for other types, the same for the same seed."""
    rng = np.random.default_rng(seed)
    return {item.name: _random(rng, item) for item in inputs}


def read_npz(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Arrays of an .npz file by name.

    Raises
    ------
    FeedError
        The file cannot be read, or holds objects rather than numbers.
    """
    where = f"inputs '{os.fspath(path)}'"
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise FeedError(f"{where}: holds one array without a name; write it by numpy.savez")
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FeedError(f"{where}: not a readable .npz file: {error}") from error


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write arrays as an .npz file, whole or not at all; unlike numpy.savez takes any name.

    Raises
    ------
    FeedError
        The file cannot be written.
    """
    try:
        with atomic_path(Path(path)) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                    np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)
    except OSError as error:
        where = f"outputs '{os.fspath(path)}'"
        raise FeedError(f"{where}: cannot be written: {error.strerror}") from error


def _random(rng: np.random.Generator, item: InputInfo) -> Array:
    dtype = item.dtype
    if dtype.kind == "f":
        return rng.standard_normal(tuple(item.shape)).astype(dtype)
    return rng.integers(0, INDEX_LIMIT, tuple(item.shape)).astype(dtype)
