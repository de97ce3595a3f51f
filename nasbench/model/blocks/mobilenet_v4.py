"""Universal inverted bottlenecks and mobile attention: MobileNetV4."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.errors import BuildError
from nasbench.model.blocks.attention import attend, to_images
from nasbench.model.blocks.layers import ShortcutBranch, conv_norm_act, make_convolution
from nasbench.model.blocks.norms import LayerScale
from nasbench.model.blocks.registry import BLOCKS
from nasbench.space.stack import make_divisible

_SCALE_START = 1e-5
"""Where layer scales of MobileNetV4 start: `layer_scale_init_value` of `mobilenet.py` in tensorflow/models."""


@BLOCKS.register("uib")
class UniversalInvertedBottleneck(ShortcutBranch):
    """Optional linear depthwise, 1x1 expand, optional depthwise, linear 1x1 project.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Adds the input when the shapes agree. `start` and
    `kernel` are the sizes of the two depthwise convolutions, 0 leaves one out: both make ExtraDW, `kernel` alone an
    inverted bottleneck, `start` alone ConvNeXt-like, none a feed-forward network. The later one has the stride. Hidden
    channels are rounded to multiples of 8.

    Source: Qin et al., MobileNetV4, 2024, arXiv:2404.10518.
    Differs: no depthwise convolution at the end, which none of the published networks has.

    Raises:
        BuildError: a stride, and no depthwise convolution that could have it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        start: int,
        kernel: int,
        expand: float,
        act: str,
        layer_scale: bool,
    ) -> None:
        if stride > 1 and not (start or kernel):
            raise BuildError(
                f"uib has the stride {stride} and no depthwise convolution; one of start and kernel must be above 0"
            )
        hidden = make_divisible(in_channels * expand)
        layers: list[nn.Module] = []
        if start:
            start_stride = 1 if kernel else stride
            layers.append(conv_norm_act(in_channels, in_channels, start, stride=start_stride, groups=in_channels))
        layers.append(conv_norm_act(in_channels, hidden, 1, act=act))
        if kernel:
            layers.append(conv_norm_act(hidden, hidden, kernel, stride=stride, groups=hidden, act=act))
        layers.append(conv_norm_act(hidden, out_channels, 1))
        if layer_scale:
            layers[-1] = nn.Sequential(*conv_norm_act(hidden, out_channels, 1), LayerScale(out_channels, _SCALE_START))
        super().__init__(in_channels, out_channels, stride, nn.Sequential(*layers))


@BLOCKS.register("mobile_mqa")
class MobileMultiQueryAttention(nn.Module):
    """Attention whose heads share keys and values, which may come from an image made smaller.

    (N, C_in, H, W) -> (N, C_out, H, W). Adds the input when the shapes agree. A `kv_kernel` of 0 takes keys and values
    from every position; otherwise a depthwise convolution of that kernel and of stride `kv_stride` makes it smaller.
    With the `keys` `own` every head has keys and values of its own, which is multi-head attention, its rival there.

    Source: Qin et al., MobileNetV4, 2024, arXiv:2404.10518; multi-query attention: Shazeer, Fast
    Transformer Decoding, 2019, arXiv:1911.02150; multi-head attention: Vaswani et al., Attention Is All You Need, 2017,
    arXiv:1706.03762, section 3.2.2.
    Differs: no stride on the queries, which none of the published networks has.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        heads: int,
        head_channels: int,
        kv_kernel: int,
        kv_stride: int,
        keys: str,
        layer_scale: bool,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.key_heads = heads if keys == "own" else 1
        self.norm = nn.BatchNorm2d(in_channels)
        self.query = make_convolution(in_channels, heads * head_channels, 1)
        self.key = _project(in_channels, self.key_heads * head_channels, kv_kernel, kv_stride)
        self.value = _project(in_channels, self.key_heads * head_channels, kv_kernel, kv_stride)
        self.output = nn.Sequential(make_convolution(heads * head_channels, out_channels, 1))
        if layer_scale:
            self.output.append(LayerScale(out_channels, _SCALE_START))
        self.residual = in_channels == out_channels

    def forward(self, images: Tensor) -> Tensor:
        """Let every position attend to the keys, and add the input when the shapes agree."""
        normed = self.norm(images)
        queries = _to_heads(self.query(normed), self.heads)
        keys, values = (_to_heads(project(normed), self.key_heads) for project in (self.key, self.value))
        mixed = attend(queries, keys, values).transpose(1, 2).flatten(2)
        output: Tensor = self.output(to_images(mixed, *images.shape[2:]))
        return images + output if self.residual else output


def _to_heads(images: Tensor, heads: int) -> Tensor:
    """Turn (N, heads * d, H, W) into (N, heads, H * W, d)."""
    return torch.unflatten(images.flatten(2), 1, (heads, -1)).transpose(2, 3)


def _project(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Sequential:
    """Make the 1x1 convolution of keys or values, behind a strided depthwise one with batch norm where asked for."""
    project = nn.Sequential(make_convolution(in_channels, out_channels, 1))
    if kernel:
        smaller = conv_norm_act(in_channels, in_channels, kernel, stride=stride, groups=in_channels)
        project.insert(0, smaller)
    return project


@BLOCKS.register("pool_norm_linear")
class PoolNormLinear(nn.Sequential):
    """Average over the image, a hidden layer with batch norm and activation, a linear classifier.

    (N, C, H, W) -> (N, classes). `out_channels` is the number of classes.

    Source: Qin et al., MobileNetV4, 2024, arXiv:2404.10518, the last rows of the networks' specifications.
    Differs: no dropout, which is a matter of training.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, hidden: int, act: str) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            conv_norm_act(in_channels, hidden, 1, act=act),
            nn.Flatten(),
            nn.Linear(hidden, out_channels),
        )
