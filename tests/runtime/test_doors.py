"""The three doors of a model.so: hetcomp.runtime without TVM, TVM's loader, plain C."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import standin
import tvm_ffi
from fresh_process import Script, build_application, run_application

from hetcomp.codegen.link import EXPORTED_SYMBOLS
from hetcomp.codegen.toolchain import runtime_folder
from hetcomp.runtime import _ffi_api


def test_runtime_alone_never_imports_tvm(script: Script, model: Path) -> None:
    answer, _ = script(
        f"""
        import sys
        import standin
        for name in [n for n in sys.modules if n.startswith("hetcomp")]:
            del sys.modules[name]
        from hetcomp.runtime import load
        with load({str(model)!r}) as session:
            session.run(standin.feeds(0))
        answer = [name in sys.modules for name in ("tvm", "onnx", "onnxruntime")]
        """
    )
    assert answer == [False, False, False]


def test_every_ffi_name_resolves(model: Path) -> None:
    module = tvm_ffi.load_module(str(model))[_ffi_api.OPEN]('{"plan": "cpu"}')
    for name in _ffi_api.MODULE_FUNCTIONS:
        assert callable(module[name]), name
    with pytest.raises(AttributeError):
        module["no_such_function"]
    source = (runtime_folder() / "src/doors/module.cc").read_text()
    for name in _ffi_api.MODULE_FUNCTIONS:
        assert source.count(f'"{name}"') == 1, name
    source = (runtime_folder() / "src/doors/request_module.cc").read_text()
    for name in _ffi_api.REQUEST_FUNCTIONS:
        assert source.count(f'"{name}"') == 1, name


def test_tvm_door(script: Script, model: Path) -> None:
    pytest.importorskip("tvm")
    answer, _ = script(
        f"""
        import numpy as np, standin, tvm
        module = tvm.runtime.load_module({str(model)!r})["hetcomp_open"]("{{}}")
        feeds = standin.feeds(5)
        tensors = [tvm.runtime.tensor(array) for array in feeds.values()]
        outputs = [tvm.runtime.empty((23, 64)), tvm.runtime.empty((23 * 64,))]
        module["run"](*tensors, *outputs)
        expected = standin.reference(**feeds)
        answer = [bool((outputs[0].numpy() == expected["out"]).all()),
                  bool((outputs[1].numpy() == expected["out2"]).all())]
        """
    )
    assert answer == [True, True]


@pytest.mark.parametrize("options", ['{"plan": "cpu"}', '{"plan": "mixed"}'])
def test_c_door(model: Path, tmp_path: Path, options: str) -> None:
    feeds = standin.feeds(11)
    inputs = b"".join(array.tobytes() for array in feeds.values())
    lines, outputs = run_application(build_application(tmp_path), model, options, inputs)
    assert lines[:2] == ["x float32 2 23", "y float32 2 23"]
    assert json.loads(lines[2])["runs"] == 1
    expected = standin.reference(feeds["x"], feeds["y"])
    got = np.frombuffer(outputs, np.float32)
    np.testing.assert_array_equal(got[:1472], expected["out"].reshape(-1))
    np.testing.assert_array_equal(got[1472:], expected["out2"])


def test_header_is_c99_and_cxx(tmp_path: Path) -> None:
    header = runtime_folder() / "include" / "hetcomp.h"
    for compiler, standard, suffix in (("gcc", "c99", "c"), ("g++", "c++17", "cc")):
        file = tmp_path / f"only.{suffix}"
        file.write_text(f'#include "{header}"\n')
        flags = [f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
        subprocess.run([compiler, *flags, str(file)], check=True, timeout=120.0)


def test_only_the_doors_are_exported(model: Path) -> None:
    table = subprocess.run(
        ["nm", "-D", "--defined-only", str(model)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120.0,
    )
    names = {line.split()[-1] for line in table.stdout.splitlines()}
    assert names == set(EXPORTED_SYMBOLS)


def test_needed_libraries(model: Path) -> None:
    dynamic = subprocess.run(
        ["readelf", "-d", str(model)], capture_output=True, text=True, check=True, timeout=120.0
    ).stdout
    needed = {line.split("[")[1][:-1] for line in dynamic.splitlines() if "(NEEDED)" in line}
    system = {"libstdc++.so.6", "libm.so.6", "libc.so.6", "libdl.so.2", "libpthread.so.0"}
    system |= {"libgcc_s.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
    assert "libtvm_ffi.so" in needed
    assert needed - system == {"libtvm_ffi.so"}
