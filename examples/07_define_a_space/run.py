"""Defines a space for one kernel, searches it, and compiles the model with the best it found."""

from dataclasses import replace

import hetcomp
from hetcomp.bench import zoo
from hetcomp.schedules.choice import Bound, Knob, Space
from hetcomp.tuning import TuneOptions, tasks_of, tune_tasks


def main() -> None:
    """In the manner of autotvm: define a space, tune, apply the best."""
    model = zoo.build("squeezenet", size=64, width=0.25)

    task = next(task for task in tasks_of(model) if task.name == "features.3.expand3x3")
    offered = {knob.name: knob for knob in task.spaces["direct"].knobs}
    for name in ("height", "vectors", "cpu.unroll"):
        print(f"offered: {name} in {offered[name].values}, default {offered[name].default}")

    mine = Space(
        knobs=(
            Knob("height", tuple(h for h in range(1, 8) if h in offered["height"].values), 7),
            Knob("vectors", (1, 2), offered["vectors"].default),
            Knob("cpu.unroll", (1, 2, 4), 1),
        ),
        bounds=(Bound(("height", "vectors"), 14),),  # accumulators: half the register file
    )
    report = tune_tasks(
        [replace(task, spaces={"direct": mine})],
        database="tuned.jsonl",
        options=TuneOptions(trials=8, device="cpu", seed=1),
    )

    (result,) = report.tasks
    best = {**mine.defaults(), **result.choice}
    print(f"{result.trials} candidates, {result.failures} failed")
    print(f"best: {', '.join(f'{name}={value}' for name, value in best.items())}")
    print(f"takes {result.ratio:.2f} of the default's time")

    options = hetcomp.CompileOptions(plan="cpu", tuned="tuned.jsonl")
    graph = hetcomp.compile(model, output="model.so", options=options).graph
    answer = next(graph.kernels[t.kernel].tuned for t in graph.tasks if t.name == task.name)
    print(f"compiled; {task.name} is in the data base: {'not in' not in answer}")


if __name__ == "__main__":
    main()
