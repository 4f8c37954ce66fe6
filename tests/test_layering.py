"""Imports go downward only: each layer may use itself and those before it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = (
    (
        "_version",
        "errors",
        "files",
        "memory",
        "exclusive",
        "worker",
        "goal",
        "remote",
        "options",
        "devices",
    ),
    ("cost",),
    ("plan", "passes", "schedules", "frontend"),
    ("tune", "codegen", "npu", "quantize", "runtime", "device_class", "targets"),
    (
        "pipeline",
        "placement",
        "auto_npu",
        "auto_plan",
        "auto_contest",
        "cpu_alone",
        "trial_process",
        "unmeasured",
        "machine",
        "precision",
    ),
    ("stages", "generate", "driver", "tuning", "profile"),
    ("bench", "cli", "__main__"),
)
RANKS = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
FACADE = "__init__"
"""`hetcomp/__init__.py` names the public API; only the top layer may import it."""


def sources() -> Iterator[tuple[str, Path]]:
    """Modules of the installed package: dotted name below `hetcomp`, and file."""
    for folder, prefix in (("hetcomp", ""), ("passes", "passes."), ("schedules", "schedules.")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield prefix + ".".join(parts), path


def imported(name: str, path: Path) -> Iterator[tuple[str, int]]:
    """Full name and line of everything that a file imports, anywhere in it.

    Names reached through `import hetcomp` count where they are used.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            home = f"hetcomp.{name}".split(".")[: -node.level] if node.level else []
            module = ".".join([*home, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{module}.{alias.name}", node.lineno
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "hetcomp":
            yield f"hetcomp.{node.attr}", node.lineno


def rank_of(target: str) -> int | None:
    """Layer of an imported name; None where it is not ours, the top for the public names."""
    parts = target.split(".")
    if parts[0] != "hetcomp" or len(parts) == 1 or parts[1].startswith("__"):
        return None
    return RANKS.get(parts[1], len(LAYERS) - 1)


def violations(name: str, path: Path) -> list[str]:
    top = name.split(".")[0]
    if top == FACADE:
        return []
    found = []
    for target, line in imported(name, path):
        rank = rank_of(target)
        if rank is not None and rank > RANKS[top]:
            found.append(f"{path}:{line}: {top} imports {target}")
    return found


def test_every_part_has_a_layer() -> None:
    parts = {name.split(".")[0] for name, _ in sources()}
    assert parts - {FACADE} <= RANKS.keys()


def test_imports_go_downward() -> None:
    found = [text for name, path in sources() for text in violations(name, path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("part", ["plan", "cost", "runtime", "cli", "devices", "tune"])
def test_running_does_not_need_the_compiler(part: str) -> None:
    """TVM and onnx are not imported at the head of a module outside the compiler."""
    found = []
    for name, path in sources():
        if not name.startswith(f"{part}."):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
            found += [n for n in names if n.split(".")[0] in ("tvm", "onnx", "onnxruntime")]
    assert not found


def test_the_rule_sees_a_violation(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    lines = ("from hetcomp.runtime import load", "hetcomp.compile(1)", "from ..cli import main")
    path.write_text("def f():\n" + "".join(f"    {line}\n" for line in lines))
    assert len(violations("plan.x", path)) == 3
    assert violations("bench.x", path) == []
