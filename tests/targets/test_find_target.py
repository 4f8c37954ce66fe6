"""What `--target` names, and what the compiler is told of it."""

from __future__ import annotations

import pytest

from hetcomp.devices.info import CpuInfo
from hetcomp.errors import InputError
from hetcomp.schedules.facts import CpuFacts
from hetcomp.targets import cpu_target, find_target
from hetcomp.targets.gpus import GPUS
from hetcomp.targets.socs import SVM_TIERS, find_socs

LINUX = "aarch64-linux-gnu"


@pytest.mark.parametrize(
    ("cpu", "dot", "f16_products"),
    [
        ("cortex-a53", "smull", False),
        ("cortex-a72", "smull", False),
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
    assert ("asimddp" in target.needs) == (dot != "smull")
    assert ("asimdhp" in target.needs) == f16_products
    assert ("i8mm" in target.needs) == (dot == "usdot")
    assert target.triple == LINUX


def test_no_products_of_f16_unless_allowed() -> None:
    target = find_target(f"{LINUX},cpu=cortex-a76")
    assert (target.cpu.f16_products, target.cpu.dot) == (False, "sdot")


@pytest.mark.parametrize("features", [(), ("avx2", "fma"), ("avx512f", "avx512bw", "avx512vl")])
def test_an_x86_board_is_one_from_every_desk(features: tuple[str, ...]) -> None:
    """LLVM takes the desk's own machine where none is named."""
    target = cpu_target(CpuInfo("x86_64", 1, (0,), features, ()))
    assert str(target.llvm.attrs["mtriple"]) == "x86_64-linux-gnu"


def test_any_arm_cpu() -> None:
    target = find_target(LINUX, f16_products=True)
    assert (target.cpu, target.needs) == (CpuFacts.NEON, ("asimd",))
    assert [one.cpu.dot for one in target.more] == ["usdot", "sdot"]
    assert [set(one.needs) for one in target.more] == [
        {"asimd", "fphp", "asimdhp", "asimddp", "i8mm", "bf16"},
        {"asimd", "fphp", "asimdhp", "asimddp"},
    ]
    assert not find_target(f"{LINUX},cpu=cortex-a53").more


def test_several_cores() -> None:
    """Whatever their order; of those with equal features the first one serves all."""
    target = find_target(f"{LINUX},cpu=cortex-a76+cortex-a53+cortex-a55+cortex-a72")
    assert [one.name for one in target.versions] == ["aarch64 cortex-a76", "aarch64 cortex-a53"]
    assert str(target.llvm.attrs["mcpu"]) == "cortex-a53"
    assert {one.cpu.tile_channels for one in (target, *target.more)} == {8}


def test_several_cores_of_a_named_machine() -> None:
    target = find_target("rk3399,cpu=cortex-a53+cortex-a76")
    assert target.cores == (0, 1, 2, 3)
    assert [one.cpu.scratch_bytes for one in (target, *target.more)] == [512 << 10] * 2


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
        ("riscv64-linux-gnu", "compiles for host, for aarch64-linux-gnu.* and for rk3399"),
        (f"{LINUX},cpu=cortex-a99", "LLVM knows no ARM CPU 'cortex-a99'; it knows .*cortex-a76"),
        (f"{LINUX},gpu=voodoo", "gpu 'voodoo' is unknown; known are gpu, mali"),
        (f"{LINUX},cpu", "'cpu' is not one of cpu=..., gpu=..., os=..."),
        (f"{LINUX},cpu=", "'cpu=' is not one of"),
        (f"{LINUX},cpu=cortex-a53+", "'cortex-a53\\+' has a name missing"),
        (f"{LINUX},cpu=cortex-a53,cpu=cortex-a55", "each once"),
        (f"{LINUX},ram=4", "'ram=4' is not one of"),
        (f"{LINUX},os=android", "os is for a named machine"),
        ("rpi5,os=plan9", "os is linux or android, got 'plan9'"),
    ],
)
def test_unknown_targets(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_target(text)


@pytest.mark.parametrize("name", find_socs())
def test_every_named_machine_is_a_target(name: str) -> None:
    """Its files are whole, LLVM knows every core, and a core is in one cluster."""
    soc, target = find_socs()[name], find_target(name)
    assert soc.sources
    for cluster in soc.clusters:
        assert find_target(f"{name},cpu={cluster.core}").cores == cluster.cpus
        assert cluster.mhz > 1000
        assert cluster.l2_kib in {128, 256, 512, 1024, 2048}
    cpus = [cpu for cluster in soc.clusters for cpu in cluster.cpus]
    assert sorted(cpus) == list(range(len(cpus)))
    assert (target.triple, target.cores) == (LINUX, soc.clusters[0].cpus)
    assert target.cpu.scratch_bytes == soc.clusters[0].l2_kib << 10
    assert target.gpu is not None
    assert soc.gpu.svm in SVM_TIERS
    assert (soc.gpu.kind == "none") == bool(target.gpu.why_none) == (target.gpu.groups is None)


def test_named_machine_under_android() -> None:
    assert find_target("sd8gen2,os=android").triple == "aarch64-linux-android"


def test_named_machine_with_another_gpu() -> None:
    assert find_target("rpi5,gpu=cpu").gpu == GPUS["cpu"]
    rk3588 = find_target("rk3588").gpu
    assert rk3588 is not None
    groups = rk3588.groups_for("auto", "auto")
    assert groups is not None
    assert (groups.compute_units, groups.sub_group, groups.f16) == (4, 16, True)
