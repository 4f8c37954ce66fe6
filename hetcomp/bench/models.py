"""`hetcomp bench models`: whole networks, ours under several plans against ONNX Runtime.

All arms run in this one process and take turns. A ratio is our time over theirs, so below 1 is
faster. `ratio_to_onnxruntime` compares with as many threads as were asked for, whatever our plan
uses; `ratio_to_onnxruntime_1_thread` with one; `ratio_to_best_peer` with the fastest of all engines
and threads. A plan that uses the OpenCL device has one CPU thread beside it, other plans have as
many as asked for. `gain_over_best_single` is the time of the better processor by itself over ours,
so above 1 is faster.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.board import Opener, has_group_kernels, opener, plan_arm
from hetcomp.bench.model_ratios import ORT, Theirs, singles_of
from hetcomp.bench.model_rows import Row
from hetcomp.bench.networks import Progress, Results, over_networks, silent
from hetcomp.bench.options import NetworkOptions
from hetcomp.bench.peers import Peer, open_peers
from hetcomp.bench.reference import Array, reference_outputs, relative_error
from hetcomp.bench.timing import Arm, Ratio, Samples, TimingOptions, gain, interleave
from hetcomp.cost.profile_file import load_profile
from hetcomp.errors import DeviceError, InputError
from hetcomp.exclusive import exclusive
from hetcomp.machine import Machine
from hetcomp.options import CompileOptions
from hetcomp.plan.io import read_plan
from hetcomp.runtime import Session, read_image

__all__ = ["BenchOptions", "bench_models"]

QUICK = TimingOptions(rounds=5, reps=2, cap_seconds=5.0)


@dataclass(frozen=True)
class BenchOptions(NetworkOptions):
    """What to run.

    Attributes
    ----------
    plans
        Plans of ours: `auto`, `cpu`, `gpu`, `split`, or plan files.
    threads
        CPU threads for ONNX Runtime and for our plans without the OpenCL device.
    profile
        See `CompileOptions`; for plan `auto`.
    rpc
        `HOST:PORT[,KEY]` of a board that is measured in place of this machine, by its clock and
        without peers; outputs are compared with ONNX Runtime's here. Empty: this machine.
    """

    plans: tuple[str, ...] = ("cpu", "auto")
    threads: int = 1
    profile: str = ""
    rpc: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.plans:
            raise InputError("name at least one plan")
        for plan in self.plans:
            if CompileOptions(plan=plan).plan_is_file:
                read_plan(plan)  # a bad file is refused before any network
        if self.profile:
            if "auto" not in self.plans:
                raise InputError(f"a device profile is for plan auto, not {', '.join(self.plans)}")
            load_profile(self.profile)
        if self.threads < 1:
            raise InputError(f"threads must be at least 1, got {self.threads}")
        if self.rpc and self.against:
            raise InputError(f"no {self.against[0]} on a board: with rpc, 'against' is empty")

    @property
    def kernels(self) -> CompileOptions:
        """Options of a compilation that has the kernels to measure, where they are measured."""
        return replace(super().kernels, rpc=self.rpc)


def bench_models(options: BenchOptions, progress: Progress | None = None) -> Results[Row]:
    """Compile and time every network; one that fails is noted and the others go on."""

    def measured(name: str, report: Progress) -> list[Row]:
        with tempfile.TemporaryDirectory(prefix="hetcomp-bench-") as folder:
            return _Network(options, name, Path(folder), report).rows()

    return over_networks(options.models, measured, progress or silent)


class _Network:
    """One network on its way from the zoo to rows."""

    def __init__(self, options: BenchOptions, name: str, folder: Path, report: Progress) -> None:
        self.options, self.name, self.folder = options, name, folder
        self._report = report
        report("building", 0.0)
        model = zoo.build(name, size=options.size, qdq=options.qdq)
        self.feeds = zoo.random_inputs(model)
        self.onnx = folder / f"{name}.onnx"
        onnx.save(model, self.onnx)

    def rows(self) -> list[Row]:
        """Compile, load, compare once, time; once more from loading on where a link drops."""
        files = self._compiled()
        machine = Machine.parse(self.options.rpc)
        return machine.held(lambda: self._measured(files), lambda text: self._report(text, 0.5))

    def _measured(self, files: Mapping[str, tuple[Path, str | None]]) -> list[Row]:
        asked = self.options
        with ExitStack() as stack:
            plans, opening = self._plans(), stack.enter_context(opener(asked.rpc))
            ours = [stack.enter_context(_opened(opening, *files[name], n)) for name, n in plans]
            peers = open_peers(asked.against, self.onnx, self.feeds, asked.threads)
            arms = [
                plan_arm(f"{name} x{n}", session, self.feeds, asked.rpc)
                for (name, n), session in zip(plans, ours, strict=True)
            ]
            arms += [Arm(f"{peer.name} x{peer.threads}", peer.run) for peer in peers]
            expected = self._expected(peers)
            errors = [self._error(session, expected) for session in ours]
            with exclusive(self.options.lock):
                samples = interleave(
                    arms, self.options.timing, lambda text, part: self._report(text, (1 + part) / 2)
                )
            _check_npu(ours)
            theirs = Theirs(peers, samples[len(ours) :])
            singles = singles_of(plans, ours, samples)
            rows = [
                self._our_row(name, session, found, theirs, singles, error)
                for (name, _), session, found, error in zip(
                    plans, ours, samples, errors, strict=False
                )
            ]
        return rows + [
            self._peer_row(peer, found, theirs)
            for peer, found in zip(peers, theirs.samples, strict=True)
        ]

    def _compiled(self) -> dict[str, tuple[Path, str | None]]:
        """File and plan name for every plan asked for; one file serves all the plans in it, but
        the CPU has faster kernels in its own where OpenCL kernels are of class `gpu`."""
        found: dict[str, tuple[Path, str | None]] = {}
        inside: dict[str, Path] = {}
        groups = has_group_kernels(self.options.device_class, self.options.rpc)
        for plan in sorted(self.options.plans, key=lambda name: name != "auto"):
            if plan in inside:
                found[plan] = (inside[plan], plan)
                continue
            path = self.folder / f"{self.name}-{len(found)}.so"
            hetcomp.compile(
                self.onnx,
                output=path,
                options=replace(
                    self.options.kernels,
                    plan=plan,
                    profile=self.options.profile if plan == "auto" else "",
                ),
                progress=lambda text, part: self._report(text, part / 2),
            )
            found[plan] = (path, None)
            for other in read_image(path).plans:
                if other.name != "cpu" or not groups:
                    inside.setdefault(other.name, path)
        return found

    def _plans(self) -> list[tuple[str, int]]:
        """Plans with their CPU threads; the CPU alone also with one, as the single processor."""
        n = self.options.threads
        return [
            (name, count)
            for name in self.options.plans
            for count in (sorted({1, n}) if name == "cpu" else [n])
        ]

    def _expected(self, peers: Sequence[Peer]) -> Mapping[str, Array] | None:
        """ONNX Runtime's outputs, where it is among the peers, or these are not where it runs."""
        if self.options.rpc:
            return reference_outputs(self.onnx, self.feeds)
        return peers[0].run() if peers and peers[0].name == ORT else None

    def _error(self, session: Session, expected: Mapping[str, Array] | None) -> float | None:
        if expected is None:
            return None
        got = session.run(self.feeds)
        return max(relative_error(got[name], expected[name]) for name in expected)

    def _our_row(
        self,
        plan: str,
        session: Session,
        samples: Samples,
        theirs: Theirs,
        singles: Sequence[Samples],
        error: float | None,
    ) -> Row:
        status = session.status()
        return Row(
            **self._common(plan, samples, theirs, gain(singles, samples) if singles else None),
            cpu_threads=status.threads,
            ran_plan=status.plan,
            tier=status.tier,
            why_no_gpu=status.why_no_gpu,
            max_relative_error=error,
            fallbacks=status.fallbacks,
            load_ms=status.open_ms,
            first_run_ms=status.first_run_ms,
            program_cache=status.program_cache,
        )

    def _peer_row(self, peer: Peer, samples: Samples, theirs: Theirs) -> Row:
        return Row(
            **self._common(peer.name, samples, theirs, None),
            cpu_threads=peer.threads,
            ran_plan=peer.name,
            tier="cpu",
            why_no_gpu="",
            max_relative_error=None,
            fallbacks=0,
            load_ms=None,
            first_run_ms=None,
            program_cache="",
        )

    def _common(
        self,
        plan: str,
        samples: Samples,
        theirs: Theirs,
        gained: Ratio | None,
    ) -> dict[str, Any]:
        return {
            "model": self.name,
            "size": self.options.size,
            "plan": plan,
            "threads": self.options.threads,
            "median_ms": samples.median_ms,
            "p10_ms": samples.percentile_ms(10),
            "p99_ms": samples.percentile_ms(99),
            "n": len(samples.all_ms),
            **theirs.ratios(samples, self.options.threads),
            "gain_over_best_single": gained.median if gained else None,
            "gain_p10": gained.p10 if gained else None,
            "gain_p90": gained.p90 if gained else None,
            "samples_ms": samples.all_ms,
        }


def _opened(opening: Opener, path: Path, plan: str | None, threads: int) -> Session:
    """A session with `threads` where the OpenCL device is not used."""
    session = opening(path, plan=plan, adapt="off")
    if threads == 1 or session.status().gpu_steps:
        return session
    session.close()
    return opening(path, plan=plan, threads=threads, adapt="off")


def _check_npu(sessions: Sequence[Session]) -> None:
    """What the CPU computed instead of the NPU is no time of the NPU."""
    for session in sessions:
        if session.status().npu_fallbacks:
            raise DeviceError(session.status().why_no_npu)
