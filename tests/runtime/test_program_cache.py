"""Binaries of OpenCL programs are found again; what is wrong with the files costs time only."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import fresh_process
import pytest
from fresh_process import Script

# Opens the model again and again, from a copy each time, which has a runtime of its own, and notes
# how the program was found. `before[i]` is run before the i-th time.
_OPEN = """
import os, shutil, tempfile
from pathlib import Path
import numpy as np, standin
from hetcomp.runtime import load
folder = Path({folder!r})
files = lambda: sorted(folder.glob("*.clbin*"))
feeds = standin.feeds(1)
expected = standin.reference(feeds["x"], feeds["y"])
answer = dict(found=[], tiers=[], right=True)
with tempfile.TemporaryDirectory() as copies:
    steps = {before!r}
    paths = [shutil.copy({path!r}, Path(copies, f"{{i}}.so")) for i in range(len(steps))]
    for path, before in zip(paths, steps):
        exec(before)
        with load(path, plan="mixed", {options}) as session:
            results = session.run(feeds)
            answer["right"] &= all(np.array_equal(results[k], v) for k, v in expected.items())
            status = session.status()
            answer["tiers"].append((status.tier, status.why_no_gpu, status.refused_tiers))
            answer["found"].append(status.program_cache)
answer["modes"] = [file.stat().st_mode & 0o777 for file in files()]
answer["sizes"] = [file.stat().st_size for file in files()]
"""

Openings = Callable[..., dict]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def openings(script: Script, model: Path, opencl: str, folder: Path) -> Openings:
    """Opens the model in one new process, which must give right results in silence."""

    def run(before: list[str], options: str = "cache=folder", **env: str) -> dict:
        text = _OPEN.format(path=str(model), folder=str(folder), options=options, before=before)
        answer, stderr = script(text, **env)
        assert answer["right"]
        assert all(tier == "svm-ahead" for tier, *_ in answer["tiers"]), answer["tiers"]
        assert stderr == ""
        return answer

    return run


def test_the_next_process_finds_it(openings: Openings, folder: Path, tmp_path: Path) -> None:
    # PoCL gets a new folder for what it keeps itself each time.
    answers = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        answers.append(openings([""], POCL_CACHE_DIR=str(tmp_path / name)))
    assert [answer["found"] for answer in answers] == [["miss"], ["hit"]]
    assert answers[1]["modes"] == [0o600]


def test_damaged_files_are_replaced(openings: Openings) -> None:
    flip = "data = bytearray(files()[0].read_bytes()); data[{}] ^= 1; files()[0].write_bytes(data)"
    cut = "files()[0].write_bytes(files()[0].read_bytes()[:{}])"
    damages = [cut.format(0), cut.format(30), cut.format(-1), flip.format(20), flip.format(100)]
    damages += [flip.format(50), "files()[0].write_bytes(b'something else' * 1000)"]
    damages += ["files()[0].chmod(0o666)"]
    # Intact by its checksum, but no program.
    zeros = "(64).to_bytes(8, 'little') + bytes(8) + bytes(64)"
    damages += [f"files()[0].write_bytes(files()[0].read_bytes()[:48] + {zeros})"]
    answer = openings(["", *(step for damage in damages for step in (damage, ""))])
    assert answer["found"] == ["miss"] + ["miss", "hit"] * len(damages)
    assert answer["modes"] == [0o600]
    assert answer["sizes"][0] > 1000


def test_unwritable_folders(openings: Openings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "below", Path("/proc/absent")):
        assert openings([""], f"cache={str(folder)!r}")["found"] == ["miss"]


@pytest.fixture
def full_disk(folder: Path) -> Iterator[None]:
    """A small file system at `folder`; skips where tests may not mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, timeout=120.0).returncode != 0:
        pytest.skip("no right to mount a small file system: a preloaded `write` stands in for it")
    yield
    subprocess.run(["umount", str(folder)], check=True, timeout=120.0)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk(openings: Openings, folder: Path) -> None:
    answer = openings(["", ""])
    assert answer["found"] == ["miss", "miss"]
    assert list(folder.iterdir()) == []


def test_a_disk_that_becomes_full(openings: Openings, folder: Path, tmp_path: Path) -> None:
    source, library = Path(fresh_process.__file__).with_name("full_disk.c"), tmp_path / "full.so"
    flags = ["-std=gnu99", "-Wall", "-Werror", "-shared", "-fPIC"]
    subprocess.run(
        ["cc", *flags, str(source), "-o", str(library), "-ldl"], check=True, timeout=120.0
    )
    answer = openings(["", ""], LD_PRELOAD=str(library))
    assert answer["found"] == ["miss", "miss"]
    assert list(folder.iterdir()) == []


def test_old_files_go(openings: Openings, folder: Path) -> None:
    # 70 MiB each, and one that a killed process has left; 256 MiB may stay.
    old = "; ".join(
        f"f = folder / ('{digit}' * 32 + '.clbin{end}'); f.touch(); os.truncate(f, 70 << 20); "
        f"os.utime(f, (1000 + {digit}, 1000 + {digit}))"
        for digit, end in ((1, ""), (2, ".tmp"), (3, ""), (4, ""), (5, ""))
    )
    answer = openings([f"folder.mkdir(); {old}; (folder / 'note').touch()"])
    assert answer["found"] == ["miss"]
    names = sorted(file.name[:2] for file in folder.iterdir())
    assert "no" in names
    assert not {"11", "22"} & set(names)
    assert {"33", "44", "55"} <= set(names)
    assert len(names) == 5


def test_pocl_keeps_programs_itself(openings: Openings, opencl: str, folder: Path) -> None:
    expected = "off" if opencl.startswith(("pthread", "cpu-")) else "miss"
    assert openings([""], "", HETCOMP_CACHE_DIR=str(folder))["found"] == [expected]
    assert openings([""], "cache='off'", HETCOMP_CACHE_DIR=str(folder))["found"] == ["off"]
