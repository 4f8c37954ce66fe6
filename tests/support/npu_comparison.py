"""Runs a model.so on two drivers and compares bits: `python npu_comparison.py MODEL.SO FEEDS.NPZ`.

Driver `reference`, then two sessions with the file's own driver at the same time. Ends with 1, and
says why, unless all outputs are equal and no region fell back to the CPU.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

import hetcomp

_TIMEOUT_MS = 600_000.0
"""For a region; an emulated driver is slow."""


def main(path: Path, feeds_path: Path) -> str:
    """What is wrong; empty where nothing is."""
    feeds = dict(np.load(feeds_path))
    with hetcomp.load(path, npu="reference", quiet=True, timeout_ms=_TIMEOUT_MS) as session:
        expected = dict(session.run(feeds))
    with ExitStack() as stack:
        loaded = [hetcomp.load(path, timeout_ms=_TIMEOUT_MS) for _ in range(2)]
        first, second = map(stack.enter_context, loaded)
        for session in (first, second, first):
            wrong = _differences(dict(session.run(feeds)), expected)
            status = session.status()
            if status.why_no_npu or status.npu_fallbacks or not status.npu_steps:
                return f"driver {status.npu}: {status.why_no_npu or 'no regions'}"
            if wrong:
                return wrong
        return ""


def _differences(got: dict[str, Any], expected: dict[str, Any]) -> str:
    lines = []
    for name, want in expected.items():
        differ = int(np.count_nonzero(got[name] != want))
        if differ:
            lines.append(f"{name}: {differ} of {want.size} differ")
    return "; ".join(lines)


if __name__ == "__main__":
    wrong = main(Path(sys.argv[1]), Path(sys.argv[2]))
    print(wrong or "equal")
    sys.exit(1 if wrong else 0)
