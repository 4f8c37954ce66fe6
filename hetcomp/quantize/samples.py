"""Samples of a model's inputs in .npz files, read one at a time.

An .npz file has one array for each input, by its name. An array with the input's shape is one
sample. Several are stacked: along a new first axis, or along the input's own first axis, so that
an input of 1x3x224x224 takes 100 samples as 100x3x224x224. A folder stands for its .npz files, in
the order of their names.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from hetcomp.errors import FeedError
from hetcomp.frontend import TensorSpec

__all__ = ["Array", "Samples"]

Array = np.ndarray[Any, Any]


class Samples:
    """Samples in files; iterating reads them, one in memory at a time.

    Parameters
    ----------
    path
        An .npz file, or a folder of them.
    inputs
        The model's inputs.

    Raises
    ------
    FeedError
        A file cannot be read; a name, shape or type is not an input's; there is no sample. While
        iterating: a file is damaged, or a number is not finite.
    """

    def __init__(self, path: str | os.PathLike[str], inputs: Sequence[TensorSpec]) -> None:
        self._files = tuple(_File.open(file, inputs) for file in _files(Path(path)))

    def __len__(self) -> int:
        return sum(file.count for file in self._files)

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for file in self._files:
            yield from file.samples()


@dataclass(frozen=True)
class _File:
    """One file with `count` samples of every input."""

    path: Path
    inputs: tuple[TensorSpec, ...]
    count: int

    @staticmethod
    def open(path: Path, inputs: Sequence[TensorSpec]) -> _File:
        with _readable(path), zipfile.ZipFile(path) as archive:
            found = {
                name.removesuffix(".npy"): _header(archive, name) for name in archive.namelist()
            }
        wanted = [item.name for item in inputs]
        missing, unknown = set(wanted) - set(found), set(found) - set(wanted)
        if missing or unknown:
            what = f"lacks {_quoted(missing)}" if missing else f"has {_quoted(unknown)}"
            raise FeedError(
                f"samples '{path}': the file {what}; the model's inputs are {_quoted(wanted)}"
            )
        counts = {item.name: found[item.name].count(item, path) for item in inputs}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"'{name}' has {count}" for name, count in counts.items())
            raise FeedError(f"samples '{path}': inputs differ in their number of samples: {listed}")
        count = next(iter(counts.values()), 0)
        if not count:
            raise FeedError(f"samples '{path}': there is no sample in it")
        return _File(path, tuple(inputs), count)

    def samples(self) -> Iterator[dict[str, Array]]:
        with ExitStack() as stack:
            stack.enter_context(_readable(self.path))
            archive = stack.enter_context(zipfile.ZipFile(self.path))
            streams = [_arrays(archive, item, self.count) for item in self.inputs]
            for index, arrays in enumerate(zip(*streams, strict=True)):
                for item, array in zip(self.inputs, arrays, strict=True):
                    if array.dtype.kind == "f" and not np.isfinite(array).all():
                        raise FeedError(
                            f"samples '{self.path}': sample {index} of '{item.name}' has numbers "
                            "that are not finite"
                        )
                yield {item.name: a for item, a in zip(self.inputs, arrays, strict=True)}


@dataclass(frozen=True)
class _Header:
    """What an array in an archive says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    def count(self, item: TensorSpec, path: Path) -> int:
        """Number of samples of an input."""
        where = f"samples '{path}', input '{item.name}'"
        if self.dtype != np.dtype(item.dtype):
            raise FeedError(
                f"{where}: got {self.dtype}, expected {item.dtype}; convert it by "
                f"array.astype('{item.dtype}')"
            )
        if self.shape == item.shape:
            return 1
        if self.shape[1:] == item.shape:
            return self.shape[0]
        stacked = bool(item.shape) and self.shape[1:] == item.shape[1:]
        if len(self.shape) == len(item.shape) and stacked and self.shape[0] % item.shape[0] == 0:
            return self.shape[0] // item.shape[0]
        raise FeedError(
            f"{where}: got shape {_shape(self.shape)}, expected {_shape(item.shape)}, or samples "
            f"of that one behind the other: {_shape(('N', *item.shape))}"
        )


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise FeedError(f"samples '{path}': no such file or folder")
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.npz"))
    if not files:
        raise FeedError(f"samples '{path}': the folder has no .npz file")
    return files


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FeedError(
            f"samples '{path}': not a readable .npz file: {error}; write it by numpy.savez"
        ) from error


def _header(archive: zipfile.ZipFile, name: str) -> _Header:
    with archive.open(name) as stream:
        return _read_header(stream)


def _read_header(stream: IO[bytes]) -> _Header:
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"an array in format {version}")
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("it holds objects rather than numbers")
    return _Header(shape, dtype, fortran)


def _arrays(archive: zipfile.ZipFile, item: TensorSpec, count: int) -> Iterator[Array]:
    with archive.open(f"{item.name}.npy") as stream:
        header = _read_header(stream)
        if header.fortran:  # its samples do not lie one behind the other
            data = stream.read(math.prod(header.shape) * header.dtype.itemsize)
            whole = np.frombuffer(data, header.dtype).reshape(header.shape, order="F")
            yield from np.ascontiguousarray(whole).reshape(count, *item.shape)
            return
        size = math.prod(item.shape) * header.dtype.itemsize
        for _ in range(count):
            data = stream.read(size)
            if len(data) < size:
                raise EOFError(f"array '{item.name}' is cut off")
            yield np.frombuffer(data, header.dtype).reshape(item.shape)


def _shape(dims: Sequence[int | str]) -> str:
    return "x".join(map(str, dims)) or "scalar"


def _quoted(names: Sequence[str] | set[str]) -> str:
    listed = sorted(names) if isinstance(names, set) else names
    return ", ".join(f"'{name}'" for name in listed)
