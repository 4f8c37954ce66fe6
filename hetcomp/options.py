"""Options of a compilation, checked where they are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hetcomp.devices.htp import SOCS
from hetcomp.errors import InputError
from hetcomp.goal import Goal
from hetcomp.remote import Remote

__all__ = [
    "DEVICE_CLASSES",
    "EXPERIMENTAL_TIERS",
    "FORMS",
    "NPU_DRIVERS",
    "OPENCL_F16",
    "PLAN_NAMES",
    "PRECISIONS",
    "TIERS",
    "CompileOptions",
]

PLAN_NAMES = ("auto", "cpu", "gpu", "split", "npu")
"""Plans that can be asked for by name; anything else is the path of a plan file."""

NPU_DRIVERS = ("reference", "amx", "htp")
"""Drivers of the `npu` backend: `reference`, its oracle in portable C++; `amx`, Intel's tiles: a
matrix engine within the CPU, which stands in for an NPU; `htp`, Qualcomm's tensor processor."""

DEVICE_CLASSES = ("auto", "cpu-like", "gpu")
"""Kinds of OpenCL kernels."""

PRECISIONS = ("auto", "f32", "int8", "f16", "bf16")
"""Arithmetics."""

OPENCL_F16 = ("auto", "on", "off")
"""Whether OpenCL kernels multiply float16."""

TIERS = ("svm-ahead", "svm", "event", "finish", "cpu")
"""Ways in which CPU and OpenCL device wait for each other, the fastest first."""

EXPERIMENTAL_TIERS = ("mailbox",)
"""Further ones, never taken by `auto`: see `hetcomp.runtime.load`."""

FORMS = ("library", "program", "static")
"""What is made: a model.so; a program with a command line that needs the C library alone, and loads
OpenCL by it; one that needs and loads nothing, for the CPU."""

_PINS = ("auto", "on", "off")


@dataclass(frozen=True)
class CompileOptions:
    """How to compile.

    Attributes
    ----------
    plan
        `auto` measures and takes the fastest, `cpu` and `gpu` use one processor, `split` shares
        every task half and half, `npu` puts what the NPU takes there and the rest on the CPU;
        anything else is the path of a plan file.
    strict
        Fail instead of falling back: where a task cannot run where the plan wants it.
    gpu
        Whether to generate OpenCL kernels at all.
    device_class
        Kernels for OpenCL: `cpu-like` has one work-item a register tile, `gpu` work-groups whose
        items share a tile in local memory; `auto` goes by the device of this machine. Both are
        right on any device. `gpu` has direct convolutions and unfused attention, on the CPU too;
        plan `cpu` goes without that class, and `auto` takes it only if the CPU alone, with all of
        its kernels, is not faster.
    opencl_f16
        Whether kernels of class `gpu` multiply float16 in precision `f16`: `auto` does where the
        device of this machine does (cl_khr_fp16), `on` is for a device that is not here. One
        without the extension computes the same kernels in float32.
    exact
        Compute convolutions by their sums of products alone; otherwise Winograd's method, which
        is two to three times as fast, is taken where it pays. Its rounding error is that of the
        direct method or up to four times as much (see `hetcomp.schedules.winograd`).
    precision
        `auto` computes models in QDQ form on their integers and all others in float32; `int8`
        does the same, but refuses a model that is not in QDQ form; `f32` computes in float32
        between `QuantizeLinear` and `DequantizeLinear`. `f16` and `bf16` do as `f32`, but keep
        weights and what lies between tasks in 16 bits, and `f16` may multiply float16 (policy:
        `hetcomp.schedules.half`). What a model itself has in float16 stays so in each of them.
    pin
        Pinning while measuring: `on`, `off`, or `auto` (on where the OpenCL device is a CPU).
    measure_seconds
        Time limit for measuring in `auto`.
    use_cache
        Whether times measured before may be used again.
    tuned
        Data base of `tune`, whose winners set the kernels' parameters; empty for none. Kernels in
        16 bits take the winners of float32, with which they share tiles and parameters.
    goal
        What plan `auto` is to achieve.
    memory_limit
        Largest memory for activations in bytes, 0 for none.
    profile
        File of `hetcomp profile`: predicts the tasks' times in `auto`, which then measures whole
        plans only. Empty: tasks are measured.
    rpc
        `HOST:PORT` of a board's `hetcomp_rpc`, or `HOST:PORT,KEY` of a tracker: kernels are made
        for that board, on which `auto` measures. Empty: this machine.
    npu_driver
        Describe the tasks to NPU drivers, this one above all, and add the plan `npu` to the file.
        Plan `auto` measures it and uses it where that is faster.
        Empty: only for plan `npu`, to the driver `reference`. In precision `bf16` it takes
        products of bfloat16 too, else integers (policy: `hetcomp.schedules.half`). `htp` needs
        the package onnxruntime-qnn, whose libraries are proprietary (Qualcomm's AI Stack
        License).
    soc
        System on chip that driver `htp` compiles for, a key of `hetcomp.devices.htp.SOCS`.
    lock
        Held while `auto` measures, see `hetcomp.exclusive`.
    calibrate
        Samples of the inputs, an .npz file or a folder of them: the model, in float32, is quantised
        to 8 bits before it is compiled (see `hetcomp.quantize`). Empty: it is compiled as it is.
    cores
        CPUs that inferences are to run on, by Linux's numbers; those that the device lacks are left
        out. None: those of a named target's first cluster, of any other target all.
    keep_float
        Names of operators that are then left in float.
    form
        `library` is a model.so; `program` runs the model from its own command line and needs the C
        library alone, by which it finds OpenCL; `static` does not even need that, but has no
        OpenCL: a static program cannot load a driver. Plan `auto` is then plan `cpu`.
    ndk
        Folder of Android's NDK, for Android targets; empty: that of $ANDROID_NDK_HOME.

    Raises
    ------
    InputError
        A value is out of range.

    Examples
    --------
    >>> CompileOptions(plan="cpu").plan
    'cpu'
    """

    plan: str = "auto"
    strict: bool = False
    gpu: bool = True
    device_class: str = "auto"
    opencl_f16: str = "auto"
    exact: bool = False
    precision: str = "auto"
    pin: str = "auto"
    measure_seconds: float = 20.0
    use_cache: bool = True
    tuned: str = ""
    goal: Goal = field(default_factory=Goal)
    memory_limit: int = 0
    profile: str = ""
    rpc: str = ""
    npu_driver: str = ""
    soc: str = "SM8650"
    lock: Path | None = None
    calibrate: str = ""
    keep_float: tuple[str, ...] = ()
    cores: tuple[int, ...] | None = None
    form: str = "library"
    ndk: str = ""

    def __post_init__(self) -> None:
        if not self.plan:
            raise InputError(f"plan is empty; give {', '.join(PLAN_NAMES)} or a plan file")
        if self.device_class not in DEVICE_CLASSES:
            raise InputError(
                f"device_class must be one of {', '.join(DEVICE_CLASSES)}, "
                f"got '{self.device_class}'"
            )
        if self.opencl_f16 not in OPENCL_F16:
            raise InputError(
                f"opencl_f16 must be one of {', '.join(OPENCL_F16)}, got '{self.opencl_f16}'"
            )
        if self.precision not in PRECISIONS:
            raise InputError(
                f"precision must be one of {', '.join(PRECISIONS)}, got '{self.precision}'"
            )
        if self.pin not in _PINS:
            raise InputError(f"pin must be one of {', '.join(_PINS)}, got '{self.pin}'")
        if not self.measure_seconds > 0.0:
            raise InputError(f"measure_seconds must be above 0, got {self.measure_seconds}")
        if self.memory_limit < 0:
            raise InputError(f"memory_limit must not be negative, got {self.memory_limit}")
        if self.plan != "auto" and self.goal != Goal():
            raise InputError(f"a goal ({self.goal.text}) is for plan auto, not '{self.plan}'")
        if self.plan != "auto" and self.profile:
            raise InputError(f"a device profile is for plan auto, not '{self.plan}'")
        if self.rpc:
            Remote.parse(self.rpc)
        if self.npu and self.precision == "f16":
            raise InputError("the NPU takes integers and bf16; leave out --precision f16")
        if self.npu == "htp" and self.precision == "bf16":
            raise InputError("driver htp takes integers; leave out --precision bf16")
        if self.npu_driver and self.npu_driver not in NPU_DRIVERS:
            raise InputError(
                f"npu_driver must be one of {', '.join(NPU_DRIVERS)}, got '{self.npu_driver}'; "
                "`hetcomp devices` says why a driver is missing"
            )
        if self.soc not in SOCS:
            raise InputError(f"soc must be one of {', '.join(SOCS)}, got '{self.soc}'")
        if self.plan in ("gpu", "split") and not self.gpu:
            raise InputError(f"plan '{self.plan}' needs OpenCL kernels, but gpu is off")
        if self.form not in FORMS:
            raise InputError(f"form must be one of {', '.join(FORMS)}, got '{self.form}'")
        if self.form == "static" and (self.plan in ("gpu", "split") or self.npu == "htp"):
            raise InputError(
                "a static program loads no drivers, so that it runs on the CPU; take form program"
            )
        if self.form == "static" and (self.goal != Goal() or self.profile):
            raise InputError("a static program has plan cpu; leave out goal and profile")
        if self.keep_float and not self.calibrate:
            raise InputError("keep_float is for models that calibrate quantises; give samples too")
        if self.calibrate and self.precision in ("f16", "bf16"):
            raise InputError(
                f"calibrate makes a model of 8-bit integers; leave out --precision {self.precision}"
            )

    @property
    def multiplies_f16(self) -> bool:
        """Whether sums of products may be float16 for a while, where a processor has them."""
        return self.precision == "f16" and not self.exact

    @property
    def npu(self) -> str:
        """The NPU driver that the file is for; empty: none."""
        return self.npu_driver or (NPU_DRIVERS[0] if self.plan == "npu" else "")

    @property
    def plan_is_file(self) -> bool:
        """Whether `plan` is a path rather than the name of a planner."""
        return self.plan not in PLAN_NAMES
