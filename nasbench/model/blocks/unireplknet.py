"""UniRepLKNet: large depthwise kernels, trained with parallel dilated ones."""

from __future__ import annotations

from torch import Tensor, nn

from nasbench.model.blocks.layers import SqueezeExcite, conv_norm_act, make_activation, make_convolution
from nasbench.model.blocks.norms import GlobalResponseNorm, LayerNorm2d, LayerScale
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.reparam import add_up, as_convolution, kernel_of

# (kernel, dilation) of the branches beside each large kernel: the authors' unireplknet.py
_BRANCHES = {
    7: ((5, 1), (3, 2), (3, 3)),
    9: ((5, 1), (5, 2), (3, 3), (3, 4)),
    11: ((5, 1), (5, 2), (3, 3), (3, 4), (3, 5)),
    13: ((5, 1), (7, 2), (3, 3), (3, 4), (3, 5)),
    15: ((5, 1), (7, 2), (3, 3), (3, 5), (3, 7)),
    17: ((5, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
}


class DilatedBranches(nn.Module):
    """The sum of a large depthwise convolution and smaller dilated ones, each with batch norm; the shape stays.

    Deployed, it is the large convolution.

    Source: Ding et al., UniRepLKNet, 2023, arXiv:2311.15599: Dilated Reparam Block; AILab-CVC/UniRepLKNet,
    unireplknet.py.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.large = conv_norm_act(channels, channels, kernel, groups=channels)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(
                    channels,
                    channels,
                    size,
                    padding=(size - 1) * dilation // 2,
                    dilation=dilation,
                    groups=channels,
                    bias=False,
                ),
                nn.BatchNorm2d(channels),
            )
            for size, dilation in _BRANCHES[kernel]
        )

    def forward(self, images: Tensor) -> Tensor:
        """Add the branches up."""
        output: Tensor = self.large(images)
        for branch in self.branches:
            output = output + branch(images)
        return output

    def deploy(self) -> nn.Conv2d:
        """Give the one convolution that all branches are."""
        like = self.large[0]
        assert isinstance(like, nn.Conv2d)
        return as_convolution(add_up(*(kernel_of(branch) for branch in (self.large, *self.branches))), like)


class ResponseNormedProject(nn.Sequential):
    """A global response norm, a 1x1 convolution with batch norm, a layer scale; deployed, its shift is in the bias.

    Source: Ding et al., UniRepLKNet, 2023, arXiv:2311.15599; the authors' code merges the shift in the same way.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(GlobalResponseNorm(in_channels), *_project(in_channels, out_channels))

    def deploy(self) -> nn.Sequential:
        """Give the norm without its shift, and the convolution with a bias."""
        norm, convolution, *others = self
        assert isinstance(norm, GlobalResponseNorm) and isinstance(convolution, nn.Conv2d) and norm.shift is not None
        kernel = kernel_of(convolution)
        kernel = kernel._replace(bias=kernel.weight[:, :, 0, 0] @ norm.shift[:, 0, 0])
        norm.shift = None
        return nn.Sequential(norm, as_convolution(kernel, convolution), *others)


def _project(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    return make_convolution(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels), LayerScale(out_channels)


@BLOCKS.register("unireplknet_reduce")
class UniRepLKNetReduce(nn.Sequential):
    """Convolution with bias, layer norm over the channels, activation.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)).

    Source: Ding et al., UniRepLKNet, 2023, arXiv:2311.15599; AILab-CVC/UniRepLKNet, unireplknet.py: the
    stem and what stands between stages.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, kernel: int, act: str) -> None:
        super().__init__(
            make_convolution(in_channels, out_channels, kernel, stride=stride, bias=True),
            LayerNorm2d(out_channels),
            make_activation(act),
        )


@BLOCKS.register("unireplknet")
class UniRepLKNet(nn.Module):
    """Depthwise kxk with dilated branches, squeeze-and-excitation, 1x1, global response norm, 1x1, and a shortcut.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Kernels below 7 have no branches. Where the shape
    changes, a 3x3 convolution with layer norm stands before, as between the stages of the paper. Squeezed channels
    are `se` of the output's.

    Source: Ding et al., UniRepLKNet, 2023, arXiv:2311.15599: LarK block, and SmaK block for small
    kernels; AILab-CVC/UniRepLKNet, unireplknet.py.
    Differs: the pointwise layers are 1x1 convolutions and not linear layers; they compute the same.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        dilated: bool,
        expand: float,
        act: str,
        se: float,
        grn: bool,
    ) -> None:
        super().__init__()
        changes = stride > 1 or in_channels != out_channels
        self.reduce = (
            UniRepLKNetReduce(in_channels, out_channels, stride, kernel=3, act="none") if changes else nn.Identity()
        )
        hidden = max(1, int(out_channels * expand))
        self.branch = nn.Sequential(
            DilatedBranches(out_channels, kernel)
            if dilated and kernel in _BRANCHES
            else make_convolution(out_channels, out_channels, kernel, groups=out_channels),
            nn.BatchNorm2d(out_channels),
            SqueezeExcite(out_channels, max(1, int(out_channels * se)), "sigmoid"),
            make_convolution(out_channels, hidden, 1, bias=True),
            make_activation(act),
            ResponseNormedProject(hidden, out_channels) if grn else nn.Sequential(*_project(hidden, out_channels)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Add the branch to the input, or to what it was reduced to."""
        images = self.reduce(images)
        output: Tensor = images + self.branch(images)
        return output
