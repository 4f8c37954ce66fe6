"""The OpenCL source as it lies in the file: a tenth of its size, unpacked only to be compiled.

`runtime_patches/src/base/inflate.cc` unpacks it on the device.
"""

from __future__ import annotations

import zlib

__all__ = ["pack_text", "unpack_text"]

_SIZE_BYTES = 8
_BEST = 9
_RAW = -15
"""The largest window, without zlib's header."""


def pack_text(text: str) -> bytes:
    """The text's size as u64, little-endian, then its UTF-8 by DEFLATE; nothing for nothing."""
    if not text:
        return b""
    data = text.encode()
    packer = zlib.compressobj(_BEST, zlib.DEFLATED, _RAW)
    return len(data).to_bytes(_SIZE_BYTES, "little") + packer.compress(data) + packer.flush()


def unpack_text(packed: bytes) -> str:
    """The text that `pack_text` packed."""
    return zlib.decompress(packed[_SIZE_BYTES:], _RAW).decode() if packed else ""
