"""Single-head attention over a part of the channels: SHViT."""

from __future__ import annotations

from nasbench.space.kinds.rules import COUNT, COUNT_OR_NONE, FACTOR, KERNEL, Kind, Option, make_kind

KINDS: tuple[Kind, ...] = (
    make_kind(
        "shvit",
        "depthwise convolution, attention of one head over some of the channels, feed-forward",
        "Yun and Ro 2024, arXiv:2401.16456",
        KERNEL,
        Option("partial", COUNT_OR_NONE, 0),
        Option("key", COUNT, 16, needs="partial"),
        Option("expand", FACTOR, 2),
        out="same",
        strided=False,
    ),
)
