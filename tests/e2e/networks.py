"""Zoo networks on disk, compiled once a process, and ONNX Runtime's outputs for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.reference import TOLERANCE, reference_outputs, relative_error
from hetcomp.runtime import Session, load

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]


@dataclass
class CompiledNetwork:
    """A small zoo network: its ONNX file, the .so of a real `--plan auto`, and references."""

    name: str
    onnx: Path
    so: Path
    _model: onnx.ModelProto
    _feeds: dict[int, Arrays] = field(default_factory=dict)
    _expected: dict[int, Arrays] = field(default_factory=dict)

    def feeds(self, seed: int) -> Arrays:
        if seed not in self._feeds:
            self._feeds[seed] = zoo.random_inputs(self._model, seed)
        return self._feeds[seed]

    def expected(self, seed: int) -> Arrays:
        """What ONNX Runtime makes of `feeds(seed)`."""
        if seed not in self._expected:
            self._expected[seed] = reference_outputs(self.onnx, self.feeds(seed))
        return self._expected[seed]

    def assert_right(self, session: Session, seed: int) -> None:
        """Run once; every output agrees with ONNX Runtime's within 1e-4 of its largest value."""
        assert_close(session.run(self.feeds(seed)), self.expected(seed), f"seed {seed}")

    @contextmanager
    def session(self, plan: str, **options: Any) -> Iterator[Session]:
        with load(self.so, plan=plan, quiet=True, **options) as session:
            yield session


def assert_close(
    results: Arrays, expected: Arrays, where: str, tolerance: float = TOLERANCE
) -> None:
    assert results.keys() == expected.keys(), where
    errors = {name: relative_error(results[name], array) for name, array in expected.items()}
    wrong = {name: error for name, error in errors.items() if not error <= tolerance}
    assert not wrong, f"{where}: max|a-b|/max|b| beyond {tolerance:g}: {wrong}"


def assert_same(got: Arrays, expected: Arrays) -> None:
    """The same outputs, bit for bit."""
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)


class Networks:
    """Builds and compiles on first use. `auto` measures for a moment only: what is tested is that
    the way through trial .so, costs, choice and link holds, not the choice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, CompiledNetwork] = {}

    def __call__(self, name: str) -> CompiledNetwork:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> CompiledNetwork:
        model = zoo.build(name, **zoo.small_size(name))
        file, so = self._folder / f"{name}.onnx", self._folder / f"{name}.so"
        onnx.save(model, file)
        options = hetcomp.CompileOptions(plan="auto", measure_seconds=0.3, use_cache=False)
        hetcomp.compile(file, output=so, options=options)
        return CompiledNetwork(name, file, so, model)
