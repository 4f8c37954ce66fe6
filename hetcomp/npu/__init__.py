"""Tasks as operators that an NPU's driver can read: the partitioner and the region program.

A `TaskGraph` knows of a task only which kernel runs it. Here the fused function behind it is read
once more, as an `Operator`: a product, a reduction or an element-wise map, with the scalar
arithmetic that follows it. The arithmetic is that of the CPU's kernel, rounding included, so that
a region may run on either and give the same bits; but for the order of sums of bfloat16.
"""

from __future__ import annotations

from .operators import FORMAT_VERSION, Operator, cut_columns, cut_rows, describe
from .packing import packings
from .reader import OperatorReader
from .recognise import recognise
from .refused import Refused

__all__ = [
    "FORMAT_VERSION",
    "Operator",
    "OperatorReader",
    "Refused",
    "cut_columns",
    "cut_rows",
    "describe",
    "packings",
    "recognise",
]
