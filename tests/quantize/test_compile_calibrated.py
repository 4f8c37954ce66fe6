"""From a float model and samples to a file that computes what ONNX Runtime does on 8 bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from calibrated_models import PLANTED, SHAPE, chain, made, samples, write
from click.testing import CliRunner, Result

import hetcomp
from hetcomp.bench.reference import relative_error
from hetcomp.cli import main
from hetcomp.errors import FeedError, InputError
from hetcomp.frontend import import_onnx
from hetcomp.options import CompileOptions
from hetcomp.quantize import calibrate, float_model, quantize

COUNT = 4


def hetcomp_cli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A float model with an operator that loses accuracy, its samples, and what is compiled."""
    folder = tmp_path_factory.mktemp("planted")
    model, npz = write(folder, chain(planted=True), samples(COUNT))
    output = folder / "model.so"
    result = hetcomp_cli("compile", model, "-o", output, "--plan", "npu", "--calibrate", npz)
    assert result.exit_code == 0, result.output
    return model, npz, output


def reference(path: Path, keep_float: tuple[str, ...] = ()) -> onnx.ModelProto:
    """The model that should have been compiled."""
    model = float_model(import_onnx(path))
    feeds = [{"x": array.reshape(SHAPE)} for array in samples(COUNT)["x"]]
    return quantize(model, calibrate(model, feeds), keep_float)


def assert_within_a_quantum(path: Path, quantized: onnx.ModelProto, plan: str) -> None:
    """At every output, on samples that were not calibrated on."""
    scales = {item.name: item for item in quantized.graph.initializer}
    quantum = float(onnx.numpy_helper.to_array(scales["y_scale"]))
    options = onnxruntime.SessionOptions()
    # Or else it rounds weights of operators that were kept in float.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(quantized.SerializeToString(), options)
    with hetcomp.load(path, plan=plan, quiet=True) as ours:
        for array in samples(COUNT, seed=7)["x"]:
            feeds = {"x": array.reshape(SHAPE)}
            got, want = ours.run(feeds)["y"], session.run(None, feeds)[0]
            np.testing.assert_allclose(got, want, rtol=0, atol=1.01 * quantum)
            assert np.unique(want).size > 5


@pytest.mark.parametrize("plan", ["npu", "cpu"])
def test_equals_onnxruntime(plan: str, planted: tuple[Path, Path, Path]) -> None:
    model, _, output = planted
    assert_within_a_quantum(output, reference(model), plan)


def test_most_tasks_compute_on_bytes(planted: tuple[Path, Path, Path]) -> None:
    from hetcomp.runtime import read_image

    tasks = read_image(planted[2]).graph.tasks
    assert sum(task.kind == "conv2d" and task.npu for task in tasks) >= 7


def test_accuracy_names_the_planted_operator(planted: tuple[Path, Path, Path]) -> None:
    model, npz, output = planted
    command = ("explain", output, "--accuracy", model, "--inputs", npz)
    data = json.loads(hetcomp_cli(*command, "--json").stdout)
    assert {item["name"] for item in data["search"]["operators"]} == set(PLANTED)
    tasks = {item["value"]: item for item in data["tasks"] if item["value"]}
    assert tasks["x"]["sqnr_db"] > 40.0 > 25.0 > tasks["r5"]["sqnr_db"]
    assert tasks["r3"]["sqnr_db"] > tasks["r5"]["sqnr_db"] + 10.0
    assert tasks["r3"]["quantized"]
    assert abs(data["outputs"]["y"]["sqnr_db"] - data["search"]["all_db"]) < 1.0
    text = hetcomp_cli(*command, "--search-seconds", "0").stdout
    assert "r5" in text
    assert "operators that lose" not in text
    assert all(name in hetcomp_cli(*command).stdout for name in (*PLANTED, "--keep-float"))


def test_kept_in_float(planted: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """With the named operators in float the file is ONNX Runtime's, and as accurate as said."""
    model, npz, _ = planted
    output = tmp_path / "kept.so"
    result = hetcomp_cli(
        *("compile", model, "-o", output, "--plan", "cpu", "--calibrate", npz),
        *("--keep-float", ",".join(PLANTED)),
    )
    assert result.exit_code == 0, result.output
    assert_within_a_quantum(output, reference(model, PLANTED), "cpu")
    command = ("explain", output, "--accuracy", model, "--inputs", npz, "--search-seconds", "0")
    data = json.loads(hetcomp_cli(*command, "--json").stdout)
    assert data["keep_float"] == list(PLANTED)
    assert data["outputs"]["y"]["sqnr_db"] > 20.0


def test_free_dimensions_and_python(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((8, 4)).astype(np.float32)}
    model = made("g (float[n,8] x) => (float[n,4] y) { y = MatMul(x, w) }", weights)
    x = rng.standard_normal((6, 8)).astype(np.float32)
    np.savez(tmp_path / "s.npz", x=x)
    options = CompileOptions(plan="cpu", gpu=False, calibrate=str(tmp_path / "s.npz"))
    stages: list[str] = []
    hetcomp.compile(
        model,
        output=tmp_path / "m.so",
        shapes={"x": (2, 8)},
        options=options,
        progress=lambda text, _part: stages.append(text),
    )
    assert "calibrate: 3 of 3 samples" in stages
    with hetcomp.load(tmp_path / "m.so", quiet=True) as session:
        got = session.run({"x": x[:2]})["y"]
    expected = x[:2] @ weights["w"]
    assert 0.0 < relative_error(got, expected) < 0.03


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"keep_float": ("conv99",)}, InputError, "no operator 'conv99'.*conv"),
        ({"calibrate": "{folder}/none.npz"}, FeedError, "no such file"),
    ],
)
def test_refused(options: dict[str, Any], kind: type[Exception], text: str, tmp_path: Path) -> None:
    model, npz = write(tmp_path, chain(), samples(1))
    given = {"calibrate": str(npz), **options}
    given["calibrate"] = given["calibrate"].format(folder=tmp_path)
    with pytest.raises(kind, match=text):
        hetcomp.compile(
            model, output=tmp_path / "m.so", options=CompileOptions(plan="cpu", gpu=False, **given)
        )
    assert not (tmp_path / "m.so").exists()


def test_options_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="give samples too"):
        CompileOptions(keep_float=("a",))
    with pytest.raises(InputError, match="leave out --precision f16"):
        CompileOptions(calibrate="s.npz", precision="f16")


def test_accuracy_is_refused(planted: tuple[Path, Path, Path], tmp_path: Path) -> None:
    model, npz, output = planted
    other = tmp_path / "other.onnx"
    onnx.save(chain(), other)
    plain = tmp_path / "plain.so"
    hetcomp.compile(
        made("g (float[2] x) => (float[2] y) { y = Relu(x) }", {}),
        output=plain,
        options=CompileOptions(plan="cpu", gpu=False),
    )
    for command, text in (
        ((output, "--accuracy", model), "give --inputs"),
        ((output, "--accuracy", other, "--inputs", npz), "another float model"),
        ((plain, "--accuracy", model, "--inputs", npz), "was not compiled with --calibrate"),
        ((output, "--accuracy", model, "--inputs", npz, "--measure"), "not with --accuracy"),
        ((output, "--inputs", npz), "only with --accuracy"),
    ):
        result = hetcomp_cli("explain", *command)
        assert result.exit_code == 2
        assert text in result.stderr
