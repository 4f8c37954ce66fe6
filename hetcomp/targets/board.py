"""A board as the target: its CPU's features and its OpenCL device, as its server tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hetcomp.device_class import group_facts, preferred
from hetcomp.devices import DeviceInfo, describe_board
from hetcomp.remote import Remote, ask_status

from .compile_target import CompileTarget, TargetGpu
from .find import find_target
from .host import cpu_target

__all__ = ["board_target", "target_for"]


def target_for(name: str, rpc: str, *, f16_products: bool = False) -> CompileTarget:
    """The target called `name`; `host` is the board at `rpc`, where that is given.

    Raises
    ------
    InputError
        The name is unknown, or `rpc` is of another form.
    LinkError
        The board does not answer, which is found out before any work.
    """
    if not rpc:
        return find_target(name, f16_products=f16_products)
    remote = Remote.parse(rpc)
    if name == "host":
        return board_target(describe_board(remote), f16_products=f16_products)
    ask_status(remote)
    return find_target(name, f16_products=f16_products)


def board_target(devices: Sequence[DeviceInfo], *, f16_products: bool) -> CompileTarget:
    """The target of a board with these processors.

    Raises
    ------
    InputError
        There are no kernels for such a CPU.
    """
    cpu = next(device.cpu for device in devices if device.cpu is not None)
    return replace(cpu_target(cpu, f16_products=f16_products), gpu=_gpu(devices))


def _gpu(devices: Sequence[DeviceInfo]) -> TargetGpu:
    found = preferred(devices)
    if found is None:
        reasons = [device.verdict.reason for device in devices if device.kind == "opencl"]
        return TargetGpu("none", why_none=f"the board has no OpenCL device: {'; '.join(reasons)}")
    groups = group_facts(found) if found.device_class == "gpu" else None
    return TargetGpu(f"{found.vendor} {found.kind}", groups)
