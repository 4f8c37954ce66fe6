"""The order of all graph passes: this list, and nowhere else."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax

from hetcomp.passes.anchors import LegalizeAnchors
from hetcomp.passes.attention import FuseAttention
from hetcomp.passes.channel_shuffle import InterleaveChannels
from hetcomp.passes.conv1d import Conv1dAsConv2d
from hetcomp.passes.fold_constants import FoldConstants
from hetcomp.passes.fusion_guard import GuardBroadcasts
from hetcomp.passes.integer_anchors import IntegerAnchors
from hetcomp.passes.join_parts import JoinParts
from hetcomp.passes.linear_resize import SeparateResize
from hetcomp.passes.nchw_input import AbsorbInputLayout
from hetcomp.passes.quantize_arithmetic import QuantizeArithmetic
from hetcomp.passes.quantized import IntegerOperators
from hetcomp.passes.sink_transposes import SinkTransposes
from hetcomp.passes.slices import SlicesOfSplits
from hetcomp.passes.softmax_axis import SoftmaxLastAxis
from hetcomp.passes.task_names import NameTasks, RememberValues

__all__ = ["fusion_pipeline"]


def fusion_pipeline(*, integers: bool = True, fuse_attention: bool = True) -> Any:
    """Passes from the imported Relax module to fused TIR functions, one per task.

    Parameters
    ----------
    integers
        Whether models in QDQ form are computed on their integers.
    fuse_attention
        Whether attention becomes one task; OpenCL's class `gpu` has kernels for its parts only.
    """
    return tvm.transform.Sequential(
        [
            # Quantised models: operators on integers
            *([IntegerOperators()] if integers else []),
            QuantizeArithmetic(),
            # Canonical operators
            relax.transform.DecomposeOpsForInference(),
            SoftmaxLastAxis(),
            Conv1dAsConv2d(),
            # Layout: NHWC throughout, weights HWIO
            relax.transform.ConvertLayout({"relax.nn.conv2d": ["NHWC", "HWIO"]}),
            relax.transform.Normalize(),
            relax.transform.CanonicalizeBindings(),
            FoldConstants(),
            SinkTransposes(),
            InterleaveChannels(),
            IntegerAnchors(),
            AbsorbInputLayout(),
            SeparateResize(),
            JoinParts(),
            *([FuseAttention()] if fuse_attention else []),
            # Operators to TIR, anchors annotated
            SlicesOfSplits(),
            LegalizeAnchors(),
            relax.transform.DeadCodeElimination(),
            # Tasks: an anchor with its element-wise tail, or a chain of element-wise operators
            # (not a depthwise convolution with the product behind it: with all inputs in the cache
            # MobileNetV2's 17 pairs would gain 2.6% of the network, one core with 2 MiB of L2)
            relax.transform.AnnotateTIROpPattern(),
            GuardBroadcasts(),
            RememberValues(),
            relax.transform.FuseOps(),
            NameTasks(),
            relax.transform.FuseTIR(),
            # Reshapes become views
            relax.transform.RewriteDataflowReshape(),
            relax.transform.DeadCodeElimination(),
        ],
        name="hetcomp.fusion",
    )
