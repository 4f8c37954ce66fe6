"""A board is profiled from here, whole, and what was learnt of it steers a compilation for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from board import Board, once_it_serves
from opencl_device import NEEDS_OPENCL

import hetcomp
from hetcomp.bench import zoo
from hetcomp.cost.profile_file import load_profile
from hetcomp.devices import describe_board, fingerprint
from hetcomp.options import CompileOptions
from hetcomp.profile.options import ProfileOptions
from hetcomp.profile.run import profile_device
from hetcomp.remote import Remote
from hetcomp.runtime import read_image


@pytest.mark.skipif(not os.environ.get("HETCOMP_TEST_ARM"), reason="slow: make test-arm")
@NEEDS_OPENCL
def test_a_profile_is_made_and_used_though_the_board_goes_away(
    board: Board, tmp_path: Path
) -> None:
    path, heard = tmp_path / "board.json", list[str]()
    options = ProfileOptions(quick=True, workers=1, budget_s=1.0, rpc=board.rpc)
    with once_it_serves(board, board.restart):
        made = profile_device(path, options, lambda text, _part: heard.append(text))
    assert board.starts == 2
    assert any(text.startswith(f"waiting for {board.rpc}") for text in heard)
    assert made.samples
    assert made.models
    pinned = made.limits["start-up.pinned"] == 1.0
    known = fingerprint(describe_board(Remote.parse(board.rpc)), pinned=pinned)
    assert load_profile(path, device=known) == made
    compiled = hetcomp.compile(
        zoo.build("deepfm"),
        output=tmp_path / "m.so",
        options=CompileOptions(
            profile=str(path), rpc=board.rpc, pin="on" if pinned else "off", measure_seconds=0.5
        ),
    )
    image = read_image(compiled.path)
    assert "by profile" in {one["plan"] for one in image.build["candidates"]}
    assert all(one["predicted_us"] > 0.0 for one in image.build["candidates"])
