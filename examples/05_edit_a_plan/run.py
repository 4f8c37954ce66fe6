"""Writes a model's plan to a file, gives the CPU more of one task, compiles with the edited plan.

Everything goes through the command line, as an engineer would do it by hand.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np


def hetcomp(*arguments: str) -> None:
    """Run the command-line tool; its Python module is the same as `hetcomp` on the path."""
    print("$ hetcomp", *arguments)
    subprocess.run([sys.executable, "-m", "hetcomp", *arguments], check=True, stdout=sys.stderr)


def edit(source: str, target: str) -> None:
    """Let the CPU take three quarters of the first split task, wherever it was cut before."""
    plan = json.loads(Path(source).read_text())
    decision = next(item for item in plan["decisions"] if item["place"] == "split")
    before = decision["cut"]  # the CPU takes tiles [0, cut); the split plan cuts in the middle
    decision["cut"] = before + before // 2
    decision["reason"] = "edited by hand"
    plan["name"] = "mine"
    Path(target).write_text(json.dumps(plan, indent=2))
    print(f"{decision['task']}: the CPU takes {decision['cut']} tiles instead of {before}")


def main() -> None:
    """Compile, edit, compile again, compare the outputs."""
    zoo = [sys.executable, "-m", "hetcomp.bench.zoo", "squeezenet", "--size", "64"]
    subprocess.run([*zoo, "--width", "0.25", "-o", "model.onnx"], check=True, stdout=sys.stderr)

    hetcomp("compile", "model.onnx", "-o", "first.so", "--plan", "split")
    hetcomp("explain", "first.so", "--plan-out", "first.json")
    edit("first.json", "edited.json")
    hetcomp("compile", "model.onnx", "-o", "edited.so", "--plan", "edited.json")

    for name in ("first", "edited"):
        hetcomp("run", f"{name}.so", "--seed", "1", "--outputs", f"{name}.npz")
    with np.load("first.npz") as first, np.load("edited.npz") as edited:
        for name in first:
            difference = np.abs(first[name] - edited[name]).max() / np.abs(first[name]).max()
            print(f"{name}: the two differ by {difference:.1e} of the largest value")
            assert difference < 1e-5


if __name__ == "__main__":
    main()
