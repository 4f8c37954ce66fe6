"""Writes the network, and sentences from Python's documentation as samples to quantise it by."""

import ast
import sysconfig
from pathlib import Path

import click
import numpy as np
import onnx
from export import build
from run import tokenize


def sentences() -> list[str]:
    """First paragraphs of the docstrings in the standard library, in a random order."""
    found = set()
    for path in Path(sysconfig.get_path("stdlib")).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
                if 20 < len(text) < 200:
                    found.add(text)
    ordered = sorted(found)
    return [ordered[i] for i in np.random.default_rng(0).permutation(len(ordered))]


@click.command()
@click.option("--tokens", type=click.IntRange(2, 512), default=32, show_default=True)
def main(tokens: int) -> None:
    """Write minilm.onnx, calibrate.npz and evaluate.npz to this folder."""
    onnx.save(build(tokens), "minilm.onnx")
    feeds = tokenize(tuple(sentences()[:96]), tokens)
    for name, part in (("calibrate", feeds[:64]), ("evaluate", feeds[64:])):
        arrays = {key: np.concatenate([feed[key] for feed in part]) for key in part[0]}
        np.savez(f"{name}.npz", **arrays)
        click.echo(f"{name}.npz: {len(part)} sentences of {tokens} tokens")


if __name__ == "__main__":
    main()
