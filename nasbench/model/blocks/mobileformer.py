"""Mobile-Former: images and a few tokens beside them, with bridges both ways."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from nasbench.errors import BuildError
from nasbench.model.blocks.attention import attend, to_images, to_tokens
from nasbench.model.blocks.layers import ShortcutBranch, conv_norm_act, make_convolution
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.shufflenet import shuffle_channels

Streams = tuple[Tensor, Tensor]
"""Images (N, C, H, W) and tokens (N, T, D)."""

StreamShapes = tuple[tuple[int, int, int], tuple[int, int]]

_SQUEEZE = 4
"""How much narrower the hidden layer of a dynamic ReLU is than a token, as in the authors' models."""


def _split_heads(tokens: Tensor, heads: int) -> Tensor:
    """Turn (N, L, C) into (N, heads, L, C / heads)."""
    batch, count, channels = tokens.shape
    return tokens.reshape(batch, count, heads, channels // heads).transpose(1, 2)


def _join_heads(tokens: Tensor) -> Tensor:
    """Turn (N, heads, L, d) into (N, L, heads * d)."""
    return tokens.transpose(1, 2).flatten(2)


def _check_heads(heads: int, channels: int, what: str) -> None:
    if channels % heads:
        raise BuildError(f"{heads} heads do not divide {channels} channels of {what} evenly")


def _expanding(channels: int, expand: int, *, stride: int, groups: int) -> nn.Sequential:
    """Make a depthwise 3x3 that gives `expand` channels for each, and mixes their groups if there are any."""
    layers = conv_norm_act(channels, channels * expand, 3, stride=stride, groups=channels)
    return layers.append(_Shuffle(channels)) if groups > 1 else layers


def _pointwise(in_channels: int, out_channels: int, *, groups: int, shuffled: bool = False) -> nn.Sequential:
    """Make a 1x1 convolution with batch norm, whose groups are mixed afterwards where `shuffled`."""
    layers = conv_norm_act(in_channels, out_channels, 1, groups=groups)
    return layers.append(_Shuffle(groups)) if shuffled and groups > 1 else layers


class _Shuffle(nn.Module):
    """Interleave the channels of groups, as a layer."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, images: Tensor) -> Tensor:
        """Shuffle the channels."""
        return shuffle_channels(images, self.groups)


class _DynamicReLU(nn.Module):
    """Take the larger of two multiples of the images, both computed for each channel from the first token.

    Source: Chen et al., Dynamic ReLU, 2020, arXiv:2003.10027; from a token: Chen et al., Mobile-Former,
    2022, arXiv:2108.05895. Without the two offsets, as in the authors' models.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        squeezed = max(1, width // _SQUEEZE)
        self.slopes = nn.Sequential(
            nn.Linear(width, squeezed), nn.ReLU(inplace=True), nn.Linear(squeezed, 2 * channels), nn.Hardsigmoid()
        )

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Activate (N, C, H, W); the slopes start at 1 and 0."""
        first, second = (2.0 * self.slopes(tokens[:, 0])[:, :, None, None]).chunk(2, dim=1)
        return torch.maximum(images * first, images * (second - 1.0))


class _ToTokens(nn.Module):
    """Let tokens attend to the images, which are keys and values without projection.

    Source: Chen et al., Mobile-Former, 2022, arXiv:2108.05895.
    Differs: what is attended is scaled by a gate from the token, as in the authors' models.
    """

    def __init__(self, channels: int, width: int, heads: int) -> None:
        super().__init__()
        _check_heads(heads, channels, "the images")
        self.heads = heads
        self.gate = nn.Sequential(nn.Linear(width, channels), nn.Hardsigmoid())
        self.queries = nn.Linear(width, channels)
        self.project = nn.Linear(channels, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Give the new tokens."""
        keys = _split_heads(to_tokens(images), self.heads)
        mixed = _join_heads(attend(_split_heads(self.queries(tokens), self.heads), keys, keys))
        output: Tensor = self.norm(tokens + self.project(mixed * (2.0 * self.gate(tokens))))
        return output


class _BetweenTokens(nn.Module):
    """Attention between tokens, which are keys and values without projection, and two linear layers.

    Source: Chen et al., Mobile-Former, 2022, arXiv:2108.05895.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        _check_heads(heads, width, "the tokens")
        self.heads = heads
        self.queries = nn.Linear(width, width)
        self.project = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.hidden_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Give the new tokens."""
        keys = _split_heads(tokens, self.heads)
        mixed = _join_heads(attend(_split_heads(self.queries(tokens), self.heads), keys, keys))
        tokens = self.norm(tokens + self.project(mixed))
        output: Tensor = self.hidden_norm(tokens + self.hidden(tokens))
        return output


class _ToImages(nn.Module):
    """Let every position of the images, without projection, attend to the tokens, and add what it gets.

    Source: Chen et al., Mobile-Former, 2022, arXiv:2108.05895.
    """

    def __init__(self, channels: int, width: int, heads: int) -> None:
        super().__init__()
        _check_heads(heads, channels, "the images")
        self.heads = heads
        self.keys = nn.Linear(width, channels)
        self.values = nn.Linear(width, channels)

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Give the new images."""
        queries, keys, values = (
            _split_heads(flow, self.heads) for flow in (to_tokens(images), self.keys(tokens), self.values(tokens))
        )
        return images + to_images(_join_heads(attend(queries, keys, values)), *images.shape[2:])


@BLOCKS.register("mobileformer_lite")
class MobileFormerLite(ShortcutBranch):
    """Depthwise 3x3 that multiplies the channels, ReLU6, linear 1x1.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Adds the input when the shapes agree.

    Source: Chen et al., Mobile-Former, 2022, arXiv:2108.05895; Li et al., MicroNet, 2021, arXiv:2108.05894.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, expand: int, groups: int) -> None:
        spatial = _expanding(in_channels, expand, stride=stride, groups=groups)
        project = _pointwise(in_channels * expand, out_channels, groups=groups)
        branch = nn.Sequential(*spatial, nn.ReLU6(inplace=True), *project)
        super().__init__(in_channels, out_channels, stride, branch)


@BLOCKS.register("mobileformer_tokens")
class MobileFormerTokens(nn.Module):
    """Put learned tokens beside the images.

    (N, C, H, W) -> (N, C, H, W) and (N, tokens, width).

    Source: Chen et al., Mobile-Former, 2022, arXiv:2108.05895.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, tokens: int, width: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(tokens, width))

    def forward(self, images: Tensor) -> Streams:
        """Give both streams."""
        return images, self.tokens.expand(images.shape[0], -1, -1)

    def draw(self, generator: torch.Generator) -> None:
        """Draw the tokens from a normal distribution, as torch draws embeddings."""
        self.tokens.normal_(generator=generator)


class _TwoStreams(nn.Module):
    """The tokens of a block: they look at its images first, and its images at them last."""

    def __init__(self, in_channels: int, out_channels: int, width: int, heads: int, token_heads: int) -> None:
        super().__init__()
        self.to_tokens = _ToTokens(in_channels, width, heads)
        self.between = _BetweenTokens(width, token_heads)
        self.to_images = _ToImages(out_channels, width, heads)

    def update(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Give the new tokens."""
        new: Tensor = self.between(self.to_tokens(images, tokens))
        return new


@BLOCKS.register("mobileformer_block")
class MobileFormerBlock(_TwoStreams):
    """1x1 expand, depthwise 3x3, 1x1 project with dynamic ReLU, and a transformer layer of the tokens.

    (N, C_in, H, W) and (N, T, D) -> (N, C_out, ceil(H / stride), ceil(W / stride)) and (N, T, D). Adds the input images
    when the shapes agree. Tokens look at the images, then at each other; the first gives the slopes of the dynamic
    ReLUs; the images look at the tokens last.

    Source: Chen et al., Mobile-Former, 2022, arXiv:2108.05895; gates, heads and the hidden layer of the tokens
    as in the authors' code.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        expand: int,
        heads: int,
        token_heads: int,
        groups: int,
        shape: StreamShapes,
    ) -> None:
        width = shape[1][1]
        super().__init__(in_channels, out_channels, width, heads, token_heads)
        hidden = in_channels * expand
        self.expand = _pointwise(in_channels, hidden, groups=groups, shuffled=True)
        self.expand_act = _DynamicReLU(hidden, width)
        self.spatial = conv_norm_act(hidden, hidden, 3, stride=stride, groups=hidden)
        self.spatial_act = _DynamicReLU(hidden, width)
        self.project = _pointwise(hidden, out_channels, groups=groups, shuffled=True)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, streams: Streams) -> Streams:
        """Run the block on images and tokens."""
        images, tokens = streams
        tokens = self.update(images, tokens)
        flow = self.expand_act(self.expand(images), tokens)
        flow = self.project(self.spatial_act(self.spatial(flow), tokens))
        return self.to_images(images + flow if self.residual else flow, tokens), tokens


@BLOCKS.register("mobileformer_down")
class MobileFormerDown(_TwoStreams):
    """Two pairs of expanding depthwise 3x3 and linear 1x1 with dynamic ReLU, and a transformer layer of the tokens.

    (N, C_in, H, W) and (N, T, D) -> (N, C_out, ceil(H / stride), ceil(W / stride)) and (N, T, D). The first pair has
    the stride, the second adds its input; the block adds the input images when the shapes agree. Tokens as in
    `mobileformer_block`.

    Source: Chen et al., Mobile-Former, 2022, arXiv:2108.05895; the pairs: Li et al., MicroNet, 2021,
    arXiv:2108.05894.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        expand: int,
        expand_again: int,
        heads: int,
        token_heads: int,
        groups: int,
        shape: StreamShapes,
    ) -> None:
        width = shape[1][1]
        super().__init__(in_channels, out_channels, width, heads, token_heads)
        self.first = _expanding(in_channels, expand, stride=stride, groups=groups)
        self.first_act = _DynamicReLU(in_channels * expand, width)
        self.first_project = _pointwise(in_channels * expand, out_channels, groups=groups)
        self.second = _expanding(out_channels, expand_again, stride=1, groups=groups)
        self.second_act = _DynamicReLU(out_channels * expand_again, width)
        self.second_project = _pointwise(out_channels * expand_again, out_channels, groups=groups)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, streams: Streams) -> Streams:
        """Run the block on images and tokens."""
        images, tokens = streams
        tokens = self.update(images, tokens)
        flow = self.first_project(self.first_act(self.first(images), tokens))
        flow = flow + self.second_project(self.second_act(self.second(flow), tokens))
        # the input is added behind the tokens, as in the authors' code
        flow = self.to_images(flow, tokens)
        return images + flow if self.residual else flow, tokens


class _NormedLinear(nn.Sequential):
    """A linear layer and a batch norm behind it; one linear layer at inference."""

    def deploy(self) -> nn.Module:
        """Give the linear layer that does both."""
        linear, norm = self
        assert isinstance(linear, nn.Linear) and isinstance(norm, nn.BatchNorm1d)
        return fuse_linear_bn_eval(linear, norm)


@BLOCKS.register("mobileformer_head")
class MobileFormerHead(nn.Module):
    """Tokens look at the images; expanded and averaged images and the first token pass two linear layers.

    (N, C, H, W) and (N, T, D) -> (N, classes). `out_channels` is the number of classes.

    Source: Chen et al., Mobile-Former, 2022, arXiv:2108.05895.
    Differs: no dropout, which is a matter of training.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        expand: int,
        hidden: int,
        heads: int,
        groups: int,
        shape: StreamShapes,
    ) -> None:
        super().__init__()
        width, pooled = shape[1][1], in_channels * expand
        self.to_tokens = _ToTokens(in_channels, width, heads)
        convolution = make_convolution(in_channels, pooled, 1, groups=groups)
        self.pool = nn.Sequential(
            _Shuffle(groups) if groups > 1 else nn.Identity(),
            convolution,
            nn.BatchNorm2d(pooled),
            nn.ReLU6(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Hardswish(inplace=True),
            nn.Flatten(),
        )
        self.hidden = _NormedLinear(nn.Linear(pooled + width, hidden), nn.BatchNorm1d(hidden))
        self.act = nn.Hardswish(inplace=True)
        self.classifier = nn.Linear(hidden, out_channels)

    def forward(self, streams: Streams) -> Tensor:
        """Give the logits."""
        images, tokens = streams
        tokens = self.to_tokens(images, tokens)
        logits: Tensor = self.classifier(self.act(self.hidden(torch.cat((self.pool(images), tokens[:, 0]), dim=1))))
        return logits
