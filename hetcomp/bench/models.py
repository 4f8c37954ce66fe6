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
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import onnx

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.model_rows import Row
from hetcomp.bench.networks import Progress, Results, over_networks, silent
from hetcomp.bench.options import NetworkOptions
from hetcomp.bench.peers import Peer, open_peers
from hetcomp.bench.reference import relative_error
from hetcomp.bench.timing import Arm, Ratio, Samples, TimingOptions, gain, interleave, ratio
from hetcomp.cost.profile_file import load_profile
from hetcomp.device_class import find_groups
from hetcomp.errors import DeviceError, InputError
from hetcomp.exclusive import exclusive
from hetcomp.options import CompileOptions
from hetcomp.plan.io import read_plan
from hetcomp.runtime import Session, read_image

__all__ = ["BenchOptions", "bench_models"]

_ORT = "onnxruntime"
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
    """

    plans: tuple[str, ...] = ("cpu", "auto")
    threads: int = 1
    profile: str = ""

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


def bench_models(options: BenchOptions, progress: Progress | None = None) -> Results[Row]:
    """Compile and time every network; one that fails is noted and the others go on."""

    def measured(name: str, report: Progress) -> list[Row]:
        with tempfile.TemporaryDirectory(prefix="hetcomp-bench-") as folder:
            return _Network(options, name, Path(folder), report).rows()

    return over_networks(options.models, measured, progress or silent)


@dataclass(frozen=True)
class _Theirs:
    """Samples of the engines that are compared with."""

    peers: Sequence[Peer]
    samples: Sequence[Samples]

    def of(self, threads: int) -> Samples | None:
        """ONNX Runtime's."""
        pairs = zip(self.peers, self.samples, strict=True)
        named = (found for peer, found in pairs if (peer.name, peer.threads) == (_ORT, threads))
        return next(named, None)

    def ratios(self, ours: Samples, threads: int) -> dict[str, Any]:
        """The fields of a row that compare."""
        same, single = self.of(threads), self.of(1)
        pairs = list(zip(self.peers, self.samples, strict=True))
        peer, best = min(pairs, key=lambda pair: pair[1].median_ms) if pairs else (None, None)
        against = ratio(ours, same) if same else None
        return {
            "ratio_to_onnxruntime": against.median if against else None,
            "ratio_p10": against.p10 if against else None,
            "ratio_p90": against.p90 if against else None,
            "ratio_to_onnxruntime_1_thread": ratio(ours, single).median if single else None,
            "best_peer": f"{peer.name} x{peer.threads}" if peer else "",
            "ratio_to_best_peer": ratio(ours, best).median if best else None,
        }


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
        """Compile, load, compare once, time."""
        files = self._compiled()
        with ExitStack() as stack:
            plans = self._plans()
            ours = [stack.enter_context(self._load(*files[name], n)) for name, n in plans]
            asked = self.options
            peers = open_peers(asked.against, self.onnx, self.feeds, asked.threads)
            arms = [
                Arm(f"{name} x{n}", partial(session.run, self.feeds))
                for (name, n), session in zip(plans, ours, strict=True)
            ]
            arms += [Arm(f"{peer.name} x{peer.threads}", peer.run) for peer in peers]
            errors = [self._error(session, peers) for session in ours]
            with exclusive(self.options.lock):
                samples = interleave(
                    arms, self.options.timing, lambda text, part: self._report(text, (1 + part) / 2)
                )
            _check_npu(ours)
            theirs = _Theirs(peers, samples[len(ours) :])
            singles = _singles(plans, ours, samples)
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
        groups = find_groups(self.options.device_class) is not None
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

    def _load(self, path: Path, plan: str | None, threads: int) -> Session:
        session = hetcomp.load(path, plan=plan, adapt="off", quiet=True)
        if threads == 1 or session.status().gpu_steps:
            return session
        session.close()
        return hetcomp.load(path, plan=plan, threads=threads, adapt="off", quiet=True)

    def _error(self, session: Session, peers: Sequence[Peer]) -> float | None:
        if not peers or peers[0].name != _ORT:
            return None
        expected, got = peers[0].run(), session.run(self.feeds)
        return max(relative_error(got[name], expected[name]) for name in expected)

    def _our_row(
        self,
        plan: str,
        session: Session,
        samples: Samples,
        theirs: _Theirs,
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

    def _peer_row(self, peer: Peer, samples: Samples, theirs: _Theirs) -> Row:
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
        theirs: _Theirs,
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


def _check_npu(sessions: Sequence[Session]) -> None:
    """What the CPU computed instead of the NPU is no time of the NPU."""
    for session in sessions:
        if session.status().npu_fallbacks:
            raise DeviceError(session.status().why_no_npu)


def _singles(
    plans: Sequence[tuple[str, int]], sessions: Sequence[Session], samples: Sequence[Samples]
) -> tuple[Samples, ...]:
    """Samples of the CPU with one thread and of the OpenCL device; none unless both really ran."""
    found = {
        name: taken
        for (name, threads), session, taken in zip(plans, sessions, samples, strict=False)
        if (name == "gpu" or (name == "cpu" and threads == 1)) and session.status().plan == name
    }
    return tuple(found.values()) if len(found) == 2 else ()
