#!/usr/bin/env bash
# mypy over the package as it is installed: passes/ and schedules/ are hetcomp.passes and
# hetcomp.schedules, which mypy only sees in a folder of links laid out like the wheel.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
links=$root/build/typecheck/hetcomp
rm -rf "$links"
mkdir -p "$links"
ln -s "$root"/hetcomp/* "$root/passes" "$root/schedules" "$links/"
cd "$links/.."
exec "$root/.venv/bin/mypy" --config-file "$root/pyproject.toml" \
  --cache-dir "$root/.mypy_cache" "$@"
