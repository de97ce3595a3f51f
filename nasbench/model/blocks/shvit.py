"""Single-head attention over a part of the channels: SHViT."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.errors import BuildError
from nasbench.model.blocks.attention import attend, to_images, to_tokens
from nasbench.model.blocks.layers import ShortcutBranch, conv_norm_act, make_activation
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.reparam import add_up, as_convolution, identity_kernel, kernel_of


class _DepthwiseShortcut(nn.Module):
    """Add a depthwise convolution of the input to it; (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.layers = conv_norm_act(channels, channels, kernel, groups=channels, ends_branch=True)

    def forward(self, images: Tensor) -> Tensor:
        changed: Tensor = images + self.layers(images)
        return changed

    def deploy(self) -> nn.Module:
        """Give the one convolution that this is."""
        like = self.layers[0]
        assert isinstance(like, nn.Conv2d)
        return as_convolution(add_up(kernel_of(self.layers), identity_kernel(like)), like)


class _SingleHead(nn.Module):
    """Attention of one head over the first `partial` channels; a 1x1 convolution mixes what comes out with the others.

    (N, C, H, W) -> (N, C, H, W). Queries and keys have `key` channels, values `partial`.
    """

    def __init__(self, channels: int, partial: int, key: int) -> None:
        super().__init__()
        if partial > channels:
            raise BuildError(f"{partial} channels cannot attend where there are {channels}")
        self.parts = [partial, channels - partial]
        self.widths = [key, key, partial]
        self.norm = nn.GroupNorm(1, partial)
        self.qkv = conv_norm_act(partial, sum(self.widths), 1)
        self.project = nn.Sequential(make_activation("relu"), *conv_norm_act(channels, channels, 1, ends_branch=True))

    def forward(self, images: Tensor) -> Tensor:
        attending, others = torch.split(images, self.parts, dim=1)
        parts = self.qkv(self.norm(attending)).split(self.widths, dim=1)
        # the ONNX exporter knows attention only with a dimension of heads
        queries, keys, values = (to_tokens(part)[:, None] for part in parts)
        mixed = to_images(attend(queries, keys, values)[:, 0], *images.shape[2:])
        output: Tensor = self.project(torch.cat((mixed, others), dim=1))
        return output


@BLOCKS.register("shvit")
class SHViT(nn.Sequential):
    """Depthwise kxk, single-head attention, then two 1x1 convolutions with ReLU between them, each with a shortcut.

    (N, C, H, W) -> (N, C, H, W). `partial` channels attend; 0 leaves the attention out, as in the first stage and
    around the downsampling of the published networks. The depthwise convolution and its shortcut are one convolution
    when deployed.

    Source: Yun and Ro, SHViT, 2024, arXiv:2401.16456; details as in the authors' code, ysj9909/SHViT, model/shvit.py.
    Differs: kernel and channels of the keys are chosen by the space.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, kernel: int, partial: int, key: int, expand: float
    ) -> None:
        channels, hidden = in_channels, max(1, int(in_channels * expand))
        feed = nn.Sequential(
            *conv_norm_act(channels, hidden, 1, act="relu"), *conv_norm_act(hidden, channels, 1, ends_branch=True)
        )
        branches = [_SingleHead(channels, partial, key), feed] if partial else [feed]
        super().__init__(
            _DepthwiseShortcut(channels, kernel),
            *(ShortcutBranch(channels, channels, 1, branch) for branch in branches),
        )
