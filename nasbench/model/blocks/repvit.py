"""RepViT: a depthwise convolution trained as parallel branches, then a feed-forward layer."""

from __future__ import annotations

from torch import Tensor, nn

from nasbench.model.blocks.layers import SqueezeExcite, conv_norm_act, make_convolution
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.reparam import add_up, as_convolution, fold_norm_behind, identity_kernel, kernel_of


class BranchedDepthwise(nn.Module):
    """The sum of a depthwise kxk convolution, a depthwise 1x1 convolution and the input; the shape stays.

    Deployed, it is one convolution. With `norm_behind` the kxk convolution and the sum have a batch norm, otherwise
    the two convolutions.

    Source: Wang et al., RepViT, 2023, arXiv:2307.09283; the norm behind the sum: THU-MIG/RepViT,
    model/repvit.py.
    """

    def __init__(self, channels: int, kernel: int, *, norm_behind: bool) -> None:
        super().__init__()
        self.wide = conv_norm_act(channels, channels, kernel, groups=channels)
        self.point = (
            make_convolution(channels, channels, 1, groups=channels, bias=True)
            if norm_behind
            else conv_norm_act(channels, channels, 1, groups=channels)
        )
        self.norm = nn.BatchNorm2d(channels) if norm_behind else None

    def forward(self, images: Tensor) -> Tensor:
        """Add the branches up."""
        output: Tensor = self.wide(images) + self.point(images) + images
        return output if self.norm is None else self.norm(output)

    def deploy(self) -> nn.Conv2d:
        """Give the one convolution that all branches are."""
        like = self.wide[0]
        assert isinstance(like, nn.Conv2d)
        kernel = add_up(kernel_of(self.wide), kernel_of(self.point), identity_kernel(like))
        return as_convolution(kernel if self.norm is None else fold_norm_behind(kernel, self.norm), like)


@BLOCKS.register("repvit")
class RepViT(nn.Module):
    """Branched depthwise kxk, squeeze-and-excitation, then two 1x1 convolutions with a shortcut around them.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Where the shape changes the depthwise convolution
    is a single one, and a 1x1 convolution stands before the feed-forward layer. Squeezed channels are rounded to
    the nearest multiple of 8.

    Source: Wang et al., RepViT, 2023, arXiv:2307.09283; THU-MIG/RepViT, model/repvit.py.
    Differs: a row of stride 2 is the authors' deeper downsampling without the block before it, which is a row of its
    own.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        expand: float,
        se: float,
        act: str,
        norm_behind: bool,
    ) -> None:
        super().__init__()
        changes = stride > 1 or in_channels != out_channels
        layers: list[nn.Module] = [
            conv_norm_act(in_channels, in_channels, kernel, stride=stride, groups=in_channels)
            if changes
            else BranchedDepthwise(in_channels, kernel, norm_behind=norm_behind)
        ]
        if se > 0:
            layers.append(SqueezeExcite(in_channels, max(8, int(in_channels * se + 4) // 8 * 8), "sigmoid"))
        if changes:
            layers.append(conv_norm_act(in_channels, out_channels, 1))
        self.token_mixer = nn.Sequential(*layers)
        hidden = max(1, round(out_channels * expand))
        self.channel_mixer = nn.Sequential(
            conv_norm_act(out_channels, hidden, 1, act=act), conv_norm_act(hidden, out_channels, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Mix positions, then channels."""
        mixed: Tensor = self.token_mixer(images)
        output: Tensor = mixed + self.channel_mixer(mixed)
        return output
