"""Android as far as it can be tested without an NDK and a phone: a stand-in's flags, and the JNI
bridge of the sample under a desktop's Java."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import standin
import tvm
from click.testing import CliRunner
from tvm_ffi import libinfo

from hetcomp.cli import main
from hetcomp.codegen.deploy import deploy_model
from hetcomp.codegen.ffi_library import small_ffi_library
from hetcomp.codegen.ndk import ANDROID_LINK_FLAGS, LEAST_API, ndk_compiler
from hetcomp.codegen.target_library import LIBRARIES
from hetcomp.codegen.toolchain import find_toolchain, runtime_objects, server_objects
from hetcomp.errors import ToolchainError

TRIPLE = "aarch64-linux-android"
RUNTIME = LIBRARIES[1]
SAMPLE = Path(__file__).parents[2] / "examples" / "09_android" / "app" / "src" / "main"
_JAVA = """
package dev.hetcomp.sample;

import java.io.FileOutputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

class Library {
    static { System.loadLibrary("sample"); }
    native long open(String options);
    native ByteBuffer input(long handle, int index);
    native ByteBuffer output(long handle, int index);
    native void run(long handle);
    native String status(long handle);
    native void close(long handle);

    public static void main(String[] files) throws Exception {
        Library library = new Library();
        try {
            library.open("{\\"plan\\": \\"nobody's\\"}");
        } catch (IllegalStateException error) {
            System.out.println(error.getMessage());
        }
        long model = library.open("{\\"plan\\": \\"cpu\\"}");
        library.input(model, 0).put(Files.readAllBytes(Path.of(files[0])));
        library.input(model, 1).put(Files.readAllBytes(Path.of(files[1])));
        library.run(model);
        try (FileOutputStream stream = new FileOutputStream(files[2])) {
            stream.getChannel().write(library.output(model, 0));
        }
        System.out.println(library.status(model));
        library.close(model);
    }
}
"""


def make_ndk(folder: Path, *levels: int) -> Path:
    """A folder laid out like the NDK, whose programs are the host's. The compilers find other
    programs in PATH, as clang does; llvm-strip, the only strip there, leaves a mark."""
    programs = folder / "toolchains" / "llvm" / "prebuilt" / "linux-x86_64" / "bin"
    programs.mkdir(parents=True)
    for level in levels:
        write_program(
            programs / f"{TRIPLE}{level}-clang++",
            'case "$1" in -print-prog-name=*) command -v "${1#*=}"; exit 0;; esac\n'
            f'exec {find_toolchain().cxx[0]} "$@"',
        )
    write_program(programs / "llvm-strip", 'touch "$0.ran"\nexec strip "$@"')
    return folder


def write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_oldest_compiler_that_serves(tmp_path: Path) -> None:
    ndk = make_ndk(tmp_path, 21, 26, 30, 35)
    assert ndk_compiler(TRIPLE, str(ndk), {}).endswith(f"/linux-x86_64/bin/{TRIPLE}30-clang++")
    by_variable = ndk_compiler(TRIPLE, "", {"ANDROID_NDK_HOME": str(ndk)})
    assert by_variable == ndk_compiler(TRIPLE, str(ndk), {})


def test_no_ndk(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="give its folder by --ndk or in "):
        ndk_compiler(TRIPLE, "", {})
    with pytest.raises(ToolchainError, match=f"is no NDK: .*{TRIPLE}{LEAST_API}-clang"):
        ndk_compiler(TRIPLE, str(tmp_path), {})
    with pytest.raises(ToolchainError, match="API 27 at most, expected 28 or more"):
        ndk_compiler(TRIPLE, str(make_ndk(tmp_path / "old", 21, 27)), {})


def test_what_a_model_for_android_says_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own name, segments of 16 KiB, and none of the C++ libraries, which phones lack."""
    host = runtime_objects()
    monkeypatch.setattr("hetcomp.codegen.link.runtime_objects", lambda _tools: host)
    tools = find_toolchain(TRIPLE, str(make_ndk(tmp_path, LEAST_API)))
    assert tools.is_android
    tools = replace(tools, ffi_library_folder=Path(libinfo.find_libtvm_ffi()).parent)
    model = standin.build(tmp_path, "libmodel.so", toolchain=tools)
    said = dynamic_section(model)
    assert "soname: [libmodel.so]" in said
    assert "NEEDED" in said
    assert "libstdc++" not in said
    assert page_sizes(model) == {"0x4000"}


def dynamic_section(file: Path) -> str:
    command = ["readelf", "-dW", file]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120.0).stdout


def page_sizes(file: Path) -> set[str]:
    """What its segments are aligned to."""
    command = ["readelf", "-lW", file]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120.0).stdout
    return {line.split()[-1] for line in text.splitlines() if line.split()[:1] == ["LOAD"]}


def test_server_for_android(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is linked as models are."""
    host = server_objects(find_toolchain())
    monkeypatch.setattr("hetcomp.codegen.rpc_server.server_objects", lambda _tools: host)
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for library in (Path(libinfo.find_libtvm_ffi()), Path(tvm.__file__).parent / "lib" / RUNTIME):
        (libraries / library.name).symlink_to(library)
    command = ["rpc-server", "--target", TRIPLE, "--ndk", make_ndk(tmp_path / "ndk", LEAST_API)]
    command += ["--libraries", libraries, "-o", tmp_path / "board"]
    result = CliRunner().invoke(main, list(map(str, command)))
    assert result.exit_code == 0, result.output
    program = tmp_path / "board" / "hetcomp_rpc"
    assert page_sizes(program) == {"0x4000"}
    assert RUNTIME in dynamic_section(program)
    assert "libstdc++" not in dynamic_section(program)


def test_small_library_is_kept_by_how_it_was_linked() -> None:
    """Else one made before the flags changed would go on to phones that cannot load it."""
    host = find_toolchain()
    assert page_sizes(small_ffi_library(host)) != {"0x4000"}
    android = small_ffi_library(replace(host, link_flags=ANDROID_LINK_FLAGS))
    assert page_sizes(android) == {"0x4000"}
    assert "libstdc++" not in dynamic_section(android)


def test_deploy_takes_the_ndks_strip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the host's, which binutils builds for the host's files alone."""
    model, ndk = standin.build(tmp_path), make_ndk(tmp_path / "ndk", LEAST_API)
    ffi = Path(libinfo.find_libtvm_ffi())
    monkeypatch.setattr("hetcomp.codegen.deploy._triple", lambda _model: TRIPLE)
    monkeypatch.setattr("hetcomp.codegen.deploy.small_ffi_library", lambda _tools: ffi)
    deployed, library = deploy_model(model, tmp_path / "phone", ndk=str(ndk)).files
    assert len(list(ndk.rglob("llvm-strip.ran"))) == 1
    assert (deployed.stat().st_size < model.stat().st_size, library.name) == (True, ffi.name)


def test_bridge_under_a_desktops_java(tmp_path: Path) -> None:
    """model_jni.cc, built by its own CMakeLists.txt, as object Library sees it."""
    missing = [tool for tool in ("javac", "java", "cmake") if shutil.which(tool) is None]
    home = Path(str(shutil.which("javac"))).resolve().parents[1]
    if missing or not (home / "include" / "jni.h").is_file():
        pytest.skip(f"no Java to load it: {', '.join(missing) or 'jni.h is missing'}")
    libraries = tmp_path / "jniLibs"
    libraries.mkdir()
    standin.build(libraries, "libmodel.so")
    (libraries / "libtvm_ffi.so").symlink_to(libinfo.find_libtvm_ffi())
    env = {**os.environ, "JAVA_HOME": str(home), "LD_LIBRARY_PATH": str(libraries)}

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120.0, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    build = tmp_path / "build"
    run("cmake", "-S", SAMPLE / "cpp", "-B", build, f"-DMODEL_LIBRARIES={libraries}")
    run("cmake", "--build", build)
    source = tmp_path / "Library.java"
    source.write_text(_JAVA)
    run("javac", "-d", build, source)
    feeds, output = standin.feeds(3), tmp_path / "out"
    for name, array in feeds.items():
        (tmp_path / name).write_bytes(array.tobytes())
    java = ["java", f"-Djava.library.path={build}", "-cp", build, "dev.hetcomp.sample.Library"]
    refusal, status = run(*java, tmp_path / "x", tmp_path / "y", output).splitlines()
    assert "nobody's" in refusal
    assert '"plan":"cpu"' in status
    expected = standin.reference(feeds["x"], feeds["y"])["out"]
    result = np.frombuffer(output.read_bytes(), expected.dtype).reshape(expected.shape)
    np.testing.assert_array_equal(result, expected)
