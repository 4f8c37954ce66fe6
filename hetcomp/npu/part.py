"""What a compilation does for NPU drivers: verdicts on tasks, and the NPUs' part of the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Plan

from .htp import HtpTasks, with_contexts
from .htp.terms import Constants
from .operators import Operator, describe

__all__ = ["NpuPart", "NpuTasks"]


@dataclass(frozen=True)
class NpuPart:
    """The NPUs' part of a file.

    Attributes
    ----------
    graph
        The tasks, with a constant tensor for each context of a vendor's compiler.
    arrays
        The data of these tensors, which follow the graph's other constants.
    description
        For the image; None: the file has nothing for NPUs.
    """

    graph: TaskGraph
    arrays: tuple[np.ndarray[Any, Any], ...] = ()
    description: dict[str, Any] | None = None


@dataclass(frozen=True)
class NpuTasks:
    """Tasks as a driver sees them: those of `graph` say whether it takes them."""

    driver: str
    graph: TaskGraph
    operators: tuple[Operator | None, ...]
    htp: HtpTasks | None = None

    @staticmethod
    def of(
        driver: str,
        graph: TaskGraph,
        operators: Sequence[Operator | None],
        constants: Constants,
    ) -> NpuTasks:
        """Ask the driver; "" is none.

        Parameters
        ----------
        driver
            One of `hetcomp.options.NPU_DRIVERS`.
        graph, operators
            The tasks, and the operators that they are.
        constants
            Gives the array of a constant tensor.
        """
        if driver != "htp":
            return NpuTasks(driver, graph, tuple(operators))
        htp = HtpTasks.of(graph, operators, constants)
        return NpuTasks(driver, htp.graph, tuple(operators), htp)

    def part(self, plans: Sequence[Plan], soc: str) -> NpuPart:
        """The part of a file with these plans, for one system on chip where that matters.

        Raises
        ------
        ToolchainError
            The vendor's tools are not installed, or end without an answer.
        """
        if not self.driver:
            return NpuPart(self.graph)
        if self.htp is None:
            return NpuPart(self.graph, (), describe(self.operators, self.driver))
        program = with_contexts(self.htp, plans, soc)
        description = describe(self.operators, self.driver, program.contexts)
        return NpuPart(program.graph, program.arrays, description)
