"""What tests of exported files share: a small network with a bit of everything, and a name that would be code."""

import onnxruntime
import torch

from nasbench.model.export import to_onnx
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block

SMALL = Architecture(
    (3, 16, 16),
    10,
    (
        make_block("conv", 3, 16, 2, {}, "row"),
        make_block("mbconv", 16, 24, 2, {"se": 0.25, "expand": 3.67, "act": "hswish"}, "row"),
        make_block("mobileone", 24, 24, 1, {}, "row"),
        make_block("mobileone", 24, 24, 1, {}, "row"),
        make_block("pool_linear", 24, 10, 1, {}, "row"),
    ),
)

HOSTILE = (
    'x"""\n' + "'" * 3 + '\r\nimport os; os.mkdir("pwned")\x0c\x00\u2028import os'
    "\\N{DIGIT ONE}\\\n# -*- coding: utf-7 -*-\ud800"
)


def run_in_onnxruntime(network, images, path):
    """Write a network as ONNX and give the logits that ONNX Runtime, the oracle, makes of the images."""
    to_onnx(network, path, tuple(images.shape[1:]), len(images))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    return torch.from_numpy(logits)
