"""Readable, unique names of tasks, and the ONNX nodes they come from."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from hetcomp.plan.graph import Task

__all__ = ["NodeNames", "unique_names"]


class NodeNames:
    """ONNX nodes by the names that Relax values carry, which are those of the nodes' outputs."""

    def __init__(self, model: Any) -> None:
        self._node_of = {
            _identifier(output): str(node.name)
            for node in model.graph.node
            for output in node.output
        }

    def sources(self, values: Iterable[str]) -> tuple[str, ...]:
        """The nodes that make `values`, in that order; values TVM made up belong to none."""
        found = (self._node_of.get(_identifier(value)) for value in values)
        return tuple(dict.fromkeys(node for node in found if node))


def _identifier(name: str) -> str:
    """What is left of an ONNX name in Relax, which wants identifiers."""
    return re.sub(r"\W", "_", name, flags=re.ASCII).removeprefix("v_")


def unique_names(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Name tasks after their first ONNX node, else by kind and number.

    Of several tasks of one node the one with the most work has the node's name; the others have
    their kind added.
    """
    largest: dict[str, Task] = {}
    for task in tasks:
        node = _node(task)
        if node not in largest or task.flops > largest[node].flops:
            largest[node] = task
    taken: set[str] = set()
    return tuple(
        dataclasses.replace(task, name=_free(task, taken, plain=largest[_node(task)] is task))
        for task in tasks
    )


def _node(task: Task) -> str:
    return task.source[0] if task.source else ""


def _free(task: Task, taken: set[str], *, plain: bool) -> str:
    node = _node(task)
    stem = f"{node}.{task.kind}" if node else task.kind
    numbered = (f"{stem}_{count}" for count in itertools.count(1 if not node else 2))
    wanted = [node] if node and plain else [stem] if node else []
    name = next(name for name in itertools.chain(wanted, numbered) if name not in taken)
    taken.add(name)
    return name
