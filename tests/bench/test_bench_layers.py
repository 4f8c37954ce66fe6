"""Rows of `bench layers`: one network for real on the CPU, the rest by what is made of its rows."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

from hetcomp.bench import layers
from hetcomp.bench.ceilings import Ceilings
from hetcomp.bench.layer_rows import LayerRow, LayersOptions
from hetcomp.bench.layer_work import layer_flops
from hetcomp.bench.layers import LayersReport, bench_layers
from hetcomp.bench.networks import over_networks, silent
from hetcomp.bench.node_times import origins
from hetcomp.bench.roofline import check_plot, plot_roofline
from hetcomp.bench.summary import geometric_mean, summarize_layers
from hetcomp.bench.timing import TimingOptions
from hetcomp.errors import InputError
from hetcomp.plan.graph import Grid, Space, Task, TaskGraph, Tensor

SHORT = TimingOptions(rounds=2, reps=1, warmup=0, settle_seconds=0.0)


@pytest.fixture(scope="module")
def report() -> LayersReport:
    options = LayersOptions(
        ("mobilenetv1",), ("cpu",), size=64, memory_bound=True, timing=SHORT, min_mflop=0.001
    )
    return bench_layers(options)


def test_a_network_of_convolutions(report: LayersReport) -> None:
    assert report.results.failed == ()
    rows = {row.layer: row for row in report.results.rows}
    assert {row.kind for row in rows.values()} >= {"conv2d", "depthwise", "linear"}
    first = report.results.rows[0]
    assert first.text.startswith("conv 3x3/2 3->32, 32x32")
    whole = 2 * 27 * 32 * 32 * 32 / 1e6
    assert first.mflop == pytest.approx(whole * (95 / 96) ** 2)  # one tap of 96 sees padding
    assert any(row.text.startswith("depthwise 3x3/2 64->64, 16x16") for row in rows.values())
    assert any(row.text == "linear 1x1024x1000" for row in rows.values())
    assert any(row.count > 1 for row in rows.values())


def test_rates_follow_from_times(report: LayersReport) -> None:
    for row in report.results.rows:
        assert row.gflops == pytest.approx(row.mflop / row.time_us * 1e3)
        assert row.share_of_peak == pytest.approx(row.gflops / row.peak_gflops)
        assert row.gb_per_s == pytest.approx(row.mbytes / row.time_us * 1e3)
        assert row.n == 2


def test_onnxruntime_is_found_for_every_product(report: LayersReport) -> None:
    products = [row for row in report.results.rows if row.kind in ("conv2d", "linear")]
    missing = [row.layer for row in products if row.onnxruntime_us is None]
    # ONNX Runtime's profiler counts whole microseconds: tiny layers may take none.
    assert len(missing) <= len(products) // 4, missing


def test_ceilings(report: LayersReport) -> None:
    (roof,) = report.ceilings
    assert roof.processor == "cpu"
    # A loose bound: other work may run beside the tests.
    assert 0.3 < roof.gemm_gflops / roof.peak_gflops < 3.0
    assert min(roof.memory_gb_per_s, roof.l2_gb_per_s) > 0.1


def row(**fields: Any) -> LayerRow:
    plain: dict[str, Any] = {
        "model": "net", "layer": "conv", "kind": "conv2d", "variant": "", "text": "", "count": 1,
        "also_in": (), "processor": "cpu", "mflop": 100.0, "mbytes": 1.0, "time_us": 1000.0,
        "p10_us": 900.0, "p90_us": 1100.0, "n": 3, "gflops": 100.0, "peak_gflops": 200.0,
        "share_of_peak": 0.5, "gb_per_s": 1.0, "onnxruntime_us": 1000.0,
        "ratio_to_onnxruntime": 1.0, "key": "k",
    }  # fmt: skip
    return LayerRow(**{**plain, **fields})


def test_summary() -> None:
    rows = [
        row(share_of_peak=0.6, ratio_to_onnxruntime=0.5),
        row(share_of_peak=0.8, ratio_to_onnxruntime=2.0),
        row(share_of_peak=0.9, ratio_to_onnxruntime=None),
        row(share_of_peak=0.1, ratio_to_onnxruntime=4.0, mflop=1.0),
        row(processor="gpu", mflop=1.0, ratio_to_onnxruntime=None),
    ]
    cpu, gpu = summarize_layers(rows)
    assert (cpu.processor, cpu.layers, cpu.large_layers, cpu.compared) == ("cpu", 4, 3, 3)
    assert cpu.median_share_of_peak == 0.8
    assert cpu.large_ratio_to_onnxruntime == pytest.approx(1.0)
    assert cpu.ratio_to_onnxruntime == pytest.approx(4.0 ** (1 / 3))
    assert (gpu.median_share_of_peak, gpu.ratio_to_onnxruntime) == (None, None)


def test_geometric_mean() -> None:
    assert geometric_mean([1.0, None, 4.0]) == pytest.approx(2.0)
    assert geometric_mean([None]) is None
    assert geometric_mean([]) is None


def test_a_layer_of_two_networks_is_one_row() -> None:
    rows = [row(), row(processor="gpu"), row(model="other"), row(key="j", model="other")]
    found = layers._distinct(rows)
    assert [(r.model, r.processor, r.also_in) for r in found] == [
        ("net", "cpu", ("other",)),
        ("net", "gpu", ()),
        ("other", "cpu", ()),
    ]


def chain(*nodes: tuple[str, str, str, str]) -> onnx.ModelProto:
    """A model of nodes given as (name, operator, input, output)."""
    made = [helper.make_node(op, [x], [y], name) for name, op, x, y in nodes]
    return helper.make_model(helper.make_graph(made, "g", [], []))


def test_nodes_are_led_back_by_output_and_by_name() -> None:
    model = chain(
        ("fc.1", "Neg", "x", "a"), ("fc.10", "Neg", "a", "b"), ("fc.10.relu", "Relu", "b", "y")
    )
    optimized = chain(
        ("reorder", "Neg", "x", "p"), ("fc.1_nchwc", "Neg", "p", "q"), ("fused", "Neg", "q", "y")
    )
    assert origins(model, optimized, set()) == {"fc.1_nchwc": "fc.1", "fused": "fc.10.relu"}


def test_products_are_led_back_to_nodes_that_tasks_know() -> None:
    model = chain(("conv", "Conv", "x", "a"), ("clip", "Clip", "a", "y"))
    fused = chain(("fused", "Conv", "x", "y"))
    assert origins(model, fused, {"conv"}) == {"fused": "conv"}
    assert origins(model, fused, {"conv", "clip"}) == {"fused": "clip"}
    assert origins(model, fused, set()) == {}


def test_one_failing_network_does_not_stop_the_others() -> None:
    seen: list[tuple[str, float]] = []

    def measure(name: str, report: Any) -> list[str]:
        report("timing", 0.5)
        if name == "b":
            raise RuntimeError("two\nlines")
        return [name]

    results = over_networks(["a", "b", "c"], measure, lambda text, part: seen.append((text, part)))
    assert results.rows == ("a", "c")
    assert [(f.model, f.error) for f in results.failed] == [("b", "RuntimeError: two lines")]
    assert seen[0] == ("a (1 of 3): timing", pytest.approx(1 / 6))
    assert "b (2 of 3): failed: RuntimeError: two lines" in [text for text, _ in seen]
    silent("", 0.0)


def test_plot(tmp_path: Path) -> None:
    path = tmp_path / "roofline.svg"
    rows = [row(), row(processor="gpu", kind="new"), row(mflop=0.0)]
    roofs = [Ceilings(name, 200.0, 190.0, 20.0, 120.0) for name in ("cpu", "gpu")]
    plot_roofline(path, rows, roofs)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<?xml")
    assert len(text) > 10_000


@pytest.mark.parametrize("name", ["a.txt", "none/a.png"])
def test_plot_refuses(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="plot '"):
        check_plot(tmp_path / name)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"models": ("resnet0",)}, "no model 'resnet0'"),
        ({"processors": ("npu",)}, "no processor 'npu'"),
        ({"against": ("tflite",)}, "no peer 'tflite'"),
        ({"models": ()}, "at least one model"),
    ],
)
def test_options_are_checked(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        replace(LayersOptions(("resnet18",)), **fields)


def test_share_of_peak_is_finite(report: LayersReport) -> None:
    assert all(math.isfinite(row.share_of_peak) for row in report.results.rows)


@pytest.mark.parametrize(
    ("dilation", "pad", "taps"), [(1, 1, 5 * 3 - 2), (2, 2, 5 * 3 - 4), (9, 9, 5)]
)
def test_work_on_padding_is_not_counted(dilation: int, pad: int, taps: int) -> None:
    graph = TaskGraph(
        "net",
        (
            Tensor("x", (1, 5, 5, 4), "float32", 400, Space.ARENA),
            Tensor("y", (1, 5, 5, 8), "float32", 800, Space.ARENA),
        ),
        (),
        (),
        (),
        (),
        0,
    )
    full = 2 * 25 * 9 * 4 * 8
    task = Task(
        "c", "conv2d", 0, (0,), (1,), Grid(1), Grid(1), "rows", "", flops=full, source=("c",)
    )
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], "c", pads=[pad] * 4, dilations=[dilation] * 2
    )
    found = layer_flops(task, graph, {"c": node}, {"w": (8, 4, 3, 3)})
    assert found == round(full * (taps / 15) ** 2)
    assert layer_flops(task, graph, {}, {}) == full
