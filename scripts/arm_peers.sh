#!/usr/bin/env bash
# ONNX Runtime for arm64 with a Python that runs it under the emulator: scripts/arm_peers.sh [DIR].
# Prints DIR, which is kept: a second call finds it. `DIR/root` is the system, `DIR/site` its
# packages, of the versions that this machine's .venv has.
set -euo pipefail

DIR=$(realpath -m "${1:-${XDG_CACHE_HOME:-$HOME/.cache}/hetcomp/arm64-peers}")
cd "$(dirname "$0")/.."

version() { .venv/bin/python -c "import importlib.metadata as m; print(m.version('$1'))"; }
WANTED=("onnxruntime==$(version onnxruntime)" "numpy==$(version numpy)")
PACKAGES=(python3.11-minimal libpython3.11-stdlib libstdc++6 libc6)
PLATFORMS=(--platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64)

if [ "$(cat "$DIR/complete" 2>/dev/null)" = "${WANTED[*]}" ]; then
  printf '%s\n' "$DIR"
  exit 0
fi
rm -rf "$DIR/wheels" "$DIR/site"
mkdir -p "$DIR/wheels" "$DIR/site"
scripts/arm_sysroot.sh "$DIR/root" "${PACKAGES[@]}" >&2
timeout 300 .venv/bin/python -m pip --disable-pip-version-check download -qq "${PLATFORMS[@]}" \
  --python-version 311 --only-binary=:all: --no-deps --dest "$DIR/wheels" \
  "${WANTED[@]}" >&2
for wheel in "$DIR"/wheels/*.whl; do
  .venv/bin/python -m zipfile -e "$wheel" "$DIR/site"
done
# ONNX Runtime reads the features of its CPU here; the emulator would show the host's.
mkdir -p "$DIR/root/proc"
for core in 0 1; do
  printf '%s\n' "processor : $core" "BogoMIPS : 48.00" \
    "Features : fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp" \
    "CPU implementer : 0x41" "CPU architecture : 8" "CPU variant : 0x4" "CPU part : 0xd0b" \
    "CPU revision : 1" ""
done >"$DIR/root/proc/cpuinfo"
printf '%s' "${WANTED[*]}" >"$DIR/complete"
printf '%s\n' "$DIR"
