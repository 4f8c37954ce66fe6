#!/usr/bin/env bash
# Strikes every OpenCL call of a small run in every way, with one launch for all steps, one a step,
# and on every tier: some 10,000 runs of a few tenths of a second. Arguments go to the campaign.
set -eu
cd "$(dirname "$0")/.."
export PYTHONPATH=$PWD:$PWD/tests/runtime OPENBLAS_NUM_THREADS=1
campaign=tests/runtime/fault_campaign.py
for how in "--chain auto" "--chain off" "--tier svm" "--tier event" "--tier finish"; do
  echo "# $how"
  # shellcheck disable=SC2086
  .venv/bin/python $campaign $how "$@"
done
