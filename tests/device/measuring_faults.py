"""Real measurements in which something goes wrong in the middle."""

import ctypes

import torch

from nasbench.device import measuring
from nasbench.device.measuring import measure
from nasbench.model import inference


def crash(request, link):
    measuring.warm_up = lambda run, plan, before_each: ctypes.string_at(0)
    return measure(request, link)


def _with_output(request, link, change):
    """Measure the real network, its output changed after it was computed."""

    class Changed(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network
            self.calls = 0

        def forward(self, images):
            self.calls += 1
            return change(self.network(images), self.calls)

    deploy = inference.deploy
    inference.deploy = lambda network: Changed(deploy(network))
    return measure(request, link)


def nan_weights(request, link):
    return _with_output(request, link, lambda logits, calls: logits / 0 * 0)


def moody(request, link):
    return _with_output(request, link, lambda logits, calls: logits + calls)
