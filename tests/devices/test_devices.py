"""What is said of processors, for made-up machines and for this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hetcomp.devices import DeviceInfo, describe_devices, fingerprint, machine_of
from hetcomp.devices import opencl as opencl_module
from hetcomp.devices.amx import why_no_amx
from hetcomp.devices.cpu import describe_cpu, parse_size
from hetcomp.devices.npu import describe_npus
from hetcomp.devices.opencl import describe_opencl
from hetcomp.devices.verdict import Verdict

ARM = "processor : 0\nFeatures : fp asimd i8mm sve2 crc32\nHardware : Some Board\n"
X86 = "processor : 0\nmodel name : Some CPU\nflags : fpu avx2 fma amx_tile amx_int8\n"


def machine(tmp_path: Path, cpuinfo: str) -> Path:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(cpuinfo)
    cache = tmp_path / "sys/devices/system/cpu/cpu0/cache/index0"
    cache.mkdir(parents=True)
    for name, text in (("level", "1\n"), ("type", "Data\n"), ("size", "48K\n")):
        (cache / name).write_text(text)
    return tmp_path


def npus(root: Path) -> dict[str, DeviceInfo]:
    return {device.name: device for device in describe_npus(root)}


def test_arm_board(tmp_path: Path) -> None:
    device = describe_cpu(machine(tmp_path, ARM))
    assert device.name == "Some Board"
    assert device.cpu is not None
    assert device.cpu.features == ("asimd", "i8mm", "sve2")
    assert device.cpu.caches[0].size_bytes == 48 * 1024


def refuses() -> int:
    raise OSError(95, "Operation not supported")


def test_amx_needs_cpu_and_kernel(tmp_path: Path) -> None:
    root = machine(tmp_path, X86)
    assert describe_cpu(root).name == "Some CPU"
    assert why_no_amx(root, "x86_64", lambda: 1 << 18 | 7) == ""
    assert "gives no permission" in why_no_amx(root, "x86_64", lambda: 7)
    assert why_no_amx(root, "x86_64", refuses).endswith("AMX: Operation not supported")
    assert "x86-64" in why_no_amx(root, "riscv64", refuses)
    (root / "proc/cpuinfo").write_text(X86.replace("amx_int8", ""))
    assert npus(root)["amx"].verdict == Verdict(
        False, "/proc/cpuinfo has amx_tile, but no amx_int8"
    )


@pytest.mark.parametrize("bf16", [True, False])
def test_amx_says_whether_it_multiplies_bfloat16(
    bf16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = machine(tmp_path, X86.replace("amx_int8", "amx_int8 amx_bf16") if bf16 else X86)
    monkeypatch.setattr("hetcomp.devices.npu.why_no_amx", lambda _root: "")
    verdict = npus(root)["amx"].verdict
    assert verdict.ok
    assert ("/proc/cpuinfo has no amx_bf16" in verdict.reason) is not bf16


def test_machine_that_tells_nothing(tmp_path: Path) -> None:
    device = describe_cpu(tmp_path)
    assert device.cpu is not None
    assert device.name == device.cpu.machine
    assert not npus(tmp_path)["amx"].verdict


def test_npu_drivers_say_why_they_are_missing(tmp_path: Path) -> None:
    found = npus(tmp_path)
    serves = [name for name, device in found.items() if device.verdict]
    assert serves in (["reference"], ["reference", "htp"])
    assert "no amx_tile, amx_int8" in found["amx"].verdict.reason
    assert "onnxruntime-qnn" in found["htp"].verdict.reason


@pytest.mark.parametrize(
    ("text", "size"), [("48K", 49152), ("2M\n", 2 << 20), ("512", 512), ("", 0), ("x", 0)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_no_loader_says_what_to_install(tmp_path: Path) -> None:
    (device,) = describe_opencl(str(tmp_path / "none.so"))
    assert "no OpenCL loader" in device.verdict.reason
    assert "pocl-opencl-icd" in device.advice


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import time; time.sleep(60)", "did not answer within 1 s"),
        ("import os; os.abort()", r"ended its process \(-6\)"),
        ("print('hello from the driver')", "printed into the probe's answer"),
        ("import sys; print('boom', file=sys.stderr); sys.exit(3)", "boom"),
    ],
)
def test_broken_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    (tmp_path / "opencl_probe.py").write_text(script)
    monkeypatch.setattr(opencl_module, "__file__", str(tmp_path / "opencl.py"))
    (device,) = describe_opencl(timeout_s=1.0)
    assert not device.verdict
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(device.verdict.reason)


def device_item() -> dict[str, Any]:
    """What the probe says of a GPU: one with as little to say as OpenCL 2 allows."""
    texts = ("platform", "name", "vendor", "version", "c_version", "driver", "extensions")
    numbers = (
        *("compute_units", "max_sub_devices", "memory_bytes", "local_bytes"),
        *("max_group_items", "sub_group", "vector_width", "vendor_id"),
    )
    item: dict[str, Any] = dict.fromkeys(texts, "") | dict.fromkeys(numbers, 0)
    return item | {"type": 4, "svm": 10}


def test_device_without_fine_grained_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = device_item() | {"svm": 1}
    answer = {"library": True, "error": "", "devices": [item]}
    (tmp_path / "opencl_probe.py").write_text(f"import json; print(json.dumps({answer!r}))")
    monkeypatch.setattr(opencl_module, "__file__", str(tmp_path / "opencl.py"))
    (device,) = describe_opencl()
    assert device.verdict.ok
    assert device.verdict.reason.endswith("what crosses is copied through coarse-grained SVM")
    assert device.opencl is not None
    assert (device.opencl.tier, device.opencl.kind) == ("event", "gpu")


def test_this_machine() -> None:
    found = describe_devices()
    assert [device.kind for device in found][:1] == ["cpu"]
    assert {device.kind for device in found} == {"cpu", "opencl", "npu"}
    assert fingerprint(found, pinned=True) != fingerprint(found, pinned=False)
    assert machine_of(fingerprint(found, pinned=True)) == machine_of(
        fingerprint(found, pinned=False)
    )
    assert machine_of("a machine; elsewhere") == "a machine; elsewhere"
    assert found[0].name in fingerprint(found, pinned=True)
