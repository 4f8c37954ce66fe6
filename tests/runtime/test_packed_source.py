"""OpenCL source is packed in the file; what the runtime unpacks is what was packed, or refused."""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from hetcomp.codegen.toolchain import find_toolchain, run_tool, runtime_folder
from hetcomp.runtime.packed_text import pack_text, unpack_text

_PROGRAM = """
#include <exception>
#include <iostream>
#include <iterator>
#include "base/inflate.h"
int main() {
  const std::string packed((std::istreambuf_iterator<char>(std::cin)), {});
  try {
    std::cout << hetcomp::Unpack(packed);
  } catch (const std::exception& error) {
    std::cerr << error.what();
    return 1;
  }
}
"""
SEED = 4

Unpack = Callable[[bytes], "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="module")
def unpack(tmp_path_factory: pytest.TempPathFactory) -> Unpack:
    folder, source = tmp_path_factory.mktemp("inflate"), runtime_folder() / "src"
    main, program = folder / "main.cc", folder / "unpack"
    main.write_text(_PROGRAM)
    flags = ["-std=c++17", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
    files = [str(main), str(source / "base" / "inflate.cc")]
    run_tool([*find_toolchain().cxx, *flags, f"-I{source}", *files, "-o", str(program)])
    return lambda packed: subprocess.run([program], input=packed, capture_output=True, timeout=20.0)


def framed(data: bytes, level: int, strategy: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    return len(data).to_bytes(8, "little") + packer.compress(data) + packer.flush()


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED])
def test_all_kinds_of_blocks(unpack: Unpack, level: int, strategy: int) -> None:
    rng = np.random.default_rng(SEED)
    noise = rng.integers(0, 256, 70_000, np.uint8).tobytes()
    letters = rng.integers(97, 101, 50_000, np.uint8).tobytes()
    text = (runtime_folder() / "README.md").read_bytes() * 3
    for data in (b"a", b"hello" * 1000, noise, letters, text):
        done = unpack(framed(data, level, strategy))
        assert (done.returncode, done.stdout) == (0, data), done.stderr


def test_text_goes_both_ways(unpack: Unpack) -> None:
    text = "kernel void f(global float* µ) {}\n" * 99
    packed = pack_text(text)
    assert len(packed) < len(text) // 10
    assert unpack_text(packed) == unpack(packed).stdout.decode() == text
    assert pack_text("") == b""
    assert (unpack_text(b""), unpack(b"").stdout) == ("", b"")


def test_damage_is_found_or_harmless(unpack: Unpack) -> None:
    """No read or write outside of memory; the image's checksum finds the rest."""
    rng = np.random.default_rng(SEED)
    whole = pack_text((runtime_folder() / "README.md").read_text())
    refused = 0
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        done = unpack(bytes(damaged[: rng.integers(9, len(damaged) + 1)]))
        assert done.returncode == 0 or done.stderr == b"model image: damaged OpenCL source"
        refused += done.returncode
    assert refused > 30
