"""State-space duality with hidden-state mixing: EfficientViM.

Two streams flow from the first summary on: images (N, C, H, W), and summaries of hidden states for the head as one
token (N, 1, S) of the channels of all summaries so far.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench.errors import BuildError
from nasbench.model.blocks.attention import to_tokens
from nasbench.model.blocks.layers import SqueezeExcite, conv_norm_act, make_convolution
from nasbench.model.blocks.norms import LayerNorm2d
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.reparam import Kernel, add_up, as_convolution, identity_kernel, kernel_of

_START = 1e-4
"""What the shares start at, before the sigmoid."""

_DECAYS = (1.0, 16.0)
"""Between what the decays of the states start."""

Streams = tuple[Tensor, Tensor]


@BLOCKS.register("vim_stem")
class VimStem(nn.Sequential):
    """Four 3x3 convolutions of stride 2; (N, C_in, H, W) -> (N, C_out, H / 16, W / 16).

    Source: Lee et al., EfficientViM, 2024, arXiv:2411.15241; widths as in the authors' code, mlvlab/EfficientViM.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        if out_channels % 8:
            raise BuildError(f"{out_channels} channels cannot be halved three times evenly")
        widths = (in_channels, out_channels // 8, out_channels // 4, out_channels // 2)
        super().__init__(
            *(conv_norm_act(*pair, 3, stride=2, act="relu") for pair in pairwise(widths)),
            conv_norm_act(widths[-1], out_channels, 3, stride=2),
        )


class _Blend(nn.Module):
    """Mix a flow with what layers make of it, with a learned share for each channel."""

    def __init__(self, channels: int, layers: nn.Sequential) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.full((channels, 1, 1), _START))
        self.layers = layers

    def forward(self, images: Tensor) -> Tensor:
        blended: Tensor = images + self.share.sigmoid() * (self.layers(images) - images)
        return blended

    def draw(self, generator: torch.Generator) -> None:
        """Start with shares of a half."""
        self.share.fill_(_START)


class _DepthwiseBlend(_Blend):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, conv_norm_act(channels, channels, 3, groups=channels))

    def deploy(self) -> nn.Module:
        """Give the one convolution that this is."""
        share = self.share.sigmoid()
        kernel = kernel_of(self.layers)
        shared = Kernel(kernel.weight * share[..., None], kernel.bias * share.flatten())
        return _with_shortcut(self.layers[0], shared, 1 - share[..., None])


class _DepthwiseShortcut(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = conv_norm_act(channels, channels, 3, groups=channels)

    def forward(self, images: Tensor) -> Tensor:
        changed: Tensor = images + self.layers(images)
        return changed

    def deploy(self) -> nn.Module:
        """Give the one convolution that this is."""
        return _with_shortcut(self.layers[0], kernel_of(self.layers), 1.0)


def _with_shortcut(like: nn.Module, kernel: Kernel, share: Tensor | float) -> nn.Conv2d:
    assert isinstance(like, nn.Conv2d)
    identity = identity_kernel(like)
    return as_convolution(add_up(kernel, Kernel(identity.weight * share, identity.bias)), like)


class _StateMixer(nn.Module):
    """Gather all positions in a few hidden states, mix channels there, and hand the states back to the positions.

    (N, C, H, W) -> (N, C, H, W), and the states (N, state, C). It has no scan: a softmax over positions weighs them.
    """

    def __init__(self, channels: int, state: int) -> None:
        super().__init__()
        self.decays = nn.Parameter(torch.ones(state, 1))
        self.keep = nn.Parameter(torch.ones(1))
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, 3 * state, 1, bias=False), make_convolution(3 * state, 3 * state, 3, groups=3 * state)
        )
        self.expand = nn.Linear(channels, 2 * channels, bias=False)
        self.project = nn.Linear(channels, channels, bias=False)

    def forward(self, images: Tensor) -> Streams:
        gather, give, step = self.weigh(images).flatten(2).chunk(3, dim=1)
        gathered = ((step + self.decays).softmax(2) * gather) @ to_tokens(images)
        states, gates = self.expand(gathered).chunk(2, dim=2)
        states = self.project(states * functional.silu(gates) + states * self.keep)
        return (states.transpose(1, 2) @ give).reshape(images.shape), states

    def draw(self, generator: torch.Generator) -> None:
        """Spread the decays, keep all of the states."""
        self.decays.uniform_(*_DECAYS, generator=generator)
        self.keep.fill_(1.0)


class _MixingBlock(nn.Module):
    def __init__(self, channels: int, state: int, mlp: float) -> None:
        super().__init__()
        hidden = int(channels * mlp)
        self.share = nn.Parameter(torch.full((channels, 1, 1), _START))
        self.before = _DepthwiseBlend(channels)
        self.norm = LayerNorm2d(channels, eps=1e-5)
        self.mixer = _StateMixer(channels, state)
        self.behind = _DepthwiseBlend(channels)
        feed = (*conv_norm_act(channels, hidden, 1, act="relu"), *conv_norm_act(hidden, channels, 1))
        self.feed = _Blend(channels, nn.Sequential(*feed))

    def mix(self, images: Tensor) -> Streams:
        """Give the images and the hidden states."""
        images = self.before(images)
        mixed, states = self.mixer(self.norm(images))
        images = images + self.share.sigmoid() * (mixed - images)
        return self.feed(self.behind(images)), states

    def draw(self, generator: torch.Generator) -> None:
        """Start with a share of a half."""
        self.share.fill_(_START)


@BLOCKS.register("vim_block")
class VimBlock(_MixingBlock):
    """Depthwise convolution, mixing of hidden states, depthwise convolution, feed-forward, each in a learned share.

    (N, C, H, W) -> (N, C, H, W).

    Source: Lee et al., EfficientViM, 2024, arXiv:2411.15241; details as in the authors' code, mlvlab/EfficientViM.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, state: int, mlp: float) -> None:
        super().__init__(in_channels, state, mlp)

    def forward(self, images: Tensor) -> Tensor:
        """Mix (N, C, H, W)."""
        return self.mix(images)[0]


@BLOCKS.register("vim_first_tap")
class VimFirstTap(_MixingBlock):
    """`VimBlock`, and the mean of its normalized hidden states; (N, C, H, W) -> (N, C, H, W) and (N, 1, C).

    Source: Lee et al., EfficientViM, 2024, arXiv:2411.15241, multi-stage hidden-state fusion.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, state: int, mlp: float) -> None:
        super().__init__(in_channels, state, mlp)
        self.tap = nn.LayerNorm(in_channels)

    def forward(self, images: Tensor) -> Streams:
        """Mix (N, C, H, W), and give the first summary."""
        images, states = self.mix(images)
        return images, self.tap(states).mean(1, keepdim=True)


@BLOCKS.register("vim_next")
class VimNext(_MixingBlock):
    """`VimBlock` beside the summaries so far; it adds its own if `tap`.

    (N, C, H, W) and (N, 1, S) -> (N, C, H, W) and (N, 1, S), or (N, 1, S + C).

    Source: Lee et al., EfficientViM, 2024, arXiv:2411.15241, multi-stage hidden-state fusion.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, state: int, mlp: float, tap: bool) -> None:
        super().__init__(in_channels, state, mlp)
        self.tap = nn.LayerNorm(in_channels) if tap else None

    def forward(self, streams: Streams) -> Streams:
        """Mix the images, and pass on the summaries."""
        images, summaries = streams
        images, states = self.mix(images)
        if self.tap is not None:
            summaries = torch.cat((summaries, self.tap(states).mean(1, keepdim=True)), dim=2)
        return images, summaries


@BLOCKS.register("vim_merge")
class VimMerge(nn.Module):
    """Depthwise convolution, inverted residual block of stride 2 with squeeze-and-excitation, depthwise convolution.

    (N, C_in, H, W) and (N, 1, S) -> (N, C_out, H / 2, W / 2) and the same summaries. The depthwise convolutions have
    shortcuts.

    Source: Lee et al., EfficientViM, 2024, arXiv:2411.15241; details as in the authors' code, mlvlab/EfficientViM.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, expand: float) -> None:
        super().__init__()
        hidden = int(out_channels * expand)
        self.layers = nn.Sequential(
            _DepthwiseShortcut(in_channels),
            conv_norm_act(in_channels, hidden, 1, act="relu"),
            conv_norm_act(hidden, hidden, 3, stride=2, groups=hidden, act="relu"),
            SqueezeExcite(hidden, max(1, hidden // 4), "sigmoid"),
            conv_norm_act(hidden, out_channels, 1),
            _DepthwiseShortcut(out_channels),
        )

    def forward(self, streams: Streams) -> Streams:
        """Halve the images, and pass on the summaries."""
        images, summaries = streams
        return self.layers(images), summaries


@BLOCKS.register("vim_head")
class VimHead(nn.Module):
    """Classify by all summaries and the mean of the normalized image; (N, C, H, W) and (N, 1, S) -> (N, classes).

    Source: Lee et al., EfficientViM, 2024, arXiv:2411.15241, multi-stage hidden-state fusion.
    Differs: the paper adds the logits of one linear layer for each summary in learned shares. That is one linear layer
    on all of them, which is trained here; it lacks the shares, and all biases but one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        shape: tuple[tuple[int, int, int], tuple[int, int]],
    ) -> None:
        super().__init__()
        self.norm = LayerNorm2d(in_channels, eps=1e-5)
        self.linear = nn.Linear(shape[1][1] + in_channels, out_channels)

    def forward(self, streams: Streams) -> Tensor:
        """Give the logits."""
        images, summaries = streams
        logits: Tensor = self.linear(torch.cat((summaries[:, 0], self.norm(images).mean((2, 3))), dim=1))
        return logits
