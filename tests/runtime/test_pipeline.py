"""Whole inferences on either processor at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import standin
from fresh_process import Script

from hetcomp.errors import InputError
from hetcomp.runtime import Session, load


def right(session: Session, seed: int) -> bool:
    feeds = standin.feeds(seed)
    expected = standin.reference(**feeds)
    results = session.run(feeds)
    return all(np.array_equal(results[name], value) for name, value in expected.items())


@pytest.mark.parametrize("device", ["auto", "off"])
def test_requests_and_runs(model: Path, device: str) -> None:
    with load(model, pipeline="on", device=device) as session, ThreadPoolExecutor(4) as pool:
        requests = [session.submit(standin.feeds(seed)) for seed in range(100)]
        assert all(pool.map(lambda seed: right(session, seed), range(40)))
        for seed, request in enumerate(requests):
            expected = standin.reference(**standin.feeds(seed))
            np.testing.assert_array_equal(request.result(30.0)["out"], expected["out"])
        if device == "auto" and session.status().tier != "cpu":
            assert session.status().tier == "finish"
            assert 0 < session.status().runs < 140  # the other processor had some


def test_what_a_pipeline_refuses(model: Path) -> None:
    with load(model, pipeline="on") as session:
        for refused in (
            lambda: session.use_plan("rows"),
            lambda: session.buffer("x"),
            lambda: session.set_table(standin.tables()[0]),
        ):
            with pytest.raises(InputError, match="a pipeline has fixed plans"):
                refused()
    with pytest.raises(InputError, match="pipeline must be on, off or auto"):
        load(model, pipeline="yes")


def test_auto_is_what_the_model_was_compiled_for(model: Path) -> None:
    with load(model, pipeline="auto", plan="cpu") as session:
        session.use_plan("cpu")


def test_a_failing_device_leaves_the_cpu(script: Script, model: Path, opencl: str) -> None:
    answer, _ = script(
        f"""
        import numpy as np, standin
        from hetcomp.runtime import load
        session = load({str(model)!r}, pipeline="on", fault="enqueue", quiet=True)
        feeds = standin.feeds(1)
        expected = standin.reference(**feeds)["out"]
        requests = [session.submit(feeds) for _ in range(50)]
        answer = [all(bool((item.result(20)["out"] == expected).all()) for item in requests),
                  session.status().device_bad]
        """
    )
    assert answer == [True, True]
