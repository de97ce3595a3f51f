"""MetaFormer: the block around any token mixer, the stem and downsampling, and the heads of its networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench.model.blocks.layers import make_convolution
from nasbench.model.blocks.norms import LayerNorm2d, LayerScale
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.token_mixers import HeadMixer, StateSpaceMixer, make_act, make_mixer

_START = 1e-5
"""Where the scale of a branch starts: sail-sg/poolformer, models/poolformer.py (1e-6 in its larger networks)."""


class FactorNorm(nn.Module):
    """Normalize each image, or the channels of each position, with a factor but no offset for each channel.

    Source: Yu et al., MetaFormer Baselines for Vision, 2022, arXiv:2210.13452, whose blocks have no biases.
    """

    def __init__(self, channels: int, *, whole_image: bool) -> None:
        super().__init__()
        self.whole_image = whole_image
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, images: Tensor) -> Tensor:
        """Normalize (N, C, H, W)."""
        if self.whole_image:
            return functional.group_norm(images, 1, self.weight, eps=1e-6)
        last = images.permute(0, 2, 3, 1)
        return functional.layer_norm(last, self.weight.shape, self.weight, eps=1e-6).permute(0, 3, 1, 2)

    def draw(self, generator: torch.Generator) -> None:
        """Start with factors of 1."""
        self.weight.fill_(1.0)


def _make_norm(name: str, channels: int, *, bias: bool) -> nn.Module:
    if not bias:
        return FactorNorm(channels, whole_image=name == "image")
    return nn.GroupNorm(1, channels) if name == "image" else LayerNorm2d(channels)


def _make_patches(in_channels: int, out_channels: int, stride: int) -> nn.Conv2d:
    """Make a convolution of patches that overlap: 7x7 at the stride 4, 3x3 at 2, 1x1 at 1.

    H becomes floor((H + 1) / stride) at even strides and floor(H / stride) at odd ones.
    """
    return nn.Conv2d(in_channels, out_channels, 2 * stride - 1, stride, padding=stride // 2)


@BLOCKS.register("overlap_patchify")
class OverlapPatchify(nn.Sequential):
    """A convolution of patches that overlap, of 2 stride - 1 pixels, and a layer norm without offsets before or after.

    (N, C_in, H, W) -> (N, C_out, floor((H + 1) / stride), floor((W + 1) / stride)) at even strides; at odd ones
    floor(H / stride) and floor(W / stride).

    Source: Yu et al., MetaFormer Is Actually What You Need for Vision, 2021, arXiv:2111.11418, figure 2; norms: Yu et
    al., MetaFormer Baselines for Vision, 2022, arXiv:2210.13452, figure 2; paddings and that the norms have no offsets
    are from the authors' code, sail-sg/metaformer, metaformer_baselines.py.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, norm: str) -> None:
        layers: list[nn.Module] = [_make_patches(in_channels, out_channels, stride)]
        if norm == "before":
            layers.insert(0, FactorNorm(in_channels, whole_image=False))
        if norm == "after":
            layers.append(FactorNorm(out_channels, whole_image=False))
        super().__init__(*layers)


class ScaledMixing(nn.Sequential):
    """Norm, token mixer, and a scale of the channels, which for inference is part of one of the other two."""

    def deploy(self) -> nn.Module:
        """Scale what the last layer of a mixer puts out, or what goes into one that mixes each channel alone."""
        norm, mixer, scale = self
        assert isinstance(scale, LayerScale)
        if isinstance(mixer, nn.Sequential):
            return nn.Sequential(norm, nn.Sequential(*mixer, scale))
        layer = mixer.project if isinstance(mixer, HeadMixer | StateSpaceMixer) else norm
        with torch.no_grad():
            for parameter in layer.parameters(recurse=False):  # the weight, and a bias if there is one
                parameter.mul_(scale.scale.reshape(-1, *[1] * (parameter.dim() - 1)))
        return nn.Sequential(norm, mixer)


@BLOCKS.register("metaformer")
class MetaFormer(nn.Module):
    """Norm, token mixer, scale, shortcut; norm, 1x1 expand, activation, 1x1 project, scale, shortcut.

    (N, C_in, H, W) -> (N, C_out, floor((H + 1) / stride), floor((W + 1) / stride)) at even strides; at odd ones
    floor(H / stride) and floor(W / stride). Where the shape changes, a convolution of patches that overlap comes
    first. The norm is one over the whole image, or over the channels of each position; the scale is one of the branch,
    of the shortcut, or there is none. Without `bias` norms, MLP and projections have no offsets. `kernel` is that of
    pooling and separable convolution, `head_width` that of attention, linear attention and retention.

    Source: Yu et al., MetaFormer Is Actually What You Need for Vision, 2021, arXiv:2111.11418, figure 2 (pooling,
    identity, attention; scales of branches); Yu et al., MetaFormer Baselines for Vision, 2022, arXiv:2210.13452,
    figure 2 (identity, random mixing, separable convolution, attention; StarReLU, scales of shortcuts, no biases). The
    other mixers name theirs.
    Differs: mixer, expansion and activation are chosen by the space.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        mixer: str,
        kernel: int,
        head_width: int,
        expand: float,
        norm: str,
        layer_scale: str,
        act: str,
        bias: bool,
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        changes = stride > 1 or in_channels != out_channels
        self.patches = _make_patches(in_channels, out_channels, stride) if changes else nn.Identity()
        height, width = ((size + 2 * (stride // 2) - 2 * stride + 1) // stride + 1 for size in shape[1:])
        inner = int(expand * out_channels)
        mixing = [
            _make_norm(norm, out_channels, bias=bias),
            make_mixer(mixer, out_channels, height * width, kernel=kernel, head_width=head_width, act=act, bias=bias),
        ]
        mlp = [
            _make_norm(norm, out_channels, bias=bias),
            make_convolution(out_channels, inner, 1, bias=bias),
            make_act(act),
            make_convolution(inner, out_channels, 1, bias=bias),
        ]
        of_branch, of_shortcut = layer_scale == "branch", layer_scale == "shortcut"
        self.mixing = ScaledMixing(*mixing, LayerScale(out_channels, _START)) if of_branch else nn.Sequential(*mixing)
        self.mixing_shortcut = LayerScale(out_channels, 1.0) if of_shortcut else nn.Identity()
        self.mlp = nn.Sequential(*mlp, LayerScale(out_channels, _START)) if of_branch else nn.Sequential(*mlp)
        self.mlp_shortcut = LayerScale(out_channels, 1.0) if of_shortcut else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Mix (N, C_in, H, W) over positions, then over channels."""
        flow = self.patches(images)
        flow = self.mixing_shortcut(flow) + self.mixing(flow)
        output: Tensor = self.mlp_shortcut(flow) + self.mlp(flow)
        return output


@BLOCKS.register("poolformer_head")
class PoolFormerHead(nn.Sequential):
    """A norm of the whole image, the average over it, a linear classifier.

    (N, C, H, W) -> (N, classes). `out_channels` is the number of classes.

    Source: Yu et al., MetaFormer Is Actually What You Need for Vision, 2021, arXiv:2111.11418; the order is that of the
    authors' code, sail-sg/poolformer, models/poolformer.py.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(
            nn.GroupNorm(1, in_channels), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels, out_channels)
        )


class SquaredReLU(nn.Module):
    """Give relu(x)^2.

    Source: So et al., Primer: Searching for Efficient Transformers for Language Modeling, 2021, arXiv:2109.08668.
    """

    def forward(self, flow: Tensor) -> Tensor:
        """Activate any shape."""
        return functional.relu(flow).square()


@BLOCKS.register("metaformer_head")
class MetaFormerHead(nn.Sequential):
    """Average over the image, layer norm, hidden layer, squared ReLU, layer norm, linear classifier.

    (N, C, H, W) -> (N, classes). `out_channels` is the number of classes; the hidden layer has `expand` times the
    channels.

    Source: Yu et al., MetaFormer Baselines for Vision, 2022, arXiv:2210.13452; the layers: the authors' code,
    sail-sg/metaformer, metaformer_baselines.py.
    Differs: no dropout, which is a matter of training.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, expand: float) -> None:
        hidden = int(expand * in_channels)
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.LayerNorm(in_channels, eps=1e-6),
            nn.Linear(in_channels, hidden),
            SquaredReLU(),
            nn.LayerNorm(hidden, eps=1e-6),
            nn.Linear(hidden, out_channels),
        )
