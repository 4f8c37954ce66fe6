"""Runs the runtime under ThreadSanitizer, AddressSanitizer with LeakSanitizer, and UBSan.

    python tests/runtime/sanitized.py [thread] [address] [undefined] [--inferences N]

Runtime, kernels' glue and a native program (tests/support/hammer.cc) are built with the sanitizer;
the program infers on two models over several threads on every tier, and where the device fails.
What is suppressed, and why, stands in tests/support/*.supp.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import standin

from hetcomp.codegen.toolchain import Toolchain, find_toolchain, runtime_folder

_SUPPORT = Path(__file__).parents[1] / "support"
SANITIZERS = ("thread", "address", "undefined")
THREADS = 4

_SCENARIOS: tuple[Mapping[str, object], ...] = (
    {"plan": "cpu", "threads": 2, "pin": "off"},
    {"plan": "mixed", "threads": 2, "trace": True},
    {"plan": "gpu", "ahead": "on"},
    {"plan": "rows", "chain": "off"},
    {"plan": "mixed", "tier": "svm"},
    {"plan": "mixed", "tier": "event"},
    {"plan": "mixed", "tier": "finish"},
    {"plan": "rows", "fault": "enqueue", "quiet": True},
    {"plan": "rows", "fault": "wedge", "timeout_ms": 300, "quiet": True},
)


def main() -> int:
    """Print one line a run; exit status 1 unless all were clean."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sanitizers", nargs="*", default=SANITIZERS)
    parser.add_argument("--inferences", type=int, default=60)
    given = parser.parse_args()
    failed = 0
    for sanitizer in given.sanitizers:
        with tempfile.TemporaryDirectory() as name:
            failed += _check(sanitizer, Path(name), given.inferences)
    return 1 if failed else 0


def _check(sanitizer: str, folder: Path, inferences: int) -> int:
    host = find_toolchain()
    flags = (f"-fsanitize={sanitizer}", "-fno-omit-frame-pointer", "-g")
    tools = Toolchain((*host.cxx, *flags), host.triple, host.ffi_library_folder)
    models = []
    for seed in (7, 8):
        (folder / str(seed)).mkdir()
        models.append(standin.build(folder / str(seed), seed=seed, toolchain=tools))
    hammer = folder / "hammer"
    source = [str(_SUPPORT / "hammer.cc"), f"-I{runtime_folder() / 'include'}"]
    command = [*tools.cxx, "-std=c++17", "-O1", "-pthread", *source, "-o", str(hammer), "-ldl"]
    subprocess.run(command, check=True)
    failed = 0
    for scenario in _SCENARIOS:
        arguments = [str(hammer), str(THREADS), str(inferences), json.dumps(scenario)]
        done = subprocess.run(
            ["setarch", "-R", *arguments, *map(str, models)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=600,
            env=_environment(host),
        )
        failed += done.returncode != 0
        tier = json.loads(done.stdout.splitlines()[0])["tier"] if done.returncode == 0 else ""
        verdict = f"clean, tier {tier}" if tier else f"exit status {done.returncode}"
        print(f"{sanitizer}: {json.dumps(scenario)}: {verdict}", flush=True)
        if done.returncode != 0:
            print(done.stderr[:6000], flush=True)
    return failed


def _environment(host: Toolchain) -> dict[str, str]:
    """Reports end the process; what is known of the driver is suppressed."""
    thread = f"suppressions={_SUPPORT / 'thread.supp'}:halt_on_error=1:second_deadlock_stack=1"
    leak = f"suppressions={_SUPPORT / 'leak.supp'}:print_suppressions=0"
    folders = [str(host.ffi_library_folder or ""), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        **os.environ,
        "TSAN_OPTIONS": thread,
        "ASAN_OPTIONS": "detect_leaks=1:halt_on_error=1:detect_stack_use_after_return=1",
        "LSAN_OPTIONS": leak,
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, folders)),
    }


if __name__ == "__main__":
    sys.exit(main())
