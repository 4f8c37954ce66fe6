"""`hetcomp profile`: constants first, then kernels batch by batch until the time is up.

Compilation is most of the time, so worker processes compile the next batches while these are
measured. All that was measured is in a log beside the output, from which a run that was
interrupted goes on.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from hetcomp._version import __version__
from hetcomp.cost.npu_model import NpuModel
from hetcomp.cost.profile import DeviceProfile
from hetcomp.cost.profile_file import check_replaceable, save_profile, versions
from hetcomp.cost.roofline import ProcessorFacts, processor_facts
from hetcomp.cost.training import fitted
from hetcomp.devices import DeviceInfo, fingerprint
from hetcomp.errors import HetcompError, ProfileError
from hetcomp.exclusive import waited_s
from hetcomp.files import check_writable
from hetcomp.machine import Machine
from hetcomp.profile.batch import layers_of
from hetcomp.profile.build import Build, Job, building
from hetcomp.profile.constants import (
    is_complete,
    limits_of,
    measure_constants,
    slow_down_of,
    sync_of,
    was_pinned,
)
from hetcomp.profile.families import Point
from hetcomp.profile.kernels import KernelOptions
from hetcomp.profile.log import Batch, Header, MeasureLog
from hetcomp.profile.measurer import Measurer
from hetcomp.profile.misses import find_misses
from hetcomp.profile.npu import check_npu, profile_npu
from hetcomp.profile.options import ProfileOptions
from hetcomp.profile.passes import Passes
from hetcomp.profile.probes import PROBES
from hetcomp.profile.rounds import Finished, Rounds
from hetcomp.profile.sampler import Sampler

__all__ = ["profile_device"]

Progress = Callable[[str, float], None]

_BATCH, _QUICK_BATCH = 16, 6
_EXACT_EVERY = 4
"""Every so many batches keep to direct methods, which compile --exact needs times of."""
_HALF_EVERY = 7
"""Every so many batches keep weights and activations in 16 bits, for compile --precision f16."""
_LOOK_EVERY = 6
"""Batches after which errors are looked at again."""
_VISITS, _QUICK_VISITS = 3, 2
"""Of each batch."""
_PROBES_NUMBER = -1
_UNKNOWN_NUMBER = -2
"""Of a batch whose compilation failed."""
_PASSES = 3
"""Over the constants, as one burst of other load spoils a pass."""


def profile_device(
    output: str | os.PathLike[str],
    options: ProfileOptions | None = None,
    progress: Progress | None = None,
) -> DeviceProfile:
    """Measure this device and write its profile.

    Parameters
    ----------
    output
        File to write; compressed where it ends in `.gz`. A profile of this device that is there is
        replaced, of whatever version it is, or damaged; any other file is refused.
    options
        How long, and the seed.
    progress
        Called with the stage and the part done, 0 to 1.

    Returns
    -------
    DeviceProfile
        What was written.

    Raises
    ------
    ProfileError
        The NPU driver is missing; `output` belongs to another device, or the log of an interrupted
        run beside it to another device, version or seed; or no kernel could be measured.
    InputError
        `output` cannot be written.

    Examples
    --------
    >>> profile = profile_device("device.json", ProfileOptions(quick=True))  # doctest: +SKIP
    >>> len(profile.samples)  # doctest: +SKIP
    1204
    """
    options = options or ProfileOptions()
    path = Path(output)
    check_writable(path, "output")
    if options.npu_driver:
        check_npu(options.npu_driver)
    machine = Machine.parse(options.rpc)
    devices = machine.devices()
    asked = fingerprint(devices, pinned=True)
    if path.exists():
        check_replaceable(path, asked)
    header = Header(asked, __version__, options.seed)
    log = MeasureLog.open(path.with_name(path.name + ".log"), header)
    run = _Run(options, log, machine, devices, progress or (lambda _text, _part: None))
    run.measure()
    if not log.samples:
        raise ProfileError(_nothing_measured(log))
    profile = run.profile(fingerprint(devices, pinned=was_pinned(log.constants)))
    if options.npu_driver:
        profile = replace(profile, npu=run.npu())
    save_profile(profile, path)
    log.remove()
    return profile


class _Run:
    """One call of `profile_device`: its log, its clock, its workers."""

    def __init__(
        self,
        options: ProfileOptions,
        log: MeasureLog,
        machine: Machine,
        devices: Sequence[DeviceInfo],
        progress: Progress,
    ) -> None:
        self._options, self._log, self._progress = options, log, progress
        self._gpu = any(item.opencl is not None and item.verdict for item in devices)
        self._machine, self._described = machine, _machine(devices)
        self._error: float | None = None
        self._tried = bool(log.batches)
        self._lock = options.lock or (None if options.rpc else _default_lock())
        kernels = KernelOptions(cuts=2 if options.quick else 4)
        self._measurer = Measurer(self._lock, kernels, machine)
        self._rounds = Rounds(self._measurer, _QUICK_VISITS if options.quick else _VISITS)
        self._begin = self._clock()
        done = [point for batch in log.batches for point in batch.points]
        self._sampler = Sampler(options.seed, done)
        self._drawn: dict[int, tuple[Point, ...]] = {}
        self._number = max((batch.number for batch in log.batches), default=-1)

    def measure(self) -> None:
        """Constants, then kernels until the time is up, but one batch at least."""
        workers = self._options.workers or len(os.sched_getaffinity(0))
        known = is_complete(self._log.constants, gpu=self._gpu)
        with building(workers) as submit, self._measurer:
            self._report("compiling")
            probes = None if known else submit(self._probes())
            ahead: set[Future[Build]] = {submit(self._job()) for _ in range(workers)}
            if probes is not None:
                self._constants(probes)
            while self._left_s() > 0.0 or not self._tried:
                self._report("kernels")
                self._spend()
                limit_s = self._left_s() if self._tried else None
                done, ahead = wait(ahead, limit_s, return_when=FIRST_COMPLETED)
                for future in done:
                    ahead.add(submit(self._job()))
                    self._batch(future)
            self._keep(self._rounds.finish())

    def profile(self, device: str) -> DeviceProfile:
        """Everything measured, and models of it."""
        self._report("training")
        constants = self._log.constants
        return fitted(
            DeviceProfile(
                device=device,
                machine={**self._described, "failures": self._log.failures},
                seed=self._options.seed,
                sync=sync_of(constants),
                slow_down=slow_down_of(constants),
                limits=limits_of(constants),
                samples=self._log.samples,
            )
        )

    def npu(self) -> dict[str, NpuModel]:
        """The NPU driver that was asked for."""
        self._report("the NPU")
        driver, seed = self._options.npu_driver, self._options.seed
        return {driver: profile_npu(driver, seed, self._lock)}

    def _processors(self) -> dict[str, ProcessorFacts]:
        limits = limits_of(self._log.constants)
        names = ("cpu", "gpu") if self._gpu else ("cpu",)
        return {name: processor_facts(name, limits, self._described) for name in names}

    def _look_closer(self) -> None:
        """Steer the sampler to where a rough model is wrong."""
        points = [point for batch in self._log.batches for point in batch.points]
        misses = find_misses(
            self._log.samples, points, self._processors(), seed=len(self._log.batches)
        )
        self._sampler.learn(misses)
        if misses:
            self._error = float(np.median([miss.error for miss in misses]))

    def _constants(self, future: Future[Build]) -> None:
        build = future.result()
        passes = 1 if self._options.quick else _PASSES
        kept = Passes(self._log.passes, self._log.put_pass)
        found = self._machine.held(
            lambda: measure_constants(build, self._machine, self._lock, passes, self._report, kept),
            self._report,
        )
        for stage, values in found.items():
            self._log.put_constants(stage, values)

    def _batch(self, future: Future[Build]) -> None:
        """A round that begins with a new batch; one that fails is left out, the profile says so."""
        self._tried = True
        try:
            build = future.result()
        except (HetcompError, ChildProcessError, TimeoutError) as error:
            self._log.put_failure(_UNKNOWN_NUMBER, f"{type(error).__name__}: {error}")
            return
        self._keep(self._rounds.add(build))

    def _keep(self, batches: Iterable[Finished]) -> None:
        """Keep what was measured of batches that are finished."""
        for found in batches:
            number = found.build.job.number
            found.build.path.unlink(missing_ok=True)
            if found.failure:
                self._log.put_failure(number, found.failure)
                continue
            self._log.put_batch(Batch(number, self._drawn[number], found.samples))
            if len(self._log.batches) % _LOOK_EVERY == _LOOK_EVERY - 1:
                self._look_closer()

    def _job(self) -> Job:
        self._number += 1
        points = self._sampler.next(_QUICK_BATCH if self._options.quick else _BATCH)
        self._drawn[self._number] = points
        exact = self._number % _EXACT_EVERY == _EXACT_EVERY - 1
        precision = "f16" if self._number % _HALF_EVERY == _HALF_EVERY - 1 else "auto"
        layers = layers_of(points)
        seed, rpc = self._options.seed, self._options.rpc
        return Job(self._number, layers, seed, exact, self._gpu, precision, rpc)

    def _probes(self) -> Job:
        seed, rpc = self._options.seed, self._options.rpc
        return Job(_PROBES_NUMBER, PROBES, seed, False, self._gpu, rpc=rpc)

    def _spend(self) -> None:
        """Book the time since the last call, for a run that goes on with the log."""
        now = self._clock()
        self._log.put_spent(now - self._begin)
        self._begin = now

    def _elapsed_s(self) -> float:
        return self._log.spent_s + self._clock() - self._begin

    def _clock(self) -> float:
        """Seconds, without those in which others held the lock."""
        return time.perf_counter() - waited_s() - self._measurer.waited_s

    def _left_s(self) -> float:
        return self._options.seconds - self._elapsed_s()

    def _report(self, stage: str) -> None:
        layers = sum(len(batch.points) for batch in self._log.batches)
        text = f"{stage}, {layers} layers so far" if layers else stage
        if self._error is not None:
            text += f", unseen ones predicted {np.expm1(self._error):.0%} off"
        self._progress(text, min(1.0, self._elapsed_s() / self._options.seconds))


def _nothing_measured(log: MeasureLog) -> str:
    why = f"the first of {len(log.failures)} failures: {log.failures[0]}; " if log.failures else ""
    return f"no kernel was measured, so there is no profile; {why}the log is {log.path}"


def _default_lock() -> Path:
    folder = Path(platformdirs.user_cache_dir("hetcomp"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "timing.lock"


def _machine(devices: Sequence[DeviceInfo]) -> dict[str, Any]:
    described = [device.to_json() for device in devices]
    return {
        "devices": json.loads(json.dumps(described)),  # lists, as they come back from a file
        "system": platform.platform(),
        "python": platform.python_version(),
        **versions(),
        "load": list(os.getloadavg()),
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
