"""Rewrite implicit padding to explicit ``pads``, in valid ONNX, once shapes are static.

``auto_pad`` and ConvTranspose's ``output_shape`` depend on extents: TVM's importer pads with an
operator of its own for the first and ignores the second.
"""

from collections.abc import Sequence

import onnx

from hetcomp.errors import ModelError
from hetcomp.frontend.structure import describe
from hetcomp.frontend.values import Values, is_onnx_domain

__all__ = ["canonicalise"]

_AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
_WINDOWS = frozenset({"Conv", "ConvInteger", "MaxPool", "AveragePool", "LpPool"})


def canonicalise(node: onnx.NodeProto, values: Values) -> None:
    """Make the padding of convolution and pooling nodes explicit, in place."""
    if not is_onnx_domain(node.domain):
        return
    if node.op_type in _WINDOWS:
        _explicit_window_pads(node, values)
    elif node.op_type == "ConvTranspose":
        _explicit_transpose_pads(node, values)


class _Window:
    """Attributes of a sliding window with ONNX's defaults; None where extents are unknown."""

    def __init__(self, node: onnx.NodeProto, values: Values) -> None:
        self.attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        self.auto_pad = self.attributes.get("auto_pad", b"NOTSET").decode(errors="replace")
        dims = values.dims(node.input[0])
        self.extents = None if dims is None else dims[2:]
        weight = values.dims(node.input[1]) if len(node.input) > 1 else None
        kernel = self.attributes.get("kernel_shape") or (weight[2:] if weight else None)
        self.kernel: Sequence[int] | None = kernel
        rank = len(kernel or ())
        self.strides: Sequence[int] = self.attributes.get("strides") or [1] * rank
        self.dilations: Sequence[int] = self.attributes.get("dilations") or [1] * rank
        self._check(node)

    def _check(self, node: onnx.NodeProto) -> None:
        if self.auto_pad not in _AUTO_PADS:
            raise ModelError(
                f"{describe(node)}: auto_pad is {self.auto_pad!r}; expected one of {_AUTO_PADS}"
            )
        if self.extents is None or self.kernel is None:
            return
        parts = {"kernel": self.kernel, "strides": self.strides, "dilations": self.dilations}
        for name, part in parts.items():
            if len(part) != len(self.extents) or min(part, default=1) < 1:
                raise ModelError(
                    f"{describe(node)}: {name} {list(part)} does not fit an input with "
                    f"{len(self.extents)} spatial dimensions; expected as many positive numbers"
                )

    @property
    def spans(self) -> list[int]:
        """Extents of the dilated kernel."""
        return [(k - 1) * d + 1 for k, d in zip(self.kernel or (), self.dilations, strict=True)]


def _explicit_window_pads(node: onnx.NodeProto, values: Values) -> None:
    window = _Window(node, values)
    if window.auto_pad == "NOTSET" or window.extents is None or window.kernel is None:
        return
    totals = [0] * len(window.extents)
    if window.auto_pad != "VALID":
        totals = [
            max((-(-extent // stride) - 1) * stride + span - extent, 0)
            for extent, stride, span in zip(
                window.extents, window.strides, window.spans, strict=True
            )
        ]
    _set_pads(node, totals, extra_first=window.auto_pad == "SAME_LOWER")


def _explicit_transpose_pads(node: onnx.NodeProto, values: Values) -> None:
    window = _Window(node, values)
    wanted = window.attributes.get("output_shape")
    if window.extents is None or window.kernel is None:
        return
    if wanted is None and window.auto_pad in ("NOTSET", "VALID"):
        return
    rank = len(window.extents)
    padding = window.attributes.get("output_padding") or [0] * rank
    if len(padding) != rank or (wanted and len(wanted) < rank):
        return  # the check refuses what is left
    targets = (
        list(wanted)[-rank:]
        if wanted
        else [e * s for e, s in zip(window.extents, window.strides, strict=True)]
    )
    totals = [
        stride * (extent - 1) + extra + span - target
        for stride, extent, extra, span, target in zip(
            window.strides, window.extents, padding, window.spans, targets, strict=True
        )
    ]
    if min(totals) < 0:
        return  # the check refuses what is left
    _set_pads(node, totals, extra_first=window.auto_pad != "SAME_UPPER")


def _set_pads(node: onnx.NodeProto, totals: Sequence[int], *, extra_first: bool) -> None:
    small = [total // 2 for total in totals]
    large = [total - total // 2 for total in totals]
    pads = large + small if extra_first else small + large
    kept = [a for a in node.attribute if a.name not in ("auto_pad", "pads", "output_shape")]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.append(onnx.helper.make_attribute("pads", pads))
