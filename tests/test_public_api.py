"""The public names, and that loading a model does not pull the compiler in."""

from __future__ import annotations

import subprocess
import sys

import pytest

import hetcomp


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hetcomp.nothing


def test_dir_lists_the_public_names() -> None:
    assert dir(hetcomp) == sorted(hetcomp.__all__)
    assert hetcomp.__version__ == "0.1.0"


def test_loading_does_not_import_the_compiler() -> None:
    code = (
        "import hetcomp, sys; hetcomp.load; hetcomp.Session; hetcomp.PlanError;"
        "print([m for m in ('tvm', 'onnx', 'onnxruntime', 'hetcomp.driver') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120.0
    )
    assert done.stdout.strip() == "[]"


def test_errors_are_the_same_objects() -> None:
    from hetcomp import errors

    for name in errors.__all__:
        assert getattr(hetcomp, name) is getattr(errors, name)
