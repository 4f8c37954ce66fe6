"""The command line of `hetcomp_rpc`, on boards that lack what others have."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from board import Board

from hetcomp.remote import Remote, ask_status

NOWHERE = ("env", "TMPDIR=/nowhere")


def test_no_folder_for_temporary_files(rpc_program: Path, tmp_path: Path) -> None:
    """Android has none: there it takes `--folder`."""
    with Board(rpc_program, tmp_path, emulator=NOWHERE) as board:
        assert not ask_status(Remote.parse(board.rpc)).serves
    done = subprocess.run(
        [*NOWHERE, rpc_program, "--port", "0"], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 2
    assert "--folder is missing, and TMPDIR: " in done.stderr


@pytest.mark.parametrize("host", ["[::1]", "::1"])
def test_a_tracker_with_colons(rpc_program: Path, tmp_path: Path, host: str) -> None:
    options = ("--tracker", f"{host}:1", "--key", "phone")
    with Board(rpc_program, tmp_path, options) as board:
        ask_status(Remote.parse(board.rpc))
    # Nobody listens there, or there is no IPv6; but it is no name that is looked for.
    assert "tracker ::1:1: ::1:1: " in board.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--port", "x"], "no number from 0 to 65535"),
        (["--port"], "its value is missing"),
        (["--tracker", "a:1"], "belong together"),
        (["--nonsense", "1"], "unknown"),
    ],
)
def test_wrong_usage(rpc_program: Path, arguments: list[str], text: str) -> None:
    done = subprocess.run(
        [rpc_program, *arguments], capture_output=True, text=True, timeout=20, env=os.environ
    )
    assert done.returncode == 2
    assert text in done.stderr
