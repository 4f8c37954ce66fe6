"""Takes large weights out of a serialised ONNX model and leaves references in their place.

Parsing a model copies every weight into the message. So the few nested fields that lead to the
weights (``ModelProto.graph.initializer.raw_data``) are walked in protobuf's wire format, and each
large one is replaced by ONNX's own form of a reference: external data at an offset.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import onnx

__all__ = ["LARGE_BYTES", "PLAIN_TYPES", "reference", "without_weights"]

LARGE_BYTES = 1 << 16
"""Weights from this size on are kept by reference."""

_GRAPH, _INITIALIZER, _DATA_TYPE, _RAW_DATA = 7, 5, 2, 9
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
PLAIN_TYPES = frozenset(
    getattr(onnx.TensorProto, name)
    for name in (
        *("FLOAT", "FLOAT16", "DOUBLE", "BOOL", "INT8", "INT16", "INT32", "INT64"),
        *("UINT8", "UINT16", "UINT32", "UINT64"),
    )
)
"""Element types that NumPy has, so that an array may look at the bytes as they are."""


@dataclass(frozen=True)
class _Field:
    """A field: its whole extent [begin, end) and the start of its payload."""

    number: int
    wire: int
    begin: int
    start: int
    end: int


def without_weights(data: memoryview, location: str) -> bytes:
    """The serialised model in `data` with large weights replaced by references to `location`.

    Raises
    ------
    ValueError
        `data` is not in protobuf's wire format.
    """
    parts: list[bytes] = []
    for field in _fields(data, 0, len(data)):
        if field.number == _GRAPH and field.wire == _LENGTH_DELIMITED:
            parts.append(_delimited(_GRAPH, _graph(data, field, location)))
        else:
            parts.append(bytes(data[field.begin : field.end]))
    return b"".join(parts)


def reference(location: str, offset: int, length: int) -> onnx.TensorProto:
    """The fields by which a tensor refers to `length` bytes of `location`."""
    tensor = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _graph(data: memoryview, graph: _Field, location: str) -> bytes:
    parts: list[bytes] = []
    for field in _fields(data, graph.start, graph.end):
        large = field.end - field.start >= LARGE_BYTES
        if field.number == _INITIALIZER and field.wire == _LENGTH_DELIMITED and large:
            parts.append(_delimited(_INITIALIZER, _initializer(data, field, location)))
        else:
            parts.append(bytes(data[field.begin : field.end]))
    return b"".join(parts)


def _initializer(data: memoryview, tensor: _Field, location: str) -> bytes:
    fields = list(_fields(data, tensor.start, tensor.end))
    raw = [f for f in fields if f.number == _RAW_DATA and f.wire == _LENGTH_DELIMITED]
    kind = [_varint(data, f.start)[0] for f in fields if f.number == _DATA_TYPE]
    if len(raw) != 1 or not set(kind) <= PLAIN_TYPES or len(kind) != 1:
        return bytes(data[tensor.start : tensor.end])
    found = raw[0]
    kept = [bytes(data[f.begin : f.end]) for f in fields if f is not found]
    refer = reference(location, found.start, found.end - found.start)
    return b"".join([*kept, refer.SerializeToString()])


def _fields(data: memoryview, begin: int, end: int) -> Iterator[_Field]:
    while begin < end:
        tag, start = _varint(data, begin)
        wire, stop = tag & 7, 0
        if wire == _VARINT:
            stop = _varint(data, start)[1]
        elif wire == _LENGTH_DELIMITED:
            size, start = _varint(data, start)
            stop = start + size
        elif wire in (_FIXED64, _FIXED32):
            stop = start + (8 if wire == _FIXED64 else 4)
        if not start <= stop <= end or not stop:
            raise ValueError(f"no protobuf field at byte {begin}")
        yield _Field(tag >> 3, wire, begin, start, stop)
        begin = stop


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f"no protobuf number ends at byte {at}")


def _delimited(number: int, payload: bytes) -> bytes:
    return _encode(number << 3 | _LENGTH_DELIMITED) + _encode(len(payload)) + payload


def _encode(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
