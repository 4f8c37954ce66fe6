"""Loads a compiled model as TVM loads any library; hetcomp itself is only needed to compile it."""

import json

import numpy as np
import tvm

import hetcomp
from hetcomp.bench import zoo

NETWORK = "squeezenet"


def main() -> None:
    """Compile with plan `split`, so that every task is shared, and run it through tvm.runtime."""
    model = zoo.build(NETWORK, **zoo.small_size(NETWORK))
    hetcomp.compile(model, output="model.so", options=hetcomp.CompileOptions(plan="split"))

    library = tvm.runtime.load_module("model.so")
    module = library["hetcomp_open"](json.dumps({"timeout_ms": 1000}))
    graph = json.loads(module["describe"]())["graph"]
    inputs = [graph["tensors"][index] for index in graph["inputs"]]
    outputs = [graph["tensors"][index] for index in graph["outputs"]]

    feeds = zoo.random_inputs(model)
    given = [tvm.runtime.tensor(feeds[item["name"]]) for item in inputs]
    results = [tvm.runtime.empty(item["shape"], item["dtype"]) for item in outputs]
    module["run"](*given, *results)
    for item, result in zip(outputs, results, strict=True):
        print(f"{item['name']} {item['shape']}: the largest is at {np.argmax(result.numpy())}")

    status = json.loads(module["status"]())
    print(f"runs {status['runs']}, fallbacks {status['fallbacks']}")


if __name__ == "__main__":
    main()
