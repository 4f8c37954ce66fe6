"""Thousands of inferences from many threads over several models: right outputs, steady memory.

Three networks of the zoo, each with its own plan, are compiled and opened in one process; every
thread goes round them, by `run`, by `submit` and through `submit` dropped unfinished. Every output
is compared with ONNX Runtime's. Resident memory is read after a warm-up and at the end.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.reference import compare, reference_outputs

NETWORKS = (("resnet18", "split"), ("mobilenetv2", "gpu"), ("squeezenet", "split"))
FEEDS = 4
"""Different inputs a network."""

GROWTH_MB = 8.0
"""Resident memory that may be added: caches of the allocator, one for each thread."""


@dataclass(frozen=True)
class Subject:
    """An opened model with inputs and what they must give."""

    session: hetcomp.Session
    feeds: tuple[dict[str, Any], ...]
    expected: tuple[dict[str, Any], ...]

    def infer(self, turn: int) -> None:
        """One inference, checked."""
        index = turn % FEEDS
        feeds = self.feeds[index]
        if turn % 3 == 0:
            self.session.submit(feeds)  # given up at once
        results = self.session.run(feeds) if turn % 2 else self.session.submit(feeds).result(60.0)
        for comparison in compare(results, self.expected[index]):
            if not comparison.ok:
                raise AssertionError(f"wrong output: {comparison}")


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def make_subject(folder: Path, network: str, plan: str) -> Subject:
    """A small network of the zoo, compiled and opened."""
    model = zoo.build(network, **zoo.small_size(network))
    source, path = folder / f"{network}.onnx", folder / f"{network}.so"
    onnx.save(model, source)
    hetcomp.compile(source, output=path, options=hetcomp.CompileOptions(plan=plan))
    feeds = tuple(zoo.random_inputs(model, seed) for seed in range(FEEDS))
    expected = tuple(reference_outputs(source, item) for item in feeds)
    return Subject(hetcomp.load(path), feeds, expected)


def hammer(subjects: list[Subject], first: int, last: int) -> None:
    """Inferences number `first` to `last`, from this thread."""
    for turn in range(first, last):
        subjects[turn % len(subjects)].infer(turn)


def run_all(subjects: list[Subject], total: int, threads: int) -> None:
    """`total` inferences, divided among threads."""
    cuts = [total * part // threads for part in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        jobs = [
            pool.submit(hammer, subjects, first, last) for first, last in itertools.pairwise(cuts)
        ]
        for job in jobs:
            job.result()


def main() -> None:
    """Run, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inferences", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        subjects = [make_subject(Path(name), *item) for item in NETWORKS]
        run_all(subjects, max(given.inferences // 5, given.threads), given.threads)
        before, begin = resident_mb(), time.monotonic()
        run_all(subjects, given.inferences, given.threads)
        seconds, after = time.monotonic() - begin, resident_mb()
        tiers = ", ".join(subject.session.status().tier for subject in subjects)
        fallbacks = sum(subject.session.status().fallbacks for subject in subjects)
        for subject in subjects:
            subject.session.close()
    print(f"{given.inferences} inferences, {given.threads} threads, tiers {tiers}: all right")
    print(f"{seconds:.1f} s, {fallbacks} fallbacks; resident {before:.1f} -> {after:.1f} MB")
    if after - before > GROWTH_MB:
        raise SystemExit(f"memory has grown by {after - before:.1f} MB")


if __name__ == "__main__":
    main()
