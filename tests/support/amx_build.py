"""Driver `amx` on tiles that portable C++ models, for machines without AMX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tvm_ffi import libinfo

from hetcomp.codegen.toolchain import Toolchain, find_toolchain, run_tool, runtime_folder
from hetcomp.codegen.toolchain import runtime_objects as whole_runtime

__all__ = ["compile_support", "modelled_runtime", "npu_program"]

_SUPPORT = Path(__file__).resolve().parent


def compile_support(name: str, folder: Path) -> Path:
    """The object of `tests/support/NAME.cc`."""
    output = folder / f"{name}.o"
    includes = [libinfo.find_include_path(), libinfo.find_dlpack_include_path()]
    flags = [flag for path in includes for flag in ("-isystem", path)]
    flags += [
        "-I",
        str(runtime_folder() / "src"),
        "-I",
        str(_SUPPORT),
        "-std=c++17",
        "-O2",
        "-fPIC",
        "-Wall",
    ]
    source = str(_SUPPORT / f"{name}.cc")
    run_tool([*find_toolchain().cxx, *flags, "-c", source, "-o", str(output)])
    return output


def npu_program(objects: Sequence[Path], output: Path) -> Path:
    """A program of `objects`, and what these need of the runtime but `npu_amx`."""
    tools = find_toolchain()
    runtime = output.with_suffix(".a")
    kept = [str(path) for path in whole_runtime() if path.stem != "npu_amx"]
    run_tool(["ar", "rcs", str(runtime), *kept])
    found = f"-Wl,-rpath,{tools.ffi_library_folder}"
    files = [*map(str, objects), str(runtime), str(libinfo.find_libtvm_ffi())]
    run_tool([*tools.cxx, *files, found, "-pthread", "-ldl", "-o", str(output)])
    return output


def modelled_runtime(folder: Path) -> Callable[[Toolchain], list[Path]]:
    """Takes the place of `hetcomp.codegen.link.runtime_objects`: AMX is modelled."""
    modelled = compile_support("modelled_amx", folder)

    def objects(toolchain: Toolchain) -> list[Path]:
        return [modelled if p.stem == "npu_amx" else p for p in whole_runtime(toolchain)]

    return objects
