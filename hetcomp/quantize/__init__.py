"""Static quantisation of float models, and what it costs in accuracy.

`quantized` calibrates a float model on samples and puts it in QDQ form by ONNX Runtime's quantiser;
from there on it is compiled as any other model in that form. `deviations` compares every task's
value with the float model's, `find_culprits` names the operators that lose accuracy.
"""

from __future__ import annotations

from .accuracy import deviations
from .compilation import QuantizedImport, quantized
from .deviation import Deviation, DeviationSum
from .float_model import float_model
from .ranges import Ranges, calibrate
from .record import KEY, Quantization
from .report import AccuracyReport, TaskAccuracy, accuracy_report
from .samples import Samples
from .search import Culprit, Limits, Search, find_culprits
from .static import quantize
from .task_values import TaskValue, task_values

__all__ = [
    "KEY",
    "AccuracyReport",
    "Culprit",
    "Deviation",
    "DeviationSum",
    "Limits",
    "Quantization",
    "QuantizedImport",
    "Ranges",
    "Samples",
    "Search",
    "TaskAccuracy",
    "TaskValue",
    "accuracy_report",
    "calibrate",
    "deviations",
    "find_culprits",
    "float_model",
    "quantize",
    "quantized",
    "task_values",
]
