"""`compile --rpc`: plan `auto` is measured on another machine, which here is this one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hetcomp
from hetcomp.bench import zoo
from hetcomp.errors import InputError
from hetcomp.options import CompileOptions


@pytest.mark.usefixtures("opencl")
def test_plans_are_timed_there(tmp_path: Path, rpc_server: int) -> None:
    options = CompileOptions(rpc=f"127.0.0.1:{rpc_server}", measure_seconds=0.5)
    artifact = hetcomp.compile(zoo.build("deepfm"), output=tmp_path / "m.so", options=options)
    with hetcomp.load(artifact.path) as session:
        build = session.image.build
        assert build["device"].startswith(f"rpc 127.0.0.1:{rpc_server} ")
        assert {"cpu", "gpu"} <= {candidate["plan"] for candidate in build["candidates"]}
        assert all(candidate["measured_us"] > 0.0 for candidate in build["candidates"])
        feeds = {info.name: np.zeros(info.shape, info.dtype) for info in session.inputs}
        assert all(np.isfinite(value).all() for value in session.run(feeds).values())


def test_no_server_is_a_clear_error(tmp_path: Path) -> None:
    options = CompileOptions(rpc="127.0.0.1:1")
    with pytest.raises(InputError, match=r"measuring on 127\.0\.0\.1:1 failed: .*rpc_server"):
        hetcomp.compile(zoo.build("deepfm"), output=tmp_path / "m.so", options=options)
    assert not (tmp_path / "m.so").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rpc": "board"}, "HOST:PORT"),
        ({"rpc": "board:1", "plan": "cpu"}, "plan auto"),
        ({"rpc": "board:1", "profile": "p.json"}, "this machine's"),
    ],
)
def test_what_does_not_go_together(options: dict[str, str], match: str) -> None:
    with pytest.raises(InputError, match=match):
        CompileOptions(**options)  # type: ignore[arg-type]
