"""The C example, built here for an ARM machine, prints there what it prints here. It needs model.so
and the part of libtvm_ffi that `hetcomp deploy` makes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from arm_machine import EMULATOR, LIBRARIES, TRIPLE, needs_everything, require_arm

from hetcomp.codegen.ffi_library import small_ffi_library
from hetcomp.codegen.toolchain import find_toolchain

EXAMPLE = Path(__file__).parents[2] / "examples" / "03_c_api"


def printed(folder: Path, *variables: str) -> list[str]:
    """What `make` prints."""
    command = ["make", "-s", "-C", str(EXAMPLE), f"PYTHON={sys.executable}", f"BUILD={folder}"]
    done = subprocess.run([*command, *variables], capture_output=True, text=True, timeout=300.0)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_everything
def test_c_example(tmp_path: Path) -> None:
    require_arm()
    there = printed(
        tmp_path,
        f"TARGET={TRIPLE},gpu=cpu",
        f"CC={TRIPLE}-gcc",
        f"RUN={EMULATOR} -L {LIBRARIES} -E HETCOMP_DEVICE=off",
        f"FFI={small_ffi_library(find_toolchain(TRIPLE)).parent}",
    )
    (shown,) = re.findall(r"```\n(input x.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    *names, values = shown.splitlines()
    assert there[-len(names) - 1 : -1] == names
    numbers = [[float(text) for text in line.split()[2:]] for line in (there[-1], values)]
    np.testing.assert_allclose(*numbers, atol=2e-5)  # five digits are printed
