"""ONNX in, Relax out: ``import_onnx`` reads, binds shapes, folds, checks and converts a model.

The steps, one file each: ``load`` (bytes to a sound ``ModelProto``), ``bind`` (every input gets a
static shape), ``fold`` (shape arithmetic and constant subgraphs disappear; with ``canonical``,
which rewrites old or implicit forms), ``check`` (refuses what would fail or be silently wrong),
``convert`` (TVM's importer with our ``converters``), ``constants`` (NumPy folding in Relax).

Limits: static shapes only; no control flow except ``If`` with a constant condition; no sequence,
optional or string values.
"""

from hetcomp.frontend.importer import import_onnx
from hetcomp.frontend.spec import ImportedModel, TensorSpec

__all__ = ["ImportedModel", "TensorSpec", "import_onnx"]
