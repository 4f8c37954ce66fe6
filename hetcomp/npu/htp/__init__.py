"""Driver `htp`: regions for Qualcomm's Hexagon tensor processor, compiled by the vendor's tools.

The integer arithmetic of a region is read as quantised layers (`read`), its bytes get scales and
zero points (`grids`), and it becomes a small ONNX model in QDQ form (`model`), of which ONNX
Runtime's provider QNN makes a context binary for one SoC (`context`). The runtime gives that to the
same provider (`runtime_patches/src/npu/npu_htp.cc`). See README.md in the folder above.
"""

from __future__ import annotations

from .context import check_installed
from .program import HtpProgram, HtpTasks, with_contexts

__all__ = ["HtpProgram", "HtpTasks", "check_installed", "with_contexts"]
