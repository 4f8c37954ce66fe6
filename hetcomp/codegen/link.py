"""Links kernels, runtime and image into one model.so, or into a program."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hetcomp.codegen.ffi_library import ffi_objects, small_ffi_library
from hetcomp.codegen.toolchain import (
    Toolchain,
    find_toolchain,
    program_objects,
    run_tool,
    runtime_objects,
)
from hetcomp.errors import InternalError
from hetcomp.files import atomic_path
from hetcomp.runtime.elf import read_elf
from hetcomp.runtime.image_header import (
    HEADER_BYTES,
    PAGE_BYTES,
    SECTION,
    code_checksum,
    image_section,
    read_header,
)

__all__ = ["EXPORTED_SYMBOLS", "link_model", "seal"]

# All that a model.so shows to the outside: the tvm_ffi door and the C door.
EXPORTED_SYMBOLS = (
    "__tvm_ffi_hetcomp_open",
    "hetcomp_abi_version",
    "hetcomp_last_error",
    "hetcomp_model_buffer",
    "hetcomp_model_close",
    "hetcomp_model_input_count",
    "hetcomp_model_input_info",
    "hetcomp_model_open",
    "hetcomp_model_output_count",
    "hetcomp_model_output_info",
    "hetcomp_model_run",
    "hetcomp_model_stats_json",
    "hetcomp_model_status_json",
    "hetcomp_model_trace_json",
    "hetcomp_model_submit",
    "hetcomp_model_use_plan",
    "hetcomp_request_cancel",
    "hetcomp_request_free",
    "hetcomp_request_wait",
    "hetcomp_status_name",
)

_RESULT, _PARAMETERS = "int", "(void*, const void*, int, void*)"
"""Of a kernel's function."""

_STATIC_ONLY = "no_libraries"
"""The object that takes dlopen's place."""
_FLAGS = (
    "-pthread",
    "-Wl,-z,noexecstack",
    "-Wl,--as-needed",
    "-Wl,--gc-sections",
    "-Wl,--strip-debug",  # the kernels'; names of functions stay, for profilers
)
_FORM_FLAGS = {
    "library": (
        "-shared",
        "-Wl,-Bsymbolic",  # several model.so in one process must not see each other's symbols
        "-Wl,-z,nodelete",  # its threads and its modules' code outlive any dlclose
    ),
    "program": ("-static-libstdc++", "-static-libgcc"),
    "static": ("-static",),
}


def link_model(
    kernel_objects: Sequence[Path],
    kernels: Mapping[str, Sequence[str]],
    image: Path,
    output: Path,
    *,
    versions: int = 1,
    toolchain: Toolchain | None = None,
    form: str = "library",
) -> None:
    """Link one model; it appears under its name whole or not at all.

    Parameters
    ----------
    kernel_objects
        Objects that define `__tvm_ffi_<symbol>` for every version of every kernel.
    kernels
        By the task graph's symbol, the symbols of its versions, in the image's order.
    image
        File written by `hetcomp.codegen.image.write_image`.
    output
        The file to write; an existing one is replaced.
    versions
        How many versions each kernel has, and the image names.
    toolchain
        None takes the host's.
    form
        One of `hetcomp.options.FORMS`.

    Raises
    ------
    ToolchainError
        Compiler or linker are missing or fail, for instance because a kernel is not defined.
    OSError
        The output's folder cannot be written.
    """
    tools = toolchain or find_toolchain()
    runtime = runtime_objects(tools)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".hetcomp-link-") as name:
        folder = Path(name)
        generated = [
            _compile(tools, folder / "kernels.cc", _kernel_table(kernels, versions)),
            _compile(tools, folder / "image.s", _image_assembly(image.absolute())),
        ]
        with atomic_path(output) as temporary:
            command = [*tools.cxx, *_FLAGS, *_FORM_FLAGS[form], *tools.link_flags]
            command += [str(path) for path in (*kernel_objects, *generated, *runtime)]
            library = form == "library"
            command += _library(tools, folder, output) if library else _program(tools, form)
            run_tool([*command, "-ldl", "-lm", "-o", str(temporary)])
            seal(temporary)
        if form != "library":
            output.chmod(output.stat().st_mode | _execute_bits(output))


def _library(tools: Toolchain, folder: Path, output: Path) -> list[str]:
    """What a model.so shows, and libtvm_ffi.so, which it needs."""
    exports = folder / "exports.map"
    names = " ".join(f"{symbol};" for symbol in EXPORTED_SYMBOLS)
    exports.write_text(f"{{ global: {names} local: *; }};\n")
    # Elsewhere files may be renamed: what is linked with them remembers the file's name.
    name = [f"-Wl,-soname,{output.name}"] if tools.is_android else []
    return [f"-Wl,--version-script={exports}", *name, *_library_flags(tools, folder)]


def _program(tools: Toolchain, form: str) -> list[str]:
    """The command line, and tvm_ffi."""
    own = [path for path in program_objects(tools) if form == "static" or path.stem != _STATIC_ONLY]
    return [str(path) for path in (*own, *ffi_objects(tools))]


def _execute_bits(path: Path) -> int:
    """Whoever may read a program may run it."""
    return (path.stat().st_mode & 0o444) >> 2


def seal(model: Path) -> None:
    """Put the checksum of all but the image into the image's header."""
    section = image_section(model, read_elf(model))
    with model.open("r+b") as stream:
        stream.seek(section.offset)
        header = read_header(model, stream.read(HEADER_BYTES), section.size)
        stream.seek(section.offset)
        stream.write(replace(header, code_crc=code_checksum(model)).pack())


def _compile(tools: Toolchain, source: Path, text: str) -> Path:
    source.write_text(text)
    target = source.with_suffix(".o")
    run_tool([*tools.cxx, "-fPIC", "-c", str(source), "-o", str(target)])
    return target


def _kernel_table(kernels: Mapping[str, Sequence[str]], versions: int) -> str:
    """C++ text of the table that `runtime_patches/src/model/kernels.h` declares."""
    if any(len(symbols) != versions for symbols in kernels.values()):
        raise InternalError(f"kernels of other numbers of versions than {versions}")
    names = dict.fromkeys(symbol for symbols in kernels.values() for symbol in symbols)
    declarations = "".join(f"{_RESULT} __tvm_ffi_{name}{_PARAMETERS};\n" for name in names)
    columns, rows = "", ""
    for index, (kernel, symbols) in enumerate(kernels.items()):
        functions = ", ".join(f"__tvm_ffi_{symbol}" for symbol in symbols)
        columns += f"const HetcompFunction versions_{index}[] = {{{functions}}};\n"
        rows += f'  {{"{kernel}", versions_{index}}},\n'
    return f"""\
extern "C" {{
{declarations}
typedef {_RESULT} (*HetcompFunction){_PARAMETERS};
struct HetcompKernel {{
  const char* name;
  const HetcompFunction* versions;
}};
extern const struct HetcompKernel hetcomp_kernels[];
extern const int hetcomp_kernel_count, hetcomp_version_count;
{columns}
const struct HetcompKernel hetcomp_kernels[] = {{
{rows}  {{nullptr, nullptr}}
}};
const int hetcomp_kernel_count = {len(kernels)};
const int hetcomp_version_count = {versions};
}}
"""


def _image_assembly(image: Path) -> str:
    quoted = str(image).replace("\\", "\\\\").replace('"', '\\"')
    return f"""\
.section {SECTION},"a",%progbits
.balign {PAGE_BYTES}
.global hetcomp_image_begin
.hidden hetcomp_image_begin
hetcomp_image_begin:
.incbin "{quoted}"
.global hetcomp_image_end
.hidden hetcomp_image_end
hetcomp_image_end:
.section .note.GNU-stack,"",%progbits
"""


def _library_flags(tools: Toolchain, folder: Path) -> list[str]:
    found = tools.ffi_library_folder
    if found is None and tools.is_android:  # nobody publishes it
        found = small_ffi_library(tools).parent
    if found is not None:
        return ["-Wl,--no-undefined", f"-L{found}", "-ltvm_ffi"]
    # Without the target's library: a stub of the same name, so that the loader looks for it.
    stub = folder / "libtvm_ffi.so"
    source = folder / "stub.cc"
    source.write_text("\n")
    name = "-Wl,-soname,libtvm_ffi.so"
    run_tool([*tools.cxx, "-shared", "-fPIC", name, str(source), "-o", str(stub)])
    return [f"-L{folder}", "-Wl,--no-as-needed", "-ltvm_ffi", "-Wl,--as-needed"]
