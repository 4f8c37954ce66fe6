#!/usr/bin/env bash
# Strikes every OpenCL call and every allocation of a small run in every way, with one launch for all
# steps, one a step, and on every tier; then every seventh on other kinds of memory, with a cache,
# tickets, the mailbox, a pipeline, changes of plan and an NPU that serves or fails: some 50,000 runs
# of a few tenths of a second.
# Arguments go to the campaign. The exit status is 1 if any part of it failed.
set -u
cd "$(dirname "$0")/.."
export PYTHONPATH=$PWD:$PWD/tests/runtime OPENBLAS_NUM_THREADS=1
campaign=tests/runtime/fault_campaign.py
failed=0
.venv/bin/python $campaign --scenarios chain,launches,svm,event,finish "$@" || failed=1
others=coarse,coarse-finish,buffer,buffer-finish,tickets,mailbox,pipeline,changes,changes-buffer
others+=,npu,npu-dies,npu-refuses,npu-late
.venv/bin/python $campaign --every 7 --scenarios "$others,cold-cache,warm-cache" "$@" || failed=1
exit $failed
