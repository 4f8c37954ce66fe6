"""What a model asks of the CPU: cores to run on, and features without which it is not opened."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import standin
from fresh_process import build_application
from tvm_ffi import libinfo

from hetcomp.devices.cpu import cpu_features
from hetcomp.errors import InputError
from hetcomp.runtime import load, read_image

ALLOWED = sorted(os.sched_getaffinity(0))
NOT_HERE = 900
NOTE = r"""
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
static void note(void) {
  cpu_set_t mask;
  FILE* file = fopen("%s", "a");
  sched_getaffinity(0, sizeof(mask), &mask);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) if (CPU_ISSET(cpu, &mask)) fprintf(file, "%%d ", cpu);
  fprintf(file, "\n");
  fclose(file);
}
"""


def masks_of_a_run(
    folder: Path, made_for: Sequence[int], asked_for: Sequence[int] | None, threads: int = 1
) -> tuple[list[int], set[tuple[int, ...]]]:
    """Cores that the session tells of, and those that kernels of an inference might run on."""
    seen = folder / "seen"

    def edit(text: str) -> str:
        return NOTE % seen + text.replace("KERNEL(bias) {", "KERNEL(bias) { note();", 1)

    so = standin.build(folder, edit_c=edit, cores=made_for)
    assert read_image(so).cores == tuple(made_for)
    with load(so, plan="cpu", cores=asked_for, threads=threads) as session:
        seen.unlink(missing_ok=True)
        session.run(standin.feeds(0))
        cores = list(session.status().cores)
    assert sorted(os.sched_getaffinity(0)) == ALLOWED
    return cores, {tuple(map(int, line.split())) for line in seen.read_text().splitlines()}


def test_any_core_by_default(tmp_path: Path) -> None:
    assert masks_of_a_run(tmp_path, (), None) == ([], {tuple(ALLOWED)})


def test_cores_that_it_was_compiled_for(tmp_path: Path) -> None:
    """Those of them that are here."""
    last = ALLOWED[-1]
    assert masks_of_a_run(tmp_path, (NOT_HERE, last), None) == ([last], {(last,)})


def test_cores_that_are_asked_for(tmp_path: Path) -> None:
    first = ALLOWED[0]
    assert masks_of_a_run(tmp_path, (ALLOWED[-1],), [first]) == ([first], {(first,)})
    assert masks_of_a_run(tmp_path, (ALLOWED[-1],), []) == ([], {tuple(ALLOWED)})


def test_no_core_of_them_is_here(tmp_path: Path) -> None:
    assert masks_of_a_run(tmp_path, (NOT_HERE,), None) == ([], {tuple(ALLOWED)})


@pytest.mark.skipif(len(ALLOWED) < 2, reason="needs two CPUs")
def test_one_core_a_thread(tmp_path: Path) -> None:
    """The caller takes the first, workers the next."""
    team = [ALLOWED[-1], ALLOWED[0]]
    cores, masks = masks_of_a_run(tmp_path, team, None, threads=2)
    assert cores == team
    assert masks == {(team[0],), (team[1],)}


def test_more_threads_than_cores(tmp_path: Path) -> None:
    """None of them leaves the cores that were asked for."""
    last = ALLOWED[-1]
    cores, masks = masks_of_a_run(tmp_path, (), [last], threads=3)
    assert (cores, masks) == ([last], {(last,)})


def test_cores_without_pinning(tmp_path: Path) -> None:
    so = standin.build(tmp_path, cores=ALLOWED[:1])
    with pytest.raises(InputError, match='"cores": with "pin" off'):
        load(so, cores=ALLOWED[:1], pin="off")
    with load(so, plan="cpu", pin="off") as session:
        assert list(session.status().cores) == []


@pytest.mark.parametrize("cores", [[-1], [5000], ["a"]])
def test_cores_that_cannot_be(tmp_path: Path, cores: list[int]) -> None:
    with pytest.raises(InputError, match='option "cores"'):
        load(standin.build(tmp_path), cores=cores)


def test_features_that_the_cpu_has(tmp_path: Path) -> None:
    known = {"fma", "f16c", "avx2", "avx512f", "avx512_vnni", "asimd", "asimddp"}
    here = sorted(known & cpu_features())
    assert here
    with load(standin.build(tmp_path, needs=here), plan="cpu") as session:
        session.run(standin.feeds(0))


def test_features_that_the_cpu_lacks(tmp_path: Path) -> None:
    known = {"avx_vnni", "avx512_fp16", "i8mm", "cssc", "mops"}
    of_this_kind = {"avx_vnni", "avx512_fp16"} if "fma" in cpu_features() else known - {"avx_vnni"}
    lacking = sorted(of_this_kind - cpu_features())
    if not lacking:
        pytest.skip("this CPU has all that kernels use")
    with pytest.raises(InputError, match=f"this one lacks {', '.join(lacking)}"):
        load(standin.build(tmp_path, needs=lacking))


def test_an_older_cpu_refuses_the_model(tmp_path: Path) -> None:
    """Code for this machine's CPU, on one that came before AVX."""
    emulator = "qemu-x86_64-static"
    needs = sorted({"avx2", "fma"} & cpu_features())
    if shutil.which(emulator) is None or not needs:
        pytest.skip(f"needs {emulator} and a CPU with AVX2")
    program = build_application(tmp_path, "open.c")
    so = standin.build(tmp_path, needs=needs)
    command = [emulator, "-E", f"LD_LIBRARY_PATH={Path(libinfo.find_libtvm_ffi()).parent}"]
    for cpu, status in (("Haswell", 0), ("Nehalem", 1)):
        done = subprocess.run(
            [*command, "-cpu", cpu, str(program), str(so)],
            capture_output=True,
            text=True,
            timeout=60.0,
            env={**os.environ, "HETCOMP_DEVICE": "off"},
        )
        assert (cpu, done.returncode) == (cpu, status), done.stderr
    assert "this one lacks avx2, fma" in done.stderr
