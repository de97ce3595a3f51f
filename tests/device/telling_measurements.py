"""Real measurements that tell of their process."""

import sys

from nasbench.device.measuring import measure


def imported(request, link):
    answer = measure(request, link)
    heavy = {"torch", "onnx", "onnxscript", "onnxruntime", "openvino"} & set(sys.modules)
    return {**answer, "environment": {"imported": sorted(heavy)}}
