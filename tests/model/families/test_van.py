"""VAN against the layers of the authors' network, Visual-Attention-Network/VAN-Classification, models/van.py."""

import pytest
import torch
from families.reference import counted
from torch.nn import functional

from nasbench.errors import BuildError
from nasbench.model.build import initialize
from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block

WIDTHS = {
    "van_b0": (32, 64, 160, 256),
    **dict.fromkeys(("van_b1", "van_b2", "van_b3", "van_b4"), (64, 128, 320, 512)),
    "van_b5": (96, 192, 480, 768),
    "van_b6": (96, 192, 384, 768),
}
DEPTHS = {
    "van_b0": (3, 3, 5, 2),
    "van_b1": (2, 2, 4, 2),
    "van_b2": (3, 3, 12, 3),
    "van_b3": (3, 5, 27, 3),
    "van_b4": (3, 6, 40, 3),
    "van_b5": (3, 3, 24, 3),
    "van_b6": (6, 6, 90, 6),
}


@pytest.mark.parametrize("name", list(WIDTHS))
def test_vans_count_as_the_authors_layers_do(name):
    params = macs = 0
    before = 3
    for stage, (width, depth) in enumerate(zip(WIDTHS[name], DEPTHS[name], strict=True)):
        positions = (56 // 2**stage) ** 2
        inner = width * (8 if stage < 2 else 4)
        embedding = before * width * (3 if stage else 7) ** 2
        attention = 3 * width**2 + (5**2 + 7**2) * width
        feed_forward = 2 * width * inner + 3**2 * inner
        macs += positions * (embedding + depth * (attention + feed_forward))
        # biases of five and three convolutions, two batch norms and two scales in each block
        biases = 5 * width + 2 * inner + width + 4 * width + 2 * width
        params += embedding + 3 * width + depth * (attention + feed_forward + biases) + 2 * width
        before = width

    assert counted(name) == (params + before * 1000 + 1000, macs + before * 1000)


@pytest.mark.parametrize(
    ("name", "millions", "billions"),
    [
        ("van_b0", 4.11, 0.88),
        ("van_b1", 13.86, 2.52),
        ("van_b2", 26.58, 5.03),
        ("van_b3", 44.77, 8.99),
        ("van_b4", 60.28, 12.22),
    ],
)
def test_vans_have_the_parameters_that_openmmlab_prints(name, millions, billions):
    """open-mmlab/mmpretrain, docs, papers/van; its MACs contain those of norms and activations."""
    params, macs = counted(name)

    assert round(params / 1e6, 2) == millions
    assert macs / 1e9 == pytest.approx(billions, rel=0.02)


def draw(block):
    module = make_module(block).eval()
    initialize(module, 0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)), alpha=0.1)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.uniform_(-1, 1, generator=torch.Generator().manual_seed(3))
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2, generator=torch.Generator().manual_seed(4))
    return module


def test_a_block_computes_what_the_authors_formulas_say():
    """Figure 3d; the inner shortcut starts behind the norm, and the scale covers it."""
    module = draw(make_block("van", 8, 8, 1, {}, "row"))
    images = torch.randn(2, 8, 14, 14, generator=torch.Generator().manual_seed(1))
    conv = functional.conv2d
    weights = dict(module.state_dict())

    def of(name):
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    def norm(flow, name):
        statistics = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        return functional.batch_norm(flow, *statistics, *of(name))

    normed = norm(images, "0.norm")
    entered = functional.gelu(conv(normed, *of("0.enter")))
    local = conv(entered, *of("0.attention.local"), padding=2, groups=8)
    wide = conv(local, *of("0.attention.wide"), padding=9, dilation=3, groups=8)
    weighed = entered * conv(wide, *of("0.attention.mix"))
    attended = images + weights["0.scale.scale"] * (conv(weighed, *of("0.leave")) + normed)
    hidden = conv(norm(attended, "1.branch.0.0"), *of("1.branch.0.1"))
    hidden = functional.gelu(conv(hidden, *of("1.branch.1"), padding=1, groups=32))
    expected = attended + weights["1.branch.4.scale"] * conv(hidden, *of("1.branch.3"))

    with torch.no_grad():
        assert torch.allclose(module(images), expected, atol=1e-5)


def test_a_large_kernel_is_decomposed_as_the_paper_says():
    attention = make_module(make_block("van", 8, 8, 1, {"kernel": 35, "dilation": 4}, "row"))[0].attention

    assert attention.local.kernel_size == (7, 7)
    assert attention.wide.kernel_size == (9, 9)
    assert attention.wide.dilation == (4, 4)


def test_a_kernel_that_cannot_keep_the_size_is_explained():
    with pytest.raises(BuildError, match="the kernel 4 with the dilation 1 is a dilated one of 4"):
        make_module(make_block("van", 8, 8, 1, {"kernel": 4, "dilation": 1}, "row"))
