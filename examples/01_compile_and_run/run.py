"""Compiles a small network, runs it, compares with ONNX Runtime and shows who runs what."""

from collections import Counter

import numpy as np
import onnxruntime

import hetcomp
from hetcomp.bench import zoo
from hetcomp.plan.transfer import share_of

NETWORK = "resnet18"


def main() -> None:
    """Do it all in the current folder."""
    model = zoo.build(NETWORK, size=112, width=0.5)
    feeds = zoo.random_inputs(model)

    artifact = hetcomp.compile(
        model,  # or the path of an ONNX file
        output="model.so",
        options=hetcomp.CompileOptions(plan="auto"),
    )
    print(f"compiled {artifact.graph.name} to {artifact.path.name}")

    with hetcomp.load("model.so") as session:
        for info in (*session.inputs, *session.outputs):
            print(f"{info.name}: {info.dtype} {info.shape}")
        outputs = session.run(feeds)

    reference = onnxruntime.InferenceSession(model.SerializeToString())
    for name, array in outputs.items():
        expected = reference.run([name], feeds)[0]
        error = np.abs(array - expected).max() / np.abs(expected).max()
        print(f"{name}: largest error {error:.1e} of the largest value")

    plan = artifact.plan
    places = Counter(decision.place.value for decision in plan.decisions)
    counts = ", ".join(f"{place} {places[place]}" for place in ("cpu", "gpu", "split"))
    print(f"tasks by processor: {counts}")
    for task, decision in list(zip(artifact.graph.tasks, plan.decisions, strict=True))[:3]:
        share = share_of(task, decision).cpu
        print(f"{task.name}: the CPU does {share:.0%}")


if __name__ == "__main__":
    main()
