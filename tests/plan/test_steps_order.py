"""No order of events that the waits allow lets a step read a wrong version or clobber one."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from plan_graphs import GraphBuilder

from hetcomp.plan.check import grid_of
from hetcomp.plan.graph import Grid, Space, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place, Plan
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import NpuStep, Step, StepTable

LINE = 128
CPU, GPU = 0, 1


@st.composite
def graphs(draw: st.DrawFn) -> TaskGraph:
    builder = GraphBuilder()
    sizes = st.integers(1, 6 * LINE)
    inputs = [builder.tensor(draw(sizes)) for _ in range(draw(st.integers(1, 3)))]
    weight = builder.tensor(LINE, Space.CONSTANT)
    known = [*inputs]
    for _ in range(draw(st.integers(1, 12))):
        reads = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
        outs = [builder.tensor(draw(sizes)) for _ in range(draw(st.integers(1, 2)))]
        rows = Grid(draw(st.integers(1, 5)), draw(st.booleans()))
        channels = Grid(draw(st.integers(1, 4)), draw(st.booleans()))
        opencl, npu = draw(st.integers(0, 5)) > 0, draw(st.integers(0, 2)) > 0
        grids = {"rows": rows, "channels": channels}
        builder.task([*reads, weight], outs, **grids, opencl=opencl, npu=npu)
        known += outs
        if draw(st.booleans()):
            root = draw(st.sampled_from(known))
            known.append(builder.tensor(builder.tensors[root].size_bytes, alias_of=root))
    outputs = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
    return builder.graph(inputs, outputs)


@st.composite
def plans(draw: st.DrawFn, graph: TaskGraph) -> Plan:
    decisions = []
    for task in graph.tasks:
        places = [Place.CPU, *([Place.NPU] * task.npu)]
        if graph.kernels[task.kernel].opencl:
            places += [Place.GPU, Place.SPLIT]
        place = draw(st.sampled_from(places))
        axis = draw(st.sampled_from(list(Axis)))
        grid = grid_of(task, axis)
        if place is Place.SPLIT and grid.extent < 2:
            place = Place.GPU
        cut = grid.legal_cut(draw(st.integers(0, grid.extent)))
        decisions.append(Decision(task.name, place, axis, cut))
    return Plan("random", tuple(draw(st.permutations(decisions))))


@dataclass
class Memory:
    """What each half of each line of the arena holds: (tensor, True) once written, or
    (tensor, False) while it is being written. Halves of a split write one half-line each, which
    stands for disjoint elements however the axis lies in memory."""

    graph: TaskGraph
    table: StepTable
    held: dict[tuple[int, int], tuple[int, bool]] = field(default_factory=dict)

    def cells(self, tensor: int, side: int) -> list[tuple[int, int]]:
        root = self.graph.root(tensor)
        offset = self.table.offsets[root]
        end = offset + self.graph.tensors[root].size_bytes
        assert end <= self.table.arena_bytes
        assert offset % LINE == 0
        return [(line, side) for line in range(offset // LINE, -(-end // LINE))]

    def expect(self, tensor: int, done: bool, sides: tuple[int, ...]) -> None:
        root = self.graph.root(tensor)
        for side in sides:
            for cell in self.cells(tensor, side):
                assert self.held.get(cell) == (root, done), (tensor, cell)

    def write(self, tensor: int, done: bool, sides: tuple[int, ...]) -> None:
        root = self.graph.root(tensor)
        for side in sides:
            for cell in self.cells(tensor, side):
                self.held[cell] = (root, done)


@dataclass
class Machine:
    """Two processors that walk a table in any order the waits allow."""

    graph: TaskGraph
    table: StepTable
    memory: Memory
    done: list[int] = field(default_factory=lambda: [0, 0])
    epoch: list[int] = field(default_factory=lambda: [0, 0])
    running: list[bool] = field(default_factory=lambda: [False, False])

    def steps(self, side: int) -> tuple[Step, ...]:
        return self.table.cpu if side == CPU else self.table.gpu

    def may_move(self, side: int) -> bool:
        if self.done[side] == len(self.steps(side)):
            return False
        step = self.steps(side)[self.done[side]]
        return self.running[side] or self.epoch[1 - side] >= step.wait

    def sides(self, step: Step, side: int) -> tuple[int, ...]:
        task = self.graph.tasks[step.task]
        whole = (0, task.rows.extent, 0, task.channels.extent)
        ranges = (step.row_begin, step.row_end, step.channel_begin, step.channel_end)
        return (CPU, GPU) if ranges == whole else (side,)

    def touch(self, side: int, step: Step) -> None:
        """What a step does when it begins, and again when it ends."""
        if step.npu > 0:
            for tensor in self.table.npu[step.npu - 1].inputs:
                self.memory.expect(tensor, True, (CPU, GPU))
            return
        if step.npu < 0:
            self.run_region(self.table.npu[-step.npu - 1], ends=self.running[side])
            return
        task = self.graph.tasks[step.task]
        sides = self.sides(step, side)
        for tensor in task.inputs:
            if self.graph.tensors[self.graph.root(tensor)].space is Space.ARENA:
                self.memory.expect(tensor, True, (CPU, GPU))
        for tensor in task.outputs:
            if self.running[side]:
                self.memory.expect(tensor, False, sides)
            self.memory.write(tensor, self.running[side], sides)

    def run_region(self, region: NpuStep, *, ends: bool) -> None:
        """The CPU takes over: tasks in order, on inputs that have waited for it."""
        if not ends:
            for tensor in region.inputs:
                self.memory.expect(tensor, True, (CPU, GPU))
        made: set[int] = set()
        for index in region.tasks:
            task = self.graph.tasks[index]
            for tensor in task.inputs:
                if self.graph.root(tensor) in made:
                    self.memory.expect(tensor, True, (CPU, GPU))
            for tensor in task.outputs:
                self.memory.write(tensor, True, (CPU, GPU))
                made.add(self.graph.root(tensor))

    def move(self, side: int) -> None:
        step = self.steps(side)[self.done[side]]
        self.touch(side, step)
        if self.running[side]:
            self.done[side] += 1
            if step.signal:
                self.epoch[side] = self.done[side]
        self.running[side] = not self.running[side]

    def run(self, rng: random.Random) -> None:
        for tensor in self.graph.inputs:
            self.memory.write(tensor, True, (CPU, GPU))
        bias = rng.choice([0.05, 0.5, 0.95])
        while any(self.done[s] < len(self.steps(s)) for s in (CPU, GPU)):
            movable = [side for side in (CPU, GPU) if self.may_move(side)]
            assert movable, "both processors wait for each other"
            side = movable[0] if len(movable) == 1 else int(rng.random() < bias)
            self.move(side)
        if self.table.gpu:
            assert self.epoch[GPU] == len(self.table.gpu)
        for tensor in self.graph.outputs:
            self.memory.expect(tensor, True, (CPU, GPU))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32), limited=st.booleans())
def test_every_allowed_order_is_right(data: st.DataObject, seed: int, limited: bool) -> None:
    graph = data.draw(graphs())
    plan = data.draw(plans(graph))
    table = make_table(graph, plan, room=1.0 if limited else math.inf)
    rng = random.Random(seed)
    for _ in range(6):
        Machine(graph, table, Memory(graph, table)).run(rng)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_waits_grow_and_point_at_signals(data: st.DataObject) -> None:
    graph = data.draw(graphs())
    table = make_table(graph, data.draw(plans(graph)))
    for mine, others in ((table.cpu, table.gpu), (table.gpu, table.cpu)):
        waits = [step.wait for step in mine if step.wait]
        assert waits == sorted(set(waits))
        assert all(others[wait - 1].signal for wait in waits)
        awaited = {step.wait for step in others} | ({len(mine)} if mine is table.gpu else set())
        assert [n for n, step in enumerate(mine, 1) if step.signal] == sorted(awaited - {0})
