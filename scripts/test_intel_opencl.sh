#!/usr/bin/env bash
# Runs the OpenCL tests on Intel's OpenCL runtime for CPUs, a second implementation beside PoCL.
# Its licence does not let us pass it on: pip fetches it into build/, and nothing is installed.
# Usage: scripts/test_intel_opencl.sh [pytest arguments]
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/build/intel-opencl
if [ ! -e "$folder/vendors/intel.icd" ]; then
  mkdir -p "$folder/wheels" "$folder/vendors"
  .venv/bin/python -m pip download --quiet --dest "$folder/wheels" intel-opencl-rt
  .venv/bin/python -m pip download --quiet --dest "$folder/wheels" --no-deps intel-cmplr-lib-rt
  for wheel in "$folder"/wheels/*.whl; do
    .venv/bin/python -m zipfile -e "$wheel" "$folder/unpacked"
  done
  mkdir -p "$folder/lib"
  cp "$folder"/unpacked/*.data/data/lib/* "$folder/lib/"
  rm -r "$folder/unpacked" "$folder/wheels"
  echo "$folder/lib/libintelocl.so" > "$folder/vendors/intel.icd"
fi
export OCL_ICD_VENDORS=$folder/vendors LD_LIBRARY_PATH=$folder/lib HETCOMP_REQUIRE_OPENCL=1
if [ $# -eq 0 ]; then
  set -- tests/schedules/test_opencl_kernels.py tests/schedules/test_opencl_gpu_class.py \
    tests/schedules/test_half_models.py tests/runtime tests/e2e/test_tier_networks.py
fi
exec .venv/bin/pytest -q "$@"
