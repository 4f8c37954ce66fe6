"""`compile --rpc`: plan `auto` is measured on a board, which here is this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from board import Board

import hetcomp
from hetcomp.bench import zoo
from hetcomp.devices import describe_devices, fingerprint
from hetcomp.errors import InputError, LinkError
from hetcomp.options import CompileOptions


@pytest.mark.usefixtures("opencl")
def test_plans_are_timed_there(tmp_path: Path, board: Board) -> None:
    options = CompileOptions(rpc=board.rpc, measure_seconds=0.5, use_cache=False)
    artifact = hetcomp.compile(zoo.build("deepfm"), output=tmp_path / "m.so", options=options)
    with hetcomp.load(artifact.path) as session:
        build = session.image.build
        assert build["device"] == fingerprint(describe_devices(), pinned=True)
        assert {"cpu", "gpu"} <= {candidate["plan"] for candidate in build["candidates"]}
        assert all(candidate["measured_us"] > 0.0 for candidate in build["candidates"])
        feeds = {info.name: np.zeros(info.shape, info.dtype) for info in session.inputs}
        assert all(np.isfinite(value).all() for value in session.run(feeds).values())


def test_no_server_is_a_clear_error(tmp_path: Path) -> None:
    options = CompileOptions(rpc="127.0.0.1:1")
    with pytest.raises(LinkError, match=r"127\.0\.0\.1:1 .*start hetcomp_rpc there"):
        hetcomp.compile(zoo.build("deepfm"), output=tmp_path / "m.so", options=options)
    assert not (tmp_path / "m.so").exists()


def test_form_of_the_option() -> None:
    with pytest.raises(InputError, match="HOST:PORT"):
        CompileOptions(rpc="board")
