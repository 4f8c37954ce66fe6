#!/usr/bin/env bash
# Compiles the runtime, the program around models and tvm_ffi against Android's own C library, as far
# as objects: what Android API 28 lacks is an error, as its headers say since when functions exist.
#
#   scripts/check_bionic.sh BIONIC LIBCXX
#
# BIONIC  checkout of Android's platform/bionic
# LIBCXX  folder of libc++'s headers, such as /usr/lib/llvm-15/include/c++/v1 (libc++-15-dev)
set -eu
[ $# = 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
bionic=$1 libcxx=$2
cd "$(dirname "$0")/.."
ffi=$(.venv/bin/python -c 'from tvm_ffi import libinfo; print(libinfo.find_include_path())')
cxx=${CLANGXX:-clang++-15}

check() {
  "$cxx" --target=aarch64-linux-android28 -std=c++17 -fsyntax-only -Wall -nostdlibinc -nostdinc++ \
    -isystem "$libcxx" -isystem "$bionic/libc/include" -isystem "$bionic/libc/kernel/uapi" \
    -isystem "$bionic/libc/kernel/uapi/asm-arm64" -isystem "$bionic/libc/kernel/android/uapi" \
    -I runtime_patches/include -I runtime_patches/src -isystem "$ffi" "$@"
}

failed=0
for source in runtime_patches/src/*/*.cc runtime_patches/program/*.cc; do
  check "$source" || { echo "failed: $source"; failed=1; }
done
for part in $(.venv/bin/python -c \
  'from hetcomp.codegen.ffi_library import PARTS; print(*PARTS)'); do
  check -DTVM_FFI_EXPORTS -DTVM_FFI_USE_LIBBACKTRACE=0 "$ffi/../src/ffi/$part.cc" ||
    { echo "failed: tvm_ffi's $part"; failed=1; }
done
[ $failed = 0 ] && echo "all compile for Android API 28"
exit $failed
