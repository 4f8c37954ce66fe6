"""Inferences of ONNX Runtime, run by arm64's Python: SITE MODEL.onnx COUNT FEEDS.npz OUTPUTS.

Imports nothing but NumPy and ONNX Runtime, which lie in SITE.
"""

import os
import sys

site, model, count, feeds, outputs = sys.argv[1:]
sys.path.insert(0, site)

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.log_severity_level = 3
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
given = dict(np.load(feeds))
results = []
for _ in range(int(count)):
    results = session.run(None, given)
with open(outputs, "wb") as file:
    for result in results:
        file.write(np.ascontiguousarray(result).tobytes())
os._exit(0)
