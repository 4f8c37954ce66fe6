#!/usr/bin/env bash
# The runtime under ThreadSanitizer, AddressSanitizer with LeakSanitizer, and UBSan, over several
# threads and models, on every tier and where the device fails. Arguments: which of the three.
set -eu
cd "$(dirname "$0")/.."
export PYTHONPATH=$PWD:$PWD/tests/runtime
exec .venv/bin/python tests/runtime/sanitized.py "$@"
