"""OpenCL text: one kernel per symbol with the runtime's arguments, whatever TVM prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from kernel_harness import HOST, lower, make_model, normal

from hetcomp.codegen.kernels import cpu_objects, opencl_source
from hetcomp.codegen.lower import Lowered

TEXT = """g (float[9,37] x, bool[9,1] c, int64[4] i) => (float[4,50] y, bool[9,50] z) {
    m = MatMul(x, w) r = Relu(m) t = Where(c, r, m) z = Greater(t, x50) y = Gather(t, i) }"""


@pytest.fixture(scope="module")
def lowered() -> Lowered:
    weights: dict[str, Any] = {"w": normal(37, 50), "x50": normal(9, 50)}
    return lower(make_model(TEXT, weights))


@pytest.fixture(scope="module")
def source(lowered: Lowered) -> str:
    return opencl_source(lowered.kernels, HOST.opencl)


def heads(source: str) -> dict[str, list[str]]:
    found = re.findall(r"__kernel void (\w+)\(([^)]*)\) \{", source)
    return {name: [part.strip() for part in text.split(",")] for name, text in found}


def test_one_kernel_per_symbol_and_one_for_all(lowered: Lowered, source: str) -> None:
    symbols = [kernel.symbol for kernel in lowered.kernels]
    assert list(heads(source)) == [*symbols, "hetcomp_chain"]


def test_the_chain_has_a_case_for_each_kernel_of_the_graph(lowered: Lowered, source: str) -> None:
    cases = re.findall(r"case (\d+): (\w+)_tiles\(([^;]*)\); break;", source)
    records = lowered.graph.kernels
    assert [(int(n), name) for n, name, _ in cases] == [
        (n, record.symbol) for n, record in enumerate(records)
    ]
    for (_, _, arguments), record in zip(cases, records, strict=True):
        found = {int(n) for n in re.findall(r"b\[(\d+)\]", arguments)}
        assert found <= set(range(record.n_buffers))
        assert arguments.endswith("c0, c1, r0, r1, 0, tiles")


def test_arguments_are_buffers_ranges_synchronisation(lowered: Lowered, source: str) -> None:
    for record in lowered.graph.kernels:
        arguments = heads(source)[record.symbol]
        buffers, rest = arguments[: record.n_buffers], arguments[record.n_buffers :]
        assert [b.split()[-1] for b in buffers] == [f"b{i}_ptr" for i in range(record.n_buffers)]
        assert all(b.startswith("__global ") for b in buffers)
        assert rest == [
            *("int r0", "int r1", "int c0", "int c1"),
            *("__global int* sync", "int wait", "int signal"),
            *("__global int* tickets", "int ticket", "int leave"),
        ]


def test_bodies_are_called_with_what_they_declare(source: str) -> None:
    for symbol in heads(source).keys() - {"hetcomp_chain"}:
        body = re.search(rf"static inline void {symbol}_body\(([^)]*)\) {{", source)
        call = re.search(rf"^    {symbol}_body\(([^)]*)\);", source, re.MULTILINE)
        assert body
        assert call
        declared = [part.split()[-1] for part in body.group(1).split(",")]
        assert [part.strip() for part in call.group(1).split(",")] == declared


def test_no_prototypes_no_bool_pointers_no_bare_select(source: str) -> None:
    assert not re.search(r"__kernel void \w+\([^)]*\);", source)
    assert "bool*" not in source
    bodies = source.split("(c) != 0)\n")[1].split("__kernel")[0]
    assert "get_group_id" not in bodies
    assert not re.search(r"\bselect\(", bodies)


def test_buffers_a_kernel_does_not_read_keep_their_place() -> None:
    """TVM drops them from its own argument list."""
    text = "g (float[5,7] x) => (float[5,7] y) { z = Sub(x, x) y = Mul(z, w) }"
    lowered = lower(make_model(text, {"w": normal(5, 7)}))
    source = opencl_source(lowered.kernels, HOST.opencl)
    for record in lowered.graph.kernels:
        names = [part.split()[-1] for part in heads(source)[record.symbol]]
        assert names[: record.n_buffers] == [f"b{i}_ptr" for i in range(record.n_buffers)]


def test_order_of_groups_follows_the_schedule(lowered: Lowered, source: str) -> None:
    for kernel in lowered.kernels:
        wrapper = source.split(f"void {kernel.symbol}_tiles(")[1].split("}")[0]
        first = "tile % rows" if kernel.scheduled.rows_inner else "tile / columns"
        assert f"int g0 = {first}" in wrapper


def test_kernels_without_opencl_are_left_out() -> None:
    text = "g (float[5,7] x) => (float[5,7] y, int64[5,1] z) { y = Neg(x) z = ArgMax<axis=1>(x) }"
    lowered = lower(make_model(text))
    source = opencl_source(lowered.kernels, HOST.opencl)
    wanted = [k.symbol for k in lowered.graph.kernels if k.opencl]
    assert (len(wanted), len(lowered.kernels)) == (1, 2)
    assert list(heads(source)) == [*wanted, "hetcomp_chain"]


def test_nothing_for_opencl_is_no_text() -> None:
    lowered = lower(make_model("g (float[5,7] x) => (int64[5,1] z) { z = ArgMax<axis=1>(x) }"))
    assert opencl_source(lowered.kernels, HOST.opencl) == ""


def test_text_is_deterministic(lowered: Lowered, source: str) -> None:
    assert opencl_source(lowered.kernels, HOST.opencl) == source


def test_objects_define_every_symbol(lowered: Lowered, tmp_path: Path) -> None:
    paths = cpu_objects(lowered.kernels, HOST.cpu, HOST.llvm, tmp_path)
    data = b"".join(path.read_bytes() for path in paths)
    for kernel in lowered.kernels:
        assert f"__tvm_ffi_{kernel.symbol}".encode() in data


def test_no_kernels_are_no_objects(tmp_path: Path) -> None:
    assert cpu_objects([], HOST.cpu, HOST.llvm, tmp_path) == ()
