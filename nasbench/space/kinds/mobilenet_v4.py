"""Universal inverted bottlenecks and mobile attention: MobileNetV4."""

from __future__ import annotations

from nasbench.space.kinds.rules import COUNT, FACTOR, FLAG, ODD_OR_NONE, RELU, Kind, Option, make_kind, one_of

LAYER_SCALE = Option("layer_scale", FLAG, False)
KEYS = one_of("shared", "own")

KINDS: tuple[Kind, ...] = (
    make_kind(
        "uib",
        "universal inverted bottleneck: optional depthwise, expand, optional depthwise, project",
        "Qin et al. 2024, arXiv:2404.10518",
        Option("start", ODD_OR_NONE, 0),
        Option("kernel", ODD_OR_NONE, 3),
        Option("expand", FACTOR, 4),
        RELU,
        LAYER_SCALE,
    ),
    make_kind(
        "mobile_mqa",
        "mobile multi-query attention, keys and values optionally of a smaller image, or each head its own",
        "Qin et al. 2024, arXiv:2404.10518",
        Option("heads", COUNT, 4),
        Option("head_channels", COUNT, 64),
        Option("kv_kernel", ODD_OR_NONE, 0),
        Option("kv_stride", COUNT, 2, needs="kv_kernel"),
        Option("keys", KEYS, "shared"),
        LAYER_SCALE,
        strided=False,
    ),
    make_kind(
        "pool_norm_linear",
        "average over the image, a hidden layer with batch norm, classifier",
        "Qin et al. 2024, arXiv:2404.10518",
        Option("hidden", COUNT, 1280),
        RELU,
        out="classes",
        strided=False,
    ),
)
