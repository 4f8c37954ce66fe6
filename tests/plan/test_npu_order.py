"""Step tables with the NPU, executed on made-up bytes: any order of the processors is right.

A task's result is a hash of its inputs. Every tensor of the arena is kept as its bytes are: what
another one writes over is lost. Lanes advance in a drawn order, as far as their waits allow; a
region's inputs are read when it is handed over, its outputs written when it is taken back, or
its tasks are run by the CPU then.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from plan_graphs import GraphBuilder

from hetcomp.plan.graph import Space, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place, Plan
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import Step, StepTable

SEEDS = range(150)


def drawn_graph(rng: random.Random) -> TaskGraph:
    """Tasks that read one or two of the last four tensors, some in place of their input."""
    builder = GraphBuilder()
    tensors = [builder.tensor(128 * rng.randint(1, 4))]
    for _ in range(rng.randint(4, 12)):
        read = rng.sample(tensors[-4:], k=min(len(tensors), rng.choice([1, 1, 2])))
        out = builder.tensor(128 * rng.randint(1, 4))
        builder.task(read, [out], npu=rng.random() < 0.8)
        tensors.append(out)
    used = {tensor for task in builder.tasks for tensor in task.inputs}
    graph = builder.graph(tensors[:1], [t for t in tensors[1:] if t not in used])
    return graph


def drawn_plan(rng: random.Random, graph: TaskGraph) -> Plan:
    decisions, place = [], Place.CPU
    for task in graph.tasks:
        if rng.random() < 0.5:
            place = rng.choice([Place.CPU, Place.GPU, Place.NPU, Place.NPU])
        fits = place is not Place.NPU or task.npu
        decisions.append(Decision(task.name, place if fits else Place.CPU, Axis.ROWS))
    return Plan("drawn", tuple(decisions))


@dataclass
class Machine:
    """Memory as the value that each 128 bytes hold, and who has done how much."""

    graph: TaskGraph
    table: StepTable
    memory: dict[int, int] = field(default_factory=dict)
    handed: dict[int, dict[int, tuple[int, ...]]] = field(default_factory=dict)

    def read(self, tensor: int) -> tuple[int, ...]:
        return tuple(self.memory.get(place, -1) for place in self._places(tensor))

    def write(self, tensor: int, value: int) -> None:
        for number, place in enumerate(self._places(tensor)):
            self.memory[place] = hash((value, number))

    def run(self, step: Step, npu_fails: Callable[[], bool]) -> None:
        if step.npu == 0:
            self._task(step.task)
            return
        region = self.table.npu[abs(step.npu) - 1]
        if step.npu > 0:
            self.handed[step.npu] = {tensor: self.read(tensor) for tensor in region.inputs}
        elif npu_fails():
            for task in region.tasks:
                self._task(task)
        else:
            self._take_back(-step.npu)

    def _take_back(self, number: int) -> None:
        own, values = dict(self.handed[number]), dict[int, int]()
        region = self.table.npu[number - 1]
        for index in region.tasks:
            task = self.graph.tasks[index]
            values[task.outputs[0]] = hash((index, *(own[tensor] for tensor in task.inputs)))
            size = len(self._places(task.outputs[0]))
            own[task.outputs[0]] = tuple(
                hash((values[task.outputs[0]], number)) for number in range(size)
            )
        for tensor in region.outputs:
            self.write(tensor, values[tensor])

    def _task(self, index: int) -> None:
        task = self.graph.tasks[index]
        self.write(task.outputs[0], hash((index, *(self.read(i) for i in task.inputs))))

    def _places(self, tensor: int) -> range:
        assert self.graph.tensors[tensor].space is Space.ARENA
        begin = self.table.offsets[tensor]
        return range(begin, begin + self.graph.tensors[tensor].size_bytes, 128)


def results(
    graph: TaskGraph, table: StepTable, rng: random.Random, fails: float
) -> list[tuple[int, ...]]:
    machine = Machine(graph, table)
    for tensor in graph.inputs:
        machine.write(tensor, tensor)
    lanes, done = (table.cpu, table.gpu), [0, 0]
    while any(done[side] < len(lanes[side]) for side in (0, 1)):
        ready = [
            side
            for side in (0, 1)
            if done[side] < len(lanes[side]) and lanes[side][done[side]].wait <= done[1 - side]
        ]
        assert ready, "dead-lock"
        side = rng.choice(ready)
        machine.run(lanes[side][done[side]], lambda: rng.random() < fails)
        done[side] += 1
    return [machine.read(tensor) for tensor in graph.outputs]


@pytest.mark.parametrize("room", [1.0, 4.0])
@pytest.mark.parametrize("fails", [0.0, 0.5])
def test_any_order_gives_the_results_of_the_cpu(room: float, fails: float) -> None:
    early = joined = 0
    for seed in SEEDS:
        rng = random.Random(seed)
        graph = drawn_graph(rng)
        cpu = Plan("cpu", tuple(Decision(task.name, Place.CPU) for task in graph.tasks))
        expected = results(graph, make_table(graph, cpu), rng, 0.0)
        table = make_table(graph, drawn_plan(rng, graph), room=room)
        for _ in range(4):
            assert results(graph, table, rng, fails) == expected, f"seed {seed}"
        before = [step.task for step in table.cpu if step.npu >= 0]
        early += before != sorted(before)
        joined += any(step.tasks[-1] - step.tasks[0] >= len(step.tasks) for step in table.npu)
    assert early > 10, "regions are handed over before tasks that precede them"
    assert joined > 5, "regions have tasks that do not follow each other"
