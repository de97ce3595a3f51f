"""Measuring processes with something known or broken in the place of the network; they need a GPU."""

import os

import torch

from nasbench.device import loading
from nasbench.device.cuda_measuring import measure


class _Spin(torch.nn.Module):
    """Keeps one SM spinning for so many of its cycles."""

    def forward(self, images):
        torch.cuda._sleep(int(os.environ["NASBENCH_TEST_CYCLES"]))
        return images.new_zeros((images.shape[0], 10))


class _Assert(torch.nn.Module):
    """Reads behind the end of a tensor, which the GPU notices."""

    def forward(self, images):
        table = images.flatten(1)
        index = torch.full((images.shape[0], 10), table.shape[1] + 1, device=images.device)
        return table.gather(1, index) if images.is_cuda else images.new_zeros((images.shape[0], 10))


class _TooLarge(torch.nn.Module):
    """Asks the GPU for 4 TiB."""

    def forward(self, images):
        return torch.empty(1 << 42, dtype=torch.int8, device=images.device)


def _with(network, request, link):
    build = loading.build_module
    loading.build_module = lambda architecture, seed: (
        build(architecture, seed) if architecture == loading.TINY else network
    )
    return measure(request, link)


def spin(request, link):
    return _with(_Spin(), request, link)


def too_large(request, link):
    return _with(_TooLarge(), request, link)


def device_assert(request, link):
    return _with(_Assert(), request, link)
