"""The cost models on phones' GPUs: description of kernels, and errors where the data is there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from hetcomp.bench.phone_ops import PHONES, phone_samples
from hetcomp.bench.predictors import phone_errors
from hetcomp.cli import main
from hetcomp.cost.booster import TrainOptions
from hetcomp.cost.launches import FACT_NAMES
from hetcomp.errors import InputError

HEADER = (
    "model,operation,input_shape,input_channel,output_shape,stride,kernel,filter,group,flops,"
    "pixel4_us,pixel4_kernel,mi8se_us,mi8se_kernel"
)
CONV = "a,CONV_2D,58,64,56,1,3,64,1,1,800,convolution_2d_1_linked_:_add_2,2700,convolution_2d_1"
STEM = "a,CONV_2D,225,3,112,2,3,16,1,1,100,convolution_2d_0,300,convolution_2d_0"
DENSE = "a,FULLY_CONNECTED,-,512,-,-,-,1000,-,1,60,fully_connected_9,90,fully_connected_9"
_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data" / "phone_gpu_ops.csv"
DATA = Path(os.environ.get("HETCOMP_PHONE_OPS", _BESIDE))
GOALS = {"Adreno 640": 8.5, "Adreno 616": 7.0}
"""MAPE in percent, of convolutions and of all operators together."""


def _write(folder: Path, *lines: str) -> Path:
    path = folder / "ops.csv"
    path.write_text("\n".join((HEADER, *lines)), encoding="utf-8")
    return path


def test_kernels_of_the_delegate(tmp_path: Path) -> None:
    conv, stem, dense = phone_samples(_write(tmp_path, CONV, STEM, DENSE), PHONES[0])
    assert conv.times_us == (800.0,)
    # 56 x 56 x 16 slices are 392 waves of 64 items: blocks of 2 x 2 pixels and 2 slices.
    assert (conv.work.facts["tile_height"], conv.work.facts["tile_width"]) == (4, 8)
    # 28 x 28 x 8 items: 8 slices deep, 28 wide, and one row, for 32 items are left.
    assert conv.work.facts["items"] == 28 * 8
    assert (conv.work.rows, conv.work.channels) == (28 * 28, 8)
    assert conv.work.facts["stages"] == 1
    assert stem.work.variant == "constants"
    assert dense.work.family == "linear"
    assert dense.work.facts["items"] == 128
    assert set(conv.work.facts) <= set(FACT_NAMES)


def test_a_table_without_times_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ops.csv"
    path.write_text("operation\nCONV_2D\n", encoding="utf-8")
    with pytest.raises(InputError, match="KeyError"):
        phone_samples(path, PHONES[0])


def test_the_command_reports_errors_by_device(tmp_path: Path) -> None:
    lines = [CONV.replace(",64,56,", f",{8 * n},56,") for n in range(1, 30)]
    path = _write(tmp_path, *lines)
    result = CliRunner().invoke(
        main, ["bench", "predictors", "--phones", str(path), "--folds", "3", "--json"]
    )
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert {row["device"] for row in rows} == {phone.name for phone in PHONES}
    assert all(row["samples"] == 29 for row in rows)


def test_nothing_to_predict_is_bad_usage() -> None:
    result = CliRunner().invoke(main, ["bench", "predictors"])
    assert result.exit_code == 2
    result = CliRunner().invoke(main, ["bench", "predictors", "--networks", "x", "--phones", "y"])
    assert result.exit_code == 2


@pytest.mark.skipif(not DATA.exists(), reason=f"no {DATA}; HETCOMP_PHONE_OPS names it")
def test_errors_on_phones_reach_the_goal() -> None:
    rows = phone_errors(DATA, TrainOptions(rounds=250, rate=0.1), 5, lambda _text, _part: None)
    for model in ("conv2d.gpu", "all"):
        found = {row.device: row.errors.mape_percent for row in rows if row.model == model}
        assert found.keys() == GOALS.keys()
        assert all(found[name] <= GOALS[name] for name in GOALS), (model, found)
