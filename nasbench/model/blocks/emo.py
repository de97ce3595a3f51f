"""Inverted residual mobile blocks: EMO and EMOv2."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from nasbench.errors import BuildError
from nasbench.model.blocks.attention import attend
from nasbench.model.blocks.layers import SqueezeExcite, conv_norm_act, make_activation
from nasbench.model.blocks.norms import LayerNorm2d, LayerScale
from nasbench.model.blocks.registry import BLOCKS


def make_norm(norm: str, channels: int) -> nn.Module:
    """Make a norm of images: `none`, `batch`, or `layer` over the channels of each position."""
    match norm:
        case "none":
            return nn.Identity()
        case "batch":
            return nn.BatchNorm2d(channels)
        case "layer":
            return LayerNorm2d(channels)
    raise AssertionError(f"no norm is named {norm!r}; the kinds should have refused it")


def pad_to_windows(images: Tensor, window: int) -> Tensor:
    """Add zeros below and on the right, so that windows of `window` fill (N, C, H, W); 0 stands for one window."""
    height, width = images.shape[2:]
    if window == 0 or (height % window == 0 and width % window == 0):
        return images
    return functional.pad(images, (0, -width % window, 0, -height % window))


def attend_in_windows(paired: Tensor, values: Tensor, heads: int, window: int, *, spread: bool) -> Tensor:
    """Let every position attend to those of its window; (N, 2 C, H, W) and (N, D, H, W) -> (N, D, H, W).

    `paired` holds queries, then keys. A near window is a tile; a spread one takes every so-manieth position of the
    whole image. Windows fill the image; a `window` of 0 is the whole of it.

    Source: tiles: Liu et al., Swin Transformer, 2021, arXiv:2103.14030, section 3.2; spread: Zhang et al., Rethinking
    Mobile Block, 2023, arXiv:2301.01146, in the authors' code.
    """
    batch, channels, height, width = values.shape
    tall, wide = window or height, window or width
    rows, columns = height // tall, width // wide
    if spread:
        split, order, back = (tall, rows, wide, columns), (0, 4, 6, 1, 3, 5, 2), (0, 3, 6, 4, 1, 5, 2)
    else:
        split, order, back = (rows, tall, columns, wide), (0, 3, 5, 1, 4, 6, 2), (0, 3, 6, 1, 4, 2, 5)

    def to_windows(images: Tensor, groups: int) -> Tensor:
        """Give (N * windows, groups, positions, channels of a group)."""
        parts = images.reshape(batch, groups, images.shape[1] // groups, *split).permute(*order)
        return parts.reshape(batch * rows * columns, groups, tall * wide, -1)

    queries, keys = to_windows(paired, 2 * heads).chunk(2, dim=1)
    mixed = attend(queries, keys, to_windows(values, heads))
    parts = mixed.reshape(batch, rows, columns, heads, tall, wide, channels // heads)
    return parts.permute(*back).reshape(batch, channels, height, width)


class _MobileBlock(nn.Module):
    """Norm, 1x1 expand, depthwise with a shortcut of its own, 1x1 project, and the input added; attention on the way.

    Raises:
        BuildError: heads do not divide the channels.
    """

    improved = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        expand: float,
        act: str,
        norm: str,
        attention: bool,
        window: int,
        head_width: int,
    ) -> None:
        super().__init__()
        hidden = int(in_channels * expand)
        self.norm = make_norm(norm, in_channels)
        self.window = window
        self.heads = in_channels // head_width
        if attention and (in_channels % head_width or (self.improved and hidden % self.heads)):
            raise BuildError(
                f"heads of the width {head_width} do not divide {in_channels} channels, expanded to {hidden}, evenly"
            )
        self.pair = nn.Conv2d(in_channels, 2 * in_channels, 1) if attention else None
        self.expand = nn.Sequential(nn.Conv2d(in_channels, hidden, 1), make_activation(act))
        self.local = conv_norm_act(hidden, hidden, kernel, stride=stride, groups=hidden, act="silu")
        self.project = nn.Sequential(nn.Conv2d(hidden, out_channels, 1, bias=False))
        if self.improved:
            self.project.append(LayerScale(out_channels))
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, images: Tensor) -> Tensor:
        """Run the block on (N, C_in, H, W)."""
        normed = self.norm(images)
        hidden = self.expand(normed) if self.pair is None else self._mix(normed)
        local = self.local(hidden)
        output: Tensor = self.project(hidden + local if self.residual else local)
        return images + output if self.residual else output

    def _mix(self, images: Tensor) -> Tensor:
        raise NotImplementedError


@BLOCKS.register("irmb")
class InvertedResidualMobile(_MobileBlock):
    """Norm, attention over spread windows, 1x1 expand, depthwise kxk, 1x1 project.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Adds the input when the shapes agree, and then
    also that of the depthwise convolution. Without attention it is an inverted residual. A window of 0 is the image.

    Source: Zhang et al., Rethinking Mobile Block for Efficient Attention-based Models, 2023, arXiv:2301.01146.
    Differs: batch norms have torch's epsilon, where the authors' code has 1e-6.
    """

    def _mix(self, images: Tensor) -> Tensor:
        assert self.pair is not None
        padded = pad_to_windows(images, self.window)
        mixed = attend_in_windows(self.pair(padded), padded, self.heads, self.window, spread=True)
        expanded: Tensor = self.expand(mixed[:, :, : images.shape[2], : images.shape[3]])
        return expanded


@BLOCKS.register("i2rmb")
class ImprovedInvertedResidualMobile(_MobileBlock):
    """Norm, 1x1 expand, attention over near and over spread windows, depthwise kxk, 1x1 project, layer scale.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Both attentions share queries, keys and values
    and are added. Adds the input when the shapes agree, and then also that of the depthwise convolution.

    Source: Zhang et al., EMOv2: Pushing 5M Vision Model Frontier, 2024, arXiv:2412.06674.
    Differs: batch norms have torch's epsilon, where the authors' code has 1e-6.
    """

    improved = True

    def _mix(self, images: Tensor) -> Tensor:
        assert self.pair is not None
        padded = pad_to_windows(images, self.window)
        paired, values = self.pair(padded), self.expand(padded)
        spread = attend_in_windows(paired, values, self.heads, self.window, spread=True)
        near = attend_in_windows(paired, values, self.heads, self.window, spread=False)
        return (spread + near)[:, :, : images.shape[2], : images.shape[3]]


@BLOCKS.register("emo_stem")
class EmoStem(nn.Sequential):
    """Convolution kxk with the stride, depthwise kxk, squeeze-and-excitation, pointwise convolution without norm.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)).

    Source: Zhang et al., Rethinking Mobile Block, 2023, arXiv:2301.01146, and EMOv2, 2024, arXiv:2412.06674; as in the
    authors' code, where the first has no activation between the convolutions and the second no squeeze-and-excitation.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, kernel: int, act: str, first_act: str, se: float
    ) -> None:
        layers: list[nn.Module] = [
            conv_norm_act(in_channels, out_channels, kernel, stride=stride, act=first_act, bias=True),
            conv_norm_act(out_channels, out_channels, kernel, groups=out_channels, act="silu"),
        ]
        if se > 0:
            layers.append(SqueezeExcite(out_channels, max(1, round(out_channels * se)), "sigmoid", act))
        super().__init__(*layers, nn.Conv2d(out_channels, out_channels, 1, bias=False))
