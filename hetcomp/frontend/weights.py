"""Large weights stay where they are: in a mapped file, behind references in the model.

Held as a protobuf, as arrays and as packed arrays, a model would need several times its size. The
pages of a mapped file are read when a weight is packed and can be given back at once.
"""

import math
import mmap
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_tensor

from hetcomp.frontend.wire import LARGE_BYTES, PLAIN_TYPES, reference, without_weights

__all__ = ["Weights", "data_bytes", "is_reference"]

_MARK = "hetcomp:"


def is_reference(tensor: onnx.TensorProto) -> bool:
    """Whether `tensor` refers to a `Weights`; other external data was not loaded."""
    return any(e.key == "location" and e.value.startswith(_MARK) for e in tensor.external_data)


def data_bytes(tensor: onnx.TensorProto) -> int:
    """Size of the raw data that `tensor` holds or refers to."""
    if is_reference(tensor):
        return int(ExternalDataInfo(tensor).length)
    return len(tensor.raw_data)


class Weights:
    """What the large weights of one model refer to: mapped files, or a copy of given bytes."""

    def __init__(self) -> None:
        self._maps: list[mmap.mmap] = []
        self._files: dict[Path, int] = {}

    def parse_file(self, path: Path) -> onnx.ModelProto:
        """The model in the file `path`, which must not be empty.

        Raises
        ------
        DecodeError, OSError
            It is no ONNX model, or cannot be read.
        """
        return self._parse(self._map_file(path))

    def parse_bytes(self, data: bytes) -> onnx.ModelProto:
        """The model in `data`, which is copied once. Raises ``DecodeError``."""
        copy = mmap.mmap(-1, len(data))
        copy[:] = data
        return self._parse(self._keep(copy))

    def resolve_external(self, model: onnx.ModelProto, folder: Path) -> None:
        """Load small external weights of `model`, and refer to large ones in their files.

        Raises
        ------
        OSError, ValueError, ValidationError
            A file is missing, too short, or lies outside `folder`.
        """
        for tensor in model.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL and not is_reference(tensor):
                self._resolve(tensor, folder)

    def array(self, tensor: onnx.TensorProto) -> np.ndarray:
        """The value of `tensor`; a large weight is not copied and may lie at any address."""
        if not is_reference(tensor):
            inside: np.ndarray = numpy_helper.to_array(tensor)
            return inside
        place = ExternalDataInfo(tensor)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        dims, source = tuple(tensor.dims), self._maps[int(place.location.removeprefix(_MARK))]
        array = np.frombuffer(source, dtype, math.prod(dims), offset=place.offset)
        return array.reshape(dims)

    def inline(self, tensor: onnx.TensorProto) -> onnx.TensorProto:
        """`tensor` with its data inside, as other readers of ONNX want it."""
        if not is_reference(tensor):
            return tensor
        return numpy_helper.from_array(np.ascontiguousarray(self.array(tensor)), tensor.name)

    def release(self) -> None:
        """Give back the memory that reading took; the files are read again where needed."""
        for index in self._files.values():
            self._maps[index].madvise(mmap.MADV_DONTNEED)

    def _parse(self, index: int) -> onnx.ModelProto:
        data = memoryview(self._maps[index])
        try:
            return onnx.ModelProto.FromString(without_weights(data, f"{_MARK}{index}"))
        except ValueError:  # protobuf's own parser has the say on what is wrong
            return onnx.ModelProto.FromString(bytes(data))

    def _map_file(self, path: Path) -> int:
        if path not in self._files:
            with path.open("rb") as stream:
                # Private and writable: NumPy hands out no pointer to memory it may not write.
                mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
            self._files[path] = self._keep(mapped)
        return self._files[path]

    def _keep(self, mapped: mmap.mmap) -> int:
        self._maps.append(mapped)
        return len(self._maps) - 1

    def _resolve(self, tensor: onnx.TensorProto, folder: Path) -> None:
        place = ExternalDataInfo(tensor)
        path = (folder / place.location).resolve()
        plain = tensor.data_type in PLAIN_TYPES
        if not plain or (place.length or 0) < LARGE_BYTES or not path.is_relative_to(folder):
            load_external_data_for_tensor(tensor, str(folder))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
            return
        offset = place.offset or 0
        if offset + place.length > path.stat().st_size:
            raise ValueError(f"'{path}' is shorter than tensor '{tensor.name}' says")
        del tensor.external_data[:]
        refer = reference(f"{_MARK}{self._map_file(path)}", offset, place.length)
        tensor.MergeFrom(refer)
