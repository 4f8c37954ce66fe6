"""Damaged, truncated and foreign files are refused before the dynamic loader sees them."""

from __future__ import annotations

import contextlib
import ctypes.util
import io
import random
from pathlib import Path

import pytest
import standin
from fresh_process import Script

from hetcomp.codegen.image import word_sum
from hetcomp.errors import ArtifactError, InputError
from hetcomp.runtime import load, read_image
from hetcomp.runtime.elf import read_elf
from hetcomp.runtime.image_header import SECTION
from hetcomp.runtime.packed_text import pack_text


def test_read_image(model: Path) -> None:
    image = read_image(model)
    assert image.graph == standin.graph()
    assert list(image.tables) == standin.tables()
    assert [plan.name for plan in image.plans] == ["rows", "channels", "mixed", "gpu", "cpu"]
    assert image.build == {"note": "stand-in"}
    assert image.opencl_source == standin.opencl_source()


def test_read_image_does_not_load(script: Script, model: Path) -> None:
    answer, _ = script(
        f"""
        from hetcomp.runtime import read_image
        read_image({str(model)!r})
        answer = "model.so" in open("/proc/self/maps").read()
        """
    )
    assert answer is False


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_truncated(model: Path, tmp_path: Path, share: float) -> None:
    whole = model.read_bytes()
    file = tmp_path / "short.so"
    file.write_bytes(whole[: int(len(whole) * share)])
    for action in (load, read_image):
        with pytest.raises(ArtifactError, match=r"truncated|not a compiled model"):
            action(file)


def test_last_byte_missing(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "short.so"
    file.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="truncated"):
        load(file)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", random.Random(0).randbytes(100_000)])
def test_not_elf(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "noise.so"
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match="not an ELF file"):
        load(file)


def test_random_headers_never_crash(model: Path, tmp_path: Path) -> None:
    rng = random.Random(1)
    whole = model.read_bytes()
    file = tmp_path / "bent.so"
    for _ in range(200):
        bent = bytearray(whole)
        for _ in range(3):
            bent[rng.randrange(64)] = rng.randrange(256)
        file.write_bytes(bent)
        with contextlib.suppress(ArtifactError):
            read_image(file)


def test_foreign_library() -> None:
    name = ctypes.util.find_library("z") or ctypes.util.find_library("m")
    folders = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu"]
    path = next((Path(f, name) for f in folders if name and Path(f, name).exists()), None)
    if path is None:
        pytest.skip("no system library found to try")
    with pytest.raises(ArtifactError, match=f"no section {SECTION}"):
        load(path)


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="No such file"):
        load(tmp_path / "absent.so")
    with pytest.raises(ArtifactError, match="directory"):
        load(tmp_path)


def test_other_machine(model: Path, tmp_path: Path) -> None:
    data = bytearray(model.read_bytes())
    data[18:20] = (8).to_bytes(2, "little")  # MIPS
    file = tmp_path / "mips.so"
    file.write_bytes(data)
    with pytest.raises(ArtifactError, match="another machine"):
        load(file)
    assert read_image(file).machine == 8


@pytest.mark.parametrize(
    ("offset", "message"),
    [(0, "no header"), (8, "image format"), (30, "checksum"), (64, "checksum"), (79, "checksum")],
)
def test_damaged_image_header(model: Path, tmp_path: Path, offset: int, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        load(flip(model, tmp_path, offset))


def test_damaged_description(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="checksum"):
        load(flip(model, tmp_path, 100))


def test_damaged_opencl_source(model: Path, tmp_path: Path) -> None:
    source = model.read_bytes().index(pack_text(standin.opencl_source())) + 200
    begin = read_elf(model).sections[SECTION].offset
    with pytest.raises(ArtifactError, match="checksum"):
        load(flip(model, tmp_path, source - begin))


@pytest.mark.parametrize("offset", [0, 255, 9000, 256 + 16384 - 1])
def test_damaged_weights(model: Path, tmp_path: Path, offset: int) -> None:
    at = read_elf(model).sections[SECTION].size - (256 + 16384) + offset
    file = flip(model, tmp_path, at, bits=0x10)
    assert read_image(file).graph == standin.graph()  # explain does not read the weights
    with pytest.raises(InputError, match="damaged weights"):
        load(file, plan="cpu")
    load(file, plan="cpu", verify="off").close()


def test_every_region_of_the_code_is_checked(model: Path, tmp_path: Path) -> None:
    rng = random.Random(2)
    whole = model.read_bytes()
    section = read_elf(model).sections[SECTION]
    outside = [*range(64, section.offset), *range(section.offset + section.size, len(whole))]
    for at in rng.sample(outside, 200):
        file = tmp_path / f"{at}.so"
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        with pytest.raises(ArtifactError, match=r"damaged|truncated|not a compiled model"):
            load(file)
        file.unlink()


def test_word_sum_is_sensitive() -> None:
    rng = random.Random(3)
    data = rng.randbytes(1003)
    seen = {word_sum(io.BytesIO(data))}
    for bit in range(8 * len(data)):
        bent = bytearray(data)
        bent[bit // 8] ^= 1 << bit % 8
        seen.add(word_sum(io.BytesIO(bent)))
    assert len(seen) == 1 + 8 * len(data)
    bent = bytearray(data)  # the highest bits of two words cancel out in a plain sum
    bent[7] ^= 0x80
    bent[15] ^= 0x80
    assert word_sum(io.BytesIO(bent)) not in seen


def flip(model: Path, folder: Path, offset: int, bits: int = 0xFF) -> Path:
    """A copy with bits of one byte of the image inverted."""
    data = bytearray(model.read_bytes())
    data[read_elf(model).sections[SECTION].offset + offset] ^= bits
    file = folder / "flipped.so"
    file.write_bytes(data)
    return file
