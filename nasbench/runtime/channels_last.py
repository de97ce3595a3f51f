"""torch, operator by operator, with the channels innermost in memory."""

from __future__ import annotations

import torch
from torch import nn

from nasbench.runtime.eager import Eager


class ChannelsLast(Eager):
    """torch eager on (N, C, H, W) tensors that lie in memory as (N, H, W, C).

    Source: https://docs.pytorch.org/tutorials/intermediate/memory_format_tutorial.html
    """

    memory_format = torch.channels_last

    def convert(self, network: nn.Module, dtype: torch.dtype) -> nn.Module:
        """Give the module on the device, its 4-dimensional weights in that order too."""
        module: nn.Module = super().convert(network, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return module
