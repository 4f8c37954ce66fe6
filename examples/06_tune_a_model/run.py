"""Tunes the kernels of a small network, compiles it with what was found, compares the outputs.

Everything goes through the command line, as an engineer would do it by hand.
"""

import json
import subprocess
import sys

import numpy as np


def hetcomp(*arguments: str) -> str:
    """Run the command-line tool; its Python module is the same as `hetcomp` on the path."""
    print("$ hetcomp", *arguments)
    command = [sys.executable, "-m", "hetcomp", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Tune, compile without and with the data base, run both."""
    zoo = [sys.executable, "-m", "hetcomp.bench.zoo", "squeezenet", "--size", "64"]
    subprocess.run([*zoo, "--width", "0.25", "-o", "model.onnx"], check=True, stdout=sys.stderr)

    tune = ("tune", "model.onnx", "--db", "tuned.jsonl", "--device", "cpu", "--trials", "12")
    tuned = [task for task in json.loads(hetcomp(*tune, "--json"))["tasks"] if task["trials"]]
    print(f"{sum(task['trials'] for task in tuned)} candidates for {len(tuned)} kernels")
    ratios = [task["ratio"] for task in tuned if task["ratio"] is not None]  # null: not confirmed
    print(f"the fastest takes {min(ratios, default=1.0):.2f} of its default's time")

    again = json.loads(hetcomp(*tune, "--json"))  # nothing is left to do: it goes on where it was
    print(f"still {again['trials']} candidates")

    hetcomp("compile", "model.onnx", "-o", "default.so", "--plan", "cpu")
    compiled = hetcomp(
        "compile",
        "model.onnx",
        "-o",
        "tuned.so",
        "--plan",
        "cpu",
        "--tuned",
        "tuned.jsonl",
        "--json",
    )
    answers = json.loads(compiled)["tuned"].values()
    yes = sum(answer.startswith("yes") for answer in answers)
    print(f"{yes} of {len(answers)} tasks run a tuned kernel")

    for name in ("default", "tuned"):
        hetcomp("run", f"{name}.so", "--seed", "1", "--outputs", f"{name}.npz")
    with np.load("default.npz") as default, np.load("tuned.npz") as other:
        difference = np.abs(default["logits"] - other["logits"]).max()
        print(f"largest difference of the outputs: {difference:.1e}")
        assert difference < 1e-4


if __name__ == "__main__":
    main()
