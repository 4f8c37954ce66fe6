"""What `--target` names, and what the compiler is told of it."""

from __future__ import annotations

import pytest

from hetcomp.errors import InputError
from hetcomp.schedules.facts import CpuFacts
from hetcomp.targets import find_target
from hetcomp.targets.gpus import GPUS

LINUX = "aarch64-linux-gnu"


@pytest.mark.parametrize(
    ("cpu", "dot", "f16_products"),
    [
        ("cortex-a53", "", False),
        ("cortex-a72", "", False),
        ("cortex-a55", "sdot", True),
        ("cortex-a76", "sdot", True),
        ("cortex-x2", "usdot", True),
    ],
)
def test_kernels_are_for_the_cores_instructions(cpu: str, dot: str, f16_products: bool) -> None:
    target = find_target(f"{LINUX},cpu={cpu}", f16_products=True)
    assert (target.cpu.dot, target.cpu.f16_products) == (dot, f16_products)
    assert str(target.llvm.attrs["mcpu"]) == cpu
    assert not target.llvm.attrs["feature.has_sve"]
    assert ("asimddp" in target.needs) == bool(dot)
    assert ("asimdhp" in target.needs) == f16_products
    assert ("i8mm" in target.needs) == (dot == "usdot")
    assert target.triple == LINUX


def test_no_products_of_f16_unless_allowed() -> None:
    target = find_target(f"{LINUX},cpu=cortex-a76")
    assert (target.cpu.f16_products, target.cpu.dot) == (False, "sdot")


def test_any_arm_cpu() -> None:
    target = find_target(LINUX)
    assert (target.cpu, target.needs) == (CpuFacts.NEON, ("asimd",))


def test_newer_cores_have_what_older_ones_have() -> None:
    found = [set(find_target(f"{LINUX},cpu=cortex-{name}").needs) for name in ("a53", "a76", "x2")]
    a53, a76, x2 = found
    assert {"asimd"} == a53 < a76 < x2
    assert not any("sve" in name for name in x2)


def test_what_a_core_may_lack_is_not_used() -> None:
    """LLVM takes every Cortex-A75 to have products of bytes; the first ones had none."""
    needs = find_target(f"{LINUX},cpu=cortex-a75").needs
    assert "asimdhp" in needs
    assert "asimddp" not in needs


def test_cores_of_other_makers() -> None:
    assert "asimddp" in find_target(f"{LINUX},cpu=neoverse-n1").needs


def test_gpus() -> None:
    for name, gpu in GPUS.items():
        assert find_target(f"{LINUX},gpu={name}").gpu == gpu
    mali = GPUS["mali"]
    assert mali.groups_for("auto", "auto") == mali.groups
    assert mali.groups_for("cpu-like", "auto") is None
    wide = mali.groups_for("auto", "off")
    assert wide is not None
    assert not wide.f16
    assert GPUS["cpu"].groups_for("auto", "auto") is None
    assert GPUS["cpu"].groups_for("gpu", "auto") is not None


def test_host_is_not_a_cross_target() -> None:
    host = find_target("host")
    assert (host.triple, host.gpu) == (None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("riscv64-linux-gnu", "compiles for host and for aarch64-linux-gnu"),
        (f"{LINUX},cpu=cortex-a99", "LLVM knows no ARM CPU 'cortex-a99'; it knows .*cortex-a76"),
        (f"{LINUX},gpu=voodoo", "gpu 'voodoo' is unknown; known are gpu, mali"),
        (f"{LINUX},cpu", "'cpu' is not one of cpu=..., gpu=..."),
        (f"{LINUX},cpu=", "'cpu=' is not one of"),
        (f"{LINUX},cpu=cortex-a53,cpu=cortex-a55", "each once"),
        (f"{LINUX},ram=4", "'ram=4' is not one of"),
    ],
)
def test_unknown_targets(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_target(text)
