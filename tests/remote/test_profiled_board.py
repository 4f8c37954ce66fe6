"""A batch of kernels that is timed on a board while the link drops."""

from __future__ import annotations

from pathlib import Path

import pytest
from board import Board, once_it_serves

from hetcomp.errors import DeviceError, InputError
from hetcomp.machine import Machine
from hetcomp.profile.batch import layers_of
from hetcomp.profile.build import Build, Job, building
from hetcomp.profile.kernels import KernelOptions
from hetcomp.profile.measurer import Measurer
from hetcomp.profile.options import ProfileOptions
from hetcomp.profile.sampler import Sampler
from hetcomp.runtime.elf import read_elf

UD2 = b"\x0f\x0b"


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Build:
    layers = layers_of(Sampler(0).next(6))
    with building(1) as submit:
        built: Build = submit(Job(0, layers, seed=0, exact=False, gpu=False)).result()
        kept = tmp_path_factory.mktemp("batch") / "batch.so"
        kept.write_bytes(built.path.read_bytes())
    return Build(built.job, kept, built.compile_s)


def test_a_visit_is_repeated_when_the_board_is_back(board: Board, batch: Build) -> None:
    with (
        Measurer(None, KernelOptions(reps=30), Machine.parse(board.rpc)) as measurer,
        once_it_serves(board, board.restart, after_s=0.3),
    ):
        visit = measurer.visit(batch)
    assert board.starts == 2
    with Measurer(None, KernelOptions(), Machine()) as measurer:
        here = measurer.visit(batch)
    assert [turns.groups for turns in visit] == [turns.groups for turns in here]
    assert all((turns.times_us > 0.0).any() for turns in visit)


def test_a_kernel_that_crashes_again_and_again(board: Board, batch: Build, tmp_path: Path) -> None:
    """Its file is as it should be; its code is a processor's way to refuse."""
    broken = tmp_path / "broken.so"
    text = read_elf(batch.path).sections[".text"]
    content = bytearray(batch.path.read_bytes())
    refusals = UD2 * (text.size // len(UD2))
    content[text.offset : text.offset + len(refusals)] = refusals
    broken.write_bytes(content)
    with (
        Measurer(None, KernelOptions(), Machine.parse(board.rpc)) as measurer,
        pytest.raises(
            DeviceError, match="the session on the board was ended by Illegal instruction"
        ),
    ):
        measurer.visit(Build(batch.job, broken, 0.0))


def test_an_npu_is_measured_where_it_is() -> None:
    with pytest.raises(InputError, match="leave out rpc"):
        ProfileOptions(rpc="board:9090", npu_driver="reference")
