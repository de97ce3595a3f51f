"""The cell and the reduction block of NAS-Bench-201."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.model.blocks.layers import conv_norm_act
from nasbench.model.blocks.registry import BLOCKS

_NODE_COUNT = 4


def _relu_conv_norm(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    # not in place: other edges read the same node
    return nn.Sequential(nn.ReLU(), *conv_norm_act(in_channels, out_channels, kernel, stride=stride))


def _make_operation(name: str, channels: int) -> nn.Module:
    match name:
        case "skip_connect":
            return nn.Identity()
        case "nor_conv_1x1":
            return _relu_conv_norm(channels, channels, 1)
        case "nor_conv_3x3":
            return _relu_conv_norm(channels, channels, 3)
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    raise AssertionError(f"no operation is named {name!r}; the kinds should have refused it")


@BLOCKS.register("nb201_cell")
class Cell(nn.Module):
    """Four nodes; each is the sum of one operation on every earlier node; the shape stays.

    Node 0 is the input and node 3 the output. An edge `none` adds nothing and has no module; a node without any edge is
    zero. Edges that lead nowhere are still computed, since the benchmark's MACs and parameters count them.

    Source: Dong and Yang, NAS-Bench-201, 2020, arXiv:2001.00326, figure 1 and section 2.1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        edge_0_1: str,
        edge_0_2: str,
        edge_1_2: str,
        edge_0_3: str,
        edge_1_3: str,
        edge_2_3: str,
    ) -> None:
        super().__init__()
        operations = {
            (0, 1): edge_0_1,
            (0, 2): edge_0_2,
            (1, 2): edge_1_2,
            (0, 3): edge_0_3,
            (1, 3): edge_1_3,
            (2, 3): edge_2_3,
        }
        self.edges = nn.ModuleDict(
            {
                f"{source}_{target}": _make_operation(name, in_channels)
                for (source, target), name in operations.items()
                if name != "none"
            }
        )

    def forward(self, images: Tensor) -> Tensor:
        """Compute the nodes in order and give the last."""
        nodes = [images]
        for target in range(1, _NODE_COUNT):
            total: Tensor | None = None
            for source, node in enumerate(nodes):
                name = f"{source}_{target}"
                if name in self.edges:
                    term = self.edges[name](node)
                    total = term if total is None else total + term
            nodes.append(torch.zeros_like(images) if total is None else total)
        return nodes[-1]


@BLOCKS.register("nb201_reduction")
class Reduction(nn.Module):
    """Residual block between the stages, which changes channels and size.

    (N, C_in, H, W) -> (N, C_out, H / stride, W / stride); H and W are multiples of the stride, since the shortcut pools
    without padding.

    Source: Dong and Yang, NAS-Bench-201, 2020, arXiv:2001.00326, figure 1 and section 2.1.
    Differs: at stride 1 (which the benchmark does not use) the shortcut has no pooling.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            _relu_conv_norm(in_channels, out_channels, 3, stride), _relu_conv_norm(out_channels, out_channels, 3)
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(stride) if stride > 1 else nn.Identity(), nn.Conv2d(in_channels, out_channels, 1, bias=False)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Add the branch to the pooled shortcut."""
        output: Tensor = self.shortcut(images) + self.branch(images)
        return output
