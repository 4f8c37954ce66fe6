"""What weights take in memory: once their size, and never twice on the way, whatever the plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import standin
from fresh_process import Script

from hetcomp.plan.graph import Space, TaskGraph, Tensor

_WEIGHTS_MB = 96
_OFFSET_BYTES = 32768

# Resident memory in MB, now and at most, from when the model is opened.
_RESIDENT = """
import numpy as np, standin
from pathlib import Path
from hetcomp.runtime import load

def resident():
    fields = dict(line.split(":") for line in open("/proc/self/status"))
    return [int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")]

with load({path!r}, plan={plan!r}, quiet=True) as session:
    feeds = standin.feeds(1)
    for _ in range(3):
        got = session.run(feeds)
    same = bool(np.array_equal(got["out"], standin.reference(**feeds)["out"]))
    answer = [same, session.status().plan, *resident()]
"""


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in with many weights that no task reads."""
    weights = np.random.default_rng(1).random((_WEIGHTS_MB << 20) // 4, np.float32)
    ballast = Tensor(
        "ballast", weights.shape, "float32", weights.nbytes, Space.CONSTANT, None, _OFFSET_BYTES
    )

    def loaded(graph: TaskGraph) -> TaskGraph:
        end = _OFFSET_BYTES + weights.nbytes
        return replace(graph, tensors=(*graph.tensors, ballast), constants_bytes=end)

    tables = [replace(table, offsets=(*table.offsets, _OFFSET_BYTES)) for table in standin.tables()]
    return standin.build(
        tmp_path_factory.mktemp("heavy"),
        model_tables=tables,
        edit_graph=loaded,
        more_constants=[weights],
    )


@pytest.mark.parametrize("plan", ["cpu", "gpu", "rows"])
def test_weights_are_there_once(
    script: Script, model: Path, heavy: Path, opencl: str, plan: str
) -> None:
    light, _ = script(_RESIDENT.format(path=str(model), plan=plan))
    full, _ = script(_RESIDENT.format(path=str(heavy), plan=plan))
    assert full[:2] == light[:2] == [True, plan]
    now_mb, most_mb = (full[i] - light[i] for i in (2, 3))
    assert now_mb <= 1.15 * _WEIGHTS_MB
    assert most_mb <= 1.15 * _WEIGHTS_MB
