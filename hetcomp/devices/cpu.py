"""The host's CPU, from /proc and /sys; what cannot be read is left out."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

from hetcomp.devices.info import CacheInfo, CpuInfo, DeviceInfo
from hetcomp.devices.verdict import Verdict

__all__ = ["cpu_features", "describe_cpu", "known_features", "parse_cpuinfo", "parse_size"]

# fmt: off
_FEATURES = frozenset((
    "sse4_1", "sse4_2", "avx", "avx2", "fma", "f16c",
    "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "avx_vnni", "amx_tile", "amx_int8", "amx_bf16",
    "neon", "asimd", "asimdhp", "asimddp", "fphp", "i8mm", "bf16", "sve", "sve2", "sme",
))
# fmt: on


def describe_cpu(root: Path = Path("/")) -> DeviceInfo:
    """Describe the host's CPU; `root` is the root of the file system to read."""
    fields = _cpuinfo(root)
    features = _features(fields)
    info = CpuInfo(
        machine=platform.machine(),
        cores=os.cpu_count() or 1,
        usable_cores=tuple(sorted(os.sched_getaffinity(0))),
        features=known_features(features),
        caches=_caches(root / "sys/devices/system/cpu/cpu0/cache"),
    )
    verdict = Verdict(True, "runs every task")
    return DeviceInfo("cpu", _model(root, fields), verdict, cpu=info)


def known_features(features: Iterable[str]) -> tuple[str, ...]:
    """Those of the kernel's names for CPU features that matter here, sorted."""
    return tuple(sorted(_FEATURES.intersection(features)))


def cpu_features(root: Path = Path("/")) -> frozenset[str]:
    """All instruction-set features that the kernel tells of, by its names."""
    return _features(_cpuinfo(root))


def parse_cpuinfo(text: str) -> dict[str, str]:
    """Fields of the first processor in the text of /proc/cpuinfo, keys in lower case."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.partition(":")
        if separator:
            fields.setdefault(key.strip().lower(), value.strip())
    return fields


def parse_size(text: str) -> int:
    """Bytes of a size as /sys writes it: `48K`, `2M`, `512`."""
    text = text.strip()
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:].upper(), 1)
    digits = text.rstrip("KMGkmg")
    return int(digits) * factor if digits.isdigit() else 0


def _cpuinfo(root: Path) -> dict[str, str]:
    return parse_cpuinfo(_read(root / "proc/cpuinfo"))


def _features(fields: dict[str, str]) -> frozenset[str]:
    """x86 says `flags`, ARM says `Features`."""
    return frozenset(fields.get("flags", fields.get("features", "")).split())


def _model(root: Path, fields: dict[str, str]) -> str:
    board = _read(root / "proc/device-tree/model").rstrip("\0\n")
    return fields.get("model name") or fields.get("hardware") or board or platform.machine()


def _caches(folder: Path) -> tuple[CacheInfo, ...]:
    found = []
    for index in sorted(folder.glob("index*")):
        level, kind = _read(index / "level").strip(), _read(index / "type").strip().lower()
        if level.isdigit():
            found.append(CacheInfo(int(level), kind, parse_size(_read(index / "size"))))
    return tuple(found)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
