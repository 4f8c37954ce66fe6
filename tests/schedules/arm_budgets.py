"""What each kernel costs on ARM cores: instructions, exactly, and cycles by LLVM's pipeline models.

`PYTHONPATH=tests/support python tests/schedules/arm_budgets.py` measures all and prints them beside
the budgets of tests/data/arm_budgets.json; `--write` makes what was measured the budget.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from arena import Arena, Trial
from arm_harness import Emulated, build_program, calls_of
from budget_cases import CASES, BudgetCase
from emulated_counts import count_blocks
from emulated_profile import Stretch, disassembly, stretches
from kernel_harness import FILLS, lower, random_feeds, with_algorithm
from pipeline_model import PIPELINES, cycles_of

from hetcomp.codegen.lower import Lowered
from hetcomp.targets.arm_cores import ARM_CORES, arm_cpu

__all__ = ["BUDGETS", "Cost", "load_budgets", "measure"]

BUDGETS = Path(__file__).resolve().parent.parent / "data" / "arm_budgets.json"
_SHARE = 0.95
"""Of a kernel's instructions whose cycles are looked at, its hottest stretches first."""
_PRODUCT = r"fml[as]|[su]+dot|(us|bf)mmla|smull2?|smlsl2?"


@dataclass(frozen=True)
class Cost:
    """What one run of a kernel takes.

    Attributes
    ----------
    instructions
        Exact.
    cycles
        If all data lie in the first cache: the hottest stretches', and for the others as many as
        those take an instruction.
    products_per_cycle
        Vector multiply-adds that its hottest stretch issues a cycle.
    scalar_products
        Multiply-adds of one number each in stretches that hold a twentieth of its instructions.
    """

    instructions: int
    cycles: int
    products_per_cycle: float
    scalar_products: int


def measure(core: str, names: Sequence[str], folder: Path) -> dict[str, Cost]:
    """The costs of the cases `names` on `core`, all run as one emulated program."""
    emulated = Emulated(arm_cpu(ARM_CORES[core], core), "max")
    arena, symbols = Arena(), {}
    for name in names:
        lowered, first = _lowered(CASES[name], emulated), len(arena.kernels)
        arena.add(Trial(lowered, random_feeds(CASES[name].model)), None)
        symbols[name] = [
            kernel.symbol
            for kernel in arena.kernels[first:]
            if kernel.scheduled.kind == CASES[name].kind
        ]
        assert symbols[name], f"no kernel of kind {CASES[name].kind} in {name}"
    ran = _run(arena, emulated, folder)
    return {name: _cost([one for one in ran if _is_of(one, own)], core)
            for name, own in symbols.items()}  # fmt: skip


def load_budgets() -> dict[str, dict[str, Cost]]:
    """Budgets by core and case."""
    stored = json.loads(BUDGETS.read_text(encoding="utf-8"))
    return {
        core: {name: Cost(**cost) for name, cost in costs.items()} for core, costs in stored.items()
    }


def _lowered(case: BudgetCase, emulated: Emulated) -> Lowered:
    choose = with_algorithm(case.algorithm) if case.algorithm else None
    return lower(case.model, emulated.facts, choose, half=case.half)


def _run(arena: Arena, emulated: Emulated, folder: Path) -> list[Stretch]:
    program = build_program(arena.kernels, emulated, folder)
    calls, memory = folder / "calls", folder / "memory"
    calls_of(arena).tofile(calls)
    arena.image(FILLS[0]).tofile(memory)
    blocks = count_blocks([os.fspath(path) for path in (program, calls, memory)], folder)
    return stretches(disassembly(program), blocks)


def _is_of(stretch: Stretch, symbols: Sequence[str]) -> bool:
    return any(symbol in stretch.function for symbol in symbols)


def _cost(ran: Sequence[Stretch], core: str) -> Cost:
    total = sum(one.total for one in ran)
    hottest = sorted(ran, key=lambda one: -one.total)
    looked_at: list[Stretch] = []
    while sum(one.total for one in looked_at) < _SHARE * total:
        looked_at.append(hottest[len(looked_at)])
    cycles = cycles_of([[i.text for i in one.instructions] for one in looked_at], core)
    spent = sum(each * one.executions for each, one in zip(cycles, looked_at, strict=True))
    covered = sum(one.total for one in looked_at)
    return Cost(
        instructions=total,
        cycles=round(spent * total / covered),
        products_per_cycle=round(hottest[0].count(_PRODUCT) / cycles[0], 2),
        scalar_products=sum(
            one.count("fn?m(add|sub)") for one in ran if one.total >= (1 - _SHARE) * total
        ),
    )


def _print(core: str, costs: Mapping[str, Cost], budgets: Mapping[str, Cost]) -> None:
    print(f"{core:24} {'instructions':>14} {'budget':>10} {'cycles':>10} {'products/cycle':>16}")
    for name, cost in costs.items():
        budget = budgets[name].instructions if name in budgets else 0
        print(
            f"  {name:22} {cost.instructions:14,} {budget:10,} {cost.cycles:10,}"
            f" {cost.products_per_cycle:16}"
        )


def main() -> None:
    """Measure and print, or write the budgets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", default=",".join(PIPELINES))
    parser.add_argument("--cases", default=",".join(CASES), help="separated by ';'")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    names = list(CASES) if arguments.cases == ",".join(CASES) else arguments.cases.split(";")
    budgets = load_budgets() if BUDGETS.exists() else {}
    for core in arguments.cores.split(","):
        with tempfile.TemporaryDirectory() as folder:
            costs = measure(core, names, Path(folder))
        _print(core, costs, budgets.get(core, {}))
        budgets[core] = {**budgets.get(core, {}), **costs}
    if arguments.write:
        stored = {
            core: {name: asdict(cost) for name, cost in costs.items()}
            for core, costs in budgets.items()
        }
        BUDGETS.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
