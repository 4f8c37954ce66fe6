"""Runs the runtime under ThreadSanitizer, AddressSanitizer with LeakSanitizer, and UBSan.

    python tests/runtime/sanitized.py [thread] [address] [undefined] [--inferences N]

Runtime, kernels' glue and a native program (tests/support/hammer.cc) are built with the sanitizer;
the program infers on two models over several threads, with requests, buffers, changes of plan and
closing in the middle, on every tier and kind of memory, and where the device fails.
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
import standin_npu

from hetcomp.codegen.toolchain import Toolchain, find_toolchain, runtime_folder
from hetcomp.plan.plan import Axis
from hetcomp.plan.table import StepTable

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
    {"plan": "mixed", "tier": "event", "memory": "coarse"},
    {"plan": "channels", "tier": "finish", "memory": "coarse"},
    {"plan": "mixed", "tier": "event", "memory": "buffer"},
    {"plan": "rows", "tier": "finish", "memory": "buffer", "trace": True},
    {"plan": "mixed", "tier": "mailbox", "experimental": True},
    {"plan": "tickets", "threads": 2},
    {"pipeline": True},
    {"plan": "gpu", "gpu_slice_us": 1000},
    {"pretended_load": [[0, 1, 1], [20, 2.5, 1], [60, 1, 1]], "trace": True},
    {"plan": "npu", "threads": 2, "trace": True},
    {"plan": "npu", "npu_fault": "die", "quiet": True},
    {"plan": "npu", "npu_fault": "refuse", "quiet": True},
    {"plan": "npu", "npu_fault": "hang", "timeout_ms": 300, "quiet": True},
    {"plan": "rows", "fault": "enqueue", "quiet": True},
    {"plan": "rows", "fault": "wedge", "timeout_ms": 300, "quiet": True},
)


def main() -> int:
    """Print one line a run; exit status 1 unless all were clean."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sanitizers", nargs="*", default=SANITIZERS)
    parser.add_argument("--inferences", type=int, default=60)
    parser.add_argument("--only", default="", help="scenarios whose JSON has this text")
    given = parser.parse_args()
    failed = 0
    for sanitizer in given.sanitizers:
        with tempfile.TemporaryDirectory() as name:
            failed += _check(sanitizer, Path(name), given.inferences, given.only)
    return 1 if failed else 0


def _check(sanitizer: str, folder: Path, inferences: int, only: str) -> int:
    host = find_toolchain()
    flags = (f"-fsanitize={sanitizer}", "-fno-omit-frame-pointer", "-g")
    tools = Toolchain((*host.cxx, *flags), host.triple, host.ffi_library_folder)
    models = []
    for seed in (7, 8):
        (folder / str(seed)).mkdir()
        models.append(
            standin.build(
                folder / str(seed),
                seed=seed,
                model_tables=_tables(),
                toolchain=tools,
                edit_graph=standin_npu.npu_graph,
                npu=standin_npu.description(),
            )
        )
    hammer = folder / "hammer"
    source = [str(_SUPPORT / "hammer.cc"), f"-I{runtime_folder() / 'include'}"]
    command = [*tools.cxx, "-std=c++17", "-O1", "-pthread", *source, "-o", str(hammer), "-ldl"]
    subprocess.run(command, check=True, timeout=600.0)
    failed = 0
    for scenario in (item for item in _SCENARIOS if only in json.dumps(item)):
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
        verdict = f"exit status {done.returncode}"
        if done.returncode == 0:
            status, stats = map(json.loads, done.stdout.splitlines()[:2])
            changes = len(stats["adaptation"]["switches"])
            verdict = f"clean, tier {status['tier']}, {changes} changes of the table"
        print(f"{sanitizer}: {json.dumps(scenario)}: {verdict}", flush=True)
        if done.returncode != 0:
            print(done.stderr[:6000], flush=True)
    return failed


def _tables() -> list[StepTable]:
    """The stand-in's, before them some to adapt with, one with tickets, one with the NPU."""
    shares = {"home": 6, "less-cpu": 3, "less-gpu": 9}
    tables = [
        standin.make_table(name, [standin.Placing(Axis.ROWS, cut)] * 8)
        for name, cut in shares.items()
    ]
    tickets = standin.make_table("tickets", [standin.Placing(Axis.ROWS, 1, 2)] * 8)
    return [*map(standin.timed, [*tables, *standin.tables()]), tickets, standin_npu.npu_table()]


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
