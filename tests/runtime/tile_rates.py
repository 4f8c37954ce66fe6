"""How fast driver `amx` is; without AMX, what it takes beside the tiles' instructions.

    python tests/runtime/tile_rates.py [none]

Prints what tests/support/tile_rates.cc says of itself.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from amx_build import compile_support, npu_program

_LIMIT_S = 600.0


def main() -> int:
    """Build the program and run it; its exit status."""
    with tempfile.TemporaryDirectory() as name:
        objects = [compile_support("tile_rates", Path(name))]
        program = npu_program(objects, Path(name) / "tile_rates")
        command = [str(program), *(sys.argv[1:] or ["amx"])]
        return subprocess.run(command, check=False, timeout=_LIMIT_S).returncode


if __name__ == "__main__":
    sys.exit(main())
