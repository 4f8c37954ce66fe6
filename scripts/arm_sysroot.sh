#!/usr/bin/env bash
# An arm64 system's libraries with the OpenCL driver PoCL, for programs that run under
# qemu-aarch64-static: scripts/arm_sysroot.sh [DIR [PACKAGE...]]. Prints DIR, which is kept: a second
# call finds it. Packages that are named come instead of PoCL's.
#
# Packages come from where this Debian machine gets its own, by an apt whose whole state is private:
# no root, no foreign architecture for the machine itself, no chroot.
set -euo pipefail

DIR=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/hetcomp/arm64-sysroot}
PACKAGES=("${@:2}")
[ ${#PACKAGES[@]} != 0 ] || PACKAGES=(pocl-opencl-icd ocl-icd-libopencl1 libstdc++6 libc6)
ATTEMPT_S=240

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

[ ! -e "$DIR/complete" ] || { printf '%s\n' "$DIR"; exit 0; }
command -v apt-get >/dev/null || fail "no apt-get: an arm64 sysroot comes from Debian's packages"
mkdir -p "$(dirname "$DIR")"
work=$(mktemp -d "$DIR.XXXXXX")
trap 'rm -rf "$work"' EXIT
apt=$work/apt
root=$work/root
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
: >"$apt/status"
options=(
  -qq
  -o APT::Architecture=arm64 -o APT::Architectures=arm64
  -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache"
  -o APT::Install-Recommends=false -o APT::Sandbox::User= -o Debug::NoLocking=1
  -o Acquire::Languages=none -o Acquire::http::Timeout=30 -o Acquire::Retries=2
)
timeout $ATTEMPT_S apt-get "${options[@]}" update >&2 || fail "apt-get cannot fetch arm64's package lists"
timeout $ATTEMPT_S apt-get "${options[@]}" -y --download-only install "${PACKAGES[@]}" >&2 ||
  fail "apt-get cannot fetch ${PACKAGES[*]} for arm64"
mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/sbin"
for folder in bin lib sbin; do ln -s "usr/$folder" "$root/$folder"; done
for package in "$apt"/cache/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink
done
# PoCL links its kernels by calling `<triple>-ld`: the host's cross linker, which must not load the
# sysroot's libraries itself.
mkdir "$root/host-bin"
cat >"$root/host-bin/aarch64-unknown-linux-gnu-ld" <<'SH'
#!/bin/sh
unset LD_LIBRARY_PATH
for gcc in /usr/lib/gcc-cross/aarch64-linux-gnu/*; do :; done
exec aarch64-linux-gnu-ld "-L$gcc" -L/usr/aarch64-linux-gnu/lib "$@"
SH
chmod +x "$root/host-bin/aarch64-unknown-linux-gnu-ld"
touch "$root/complete"
mv -T "$root" "$DIR" 2>/dev/null || [ -e "$DIR/complete" ] || fail "cannot move the sysroot to $DIR"
printf '%s\n' "$DIR"
