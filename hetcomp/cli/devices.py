"""`hetcomp devices`."""

from __future__ import annotations

import click

from hetcomp.cli.common import command_options
from hetcomp.cli.output import print_json, print_table
from hetcomp.devices import DeviceInfo, describe_devices
from hetcomp.remote import Remote

__all__ = ["devices"]


@click.command()
@click.option(
    "--rpc",
    default="",
    metavar="HOST:PORT[,KEY]",
    help="Those of the board with hetcomp_rpc.",
)
@command_options
def devices(rpc: str, as_json: bool) -> None:
    """List processors, drivers, SVM tiers, and why something is missing."""
    found = describe_devices(Remote.parse(rpc) if rpc else None)
    if as_json:
        print_json({"devices": [device.to_json() for device in found]})
        return
    print_table("", ("kind", "name", "used", "details", "reason"), map(_row, found))
    for device in found:
        if device.advice:
            click.echo(f"{device.kind}: {device.advice}")


def _row(device: DeviceInfo) -> tuple[str, str, str, str, str]:
    used = "yes" if device.verdict.ok else "no"
    return device.kind, device.name, used, _details(device), device.verdict.reason


def _details(device: DeviceInfo) -> str:
    if device.cpu is not None:
        caches = ", ".join(
            f"L{cache.level} {cache.kind} {cache.size_bytes // 1024} KiB"
            for cache in device.cpu.caches
        )
        cores = f"{device.cpu.machine}, {len(device.cpu.usable_cores)} of {device.cpu.cores} cores"
        return "; ".join(filter(None, (cores, " ".join(device.cpu.features), caches)))
    if device.opencl is not None:
        cl = device.opencl
        svm = ", ".join(cl.svm) or "no SVM"
        divides = f"divides into {cl.max_sub_devices}" if cl.max_sub_devices else "not divisible"
        return (
            f"{cl.kind}, {cl.platform}, {cl.version}, driver {cl.driver}; tier {cl.tier}; {svm}; "
            f"{cl.compute_units} compute units, {divides}; class {cl.device_class}: work-groups of "
            f"{cl.max_group_items} items, {cl.local_bytes >> 10} KiB local memory, "
            f"{'f16' if cl.f16 else 'no f16'}"
        )
    return ""
