"""The layers that several families are made of: a normalized convolution, activations, squeeze-and-excitation."""

from __future__ import annotations

from torch import Tensor, nn

from nasbench.errors import BuildError
from nasbench.model.blocks.norms import BranchNorm


def make_activation(name: str) -> nn.Module:
    """Make an activation that overwrites its input where it can.

    Use it only behind a layer whose output nobody else reads, such as a batch norm.
    """
    match name:
        case "none":
            return nn.Identity()
        case "relu":
            return nn.ReLU(inplace=True)
        case "relu6":
            return nn.ReLU6(inplace=True)
        case "hswish":
            return nn.Hardswish(inplace=True)
        case "silu":
            return nn.SiLU(inplace=True)
        case "gelu":
            return nn.GELU()
    raise AssertionError(f"no activation is named {name!r}; the kinds should have refused it")


def make_gate(name: str) -> nn.Module:
    """Make the last layer of a squeeze-and-excitation, which maps to 0 ... 1."""
    match name:
        case "sigmoid":
            return nn.Sigmoid()
        case "hard_sigmoid":
            return nn.Hardsigmoid()
    raise AssertionError(f"no gate is named {name!r}; the kinds should have refused it")


def make_convolution(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Make a convolution that keeps the size at stride 1.

    Raises:
        BuildError: the groups do not divide the channels.
    """
    if in_channels % groups or out_channels % groups:
        raise BuildError(
            f"{groups} groups do not divide {in_channels} input and {out_channels} output channels evenly; "
            "a grouped convolution needs whole groups"
        )
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=bias)


def conv_norm_act(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    act: str = "none",
    bias: bool = False,
    ends_branch: bool = False,
) -> nn.Sequential:
    """Make a convolution, a batch norm and an activation.

    The three stand in one `nn.Sequential`, because `nasbench.model.deploy` folds a batch norm that directly follows a
    convolution there. `bias` is that of the convolution, which the norm makes idle and some authors have. With
    `ends_branch` the norm starts small.

    Source: Ioffe and Szegedy, Batch Normalization, 2015, arXiv:1502.03167, section 3.2.
    """
    layers: list[nn.Module] = [
        make_convolution(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=bias),
        BranchNorm(out_channels) if ends_branch else nn.BatchNorm2d(out_channels),
    ]
    if act != "none":
        layers.append(make_activation(act))
    return nn.Sequential(*layers)


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from the means of all channels; the shape stays.

    Source: Hu et al., Squeeze-and-Excitation Networks, 2018, arXiv:1709.01507, equations 2 to 4.
    Differs: the gate may be the hard sigmoid of Howard et al. 2019, arXiv:1905.02244.
    """

    def __init__(self, channels: int, squeezed_channels: int, gate: str, act: str = "relu") -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed_channels, 1)
        self.act = make_activation(act)
        self.expand = nn.Conv2d(squeezed_channels, channels, 1)
        self.gate = make_gate(gate)

    def forward(self, images: Tensor) -> Tensor:
        """Scale the channels of (N, C, H, W)."""
        means = images.mean((2, 3), keepdim=True)
        scales: Tensor = self.gate(self.expand(self.act(self.reduce(means))))
        return images * scales


class ShortcutBranch(nn.Module):
    """A branch of a row, to whose output the input is added when the shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, images: Tensor) -> Tensor:
        """Run the branch, and add the input when the shapes agree."""
        output: Tensor = self.branch(images)
        return images + output if self.residual else output
